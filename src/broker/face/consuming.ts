/** Subscriptions, consumers, live listeners, and what is delivered to them. */
import type { CoreErrorCode } from '../../core/errors.ts'
import type { Annotations } from '../../core/record.ts'
import type { Transaction } from './publishing.ts'
import type { StartAt } from './reading.ts'

/** What a subscription is made with, stored with it, and never changed: delete it and make another. */
export interface SubscriptionOptions {
  /** Which records are for it; the others are settled when it comes to them. */
  readonly filter?: FilterSpec
  /**
   * `group`: while a record is out (delivered, or released and not done yet), no other with its key is delivered to anybody, and their order
   * holds. The key is the record's group key, else its key; records without one are free.
   */
  readonly keyExclusive?: 'none' | 'group'
}

/**
 * A filter that can be stored. In `headers` and `selector`, names are of headers, and `record.` with the name of an attribute is that
 * attribute (`record.priority`, `record.subject`).
 */
export type FilterSpec =
  /** Where the record was published to: words joined with `.`; `*` is one word, `#` any number. One pattern must match. */
  | { readonly kind: 'subject'; readonly patterns: readonly string[] }
  /** Equality; null is there at all. */
  | {
      readonly kind: 'headers'
      readonly match: 'all' | 'any'
      readonly headers: Readonly<Record<string, string | number | boolean | null>>
    }
  /** A condition in the manner of SQL-92 (core/selector.ts). `names`: identifiers that stand for others, such as `record.priority`. */
  | { readonly kind: 'selector'; readonly expression: string; readonly names?: Readonly<Record<string, string>> }
  | { readonly kind: 'any' | 'all'; readonly of: readonly FilterSpec[] }

export interface SubscribeSpec {
  readonly topic: string
  /** '' is the topic's default subscription. */
  readonly subscription: string
  /** Where a subscription that does not exist yet begins. Default oldest. */
  readonly startAt?: StartAt
  /** false: the subscription goes with its last consumer. Default true. */
  readonly durable?: boolean
  /** What a subscription that does not exist yet is made with; one that exists with something else is a Mismatch. */
  readonly filter?: FilterSpec
  readonly keyExclusive?: SubscriptionOptions['keyExclusive']
  /**
   * Which records this consumer takes; the others are for other consumers of the subscription, and stay until one takes them. Not where keys are
   * exclusive (Unsupported).
   */
  readonly selects?: FilterSpec
  /** Settled as it is handed over. */
  readonly autoSettle: boolean
  /** Refuse when others consume, and refuse others. */
  readonly exclusive?: boolean
  /** Higher is served first. Default 0. */
  readonly priority?: number
  /** How long a delivery may stay unsettled, ms; then it is released. -1: for ever. */
  readonly deadlineMs?: number
  /** How often one record may come back from this consumer; the next return dead-letters or drops it. Default: the topic's. */
  readonly deliveryLimit?: number
  /** For listings. */
  readonly name: string
  readonly connection?: number
}

/**
 * Deliveries in parallel columns, valid during {@link Sink.onDeliveries} only (but the buffers are never recycled, so parts may be kept by reference).
 */
export interface DeliveryBatch {
  readonly length: number
  /** Handle for settling: a small integer of this consumer. */
  readonly id: readonly number[]
  readonly partition: readonly number[]
  readonly offset: readonly number[]
  /** 1 on the first delivery; counts those that came back as failed. */
  readonly attempt: readonly number[]
  /** How often it was handed out before, whatever became of that. */
  readonly handedOut: readonly number[]
  /** True when it was, or may have been, delivered before. */
  readonly redelivered: readonly boolean[]
  readonly timestamp: readonly number[]
  readonly format: readonly number[]
  readonly buffer: readonly Buffer[]
  readonly start: readonly number[]
  readonly end: readonly number[]
  readonly annotations: readonly (Annotations | null)[]
  /** The address it was published to, where that is not the topic's name and its own envelope does not say. */
  readonly subject: readonly (string | null)[]
}

/** A live subscriber: someone who listens now; nothing is stored for it. */
export interface ListenSpec {
  /** Words joined with `.`; `*` is one word, `#` any number of words, also none. */
  readonly pattern: string
  /** Of all with this name that match a record, one gets it. */
  readonly group?: string
  /** What this connection publishes is not for it. */
  readonly exceptConnection?: number
}

