/** How fast a consumer's messages follow each other: at once, as they were stored, or at a rate. */
import type { Clock, Timer } from '../../../lib/timers.ts'
import type { ConsumerConfig } from './consumer-config.ts'

export interface Paced {
  readonly sequence: number
  /** When it was stored, ms. */
  readonly time: number
  readonly bytes: number
}

export class Pace {
  readonly #clock: Clock
  /** Messages up to here were there when the consumer was made: those alone have a past to follow. */
  readonly #oldUpTo: number
  #before = 0
  #timer: Timer | null = null

  constructor(clock: Clock, oldUpTo: number) {
    this.#clock = clock
    this.#oldUpTo = oldUpTo
  }

  /** Whether it waits: nothing more is to be taken. */
  get waiting(): boolean {
    return this.#timer !== null
  }

  /** How many messages may be taken at once. */
  static atOnce({ replay_policy: policy, rate_limit_bps: rate }: ConsumerConfig): number {
    return policy === 'original' || rate > 0 ? 1 : Infinity
  }

  /** True when this message has to wait: `deliver` is called then. `goOn` when the next one may be taken after a wait. */
  holds({ sequence, time, bytes }: Paced, config: ConsumerConfig, deliver: () => void, goOn: () => void): boolean {
    const gapMs = time - this.#before
    const follows = config.replay_policy === 'original' && this.#before > 0 && sequence <= this.#oldUpTo
    this.#before = time
    const wait = (ms: number, run: () => void): void => {
      this.#timer = this.#clock.after(ms, () => {
        this.#timer = null
        run()
        goOn()
      })
    }
    if (follows && gapMs > 1) {
      wait(gapMs, deliver)
      return true
    }
    const restMs = config.rate_limit_bps > 0 ? (8000 * bytes) / config.rate_limit_bps : 0
    if (restMs >= 1) wait(restMs, () => undefined)
    return false
  }

  close(): void {
    this.#timer?.cancel()
  }
}
