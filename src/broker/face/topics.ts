/** Topics, exchanges and policies: how they are set up, and how they are. */
import type { Death } from '../../core/record.ts'
import type { Renaming } from '../../lib/renaming.ts'
import type { SubscriptionOptions } from './consuming.ts'

export interface TopicConfig {
  /** Number of logs. With priorityLevels > 1 each priority is a lane, a log of its own, made when the first record of that priority comes. */
  readonly partitions: number
  /** `acknowledged`: until every subscription has acknowledged. `time`: by retentionMs and retentionBytes. */
  readonly retention: 'acknowledged' | 'time'
  /** -1: no limit. */
  readonly retentionMs: number
  /** For each partition; -1: no limit. */
  readonly retentionBytes: number
  /** Keep the newest record by key (with retention `time`, on disk). Records without a key are refused. */
  readonly compact: boolean
  /** With both: old segments are deleted too. */
  readonly compactAndDelete: boolean
  /** How long a tombstone stays after it was first cleaned, ms. */
  readonly tombstoneRetentionMs: number
  /** Younger records are not cleaned yet, ms. */
  readonly minCompactionLagMs: number
  /** A log is cleaned when more than this share of its full segments is not clean, 0 to 1. */
  readonly minCleanableRatio: number
  /** `memory`: gone after a restart, never waits for the disk. */
  readonly storage: 'disk' | 'memory'
  readonly segmentBytes: number
  /** A segment takes no more after this time, so that it can be cleaned or expire, ms. */
  readonly segmentMs: number
  /** 1: none. Else lanes 0..n-1, the highest first. */
  readonly priorityLevels: number
  /** The priority of records that say none. */
  readonly priorityDefault: number
  readonly recordBytesMax: number
  /** Time to live of each record, ms; -1: none. The smaller of this and the record's own wins. */
  readonly recordTtlMs: number
  /** Ready records at most; -1: no limit. */
  readonly recordsMax: number
  /** Bytes of ready records at most; -1: no limit. */
  readonly bytesMax: number
  readonly overflow: 'dropOldest' | 'refuse' | 'refuseDeadLetter'
  /**
   * Where rejected, expired, overflowed and too often delivered records go. Exchange '' is the default one (the key is a topic's name).
   * `untilStored`: a record that leads nowhere there, or is refused, stays here and is tried again.
   */
  readonly deadLetter: {
    readonly exchange: string
    readonly routingKey: string | null
    readonly untilStored?: boolean
    /** Only what died of these goes there, all else is dropped. Absent: whatever it died of. */
    readonly reasons?: readonly Death['reason'][]
  } | null
  /**
   * Where goes what came back: to its old `place`, or (`arrival`) before everything else that is ready, whatever its priority, in the order in
   * which it came back. After a restart it is in its place.
   */
  readonly returns: 'place' | 'arrival'
  /** How long what came back waits: `minMs` for each attempt so far, at most `maxMs`. Which returns: those that count as an attempt (`failed`), the others (`returned`), or `all`. */
  readonly retryDelay: { readonly minMs: number; readonly maxMs: number; readonly on: 'all' | 'failed' | 'returned' } | null
  /** How often one record may come back; the next return dead-letters or drops it. -1: no limit. */
  readonly deliveryLimit: number
  readonly singleActiveConsumer: boolean
  /** The single active consumer gets nothing more once there is one of higher priority, which is active when all that the former had is settled. */
  readonly activeConsumerYields: boolean
  /** How long a consumer may keep what it was given unsettled, ms, where its protocol has such a time and holds its clients to it; -1: as long as that says. */
  readonly settleTimeoutMs: number
  /** Deleted after so long without consumers or redeclaration, ms; -1: never. */
  readonly expiresMs: number
  /** Deleted when its last consumer goes (after there was one). */
  readonly autoDelete: boolean
  /** Patterns of addresses of which it stores every record, too: words joined with `.`; `*` is one word, `#` any number, also none. */
  readonly captures: readonly string[]
  /** Under which other address it stores what it captures; its limits and what publishers expect are of that one. null: its own. */
  readonly renames: Renaming | null
  /**
   * For topics of one partition: an index by address in memory, of about twenty-five bytes a record, and limits, retentionMs and times to live that hold to the
   * single record. With retention `time`, recordsMax and bytesMax count what is kept.
   */
  readonly indexed: boolean
  /** With `indexed`: kept at most of each address, -1: no limit. Above it the oldest of the address goes, or the new one is refused. */
  readonly subjectRecordsMax: number
  readonly subjectOverflow: 'dropOldest' | 'refuse'
  /**
   * With `indexed`: what takes the place of the last record of an address when that went by its age or time to live, for `ttlMs`; `payload` in base64.
   * null: nothing.
   */
  readonly expiryMarker: { readonly format: number; readonly payload: string; readonly ttlMs: number } | null
  /** How long {@link PublishItem.dedupId} is remembered, ms. */
  readonly dedupWindowMs: number
  /** `logAppend`: the broker's clock overrides the record's time. */
  readonly timestampType: 'create' | 'logAppend'
  /**
   * Consumers and readers see records so many ms after they arrived, in the order of the log; 0: at once. Who is handed records live (`listen`) is no
   * reader of the topic.
   */
  readonly delayMs: number
  /**
   * Records that can be seen move to this topic by themselves, with a header `anymq.attempts` that counts how often; one that came `deliveryLimit` times
   * already is a dead letter. null: they stay.
   */
  readonly forwardTo: string | null
  /**
   * What each record's key must be: begin with the id of a schema that is `registered` for it, or have its `content` by that schema too; what names
   * none is judged by the newest. Others are refused with Invalid. A record without a key passes.
   */
  readonly keySchema: 'none' | 'registered' | 'content'
  /** The same of values. A record without one, which deletes its key, passes. */
  readonly valueSchema: 'none' | 'registered' | 'content'
  /** Under which name its schemas are registered: the topic's with the part, the schema's own, or both. */
  readonly keySubject: SchemaNaming
  readonly valueSubject: SchemaNaming
  /** Nothing is delivered from any of its subscriptions. Publishing, and reading by offset, go on. */
  readonly paused: boolean
  /** By which policies tell topics apart: a word of whoever declares it, as "classic". Policies never touch a topic without one. */
  readonly kind: string
  /** Settings above that the declarer did not ask for, though they are set: a policy's take their place. */
  readonly unasked: readonly (keyof TopicConfig)[]
  /** Settings of policies that leave it alone. */
  readonly fixed: readonly (keyof PolicySettings)[]
}

