/**
 * Entries of a group that were delivered and not acknowledged, in the order of their ids. There may be millions, so they stand in columns of numbers, in
 * stretches of some hundreds, and are shown one at a time.
 */
import { compareIds, nextId, type StreamId, type U64 } from './stream-id.ts'

const stretchEntries = 512

export interface Consumer {
  readonly name: string
  /** When it last tried anything, and when it last got or claimed something, ms; -1: never. */
  seenAt: number
  activeAt: number
  pending: number
}

/** One entry as it is now. */
export interface Pending {
  readonly id: StreamId
  readonly consumer: Consumer
  readonly deliveredAt: number
  readonly count: number
}

/** Neighbours. Arrays of numbers alone are stored as such; an id beyond 2^53 makes its stretch one of objects. */
class Stretch {
  readonly ms: U64[] = []
  readonly seq: U64[] = []
  readonly consumers: Consumer[] = []
  readonly deliveredAt: number[] = []
  readonly counts: number[] = []

  get length(): number {
    return this.ms.length
  }

  /** As {@link compareIds}, of the entry at a place with an id. */
  compare(at: number, { ms, seq }: StreamId): number {
    const own = this.ms[at] as U64 // at < length
    if (own !== ms) return own < ms ? -1 : 1
    const ownSeq = this.seq[at] as U64
    return ownSeq === seq ? 0 : ownSeq < seq ? -1 : 1
  }

  /** The first place with an id that is not smaller. */
  placeOf(id: StreamId): number {
    let low = 0
    let high = this.length
    if (high > 0 && this.compare(high - 1, id) < 0) return high
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.compare(middle, id) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  idAt(at: number): StreamId {
    return { ms: this.ms[at] as U64, seq: this.seq[at] as U64 } // at < length
  }

  at(at: number): Pending {
    const deliveredAt = this.deliveredAt[at] as number // at < length
    return { id: this.idAt(at), consumer: this.consumers[at] as Consumer, deliveredAt, count: this.counts[at] as number }
  }

  insert(at: number, { ms, seq }: StreamId, consumer: Consumer, deliveredAt: number, count: number): void {
    if (at === this.length) {
      this.ms.push(ms)
      this.seq.push(seq)
      this.consumers.push(consumer)
      this.deliveredAt.push(deliveredAt)
      this.counts.push(count)
      return
    }
    this.ms.splice(at, 0, ms)
    this.seq.splice(at, 0, seq)
    this.consumers.splice(at, 0, consumer)
    this.deliveredAt.splice(at, 0, deliveredAt)
    this.counts.splice(at, 0, count)
  }

  remove(at: number): void {
    this.ms.splice(at, 1)
    this.seq.splice(at, 1)
    this.consumers.splice(at, 1)
    this.deliveredAt.splice(at, 1)
    this.counts.splice(at, 1)
  }

  /** Leaves the first half; returns the other. */
  split(): Stretch {
    const other = new Stretch()
    const half = this.length >> 1
    other.ms.push(...this.ms.splice(half))
    other.seq.push(...this.seq.splice(half))
    other.consumers.push(...this.consumers.splice(half))
    other.deliveredAt.push(...this.deliveredAt.splice(half))
    other.counts.push(...this.counts.splice(half))
    return other
  }
}

export class PendingList {
  /** None is empty. */
  readonly #stretches: Stretch[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  get first(): StreamId | null {
    return this.#stretches[0]?.idAt(0) ?? null
  }

  get last(): StreamId | null {
    const stretch = this.#stretches.at(-1)
    return stretch?.idAt(stretch.length - 1) ?? null
  }

  has(id: StreamId): boolean {
    return this.find(id) !== undefined
  }

  find(id: StreamId): Pending | undefined {
    const stretch = this.#stretches[this.#stretchOf(id)]
    const at = stretch?.placeOf(id) ?? 0
    return stretch === undefined || at >= stretch.length || stretch.compare(at, id) !== 0 ? undefined : stretch.at(at)
  }

  /** It is pending from now on, or it was and is another's now. */
  set(id: StreamId, consumer: Consumer, deliveredAt: number, count: number): void {
    consumer.pending++
    const index = this.#stretchOf(id)
    const stretch = this.#stretches[index]
    if (stretch === undefined) {
      this.#append(id, consumer, deliveredAt, count)
      return
    }
    const at = stretch.placeOf(id)
    if (at < stretch.length && stretch.compare(at, id) === 0) {
      ;(stretch.consumers[at] as Consumer).pending-- // at < length
      stretch.consumers[at] = consumer
      stretch.deliveredAt[at] = deliveredAt
      stretch.counts[at] = count
      return
    }
    stretch.insert(at, id, consumer, deliveredAt, count)
    this.#size++
    if (stretch.length > stretchEntries) this.#stretches.splice(index + 1, 0, stretch.split())
  }

  /** Behind all others. */
  #append(id: StreamId, consumer: Consumer, deliveredAt: number, count: number): void {
    let stretch = this.#stretches.at(-1)
    if (stretch === undefined || stretch.length >= stretchEntries) {
      stretch = new Stretch()
      this.#stretches.push(stretch)
    }
    stretch.insert(stretch.length, id, consumer, deliveredAt, count)
    this.#size++
  }

  /** Whether it was pending. */
  remove(id: StreamId): boolean {
    const index = this.#stretchOf(id)
    const stretch = this.#stretches[index]
    const at = stretch?.placeOf(id) ?? 0
    if (stretch === undefined || at >= stretch.length || stretch.compare(at, id) !== 0) return false
    ;(stretch.consumers[at] as Consumer).pending-- // at < length
    stretch.remove(at)
    this.#size--
    if (stretch.length === 0) this.#stretches.splice(index, 1)
    return true
  }

  /** From an id on. Meanwhile others may come and go; those behind are met as they are then. */
  *from(id: StreamId): IterableIterator<Pending> {
    for (let next: StreamId | null = id; next !== null; ) {
      const stretch: Stretch | undefined = this.#stretches[this.#stretchOf(next)]
      if (stretch === undefined) return
      const pending: Pending = stretch.at(stretch.placeOf(next))
      yield pending
      next = nextId(pending.id)
    }
  }

  /** The first stretch that ends with this id or a greater one: where it is, if it is. */
  #stretchOf(id: StreamId): number {
    const stretches = this.#stretches
    let low = 0
    let high = stretches.length
    const { last } = this
    if (last === null || compareIds(last, id) < 0) return high
    while (low < high) {
      const middle = (low + high) >> 1
      const stretch = stretches[middle] as Stretch // middle < length
      if (stretch.compare(stretch.length - 1, id) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}
