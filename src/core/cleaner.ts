/**
 * One pass of retention by key over one log: learn the newest offset of each key in the segments that are not clean yet, then write the
 * segments anew without what is superseded. Memory is the map of keys and one chunk. A rewritten segment is synced before it takes the
 * place of its sources; these go after the checkpoint that no longer names them, so a crash anywhere finds either the one or the others.
 *
 * Offsets never change. A record stays when its key has no newer record, when it has no key, and when it is at or above the end of the pass.
 * A tombstone stays for a while after it was first cleaned, so that readers hear of the deletion; so does the marker of a committed
 * transaction. Markers of aborted ones stay, since readers by offset need them; what was aborted goes.
 */
import type { SegmentStore } from '../storage/interfaces.ts'
import {
  type EntryContent,
  EntryFlag,
  entryAnnotations,
  entryBase,
  entryBytes,
  entryCount,
  entryExpiresAt,
  entryFlags,
  entryFormat,
  entryHeaderBytes,
  entryIsWhole,
  entryKeyHash,
  entryLength,
  entryPayload,
  entrySubject,
  entryTimestamp,
  sealEntry,
  writeEntry,
} from './entry.ts'
import type { Log } from './log.ts'
import { OffsetMap } from './offset-map.ts'
import { type Annotations, formats, type KeyedRecord, keyedRecords } from './record.ts'
import type { Segment } from './segment.ts'

/** So much is read, worked on without a pause, and written at a time (or one entry, when that is larger). */
const chunkBytes = 256 * 1024

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
  readonly bytesBefore: number
  readonly bytesAfter: number
  readonly recordsRemoved: number
}

/** The log was truncated or deleted meanwhile, or the broker stops: what is done so far stays valid. */
export class CleaningAborted extends Error {}

export class Cleaner {
  readonly #log: Log
  readonly #store: SegmentStore
  readonly #plan: CleaningPlan
  readonly #release: (segments: readonly Segment[]) => void
  readonly #map: OffsetMap
  #removed = 0
  #bytesAfter = 0
  aborted = false
  /** Bytes of sources rewritten so far. */
  bytesDone = 0

  /** `release` takes segments that have been replaced. */
  constructor(log: Log, store: SegmentStore, plan: CleaningPlan, release: (segments: readonly Segment[]) => void) {
    this.#log = log
    this.#store = store
    this.#plan = plan
    this.#release = release
    this.#map = new OffsetMap(plan.mapBytes)
  }

