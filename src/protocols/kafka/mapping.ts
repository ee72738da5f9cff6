// Envelope ⇄ attributes, pure and total. The table is in README.md.
//
// Two formats are stored. "kafka batch" is a producer's RecordBatch as it came. "kafka record" is one record out of such a batch, or one
// made for Kafka: version byte (1) | timestamp i64 | body, where the body is the record's key, value and headers as in a batch.

import type { EntryView } from '../../broker/face.ts'
import type { Annotations } from '../../core/record.ts'
import {
  type Attributes,
  type Format,
  formats,
  type Header,
  type HeaderType,
  type HeaderValue,
  type KeyedRecord,
} from '../../core/record.ts'
import { batchCount, buildBatch, isStamped, type LooseRecord, openBatch, retainRecords, stampBatch } from './batch.ts'
import { Reader, readInt64, Writer } from './wire.ts'

export const batchFormatId = 16
export const recordFormatId = 17

const envelopeVersion = 1
const bodyAt = 9

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
    const attributes: Attributes = { key: null, value: payload, headers: [textHeader('anymq.unreadable', String(cause))] }
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

// ----------------------------------------------------------------------------------------------------- attributes → Kafka record

const textHeader = (name: string, text: string): Header => ({ name, value: { type: 'string', value: text } })

interface WellKnown {
  readonly header: string
  /** Adds the header when the attribute is there. */
  readonly text: (attributes: Attributes) => string | undefined
  /** Sets the attribute; false when the text is not one, and the header stays an ordinary header. */
  readonly set: (attributes: Attributes, text: string) => boolean
}

type TextAttribute =
  | 'messageId'
  | 'correlationId'
  | 'replyTo'
  | 'contentType'
  | 'contentEncoding'
  | 'type'
  | 'subject'
  | 'groupKey'
  | 'dedupId'
  | 'userId'
  | 'appId'
type NumberAttribute = 'expirationMs' | 'priority' | 'deliverAt'

const textual = (header: string, name: TextAttribute): WellKnown => ({
  header,
  text: (attributes) => attributes[name],
  set: (attributes, text) => {
    if (attributes[name] !== undefined) return false
    attributes[name] = text
    return true
  },
})
const numeric = (header: string, name: NumberAttribute): WellKnown => ({
  header,
  text: (attributes) => attributes[name]?.toString(),
  set: (attributes, text) => {
    const value = Number(text)
    if (attributes[name] !== undefined || !Number.isSafeInteger(value) || String(value) !== text) return false
    attributes[name] = value
    return true
  },
})

const wellKnown: readonly WellKnown[] = [
  textual('anymq.message-id', 'messageId'),
  textual('anymq.correlation-id', 'correlationId'),
  textual('anymq.reply-to', 'replyTo'),
  textual('anymq.content-type', 'contentType'),
  textual('anymq.content-encoding', 'contentEncoding'),
  textual('anymq.type', 'type'),
  textual('anymq.subject', 'subject'),
  numeric('anymq.expiration', 'expirationMs'),
  numeric('anymq.priority', 'priority'),
  numeric('anymq.deliver-at', 'deliverAt'),
  textual('anymq.group-key', 'groupKey'),
  textual('anymq.dedup-id', 'dedupId'),
  textual('anymq.user-id', 'userId'),
  textual('anymq.app-id', 'appId'),
  {
    header: 'anymq.persistent',
    text: (attributes) => attributes.persistent?.toString(),
    set: (attributes, text) => {
      if (attributes.persistent !== undefined || (text !== 'true' && text !== 'false')) return false
      attributes.persistent = text === 'true'
      return true
    },
  },
]
const wellKnownByHeader = new Map(wellKnown.map((known) => [known.header, known]))
const typesHeader = 'anymq.types'
const deathsHeader = 'anymq.deaths'
const extraPrefix = 'anymq.extra.'

/** A record's key, value and headers as they stand in a batch. */
function bodyOf(attributes: Attributes, annotations: Annotations | null): Buffer {
  const typed: Header[] = [
    ...attributes.headers,
    ...(attributes.extra ?? []).map((header) => ({ ...header, name: extraPrefix + header.name })),
  ]
  const plain: Header[] = []
  for (const known of wellKnown) {
    const text = known.text(attributes)
    if (text !== undefined) plain.push(textHeader(known.header, text))
  }
  // Kafka's headers are bytes. Text (and null) says itself what it is; as soon as one header is neither, all types are listed in order.
  if (typed.some((header) => header.value.type !== 'string' && header.value.type !== 'null')) {
    plain.push(
      textHeader(
        typesHeader,
        typed.map((header) => `${encodeURIComponent(header.name.toWellFormed())}=${header.value.type}`).join('&'),
      ),
    )
  }
  if (annotations?.deaths !== undefined && annotations.deaths.length > 0)
    plain.push(textHeader(deathsHeader, JSON.stringify(annotations.deaths)))
  const headers = [...typed, ...plain]
  const writer = new Writer(256)
  writeBytes(writer, attributes.key)
  writeBytes(writer, attributes.value)
  writer.varint(headers.length)
  for (const header of headers) {
    writeBytes(writer, Buffer.from(header.name))
    writeBytes(writer, valueBytes(header.value))
  }
  return Buffer.concat(writer.finish())
}

function writeBytes(writer: Writer, bytes: Buffer | null): void {
  if (bytes === null) return writer.varint(-1)
  writer.varint(bytes.length)
  writer.bytes(bytes)
}

