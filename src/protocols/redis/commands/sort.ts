/** SORT of sets and sorted sets, and of lists by what their provider says of their elements. */
import { float, integer, option, text } from '../arguments.ts'
import { type Call, type Command, command, whenRead } from '../command.ts'
import type { Database } from '../database.ts'
import { RedisError, syntaxError, wrongType } from '../errors.ts'
import { HashValue } from '../hash-value.ts'
import { SetValue } from '../set-value.ts'
import { SortedSet } from '../sorted-set.ts'
import { StringValue } from '../string-value.ts'

interface Request {
  alpha: boolean
  descending: boolean
  by: string | null
  readonly gets: string[]
  offset: number
  /** Negative: all. */
  count: number
  store: string | null
}

function readRequest(args: readonly Buffer[], readOnly: boolean): Request {
  const request: Request = { alpha: false, descending: false, by: null, gets: [], offset: 0, count: -1, store: null }
  for (let at = 2; at < args.length; at++) {
    const word = option(args[at])
    if (word === 'ASC') request.descending = false
    else if (word === 'DESC') request.descending = true
    else if (word === 'ALPHA') request.alpha = true
    else if (word === 'LIMIT' && at + 2 < args.length) {
      request.offset = integer(args[++at])
      request.count = integer(args[++at])
    } else if (word === 'BY' && at + 1 < args.length) request.by = text(args[++at])
    else if (word === 'GET' && at + 1 < args.length) request.gets.push(text(args[++at]))
    else if (word === 'STORE' && at + 1 < args.length && !readOnly) request.store = text(args[++at])
    else throw syntaxError()
  }
  return request
}

/** What a pattern with `*` leads to for an element: a string, or a field of a hash behind `->`; `#` is the element itself. */
function lookUp(db: Database, pattern: string, element: string): string | null {
  if (pattern === '#') return element
  const star = pattern.indexOf('*')
  if (star < 0) return null
  const arrow = pattern.indexOf('->', star)
  const hasField = arrow >= 0 && arrow + 2 < pattern.length
  const key = pattern.slice(0, star) + element + pattern.slice(star + 1, hasField ? arrow : undefined)
  const value = db.get(key)
  if (hasField) return value instanceof HashValue ? (value.get(pattern.slice(arrow + 2)) ?? null) : null
  return value instanceof StringValue ? value.text : null
}

function sortElements(db: Database, elements: readonly string[], request: Request): string[] {
  const { by, alpha, descending } = request
  if (by !== null && !by.includes('*')) return [...elements]
  const weighted = elements.map((element) => {
    const weight = by === null ? element : lookUp(db, by, element)
    const number =
      alpha || weight === null || weight === '' ? 0 : float(weight, "ERR One or more scores can't be converted into double")
    return { element, weight: weight ?? '', number }
  })
  const sign = descending ? -1 : 1
  weighted.sort((one, other) => {
    if (!alpha && one.number !== other.number) return one.number < other.number ? -sign : sign
    if (alpha && one.weight !== other.weight) return one.weight < other.weight ? -sign : sign
    return one.element === other.element ? 0 : one.element < other.element ? -sign : sign
  })
  return weighted.map(({ element }) => element)
}

function finish(call: Call, elements: readonly string[], request: Request, reply = call.reply): void {
  const { db, server } = call
  const sorted = sortElements(db, elements, request)
  const from = Math.max(0, request.offset)
  const chosen = request.count < 0 ? sorted.slice(from) : sorted.slice(from, from + request.count)
  const { gets, store } = request
  const results = gets.length === 0 ? chosen : chosen.flatMap((element) => gets.map((pattern) => lookUp(db, pattern, element)))
  if (store !== null) {
    const lists = server.providers.find(({ type }) => type === 'list')
    if (lists?.replace === undefined) throw new RedisError('ERR SORT cannot STORE: there are no lists')
    lists.replace(
      db,
      store,
      results.map((each) => each ?? ''),
    )
    return reply.integer(results.length)
  }
  reply.array(results.length)
  for (const each of results) {
    if (each === null) reply.nil()
    else reply.bulk(each)
  }
}

const sort =
  (readOnly: boolean) =>
  (call: Call): void => {
    const { args, db } = call
    const key = text(args[1])
    const request = readRequest(args, readOnly)
    const value = db.get(key)
    if (value instanceof SetValue) return finish(call, value.list(), request)
    if (value instanceof SortedSet) {
      const members: string[] = []
      // Without sorting, its own order counts.
      value.range(0, value.length - 1, request.descending, (member) => {
        members.push(member)
      })
      return finish(call, members, request)
    }
    if (value !== undefined) throw wrongType()
    const provider = db.provider(key)
    if (provider === undefined) return finish(call, [], request)
    if (provider.elements === undefined) throw wrongType()
    whenRead(call, key, (reply) => finish(call, provider.elements?.(db, key) ?? [], request, reply))
  }

export const sortCommands: readonly Command[] = [
  command('generic', 'sort', -2, 'write denyoom', [1, 1, 1], sort(false)),
  command('generic', 'sort_ro', -2, 'readonly', [1, 1, 1], sort(true)),
]
