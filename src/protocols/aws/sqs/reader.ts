/**
 * Receiving from one queue, for all of its clients: one consumer of the broker, and the messages that are in flight by their place in the topic. A
 * receipt handle says the place and a number of its own, so it can be settled from any connection; of a handle that is not current any more (the
 * visibility timeout is over, or the broker was restarted) the place is still good.
 */
import { randomBytes } from 'node:crypto'
import {
  accept,
  type Consumer,
  type CoreErrorCode,
  type DeliveryBatch,
  type Sink,
  type Space,
  type TopicInfo,
  type Transaction,
} from '../../../broker/face.ts'
import type { Annotations } from '../../../core/record.ts'
import type { Clock, Timer } from '../../../lib/timers.ts'
import { queueDoesNotExist } from '../errors.ts'
import { Attempts } from './attempts.ts'
import type { Place, Receipt } from './receipt.ts'

/** In flight at most; more are not handed out. */
export const inFlightMax = 120_000
/** Handed out at once. */
const batchBytesMax = 16 * 1024 * 1024
/** A consumer that nobody needs is closed after this. */
const idleMs = 30_000
const serialBytes = 8

export interface Received {
  readonly receipt: Receipt
  /** How often it was received, this time included. */
  readonly receives: number
  readonly firstReceivedAt: number
  readonly sentAt: number
  readonly format: number
  readonly bytes: Buffer
  readonly annotations: Annotations | null
}

interface Held {
  readonly consumer: Consumer
  readonly delivery: number
  readonly serial: string
  /** When this receipt was made. */
  readonly since: number
  until: number
}

interface Waiting {
  end(received: Received[] | Error): void
}

const keyOf = ({ partition, offset }: Place): string => `${partition}/${offset}`

export class QueueReader implements Sink {
  readonly #space: Space
  readonly #clock: Clock
  readonly #topic: TopicInfo
  readonly #gone: () => void
  readonly #held = new Map<string, Held>()
  readonly #firstReceived = new Map<string, number>()
  readonly #waiting = new Set<Waiting>()
  readonly attempts: Attempts
  /** Deleted in this turn, by the consumer that holds them, and when that is on the disk. */
  readonly #deleted = new Map<Consumer, number[]>()
  #deletion: Promise<void> | null = null
  #consumer: Consumer | null = null
  #idleTimer: Timer | null = null

  /** `gone` is called when nothing is to be remembered here. */
  constructor(space: Space, clock: Clock, topic: TopicInfo, gone: () => void) {
    this.#space = space
    this.#clock = clock
    this.#topic = topic
    this.#gone = gone
    this.attempts = new Attempts(clock)
  }

