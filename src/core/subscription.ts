/**
 * The one delivery engine: ready → in flight → accepted | released | dead-lettered | expired, for competing consumers with credit.
 * Work is done in one pump at the end of the turn, so a sink is never called from inside a session's own call.
 */
import type {
  DeliveryBatch,
  Held,
  Outcome,
  PullLimits,
  Sink,
  SubscribeSpec,
  SubscriptionOptions,
  Taken,
  TopicConfig,
  Transaction,
} from '../broker/face.ts'
import type { Clock, Timer } from '../lib/timers.ts'
import { hold, InFlight, MemberConsumer } from './consumer.ts'
import { CoreError, type CoreErrorCode } from './errors.ts'
import { compileFilter, type Filter } from './filter.ts'
import { KeyLocks, keyOf, parkedMax } from './key-locks.ts'
import { Lane, type Slot } from './lane.ts'
import type { Log } from './log.ts'
import type { Returned } from './ops.ts'
import { PassedOver } from './passed-over.ts'
import type { Death } from './record.ts'

const recordsPerPumpMax = 512
/** Records passed over (filtered out, parked) before others get their turn. */
const looksPerPumpMax = 2048

/** How long a dead record waits that its target does not take. */
const deadLetterRetryMs = 1000

interface SetAside {
  readonly lane: Lane
  readonly offset: number
  readonly bytes: number
  readonly reason: Death['reason']
  readonly attempts: number
  readonly error: string | undefined
}

/** A consumer that waits for records, of one lane or of any. */
interface Pull {
  readonly consumer: MemberConsumer
  /** null: any. */
  readonly lane: Lane | null
  readonly limits: PullLimits
  readonly done: (batch: DeliveryBatch) => void
}

/** What a subscription needs of its topic. */
export interface SubscriptionHost {
  readonly clock: Clock
  /** The record is done with: written lazily, then what nobody needs is freed. */
  markDirty(subscription: Subscription): void
  /** Moves the record to the dead-letter target, if there is one, in one frame with its settling. False: it must stay, and be tried again. */
  deadLetter(
    subscription: Subscription,
    lane: Lane,
    slot: Slot,
    reason: Death['reason'],
    attempts: number,
    error: string | undefined,
  ): boolean
  readonly deliveryLimit: number
  readonly retryDelay: TopicConfig['retryDelay']
  readonly singleActiveConsumer: boolean
  readonly hasDeadLetter: boolean
  /** What came back goes out before everything else, in the order in which it came back; else it goes back to its place. */
  readonly returnsInOrder: boolean
  readonly priorityLanes: boolean
  /** With priority lanes: their indexes, the most urgent first. */
  readonly byUrgency: readonly number[]
  readonly recordsMax: number
  readonly bytesMax: number
  readonly dropsOldest: boolean
  readonly paused: boolean
  /** What is stored is still being read: nothing happens before its end is known. */
  readonly recovering: boolean
  recordReturn(subscription: Subscription, lane: Lane, offset: number, how: Returned): void
  consumersChanged(subscription: Subscription): void
  damaged(subscription: Subscription, error: Error): void
  delivered(records: number): void
  /** The record of a lane's log whose delivery is measured, or one behind it, was handed over. */
  handedOver(lane: Lane, offset: number): void
  /** Settlements that happen at the transaction's commit. */
  enlist(transaction: Transaction, action: () => void): void
}

export class Subscription {
  readonly id: number
  readonly name: string
  readonly topic: string
  readonly durable: boolean
  readonly lanes: Lane[] = []
  readonly host: SubscriptionHost
  readonly consumers: MemberConsumer[] = []
  /** Asked for; see {@link idle}. */
  paused = false
  /** Its stored records cannot be read. */
  damaged = false
  closed = false
  /** Bytes of records not done; an estimate after a restart. */
  liveBytes = 0
  /** Ever had a consumer. */
  wasUsed = false
  /** Since the broker started: records handed out, accepted, and given back. */
  delivered = 0
  accepted = 0
  returned = 0
  #turn = 0
  #laneTurn = 0
  #scheduled = false
  #headTimer: Timer | null = null
  #headTimerAt = Infinity
  #deadlineTimer: Timer | null = null
  #deadlineTimerAt = Infinity
  readonly #aside: SetAside[] = []
  readonly #takers: { autoSettle: boolean; done: (taken: Taken | null) => void }[] = []
  readonly #pulls = new Set<Pull>()
  /** Members no longer, with deliveries that are not settled yet. */
  readonly #stopped = new Set<MemberConsumer>()
  /** In flight at askers of single records. */
  readonly #taken = new Set<InFlight>()
  /** Offsets settled since the last frame, as runs for each lane. */
  readonly settledRuns: number[][] = []
  dirty = false
  /** Hears, before consumers are served, that records are ready. */
  onReady: (() => void) | null = null
  /** Changed since the last checkpoint. */
  changed = true

