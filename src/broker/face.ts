/**
 * The public face of the broker: all that a protocol, the HTTP API or the command line may import of it.
 * Calls are batch-shaped and asynchronous; a `done` or a sink is never called from inside the caller's own call.
 */
import type { CoreErrorCode, RefusedAccess } from '../core/errors.ts'
import type { Annotations, Death, Format } from '../core/record.ts'
import type { Renaming } from '../lib/renaming.ts'
import type { Clock } from '../lib/timers.ts'

export type { CoreErrorCode, RefusedAccess } from '../core/errors.ts'
export { CoreError } from '../core/errors.ts'

// ---------------------------------------------------------------------------------------------------------------- connections

/** One client's connection. Written bytes are collected and flushed once per turn. */
export interface Connection {
  readonly id: number
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly encrypted: boolean
  /** The common name in the client's certificate, when there is one and it was verified. */
  readonly peerName: string | undefined
  /**
   * What a client of plain text may do where the server speaks first ({@link Protocol.speaksFirst}): begin a TLS handshake with its first bytes.
   * `required`: whoever sends anything else is cut off.
   */
  readonly upgrade: 'none' | 'offered' | 'required'
  /** Queues bytes by reference; the caller does not change them afterwards. Flushed at the end of the turn. */
  write(bytes: Uint8Array): void
  /** A place for `bytes` bytes in the connection's slab: write at `slab[at...]`, then call {@link commit}. Nothing else may be written between. */
  reserve(bytes: number): number
  readonly slab: Buffer
  commit(bytes: number): void
  /** Bytes written and not yet taken by the kernel. */
  readonly outboundBytes: number
  /** True while outboundBytes is above the limit: deliver nothing more until `session.onWritable()`. */
  readonly congested: boolean
  /** Stops or resumes reading the socket (backpressure to a producer). Counted: each pause needs its resume. */
  pause(): void
  resume(): void
  /** Flushes what is written, then closes. `reason` goes to the log. */
  end(reason: string): void
  /** Closes at once. */
  destroy(reason: string): void
  /** Shown in listings. Set by the session as it learns of them. */
  info: ConnectionInfo
}

export interface ConnectionInfo {
  protocol: string
  clientName: string
  clientVersion: string
  user: string
  namespace: string
  /** It was let in ({@link Broker.admit}), so it counts against quotas. */
  admitted?: boolean
}

/** Why a connection ended, as the session is told. */
export type CloseCause = 'peer' | 'error' | 'server'

/** One protocol's state machine on one connection. */
export interface Session {
  /** The chunk is valid for this call only if it is copied by whoever keeps parts of it beyond (it is never recycled, but a small view pins it). */
  onBytes(chunk: Buffer): void
  /** The connection is no longer congested. */
  onWritable(): void
  /** Called about once a second with the clock's time in ms: heartbeats and timeouts of the protocol. */
  onTick(now: number): void
  /** The broker shuts down: say goodbye in the protocol's words, finish what is in flight, then `connection.end`. */
  drain(): void
  /** What a listing in the protocol's own words shows of it: for the protocol's own tools, never interpreted by others. */
  readonly describe?: (() => object) | undefined
  /** Last call. Release everything. */
  onClose(cause: CloseCause): void
}

export interface ListenerSpec {
  /** The name that `--port NAME=N` uses. */
  readonly name: string
  readonly port: number
  /**
   * `bytes`: each connection is a {@link Session}. `http`: each request goes to {@link Protocol.serve}; the server reads HTTP. `websocket`: each
   * WebSocket is a {@link Session}, as {@link Protocol.webSocket} says.
   */
  readonly kind?: 'bytes' | 'http' | 'websocket'
}

/** How the bytes of a protocol travel in WebSocket messages. The messages are pieces of one stream: they need not begin and end with its frames. */
export interface WebSocketSpec {
  /** Names of which a client offers one or more. A client that offers none is taken where the port, or the path, has one protocol alone. */
  readonly subprotocols: readonly string[]
  /** `binary`: a client that sends text is closed. `any`: either is taken, binary sent. `text`: the same, but text is sent where the bytes are UTF-8. */
  readonly messages: 'binary' | 'text' | 'any'
}

