/**
 * Bytes ⇄ frames. A client sends lines that end in LF and, after some of them, a size (i32) and so many bytes; it gets frames: a size (i32, of all that
 * follows), a type (i32) and the data, which for a message is a time in ns (i64), attempts (u16), an id of 16 characters and the body.
 */
import { Buffer } from 'node:buffer'
import type { Connection } from '../../broker/face.ts'
import { Joined } from '../../lib/joined.ts'

const nothing = Buffer.alloc(0)
const lf = 0x0a
const cr = 0x0d

/** Gives what the session asks for next, as soon as it is whole; null when more is needed. */
export class Decoder {
  #rest: Buffer = nothing
  /** A body that comes in several chunks. */
  #joined: Joined | null = null
  /** Of the rest, so much has no LF. */
  #searched = 0

  push(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
  }

  /** A line without its end, a byte a character; `tooLong` when it has more than `bytesMax`. */
  line(bytesMax: number): string | 'tooLong' | null {
    const end = this.#rest.indexOf(lf, this.#searched)
    if (end < 0) {
      if (this.#rest.length >= bytesMax) return 'tooLong'
      this.#searched = this.#rest.length
      this.#own()
      return null
    }
    if (end >= bytesMax) return 'tooLong'
    this.#searched = 0
    const line = this.#take(end + 1)
    return line.toString('latin1', 0, end > 0 && line[end - 1] === cr ? end - 1 : end)
  }

  size(): number | null {
    if (this.#rest.length < 4) return null
    return this.#take(4).readInt32BE(0)
  }

  /** So many bytes: a view for this turn. */
  body(bytes: number): Buffer | null {
    if (this.#joined === null && this.#rest.length >= bytes) return this.#take(bytes)
    this.#joined ??= new Joined(bytes)
    this.#take(this.#joined.take(this.#rest, 0))
    const { whole } = this.#joined
    if (whole !== null) this.#joined = null
    return whole
  }

  /** All that was not asked for. */
  remaining(): Buffer {
    return this.#take(this.#rest.length)
  }

  #take(bytes: number): Buffer {
    const taken = this.#rest.subarray(0, bytes)
    this.#rest = this.#rest.length === bytes ? nothing : this.#rest.subarray(bytes)
    return taken
  }

  /** A small rest does not keep a large chunk alive. */
  #own(): void {
    if (this.#rest.byteLength * 4 < this.#rest.buffer.byteLength) this.#rest = Buffer.from(this.#rest)
  }
}

/** Where frames go: a connection, or what compresses for it. */
export type Output = Pick<Connection, 'write' | 'reserve' | 'commit' | 'slab'>

export const FrameType = { Response: 0, Error: 1, Message: 2 } as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

/** `text` holds a byte a character. */
export function writeText(to: Output, type: FrameType, text: string): void {
  const at = to.reserve(8 + text.length)
  const { slab } = to
  slab.writeInt32BE(4 + text.length, at)
  slab.writeInt32BE(type, at + 4)
  slab.write(text, at + 8, 'latin1')
  to.commit(8 + text.length)
}

const headBytes = 8 + 8 + 2 + 16
const two20 = 0x10_0000
const two32 = 0x1_0000_0000

export function writeMessage(to: Output, tag: number, place: Place, timestampMs: number, attempts: number, body: Buffer): void {
  const at = to.reserve(headBytes)
  const { slab } = to
  slab.writeInt32BE(headBytes - 4 + body.length, at)
  slab.writeInt32BE(FrameType.Message, at + 4)
  // ms * 10^6 has more than 53 bits: it is multiplied in two parts.
  const high = Math.floor(timestampMs / two20) * 1_000_000
  const low = (high % 4096) * two20 + (timestampMs % two20) * 1_000_000
  slab.writeUInt32BE(Math.floor(high / 4096) + Math.floor(low / two32), at + 8)
  slab.writeUInt32BE(low % two32, at + 12)
  slab.writeUInt16BE(Math.min(attempts, 0xffff), at + 16)
  writeId(slab, at + 18, tag, place)
  to.commit(headBytes)
  to.write(body)
}

/**
 * Where a message stands in its topic: 12 bits of partition, 36 of offset. What is beyond is left out: no connection has two messages in flight that
 * are so far apart.
 */
export type Place = number
const offsetsMax = 2 ** 36
const partitionsMax = 2 ** 12

export const placeOf = (partition: number, offset: number): Place =>
  (partition % partitionsMax) * offsetsMax + (offset % offsetsMax)

const digits = Buffer.from('0123456789abcdef')
const idBytes = 16
/** Of an id, in hex: 16 bits by which topics differ, so that ids of several do, and 48 of the place. */
const tagDigits = 4

function writeId(slab: Buffer, at: number, tag: number, place: Place): void {
  let rest = place
  for (let digit = idBytes - 1; digit >= 0; digit--) {
    if (digit === tagDigits - 1) rest = tag
    slab[at + digit] = digits[rest % 16] as number // one of 16
    rest = Math.floor(rest / 16)
  }
}

/** -1: no message of the topic has this id. */
export function placeOfId(id: string, tag: number): Place {
  if (!/^[0-9a-f]{16}$/.test(id) || Number.parseInt(id.slice(0, tagDigits), 16) !== tag) return -1
  return Number.parseInt(id.slice(tagDigits), 16)
}

export const isId = (id: string): boolean => id.length === idBytes

/** Digits alone, as the reference server reads them: also none at all, and in 64 bits with a sign. Undefined: it is no number. */
export function parseNumber(text: string): number | undefined {
  if (!/^\d*$/.test(text)) return undefined
  return text.length < 16 ? Number(text) : Number(BigInt.asIntN(64, BigInt(text)))
}
