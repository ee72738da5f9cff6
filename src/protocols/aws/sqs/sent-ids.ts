/**
 * What was answered for deduplication ids, so that a repetition is answered the same. The broker itself recognises the repetition (and remembers
 * over restarts); after a restart its answer has an id of its own.
 */
import type { Clock } from '../../../lib/timers.ts'

const windowMs = 5 * 60_000
const idsMax = 100_000

export interface Sent {
  readonly id: string
  readonly sequence: string
}

export class SentIds {
  readonly #clock: Clock
  readonly #sent = new Map<string, Sent & { readonly until: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  find(key: string): Sent | undefined {
    const found = this.#sent.get(key)
    return found !== undefined && found.until > this.#clock.now() ? found : undefined
  }

  note(key: string, { id, sequence }: Sent): void {
    const now = this.#clock.now()
    this.#sent.delete(key)
    this.#sent.set(key, { id, sequence, until: now + windowMs })
    for (const [oldest, { until }] of this.#sent) {
      if (until > now && this.#sent.size <= idsMax) break
      this.#sent.delete(oldest)
    }
  }
}
