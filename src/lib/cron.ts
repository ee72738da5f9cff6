/**
 * When a time pattern is due next. Six fields: second, minute, hour, day of the month, month, day of the week (0 is Sunday), each a list of `*` or `?`,
 * numbers, names and ranges, with a step. Where both days are said, either will do.
 */

import { type WallClock, wallClock } from './time-zone.ts'

interface Bounds {
  readonly least: number
  readonly most: number
  readonly names?: readonly string[]
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const weekDays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const bounds: readonly Bounds[] = [
  { least: 0, most: 59 },
  { least: 0, most: 59 },
  { least: 0, most: 23 },
  { least: 1, most: 31 },
  { least: 1, most: 12, names: months },
  { least: 0, most: 6, names: weekDays },
]
const yearsAhead = 5
const secondMs = 1000
const minuteMs = 60_000
const hourMs = 3_600_000
const dayMs = 24 * hourMs

interface Field {
  readonly values: ReadonlySet<number>
  /** `*`: it asks for nothing. */
  readonly any: boolean
}

/** The first time after `after` (ms), in whole seconds; null for what is no pattern, and one that is never due. `zone`: of the IANA's names. */
export function nextCron(pattern: string, zone: string, after: number): number | null {
  const texts = pattern.trim().split(/\s+/)
  if (texts.length !== bounds.length) return null
  const fields = texts.map((text, at) => parseField(text, bounds[at] as Bounds)) // as many
  if (fields.some((field) => field === null)) return null
  return search(fields as Field[], wallClock(zone), after)
}

function parseField(text: string, field: Bounds): Field | null {
  const values = new Set<number>()
  let any = false
  for (const part of text.split(',').filter((each) => each !== '')) {
    const range = parseRange(part, field)
    if (range === null) return null
    any ||= range.any
    for (let value = range.from; value <= range.to; value += range.step) values.add(value)
  }
  return { values, any }
}

function parseRange(
  text: string,
  { least, most, names }: Bounds,
): { readonly from: number; readonly to: number; readonly step: number; readonly any: boolean } | null {
  const [ends = '', stepText, ...more] = text.split('/')
  const [low = '', high, ...others] = ends.split('-')
  if (more.length + others.length > 0) return null
  const number = (word: string): number => {
    const named = names?.indexOf(word.toLowerCase()) ?? -1
    if (named >= 0) return named + least
    return /^\d{1,9}$/.test(word) ? Number(word) : Number.NaN
  }
  const step = stepText === undefined ? 1 : /^\d{1,9}$/.test(stepText) ? Number(stepText) : 0
  const star = low === '*' || low === '?'
  const from = star ? least : number(low)
  // `5/10` is from five on.
  const open = star || (high === undefined && stepText !== undefined)
  const to = open ? most : high === undefined ? from : number(high)
  const fits = step > 0 && from >= least && to <= most && from <= to
  return fits ? { from, to, step, any: star && step === 1 } : null
}

/** Passes over what does not fit in the longest steps that miss nothing, clocks that are put forward or back included. */
function search(fields: readonly Field[], wall: WallClock, after: number): number | null {
  const [second, minute, hour, day, month, weekDay] = fields as [Field, Field, Field, Field, Field, Field]
  let at = (Math.floor(after / secondMs) + 1) * secondMs
  const end = at + yearsAhead * 366 * dayMs
  while (at < end) {
    const shown = new Date(wall(at))
    const dayFits = day.values.has(shown.getUTCDate())
    const weekDayFits = weekDay.values.has(shown.getUTCDay())
    const fitsDay = day.any || weekDay.any ? dayFits && weekDayFits : dayFits || weekDayFits
    const toNext = (unit: number): number => unit - (shown.getTime() % unit)
    if (!month.values.has(shown.getUTCMonth() + 1) || !fitsDay) at = startOfDay(wall, at, at + toNext(dayMs))
    else if (!hour.values.has(shown.getUTCHours())) at += Math.min(toNext(hourMs), toQuarter(at))
    else if (!minute.values.has(shown.getUTCMinutes())) at += toNext(minuteMs)
    else if (!second.values.has(shown.getUTCSeconds())) at += secondMs
    else return at
  }
  return null
}

/** Clocks change at quarters of an hour only. */
const toQuarter = (at: number): number => hourMs / 4 - (at % (hourMs / 4))

/** The next day begins at `guess`, unless clocks change before: then somewhat earlier or later. */
function startOfDay(wall: WallClock, at: number, guess: number): number {
  const error = wall(guess) % dayMs
  if (error === 0) return guess
  // Shown late on the same day: not there yet. Shown early on the next: already past.
  const corrected = error > dayMs / 2 ? guess + (dayMs - error) : guess - error
  return corrected > at ? corrected : guess
}
