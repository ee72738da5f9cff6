// Osiris chunks made of stored entries, and the Deliver frame around each. What was published over this protocol goes out by reference, as it came.
//
//   chunk = 0x50 type(u8 0: user data) entries(u16) records(u32) timestamp(i64 ms) epoch(u64) first-offset(u64)
//           crc(u32, CRC-32 of the data) data-length(u32) trailer-length(u32) bloom-size(u8) reserved(u24) data
//
// A chunk's offsets have no gaps, so a record that is none for consumers ends one.
import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import type { EntryView } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import { putU64 } from '../../lib/bytes.ts'
import { filtersOf, readBatch, readSingle, recordsMax, type Single, simpleHead } from './batch.ts'
import { Key } from './commands.ts'
import { batchFormatId, messageFormatId, singleOf } from './mapping.ts'

const chunkHeaderBytes = 48
const magicVersion = 0x50
/** One broker, one writer: there is never another epoch. */
const epoch = 1
/** Entries are gathered up to here; a longer one goes alone. */
const chunkBytesMax = 256 * 1024

/** Which chunks a subscription wants. Values are compared as bytes, in latin1. */
export interface Filter {
  readonly values: ReadonlySet<string>
  readonly matchUnfiltered: boolean
}

export interface Chunk {
  readonly firstOffset: number
  /** The offset behind its last record. */
  readonly nextOffset: number
  readonly entries: number
  readonly records: number
  readonly timestamp: number
  readonly data: readonly Buffer[]
  readonly bytes: number
}

/** Chunks of what was read, in order. `next`: where to read on. */
export function chunksOf(
  entries: readonly EntryView[],
  from: number,
  end: number,
  filter: Filter | null,
): { chunks: Chunk[]; next: number } {
  const gatherer = new Gatherer()
  let next = from
  for (const entry of entries) {
    const after = entry.baseOffset + entry.count
    if (after <= from) continue
    if (end < after) break
    next = after
    if (entry.hidden) gatherer.flush()
    else if (entry.format === batchFormatId) addBatch(gatherer, entry, filter)
    else addForeign(gatherer, entry, from, filter)
  }
  gatherer.flush()
  return { chunks: gatherer.chunks, next }
}

function addBatch(gatherer: Gatherer, entry: EntryView, filter: Filter | null): void {
  const batch = readBatch(entry.buffer, entry.start, entry.end)
  if (batch === null) return addForeign(gatherer, entry, entry.baseOffset, filter)
  if (filter !== null && !batchMatches(batch.filters, filter)) return gatherer.flush()
  gatherer.add(entry.baseOffset, batch.entries, entry.count, entry.timestamp, [batch.data])
}

/** As in RabbitMQ a filter chooses what was stored together: a chunk with any wanted message goes out whole, and the client drops the others. */
function batchMatches(filters: Buffer, filter: Filter): boolean {
  if (filters.length === 0) return filter.matchUnfiltered
  for (const value of filtersOf(filters)) if (matches(value, filter)) return true
  return false
}

const matches = (value: Buffer | null, filter: Filter): boolean =>
  value === null ? filter.matchUnfiltered : filter.values.has(value.toString('latin1'))

/** Records of other protocols, each turned into a message, and messages that stand alone. */
function addForeign(gatherer: Gatherer, entry: EntryView, from: number, filter: Filter | null): void {
  const payload = entry.buffer.subarray(entry.start, entry.end)
  const format = formats.get(entry.format)
  const envelopes = format.batched ? (format.open?.(payload, entry.timestamp) ?? []) : [payload]
  const formatId = format.batched ? (format.recordFormat ?? entry.format) : entry.format
  for (const [index, envelope] of envelopes.entries()) {
    const offset = entry.baseOffset + index
    if (offset < from) continue
    const single = envelope === null ? null : toSingle(envelope, formatId, entry)
    if (single === null || (filter !== null && !matches(single.filter, filter))) gatherer.flush()
    else gatherer.add(offset, 1, 1, entry.timestamp, [simpleHead(single.message.length), single.message])
  }
  if (envelopes.length < entry.count) gatherer.flush()
}

function toSingle(envelope: Buffer, formatId: number, entry: EntryView): Single {
  const deaths = entry.annotations?.deaths ?? []
  if (formatId === messageFormatId && deaths.length === 0 && entry.subject === null) return readSingle(envelope)
  const attributes = formats.get(formatId).toAttributes(envelope)
  attributes.timestamp ??= entry.timestamp
  return singleOf(attributes, { deaths, address: entry.subject })
}

class Gatherer {
  readonly chunks: Chunk[] = []
  #first = -1
  #next = -1
  #entries = 0
  #records = 0
  #timestamp = 0
  #bytes = 0
  #data: Buffer[] = []

  add(offset: number, entries: number, records: number, timestamp: number, data: readonly Buffer[]): void {
    const bytes = data.reduce((sum, part) => sum + part.length, 0)
    if (offset !== this.#next || recordsMax < this.#entries + entries || chunkBytesMax < this.#bytes + bytes) this.flush()
    if (this.#first < 0) {
      this.#first = offset
      this.#timestamp = timestamp
    }
    this.#next = offset + records
    this.#entries += entries
    this.#records += records
    this.#bytes += bytes
    for (const part of data) this.#data.push(part)
  }

  flush(): void {
    if (0 <= this.#first) {
      this.chunks.push({
        firstOffset: this.#first,
        nextOffset: this.#next,
        entries: this.#entries,
        records: this.#records,
        timestamp: this.#timestamp,
        data: this.#data,
        bytes: this.#bytes,
      })
    }
    this.#first = this.#next = -1
    this.#entries = this.#records = this.#bytes = 0
    this.#data = []
  }
}

/** All of a Deliver frame that stands before the chunk's data. `committed`: only version 2 says it. */
export function deliverHead(version: number, subscriptionId: number, committed: number, chunk: Chunk): Buffer {
  const chunkAt = version === 2 ? 17 : 9
  const head = Buffer.allocUnsafe(chunkAt + chunkHeaderBytes)
  head.writeUInt32BE(head.length - 4 + chunk.bytes, 0)
  head.writeUInt16BE(Key.Deliver, 4)
  head.writeUInt16BE(version, 6)
  head[8] = subscriptionId
  if (version === 2) putU64(head, 9, committed)
  head[chunkAt] = magicVersion
  head[chunkAt + 1] = 0
  head.writeUInt16BE(chunk.entries, chunkAt + 2)
  head.writeUInt32BE(chunk.records, chunkAt + 4)
  head.writeBigInt64BE(BigInt(chunk.timestamp), chunkAt + 8)
  putU64(head, chunkAt + 16, epoch)
  putU64(head, chunkAt + 24, chunk.firstOffset)
  let crc = 0
  for (const part of chunk.data) crc = crc32(part, crc)
  head.writeUInt32BE(crc, chunkAt + 32)
  head.writeUInt32BE(chunk.bytes, chunkAt + 36)
  head.fill(0, chunkAt + 40, chunkAt + 48)
  return head
}
