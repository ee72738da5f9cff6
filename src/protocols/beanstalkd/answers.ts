/** Answers leave in the order of their commands. Those that come before what they stand behind wait for it. */
export class Answers {
  readonly #write: (bytes: Buffer) => void
  readonly #slots: { bytes: Buffer | null }[] = []

  constructor(write: (bytes: Buffer) => void) {
    this.#write = write
  }

  /** Of what waits. */
  bytes = 0

  /** Answers that are still to come, or wait for one. */
  get size(): number {
    return this.#slots.length
  }

  /** No answer is still to come. */
  get isEmpty(): boolean {
    return this.#slots.length === 0
  }

  add(bytes: Buffer): void {
    if (this.isEmpty) return this.#write(bytes)
    this.#slots.push({ bytes })
    this.bytes += bytes.length
  }

  /** A place for an answer, and how it is filled. */
  later(): (bytes: Buffer) => void {
    const slot: { bytes: Buffer | null } = { bytes: null }
    this.#slots.push(slot)
    return (bytes) => {
      slot.bytes = bytes
      this.bytes += bytes.length
      this.#send()
    }
  }

  #send(): void {
    let sent = 0
    for (const { bytes } of this.#slots) {
      if (bytes === null) break
      this.#write(bytes)
      this.bytes -= bytes.length
      sent++
    }
    this.#slots.splice(0, sent)
  }
}
