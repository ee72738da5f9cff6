/** Sorted sets: members, scores and counts. Ranges are in sorted-ranges.ts, unions and the like in sorted-operations.ts, popping in sorted-pops.ts. */

import { formatDouble } from '../../../lib/resp/reply.ts'
import { float, option, text } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import { RedisError, syntaxError } from '../errors.ts'
import { scanOptions } from './keys.ts'
import { pickPlaces, randomCount } from './random.ts'

interface AddOptions {
  nx: boolean
  xx: boolean
  gt: boolean
  lt: boolean
  /** Reply how many were changed, too. */
  changed: boolean
  increment: boolean
}

function zadd({ args, db, reply }: Call, increments: boolean): void {
  const key = text(args[1])
  const options: AddOptions = { nx: false, xx: false, gt: false, lt: false, changed: false, increment: increments }
  const from = increments ? 2 : readAddOptions(args, options)
  const pairs = args.length - from
  if (pairs === 0 || pairs % 2 !== 0) throw syntaxError()
  if (options.nx && options.xx) throw new RedisError('ERR XX and NX options at the same time are not compatible')
  if ((options.gt && options.lt) || (options.nx && (options.gt || options.lt)))
    throw new RedisError('ERR GT, LT, and/or NX options at the same time are not compatible')
  if (options.increment && pairs > 2) throw new RedisError('ERR INCR option supports a single increment-element pair')
  // All scores are read before anything is changed.
  const scores: number[] = []
  for (let at = from; at < args.length; at += 2) scores.push(float(args[at]))
  const sorted = db.sortedSet(key)
  let added = 0
  let changed = 0
  let result: number | null = null
  for (const [index, given] of scores.entries()) {
    const member = text(args[from + index * 2 + 1])
    const present = sorted?.score(member) ?? db.sortedSet(key)?.score(member)
    // Zero has no sign.
    const score = (options.increment ? (present ?? 0) + given : given) || 0
    if (options.increment && Number.isNaN((present ?? 0) + given))
      throw new RedisError('ERR resulting score is not a number (NaN)')
    if (!mayAdd(options, present, score)) continue
    // The reply has the sign that zero loses.
    result = options.increment ? (present ?? 0) + given : given
    if (present !== undefined && Object.is(present, score)) continue
    if (present !== undefined && present === score) continue
    if (db.sortedAdd(key, member, score)) added++
    else changed++
  }
  if (added + changed > 0) db.notify('z', options.increment ? 'zincr' : 'zadd', key)
  if (options.increment) {
    if (result === null) reply.nil()
    else reply.double(result)
  } else reply.integer(options.changed ? added + changed : added)
}

/** Where the pairs begin. */
function readAddOptions(args: readonly Buffer[], options: AddOptions): number {
  for (let at = 2; at < args.length; at++) {
    switch (option(args[at])) {
      case 'NX':
        options.nx = true
        break
      case 'XX':
        options.xx = true
        break
      case 'GT':
        options.gt = true
        break
      case 'LT':
        options.lt = true
        break
      case 'CH':
        options.changed = true
        break
      case 'INCR':
        options.increment = true
        break
      default:
        return at
    }
  }
  return args.length
}

function mayAdd({ nx, xx, gt, lt }: AddOptions, present: number | undefined, score: number): boolean {
  if (present === undefined) return !xx
  if (nx) return false
  if (gt && score <= present) return false
  return !(lt && score >= present)
}

function zrem({ args, db, reply }: Call): void {
  const key = text(args[1])
  if (db.sortedSet(key) === undefined) return reply.integer(0)
  let removed = 0
  for (let at = 2; at < args.length; at++) if (db.sortedRemove(key, text(args[at]))) removed++
  if (removed > 0) {
    db.notify('z', 'zrem', key)
    if (!db.exists(key)) db.notify('g', 'del', key)
  }
  reply.integer(removed)
}

