// The Publish frame, read by hand, and the frames that answer it.
//
//   Publish = key version publisher-id(u8) count(u32) messages
//   version 1: publishing-id(u64) entry     version 2: publishing-id(u64) filter-value(string) message
import { Buffer } from 'node:buffer'
import { getU64 } from '../../lib/bytes.ts'
import { batchHeaderBytes, Compression, encodeBatch, headBatch, openedBytesMax, recordsMax, subBatchHead } from './batch.ts'
import { begin, Key } from './commands.ts'
import type { Code } from './errors.ts'
import { MalformedFrame } from './errors.ts'
import type { Reader } from './wire.ts'

/** Publishing ids as they came, 8 bytes each. */
export class Ids {
  #bytes: Buffer
  count = 0

  constructor(most: number) {
    this.#bytes = Buffer.allocUnsafe(most * 8)
  }

  /** Copies the id at `at`. */
  add(buffer: Buffer, at: number): void {
    buffer.copy(this.#bytes, this.count * 8, at, at + 8)
    this.count++
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.count * 8)
  }
}

/** Entries of one Publish frame that are stored together. */
export interface Group {
  readonly payload: Buffer
  readonly records: number
  readonly ids: Ids
  readonly lastId: number
}

export interface Published {
  readonly groups: Group[]
  /** At or below the last id that was stored before: confirmed, and not stored again. */
  readonly repeated: Ids
  /** Refused: a sub-batch that can not be right, and all behind it, so that no gap arises in the ids. */
  readonly refused: Ids
}

const emptyIds = new Ids(0)

/**
 * Reads the messages behind the count. `after`: ids up to it are repetitions; null when the publisher has no name, so that ids say nothing.
 * `bytesMax`: what is stored together at most, unless one entry alone is longer.
 */
export function readPublished(reader: Reader, version: number, after: number | null, bytesMax: number): Published {
  const { buffer } = reader
  const count = reader.count(entryBytesMin(version))
  const groups: Group[] = []
  let repeated = emptyIds
  let refused = emptyIds
  let last = after
  let current: Collector | null = null
  for (let index = 0; index < count; index++) {
    const idAt = reader.take(8)
    const filter = version === 2 ? readFilter(reader) : null
    const at = reader.at
    const records = skipEntry(reader, version)
    const id = getU64(buffer, idAt)
    // Beyond 2^53 numbers are no longer exact, and a repetition could not be told from what is new.
    if (records === 0 || 0 < refused.count || (last !== null && !Number.isSafeInteger(id))) {
      if (refused.count === 0) refused = new Ids(count - index)
      refused.add(buffer, idAt)
      continue
    }
    if (last !== null) {
      if (id <= last) {
        if (repeated.count === 0) repeated = new Ids(count - index)
        repeated.add(buffer, idAt)
        continue
      }
      last = id
    }
    const bytes = reader.at - at
    if (current !== null && (bytesMax < current.bytes + bytes || recordsMax < current.records + records)) {
      groups.push(current.finish())
      current = null
    }
    current ??= new Collector(reader.end - at, count - index)
    current.add(buffer, at, reader.at, records, filter)
    current.ids.add(buffer, idAt)
    current.lastId = id
  }
  if (!reader.done) throw new MalformedFrame(`${reader.end - reader.at} bytes are left behind the last message`)
  if (current !== null) groups.push(current.finish())
  return { groups, repeated, refused }
}

/** Gathers entries in a batch's own form. */
class Collector {
  readonly ids: Ids
  lastId = -1
  #payload: Buffer
  #used = batchHeaderBytes
  records = 0
  /** Made when the first filter value is met. */
  #filters: (Buffer | null)[] | null = null

  constructor(dataBytes: number, entries: number) {
    this.ids = new Ids(entries)
    this.#payload = Buffer.allocUnsafe(batchHeaderBytes + dataBytes)
  }

  get bytes(): number {
    return this.#used
  }

  add(buffer: Buffer, start: number, end: number, records: number, filter: Buffer | null): void {
    if (filter !== null) this.#filters ??= new Array<Buffer | null>(this.ids.count).fill(null)
    this.#filters?.push(filter)
    buffer.copy(this.#payload, this.#used, start, end)
    this.#used += end - start
    this.records += records
  }

  finish(): Group {
    const { ids, lastId } = this
    const whole = this.#payload.subarray(0, this.#used)
    const payload =
      this.#filters === null
        ? headBatch(whole, ids.count)
        : encodeBatch(ids.count, this.#filters, whole.subarray(batchHeaderBytes))
    return { payload, records: this.records, ids, lastId }
  }
}

/** What an entry takes at least, with its id. */
const entryBytesMin = (version: number): number => (version === 2 ? 14 : 12)

function readFilter(reader: Reader): Buffer | null {
  const length = reader.buffer.readInt16BE(reader.take(2))
  if (length < 0) return null
  const at = reader.take(length)
  return reader.buffer.subarray(at, at + length)
}

/** Moves over an entry; how many records it holds, 0 for a sub-batch that no consumer could open. */
function skipEntry(reader: Reader, version: number): number {
  const { buffer } = reader
  const at = reader.at
  if (version === 2 || ((buffer[at] ?? 0) & 0x80) === 0) {
    const length = buffer.readUInt32BE(reader.take(4))
    if (0x7fffffff < length) throw new MalformedFrame('a message with a filter value can not be a sub-batch')
    reader.take(length)
    return 1
  }
  reader.take(subBatchHead)
  const compression = ((buffer[at] as number) >> 4) & 7
  const records = buffer.readUInt16BE(at + 1)
  const opened = buffer.readUInt32BE(at + 3)
  const length = buffer.readUInt32BE(at + 7)
  reader.take(length)
  // As RabbitMQ checks it: each record takes its own length of 4 bytes at least.
  if (openedBytesMax < opened || opened < records * 4 || Compression.Zstd < compression) return 0
  return length === 0 && compression !== Compression.None ? 0 : records
}

/** All publishing ids of a frame, for refusing it as a whole. */
export function publishingIds(reader: Reader, version: number): Ids {
  const count = reader.count(entryBytesMin(version))
  const ids = new Ids(count)
  for (let index = 0; index < count; index++) {
    ids.add(reader.buffer, reader.take(8))
    if (version === 2) readFilter(reader)
    skipEntry(reader, version)
  }
  return ids
}

export function confirmFrame(publisherId: number, ids: readonly Ids[]): Buffer {
  const writer = begin(Key.PublishConfirm)
  writer.u8(publisherId)
  writer.u32(ids.reduce((sum, each) => sum + each.count, 0))
  for (const each of ids) writer.raw(each.bytes)
  return writer.frame()
}

export function publishErrorFrame(publisherId: number, ids: Ids, code: Code): Buffer {
  const writer = begin(Key.PublishError)
  writer.u8(publisherId)
  writer.u32(ids.count)
  const { bytes } = ids
  for (let at = 0; at < bytes.length; at += 8) {
    writer.raw(bytes.subarray(at, at + 8))
    writer.u16(code)
  }
  return writer.frame()
}
