/** Hashes. */
import { fitsInteger64, float, integer, integer64, option, text } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import { RedisError, syntaxError, words, wrongArguments } from '../errors.ts'
import { addDecimals } from '../long-double.ts'
import { conditionsHold, type ExpiryConditions, expiryConditions, expiryOf, secondsLeft } from './expiry.ts'
import { scanOptions } from './keys.ts'
import { pickPlaces, randomCount } from './random.ts'

function hset({ args, db, reply }: Call, name: 'hset' | 'hmset'): void {
  if (args.length % 2 !== 0) throw wrongArguments(name)
  const key = text(args[1])
  db.hash(key)
  let added = 0
  for (let at = 2; at < args.length; at += 2) if (db.hashSet(key, text(args[at]), text(args[at + 1]))) added++
  db.notify('h', 'hset', key)
  if (name === 'hset') reply.integer(added)
  else reply.status('OK')
}

function hsetNx({ args, db, reply }: Call): void {
  const key = text(args[1])
  const field = text(args[2])
  if (db.hash(key)?.has(field) === true) return reply.integer(0)
  db.hashSet(key, field, text(args[3]))
  db.notify('h', 'hset', key)
  reply.integer(1)
}

function hget({ args, db, reply }: Call): void {
  const content = db.hash(text(args[1]))?.get(text(args[2]))
  if (content === undefined) reply.nil()
  else reply.bulk(content)
}

function hmget({ args, db, reply }: Call): void {
  const hash = db.hash(text(args[1]))
  reply.array(args.length - 2)
  for (let at = 2; at < args.length; at++) {
    const content = hash?.get(text(args[at]))
    if (content === undefined) reply.nil()
    else reply.bulk(content)
  }
}

function hgetAll({ args, db, reply }: Call): void {
  const hash = db.hash(text(args[1]))
  const length = hash?.length ?? 0
  reply.map(length)
  for (let place = 0; place < length; place++) {
    reply.bulk(hash?.fields.keyAt(place) ?? '')
    reply.bulk(hash?.fields.valueAt(place) ?? '')
  }
}

function list({ args, db, reply }: Call, what: 'keys' | 'values'): void {
  const fields = db.hash(text(args[1]))?.fields
  const found = fields?.[what]() ?? []
  reply.array(found.length)
  for (const each of found) reply.bulk(each)
}

function hdel({ args, db, reply }: Call): void {
  const key = text(args[1])
  if (db.hash(key) === undefined) return reply.integer(0)
  let removed = 0
  for (let at = 2; at < args.length; at++) if (db.hashDelete(key, text(args[at]))) removed++
  if (removed > 0) {
    db.notify('h', 'hdel', key)
    if (!db.exists(key)) db.notify('g', 'del', key)
  }
  reply.integer(removed)
}

function hincrBy({ args, db, reply }: Call): void {
  const key = text(args[1])
  const field = text(args[2])
  const by = integer64(text(args[3]))
  const hash = db.hash(key)
  const sum = integer64(hash?.get(field) ?? '0', 'ERR hash value is not an integer') + by
  if (!fitsInteger64(sum)) throw new RedisError(words.overflow)
  put(db, key, field, sum.toString())
  db.notify('h', 'hincrby', key)
  reply.integer(sum)
}

function hincrByFloat({ args, db, reply }: Call): void {
  const key = text(args[1])
  const field = text(args[2])
  if (!Number.isFinite(float(args[3]))) throw new RedisError('ERR value is NaN or Infinity')
  const before = db.hash(key)?.get(field) ?? '0'
  float(before, 'ERR hash value is not a float')
  const sum = addDecimals(before, text(args[3]))
  put(db, key, field, sum)
  db.notify('h', 'hincrbyfloat', key)
  reply.bulk(sum)
}

