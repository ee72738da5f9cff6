/** Ranges of sorted sets: by rank, by score, by the members' bytes; read, counted, removed or stored. */

import type { Reply } from '../../../lib/resp/reply.ts'
import { clampRange, float, integer, option, text } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import type { Database } from '../database.ts'
import { RedisError, syntaxError } from '../errors.ts'
import { SortedSet } from '../sorted-set.ts'

type By = 'rank' | 'score' | 'lex'

/** Ranks, both included; null: nothing. */
type Ranks = { readonly start: number; readonly stop: number } | null

/** Where a range of a sorted set lies; read from arguments before the key is looked at. */
type Range = (sorted: SortedSet) => Ranks

interface Bound {
  readonly value: number
  readonly exclusive: boolean
}

function scoreBound(arg: Buffer | undefined): Bound {
  const word = text(arg)
  const exclusive = word.startsWith('(')
  const message = 'ERR min or max is not a float'
  const number = exclusive ? word.slice(1) : word
  // Nothing is zero, as strtod has it.
  const value = number === '' ? 0 : float(number, message)
  return { value, exclusive }
}

export function scoreRange(minArg: Buffer | undefined, maxArg: Buffer | undefined): Range {
  const min = scoreBound(minArg)
  const max = scoreBound(maxArg)
  return (sorted) => {
    const start = sorted.countBefore((score) => (min.exclusive ? score <= min.value : score < min.value))
    const end = sorted.countBefore((score) => (max.exclusive ? score < max.value : score <= max.value))
    return start < end ? { start, stop: end - 1 } : null
  }
}

/** `-` and `+` are the ends; else a member after `[` or `(`. */
type LexBound = '-' | '+' | { readonly member: string; readonly exclusive: boolean }

function lexBound(arg: Buffer | undefined): LexBound {
  const word = text(arg)
  if (word === '-' || word === '+') return word
  if (!word.startsWith('[') && !word.startsWith('(')) throw new RedisError('ERR min or max not valid string range item')
  return { member: word.slice(1), exclusive: word.startsWith('(') }
}

export function lexRange(minArg: Buffer | undefined, maxArg: Buffer | undefined): Range {
  const min = lexBound(minArg)
  const max = lexBound(maxArg)
  /** Whether a member is below the range, or not above it. */
  const below = (bound: LexBound, member: string, orEqual: boolean): boolean => {
    if (bound === '-') return false
    if (bound === '+') return true
    return member < bound.member || (orEqual && member === bound.member)
  }
  return (sorted) => {
    const start = sorted.countBefore((_, member) => below(min, member, min !== '-' && min !== '+' && min.exclusive))
    const end = sorted.countBefore((_, member) => below(max, member, max !== '-' && max !== '+' && !max.exclusive))
    return start < end ? { start, stop: end - 1 } : null
  }
}

function rankRange(startArg: Buffer | undefined, stopArg: Buffer | undefined, reverse: boolean): Range {
  const start = integer(startArg)
  const stop = integer(stopArg)
  return (sorted) => {
    const ranks = clampRange(start, stop, sorted.length)
    if (ranks === null || !reverse) return ranks
    const last = sorted.length - 1
    return { start: last - ranks.stop, stop: last - ranks.start }
  }
}

interface Query {
  readonly range: Range
  readonly reverse: boolean
  readonly withScores: boolean
  readonly offset: number
  /** Negative: all. */
  readonly count: number
}

interface QueryForm {
  /** Undefined: options say it. */
  readonly by?: By
  readonly reverse?: boolean
  readonly stores?: boolean
}

/** From the argument behind the key on. */
function readQuery(args: readonly Buffer[], from: number, form: QueryForm): Query {
  let by = form.by
  let reverse = form.reverse === true
  let withScores = false
  let offset = 0
  let count = -1
  let limited = false
  for (let at = from + 2; at < args.length; at++) {
    const word = option(args[at])
    if (word === 'WITHSCORES' && form.stores !== true) withScores = true
    else if (word === 'LIMIT' && at + 2 < args.length && (form.by === undefined || form.by !== 'rank')) {
      offset = integer(args[++at])
      count = integer(args[++at])
      limited = true
    } else if (word === 'REV' && form.by === undefined && form.reverse === undefined) reverse = true
    else if (word === 'BYSCORE' && form.by === undefined && by === undefined) by = 'score'
    else if (word === 'BYLEX' && form.by === undefined && by === undefined) by = 'lex'
    else throw syntaxError()
  }
  by ??= 'rank'
  if (limited && by === 'rank')
    throw new RedisError('ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX')
  if (withScores && by === 'lex') throw new RedisError('ERR syntax error, WITHSCORES not supported in combination with BYLEX')
  const [min, max] = reverse && by !== 'rank' ? [args[from + 1], args[from]] : [args[from], args[from + 1]]
  const range = by === 'rank' ? rankRange(min, max, reverse) : by === 'score' ? scoreRange(min, max) : lexRange(min, max)
  return { range, reverse, withScores, offset, count }
}

