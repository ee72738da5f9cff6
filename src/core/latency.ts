/** How long something takes, in fixed buckets: a few numbers whatever is measured, and a few nanoseconds to add one. */
import type { LatencyStats } from '../broker/face.ts'

/** Upper bounds, seconds. */
const bounds = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 3600,
] as const

export class LatencyHistogram {
  /** One more than bounds: what is above them all. */
  readonly #counts = new Float64Array(bounds.length + 1)
  #sum = 0
  #count = 0

  observe(ms: number): void {
    const seconds = ms / 1000
    let bucket = 0
    while (bucket < bounds.length && seconds > (bounds[bucket] as number)) bucket++ // bucket < length
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1
    this.#sum += seconds
    this.#count++
  }

  stats(): LatencyStats {
    let below = 0
    const buckets = bounds.map((upTo, index) => {
      below += this.#counts[index] as number // one for each bound
      return { upTo, count: below }
    })
    return { count: this.#count, sumSeconds: this.#sum, buckets }
  }
}
