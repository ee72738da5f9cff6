/**
 * Records of a subscription that are dead: expired, rejected, tried too often, or too many. Each goes to the topic's dead-letter target together with
 * its settling; one that the target does not take waits here, neither ready nor done, and is offered again.
 */
import type { Backlog } from './backlog.ts'
import type { InFlight } from './consumer.ts'
import type { Lane, Slot } from './lane.ts'
import type { Death } from './record.ts'

/** How long a dead record waits that its target does not take. */
const retryMs = 1000

interface Dead {
  readonly lane: Lane
  readonly offset: number
  readonly bytes: number
  readonly reason: Death['reason']
  readonly attempts: number
  readonly error: string | undefined
}

export class DeadRecords {
  readonly #of: Backlog
  readonly #aside: Dead[] = []

  constructor(of: Backlog) {
    this.#of = of
  }

  /** One that is ready, and that its lane has in hand. */
  remove(lane: Lane, slot: Slot, reason: Death['reason']): void {
    const attempts = lane.tries(slot.offset)
    const bytes = slot.end - slot.start
    const moved = this.#of.host.deadLetter(slot, reason, attempts, undefined)
    lane.consume(slot)
    if (moved) this.#of.done(lane, slot.offset, bytes)
    else this.#setAside({ lane, offset: slot.offset, bytes, reason, attempts, error: undefined })
  }

  /** One that was out. */
  bury({ lane, offset, bytes, attempt }: InFlight, reason: Death['reason'], error: string | undefined): void {
    if (!this.#of.host.hasDeadLetter) {
      lane.inFlight--
      return this.#of.done(lane, offset, bytes)
    }
    lane.readRecord(offset, (slot) => {
      if (this.#of.closed) return
      const moved = slot === null || this.#of.host.deadLetter(slot, reason, attempt, error)
      lane.inFlight--
      if (moved) this.#of.done(lane, offset, bytes)
      else this.#setAside({ lane, offset, bytes, reason, attempts: attempt, error })
    })
  }

  #setAside(dead: Dead): void {
    dead.lane.delayed++
    this.#aside.push(dead)
    if (this.#aside.length === 1) this.#of.host.clock.after(retryMs, () => this.#offerAgain())
  }

  #offerAgain(): void {
    if (this.#of.closed) return
    for (const dead of this.#aside.splice(0)) {
      const { lane, offset, bytes, reason, attempts, error } = dead
      lane.readRecord(offset, (slot) => {
        if (this.#of.closed) return
        lane.delayed--
        if (lane.acked.has(offset)) return
        if (slot === null || this.#of.host.deadLetter(slot, reason, attempts, error)) this.#of.done(lane, offset, bytes)
        else this.#setAside(dead)
      })
    }
  }
}
