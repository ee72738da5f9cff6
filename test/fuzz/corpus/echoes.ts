/** Values that are waited for until they come back. */
export class Echoes {
  readonly #waiting = new Map<string, () => void>()
  #next = 0

  /** Sends a value nobody has sent before, and resolves when it was heard. */
  async beat(send: (value: string) => unknown): Promise<void> {
    const value = `${process.pid}-${this.#next++}`
    const heard = new Promise<void>((resolve) => this.#waiting.set(value, resolve))
    await send(value)
    await heard
    this.#waiting.delete(value)
  }

  heard(value: string): void {
    this.#waiting.get(value)?.()
  }
}
