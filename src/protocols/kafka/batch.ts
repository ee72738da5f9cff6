// RecordBatch, magic 2: validated on the way in, walked when another protocol wants its records, built when a record of another protocol
// is fetched. On the Kafka path a batch is never opened.
//
//   baseOffset i64 | length i32 | leaderEpoch i32 | magic i8 | crc u32 (of all that follows) | attributes i16 | lastOffsetDelta i32 |
//   baseTimestamp i64 | maxTimestamp i64 | producerId i64 | producerEpoch i16 | baseSequence i32 | count i32 | records
//   record = length | attributes i8 | timestampDelta | offsetDelta | key | value | headers   (zig-zag varints)
import { crc32c } from '../../lib/crc32c.ts'
import { Codec, compress, decompress } from './compression.ts'
import { KafkaError } from './errors.ts'
import { MalformedFrame, Reader, readInt64, Writer, writeInt64 } from './wire.ts'

/** Where each field begins. */
const at = {
  length: 8,
  leaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  count: 57,
  records: 61,
} as const

export { at as batchAt }

export const batchHeaderBytes = at.records
const codecBits = 0x07
const logAppendTimeBit = 0x08
export const transactionalBit = 0x10
export const controlBit = 0x20

/** What a producer's batch must be before it is stored; 0 or Kafka's error code. `produceVersion` decides whether zstd is allowed. */
export function validateBatch(buffer: Buffer, start: number, end: number, produceVersion: number): number {
  const bytes = end - start
  if (bytes < 17) return KafkaError.CorruptMessage
  if (buffer[start + at.magic] !== 2) return KafkaError.InvalidRecord
  if (bytes < batchHeaderBytes) return KafkaError.CorruptMessage
  const length = buffer.readInt32BE(start + at.length) + at.leaderEpoch
  // Kafka takes one batch per partition and request; a second one in the same field is refused like there.
  if (length < bytes && length >= batchHeaderBytes) return KafkaError.InvalidRecord
  if (length !== bytes) return KafkaError.CorruptMessage
  if (crc32c(buffer, start + at.attributes, end) !== buffer.readUInt32BE(start + at.crc)) return KafkaError.CorruptMessage
  const attributes = buffer.readInt16BE(start + at.attributes)
  const codec = attributes & 7
  if (codec > Codec.Zstd || (codec === Codec.Zstd && produceVersion < 7)) return KafkaError.UnsupportedCompressionType
  if (attributes & controlBit) return KafkaError.InvalidRecord
  // Whoever has an id numbers its records, and only who has one has transactions.
  const hasProducer = readInt64(buffer, start + at.producerId) >= 0
  if (hasProducer ? buffer.readInt32BE(start + at.baseSequence) < 0 : attributes & transactionalBit)
    return KafkaError.InvalidRecord
  const count = buffer.readInt32BE(start + at.count)
  if (count <= 0 || buffer.readInt32BE(start + at.lastOffsetDelta) !== count - 1) return KafkaError.InvalidRecord
  if (attributes & logAppendTimeBit) return KafkaError.InvalidTimestamp
  return KafkaError.None
}

export const batchIsTransactional = (buffer: Buffer, start: number): boolean =>
  (buffer.readInt16BE(start + at.attributes) & transactionalBit) !== 0
export const batchCodec = (buffer: Buffer, start: number): number => buffer.readInt16BE(start + at.attributes) & codecBits
export const batchCount = (buffer: Buffer, start: number): number => buffer.readInt32BE(start + at.lastOffsetDelta) + 1
export const batchMaxTimestamp = (buffer: Buffer, start: number): number => readInt64(buffer, start + at.maxTimestamp)
export const batchProducerId = (buffer: Buffer, start: number): number => readInt64(buffer, start + at.producerId)
export const batchProducerEpoch = (buffer: Buffer, start: number): number => buffer.readInt16BE(start + at.producerEpoch)
export const batchBaseSequence = (buffer: Buffer, start: number): number => buffer.readInt32BE(start + at.baseSequence)

