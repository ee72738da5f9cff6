/** Unions, intersections and differences of sorted sets and sets. */
import { float, integer, option, text } from '../arguments.ts'
import { type Call, type Command, command, numberedKeys } from '../command.ts'
import type { Database } from '../database.ts'
import { RedisError, syntaxError, wrongType } from '../errors.ts'
import { SetValue } from '../set-value.ts'
import { SortedSet } from '../sorted-set.ts'
import { replyElements, storeSorted } from './sorted-ranges.ts'

type Operation = 'union' | 'inter' | 'diff'
type Source = SortedSet | SetValue | undefined

interface Request {
  readonly keys: readonly string[]
  readonly weights: readonly number[]
  readonly aggregate: (one: number, other: number) => number
  readonly withScores: boolean
}

/** Infinities of both signs make no sum; Redis says zero. */
const sum = (one: number, other: number): number => {
  const total = one + other
  return Number.isNaN(total) ? 0 : total
}

function readRequest(db: Database, args: readonly Buffer[], at: number, operation: Operation, stores: boolean): Request {
  const name = `z${operation}${stores ? 'store' : ''}`
  const count = integer(args[at])
  if (count < 1) throw new RedisError(`ERR at least 1 input key is needed for '${name}' command`)
  if (count > args.length - at - 1) throw syntaxError()
  const keys = args.slice(at + 1, at + 1 + count).map(text)
  // A wrong type is told before what is wrong with the options.
  for (const key of keys) sourceOf(db, key)
  const weights = keys.map(() => 1)
  let aggregate: Request['aggregate'] = sum
  let withScores = false
  for (let place = at + 1 + count; place < args.length; place++) {
    const word = option(args[place])
    if (word === 'WEIGHTS' && operation !== 'diff' && args.length - place - 1 >= count) {
      for (let index = 0; index < count; index++) weights[index] = float(args[++place], 'ERR weight value is not a float')
    } else if (word === 'AGGREGATE' && operation !== 'diff' && place + 1 < args.length) {
      const how = option(args[++place])
      if (how === 'SUM') aggregate = sum
      else if (how === 'MIN') aggregate = Math.min
      else if (how === 'MAX') aggregate = Math.max
      else throw syntaxError()
    } else if (word === 'WITHSCORES' && !stores) withScores = true
    else throw syntaxError()
  }
  return { keys, weights, aggregate, withScores }
}

function sourceOf(db: Database, key: string): Source {
  const value = db.get(key)
  if (value instanceof SortedSet || value instanceof SetValue) return value
  if (value !== undefined || db.provider(key) !== undefined) throw wrongType()
  return undefined
}

const scoreIn = (source: Source, member: string): number | undefined => {
  if (source instanceof SortedSet) return source.score(member)
  return source?.has(member) === true ? 1 : undefined
}

const membersOf = (source: Source): readonly string[] =>
  source instanceof SortedSet ? source.members.keys() : (source?.list() ?? [])

const weighted = (score: number, weight: number): number => {
  const value = score * weight
  return Number.isNaN(value) ? 0 : value
}

function operate(db: Database, operation: Operation, { keys, weights, aggregate }: Request): SortedSet {
  const sources = keys.map((key) => sourceOf(db, key))
  const result = new SortedSet()
  if (operation === 'union') {
    for (const [index, source] of sources.entries()) {
      for (const member of membersOf(source)) {
        const score = weighted(scoreIn(source, member) ?? 0, weights[index] ?? 1)
        const present = result.score(member)
        result.add(member, present === undefined ? score : aggregate(present, score))
      }
    }
    return result
  }
  const [first, ...others] = sources
  for (const member of membersOf(first)) {
    const score = scoreIn(first, member) ?? 0
    if (operation === 'diff') {
      if (!others.some((source) => scoreIn(source, member) !== undefined)) result.add(member, score)
      continue
    }
    let total = weighted(score, weights[0] ?? 1)
    const inAll = others.every((source, index) => {
      const other = scoreIn(source, member)
      if (other !== undefined) total = aggregate(total, weighted(other, weights[index + 1] ?? 1))
      return other !== undefined
    })
    if (inAll) result.add(member, total)
  }
  return result
}

const show =
  (operation: Operation) =>
  ({ args, db, reply }: Call): void => {
    const request = readRequest(db, args, 1, operation, false)
    const members: string[] = []
    const scores: number[] = []
    const result = operate(db, operation, request)
    result.range(0, result.length - 1, false, (member, score) => {
      members.push(member)
      scores.push(score)
    })
    replyElements(reply, members, request.withScores ? scores : null)
  }

const store =
  (operation: Operation) =>
  ({ args, db, reply }: Call): void => {
    const result = operate(db, operation, readRequest(db, args, 2, operation, true))
    storeSorted(db, text(args[1]), result, `z${operation}store`)
    reply.integer(result.length)
  }

function interCard({ args, db, reply }: Call): void {
  const count = integer(args[1])
  if (count < 1) throw new RedisError("ERR at least 1 input key is needed for 'zintercard' command")
  if (count > args.length - 2) throw syntaxError()
  const sources = args.slice(2, 2 + count).map((arg) => sourceOf(db, text(arg)))
  let limit = 0
  for (let at = 2 + count; at < args.length; at++) {
    if (option(args[at]) !== 'LIMIT' || at + 1 >= args.length) throw syntaxError()
    limit = integer(args[++at], "ERR LIMIT can't be negative")
    if (limit < 0) throw new RedisError("ERR LIMIT can't be negative")
  }
  const [first, ...others] = sources.sort((one, other) => (one?.length ?? 0) - (other?.length ?? 0))
  let found = 0
  for (const member of membersOf(first)) {
    if (others.every((source) => scoreIn(source, member) !== undefined)) found++
    if (limit > 0 && found === limit) break
  }
  reply.integer(found)
}

/** The target, and the keys that are numbered. */
const storeKeys = (args: readonly Buffer[]): readonly number[] => [1, ...numberedKeys(2)(args)]

export const sortedOperationCommands: readonly Command[] = [
  command('sorted-set', 'zunion', -3, 'readonly', numberedKeys(1), show('union')),
  command('sorted-set', 'zinter', -3, 'readonly', numberedKeys(1), show('inter')),
  command('sorted-set', 'zdiff', -3, 'readonly', numberedKeys(1), show('diff')),
  command('sorted-set', 'zunionstore', -4, 'write denyoom', storeKeys, store('union')),
  command('sorted-set', 'zinterstore', -4, 'write denyoom', storeKeys, store('inter')),
  command('sorted-set', 'zdiffstore', -4, 'write denyoom', storeKeys, store('diff')),
  command('sorted-set', 'zintercard', -3, 'readonly', numberedKeys(1), interCard),
]