/** Calls with each element of the range that is asked for. */
function visitRange(sorted: SortedSet, query: Query, visit: (member: string, score: number) => void): void {
  const ranks = query.range(sorted)
  if (ranks === null || query.offset < 0) return
  let { start, stop } = ranks
  if (query.reverse) stop -= query.offset
  else start += query.offset
  if (query.count >= 0) {
    if (query.reverse) start = Math.max(start, stop - query.count + 1)
    else stop = Math.min(stop, start + query.count - 1)
  }
  if (start > stop) return
  sorted.range(start, stop, query.reverse, (member, score) => {
    visit(member, score)
  })
}

/** Members, with their scores: in RESP3 as pairs. */
export function replyElements(reply: Reply, members: readonly string[], scores: readonly number[] | null): void {
  if (scores === null) {
    reply.array(members.length)
    for (const member of members) reply.bulk(member)
    return
  }
  const pairs = reply.protocol === 3
  reply.array(pairs ? members.length : members.length * 2)
  for (const [place, member] of members.entries()) {
    if (pairs) reply.array(2)
    reply.bulk(member)
    reply.double(scores[place] ?? 0)
  }
}

const range =
  (form: QueryForm) =>
  ({ args, db, reply }: Call): void => {
    const query = readQuery(args, 2, form)
    const members: string[] = []
    const scores: number[] = []
    const sorted = db.sortedSet(text(args[1]))
    if (sorted !== undefined)
      visitRange(sorted, query, (member, score) => {
        members.push(member)
        scores.push(score)
      })
    replyElements(reply, members, query.withScores ? scores : null)
  }

function rangeStore({ args, db, reply }: Call): void {
  const target = text(args[1])
  const query = readQuery(args, 3, { stores: true })
  const result = new SortedSet()
  const source = db.sortedSet(text(args[2]))
  if (source !== undefined) visitRange(source, query, (member, score) => result.add(member, score))
  storeSorted(db, target, result, 'zrangestore')
  reply.integer(result.length)
}

/** Puts a result in the place of whatever the key held; nothing, and the key goes. */
export function storeSorted(db: Database, key: string, result: SortedSet, event: string): void {
  if (result.length > 0) {
    db.put(key, result, 0)
    db.ready(key)
    db.notify('z', event, key)
  } else if (db.exists(key)) {
    db.remove(key)
    db.notify('g', 'del', key)
  }
}

const count =
  (read: typeof scoreRange) =>
  ({ args, db, reply }: Call): void => {
    const find = read(args[2], args[3])
    const sorted = db.sortedSet(text(args[1]))
    const ranks = sorted === undefined ? null : find(sorted)
    reply.integer(ranks === null ? 0 : ranks.stop - ranks.start + 1)
  }

const remove =
  (read: (min: Buffer | undefined, max: Buffer | undefined) => Range, event: string) =>
  ({ args, db, reply }: Call): void => {
    const key = text(args[1])
    const find = read(args[2], args[3])
    const sorted = db.sortedSet(key)
    const ranks = sorted === undefined ? null : find(sorted)
    if (sorted === undefined || ranks === null) return reply.integer(0)
    const members: string[] = []
    sorted.range(ranks.start, ranks.stop, false, (member) => {
      members.push(member)
    })
    for (const member of members) db.sortedRemove(key, member)
    db.notify('z', event, key)
    if (!db.exists(key)) db.notify('g', 'del', key)
    reply.integer(members.length)
  }

const one = [1, 1, 1] as const

export const sortedRangeCommands: readonly Command[] = [
  command('sorted-set', 'zrange', -4, 'readonly', one, range({})),
  command('sorted-set', 'zrevrange', -4, 'readonly', one, range({ by: 'rank', reverse: true })),
  command('sorted-set', 'zrangebyscore', -4, 'readonly', one, range({ by: 'score', reverse: false })),
  command('sorted-set', 'zrevrangebyscore', -4, 'readonly', one, range({ by: 'score', reverse: true })),
  command('sorted-set', 'zrangebylex', -4, 'readonly', one, range({ by: 'lex', reverse: false })),
  command('sorted-set', 'zrevrangebylex', -4, 'readonly', one, range({ by: 'lex', reverse: true })),
  command('sorted-set', 'zrangestore', -5, 'write denyoom', [1, 2, 1], rangeStore),
  command('sorted-set', 'zcount', 4, 'readonly fast', one, count(scoreRange)),
  command('sorted-set', 'zlexcount', 4, 'readonly fast', one, count(lexRange)),
  command(
    'sorted-set',
    'zremrangebyrank',
    4,
    'write',
    one,
    remove((start, stop) => rankRange(start, stop, false), 'zremrangebyrank'),
  ),
  command('sorted-set', 'zremrangebyscore', 4, 'write', one, remove(scoreRange, 'zremrangebyscore')),
  command('sorted-set', 'zremrangebylex', 4, 'write', one, remove(lexRange, 'zremrangebylex')),
]
