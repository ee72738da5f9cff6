/** What a consumer does when time has passed: it goes on after a pause, and ends when nobody has used it for too long. */
import type { Clock, Timer } from '../../../lib/timers.ts'
import type { ConsumerConfig } from './consumer-config.ts'
import { msOf } from './times.ts'

const inactiveDefaultMs = 5000

export interface WaitingHost {
  readonly config: ConsumerConfig
  /** When somebody used it last, ms since the epoch; Infinity: somebody does. */
  readonly usedAt: number
  unpaused(): void
  unused(): void
}

export class WaitingTimes {
  readonly #host: WaitingHost
  readonly #clock: Clock
  #inactive: Timer | null = null
  #pause: Timer | null = null

  constructor(host: WaitingHost, clock: Clock) {
    this.#host = host
    this.#clock = clock
  }

  /** How long it is paused, ms; not more than 0: it is not. */
  get pauseLeftMs(): number {
    const { pause_until: until } = this.#host.config
    return until === '' ? 0 : Date.parse(until) - this.#clock.now()
  }

  /** Its configuration may be another than before. */
  configured(): void {
    this.#watchPause()
    this.#watchUse()
  }

  #watchPause(): void {
    this.#pause?.cancel()
    const leftMs = this.pauseLeftMs
    if (!(leftMs > 0)) return
    this.#pause = this.#clock.after(leftMs, () => {
      this.#watchPause()
      this.#host.unpaused()
    })
  }

  /** How long it may be of no use to anybody, ms; Infinity: for ever. */
  get #limitMs(): number {
    const { inactive_threshold: threshold, durable_name: durable } = this.#host.config
    if (threshold > 0) return msOf(threshold)
    return durable === '' ? inactiveDefaultMs : Infinity
  }

  #watchUse(): void {
    this.#inactive?.cancel()
    const limitMs = this.#limitMs
    if (limitMs === Infinity) return
    const since = (): number => Math.max(0, this.#clock.now() - this.#host.usedAt)
    this.#inactive = this.#clock.after(Math.max(1, limitMs - since()), () => {
      if (since() >= limitMs) this.#host.unused()
      else this.#watchUse()
    })
  }

  close(): void {
    this.#inactive?.cancel()
    this.#pause?.cancel()
  }
}
