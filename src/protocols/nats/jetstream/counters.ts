/** Streams that count (ADR-49): a message is what its subject's total is to grow by, and stored with the new total. */
import { Buffer } from 'node:buffer'
import { PublishStatus } from '../../../broker/face.ts'
import { encodeEnvelope } from '../mapping.ts'
import type { Incoming } from './batches.ts'
import { type ApiError, refusal } from './errors.ts'
import { headerOf } from './headers.ts'
import type { Outbox } from './outbox.ts'
import { acknowledgement, prepare, refusalText } from './publishing.ts'
import type { Stream } from './stream.ts'

/** Totals kept in memory of each stream; others are looked up. */
const totalsMax = 10_000
const unfit = ['Nats-Rollup', 'Nats-Expected-Stream', 'Nats-Expected-Last-Msg-Id', 'Nats-Expected-Last-Sequence']

export class Counters {
  readonly #outbox: Outbox
  readonly #totals = new WeakMap<Stream, Map<string, bigint>>()
  /** What a stream is told is done in order, since looking up a total takes its time. */
  readonly #tails = new WeakMap<Stream, Promise<void>>()

  constructor(outbox: Outbox) {
    this.#outbox = outbox
  }

  take(incoming: Incoming): void {
    const { stream, reply } = incoming
    // The chunk that it came in is somebody else's by then.
    const copied = { ...incoming, headers: incoming.headers }
    const refuse = (error: ApiError): void => this.#outbox.answer(reply, refusalText(stream, error))
    const tail = (this.#tails.get(stream) ?? Promise.resolve())
      .then(() => this.#count(copied))
      .then(
        (refused) => {
          if (refused !== null) refuse(refused)
        },
        () => refuse(refusal('counterBroken')),
      )
    this.#tails.set(stream, tail)
  }

  /** Resolves to what refuses it; null: it is answered when it is stored. */
  async #count({ stream, space, item, headers, reply, bodyBytes }: Incoming): Promise<ApiError | null> {
    const increment = headerOf(headers, 'Nats-Incr')
    if (increment === undefined) return refusal('incrementMissing')
    if (!/^[+-]?\d{1,1000}$/.test(increment) || unfit.some((name) => headerOf(headers, name) !== undefined))
      return refusal('incrementInvalid')
    if (bodyBytes > headers.length) return refusal('incrementPayload')
    const totals = this.#totals.get(stream) ?? new Map<string, bigint>()
    this.#totals.set(stream, totals)
    const subject = stream.storedAs(item.address)
    const before = totals.get(subject) ?? (await this.#stored(stream, subject))
    const total = before + BigInt(increment.replace('+', ''))
    const value = Buffer.from(`{"val":"${total}"}`)
    const block = Buffer.from(headers, 'latin1')
    item.payload = encodeEnvelope(reply, block.length, Buffer.concat([block, value]))
    const refused = prepare(stream, item, headers, block.length + value.length)
    if (refused !== null) return refused
    space.publish([item], () => {
      const answer = JSON.parse(acknowledgement(stream, item, space, null)) as object
      this.#outbox.answer(reply, item.status === PublishStatus.Stored ? { ...answer, val: String(total) } : answer)
    })
    // It has its place by now, durable or not; only a stop of the broker could take it back.
    if (item.status === PublishStatus.Stored) {
      if (totals.size >= totalsMax) totals.clear()
      totals.set(subject, total)
    }
    return null
  }

  async #stored(stream: Stream, subject: string): Promise<bigint> {
    const last = stream.lastOf(subject)
    const message = last === 0 ? null : await stream.message(last)
    if (message === null) return 0n
    const { val } = JSON.parse(message.payload.toString()) as { val?: unknown }
    if (typeof val !== 'string' || !/^-?\d+$/.test(val)) throw new Error('no total')
    return BigInt(val)
  }
}
