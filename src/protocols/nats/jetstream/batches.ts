/** Atomic batches (ADR-50): messages that are collected until their publisher says that they are all, then stored in one step or not at all. */
import type { CoreError, PublishItem, Space } from '../../../broker/face.ts'
import { asCoreError } from '../../../core/errors.ts'
import type { Clock, Timer } from '../../../lib/timers.ts'
import { type ApiError, ofCore, refusal } from './errors.ts'
import { headerOf } from './headers.ts'
import type { Outbox } from './outbox.ts'
import { prepare, refusalText, wrongLast } from './publishing.ts'
import type { Stream } from './stream.ts'

const messagesMax = 1000
const openMax = 50
const bytesMax = 64 * 1024 * 1024
const idBytesMax = 64
const abandonedMs = 10_000

interface Batch {
  readonly items: PublishItem[]
  bytes: number
  timer: Timer
}

/** One message, as the session has it. */
export interface Incoming {
  readonly stream: Stream
  /** Of its publisher. */
  readonly space: Space
  readonly item: PublishItem
  readonly headers: string
  readonly reply: string
  readonly bodyBytes: number
}

export class Batches {
  readonly #outbox: Outbox
  readonly #clock: Clock
  readonly #open = new Map<string, Batch>()
  #bytes = 0

  constructor(outbox: Outbox, clock: Clock) {
    this.#outbox = outbox
    this.#clock = clock
  }

  take(incoming: Incoming, id: string): void {
    const { stream, reply } = incoming
    const key = `${stream.name}\u0000${id}`
    const refused = this.#add(incoming, key, id)
    const commit = headerOf(incoming.headers, 'Nats-Batch-Commit')
    if (refused !== null) {
      this.#close(key)
      this.#outbox.answer(reply, refusalText(stream, refused))
    } else if (commit === undefined) this.#outbox.answer(reply, '')
    else this.#commit(incoming, key, id)
  }

  /** Why it is not taken; null when it is. */
  #add({ stream, item, headers, bodyBytes }: Incoming, key: string, id: string): ApiError | null {
    if (!stream.config.allow_atomic) return refusal('atomicDisabled')
    if (Buffer.byteLength(id) > idBytesMax) return refusal('atomicBatchId')
    const text = headerOf(headers, 'Nats-Batch-Sequence') ?? ''
    if (!/^\d{1,9}$/.test(text)) return refusal('atomicMissingSequence')
    const commit = headerOf(headers, 'Nats-Batch-Commit') ?? ''
    const isEnd = commit === 'eob'
    const sequence = Number(text)
    if (sequence - (isEnd ? 1 : 0) > messagesMax) return refusal('atomicTooLarge', messagesMax)
    if (!['', '1', 'eob'].includes(commit)) return refusal('atomicCommit')
    let batch = this.#open.get(key)
    if (sequence !== (batch?.items.length ?? 0) + 1 || (isEnd && sequence === 1)) return refusal('atomicIncomplete')
    if (batch === undefined) {
      if (this.#open.size >= openMax) return refusal('atomicTooMany')
      batch = { items: [], bytes: 0, timer: this.#watch(key) }
      this.#open.set(key, batch)
    }
    batch.timer.cancel()
    batch.timer = this.#watch(key)
    if (isEnd) return null
    for (const header of [
      'Nats-Schedule',
      'Nats-Schedule-Next',
      'Nats-Expected-Last-Msg-Id',
      ...(sequence > 1 ? ['Nats-Expected-Last-Sequence'] : []),
    ])
      if (headerOf(headers, header) !== undefined) return refusal('atomicHeader', header)
    const refused = prepare(stream, item, headers, bodyBytes)
    if (refused !== null) return refused
    if (item.dedupId !== null && batch.items.some(({ dedupId }) => dedupId === item.dedupId)) return refusal('atomicDuplicate')
    const bytes = item.payload.length
    if (this.#bytes + bytes > bytesMax) return refusal('atomicTooMany')
    // A view would keep all that came with it.
    item.payload = Buffer.from(item.payload)
    batch.items.push(item)
    batch.bytes += bytes
    this.#bytes += bytes
    return null
  }

  #watch(key: string): Timer {
    return this.#clock.after(abandonedMs, () => this.#close(key))
  }

  #close(key: string): PublishItem[] {
    const batch = this.#open.get(key)
    if (batch === undefined) return []
    batch.timer.cancel()
    this.#open.delete(key)
    this.#bytes -= batch.bytes
    return batch.items
  }

  #commit({ stream, space, reply }: Incoming, key: string, id: string): void {
    const items = this.#close(key)
    const transaction = space.begin()
    transaction.publish(items)
    transaction.commit((error) => {
      if (error === null) {
        const last = items.at(-1)?.baseOffset ?? -1
        const answer = { stream: stream.name, seq: last + stream.base, batch: id, count: items.length }
        return this.#outbox.answer(reply, answer)
      }
      this.#outbox.answer(reply, refusalText(stream, whyNot(stream, items, asCoreError(error))))
    })
  }
}

function whyNot(stream: Stream, items: readonly PublishItem[], error: CoreError): ApiError {
  switch (error.code) {
    case 'AlreadyExists':
      return refusal('atomicDuplicate')
    case 'Mismatch': {
      const wrong = items.find(({ baseOffset, expectedLast }) => baseOffset >= 0 || expectedLast !== null)
      return wrong === undefined ? ofCore(error) : wrongLast(stream, wrong)
    }
    default:
      return ofCore(error)
  }
}
