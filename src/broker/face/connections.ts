/** What carries a protocol: connections, sessions, listeners. */
import type { Format } from '../../core/record.ts'
import type { Broker } from './broker.ts'
import type { HttpHandler } from './http.ts'

/** One client's connection. Written bytes are collected and flushed once per turn. */
export interface Connection {
  readonly id: number
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly encrypted: boolean
  /** Its bytes travel in WebSocket messages. */
  readonly overWebSocket: boolean
  /** The common name in the client's certificate, when there is one and it was verified. */
  readonly peerName: string | undefined
  /**
   * What a client of plain text may do where the server speaks first ({@link Protocol.speaksFirst}): begin a TLS handshake with its first bytes.
   * `required`: whoever sends anything else is cut off. Where clients ask for TLS ({@link Protocol.asksForTls}) the session sees to both.
   */
  readonly upgrade: 'none' | 'offered' | 'required'
  /**
   * Begins TLS on a connection of plain text, where {@link upgrade} is not `none` and the client was told so by what is written already: `early` is what
   * it has sent of its handshake. What is written from now on leaves after the handshake; `done` when that is over. A handshake that fails closes.
   */
  startTls?(early: Buffer, done: () => void): void
  /** Queues bytes by reference; the caller does not change them afterwards. Flushed at the end of the turn. */
  write(bytes: Uint8Array): void
  /** Runs `then` once the kernel has all that was written so far: from then on its memory may be used again. Never if the connection ends before. */
  whenSent(then: () => void): void
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
  /** Flushes what is written, then closes. `reason` goes to the log: '' where the client asked for the end, or the log has the reason already. */
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
  /**
   * The peer sends nothing more. It may wait for answers, or be gone: give those answers, nothing that it would take away from others, and then
   * `connection.end('')`. Where there is none, the connection ends at once.
   */
  readonly onEnd?: (() => void) | undefined
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
  /** Its clients may begin in plain text, also where that is refused otherwise, and ask for TLS in its own words ({@link Connection.startTls}). For ports that it has alone. */
  readonly asksForTls?: boolean
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
