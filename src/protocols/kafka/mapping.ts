// Envelope ⇄ attributes, pure and total. The table is in README.md.
//
// Two formats are stored. "kafka batch" is a producer's RecordBatch as it came. "kafka record" is one record out of such a batch, or one
// made for Kafka: version byte (1) | timestamp i64 | body, where the body is the record's key, value and headers as in a batch.

import type { DeliveryBatch, EntryView } from '../../broker/face.ts'
import { addFlatHeaders, type FlatHeader, flatHeaders } from '../../core/flat-headers.ts'
import type { Annotations } from '../../core/record.ts'
import { type Attributes, type Format, formats, type KeyedRecord } from '../../core/record.ts'
import { batchCount, buildBatch, isStamped, type LooseRecord, openBatch, retainRecords, stampBatch } from './batch.ts'
import { Reader, readInt64, Writer } from './wire.ts'

export const batchFormatId = 16
export const recordFormatId = 17

const envelopeVersion = 1
const bodyAt = 9
const deathsHeader = 'anymq.deaths'
const addressHeader = 'anymq.address'
/** Attributes that a Kafka record has a place of its own for. */
const own: ReadonlySet<keyof Attributes> = new Set(['key', 'timestamp'] as const)

export const recordFormat: Format = {
  id: recordFormatId,
  name: 'kafka record',
  batched: false,
  toAttributes: (envelope) => total(() => attributesOf(envelope), envelope),
  fromAttributes: (attributes) => envelopeOf(attributes.timestamp ?? 0, bodyOf(attributes, null)),
}

export const batchFormat: Format = {
  id: batchFormatId,
  name: 'kafka batch',
  batched: true,
  recordFormat: recordFormatId,
  open: (payload) => openEnvelopes(payload),
  stamp: stampBatch,
  retain: (payload, keep) => retainOrKeep(payload, keep),
  keys: (payload) => openEnvelopes(payload).map((envelope) => (envelope === null ? null : keyedRecordOf(envelope))),
  toAttributes: (payload) =>
    total(() => attributesOf(openEnvelopes(payload).find((envelope) => envelope !== null) ?? payload), payload),
  fromAttributes: (attributes) =>
    buildBatch([{ offset: 0, timestamp: attributes.timestamp ?? 0, body: bodyOf(attributes, null) }], 0, 1),
}

/** What can not be read is handed on whole, so that nothing is dropped and nothing throws. */
function total(read: () => Attributes, bytes: Buffer): Attributes {
  try {
    return read()
  } catch (cause) {
    return { key: null, value: bytes, headers: [{ name: 'anymq.unreadable', value: { type: 'string', value: String(cause) } }] }
  }
}

function retainOrKeep(payload: Buffer, keep: (index: number) => boolean): Buffer | null {
  try {
    return retainRecords(payload, keep)
  } catch {
    return payload // Unreadable: compaction must not be what loses it.
  }
}

function envelopeOf(timestamp: number, body: Uint8Array): Buffer {
  const envelope = Buffer.allocUnsafe(bodyAt + body.length)
  envelope[0] = envelopeVersion
  envelope.writeBigInt64BE(BigInt(Math.trunc(timestamp)), 1)
  envelope.set(body, bodyAt)
  return envelope
}

function openEnvelopes(payload: Buffer): (Buffer | null)[] {
  try {
    const envelopes = new Array<Buffer | null>(batchCount(payload, 0)).fill(null)
    for (const record of openBatch(payload)) {
      envelopes[record.offsetDelta] = envelopeOf(record.timestamp, record.buffer.subarray(record.start, record.end))
    }
    return envelopes
  } catch (cause) {
    const attributes: Attributes = {
      key: null,
      value: payload,
      headers: [{ name: 'anymq.unreadable', value: { type: 'string', value: String(cause) } }],
    }
    return [envelopeOf(0, bodyOf(attributes, null)), ...new Array<null>(Math.max(0, safeCount(payload) - 1)).fill(null)]
  }
}

function safeCount(payload: Buffer): number {
  const count = payload.length >= 61 ? batchCount(payload, 0) : 1
  return count > 0 && count <= payload.length * 1024 ? count : 1
}

function keyedRecordOf(envelope: Buffer): KeyedRecord {
  const reader = new Reader(envelope, bodyAt)
  return { key: readBytes(reader), tombstone: reader.varint() < 0 }
}

// ----------------------------------------------------------------------------------------------------- attributes ⇄ Kafka record

/** A record's key, value and headers as they stand in a batch. */
function bodyOf(attributes: Attributes, annotations: Annotations | null, address: string | null = null): Buffer {
  const headers = flatHeaders(attributes, own)
  if (annotations?.deaths !== undefined && annotations.deaths.length > 0)
    headers.push({ name: deathsHeader, bytes: Buffer.from(JSON.stringify(annotations.deaths)) })
  if (address !== null) headers.push({ name: addressHeader, bytes: Buffer.from(address) })
  const writer = new Writer(256)
  writeBytes(writer, attributes.key)
  writeBytes(writer, attributes.value)
  writer.varint(headers.length)
  for (const { name, bytes } of headers) {
    writeBytes(writer, Buffer.from(name))
    writeBytes(writer, bytes)
  }
  return Buffer.concat(writer.finish())
}

