/** At which times of the day a user's token lets it in. */
import { isTimeZone, ownTimeZone, wallClock, whenShown } from '../../../lib/time-zone.ts'
import { record } from './claims.ts'

const dayMs = 24 * 3_600_000

/**
 * Until when (ms) a user may stay who comes now; Infinity where no times are said, null when it may not come now, or they cannot be read. A range from
 * late to early goes over midnight. `location`: the time zone, '' that of the broker.
 */
export function stayUntil(times: unknown, location: unknown, now: number): number | null {
  const zone = location === undefined || location === '' ? ownTimeZone() : location
  if (typeof zone !== 'string' || !isTimeZone(zone)) return null
  if (!Array.isArray(times) || times.length === 0) return Number.POSITIVE_INFINITY
  const wall = wallClock(zone)
  const shown = wall(now)
  const today = shown - (shown % dayMs)
  let until: number | null = null
  for (const range of times) {
    const [start, end] = [timeOfDay(record(range)['start']), timeOfDay(record(range)['end'])]
    if (start === null || end === null) return null
    const ends = endOf(shown - today, start, end)
    if (ends !== null) until = Math.max(until ?? 0, whenShown(wall, today + ends))
  }
  return until
}

/** When the range that a time is within ends, ms from the beginning of its day; null: it is within none. */
function endOf(at: number, start: number, end: number): number | null {
  if (start < at && at < end) return end
  if (start <= end) return null
  if (at < end) return end
  return start < at ? end + dayMs : null
}

function timeOfDay(text: unknown): number | null {
  const [, hours, minutes, seconds] = (/^(\d{1,2}):(\d\d):(\d\d)$/.exec(String(text)) ?? []).map(Number)
  if (hours === undefined || minutes === undefined || seconds === undefined) return null
  if (hours > 23 || minutes > 59 || seconds > 59) return null
  return ((hours * 60 + minutes) * 60 + seconds) * 1000
}