/** One protocol, as its folder's index.ts exports it under the name `protocol`. */
export interface Protocol {
  readonly name: string
  readonly listeners: readonly ListenerSpec[]
  readonly formats: readonly Format[]
  /** Its clients wait for the server's first word, also those that mean to begin a TLS handshake after it. For ports that it has alone. */
  readonly speaksFirst?: boolean
  /**
   * Called once, when the broker has recovered and before anything listens: for what acts by itself, such as a transaction that is to be ended
   * though its client never comes back.
   */
  start?(broker: Broker): void | Promise<void>
  /** When several protocols share a port: whether a connection that begins so is ours; undefined means more bytes are needed. */
  detect?(firstBytes: Buffer): boolean | undefined
  /** For protocols of bytes: they can also be spoken over WebSocket, on the HTTP port under `/ws/` and {@link name}. */
  readonly webSocket?: WebSocketSpec
  /** Needed where a listener is of the kind `bytes` or `websocket`. A promise where modules are loaded first (lib/lazy.ts): the peer's bytes wait. */
  open?(connection: Connection, broker: Broker): Session | Promise<Session>
  /** Needed where a listener is of the kind `http`; called once for each such listener. */
  serve?(broker: Broker, server: ServerFacts, listener: string): HttpHandler
}

/** What a protocol may say of the server around it. */
export interface ServerFacts {
  readonly version: string
  readonly startedAt: number
  listeners(): readonly OpenListener[]
  /** False while it starts and once it stops. */
  ready(): boolean
}

export interface OpenListener {
  readonly name: string
  readonly protocols: readonly string[]
  readonly host: string
  readonly port: number
}

// --------------------------------------------------------------------------------------------------------------------- HTTP

/**
 * What answers the requests of one HTTP listener. The server around it reads HTTP, limits connections, headers, bodies and time, keeps pages
 * of other sites out while nobody has to log in, and lists the connections. A connection that asks to become something else
 * (Upgrade) is answered like any other request, but where the port has protocols over WebSocket.
 */
export interface HttpHandler {
  /** A protocol answers its own errors; what this rejects with is logged and answered 500, or 413 for a body that was too large. */
  answer(request: HttpRequest): HttpAnswer | Promise<HttpAnswer>
  /** The broker shuts down: end what only waits. Requests under way have a few seconds more. */
  drain?(): void
}

export interface HttpRequest {
  readonly method: string
  /** As sent: percent-encoded and without the query. */
  readonly path: string
  /** Without its question mark. */
  readonly query: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** The connection it came on; `info.user` is set by whoever logs it in. */
  readonly connection: Pick<
    Connection,
    'id' | 'remoteAddress' | 'remotePort' | 'localAddress' | 'localPort' | 'encrypted' | 'peerName' | 'info'
  >
  /** Aborted when the client has gone before its answer. */
  readonly signal: AbortSignal
  /** Collects the body, once. Rejects with TooLarge before more than `bytesMax` is buffered, with Unavailable when the client goes. */
  body(bytesMax?: number): Promise<Buffer>
}

export interface HttpAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** Pieces are sent as they come, as fast as the client reads; who gives them stops when the request's signal says that the client has gone. */
  readonly body?: string | Uint8Array | AsyncIterable<string | Uint8Array>
}

// ------------------------------------------------------------------------------------------------------------------- broker

