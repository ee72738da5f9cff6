/** The broker as a whole, and what a protocol may keep in it. */
import type { Clock } from '../../lib/timers.ts'
import type { Credential, Principal, QuotaAdmin, RuleAdmin, ScramVerifier, UserAdmin } from './access.ts'
import type { Connection, ConnectionListing } from './connections.ts'
import type { PublishItem } from './publishing.ts'
import type { Space } from './space.ts'
import type { BrokerStats } from './stats.ts'
import type { PolicyAdmin, RecordCheck } from './topics.ts'

export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Protocols whose clients may put no new records for now, and hear so in their own words; consumers go on. Ends with the broker. */
export interface Draining {
  /** For a protocol that has words for it, and asks {@link is}. */
  offer(protocol: string): void
  list(): { readonly protocol: string; readonly draining: boolean }[]
  is(protocol: string): boolean
  /** Who may do it is asked by whoever offers it to clients. Throws NotFound for a protocol that has no words for it. */
  set(protocol: string, draining: boolean): void
}

export interface Broker {
  readonly clock: Clock
  readonly log: Logger
  readonly limits: Limits
  /** Stable for the data directory: 22 characters of URL-safe base64. */
  readonly clusterId: string
  /** Where clients reach a listener, where it is not where they connect to (port forwarding, a proxy in front). */
  advertised(listener: string): Address | undefined
  /**
   * What the configuration file says under the name of a protocol, as it stands there: the protocol checks it in its {@link Protocol.start}, which
   * rejects with what is wrong. undefined: nothing.
   */
  settingsOf(protocol: string): Readonly<Record<string, unknown>> | undefined
  /** True when users exist, so that a login is required. */
  readonly authenticationRequired: boolean
  /** Whether it is configured whose tokens are good. */
  readonly tokensAccepted: boolean
  /**
   * Resolves to who it is, or rejects with Unauthenticated. When no users are configured every login is accepted. `from` is the address it comes
   * from ({@link Connection.remoteAddress}), of which rules may speak.
   */
  authenticate(credential: Credential, from: string): Promise<Principal>
  /** Who a client is that has not logged in: only where {@link authenticationRequired} is false. */
  readonly anonymous: Principal
  /** The stored SCRAM verifier of a user, or undefined. */
  scramVerifier(user: string, mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-512'): ScramVerifier | undefined
  /** The default namespace is `default`. Throws NotFound when it does not exist, AccessDenied when the principal may do nothing in it. */
  space(principal: Principal, namespace: string, options?: SpaceOptions): Space
  namespaces(): string[]
  createNamespace(principal: Principal, name: string): Promise<void>
  deleteNamespace(principal: Principal, name: string): Promise<void>
  connections(): ConnectionListing[]
  closeConnection(id: number, reason: string): boolean
  /** Cross-connection state of a protocol (a group coordinator, say), made once for each broker. */
  shared<T>(key: string, make: () => T): T
  /** A protocol's own durable table, the same one for every call with this name. Name it `protocol.what`. */
  rows(name: string): Rows
  /** A protocol's own log, the same one for every call with this name; made by the first. Name it `protocol.what`. */
  journal(name: string): Journal
  /**
   * All that `run` changes at once (rows put, journals appended to, cursors committed, transactions decided, records published) is one entry of the write-ahead log: all
   * of it or nothing. For small changes. `done` with null when it is durable.
   */
  atomically(run: () => void, done: (error: Error | null) => void): void
  /**
   * From now on what passes the exchange, whoever published it, goes to further topics: `copies` is asked for them, and they are stored with it in one
   * entry of the write-ahead log. Each is to the default exchange (''), or into a topic. One that is refused does not keep the others back, and is
   * logged. Asked within the publisher's own call; not asked for dead letters. null: no more.
   */
  copyOnPassage(namespace: string, exchange: string, copies: Copies | null): void
  /** Users and permissions. */
  readonly users: UserAdmin
  /** What is allowed and denied beside users' permissions. Who may change it is asked by whoever offers it to clients. */
  readonly rules: RuleAdmin
  readonly policies: PolicyAdmin
  readonly draining: Draining
  /** How much namespaces and users may have. Who may change it is asked by whoever offers it to clients. */
  readonly quotas: QuotaAdmin
  /**
   * For a session whose login is done, with its namespace and user in `info`. Throws Full (a QuotaReached) when that namespace or user has all
   * the connections it may have.
   */
  admit(connection: Pick<Connection, 'id' | 'info'>): void
  /** Gives the broker who judges records of topics with `keySchema` or `valueSchema`; the last one given counts. */
  checkRecords(check: RecordCheck): void
  stats(): BrokerStats
  /** What there is too little of, so that publishes are, or soon will be, refused with Full. */
  readonly pressure: Pressure
  /** Calls `changed` after each change of {@link pressure}, never from inside the caller's own call. Returns how to stop that. */
  onPressure(changed: (pressure: Pressure) => void): () => void
}

/** See {@link Broker.copyOnPassage}. */
export type Copies = (passing: Pick<PublishItem, 'address' | 'format' | 'payload' | 'timestamp'>) => PublishItem[]

/**
 * A small durable table of text by key, all of it in memory: for thousands of rows. Changes are seen at once and become durable in the order in
 * which they and everything else were made, with the next frame of the write-ahead log: confirm to a client only after {@link durable}.
 */
export interface Rows {
  readonly size: number
  get(key: string): string | undefined
  entries(): IterableIterator<[string, string]>
  put(key: string, value: string): void
  /** False when there was none. */
  delete(key: string): boolean
  /** Resolves when all that was put and deleted so far is on the disk; rejects when nothing can be stored. */
  durable(): Promise<void>
}

/**
 * What a protocol has done to state of its own that is too large for {@link Rows}: entries that only it reads, all of them when it starts
 * ({@link Protocol.start}). It keeps the log short itself: it appends what its state is, then truncates what led there.
 */
export interface Journal {
  /** The oldest entry that is kept, and where the next one goes: each entry counts one. */
  readonly start: number
  readonly next: number
  readonly bytes: number
  /** At most 16 MiB. Durable in the order in which it and everything else is changed; returns its place. */
  append(entry: Buffer): number
  /** `done` with null when all that was changed so far, here and elsewhere, is durable. */
  whenDurable(done: (error: Error | null) => void): void
  /** All durable entries, the oldest first; the buffers may be kept. Rejects where one cannot be read, and with what `visit` throws. */
  replay(visit: (entry: Buffer) => void): Promise<void>
  /** Lets go of what stands before a place. */
  truncate(before: number): void
}

/**
 * `disk`: the disk's reserve is touched, all publishes are refused. `memory`: topics kept in memory have reached nine tenths of
 * `memoryBytesMax`; publishes to them are refused at the limit itself. Both at once are `disk`.
 */
export type Pressure = 'none' | 'disk' | 'memory'

export interface Address {
  readonly host: string
  readonly port: number
}

export interface SpaceOptions {
  /** Also for a principal that may do nothing in it: then each call says so. */
  readonly anyone?: boolean
  /** For which what goes in and out is counted; see {@link BrokerStats.traffic}. */
  readonly protocol?: string
}

export interface Limits {
  readonly recordBytesMax: number
  readonly frameBytesMax: number
  readonly connectionsMax: number
  readonly channelsMax: number
  readonly outboundBytesMax: number
  readonly topicsMax: number
  readonly inFlightMax: number
  /** What topics with storage `memory` may hold together, bytes. */
  readonly memoryBytesMax: number
}
