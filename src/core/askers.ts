/** Those who ask a subscription for records instead of being sent them: for one record, for many at once (a pull), or for one at its place. */
import type { DeliveryBatch, Held, Outcome, PullLimits, Taken, Transaction } from '../broker/face.ts'
import { hold, type InFlight, type MemberConsumer } from './consumer.ts'
import { CoreError } from './errors.ts'
import type { Lane, Slot } from './lane.ts'
import type { Subscription } from './subscription.ts'

/** A consumer that waits for records, of one lane or of any. */
interface Pull {
  readonly consumer: MemberConsumer
  /** null: any. */
  readonly lane: Lane | null
  readonly limits: PullLimits
  readonly done: (batch: DeliveryBatch) => void
}

export class Askers {
  readonly #of: Subscription
  readonly #takers: { autoSettle: boolean; done: (taken: Taken | null) => void }[] = []
  readonly #pulls = new Set<Pull>()
  /** In flight at askers of single records. */
  readonly #taken = new Set<InFlight>()

  constructor(of: Subscription) {
    this.#of = of
  }

  get waiting(): boolean {
    return this.#takers.length > 0 || this.#pulls.size > 0
  }

  /** One record for one asker. */
  take(autoSettle: boolean, done: (taken: Taken | null) => void): void {
    this.#takers.push({ autoSettle, done })
    this.#of.wake()
  }

  /** Many records for one consumer, of one lane or, with -1, of any. Returns how to give up. */
  pull(consumer: MemberConsumer, partition: number, limits: PullLimits, done: (batch: DeliveryBatch) => void): () => void {
    const lane = partition === -1 ? null : this.#of.lanes[partition]
    if (lane === undefined) throw new CoreError('OutOfRange', `topic "${this.#of.topic}" has no partition ${partition}`)
    const pull = { consumer, lane, limits, done }
    this.#pulls.add(pull)
    this.#of.wake()
    return () => this.#pulls.delete(pull)
  }

  /** A ready record goes out, whatever stands before it. */
  holdAt(lane: Lane, slot: Slot): Held {
    const flight = this.#handOut(lane, slot)
    lane.claim(slot.offset)
    return { attempt: flight.attempt, settle: this.#settler(flight) }
  }

  serve(): void {
    while (this.#takers.length > 0) {
      const slot = this.#of.idle ? null : this.#of.next()
      if (slot === null && !this.#of.idle && this.#of.undecided) break
      const taker = this.#takers.shift()
      if (taker === undefined) break
      if (slot === null) taker.done(null)
      else taker.done(this.#give(slot, taker.autoSettle))
    }
    for (const pull of this.#pulls) {
      const taken = this.#of.idle ? 0 : this.#fill(pull)
      if (taken === 0 && (pull.limits.wait !== false || (!this.#of.idle && this.#of.undecided))) continue
      this.#pulls.delete(pull)
      this.#of.count(taken)
      pull.consumer.flushTo(pull.done)
    }
  }

  #handOut(lane: Lane, slot: Slot): InFlight {
    this.#of.measure(lane, slot.offset)
    const flight = this.#of.out(lane, slot, lane.tries(slot.offset) + 1, lane.timesHandedOut(slot.offset), Infinity, undefined)
    this.#taken.add(flight)
    this.#of.count(1)
    return flight
  }

  #give(slot: Slot, autoSettle: boolean): Taken {
    const lane = this.#of.lane as Lane // set with the slot
    const redelivered = lane.mayBeSeen(slot.offset)
    lane.consume(slot)
    const flight = this.#handOut(lane, slot)
    const record = {
      partition: lane.index,
      offset: slot.offset,
      attempt: flight.attempt,
      handedOut: flight.handedOut,
      redelivered,
      timestamp: slot.timestamp,
      format: slot.format,
      bytes: slot.buffer.subarray(slot.start, slot.end),
      annotations: slot.annotations,
      subject: slot.subject,
    }
    const settle = this.#settler(flight)
    if (autoSettle) settle({ kind: 'accept' })
    // What comes to the head now and has expired does not remain. The slot is used again from here on.
    this.#of.dropExpired(lane)
    return { ...record, remaining: this.#of.ready, settle }
  }

  #settler(flight: InFlight): (outcome: Outcome, transaction?: Transaction) => void {
    return (outcome, transaction) => {
      // Settled already, or taken away by the deadline that an extension set.
      if (!this.#taken.has(flight) || this.#of.closed) return
      const act = (): void => {
        if (!this.#taken.has(flight) || this.#of.closed) return
        if (outcome.kind !== 'extend') this.#taken.delete(flight)
        this.#of.settle(flight, outcome)
      }
      if (transaction === undefined) act()
      else this.#of.host.enlist(transaction, act)
    }
  }

  #fill(pull: Pull): number {
    const { keys } = this.#of
    if (keys === null) return this.#takeFor(pull)
    keys.by = pull
    const taken = this.#takeFor(pull)
    keys.by = null
    return taken
  }

  #takeFor({ consumer, lane: asked, limits }: Pull): number {
    const of = this.#of
    let taken = 0
    let { bytes } = limits
    while (taken < limits.messages && (asked ?? of).inFlight < limits.inFlightMax) {
      const slot = asked === null ? of.next() : of.head(asked)
      const lane = asked ?? of.lane
      if (slot === null || lane === null) {
        if (asked !== null && asked.failure !== null) of.host.damaged(of, asked.failure)
        break
      }
      if (slot.expiresAt !== 0 && slot.expiresAt <= of.host.clock.now()) {
        of.dead.remove(lane, slot, 'expired')
        continue
      }
      const size = slot.end - slot.start
      if (taken > 0 && size > bytes) break
      of.assign(consumer, slot, lane, false)
      taken++
      bytes -= size
    }
    return taken
  }

  /** Returns when the next of them is overdue. */
  releaseOverdue(now: number): number {
    let next = Infinity
    for (const flight of this.#taken) {
      if (flight.deadline > now) {
        next = Math.min(next, flight.deadline)
        continue
      }
      this.#taken.delete(flight)
      this.#of.settle(flight, { kind: 'release', countsAsAttempt: true })
    }
    return next
  }

  addHeld(held: Map<Lane, Set<number>>): void {
    for (const flight of this.#taken) hold(held, flight)
  }

  forget(consumer: MemberConsumer): void {
    for (const pull of this.#pulls) if (pull.consumer === consumer) this.#pulls.delete(pull)
  }

  close(): void {
    for (const taker of this.#takers.splice(0)) taker.done(null)
    this.#pulls.clear()
  }
}
