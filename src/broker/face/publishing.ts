/** What is published, and what became of it. */
import type { CoreErrorCode, RefusedAccess } from '../../core/errors.ts'
import type { Annotations } from '../../core/record.ts'
import type { Repetition } from '../../core/repetition.ts'

export type { Repetition, TimePattern } from '../../core/repetition.ts'

export const PublishStatus = { Pending: 0, Stored: 1, Unrouted: 2, Failed: 3, Duplicate: 4 } as const
export type PublishStatus = (typeof PublishStatus)[keyof typeof PublishStatus]

/** One entry to publish, and afterwards its outcome. Make one with `new PublishItem(...)`; all fields always present. */
export class PublishItem {
  /**
   * null: published to `address` in the subject space: to the topic of that name, to topics that capture it, to what is bound to the exchange
   * `amq.topic` for it, and to live subscribers. '': the same without bindings (the default exchange). `amq.topic`: the same without the topic of
   * that name. Any other: routed by the bindings of that exchange alone.
   */
  exchange: string | null
  /** Topic name or routing key. */
  address: string
  format: number
  payload: Buffer
  /** -1: chosen by key hash, else round robin. */
  partition = -1
  /** Records in the payload. */
  count = 1
  /** Newest timestamp within, ms. 0: the broker's clock. */
  timestamp = 0
  /** ms from now; -1 none. */
  ttlMs = -1
  /** -1: the producer did not say. */
  priority = -1
  /** For partition choice, key order and retention by key of single records. */
  key: Buffer | null = null
  /** More addresses routed as well, each topic once at most. */
  extraAddresses: readonly string[] | null = null
  /** False: exchanges that keep a history do not keep this. */
  remembered = true
  /** May be lost by a restart: not waited for. */
  transient = false
  /** Not visible before, ms since the epoch; 0: at once. */
  deliverAt = 0
  /**
   * How it is published again after {@link deliverAt}, or, where that is 0, from the first time of its pattern on, each time with the time it has then and with the id it is scheduled under
   * (`Annotations.scheduleId`), until it is cancelled. null: not at all.
   */
  repetition: Repetition | null = null
  /**
   * What is to be stored later, at the same address and in the same partition, if this entry is stored now, and in one frame with it: records
   * that were taken out of the payload, which still counts them.
   */
  later: readonly LaterRecords[] | null = null
  dedupId: string | null = null
  /** Idempotent producer: -1 none. */
  producerId = -1
  producerEpoch = -1
  producerSequence = -1
  /** A producer that the partition does not know has to begin with sequence 0. False: it may go on from anywhere, since partitions forget. */
  sequenceFromZero = false
  /** Part of its producer's open transaction: kept from whoever wants decided records until {@link Space.decide}. Needs producerId. */
  undecided = false
  /**
   * A producer known by its name, with {@link producerSequence} the (last) number of this entry: numbers only grow and may leave gaps, so an entry
   * at or below the producer's last one is a repetition. null: none.
   */
  producerName: string | null = null
  annotations: Annotations | null = null
  /** Stored only as this offset, else Mismatch; -1: wherever. For topics of one partition. */
  expectedNext = -1
  /** Stored only while the newest record of the address (its own, when not named) has this offset, -1 there is none; else Mismatch. For indexed topics. */
  expectedLast: { readonly address?: string; readonly offset: number } | null = null
  /** The connection that publishes, so that a live subscriber can tell its own records; 0 none. */
  connection = 0
  /** Stored in the topic of this name alone, under `address`, as if it captured that; nobody else gets it. Not with `deliverAt`. null: no. */
  into: string | null = null
  /**
   * The topic that decides, where the record goes there: what is expected, its repetitions and its limits count there alone, nobody else gets what it
   * refuses, and the outcome is of it, whatever others say. null: each for itself.
   */
  decidedBy: string | null = null
  /** Once it is stored, earlier records of its address, or all, are taken away, in one with it. For indexed topics. */
  replaces: 'address' | 'all' | null = null
  /** It leaves no {@link TopicConfig.expiryMarker} behind: it says itself that there is nothing any more. */
  leavesNothing = false

  // The outcome, valid when `done` is called.
  status: PublishStatus = PublishStatus.Pending
  errorCode: CoreErrorCode | null = null
  errorMessage = ''
  /** Which record of the payload was refused for what it holds (Invalid); -1: none. */
  refusedRecord = -1
  /** What was refused, of AccessDenied. */
  refused: RefusedAccess | null = null
  /** Topics it went to. */
  routedTo = 0
  /** Live subscribers, and groups of them, that it was handed to. */
  heardBy = 0
  /** Of the (first) topic it went to. With a Mismatch of {@link expectedNext} or {@link expectedLast}: what there is instead. */
  baseOffset = -1
  logAppendTime = -1
  startOffset = -1

  constructor(exchange: string | null, address: string, format: number, payload: Buffer) {
    this.exchange = exchange
    this.address = address
    this.format = format
    this.payload = payload
  }

  /** Another record, of which the same is said; nothing is known of its outcome. For who publishes one after the other and waits for none. */
  renew(address: string, format: number, payload: Buffer): void {
    this.address = address
    this.format = format
    this.payload = payload
    this.status = PublishStatus.Pending
    this.errorCode = null
    this.errorMessage = ''
    this.refusedRecord = -1
    this.refused = null
    this.routedTo = 0
    this.heardBy = 0
    this.baseOffset = -1
    this.logAppendTime = -1
    this.startOffset = -1
  }
}

/** See {@link PublishItem.later}; the format is the item's. */
export interface LaterRecords {
  readonly deliverAt: number
  readonly payload: Buffer
  /** Where each of them stood in the entry. */
  readonly indexes: readonly number[]
}

/** Everything of a transaction happens at its commit, at once, or not at all. */
export interface Transaction {
  publish(items: readonly PublishItem[]): void
  /** `done` with null when it is durable. */
  commit(done: (error: Error | null) => void): void
  abort(): void
}

export interface ScheduledRecord {
  readonly id: number
  readonly dueAt: number
  readonly exchange: string | null
  readonly address: string
  readonly format: number
  readonly payload: Buffer
  /** How it is published again. */
  readonly repetition?: Repetition
}