/** The two fields a broker writes; both lie outside the checksum. */
export function stampBatch(buffer: Buffer, start: number, baseOffset: number): void {
  writeInt64(buffer, baseOffset, start)
  buffer.writeInt32BE(0, start + at.leaderEpoch)
}

export function isStamped(buffer: Buffer, start: number, baseOffset: number): boolean {
  return readInt64(buffer, start) === baseOffset && buffer.readInt32BE(start + at.leaderEpoch) === 0
}

/** message.timestamp.type=LogAppendTime: one time for all its records, and the checksum anew. */
export function setLogAppendTime(buffer: Buffer, start: number, end: number, now: number): void {
  buffer.writeInt16BE(buffer.readInt16BE(start + at.attributes) | logAppendTimeBit, start + at.attributes)
  writeInt64(buffer, now, start + at.maxTimestamp)
  buffer.writeUInt32BE(crc32c(buffer, start + at.attributes, end), start + at.crc)
}

export interface BatchRecord {
  readonly offsetDelta: number
  readonly timestamp: number
  /** Where the record's key length begins and its headers end, in the opened records. */
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
}

/** Opens a batch into its records; throws MalformedFrame when it is not what it says. Control batches have none. */
export function openBatch(batch: Buffer): BatchRecord[] {
  const attributes = batch.readInt16BE(at.attributes)
  if (attributes & controlBit) return []
  const count = batch.readInt32BE(at.count)
  const baseTimestamp = readInt64(batch, at.baseTimestamp)
  const maxTimestamp = readInt64(batch, at.maxTimestamp)
  const payload = decompress(attributes & 7, batch.subarray(at.records))
  const reader = new Reader(payload)
  const records: BatchRecord[] = []
  if (count > payload.length) throw new MalformedFrame(`${count} records in ${payload.length} bytes`)
  for (let index = 0; index < count; index++) {
    const length = reader.varint()
    const end = reader.position + length
    reader.int8()
    const createdAt = baseTimestamp + reader.varlong()
    const timestamp = attributes & logAppendTimeBit ? maxTimestamp : createdAt
    const offsetDelta = reader.varint()
    if (end > payload.length || end < reader.position) throw new MalformedFrame('a record runs beyond its batch')
    records.push({ offsetDelta, timestamp, buffer: payload, start: reader.position, end })
    reader.position = end
  }
  return records
}

/** One record as the batch builder takes it: `body` is its key, value and headers as they stand in a batch. */
export interface LooseRecord {
  readonly offset: number
  readonly timestamp: number
  readonly body: Buffer
}

const noProducer = { id: -1, epoch: -1, sequence: -1 }

/** An uncompressed batch of these records; `nextOffset` says where the one after begins, so that gaps at the end are spanned. */
export function buildBatch(
  records: readonly LooseRecord[],
  baseOffset: number,
  nextOffset: number,
  producer = noProducer,
): Buffer {
  let baseTimestamp = 0
  let maxTimestamp = -1
  records.forEach((record, index) => {
    if (index === 0) baseTimestamp = record.timestamp
    if (record.timestamp > maxTimestamp) maxTimestamp = record.timestamp
  })
  const writer = new Writer(batchHeaderBytes + records.reduce((sum, record) => sum + record.body.length + 24, 0))
  const header = Buffer.alloc(batchHeaderBytes)
  writeInt64(header, baseOffset, 0)
  header[at.magic] = 2
  header.writeInt32BE(nextOffset - baseOffset - 1, at.lastOffsetDelta)
  writeInt64(header, baseTimestamp, at.baseTimestamp)
  writeInt64(header, maxTimestamp, at.maxTimestamp)
  writeInt64(header, producer.id, at.producerId)
  header.writeInt16BE(producer.epoch, at.producerEpoch)
  header.writeInt32BE(producer.sequence, at.baseSequence)
  header.writeInt32BE(records.length, at.count)
  writer.bytes(header)
  for (const record of records) {
    const timestampDelta = record.timestamp - baseTimestamp
    const offsetDelta = record.offset - baseOffset
    writer.varint(1 + varlongBytes(timestampDelta) + varlongBytes(offsetDelta) + record.body.length)
    writer.int8(0)
    writer.varlong(timestampDelta)
    writer.varint(offsetDelta)
    writer.bytes(record.body)
  }
  const batch = Buffer.concat(writer.finish())
  batch.writeInt32BE(batch.length - at.leaderEpoch, at.length)
  batch.writeUInt32BE(crc32c(batch, at.attributes, batch.length), at.crc)
  return batch
}

