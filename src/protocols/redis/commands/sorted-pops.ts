/** Taking the lowest or highest of sorted sets, also waiting for one. */
import { integer, option, text, timeoutMs } from '../arguments.ts'
import { type Call, type Command, command, numberedKeys } from '../command.ts'
import type { Database } from '../database.ts'
import { RedisError, syntaxError } from '../errors.ts'
import type { SortedSet } from '../sorted-set.ts'

type End = 'min' | 'max'

interface Popped {
  readonly members: string[]
  readonly scores: number[]
}

function pop(db: Database, key: string, sorted: SortedSet, end: End, count: number): Popped {
  const members: string[] = []
  const scores: number[] = []
  if (count > 0) {
    const { length } = sorted
    const visit = (member: string, score: number): void => {
      members.push(member)
      scores.push(score)
    }
    if (end === 'min') sorted.range(0, count - 1, false, visit)
    else sorted.range(Math.max(0, length - count), length - 1, true, visit)
  }
  for (const member of members) db.sortedRemove(key, member)
  if (members.length > 0) {
    db.notify('z', `zpop${end}`, key)
    if (!db.exists(key)) db.notify('g', 'del', key)
  }
  return { members, scores }
}

const popNow =
  (end: End) =>
  ({ args, db, reply }: Call): void => {
    if (args.length > 3) throw syntaxError()
    const key = text(args[1])
    const count = args.length === 3 ? integer(args[2], 'ERR value is out of range, must be positive') : 1
    if (count < 0) throw new RedisError('ERR value is out of range, must be positive')
    const sorted = db.sortedSet(key)
    if (sorted === undefined) return reply.array(0)
    const { members, scores } = pop(db, key, sorted, end, count)
    const pairs = args.length === 3 && reply.protocol === 3
    reply.array(pairs ? members.length : members.length * 2)
    for (const [place, member] of members.entries()) {
      if (pairs) reply.array(2)
      reply.bulk(member)
      reply.double(scores[place] ?? 0)
    }
  }

/** [key, member, score] of the first key that has one. */
function popFirst({ db, reply }: Call, keys: readonly string[], end: End): boolean {
  for (const key of keys) {
    const sorted = db.sortedSet(key)
    if (sorted === undefined) continue
    const { members, scores } = pop(db, key, sorted, end, 1)
    reply.array(3)
    reply.bulk(key)
    reply.bulk(members[0] ?? '')
    reply.double(scores[0] ?? 0)
    return true
  }
  return false
}

const popWaiting =
  (end: End) =>
  (call: Call): void => {
    const { args } = call
    const keys = args.slice(1, -1).map(text)
    const timeout = timeoutMs(args.at(-1))
    if (popFirst(call, keys, end)) return
    call.block({
      keys,
      timeoutMs: timeout,
      serve: (served, key) => hasSorted(served.db, key) && popFirst(served, [key], end),
      timedOut: (reply) => reply.nilArray(),
    })
  }

/** A client that waits goes on waiting when the key became something else. */
const hasSorted = (db: Database, key: string): boolean => db.get(key)?.type === 'zset'

interface ManyRequest {
  readonly keys: readonly string[]
  readonly end: End
  readonly count: number
}

function readMany(args: readonly Buffer[], at: number): ManyRequest {
  const keyCount = integer(args[at], 'ERR numkeys should be greater than 0')
  if (keyCount < 1) throw new RedisError('ERR numkeys should be greater than 0')
  const whereAt = at + 1 + keyCount
  if (whereAt >= args.length) throw syntaxError()
  const where = option(args[whereAt])
  if (where !== 'MIN' && where !== 'MAX') throw syntaxError()
  let count = -1
  for (let place = whereAt + 1; place < args.length; place++) {
    if (option(args[place]) !== 'COUNT' || place + 1 >= args.length || count >= 0) throw syntaxError()
    count = integer(args[++place], 'ERR count should be greater than 0')
    if (count < 1) throw new RedisError('ERR count should be greater than 0')
  }
  const keys = args.slice(at + 1, whereAt).map(text)
  return { keys, end: where === 'MIN' ? 'min' : 'max', count: count < 0 ? 1 : count }
}

function popMany({ db, reply }: Call, keys: readonly string[], { end, count }: ManyRequest): boolean {
  for (const key of keys) {
    const sorted = db.sortedSet(key)
    if (sorted === undefined) continue
    const { members, scores } = pop(db, key, sorted, end, count)
    reply.array(2)
    reply.bulk(key)
    reply.array(members.length)
    for (const [place, member] of members.entries()) {
      reply.array(2)
      reply.bulk(member)
      reply.double(scores[place] ?? 0)
    }
    return true
  }
  return false
}

function zmpop(call: Call): void {
  const request = readMany(call.args, 1)
  if (!popMany(call, request.keys, request)) call.reply.nilArray()
}

function bzmpop(call: Call): void {
  const timeout = timeoutMs(call.args[1])
  const request = readMany(call.args, 2)
  if (popMany(call, request.keys, request)) return
  call.block({
    keys: request.keys,
    timeoutMs: timeout,
    serve: (served, key) => hasSorted(served.db, key) && popMany(served, [key], request),
    timedOut: (reply) => reply.nilArray(),
  })
}

const one = [1, 1, 1] as const
const allButLast = [1, -2, 1] as const

export const sortedPopCommands: readonly Command[] = [
  command('sorted-set', 'zpopmin', -2, 'write fast', one, popNow('min')),
  command('sorted-set', 'zpopmax', -2, 'write fast', one, popNow('max')),
  command('sorted-set', 'bzpopmin', -3, 'write fast blocking', allButLast, popWaiting('min')),
  command('sorted-set', 'bzpopmax', -3, 'write fast blocking', allButLast, popWaiting('max')),
  command('sorted-set', 'zmpop', -4, 'write', numberedKeys(1), zmpop),
  command('sorted-set', 'bzmpop', -5, 'write blocking', numberedKeys(2), bzmpop),
]
