/** One namespace as one principal may use it: what a protocol works with. */
import type { Principal } from './access.ts'
import type {
  Consumer,
  FilterSpec,
  Listener,
  ListenSpec,
  LiveSink,
  Sink,
  SubscribeSpec,
  SubscriptionOptions,
  Taken,
} from './consuming.ts'
import type { PublishItem, ScheduledRecord, Transaction } from './publishing.ts'
import type {
  CommittedCursor,
  CursorPosition,
  Decision,
  LogRecords,
  PeekedRecord,
  ProducerStatus,
  ReadResult,
  ReadyRecords,
  StartAt,
  Tally,
  Withholding,
} from './reading.ts'
import type { AddressStatus, Binding, ExchangeInfo, TopicConfig, TopicInfo, TopicStatus } from './topics.ts'

/** One namespace as one principal may use it. Every call checks permission and throws, or reports, AccessDenied. */
export interface Space {
  readonly namespace: string
  readonly principal: Principal

  // Topics
  topic(name: string): TopicInfo | undefined
  /** undefined when it does not exist. */
  status(name: string): TopicStatus | undefined
  topics(): TopicInfo[]
  topicById(id: Buffer): TopicInfo | undefined
  /**
   * Rejects with AlreadyExists. `reading`: how the default subscription of a topic kept until acknowledged is made. null: it is made by the first who
   * reads it, and until then it keeps nothing.
   */
  createTopic(
    name: string,
    config: Partial<TopicConfig>,
    declaredBy: string,
    declaration?: Record<string, unknown>,
    reading?: SubscriptionOptions | null,
  ): Promise<TopicInfo>
  /** Changes what is given; partitions may only grow. */
  alterTopic(name: string, config: Partial<TopicConfig>, declaration?: Record<string, unknown>): Promise<TopicInfo>
  deleteTopic(name: string): Promise<void>
  /** Drops all ready records of a subscription ('' default); resolves to how many. */
  purge(name: string, subscription?: string): Promise<number>
  /** Truncates from the front; resolves to the new start. */
  deleteRecordsBefore(name: string, partition: number, offset: number): Promise<number>
  /** Takes single records away, whoever has read them; resolves to how many were there. */
  removeRecords(name: string, partition: number, offsets: readonly number[]): Promise<number>
  /** For an indexed topic: addresses that match the pattern and have records. */
  addresses(name: string, pattern: string): AddressStatus[]
  /** For an indexed topic: how many addresses have records. */
  addressCount(name: string): number
  /** For an indexed topic: where the records of an address stand, the oldest first. */
  offsetsOf(name: string, address: string): readonly number[]
  /**
   * For an indexed topic: how many records of addresses that match one of the patterns a subscription that starts there has before it. Those that
   * are not durable yet count.
   */
  tally(name: string, patterns: readonly string[], from: StartAt): Tally
  /** Marks use of a topic with expiresMs. */
  touch(name: string): void

  // Router
  exchange(name: string): ExchangeInfo | undefined
  exchanges(): ExchangeInfo[]
  declareExchange(exchange: ExchangeInfo): Promise<void>
  deleteExchange(name: string, ifUnused: boolean): Promise<void>
  bind(binding: Binding): Promise<void>
  unbind(binding: Binding): Promise<void>
  bindings(of?: { source?: string; destination?: string; destinationKind?: 'topic' | 'exchange' }): Binding[]