  /** Up to so many messages; waits when there are none. Nothing is taken for a client that has gone. */
  receive(messages: number, visibilityMs: number, waitMs: number, signal: AbortSignal): Promise<Received[]> {
    if (signal.aborted) return Promise.resolve([])
    const consumer = this.#open()
    return new Promise((resolve, reject) => {
      let timer: Timer | null = null
      const waiting: Waiting = {
        end: (received) => {
          if (!this.#waiting.delete(waiting)) return
          giveUp()
          timer?.cancel()
          signal.removeEventListener('abort', gone)
          if (received instanceof Error) reject(received)
          else resolve(received)
        },
      }
      const gone = (): void => waiting.end([])
      this.#waiting.add(waiting)
      const limits = { messages, bytes: batchBytesMax, inFlightMax, wait: waitMs > 0 }
      const giveUp = consumer.pull(-1, limits, (batch) => waiting.end(this.#take(consumer, batch, visibilityMs)))
      if (waitMs > 0) timer = this.#clock.after(waitMs, gone)
      signal.addEventListener('abort', gone)
    })
  }

  #take(consumer: Consumer, batch: DeliveryBatch, visibilityMs: number): Received[] {
    const now = this.#clock.now()
    const received: Received[] = []
    const serials = randomBytes(batch.length * serialBytes).toString('hex')
    for (let index = 0; index < batch.length; index++) {
      // index < length, in all columns
      const place = { partition: batch.partition[index] as number, offset: batch.offset[index] as number }
      const delivery = batch.id[index] as number
      const serial = serials.slice(index * 2 * serialBytes, (index + 1) * 2 * serialBytes)
      const key = keyOf(place)
      this.#held.set(key, { consumer, delivery, serial, since: now, until: now + visibilityMs })
      const receives = (batch.handedOut[index] as number) + 1
      const firstReceivedAt = (receives > 1 ? this.#firstReceived.get(key) : undefined) ?? now
      this.#firstReceived.set(key, firstReceivedAt)
      received.push({
        receipt: { ...place, topic: this.#topic.id, serial },
        receives,
        firstReceivedAt,
        sentAt: batch.timestamp[index] as number,
        format: batch.format[index] as number,
        bytes: (batch.buffer[index] as Buffer).subarray(batch.start[index], batch.end[index]),
        annotations: batch.annotations[index] ?? null,
      })
    }
    consumer.settle(batch.id.slice(0, batch.length), { kind: 'extend', deadlineMs: visibilityMs })
    this.#forgetFirst()
    return received
  }

  /** Whether it is the receipt of a message in flight, still. */
  isCurrent(receipt: Receipt): boolean {
    return this.#current(receipt) !== undefined
  }

  #current(receipt: Receipt): Held | undefined {
    const held = this.#held.get(keyOf(receipt))
    return held?.serial === receipt.serial && held.until > this.#clock.now() ? held : undefined
  }

  /**
   * Deletes the message, as far as nobody else has it meanwhile; resolves when that is on the disk. False: the receipt has expired, and a current one
   * was asked for.
   */
  async delete(receipt: Receipt, options: { readonly currentOnly: boolean }): Promise<boolean> {
    const held = this.#current(receipt)
    if (held === undefined) {
      if (options.currentOnly) return false
      if (this.#isHeldByAnother(receipt)) return true
      const { partition, offset } = receipt
      if (await this.#space.acceptAt(this.#topic.name, '', partition, offset)) await this.#commit(() => undefined)
      return true
    }
    const key = keyOf(receipt)
    this.#held.delete(key)
    this.#firstReceived.delete(key)
    await this.#accepted(held)
    return true
  }

  /** Resolves when it is on the disk: what is deleted in one turn is one transaction. */
  #accepted({ consumer, delivery }: Held): Promise<void> {
    const ids = this.#deleted.get(consumer)
    if (ids === undefined) this.#deleted.set(consumer, [delivery])
    else ids.push(delivery)
    // Before any timer, so before a visibility timeout could end.
    this.#deletion ??= new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.#commitDeleted())
    return this.#deletion
  }

  #commitDeleted(): Promise<void> {
    const deleted = [...this.#deleted]
    this.#deleted.clear()
    this.#deletion = null
    return this.#commit((transaction) => {
      for (const [consumer, deliveries] of deleted) consumer.settle(deliveries, accept, transaction)
    })
  }

  #isHeldByAnother(receipt: Receipt): boolean {
    const held = this.#held.get(keyOf(receipt))
    return held !== undefined && held.serial !== receipt.serial && held.until > this.#clock.now()
  }

  /** Resolves when this, and all before it, is on the disk. */
  #commit(act: (transaction: Transaction) => void): Promise<void> {
    const transaction = this.#space.begin()
    act(transaction)
    return new Promise((resolve, reject) => transaction.commit((error) => (error === null ? resolve() : reject(error))))
  }

  /** From now; 0 gives it back. `notInFlight`: the receipt is not current. `tooLong`: beyond twelve hours since it was received. */
  changeVisibility(receipt: Receipt, visibilityMs: number, totalMsMax: number): 'done' | 'notInFlight' | 'tooLong' {
    const held = this.#current(receipt)
    if (held === undefined) return 'notInFlight'
    const until = this.#clock.now() + visibilityMs
    if (until - held.since > totalMsMax) return 'tooLong'
    held.until = until
    if (visibilityMs > 0) held.consumer.settle([held.delivery], { kind: 'extend', deadlineMs: visibilityMs })
    else {
      this.#held.delete(keyOf(receipt))
      held.consumer.settle([held.delivery], { kind: 'release', countsAsAttempt: true })
    }
    return 'done'
  }

  /** Deletes what is in flight. */
  purge(): void {
    for (const held of this.#held.values()) held.consumer.settle([held.delivery], accept)
    this.#held.clear()
    this.#firstReceived.clear()
  }

  /** Those who wait get nothing. */
  giveUp(): void {
    for (const waiting of [...this.#waiting]) waiting.end([])
  }

  onDeliveries(): void {
    // Only pulls bring messages: credit is never given.
  }

  onConsumerClosed(_consumer: Consumer, _reason: CoreErrorCode): void {
    this.#consumer = null
    this.#held.clear()
    for (const waiting of [...this.#waiting]) waiting.end(queueDoesNotExist())
    this.#end()
  }

  #open(): Consumer {
    if (this.#consumer !== null) return this.#consumer
    const spec = { topic: this.#topic.name, subscription: '', autoSettle: false, name: 'sqs' }
    this.#consumer = this.#space.subscribe(spec, this)
    this.#watchIdle()
    return this.#consumer
  }

  #watchIdle(): void {
    this.#idleTimer = this.#clock.after(idleMs, () => {
      const now = this.#clock.now()
      for (const [key, { until }] of this.#held) if (until <= now) this.#held.delete(key)
      if (this.#held.size > 0 || this.#waiting.size > 0) return this.#watchIdle()
      this.#consumer?.close()
      this.#consumer = null
      // What was received and came back keeps the time of its first receive for as long as somebody receives at all.
      this.#end()
    })
  }

  #end(): void {
    this.#idleTimer?.cancel()
    this.#gone()
  }

  #forgetFirst(): void {
    if (this.#firstReceived.size <= inFlightMax) return
    for (const [oldest] of this.#firstReceived) {
      if (this.#firstReceived.size <= inFlightMax) return
      this.#firstReceived.delete(oldest)
    }
  }
}
