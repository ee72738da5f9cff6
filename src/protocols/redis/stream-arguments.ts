/** Arguments and replies that the commands of streams share. */

import type { Reply } from '../../lib/resp/reply.ts'
import { integer, option, text } from './arguments.ts'
import type { Call } from './command.ts'
import type { Database } from './database.ts'
import { RedisError, syntaxError } from './errors.ts'
import type { Trimming, WantedId } from './stream.ts'
import type { Group } from './stream-group.ts'
import { idText, parseId, parseU64, type StreamId } from './stream-id.ts'
import type { Entry } from './stream-log.ts'
import type { HeldStream } from './streams.ts'

/** The stream of a key that holds one; undefined: there is none. Throws WRONGTYPE. */
export function streamAt(call: Call, key: string): HeldStream | undefined {
  const { db } = call
  const held = call.server.streams.find(db, key)
  if (held === undefined || db.expiring > 0 || db.get(key) !== undefined) db.mustBe(key, 'stream')
  // It may have expired just now.
  return held === undefined || db.expiring === 0 ? held : call.server.streams.find(db, key)
}

export const noGroup = (key: string, group: string, where = ''): RedisError =>
  new RedisError(`NOGROUP No such key '${key}' or consumer group '${group}'${where}`)

/** Stream and group of a command; throws NOGROUP where either is missing. */
export function groupAt(call: Call, key: string, name: string): { held: HeldStream; group: Group } {
  const held = streamAt(call, key)
  const group = held?.stream.groups.get(name)
  if (held === undefined || group === undefined) throw noGroup(key, name)
  return { held, group }
}

export function replyEntry(reply: Reply, { id, pairs }: Pick<Entry, 'id' | 'pairs'>): void {
  reply.array(2)
  reply.bulk(idText(id))
  reply.array(pairs.length)
  for (const part of pairs) reply.bulk(part)
}

export function replyEntries(reply: Reply, entries: readonly Pick<Entry, 'id' | 'pairs'>[]): void {
  reply.array(entries.length)
  for (const entry of entries) replyEntry(reply, entry)
}

/** `COUNT n`, where less than none is none. */
export const countOf = (arg: Buffer | string | undefined): number => Math.max(0, integer(arg))

export interface TrimOptions {
  readonly trimming: Trimming | null
  readonly onlyPresent: boolean
  /** Where the first argument stands that is no option. */
  readonly next: number
}

/** Options of XADD and XTRIM from `at` on. */
export function trimOptions(args: readonly Buffer[], at: number, forAdd: boolean): TrimOptions {
  let by: Trimming['by'] | null = null
  let approximate = false
  let limit = -1
  let onlyPresent = false
  let next = at
  for (; next < args.length; next++) {
    const word = option(args[next])
    const more = args.length - 1 - next
    if (forAdd && word === '*') break
    if ((word === 'MAXLEN' || word === 'MINID') && more > 0) {
      if (by !== null) throw new RedisError('ERR syntax error, MAXLEN and MINID options at the same time are not compatible')
      approximate = false
      const sign = text(args[next + 1])
      if (more >= 2 && (sign === '~' || sign === '=')) {
        approximate = sign === '~'
        next++
      }
      const threshold = args[++next]
      if (word === 'MINID') by = { id: parseId(text(threshold)) }
      else {
        const length = integer(threshold)
        if (length < 0) throw new RedisError('ERR The MAXLEN argument must be >= 0.')
        by = { length }
      }
    } else if (word === 'LIMIT' && more > 0) {
      limit = integer(args[++next])
      if (limit < 0) throw new RedisError('ERR The LIMIT argument must be >= 0.')
    } else if (forAdd && word === 'NOMKSTREAM') onlyPresent = true
    else if (forAdd && (word === 'KEEPREF' || word === 'DELREF' || word === 'ACKED')) references(word)
    else if (forAdd) break
    else throw syntaxError()
  }
  if (forAdd && next < args.length) wantedId(text(args[next]))
  if (limit >= 0 && by === null)
    throw new RedisError('ERR syntax error, LIMIT cannot be used without specifying a trimming strategy')
  if (!forAdd && by === null) throw new RedisError('ERR syntax error, XTRIM must be called with a trimming strategy')
  if (limit >= 0 && !approximate) throw new RedisError('ERR syntax error, LIMIT cannot be used without the special ~ option')
  const trimming = by === null ? null : { by, approximate, limit: limit < 0 ? 100 * 100 : limit }
  return { trimming, onlyPresent, next }
}

/** Trimming keeps references to what goes, as it always did; other ways are for XDELEX and XACKDEL. */
function references(word: string): void {
  if (word !== 'KEEPREF') throw new RedisError(`ERR trimming with ${word} is not supported: use XDELEX`)
}

const anyId: WantedId = { ms: null, seq: null }

/** The id of XADD: `*`, `ms-*`, `ms-seq`, `ms`. */
export function wantedId(said: string): WantedId {
  if (said === '*') return anyId
  if (!said.endsWith('-*')) return parseId(said)
  const ms = parseU64(said.slice(0, -2))
  if (ms === null) return parseId('') // throws
  return { ms, seq: null }
}

/** Says that a key was changed. */
export function touched(db: Database, key: string, event: string): void {
  db.touched(key)
  db.notify('t', event, key)
}

export const idsOf = (args: readonly Buffer[]): StreamId[] => args.map((arg) => parseId(text(arg)))
