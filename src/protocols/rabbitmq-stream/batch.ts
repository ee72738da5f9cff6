// The stored form of what one Publish frame brings: the entries of an Osiris chunk as they came, so that a chunk is made of them by reference.
//
//   batch   = version(u8 = 1) entries(u16) filter-bytes(u32) filters data
//   filters = for each entry, when there is any filter value: length(u16, 0xffff: none) value
//   data    = entries: a simple one  u32 length (highest bit 0), message
//                      a sub-batch   u8 0x80 | compression << 4, u16 records, u32 opened length, u32 length, bytes
//
// When retention by key took some of its records, the others stand apart: version(u8 = 2) records(u32), then for each that is left
// index(u32) length(u32) message-alone.
//
// A message alone, as other protocols' consumers and the broker itself take it, is: version(u8 = 1) filter(u16 length, value) message.
import { Buffer } from 'node:buffer'
import { gunzip, unlz4Frame, unsnappyFrames, unzstd } from '../../lib/decompress.ts'

export const envelopeVersion = 1
export const batchHeaderBytes = 7
const noFilter = 0xffff
/** Records, and so entries, that are stored together: what opening them costs is bounded, whatever a sub-batch says that it holds. */
export const recordsMax = 0xffff
/** RabbitMQ's limit for what a sub-batch may open to. */
export const openedBytesMax = 64 * 1024 * 1024

export const Compression = { None: 0, Gzip: 1, Snappy: 2, Lz4: 3, Zstd: 4 } as const

export interface Batch {
  readonly entries: number
  /** Empty when no entry has a filter value. */
  readonly filters: Buffer
  readonly data: Buffer
}

/** Writes the header of a batch without filter values in front of its data, where room was left for it. */
export function headBatch(batch: Buffer, entries: number): Buffer {
  batch[0] = envelopeVersion
  batch.writeUInt16BE(entries, 1)
  batch.writeUInt32BE(0, 3)
  return batch
}

export function encodeBatch(entries: number, filters: readonly (Buffer | null)[], data: Uint8Array): Buffer {
  const filterBytes = filters.reduce((sum, filter) => sum + 2 + (filter?.length ?? 0), 0)
  const batch = headBatch(Buffer.allocUnsafe(batchHeaderBytes + filterBytes + data.length), entries)
  batch.writeUInt32BE(filterBytes, 3)
  let at = batchHeaderBytes
  for (const filter of filters) at = writeFilter(batch, at, filter)
  batch.set(data, at)
  return batch
}

function writeFilter(buffer: Buffer, at: number, filter: Buffer | null): number {
  buffer.writeUInt16BE(filter?.length ?? noFilter, at)
  if (filter !== null) buffer.set(filter, at + 2)
  return at + 2 + (filter?.length ?? 0)
}

/** A view; null for bytes that are no batch. */
export function readBatch(buffer: Buffer, start = 0, end = buffer.length): Batch | null {
  if (end - start < batchHeaderBytes || buffer[start] !== envelopeVersion) return null
  const filtersEnd = start + batchHeaderBytes + buffer.readUInt32BE(start + 3)
  if (end < filtersEnd) return null
  return {
    entries: buffer.readUInt16BE(start + 1),
    filters: buffer.subarray(start + batchHeaderBytes, filtersEnd),
    data: buffer.subarray(filtersEnd, end),
  }
}

/** The filter value of each entry, in order; none at all when no entry has one. */
export function* filtersOf(filters: Buffer): Generator<Buffer | null> {
  for (let at = 0; at + 2 <= filters.length; ) {
    const length = filters.readUInt16BE(at)
    at += 2
    if (length === noFilter) yield null
    else {
      yield filters.subarray(at, at + length)
      at += length
    }
  }
}

/** One message on its own. */
export function encodeSingle(filter: Buffer | null, message: Uint8Array): Buffer {
  const envelope = Buffer.allocUnsafe(3 + (filter?.length ?? 0) + message.length)
  envelope[0] = envelopeVersion
  envelope.set(message, writeFilter(envelope, 1, filter))
  return envelope
}

export interface Single {
  readonly filter: Buffer | null
  readonly message: Buffer
}

/** A view; bytes that are no envelope of ours are taken for the message. */
export function readSingle(envelope: Buffer): Single {
  if (envelope.length < 3 || envelope[0] !== envelopeVersion) return { filter: null, message: envelope }
  const length = envelope.readUInt16BE(1)
  if (length === noFilter) return { filter: null, message: envelope.subarray(3) }
  if (envelope.length < 3 + length) return { filter: null, message: envelope }
  return { filter: envelope.subarray(3, 3 + length), message: envelope.subarray(3 + length) }
}

