/** Keys by the time at which they are due: a binary heap. Entries of keys that were changed since stay until they come up or are swept out. */

interface Due {
  readonly key: string
  readonly at: number
}

/** Sweeping begins at so many entries. */
const sweepMin = 1024

export class ExpiryQueue {
  #heap: Due[] = []

  /** Infinity when nothing is due. */
  get next(): number {
    return this.#heap[0]?.at ?? Infinity
  }

  add(key: string, at: number): void {
    this.#heap.push({ key, at })
    this.#rise(this.#heap.length - 1)
  }

  /** The first key; there is one. */
  take(): string {
    const first = this.#heap[0] as Due // callers saw next
    const last = this.#heap.pop() as Due
    if (this.#heap.length > 0) {
      this.#heap[0] = last
      this.#sink()
    }
    return first.key
  }

  /** Takes stale entries out when they are more than `live`, the number of those that count. */
  sweep(live: number, counts: (key: string, at: number) => boolean): void {
    if (this.#heap.length < sweepMin || this.#heap.length < live * 2) return
    const kept = this.#heap.filter(({ key, at }) => counts(key, at))
    // Sorted is a heap, too.
    this.#heap = kept.sort((one, other) => one.at - other.at)
  }

  clear(): void {
    this.#heap = []
  }

  swap(other: ExpiryQueue): void {
    ;[this.#heap, other.#heap] = [other.#heap, this.#heap]
  }

  #rise(from: number): void {
    const heap = this.#heap
    const entry = heap[from] as Due // callers pass a place
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent] as Due // parent < at
      if (above.at <= entry.at) break
      heap[at] = above
      at = parent
    }
    heap[at] = entry
  }

  #sink(): void {
    const heap = this.#heap
    const entry = heap[0] as Due // callers have one
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && (heap[child + 1] as Due).at < (heap[child] as Due).at) child++
      const below = heap[child] as Due // child < length
      if (below.at >= entry.at) break
      heap[at] = below
      at = child
    }
    heap[at] = entry
  }
}
