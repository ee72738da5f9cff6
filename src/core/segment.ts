const indexEveryBytes = 64 * 1024

/** What is known of one segment: an immutable stretch of a log in the segment store, and its sparse index by offset and time. */
export class Segment {
  readonly base: number
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
  /** Found damaged; where. Reads of it fail. */
  damage: string | null = null
  offsets: number[] = []
  places: number[] = []
  /** Newest time before each indexed place. */
  timestamps: number[] = []

  constructor(base: number) {
    this.base = base
    this.next = base
  }

  note(offset: number, place: number): void {
    const last = this.places.at(-1)
    if (last !== undefined && place - last < indexEveryBytes) return
    this.offsets.push(offset)
    this.places.push(place)
    this.timestamps.push(this.timestampMax)
  }

  /** A place at or before the entry that holds `offset`. */
  placeOf(offset: number): number {
    return this.places[lastAtOrBelow(this.offsets, offset)] ?? 0
  }

  /** A place at or before the first entry whose time is `time` or later. */
  placeOfTime(time: number): number {
    return this.places[lastAtOrBelow(this.timestamps, time - 1)] ?? 0
  }

  toJSON(): object {
    const { base, next, bytes, timestampMax, sealed, offsets, places, timestamps } = this
    return { base, next, bytes, timestampMax, sealed, offsets, places, timestamps }
  }

  static from(stored: ReturnType<Segment['toJSON']>): Segment {
    const segment = new Segment(0)
    return Object.assign(segment, stored)
  }
}

function lastAtOrBelow(sorted: readonly number[], value: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] as number) <= value)
      low = middle + 1 // middle < length
    else high = middle
  }
  return Math.max(0, low - 1)
}
