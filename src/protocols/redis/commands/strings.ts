/** Strings. */
import { clampRange, fitsInteger64, integer, integer64, option, text } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import { RedisError, syntaxError, words, wrongArguments } from '../errors.ts'
import { addDecimals } from '../long-double.ts'
import type { StringValue } from '../string-value.ts'
import { expiryMs } from './expiry.ts'

/** The longest string. */
export const stringBytesMax = 512 * 1024 * 1024

/** Short values are kept as text, which takes less room; long ones as they are. */
export const copied = (arg: Buffer): string => arg.toString('latin1')

function get({ args, db, reply }: Call): void {
  const value = db.string(text(args[1]))
  if (value === undefined) reply.nil()
  else reply.bulk(value.content)
}

interface SetOptions {
  condition: '' | 'NX' | 'XX'
  get: boolean
  keepTtl: boolean
  /** 0: none. */
  expiresAt: number
}

function setOptions({ args, now }: Call): SetOptions {
  const options: SetOptions = { condition: '', get: false, keepTtl: false, expiresAt: 0 }
  let expirySaid = false
  for (let at = 3; at < args.length; at++) {
    const word = option(args[at])
    if ((word === 'NX' || word === 'XX') && (options.condition === '' || options.condition === word)) options.condition = word
    else if (word === 'GET') options.get = true
    else if (word === 'KEEPTTL' && !expirySaid) options.keepTtl = true
    else if (['EX', 'PX', 'EXAT', 'PXAT'].includes(word) && at + 1 < args.length && !expirySaid && !options.keepTtl) {
      options.expiresAt = expiryMs(word, args[++at], now, 'set')
      expirySaid = true
    } else throw syntaxError()
  }
  return options
}

function set(call: Call): void {
  const { args, db, reply } = call
  const key = text(args[1])
  const content = copied(args[2] as Buffer)
  if (args.length === 3) {
    db.putString(key, content, 0)
    db.notify('$', 'set', key)
    return reply.status('OK')
  }
  const options = setOptions(call)
  const present = options.get ? db.string(key) : undefined
  const exists = options.condition !== '' || options.keepTtl || options.get ? db.exists(key) : false
  const before = present?.content
  const refused = options.condition === 'NX' ? exists : options.condition === 'XX' && !exists
  if (!refused) {
    db.putString(key, content, options.keepTtl ? (db.expiryOf(key) ?? 0) : options.expiresAt)
    db.notify('$', 'set', key)
    if (options.expiresAt > 0) db.notify('g', 'expire', key)
  }
  if (options.get) {
    if (before === undefined) reply.nil()
    else reply.bulk(before)
  } else if (refused) reply.nil()
  else reply.status('OK')
}

function setNx({ args, db, reply }: Call): void {
  const key = text(args[1])
  if (db.exists(key)) return reply.integer(0)
  db.putString(key, copied(args[2] as Buffer), 0)
  db.notify('$', 'set', key)
  reply.integer(1)
}

const setEx =
  (unit: 'EX' | 'PX', name: string) =>
  ({ args, db, reply, now }: Call): void => {
    const key = text(args[1])
    const expiresAt = expiryMs(unit, args[2], now, name)
    db.putString(key, copied(args[3] as Buffer), expiresAt)
    db.notify('$', 'set', key)
    db.notify('g', 'expire', key)
    reply.status('OK')
  }

function getSet({ args, db, reply }: Call): void {
  const key = text(args[1])
  const before = db.string(key)?.content
  db.putString(key, copied(args[2] as Buffer), 0)
  db.notify('$', 'set', key)
  if (before === undefined) reply.nil()
  else reply.bulk(before)
}

function getDel({ args, db, reply }: Call): void {
  const key = text(args[1])
  const value = db.string(key)
  if (value === undefined) return reply.nil()
  reply.bulk(value.content)
  db.remove(key)
  db.notify('g', 'del', key)
}

function getEx({ args, db, reply, now }: Call): void {
  const key = text(args[1])
  let expiresAt: number | null = null
  for (let at = 2; at < args.length; at++) {
    const word = option(args[at])
    if (expiresAt !== null) throw syntaxError()
    if (word === 'PERSIST') expiresAt = 0
    else if (['EX', 'PX', 'EXAT', 'PXAT'].includes(word) && at + 1 < args.length)
      expiresAt = expiryMs(word, args[++at], now, 'getex')
    else throw syntaxError()
  }
  const value = db.string(key)
  if (value === undefined) return reply.nil()
  reply.bulk(value.content)
  if (expiresAt === null) return
  if (expiresAt === 0) {
    if (db.expiryOf(key) === undefined) return
    db.setExpiry(key, 0)
    db.notify('g', 'persist', key)
  } else if (expiresAt <= now) {
    db.remove(key)
    db.notify('g', 'del', key)
  } else {
    db.setExpiry(key, expiresAt)
    db.notify('g', 'expire', key)
  }
}

