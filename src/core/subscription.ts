/**
 * The one delivery engine: ready → in flight → accepted | released | dead-lettered | expired, for competing consumers with credit.
 * What is ready and what is done is the backlog's (backlog.ts); who takes part, the members' (members.ts); who asks by himself, the askers' (askers.ts).
 * Work is done in one pump at the end of the turn, so a sink is never called from inside a session's own call.
 */
import type { Outcome, Sink, SubscribeSpec, SubscriptionOptions } from '../broker/face.ts'
import { Alarm } from '../lib/alarm.ts'
import { Askers } from './askers.ts'
import { Backlog, looksPerPumpMax } from './backlog.ts'
import { type InFlight, MemberConsumer } from './consumer.ts'
import { CoreError, type CoreErrorCode } from './errors.ts'
import type { Lane, Slot } from './lane.ts'
import { Members } from './members.ts'
import { PassedOver } from './passed-over.ts'
import type { SubscriptionHost } from './subscription-host.ts'

const recordsPerPumpMax = 512

export class Subscription extends Backlog {
  readonly askers = new Askers(this)
  /** Ever had a consumer. */
  wasUsed = false
  /** Hears, before consumers are served, that records are ready. */
  onReady: (() => void) | null = null
  readonly #members: Members
  readonly #overdue: Alarm
  /** While a consumer selects. */
  #passedOver: PassedOver | null = null
  #scheduled = false

  constructor(
    id: number,
    name: string,
    topic: string,
    durable: boolean,
    host: SubscriptionHost,
    options: SubscriptionOptions = {},
  ) {
    super(id, name, topic, durable, host, options)
    this.#members = new Members(host, () => this.wake())
    this.#overdue = new Alarm(host.clock, () => this.#releaseOverdue())
  }

  get consumers(): readonly MemberConsumer[] {
    return this.#members.consumers
  }

