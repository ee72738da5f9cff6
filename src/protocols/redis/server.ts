/** What all Redis clients of a broker share: databases, settings, who is connected, who waits, and how far what was changed is durable. */
import { type Broker, CoreError, type Principal } from '../../broker/face.ts'
import { atEndOfTurn, endTurn } from '../../lib/turn.ts'
import type { AccessRefused } from './access.ts'
import { AccessLog, type Context } from './acl-log.ts'
import { Blocked } from './blocked.ts'
import type { Client } from './client.ts'
import type { KeyProvider } from './command.ts'
import { categoriesOf } from './command-categories.ts'
import { describeClient } from './commands/client.ts'
import { commands, findCommand } from './commands/table.ts'
import { Database, type DatabaseHost } from './database.ts'
import { EffectLog } from './effects.ts'
import { words } from './errors.ts'
import { Executor } from './executor.ts'
import { Functions } from './functions.ts'
import { Keeper, type KeeperHost } from './keeper.ts'
import { Lists } from './lists.ts'
import { PubSub } from './pubsub.ts'
import { Scripting } from './scripting.ts'
import { Settings } from './settings.ts'
import { Streams } from './streams.ts'

/** Of Redis, whose commands and replies these are. Clients compare it with what they need. */
export const redisVersion = '7.4.0'
export const databaseCount = 16
/** Keys that expire, of one database in one round. */
const expiryBatch = 1000
const expiryMinMs = 1

export class Server implements DatabaseHost, KeeperHost {
  readonly broker: Broker
  readonly startedAt: number
  readonly databases: readonly Database[]
  readonly effects = new EffectLog()
  readonly keeper: Keeper
  readonly lists: Lists
  readonly streams: Streams
  /**
   * None until the journal is read: what it repeats is about private keys, and what became of lists and streams of their names meanwhile the write-ahead log
   * says by itself.
   */
  providers: readonly KeyProvider[] = []
  readonly settings = new Settings()
  readonly executor: Executor
  readonly blocked: Blocked
  readonly pubsub: PubSub
  readonly commands = commands
  readonly findCommand = findCommand
  readonly version = redisVersion
  /** The slow log, the newest first. */
  readonly slow: SlowEntry[] = []
  readonly accessLog = new AccessLog()
  #slowId = 0
  #scripting: Scripting | null = null
  #functions: Functions | null = null
  readonly #monitors = new Set<Client>()
  readonly clients = new Map<number, Client>()
  /** Of keys, by database and key: who watches them. */
  readonly #watchers: Map<string, Set<Client>>[]
  readonly statistics = { commands: 0, connections: 0, expired: 0, hits: 0, misses: 0, rejected: 0, errors: 0 }
  now: number
  /** Changes so far, and how many of them are durable. */
  changes = 0
  durable = 0
  #asked = 0
  /** Why nothing can be stored any more. */
  failure: Error | null = null
  /** Clients with replies that wait for the disk. */
  readonly #waiting = new Set<Client>()
  /** What became durable is about to be told to those who wait. */
  #flushing = false
  /** Clients that were written to by others' commands. */
  readonly #written = new Set<Client>()
  /** When the first key or field is due, or earlier, and for when that is planned. */
  #dueAt = Infinity
  #expiryAt = Infinity
  #ready: Promise<void> | null = null

  constructor(broker: Broker) {
    this.broker = broker
    this.now = this.startedAt = broker.clock.now()
    this.databases = Array.from({ length: databaseCount }, (_, index) => new Database(index, this))
    this.#watchers = this.databases.map(() => new Map())
    this.keeper = new Keeper(broker, this)
    this.lists = new Lists(broker)
    this.streams = new Streams(broker, this.lists)
    this.executor = new Executor(this)
    this.blocked = new Blocked(this)
    this.pubsub = new PubSub(this)
    this.settingsChanged()
  }

  /** Made when the first script comes. */
  get scripting(): Scripting {
    this.#scripting ??= new Scripting(this)
    return this.#scripting
  }

  get functions(): Functions {
    this.#functions ??= new Functions(this, this.scripting)
    return this.#functions
  }

  get port(): number {
    for (const client of this.clients.values()) return Number(client.host.local.split(':').at(-1))
    return 6379
  }

