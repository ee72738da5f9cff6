/** Sequence numbers: 20 digits that grow with every message, also over restarts, as long as the clock goes forward. */
import type { Clock } from '../../../lib/timers.ts'

const perMillisecondBits = 20n

export class Sequence {
  readonly #clock: Clock
  #last = 0n

  constructor(clock: Clock) {
    this.#clock = clock
  }

  next(): string {
    const now = BigInt(Math.floor(this.#clock.now())) << perMillisecondBits
    this.#last = now > this.#last ? now : this.#last + 1n
    return this.#last.toString().padStart(20, '0')
  }
}
