/**
 * A stream made again of a backup (archive.ts), of this broker or of nats-server 2.15, which comes in chunks. Until it is whole it captures nothing and
 * none of its limits hold; if it does not become whole, it is deleted.
 */
import type { Buffer } from 'node:buffer'
import { type Listener, type LiveBatch, PublishStatus, type Space } from '../../../../broker/face.ts'
import { asCoreError } from '../../../../core/errors.ts'
import { S2Reader } from '../../../../lib/s2.ts'
import type { Timer } from '../../../../lib/timers.ts'
import { locate, messageFormatId } from '../../mapping.ts'
import { consumerConfig } from '../consumer-config.ts'
import { ApiError, refusal } from '../errors.ts'
import { headerOf } from '../headers.ts'
import type { JetStream } from '../jetstream.ts'
import { itemOf, passOver, place } from '../placing.ts'
import { storedTimeToLive } from '../publishing.ts'
import { randomId } from '../pull.ts'
import type { Stream } from '../stream.ts'
import type { StreamConfig } from '../stream-config.ts'
import { ArchiveReader, type Entry } from './archive.ts'

/** Without a chunk for so long it is given up. */
const patienceMs = 10_000
/** Chunks that came and wait: who sends does not wait for answers. */
const waitingBytesMax = 32 * 1024 * 1024
const consumersMax = 10_000
const answerType = 'io.nats.jetstream.api.v1.stream_create_response'

/** Returns the subject that chunks are sent to. `space`: of who asked; `infoOf`: what that one hears of the stream at the end. */
export function receiveBackup(
  jetStream: JetStream,
  config: StreamConfig,
  space: Space,
  infoOf: (stream: Stream) => Promise<object>,
): string {
  const subject = `$JS.SNAPSHOT.RESTORE.${config.name}.${randomId(8)}`
  new Receiving(jetStream, config, space, infoOf, subject)
  return subject
}

interface ConsumerBackup {
  readonly config: Record<string, unknown>
  readonly state: { readonly ack_floor: { readonly stream_seq: number } }
}

class Receiving {
  readonly #jetStream: JetStream
  readonly #config: StreamConfig
  readonly #space: Space
  readonly #infoOf: (stream: Stream) => Promise<object>
  readonly #listener: Listener
  readonly #opened = new S2Reader()
  readonly #archive = new ArchiveReader()
  readonly #consumers: ConsumerBackup[] = []
  #stream: Stream | null = null
  #lastSequence = 0
  /** The last entry has come. */
  #complete = false
  #working: Promise<void> = Promise.resolve()
  #waitingBytes = 0
  #timer: Timer | null = null
  #ended = false

  constructor(
    jetStream: JetStream,
    config: StreamConfig,
    space: Space,
    infoOf: (stream: Stream) => Promise<object>,
    subject: string,
  ) {
    this.#jetStream = jetStream
    this.#config = config
    this.#space = space
    this.#infoOf = infoOf
    this.#listener = jetStream.space.listen({ pattern: subject }, { onRecords: (_, batch) => this.#onRecords(batch) })
    this.#watch()
  }