  options: SubscriptionOptions
  #filter: Filter | null
  readonly #keys: KeyLocks | null
  #looks = looksPerPumpMax
  /** While a consumer selects. */
  #passedOver: PassedOver | null = null

  constructor(
    id: number,
    name: string,
    topic: string,
    durable: boolean,
    host: SubscriptionHost,
    options: SubscriptionOptions = {},
  ) {
    this.id = id
    this.name = name
    this.topic = topic
    this.durable = durable
    this.host = host
    this.options = options
    this.#filter = options.filter === undefined ? null : compileFilter(options.filter, topic)
    this.#keys = options.keyExclusive === 'group' ? new KeyLocks(() => this.wake()) : null
  }

  addLane(log: Log, floor: number): Lane {
    const lane = new Lane(this.lanes.length, log, floor, () => this.wake(), this.host.returnsInOrder)
    lane.onMoved = () => {
      this.#keys?.forget(lane)
      this.#passedOver?.forget(lane)
    }
    if (this.#keys !== null) {
      lane.onGone = (offset) => this.#keys?.done(lane, offset)
    }
    this.lanes.push(lane)
    this.settledRuns.push([])
    return lane
  }

  get ready(): number {
    let ready = 0
    for (const lane of this.lanes) ready += lane.ready
    return ready
  }
  /** With what is not durable yet. */
  get incoming(): number {
    let incoming = 0
    for (const lane of this.lanes) incoming += lane.incoming
    return incoming
  }
  get inFlight(): number {
    let inFlight = 0
    for (const lane of this.lanes) inFlight += lane.inFlight
    return inFlight
  }

