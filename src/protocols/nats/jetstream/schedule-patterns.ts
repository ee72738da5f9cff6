/** What `Nats-Schedule` may say (ADR-51): once at a time, every so often, or by a time pattern. */
import { nextCron } from '../../../lib/cron.ts'
import { isTimeZone } from '../../../lib/time-zone.ts'
import { parseDuration } from './times.ts'

const secondMs = 1000

const named: Readonly<Record<string, string>> = {
  '@yearly': '0 0 0 1 1 *',
  '@annually': '0 0 0 1 1 *',
  '@monthly': '0 0 0 1 * *',
  '@weekly': '0 0 0 * * 0',
  '@daily': '0 0 0 * * *',
  '@midnight': '0 0 0 * * *',
  '@hourly': '0 0 * * * *',
}

export interface Due {
  /** ms since the epoch. */
  readonly at: number
  readonly repeats: boolean
}

export { isTimeZone }

/**
 * When it is due after `from` (ms). What was missed since then is not made up for: the next time is after `now`. null: it is no schedule.
 * `zone`: undefined where none is said, as it must not be but for time patterns.
 */
export function dueAfter(pattern: string, zone: string | undefined, from: number, now: number): Due | null {
  if (pattern.startsWith('@at ')) {
    const at = timeOf(pattern.slice('@at '.length))
    return at === null || zone !== undefined ? null : { at, repeats: false }
  }
  if (pattern.startsWith('@every ')) {
    const everyMs = parseDuration(pattern.slice('@every '.length))
    if (everyMs === null || everyMs < secondMs || zone !== undefined) return null
    const next = wholeSecond(from) + everyMs
    return { at: next < now ? wholeSecond(now) + everyMs : next, repeats: true }
  }
  const cron = named[pattern] ?? pattern
  const next = nextCron(cron, zone ?? 'UTC', from)
  const at = next !== null && next < now ? nextCron(cron, zone ?? 'UTC', wholeSecond(now)) : next
  return at === null ? null : { at, repeats: true }
}

const wholeSecond = (at: number): number => Math.round(at / secondMs) * secondMs

function timeOf(text: string): number | null {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:\d\d)$/.test(text)) return null
  const at = Date.parse(text)
  return Number.isNaN(at) ? null : at
}