  #watch(): void {
    this.#timer?.cancel()
    this.#timer = this.#jetStream.clock.after(patienceMs, () => this.#fail('', new Error('nothing more came')))
  }

  #onRecords(batch: LiveBatch): void {
    for (let at = 0; at < batch.length && !this.#ended; at++) {
      // A chunk without a reply is none.
      if (batch.format[at] !== messageFormatId) continue
      const bytes = batch.bytes[at] as Buffer // at < length
      const places = { replyAt: 0, headersAt: 0, payloadAt: 0 }
      locate(bytes, places)
      const reply = bytes.toString('utf8', places.replyAt, places.headersAt)
      const chunk = bytes.subarray(places.payloadAt)
      this.#waitingBytes += chunk.length
      if (this.#waitingBytes > waitingBytesMax) return this.#fail(reply, new Error('more came than was answered'))
      this.#working = this.#working.then(() => this.#take(chunk, reply)).catch((cause: unknown) => this.#fail(reply, cause))
    }
  }

  async #take(chunk: Buffer, reply: string): Promise<void> {
    if (this.#ended) return
    this.#watch()
    if (chunk.length === 0) return await this.#finish(reply)
    for (const entry of this.#archive.push(this.#opened.push(chunk))) await this.#onEntry(entry)
    await this.#jetStream.durable()
    this.#waitingBytes -= chunk.length
    if (!this.#ended) this.#jetStream.outbox.answer(reply, '')
  }

  async #onEntry(entry: Entry): Promise<void> {
    const { name, sequence, payload } = entry
    if (this.#complete) throw new RangeError('something follows the end of the backup')
    if (this.#stream === null) {
      if (name !== 'state.json') throw new RangeError('the backup does not begin with a state')
      const { first_seq: first, last_seq: last } = JSON.parse(payload.toString()) as { first_seq: unknown; last_seq: unknown }
      if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last)) throw new RangeError('the state of the backup is none')
      this.#lastSequence = Number(last)
      this.#stream = await this.#jetStream.createStream(open(this.#config, Number(first)), this.#space)
      return
    }
    if (sequence > 0) return this.#store(this.#stream, entry)
    if (name === '') this.#complete = true
    else if (!name.startsWith('consumers/')) throw new RangeError(`the backup has something unknown: ${name.slice(0, 100)}`)
    else if (this.#consumers.push(JSON.parse(payload.toString()) as ConsumerBackup) > consumersMax)
      throw new RangeError('the backup has too many consumers')
  }

  #store(stream: Stream, { name, time, sequence, headers, payload }: Entry): void {
    const { space, clock } = this.#jetStream
    const said = headers.toString('latin1')
    if (headerOf(said, 'Nats-Schedule') !== undefined) throw new RangeError('scheduled messages are not restored here')
    if (sequence < stream.endSequence) throw new RangeError(`sequence ${sequence} is out of order`)
    const item = itemOf(name, headers, payload)
    item.timestamp = time
    const ttlMs = storedTimeToLive(stream, said)
    if (ttlMs >= 0) item.ttlMs = Math.max(1, time + ttlMs - clock.now())
    if (!passOver(stream, space, sequence)) throw refusal('storageExceeded')
    place(stream, space, item)
    if (item.status !== PublishStatus.Stored) throw new Error(`sequence ${sequence}: ${item.errorMessage}`)
  }

  async #finish(reply: string): Promise<void> {
    const stream = this.#stream
    if (stream === null || !this.#complete || !this.#opened.whole) throw new RangeError('the backup is not whole')
    if (!passOver(stream, this.#jetStream.space, this.#lastSequence + 1)) throw refusal('storageExceeded')
    // Before its retention holds, which may depend on who is to read.
    for (const { config: given, state } of this.#consumers) {
      const config = consumerConfig(given, this.#config)
      const { stream_seq: acknowledged } = state.ack_floor
      const from = acknowledged > 0 ? { offset: Math.max(0, stream.offsetOf(acknowledged + 1)) } : null
      const consumer = await this.#jetStream.createConsumer(stream, config, from)
      setImmediate(() => consumer.start())
    }
    await this.#jetStream.updateStream(stream, { ...this.#config, first_seq: stream.config.first_seq }, this.#space)
    await this.#jetStream.durable()
    this.#end()
    this.#jetStream.outbox.answer(reply, { type: answerType, ...(await this.#infoOf(stream)) })
  }

  #fail(reply: string, cause: unknown): void {
    if (this.#ended) return
    this.#end()
    const error =
      cause instanceof ApiError ? cause : refusal('streamRestore', cause instanceof Error ? cause.message : String(cause))
    const stream = this.#stream
    const answer = (): void => this.#jetStream.outbox.answer(reply, { type: answerType, error })
    if (stream === null) return answer()
    this.#jetStream.deleteStream(stream, this.#jetStream.space).then(answer, (left: unknown) => {
      const fields = { stream: stream.name, error: asCoreError(left).message }
      this.#jetStream.log.warn(fields, 'a stream that was not restored whole could not be deleted')
      answer()
    })
  }

  #end(): void {
    this.#ended = true
    this.#timer?.cancel()
    this.#listener.close()
  }
}

/** As long as it is not whole. It begins where the backup does. */
function open(config: StreamConfig, first: number): StreamConfig {
  return {
    ...config,
    subjects: [],
    first_seq: first > 1 ? first : config.first_seq,
    retention: 'limits',
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    max_msgs_per_subject: -1,
    max_msg_size: -1,
    discard: 'old',
    discard_new_per_subject: false,
    republish: null,
    subject_transform: null,
    subject_delete_marker_ttl: 0,
    sealed: false,
  }
}
