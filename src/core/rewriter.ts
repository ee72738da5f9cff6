/**
 * Writes closed segments of a log anew, several neighbours as one, with what stays of them. Offsets never change: holes are left. A rewritten segment
 * is synced before it takes the place of its sources; these go after the checkpoint that no longer names them, so a crash anywhere finds either the
 * one or the others. Memory is two chunks.
 */
import type { SegmentStore } from '../storage/interfaces.ts'
import {
  type EntryContent,
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
import { type Annotations, formats } from './record.ts'
import type { Segment } from './segment.ts'

/** So much is read, worked on without a pause, and written at a time (or one entry, when that is larger). */
const chunkBytes = 256 * 1024

/** What stays of the entries of a segment, and what is told of it. */
export interface Selection {
  /** From here on it is asked about a stretch of entries, without a pause. */
  beginStretch(): void
  /** The entry as it stays in `target`, or null when nothing of it does. */
  retain(entry: Buffer, target: Segment): Buffer | null
  /** How many records of an entry that stays are wanted. */
  wanted(entry: Buffer): number
  /** Whether what it left out of these neighbours is still not wanted. */
  stillHolds(group: readonly Segment[]): boolean
}

/** The log was truncated or deleted meanwhile, or the broker stops: what is done so far stays valid. */
export class RewritingAborted extends Error {}

export class SegmentDamaged extends Error {
  readonly segment: Segment

  constructor(log: Log, segment: Segment, place: number) {
    super(`log ${log.id}: segment ${segment.base} is damaged at byte ${place}`)
    this.segment = segment
  }
}

export class Rewriter {
  readonly #log: Log
  readonly #store: SegmentStore
  readonly #release: (segments: readonly Segment[]) => void
  aborted = false
  /** Of sources rewritten so far, and of what took their place. */
  bytesBefore = 0
  bytesAfter = 0

  /** `release` takes segments that have been replaced. */
  constructor(log: Log, store: SegmentStore, release: (segments: readonly Segment[]) => void) {
    this.#log = log
    this.#store = store
    this.#release = release
  }

  /** Puts one segment, or none, in the place of neighbours. */
  async rewrite(group: readonly Segment[], selection: Selection): Promise<void> {
    const first = group[0] as Segment // groups are not empty
    const target = first.successor((group.at(-1) as Segment).next)
    // Copied, where it is little: what stays must not keep all chunks in memory that it was read with.
    const room = Buffer.allocUnsafeSlow(chunkBytes)
    let copied = 0
    let fresh: Buffer[] = []
    let waiting = 0
    const flush = async (): Promise<void> => {
      if (waiting === 0) return
      if (!this.#log.segments.includes(first)) throw new RewritingAborted()
      await this.#append(target, copied === 0 ? fresh : [room.subarray(0, copied), ...fresh])
      target.bytes += waiting
      copied = 0
      fresh = []
      waiting = 0
    }
    try {
      for (const segment of group) {
        for await (const { buffer, whole } of this.chunks(segment)) {
          selection.beginStretch()
          for (let at = 0; at < whole; at += entryLength(buffer, at)) {
            const entry = selection.retain(buffer.subarray(at, at + entryLength(buffer, at)), target)
            if (entry === null) continue
            target.note(target.bytes + waiting, entry, 0, selection.wanted(entry))
            fresh.push(entry)
            waiting += entry.length
          }
          if (waiting > room.length) await flush()
          for (const entry of fresh.splice(0)) copied += entry.copy(room, copied)
        }
      }
      await flush()
      if (target.bytes > 0) await this.#store.sync(this.#log.id, target.object)
      const valid = !this.aborted && selection.stillHolds(group)
      if (!valid || !this.#log.replace(group, target.bytes > 0 ? target : null)) throw new RewritingAborted()
    } catch (error) {
      // What was written of it is nobody's; a leftover is removed by the next start.
      if (target.bytes > 0 || waiting > 0) await this.#store.delete(this.#log.id, target.object).catch(() => undefined)
      throw error
    }
    this.bytesAfter += target.bytes
    for (const { bytes } of group) this.bytesBefore += bytes
    this.#release(group)
  }

  #append(target: Segment, chunks: readonly Buffer[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#store.append(this.#log.id, target.object, target.bytes, chunks, (error) =>
        error === null ? resolve() : reject(error),
      )
    })
  }

  /** The whole entries of a segment, stretch by stretch. */
  async *chunks(segment: Segment): AsyncGenerator<{ buffer: Buffer; whole: number }> {
    let place = 0
    let next = segment.base
    let wanted = chunkBytes
    while (place < segment.bytes) {
      // A truncation may have removed it meanwhile; then its object must not be touched.
      if (this.aborted || !this.#log.segments.includes(segment)) throw new RewritingAborted()
      const buffer = await this.#read(segment, place, Math.min(wanted, segment.bytes - place))
      let whole = 0
      while (whole + 4 <= buffer.length) {
        const length = entryLength(buffer, whole)
        if (length < entryHeaderBytes || place + whole + length > segment.bytes)
          throw new SegmentDamaged(this.#log, segment, place + whole)
        if (whole + length > buffer.length) break
        // An entry that is whole may still be one that belongs elsewhere.
        const base = entryBase(buffer, whole)
        const indexed = segment.offsetAt(place + whole)
        const misplaced = base < next || (indexed >= 0 && indexed !== base)
        if (misplaced || !entryIsWhole(buffer, whole, whole + length)) throw new SegmentDamaged(this.#log, segment, place + whole)
        next = base + entryCount(buffer, whole)
        whole += length
      }
      if (whole === 0) {
        // One entry is longer than the chunk: read all of it.
        const needed = buffer.length >= 4 ? entryLength(buffer, 0) : 0
        if (needed <= buffer.length) throw new SegmentDamaged(this.#log, segment, place)
        wanted = needed
        continue
      }
      if (next > segment.next) throw new SegmentDamaged(this.#log, segment, place)
      wanted = chunkBytes
      place += whole
      yield { buffer, whole }
    }
  }

  #read(segment: Segment, place: number, length: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const buffer = Buffer.allocUnsafeSlow(length)
      this.#store.read(this.#log.id, segment.object, place, buffer, (error, bytes) => {
        if (!this.#log.segments.includes(segment)) reject(new RewritingAborted())
        else if (error !== null) reject(error)
        else resolve(buffer.subarray(0, bytes))
      })
    })
  }
}

/** The entry with those of its records that `keep` wants: null when none is left, all of it where its format does not tell them apart. */
export function retainRecords(entry: Buffer, keep: (index: number) => boolean): Buffer | null {
  const { retain } = formats.get(entryFormat(entry, 0))
  if (retain === undefined) return entry
  const payload = retain(entry.subarray(entryPayload(entry, 0)), keep)
  return payload === null ? null : rebuilt(entry, payload, entryAnnotations(entry, 0))
}

/** The same entry with other annotations and payload. */
export function rebuilt(entry: Buffer, payload: Buffer, annotations: Annotations | null): Buffer {
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
