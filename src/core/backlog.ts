/**
 * What a subscription has not done yet: its lanes, which of their records are for it (filter, exclusive keys), which comes next, and what came back,
 * waits, or is dead. It knows nobody who takes part: subscription.ts gives what comes next here to its consumers.
 */
import type { SubscriptionOptions } from '../broker/face.ts'
import { Alarm } from '../lib/alarm.ts'
import { InFlight } from './consumer.ts'
import { DeadRecords } from './dead-records.ts'
import { compileFilter, type Filter } from './filter.ts'
import { KeyLocks, keyOf, parkedMax } from './key-locks.ts'
import { Lane, type Slot } from './lane.ts'
import type { Log } from './log.ts'
import type { SubscriptionHost } from './subscription-host.ts'

/** Records passed over (filtered out, parked) before others get their turn. */
export const looksPerPumpMax = 2048

export abstract class Backlog {
  readonly id: number
  readonly name: string
  readonly topic: string
  readonly durable: boolean
  readonly lanes: Lane[] = []
  readonly host: SubscriptionHost
  /** Asked for; see {@link idle}. */
  paused = false
  /** Its stored records cannot be read. */
  damaged = false
  closed = false
  /** Bytes of records not done; an estimate after a restart. */
  liveBytes = 0
  /** Since the broker started: records handed out, accepted, and given back. */
  delivered = 0
  accepted = 0
  returned = 0
  /** Offsets settled since the last frame, as runs for each lane. */
  readonly settledRuns: number[][] = []
  dirty = false
  /** Changed since the last checkpoint. */
  changed = true
  options: SubscriptionOptions
  /** How many records may still be passed over in this turn. */
  looks = looksPerPumpMax
  readonly keys: KeyLocks | null
  readonly dead: DeadRecords
  /** That of the record that {@link next} found. */
  lane: Lane | null = null
  #laneTurn = 0
  /** Counts what comes back. */
  #returnTurn = 0
  #filter: Filter | null
  readonly #headExpires: Alarm

