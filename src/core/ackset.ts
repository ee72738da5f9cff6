/**
 * Which offsets of a log one subscription is done with: everything below `floor`, and single ones above it in bitmaps of 4096.
 * Full bitmaps side by side cost nothing but where they begin and end, so one record stuck at the front and millions done behind it stay small,
 * as do a few records that are kept among millions that are gone.
 */
import { Runs } from './runs.ts'

export const chunkBits = 4096
export const chunkWords = chunkBits / 32
/** A bitmap with fewer gaps is stored as the list of them. */
const gapsMax = 100

interface Chunk {
  readonly bits: Uint32Array
  count: number
}

/** As a checkpoint has it: a chunk is its bits in base64, or its gaps. */
export interface StoredAckSet {
  readonly floor: number
  readonly chunks: readonly (readonly [number, string | readonly number[]])[]
  /** Full chunks, as {@link Runs}. */
  readonly full?: readonly number[]
}

export class AckSet {
  /** All offsets below are done. */
  floor: number
  /** How many are done at or above the floor. */
  above = 0
  /** Those that are neither empty nor full, by their number. */
  readonly #chunks = new Map<number, Chunk>()
  #full = new Runs()

  constructor(floor: number) {
    this.floor = floor
  }

  has(offset: number): boolean {
    if (offset < this.floor) return true
    if (this.above === 0) return false
    const index = Math.floor(offset / chunkBits)
    const chunk = this.#chunks.get(index)
    if (chunk === undefined) return this.#full.has(index)
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
      if (this.#full.has(index)) return false
      chunk = { bits: new Uint32Array(chunkWords), count: 0 }
      this.#chunks.set(index, chunk)
    }
    const bit = offset % chunkBits
    const word = chunk.bits[bit >>> 5] as number // bit < chunkBits
    const mask = 1 << (bit & 31)
    if ((word & mask) !== 0) return false
    chunk.bits[bit >>> 5] = word | mask
    chunk.count++
    this.above++
    if (chunk.count === chunkBits) {
      this.#chunks.delete(index)
      this.#full.add(index)
    }
    return true
  }

