/**
 * What a command is, and what it is given. A file of commands exports `readonly Command[]`; commands/table.ts collects them.
 *
 * The rules: commands run one at a time, to their end, in the order in which they come. What a command changes is changed in memory at once; its reply
 * leaves when all that was changed so far is durable, and the executor sees to that: a command that changed a key through {@link Call.db} or said
 * {@link Database.touched} does nothing more. A command that waits for something (a read from the disk) calls {@link Call.defer} and replies later:
 * the client's other commands wait, those of others go on. A command that throws (see errors.ts) has changed nothing and replied nothing.
 */

import type { Reply } from '../../lib/resp/reply.ts'
import type { Request } from '../../lib/resp/request.ts'
import type { Client } from './client.ts'
import type { Database } from './database.ts'
import type { Server } from './server.ts'

export interface Command {
  /** In lower case; a subcommand is `container|name`. */
  readonly name: string
  /** Arguments with the name: exactly so many, or, negative, at least. */
  readonly arity: number
  readonly flags: ReadonlySet<CommandFlag>
  /** Its flags `write` and `denyoom`. */
  readonly writes: boolean
  readonly grows: boolean
  /** Which arguments are keys. */
  readonly keys: KeySpec
  readonly group: CommandGroup
  run(call: Call): void
}

export type CommandGroup =
  | 'string'
  | 'hash'
  | 'set'
  | 'sorted-set'
  | 'list'
  | 'stream'
  | 'bitmap'
  | 'hyperloglog'
  | 'geo'
  | 'pubsub'
  | 'transactions'
  | 'scripting'
  | 'connection'
  | 'server'
  | 'generic'
  | 'cluster'

/**
 * As in Redis, where they matter here. `write`: may change keys. `denyoom`: refused while memory is at its limit. `noscript`: not from scripts.
 * `blocking`: may wait. `no_auth`: also before a login. `admin`: administrators alone. `no_multi`: not in a transaction.
 */
export type CommandFlag =
  | 'write'
  | 'readonly'
  | 'denyoom'
  | 'admin'
  | 'pubsub'
  | 'noscript'
  | 'blocking'
  | 'loading'
  | 'stale'
  | 'fast'
  | 'no_auth'
  | 'no_multi'
  | 'movablekeys'
  | 'allow_busy'
  | 'skip_monitor'

/** The first, the last (negative: from the end) and each how many; or a function to the places of the keys; null: none. */
export type KeySpec =
  | readonly [first: number, last: number, step: number]
  | ((args: readonly Buffer[]) => readonly number[])
  | null

/** `flagWords`: as in Redis, with blanks between. */
export function command(
  group: CommandGroup,
  name: string,
  arity: number,
  flagWords: string,
  keys: KeySpec,
  run: (call: Call) => void,
): Command {
  const words = flagWords.split(' ').filter((word) => word !== '') as CommandFlag[] // written beside their commands, below by the thousand
  if (typeof keys === 'function') words.push('movablekeys')
  const flags = new Set(words)
  return { group, name, arity, flags, writes: flags.has('write'), grows: flags.has('denyoom'), keys, run }
}

/** Places of keys where argument `at` says how many follow. */
export const numberedKeys =
  (at: number) =>
  (args: readonly Buffer[]): readonly number[] => {
    const count = Number(args[at]?.toString('latin1'))
    if (!Number.isInteger(count) || count < 0 || at + count >= args.length) return []
    return Array.from({ length: count }, (_, index) => at + 1 + index)
  }

export function keyPlaces({ keys }: Command, args: readonly Buffer[]): readonly number[] {
  if (keys === null) return []
  if (typeof keys === 'function') return keys(args)
  const [first, last, step] = keys
  const end = last < 0 ? args.length + last : last
  const places: number[] = []
  for (let at = first; at <= end && at < args.length; at += step) places.push(at)
  return places
}

