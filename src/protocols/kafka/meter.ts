// How fast something may happen: a bucket that fills at a rate and holds some seconds' worth. Taking more than there is leaves a debt, which is paid by
// waiting.

export class Meter {
  readonly #rate: number
  readonly #capacity: number
  #left: number
  #at: number

  /** `rate`: what it fills by in a second. `seconds`: how much of it may be taken at once, after a silence. */
  constructor(rate: number, seconds: number, now: number) {
    this.#rate = rate
    this.#capacity = rate * seconds
    this.#left = this.#capacity
    this.#at = now
  }

  /** How long until the debt is paid, ms; 0: there is none. */
  owed(now: number): number {
    this.#left = Math.min(this.#capacity, this.#left + ((now - this.#at) / 1000) * this.#rate)
    this.#at = now
    return this.#left >= 0 ? 0 : Math.ceil((-this.#left / this.#rate) * 1000)
  }

  /** As {@link owed}, with this taken. */
  take(amount: number, now: number): number {
    this.owed(now)
    this.#left -= amount
    return this.owed(now)
  }

  /** Takes it where that leaves no debt; else nothing, and how long until it would not, ms. */
  takeWhole(amount: number, now: number): number {
    const debt = this.take(amount, now)
    if (debt > 0) this.#left += amount
    return debt
  }
}