  /** There may be something to do; it is done at the end of this turn. */
  override wake(): void {
    if (this.#scheduled || this.closed || this.host.recovering) return
    this.#scheduled = true
    queueMicrotask(this.#run)
  }

  readonly #run = (): void => {
    this.#scheduled = false
    if (!this.closed) this.#pump()
  }

  #pump(): void {
    this.looks = looksPerPumpMax
    if (this.#passedOver !== null && this.#passedOver.size > 0) this.#reconsider(this.#passedOver)
    this.enforceLength()
    if (this.onReady !== null && this.ready > 0 && !this.idle) this.onReady()
    this.askers.serve()
    let budget = recordsPerPumpMax
    const served = new Set<MemberConsumer>()
    while (budget > 0 && !this.idle) {
      const willing = this.#members.next(0)
      if (willing === null) break
      const slot = this.next()
      if (slot === null) break
      const bytes = slot.end - slot.start
      const consumer = this.#passedOver === null && willing.wants(bytes) ? willing : this.#members.next(bytes, slot)
      if (consumer === null) {
        if (this.#passedOver === null || !this.#passOver(this.#passedOver, slot)) break
        continue
      }
      this.#members.took()
      this.assign(consumer, slot, this.lane as Lane, true) // set with the slot
      served.add(consumer)
      budget--
    }
    if (budget < recordsPerPumpMax) this.count(recordsPerPumpMax - budget)
    for (const consumer of served) consumer.flush()
    if (budget > 0) this.watchHead()
    if (budget === 0 || this.looks <= 0) {
      this.#scheduled = true
      setImmediate(this.#run)
    }
  }

  /** Nobody with room wants it: those behind it have their turn. False: so many stand aside that no more can. */
  #passOver(passedOver: PassedOver, slot: Slot): boolean {
    if (passedOver.full || this.looks <= 0) return false
    this.looks--
    const lane = this.lane as Lane // set with the slot
    const wantedBy = this.consumers.filter(({ selects }) => selects === null || selects(slot))
    const { offset, expiresAt } = slot
    lane.consume(slot)
    const before = passedOver.expiresAt
    passedOver.add(lane, offset, expiresAt, wantedBy)
    if (passedOver.expiresAt < before)
      this.host.clock.after(Math.max(0, passedOver.expiresAt - this.host.clock.now()), () => this.wake())
    return true
  }

  #reconsider(passedOver: PassedOver): void {
    // Askers want any record, and what has expired leaves at the head.
    if (this.askers.waiting || passedOver.expiresAt <= this.host.clock.now()) passedOver.giveBackAll()
    else passedOver.giveBackWanted()
  }

  protected override laneMoved(lane: Lane): void {
    super.laneMoved(lane)
    this.#passedOver?.forget(lane)
  }

  /** The record, at the head of its lane, goes into the consumer's batch. */
  assign(consumer: MemberConsumer, slot: Slot, lane: Lane, onCredit: boolean): void {
    const attempt = lane.tries(slot.offset) + 1
    const handedOut = lane.timesHandedOut(slot.offset)
    const redelivered = lane.mayBeSeen(slot.offset)
    const bytes = slot.end - slot.start
    this.measure(lane, slot.offset)
    lane.consume(slot)
    let id = 0
    if (consumer.autoSettle) this.done(lane, slot.offset, bytes)
    else {
      const { deadlineMs, deliveryLimit } = consumer
      const deadline = deadlineMs < 0 ? Infinity : this.host.clock.now() + deadlineMs
      id = consumer.hold(this.out(lane, slot, attempt, handedOut, deadline, deliveryLimit))
      this.#overdue.set(deadline)
    }
    if (onCredit) consumer.take(id, lane, attempt, handedOut, redelivered, slot, bytes)
    else consumer.push(id, lane, attempt, handedOut, redelivered, slot)
  }

  // ------------------------------------------------------------------------------------------------------------- settling

  settle(flight: InFlight, outcome: Outcome): void {
    const { lane, offset } = flight
    // A pull may be waiting for fewer to be in flight, a consumer for its turn to be active.
    if (this.askers.waiting || this.#members.yielding) this.wake()
    switch (outcome.kind) {
      case 'accept':
        lane.inFlight--
        this.accepted++
        return this.done(lane, offset, flight.bytes)
      case 'release':
        return this.#release(flight, outcome.countsAsAttempt, outcome.delayMs)
      case 'reject':
        return this.dead.bury(flight, 'rejected', outcome.reason)
      case 'extend':
        flight.deadline = this.host.clock.now() + outcome.deadlineMs
        return this.#overdue.set(flight.deadline)
    }
  }

  #release(flight: InFlight, counts: boolean, askedDelayMs: number | undefined): void {
    this.returned++
    const { lane, offset, attempt } = flight
    const attempts = counts ? attempt : attempt - 1
    const deliveryLimit = flight.deliveryLimit ?? this.host.deliveryLimit
    if (deliveryLimit >= 0 && attempts > deliveryLimit) {
      for (const consumer of this.consumers)
        queueMicrotask(() => consumer.sink.onGivenUp?.(consumer, lane.index, offset, attempt))
      return this.dead.bury(flight, 'attempts', undefined)
    }
    this.giveBack(flight, attempts, askedDelayMs ?? this.#retryDelayMs(counts, attempts), deliveryLimit >= 0)
  }

  #retryDelayMs(failed: boolean, attempts: number): number {
    const { retryDelay } = this.host
    if (retryDelay === null || retryDelay.on === (failed ? 'returned' : 'failed')) return 0
    return Math.min(retryDelay.minMs * Math.max(1, attempts), retryDelay.maxMs)
  }

  #releaseOverdue(): void {
    if (this.closed) return
    const now = this.host.clock.now()
    const next = Math.min(this.askers.releaseOverdue(now), this.#members.releaseOverdue(now))
    if (next !== Infinity) this.#overdue.set(Math.max(now + 1, next))
  }

  protected override held(): Map<Lane, Set<number>> {
    const held = new Map<Lane, Set<number>>()
    this.#members.addHeld(held)
    this.askers.addHeld(held)
    return held
  }

  // ---------------------------------------------------------------------------------------------------------------- consumers

  subscribe(spec: SubscribeSpec, sink: Sink): MemberConsumer {
    this.#members.admit(this.topic, spec.exclusive === true)
    if (spec.selects !== undefined && this.keys !== null)
      throw new CoreError('Unsupported', `topic "${this.topic}": where keys are exclusive, consumers cannot select`)
    const consumer = new MemberConsumer(this, spec, sink)
    if (consumer.selects !== null) this.#passedOver ??= new PassedOver()
    this.#passedOver?.giveBackAll()
    this.#members.add(consumer)
    this.wasUsed = true
    this.host.consumersChanged(this)
    return consumer
  }

  /** It takes part no longer; with unsettled deliveries it is remembered until {@link forget}. */
  remove(consumer: MemberConsumer): void {
    if (!this.#members.remove(consumer)) return
    if (!this.#members.someSelect) {
      this.#passedOver?.giveBackAll()
      this.#passedOver = null
    }
    this.host.consumersChanged(this)
    this.wake()
  }

  forget(consumer: MemberConsumer): void {
    this.#members.forget(consumer)
    this.askers.forget(consumer)
  }

  isActive(consumer: MemberConsumer): boolean {
    return this.#members.isActive(consumer)
  }

  /** Whether a record of so many bytes would go to a consumer at once. */
  waitsFor(bytes: number): boolean {
    return !this.idle && this.incoming === 0 && this.#members.want(bytes)
  }

  /** Ends it: all consumers are told. */
  close(reason: CoreErrorCode): void {
    if (this.closed) return
    this.end()
    this.#overdue.cancel()
    this.askers.close()
    for (const consumer of this.#members.consumers.splice(0)) consumer.closedBy(reason)
  }
}
