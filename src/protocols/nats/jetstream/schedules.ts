/**
 * Scheduled messages (ADR-51): a message whose headers say when another one is to be made of it, and of which subject. When each is due stands beside the
 * stream, in one step with the message and with what is made of it, so that a crash neither loses nor repeats a turn.
 */
import { Buffer } from 'node:buffer'
import { type Broker, PublishItem, PublishStatus, type Rows, type Space } from '../../../broker/face.ts'
import { asCoreError } from '../../../core/errors.ts'
import { Heap } from '../../../lib/heap.ts'
import type { Timer } from '../../../lib/timers.ts'
import { encodeEnvelope, messageFormatId } from '../mapping.ts'
import { isLiteral, matchesSubject } from '../subjects.ts'
import type { Incoming } from './batches.ts'
import { ApiError, refusal } from './errors.ts'
import { headerOf, type Line, withHeaders, withoutHeaders } from './headers.ts'
import { acknowledgement, isTimeToLive, prepare, prepareOwn, refusalText } from './publishing.ts'
import { type Due, dueAfter, isTimeZone } from './schedule-patterns.ts'
import type { StoredMessage } from './stored.ts'
import type { Stream } from './stream.ts'
import { timeText } from './times.ts'

const schedulesMax = 100_000
const retryMs = 1000
const separator = '\u0000'
/** A header of a schedule, or of what was made of one. */
const mark = '\r\nNats-Schedule'
/** What is not taken over from a schedule, or its source, to what is made of it. */
const ownHeaders = ['Nats-Schedule', 'Nats-Expected-', 'Nats-Msg-Id:', 'Nats-TTL:', 'Nats-Rollup:']

interface Scheduled {
  readonly key: string
  readonly stream: string
  readonly subject: string
  readonly sequence: number
  /** When it is due, ms since the epoch. */
  readonly at: number
}

export interface ScheduleHost {
  readonly broker: Broker
  readonly namespace: string
  readonly space: Space
  readonly rows: Rows
  stream(name: string): Stream | undefined
  answer(reply: string, body: string): void
  published(stream: Stream, item: PublishItem, messageId: string): void
}

export class Schedules {
  readonly #host: ScheduleHost
  readonly #byKey = new Map<string, Scheduled>()
  /** What was replaced or taken off stays until its time. */
  readonly #due = new Heap<Scheduled>((a, b) => a.at < b.at)
  #timer: Timer | null = null
  #running = false

  constructor(host: ScheduleHost) {
    this.#host = host
    for (const [key, value] of host.rows.entries()) {
      const [namespace, , stream = '', subject = ''] = key.split(separator)
      if (namespace !== host.namespace) continue
      const { sequence, at } = JSON.parse(value) as Pick<Scheduled, 'sequence' | 'at'> // written by #put
      this.#hold({ key, stream, subject, sequence, at })
    }
    this.#watch()
  }

  #keyOf(stream: Stream, subject: string): string {
    return [this.#host.namespace, stream.id.toString('hex'), stream.name, subject].join(separator)
  }