export interface Listener {
  readonly pattern: string
  /** Records it got so far, those included of which its sink hears at the end of the turn. */
  readonly handed: number
  /** Once it got so many, counted from its beginning, it gets no more; its sink still hears of all it got. */
  limit(records: number): void
  /** Its sink hears nothing more. */
  close(): void
}

export interface LiveSink {
  /** Records published since the last call; the batch and what it holds may be kept. Called at the end of the turn in which they were published. */
  onRecords(listener: Listener, batch: LiveBatch): void
}

/** Records in parallel columns. */
export interface LiveBatch {
  readonly length: number
  readonly subject: readonly string[]
  readonly timestamp: readonly number[]
  readonly format: readonly number[]
  readonly bytes: readonly Buffer[]
  /** The connection that published it; 0: not known. */
  readonly connection: readonly number[]
}

export interface Sink {
  onDeliveries(consumer: Consumer, batch: DeliveryBatch): void
  /** The consumer was ended by the broker (topic deleted, access taken, ...). It is already closed. */
  onConsumerClosed(consumer: Consumer, reason: CoreErrorCode): void
  /** An exclusive-by-turn consumer became (in)active, where singleActiveConsumer is set. */
  onActive?(consumer: Consumer, active: boolean): void
  /** The deadline of some of its deliveries has passed: they are ready again, or given up. */
  onOverdue?(consumer: Consumer): void
  /** A record of its subscription came back too often, and is done with. */
  onGivenUp?(consumer: Consumer, partition: number, offset: number, attempts: number): void
}

export type Outcome =
  | { readonly kind: 'accept' }
  | { readonly kind: 'release'; readonly delayMs?: number; readonly countsAsAttempt: boolean }
  | { readonly kind: 'reject'; readonly reason?: string }
  | { readonly kind: 'extend'; readonly deadlineMs: number }

export const accept: Outcome = { kind: 'accept' }

export interface PullLimits {
  readonly messages: number
  readonly bytes: number
  readonly inFlightMax: number
  /** False: done at once, with no records when none is ready. */
  readonly wait?: boolean
}

export interface Consumer {
  readonly name: string
  readonly topic: string
  readonly subscription: string
  readonly active: boolean
  /** Deliveries that are neither settled nor taken back. */
  readonly unsettled: number
  /** What {@link SubscribeSpec} said, for deliveries from now on. */
  change(limits: { readonly deadlineMs: number; readonly deliveryLimit: number }): void
  /**
   * Adds to what may still be delivered. Starts at 0 messages and without a limit on bytes; the first `bytes` given begins one. Infinity ends it. A
   * record that is larger than what is left waits; it comes when nothing of this consumer is unsettled, so that it can come at all.
   */
  credit(messages: number, bytes?: number): void
  /** Sets what may still be delivered at once. */
  setCredit(messages: number, bytes?: number): void
  /**
   * Waits for records of one partition, or with -1 of any, whatever the credit: `done` is called once, with as many as the limits allow, as soon as
   * there is one. A record larger than `bytes` comes alone; nothing comes while `inFlightMax` of the partition (-1: of all) are unsettled, at
   * whichever consumer. Where keys are exclusive, one pull may bring several records of a key, in their order. Returns how to give up.
   */
  pull(partition: number, limits: PullLimits, done: (batch: DeliveryBatch) => void): () => void
  /** Unknown handles are ignored (they were released by a deadline); returns how many were known. */
  settle(deliveries: readonly number[], outcome: Outcome, transaction?: Transaction): number
  pause(paused: boolean): void
  /** Takes nothing more and counts as a consumer no longer; what is in flight may still be settled, until {@link close}. */
  stop(): void
  /** Releases everything in flight, oldest first, in place. */
  close(): void
}

/** A record in flight. */
export interface Held {
  /** 1 for the first time. */
  readonly attempt: number
  /** Once, but for extensions; what comes later is ignored. */
  settle(outcome: Outcome, transaction?: Transaction): void
}

export interface Taken {
  readonly partition: number
  readonly offset: number
  readonly attempt: number
  readonly handedOut: number
  readonly redelivered: boolean
  readonly timestamp: number
  readonly format: number
  readonly bytes: Buffer
  readonly annotations: Annotations | null
  /** As in {@link DeliveryBatch}. */
  readonly subject: string | null
  /** Records still ready behind it. */
  readonly remaining: number
  settle(outcome: Outcome, transaction?: Transaction): void
}
