// A channel's deliveries that wait for their acknowledgement: delivery tag → consumer and handle. Tags only grow, so they sit in
// a ring; what stays unsettled while the tags run far ahead moves to a small map, so that the ring follows what is in flight.

const startCapacity = 16

export class Unacked<Owner extends object> {
  #owners: (Owner | null)[] = new Array<Owner | null>(startCapacity).fill(null)
  #handles: number[] = new Array<number>(startCapacity).fill(0)
  #times: number[] = new Array<number>(startCapacity).fill(0)
  #mask = startCapacity - 1
  /** Lowest tag that the ring may hold. */
  #low = 1
  /** The next tag to be given. */
  #next = 1
  #ringCount = 0
  readonly #stragglers = new Map<number, { owner: Owner; handle: number; at: number }>()

  get count(): number {
    return this.#ringCount + this.#stragglers.size
  }
  get nextTag(): number {
    return this.#next
  }

  /** A tag for a delivery that needs no acknowledgement. */
  skip(): number {
    if (this.#ringCount === 0) this.#low = this.#next + 1
    else if (this.#mask < this.#next - this.#low) this.#makeRoom()
    return this.#next++
  }

  /** `at`: when it is delivered. */
  add(owner: Owner, handle: number, at: number): number {
    const tag = this.#next
    if (this.#mask < tag - this.#low) this.#makeRoom()
    const slot = tag & this.#mask
    this.#owners[slot] = owner
    this.#handles[slot] = handle
    this.#times[slot] = at
    this.#ringCount++
    this.#next = tag + 1
    return tag
  }

  /** Puts one back that was taken (a rolled back acknowledgement). */
  restore(tag: number, owner: Owner, handle: number, at: number): void {
    this.#stragglers.set(tag, { owner, handle, at })
  }

  /** Visits what was delivered at `until` or before and still waits; tags are given in the order of their time, so it stops there. */
  olderThan(until: number, visit: (owner: Owner, at: number) => void): void {
    for (const { owner, at } of this.#stragglers.values()) if (at <= until) visit(owner, at)
    for (let tag = this.#low; tag < this.#next; tag++) {
      const slot = tag & this.#mask
      const owner = this.#owners[slot]
      if (owner === null || owner === undefined) continue
      const at = this.#times[slot] as number
      if (until < at) return
      visit(owner, at)
    }
  }

  /** Takes all that belongs to `owner`, leaving `instead` in its place. Returns the handles, the oldest first. */
  replace(owner: Owner, instead: Owner): number[] {
    const handles: number[] = []
    for (const [tag, straggler] of [...this.#stragglers].sort(([a], [b]) => a - b)) {
      if (straggler.owner !== owner) continue
      handles.push(straggler.handle)
      this.#stragglers.set(tag, { ...straggler, owner: instead })
    }
    for (let tag = this.#low; tag < this.#next; tag++) {
      const slot = tag & this.#mask
      if (this.#owners[slot] !== owner) continue
      handles.push(this.#handles[slot] as number)
      this.#owners[slot] = instead
    }
    return handles
  }

  /** Takes one tag out; false when it is not known. */
  take(tag: number, each: (owner: Owner, handle: number, tag: number) => void): boolean {
    const slot = tag & this.#mask
    const owner = this.#low <= tag && tag < this.#next ? this.#owners[slot] : null
    if (owner === null || owner === undefined) {
      const straggler = this.#stragglers.get(tag)
      if (straggler === undefined) return false
      this.#stragglers.delete(tag)
      each(straggler.owner, straggler.handle, tag)
      return true
    }
    const handle = this.#handles[slot] as number
    this.#owners[slot] = null
    this.#ringCount--
    if (tag === this.#low) this.#advance()
    each(owner, handle, tag)
    return true
  }

  /** Takes everything up to and including `tag`, oldest first. */
  takeThrough(tag: number, each: (owner: Owner, handle: number, tag: number) => void): void {
    if (0 < this.#stragglers.size) {
      for (const key of [...this.#stragglers.keys()].filter((key) => key <= tag).sort((a, b) => a - b)) this.take(key, each)
    }
    const end = Math.min(tag + 1, this.#next)
    for (let at = this.#low; at < end; at++) {
      const slot = at & this.#mask
      const owner = this.#owners[slot]
      if (owner === null || owner === undefined) continue
      this.#owners[slot] = null
      this.#ringCount--
      each(owner, this.#handles[slot] as number, at)
    }
    if (this.#low < end) this.#low = end
    this.#advance()
  }

  /** Whether a tag waits; for multiple acknowledgements the tag itself must. */
  has(tag: number): boolean {
    if (this.#stragglers.has(tag)) return true
    const owner = this.#low <= tag && tag < this.#next ? this.#owners[tag & this.#mask] : null
    return owner !== null && owner !== undefined
  }

  #advance(): void {
    if (this.#ringCount === 0) {
      this.#low = this.#next
      return
    }
    while (this.#owners[this.#low & this.#mask] === null) this.#low++
  }

  /** The ring is full: grow it, or when most of it is empty move the old ones out. */
  #makeRoom(): void {
    const capacity = this.#mask + 1
    if (this.#ringCount * 4 < capacity) {
      const half = this.#low + capacity / 2
      for (let tag = this.#low; tag < half; tag++) {
        const slot = tag & this.#mask
        const owner = this.#owners[slot]
        if (owner === null || owner === undefined) continue
        this.#stragglers.set(tag, { owner, handle: this.#handles[slot] as number, at: this.#times[slot] as number })
        this.#owners[slot] = null
        this.#ringCount--
      }
      this.#low = half
      this.#advance()
      return
    }
    const owners = new Array<Owner | null>(capacity * 2).fill(null)
    const handles = new Array<number>(capacity * 2).fill(0)
    const times = new Array<number>(capacity * 2).fill(0)
    const mask = capacity * 2 - 1
    for (let tag = this.#low; tag < this.#next; tag++) {
      owners[tag & mask] = this.#owners[tag & this.#mask] ?? null
      handles[tag & mask] = this.#handles[tag & this.#mask] as number
      times[tag & mask] = this.#times[tag & this.#mask] as number
    }
    this.#owners = owners
    this.#handles = handles
    this.#times = times
    this.#mask = mask
  }
}
