/** A binary heap: who comes `before` all others is on top. Equal ones come in any order. */
export class Heap<T> {
  readonly #items: T[]
  readonly #before: (a: T, b: T) => boolean

  /** `sorted`: what is in it from the beginning, in order; it is taken over. */
  constructor(before: (a: T, b: T) => boolean, sorted: T[] = []) {
    this.#before = before
    this.#items = sorted
  }

  get size(): number {
    return this.#items.length
  }

  peek(): T | undefined {
    return this.#items[0]
  }

  /** All that is in it, in no order. */
  values(): T[] {
    return [...this.#items]
  }

  push(item: T): void {
    const items = this.#items
    let at = items.push(item) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = items[parent] as T // parent < at
      if (!this.#before(item, above)) break
      items[at] = above
      at = parent
    }
    items[at] = item
  }

  pop(): T | undefined {
    const [top] = this.#items
    const last = this.#items.pop()
    if (last !== undefined && this.#items.length > 0) this.replaceTop(last)
    return top
  }

  /** As a pop and a push, in one go; also with the top itself, after what it is compared by has changed. */
  replaceTop(item: T): void {
    this.#sink(item, 0)
  }

  /** Leaves out all others. */
  retain(keeps: (item: T) => boolean): void {
    const items = this.#items
    let kept = 0
    for (const item of items) if (keeps(item)) items[kept++] = item
    items.length = kept
    for (let at = (kept >> 1) - 1; at >= 0; at--) this.#sink(items[at] as T, at) // at < kept
  }

  /** Finds a place for it from `from` on, below which all is in order. */
  #sink(item: T, from: number): void {
    const items = this.#items
    const length = items.length
    let at = from
    for (let child = 2 * at + 1; child < length; child = 2 * at + 1) {
      if (child + 1 < length && this.#before(items[child + 1] as T, items[child] as T)) child++ // both < length
      const smaller = items[child] as T
      if (!this.#before(smaller, item)) break
      items[at] = smaller
      at = child
    }
    items[at] = item
  }

  clear(): void {
    this.#items.length = 0
  }
}
