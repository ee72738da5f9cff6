/** Room that a frame's length alone may ask for, bytes. */
const roomMax = 1024 * 1024

/**
 * Joins the bytes of one frame of known length that comes in pieces. Room is made as bytes come: who only says that 100 MiB are on their way
 * has none of them set aside. Frames up to 1 MiB are copied once.
 */
export class Joined {
  readonly length: number
  #bytes: Buffer
  #have = 0

  constructor(length: number) {
    this.length = length
    this.#bytes = Buffer.allocUnsafeSlow(Math.min(length, roomMax))
  }

  /** Takes what belongs to the frame from `chunk[at...]`; returns where it ended. */
  take(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.length - this.#have)
    const needed = this.#have + end - at
    if (needed > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(this.length, Math.max(needed, this.#bytes.length * 2)))
      this.#bytes.copy(grown, 0, 0, this.#have)
      this.#bytes = grown
    }
    chunk.copy(this.#bytes, this.#have, at, end)
    this.#have = needed
    return end
  }

  /** The frame, when it is whole. */
  get whole(): Buffer | null {
    return this.#have === this.length ? this.#bytes : null
  }
}