  #hold(scheduled: Scheduled): void {
    this.#byKey.set(scheduled.key, scheduled)
    this.#due.push(scheduled)
  }

  #put(scheduled: Scheduled): void {
    const { key, sequence, at } = scheduled
    this.#hold(scheduled)
    this.#host.rows.put(key, JSON.stringify({ sequence, at }))
  }

  #drop({ key }: Scheduled): void {
    this.#byKey.delete(key)
    this.#host.rows.delete(key)
  }

  /** The stream is gone. */
  forget(stream: Stream): void {
    const prefix = this.#keyOf(stream, '')
    for (const scheduled of [...this.#byKey.values()]) if (scheduled.key.startsWith(prefix)) this.#drop(scheduled)
  }

  // ---------------------------------------------------------------------------------------------------------------- publishing

  static concerns(headers: string): boolean {
    return headers.includes(mark)
  }

  take(incoming: Incoming): void {
    const { stream, item, reply, space, headers } = incoming
    const answer = (text: string): void => {
      if (!stream.config.no_ack) this.#host.answer(reply, text)
    }
    try {
      this.#publish(incoming, () => {
        if (item.status === PublishStatus.Stored) this.#host.published(stream, item, headerOf(headers, 'Nats-Msg-Id') ?? '')
        answer(acknowledgement(stream, item, space, null))
      })
    } catch (cause) {
      answer(refusalText(stream, cause instanceof ApiError ? cause : refusal('streamStore', asCoreError(cause).message)))
    }
  }

  #publish({ stream, space, item, headers, reply, bodyBytes }: Incoming, done: () => void): void {
    const subject = stream.storedAs(item.address)
    const now = this.#host.broker.clock.now()
    const due = scheduleOf(stream, subject, headers, space, now)
    const ended = this.#endedBy(stream, subject, headers, space)
    const key = this.#keyOf(stream, subject)
    if (due !== null && !this.#byKey.has(key) && this.#byKey.size >= schedulesMax)
      throw refusal('streamStore', `maximum message schedules exceeded (${schedulesMax})`)
    const given = Buffer.from(headers, 'latin1')
    const body = item.payload.subarray(item.payload.length - (bodyBytes - given.length))
    const adds: readonly Line[] = due === null || headerOf(headers, 'Nats-Rollup') ? [] : [['Nats-Rollup', 'sub']]
    const block = adds.length === 0 ? given : withHeaders(given, adds)
    const refused = prepare(stream, item, block.toString('latin1'), block.length + body.length)
    if (refused !== null) throw refused
    item.payload = encodeEnvelope(reply, block.length, Buffer.concat([block, body]))
    this.#host.broker.atomically(() => {
      space.publish([item], null)
      if (item.status !== PublishStatus.Stored) return
      const sequence = item.baseOffset + stream.base
      if (due !== null) this.#put({ key, stream: stream.name, subject, sequence, at: due.at })
      if (ended !== '') this.#end(stream, ended)
    }, done)
    this.#watch()
  }

  /** The subject of the schedule that a message puts an end to; '' when it is none. Throws {@link ApiError}. */
  #endedBy(stream: Stream, subject: string, headers: string, { principal, namespace }: Space): string {
    const next = headerOf(headers, 'Nats-Schedule-Next') ?? ''
    const scheduler = headerOf(headers, 'Nats-Scheduler') ?? ''
    if (next === '' && scheduler === '') return ''
    if (next !== 'purge' || !isLiteral(scheduler) || scheduler === subject) throw refusal('scheduler')
    if (!stream.config.allow_msg_schedules) throw refusal('schedulesDisabled')
    const last = stream.lastOf(scheduler)
    const scheduled = this.#byKey.get(this.#keyOf(stream, scheduler))
    if (last !== 0 && (scheduled?.sequence !== last || !principal.may('publish', namespace, scheduler)))
      throw refusal('scheduler')
    return scheduler
  }

  #end(stream: Stream, subject: string): void {
    const scheduled = this.#byKey.get(this.#keyOf(stream, subject))
    if (scheduled !== undefined) this.#drop(scheduled)
    stream.remove(stream.sequencesOf(subject)).catch(() => undefined) // the stream is gone, or nothing can be stored: its publisher hears of that
  }

  // ------------------------------------------------------------------------------------------------------------------ their time

  #watch(): void {
    this.#timer?.cancel()
    const first = this.#due.peek()
    if (first === undefined || this.#running) return
    const { clock } = this.#host.broker
    this.#timer = clock.after(first.at - clock.now(), () => void this.#run())
  }

  /** One after the other, those that are due. */
  async #run(): Promise<void> {
    this.#running = true
    const { clock, log } = this.#host.broker
    for (let next = this.#due.peek(); next !== undefined && next.at <= clock.now(); next = this.#due.peek()) {
      this.#due.pop()
      if (!this.#counts(next)) continue
      try {
        if (!(await this.#fire(next)) && this.#counts(next)) this.#hold({ ...next, at: clock.now() + retryMs })
      } catch (cause) {
        // What cannot be made now never can; a stream that cannot be read may be read again.
        const never = cause instanceof ApiError
        log.warn(
          { stream: next.stream, subject: next.subject, error: String(cause) },
          never ? 'a schedule ends' : 'a schedule waits',
        )
        if (!this.#counts(next)) continue
        if (never) this.#drop(next)
        else this.#hold({ ...next, at: clock.now() + retryMs })
      }
    }
    this.#running = false
    this.#watch()
  }

  /** Whether it was not replaced or taken off meanwhile. */
  #counts(scheduled: Scheduled): boolean {
    return this.#byKey.get(scheduled.key) === scheduled
  }

  /** False: there was no room. */
  async #fire(scheduled: Scheduled): Promise<boolean> {
    const { subject, sequence } = scheduled
    const stream = this.#streamOf(scheduled)
    const message = await this.#read(stream, sequence)
    const source = headerOf(message?.headers.toString('latin1') ?? '', 'Nats-Schedule-Source') ?? ''
    const last = stream === undefined || source === '' ? 0 : stream.lastOf(source)
    const content = last === 0 ? message : ((await this.#read(stream, last)) ?? message)
    if (!this.#counts(scheduled)) return true
    // Purged, or something else was published to its subject.
    if (
      stream === undefined ||
      !message ||
      !content ||
      this.#streamOf(scheduled) !== stream ||
      stream.lastOf(subject) !== sequence
    ) {
      this.#drop(scheduled)
      return true
    }
    const now = this.#host.broker.clock.now()
    const said = message.headers.toString('latin1')
    const due = dueAfter(headerOf(said, 'Nats-Schedule') ?? '', headerOf(said, 'Nats-Schedule-Time-Zone'), scheduled.at, now)
    const item = this.#made(stream, said, subject, due, content)
    return this.#store(stream, scheduled, item, due)
  }

  /** Also one that is not durable yet. */
  async #read(stream: Stream | undefined, sequence: number): Promise<StoredMessage | null> {
    const message = (await stream?.message(sequence)) ?? null
    if (message !== null || stream === undefined) return message
    await this.#host.rows.durable()
    return await stream.message(sequence)
  }

  #streamOf({ stream: name, key }: Scheduled): Stream | undefined {
    const stream = this.#host.stream(name)
    return stream !== undefined && this.#keyOf(stream, '') === key.slice(0, this.#keyOf(stream, '').length) ? stream : undefined
  }

  #made(
    stream: Stream,
    said: string,
    subject: string,
    due: Due | null,
    { headers, payload }: { readonly headers: Buffer; readonly payload: Buffer },
  ): PublishItem {
    const lines: Line[] = [
      ['Nats-Scheduler', subject],
      ['Nats-Schedule-Next', due?.repeats === true ? timeText(due.at).replace('.000Z', 'Z') : 'purge'],
    ]
    for (const name of ['TTL', 'Rollup']) {
      const value = headerOf(said, `Nats-Schedule-${name}`) ?? ''
      if (value !== '') lines.push([`Nats-${name}`, value])
    }
    const kept = Buffer.from(withoutHeaders(headers.toString('latin1'), ownHeaders), 'latin1')
    const block = withHeaders(kept, lines)
    const target = stream.storedAs(headerOf(said, 'Nats-Schedule-Target') ?? '')
    const item = new PublishItem(null, target, messageFormatId, encodeEnvelope('', block.length, Buffer.concat([block, payload])))
    item.into = stream.name
    prepareOwn(stream, item, block.toString('latin1'))
    return item
  }

  #store(stream: Stream, scheduled: Scheduled, item: PublishItem, due: Due | null): boolean {
    const { broker, space } = this.#host
    broker.atomically(
      () => {
        space.publish([item], null)
        if (item.errorCode === 'Full' || item.errorCode === 'Unavailable') return
        if (due?.repeats === true) this.#put({ ...scheduled, at: due.at })
        else if (item.status === PublishStatus.Stored) this.#end(stream, scheduled.subject)
        else this.#drop(scheduled)
      },
      () => undefined, // what cannot be stored any more is due again after the restart
    )
    if (item.status === PublishStatus.Stored) return true
    const { stream: name, subject } = scheduled
    broker.log.warn({ stream: name, subject, error: item.errorMessage }, 'a scheduled message was refused')
    return item.errorCode !== 'Full' && item.errorCode !== 'Unavailable'
  }
}