function valueBytes(value: HeaderValue): Buffer | null {
  switch (value.type) {
    case 'null':
      return null
    case 'bytes':
      return value.value
    case 'string':
      return Buffer.from(value.value)
    case 'decimal':
      return Buffer.from(`${value.value.unscaled}e-${value.value.scale}`)
    case 'array':
    case 'table':
      return Buffer.from(JSON.stringify(value.value, toJson))
    default:
      return Buffer.from(Object.is(value.value, -0) ? '-0' : String(value.value))
  }
}

// Buffers and numbers beyond JSON, inside arrays and tables.
function toJson(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return { $i64: value.toString() }
  if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0)))
    return { $number: Object.is(value, -0) ? '-0' : String(value) }
  if (typeof value === 'object' && value !== null && (value as { type?: unknown }).type === 'Buffer') {
    return { $bytes: Buffer.from((value as { data: number[] }).data).toString('base64') }
  }
  return value
}

function fromJson(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if ('$i64' in value) return BigInt(String(value.$i64))
  if ('$number' in value) return Number(value.$number)
  if ('$bytes' in value) return Buffer.from(String(value.$bytes), 'base64')
  return value
}

// ----------------------------------------------------------------------------------------------------- Kafka record → attributes

function attributesOf(envelope: Buffer): Attributes {
  const timestamp = readInt64(envelope, 1)
  const reader = new Reader(envelope, bodyAt)
  const attributes: Attributes = { key: readBytes(reader), value: readBytes(reader), headers: [] }
  if (timestamp >= 0) attributes.timestamp = timestamp
  const raw: { name: string; bytes: Buffer | null }[] = []
  let types: Map<string, HeaderType[]> | undefined
  const count = reader.varint()
  for (let index = 0; index < count; index++) {
    const name = reader.string(reader.varint())
    const bytes = readBytes(reader)
    if (name === typesHeader && bytes !== null && types === undefined) types = parseTypes(bytes.toString())
    else raw.push({ name, bytes })
  }
  for (const { name, bytes } of raw) {
    const known = wellKnownByHeader.get(name)
    const text = bytes === null ? null : textOf(bytes)
    if (known !== undefined && text !== null && known.set(attributes, text)) continue
    const header: Header = { name, value: headerValueOf(bytes, types?.get(name)?.shift()) }
    if (name.startsWith(extraPrefix)) (attributes.extra ??= []).push({ ...header, name: name.slice(extraPrefix.length) })
    else attributes.headers.push(header)
  }
  return attributes
}

function readBytes(reader: Reader): Buffer | null {
  const length = reader.varint()
  return length < 0 ? null : reader.bytes(length)
}

function parseTypes(text: string): Map<string, HeaderType[]> {
  const types = new Map<string, HeaderType[]>()
  for (const part of text.split('&')) {
    const sign = part.lastIndexOf('=')
    if (sign < 0) continue
    const name = decodeName(part.slice(0, sign))
    const list = types.get(name)
    const type = part.slice(sign + 1) as HeaderType // An unknown word falls to the default of valueOf.
    if (list) list.push(type)
    else types.set(name, [type])
  }
  return types
}

function decodeName(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** null when the bytes are not UTF-8. */
function textOf(bytes: Buffer): string | null {
  const text = bytes.toString('utf8')
  return text.includes('\ufffd') && !Buffer.from(text).equals(bytes) ? null : text
}

const integerTypes: ReadonlySet<string> = new Set(['i8', 'u8', 'i16', 'u16', 'i32', 'u32', 'timestamp'])

function headerValueOf(bytes: Buffer | null, type: HeaderType | undefined): HeaderValue {
  if (bytes === null) return { type: 'null', value: null }
  const text = type === 'bytes' ? null : textOf(bytes)
  if (text === null) return { type: 'bytes', value: bytes }
  const plain: HeaderValue = { type: 'string', value: text }
  try {
    if (type === undefined || type === 'string') return plain
    if (type === 'bool') return text === 'true' || text === 'false' ? { type, value: text === 'true' } : plain
    if (type === 'i64') return { type, value: BigInt(text) }
    if (type === 'f32' || type === 'f64') return { type, value: Number(text) }
    if (integerTypes.has(type)) return Number.isInteger(Number(text)) ? { type: type as 'i32', value: Number(text) } : plain
    if (type === 'decimal') {
      const [unscaled, scale] = text.split('e-')
      return { type, value: { unscaled: Number(unscaled), scale: Number(scale) } }
    }
    if (type === 'array' || type === 'table') return { type, value: JSON.parse(text, fromJson) } as HeaderValue
    return plain
  } catch {
    return plain // Someone else wrote the list of types; the text is what there is.
  }
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

function looseRecord(envelope: Buffer, formatId: number, offset: number, entry: EntryView): LooseRecord {
  const hasDeaths = entry.annotations?.deaths !== undefined && entry.annotations.deaths.length > 0
  if (formatId === recordFormatId && !hasDeaths) {
    const timestamp = readInt64(envelope, 1)
    return { offset, timestamp: timestamp > 0 ? timestamp : entry.timestamp, body: envelope.subarray(bodyAt) }
  }
  const attributes = formats.get(formatId).toAttributes(envelope)
  return { offset, timestamp: attributes.timestamp ?? entry.timestamp, body: bodyOf(attributes, entry.annotations) }
}
