/** One connected client as commands see it. What it is sent waits here in order: for the disk, and for replies that come later. */
import type { Broker, Principal, Space } from '../../broker/face.ts'
import { ReplyWriter } from '../../lib/resp/reply.ts'
import type { Request } from '../../lib/resp/request.ts'
import type { Command, Deferred } from './command.ts'
import type { Database } from './database.ts'

/** Where a client's bytes go, and what else it has of its connection. */
export interface ClientHost {
  readonly id: number
  readonly remote: string
  readonly remoteAddress: string
  readonly local: string
  /** Copies them. */
  send(bytes: Buffer): void
  /** The client may run commands again. Goes on later, never within the call. */
  resumed(): void
  selected(index: number): void
  /** From now on it is this user's connection. Throws Full where there may be no more of these. */
  admitted(user: string, broker: Broker): void
  /** Its name, or that of its library, was set. */
  described(): void
  /** Bytes that were sent and not taken. */
  readonly outboundBytes: number
  end(reason: string): void
}

export interface Queued {
  readonly command: Command
  readonly request: Request
}

/** A part of what is to be sent: it goes once its reply is written and everything that was changed before is durable. */
interface Part {
  /** As the server counts changes. */
  gate: number
  bytes: Buffer | null
}

/** Bytes that a client may leave untaken while it is sent what it subscribed to. */
const pushBytesMax = 32 * 1024 * 1024
/** Of one client: what waits to be sent until the disk has what it tells. */
const waitingBytesMax = 4 * 1024 * 1024
const waitingPartsMax = 10_000
const writersKept = 64
const spareWriters: ReplyWriter[] = []

export class Client {
  readonly host: ClientHost
  readonly connectedAt: number
  db: Database
  principal: Principal | null = null
  /** Who that is, in Redis's words. */
  user = 'default'
  space: Space | null = null
  name = ''
  libraryName = ''
  libraryVersion = ''
  #protocol = 2
  /** In a transaction: what was queued so far. */
  queued: Queued[] | null = null
  /** A command could not be queued: EXEC will refuse. */
  queueFailed = false
  /** Keys being watched, by database; and whether one of them was changed since. */
  readonly watched: { readonly db: Database; readonly key: string; readonly existed: boolean }[] = []
  watchFailed = false
  /** Waits for keys, for a script that runs, or for an end of CLIENT PAUSE: runs nothing. */
  blocked = false
  readonly channels = new Set<string>()
  readonly patterns = new Set<string>()
  readonly shardChannels = new Set<string>()
  monitoring = false
  /** CLIENT REPLY: what is replied goes nowhere; for the next command alone, or until it is turned on. */
  silent: 'no' | 'next' | 'skipping' | 'always' = 'no'
  noEvict = false
  noTouch = false
  lastCommand = ''
  lastActiveAt: number
  commands = 0
  closed = false
  /** Ends once what it was sent is on its way. */
  closing: string | null = null
  #writer: ReplyWriter | null = null
  /** What the writer holds waits for the disk: what is written next gets a writer of its own. */
  #sealed = false
  readonly #parts: Part[] = []
  #waitingBytes = 0
  #gate = 0
  /** Replies that come later, and who hears that there are none any more. */
  #deferred = 0
  #onAnswered: (() => void) | null = null

  constructor(host: ClientHost, db: Database, now: number) {
    this.host = host
    this.db = db
    this.connectedAt = now
    this.lastActiveAt = now
  }

  get id(): number {
    return this.host.id
  }

  get protocol(): number {
    return this.#protocol
  }