/** What a message asks for; null when it is no schedule. Throws {@link ApiError}. */
function scheduleOf(stream: Stream, subject: string, headers: string, space: Space, now: number): Due | null {
  const { config } = stream
  const said = (name: string): string => headerOf(headers, `Nats-Schedule-${name}`) ?? ''
  const pattern = headerOf(headers, 'Nats-Schedule') ?? ''
  const zone = headerOf(headers, 'Nats-Schedule-Time-Zone')
  const allowed = config.allow_msg_schedules
  if (zone !== undefined && (zone === '' || !isTimeZone(zone))) throw refusal(allowed ? 'scheduleTimeZone' : 'schedulesDisabled')
  if (pattern === '') return null
  const due = dueAfter(pattern, zone, now, now)
  if (!allowed) throw refusal('schedulesDisabled')
  if (due === null) throw refusal('schedulePattern')
  const [ttl, rollup, target, source] = [said('TTL'), said('Rollup'), said('Target'), said('Source')]
  if (ttl !== '' && !isTimeToLive(stream, ttl)) throw refusal('scheduleTtl')
  if (rollup !== '' && rollup !== 'sub') throw refusal('scheduleRollup')
  if (ttl !== '' && !config.allow_msg_ttl) throw refusal('ttlDisabled')
  const isOwn = (each: string): boolean => isLiteral(each) && config.subjects.some((own) => matchesSubject(own, each))
  if (!isOwn(target) || target === subject || !space.principal.may('publish', space.namespace, target))
    throw refusal('scheduleTarget')
  if (
    source !== '' &&
    (!isOwn(source) || source === subject || source === target || !space.principal.may('consume', space.namespace, source))
  )
    throw refusal('scheduleSource')
  if ((headerOf(headers, 'Nats-Rollup') ?? 'sub') !== 'sub') throw refusal('scheduleRollup')
  return due
}