function writeBytes(writer: Writer, bytes: Buffer | null): void {
  if (bytes === null) return writer.varint(-1)
  writer.varint(bytes.length)
  writer.bytes(bytes)
}

function attributesOf(envelope: Buffer): Attributes {
  const timestamp = readInt64(envelope, 1)
  const reader = new Reader(envelope, bodyAt)
  const attributes: Attributes = { key: readBytes(reader), value: readBytes(reader), headers: [] }
  if (timestamp >= 0) attributes.timestamp = timestamp
  const headers: FlatHeader[] = []
  for (let left = reader.varint(); left > 0; left--) {
    headers.push({ name: reader.string(reader.varint()), bytes: readBytes(reader) })
  }
  addFlatHeaders(attributes, headers)
  return attributes
}

function readBytes(reader: Reader): Buffer | null {
  const length = reader.varint()
  return length < 0 ? null : reader.bytes(length)
}

// ----------------------------------------------------------------------------------------------------- entries → what a fetch answers

/** Batches in order, ours by reference, those of other protocols coalesced into batches built here. */
export function entriesToBatches(entries: readonly EntryView[]): { buffers: Buffer[]; bytes: number } {
  const buffers: Buffer[] = []
  let bytes = 0
  let loose: LooseRecord[] = []
  let looseBase = -1
  let looseNext = -1
  const flush = (): void => {
    if (looseBase < 0) return
    const batch = buildBatch(loose, looseBase, looseNext)
    buffers.push(batch)
    bytes += batch.length
    loose = []
    looseBase = -1
  }
  for (const entry of entries) {
    if (entry.format === batchFormatId) {
      flush()
      const batch = stampedView(entry)
      buffers.push(batch)
      bytes += batch.length
      continue
    }
    if (looseBase < 0) looseBase = entry.baseOffset
    looseNext = entry.baseOffset + entry.count
    pushLoose(entry, loose)
  }
  flush()
  return { buffers, bytes }
}

/** Records that a subscription delivered, as one batch; offsets between them are left out. */
export function deliveriesToBatch(batch: DeliveryBatch): Buffer {
  const records: LooseRecord[] = []
  for (let index = 0; index < batch.length; index++) {
    const envelope = (batch.buffer[index] as Buffer).subarray(batch.start[index], batch.end[index]) // index < length
    const [offset = -1, timestamp = 0, format = 0] = [batch.offset[index], batch.timestamp[index], batch.format[index]]
    const [annotations = null, subject = null] = [batch.annotations[index], batch.subject[index]]
    records.push(looseRecord(envelope, format, offset, { timestamp, annotations, subject }))
  }
  // What came back comes first and may be later in the log; a batch is in order.
  records.sort((a, b) => a.offset - b.offset)
  return buildBatch(records, records[0]?.offset ?? 0, (records.at(-1)?.offset ?? -1) + 1)
}

function stampedView(entry: EntryView): Buffer {
  const view = entry.buffer.subarray(entry.start, entry.end)
  if (isStamped(view, 0, entry.baseOffset)) return view
  const copy = Buffer.from(view)
  stampBatch(copy, 0, entry.baseOffset)
  return copy
}

function pushLoose(entry: EntryView, loose: LooseRecord[]): void {
  const envelope = entry.buffer.subarray(entry.start, entry.end)
  const format = formats.get(entry.format)
  if (!format.batched) {
    loose.push(looseRecord(envelope, entry.format, entry.baseOffset, entry))
    return
  }
  const envelopes = format.open?.(envelope, entry.timestamp) ?? []
  envelopes.forEach((single, index) => {
    if (single !== null) loose.push(looseRecord(single, format.recordFormat ?? entry.format, entry.baseOffset + index, entry))
  })
}

function looseRecord(
  envelope: Buffer,
  formatId: number,
  offset: number,
  entry: Pick<EntryView, 'timestamp' | 'annotations' | 'subject'>,
): LooseRecord {
  const hasDeaths = entry.annotations?.deaths !== undefined && entry.annotations.deaths.length > 0
  if (formatId === recordFormatId && !hasDeaths && entry.subject === null) {
    const timestamp = readInt64(envelope, 1)
    return { offset, timestamp: timestamp > 0 ? timestamp : entry.timestamp, body: envelope.subarray(bodyAt) }
  }
  const attributes = formats.get(formatId).toAttributes(envelope)
  return {
    offset,
    timestamp: attributes.timestamp ?? entry.timestamp,
    body: bodyOf(attributes, entry.annotations, entry.subject),
  }
}