export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface Broker {
  readonly clock: Clock
  readonly log: Logger
  readonly limits: Limits
  /** Stable for the data directory: 22 characters of URL-safe base64. */
  readonly clusterId: string
  /** Where clients reach a listener, where it is not where they connect to (port forwarding, a proxy in front). */
  advertised(listener: string): Address | undefined
  /** True when users exist, so that a login is required. */
  readonly authenticationRequired: boolean
  /** Whether it is configured whose tokens are good. */
  readonly tokensAccepted: boolean
  /** Resolves to who it is, or rejects with Unauthenticated. When no users are configured every login is accepted. */
  authenticate(credential: Credential): Promise<Principal>
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

export type Credential =
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  /** The protocol checked it itself and it held: a SCRAM exchange ({@link Broker.scramVerifier}), or a signature ({@link UserAdmin.signingSecret}). */
  | { readonly kind: 'proven'; readonly user: string }
  /** {@link Connection.peerName}: who signed the client's certificate says that it is this user. */
  | { readonly kind: 'certificate'; readonly user: string }
  /** A signed token that names its user: only where {@link Broker.tokensAccepted}. The user need not be one of the broker's: then rules alone say what it may do. */
  | { readonly kind: 'token'; readonly token: string }

export interface Principal {
  readonly user: string
  /** When the login stops being good, ms since the epoch. Absent: it does not. */
  readonly expiresAt?: number
  /** `kind` is what the name is of; a topic when left out (exchanges count as such). */
  may(action: Action, namespace: string, name: string, kind?: ResourceKind): boolean
  /** Whether a rule says no, whatever else says yes. Absent: none does. */
  denies?(action: Action, namespace: string, name: string, kind?: ResourceKind): boolean
  /** Whether it may publish with this routing key to, or bind it from, an exchange of the kind `topic`. Absent: any key. */
  mayUseKey?(action: 'publish' | 'consume', namespace: string, exchange: string, key: string): boolean
}
/** For permissions, which know three, `manage` stands for all that change a thing, and whoever may do any of the three may describe it. */
export type Action =
  | 'publish'
  | 'consume'
  | 'manage'
  | 'create'
  | 'delete'
  | 'alter'
  | 'configure'
  | 'describe'
  | 'describeConfig'
  /** What the nodes of a cluster do among themselves. */
  | 'operate'
/** `cluster` has no name and no permissions: administrators may, and whom a rule allows. */
export type ResourceKind = 'topic' | 'group' | 'transaction' | 'cluster'

/** Beside permissions: allows or denies one action, or all, on one name or all that begin with it. See broker/rules.ts. */
export interface AccessRule {
  readonly namespace: string
  readonly kind: ResourceKind
  readonly match: 'exact' | 'prefix'
  /** `*` with an exact match: every name. */
  readonly name: string
  /** `*`: every user. */
  readonly user: string
  readonly action: Exclude<Action, 'manage'> | 'all'
  readonly effect: 'allow' | 'deny'
}

export interface RuleAdmin {
  list(): AccessRule[]
  /** Rejects with Invalid, or Full. What is there already stays. */
  add(rules: readonly AccessRule[]): Promise<void>
  remove(rules: readonly AccessRule[]): Promise<void>
}

/** Limits of one namespace or one user; what is left out is without limit, beside those of the broker. */
export interface Quota {
  readonly of: 'namespace' | 'user'
  readonly name: string
  /** Connections that have logged in, in all protocols together. */
  readonly connectionsMax?: number
  /** Topics of a namespace; those that are there stay. */
  readonly topicsMax?: number
  /** What a protocol counts itself, by its own name for it. */
  readonly others?: Readonly<Record<string, number>>
}

export interface QuotaAdmin {
  list(): Quota[]
  of(kind: Quota['of'], name: string): Quota | undefined
  /** Replaces; one without any limit is removed. It goes with its namespace or user. Rejects with Invalid, or Full. */
  put(quota: Quota): Promise<void>
}

export interface ScramVerifier {
  readonly salt: Buffer
  readonly iterations: number
  readonly storedKey: Buffer
  readonly serverKey: Buffer
}

export interface UserAdmin {
  list(): UserListing[]
  /** Creates or changes; what is left out stays. */
  put(name: string, options: UserChange): Promise<void>
  delete(name: string): Promise<boolean>
  /** What a password is checked against, for carrying users elsewhere; undefined for an unknown user. */
  verifier(name: string): PasswordVerifier | undefined
  /** See {@link UserChange.signingSecret}; undefined for an unknown user and one that has none. */
  signingSecret(name: string): string | undefined
  /**
   * Sets or removes what one SCRAM mechanism checks, and creates the user where there is none. A password that was set otherwise is forgotten: from
   * then on this one counts, wherever a password is asked for.
   */
  putScram(name: string, mechanism: ScramMechanism, verifier: ScramVerifier | null): Promise<void>
}

export type ScramMechanism = 'SCRAM-SHA-256' | 'SCRAM-SHA-512'

export interface UserListing {
  readonly name: string
  /** May do everything. */
  readonly admin: boolean
  /** Words that say which parts of administration a user sees; the broker itself keeps them only. */
  readonly tags: string[]
  readonly permissions: Permission[]
  readonly keyPermissions: KeyPermission[]
}

export interface UserChange {
  readonly password?: string
  /** In place of a password, where only its hash is known. */
  readonly verifier?: PasswordVerifier
  /**
   * What the user's requests are signed with, where a protocol signs them and the broker has to know the same secret: it is stored as it is, so it
   * should not be the password. null: none.
   */
  readonly signingSecret?: string | null
  readonly admin?: boolean
  readonly tags?: readonly string[]
  readonly permissions?: readonly Permission[]
  readonly keyPermissions?: readonly KeyPermission[]
}

/** All in base64. `none`: nobody can log in with a password. sha256, sha512: digest(salt, password), replaced at the first login. */
export type PasswordVerifier =
  | { readonly algorithm: 'none' }
  | { readonly algorithm: 'scrypt' | 'sha256' | 'sha512'; readonly salt: string; readonly hash: string }

/** Patterns are regular expressions matched against the whole name. */
export interface Permission {
  readonly namespace: string
  readonly publish: string
  readonly consume: string
  readonly manage: string
}

/** What routing keys a user may use with one exchange of the kind `topic`; without a rule for it, any. */
export interface KeyPermission {
  readonly namespace: string
  readonly exchange: string
  readonly publish: string
  readonly consume: string
}

export interface ConnectionListing extends ConnectionInfo {
  readonly id: number
  readonly remote: string
  readonly local: string
  readonly encrypted: boolean
  readonly openedAt: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** See {@link Session.describe}; absent where the protocol says nothing. */
  describe?(): object
}

// ------------------------------------------------------------------------------------------------------------------- topics

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
  /** Deleted after so long without consumers or redeclaration, ms; -1: never. */
  readonly expiresMs: number
  /** Deleted when its last consumer goes (after there was one). */
  readonly autoDelete: boolean
  /** Patterns of addresses of which it stores every record, too: words joined with `.`; `*` is one word, `#` any number, also none. */
  readonly captures: readonly string[]
  /** Under which other address it stores what it captures; its limits and what publishers expect are of that one. null: its own. */
  readonly renames: Renaming | null
  /**
   * For topics of one partition: an index by address in memory, of about ten bytes a record, and limits, retentionMs and times to live that hold to the
   * single record. With retention `time`, recordsMax and bytesMax count what is kept.
   */
  readonly indexed: boolean
  /** With `indexed`: kept at most of each address, -1: no limit. Above it the oldest of the address goes, or the new one is refused. */
  readonly subjectRecordsMax: number
  readonly subjectOverflow: 'dropOldest' | 'refuse'
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
  expiresMs: -1,
  autoDelete: false,
  captures: [],
  renames: null,
  indexed: false,
  subjectRecordsMax: -1,
  subjectOverflow: 'dropOldest',
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

// --------------------------------------------------------------------------------------------------------------- publishing

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
}

