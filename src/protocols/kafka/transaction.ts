// One transactional id: which producer may act for it, and its open transaction. Pure: no clock, no broker.
//
//   state           on                                    to
//   Empty           first partition or group              Ongoing
//   Ongoing         EndTxn                                CompleteCommit, CompleteAbort
//   Ongoing         timeout, InitProducerId               CompleteAbort, Empty; the epoch rises, so that its producer is fenced
//   Complete*       first partition or group              Ongoing
//   any             InitProducerId                        Empty; the epoch rises
//
// Kafka's states between (PrepareCommit, PrepareAbort) do not exist: markers, offsets and state are one frame of the write-ahead log.
import type { CursorPosition } from '../../broker/face.ts'
import { KafkaError } from './errors.ts'

export const TransactionState = {
  Empty: 'Empty',
  Ongoing: 'Ongoing',
  CompleteCommit: 'CompleteCommit',
  CompleteAbort: 'CompleteAbort',
} as const
export type TransactionState = (typeof TransactionState)[keyof typeof TransactionState]

export interface ProducerIdentity {
  readonly producerId: number
  readonly epoch: number
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** Epochs are int16; the highest is kept for the marker that fences the one before it. */
const epochMax = 0x7fff
const lastUsableEpoch = epochMax - 1
const none = -1
/** Partitions and groups of one transaction at most: its row is written anew whenever one joins. */
export const placesMax = 10_000

/** As stored. */
interface Row {
  readonly producerId: number
  readonly epoch: number
  readonly previousProducerId: number
  readonly lastEpoch: number
  readonly timeoutMs: number
  readonly state: TransactionState
  readonly startedAt: number
  readonly updatedAt: number
  readonly partitions: readonly (readonly [string, readonly number[]])[]
  readonly groups: readonly string[]
}

export class Transaction {
  readonly id: string
  producerId: number
  /** -1 until the first InitProducerId is through. */
  epoch = none
  /** Whose epochs ran out before {@link producerId} took over. */
  previousProducerId = none
  /** What the epoch was before the request that raised it, so that its repetition is known; -1 when nobody may repeat it. */
  lastEpoch = none
  timeoutMs = 0
  state: TransactionState = TransactionState.Empty
  /** Of the last transaction that was begun, ms since the epoch. */
  startedAt = none
  updatedAt = 0
  readonly #partitions = new Map<string, Set<number>>()
  /** Partitions and groups. */
  #places = 0
  /** Groups whose offsets belong to it. */
  readonly groups = new Set<string>()
  /** By group, then by place: offsets that count once it is committed. */
  readonly pending = new Map<string, Map<string, CursorPosition>>()

  constructor(id: string, producerId: number) {
    this.id = id
    this.producerId = producerId
  }

  get isOpen(): boolean {
    return this.state === TransactionState.Ongoing
  }

  get isExhausted(): boolean {
    return this.epoch >= lastUsableEpoch
  }

  // ----------------------------------------------------------------------------------------------------------------- checks

  /** Whether this producer may act in it: 0, or Kafka's error code. */
  check({ producerId, epoch }: ProducerIdentity): number {
    if (producerId !== this.producerId) return KafkaError.InvalidProducerIdMapping
    return epoch === this.epoch ? KafkaError.None : KafkaError.ProducerFenced
  }

  /** Whether an InitProducerId that names what its producer has (KIP-360) is to be refused. */
  checkInit({ producerId, epoch }: ProducerIdentity): number {
    if (this.epoch === none || this.#repeatsInit({ producerId, epoch })) return KafkaError.None
    return producerId === this.producerId && epoch === this.epoch ? KafkaError.None : KafkaError.ProducerFenced
  }

  /** The same request as the last one, which raised the epoch and whose answer was lost. */
  #repeatsInit(expected: ProducerIdentity): boolean {
    return !this.isOpen && this.#hadBefore(expected)
  }

  #hadBefore({ producerId, epoch }: ProducerIdentity): boolean {
    if (this.lastEpoch === none || epoch !== this.lastEpoch) return false
    if (producerId === this.producerId) return this.epoch === epoch + 1 && this.epoch < epochMax
    return producerId === this.previousProducerId && epoch >= lastUsableEpoch && this.epoch === 0
  }

  /** Whether this EndTxn of version 5 was carried out already: its producer had the epoch before. */
  repeatsEnd(by: ProducerIdentity): boolean {
    const { state } = this
    return (state === TransactionState.CompleteCommit || state === TransactionState.CompleteAbort) && this.#hadBefore(by)
  }

  // ---------------------------------------------------------------------------------------------------------------- changes

  /** A producer (again) takes the id. What was open was aborted before. `spareId` is used when the epochs are used up. */
  init(timeoutMs: number, expected: ProducerIdentity | null, spareId: number, now: number): void {
    const repeated = expected !== null && this.#repeatsInit(expected)
    this.timeoutMs = timeoutMs
    this.updatedAt = now
    this.state = TransactionState.Empty
    this.startedAt = none
    if (repeated) return
    this.#raiseEpoch(spareId)
    if (expected === null) this.lastEpoch = none
  }

