// The coordinator of transactions: every transactional id of the broker, durable in two tables of rows. A row is put before the records it is
// about, so recovery never finds a record whose transaction is unknown; the end of a transaction (markers, offsets of groups, row) is one frame.
//
//   kafka.transactions     transactional id                               state, partitions, groups (transaction.ts)
//   kafka.pending-offsets  length of the id ':' id group                  the offsets that count when it is committed
import type { Broker, CursorPosition, Rows, Space } from '../../broker/face.ts'
import { KafkaError } from './errors.ts'
import { batchFormatId } from './mapping.ts'
import { type ProducerIdentity, type TopicPartition, Transaction, TransactionState } from './transaction.ts'
import { buildMarker } from './transaction-marker.ts'

/** transaction.max.timeout.ms */
export const transactionTimeoutMaxMs = 15 * 60 * 1000
/** transactional.id.expiration.ms: ids without an open transaction, unused for so long, are forgotten. */
export const idExpirationMs = 7 * 24 * 3600 * 1000
/** Beyond so many ids the one unused for longest is forgotten, as if it had expired. */
const idsMax = 20_000
/** A stored key holds the id and a group, and is at most 64 KiB. */
const idBytesMax = 16 * 1024
const sweepMs = 1000
const expiryCheckMs = 3600 * 1000
/** There is one coordinator, and it is never elected anew. */
export const coordinatorEpoch = 0

/** What EndTxn and InitProducerId answer; with an error the identity says nothing. */
export interface IdentityAnswer extends ProducerIdentity {
  readonly errorCode: number
}

const refused = (errorCode: number): IdentityAnswer => ({ errorCode, producerId: -1, epoch: -1 })

export class TransactionCoordinator {
  readonly #broker: Broker
  /** The broker acting for itself: markers and offsets were permitted when they were asked for. */
  readonly #space: Space
  readonly #rows: Rows
  readonly #offsets: Rows
  /** The least recently used first. */
  readonly #byId = new Map<string, Transaction>()
  readonly #byProducer = new Map<number, Transaction>()
  readonly #open = new Set<Transaction>()
  readonly #idsMax: number
  #sweeping = false

  /** The broker's one. Made when it starts, so that transactions time out whoever comes back. */
  static of(broker: Broker): TransactionCoordinator {
    return broker.shared('kafka.transactions', () => new TransactionCoordinator(broker))
  }

  constructor(broker: Broker, max = idsMax) {
    this.#broker = broker
    this.#space = broker.space({ user: '', may: () => true }, 'default', { protocol: 'kafka' })
    this.#rows = broker.rows('kafka.transactions')
    this.#offsets = broker.rows('kafka.pending-offsets')
    this.#idsMax = max
    this.#load()
    this.#watchOpen()
    this.#watchIdle()
  }

  #load(): void {
    const stored = [...this.#rows.entries()].map(([id, row]) => Transaction.fromRow(id, row))
    for (const transaction of stored.sort((a, b) => a.updatedAt - b.updatedAt)) this.#note(transaction)
    for (const [key, positions] of this.#offsets.entries()) {
      const colon = key.indexOf(':')
      const end = colon + 1 + Number(key.slice(0, colon))
      this.#byId.get(key.slice(colon + 1, end))?.addPending(key.slice(end), JSON.parse(positions) as CursorPosition[]) // our own rows
    }
  }

