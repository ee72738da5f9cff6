// The primitive types of the protocol: integers in big-endian order, `string` with an i16 length, `bytes` and arrays with an i32 length.
import { Buffer } from 'node:buffer'
import { getU64 } from '../../lib/bytes.ts'
import { MalformedFrame } from './errors.ts'

export class Reader {
  readonly buffer: Buffer
  at: number
  readonly end: number

  constructor(buffer: Buffer, at = 0, end = buffer.length) {
    this.buffer = buffer
    this.at = at
    this.end = end
  }

  get done(): boolean {
    return this.end <= this.at
  }

  /** Moves over `bytes` bytes and says where they begin. */
  take(bytes: number): number {
    const at = this.at
    if (bytes < 0 || this.end - at < bytes) throw new MalformedFrame(`the frame ends ${bytes - (this.end - at)} bytes too early`)
    this.at = at + bytes
    return at
  }

  u8(): number {
    return this.buffer[this.take(1)] as number // taken
  }

  u16(): number {
    return this.buffer.readUInt16BE(this.take(2))
  }

  u32(): number {
    return this.buffer.readUInt32BE(this.take(4))
  }

  /** Exact below 2^53. */
  u64(): number {
    return getU64(this.buffer, this.take(8))
  }

  i64(): number {
    return Number(this.buffer.readBigInt64BE(this.take(8)))
  }

  /** Null is read as ''. */
  string(): string {
    const length = this.buffer.readInt16BE(this.take(2))
    if (length < 0) return ''
    const at = this.take(length)
    return this.buffer.toString('utf8', at, at + length)
  }

  /** Null is read as nothing. */
  bytes(): Buffer {
    const length = this.buffer.readInt32BE(this.take(4))
    if (length < 0) return this.buffer.subarray(0, 0)
    const at = this.take(length)
    return this.buffer.subarray(at, at + length)
  }

  /** An array's count, which must be possible in what is left of the frame. */
  count(elementBytes: number): number {
    const count = this.u32()
    if (this.end - this.at < count * elementBytes) throw new MalformedFrame(`${count} elements do not fit into the frame`)
    return count
  }
}

export class Writer {
  #buffer: Buffer
  length = 0

  constructor(bytes = 128) {
    this.#buffer = Buffer.allocUnsafe(bytes)
  }

  room(bytes: number): number {
    const at = this.length
    if (this.#buffer.length < at + bytes) {
      const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, at + bytes))
      this.#buffer.copy(grown, 0, 0, at)
      this.#buffer = grown
    }
    this.length = at + bytes
    return at
  }

  u8(value: number): void {
    const at = this.room(1)
    this.#buffer[at] = value
  }

  u16(value: number): void {
    const at = this.room(2)
    this.#buffer.writeUInt16BE(value & 0xffff, at)
  }

  u32(value: number): void {
    const at = this.room(4)
    this.#buffer.writeUInt32BE(value >>> 0, at)
  }

  i64(value: number): void {
    const at = this.room(8)
    this.#buffer.writeBigInt64BE(BigInt(value), at)
  }

  string(value: string): void {
    const bytes = Buffer.from(value)
    this.u16(bytes.length)
    this.raw(bytes)
  }

  raw(bytes: Uint8Array): void {
    const at = this.room(bytes.length)
    this.#buffer.set(bytes, at)
  }

  /** The bytes written, behind their own length as a frame. */
  frame(): Buffer {
    const whole = Buffer.allocUnsafe(4 + this.length)
    whole.writeUInt32BE(this.length, 0)
    this.#buffer.copy(whole, 4, 0, this.length)
    return whole
  }
}