  /** There may be something to do; it is done at the end of this turn. */
  wake(): void {
    if (this.#scheduled || this.closed || this.host.recovering) return
    this.#scheduled = true
    queueMicrotask(this.#run)
  }

  readonly #run = (): void => {
    this.#scheduled = false
    if (!this.closed) this.#pump()
  }

  #pump(): void {
    this.#looks = looksPerPumpMax
    if (this.#passedOver !== null && this.#passedOver.size > 0) this.#reconsider(this.#passedOver)
    this.#enforceLength()
    if (this.onReady !== null && this.ready > 0 && !this.idle) this.onReady()
    this.#serveTakers()
    this.#servePulls()
    let budget = recordsPerPumpMax
    const served = new Set<MemberConsumer>()
    while (budget > 0 && !this.idle) {
      const willing = this.#nextConsumer(0)
      if (willing === null) break
      const slot = this.#next()
      if (slot === null) break
      const bytes = slot.end - slot.start
      const consumer = this.#passedOver === null && willing.wants(bytes) ? willing : this.#nextConsumer(bytes, slot)
      if (consumer === null) {
        if (this.#passedOver === null || !this.#passOver(this.#passedOver, slot)) break
        continue
      }
      this.#turn = this.#turnAfter
      this.#assign(consumer, slot, this.#lane as Lane, true) // set by #next with the slot
      served.add(consumer)
      budget--
    }
    if (budget < recordsPerPumpMax) this.#count(recordsPerPumpMax - budget)
    for (const consumer of served) consumer.flush()
    if (budget > 0) this.#watchHead()
    if (budget === 0 || this.#looks <= 0) {
      this.#scheduled = true
      setImmediate(this.#run)
    }
  }

  /** The first record of a lane that is for this subscription and may go out now. What is not for it is settled on the way. */
  #head(lane: Lane): Slot | null {
    for (;;) {
      const slot = lane.peek()
      if (slot === null || (this.#filter === null && this.#keys === null)) return slot
      if (this.#filter !== null && !slot.passed) {
        slot.passed = this.#filter(slot)
        if (!slot.passed) {
          lane.consume(slot)
          this.#done(lane, slot.offset, slot.end - slot.start)
          if (--this.#looks <= 0) return null
          continue
        }
      }
      if (this.#keys === null) return slot
      if (slot.key === undefined) slot.key = keyOf(slot)
      if (slot.key === null || !this.#keys.blocks(slot.key, lane, slot.offset)) return slot
      if (lane.parked >= parkedMax) return null
      lane.consume(slot)
      this.#keys.park(slot.key, lane, slot.offset)
      if (--this.#looks <= 0) return null
    }
  }

  #lane: Lane | null = null

  /** The next record that is ready and not expired; its lane is in #lane. */
  #next(): Slot | null {
    const { lanes } = this
    for (;;) {
      let expired = false
      const first = this.host.returnsInOrder ? this.#firstReturned() : -1
      for (let step = first < 0 ? 0 : -1; step < lanes.length; step++) {
        const index = step < 0 ? first : this.#laneAt(step)
        const lane = lanes[index] as Lane // index < length
        const slot = this.#head(lane)
        if (slot === null) {
          if (lane.failure !== null) this.host.damaged(this, lane.failure)
          if (lane.reading && (step < 0 || this.host.priorityLanes)) return null
          continue
        }
        this.#lane = lane
        if (slot.expiresAt !== 0 && slot.expiresAt <= this.host.clock.now()) {
          this.#remove(lane, slot, 'expired')
          expired = true
          break
        }
        if (!this.host.priorityLanes) this.#laneTurn = (index + 1) % lanes.length
        return slot
      }
      if (!expired) return null
    }
  }

  /** Lanes in the order in which they are asked. */
  #laneAt(step: number): number {
    const { priorityLanes, byUrgency } = this.host
    return priorityLanes ? (byUrgency[step] as number) : (this.#laneTurn + step) % this.lanes.length // one for each lane
  }

  /** The lane of what came back first; -1: nothing came back. */
  #firstReturned(): number {
    let first = -1
    let turn = Infinity
    for (const lane of this.lanes) {
      if (lane.returnTurn >= turn) continue
      turn = lane.returnTurn
      first = lane.index
    }
    return first
  }

  /** Takes a ready record away without a consumer. */
  #remove(lane: Lane, slot: Slot, reason: Death['reason']): void {
    const attempts = lane.attempts.get(slot.offset) ?? 0
    const bytes = slot.end - slot.start
    const moved = this.host.deadLetter(this, lane, slot, reason, attempts, undefined)
    lane.consume(slot)
    if (moved) this.#done(lane, slot.offset, bytes)
    else this.#setAside({ lane, offset: slot.offset, bytes, reason, attempts, error: undefined })
  }

  /** Whose turn it is after the consumer that was found last. */
  #turnAfter = 0

  /** Nobody with room wants it: those behind it have their turn. False: so many stand aside that no more can. */
  #passOver(passedOver: PassedOver, slot: Slot): boolean {
    if (passedOver.full || this.#looks <= 0) return false
    this.#looks--
    const lane = this.#lane as Lane // set by #next with the slot
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
    // Askers of single records want any, and what has expired leaves at the head.
    if (this.#takers.length > 0 || this.#pulls.size > 0 || passedOver.expiresAt <= this.host.clock.now()) passedOver.giveBackAll()
    else passedOver.giveBackWanted()
  }

  /** Who gets the next record, of so many bytes. `slot`: only who wants it. */
  #nextConsumer(bytes: number, slot: Slot | null = null): MemberConsumer | null {
    const { consumers } = this
    const takes = ({ selects }: MemberConsumer): boolean => slot === null || selects === null || selects(slot)
    if (this.host.singleActiveConsumer) {
      const active = consumers[0]
      return active?.wants(bytes) === true && takes(active) ? active : null
    }
    // Sorted by priority; turns are taken among those of the highest priority that want something.
    for (let from = 0; from < consumers.length; ) {
      const { priority } = consumers[from] as MemberConsumer // from < length
      let to = from
      while (to < consumers.length && consumers[to]?.priority === priority) to++
      for (let step = 0; step < to - from; step++) {
        const consumer = consumers[from + ((this.#turn + step) % (to - from))] as MemberConsumer // within [from, to)
        if (!consumer.wants(bytes) || !takes(consumer)) continue
        this.#turnAfter = (this.#turn + step + 1) % (to - from)
        return consumer
      }
      from = to
    }
    return null
  }

  #assign(consumer: MemberConsumer, slot: Slot, lane: Lane, onCredit: boolean): void {
    const before = lane.attempts.get(slot.offset)
    const attempt = (before ?? 0) + 1
    const handedOut = lane.handedOut.get(slot.offset) ?? before ?? 0
    const bytes = slot.end - slot.start
    this.#measure(lane, slot.offset)
    lane.consume(slot)
    let id = 0
    if (consumer.autoSettle) this.#done(lane, slot.offset, bytes)
    else {
      lane.inFlight++
      if (typeof slot.key === 'string') this.#keys?.take(slot.key, lane, slot.offset)
      const { deadlineMs, deliveryLimit } = consumer
      const deadline = deadlineMs < 0 ? Infinity : this.host.clock.now() + deadlineMs
      id = consumer.hold(new InFlight(lane, slot.offset, attempt, bytes, slot.keyHash, handedOut, deadline, deliveryLimit))
      if (deadline !== Infinity) this.#watchDeadlines(deadlineMs)
    }
    if (onCredit) consumer.take(id, lane, attempt, handedOut, before !== undefined, slot, bytes)
    else consumer.push(id, lane, attempt, handedOut, before !== undefined, slot)
  }

  #measure(lane: Lane, offset: number): void {
    const { sampleOffset } = lane.log
    if (sampleOffset >= 0 && offset >= sampleOffset) this.host.handedOver(lane, offset)
  }

  #done(lane: Lane, offset: number, bytes: number): void {
    this.#keys?.done(lane, offset)
    if (!lane.acked.add(offset)) return
    if (lane.attempts.size > 0) lane.attempts.delete(offset)
    if (lane.handedOut.size > 0) lane.handedOut.delete(offset)
    if (lane.claimed.size > 0) lane.claimed.delete(offset)
    this.liveBytes = Math.max(0, this.liveBytes - bytes)
    const runs = this.settledRuns[lane.index] as number[] // one for each lane
    const last = runs.length - 2
    if (last >= 0 && (runs[last] as number) + (runs[last + 1] as number) === offset)
      runs[last + 1] = (runs[last + 1] as number) + 1
    else runs.push(offset, 1)
    this.changed = true
    if (!this.dirty) {
      this.dirty = true
      this.host.markDirty(this)
    }
  }

  // ------------------------------------------------------------------------------------------------------------- settling

  settle(flight: InFlight, outcome: Outcome): void {
    const { lane, offset } = flight
    // A pull may be waiting for fewer to be in flight.
    if (this.#pulls.size > 0) this.wake()
    switch (outcome.kind) {
      case 'accept':
        lane.inFlight--
        this.accepted++
        return this.#done(lane, offset, flight.bytes)
      case 'release':
        return this.#release(flight, outcome.countsAsAttempt, outcome.delayMs)
      case 'reject':
        return this.#bury(flight, 'rejected', outcome.reason)
      case 'extend':
        flight.deadline = this.host.clock.now() + outcome.deadlineMs
        return this.#watchDeadlines(outcome.deadlineMs)
    }
  }

  /** Records that it is not made for, though they are there. */
  skip(lane: Lane, from: number, to: number): void {
    for (let offset = from; offset < to; offset++) this.#done(lane, offset, 0)
  }

  refilter(filter: SubscriptionOptions['filter']): void {
    this.#filter = filter === undefined ? null : compileFilter(filter, this.topic)
    const { filter: _, ...rest } = this.options
    this.options = filter === undefined ? rest : { ...rest, filter }
    for (const lane of this.lanes) lane.reconsider()
    this.wake()
  }

  #count(records: number): void {
    this.delivered += records
    this.host.delivered(records)
  }

  #release(flight: InFlight, counts: boolean, askedDelayMs: number | undefined): void {
    this.returned++
    const { lane, offset } = flight
    const attempts = counts ? flight.attempt : flight.attempt - 1
    const deliveryLimit = flight.deliveryLimit ?? this.host.deliveryLimit
    if (deliveryLimit >= 0 && attempts > deliveryLimit) {
      for (const consumer of this.consumers)
        queueMicrotask(() => consumer.sink.onGivenUp?.(consumer, lane.index, offset, flight.attempt))
      return this.#bury(flight, 'attempts', undefined)
    }
    const delayMs = askedDelayMs ?? this.#retryDelayMs(counts, attempts)
    lane.attempts.set(offset, attempts)
    if (attempts < flight.handedOut + 1) lane.handedOut.set(offset, flight.handedOut + 1)
    const notBefore = delayMs <= 0 ? 0 : this.host.clock.now() + delayMs
    if (deliveryLimit >= 0 || notBefore > 0) {
      this.host.recordReturn(this, lane, offset, { attempts, handedOut: flight.handedOut + 1, notBefore })
      this.changed = true
    }
    lane.inFlight--
    this.#keys?.release(lane, offset)
    if (delayMs <= 0) lane.giveBack(offset, this.#returnTurn++)
    else this.#hold(lane, offset, notBefore)
    this.wake()
  }

  /** Counts what comes back. */
  #returnTurn = 0

  /** Not ready before that time. */
  #hold(lane: Lane, offset: number, notBefore: number): void {
    lane.delayed++
    lane.held.set(offset, notBefore)
    this.host.clock.after(Math.max(0, notBefore - this.host.clock.now()), () => {
      lane.delayed--
      if (lane.held.delete(offset) && !this.closed && !lane.acked.has(offset)) lane.giveBack(offset, this.#returnTurn++)
      this.wake()
    })
  }

  /** Recovery: waits on for what waited when it was stored. */
  resumeHeld(): void {
    for (const lane of this.lanes) {
      const held = [...lane.held]
      lane.held.clear()
      for (const [offset, notBefore] of held)
        if (!lane.acked.has(offset) && notBefore > this.host.clock.now()) this.#hold(lane, offset, notBefore)
    }
  }

  #retryDelayMs(failed: boolean, attempts: number): number {
    const { retryDelay } = this.host
    if (retryDelay === null || retryDelay.on === (failed ? 'returned' : 'failed')) return 0
    return Math.min(retryDelay.minMs * Math.max(1, attempts), retryDelay.maxMs)
  }

  #bury(flight: InFlight, reason: Death['reason'], error: string | undefined): void {
    const { lane, offset } = flight
    if (!this.host.hasDeadLetter) {
      lane.inFlight--
      return this.#done(lane, offset, flight.bytes)
    }
    lane.readRecord(offset, (slot) => {
      if (this.closed) return
      const moved = slot === null || this.host.deadLetter(this, lane, slot, reason, flight.attempt, error)
      lane.inFlight--
      if (moved) this.#done(lane, offset, flight.bytes)
      else this.#setAside({ lane, offset, bytes: flight.bytes, reason, attempts: flight.attempt, error })
    })
  }

  /** A dead record that its target does not take waits here, neither ready nor done. */
  #setAside(dead: SetAside): void {
    dead.lane.delayed++
    this.#aside.push(dead)
    if (this.#aside.length === 1) this.host.clock.after(deadLetterRetryMs, () => this.#buryAside())
  }

  #buryAside(): void {
    if (this.closed) return
    for (const dead of this.#aside.splice(0)) {
      const { lane, offset, bytes, reason, attempts, error } = dead
      lane.readRecord(offset, (slot) => {
        if (this.closed) return
        lane.delayed--
        if (lane.acked.has(offset)) return
        if (slot === null || this.host.deadLetter(this, lane, slot, reason, attempts, error)) this.#done(lane, offset, bytes)
        else this.#setAside(dead)
      })
    }
  }

  // ---------------------------------------------------------------------------------------------------- expiry and deadlines

  /** A record with an expiry at the head is removed in time also when nobody consumes. */
  #watchHead(): void {
    for (const lane of this.lanes) {
      const slot = this.#head(lane)
      if (slot === null || slot.expiresAt === 0 || slot.expiresAt >= this.#headTimerAt) continue
      this.#headTimer?.cancel()
      this.#headTimerAt = slot.expiresAt
      this.#headTimer = this.host.clock.after(Math.max(0, slot.expiresAt - this.host.clock.now()), () => {
        this.#headTimerAt = Infinity
        this.#headTimer = null
        if (this.closed) return
        for (const other of this.lanes) this.#dropExpired(other)
        this.wake()
      })
    }
  }