  /** Everything below `offset` becomes done. */
  raiseTo(offset: number): void {
    if (offset <= this.floor) return
    if (this.above > 0) {
      const passed = Math.floor(offset / chunkBits)
      this.above -= this.#doneBetween(this.floor, offset)
      for (const index of this.#chunks.keys()) if (index < passed) this.#chunks.delete(index)
      this.#full.dropBelow(passed)
    }
    this.floor = offset
    this.#raise()
  }

  /** The first offset at or after `offset` that is not done. */
  nextMissing(offset: number): number {
    let at = Math.max(offset, this.floor)
    if (this.above === 0) return at
    for (;;) {
      const index = Math.floor(at / chunkBits)
      const chunk = this.#chunks.get(index)
      if (chunk === undefined) {
        const end = this.#full.endOf(index)
        if (end < 0) return at
        at = end * chunkBits
      } else {
        const bit = nextGap(chunk.bits, at % chunkBits)
        at = index * chunkBits + bit
        if (bit < chunkBits) return at
      }
    }
  }

  /** The last offset at or before `offset` that is not done; -1 when there is none. */
  previousMissing(offset: number): number {
    let at = offset
    while (at >= this.floor) {
      const index = Math.floor(at / chunkBits)
      const chunk = this.#chunks.get(index)
      if (chunk === undefined) {
        const begin = this.#full.beginOf(index)
        if (begin < 0) return at
        at = begin * chunkBits - 1
      } else {
        if (!this.has(at)) return at
        at--
      }
    }
    return -1
  }

  /** Whether all of [from, to) are done. */
  covers(from: number, to: number): boolean {
    return to <= this.floor || this.nextMissing(from) >= to
  }

  /** Sets the bits in `gaps` of what is not done among the offsets of one chunk, {@link chunkBits} from `index` times as many on. */
  addGaps(index: number, gaps: Uint32Array): void {
    const passed = Math.max(0, Math.min(chunkBits, this.floor - index * chunkBits))
    if (passed === chunkBits || this.#full.has(index)) return
    const bits = this.#chunks.get(index)?.bits
    for (let word = passed >>> 5; word < chunkWords; word++) {
      let missing = ~(bits?.[word] ?? 0)
      if (word === passed >>> 5) missing &= -1 << (passed & 31)
      gaps[word] = (gaps[word] as number) | missing // word < chunkWords
    }
  }

  #doneBetween(from: number, to: number): number {
    let count = 0
    for (const [first, end] of this.#full) count += Math.max(0, Math.min(to, end * chunkBits) - Math.max(from, first * chunkBits))
    for (const [index, { bits }] of this.#chunks) {
      const begin = index * chunkBits
      count += onesBetween(bits, Math.max(0, from - begin), Math.min(chunkBits, to - begin))
    }
    return count
  }

  #raise(): void {
    for (;;) {
      if (this.above === 0) {
        if (this.#chunks.size > 0) this.#chunks.clear()
        if (!this.#full.empty) this.#full.clear()
        return
      }
      const index = Math.floor(this.floor / chunkBits)
      const chunk = this.#chunks.get(index)
      const until =
        chunk === undefined
          ? this.#full.endOf(index) * chunkBits
          : index * chunkBits + nextGap(chunk.bits, this.floor % chunkBits)
      if (until <= this.floor) return
      this.above -= until - this.floor
      this.floor = until
      if (chunk === undefined) this.#full.dropBelow(until / chunkBits)
      else if (until % chunkBits === 0) this.#chunks.delete(index)
    }
  }

  toJSON(): StoredAckSet {
    const chunks: [number, string | number[]][] = []
    for (const [index, { bits, count }] of this.#chunks) {
      const few = chunkBits - count <= gapsMax
      chunks.push([index, few ? gapsOf(bits) : Buffer.from(bits.buffer, bits.byteOffset, bits.byteLength).toString('base64')])
    }
    return { floor: this.floor, chunks, ...(!this.#full.empty && { full: this.#full.toJSON() }) }
  }

  static from(stored: StoredAckSet): AckSet {
    const set = new AckSet(stored.floor)
    set.#full = new Runs(stored.full)
    for (const [index, what] of stored.chunks) {
      if (what === '') set.#full.add(index)
      else set.#chunks.set(index, chunkFrom(what))
    }
    set.above = set.#doneBetween(set.floor, Infinity)
    set.#raise()
    return set
  }
}

function chunkFrom(stored: string | readonly number[]): Chunk {
  const bits = new Uint32Array(chunkWords)
  if (typeof stored === 'string') Buffer.from(stored, 'base64').copy(Buffer.from(bits.buffer))
  else {
    bits.fill(0xffffffff)
    for (const gap of stored) bits[gap >>> 5] = (bits[gap >>> 5] as number) & ~(1 << (gap & 31)) // below chunkBits
  }
  return { bits, count: onesBetween(bits, 0, chunkBits) }
}

/** The first bit from `from` on that is not set; the number of bits when all are. */
function nextGap(bits: Uint32Array, from: number): number {
  let word = from >>> 5
  let gaps = ~(bits[word] as number) & (-1 << (from & 31)) // from < chunkBits
  while (gaps === 0) {
    if (++word === bits.length) return bits.length * 32
    gaps = ~(bits[word] as number)
  }
  return word * 32 + 31 - Math.clz32(gaps & -gaps)
}

function gapsOf(bits: Uint32Array): number[] {
  const gaps: number[] = []
  for (let bit = nextGap(bits, 0); bit < chunkBits; bit = bit + 1 < chunkBits ? nextGap(bits, bit + 1) : chunkBits) gaps.push(bit)
  return gaps
}

/** How many bits of [from, to) are set. */
export function onesBetween(bits: Uint32Array, from: number, to: number): number {
  if (to <= from) return 0
  const [first, last] = [from >>> 5, (to - 1) >>> 5]
  const begin = -1 << (from & 31)
  const end = -1 >>> (31 - ((to - 1) & 31))
  if (first === last) return ones((bits[first] as number) & begin & end) // within
  let count = ones((bits[first] as number) & begin) + ones((bits[last] as number) & end)
  for (let word = first + 1; word < last; word++) count += ones(bits[word] as number)
  return count
}

function ones(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555)
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333)
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
