/**
 * Reading ahead: whoever goes through a log's segments in order finds the next stretch in memory, and checked, when he asks for it; it is read while his
 * client works on the one before. What nobody asks for in time is let go.
 */
import type { Clock, Timer } from '../lib/timers.ts'
import type { Log } from './log.ts'
import { ReadBuffers } from './read-buffers.ts'
import type { Segment } from './segment.ts'

/** Smaller reads are of single records, larger ones would take too much. */
const bytesMinDefault = 64 * 1024
const bytesMax = 1024 * 1024
/** Of all logs together. */
const stretchesMax = 8
const readersMax = 64
const keptMs = 1000

/** Whole entries `buffer[start..end)` from an offset on. */
export interface Chunk {
  readonly segment: Segment
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
  /** Where the next entry stands: its offset, and its place in the segment. */
  readonly next: number
  readonly place: number
}

/** null: it could not be read, and who wants it reads it himself. */
type ChunkRead = (chunk: Chunk | null) => void

interface Stretch {
  readonly log: Log
  readonly offset: number
  readonly maxBytes: number
  readonly since: number
  chunk: Chunk | null | undefined
  taker: ChunkRead | null
}

export class ReadAhead {
  /** For all reading of segments. */
  readonly buffers = new ReadBuffers()
  readonly #clock: Clock
  readonly #bytesMin: number
  /** The oldest first. */
  #stretches: Stretch[] = []
  /** Where those who read in order will read next, the oldest first. */
  readonly #readers: { readonly log: Log; readonly offset: number }[] = []
  #timer: Timer | null = null

  constructor(clock: Clock, bytesMin = bytesMinDefault) {
    this.#clock = clock
    this.#bytesMin = bytesMin
  }

  /** False when this was not read ahead. Else `done` is called later, as it is for what has to be read. */
  take(log: Log, offset: number, maxBytes: number, done: ChunkRead): boolean {
    const at = this.#stretches.findIndex(
      (stretch) => stretch.log === log && stretch.offset === offset && stretch.maxBytes === maxBytes,
    )
    const stretch = this.#stretches[at]
    if (stretch === undefined) return false
    this.#stretches.splice(at, 1)
    const { chunk } = stretch
    if (chunk === undefined) stretch.taker = done
    else queueMicrotask(() => done(chunk))
    return true
  }

  /** This was read from the log's segments, from `offset` on; `read` reads on behind it. */
  went(log: Log, offset: number, maxBytes: number, { next, place, segment }: Chunk, read: (done: ChunkRead) => void): void {
    if (maxBytes < this.#bytesMin || maxBytes > bytesMax) return
    const at = this.#readers.findIndex((reader) => reader.log === log && reader.offset === offset)
    if (at >= 0) this.#readers.splice(at, 1)
    else if (this.#readers.length >= readersMax) this.#readers.shift()
    this.#readers.push({ log, offset: next })
    if ((at < 0 && offset !== log.start) || place >= segment.bytes || log.inBlocks(next)) return
    if (this.#stretches.length >= stretchesMax) this.#stretches.shift()
    const stretch: Stretch = { log, offset: next, maxBytes, since: this.#clock.now(), chunk: undefined, taker: null }
    this.#stretches.push(stretch)
    read((chunk) => {
      stretch.chunk = chunk
      stretch.taker?.(chunk)
    })
    this.#timer ??= this.#clock.after(keptMs, () => this.#letGo())
  }

  #letGo(): void {
    this.#timer = null
    const now = this.#clock.now()
    this.#stretches = this.#stretches.filter(({ since }) => now - since < keptMs)
    if (this.#stretches.length === 0) this.buffers.letGo()
    else this.#timer = this.#clock.after(keptMs, () => this.#letGo())
  }
}