  #dropExpired(lane: Lane): void {
    for (;;) {
      const slot = this.#head(lane)
      if (slot === null || slot.expiresAt === 0 || slot.expiresAt > this.host.clock.now()) return
      this.#remove(lane, slot, 'expired')
    }
  }

  #watchDeadlines(inMs: number): void {
    const at = this.host.clock.now() + inMs
    if (at >= this.#deadlineTimerAt) return
    this.#deadlineTimer?.cancel()
    this.#deadlineTimerAt = at
    this.#deadlineTimer = this.host.clock.after(inMs, () => {
      this.#deadlineTimerAt = Infinity
      if (this.closed) return
      const now = this.host.clock.now()
      let next = this.#releaseTakenOverdue(now)
      for (const consumer of [...this.consumers, ...this.#stopped]) next = Math.min(next, consumer.releaseOverdue(now))
      if (next !== Infinity) this.#watchDeadlines(Math.max(1, next - now))
    })
  }

  /** Returns when the next of them is overdue. */
  #releaseTakenOverdue(now: number): number {
    let next = Infinity
    for (const flight of this.#taken) {
      if (flight.deadline > now) {
        next = Math.min(next, flight.deadline)
        continue
      }
      this.#taken.delete(flight)
      this.settle(flight, { kind: 'release', countsAsAttempt: true })
    }
    return next
  }

  // ------------------------------------------------------------------------------------------------------------ length limit

  #enforceLength(): void {
    const { recordsMax, bytesMax, dropsOldest } = this.host
    if (!dropsOldest || (recordsMax < 0 && bytesMax < 0)) return
    while ((recordsMax >= 0 && this.ready > recordsMax) || (bytesMax >= 0 && this.liveBytes > bytesMax && this.ready > 0)) {
      // The least urgent lane gives first.
      const least = this.host.priorityLanes
        ? this.host.byUrgency.findLast((index) => (this.lanes[index]?.ready ?? 0) > 0)
        : undefined
      const lane = least === undefined ? this.lanes.find((candidate) => candidate.ready > 0) : this.lanes[least]
      const slot = lane === undefined ? null : this.#head(lane)
      if (lane === undefined || slot === null) return
      this.#remove(lane, slot, 'maxLength')
    }
  }

  // ---------------------------------------------------------------------------------------------------------------- consumers

  subscribe(spec: SubscribeSpec, sink: Sink): MemberConsumer {
    if (this.consumers.some((other) => other.exclusive))
      throw new CoreError('Mismatch', `topic "${this.topic}" has an exclusive consumer`)
    if (spec.exclusive === true && this.consumers.length > 0)
      throw new CoreError('Mismatch', `topic "${this.topic}" has consumers already, so none can be exclusive`)
    if (spec.selects !== undefined && this.#keys !== null)
      throw new CoreError('Unsupported', `topic "${this.topic}": where keys are exclusive, consumers cannot select`)
    const consumer = new MemberConsumer(this, spec, sink)
    if (consumer.selects !== null) this.#passedOver ??= new PassedOver()
    this.#passedOver?.giveBackAll()
    const wasActive = this.consumers[0]
    let at = this.consumers.length
    // With a single active consumer, the one that is active stays so.
    while (at > (this.host.singleActiveConsumer ? 1 : 0) && (this.consumers[at - 1]?.priority ?? 0) < consumer.priority) at--
    this.consumers.splice(at, 0, consumer)
    this.wasUsed = true
    this.#tellActive(wasActive)
    this.host.consumersChanged(this)
    return consumer
  }

  /** It takes part no longer; with `unsettled` deliveries it is remembered until {@link forget}. */
  remove(consumer: MemberConsumer): void {
    const at = this.consumers.indexOf(consumer)
    if (at < 0) return
    if (consumer.unsettled > 0) this.#stopped.add(consumer)
    const wasActive = this.consumers[0]
    this.consumers.splice(at, 1)
    if (!this.consumers.some(({ selects }) => selects !== null)) {
      this.#passedOver?.giveBackAll()
      this.#passedOver = null
    }
    this.#tellActive(wasActive)
    this.host.consumersChanged(this)
    this.wake()
  }

  forget(consumer: MemberConsumer): void {
    this.#stopped.delete(consumer)
    for (const pull of this.#pulls) if (pull.consumer === consumer) this.#pulls.delete(pull)
  }

  #tellActive(before: MemberConsumer | undefined): void {
    if (!this.host.singleActiveConsumer) return
    const now = this.consumers[0]
    if (now === before) return
    if (before !== undefined && this.consumers.includes(before)) queueMicrotask(() => before.sink.onActive?.(before, false))
    if (now !== undefined) queueMicrotask(() => now.sink.onActive?.(now, true))
    this.wake()
  }

  isActive(consumer: MemberConsumer): boolean {
    return !this.host.singleActiveConsumer || this.consumers[0] === consumer
  }

  /** One record for one asker. */
  take(autoSettle: boolean, done: (taken: Taken | null) => void): void {
    this.#takers.push({ autoSettle, done })
    this.wake()
  }

  #serveTakers(): void {
    while (this.#takers.length > 0) {
      const slot = this.idle ? null : this.#next()
      if (slot === null && !this.idle && this.#undecided) return
      const taker = this.#takers.shift()
      if (taker === undefined) return
      if (slot === null) {
        taker.done(null)
        continue
      }
      const lane = this.#lane as Lane // set by #next with the slot
      const before = lane.attempts.get(slot.offset)
      const handedOut = lane.handedOut.get(slot.offset) ?? before ?? 0
      const bytes = slot.end - slot.start
      this.#measure(lane, slot.offset)
      lane.consume(slot)
      const flight = new InFlight(lane, slot.offset, (before ?? 0) + 1, bytes, slot.keyHash, handedOut, Infinity, undefined)
      lane.inFlight++
      if (typeof slot.key === 'string') this.#keys?.take(slot.key, lane, slot.offset)
      if (taker.autoSettle) this.settle(flight, { kind: 'accept' })
      else this.#taken.add(flight)
      this.#count(1)
      const record = {
        partition: lane.index,
        offset: slot.offset,
        attempt: flight.attempt,
        handedOut,
        redelivered: before !== undefined,
        timestamp: slot.timestamp,
        format: slot.format,
        bytes: slot.buffer.subarray(slot.start, slot.end),
        annotations: slot.annotations,
        subject: slot.subject,
      }
      // What comes to the head now and has expired does not remain. The slot is used again from here on.
      this.#dropExpired(lane)
      taker.done({ ...record, remaining: this.ready, settle: this.#settler(flight) })
    }
  }

  #settler(flight: InFlight): (outcome: Outcome, transaction?: Transaction) => void {
    return (outcome, transaction) => {
      // Settled already, or taken away by the deadline that an extension set.
      if (!this.#taken.has(flight) || this.closed) return
      const act = (): void => {
        if (!this.#taken.has(flight) || this.closed) return
        if (outcome.kind !== 'extend') this.#taken.delete(flight)
        this.settle(flight, outcome)
      }
      if (transaction === undefined) act()
      else this.host.enlist(transaction, act)
    }
  }

  /** A ready record goes out, whatever stands before it. */
  holdAt(lane: Lane, slot: Slot): Held {
    this.#measure(lane, slot.offset)
    const before = lane.attempts.get(slot.offset)
    const handedOut = lane.handedOut.get(slot.offset) ?? before ?? 0
    const bytes = slot.end - slot.start
    const flight = new InFlight(lane, slot.offset, (before ?? 0) + 1, bytes, slot.keyHash, handedOut, Infinity, undefined)
    lane.claim(slot.offset)
    lane.inFlight++
    if (this.#keys !== null) {
      const key = keyOf(slot)
      if (key !== null) this.#keys.take(key, lane, slot.offset)
    }
    this.#taken.add(flight)
    this.#count(1)
    return { attempt: flight.attempt, settle: this.#settler(flight) }
  }

  /** Many records for one consumer, of one lane or, with -1, of any. Returns how to give up. */
  pull(consumer: MemberConsumer, partition: number, limits: PullLimits, done: (batch: DeliveryBatch) => void): () => void {
    const lane = partition === -1 ? null : this.lanes[partition]
    if (lane === undefined) throw new CoreError('OutOfRange', `topic "${this.topic}" has no partition ${partition}`)
    const pull = { consumer, lane, limits, done }
    this.#pulls.add(pull)
    this.wake()
    return () => this.#pulls.delete(pull)
  }

  #servePulls(): void {
    for (const pull of this.#pulls) {
      const taken = this.idle ? 0 : this.#fill(pull)
      if (taken === 0 && (pull.limits.wait !== false || (!this.idle && this.#undecided))) continue
      this.#pulls.delete(pull)
      this.#count(taken)
      pull.consumer.flushTo(pull.done)
    }
  }

  /** Whether a lane that seems empty may turn out not to be. */
  get #undecided(): boolean {
    return this.#looks <= 0 || this.lanes.some((lane) => lane.reading)
  }

  #fill(pull: Pull): number {
    if (this.#keys === null) return this.#take(pull)
    this.#keys.by = pull
    const taken = this.#take(pull)
    this.#keys.by = null
    return taken
  }

  #take({ consumer, lane: asked, limits }: Pull): number {
    let taken = 0
    let { bytes } = limits
    while (taken < limits.messages && (asked ?? this).inFlight < limits.inFlightMax) {
      const slot = asked === null ? this.#next() : this.#head(asked)
      const lane = asked ?? this.#lane
      if (slot === null || lane === null) {
        if (asked !== null && asked.failure !== null) this.host.damaged(this, asked.failure)
        break
      }
      if (slot.expiresAt !== 0 && slot.expiresAt <= this.host.clock.now()) {
        this.#remove(lane, slot, 'expired')
        continue
      }
      const size = slot.end - slot.start
      if (taken > 0 && size > bytes) break
      this.#assign(consumer, slot, lane, false)
      taken++
      bytes -= size
    }
    return taken
  }

  // ----------------------------------------------------------------------------------------------------------- administration

  /** Accepts a record where it waits. False when it is done already or not there, and when somebody has it. */
  acceptAt(partition: number, offset: number, done: (accepted: boolean) => void): void {
    const lane = this.lanes[partition]
    if (lane === undefined) return done(false)
    lane.readRecord(offset, (slot) => {
      if (slot === null || this.closed || lane.acked.has(offset) || this.#held().get(lane)?.has(offset) === true)
        return done(false)
      lane.passed(offset)
      this.accepted++
      this.#done(lane, offset, slot.end - slot.start)
      this.wake()
      done(true)
    })
  }

  #held(): Map<Lane, Set<number>> {
    const held = new Map<Lane, Set<number>>()
    for (const consumer of this.consumers) consumer.heldOffsets(held)
    for (const consumer of this.#stopped) consumer.heldOffsets(held)
    for (const flight of this.#taken) hold(held, flight)
    return held
  }

  /** Whether a record of so many bytes would go to a consumer at once. */
  waitsFor(bytes: number): boolean {
    if (this.idle || this.incoming > 0) return false
    if (this.host.singleActiveConsumer) return this.consumers[0]?.wants(bytes) === true
    return this.consumers.some((consumer) => consumer.wants(bytes))
  }

  /** Whether nothing is to be delivered, whoever asks. */
  get idle(): boolean {
    return this.paused || this.damaged || this.host.paused
  }

  pause(paused: boolean): void {
    this.paused = paused
    if (!paused) this.wake()
  }

  /** A ready record, in whatever place and durable or not, is taken and done. The next frame says so. */
  takeAt(lane: Lane, slot: Slot): void {
    this.#measure(lane, slot.offset)
    this.#done(lane, slot.offset, slot.end - slot.start)
    lane.passed(slot.offset)
    this.accepted++
    this.#count(1)
  }

  /** The same of one that was not read: what it takes is not known, and taken to be as much as the others on average. */
  dropAt(lane: Lane, offset: number): void {
    this.#done(lane, offset, this.liveBytes / Math.max(1, this.incoming + this.inFlight))
    lane.passed(offset)
    this.accepted++
  }

  /** Whether a ready record is for this subscription and may go out now, whatever stands before it. One that has expired leaves. */
  allows(lane: Lane, slot: Slot): boolean {
    if (this.#filter !== null && !this.#filter(slot)) return false
    if (this.#keys !== null) {
      const key = keyOf(slot)
      if (key !== null && this.#keys.blocks(key, lane, slot.offset)) return false
    }
    if (slot.expiresAt === 0 || slot.expiresAt > this.host.clock.now()) return true
    const attempts = lane.attempts.get(slot.offset) ?? 0
    if (this.host.deadLetter(this, lane, slot, 'expired', attempts, undefined)) {
      this.#done(lane, slot.offset, slot.end - slot.start)
      lane.passed(slot.offset)
    }
    return false
  }

  /** Everything ready is done, with `ahead` also what is not durable yet; what is in flight stays. */
  purge(ahead = false): number {
    const held = this.#held()
    let purged = 0
    for (const lane of this.lanes) {
      const keep = held.get(lane) ?? new Set<number>()
      purged += ahead ? lane.incoming : lane.ready
      const end = ahead ? lane.log.ahead : lane.log.stable
      for (let offset = lane.acked.nextMissing(lane.acked.floor); offset < end; offset = lane.acked.nextMissing(offset + 1)) {
        if (keep.size === 0 && lane.delayed === 0 && lane.inFlight === 0) {
          const runs = this.settledRuns[lane.index] as number[] // one for each lane
          runs.push(offset, end - offset)
          lane.acked.raiseTo(end)
          break
        }
        if (!keep.has(offset)) this.#done(lane, offset, 0)
      }
      lane.moveTo(end)
      if (lane.inFlight === 0) {
        lane.attempts.clear()
        lane.handedOut.clear()
      }
    }
    if (this.inFlight === 0) this.liveBytes = 0
    this.changed = true
    if (!this.dirty) {
      this.dirty = true
      this.host.markDirty(this)
    }
    return purged
  }

  /** Ends it: all consumers are told. */
  close(reason: CoreErrorCode): void {
    if (this.closed) return
    this.closed = true
    this.#headTimer?.cancel()
    this.#deadlineTimer?.cancel()
    for (const taker of this.#takers.splice(0)) taker.done(null)
    this.#pulls.clear()
    for (const consumer of this.consumers.splice(0)) consumer.closedBy(reason)
  }
}
