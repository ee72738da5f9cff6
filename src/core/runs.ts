import { firstAfter } from '../lib/sorted.ts'

/** A set of whole numbers as the runs it is made of: however many there are, it takes what its gaps take. */
export class Runs {
  /** Where a run begins and where it ends, in turn, in growing order. */
  #edges: number[]

  constructor(edges: readonly number[] = []) {
    this.#edges = [...edges]
  }

  get empty(): boolean {
    return this.#edges.length === 0
  }

  has(number: number): boolean {
    return this.#rank(number) % 2 === 1
  }

  add(number: number): void {
    const edges = this.#edges
    const rank = this.#rank(number)
    if (rank % 2 === 1) return
    const joinsBefore = rank > 0 && edges[rank - 1] === number
    const joinsAfter = edges[rank] === number + 1
    if (joinsBefore && joinsAfter) edges.splice(rank - 1, 2)
    else if (joinsBefore) edges[rank - 1] = number + 1
    else if (joinsAfter) edges[rank] = number
    else edges.splice(rank, 0, number, number + 1)
  }

  /** Behind the run that holds `number`; -1 when none does. */
  endOf(number: number): number {
    const rank = this.#rank(number)
    return rank % 2 === 1 ? (this.#edges[rank] as number) : -1 // every run has an end
  }

  /** Where the run begins that holds `number`; -1 when none does. */
  beginOf(number: number): number {
    const rank = this.#rank(number)
    return rank % 2 === 1 ? (this.#edges[rank - 1] as number) : -1 // rank > 0
  }

  /** Takes out all that are smaller. */
  dropBelow(number: number): void {
    const rank = this.#rank(number)
    if (rank % 2 === 1) this.#edges.splice(0, rank, number)
    else if (rank > 0) this.#edges.splice(0, rank)
  }

  clear(): void {
    this.#edges = []
  }

  /** Each run as where it begins and what comes behind it. */
  *[Symbol.iterator](): Generator<readonly [number, number]> {
    for (let at = 0; at < this.#edges.length; at += 2) yield [this.#edges[at] as number, this.#edges[at + 1] as number] // pairs
  }

  toJSON(): readonly number[] {
    return this.#edges
  }

  /** How many edges are at or below: within a run it is odd. */
  #rank(number: number): number {
    return firstAfter(this.#edges, number)
  }
}