  #raiseEpoch(spareId: number): void {
    this.lastEpoch = this.epoch
    if (this.isExhausted) {
      this.previousProducerId = this.producerId
      this.producerId = spareId
      this.epoch = 0
    } else this.epoch++
  }

  /** The epoch of the markers when its producer is to be fenced by them. */
  get fencingEpoch(): number {
    return Math.min(this.epoch + 1, epochMax)
  }

  /** Adds partitions, beginning a transaction when none is open. False when nothing changed. */
  add(partitions: readonly TopicPartition[], group: string | null, now: number): boolean {
    const began = this.#begin(now)
    let changed = began
    for (const { topic, partition } of partitions) {
      const known = this.#partitions.get(topic)
      if (known?.has(partition) === true) continue
      if (known === undefined) this.#partitions.set(topic, new Set([partition]))
      else known.add(partition)
      this.#places++
      changed = true
    }
    if (group !== null && !this.groups.has(group)) {
      this.groups.add(group)
      this.#places++
      changed = true
    }
    if (changed) this.updatedAt = now
    return changed
  }

  #begin(now: number): boolean {
    if (this.isOpen) return false
    this.state = TransactionState.Ongoing
    this.startedAt = now
    return true
  }

  /** Whether so many more may join; those that have joined may always come again. */
  hasRoomFor(partitions: readonly TopicPartition[], group: string | null): boolean {
    if (this.#places + partitions.length + (group === null ? 0 : 1) <= placesMax) return true
    return (group === null || this.groups.has(group)) && partitions.every(({ topic, partition }) => this.has(topic, partition))
  }

  has(topic: string, partition: number): boolean {
    return this.isOpen && this.#partitions.get(topic)?.has(partition) === true
  }

  get partitions(): TopicPartition[] {
    return [...this.#partitions].flatMap(([topic, indexes]) => [...indexes].map((partition) => ({ topic, partition })))
  }

  get topics(): { topic: string; partitions: number[] }[] {
    return [...this.#partitions].map(([topic, indexes]) => ({ topic, partitions: [...indexes] }))
  }

  /** Notes offsets of a group that count at the commit. */
  addPending(group: string, positions: readonly CursorPosition[]): void {
    let places = this.pending.get(group)
    if (places === undefined) {
      places = new Map()
      this.pending.set(group, places)
    }
    for (const position of positions) places.set(`${position.partition}/${position.topic}`, position)
  }

  /** It is over. `spareId` null: the epoch stays (EndTxn below version 5). */
  end(commit: boolean, spareId: number | null, now: number): void {
    // An abort of what never began has a time all the same.
    if (!this.isOpen) this.startedAt = now
    this.state = commit ? TransactionState.CompleteCommit : TransactionState.CompleteAbort
    this.updatedAt = now
    this.#partitions.clear()
    this.#places = 0
    this.groups.clear()
    this.pending.clear()
    if (spareId === null) this.lastEpoch = none
    else this.#raiseEpoch(spareId)
  }

  /** Aborted without its producer: the next epoch belongs to whoever asks for it. Never leaves the producer id, for which no other is at hand. */
  expire(now: number): void {
    const { epoch, fencingEpoch } = this
    this.end(false, null, now)
    this.lastEpoch = epoch
    this.epoch = fencingEpoch
  }

  // ----------------------------------------------------------------------------------------------------------------- storage

  toRow(): string {
    const { producerId, epoch, previousProducerId, lastEpoch, timeoutMs, state, startedAt, updatedAt } = this
    const partitions = [...this.#partitions].map(([topic, indexes]) => [topic, [...indexes]] as const)
    const groups = [...this.groups]
    const row: Row = {
      producerId,
      epoch,
      previousProducerId,
      lastEpoch,
      timeoutMs,
      state,
      startedAt,
      updatedAt,
      partitions,
      groups,
    }
    return JSON.stringify(row)
  }

  static fromRow(id: string, stored: string): Transaction {
    const row = JSON.parse(stored) as Row // our own rows
    const transaction = new Transaction(id, row.producerId)
    transaction.epoch = row.epoch
    transaction.previousProducerId = row.previousProducerId
    transaction.lastEpoch = row.lastEpoch
    transaction.timeoutMs = row.timeoutMs
    transaction.state = row.state
    transaction.startedAt = row.startedAt
    transaction.updatedAt = row.updatedAt
    for (const [topic, partitions] of row.partitions) transaction.#partitions.set(topic, new Set(partitions))
    for (const group of row.groups) transaction.groups.add(group)
    transaction.#places = transaction.partitions.length + row.groups.length
    return transaction
  }
}
