/** Reading arguments as Redis reads them. Each of these throws the error that Redis replies. */
import { textOf, upperOf } from '../../lib/resp/texts.ts'
import { RedisError, words } from './errors.ts'

const minInteger = -(2n ** 63n)
const maxInteger = 2n ** 63n - 1n

export const text = (arg: Buffer | undefined): string => (arg === undefined ? '' : textOf(arg, 0, arg.length))

/** An option's name. */
export const option = (arg: Buffer | undefined): string => (arg === undefined ? '' : upperOf(arg, 0, arg.length))

/** A 64-bit integer, written as Redis writes one: no sign but minus, no blanks, no leading zeros. Beyond 2^53 it is not exact. */
export function integer(arg: Buffer | string | undefined, message: string = words.notInteger): number {
  const digits = typeof arg === 'string' ? arg : text(arg)
  if (digits.length < 16 && /^(0|-?[1-9]\d*)$/.test(digits)) return Number(digits)
  return Number(integer64(digits, message))
}

export function integer64(digits: string, message: string = words.notInteger): bigint {
  if (!/^(0|-?[1-9]\d{0,19})$/.test(digits)) throw new RedisError(message)
  const value = BigInt(digits)
  if (value < minInteger || value > maxInteger) throw new RedisError(message)
  return value
}

export const fitsInteger64 = (value: bigint): boolean => value >= minInteger && value <= maxInteger

/** A number with a fraction, `inf` and `-inf` included. */
export function float(arg: Buffer | string | undefined, message: string = words.notFloat): number {
  const digits = typeof arg === 'string' ? arg : text(arg)
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(digits)) {
    const value = Number(digits)
    return value
  }
  const infinite = /^([+-]?)inf(inity)?$/i.exec(digits)
  if (infinite !== null) return infinite[1] === '-' ? -Infinity : Infinity
  if (/^[+-]?0x[0-9a-f]+$/i.test(digits))
    return digits.startsWith('-') ? -Number(digits.slice(1)) : Number(digits.replace(/^\+/, ''))
  throw new RedisError(message)
}

/** A timeout of a blocking command, from seconds with a fraction to ms; 0 waits for ever. */
export function timeoutMs(arg: Buffer | undefined): number {
  const seconds = float(arg, words.timeout)
  if (!Number.isFinite(seconds) || seconds * 1000 > Number.MAX_SAFE_INTEGER) throw new RedisError('ERR timeout is out of range')
  if (seconds < 0) throw new RedisError(words.negativeTimeout)
  return Math.ceil(seconds * 1000)
}

/** Where a range of `start` to `stop`, which may count from the end, begins and ends in `length` elements; null: it is empty. */
export function clampRange(start: number, stop: number, length: number): { start: number; stop: number } | null {
  let from = start < 0 ? start + length : start
  let to = stop < 0 ? stop + length : stop
  if (from < 0) from = 0
  if (from > to || from >= length) return null
  if (to >= length) to = length - 1
  return { start: from, stop: to }
}

/** A pattern with `*`, `?`, `[…]` and `\`, as in KEYS, on bytes as latin1. */
export class Glob {
  readonly #expression: RegExp | null
  readonly #exact: string

  constructor(pattern: string) {
    this.#exact = pattern
    this.#expression = /[*?[\\]/.test(pattern) ? new RegExp(`^${globSource(pattern)}$`, 's') : null
  }

  matches(name: string): boolean {
    return this.#expression === null ? name === this.#exact : this.#expression.test(name)
  }
}

function globSource(pattern: string): string {
  let source = ''
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at] as string // at < length
    if (char === '*') {
      // Several are as one, and cost much more.
      if (!source.endsWith('.*')) source += '.*'
    } else if (char === '?') source += '.'
    else if (char === '\\' && at + 1 < pattern.length) source += quote(pattern[++at] as string)
    else if (char === '[') {
      const set = readSet(pattern, at + 1)
      source += set.source
      at = set.end
    } else source += quote(char)
  }
  return source
}

/** From behind the bracket; a set that is not closed goes on to the end. */
function readSet(pattern: string, from: number): { source: string; end: number } {
  let at = from
  const negated = pattern[at] === '^'
  if (negated) at++
  let inside = ''
  for (; at < pattern.length && pattern[at] !== ']'; at++) {
    if (pattern[at] === '\\' && at + 1 < pattern.length) {
      inside += quote(pattern[++at] as string)
      continue
    }
    const low = pattern[at] as string
    const high = pattern[at + 2]
    if (pattern[at + 1] === '-' && high !== undefined) {
      const [first, last] = low <= high ? [low, high] : [high, low]
      inside += `${quote(first)}-${quote(last)}`
      at += 2
      continue
    }
    inside += quote(low)
  }
  const end = Math.min(at, pattern.length)
  if (inside === '') return { source: negated ? '[^]' : '[]', end }
  return { source: `[${negated ? '^' : ''}${inside}]`, end }
}

const quote = (char: string): string => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
