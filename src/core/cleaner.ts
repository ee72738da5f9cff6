/**
 * One pass of retention by key over one log: learn the newest offset of each key in the segments that are not clean yet, then write the
 * segments anew (rewriter.ts) without what is superseded. Memory is the map of keys.
 *
 * A record stays when its key has no newer record, when it has no key, and when it is at or above the end of the pass.
 * A tombstone stays for a while after it was first cleaned, so that readers hear of the deletion; so does the marker of a committed
 * transaction. Markers of aborted ones stay, since readers by offset need them; what was aborted goes.
 */
import {
  EntryFlag,
  entryAnnotations,
  entryBase,
  entryCount,
  entryFlags,
  entryFormat,
  entryLength,
  entryPayload,
} from './entry.ts'
import type { Log } from './log.ts'
import { OffsetMap } from './offset-map.ts'
import { formats, type KeyedRecord, keyedRecords } from './record.ts'
import { type Rewriter, rebuilt, retainRecords, type Selection } from './rewriter.ts'
import type { Segment } from './segment.ts'

export interface CleaningPlan {
  /** Sealed segments from the front of the log. */
  readonly sources: readonly Segment[]
  readonly now: number
  readonly tombstoneRetentionMs: number
  /** For the map of keys. */
  readonly mapBytes: number
}

export interface CleaningResult {
  /** Clean up to here: less than planned when the map of keys was full. */
  readonly cleanedTo: number
  readonly recordsRemoved: number
}

export class Cleaner implements Selection {
  readonly #log: Log
  readonly #rewriter: Rewriter
  readonly #plan: CleaningPlan
  readonly #map: OffsetMap
  #end = 0
  #removed = 0

  constructor(log: Log, rewriter: Rewriter, plan: CleaningPlan) {
    this.#log = log
    this.#rewriter = rewriter
    this.#plan = plan
    this.#map = new OffsetMap(plan.mapBytes)
  }

  async run(): Promise<CleaningResult> {
    this.#end = await this.#learn()
    const sources = this.#plan.sources.filter((segment) => segment.base < this.#end)
    for (const group of groups(sources, this.#log.segmentBytes)) await this.#rewriter.rewrite(group, this)
    this.#log.cleaned(this.#end)
    return { cleanedTo: this.#end, recordsRemoved: this.#removed }
  }

  /** Fills the map from what is not clean yet; returns how far it reaches. */
  async #learn(): Promise<number> {
    let end = this.#log.cleanedTo
    for (const segment of this.#plan.sources) {
      if (segment.next <= end) continue
      for await (const { buffer, whole } of this.#rewriter.chunks(segment)) {
        for (let at = 0; at < whole; at += entryLength(buffer, at)) {
          const next = entryBase(buffer, at) + entryCount(buffer, at)
          if (next <= end) continue
          // An entry with more keys than the map holds is passed over when it is the first, so that the pass gets on.
          if (!this.#learnEntry(buffer, at) && end > this.#log.cleanedTo) return end
          end = next
        }
      }
      end = Math.max(end, segment.next)
    }
    return end
  }

  #learnEntry(buffer: Buffer, at: number): boolean {
    const base = entryBase(buffer, at)
    if ((entryFlags(buffer, at) & EntryFlag.Marker) !== 0 || this.#isAborted(base)) return true
    const records = recordsOf(buffer, at)
    for (let index = 0; index < records.length; index++) {
      const key = this.#log.isRemoved(base + index) ? null : records[index]?.key
      if (key !== null && key !== undefined && !this.#map.put(key, base + index)) return false
    }
    return true
  }

  #isAborted(base: number): boolean {
    return this.#log.decisions?.hides(base) === true
  }

  // ------------------------------------------------------------------------------------------------------------- writing anew

  beginStretch(): void {
    // What it goes by does not change during a pass.
  }

  wanted(entry: Buffer): number {
    return entryCount(entry, 0)
  }

  stillHolds(): boolean {
    return true
  }

  retain(entry: Buffer, target: Segment): Buffer | null {
    const base = entryBase(entry, 0)
    const count = entryCount(entry, 0)
    if (base + count <= this.#log.start) return this.#remove(count)
    if (base >= this.#end) return entry
    const flags = entryFlags(entry, 0)
    if ((flags & EntryFlag.Marker) !== 0) return (flags & EntryFlag.Commit) === 0 ? entry : this.#deferred(entry, target)
    if (this.#isAborted(base)) return this.#remove(count)
    return this.#retainedRecords(entry, base, target)
  }

  /** An entry never reaches over the end of a pass. */
  #retainedRecords(entry: Buffer, base: number, target: Segment): Buffer | null {
    const records = recordsOf(entry, 0)
    const until = entryAnnotations(entry, 0)?.tombstonesUntil
    const tombstonesGo = until !== undefined && until <= this.#plan.now
    let tombstones = false
    let removed = 0
    const keeps = records.map((record, index) => {
      if (record === null) return false
      const keep = !this.#log.isRemoved(base + index) && this.#keeps(record, base + index, tombstonesGo)
      if (!keep) removed++
      else if (record.key !== null && record.tombstone) tombstones = true
      return keep
    })
    if (removed === 0) return tombstones ? this.#deferred(entry, target) : entry
    this.#removed += removed
    if (!formats.get(entryFormat(entry, 0)).batched) return null
    const kept = retainRecords(entry, (index) => keeps[index] === true)
    if (kept === null) return null
    return tombstones ? this.#deferred(kept, target) : kept
  }

  #keeps({ key, tombstone }: KeyedRecord, offset: number, tombstonesGo: boolean): boolean {
    if (key === null) return true
    if (this.#map.newest(key) > offset) return false
    return !(tombstone && tombstonesGo)
  }

  /** It goes when its time has come; the time is written beside it when it is first met. Null when it has come. */
  #deferred(entry: Buffer, target: Segment): Buffer | null {
    const annotations = entryAnnotations(entry, 0) ?? {}
    const { now, tombstoneRetentionMs } = this.#plan
    const until = annotations.tombstonesUntil ?? now + tombstoneRetentionMs
    if (annotations.tombstonesUntil !== undefined && until <= now) return this.#remove(1)
    if (target.tombstonesUntil === 0 || until < target.tombstonesUntil) target.tombstonesUntil = until
    if (annotations.tombstonesUntil !== undefined) return entry
    return rebuilt(entry, entry.subarray(entryPayload(entry, 0)), { ...annotations, tombstonesUntil: until })
  }

  #remove(records: number): null {
    this.#removed += records
    return null
  }
}

/** Neighbours that make one segment together, by the size they have now. */
function* groups(segments: readonly Segment[], segmentBytes: number): Generator<Segment[]> {
  let group: Segment[] = []
  let bytes = 0
  for (const segment of segments) {
    if (group.length > 0 && bytes + segment.bytes > segmentBytes) {
      yield group
      group = []
      bytes = 0
    }
    group.push(segment)
    bytes += segment.bytes
  }
  if (group.length > 0) yield group
}

function recordsOf(buffer: Buffer, at: number): readonly (KeyedRecord | null)[] {
  return keyedRecords(
    formats.get(entryFormat(buffer, at)),
    buffer.subarray(entryPayload(buffer, at), at + entryLength(buffer, at)),
  )
}