function zscore({ args, db, reply }: Call): void {
  const score = db.sortedSet(text(args[1]))?.score(text(args[2]))
  if (score === undefined) reply.nil()
  else reply.double(score)
}

function zmscore({ args, db, reply }: Call): void {
  const sorted = db.sortedSet(text(args[1]))
  reply.array(args.length - 2)
  for (let at = 2; at < args.length; at++) {
    const score = sorted?.score(text(args[at]))
    if (score === undefined) reply.nil()
    else reply.double(score)
  }
}

function rank({ args, db, reply }: Call, reverse: boolean): void {
  const withScore = args.length > 3
  if (args.length > 4 || (withScore && option(args[3]) !== 'WITHSCORE')) throw syntaxError()
  const sorted = db.sortedSet(text(args[1]))
  const member = text(args[2])
  const score = sorted?.score(member)
  if (sorted === undefined || score === undefined) return withScore ? reply.nilArray() : reply.nil()
  const place = reverse ? sorted.length - 1 - sorted.rank(member) : sorted.rank(member)
  if (!withScore) return reply.integer(place)
  reply.array(2)
  reply.integer(place)
  reply.double(score)
}

function zscan({ args, db, reply }: Call): void {
  const { cursor, glob, count } = scanOptions(args, 2)
  const sorted = db.sortedSet(text(args[1]))
  const found: string[] = []
  const add = (member: string, score: number): void => {
    if (glob === null || glob.matches(member)) found.push(member, formatDouble(score))
  }
  let next = 0
  if (sorted?.isCompact === true) sorted.range(0, sorted.length - 1, false, add)
  else next = sorted?.members.scan(cursor, count, add) ?? 0
  reply.array(2)
  reply.bulk(String(next))
  reply.array(found.length)
  for (const each of found) reply.bulk(each)
}

function randMember({ args, db, reply }: Call): void {
  if (args.length === 2) {
    const sorted = db.sortedSet(text(args[1]))
    if (sorted === undefined) return reply.nil()
    return reply.bulk(sorted.members.keyAt(Math.floor(Math.random() * sorted.length)) ?? '')
  }
  const withScores = args.length > 3
  const count = randomCount(args[2], withScores)
  if (args.length > 4 || (withScores && option(args[3]) !== 'WITHSCORES')) throw syntaxError()
  const sorted = db.sortedSet(text(args[1]))
  const places = pickPlaces(sorted?.length ?? 0, count)
  const pairs = withScores && reply.protocol === 3
  reply.array(withScores && !pairs ? places.length * 2 : places.length)
  for (const place of places) {
    if (pairs) reply.array(2)
    reply.bulk(sorted?.members.keyAt(place) ?? '')
    if (withScores) reply.double(sorted?.members.valueAt(place) ?? 0)
  }
}

const one = [1, 1, 1] as const

export const sortedSetCommands: readonly Command[] = [
  command('sorted-set', 'zadd', -4, 'write denyoom fast', one, (call) => zadd(call, false)),
  command('sorted-set', 'zincrby', 4, 'write denyoom fast', one, (call) => zadd(call, true)),
  command('sorted-set', 'zrem', -3, 'write fast', one, zrem),
  command('sorted-set', 'zscore', 3, 'readonly fast', one, zscore),
  command('sorted-set', 'zmscore', -3, 'readonly fast', one, zmscore),
  command('sorted-set', 'zrank', -3, 'readonly fast', one, (call) => rank(call, false)),
  command('sorted-set', 'zrevrank', -3, 'readonly fast', one, (call) => rank(call, true)),
  command('sorted-set', 'zcard', 2, 'readonly fast', one, ({ args, db, reply }) =>
    reply.integer(db.sortedSet(text(args[1]))?.length ?? 0),
  ),
  command('sorted-set', 'zscan', -3, 'readonly', one, zscan),
  command('sorted-set', 'zrandmember', -2, 'readonly', one, randMember),
]
