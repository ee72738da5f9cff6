/** ActiveMQ's scheduling: when a message that asks for it is due, and how it comes again. */
import type { Repetition } from '../../broker/face.ts'
import { ownTimeZone } from '../../lib/time-zone.ts'
import type { Headers } from './codec.ts'
import { StompError } from './errors.ts'
import { whole } from './headers.ts'

/** ActiveMQ's own limit, and for its reason: one message must not become very many. */
const repeatMax = 1000

/** What a client says to have a message later. It does not go on with the message, so that who sends that on does not schedule it again. */
export const scheduleHeaders: ReadonlySet<string> = new Set([
  'AMQ_SCHEDULED_DELAY',
  'AMQ_SCHEDULED_PERIOD',
  'AMQ_SCHEDULED_REPEAT',
  'AMQ_SCHEDULED_CRON',
])

/** By which a message that comes again is known, and taken off; one that is sent with it is not scheduled. */
export const jobId = 'scheduledJobId'

export interface Schedule {
  /** ms since the epoch; 0: as the repetition says. */
  readonly deliverAt: number
  readonly repetition: Repetition | null
}

/** null: it is for now. Throws {@link StompError}. */
export function scheduleOf(headers: Headers, now: number): Schedule | null {
  if (headers.has(jobId)) return null
  const delay = whole(headers, 'AMQ_SCHEDULED_DELAY') ?? 0
  const period = whole(headers, 'AMQ_SCHEDULED_PERIOD') ?? 0
  const cron = headers.get('AMQ_SCHEDULED_CRON') ?? ''
  const times = repeats(headers)
  if (times !== 0 && period === 0)
    throw new StompError('precondition_failed', 'AMQ_SCHEDULED_REPEAT needs an AMQ_SCHEDULED_PERIOD of a millisecond or more')
  const afterMs = delay > 0 ? delay : period
  if (cron !== '') return { deliverAt: 0, repetition: byCron(cron, afterMs, period, times) }
  if (afterMs === 0) return null
  return { deliverAt: now + afterMs, repetition: times === 0 ? null : { everyMs: period, times } }
}

function repeats(headers: Headers): number {
  const text = headers.get('AMQ_SCHEDULED_REPEAT') ?? '0'
  if (/^-\d{1,9}$/.test(text)) return -1
  if (!/^\d{1,9}$/.test(text) || Number(text) > repeatMax)
    throw new StompError('precondition_failed', `AMQ_SCHEDULED_REPEAT must be a number up to ${repeatMax}, or -1, not '${text}'`)
  return Number(text)
}

/** A pattern comes before a delay: without repeats there is a message at each of its times, with them so many more after each, from the delay on. */
function byCron(cron: string, afterMs: number, period: number, times: number): Repetition {
  if (times < 0) throw new StompError('precondition_failed', 'with AMQ_SCHEDULED_CRON, AMQ_SCHEDULED_REPEAT must have an end')
  const fields = cron.trim().split(/\s+/)
  if (fields.length !== ranges.length || fields.some((field) => !field.split(',').every((part) => partForm.test(part))))
    throw new StompError(
      'precondition_failed',
      `AMQ_SCHEDULED_CRON: '${cron}' is not five fields of numbers, ranges, steps and *`,
    )
  const seconds = ['0', ...fields.map((field, at) => withoutSteps(field, ranges[at] as Range))].join(' ') // as many
  const pattern = { cron: seconds, zone: ownTimeZone(), afterMs: times === 0 ? 0 : afterMs, times }
  return { everyMs: Math.max(1, period), times, pattern }
}

interface Range {
  readonly least: number
  readonly most: number
}

/** Of minutes, hours, days of the month, months, and days of the week. */
const ranges: readonly Range[] = [
  { least: 0, most: 59 },
  { least: 0, most: 23 },
  { least: 1, most: 31 },
  { least: 1, most: 12 },
  { least: 0, most: 6 },
]
const partForm = /^([*?]|\d{1,2}(-\d{1,2})?)(\/\d{1,2})?$/

/** ActiveMQ's steps take what is divisible by them, where those of others count from the first: every tenth day of a month is its 10th, 20th and 30th. */
function withoutSteps(field: string, { least, most }: Range): string {
  return field
    .split(',')
    .flatMap((part) => {
      const [range = '', step] = part.split('/')
      if (step === undefined || Number(step) === 1) return [range]
      const [low = '', high] = range.split('-')
      const star = low === '*' || low === '?'
      const from = star ? least : Number(low)
      const to = star ? most : Number(high ?? low)
      const divisor = Number(step)
      const taken: number[] = []
      for (let value = from; divisor > 0 && value <= Math.min(to, most); value++) if (value % divisor === 0) taken.push(value)
      return taken.map(String)
    })
    .join(',')
}
