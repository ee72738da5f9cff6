/** Keys by the time at which they are due. Entries of keys that were changed since stay until they come up or are swept out. */
import { Heap } from '../../lib/heap.ts'

interface Due {
  readonly key: string
  readonly at: number
}

const earlier = (one: Due, other: Due): boolean => one.at < other.at

/** Sweeping begins at so many entries. */
const sweepMin = 1024

export class ExpiryQueue {
  #heap = new Heap<Due>(earlier)

  /** Infinity when nothing is due. */
  get next(): number {
    return this.#heap.peek()?.at ?? Infinity
  }

  add(key: string, at: number): void {
    this.#heap.push({ key, at })
  }

  /** The first key; there is one. */
  take(): string {
    return (this.#heap.pop() as Due).key // callers saw next
  }

  /** Takes stale entries out when they are more than `live`, the number of those that count. */
  sweep(live: number, counts: (key: string, at: number) => boolean): void {
    const { size } = this.#heap
    if (size >= sweepMin && size >= live * 2) this.#heap.retain(({ key, at }) => counts(key, at))
  }

  clear(): void {
    this.#heap.clear()
  }

  swap(other: ExpiryQueue): void {
    ;[this.#heap, other.#heap] = [other.#heap, this.#heap]
  }
}
