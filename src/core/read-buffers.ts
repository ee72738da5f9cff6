/**
 * Memory for what is read from segments, used again once its reader says that nobody looks at it any more: reading a log through takes no new memory, and
 * gives the garbage collector nothing to do. What nobody gives back is the collector's, as all other memory (docs/decisions/0003): forgetting costs time alone.
 */

/** Smaller buffers cost less than looking after them. */
const bytesMin = 128 * 1024
const bytesMax = 1024 * 1024
const keptMax = 8

export class ReadBuffers {
  /** Their lengths are powers of two. */
  #free: Buffer[] = []

  /** A buffer of `bytes` bytes with anything in it. */
  take(bytes: number): Buffer {
    if (bytes < bytesMin || bytes > bytesMax) return Buffer.allocUnsafeSlow(bytes)
    const room = 2 ** Math.ceil(Math.log2(bytes))
    const at = this.#free.findLastIndex(({ length }) => length === room)
    const buffer = at < 0 ? Buffer.allocUnsafeSlow(room) : (this.#free.splice(at, 1)[0] as Buffer) // at >= 0
    return buffer.length === bytes ? buffer : buffer.subarray(0, bytes)
  }

  /** Takes back what {@link take} gave: nobody may look at it from now on. */
  give(buffer: Buffer): void {
    const room = buffer.buffer.byteLength
    if (room < bytesMin || room > bytesMax || this.#free.length >= keptMax) return
    this.#free.push(buffer.length === room ? buffer : Buffer.from(buffer.buffer))
  }

  /** Keeps nothing: nobody has read for some time. */
  letGo(): void {
    this.#free = []
  }
}