function mget({ args, db, reply }: Call): void {
  reply.array(args.length - 1)
  for (let at = 1; at < args.length; at++) {
    const value = db.get(text(args[at]))
    if (value?.type === 'string') reply.bulk(value.content)
    else reply.nil()
  }
}

function mset({ args, db, reply }: Call): void {
  if (args.length % 2 === 0) throw wrongArguments('mset')
  putAll(args, db)
  reply.status('OK')
}

function msetNx({ args, db, reply }: Call): void {
  if (args.length % 2 === 0) throw wrongArguments('msetnx')
  for (let at = 1; at < args.length; at += 2) if (db.exists(text(args[at]))) return reply.integer(0)
  putAll(args, db)
  reply.integer(1)
}

function putAll(args: readonly Buffer[], db: Call['db']): void {
  for (let at = 1; at < args.length; at += 2) {
    const key = text(args[at])
    db.putString(key, copied(args[at + 1] as Buffer), 0)
    db.notify('$', 'set', key)
  }
}

/** Adds to a number. Small ones, nearly all, as JavaScript's own. */
function increment({ args, db, reply }: Call, by: bigint): void {
  const key = text(args[1])
  const present = db.string(key)
  const before = present === undefined ? 0n : integer64(present.text)
  const after = before + by
  if (!fitsInteger64(after)) throw new RedisError(words.overflow)
  db.putString(key, after.toString(), db.expiryOf(key) ?? 0)
  db.notify('$', 'incrby', key)
  reply.integer(after)
}

function decrementBy(call: Call): void {
  const by = integer64(text(call.args[2]))
  if (!fitsInteger64(-by)) throw new RedisError('ERR decrement would overflow')
  increment(call, -by)
}

function incrementByFloat({ args, db, reply }: Call): void {
  const key = text(args[1])
  const present = db.string(key)
  const sum = addDecimals(present?.text ?? '0', text(args[2]))
  db.putString(key, sum, db.expiryOf(key) ?? 0)
  db.notify('$', 'incrbyfloat', key)
  reply.bulk(sum)
}

function append({ args, db, reply }: Call): void {
  const key = text(args[1])
  const bytes = args[2] as Buffer
  const present = db.string(key)
  const length = present?.length ?? 0
  checkLength(length, bytes.length)
  if (present === undefined) db.putString(key, copied(bytes), 0)
  else db.patchString(key, length, bytes)
  db.notify('$', 'append', key)
  reply.integer(length + bytes.length)
}

function setRange({ args, db, reply }: Call): void {
  const key = text(args[1])
  const at = integer(args[2])
  const bytes = args[3] as Buffer
  if (at < 0) throw new RedisError('ERR offset is out of range')
  const present = db.string(key)
  if (bytes.length === 0) return reply.integer(present?.length ?? 0)
  checkLength(at, bytes.length)
  db.patchString(key, at, bytes)
  db.notify('$', 'setrange', key)
  reply.integer(Math.max(present?.length ?? 0, at + bytes.length))
}

export function checkLength(at: number, more: number): void {
  if (at + more > stringBytesMax) throw new RedisError(words.tooLong)
}

function getRange({ args, db, reply }: Call): void {
  const start = integer(args[2])
  const stop = integer(args[3])
  const value = db.string(text(args[1]))
  if (value === undefined) return reply.bulk('')
  if (start < 0 && stop < 0 && start > stop) return reply.bulk('')
  const range = clampRange(start, Math.max(stop, -value.length), value.length)
  reply.bulk(range === null ? '' : slice(value, range.start, range.stop + 1))
}

const slice = ({ content }: StringValue, start: number, end: number): string | Buffer =>
  typeof content === 'string' ? content.slice(start, end) : content.subarray(start, end)

