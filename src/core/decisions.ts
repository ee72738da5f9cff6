/**
 * Undecided entries of one log: stored in their place by a producer whose transaction is still open. A marker entry says later whether they
 * happened. Until then `stable` stands before the first of them; what was aborted, and each marker, is hidden from subscriptions for ever.
 * A decision takes effect when its marker is durable, never before.
 */
import { AckSet } from './ackset.ts'

/** What one producer has stored and not decided. */
interface Open {
  readonly producerId: number
  readonly first: number
  /** Pairs: base offset, offset after it; neighbours are joined. */
  readonly ranges: number[]
}

interface Decided {
  readonly marker: number
  readonly open: Open | null
  readonly commit: boolean
}

/** A transaction that was aborted: its entries stand between `first` and the marker at `last`. */
export interface Aborted {
  readonly producerId: number
  readonly first: number
  readonly last: number
}

interface Stored {
  readonly upTo: number
  readonly open: readonly Open[]
  readonly decided: readonly Decided[]
  readonly aborted: Aborted[]
  readonly hidden: ReturnType<AckSet['toJSON']>
}

export class Decisions {
  /** By producer, the one that began first at the front. */
  readonly #open = new Map<number, Open>()
  /** Decided by markers that are not durable yet, in the order of the markers. */
  #decided: Decided[] = []
  /** By the offset of the marker. */
  #aborted: Aborted[] = []
  /** For each of them, where the first begins of those from it on: says when looking further finds nothing. */
  #begins: number[] = []
  #hidden = new AckSet(0)
  /** All entries below are accounted for. */
  #upTo = 0

  /** An undecided entry was stored at [base, next). */
  stored(producerId: number, base: number, next: number): void {
    if (base < this.#upTo) return // replayed over a checkpoint that knows it
    this.#upTo = next
    const open = this.#open.get(producerId)
    if (open === undefined) {
      this.#open.set(producerId, { producerId, first: base, ranges: [base, next] })
      return
    }
    if (open.ranges.at(-1) === base) open.ranges[open.ranges.length - 1] = next
    else open.ranges.push(base, next)
  }

  /** A marker was stored at `offset`: all that the producer left undecided before it happened, or did not. */
  marked(producerId: number, offset: number, commit: boolean): void {
    if (offset < this.#upTo) return
    this.#upTo = offset + 1
    const open = this.#open.get(producerId) ?? null
    this.#open.delete(producerId)
    this.#decided.push({ marker: offset, open, commit })
  }

  /** All below `durable` is durable: decisions within take effect. */
  settle(durable: number): void {
    while (this.#decided.length > 0) {
      const { marker, open, commit } = this.#decided[0] as Decided // length > 0
      if (marker >= durable) return
      this.#decided.shift()
      this.#hidden.add(marker)
      if (commit || open === null) continue
      this.#noteAborted({ producerId: open.producerId, first: open.first, last: marker })
      for (let at = 0; at < open.ranges.length; at += 2) {
        const next = open.ranges[at + 1] as number // pairs
        for (let offset = open.ranges[at] as number; offset < next; offset++) this.#hidden.add(offset)
      }
    }
  }

  #noteAborted(aborted: Aborted): void {
    this.#aborted.push(aborted)
    const { first } = aborted
    for (let at = this.#begins.push(first) - 2; at >= 0 && (this.#begins[at] as number) > first; at--) this.#begins[at] = first // at < length
  }

  /** The first offset that is undecided, or Infinity. */
  get firstUndecided(): number {
    let first = Infinity
    for (const { open } of this.#decided) if (open !== null && open.first < first) first = open.first
    for (const open of this.#open.values()) return Math.min(first, open.first)
    return first
  }

  /** Where the producer's open transaction begins; -1 when it has none. */
  openSince(producerId: number): number {
    return this.#open.get(producerId)?.first ?? -1
  }

  /** Pairs of base offset and offset after it: what the producer's open transaction has stored. */
  rangesOf(producerId: number): readonly number[] {
    return this.#open.get(producerId)?.ranges ?? []
  }

  /** Whether the record never happened (or is a marker). */
  hides(offset: number): boolean {
    return this.#hidden.has(offset)
  }

  /** Aborted transactions with entries in [from, to). */
  abortedBetween(from: number, to: number): Aborted[] {
    const found: Aborted[] = []
    for (let at = this.#firstEndingFrom(from); at < this.#aborted.length && (this.#begins[at] as number) < to; at++) {
      const aborted = this.#aborted[at] as Aborted // both lists have this length
      if (aborted.first < to) found.push(aborted)
    }
    return found
  }

  #firstEndingFrom(offset: number): number {
    let low = 0
    let high = this.#aborted.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#aborted[middle] as Aborted).last < offset)
        low = middle + 1 // middle < length
      else high = middle
    }
    return low
  }

  /** Nothing below `start` is kept any more. */
  truncate(start: number): void {
    const gone = this.#firstEndingFrom(start)
    this.#aborted.splice(0, gone)
    this.#begins.splice(0, gone)
    this.#hidden.raiseTo(start)
  }

  toJSON(): Stored {
    return {
      upTo: this.#upTo,
      open: [...this.#open.values()],
      decided: this.#decided,
      aborted: this.#aborted,
      hidden: this.#hidden.toJSON(),
    }
  }

  static from(stored: Stored): Decisions {
    const decisions = new Decisions()
    for (const open of stored.open) decisions.#open.set(open.producerId, { ...open, ranges: [...open.ranges] })
    decisions.#upTo = stored.upTo
    decisions.#decided = [...stored.decided]
    for (const aborted of stored.aborted) decisions.#noteAborted(aborted)
    decisions.#hidden = AckSet.from(stored.hidden)
    return decisions
  }
}