export type SchemaNaming = 'topic' | 'record' | 'topicRecord'

/** Why the bytes of a record's key or value are not by its schema; null when they are. `content`: the whole of them, not only which schema they name. */
export type RecordCheck = (
  topic: string,
  part: 'key' | 'value',
  naming: SchemaNaming,
  content: boolean,
  bytes: Buffer,
) => string | null

export const topicDefaults: TopicConfig = {
  partitions: 1,
  retention: 'time',
  retentionMs: 7 * 24 * 3600 * 1000,
  retentionBytes: -1,
  compact: false,
  compactAndDelete: false,
  tombstoneRetentionMs: 24 * 3600 * 1000,
  minCompactionLagMs: 0,
  minCleanableRatio: 0.5,
  storage: 'disk',
  segmentBytes: 64 * 1024 * 1024,
  segmentMs: 7 * 24 * 3600 * 1000,
  priorityLevels: 1,
  priorityDefault: 0,
  recordBytesMax: 16 * 1024 * 1024,
  recordTtlMs: -1,
  recordsMax: -1,
  bytesMax: -1,
  overflow: 'dropOldest',
  deadLetter: null,
  returns: 'place',
  retryDelay: null,
  deliveryLimit: -1,
  singleActiveConsumer: false,
  activeConsumerYields: false,
  settleTimeoutMs: -1,
  expiresMs: -1,
  autoDelete: false,
  captures: [],
  renames: null,
  indexed: false,
  subjectRecordsMax: -1,
  subjectOverflow: 'dropOldest',
  expiryMarker: null,
  dedupWindowMs: 5 * 60 * 1000,
  timestampType: 'create',
  delayMs: 0,
  forwardTo: null,
  keySchema: 'none',
  valueSchema: 'none',
  keySubject: 'topic',
  valueSubject: 'topic',
  paused: false,
  kind: '',
  unasked: [],
  fixed: [],
}

export interface TopicInfo {
  readonly name: string
  /** 16 bytes, stable for the topic's life. */
  readonly id: Buffer
  readonly config: TopicConfig
  /** Which protocol declared it, and what it was told in its own words: kept for that protocol's comparison, never interpreted by others. */
  readonly declaredBy: string
  readonly declaration: Readonly<Record<string, unknown>>
  readonly createdAt: number
  /** Names of the policy and the cap that have their say in `config`. */
  readonly policy: string | null
  readonly cap: string | null
  /** From which offset of each partition on records are withheld ({@link Space.withhold}); null: none are. */
  readonly withheldFrom: readonly number[] | null
}

