/** Logs read by offset, cursors, and records looked at where they are. */
import type { CoreErrorCode } from '../../core/errors.ts'
import type { Annotations } from '../../core/record.ts'
import type { Held } from './consuming.ts'

/**
 * `withheld`: where that begins which is withheld ({@link Space.withhold}); else as `newest`. `records`: of what is there, these offsets alone
 * (ascending); then all that comes. For topics of one partition.
 */
export type StartAt =
  | 'oldest'
  | 'newest'
  | 'withheld'
  | { readonly offset: number }
  | { readonly time: number }
  | { readonly records: readonly number[] }

/** From where on records may be withheld. */
export type Withholding = 'oldest' | 'newest' | { readonly offset: number }

/** One stored entry as a view: `buffer[start..end)` is its payload. It stays as it is; where it came with a {@link ReadResult.giveBack}, until that is called. */
export interface EntryView {
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
  readonly format: number
  readonly baseOffset: number
  readonly count: number
  readonly timestamp: number
  readonly annotations: Annotations | null
  /** As in {@link DeliveryBatch}. */
  readonly subject: string | null
  /** It is no record for consumers: a decision's marker, or aborted. Final below the result's stableOffset. */
  readonly hidden: boolean
}

export interface ReadResult {
  readonly error: CoreErrorCode | null
  readonly entries: readonly EntryView[]
  readonly startOffset: number
  /** First offset that is not yet readable (the high watermark). */
  readonly nextOffset: number
  /** First offset that is not yet decided: an open transaction may take it back. At most nextOffset. */
  readonly stableOffset: number
  /** Transactions that were aborted, with records among the entries: those of the producer from `first` to the marker at `last` never happened. */
  readonly aborted: readonly { readonly producerId: number; readonly first: number; readonly last: number }[]
  /** Lets the memory of the entries be used again: for who has sent them on and holds no view of them. Nobody has to call it. */
  readonly giveBack?: () => void
}

/** The end of a producer's transaction. */
export interface Decision {
  readonly producerId: number
  /** Fences older epochs on the partitions. */
  readonly producerEpoch: number
  readonly commit: boolean
  readonly partitions: readonly { readonly topic: string; readonly partition: number }[]
  /** The entry that says so in each partition, where it takes one offset; in the producer's own format. */
  readonly marker: { readonly format: number; readonly payload: Buffer }
}

/** A producer with a sequence, as one partition knows it. */
export interface ProducerStatus {
  readonly producerId: number
  readonly epoch: number
  readonly lastSequence: number
  readonly lastTimestamp: number
  /** Where its open transaction begins; -1: none. */
  readonly openSince: number
}

export interface PeekedRecord {
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly format: number
  readonly bytes: Buffer
  readonly annotations: Annotations | null
  /** As in {@link DeliveryBatch}. */
  readonly subject: string | null
}

export interface CursorPosition {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** What the committer stored beside it. */
  readonly metadata: string
  readonly leaderEpoch: number
}

export interface CommittedCursor extends CursorPosition {
  /** When, ms. */
  readonly committedAt: number
}

/** Counts the records of an indexed topic from a place on, which moves with a reader. */
export interface Tally {
  readonly count: number
  /** The reader has passed this record, which counted. */
  passed(offset: number): void
  close(): void
}

/** A place in {@link ReadyRecords} is the partition times this, and the offset. */
export const placesOfPartition = 2 ** 39

/**
 * The ready records of a queue, to be looked at and taken in any order. It runs ahead of what is durable: a record that was just published is
 * here, and one that was taken is done at once, with all that is written after it; whoever takes, or tells what is here, tells its client when
 * everything so far is durable ({@link Broker.atomically}'s `done`). Records that others have in flight, or that wait, are not here. Places are numbers that
 * order the records of one partition as the log does; partitions follow each other, the most urgent priority first. A place stays a record's own as
 * long as the topic lives.
 */
export interface ReadyRecords {
  /** May count some that have expired, or are not for the queue, until they are looked at. */
  readonly count: number
  /** Partitions. */
  readonly lanes: number
  /** With those in flight and those that wait. */
  readonly unfinished: number
  /** -1: there is none. Likewise the others. */
  first(): number
  last(): number
  after(place: number): number
  before(place: number): number
  has(place: number): boolean
  /** Whether nothing will ever be ready again at the place. */
  isDone(place: number): boolean
  /** The first place, from this one on, of a record that is not done, whoever has it; -1. */
  notDone(place: number): number
  /** What is there, valid until the next call but for its buffer; null when it is not ready (any more), undefined when {@link load} must bring it first. */
  get(place: number): ReadyRecord | null | undefined
  /** Takes what {@link get} gave last. */
  take(place: number): void
  /** Takes what {@link get} gave last, but keeps it in flight until it is settled, whatever stands before it. */
  hold(place: number): Held
  /** Takes one without having looked. */
  drop(place: number): void
  /** Drops them all; returns how many. */
  takeAll(): number
  load(place: number, done: (error: Error | null) => void): void
}

/** The records of one partition as they stand in its log, ahead of what is durable as {@link ReadyRecords} are. */
export interface LogRecords {
  readonly start: number
  /** Where the next one goes. */
  readonly next: number
  /** Those that are there, as far as offsets tell. */
  readonly count: number
  /** The first offset from this one on that was not taken away; `next` when there is none. */
  nextKept(offset: number): number
  /** What is there, valid until the next call but for its buffer; null when there is none, undefined when {@link load} must bring it first. */
  get(offset: number): ReadyRecord | null | undefined
  load(offset: number, done: (error: Error | null) => void): void
}

/** `buffer[start..end)` is its envelope. Buffers are never recycled. */
export interface ReadyRecord {
  readonly offset: number
  readonly timestamp: number
  readonly format: number
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
}
