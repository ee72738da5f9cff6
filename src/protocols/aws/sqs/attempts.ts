/** What was received under an id of the client's own, so that it can ask again when it did not hear the answer. */
import type { Clock } from '../../../lib/timers.ts'
import type { Received } from './reader.ts'

const windowMs = 5 * 60_000
const attemptsMax = 1000

export class Attempts {
  readonly #clock: Clock
  readonly #attempts = new Map<string, { readonly received: Received[]; readonly until: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  find(id: string): Received[] | undefined {
    const found = this.#attempts.get(id)
    return found !== undefined && found.until > this.#clock.now() ? found.received : undefined
  }

  note(id: string, received: Received[]): void {
    const now = this.#clock.now()
    this.#attempts.delete(id)
    this.#attempts.set(id, { received, until: now + windowMs })
    for (const [oldest, { until }] of this.#attempts) {
      if (until > now && this.#attempts.size <= attemptsMax) break
      this.#attempts.delete(oldest)
    }
  }
}
