/**
 * What a write-ahead frame holds: operations, each `u8 kind, u32 body length, body`. All of a frame happened, or none.
 *
 *   append     u32 log, u8 flags, [flag 1: u64 producer, i16 epoch, i32 sequence], [flag 2: u16 length, dedup id],
 *              [flag 4: u16 length, producer's name, u64 sequence], entry
 *   settle     u32 subscription, u32 lane, then runs of u64 offset, u32 count
 *   raise      u32 subscription, u32 lane, u64 offset: all below it is done
 *   returned   u32 subscription, u32 lane, u64 offset, u32 attempts, u32 times handed out, u64 not again before (ms; 0: at once)
 *   remove     u32 log, then runs of u64 offset, u32 count: single records that are gone
 *   metadata   u8 present, u16 table length, u16 key length, table, key, value
 */
import { getU64, putU32, putU64 } from '../lib/bytes.ts'
import { frameHeaderBytes } from '../storage/interfaces.ts'

/** 4 was `returned` in 20 bytes, without times and when: read still. */
const Kind = { Append: 1, Settle: 2, Raise: 3, Attempts: 4, Metadata: 5, Remove: 6, Returned: 7 } as const

const runBytes = 12

/** Who produced an entry, for recognising a repetition. */
export interface ProducerMark {
  readonly producerId: number
  readonly epoch: number
  readonly sequence: number
}

/** The same for a producer known by its name, whose numbers grow with gaps: `sequence` is the entry's last. */
export interface NamedMark {
  readonly name: string
  readonly sequence: number
}

/** What is stored with an entry so that it is recognised when it comes again. */
export interface AppendMarks {
  readonly producer: ProducerMark | null
  readonly named: NamedMark | null
  readonly dedupId: string | null
}

export const noMarks: AppendMarks = { producer: null, named: null, dedupId: null }

/** What is known of a record that was delivered and came back. */
export interface Returned {
  readonly attempts: number
  readonly handedOut: number
  /** ms since the epoch; 0: it is ready at once. */
  readonly notBefore: number
}

/** Collects the operations of the next frame. */
export class Frame {
  buffer: Buffer
  used = frameHeaderBytes

  constructor(bytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(bytes)
  }

  get empty(): boolean {
    return this.used === frameHeaderBytes
  }

  #room(bytes: number): number {
    const at = this.used
    if (at + bytes > this.buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, at + bytes))
      this.buffer.copy(grown, 0, 0, at)
      this.buffer = grown
    }
    this.used = at + bytes
    return at
  }

  #begin(kind: number, bodyBytes: number): number {
    const at = this.#room(5 + bodyBytes)
    this.buffer[at] = kind
    putU32(this.buffer, at + 1, bodyBytes)
    return at + 5
  }

  append(log: number, marks: AppendMarks, entry: Buffer, start: number, end: number): void {
    const { producer, named } = marks
    const dedup = marks.dedupId === null ? null : Buffer.from(marks.dedupId)
    const name = named === null ? null : Buffer.from(named.name)
    const marked = (producer === null ? 0 : 14) + (dedup === null ? 0 : 2 + dedup.length) + (name === null ? 0 : 10 + name.length)
    const bytes = 5 + marked + (end - start)
    let at = this.#begin(Kind.Append, bytes)
    const { buffer } = this
    putU32(buffer, at, log)
    buffer[at + 4] = (producer === null ? 0 : 1) | (dedup === null ? 0 : 2) | (name === null ? 0 : 4)
    at += 5
    if (producer !== null) {
      putU64(buffer, at, producer.producerId)
      buffer.writeInt16BE(producer.epoch, at + 8)
      buffer.writeInt32BE(producer.sequence, at + 10)
      at += 14
    }
    if (dedup !== null) {
      buffer.writeUInt16BE(dedup.length, at)
      buffer.set(dedup, at + 2)
      at += 2 + dedup.length
    }
    if (name !== null && named !== null) {
      buffer.writeUInt16BE(name.length, at)
      buffer.set(name, at + 2)
      putU64(buffer, at + 2 + name.length, named.sequence)
      at += 10 + name.length
    }
    entry.copy(buffer, at, start, end)
  }

  /** `runs` are pairs of first offset and count. */
  settle(subscription: number, lane: number, runs: readonly number[]): void {
    const at = this.#begin(Kind.Settle, 8 + (runs.length / 2) * runBytes)
    this.buffer.writeUInt32BE(subscription, at)
    this.buffer.writeUInt32BE(lane, at + 4)
    this.#runs(at + 8, runs)
  }

  remove(log: number, runs: readonly number[]): void {
    const at = this.#begin(Kind.Remove, 4 + (runs.length / 2) * runBytes)
    this.buffer.writeUInt32BE(log, at)
    this.#runs(at + 4, runs)
  }

  #runs(at: number, runs: readonly number[]): void {
    for (let index = 0, place = at; index < runs.length; index += 2, place += runBytes) {
      putU64(this.buffer, place, runs[index] as number) // pairs
      this.buffer.writeUInt32BE(runs[index + 1] as number, place + 8)
    }
  }

  raise(subscription: number, lane: number, offset: number): void {
    const at = this.#begin(Kind.Raise, 16)
    this.buffer.writeUInt32BE(subscription, at)
    this.buffer.writeUInt32BE(lane, at + 4)
    putU64(this.buffer, at + 8, offset)
  }

  returned(subscription: number, lane: number, offset: number, { attempts, handedOut, notBefore }: Returned): void {
    const at = this.#begin(Kind.Returned, 32)
    this.buffer.writeUInt32BE(subscription, at)
    this.buffer.writeUInt32BE(lane, at + 4)
    putU64(this.buffer, at + 8, offset)
    this.buffer.writeUInt32BE(attempts, at + 16)
    this.buffer.writeUInt32BE(handedOut, at + 20)
    putU64(this.buffer, at + 24, notBefore)
  }

  metadata(table: string, key: string, value: string | Uint8Array | null): void {
    const tableBytes = Buffer.from(table)
    const keyBytes = Buffer.from(key)
    const valueBytes = value === null ? null : typeof value === 'string' ? Buffer.from(value) : value
    let at = this.#begin(Kind.Metadata, 5 + tableBytes.length + keyBytes.length + (valueBytes?.length ?? 0))
    const { buffer } = this
    buffer[at] = valueBytes === null ? 0 : typeof value === 'string' ? 1 : 2
    buffer.writeUInt16BE(tableBytes.length, at + 1)
    buffer.writeUInt16BE(keyBytes.length, at + 3)
    at += 5
    buffer.set(tableBytes, at)
    buffer.set(keyBytes, at + tableBytes.length)
    if (valueBytes !== null) buffer.set(valueBytes, at + tableBytes.length + keyBytes.length)
  }
}

