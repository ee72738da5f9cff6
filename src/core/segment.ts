import { firstAfter } from '../lib/sorted.ts'
import { entryBase, entryLength, entryTimestamp } from './entry.ts'

const indexEveryBytes = 64 * 1024

/** The objects of one base that may exist at a time are told apart by this much. Offsets stay below it. */
const generationStep = 2 ** 48
const generations = 31

/** What is known of one segment: an immutable stretch of a log in the segment store, and its sparse index by offset and time. */
export class Segment {
  readonly base: number
  /** How often it was written anew, so that the new object has another name than the one it replaces. */
  generation = 0
  /** Offset after its last entry. */
  next: number
  bytes = 0
  timestampMax = 0
  /** Nothing is added any more. */
  sealed = false
  /** Written since the last sync. */
  dirty = false
  /** A sync of it failed: what is on the disk is unknown. */
  unsynced = false
  /** About when its first entry came, ms since the epoch; 0: not known yet. */
  startedAt = 0
  /** When the first of its tombstones may go, ms since the epoch; 0: it has none that were cleaned. */
  tombstonesUntil = 0
  /** Found damaged; where. Reads of it fail. */
  damage: string | null = null
  offsets: number[] = []
  places: number[] = []
  /** Newest time before each indexed place. */
  timestamps: number[] = []
  /** Records before each indexed place, and in all: those that were wanted when it was written. */
  records: number[] = []
  recordsTotal = 0

  constructor(base: number) {
    this.base = base
    this.next = base
  }

  /** Its name in the segment store. */
  get object(): number {
    return this.base + this.generation * generationStep
  }

  /** What takes its place, and that of what follows up to `next`. */
  successor(next: number): Segment {
    const made = new Segment(this.base)
    made.generation = (this.generation % generations) + 1
    made.next = next
    made.sealed = true
    made.startedAt = this.startedAt
    return made
  }

  /** The entry at `at` comes to stand at `place`, with so many records that are wanted. */
  note(place: number, buffer: Buffer, at: number, records: number): void {
    const last = this.places.at(-1)
    // A large entry has a place of its own, so that what it takes is told from what its neighbours take.
    if (last === undefined || place - last >= indexEveryBytes || entryLength(buffer, at) >= indexEveryBytes) {
      this.offsets.push(entryBase(buffer, at))
      this.places.push(place)
      this.timestamps.push(this.timestampMax)
      this.records.push(this.recordsTotal)
    }
    this.recordsTotal += records
    this.timestampMax = Math.max(this.timestampMax, entryTimestamp(buffer, at))
  }

  /** About how much it would take with those records alone that are still wanted; `wanted` counts them in a range of offsets. */
  bytesWanted(wanted: (from: number, to: number) => number): number {
    let bytes = 0
    for (let index = 0; index < this.places.length; index++) {
      const place = this.places[index] as number // index < length
      const size = Math.min(this.places[index + 1] ?? this.bytes, this.bytes) - place
      if (size <= 0) break
      const from = this.offsets[index] as number // one for each place
      const to = this.offsets[index + 1] ?? this.next
      const records = (this.records[index + 1] ?? this.recordsTotal) - (this.records[index] as number)
      bytes += records <= 0 ? size : size * Math.min(1, wanted(from, to) / records)
    }
    return bytes
  }

  /** A place at or before the entry that holds `offset`. */
  placeOf(offset: number): number {
    return this.places[lastAtOrBelow(this.offsets, offset)] ?? 0
  }

  /** Where the entry that holds `offset` begins if all entries between two indexed places are alike. */
  placeAbout(offset: number): number {
    const index = lastAtOrBelow(this.offsets, offset)
    const [from, to] = [this.offsets[index] ?? this.base, this.offsets[index + 1] ?? this.next]
    const [place, end] = [this.places[index] ?? 0, this.places[index + 1] ?? this.bytes]
    return to === from ? place : place + Math.floor(((end - place) * Math.min(offset - from, to - from)) / (to - from))
  }

  /** The offset of the entry at an indexed place; -1 for any other place. */
  offsetAt(place: number): number {
    const index = lastAtOrBelow(this.places, place)
    return this.places[index] === place ? (this.offsets[index] ?? -1) : -1
  }

  /** A place at or before the first entry whose time is `time` or later. */
  placeOfTime(time: number): number {
    return this.places[lastAtOrBelow(this.timestamps, time - 1)] ?? 0
  }

  toJSON(): object {
    const { base, generation, next, bytes, timestampMax, sealed, startedAt, tombstonesUntil } = this
    const { offsets, places, timestamps, records, recordsTotal } = this
    const head = { base, generation, next, bytes, timestampMax, sealed, startedAt, tombstonesUntil }
    return { ...head, offsets, places, timestamps, records, recordsTotal }
  }

  static from(stored: ReturnType<Segment['toJSON']>): Segment {
    const segment = Object.assign(new Segment(0), stored)
    // Stored before records were counted: each offset is taken for one.
    if (segment.records.length < segment.offsets.length) {
      segment.records = segment.offsets.map((offset) => offset - segment.base)
      segment.recordsTotal = segment.next - segment.base
    }
    return segment
  }
}

function lastAtOrBelow(sorted: readonly number[], value: number): number {
  return Math.max(0, firstAfter(sorted, value) - 1)
}
