/** Arguments that the commands of lists share. */
import { integer, option, text } from './arguments.ts'
import { RedisError, syntaxError } from './errors.ts'
import type { End } from './list.ts'

export function endOf(arg: Buffer | undefined): End {
  const word = option(arg)
  if (word === 'LEFT') return 'left'
  if (word === 'RIGHT') return 'right'
  throw syntaxError()
}

/** An integer that is `least` at least. */
export function bounded(arg: Buffer | undefined, least: number, message: string): number {
  const value = integer(arg, `ERR ${message}`)
  if (value < least) throw new RedisError(`ERR ${message}`)
  return value
}

export interface Several {
  readonly keys: readonly string[]
  readonly end: End
  readonly count: number
}

/** `numkeys key [key …] LEFT|RIGHT [COUNT count]` from `at` on. */
export function severalOf(args: readonly Buffer[], at: number): Several {
  const keyCount = bounded(args[at], 1, 'numkeys should be greater than 0')
  const endAt = at + 1 + keyCount
  if (endAt >= args.length) throw syntaxError()
  const keys = args.slice(at + 1, endAt).map(text)
  const end = endOf(args[endAt])
  let count = -1
  for (let next = endAt + 1; next < args.length; next += 2) {
    if (count >= 0 || option(args[next]) !== 'COUNT' || next + 1 >= args.length) throw syntaxError()
    count = bounded(args[next + 1], 1, 'count should be greater than 0')
  }
  return { keys, end, count: count < 0 ? 1 : count }
}
