/** Keys of any type: DEL, EXISTS, TYPE, KEYS, SCAN, RENAME, COPY, MOVE, OBJECT, FLUSHDB and their kin. */
import type { Reply } from '../../../lib/resp/reply.ts'
import { Glob, integer, option, text } from '../arguments.ts'
import { type Call, type Command, command, whenRead } from '../command.ts'
import type { Database, Value } from '../database.ts'
import { RedisError, syntaxError, words } from '../errors.ts'
import { HashValue } from '../hash-value.ts'
import { isInteger64, SetValue } from '../set-value.ts'
import { SortedSet } from '../sorted-set.ts'
import { StringValue } from '../string-value.ts'

/** SCAN's default. */
const scanCount = 10

function del({ args, db, reply }: Call): void {
  let removed = 0
  for (let at = 1; at < args.length; at++) {
    const key = text(args[at])
    if (!db.exists(key)) continue
    db.remove(key)
    db.notify('g', 'del', key)
    removed++
  }
  reply.integer(removed)
}

function exists({ args, db, reply }: Call): void {
  let found = 0
  for (let at = 1; at < args.length; at++) if (db.exists(text(args[at]))) found++
  reply.integer(found)
}

function keys({ args, db, reply }: Call): void {
  const glob = new Glob(text(args[1]))
  const found: string[] = []
  for (const key of db.keys()) if (glob.matches(key)) found.push(key)
  reply.array(found.length)
  for (const key of found) reply.bulk(key)
}

export interface ScanOptions {
  readonly cursor: number
  readonly glob: Glob | null
  readonly count: number
  readonly type: string | null
  readonly noValues: boolean
}

/** Options of SCAN, HSCAN and so on, from argument `at`, the cursor. */
export function scanOptions(args: readonly Buffer[], at: number): ScanOptions {
  const cursorText = text(args[at])
  if (!/^-?\d{1,20}$/.test(cursorText)) throw new RedisError('ERR invalid cursor')
  let glob: Glob | null = null
  let count = scanCount
  let type: string | null = null
  let noValues = false
  for (let place = at + 1; place < args.length; place++) {
    const word = option(args[place])
    const hasValue = place + 1 < args.length
    if (word === 'MATCH' && hasValue) glob = new Glob(text(args[++place]))
    else if (word === 'COUNT' && hasValue) {
      count = integer(args[++place])
      if (count < 1) throw syntaxError()
    } else if (word === 'TYPE' && hasValue && at === 1) type = text(args[++place]).toLowerCase()
    else if (word === 'NOVALUES' && at === 2) noValues = true
    else throw syntaxError()
  }
  return { cursor: Math.max(0, Number(cursorText)), glob, count, type, noValues }
}

function scan({ args, db, reply }: Call): void {
  const { cursor, glob, count, type } = scanOptions(args, 1)
  const found: string[] = []
  const next = db.scan(cursor, count, (key) => {
    if (glob !== null && !glob.matches(key)) return
    if (type === null || db.typeOf(key) === type) found.push(key)
  })
  reply.array(2)
  reply.bulk(String(next))
  reply.array(found.length)
  for (const key of found) reply.bulk(key)
}

function rename(call: Call, onlyNew: boolean): void {
  const from = text(call.args[1])
  const to = text(call.args[2])
  whenRead(call, from, (reply) => renameNow(call.db, from, to, onlyNew, reply))
}

function renameNow(db: Database, from: string, to: string, onlyNew: boolean, reply: Reply): void {
  if (!db.exists(from)) throw new RedisError(words.noSuchKey)
  if (from === to) return onlyNew ? reply.integer(0) : reply.status('OK')
  if (onlyNew && db.exists(to)) return reply.integer(0)
  if (db.exists(to)) db.remove(to)
  db.rename(from, db, to)
  db.notify('g', 'rename_from', from)
  db.notify('g', 'rename_to', to)
  if (onlyNew) reply.integer(1)
  else reply.status('OK')
}

function databaseAt({ server }: Call, arg: Buffer | undefined): Database {
  const db = server.databases[integer(arg)]
  if (db === undefined) throw new RedisError('ERR DB index is out of range')
  return db
}

function move(call: Call): void {
  const { args, db } = call
  const key = text(args[1])
  const target = databaseAt(call, args[2])
  if (target === db) throw new RedisError(words.sameObject)
  whenRead(call, key, (reply) => {
    if (!db.exists(key) || target.exists(key)) return reply.integer(0)
    db.rename(key, target, key)
    db.notify('g', 'move_from', key)
    target.notify('g', 'move_to', key)
    reply.integer(1)
  })
}

interface CopyTarget {
  readonly db: Database
  readonly key: string
  readonly replace: boolean
}

function copy(call: Call): void {
  const { args, db } = call
  const key = text(args[1])
  const to = text(args[2])
  let target = db
  let replace = false
  for (let at = 3; at < args.length; at++) {
    const word = option(args[at])
    if (word === 'REPLACE') replace = true
    else if (word === 'DB' && at + 1 < args.length) target = databaseAt(call, args[++at])
    else throw syntaxError()
  }
  if (target === db && key === to) throw new RedisError(words.sameObject)
  const wanted: CopyTarget = { db: target, key: to, replace }
  whenRead(call, key, (reply) => copyNow(call, key, wanted, reply))
}

