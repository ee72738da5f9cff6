/** Sets. */
import { integer, option, text } from '../arguments.ts'
import { type Call, type Command, command, numberedKeys } from '../command.ts'
import type { Database } from '../database.ts'
import { RedisError, syntaxError } from '../errors.ts'
import { SetValue } from '../set-value.ts'
import { scanOptions } from './keys.ts'
import { pickPlaces, randomCount } from './random.ts'

function sadd({ args, db, reply }: Call): void {
  const key = text(args[1])
  db.set(key)
  let added = 0
  for (let at = 2; at < args.length; at++) if (db.setAdd(key, text(args[at]))) added++
  if (added > 0) db.notify('s', 'sadd', key)
  reply.integer(added)
}

function srem({ args, db, reply }: Call): void {
  const key = text(args[1])
  if (db.set(key) === undefined) return reply.integer(0)
  let removed = 0
  for (let at = 2; at < args.length; at++) if (db.setRemove(key, text(args[at]))) removed++
  if (removed > 0) tellRemoved(db, key, 'srem')
  reply.integer(removed)
}

function tellRemoved(db: Database, key: string, event: string): void {
  db.notify('s', event, key)
  if (!db.exists(key)) db.notify('g', 'del', key)
}

function smove({ args, db, reply }: Call): void {
  const from = text(args[1])
  const to = text(args[2])
  const member = text(args[3])
  const source = db.set(from)
  if (source === undefined) return reply.integer(0)
  db.set(to)
  if (source?.has(member) !== true) return reply.integer(0)
  if (from === to) return reply.integer(1)
  db.setRemove(from, member)
  tellRemoved(db, from, 'srem')
  if (db.setAdd(to, member)) db.notify('s', 'sadd', to)
  reply.integer(1)
}

function replySet(reply: Call['reply'], members: readonly string[]): void {
  reply.set(members.length)
  for (const member of members) reply.bulk(member)
}

function isMemberEach({ args, db, reply }: Call): void {
  const set = db.set(text(args[1]))
  reply.array(args.length - 2)
  for (let at = 2; at < args.length; at++) reply.integer(set?.has(text(args[at])) === true ? 1 : 0)
}

function spop({ args, db, reply }: Call): void {
  if (args.length > 3) throw syntaxError()
  const key = text(args[1])
  if (args.length === 2) {
    const set = db.set(key)
    if (set === undefined) return reply.nil()
    const member = set.members.keyAt(Math.floor(Math.random() * set.length)) ?? ''
    db.setRemove(key, member)
    tellRemoved(db, key, 'spop')
    return reply.bulk(member)
  }
  const count = integer(args[2], 'ERR value is out of range, must be positive')
  if (count < 0) throw new RedisError('ERR value is out of range, must be positive')
  const set = db.set(key)
  const members = pickPlaces(set?.length ?? 0, count).map((place) => set?.members.keyAt(place) ?? '')
  for (const member of members) db.setRemove(key, member)
  if (members.length > 0) tellRemoved(db, key, 'spop')
  replySet(reply, members)
}

function srandMember({ args, db, reply }: Call): void {
  if (args.length > 3) throw syntaxError()
  const count = args.length === 2 ? 1 : randomCount(args[2], false)
  const set = db.set(text(args[1]))
  const members = pickPlaces(set?.length ?? 0, count).map((place) => set?.members.keyAt(place) ?? '')
  if (args.length === 2) {
    const [member] = members
    if (member === undefined) reply.nil()
    else reply.bulk(member)
    return
  }
  reply.array(members.length)
  for (const member of members) reply.bulk(member)
}

function sscan({ args, db, reply }: Call): void {
  const { cursor, glob, count } = scanOptions(args, 2)
  const set = db.set(text(args[1]))
  const found: string[] = []
  const add = (member: string): void => {
    if (glob === null || glob.matches(member)) found.push(member)
  }
  let next = 0
  if (set !== undefined && set.encoding !== 'hashtable') set.list().forEach(add)
  else next = set?.members.scan(cursor, count, add) ?? 0
  reply.array(2)
  reply.bulk(String(next))
  reply.array(found.length)
  for (const member of found) reply.bulk(member)
}

// ----------------------------------------------------------------------------------------------------------------- operations

type Operation = (db: Database, keys: readonly string[]) => string[]

