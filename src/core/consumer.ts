/** A member of a subscription: its credit, what it holds in flight, and the batch that is being put together for its sink. */
import type { Consumer, DeliveryBatch, Outcome, PullLimits, Sink, SubscribeSpec, Transaction } from '../broker/face.ts'
import type { CoreErrorCode } from './errors.ts'
import { compileFilter, type Filter } from './filter.ts'
import type { Lane, Slot } from './lane.ts'
import type { Annotations } from './record.ts'
import type { Subscription } from './subscription.ts'

/** One record that somebody has and has not settled. */
export class InFlight {
  readonly lane: Lane
  readonly offset: number
  readonly attempt: number
  readonly bytes: number
  readonly keyHash: number
  /** How often it was handed out before. */
  readonly handedOut: number
  deadline: number
  /** undefined: the topic's. */
  readonly deliveryLimit: number | undefined
  constructor(
    lane: Lane,
    offset: number,
    attempt: number,
    bytes: number,
    keyHash: number,
    handedOut: number,
    deadline: number,
    deliveryLimit: number | undefined,
  ) {
    this.handedOut = handedOut
    this.deliveryLimit = deliveryLimit
    this.lane = lane
    this.offset = offset
    this.attempt = attempt
    this.bytes = bytes
    this.keyHash = keyHash
    this.deadline = deadline
  }
}

/** Batches that are not being put together just now, whose columns have room already. */
const spareBatches: Batch[] = []
const spareBatchesMax = 16
const spareRecordsMax = 4096

class Batch implements DeliveryBatch {
  length = 0
  readonly id: number[] = []
  readonly partition: number[] = []
  readonly offset: number[] = []
  readonly attempt: number[] = []
  readonly handedOut: number[] = []
  readonly redelivered: boolean[] = []
  readonly timestamp: number[] = []
  readonly format: number[] = []
  readonly buffer: Buffer[] = []
  readonly start: number[] = []
  readonly end: number[] = []
  readonly annotations: (Annotations | null)[] = []
  readonly subject: (string | null)[] = []

  push(id: number, lane: number, attempt: number, handedOut: number, redelivered: boolean, slot: Slot): void {
    const at = this.length++
    this.id[at] = id
    this.partition[at] = lane
    this.offset[at] = slot.offset
    this.attempt[at] = attempt
    this.handedOut[at] = handedOut
    this.redelivered[at] = redelivered
    this.timestamp[at] = slot.timestamp
    this.format[at] = slot.format
    this.buffer[at] = slot.buffer
    this.start[at] = slot.start
    this.end[at] = slot.end
    this.annotations[at] = slot.annotations
    this.subject[at] = slot.subject
  }

  clear(): void {
    this.length = 0
    this.buffer.length = 0 // views would pin their blocks
    this.annotations.length = 0
  }
}

function takeBatch(): Batch {
  return spareBatches.pop() ?? new Batch()
}

/** A member of a subscription. */
export class MemberConsumer implements Consumer {
  readonly name: string
  readonly sink: Sink
  readonly priority: number
  readonly exclusive: boolean
  readonly autoSettle: boolean
  deadlineMs: number
  /** undefined: the topic's. */
  deliveryLimit: number | undefined
  readonly connection: number
  /** Which records it wants; null: any. */
  readonly selects: Filter | null
  /** Told of each batch for its sink. */
  onHandedOver: (records: number, bytes: number) => void = () => undefined
  readonly #of: Subscription
  readonly #flights = new Map<number, InFlight>()
  /** null between two of them. */
  #batch: Batch | null = null
  #batchBytes = 0
  #nextId = 1
  #credit = 0
  #creditBytes = Number.POSITIVE_INFINITY
  #paused = false
  #closed = false

  constructor(of: Subscription, spec: SubscribeSpec, sink: Sink) {
    this.#of = of
    this.sink = sink
    this.name = spec.name
    this.priority = spec.priority ?? 0
    this.exclusive = spec.exclusive ?? false
    this.autoSettle = spec.autoSettle
    this.deadlineMs = spec.deadlineMs ?? -1
    this.deliveryLimit = spec.deliveryLimit
    this.connection = spec.connection ?? 0
    this.selects = spec.selects === undefined ? null : compileFilter(spec.selects, of.topic)
  }

