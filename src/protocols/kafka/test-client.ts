// For tests only: a client that speaks frames by the message tables.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { apis, encodeRequest, FrameDecoder, skipTags } from './codec.ts'
import type { Message } from './schema.ts'
import { Reader } from './wire.ts'

interface Waiting {
  readonly correlationId: number
  readonly key: number
  readonly version: number
  readonly resolve: (message: Message) => void
  readonly reject: (cause: Error) => void
}

export class TestClient {
  readonly socket: Socket
  /** Correlation ids in the order in which answers came. */
  readonly order: number[] = []
  #waiting: Waiting[] = []
  #next = 1

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    const decoder = new FrameDecoder(1 << 28, (frame) => this.#onFrame(frame))
    this.socket.on('data', (chunk: Buffer) => decoder.push(chunk))
    this.socket.on('error', () => this.socket.destroy())
    this.socket.on('close', () => {
      for (const waiting of this.#waiting) waiting.reject(new Error('the connection was closed'))
      this.#waiting = []
    })
  }

  /** Sends without expecting an answer. */
  send(key: number, version: number, body: Message): number {
    const api = apis.get(key)
    if (api === undefined) throw new Error(`no such request: ${key}`)
    const correlationId = this.#next++
    this.socket.write(encodeRequest(api, version, correlationId, 'test', body))
    return correlationId
  }

  ask(key: number, version: number, body: Message): Promise<Message> {
    const correlationId = this.send(key, version, body)
    return new Promise((resolve, reject) => this.#waiting.push({ correlationId, key, version, resolve, reject }))
  }

  #onFrame(frame: Buffer): void {
    const reader = new Reader(frame)
    const correlationId = reader.int32()
    this.order.push(correlationId)
    const waiting = this.#waiting.shift()
    const api = waiting && apis.get(waiting.key)
    if (waiting === undefined || api === undefined) return
    if (waiting.correlationId !== correlationId)
      return waiting.reject(new Error(`answer ${correlationId} instead of ${waiting.correlationId}`))
    if (waiting.version >= api.flexible && waiting.key !== 18) skipTags(reader)
    // KIP-511: to an ApiVersions of an unknown version the answer has version 0.
    const version = waiting.key === 18 && waiting.version > api.to ? 0 : waiting.version
    const message = api.response.decode(reader, version)
    if (reader.remaining() > 0) return waiting.reject(new Error(`${reader.remaining()} bytes left after ${api.name} v${version}`))
    waiting.resolve(message)
  }

  async closed(): Promise<void> {
    if (!this.socket.closed) await once(this.socket, 'close')
  }

  close(): void {
    this.socket.destroy()
  }
}
