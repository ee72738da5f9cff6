/** A backup of a stream, sent in chunks to whoever asked for it; so many of them are on their way as the receiver's acknowledgements allow. */
import { Buffer } from 'node:buffer'
import { asCoreError } from '../../../../core/errors.ts'
import { identifier, s2Chunks } from '../../../../lib/s2.ts'
import { patternOf } from '../../subjects.ts'
import type { Consumer } from '../consumer.ts'
import type { JetStream } from '../jetstream.ts'
import { randomId } from '../pull.ts'
import type { Stream } from '../stream.ts'
import { beginning, type Entry, encodeEntry, ending } from './archive.ts'

/** Of nats-server: what is asked for stays between these. */
const chunkBytes = { min: 1024, usual: 128 * 1024, max: 1024 * 1024 }
const windowBytes = { min: 1024, usual: 8 * 1024 * 1024, max: 32 * 1024 * 1024 }
/** Without an acknowledgement for so long the receiver is gone. */
const patienceMs = 5000
const messagesAtOnce = 256
const nothing = Buffer.alloc(0)

export interface Wanted {
  /** The subject that it is sent to. */
  readonly to: string
  /** 0: as usual. */
  readonly chunkBytes: number
  readonly windowBytes: number
  readonly consumers: boolean
}

type State = Awaited<ReturnType<Stream['state']>>

export function sendBackup(jetStream: JetStream, stream: Stream, state: State, wanted: Wanted): void {
  new Sending(jetStream, stream, state, wanted).run().catch((cause: unknown) => {
    jetStream.outbox.status(wanted.to, Buffer.from(`NATS/1.0 500 ${asCoreError(cause).message.replace(/\s+/g, ' ')}\r\n\r\n`))
  })
}

class Sending {
  readonly #jetStream: JetStream
  readonly #stream: Stream
  readonly #state: State
  readonly #wanted: Wanted
  readonly #chunkBytes: number
  #slots: number
  #sent = 0
  #wake: (acknowledged: boolean) => void = () => undefined
  readonly #ackSubject: string

  constructor(jetStream: JetStream, stream: Stream, state: State, wanted: Wanted) {
    this.#jetStream = jetStream
    this.#stream = stream
    this.#state = state
    this.#wanted = wanted
    this.#chunkBytes = between(chunkBytes, wanted.chunkBytes)
    this.#slots = Math.floor(Math.max(this.#chunkBytes, between(windowBytes, wanted.windowBytes)) / this.#chunkBytes)
    this.#ackSubject = `$JS.SNAPSHOT.ACK.${stream.name}.${randomId(8)}`
  }

  async run(): Promise<void> {
    const { outbox, space } = this.#jetStream
    const listener = space.listen(
      { pattern: patternOf(`${this.#ackSubject}.>`) },
      {
        onRecords: (_, batch) => {
          this.#slots += batch.length
          this.#wake(true)
        },
      },
    )
    try {
      let waiting: Buffer[] = []
      let bytes = 0
      let last: Buffer = nothing
      for await (const piece of this.#pieces()) {
        waiting.push(piece)
        bytes += piece.length
        if (bytes < this.#chunkBytes) continue
        last = Buffer.concat(waiting)
        for (; last.length >= this.#chunkBytes; last = last.subarray(this.#chunkBytes))
          if (!(await this.#send(last.subarray(0, this.#chunkBytes)))) return
        waiting = [last]
        bytes = last.length
      }
      if (bytes > 0) outbox.status(this.#wanted.to, nothing, Buffer.concat(waiting))
      outbox.status(this.#wanted.to, Buffer.from('NATS/1.0 204\r\n\r\n'))
    } finally {
      listener.close()
    }
  }

  /** False when nobody takes it. */
  async #send(chunk: Buffer): Promise<boolean> {
    const { outbox, clock } = this.#jetStream
    const { to } = this.#wanted
    while (this.#slots === 0) {
      const acknowledged = await new Promise<boolean>((resolve) => {
        this.#wake = resolve
        clock.after(patienceMs, () => resolve(false))
      })
      if (acknowledged) continue
      outbox.status(to, Buffer.from('NATS/1.0 408 No Flow Response\r\n\r\n'))
      return false
    }
    this.#slots--
    this.#sent++
    return outbox.status(to, nothing, chunk, `${this.#ackSubject}.${chunk.length}.${this.#sent}`)
  }

  /** Of the S2 stream. */
  async *#pieces(): AsyncGenerator<Buffer> {
    yield identifier
    const consumers = this.#wanted.consumers ? [...this.#stream.consumers.values()] : []
    const now = this.#jetStream.clock.now()
    const json = (name: string, value: object): Buffer => {
      const payload = Buffer.from(JSON.stringify(value))
      return encodeEntry({ name, time: now, sequence: 0, headers: nothing, payload })
    }
    yield s2Chunks(
      Buffer.concat([
        beginning,
        json('state.json', { ...this.#state, consumer_count: consumers.length }),
        ...consumers.map((consumer) => json(`consumers/${consumer.name}`, storedConsumer(consumer))),
      ]),
    )
    const { first_seq: first, last_seq: end } = this.#state as { first_seq: number; last_seq: number } // as Stream.state makes it
    for (let next = first; next <= end; ) {
      const messages = await this.#stream.messagesFrom(next, messagesAtOnce)
      const entries = messages.filter(({ sequence }) => sequence <= end).map(entryOf)
      if (entries.length === 0) break
      yield s2Chunks(Buffer.concat(entries))
      next = (messages.at(-1)?.sequence ?? end) + 1
    }
    yield s2Chunks(encodeEntry(ending))
  }
}

function between({ min, usual, max }: typeof chunkBytes, asked: number): number {
  return Math.min(max, Math.max(min, asked === 0 ? usual : asked))
}

function entryOf({ subject, ...message }: Awaited<ReturnType<Stream['messagesFrom']>>[number]): Buffer {
  return encodeEntry({ name: subject, ...message } satisfies Entry)
}

/** What is delivered and not acknowledged is delivered again from there: the places in between are not told. */
function storedConsumer(consumer: Consumer): object {
  const { config, ack_floor: floor } = consumer.info() as {
    config: object
    ack_floor: { consumer_seq: number; stream_seq: number }
  } // its own
  const place = { consumer_seq: floor.consumer_seq, stream_seq: floor.stream_seq }
  return { config: { ...config, name: consumer.name }, state: { delivered: place, ack_floor: place } }
}
