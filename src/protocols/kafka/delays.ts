// Records that say themselves when they are to be seen, for topics with anymq.delay.headers: they leave the batch they came in, which keeps their
// offsets as a compacted one does, so that the producer's sequence holds; they are stored again, as new batches, when their time comes.
import type { LaterRecords, TopicInfo } from '../../broker/face.ts'
import { type BatchRecord, batchIsTransactional, buildBatch, openBatch, withoutRecords } from './batch.ts'
import { setConfigs } from './config.ts'
import { Reader } from './wire.ts'

const delayHeader = Buffer.from('anymq.delay-ms')
const timeHeader = Buffer.from('anymq.deliver-at')

export interface Split {
  /** What is stored now. */
  readonly batch: Buffer
  readonly later: readonly LaterRecords[]
}

/** One record is why the whole batch is refused. */
export interface RefusedRecord {
  readonly index: number
  readonly reason: string
}

/** Takes out what is for later; null when nothing is. Throws MalformedFrame when the batch cannot be opened. */
export function splitDelayed(topic: TopicInfo, batch: Buffer, now: number): Split | RefusedRecord | null {
  if (setConfigs(topic)['anymq.delay.headers'] !== 'true') return null
  const records = openBatch(batch)
  const groups = new Map<number, BatchRecord[]>()
  for (const record of records) {
    const due = dueOf(record, now)
    if (typeof due === 'string') return { index: record.offsetDelta, reason: due }
    if (due > now) groups.set(due, [...(groups.get(due) ?? []), record])
  }
  if (groups.size === 0) return null
  const taken = new Set([...groups.values()].flat().map(({ offsetDelta }) => offsetDelta))
  if (batchIsTransactional(batch, 0))
    return { index: Math.min(...taken), reason: 'a record of a transaction cannot be delayed by its headers' }
  const later = [...groups].map(([deliverAt, group]) => ({
    deliverAt,
    payload: batchOf(group),
    indexes: group.map(({ offsetDelta }) => offsetDelta),
  }))
  return { batch: withoutRecords(batch, taken), later }
}

function batchOf(records: readonly BatchRecord[]): Buffer {
  const loose = records.map(({ timestamp, buffer, start, end }, index) => ({
    offset: index,
    timestamp,
    body: buffer.subarray(start, end),
  }))
  return buildBatch(loose, 0, records.length)
}

/** When a record is to be seen, 0 when it does not say; a text says why that is no time. */
function dueOf(record: BatchRecord, now: number): number | string {
  const reader = new Reader(record.buffer, record.start)
  const skip = (): void => {
    const length = reader.varint()
    if (length > 0) reader.bytes(length)
  }
  skip()
  skip()
  let due = 0
  for (let left = reader.varint(); left > 0; left--) {
    const name = reader.bytes(reader.varint())
    const length = reader.varint()
    const value = length < 0 ? null : reader.bytes(length)
    const relative = name.equals(delayHeader)
    if (!relative && !name.equals(timeHeader)) continue
    const text = value?.toString('latin1') ?? ''
    if (!/^\d{1,15}$/.test(text)) return `the header ${String(name)} is no whole number of ms`
    if (due > 0) return `it has more than one header of ${String(delayHeader)} and ${String(timeHeader)}`
    due = relative ? now + Number(text) : Math.max(1, Number(text))
  }
  return due
}