/** The longest common subsequence of two strings. */
function lcs({ args, db, reply }: Call): void {
  const one = stringOrError(db, text(args[1]))
  const other = stringOrError(db, text(args[2]))
  let lengthOnly = false
  let places = false
  let withLength = false
  let least = 0
  for (let at = 3; at < args.length; at++) {
    const word = option(args[at])
    if (word === 'LEN') lengthOnly = true
    else if (word === 'IDX') places = true
    else if (word === 'WITHMATCHLEN') withLength = true
    else if (word === 'MINMATCHLEN' && at + 1 < args.length) least = Math.max(0, integer(args[++at]))
    else throw syntaxError()
  }
  if (places && lengthOnly) throw new RedisError('ERR If you want both the length and indexes, please just use IDX.')
  const table = lcsTable(one, other)
  const width = other.length + 1
  const total = table[one.length * width + other.length] ?? 0
  if (lengthOnly) return reply.integer(total)
  const matches: { a: [number, number]; b: [number, number] }[] = []
  let common = ''
  for (let i = one.length, j = other.length; i > 0 && j > 0; ) {
    if (one[i - 1] === other[j - 1]) {
      common = one[i - 1] + common
      const last = matches.at(-1)
      if (last !== undefined && last.a[0] === i && last.b[0] === j) {
        last.a[0] = i - 1
        last.b[0] = j - 1
      } else matches.push({ a: [i - 1, i - 1], b: [j - 1, j - 1] })
      i--
      j--
    } else if ((table[(i - 1) * width + j] ?? 0) > (table[i * width + j - 1] ?? 0)) i--
    else j--
  }
  if (!places) return reply.bulk(common)
  const shown = matches.filter(({ a }) => a[1] - a[0] + 1 >= least)
  reply.map(2)
  reply.bulk('matches')
  reply.array(shown.length)
  for (const { a, b } of shown) {
    reply.array(withLength ? 3 : 2)
    for (const [from, to] of [a, b]) {
      reply.array(2)
      reply.integer(from)
      reply.integer(to)
    }
    if (withLength) reply.integer(a[1] - a[0] + 1)
  }
  reply.bulk('len')
  reply.integer(total)
}

/** The table of LCS grows with the product of both lengths. */
const lcsCellsMax = 64 * 1024 * 1024

function stringOrError(db: Call['db'], key: string): string {
  const value = db.get(key)
  if (value === undefined && db.typeOf(key) === undefined) return ''
  if (value?.type !== 'string') throw new RedisError('ERR The specified keys must contain string values')
  return value.text
}

function lcsTable(one: string, other: string): Uint32Array {
  const width = other.length + 1
  const cells = (one.length + 1) * width
  if (cells > lcsCellsMax) throw new RedisError('ERR Insufficient memory, failed allocating transient memory for LCS')
  const table = new Uint32Array(cells)
  for (let i = 1; i <= one.length; i++) {
    for (let j = 1; j <= other.length; j++) {
      const above = table[(i - 1) * width + j] as number // within
      const left = table[i * width + j - 1] as number
      table[i * width + j] = one[i - 1] === other[j - 1] ? (table[(i - 1) * width + j - 1] as number) + 1 : Math.max(above, left)
    }
  }
  return table
}

const one = [1, 1, 1] as const

export const stringCommands: readonly Command[] = [
  command('string', 'get', 2, 'readonly fast', one, get),
  command('string', 'set', -3, 'write denyoom', one, set),
  command('string', 'setnx', 3, 'write denyoom fast', one, setNx),
  command('string', 'setex', 4, 'write denyoom', one, setEx('EX', 'setex')),
  command('string', 'psetex', 4, 'write denyoom', one, setEx('PX', 'psetex')),
  command('string', 'getset', 3, 'write denyoom fast', one, getSet),
  command('string', 'getdel', 2, 'write fast', one, getDel),
  command('string', 'getex', -2, 'write fast', one, getEx),
  command('string', 'mget', -2, 'readonly fast', [1, -1, 1], mget),
  command('string', 'mset', -3, 'write denyoom', [1, -1, 2], mset),
  command('string', 'msetnx', -3, 'write denyoom', [1, -1, 2], msetNx),
  command('string', 'incr', 2, 'write denyoom fast', one, (call) => increment(call, 1n)),
  command('string', 'decr', 2, 'write denyoom fast', one, (call) => increment(call, -1n)),
  command('string', 'incrby', 3, 'write denyoom fast', one, (call) => increment(call, integer64(text(call.args[2])))),
  command('string', 'decrby', 3, 'write denyoom fast', one, decrementBy),
  command('string', 'incrbyfloat', 3, 'write denyoom fast', one, incrementByFloat),
  command('string', 'append', 3, 'write denyoom fast', one, append),
  command('string', 'strlen', 2, 'readonly fast', one, ({ args, db, reply }) =>
    reply.integer(db.string(text(args[1]))?.length ?? 0),
  ),
  command('string', 'setrange', 4, 'write denyoom', one, setRange),
  command('string', 'getrange', 4, 'readonly', one, getRange),
  command('string', 'substr', 4, 'readonly', one, getRange),
  command('string', 'lcs', -3, 'readonly', [1, 2, 1], lcs),
]