/** A simple entry's length, to be followed by its message. */
export function simpleHead(messageBytes: number): Buffer {
  const head = Buffer.allocUnsafe(4)
  head.writeUInt32BE(messageBytes, 0)
  return head
}

/**
 * The messages of a batch on their own, one for each record. A sub-batch that can not be opened is handed on whole in its first record's
 * place, and the places of its others stay empty.
 */
export function openBatch(payload: Buffer): (Buffer | null)[] {
  if (payload[0] === sparseVersion && sparseHeaderBytes <= payload.length) return openSparse(payload)
  const batch = readBatch(payload)
  if (batch === null) return [encodeSingle(null, payload)]
  const filters = filtersOf(batch.filters)
  const messages: (Buffer | null)[] = []
  const { data } = batch
  for (let at = 0; at + 4 <= data.length; ) {
    const filter = filters.next().value ?? null
    if (((data[at] as number) & 0x80) === 0) {
      const end = at + 4 + data.readUInt32BE(at)
      messages.push(encodeSingle(filter, data.subarray(at + 4, end)))
      at = end
      continue
    }
    if (data.length < at + subBatchHead) break
    const records = data.readUInt16BE(at + 1)
    const end = at + subBatchHead + data.readUInt32BE(at + 7)
    for (const message of openSubBatch(data.subarray(at, end), records)) {
      messages.push(message === null ? null : encodeSingle(filter, message))
    }
    at = end
  }
  return messages
}

const sparseVersion = 2
const sparseHeaderBytes = 5

/** The batch with only the records that `keep` says; null when none is left. */
export function retainRecords(payload: Buffer, keep: (index: number) => boolean): Buffer | null {
  const messages = openBatch(payload)
  const header = Buffer.allocUnsafe(sparseHeaderBytes)
  header[0] = sparseVersion
  header.writeUInt32BE(messages.length, 1)
  const parts: Buffer[] = [header]
  for (const [index, message] of messages.entries()) {
    if (message === null || !keep(index)) continue
    const head = Buffer.allocUnsafe(8)
    head.writeUInt32BE(index, 0)
    head.writeUInt32BE(message.length, 4)
    parts.push(head, message)
  }
  return parts.length === 1 ? null : Buffer.concat(parts)
}

function openSparse(payload: Buffer): (Buffer | null)[] {
  const count = Math.min(payload.readUInt32BE(1), recordsMax)
  const messages: (Buffer | null)[] = []
  for (let at = sparseHeaderBytes; at + 8 <= payload.length; ) {
    const index = payload.readUInt32BE(at)
    const end = at + 8 + payload.readUInt32BE(at + 4)
    if (payload.length < end || count <= index || index < messages.length) break
    while (messages.length < index) messages.push(null)
    messages.push(payload.subarray(at + 8, end))
    at = end
  }
  return messages
}

export const subBatchHead = 11

function openSubBatch(entry: Buffer, records: number): (Buffer | null)[] {
  try {
    const opened = decompress(((entry[0] as number) >> 4) & 7, entry.subarray(subBatchHead), entry.readUInt32BE(3))
    const messages: Buffer[] = []
    for (let at = 0; at + 4 <= opened.length && messages.length < records; ) {
      const end = at + 4 + opened.readUInt32BE(at)
      if (opened.length < end) throw new RangeError('a message runs beyond its sub-batch')
      messages.push(opened.subarray(at + 4, end))
      at = end
    }
    if (messages.length < records) throw new RangeError(`${messages.length} messages where ${records} were announced`)
    return messages
  } catch {
    return [entry, ...new Array<null>(Math.max(0, records - 1)).fill(null)]
  }
}

function decompress(compression: number, bytes: Buffer, announced: number): Buffer {
  const most = Math.min(announced, openedBytesMax)
  switch (compression) {
    case Compression.None:
      return bytes
    case Compression.Gzip:
      return gunzip(bytes, most)
    case Compression.Snappy:
      return unsnappyFrames(bytes, most)
    case Compression.Lz4:
      return unlz4Frame(bytes, most)
    case Compression.Zstd:
      return unzstd(bytes, most)
    default:
      throw new RangeError(`no compression has the number ${compression}`)
  }
}