/** See {@link PublishItem.later}; the format is the item's. */
export interface LaterRecords {
  readonly deliverAt: number
  readonly payload: Buffer
  /** Where each of them stood in the entry. */
  readonly indexes: readonly number[]
}

// ------------------------------------------------------------------------------------------------------------------ consuming

/** `records`: of what is there, these offsets alone (ascending); then all that comes. For topics of one partition. */
export type StartAt =
  | 'oldest'
  | 'newest'
  | { readonly offset: number }
  | { readonly time: number }
  | { readonly records: readonly number[] }

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

/** Everything of a transaction happens at its commit, at once, or not at all. */
export interface Transaction {
  publish(items: readonly PublishItem[]): void
  /** `done` with null when it is durable. */
  commit(done: (error: Error | null) => void): void
  abort(): void
}

// -------------------------------------------------------------------------------------------------------------------- reading

/** One stored entry as a view: `buffer[start..end)` is its payload. Buffers are never recycled. */
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

export interface ScheduledRecord {
  readonly id: number
  readonly dueAt: number
  readonly exchange: string | null
  readonly address: string
  readonly format: number
  readonly payload: Buffer
}

/** What an indexed topic holds of one address. */
export interface AddressStatus {
  readonly subject: string
  readonly count: number
  readonly first: number
  readonly last: number
}

/** Counts the records of an indexed topic from a place on, which moves with a reader. */
export interface Tally {
  readonly count: number
  /** The reader has passed this record, which counted. */
  passed(offset: number): void
  close(): void
}

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
  /** Rejects with AlreadyExists. `reading`: how the default subscription of a topic kept until acknowledged is made. */
  createTopic(
    name: string,
    config: Partial<TopicConfig>,
    declaredBy: string,
    declaration?: Record<string, unknown>,
    reading?: SubscriptionOptions,
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

/** A record in flight. */
export interface Held {
  /** 1 for the first time. */
  readonly attempt: number
  /** Once, but for extensions; what comes later is ignored. */
  settle(outcome: Outcome, transaction?: Transaction): void
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

export interface LatencyStats {
  readonly count: number
  readonly sumSeconds: number
  /** How many took up to so many seconds: each includes those before it. */
  readonly buckets: readonly { readonly upTo: number; readonly count: number }[]
}

/** Bytes are those of envelopes. In: stored, or told to live subscribers, once whatever it was routed to. Out: handed over, each time. */
export interface TrafficStats {
  readonly namespace: string
  /** '' where nobody said. */
  readonly protocol: string
  readonly recordsIn: number
  readonly bytesIn: number
  readonly recordsOut: number
  readonly bytesOut: number
}

export interface BrokerStats {
  readonly topics: number
  readonly connections: number
  readonly walBytes: number
  readonly walCommits: number
  readonly walFailed: string | null
  readonly segmentBytes: number
  readonly cachedBytes: number
  /** Held by topics kept in memory. */
  readonly memoryBytes: number
  readonly recordsIn: number
  readonly bytesIn: number
  readonly recordsOut: number
  readonly scheduled: number
  /** From `publish` to its `done`, of publishes that waited for the disk; samples. */
  readonly publishLatency: LatencyStats
  /** From the publishing of a record until it was first handed to a consumer or reader, waiting in the log included; samples. */
  readonly deliverLatency: LatencyStats
  /** Since the start. */
  readonly traffic: readonly TrafficStats[]
  /** Of the data directory's file system, as last measured; -1 before. */
  readonly diskFreeBytes: number
}
