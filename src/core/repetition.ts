/** Records that are published again and again: when the next one is due. */
import { nextCron } from '../lib/cron.ts'

/** How a scheduled record is published again: a number of times, or by a time pattern for ever, each time with as many after it. */
export interface Repetition {
  /** From one to the next, ms; at least 1. */
  readonly everyMs: number
  /** How many more there are now; -1: no end. */
  readonly times: number
  /** What begins them anew when there are none any more. */
  readonly pattern?: TimePattern
}

export interface TimePattern {
  /** Six fields (`lib/cron.ts`). */
  readonly cron: string
  /** Of the IANA's names. */
  readonly zone: string
  /** From the pattern's time to the first, ms. */
  readonly afterMs: number
  /** How many follow the first, {@link Repetition.everyMs} apart. */
  readonly times: number
}

/** What is left after one was published that was due at `dueAt`, ms; null: nothing. What was missed until `now` is not made up for. */
export function nextOf(
  { everyMs, times, pattern }: Repetition,
  dueAt: number,
  now: number,
): { readonly dueAt: number; readonly repetition: Repetition } | null {
  if (times !== 0) {
    const next = dueAt + everyMs
    const left = times < 0 ? times : times - 1
    const repetition = { everyMs, times: left, ...(pattern && { pattern }) }
    return { dueAt: next > now ? next : now + everyMs, repetition }
  }
  if (pattern === undefined) return null
  const first = firstOf(pattern, now)
  return first === null ? null : { dueAt: first, repetition: { everyMs, times: pattern.times, pattern } }
}

/** When the first is due after `now`, ms; null: never. */
export function firstOf({ cron, zone, afterMs }: TimePattern, now: number): number | null {
  const next = nextCron(cron, zone, now)
  return next === null ? null : next + afterMs
}