/** Unlike HSET, an increment leaves the field its time to live. */
function put(db: Call['db'], key: string, field: string, content: string): void {
  const expiresAt = db.hash(key)?.expiryOf(field)
  db.hashSet(key, field, content)
  if (expiresAt !== undefined) db.hashExpire(key, field, expiresAt)
}

function hscan({ args, db, reply }: Call): void {
  const { cursor, glob, count, noValues } = scanOptions(args, 2)
  const hash = db.hash(text(args[1]))
  const found: string[] = []
  const add = (field: string, content: string): void => {
    if (glob !== null && !glob.matches(field)) return
    found.push(field)
    if (!noValues) found.push(content)
  }
  let next = 0
  // Small ones come whole and in their order, as Redis has it.
  if (hash?.isCompact === true)
    for (const [place, field] of hash.fields.keys().entries()) add(field, hash.fields.valueAt(place) ?? '')
  else next = hash?.fields.scan(cursor, count, add) ?? 0
  reply.array(2)
  reply.bulk(String(next))
  reply.array(found.length)
  for (const each of found) reply.bulk(each)
}

function hrandField({ args, db, reply }: Call): void {
  if (args.length === 2) {
    const hash = db.hash(text(args[1]))
    if (hash === undefined) return reply.nil()
    return reply.bulk(hash.fields.keyAt(Math.floor(Math.random() * hash.length)) ?? '')
  }
  const withValues = args.length > 3
  const count = randomCount(args[2], withValues)
  if (args.length > 4 || (withValues && option(args[3]) !== 'WITHVALUES')) throw syntaxError()
  const hash = db.hash(text(args[1]))
  const places = pickPlaces(hash?.length ?? 0, count)
  const pairs = withValues && reply.protocol === 3
  reply.array(withValues && !pairs ? places.length * 2 : places.length)
  for (const place of places) {
    if (pairs) reply.array(2)
    reply.bulk(hash?.fields.keyAt(place) ?? '')
    if (withValues) reply.bulk(hash?.fields.valueAt(place) ?? '')
  }
}

// --------------------------------------------------------------------------------------------- times to live of single fields

/** `FIELDS count field …` from argument `at`: the fields. */
function fieldList(args: readonly Buffer[], at: number): string[] {
  if (option(args[at]) !== 'FIELDS') throw new RedisError('ERR Mandatory argument FIELDS is missing or not at the right position')
  const count = integer(args[at + 1], 'ERR Number of fields must be a positive integer')
  if (count < 1) throw new RedisError('ERR Number of fields must be a positive integer')
  if (args.length !== at + 2 + count) throw new RedisError('ERR The `numfields` parameter must match the number of arguments')
  return args.slice(at + 2).map((arg) => text(arg))
}

const hexpire =
  (unit: string, name: string) =>
  ({ args, db, reply, now }: Call): void => {
    const key = text(args[1])
    const hash = db.hash(key)
    const at = expiryOf(unit, args[2], now, name)
    if (integer64(text(args[2])) < 0n) throw new RedisError(`ERR invalid expire time, must be >= 0`)
    const fieldsAt = option(args[3]) === 'FIELDS' ? 3 : 4
    const conditions: ExpiryConditions =
      fieldsAt === 4 ? expiryConditions(args, 3, 4) : { nx: false, xx: false, gt: false, lt: false }
    const fields = fieldList(args, fieldsAt)
    reply.array(fields.length)
    let changed = false
    for (const field of fields) {
      if (hash === undefined || !hash.has(field)) {
        reply.integer(-2)
        continue
      }
      if (!conditionsHold(conditions, hash.expiryOf(field), at)) {
        reply.integer(0)
        continue
      }
      changed = true
      if (at <= now) {
        db.hashDelete(key, field)
        reply.integer(2)
      } else {
        db.hashExpire(key, field, at)
        reply.integer(1)
      }
    }
    if (changed) db.notify('h', 'hexpire', key)
    if (changed && !db.exists(key)) db.notify('g', 'del', key)
  }