  async run(): Promise<CleaningResult> {
    const end = await this.#learn()
    const sources = this.#plan.sources.filter((segment) => segment.base < end)
    let bytesBefore = 0
    for (const group of groups(sources, this.#log.segmentBytes)) {
      await this.#rewrite(group, end)
      for (const { bytes } of group) bytesBefore += bytes
      this.bytesDone = bytesBefore
    }
    this.#log.cleaned(end)
    return { cleanedTo: end, bytesBefore, bytesAfter: this.#bytesAfter, recordsRemoved: this.#removed }
  }

  /** Fills the map from what is not clean yet; returns how far it reaches. */
  async #learn(): Promise<number> {
    let end = this.#log.cleanedTo
    for (const segment of this.#plan.sources) {
      if (segment.next <= end) continue
      for await (const { buffer, whole } of this.#chunks(segment)) {
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

  async #rewrite(group: readonly Segment[], end: number): Promise<void> {
    const first = group[0] as Segment // groups are not empty
    const target = first.successor((group.at(-1) as Segment).next)
    let out: Buffer[] = []
    let waiting = 0
    const flush = async (): Promise<void> => {
      if (waiting === 0) return
      if (!this.#log.segments.includes(first)) throw new CleaningAborted()
      const chunks = out
      out = []
      await this.#append(target, chunks)
      target.bytes += waiting
      waiting = 0
    }
    try {
      for (const segment of group) {
        for await (const { buffer, whole } of this.#chunks(segment)) {
          for (let at = 0; at < whole; at += entryLength(buffer, at)) {
            const entry = this.#retained(buffer, at, end, target)
            if (entry === null) continue
            target.timestampMax = Math.max(target.timestampMax, entryTimestamp(entry, 0))
            target.note(entryBase(entry, 0), target.bytes + waiting)
            out.push(entry)
            waiting += entry.length
          }
          if (waiting >= chunkBytes) await flush()
        }
      }
      await flush()
      if (target.bytes > 0) await this.#store.sync(this.#log.id, target.object)
      if (this.aborted || !this.#log.replace(group, target.bytes > 0 ? target : null)) throw new CleaningAborted()
    } catch (error) {
      // What was written of it is nobody's; a leftover is removed by the next start.
      if (target.bytes > 0 || waiting > 0) await this.#store.delete(this.#log.id, target.object).catch(() => undefined)
      throw error
    }
    this.#bytesAfter += target.bytes
    this.#release(group)
  }

  #append(target: Segment, chunks: readonly Buffer[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#store.append(this.#log.id, target.object, target.bytes, chunks, (error) =>
        error === null ? resolve() : reject(error),
      )
    })
  }

  /** The entry as it stays, or null when nothing of it does. */
  #retained(buffer: Buffer, at: number, end: number, target: Segment): Buffer | null {
    const entry = buffer.subarray(at, at + entryLength(buffer, at))
    const base = entryBase(entry, 0)
    const count = entryCount(entry, 0)
    if (base + count <= this.#log.start) return this.#remove(count)
    if (base >= end) return entry
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
    const { retain, batched } = formats.get(entryFormat(entry, 0))
    if (!batched) return null
    const payload = retain?.(entry.subarray(entryPayload(entry, 0)), (index) => keeps[index] === true) ?? null
    if (payload === null) return null
    const kept = rebuilt(entry, payload, entryAnnotations(entry, 0))
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

  // ------------------------------------------------------------------------------------------------------------------ reading

  /** The whole entries of a segment, stretch by stretch. */
  async *#chunks(segment: Segment): AsyncGenerator<{ buffer: Buffer; whole: number }> {
    let place = 0
    let wanted = chunkBytes
    while (place < segment.bytes) {
      // A truncation may have removed it meanwhile; then its object must not be touched.
      if (this.aborted || !this.#log.segments.includes(segment)) throw new CleaningAborted()
      const buffer = await this.#read(segment, place, Math.min(wanted, segment.bytes - place))
      let whole = 0
      while (whole + 4 <= buffer.length) {
        const length = entryLength(buffer, whole)
        if (length < entryHeaderBytes || place + whole + length > segment.bytes) throw damaged(this.#log, segment, place + whole)
        if (whole + length > buffer.length) break
        if (!entryIsWhole(buffer, whole, whole + length)) throw damaged(this.#log, segment, place + whole)
        whole += length
      }
      if (whole === 0) {
        // One entry is longer than the chunk: read all of it.
        const needed = buffer.length >= 4 ? entryLength(buffer, 0) : 0
        if (needed <= buffer.length) throw damaged(this.#log, segment, place)
        wanted = needed
        continue
      }
      wanted = chunkBytes
      place += whole
      yield { buffer, whole }
    }
  }

  #read(segment: Segment, place: number, length: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const buffer = Buffer.allocUnsafeSlow(length)
      this.#store.read(this.#log.id, segment.object, place, buffer, (error, bytes) => {
        if (!this.#log.segments.includes(segment)) reject(new CleaningAborted())
        else if (error !== null) reject(error)
        else resolve(buffer.subarray(0, bytes))
      })
    })
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

/** The same entry with other annotations and payload. */
function rebuilt(entry: Buffer, payload: Buffer, annotations: Annotations | null): Buffer {
  const subject = entrySubject(entry, 0)
  const content: EntryContent = {
    format: entryFormat(entry, 0),
    count: entryCount(entry, 0),
    timestamp: entryTimestamp(entry, 0),
    expiresAt: entryExpiresAt(entry, 0),
    keyHash: entryKeyHash(entry, 0),
    flags: entryFlags(entry, 0),
    subject: subject === null ? null : Buffer.from(subject),
    annotations: annotations === null ? null : Buffer.from(JSON.stringify(annotations)),
    payload,
  }
  const made = Buffer.allocUnsafe(entryBytes(content))
  sealEntry(made, 0, writeEntry(made, 0, entryBase(entry, 0), content))
  return made
}

function damaged(log: Log, segment: Segment, place: number): Error {
  return new Error(`log ${log.id}: segment ${segment.base} is damaged at byte ${place}`)
}