/** One run of a command. May be kept until it has replied; what `args` view may not be kept longer (copy it, or make text of it). */
export interface Call {
  readonly server: Server
  readonly client: Client
  /** The database that the client has selected. */
  readonly db: Database
  /** With the command's name first. All of them are made views of, which costs: what runs by the thousand reads {@link request}. */
  readonly args: readonly Buffer[]
  /** The same, until `run` returns. */
  readonly request: Request
  /** Exactly one reply is written, before `run` returns, or see {@link defer} and {@link block}. */
  readonly reply: Reply
  /** ms since the epoch, the same for all commands of a transaction or script. */
  readonly now: number
  /** In a transaction or script: nothing blocks. */
  readonly atomic: boolean
  /** The reply comes later, and the client's next commands run after it. Within a script the script waits. */
  defer(): Deferred
  /** Waits for keys, with the client's next commands. In a transaction or script it times out at once. */
  block(waiting: Waiting): void
}

export interface Deferred {
  readonly reply: Reply
  /** The reply is written. */
  done(): void
}

/** Runs `run`, which replies, once the key's value is in memory; see {@link KeyProvider.read}. The call's arguments are gone by then. */
export function whenRead(call: Call, key: string, run: (reply: Reply) => void): void {
  const { db } = call
  const provider = db.get(key) === undefined ? db.provider(key) : undefined
  if (provider?.read === undefined) run(call.reply)
  else provider.read(call, db, key, run)
}

/** A client that waits for one of some keys to have something for it. */
export interface Waiting {
  readonly keys: readonly string[]
  /** 0: for ever. */
  readonly timeoutMs: number
  /**
   * A key of these was {@link Database.ready}, and this client has waited longest of those not served yet. Called after the whole command,
   * transaction or script that made it so. Takes what there is and replies (now, or by `call.defer()`): true. False: goes on waiting.
   */
  serve(call: Call, key: string): boolean
  /** Replies that time is up. */
  timedOut(reply: Reply): void
}

/**
 * What holds the keys of one type outside the databases' own memory: lists and streams, which are topics of the broker. Registered by
 * {@link Server.provide}; the commands for all types (EXISTS, TYPE, DEL, RENAME, EXPIRE, SCAN, KEYS, OBJECT, FLUSHDB) see keys by it. Whoever changes a
 * key calls `db.touched(key)`, and `db.ready(key)` when waiting clients may find something there, also outside of commands.
 */
export interface KeyProvider {
  readonly type: string
  exists(db: Database, key: string): boolean
  /** Of all keys that exist. */
  keys(db: Database): Iterable<string>
  count(db: Database): number
  /** It exists; afterwards it does not. Called within the command that removes or overwrites it. */
  remove(db: Database, key: string): void
  /**
   * It exists. Calls `run`, which replies, once all of its elements are in hand, for which some may have to come from the disk: within it {@link rename},
   * {@link copy} and {@link elements} of the key have them. By then the key may be gone. Absent: nothing has to be read for these.
   */
  read?(call: Call, db: Database, key: string, run: (reply: Reply) => void): void
  /** It exists; the new name is free. Throws a RedisError where that cannot be. */
  rename(db: Database, key: string, toDb: Database, to: string): void
  /**
   * For SWAPDB: reads all of it, and returns what puts that into the other database under its name, to be called when it was removed here, and the name is free
   * there. Throws a RedisError where that cannot be.
   */
  lift(db: Database, key: string, toDb: Database): () => void
  /** It was made by Redis: FLUSHDB and FLUSHALL take it. Absent: all were. */
  owns?(db: Database, key: string): boolean
  /** Somebody waits for the key; calls `db.ready` whenever something comes from elsewhere. Returns how to stop that. */
  watch?(db: Database, key: string): () => void
  /** A turn, a transaction or a script ends: what was changed and only noted so far goes to the write-ahead log. */
  store?(): void
  /** For OBJECT ENCODING. */
  encoding(db: Database, key: string): string
  /** For MEMORY USAGE. */
  bytes(db: Database, key: string): number
  /** What DUMP tells, without version and checksum; absent: refused. */
  dump?(db: Database, key: string, deferred: Deferred): void
  /** For SORT: all elements in their order. Absent: it has none to sort. */
  elements?(db: Database, key: string): string[]
  /** For SORT … STORE: these elements in the place of whatever the key holds; none, and the key goes. */
  replace?(db: Database, key: string, elements: readonly string[]): void
  /** For COPY: the target is free. */
  copy?(db: Database, key: string, toDb: Database, to: string, done: (copied: boolean) => void): void
}
