import {
  type EntryContent,
  entryBase,
  entryBytes,
  entryCount,
  entryLength,
  entryTimestamp,
  sealEntry,
  writeEntry,
} from './entry.ts'
import type { Format } from './record.ts'

const firstBlockBytes = 2048
const blockBytesMax = 256 * 1024
const indexEveryBytes = 4096
/** So few entries are gone through faster than a place is looked up. */
const nearOffsets = 8

/** A stretch of a log's newest entries in memory, contiguous and in stored form. Its buffer is never recycled: readers may hold views of it. */
export class Block {
  readonly buffer: Buffer
  readonly base: number
  /** Offset after the last entry. */
  next: number
  used = 0
  /** Bytes of it that stand in segments already. */
  flushed = 0
  timestampMax = 0
  /** Dropped from its log. */
  gone = false
  /** Offsets and places of some entries, the first one included. */
  readonly #offsets: number[] = []
  readonly #places: number[] = []
  /** What was sought last, and where it was found: who takes one record after the other goes on from there. */
  #soughtOffset = 0
  #foundAt = 0

  constructor(base: number, bytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(bytes)
    this.base = base
    this.next = base
  }

  /** One that holds `content` and some more like it; blocks of a busy log grow to 256 KiB. */
  static for(base: number, content: EntryContent, before: Block | undefined): Block {
    const grown = before === undefined ? firstBlockBytes : Math.min(before.buffer.length * 4, blockBytesMax)
    return new Block(base, Math.max(grown, entryBytes(content)))
  }

  fits(bytes: number): boolean {
    return this.used + bytes <= this.buffer.length
  }

  /** Appends; returns where the entry begins. */
  append(content: EntryContent, format: Format | null): number {
    const at = this.used
    const end = writeEntry(this.buffer, at, this.next, content)
    if (format?.stamp !== undefined) format.stamp(this.buffer, end - content.payload.length, this.next)
    sealEntry(this.buffer, at, end)
    this.#added(at, end, content.count, content.timestamp)
    return at
  }

  /** Appends an entry in its stored form (recovery). Its base offset may leave a gap. */
  restore(entry: Buffer): void {
    const at = this.used
    entry.copy(this.buffer, at)
    this.next = entryBase(entry, 0)
    this.#added(at, at + entry.length, entryCount(entry, 0), entryTimestamp(entry, 0))
  }

  #added(at: number, end: number, count: number, timestamp: number): void {
    const last = this.#places.at(-1)
    if (last === undefined || at - last >= indexEveryBytes) {
      this.#offsets.push(this.next)
      this.#places.push(at)
    }
    this.used = end
    this.next += count
    if (timestamp > this.timestampMax) this.timestampMax = timestamp
  }

  /** Where the entry that holds `offset`, or the first one after it, begins; `used` when there is none. */
  locate(offset: number): number {
    const near = offset >= this.#soughtOffset && offset - this.#soughtOffset < nearOffsets
    this.#foundAt = skipTo(this.buffer, near ? this.#foundAt : this.#placeBefore(offset), this.used, offset)
    this.#soughtOffset = offset
    return this.#foundAt
  }

  /** Where an entry begins that is not behind the one sought. */
  #placeBefore(offset: number): number {
    let low = 0
    let high = this.#offsets.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#offsets[middle] as number) <= offset)
        low = middle + 1 // middle < length
      else high = middle
    }
    return this.#places[Math.max(0, low - 1)] ?? 0
  }
}

/** Where in `buffer[at..end)`, whole entries, the one that holds `offset` or the first after it begins; `end` when none. */
export function skipTo(buffer: Buffer, at: number, end: number, offset: number): number {
  let place = at
  while (place < end && entryBase(buffer, place) + entryCount(buffer, place) <= offset) place += entryLength(buffer, place)
  return place
}
