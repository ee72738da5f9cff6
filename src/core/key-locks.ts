/**
 * Key exclusivity: of the records with one key, one is out at a time, and in their order; only one pull may take several of a key, in their order.
 * A record's key is its group key, else its key as bytes; records without one are free. From its first delivery until it is done (accepted,
 * dead-lettered, expired), also while it is released and waits to come again, a record holds its key. Others of that key that the lane meets are
 * parked, and come one by one. A group key and a key of the same characters are one key: that blocks more than it must, and reorders nothing.
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

/** A record that was delivered, or was called to be the next one, and is not done. */
interface Holder extends Place {
  readonly lock: Lock
  /** At somebody, or dead and waiting for its target; else it comes (again), now or later. */
  out: boolean
  /** Its lane met it while it could not come; it is to be given back. */
  parked: boolean
}

interface Lock {
  readonly key: string
  /** In their order. */
  readonly holders: Holder[]
  /** How many of them are out. */
  out: number
  /** The pull that took those that are out. */
  by: object | null
  /** Parked, in order, behind the holders; those before `at` are gone. */
  waiting: Place[]
  at: number
}

/** null: the record has none. */
export function keyOf(slot: Slot): string | null {
  const { groupKey, key } = formats.get(slot.format).toAttributes(slot.buffer.subarray(slot.start, slot.end))
  return groupKey ?? key?.toString('latin1') ?? null
}

export class KeyLocks {
  /** The pull that is being served. */
  by: object | null = null
  readonly #locks = new Map<string, Lock>()
  readonly #holders = new Map<Lane, Map<number, Holder>>()
  readonly #freed: () => void

  /** `freed` is called when a record became ready or a key free. */
  constructor(freed: () => void) {
    this.#freed = freed
  }

  /** Whether the record has to wait for others of its key. */
  blocks(key: string, lane: Lane, offset: number): boolean {
    const lock = this.#locks.get(key)
    if (lock === undefined) return false
    if (lock.out > 0 && (this.by === null || lock.by !== this.by)) return true
    for (const holder of lock.holders) {
      if (holder.lane === lane && holder.offset === offset) return holder.out
      if (!holder.out) return true
    }
    return lock.at < lock.waiting.length
  }

  /** A blocked record waits here from now on; its lane goes on behind it. */
  park(key: string, lane: Lane, offset: number): void {
    const holder = this.#holders.get(lane)?.get(offset)
    if (holder !== undefined) holder.parked = true
    else this.#locks.get(key)?.waiting.push({ lane, offset })
    lane.parked++
  }

  /** The record is delivered. */
  take(key: string, lane: Lane, offset: number): void {
    let lock = this.#locks.get(key)
    if (lock === undefined) {
      lock = { key, holders: [], out: 0, by: null, waiting: [], at: 0 }
      this.#locks.set(key, lock)
    }
    const holder = this.#holders.get(lane)?.get(offset) ?? this.#hold(lock, lane, offset)
    holder.out = true
    lock.out++
    lock.by = this.by
    if (this.by !== null) this.#call(lock)
  }

  /** It came back, and holds its key until it is done. */
  release(lane: Lane, offset: number): void {
    const holder = this.#holders.get(lane)?.get(offset)
    if (holder === undefined || !holder.out) return
    holder.out = false
    holder.lock.out--
    this.#passOn(holder.lock)
  }

  /** It is done: the next of its key is ready. */
  done(lane: Lane, offset: number): void {
    const holder = this.#holders.get(lane)?.get(offset)
    if (holder === undefined) return
    this.#letGo(holder)
    this.#passOn(holder.lock)
  }

  /** The lane reads on from elsewhere, so it will meet again what is parked. */
  forget(lane: Lane): void {
    lane.parked = 0
    for (const lock of [...this.#locks.values()]) {
      lock.waiting = lock.waiting.filter((place, index) => index >= lock.at && place.lane !== lane)
      lock.at = 0
      for (const holder of [...lock.holders]) {
        if (holder.lane !== lane) continue
        holder.parked = false
        if (!holder.out) this.#letGo(holder)
      }
      this.#passOn(lock)
    }
  }

  #hold(lock: Lock, lane: Lane, offset: number): Holder {
    const holder: Holder = { lock, lane, offset, out: false, parked: false }
    lock.holders.push(holder)
    let ofLane = this.#holders.get(lane)
    if (ofLane === undefined) {
      ofLane = new Map()
      this.#holders.set(lane, ofLane)
    }
    ofLane.set(offset, holder)
    return holder
  }

  #letGo(holder: Holder): void {
    const { lock, lane, offset } = holder
    this.#holders.get(lane)?.delete(offset)
    lock.holders.splice(lock.holders.indexOf(holder), 1)
    if (holder.out) lock.out--
    if (holder.parked) lane.parked--
  }

  #passOn(lock: Lock): void {
    if (lock.out > 0) return
    lock.by = null
    this.#freed()
    this.#call(lock)
    if (lock.holders.length === 0) this.#locks.delete(lock.key)
  }

  /** Makes the first that is not out ready to come. */
  #call(lock: Lock): void {
    const first = lock.holders.find((holder) => !holder.out)
    if (first !== undefined) {
      if (!first.parked) return
      first.parked = false
      first.lane.parked--
      return first.lane.giveBack(first.offset)
    }
    while (lock.at < lock.waiting.length) {
      const { lane, offset } = lock.waiting[lock.at++] as Place // at < length
      lane.parked--
      if (lane.acked.has(offset)) continue
      this.#hold(lock, lane, offset)
      lane.giveBack(offset)
      if (lock.at >= 1024 && lock.at * 2 > lock.waiting.length) {
        lock.waiting = lock.waiting.slice(lock.at)
        lock.at = 0
      }
      return
    }
  }
}