/** Settings for all topics and exchanges of a namespace whose name matches; broker/policy.ts says how they combine. */
export interface Policy {
  readonly namespace: string
  readonly name: string
  /** A regular expression, searched for in names. */
  readonly pattern: string
  /** Stronger than declarations and policies, and apart from these: of its own author, in its own list. */
  readonly cap: boolean
  /** Kinds of topics it is for (`TopicConfig.kind`). */
  readonly topicKinds: readonly string[]
  /** Whether it is for exchanges. */
  readonly exchanges: boolean
  /** The highest that matches counts. */
  readonly priority: number
  readonly settings: PolicySettings
  /** In its author's own words. */
  readonly declaration: Readonly<Record<string, unknown>>
}

/** As the settings of {@link TopicConfig} with these names. */
export interface PolicySettings {
  readonly recordTtlMs?: number
  readonly expiresMs?: number
  readonly settleTimeoutMs?: number
  readonly recordsMax?: number
  readonly bytesMax?: number
  readonly deliveryLimit?: number
  readonly retentionMs?: number
  readonly retentionBytes?: number
  readonly overflow?: TopicConfig['overflow']
  readonly deadLetterExchange?: string
  readonly deadLetterRoutingKey?: string
  /** Counts where the topic refuses what is too much (`overflow`). */
  readonly deadLetterUntilStored?: boolean
  readonly retryDelay?: TopicConfig['retryDelay']
  /** Of exchanges. */
  readonly alternate?: string
}

/** Who may do it is asked by whoever offers it to clients. */
export interface PolicyAdmin {
  list(): Policy[]
  /** Creates or replaces; it counts at once. Throws NotFound for the namespace, Invalid, Full. */
  put(policy: Policy): Promise<void>
  delete(of: Pick<Policy, 'namespace' | 'name' | 'cap'>): Promise<boolean>
  /** What counts for an exchange; for topics {@link TopicInfo} says it. */
  ofExchange(namespace: string, exchange: string): { policy: string | null; cap: string | null }
}

/** How much is where; counts are of records. */
export interface TopicStatus {
  readonly partitions: readonly PartitionStatus[]
  readonly subscriptions: readonly SubscriptionStatus[]
  /** Stored since the broker started. */
  readonly recordsIn: number
  /** Since the broker started, somebody consumed from it, or declared it again ({@link Space.touch}). */
  readonly isUsed: boolean
}

export interface PartitionStatus {
  readonly startOffset: number
  readonly nextOffset: number
  /** The first offset that is not yet decided; see {@link ReadResult.stableOffset}. */
  readonly stableOffset: number
  /** What is kept between the two: without single records that were taken away. */
  readonly records: number
  readonly bytes: number
}

export interface SubscriptionStatus {
  readonly name: string
  readonly kind: 'queue' | 'cursor'
  readonly ready: number
  readonly inFlight: number
  readonly consumers: number
  readonly paused: boolean
  /** Empty for cursors. */
  readonly options: SubscriptionOptions
  /** Of records not done; an estimate after a restart. 0 for cursors. */
  readonly bytes: number
  /** Since the broker started, 0 for cursors: handed out, accepted, given back. */
  readonly delivered: number
  readonly accepted: number
  readonly returned: number
  readonly cursors: readonly { readonly partition: number; readonly offset: number; readonly lag: number }[]
}

export interface ExchangeInfo {
  readonly name: string
  readonly kind: ExchangeKind
  readonly durable: boolean
  readonly autoDelete: boolean
  readonly internal: boolean
  readonly alternate: string | null
  /** What a `hash` exchange chooses by, when that is not the key. */
  readonly hashOn?: { readonly header: string } | { readonly attribute: 'messageId' | 'correlationId' | 'timestamp' }
  /** How many of its newest records a `history` exchange hands to whoever is bound to it. */
  readonly historyRecords?: number
  /** What it was told in the words of the protocol that declared it, kept for comparison. */
  readonly declaration: Readonly<Record<string, unknown>>
}

/**
 * By which bindings a record leaves: those of its key (`direct`), whose pattern fits its key (`topic`), all (`fanout`), whose arguments fit its
 * headers (`headers`), or one of all: by consistent hash with the binding's key as weight (`hash`), by hash modulo their number (`modulus`),
 * at random (`random`). `history` is fanout that hands its newest records to who is bound later.
 */
export type ExchangeKind = 'direct' | 'topic' | 'fanout' | 'headers' | 'hash' | 'modulus' | 'random' | 'history'

export interface Binding {
  readonly source: string
  readonly destination: string
  readonly destinationKind: 'topic' | 'exchange'
  readonly key: string
  /** For headers exchanges: what must match, and `match`. Kept and compared also for the others. */
  readonly arguments: Readonly<Record<string, unknown>>
}

/** What an indexed topic holds of one address. */
export interface AddressStatus {
  readonly subject: string
  readonly count: number
  readonly first: number
  readonly last: number
}
