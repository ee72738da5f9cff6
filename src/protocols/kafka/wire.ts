// Kafka's primitive types: big-endian integers, varints, strings, and a writer that passes large payloads by reference.

export class MalformedFrame extends Error {}

/** Reads one frame. Every read is bounded by the frame: a length that lies throws MalformedFrame, nothing is over-read. */
export class Reader {
  readonly buffer: Buffer
  position: number
  readonly end: number

  constructor(buffer: Buffer, start = 0, end = buffer.length) {
    this.buffer = buffer
    this.position = start
    this.end = end
  }

  /** Moves past `count` bytes and gives where they began. */
  take(count: number): number {
    const at = this.position
    if (count < 0 || count > this.end - at) throw new MalformedFrame(`${count} bytes wanted, ${this.end - at} left`)
    this.position = at + count
    return at
  }

  remaining(): number {
    return this.end - this.position
  }

  int8(): number {
    return this.buffer.readInt8(this.take(1))
  }

  int16(): number {
    return this.buffer.readInt16BE(this.take(2))
  }

  uint16(): number {
    return this.buffer.readUInt16BE(this.take(2))
  }

  int32(): number {
    return this.buffer.readInt32BE(this.take(4))
  }

  uint32(): number {
    return this.buffer.readUInt32BE(this.take(4))
  }

  // Exact up to 2^53, which offsets and milliseconds never leave; sentinels such as Long.MAX stay recognisably huge.
  int64(): number {
    return readInt64(this.buffer, this.take(8))
  }

  float64(): number {
    return this.buffer.readDoubleBE(this.take(8))
  }

  uvarint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.buffer[this.take(1)] ?? 0
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new MalformedFrame('unsigned varint longer than 5 bytes')
  }

  /** Zig-zag, as in records. */
  varint(): number {
    const raw = this.uvarint()
    return raw % 2 === 0 ? raw / 2 : -(raw + 1) / 2
  }

  varlong(): number {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.buffer[this.take(1)] ?? 0
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return Number(BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n)))
    }
    throw new MalformedFrame('varlong longer than 10 bytes')
  }

  uuid(): string {
    const at = this.take(16)
    return this.buffer.toString('hex', at, at + 16)
  }

  string(length: number): string {
    const at = this.take(length)
    return this.buffer.toString('utf8', at, at + length)
  }

  nullableString(): string | null {
    const length = this.int16()
    return length < 0 ? null : this.string(length)
  }

  /** A view; whoever keeps it copies it. */
  bytes(length: number): Buffer {
    const at = this.take(length)
    return this.buffer.subarray(at, at + length)
  }
}

export function readInt64(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at) * 0x1_0000_0000 + buffer.readUInt32BE(at + 4)
}

export function writeInt64(buffer: Buffer, value: number, at: number): void {
  if (value >= 2 ** 63) {
    buffer.writeInt32BE(0x7fffffff, at)
    buffer.writeInt32BE(-1, at + 4)
    return
  }
  buffer.writeInt32BE(Math.floor(value / 0x1_0000_0000), at)
  buffer.writeUInt32BE(value >>> 0, at + 4)
}

const slabBytes = 1024
const referenceBytesMin = 4096

/** Builds one message as a list of buffers: small things copied into a growing slab, large payloads referenced. */
export class Writer {
  #slab: Buffer
  #start = 0
  #position = 0
  #parts: Buffer[] = []
  #partBytes = 0

  constructor(bytes = slabBytes) {
    this.#slab = Buffer.allocUnsafe(bytes)
  }

  get size(): number {
    return this.#partBytes + this.#position - this.#start
  }

  /** Makes room for `count` bytes and gives where they begin in the slab. */
  #room(count: number): number {
    if (this.#position + count > this.#slab.length) this.#grow(count)
    const at = this.#position
    this.#position = at + count
    return at
  }

  #grow(count: number): void {
    // The slab's open part moves along, so that a place marked within it stays patchable.
    const open = this.#position - this.#start
    const slab = Buffer.allocUnsafe(Math.max(this.#slab.length * 2, open + count + slabBytes))
    this.#slab.copy(slab, 0, this.#start, this.#position)
    this.#slab = slab
    this.#start = 0
    this.#position = open
  }

  int8(value: number): void {
    const at = this.#room(1)
    this.#slab[at] = value
  }

  int16(value: number): void {
    const at = this.#room(2)
    this.#slab.writeInt16BE(value, at)
  }

  uint16(value: number): void {
    const at = this.#room(2)
    this.#slab.writeUInt16BE(value, at)
  }

  int32(value: number): void {
    const at = this.#room(4)
    this.#slab.writeInt32BE(value, at)
  }

  uint32(value: number): void {
    const at = this.#room(4)
    this.#slab.writeUInt32BE(value, at)
  }

  int64(value: number): void {
    const at = this.#room(8)
    writeInt64(this.#slab, value, at)
  }

  float64(value: number): void {
    const at = this.#room(8)
    this.#slab.writeDoubleBE(value, at)
  }

  uvarint(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.int8((rest % 0x80) | 0x80)
      rest = Math.floor(rest / 0x80)
    }
    this.int8(rest)
  }

  varint(value: number): void {
    this.uvarint(value >= 0 ? value * 2 : -value * 2 - 1)
  }

  varlong(value: number): void {
    this.uvarint(value >= 0 ? value * 2 : -value * 2 - 1)
  }

  uuid(hex: string): void {
    const at = this.#room(16)
    this.#slab.write(hex, at, 'hex')
  }

  /** The text without a length. */
  text(value: string, bytes: number): void {
    const at = this.#room(bytes)
    this.#slab.write(value, at, 'utf8')
  }

  bytes(value: Uint8Array): void {
    if (value.length >= referenceBytesMin) return this.reference(Buffer.from(value.buffer, value.byteOffset, value.length))
    const at = this.#room(value.length)
    this.#slab.set(value, at)
  }

  /** Passes the buffer on without copying it; it must not change until it has been sent. */
  reference(value: Buffer): void {
    this.#close()
    this.#parts.push(value)
    this.#partBytes += value.length
  }

  #close(): void {
    if (this.#position === this.#start) return
    this.#parts.push(this.#slab.subarray(this.#start, this.#position))
    this.#partBytes += this.#position - this.#start
    this.#start = this.#position
  }

  finish(): Buffer[] {
    this.#close()
    return this.#parts
  }
}