  commandsIn(category: string): string[] {
    return [...commands.values()].filter((each) => categoriesOf(each).includes(category)).map(({ name }) => name)
  }

  /** The one of a broker. */
  static of(broker: Broker): Server {
    return broker.shared('redis.server', () => new Server(broker))
  }

  /** Reads the journal; once. */
  load(): Promise<void> {
    this.#ready ??= this.keeper.load().then(() => {
      this.providers = [this.lists, this.streams]
      this.effects.recording = true
      this.changes = this.durable = this.#asked = 0
    })
    return this.#ready
  }

  /** Bytes of all private keys, about. */
  get memoryBytes(): number {
    let bytes = 0
    for (const db of this.databases) bytes += db.bytes
    return bytes
  }

  // ------------------------------------------------------------------------------------------------------------ DatabaseHost

  touched(db: Database, key: string): void {
    this.changes++
    const watchers = this.#watchers[db.index]
    if (watchers === undefined || watchers.size === 0) return
    for (const client of watchers.get(key) ?? []) client.watchFailed = true
  }

  ready(db: Database, key: string): void {
    this.blocked.ready(db, key)
  }

  notify(db: Database, kind: string, event: string, key: string): void {
    const { notifyEvents } = this.settings
    if (notifyEvents === '' || !this.effects.recording || !notifyEvents.includes(kind)) return
    if (notifyEvents.includes('K')) this.pubsub.tellLocally(`__keyspace@${db.index}__:${key}`, Buffer.from(event))
    if (notifyEvents.includes('E')) this.pubsub.tellLocally(`__keyevent@${db.index}__:${event}`, Buffer.from(key, 'latin1'))
  }

  expires(at: number): void {
    this.#dueAt = Math.min(this.#dueAt, at)
  }

  expired(count: number): void {
    this.statistics.expired += count
  }

  // --------------------------------------------------------------------------------------------------------------- KeeperHost

  libraries(): ReadonlyMap<string, string> {
    return this.#libraries
  }

  restoreLibrary(name: string, code: string): void {
    if (name === '') this.#libraries.clear()
    else if (code === '') this.#libraries.delete(name)
    else this.#libraries.set(name, code)
  }

  /** Code of function libraries by their names, as it was loaded. */
  readonly #libraries = new Map<string, string>()

  /** A library of functions is kept; without code it is gone, without a name all are. */
  keepLibrary(name: string, code: string): void {
    this.restoreLibrary(name, code)
    this.effects.library(name, code)
    this.changes++
  }

  changed(): void {
    this.changes++
    this.settle()
  }

  /** All that `run` changes, in the databases and in the broker, happens together or not at all. */
  atomically(run: () => void): void {
    this.broker.atomically(
      () => {
        run()
        if (!this.executor.isHeld) this.store()
      },
      () => undefined,
    )
  }

  // ----------------------------------------------------------------------------------------------------------------- watching

  watch(client: Client, db: Database, key: string): void {
    if (client.watched.some((watched) => watched.db === db && watched.key === key)) return
    client.watched.push({ db, key, existed: db.exists(key) })
    const watchers = this.#watchers[db.index] as Map<string, Set<Client>> // one for each database
    const clients = watchers.get(key)
    if (clients === undefined) watchers.set(key, new Set([client]))
    else clients.add(client)
  }

  unwatch(client: Client): void {
    for (const { db, key } of client.watched) {
      const watchers = this.#watchers[db.index]
      const clients = watchers?.get(key)
      clients?.delete(client)
      if (clients?.size === 0) watchers?.delete(key)
    }
    client.watched.length = 0
    client.watchFailed = false
  }

  // --------------------------------------------------------------------------------------------------------------- durability

  /** A client was written to that is not the one whose request is at hand. */
  wrote(client: Client): void {
    this.#written.add(client)
  }

  /** What commands have done and only noted so far goes to the write-ahead log. */
  store(): void {
    for (const provider of this.providers) provider.store?.()
    if (!this.effects.isEmpty) this.keeper.append()
  }

  /** Ends a turn: what was changed is asked to be durable, and what may leave leaves. */
  settle(): void {
    // What a script that still runs has changed so far is not confirmed to anybody, and is stored with the rest.
    const { isHeld } = this.executor
    if (!isHeld) this.store()
    for (const client of this.#written) this.flush(client)
    this.#written.clear()
    if (!isHeld && this.changes > this.#asked) this.#askDurable()
    this.#planExpiry()
  }

  flush(client: Client): void {
    client.flush(this.durable)
    if (client.waiting && !client.closed) this.#waiting.add(client)
    else this.#waiting.delete(client)
  }

  #askDurable(): void {
    const asked = (this.#asked = this.changes)
    this.keeper.journal.whenDurable((error) => {
      if (error !== null) return this.#fail(error)
      this.durable = Math.max(this.durable, asked)
      if (this.#flushing) return
      // Several turns may have asked for the same frame: once all of them know, each client is looked at once.
      this.#flushing = true
      atEndOfTurn(() => endTurn(() => this.#flushWaiting()))
    })
  }

  #flushWaiting(): void {
    this.#flushing = false
    for (const client of this.#waiting) this.flush(client)
  }

  /** Nothing can be stored: what waits is not confirmed, so its clients are cut off. */
  #fail(error: Error): void {
    this.failure = error
    for (const client of this.#waiting) client.host.end('nothing can be stored')
    this.#waiting.clear()
  }

  // ----------------------------------------------------------------------------------------------------------------- expiring

  #planExpiry(): void {
    if (this.#dueAt >= this.#expiryAt) return
    this.#expiryAt = this.#dueAt
    this.broker.clock.after(Math.max(expiryMinMs, this.#dueAt - this.broker.clock.now()), () => this.#expire())
  }

  #expire(): void {
    this.#expiryAt = Infinity
    // A script or transaction sees time stand still.
    if (this.executor.isHeld) {
      this.#expiryAt = this.now + 1
      this.broker.clock.after(expiryMinMs, () => this.#expire())
      return
    }
    this.now = this.broker.clock.now()
    for (const db of this.databases) db.expireDue(expiryBatch)
    this.#dueAt = Math.min(...this.databases.map(({ nextExpiry }) => nextExpiry))
    this.blocked.serve()
    this.settle()
  }

  // ------------------------------------------------------------------------------------------------------------------ clients

  /** A client has connected. */
  welcome(client: Client): void {
    this.clients.set(client.id, client)
    this.statistics.connections++
    const { broker } = this
    if (broker.authenticationRequired) return
    try {
      client.host.admitted(broker.anonymous.user, broker)
      this.#use(client, broker.anonymous)
    } catch (cause) {
      if (!(cause instanceof CoreError)) throw cause
      client.reply.error(words.tooManyClients)
      client.closing = cause.message
      this.flush(client)
    }
  }

  /** Resolves once the client is that user; rejects when the login fails, with Full where there may be no more connections. */
  async logIn(client: Client, user: string, password: string): Promise<void> {
    const { broker } = this
    if (!broker.authenticationRequired) {
      // As in Redis: there is the user that everybody is, who needs no password, and no other.
      if (user === '' || user === 'default') return
      throw new CoreError('Unauthenticated', `there is no user "${user}"`)
    }
    const principal = await broker.authenticate({ kind: 'password', user, password }, client.host.remoteAddress)
    client.host.admitted(principal.user, broker)
    this.#use(client, principal)
  }

  /** For ACL LOG. */
  noteRefusal(client: Client, { reason, object }: AccessRefused, context: Context): void {
    this.accessLog.note({ reason, object, context, user: client.user }, describeClient(client, this), this.now)
  }

  /** For ACL LOG: `command` is AUTH or HELLO. */
  noteFailedLogin(client: Client, user: string, command: string): void {
    const who = user === '' ? 'default' : user
    const refusal = { reason: 'auth', object: command, context: 'toplevel', user: who } as const
    this.accessLog.note(refusal, describeClient(client, this), this.now)
  }

  #use(client: Client, principal: Principal): void {
    client.principal = principal
    client.user = principal === this.broker.anonymous ? 'default' : principal.user
    client.space = this.broker.space(principal, 'default', { protocol: 'redis', anyone: true })
  }

  /** RESET: as if it had just connected. */
  reset(client: Client): void {
    this.unwatch(client)
    client.queued = null
    client.queueFailed = false
    client.protocol = 2
    client.db = this.databases[0] as Database
    client.name = ''
    client.silent = 'no'
    this.pubsub.unsubscribeAll(client)
    this.#unmonitor(client)
    client.principal = null
    client.user = 'default'
    if (!this.broker.authenticationRequired) this.#use(client, this.broker.anonymous)
  }

  /** About once a second for each client. */
  tick(client: Client, now: number): void {
    const expiresAt = client.principal?.expiresAt
    if (expiresAt !== undefined && now > expiresAt) client.host.end('the login has expired')
    const { idleSeconds } = this.settings
    const isWaiting = !client.mayRun || client.subscriptions > 0 || client.monitoring
    if (idleSeconds > 0 && !isWaiting && now - client.lastActiveAt > idleSeconds * 1000)
      client.host.end('idle for too long (timeout)')
  }

  /** MONITOR. */
  monitor(client: Client): void {
    client.monitoring = true
    this.#monitors.add(client)
    this.executor.onCommand = (by, { all }, fromScript) => this.#tellMonitors(by, all, fromScript)
  }

  #unmonitor(client: Client): void {
    client.monitoring = false
    this.#monitors.delete(client)
    if (this.#monitors.size === 0) this.executor.onCommand = null
  }

  #tellMonitors(by: Client, args: readonly Buffer[], fromScript: boolean): void {
    const seconds = (this.now / 1000).toFixed(6)
    const shown = args.map((arg) => `"${escapeBytes(arg)}"`).join(' ')
    const line = `${seconds} [${by.db.index} ${fromScript ? 'lua' : by.host.remote}] ${shown}`
    for (const client of this.#monitors) {
      client.reply.status(line)
      this.wrote(client)
      client.checkBacklog()
    }
  }

  settingsChanged(): void {
    const { slowMicroseconds, slowEntriesMax } = this.settings
    this.slow.length = Math.min(this.slow.length, slowEntriesMax)
    this.executor.onSlow =
      slowMicroseconds < 0
        ? null
        : (client, request, microseconds) => {
            if (microseconds >= slowMicroseconds) this.#noteSlow(client, request.all, Math.floor(microseconds))
          }
  }

  #noteSlow(client: Client, args: readonly Buffer[], microseconds: number): void {
    this.slow.unshift({
      id: this.#slowId++,
      at: this.now,
      microseconds,
      args: shownArguments(args),
      address: client.host.remote,
      name: client.name,
    })
    if (this.slow.length > this.settings.slowEntriesMax) this.slow.length = this.settings.slowEntriesMax
  }

  remove(client: Client): void {
    client.closed = true
    this.pubsub.unsubscribeAll(client)
    this.#unmonitor(client)
    this.clients.delete(client.id)
    this.#waiting.delete(client)
    this.#written.delete(client)
    this.unwatch(client)
    this.blocked.forget(client)
    this.executor.forget(client)
  }
}

export interface SlowEntry {
  readonly id: number
  readonly at: number
  readonly microseconds: number
  readonly args: readonly Buffer[]
  readonly address: string
  readonly name: string
}

/** Of a slow command: so many arguments, of each so many bytes. */
const slowArguments = 32
const slowArgumentBytes = 128

function shownArguments(args: readonly Buffer[]): Buffer[] {
  const shown = args.slice(0, args.length > slowArguments ? slowArguments - 1 : slowArguments).map((arg) => {
    if (arg.length <= slowArgumentBytes) return Buffer.from(arg)
    const more = Buffer.from(`... (${arg.length - slowArgumentBytes} more bytes)`)
    return Buffer.concat([arg.subarray(0, slowArgumentBytes), more])
  })
  if (args.length > slowArguments) shown.push(Buffer.from(`... (${args.length - slowArguments + 1} more arguments)`))
  return shown
}

/** Bytes as a line of MONITOR shows them. */
function escapeBytes(bytes: Buffer): string {
  return bytes.toString('latin1').replace(/[^ !#-[\]-~]/g, (char) => {
    const known: Readonly<Record<string, string>> = {
      '\n': '\\n',
      '\r': '\\r',
      '\t': '\\t',
      '\x07': '\\a',
      '\b': '\\b',
      '"': '\\"',
      '\\': '\\\\',
    }
    return known[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
}
