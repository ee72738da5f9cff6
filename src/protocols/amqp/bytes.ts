// Reading and growing writing of AMQP's primitive types, for everything that is not hot. Strings that are not UTF-8 survive
// as latin1 would not: names are compared as bytes by RabbitMQ, so a name is kept as its UTF-8 text and content stays bytes.
import { Buffer } from 'node:buffer'

export class ByteReader {
  readonly buffer: Buffer
  readonly end: number
  position: number

  constructor(buffer: Buffer, start: number, end: number) {
    this.buffer = buffer
    this.position = start
    this.end = end
  }

  #take(bytes: number): number {
    const at = this.position
    if (this.end - at < bytes) throw new RangeError(`${bytes} bytes wanted at ${at}, the field ends at ${this.end}`)
    this.position = at + bytes
    return at
  }

  u8(): number {
    return this.buffer.readUInt8(this.#take(1))
  }
  i8(): number {
    return this.buffer.readInt8(this.#take(1))
  }
  u16(): number {
    return this.buffer.readUInt16BE(this.#take(2))
  }
  i16(): number {
    return this.buffer.readInt16BE(this.#take(2))
  }
  u32(): number {
    return this.buffer.readUInt32BE(this.#take(4))
  }
  i32(): number {
    return this.buffer.readInt32BE(this.#take(4))
  }
  f32(): number {
    return this.buffer.readFloatBE(this.#take(4))
  }
  f64(): number {
    return this.buffer.readDoubleBE(this.#take(8))
  }
  i64(): bigint {
    return this.buffer.readBigInt64BE(this.#take(8))
  }

  u64(): number {
    const at = this.#take(8)
    return this.buffer.readUInt32BE(at) * 0x1_0000_0000 + this.buffer.readUInt32BE(at + 4)
  }

  bytes(length: number): Buffer {
    const at = this.#take(length)
    return this.buffer.subarray(at, at + length)
  }

  shortString(): string {
    const length = this.u8()
    const at = this.#take(length)
    return this.buffer.toString('utf8', at, at + length)
  }

  longBytes(): Buffer {
    return this.bytes(this.u32())
  }
}

export class ByteWriter {
  buffer: Buffer
  length: number

  constructor(capacity = 256) {
    this.buffer = Buffer.allocUnsafe(capacity)
    this.length = 0
  }

  #room(bytes: number): number {
    const at = this.length
    this.length = at + bytes
    if (this.buffer.length < this.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.length, this.buffer.length * 2))
      this.buffer.copy(grown, 0, 0, at)
      this.buffer = grown
    }
    return at
  }

  u8(value: number): void {
    const at = this.#room(1)
    this.buffer[at] = value & 0xff
  }
  i8(value: number): void {
    const at = this.#room(1)
    this.buffer.writeInt8(value, at)
  }
  u16(value: number): void {
    const at = this.#room(2)
    this.buffer.writeUInt16BE(value, at)
  }
  i16(value: number): void {
    const at = this.#room(2)
    this.buffer.writeInt16BE(value, at)
  }
  u32(value: number): void {
    const at = this.#room(4)
    this.buffer.writeUInt32BE(value, at)
  }
  i32(value: number): void {
    const at = this.#room(4)
    this.buffer.writeInt32BE(value, at)
  }
  f32(value: number): void {
    const at = this.#room(4)
    this.buffer.writeFloatBE(value, at)
  }
  f64(value: number): void {
    const at = this.#room(8)
    this.buffer.writeDoubleBE(value, at)
  }
  i64(value: bigint): void {
    const at = this.#room(8)
    this.buffer.writeBigInt64BE(BigInt.asIntN(64, value), at)
  }

  u64(value: number): void {
    const at = this.#room(8)
    this.buffer.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at)
    this.buffer.writeUInt32BE(value % 0x1_0000_0000, at + 4)
  }

  bytes(value: Uint8Array): void {
    const at = this.#room(value.length)
    this.buffer.set(value, at)
  }

  /** A short string holds 255 bytes; a longer text is cut at a character, never in the middle of one. */
  shortString(value: string): void {
    const text = shortText(value)
    const length = Buffer.byteLength(text)
    this.u8(length)
    const at = this.#room(length)
    this.buffer.write(text, at, length, 'utf8')
  }

  longString(value: string): void {
    const length = Buffer.byteLength(value)
    this.u32(length)
    const at = this.#room(length)
    this.buffer.write(value, at, length, 'utf8')
  }

  longBytes(value: Uint8Array): void {
    this.u32(value.length)
    this.bytes(value)
  }

  view(): Buffer {
    return this.buffer.subarray(0, this.length)
  }
}

export function shortText(value: string): string {
  if (value.length <= 63 || Buffer.byteLength(value) <= 255) return value
  let bytes = 0
  let text = ''
  for (const character of value) {
    bytes += Buffer.byteLength(character)
    if (255 < bytes) break
    text += character
  }
  return text
}