/** What recovery does with each operation of a frame. */
export interface OpVisitor {
  append(log: number, marks: AppendMarks, entry: Buffer): void
  settle(subscription: number, lane: number, offset: number, count: number): void
  raise(subscription: number, lane: number, offset: number): void
  remove(log: number, offset: number, count: number): void
  returned(subscription: number, lane: number, offset: number, how: Returned): void
  metadata(table: string, key: string, value: string | Uint8Array | null): void
}

/** Reads a frame that its checksum vouches for. */
export function visitFrame(frame: Buffer, visitor: OpVisitor): void {
  let at = frameHeaderBytes
  while (at < frame.length) {
    const kind = frame[at]
    const body = at + 5
    const end = body + frame.readUInt32BE(at + 1)
    if (end > frame.length) throw new Error(`an operation at byte ${at} goes beyond its write-ahead frame`)
    switch (kind) {
      case Kind.Append:
        visitAppend(frame, body, end, visitor)
        break
      case Kind.Settle:
        for (let place = body + 8; place < end; place += runBytes) {
          visitor.settle(
            frame.readUInt32BE(body),
            frame.readUInt32BE(body + 4),
            getU64(frame, place),
            frame.readUInt32BE(place + 8),
          )
        }
        break
      case Kind.Remove:
        for (let place = body + 4; place < end; place += runBytes) {
          visitor.remove(frame.readUInt32BE(body), getU64(frame, place), frame.readUInt32BE(place + 8))
        }
        break
      case Kind.Raise:
        visitor.raise(frame.readUInt32BE(body), frame.readUInt32BE(body + 4), getU64(frame, body + 8))
        break
      case Kind.Attempts: {
        const attempts = frame.readUInt32BE(body + 16)
        const how = { attempts, handedOut: attempts, notBefore: 0 }
        visitor.returned(frame.readUInt32BE(body), frame.readUInt32BE(body + 4), getU64(frame, body + 8), how)
        break
      }
      case Kind.Returned:
        visitor.returned(frame.readUInt32BE(body), frame.readUInt32BE(body + 4), getU64(frame, body + 8), {
          attempts: frame.readUInt32BE(body + 16),
          handedOut: frame.readUInt32BE(body + 20),
          notBefore: getU64(frame, body + 24),
        })
        break
      case Kind.Metadata:
        visitMetadata(frame, body, end, visitor)
        break
      default:
        throw new Error(`write-ahead frame holds an operation of unknown kind ${kind}; it was written by a newer version`)
    }
    at = end
  }
}

function visitAppend(frame: Buffer, body: number, end: number, visitor: OpVisitor): void {
  const flags = frame[body + 4] as number // bodies of this kind are longer
  let at = body + 5
  let producer: ProducerMark | null = null
  let dedupId: string | null = null
  if ((flags & 1) !== 0) {
    producer = { producerId: getU64(frame, at), epoch: frame.readInt16BE(at + 8), sequence: frame.readInt32BE(at + 10) }
    at += 14
  }
  if ((flags & 2) !== 0) {
    const length = frame.readUInt16BE(at)
    dedupId = frame.toString('utf8', at + 2, at + 2 + length)
    at += 2 + length
  }
  let named: NamedMark | null = null
  if ((flags & 4) !== 0) {
    const nameEnd = at + 2 + frame.readUInt16BE(at)
    named = { name: frame.toString('utf8', at + 2, nameEnd), sequence: getU64(frame, nameEnd) }
    at = nameEnd + 8
  }
  visitor.append(frame.readUInt32BE(body), { producer, named, dedupId }, frame.subarray(at, end))
}

function visitMetadata(frame: Buffer, body: number, end: number, visitor: OpVisitor): void {
  const present = frame[body]
  const tableEnd = body + 5 + frame.readUInt16BE(body + 1)
  const keyEnd = tableEnd + frame.readUInt16BE(body + 3)
  const value =
    present === 0 ? null : present === 1 ? frame.toString('utf8', keyEnd, end) : Buffer.from(frame.subarray(keyEnd, end))
  visitor.metadata(frame.toString('utf8', body + 5, tableEnd), frame.toString('utf8', tableEnd, keyEnd), value)
}
