/** Reading a log without delivering: by offset, by time, and single records for browsing. Acknowledgements play no part, but what is done is not shown. */
import {
  entryAnnotations,
  entryBase,
  entryCount,
  entryFormat,
  entryLength,
  entryPayload,
  entrySubject,
  entryTimestamp,
} from '../core/entry.ts'
import { CoreError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import { formats } from '../core/record.ts'
import type { Topic } from '../core/topic.ts'
import type { EntryView, PeekedRecord, ReadResult } from './face.ts'

const chunkBytes = 256 * 1024
/** One read gives no more, whatever is asked for: what comes from segments is held in memory at once. */
export const readBytesMax = 16 * 1024 * 1024

export function failedRead(error: ReadResult['error']): ReadResult {
  return { error, entries: [], startOffset: -1, nextOffset: -1, stableOffset: -1, aborted: [] }
}

/** Entries from `offset` on, up to `maxBytes` with their headers, but one at least. */
export function readEntries(log: Log, offset: number, maxBytes: number, done: (result: ReadResult) => void): void {
  if (offset < log.start || offset > log.committed) {
    return done({ error: 'OutOfRange', entries: [], aborted: [], ...offsetsOf(log) })
  }
  const entries: EntryView[] = []
  const read: (() => void)[] = []
  const giveBack = (): void => {
    for (const give of read.splice(0)) give()
  }
  let next = offset
  const step = (from: number, left: number): void => {
    log.readChunk(from, left, (error, buffer, start, end, give) => {
      if (error !== null) return done(failedRead('Internal'))
      if (give !== null) read.push(give)
      const full = entries.length > 0 && end - start > left
      for (let at = start; at < end && !full && entryBase(buffer, at) < log.readable; at += entryLength(buffer, at)) {
        const view = viewOf(buffer, at, log)
        const kept = log.removed === null ? view : withoutRemoved(view, log)
        if (kept !== null) entries.push(kept)
        next = entryBase(buffer, at) + entryCount(buffer, at)
      }
      // What was taken away must not look like the end.
      if (entries.length === 0 && end > start && next > from && next < log.readable) return step(next, maxBytes)
      const remaining = left - (end - start)
      // Blocks are small: go on while more stands in memory and fits.
      if (end > start && remaining > 0 && next > from && next < log.readable && log.inBlocks(next)) return step(next, remaining)
      done({ error: null, entries, ...offsetsOf(log), aborted: log.decisions?.abortedBetween(offset, next) ?? [], giveBack })
    })
  }
  step(offset, Math.min(maxBytes, readBytesMax))
}

/** The entry without records that were taken away; null when none is left. */
function withoutRemoved(view: EntryView, log: Log): EntryView | null {
  const { baseOffset, count } = view
  if (log.removed?.covers(baseOffset, baseOffset + count) === true) return null
  let some = false
  for (let offset = baseOffset; offset < baseOffset + count && !some; offset++) some = log.isRemoved(offset)
  const format = formats.get(view.format)
  if (!some || format.retain === undefined) return view
  const payload = format.retain(view.buffer.subarray(view.start, view.end), (index) => !log.isRemoved(baseOffset + index))
  return payload === null ? null : { ...view, buffer: payload, start: 0, end: payload.length }
}

/** The first record whose time is at or after `time`; null when there is none. */
export async function findTime(log: Log, time: number): Promise<{ offset: number; timestamp: number } | null> {
  if (log.timestampMax < time) return null
  for (let offset = startForTime(log, time); offset < log.committed; ) {
    const chunk = await readChunk(log, offset)
    for (let { start: at } = chunk; at < chunk.end; at += entryLength(chunk.buffer, at)) {
      const timestamp = entryTimestamp(chunk.buffer, at)
      const base = entryBase(chunk.buffer, at)
      if (timestamp >= time) return recordForTime(chunk.buffer, at, time) ?? { offset: base, timestamp }
      offset = base + entryCount(chunk.buffer, at)
    }
    if (chunk.start === chunk.end) return null
  }
  return null
}

/** Adds a partition's records from `offset` on, as consumers would see them, until there are `limit`. */
export async function peekLog(
  topic: Topic,
  partition: number,
  offset: number,
  limit: number,
  found: PeekedRecord[],
): Promise<void> {
  const log = topic.logs[partition] as Log // callers check the partition
  let next = Math.max(log.start, offset)
  while (next < log.stable && found.length < limit) {
    const { buffer, start, end } = await readChunk(log, next)
    if (start === end) return
    for (let at = start; at < end; at += entryLength(buffer, at)) {
      if (entryBase(buffer, at) >= log.stable || found.length >= limit) return
      next = collect(buffer, at, next, partition, limit, found, topic)
    }
  }
}

export function offsetsOf(log: Log): { startOffset: number; nextOffset: number; stableOffset: number } {
  return { startOffset: log.start, nextOffset: log.readable, stableOffset: log.stable }
}

function viewOf(buffer: Buffer, at: number, log: Log): EntryView {
  const baseOffset = entryBase(buffer, at)
  return {
    buffer,
    start: entryPayload(buffer, at),
    end: at + entryLength(buffer, at),
    format: entryFormat(buffer, at),
    baseOffset,
    count: entryCount(buffer, at),
    timestamp: entryTimestamp(buffer, at),
    annotations: entryAnnotations(buffer, at),
    hidden: log.hides(baseOffset),
    subject: entrySubject(buffer, at),
  }
}

/** Where to begin looking for a time: the last known place that is certainly before it. */
function startForTime(log: Log, time: number): number {
  for (const segment of log.segments) {
    if (segment.timestampMax < time) continue
    const place = segment.placeOfTime(time)
    const index = segment.places.indexOf(place)
    return Math.max(log.start, segment.offsets[index] ?? segment.base)
  }
  const block = log.blocks.find((candidate) => candidate.timestampMax >= time)
  return Math.max(log.start, block?.base ?? log.start)
}

/** Within a batch, the first record whose own time is late enough. */
function recordForTime(buffer: Buffer, at: number, time: number): { offset: number; timestamp: number } | null {
  const format = formats.get(entryFormat(buffer, at))
  if (format.open === undefined || format.recordFormat === undefined || entryCount(buffer, at) === 1) return null
  const records = format.open(buffer.subarray(entryPayload(buffer, at), at + entryLength(buffer, at)), entryTimestamp(buffer, at))
  for (const [index, record] of records.entries()) {
    if (record === null) continue
    const timestamp = formats.get(format.recordFormat).toAttributes(record).timestamp ?? 0
    if (timestamp >= time) return { offset: entryBase(buffer, at) + index, timestamp }
  }
  return null
}

function readChunk(log: Log, offset: number): Promise<{ buffer: Buffer; start: number; end: number }> {
  return new Promise((resolve, reject) => {
    log.readChunk(offset, chunkBytes, (error, buffer, start, end) => {
      if (error === null) resolve({ buffer, start, end })
      else reject(new CoreError('Internal', error.message))
    })
  })
}

/** Adds an entry's records from `offset` on; returns the offset after it. */
function collect(
  buffer: Buffer,
  at: number,
  offset: number,
  partition: number,
  limit: number,
  found: PeekedRecord[],
  topic: Topic,
): number {
  const base = entryBase(buffer, at)
  const payload = buffer.subarray(entryPayload(buffer, at), at + entryLength(buffer, at))
  const format = formats.get(entryFormat(buffer, at))
  const timestamp = entryTimestamp(buffer, at)
  const records = format.open === undefined ? [payload] : format.open(payload, timestamp)
  for (const [index, bytes] of records.entries()) {
    if (bytes === null || base + index < offset || found.length >= limit) continue
    // What everyone has acknowledged is gone, though its entry may not be freed yet.
    if (topic.isDone(partition, base + index, base + index + 1)) continue
    if (topic.logs[partition]?.hides(base + index) === true) continue
    const annotations = entryAnnotations(buffer, at)
    const subject = entrySubject(buffer, at)
    const single = format.recordFormat ?? format.id
    found.push({ partition, offset: base + index, timestamp, format: single, bytes, annotations, subject })
  }
  return base + entryCount(buffer, at)
}