/** The same batch with only the records `keep` names, offsets and compression unchanged; null when none is left. Control batches stay. */
export function retainRecords(batch: Buffer, keep: (index: number) => boolean): Buffer | null {
  if (batch.readInt16BE(at.attributes) & controlBit) return batch // It says what became of others.
  const baseOffset = readInt64(batch, 0)
  const kept = openBatch(batch).filter((record) => keep(record.offsetDelta))
  if (kept.length === 0) return null
  const rebuilt = buildBatch(
    kept.map((record) => ({
      offset: baseOffset + record.offsetDelta,
      timestamp: record.timestamp,
      body: record.buffer.subarray(record.start, record.end),
    })),
    baseOffset,
    baseOffset + batchCount(batch, 0),
  )
  const attributes = batch.readInt16BE(at.attributes)
  const opened = rebuilt.subarray(at.records)
  const compressed = compress(attributes & codecBits, opened)
  // A few records may take more compressed than as they are.
  const smaller = compressed.length < opened.length
  const result = Buffer.concat([rebuilt.subarray(0, at.records), smaller ? compressed : opened])
  result.writeInt16BE(smaller ? attributes : attributes & ~codecBits, at.attributes)
  // Who wrote it stays known, for duplicates and for fences.
  batch.copy(result, at.producerId, at.producerId, at.count)
  result.writeInt32BE(result.length - at.leaderEpoch, at.length)
  result.writeUInt32BE(crc32c(result, at.attributes, result.length), at.crc)
  return result
}

/** The same batch without the records at these places, whose offsets and sequence numbers it still spans; it may hold none at all. */
export function withoutRecords(batch: Buffer, places: ReadonlySet<number>): Buffer {
  const retained = retainRecords(batch, (index) => !places.has(index))
  if (retained !== null) return retained
  const empty = Buffer.from(batch.subarray(0, at.records))
  empty.writeInt16BE(empty.readInt16BE(at.attributes) & ~codecBits, at.attributes)
  empty.writeInt32BE(0, at.count)
  empty.writeInt32BE(empty.length - at.leaderEpoch, at.length)
  empty.writeUInt32BE(crc32c(empty, at.attributes, empty.length), at.crc)
  return empty
}

/** The same records in another compression. Throws MalformedFrame when the batch cannot be opened. */
export function recompressBatch(batch: Buffer, codec: number): Buffer {
  const attributes = batch.readInt16BE(at.attributes)
  const opened = decompress(attributes & codecBits, batch.subarray(at.records))
  const result = Buffer.concat([batch.subarray(0, at.records), compress(codec, opened)])
  result.writeInt16BE((attributes & ~codecBits) | codec, at.attributes)
  result.writeInt32BE(result.length - at.leaderEpoch, at.length)
  result.writeUInt32BE(crc32c(result, at.attributes, result.length), at.crc)
  return result
}

function varlongBytes(value: number): number {
  let rest = value >= 0 ? value * 2 : -value * 2 - 1
  let bytes = 1
  while (rest >= 0x80) {
    rest = Math.floor(rest / 0x80)
    bytes++
  }
  return bytes
}
