/** Answers in the order of their commands, though some (to publishes) come later than others. */

interface Waiting {
  act: (() => void) | null
}

export class Replies {
  readonly #waiting: Waiting[] = []

  /** How many commands have no answer yet, or stand behind one that has none. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Answers when all before it are answered. */
  now(act: () => void): void {
    if (this.#waiting.length === 0) act()
    else this.#waiting.push({ act })
  }

  /** Keeps a place; what is returned fills it. */
  later(): (act: () => void) => void {
    const place: Waiting = { act: null }
    this.#waiting.push(place)
    return (act) => {
      place.act = act
      this.#flush()
    }
  }

  #flush(): void {
    let ready = 0
    while (ready < this.#waiting.length && this.#waiting[ready]?.act !== null) ready++
    for (const { act } of this.#waiting.splice(0, ready)) act?.()
  }

  clear(): void {
    this.#waiting.length = 0
  }
}