  // Records
  /**
   * `done` once, later, when every item's outcome is known; with status Stored it is durable (unless transient). null: for who asks itself, once for many,
   * whether all is durable ({@link Broker.atomically}, {@link Journal.whenDurable}); what became of each item stands in it when this returns.
   */
  publish(items: readonly PublishItem[], done: (() => void) | null): void
  /**
   * Hands a record that nothing stores to live subscribers at the end of the turn; returns how many there are. -1, and nothing is done: something may
   * store it, or it may be refused, so that it is to be published. `connection`: as of {@link PublishItem.connection}.
   */
  tell(address: string, format: number, payload: Buffer, connection: number): number
  begin(): Transaction
  /**
   * Ends a producer's transaction in each partition it wrote to; takes effect when durable. Call it within {@link Broker.atomically} when
   * more belongs to it. Partitions that do not exist any more are passed over.
   */
  decide(decision: Decision): void
  /** Producers with a sequence that a partition remembers. */
  producers(topic: string, partition: number): ProducerStatus[]
  /** Throws NotFound, AccessDenied, Full (too many), or Mismatch (exclusive use). */
  subscribe(spec: SubscribeSpec, sink: Sink): Consumer
  /** Hears what is published from now on; records that the principal may not consume are left out. */
  listen(spec: ListenSpec, sink: LiveSink): Listener
  /** Whether a record published to the address now would reach a live subscriber. */
  isHeard(address: string): boolean
  /** Accepts a record that nobody has, by its place. False: it is done already, it is gone, or somebody has it. */
  acceptAt(topic: string, subscription: string, partition: number, offset: number): Promise<boolean>
  /** Calls `wake` once, when somebody begins to listen to the address. Returns how to cancel. */
  whenHeard(address: string, wake: () => void): () => void
  /** One record, as a consumer with a credit of one would get it, or null when nothing is ready now. It stays in flight until `settle`. */
  take(topic: string, autoSettle: boolean, done: (taken: Taken | null) => void): void
  /** The default subscription's ready records, which is made when there is none. Throws NotFound, AccessDenied. */
  ready(topic: string): ReadyRecords
  /** Throws NotFound, AccessDenied, OutOfRange. */
  records(topic: string, partition: number): LogRecords
  /**
   * Calls `wake` whenever there may be something new to read from the topic of this name, or to take from it, be it there already or made
   * later. Returns how to stop that.
   */
  watch(topic: string, wake: () => void): () => void
  /**
   * Entries from `offset` on; the first may begin before it. Up to `maxBytes` (and 16 MiB), but at least one whole entry however big, if there is
   * any. `done` may be called at once.
   */
  read(topic: string, partition: number, offset: number, maxBytes: number, done: (result: ReadResult) => void): void
  /** Calls `wake` once, when the partition's nextOffset (`decided`: its stableOffset) passes `offset`, or the topic goes. Returns how to cancel. */
  whenReadable(topic: string, partition: number, offset: number, wake: () => void, decided?: boolean): () => void
  /** The first offset whose record's time is at or after `time`, with that time; null when there is none. */
  offsetForTime(topic: string, partition: number, time: number): Promise<{ offset: number; timestamp: number } | null>
  peek(topic: string, options: { partition?: number; offset?: number; time?: number; limit: number }): Promise<PeekedRecord[]>

  // Cursors of groups
  commitCursors(group: string, positions: readonly CursorPosition[], done: (error: Error | null) => void): void
  cursors(group: string): CommittedCursor[]
  cursorGroups(): string[]
  deleteCursors(group: string, topic?: string, partition?: number): Promise<void>
  /** Moves a queue subscription. */
  seek(topic: string, subscription: string, to: StartAt, partition?: number): Promise<void>
  /** Nothing more is delivered from a queue subscription, or it is again; survives a restart. */
  pauseSubscription(topic: string, subscription: string, paused: boolean): Promise<void>
  /**
   * What stands in a topic from a place on stays unseen by all its subscriptions with a name: they go on with what is before it. With null they get the
   * rest. The default subscription and whoever reads by offset see it at once. Survives a restart; where something is withheld already, nothing changes.
   */
  withhold(topic: string, from: Withholding | null): Promise<void>
  /** What is withheld now is done for the subscriptions that it is withheld from. */
  dropWithheld(topic: string): Promise<void>
  deleteSubscription(topic: string, subscription: string): Promise<void>
  /** Another filter, or none, for what it has not come to yet. */
  refilterSubscription(topic: string, subscription: string, filter: FilterSpec | undefined): Promise<void>
  /** Whether a subscription is done with a record; what its filter leaves out is done when it comes there. */
  isDone(topic: string, subscription: string, partition: number, offset: number): boolean
  /** Makes a durable subscription before anybody consumes. Rejects with AlreadyExists, and with Invalid for a filter that is none. */
  createSubscription(
    topic: string,
    subscription: string,
    options: SubscriptionOptions & { readonly startAt?: StartAt },
  ): Promise<void>

  // Delayed records
  scheduled(limit: number, from?: number): Promise<ScheduledRecord[]>
  reschedule(id: number, dueAt: number): Promise<boolean>
  cancelScheduled(id: number): Promise<boolean>

  /** The last number that a producer known by its name published to a partition, be it durable already or not; -1: none is known. */
  lastSequence(topic: string, partition: number, producerName: string): number
  /** A producer id nobody had before, ever. */
  nextProducerId(): Promise<number>
}
