/**
 * Ready jobs of a tube that are as they were put, which nearly all are: a few numbers for each, so that a tube of millions stays small. Whoever asks for one
 * takes it out, and has a {@link Job} of it.
 */
import { NumberTable } from '../../lib/number-table.ts'

export interface WaitingJob {
  readonly id: number
  readonly priority: number
  readonly place: number
  readonly ttrSeconds: number
  readonly createdAt: number
}

export class WaitingJobs {
  readonly #rows = new NumberTable(5)
  /** A binary heap by priority, then id. What was taken otherwise stays in it until it is on top. */
  readonly #priorities: number[] = []
  readonly #ids: number[] = []

  get size(): number {
    return this.#rows.size
  }

  add({ id, priority, place, ttrSeconds, createdAt }: WaitingJob): void {
    this.#rows.set([id, priority, place, ttrSeconds, createdAt])
    let at = this.#ids.push(id) - 1
    this.#priorities.push(priority)
    for (; at > 0; at = (at - 1) >> 1) {
      const above = (at - 1) >> 1
      if (!this.#isBefore(priority, id, above)) break
      this.#move(above, at)
    }
    this.#ids[at] = id
    this.#priorities[at] = priority
  }

  /** The one that is wanted first. */
  get first(): { readonly id: number; readonly priority: number } | undefined {
    for (;;) {
      const [id] = this.#ids
      if (id === undefined) return undefined
      if (this.#rows.has(id)) return { id, priority: this.#priorities[0] as number } // as many as ids
      this.#pop()
    }
  }

  take(id: number): WaitingJob | undefined {
    const row = this.#rows.get(id)
    if (row === undefined) return undefined
    this.#rows.delete(id)
    if (this.#ids[0] === id) this.#pop()
    const [, priority, place, ttrSeconds, createdAt] = row as [number, number, number, number, number] // as add() made it
    return { id, priority, place, ttrSeconds, createdAt }
  }

  clear(): void {
    this.#rows.clear()
    this.#ids.length = 0
    this.#priorities.length = 0
  }

  #pop(): void {
    const id = this.#ids.pop() as number // callers know that there is one
    const priority = this.#priorities.pop() as number
    const { length } = this.#ids
    if (length === 0) return
    let at = 0
    for (let child = 1; child < length; child = 2 * at + 1) {
      if (child + 1 < length && this.#isBefore(this.#priorities[child + 1] as number, this.#ids[child + 1] as number, child))
        child++
      if (this.#isBefore(priority, id, child)) break
      this.#move(child, at)
      at = child
    }
    this.#ids[at] = id
    this.#priorities[at] = priority
  }

  /** Whether such a job comes before the one at a place of the heap. */
  #isBefore(priority: number, id: number, at: number): boolean {
    const other = this.#priorities[at] as number // within the heap
    return priority === other ? id < (this.#ids[at] as number) : priority < other
  }

  #move(from: number, to: number): void {
    this.#ids[to] = this.#ids[from] as number // within the heap
    this.#priorities[to] = this.#priorities[from] as number
  }
}
