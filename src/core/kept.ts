/**
 * Which records of a log somebody still needs, counted by ranges of offsets: those that were not removed and that, where what is acknowledged goes,
 * not every reader is done with. Made for a look at things as they are, without a pause: it remembers what it counted last.
 */
import { type AckSet, chunkBits, chunkWords, onesBetween } from './ackset.ts'
import type { Log } from './log.ts'

export class Kept {
  readonly #log: Log
  /** null: nobody is asked, the log is kept by time. */
  readonly #readers: readonly AckSet[] | null
  /** Readers by cursor need all from here on. */
  readonly #cursorFloor: number
  /** The bitmap of what is kept of one chunk of offsets, and which. */
  readonly #bits = new Uint32Array(chunkWords)
  readonly #gaps = new Uint32Array(chunkWords)
  #index = -1

  constructor(log: Log, readers: readonly AckSet[] | null, cursorFloor: number) {
    this.#log = log
    // Nobody has acknowledged anything yet.
    this.#readers = readers?.length === 0 ? null : readers
    this.#cursorFloor = cursorFloor
  }

  /** How many offsets of [from, to) hold what is kept, or may: of what is not there any more, removals and acknowledgements are known. */
  count(from: number, to: number): number {
    let count = 0
    for (let at = Math.max(from, this.#log.start); at < to; ) {
      const index = Math.floor(at / chunkBits)
      const begin = index * chunkBits
      if (index !== this.#index) this.#look(index)
      count += onesBetween(this.#bits, at - begin, Math.min(chunkBits, to - begin))
      at = begin + chunkBits
    }
    return count
  }

  #look(index: number): void {
    const begin = index * chunkBits
    // Without readers all is wanted, and with readers by cursor what they have not come to.
    const unread = this.#readers === null ? 0 : Math.min(chunkBits, Math.max(0, this.#cursorFloor - begin))
    const bits = this.#bits.fill(0).fill(-1, (unread + 31) >>> 5)
    if (unread % 32 !== 0) bits[unread >>> 5] = -1 << (unread & 31)
    for (const reader of this.#readers ?? []) reader.addGaps(index, bits)
    if (this.#log.removed !== null) {
      this.#gaps.fill(0)
      this.#log.removed.addGaps(index, this.#gaps)
      for (let word = 0; word < chunkWords; word++) bits[word] = (bits[word] as number) & (this.#gaps[word] as number) // of one length
    }
    this.#index = index
  }

  /** Grows with all that goes. */
  get gone(): number {
    const { removed } = this.#log
    let gone = removed === null ? 0 : removed.floor + removed.above
    for (const { floor, above } of this.#readers ?? []) gone += floor + above
    return gone
  }

  /** Whether what was not kept below `end` earlier is not kept now: no reader has come since, or gone back. */
  follows(earlier: Kept, end: number): boolean {
    if (this.#readers === null || earlier.#readers === null) return this.#readers === earlier.#readers
    const before = earlier.#readers
    if (this.#cursorFloor < Math.min(earlier.#cursorFloor, end)) return false
    return this.#readers.every((reader) => reader.floor >= end || before.includes(reader))
  }
}
