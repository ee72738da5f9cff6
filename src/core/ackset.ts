/**
 * Which offsets of a log one subscription is done with: everything below `floor`, and single ones above it in bitmaps of 4096.
 * A full bitmap costs nothing but its mark, so one record stuck at the front and millions done behind it stay small.
 */

const chunkBits = 4096
const words = chunkBits / 32

interface Chunk {
  bits: Uint32Array | null
  count: number
}

export class AckSet {
  /** All offsets below are done. */
  floor: number
  /** How many are done at or above the floor. */
  above = 0
  readonly #chunks = new Map<number, Chunk>()

  constructor(floor: number) {
    this.floor = floor
  }

  has(offset: number): boolean {
    if (offset < this.floor) return true
    if (this.above === 0) return false
    const chunk = this.#chunks.get(Math.floor(offset / chunkBits))
    if (chunk === undefined) return false
    if (chunk.bits === null) return true
    const bit = offset % chunkBits
    return ((chunk.bits[bit >>> 5] as number) & (1 << (bit & 31))) !== 0 // bit < chunkBits
  }

  /** Returns false when it was done already. */
  add(offset: number): boolean {
    if (offset < this.floor) return false
    if (offset === this.floor) {
      this.floor++
      if (this.above > 0) {
        if (this.floor % chunkBits === 0) this.#chunks.delete(this.floor / chunkBits - 1)
        this.#raise()
      }
      return true
    }
    const index = Math.floor(offset / chunkBits)
    let chunk = this.#chunks.get(index)
    if (chunk === undefined) {
      chunk = { bits: new Uint32Array(words), count: 0 }
      this.#chunks.set(index, chunk)
    }
    if (chunk.bits === null) return false
    const bit = offset % chunkBits
    const word = chunk.bits[bit >>> 5] as number // bit < chunkBits
    const mask = 1 << (bit & 31)
    if ((word & mask) !== 0) return false
    chunk.bits[bit >>> 5] = word | mask
    chunk.count++
    this.above++
    if (chunk.count === chunkBits) chunk.bits = null
    return true
  }

  /** Everything below `offset` becomes done. */
  raiseTo(offset: number): void {
    if (offset <= this.floor) return
    if (this.above > 0) {
      const last = Math.floor((offset - 1) / chunkBits)
      for (const [index, chunk] of this.#chunks) {
        if (index > last) continue
        const until = Math.min(offset, (index + 1) * chunkBits)
        const from = Math.max(this.floor, index * chunkBits)
        if (until === (index + 1) * chunkBits) {
          this.above -= chunk.bits === null ? until - from : this.#countBetween(index, from, until)
          this.#chunks.delete(index)
        } else this.above -= this.#countBetween(index, from, until)
      }
    }
    this.floor = offset
    this.#raise()
  }

  /** The first offset at or after `offset` that is not done. */
  nextMissing(offset: number): number {
    let at = Math.max(offset, this.floor)
    if (this.above === 0) return at
    while (this.has(at)) {
      const chunk = this.#chunks.get(Math.floor(at / chunkBits))
      at = chunk !== undefined && chunk.bits === null ? (Math.floor(at / chunkBits) + 1) * chunkBits : at + 1
    }
    return at
  }

  /** The last offset at or before `offset` that is not done; -1 when there is none. */
  previousMissing(offset: number): number {
    let at = offset
    while (at >= this.floor) {
      if (!this.has(at)) return at
      const index = Math.floor(at / chunkBits)
      at = this.#chunks.get(index)?.bits === null ? index * chunkBits - 1 : at - 1
    }
    return -1
  }

  /** Whether all of [from, to) are done. */
  covers(from: number, to: number): boolean {
    return to <= this.floor || this.nextMissing(from) >= to
  }

  #countBetween(index: number, from: number, to: number): number {
    let count = 0
    const chunk = this.#chunks.get(index)
    if (chunk === undefined) return 0
    if (chunk.bits === null) return to - from
    for (let offset = from; offset < to; offset++) {
      const bit = offset % chunkBits
      if (((chunk.bits[bit >>> 5] as number) & (1 << (bit & 31))) !== 0) count++ // bit < chunkBits
    }
    return count
  }

  #raise(): void {
    for (;;) {
      if (this.above === 0) {
        this.#chunks.clear()
        return
      }
      const index = Math.floor(this.floor / chunkBits)
      const chunk = this.#chunks.get(index)
      if (chunk === undefined) return
      if (chunk.bits === null) {
        const until = (index + 1) * chunkBits
        this.above -= until - this.floor
        this.floor = until
        this.#chunks.delete(index)
        continue
      }
      const bit = this.floor % chunkBits
      if (((chunk.bits[bit >>> 5] as number) & (1 << (bit & 31))) === 0) return // bit < chunkBits
      this.floor++
      this.above--
      if (this.floor % chunkBits === 0) this.#chunks.delete(index)
    }
  }

  /** For the checkpoint: floor, and the bitmaps above it in base64 (an empty one is full). */
  toJSON(): { floor: number; chunks: [number, string][] } {
    const chunks: [number, string][] = []
    for (const [index, { bits }] of this.#chunks) {
      chunks.push([index, bits === null ? '' : Buffer.from(bits.buffer, bits.byteOffset, bits.byteLength).toString('base64')])
    }
    return { floor: this.floor, chunks }
  }

  static from(stored: { floor: number; chunks: [number, string][] }): AckSet {
    const set = new AckSet(stored.floor)
    for (const [index, text] of stored.chunks) {
      const chunk: Chunk = { bits: null, count: chunkBits }
      if (text !== '') {
        const bits = new Uint32Array(words)
        Buffer.from(text, 'base64').copy(Buffer.from(bits.buffer))
        chunk.bits = bits
        chunk.count = 0
        for (let word of bits) for (; word !== 0; word &= word - 1) chunk.count++
      }
      set.#chunks.set(index, chunk)
    }
    for (const index of set.#chunks.keys()) {
      const from = Math.max(set.floor, index * chunkBits)
      set.above += set.#countBetween(index, from, (index + 1) * chunkBits)
    }
    set.#raise()
    return set
  }
}
