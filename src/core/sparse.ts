/**
 * Segments of which little is still wanted: a record stays on the disk with its whole segment while others around it are removed or acknowledged.
 * Neighbours that hold together less than half of what they take are written anew (rewriter.ts), once a segment's worth is gained. So what a log takes
 * stays below twice what it holds and a segment, and over its life no more is written anew than was written in the first place.
 */
import { EntryFlag, entryBase, entryCount, entryFlags, entryFormat } from './entry.ts'
import type { Kept } from './kept.ts'
import type { Log } from './log.ts'
import { formats } from './record.ts'
import { type Rewriter, RewritingAborted, retainRecords, type Selection } from './rewriter.ts'
import type { Segment } from './segment.ts'

/** Above this share of wanted bytes nothing is written anew. */
const wantedShareMax = 0.5
/** A segment below this part of a full one goes along with its neighbours, so that what is left does not end as many small ones. */
const smallPart = 1 / 4
/** So many segments are looked at without a pause: some tenths of a millisecond each. */
const looksAtOnce = 8
/** Neighbours go together up to so many full segments, so that not too much is done in vain when one of them goes meanwhile. */
const groupSegmentsMax = 8
/** One pass gains no more than about so many full segments. */
const gainSegmentsMax = 16

export interface Sparse {
  /** Neighbours that become one segment each. */
  readonly groups: readonly (readonly Segment[])[]
  readonly gain: number
}

/**
 * What pays to be written anew; null when it is less than a segment's worth. `kept` makes a look at what is kept by now; `damaged` were found so when
 * they were to be written anew.
 */
export async function findSparse(log: Log, kept: () => Kept, damaged: WeakSet<Segment>): Promise<Sparse | null> {
  const segments = log.segments.filter(({ sealed }) => sealed)
  // Less than a full segment cannot gain as much.
  if (segments.reduce((sum, { bytes }) => sum + bytes, 0) < log.segmentBytes) return null
  const finder = new Finder(log.segmentBytes)
  for (let from = 0; from < segments.length; from += looksAtOnce) {
    await new Promise((resolve) => setImmediate(resolve))
    const look = kept()
    for (const segment of segments.slice(from, from + looksAtOnce)) {
      if (segment.damage !== null || segment.unsynced || damaged.has(segment)) finder.close()
      else
        finder.meet(
          segment,
          segment.bytesWanted((first, end) => look.count(first, end)),
        )
    }
    if (finder.gain >= gainSegmentsMax * log.segmentBytes) break
  }
  finder.close()
  const { groups, gain } = finder
  // One that is being taken in order, and is partly done, must not pay: segments may be longer than they should.
  return gain < Math.max(log.segmentBytes, finder.longest) ? null : { groups, gain }
}

/** Puts neighbours together as they come. */
class Finder {
  readonly groups: Segment[][] = []
  gain = 0
  /** Bytes of the longest segment in a group. */
  longest = 0
  readonly #segmentBytes: number
  #group: Segment[] = []
  #bytes = 0
  #wanted = 0

  constructor(segmentBytes: number) {
    this.#segmentBytes = segmentBytes
  }

  meet(segment: Segment, wanted: number): void {
    const joins = wanted <= segment.bytes * wantedShareMax || segment.bytes <= this.#segmentBytes * smallPart
    const tooMuch =
      this.#wanted + wanted > this.#segmentBytes || this.#bytes + segment.bytes > groupSegmentsMax * this.#segmentBytes
    if (!joins || tooMuch) this.close()
    if (!joins) return
    this.#group.push(segment)
    this.#bytes += segment.bytes
    this.#wanted += wanted
  }

  close(): void {
    if (this.#group.length > 0 && this.#wanted <= this.#bytes * wantedShareMax) {
      this.groups.push(this.#group)
      this.gain += this.#bytes - this.#wanted
      for (const { bytes } of this.#group) this.longest = Math.max(this.longest, bytes)
    }
    this.#group = []
    this.#bytes = 0
    this.#wanted = 0
  }
}

/** What is wanted of a log at the time it is asked. */
export class KeptSelection implements Selection {
  readonly #log: Log
  readonly #look: () => Kept
  /** As things were when the first of these neighbours was begun. */
  #begun: Kept | null = null
  #kept: Kept
  recordsRemoved = 0

  constructor(log: Log, look: () => Kept) {
    this.#log = log
    this.#look = look
    this.#kept = look()
  }

  beginStretch(): void {
    this.#kept = this.#look()
    this.#begun ??= this.#kept
  }

  retain(entry: Buffer): Buffer | null {
    const base = entryBase(entry, 0)
    const count = entryCount(entry, 0)
    const wanted = this.wanted(entry)
    if (wanted === count) return entry
    const aborts = (entryFlags(entry, 0) & (EntryFlag.Marker | EntryFlag.Commit)) === EntryFlag.Marker
    // Readers by offset need it as long as what was aborted before it may be there.
    if (aborts && base >= this.#log.start) return entry
    this.recordsRemoved += count - wanted
    if (wanted === 0) return null
    if (!formats.get(entryFormat(entry, 0)).batched) return entry
    return retainRecords(entry, (index) => this.#kept.count(base + index, base + index + 1) === 1)
  }

  wanted(entry: Buffer): number {
    const base = entryBase(entry, 0)
    return this.#kept.count(base, base + entryCount(entry, 0))
  }

  stillHolds(group: readonly Segment[]): boolean {
    const begun = this.#begun
    this.#begun = null
    return begun === null || this.#look().follows(begun, (group.at(-1) as Segment).next) // groups are not empty
  }
}

/** One pass: group by group, as long as `mayGoOn`. */
export async function rewriteSparse(
  rewriter: Rewriter,
  selection: KeptSelection,
  { groups }: Sparse,
  mayGoOn: () => boolean,
): Promise<void> {
  for (const group of groups) {
    if (!mayGoOn()) throw new RewritingAborted()
    await rewriter.rewrite(group, selection)
  }
}