function copyNow(call: Call, key: string, { db: target, key: to, replace }: CopyTarget, reply: Reply): void {
  const { db } = call
  if (!db.exists(key)) return reply.integer(0)
  const provider = db.get(key) === undefined ? db.provider(key) : undefined
  if (provider !== undefined && provider.copy === undefined) throw new RedisError(`ERR a ${provider.type} cannot be copied`)
  if (target.exists(to)) {
    if (!replace) return reply.integer(0)
    target.remove(to)
  }
  const expiresAt = db.expiryOf(key) ?? 0
  const value = db.get(key)
  if (value !== undefined) {
    target.put(to, copyOf(value), expiresAt)
    target.ready(to)
    target.notify('g', 'copy_to', to)
    return reply.integer(1)
  }
  const isRead = provider?.read !== undefined
  const deferred = isRead ? null : call.defer()
  provider?.copy?.(db, key, target, to, (copied) => {
    if (copied) {
      if (expiresAt > 0) target.setExpiry(to, expiresAt)
      target.touched(to)
      target.ready(to)
      target.notify('g', 'copy_to', to)
    }
    ;(deferred?.reply ?? reply).integer(copied ? 1 : 0)
    deferred?.done()
  })
}

export function copyOf(value: Value): Value {
  if (value instanceof StringValue) return new StringValue(value.text)
  return value.copy()
}

// -------------------------------------------------------------------------------------------------------------------- OBJECT

const shortStringMax = 44

export function encodingOf(db: Database, key: string): string | undefined {
  const value = db.get(key)
  if (value === undefined) return db.provider(key)?.encoding(db, key)
  if (value instanceof HashValue)
    return value.hasExpiries && value.isCompact ? 'listpackex' : value.isCompact ? 'listpack' : 'hashtable'
  if (value instanceof SetValue) return value.encoding
  if (value instanceof SortedSet) return value.isCompact ? 'listpack' : 'skiplist'
  if (typeof value.content !== 'string') return 'raw'
  if (value.length <= 20 && isInteger64(value.content)) return 'int'
  return value.length <= shortStringMax ? 'embstr' : 'raw'
}

const objectCommand =
  (answer: (call: Call, key: string) => void) =>
  (call: Call): void => {
    const key = text(call.args[2])
    if (!call.db.exists(key)) return call.reply.nil()
    answer(call, key)
  }

// ------------------------------------------------------------------------------------------------------------------ databases

function checkFlushOptions(args: readonly Buffer[]): void {
  if (args.length > 2 || (args.length === 2 && !['ASYNC', 'SYNC'].includes(option(args[1])))) throw syntaxError()
}

function flushDb({ args, db, reply }: Call): void {
  checkFlushOptions(args)
  db.flush()
  reply.status('OK')
}

function flushAll({ args, server, reply }: Call): void {
  checkFlushOptions(args)
  for (const db of server.databases) db.flush()
  reply.status('OK')
}

function swapDb(call: Call): void {
  const { args, reply, server } = call
  const index = (arg: Buffer | undefined, which: string): Database => {
    const number = integer(arg, `ERR invalid ${which} DB index`)
    const db = server.databases[number]
    if (db === undefined) throw new RedisError('ERR DB index is out of range')
    return db
  }
  const one = index(args[1], 'first')
  const other = index(args[2], 'second')
  if (one !== other) {
    server.atomically(() => one.swap(other))
    server.keeper.restart()
  }
  reply.status('OK')
}

function randomKey({ db, reply }: Call): void {
  const key = db.randomKey()
  if (key === undefined) reply.nil()
  else reply.bulk(key)
}

/** What replies is durable on this machine, and there are no others. */
function wait({ args, reply }: Call): void {
  integer(args[1])
  if (integer(args[2], 'ERR timeout is not an integer or out of range') < 0) throw new RedisError(words.negativeTimeout)
  reply.integer(0)
}

const all = [1, -1, 1] as const
const one = [1, 1, 1] as const

export const keyCommands: readonly Command[] = [
  command('generic', 'del', -2, 'write', all, del),
  command('generic', 'unlink', -2, 'write fast', all, del),
  command('generic', 'exists', -2, 'readonly fast', all, exists),
  command('generic', 'touch', -2, 'readonly fast', all, exists),
  command('generic', 'type', 2, 'readonly fast', one, ({ args, db, reply }) => reply.status(db.typeOf(text(args[1])) ?? 'none')),
  command('generic', 'keys', 2, 'readonly', null, keys),
  command('generic', 'scan', -2, 'readonly', null, scan),
  command('generic', 'randomkey', 1, 'readonly', null, randomKey),
  command('generic', 'rename', 3, 'write', [1, 2, 1], (call) => rename(call, false)),
  command('generic', 'renamenx', 3, 'write fast', [1, 2, 1], (call) => rename(call, true)),
  command('generic', 'move', 3, 'write fast', one, move),
  command('generic', 'copy', -3, 'write denyoom', [1, 2, 1], copy),
  command(
    'generic',
    'object|encoding',
    3,
    'readonly',
    [2, 2, 1],
    objectCommand(({ db, reply }, key) => reply.bulk(encodingOf(db, key) ?? '')),
  ),
  command(
    'generic',
    'object|refcount',
    3,
    'readonly',
    [2, 2, 1],
    objectCommand(({ reply }) => reply.integer(1)),
  ),
  command(
    'generic',
    'object|idletime',
    3,
    'readonly',
    [2, 2, 1],
    objectCommand(({ reply }) => reply.integer(0)),
  ),
  command(
    'generic',
    'object|freq',
    3,
    'readonly',
    [2, 2, 1],
    objectCommand(() => {
      throw new RedisError(
        'ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.',
      )
    }),
  ),
  command('server', 'dbsize', 1, 'readonly fast', null, ({ db, reply }) => reply.integer(db.size)),
  command('server', 'flushdb', -1, 'write', null, flushDb),
  command('server', 'flushall', -1, 'write', null, flushAll),
  command('server', 'swapdb', 3, 'write fast', null, swapDb),
  command('generic', 'wait', 3, '', null, wait),
]