  get topic(): string {
    return this.#of.topic
  }
  get subscription(): string {
    return this.#of.name
  }
  get active(): boolean {
    return this.#of.isActive(this)
  }
  /** Whether it takes a record of so many bytes now. One that is larger than the credit for bytes comes alone: when nothing else is unsettled. */
  wants(bytes: number): boolean {
    if (this.#credit <= 0 || this.#creditBytes <= 0 || this.#paused) return false
    return bytes <= this.#creditBytes || this.#flights.size === 0
  }
  get unsettled(): number {
    return this.#flights.size
  }

  change({ deadlineMs, deliveryLimit }: { readonly deadlineMs: number; readonly deliveryLimit: number }): void {
    this.deadlineMs = deadlineMs
    this.deliveryLimit = deliveryLimit
  }

  credit(messages: number, bytes?: number): void {
    this.#credit += messages
    // Without a limit so far, the first one begins at nothing.
    if (bytes !== undefined) this.#creditBytes = (this.#creditBytes === Number.POSITIVE_INFINITY ? 0 : this.#creditBytes) + bytes
    this.#of.wake()
  }

  setCredit(messages: number, bytes = Number.POSITIVE_INFINITY): void {
    this.#credit = messages
    this.#creditBytes = bytes
    if (messages > 0) this.#of.wake()
  }

  pause(paused: boolean): void {
    this.#paused = paused
    if (!paused) this.#of.wake()
  }

  hold(flight: InFlight): number {
    const id = this.#nextId++
    this.#flights.set(id, flight)
    return id
  }

  pull(partition: number, limits: PullLimits, done: (batch: DeliveryBatch) => void): () => void {
    return this.#of.askers.pull(this, partition, limits, done)
  }

  /** What was taken for a pull, handed to who pulled. */
  flushTo(done: (batch: DeliveryBatch) => void): void {
    const batch = this.#batch ?? takeBatch()
    this.#handOver(batch, done)
  }

  #handOver(batch: Batch, to: (batch: DeliveryBatch) => void): void {
    const bytes = this.#batchBytes
    this.#batch = null
    this.#batchBytes = 0
    if (!this.#closed) {
      this.onHandedOver(batch.length, bytes)
      to(batch)
    }
    batch.clear()
    if (spareBatches.length < spareBatchesMax && batch.id.length <= spareRecordsMax) spareBatches.push(batch)
  }

  take(id: number, lane: Lane, attempt: number, handedOut: number, redelivered: boolean, slot: Slot, bytes: number): void {
    this.#credit--
    this.#creditBytes -= bytes
    this.push(id, lane, attempt, handedOut, redelivered, slot)
  }

  /** As {@link take}, not on credit. */
  push(id: number, lane: Lane, attempt: number, handedOut: number, redelivered: boolean, slot: Slot): void {
    this.#batchBytes += slot.end - slot.start
    this.#batch ??= takeBatch()
    this.#batch.push(id, lane.index, attempt, handedOut, redelivered, slot)
  }

  flush(): void {
    if (this.#batch !== null) this.#handOver(this.#batch, (batch) => this.sink.onDeliveries(this, batch))
  }

  settle(deliveries: readonly number[], outcome: Outcome, transaction?: Transaction): number {
    let known = 0
    for (const id of deliveries) {
      const flight = this.#flights.get(id)
      if (flight === undefined) continue
      known++
      if (transaction === undefined) this.#settleOne(id, flight, outcome)
      else this.#of.host.enlist(transaction, () => this.#settleOne(id, flight, outcome))
    }
    return known
  }

  /** In a transaction this runs at its commit: until then the delivery is held, and released with its consumer. */
  #settleOne(id: number, flight: InFlight, outcome: Outcome): void {
    if (this.#flights.get(id) !== flight) return
    if (outcome.kind !== 'extend') this.#flights.delete(id)
    if (!this.#of.closed) this.#of.settle(flight, outcome)
  }

  releaseOverdue(now: number): number {
    let next = Infinity
    let overdue = false
    for (const [id, flight] of this.#flights) {
      if (flight.deadline > now) {
        next = Math.min(next, flight.deadline)
        continue
      }
      if (!overdue) queueMicrotask(() => this.sink.onOverdue?.(this))
      overdue = true
      this.#flights.delete(id)
      this.#of.settle(flight, { kind: 'release', countsAsAttempt: true })
    }
    return next
  }

  heldOffsets(held: Map<Lane, Set<number>>): void {
    for (const flight of this.#flights.values()) hold(held, flight)
  }

  stop(): void {
    if (this.#closed) return
    this.#paused = true
    this.#of.remove(this)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    const flights = [...this.#flights.values()]
    this.#flights.clear()
    for (const flight of flights) if (!this.#of.closed) this.#of.settle(flight, { kind: 'release', countsAsAttempt: true })
    this.#of.remove(this)
    this.#of.forget(this)
  }

  closedBy(reason: CoreErrorCode): void {
    this.#closed = true
    this.#flights.clear()
    queueMicrotask(() => this.sink.onConsumerClosed(this, reason))
  }
}

/** Notes an offset that must stay. */
export function hold(held: Map<Lane, Set<number>>, flight: InFlight): void {
  const offsets = held.get(flight.lane) ?? new Set<number>()
  offsets.add(flight.offset)
  held.set(flight.lane, offsets)
}
