/**
 * One consumer: a subscription of the stream's topic, read by the broker itself on behalf of whoever takes its messages (pull.ts, push.ts). What is
 * delivered stays here until it is acknowledged; deadlines, attempts and order are the subscription's.
 */
import { Buffer } from 'node:buffer'
import {
  accept,
  type Consumer as CoreConsumer,
  type CoreErrorCode,
  type DeliveryBatch,
  type Sink,
  type StartAt,
  type Tally,
} from '../../../broker/face.ts'
import type { Clock } from '../../../lib/timers.ts'
import { matchesSubject, patternOf } from '../subjects.ts'
import { type AckPlace, ackPrefix, ackSubject, nakDelayMs } from './acks.ts'
import { type ConsumerConfig, filtersOf, shownConsumerConfig } from './consumer-config.ts'
import { ConsumerEvents } from './consumer-events.ts'
import { refusal } from './errors.ts'
import { type Line, withHeaders } from './headers.ts'
import { InFlight, type Pending, type Progress } from './in-flight.ts'
import type { Outbox } from './outbox.ts'
import { Pace } from './pace.ts'
import { PullTaker } from './pull.ts'
import { PushTaker } from './push.ts'
import { contentOf } from './stored.ts'
import type { Stream } from './stream.ts'
import type { Taker, TakerHost } from './taker.ts'
import { msOf, nanosOf, timeText } from './times.ts'
import { WaitingTimes } from './waiting-times.ts'

const nothing = Buffer.alloc(0)
/** Credit given at once. */
const creditMax = 1000

/** What a consumer needs of JetStream around it. */
export interface ConsumerHost {
  readonly clock: Clock
  readonly outbox: Outbox
  isBehind(subject: string): boolean
  /** A message is done with, for this consumer. */
  acknowledged(consumer: Consumer, sequence: number, subject: string): void
  /** It was not used for as long as it may be. */
  expired(consumer: Consumer): void
  /** The topic is gone, or its subscription. */
  lost(consumer: Consumer, reason: CoreErrorCode): void
  /** Calls back once everything settled so far is durable. */
  whenDurable(done: () => void): void
}

export class Consumer implements Sink, TakerHost {
  readonly owner: Stream
  readonly name: string
  readonly createdAt: number
  config: ConsumerConfig
  readonly #host: ConsumerHost
  #core: CoreConsumer
  #taker: Taker
  #tally: Tally
  readonly #ackPrefix: string
  #inFlight: InFlight
  /** Taken from the subscription and given back, for nobody took them. */
  readonly #givenBack = new Set<number>()
  readonly #pace: Pace
  /** What was there when it was made, or the broker started. */
  readonly #oldUpTo: number
  readonly #times: WaitingTimes
  readonly #events: ConsumerEvents
  #started = false
  #refreshing = false
  #unwatch: () => void = () => undefined
  #closed = false

  constructor(owner: Stream, config: ConsumerConfig, createdAt: number, startAt: StartAt, host: ConsumerHost) {
    this.owner = owner
    this.name = config.durable_name || config.name
    this.config = config
    this.createdAt = createdAt
    this.#host = host
    this.#events = new ConsumerEvents(this, host.outbox, host.clock)
    this.#ackPrefix = ackPrefix(owner.name, this.name)
    this.#oldUpTo = owner.lastSequence
    this.#pace = new Pace(host.clock, this.#oldUpTo)
    this.#core = this.#subscribe(startAt)
    const place = this.#floor()
    this.#tally = this.#count(typeof startAt === 'object' && 'records' in startAt ? startAt : { offset: place })
    this.#inFlight = new InFlight(place + owner.base - 1)
    this.#taker =
      config.deliver_subject === ''
        ? new PullTaker(this, host.outbox, host.clock)
        : new PushTaker(this, host.outbox, host.clock, (subject) => host.isBehind(subject))
    this.#times = new WaitingTimes(this, host.clock)
    this.#times.configured()
  }

  /** From here on it delivers. */
  start(): void {
    this.#started = true
    if (this.config.priority_policy === 'overflow') this.#watchNew()
    this.refresh()
  }