  #note(transaction: Transaction): void {
    this.#byId.delete(transaction.id)
    this.#byId.set(transaction.id, transaction)
    this.#byProducer.set(transaction.producerId, transaction)
    if (transaction.isOpen) this.#open.add(transaction)
    else this.#open.delete(transaction)
  }

  #store(transaction: Transaction): void {
    this.#note(transaction)
    this.#rows.put(transaction.id, transaction.toRow())
  }

  // --------------------------------------------------------------------------------------------------------------- asked for

  get(id: string): Transaction | undefined {
    return this.#byId.get(id)
  }

  all(): Transaction[] {
    return [...this.#byId.values()]
  }

  /** The transactional id that has this producer id now. */
  ofProducer(producerId: number): Transaction | undefined {
    return this.#byProducer.get(producerId)
  }

  /**
   * InitProducerId. A transaction that is still open is aborted and its producer fenced, in the same frame; Kafka has the client ask again
   * (CONCURRENT_TRANSACTIONS) in between. `expected`: what the producer has (KIP-360), null for a new one.
   */
  async init(id: string, timeoutMs: number, expected: ProducerIdentity | null): Promise<IdentityAnswer> {
    if (id === '' || Buffer.byteLength(id) > idBytesMax) return refused(KafkaError.InvalidRequest)
    if (timeoutMs <= 0 || timeoutMs > transactionTimeoutMaxMs) return refused(KafkaError.InvalidTransactionTimeout)
    const spareId = this.#byId.get(id)?.isExhausted === false ? -1 : await this.#space.nextProducerId()
    // Looked up again: another producer may have come meanwhile, and is fenced by this one.
    const transaction = this.#byId.get(id) ?? new Transaction(id, spareId)
    const errorCode = expected === null ? KafkaError.None : transaction.checkInit(expected)
    if (errorCode !== KafkaError.None) return refused(errorCode)
    if (!this.#byId.has(id)) this.#makeRoom()
    const stored = this.#atomically(() => {
      const { producerId } = transaction
      if (transaction.isOpen) {
        this.#decide(transaction, false, transaction.fencingEpoch)
        transaction.end(false, null, this.#now)
      }
      transaction.init(timeoutMs, expected, spareId, this.#now)
      if (transaction.producerId !== producerId) this.#byProducer.delete(producerId)
      this.#store(transaction)
    })
    return await answerOf(transaction, stored)
  }

  /** Adds partitions (and a group) to the producer's transaction, which begins with the first. Durable with whatever is written next. */
  add(id: string, by: ProducerIdentity, partitions: readonly TopicPartition[], group: string | null = null): number {
    const transaction = this.#byId.get(id)
    if (transaction === undefined) return KafkaError.InvalidProducerIdMapping
    const errorCode = transaction.check(by)
    if (errorCode !== KafkaError.None) return errorCode
    if (!transaction.hasRoomFor(partitions, group)) return KafkaError.PolicyViolation
    if (transaction.add(partitions, group, this.#now)) {
      this.#store(transaction)
      this.#watchOpen()
    }
    return KafkaError.None
  }

  /** Whether the producer may write to a partition as part of its open transaction. */
  verify(id: string, by: ProducerIdentity, { topic, partition }: TopicPartition): number {
    return this.#verify(id, by, (transaction) => transaction.has(topic, partition))
  }

  verifyGroup(id: string, by: ProducerIdentity, group: string): number {
    return this.#verify(id, by, (transaction) => transaction.isOpen && transaction.groups.has(group))
  }

  #verify(id: string, by: ProducerIdentity, holds: (transaction: Transaction) => boolean): number {
    const transaction = this.#byId.get(id)
    if (transaction === undefined) return KafkaError.InvalidProducerIdMapping
    return transaction.check(by) || (holds(transaction) ? KafkaError.None : KafkaError.TransactionAbortable)
  }

  /** Offsets of a group that was added to the open transaction: they count from its commit on. */
  addOffsets(id: string, group: string, positions: readonly CursorPosition[]): void {
    const transaction = this.#byId.get(id)
    if (transaction?.isOpen !== true) return
    transaction.addPending(group, positions)
    this.#offsets.put(offsetsKey(id, group), JSON.stringify([...(transaction.pending.get(group)?.values() ?? [])]))
  }

  /** Those of a group's places whose offset an open transaction may change. */
  pendingOf(group: string): (topic: string, partition: number) => boolean {
    const pending = [...this.#open].flatMap((transaction) => transaction.pending.get(group) ?? [])
    return (topic, partition) => pending.some((places) => places.has(`${partition}/${topic}`))
  }

  /** The group was deleted, with what was to be committed for it. */
  dropPending(group: string): void {
    for (const transaction of this.#open) {
      if (transaction.pending.delete(group)) this.#offsets.delete(offsetsKey(transaction.id, group))
    }
  }

  /**
   * EndTxn; answered when the end is durable. `raises` (version 5, KIP-890): each end raises the epoch, so that nothing late can join the next
   * transaction; an abort is taken then even when there is nothing to abort.
   */
  async end(id: string, by: ProducerIdentity, commit: boolean, raises: boolean): Promise<IdentityAnswer> {
    const spareId = raises && this.#byId.get(id)?.isExhausted === true ? await this.#space.nextProducerId() : -1
    const transaction = this.#byId.get(id)
    if (transaction === undefined) return refused(KafkaError.InvalidProducerIdMapping)
    const repeated = raises && transaction.repeatsEnd(by)
    const errorCode = repeated ? KafkaError.None : transaction.check(by)
    if (errorCode !== KafkaError.None) return refused(errorCode)
    if (!transaction.isOpen) {
      const result = commit ? TransactionState.CompleteCommit : TransactionState.CompleteAbort
      const isDone = (repeated || !raises) && transaction.state === result
      // The first request may still be on its way to the disk.
      if (isDone) return await answerOf(transaction, this.durable())
      if (!raises || repeated || commit) return refused(KafkaError.InvalidTxnState)
    }
    return await answerOf(transaction, this.#end(transaction, commit, raises ? spareId : null))
  }

  #end(transaction: Transaction, commit: boolean, spareId: number | null): Promise<number> {
    return this.#atomically(() => {
      const { producerId, epoch, fencingEpoch } = transaction
      this.#decide(transaction, commit, spareId === null ? epoch : fencingEpoch)
      transaction.end(commit, spareId, this.#now)
      if (transaction.producerId !== producerId) this.#byProducer.delete(producerId)
      this.#store(transaction)
    })
  }

  /** Ends an open transaction without its producer, which is fenced. */
  abort(transaction: Transaction): Promise<number> {
    return this.#atomically(() => {
      this.#decide(transaction, false, transaction.fencingEpoch)
      transaction.expire(this.#now)
      this.#store(transaction)
    })
  }

  /** Resolves to 0, or Kafka's error code, when all changes so far are on the disk or cannot be stored. */
  durable(): Promise<number> {
    return this.#rows.durable().then(
      () => KafkaError.None,
      () => KafkaError.CoordinatorNotAvailable,
    )
  }

  // -------------------------------------------------------------------------------------------------------------------- ends

  #atomically(run: () => void): Promise<number> {
    return new Promise((resolve) => {
      this.#broker.atomically(run, (error) => resolve(error === null ? KafkaError.None : KafkaError.CoordinatorNotAvailable))
    })
  }

  /** The markers, and with a commit the offsets. */
  #decide(transaction: Transaction, commit: boolean, producerEpoch: number): void {
    const { id, producerId, partitions, pending } = transaction
    const payload = buildMarker({ producerId, producerEpoch, commit, coordinatorEpoch, timestamp: this.#now })
    this.#space.decide({ producerId, producerEpoch, commit, partitions, marker: { format: batchFormatId, payload } })
    for (const [group, places] of pending) {
      const positions = [...places.values()].filter(({ topic }) => this.#space.topic(topic) !== undefined)
      // What becomes of it is told for the whole frame.
      if (commit && positions.length > 0) this.#space.commitCursors(group, positions, () => undefined)
      this.#offsets.delete(offsetsKey(id, group))
    }
  }

  get #now(): number {
    return this.#broker.clock.now()
  }

  /** While any transaction is open, looks about once a second for those whose time is over. */
  #watchOpen(): void {
    if (this.#sweeping || this.#open.size === 0) return
    this.#sweeping = true
    this.#broker.clock.after(sweepMs, () => {
      this.#sweeping = false
      for (const transaction of [...this.#open]) if (this.#isLate(transaction)) this.#abortLate(transaction)
      this.#watchOpen()
    })
  }

  #isLate({ startedAt, timeoutMs }: Transaction): boolean {
    return startedAt + timeoutMs <= this.#now
  }

  #abortLate(transaction: Transaction): void {
    const { id, producerId, timeoutMs } = transaction
    this.#broker.log.info({ transactionalId: id, producerId, timeoutMs }, 'kafka: transaction aborted, its time was over')
    void this.abort(transaction)
  }

  #watchIdle(): void {
    this.#broker.clock.after(expiryCheckMs, () => {
      for (const transaction of this.#byId.values()) {
        // In the order of use: the first that is young enough ends it.
        if (this.#now < transaction.updatedAt + idExpirationMs) break
        if (!transaction.isOpen) this.#forget(transaction)
      }
      this.#watchIdle()
    })
  }

  #makeRoom(): void {
    if (this.#byId.size < this.#idsMax) return
    for (const transaction of this.#byId.values()) {
      if (!transaction.isOpen) return this.#forget(transaction)
    }
  }

  #forget(transaction: Transaction): void {
    this.#byId.delete(transaction.id)
    this.#byProducer.delete(transaction.producerId)
    this.#rows.delete(transaction.id)
  }
}

/** What the producer has now, once it is stored: another may have come by then. */
async function answerOf({ producerId, epoch }: Transaction, stored: Promise<number>): Promise<IdentityAnswer> {
  const errorCode = await stored
  return errorCode === KafkaError.None ? { errorCode, producerId, epoch } : refused(errorCode)
}

/** No id and group give the same key as another id and group. */
function offsetsKey(id: string, group: string): string {
  return `${id.length}:${id}${group}`
}
