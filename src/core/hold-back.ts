/**
 * Records of one log that are stored and not to be seen yet: each for as long as its topic delays it (`TopicConfig.delayMs`). They become visible in
 * the order of the log. Entries that arrive close together become visible together, so memory is bounded by time, not by their number.
 */
import type { Clock, Timer } from '../lib/timers.ts'

/** Of the delay: how much later than due an entry may become visible. */
const slackShare = 0.001
const slackMsMax = 1000

interface Held {
  /** Where its first entry begins. */
  readonly from: number
  /** When that one, and when its last one, is due. */
  readonly firstDueAt: number
  dueAt: number
}

export class HoldBack {
  readonly #clock: Clock
  readonly #seen: () => void
  #held: Held[] = []
  #timer: Timer | null = null

  /** `seen`: {@link visible} rose. */
  constructor(clock: Clock, seen: () => void) {
    this.#clock = clock
    this.#seen = seen
  }

  /** Below this records may be seen; Infinity: all. */
  get visible(): number {
    return this.#held[0]?.from ?? Infinity
  }

  /** Holds what stands at `base`, the end of the log so far, until `dueAt`, and until all before it is due. */
  add(base: number, dueAt: number, delayMs: number): void {
    const last = this.#held.at(-1)
    const due = Math.max(dueAt, last?.dueAt ?? 0)
    const slack = Math.min(delayMs * slackShare, slackMsMax)
    if (last !== undefined && due - last.firstDueAt <= slack) last.dueAt = due
    else this.#held.push({ from: base, firstDueAt: due, dueAt: due })
    if (this.#timer === null) this.#wait()
  }

  /** All becomes visible now. */
  release(): void {
    this.#timer?.cancel()
    this.#timer = null
    if (this.#held.length === 0) return
    this.#held = []
    this.#seen()
  }

  /** Its log is gone. */
  close(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#held = []
  }

  #wait(): void {
    const [first] = this.#held
    if (first === undefined) return
    this.#timer = this.#clock.after(Math.max(0, first.dueAt - this.#clock.now()), () => {
      this.#timer = null
      const now = this.#clock.now()
      let due = 0
      while (due < this.#held.length && (this.#held[due] as Held).dueAt <= now) due++ // due < length
      this.#held.splice(0, due)
      this.#wait()
      if (due > 0) this.#seen()
    })
  }
}