  constructor(id: number, name: string, topic: string, durable: boolean, host: SubscriptionHost, options: SubscriptionOptions) {
    this.id = id
    this.name = name
    this.topic = topic
    this.durable = durable
    this.host = host
    this.options = options
    this.#filter = options.filter === undefined ? null : compileFilter(options.filter, topic)
    this.keys = options.keyExclusive === 'group' ? new KeyLocks(() => this.wake()) : null
    this.dead = new DeadRecords(this)
    this.#headExpires = new Alarm(host.clock, () => {
      if (this.closed) return
      for (const lane of this.lanes) this.dropExpired(lane)
      this.wake()
    })
  }

  /** There may be something to do. */
  abstract wake(): void
  /** What somebody has and has not settled. */
  protected abstract held(): Map<Lane, Set<number>>
  /** The lane reads from elsewhere on. */
  protected laneMoved(lane: Lane): void {
    this.keys?.forget(lane)
  }

  addLane(log: Log, floor: number): Lane {
    const lane = new Lane(this.lanes.length, log, floor, () => this.wake(), this.host.returnsInOrder)
    lane.limit = this.host.limitOf(this.name, lane.index)
    lane.onMoved = () => this.laneMoved(lane)
    if (this.keys !== null) lane.onGone = (offset) => this.keys?.done(lane, offset)
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
  /** Whether nothing is to be delivered, whoever asks. */
  get idle(): boolean {
    return this.paused || this.damaged || this.host.paused
  }
  /** Whether a lane that seems empty may turn out not to be. */
  get undecided(): boolean {
    return this.looks <= 0 || this.lanes.some((lane) => lane.reading)
  }

  pause(paused: boolean): void {
    this.paused = paused
    if (!paused) this.wake()
  }

  refilter(filter: SubscriptionOptions['filter']): void {
    this.#filter = filter === undefined ? null : compileFilter(filter, this.topic)
    const { filter: _, ...rest } = this.options
    this.options = filter === undefined ? rest : { ...rest, filter }
    for (const lane of this.lanes) lane.reconsider()
    this.wake()
  }

  // --------------------------------------------------------------------------------------------------------- what comes next

  /** The first record of a lane that is for this subscription and may go out now. What is not for it is settled on the way. */
  head(lane: Lane): Slot | null {
    for (;;) {
      const slot = lane.peek()
      if (slot === null || (this.#filter === null && this.keys === null)) return slot
      if (this.#filter !== null && !slot.passed) {
        slot.passed = this.#filter(slot)
        if (!slot.passed) {
          lane.consume(slot)
          this.done(lane, slot.offset, slot.end - slot.start)
          if (--this.looks <= 0) return null
          continue
        }
      }
      if (this.keys === null) return slot
      if (slot.key === undefined) slot.key = keyOf(slot)
      if (slot.key === null || !this.keys.blocks(slot.key, lane, slot.offset)) return slot
      if (lane.parked >= parkedMax) return null
      lane.consume(slot)
      this.keys.park(slot.key, lane, slot.offset)
      if (--this.looks <= 0) return null
    }
  }

  /** The next record that is ready and not expired; {@link lane} is then its lane. */
  next(): Slot | null {
    const { lanes } = this
    for (;;) {
      let expired = false
      const first = this.host.returnsInOrder ? this.#firstReturned() : -1
      for (let step = first < 0 ? 0 : -1; step < lanes.length; step++) {
        const index = step < 0 ? first : this.#laneAt(step)
        const lane = lanes[index] as Lane // index < length
        const slot = this.head(lane)
        if (slot === null) {
          if (lane.failure !== null) this.host.damaged(this, lane.failure)
          if (lane.reading && (step < 0 || this.host.priorityLanes)) return null
          continue
        }
        this.lane = lane
        if (slot.expiresAt !== 0 && slot.expiresAt <= this.host.clock.now()) {
          this.dead.remove(lane, slot, 'expired')
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

  // ------------------------------------------------------------------------------------------------- out, done, and back again

  /** The record goes to somebody who will settle it; its lane goes on without it. */
  out(lane: Lane, slot: Slot, attempt: number, handedOut: number, deadline: number, deliveryLimit: number | undefined): InFlight {
    const { offset } = slot
    lane.inFlight++
    if (this.keys !== null) {
      const key = slot.key === undefined ? keyOf(slot) : slot.key
      if (key !== null) this.keys.take(key, lane, offset)
    }
    const bytes = slot.end - slot.start
    return new InFlight(lane, offset, attempt, bytes, slot.keyHash, handedOut, deadline, deliveryLimit)
  }

  measure(lane: Lane, offset: number): void {
    const { sampleOffset } = lane.log
    if (sampleOffset >= 0 && offset >= sampleOffset) this.host.handedOver(lane, offset)
  }

  count(records: number): void {
    this.delivered += records
    this.host.delivered(records)
  }

  /** Nothing more is to be done for the record. */
  done(lane: Lane, offset: number, bytes: number): void {
    this.keys?.done(lane, offset)
    if (!lane.acked.add(offset)) return
    if (lane.attempts.size > 0) lane.attempts.delete(offset)
    if (lane.handedOut.size > 0) lane.handedOut.delete(offset)
    if (lane.claimed.size > 0) lane.claimed.delete(offset)
    if (lane.held.size > 0 && lane.held.delete(offset)) lane.delayed--
    this.liveBytes = Math.max(0, this.liveBytes - bytes)
    const runs = this.settledRuns[lane.index] as number[] // one for each lane
    const last = runs.length - 2
    if (last >= 0 && (runs[last] as number) + (runs[last + 1] as number) === offset)
      runs[last + 1] = (runs[last + 1] as number) + 1
    else runs.push(offset, 1)
    this.#changed()
  }

  #changed(): void {
    this.changed = true
    if (this.dirty) return
    this.dirty = true
    this.host.markDirty(this)
  }

  /** What was out comes again, after `delayMs`, having been tried so often. */
  giveBack(flight: InFlight, attempts: number, delayMs: number, remembered: boolean): void {
    const { lane, offset } = flight
    const handedOut = flight.handedOut + 1
    lane.attempts.set(offset, attempts)
    if (attempts < handedOut) lane.handedOut.set(offset, handedOut)
    const notBefore = delayMs <= 0 ? 0 : this.host.clock.now() + delayMs
    if (remembered || notBefore > 0) {
      this.host.recordReturn(this, lane, offset, { attempts, handedOut, notBefore })
      this.changed = true
    }
    lane.inFlight--
    this.keys?.release(lane, offset)
    if (delayMs <= 0) lane.giveBack(offset, this.#returnTurn++)
    else this.#hold(lane, offset, notBefore)
    this.wake()
  }

  /** Not ready before that time. */
  #hold(lane: Lane, offset: number, notBefore: number): void {
    lane.delayed++
    lane.held.set(offset, notBefore)
    this.host.clock.after(Math.max(0, notBefore - this.host.clock.now()), () => {
      // Done meanwhile, or, where the subscription was moved back, held anew.
      if (lane.held.get(offset) !== notBefore) return
      lane.delayed--
      lane.held.delete(offset)
      if (!this.closed && !lane.acked.has(offset)) lane.giveBack(offset, this.#returnTurn++)
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

  // --------------------------------------------------------------------------------------------------------- expiry and length

  /** A record with an expiry at the head is removed in time also when nobody consumes. */
  watchHead(): void {
    for (const lane of this.lanes) {
      const slot = this.head(lane)
      if (slot !== null && slot.expiresAt !== 0) this.#headExpires.set(slot.expiresAt)
    }
  }

  dropExpired(lane: Lane): void {
    for (;;) {
      const slot = this.head(lane)
      if (slot === null || slot.expiresAt === 0 || slot.expiresAt > this.host.clock.now()) return
      this.dead.remove(lane, slot, 'expired')
    }
  }

  enforceLength(): void {
    const { recordsMax, bytesMax, dropsOldest } = this.host
    if (!dropsOldest || (recordsMax < 0 && bytesMax < 0)) return
    while ((recordsMax >= 0 && this.ready > recordsMax) || (bytesMax >= 0 && this.liveBytes > bytesMax && this.ready > 0)) {
      // The least urgent lane gives first.
      const least = this.host.priorityLanes
        ? this.host.byUrgency.findLast((index) => (this.lanes[index]?.ready ?? 0) > 0)
        : undefined
      const lane = least === undefined ? this.lanes.find((candidate) => candidate.ready > 0) : this.lanes[least]
      const slot = lane === undefined ? null : this.head(lane)
      if (lane === undefined || slot === null) return
      this.dead.remove(lane, slot, 'maxLength')
    }
  }

  // ------------------------------------------------------------------------------------------- records where they are, in any order

  /** Whether a ready record is for this subscription and may go out now, whatever stands before it. One that has expired leaves. */
  allows(lane: Lane, slot: Slot): boolean {
    if (this.#filter !== null && !this.#filter(slot)) return false
    if (this.keys !== null) {
      const key = keyOf(slot)
      if (key !== null && this.keys.blocks(key, lane, slot.offset)) return false
    }
    if (slot.expiresAt === 0 || slot.expiresAt > this.host.clock.now()) return true
    if (this.host.deadLetter(slot, 'expired', lane.tries(slot.offset), undefined)) {
      this.done(lane, slot.offset, slot.end - slot.start)
      lane.passed(slot.offset)
    }
    return false
  }

  /** A ready record, in whatever place and durable or not, is taken and done. The next frame says so. */
  takeAt(lane: Lane, slot: Slot): void {
    this.measure(lane, slot.offset)
    this.done(lane, slot.offset, slot.end - slot.start)
    lane.passed(slot.offset)
    this.accepted++
    this.count(1)
  }

  /** The same of one that was not read: what it takes is not known, and taken to be as much as the others on average. */
  dropAt(lane: Lane, offset: number): void {
    this.done(lane, offset, this.liveBytes / Math.max(1, this.incoming + this.inFlight))
    lane.passed(offset)
    this.accepted++
  }

  /** Accepts a record where it waits. False when it is done already or not there, and when somebody has it. */
  acceptAt(partition: number, offset: number, done: (accepted: boolean) => void): void {
    const lane = this.lanes[partition]
    if (lane === undefined) return done(false)
    lane.readRecord(offset, (slot) => {
      if (slot === null || this.closed || lane.acked.has(offset) || this.held().get(lane)?.has(offset) === true)
        return done(false)
      lane.passed(offset)
      this.accepted++
      this.done(lane, offset, slot.end - slot.start)
      this.wake()
      done(true)
    })
  }

  /** Records that it is not made for, though they are there. */
  skip(lane: Lane, from: number, to: number): void {
    for (let offset = from; offset < to; offset++) this.done(lane, offset, 0)
  }

  /** Everything ready is done, with `ahead` also what is not durable yet; what is in flight stays. */
  purge(ahead = false): number {
    const held = this.held()
    let purged = 0
    for (const lane of this.lanes) {
      const keep = held.get(lane) ?? new Set<number>()
      purged += ahead ? lane.incoming : lane.ready
      const end = ahead ? lane.ahead : lane.end
      for (let offset = lane.acked.nextMissing(lane.acked.floor); offset < end; offset = lane.acked.nextMissing(offset + 1)) {
        if (keep.size === 0 && lane.delayed === 0 && lane.inFlight === 0) {
          const runs = this.settledRuns[lane.index] as number[] // one for each lane
          runs.push(offset, end - offset)
          lane.acked.raiseTo(end)
          break
        }
        if (!keep.has(offset)) this.done(lane, offset, 0)
      }
      lane.moveTo(end)
      if (lane.inFlight === 0) {
        lane.attempts.clear()
        lane.handedOut.clear()
      }
    }
    if (this.inFlight === 0) this.liveBytes = 0
    this.#changed()
    return purged
  }

  /** It is not read any more. */
  protected end(): void {
    this.closed = true
    this.#headExpires.cancel()
  }
}
