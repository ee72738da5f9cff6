/**
 * Ids of stream entries: two 64-bit numbers, `ms-seq`. Each half is a number, and a bigint only beyond 2^53: comparisons between the two kinds are exact, and
 * nearly all are numbers.
 */
import { RedisError } from './errors.ts'

export type U64 = number | bigint

export interface StreamId {
  readonly ms: U64
  readonly seq: U64
}

export const u64Max = 2n ** 64n - 1n
export const idMin: StreamId = { ms: 0, seq: 0 }
export const idMax: StreamId = { ms: u64Max, seq: u64Max }

export const invalidId = (): RedisError => new RedisError('ERR Invalid stream ID specified as stream command argument')

export function compareIds(a: StreamId, b: StreamId): number {
  if (a.ms !== b.ms) return a.ms < b.ms ? -1 : 1
  if (a.seq !== b.seq) return a.seq < b.seq ? -1 : 1
  return 0
}

export const idText = ({ ms, seq }: StreamId): string => `${ms}-${seq}`

/** A bigint only where a number would not be exact. */
export const u64 = (value: bigint): U64 => (value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value)

/** null when it is none. */
export function parseU64(text: string): U64 | null {
  if (!/^\d{1,20}$/.test(text)) return null
  if (text.length < 16) return Number(text)
  const value = BigInt(text)
  return value > u64Max ? null : u64(value)
}

/** `ms`, `ms-seq`; what is left out is `missing`. Throws. */
export function parseId(text: string, missing: U64 = 0): StreamId {
  const dash = text.indexOf('-')
  const ms = parseU64(dash < 0 ? text : text.slice(0, dash))
  const seq = dash < 0 ? missing : parseU64(text.slice(dash + 1))
  if (ms === null || seq === null) throw invalidId()
  return { ms, seq }
}

/** As {@link parseId}, with `-` and `+` for the least and the greatest. */
export function parseBound(text: string, missing: U64): StreamId {
  if (text === '-') return idMin
  if (text === '+') return idMax
  return parseId(text, missing)
}

/** Both ends of an interval, where `(` excludes the one it stands before. */
export function parseInterval(start: string, end: string): { start: StreamId; end: StreamId } {
  const from = start.startsWith('(') ? nextId(parseId(start.slice(1), 0)) : parseBound(start, 0)
  if (from === null) throw new RedisError('ERR invalid start ID for the interval')
  const to = end.startsWith('(') ? previousId(parseId(end.slice(1), u64Max)) : parseBound(end, u64Max)
  if (to === null) throw new RedisError('ERR invalid end ID for the interval')
  return { start: from, end: to }
}

const plus = (value: U64): U64 =>
  typeof value === 'number' && value < Number.MAX_SAFE_INTEGER ? value + 1 : u64(BigInt(value) + 1n)
const minus = (value: U64): U64 => (typeof value === 'number' ? value - 1 : u64(value - 1n))

/** null after the last. */
export function nextId({ ms, seq }: StreamId): StreamId | null {
  if (seq !== u64Max) return { ms, seq: plus(seq) }
  return ms === u64Max ? null : { ms: plus(ms), seq: 0 }
}

/** null before the first. */
export function previousId({ ms, seq }: StreamId): StreamId | null {
  if (seq !== 0) return { ms, seq: minus(seq) }
  return ms === 0 ? null : { ms: minus(ms), seq: u64Max }
}
