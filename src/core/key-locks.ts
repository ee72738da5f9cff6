/**
 * Key exclusivity: of the records with one key, one is out at a time, and in their order. A record's key is its group key, else its key as bytes;
 * records without one are free. From its first delivery until it is done (accepted, dead-lettered, expired), also while it is released and
 * waits to come again, a record holds its key. Others of that key that the lane meets are parked, and come one by one. A group key and a key
 * of the same characters are one key: that blocks more than it must, and reorders nothing.
 *
 * Nothing of this is stored: after a restart, what is not done is read again in its order. Memory is one lock for each key that is out, and the
 * parked offsets, of which a lane has at most {@link parkedMax}; then it waits at the next blocked record until some key is free again.
 */
import type { Lane, Slot } from './lane.ts'
import { formats } from './record.ts'

export const parkedMax = 10_000

interface Place {
  readonly lane: Lane
  readonly offset: number
}

interface Lock {
  readonly key: string
  holder: Place
  /** At somebody, or dead and waiting for its target; else ready to come (again). */
  out: boolean
  /** Parked, in order; those before `at` are gone. */
  waiting: Place[]
  at: number
}

/** null: the record has none. */
export function keyOf(slot: Slot): string | null {
  const { groupKey, key } = formats.get(slot.format).toAttributes(slot.buffer.subarray(slot.start, slot.end))
  return groupKey ?? key?.toString('latin1') ?? null
}

export class KeyLocks {
  readonly #locks = new Map<string, Lock>()
  readonly #holders = new Map<Lane, Map<number, Lock>>()
  readonly #freed: () => void

  /** `freed` is called when a record became ready or a key free. */
  constructor(freed: () => void) {
    this.#freed = freed
  }

  /** Whether the record has to wait for another of its key, or for itself. */
  blocks(key: string, lane: Lane, offset: number): boolean {
    const lock = this.#locks.get(key)
    return lock !== undefined && (lock.out || lock.holder.lane !== lane || lock.holder.offset !== offset)
  }

  /** A blocked record waits here from now on; its lane goes on behind it. */
  park(key: string, lane: Lane, offset: number): void {
    this.#locks.get(key)?.waiting.push({ lane, offset })
    lane.parked++
  }

  /** The record is delivered. */
  take(key: string, lane: Lane, offset: number): void {
    const lock = this.#locks.get(key)
    if (lock !== undefined) {
      lock.out = true
      return
    }
    const made: Lock = { key, holder: { lane, offset }, out: true, waiting: [], at: 0 }
    this.#locks.set(key, made)
    this.#hold(made)
  }

  /** It came back, and holds its key until it is done. */
  release(lane: Lane, offset: number): void {
    const lock = this.#holders.get(lane)?.get(offset)
    if (lock !== undefined) lock.out = false
  }

  /** It is done: the next of its key is ready. */
  done(lane: Lane, offset: number): void {
    const lock = this.#holders.get(lane)?.get(offset)
    if (lock !== undefined) this.#passOn(lock)
  }

  /** The lane reads on from elsewhere, so it will meet again what is parked. */
  forget(lane: Lane): void {
    lane.parked = 0
    for (const lock of [...this.#locks.values()]) {
      lock.waiting = lock.waiting.filter((place, index) => index >= lock.at && place.lane !== lane)
      lock.at = 0
      if (lock.holder.lane === lane && !lock.out) this.#passOn(lock)
    }
  }

  #hold(lock: Lock): void {
    const { lane, offset } = lock.holder
    let ofLane = this.#holders.get(lane)
    if (ofLane === undefined) {
      ofLane = new Map()
      this.#holders.set(lane, ofLane)
    }
    ofLane.set(offset, lock)
  }

  #passOn(lock: Lock): void {
    this.#holders.get(lock.holder.lane)?.delete(lock.holder.offset)
    lock.out = false
    this.#freed()
    while (lock.at < lock.waiting.length) {
      const next = lock.waiting[lock.at++] as Place // at < length
      next.lane.parked--
      if (next.lane.acked.has(next.offset)) continue
      lock.holder = next
      this.#hold(lock)
      next.lane.giveBack(next.offset)
      if (lock.at >= 1024 && lock.at * 2 > lock.waiting.length) {
        lock.waiting = lock.waiting.slice(lock.at)
        lock.at = 0
      }
      return
    }
    this.#locks.delete(lock.key)
  }
}