/** Looks at all keys, so that a wrong type is told, also where an empty set has decided already. */
const setsOf = (db: Database, keys: readonly string[]): (SetValue | undefined)[] => keys.map((key) => db.set(key))

const intersect =
  (limit: number): Operation =>
  (db, keys) => {
    const sets = setsOf(db, keys)
    const found: string[] = []
    const present = sets.filter((set) => set !== undefined).sort((one, other) => one.length - other.length)
    if (present.length < sets.length) return found
    const [smallest, ...others] = present
    for (const member of smallest?.list() ?? []) {
      if (!others.every((set) => set.has(member))) continue
      found.push(member)
      if (found.length === limit) break
    }
    return found
  }

const unite: Operation = (db, keys) => {
  const united = new Set<string>()
  for (const set of setsOf(db, keys)) for (const member of set?.list() ?? []) united.add(member)
  return [...united]
}

const subtract: Operation = (db, keys) => {
  const [first, ...others] = setsOf(db, keys)
  return (first?.list() ?? []).filter((member) => !others.some((set) => set?.has(member) === true))
}

const operate =
  (operation: Operation) =>
  ({ args, db, reply }: Call): void => {
    replySet(reply, operation(db, args.slice(1).map(text)))
  }

const store =
  (operation: Operation, event: string) =>
  ({ args, db, reply }: Call): void => {
    const target = text(args[1])
    const members = operation(db, args.slice(2).map(text))
    storeSet(db, target, members, event)
    reply.integer(members.length)
  }

function storeSet(db: Database, key: string, members: readonly string[], event: string): void {
  if (members.length === 0) {
    if (!db.exists(key)) return
    db.remove(key)
    db.notify('g', 'del', key)
    return
  }
  const set = new SetValue()
  for (const member of members) set.add(member)
  db.put(key, set, 0)
  db.notify('s', event, key)
}

function interCard({ args, db, reply }: Call): void {
  const count = integer(args[1], 'ERR numkeys should be greater than 0')
  if (count < 1) throw new RedisError('ERR numkeys should be greater than 0')
  if (count > args.length - 2) throw new RedisError("ERR Number of keys can't be greater than number of args")
  let limit = 0
  for (let at = 2 + count; at < args.length; at++) {
    if (option(args[at]) !== 'LIMIT' || at + 1 >= args.length) throw syntaxError()
    limit = integer(args[++at], "ERR LIMIT can't be negative")
    if (limit < 0) throw new RedisError("ERR LIMIT can't be negative")
  }
  reply.integer(intersect(limit === 0 ? Infinity : limit)(db, args.slice(2, 2 + count).map(text)).length)
}

const one = [1, 1, 1] as const
const all = [1, -1, 1] as const

export const setCommands: readonly Command[] = [
  command('set', 'sadd', -3, 'write denyoom fast', one, sadd),
  command('set', 'srem', -3, 'write fast', one, srem),
  command('set', 'smove', 4, 'write fast', [1, 2, 1], smove),
  command('set', 'scard', 2, 'readonly fast', one, ({ args, db, reply }) => reply.integer(db.set(text(args[1]))?.length ?? 0)),
  command('set', 'sismember', 3, 'readonly fast', one, ({ args, db, reply }) =>
    reply.integer(db.set(text(args[1]))?.has(text(args[2])) === true ? 1 : 0),
  ),
  command('set', 'smismember', -3, 'readonly fast', one, isMemberEach),
  command('set', 'smembers', 2, 'readonly', one, ({ args, db, reply }) => replySet(reply, db.set(text(args[1]))?.list() ?? [])),
  command('set', 'spop', -2, 'write fast', one, spop),
  command('set', 'srandmember', -2, 'readonly', one, srandMember),
  command('set', 'sscan', -3, 'readonly', one, sscan),
  command('set', 'sinter', -2, 'readonly', all, operate(intersect(Infinity))),
  command('set', 'sunion', -2, 'readonly', all, operate(unite)),
  command('set', 'sdiff', -2, 'readonly', all, operate(subtract)),
  command('set', 'sinterstore', -3, 'write denyoom', all, store(intersect(Infinity), 'sinterstore')),
  command('set', 'sunionstore', -3, 'write denyoom', all, store(unite, 'sunionstore')),
  command('set', 'sdiffstore', -3, 'write denyoom', all, store(subtract, 'sdiffstore')),
  command('set', 'sintercard', -3, 'readonly', numberedKeys(1), interCard),
]