const fieldTimes =
  (answer: (at: number, now: number) => number) =>
  ({ args, db, reply, now }: Call): void => {
    const hash = db.hash(text(args[1]))
    const fields = fieldList(args, 2)
    reply.array(fields.length)
    for (const field of fields) {
      const at = hash?.expiryOf(field)
      if (hash === undefined || !hash.has(field)) reply.integer(-2)
      else reply.integer(at === undefined ? -1 : answer(at, now))
    }
  }

function hpersist({ args, db, reply }: Call): void {
  const key = text(args[1])
  const hash = db.hash(key)
  const fields = fieldList(args, 2)
  reply.array(fields.length)
  let changed = false
  for (const field of fields) {
    if (hash === undefined || !hash.has(field)) reply.integer(-2)
    else if (hash.expiryOf(field) === undefined) reply.integer(-1)
    else {
      db.hashExpire(key, field, 0)
      changed = true
      reply.integer(1)
    }
  }
  if (changed) db.notify('h', 'hpersist', key)
}

const one = [1, 1, 1] as const

export const hashCommands: readonly Command[] = [
  command('hash', 'hset', -4, 'write denyoom fast', one, (call) => hset(call, 'hset')),
  command('hash', 'hmset', -4, 'write denyoom fast', one, (call) => hset(call, 'hmset')),
  command('hash', 'hsetnx', 4, 'write denyoom fast', one, hsetNx),
  command('hash', 'hget', 3, 'readonly fast', one, hget),
  command('hash', 'hmget', -3, 'readonly fast', one, hmget),
  command('hash', 'hgetall', 2, 'readonly', one, hgetAll),
  command('hash', 'hkeys', 2, 'readonly', one, (call) => list(call, 'keys')),
  command('hash', 'hvals', 2, 'readonly', one, (call) => list(call, 'values')),
  command('hash', 'hlen', 2, 'readonly fast', one, ({ args, db, reply }) => reply.integer(db.hash(text(args[1]))?.length ?? 0)),
  command('hash', 'hstrlen', 3, 'readonly fast', one, ({ args, db, reply }) =>
    reply.integer(db.hash(text(args[1]))?.get(text(args[2]))?.length ?? 0),
  ),
  command('hash', 'hexists', 3, 'readonly fast', one, ({ args, db, reply }) =>
    reply.integer(db.hash(text(args[1]))?.has(text(args[2])) === true ? 1 : 0),
  ),
  command('hash', 'hdel', -3, 'write fast', one, hdel),
  command('hash', 'hincrby', 4, 'write denyoom fast', one, hincrBy),
  command('hash', 'hincrbyfloat', 4, 'write denyoom fast', one, hincrByFloat),
  command('hash', 'hscan', -3, 'readonly', one, hscan),
  command('hash', 'hrandfield', -2, 'readonly', one, hrandField),
  command('hash', 'hexpire', -6, 'write fast', one, hexpire('EX', 'hexpire')),
  command('hash', 'hpexpire', -6, 'write fast', one, hexpire('PX', 'hpexpire')),
  command('hash', 'hexpireat', -6, 'write fast', one, hexpire('EXAT', 'hexpireat')),
  command('hash', 'hpexpireat', -6, 'write fast', one, hexpire('PXAT', 'hpexpireat')),
  command('hash', 'httl', -5, 'readonly fast', one, fieldTimes(secondsLeft)),
  command(
    'hash',
    'hpttl',
    -5,
    'readonly fast',
    one,
    fieldTimes((at, now) => at - now),
  ),
  command(
    'hash',
    'hexpiretime',
    -5,
    'readonly fast',
    one,
    fieldTimes((at) => Math.floor((at + 500) / 1000)),
  ),
  command(
    'hash',
    'hpexpiretime',
    -5,
    'readonly fast',
    one,
    fieldTimes((at) => at),
  ),
  command('hash', 'hpersist', -5, 'write fast', one, hpersist),
]
