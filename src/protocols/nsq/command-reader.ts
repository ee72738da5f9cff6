/**
 * Reads commands: a line of words and, where the session says so, a body. State: line → size → body → line; for MPUB line → size → count →
 * (itemSize → item)* → line, as the reference server reads it, which goes by the sizes of the messages and not by that of the whole.
 */
import type { Decoder } from './codec.ts'
import { NsqError } from './errors.ts'
import { limits } from './limits.ts'

type Reading = 'line' | 'size' | 'body' | 'count' | 'itemSize' | 'item'
export type WithBody = 'IDENTIFY' | 'AUTH' | 'PUB' | 'DPUB' | 'MPUB'

const messagesMax = Math.floor((limits.bodyBytesMax - 4) / 5)

/** Bodies are views for this turn. */
export interface CommandHost {
  /** A byte a character. It calls {@link CommandReader.expect} when a body follows. */
  onLine(words: readonly string[]): void
  onLineTooLong(): void
  onBody(command: Exclude<WithBody, 'MPUB'>, body: Buffer): void
  onItem(body: Buffer): void
  /** So many of the last messages are all of an MPUB. */
  onItems(count: number): void
}

export class CommandReader {
  readonly #decoder: Decoder
  readonly #host: CommandHost
  #reading: Reading = 'line'
  #command: WithBody = 'PUB'
  /** Of what is read next. */
  #bytes = 0
  /** Of an MPUB: messages that are to come, that have come, and their bytes. */
  #left = 0
  #index = 0
  #total = 0

  constructor(decoder: Decoder, host: CommandHost) {
    this.#decoder = decoder
    this.#host = host
  }

  /** Behind the line that was just read comes a body. */
  expect(command: WithBody): void {
    this.#command = command
    this.#reading = 'size'
  }

  /** Messages of an MPUB of which not all have come. */
  get incomplete(): number {
    return this.#reading === 'item' || this.#reading === 'itemSize' ? this.#index : 0
  }

  /** False: more bytes are needed. Throws {@link NsqError}. */
  step(): boolean {
    switch (this.#reading) {
      case 'line': {
        const line = this.#decoder.line(limits.lineBytesMax)
        if (line === null) return false
        if (line === 'tooLong') this.#host.onLineTooLong()
        else this.#host.onLine(line.split(' '))
        return true
      }
      case 'size':
      case 'count':
      case 'itemSize': {
        const size = this.#decoder.size()
        if (size === null) return false
        this.#onSize(this.#reading, size)
        return true
      }
      case 'body':
      case 'item': {
        const body = this.#decoder.body(this.#bytes)
        if (body === null) return false
        this.#onBody(body)
        return true
      }
    }
  }

  #onSize(of: 'size' | 'count' | 'itemSize', size: number): void {
    switch (of) {
      case 'size':
        return this.#onBodySize(size)
      case 'count':
        if (size <= 0 || size > messagesMax) throw new NsqError('E_BAD_BODY', `MPUB invalid message count ${size}`)
        this.#left = size
        this.#index = this.#total = 0
        this.#reading = 'itemSize'
        return
      case 'itemSize':
        if (size <= 0) throw new NsqError('E_BAD_MESSAGE', `MPUB invalid message(${this.#index}) body size ${size}`)
        if (size > limits.messageBytesMax)
          throw new NsqError('E_BAD_MESSAGE', `MPUB message too big ${size} > ${limits.messageBytesMax}`)
        this.#total += 4 + size
        // The reference server has no limit on their sum.
        if (this.#total > limits.bodyBytesMax)
          throw new NsqError('E_BAD_BODY', `MPUB body too big ${this.#total} > ${limits.bodyBytesMax}`)
        this.#bytes = size
        this.#reading = 'item'
    }
  }

  #onBodySize(size: number): void {
    const command = this.#command
    const isMessage = command === 'PUB' || command === 'DPUB'
    const [code, what] = isMessage ? ['E_BAD_MESSAGE', 'message'] : ['E_BAD_BODY', 'body']
    const bytesMax = isMessage ? limits.messageBytesMax : limits.bodyBytesMax
    if (size <= 0) throw new NsqError(code, `${command} invalid ${isMessage ? 'message body' : 'body'} size ${size}`)
    if (size > bytesMax) throw new NsqError(code, `${command} ${what} too big ${size} > ${bytesMax}`)
    this.#bytes = size
    this.#reading = command === 'MPUB' ? 'count' : 'body'
  }

  #onBody(body: Buffer): void {
    if (this.#command !== 'MPUB') {
      this.#reading = 'line'
      return this.#host.onBody(this.#command, body)
    }
    this.#host.onItem(body)
    this.#index++
    this.#reading = --this.#left > 0 ? 'itemSize' : 'line'
    if (this.#left === 0) this.#host.onItems(this.#index)
  }
}