  /** Requests that wait for more to be there are looked at anew when more has come. */
  #watchNew(): void {
    const { space } = this.#host.outbox
    this.#unwatch = space.whenReadable(this.stream, 0, this.owner.offsetOf(this.owner.lastSequence + 1), () => {
      if (this.#closed) return
      this.refresh()
      this.#watchNew()
    })
  }

  #subscribe(startAt: StartAt): CoreConsumer {
    const { config } = this
    const filters = filtersOf(config)
    const spec = {
      topic: this.owner.name,
      subscription: this.name,
      startAt,
      durable: !config.mem_storage,
      ...(filters.length === 0 ? {} : { filter: { kind: 'subject', patterns: filters.map(patternOf) } as const }),
      autoSettle: false,
      deadlineMs: config.ack_policy === 'none' ? -1 : msOf(config.ack_wait),
      deliveryLimit: config.max_deliver < 0 ? -1 : Math.max(0, config.max_deliver - 1),
      name: this.name,
    }
    return this.#host.outbox.space.subscribe(spec, this)
  }

  /** The first offset that the subscription is not done with. */
  #floor(): number {
    const found = this.#host.outbox.space.status(this.owner.name)?.subscriptions.find(({ name }) => name === this.name)
    return found?.cursors[0]?.offset ?? 0
  }

  #count(from: StartAt): Tally {
    const filters = filtersOf(this.config)
    return this.#host.outbox.space.tally(this.owner.name, filters.length === 0 ? ['#'] : filters.map(patternOf), from)
  }

  get stream(): string {
    return this.owner.name
  }

  /** Whether it wants messages of a subject at all. */
  wants(subject: string): boolean {
    const filters = filtersOf(this.config)
    return filters.length === 0 || filters.some((filter) => matchesSubject(filter, subject))
  }

  get push(): PushTaker | null {
    return this.#taker instanceof PushTaker ? this.#taker : null
  }

  get pull(): PullTaker | null {
    return this.#taker instanceof PullTaker ? this.#taker : null
  }

  /** New ones that match, and those that came back. */
  get available(): number {
    return this.#tally.count + this.#givenBack.size + Math.max(0, this.#inFlight.size - this.#core.unsettled)
  }

  get ackPending(): number {
    return this.#inFlight.size
  }

  get progress(): readonly Line[] {
    return [
      ['Nats-Last-Consumer', this.#inFlight.delivered.consumer],
      ['Nats-Last-Stream', this.#inFlight.delivered.stream],
    ]
  }

  get paused(): boolean {
    return this.#times.pauseLeftMs > 0
  }

  get usedAt(): number {
    return this.#taker.active ? Infinity : this.#taker.lastActiveAt
  }

  unpaused(): void {
    this.refresh()
  }

  unused(): void {
    if (!this.#closed) this.#host.expired(this)
  }

  // ---------------------------------------------------------------------------------------------------------------- delivering

  /** Once, for all of this turn. */
  #refreshSoon(): void {
    if (this.#refreshing) return
    this.#refreshing = true
    queueMicrotask(() => {
      this.#refreshing = false
      this.refresh()
    })
  }

  refresh(): void {
    if (this.#closed || !this.#started) return
    if (this.paused || this.#pace.waiting) return this.#core.setCredit(0)
    const { ack_policy: policy, max_ack_pending: pendingMax } = this.config
    const room = policy === 'none' || pendingMax <= 0 ? creditMax : pendingMax - this.#core.unsettled
    this.#core.setCredit(Math.max(0, Math.min(room, this.#taker.wanted, Pace.atOnce(this.config))))
  }

  onDeliveries(_: CoreConsumer, batch: DeliveryBatch): void {
    const paced = Pace.atOnce(this.config) !== Infinity
    for (let at = 0; at < batch.length; at++) {
      const offset = batch.offset[at] as number // at < length, as in all columns
      const attempt = batch.attempt[at] as number
      if (attempt === 1) this.#tally.passed(offset)
      const bytes = (batch.buffer[at] as Buffer).subarray(batch.start[at], batch.end[at])
      const subject = batch.subject[at] ?? this.owner.name
      const { headers, payload } = contentOf(batch.format[at] as number, bytes)
      const time = batch.timestamp[at] as number
      const message = { id: batch.id[at] as number, offset, attempt, subject, headers, payload, time }
      if (!paced || !this.#waits(message)) this.#deliver(message)
    }
    this.#taker.exhausted()
    this.refresh()
  }

  #waits(message: Message): boolean {
    const { offset, time, headers, payload, subject } = message
    const paced = { sequence: offset + this.owner.base, time, bytes: headers.length + payload.length + subject.length }
    const deliver = (): void => this.#late(message)
    return this.#pace.holds(paced, this.config, deliver, () => this.refresh())
  }

  /** After its wait. */
  #late(message: Message): void {
    if (!this.#closed) this.#deliver(message)
  }

  #deliver({ id, offset, attempt, subject, headers, payload, time }: Message): void {
    const { config, owner } = this
    const { delivered } = this.#inFlight
    const sequence = offset + owner.base
    const consumerSequence = delivered.consumer + 1
    this.#givenBack.delete(sequence)
    const reply = ackSubject(this.#ackPrefix, attempt, sequence, consumerSequence, time, this.#tally.count + this.#givenBack.size)
    const shown = config.headers_only
      ? { subject, reply, headers: withHeaders(headers, [['Nats-Msg-Size', payload.length]]), payload: nothing }
      : { subject, reply, headers, payload }
    const bytes = subject.length + reply.length + shown.headers.length + shown.payload.length
    if (!this.#taker.take(shown, bytes)) {
      this.#givenBack.add(sequence)
      this.#core.settle([id], { kind: 'release', countsAsAttempt: false })
      return
    }
    const now = this.#host.clock.now()
    this.#inFlight.delivered = { consumer: consumerSequence, stream: Math.max(sequence, delivered.stream), at: now }
    if (config.ack_policy === 'none') {
      this.#core.settle([id], accept)
      this.#host.acknowledged(this, sequence, subject)
      return
    }
    this.#inFlight.add(sequence, { id, consumerSequence, deliveries: attempt, subject, at: now })
    if (config.backoff.length === 0) return
    const waitMs = msOf(config.backoff[Math.min(attempt, config.backoff.length) - 1] ?? config.ack_wait)
    if (waitMs !== msOf(config.ack_wait)) this.#core.settle([id], { kind: 'extend', deadlineMs: waitMs })
  }

  onConsumerClosed(_: CoreConsumer, reason: CoreErrorCode): void {
    this.#host.lost(this, reason)
  }

  onOverdue(): void {
    this.refresh()
  }

  onGivenUp(_: CoreConsumer, __: number, offset: number, attempts: number): void {
    const sequence = offset + this.owner.base
    const found = this.#inFlight.remove(sequence)
    this.#events.advise('MAX_DELIVERIES', 'advisory.v1.max_deliver', {
      stream_seq: sequence,
      deliveries: found?.deliveries ?? attempts,
    })
    this.refresh()
  }

  // -------------------------------------------------------------------------------------------------------------- acknowledging

  /** What came on an acknowledgement's subject. */
  onAck(place: AckPlace, body: string, reply: string): void {
    if (this.#closed) return
    const word = body === '+ACK' ? body : (/^[+-]\w+/.exec(body)?.[0] ?? '')
    const rest = body.slice(word.length).trim()
    switch (word === '' ? '+ACK' : word) {
      case '+ACK':
      case '+OK':
        this.#accept(place, () => this.#answer(reply))
        break
      case '+NXT':
        this.#accept(place, () => undefined)
        this.pull?.request(reply, rest)
        break
      case '-NAK':
        this.#giveBack(place, rest)
        this.#host.outbox.answer(reply, '')
        break
      case '+WPI':
        this.#extend(place)
        this.#host.outbox.answer(reply, '')
        break
      case '+TERM':
        this.#terminate(place, rest)
        this.#answer(reply)
        break
      default:
    }
    this.#refreshSoon()
  }

  /** Once it is durable. */
  #answer(reply: string): void {
    if (reply !== '') this.#host.whenDurable(() => this.#host.outbox.answer(reply, ''))
  }

  /** `done` when it has taken effect. */
  #accept({ streamSequence: sequence }: AckPlace, done: () => void): void {
    const pending = this.#inFlight.get(sequence)
    if (this.config.ack_policy === 'all')
      for (const [each, other] of this.#inFlight.before(sequence)) this.#settled(each, other, () => undefined)
    if (this.config.ack_policy === 'none') done()
    else if (pending !== undefined) this.#settled(sequence, pending, done)
    // Delivered before a restart, perhaps.
    else if (sequence > this.#oldUpTo) done()
    else
      this.#acceptAt(sequence, (accepted) => {
        if (accepted) this.#host.acknowledged(this, sequence, '')
        done()
      })
  }

  #settled(sequence: number, { id, subject, at }: Pending, done: () => void): void {
    this.#inFlight.remove(sequence)
    // Late, but before it was delivered again: accepted all the same.
    if (this.#core.settle([id], accept) === 0) this.#acceptAt(sequence, done)
    else done()
    this.#done(sequence, subject)
    this.#events.acknowledged(sequence, at, () => this.#inFlight.floor.consumer)
  }

  /** One that nobody has, since its deadline took it back. */
  #acceptAt(sequence: number, done: (accepted: boolean) => void): void {
    const { space } = this.#host.outbox
    space.acceptAt(this.stream, this.name, 0, this.owner.offsetOf(sequence)).then(done, () => done(false)) // gone meanwhile
  }

  #done(sequence: number, subject: string): void {
    this.#inFlight.acknowledgedAt = this.#host.clock.now()
    this.#host.acknowledged(this, sequence, subject)
  }

  #giveBack({ streamSequence: sequence, consumerSequence, deliveries }: AckPlace, options: string): void {
    const pending = this.#inFlight.get(sequence)
    if (pending === undefined) return
    const fields = { consumer_seq: consumerSequence, stream_seq: sequence, deliveries }
    this.#events.advise('MSG_NAKED', 'advisory.v1.nak', fields)
    const delayMs = nakDelayMs(options)
    // A delay is a new deadline, so that it counts as delivered meanwhile and nothing takes its place.
    if (delayMs > 0) this.#core.settle([pending.id], { kind: 'extend', deadlineMs: delayMs })
    else this.#core.settle([pending.id], { kind: 'release', countsAsAttempt: true })
  }

  #extend({ streamSequence: sequence }: AckPlace): void {
    const pending = this.#inFlight.get(sequence)
    if (pending !== undefined) this.#core.settle([pending.id], { kind: 'extend', deadlineMs: msOf(this.config.ack_wait) })
  }

  #terminate(place: AckPlace, reason: string): void {
    const { streamSequence: sequence, consumerSequence, deliveries } = place
    const pending = this.#inFlight.remove(sequence)
    if (pending === undefined) return
    const rejected = { kind: 'reject', ...(reason === '' ? {} : { reason }) } as const
    if (this.#core.settle([pending.id], rejected) === 0) this.#acceptAt(sequence, () => undefined)
    const fields = { consumer_seq: consumerSequence, stream_seq: sequence, deliveries, ...(reason === '' ? {} : { reason }) }
    this.#events.advise('MSG_TERMINATED', 'advisory.v1.terminated', fields)
    this.#done(sequence, pending.subject)
  }

  advisePin(group: string, id: string, pinned: boolean): void {
    this.#events.advisePin(group, id, pinned)
  }

  // -------------------------------------------------------------------------------------------------------------- administration

  /** From now on; `config` was checked. */
  async change(config: ConsumerConfig): Promise<void> {
    const old = this.config
    this.config = config
    this.#core.change({
      deadlineMs: config.ack_policy === 'none' ? -1 : msOf(config.ack_wait),
      deliveryLimit: config.max_deliver < 0 ? -1 : Math.max(0, config.max_deliver - 1),
    })
    this.#times.configured()
    const filters = filtersOf(config)
    const refiltered = filtersOf(old).join() !== filters.join()
    if (refiltered) {
      this.#tally.close()
      this.#tally = this.#count({ offset: this.owner.offsetOf(this.#inFlight.delivered.stream + 1) })
      const filter = filters.length === 0 ? undefined : ({ kind: 'subject', patterns: filters.map(patternOf) } as const)
      await this.#host.outbox.space.refilterSubscription(this.stream, this.name, filter)
    }
    if (old.deliver_subject !== config.deliver_subject) {
      this.#taker.close(null)
      this.#taker = new PushTaker(this, this.#host.outbox, this.#host.clock, (subject) => this.#host.isBehind(subject))
    }
    this.refresh()
  }

  /** Begins again at a sequence, 0: behind what is acknowledged. Resolves to the sequence. Rejects with {@link ApiError} where it may not. */
  async reset(asked: number): Promise<number> {
    const sequence = asked === 0 ? this.#inFlight.floor.stream + 1 : await this.#mayBeginAt(asked)
    const startAt = { offset: Math.max(0, this.owner.offsetOf(sequence)) }
    this.#started = false
    this.#core.close()
    if (!this.config.mem_storage) await this.#host.outbox.space.seek(this.stream, this.name, startAt)
    if (this.#closed) throw refusal('consumerReset', 'consumer closed')
    this.#givenBack.clear()
    this.#inFlight = new InFlight(sequence - 1)
    this.#core = this.#subscribe(startAt)
    this.#tally.close()
    this.#tally = this.#count(startAt)
    return sequence
  }

  async #mayBeginAt(sequence: number): Promise<number> {
    const { deliver_policy: policy, opt_start_seq: first, opt_start_time: time } = this.config
    if (policy === 'by_start_sequence' && sequence < first) throw refusal('consumerReset', 'below start seq')
    if (policy === 'by_start_time' && sequence < (await this.owner.sequenceAt(Date.parse(time))))
      throw refusal('consumerReset', 'below start time')
    if (!['all', 'by_start_sequence', 'by_start_time'].includes(policy)) throw refusal('consumerReset', 'not allowed')
    return sequence
  }

  /** `status`: what who waits is told. */
  close(status: string | null): void {
    if (this.#closed) return
    this.#closed = true
    this.#times.close()
    this.#pace.close()
    this.#unwatch()
    this.#taker.close(status)
    this.#tally.close()
    this.#core.close()
  }

  info(): Record<string, unknown> {
    const now = this.#host.clock.now()
    const place = ({ consumer, stream, at }: Progress): object => ({
      consumer_seq: consumer,
      stream_seq: stream,
      ...(at === 0 ? {} : { last_active: timeText(at) }),
    })
    const { paused } = this
    const pinned = this.pull?.pinned ?? null
    const groups = this.config.priority_groups.map((group) => ({
      group,
      ...(pinned === null ? {} : { pinned_client_id: pinned.id, pinned_ts: timeText(now) }),
    }))
    return {
      stream_name: this.stream,
      name: this.name,
      created: timeText(this.createdAt),
      config: shownConsumerConfig(this.config),
      delivered: place(this.#inFlight.delivered),
      ack_floor: place(this.#inFlight.floor),
      num_ack_pending: this.#inFlight.size,
      num_redelivered: this.#inFlight.redelivered,
      num_waiting: this.#taker.waiting,
      num_pending: this.#tally.count + this.#givenBack.size,
      ...(this.push !== null && this.#taker.active ? { push_bound: true } : {}),
      ...(paused ? { paused, pause_remaining: nanosOf(Date.parse(this.config.pause_until) - now) } : {}),
      ts: timeText(now),
      ...(groups.length === 0 ? {} : { priority_groups: groups }),
    }
  }
}

interface Message {
  readonly id: number
  readonly offset: number
  readonly attempt: number
  readonly subject: string
  readonly headers: Buffer
  readonly payload: Buffer
  readonly time: number
}