  set protocol(version: number) {
    this.#protocol = version
    if (this.#writer !== null) this.#writer.protocol = version
  }

  get subscriptions(): number {
    return this.channels.size + this.patterns.size + this.shardChannels.size
  }

  /** Replies are written here, in order; {@link flush} sends them. */
  get reply(): ReplyWriter {
    if (this.#sealed) this.#split()
    if (this.#writer === null) {
      this.#writer = spareWriters.pop() ?? new ReplyWriter()
      this.#writer.protocol = this.#protocol
    }
    return this.#writer
  }

  /** What was written since waits for the changes so far. */
  gate(changes: number): void {
    this.#gate = changes
  }

  /** What it sends waits while it is blocked, and behind a command whose reply comes later: commands happen in the order of their replies. */
  get mayRun(): boolean {
    return !this.blocked && this.#deferred === 0
  }

  get awaitsReply(): boolean {
    return this.#deferred > 0
  }

  /** Calls `run` once no reply is waited for any more. */
  whenAnswered(run: () => void): void {
    this.#onAnswered = run
  }

  /** A place in the order of replies that is filled later. */
  defer(changes: () => number, done: () => void): Deferred {
    this.#split()
    const part: Part = { gate: 0, bytes: null }
    this.#parts.push(part)
    this.#deferred++
    const reply = new ReplyWriter()
    reply.protocol = this.#protocol
    return {
      reply,
      done: () => {
        part.gate = changes()
        part.bytes = reply.bytes
        this.#waitingBytes += reply.bytes.length
        this.#deferred--
        done()
        if (this.#deferred === 0) {
          const onAnswered = this.#onAnswered
          this.#onAnswered = null
          onAnswered?.()
        }
        if (this.mayRun) this.host.resumed()
      },
    }
  }

  /** Sends what may leave: everything up to the first part that waits. */
  flush(durable: number): void {
    if (this.closed) return
    if (this.#parts.length === 0) return this.#flushWriter(durable)
    this.#split()
    const { isBehind } = this
    let sent = 0
    for (const { gate, bytes } of this.#parts) {
      if (bytes === null || gate > durable) break
      if (bytes.length > 0) this.host.send(bytes)
      this.#waitingBytes -= bytes.length
      sent++
    }
    this.#parts.splice(0, sent)
    if (isBehind && !this.isBehind) this.host.resumed()
    this.#close()
  }

  /** The same where nothing stands before what was written last. */
  #flushWriter(durable: number): void {
    const writer = this.#writer
    if (writer === null) return this.#close()
    const { used } = writer
    if (used > 0 && this.#gate > durable) {
      // It stays where it is, since nearly always nothing comes behind it until it has left.
      this.#sealed = true
      return
    }
    if (used > 0) this.host.send(writer.bytes)
    const wasBehind = this.isBehind
    this.#release(writer)
    if (wasBehind) this.host.resumed()
    this.#close()
  }

  /** So much waits for the disk, or for a reply before it, that the client runs nothing more for now. */
  get isBehind(): boolean {
    const sealedBytes = this.#sealed ? (this.#writer?.used ?? 0) : 0
    return this.#waitingBytes + sealedBytes > waitingBytesMax || this.#parts.length > waitingPartsMax
  }

  /** Whether something waits to be sent. */
  get waiting(): boolean {
    return this.#sealed || this.#parts.length > 0
  }

  /** A client that does not take what it is sent unasked is cut off. */
  checkBacklog(): void {
    if (this.host.outboundBytes + (this.#writer?.used ?? 0) > pushBytesMax)
      this.host.end('it does not take what it has subscribed to')
  }

  #split(): void {
    const writer = this.#writer
    if (writer === null) return
    if (writer.used > 0) {
      this.#parts.push({ gate: this.#gate, bytes: Buffer.from(writer.bytes) })
      this.#waitingBytes += writer.used
    }
    this.#release(writer)
  }

  #release(writer: ReplyWriter): void {
    writer.clear()
    this.#writer = null
    this.#sealed = false
    if (spareWriters.length < writersKept) spareWriters.push(writer)
  }

  #close(): void {
    if (this.closing !== null && this.#parts.length === 0) this.host.end(this.closing)
  }
}
