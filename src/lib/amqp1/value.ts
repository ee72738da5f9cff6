// The type system of AMQP 1.0 (part 1): one value ⇄ bytes. Pure; knows nothing of what the values mean.
import { Buffer } from 'node:buffer'

/** 64-bit numbers are bigints; decimals and uuids are their bytes as they stand on the wire. */
export type Value =
  | { readonly type: 'null'; readonly value: null }
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: NumberType; readonly value: number }
  | { readonly type: 'ulong' | 'long' | 'timestamp'; readonly value: bigint }
  | { readonly type: 'decimal32' | 'decimal64' | 'decimal128' | 'uuid' | 'binary'; readonly value: Buffer }
  | { readonly type: 'string' | 'symbol'; readonly value: string }
  | { readonly type: 'list' | 'array'; readonly value: readonly Value[] }
  | { readonly type: 'map'; readonly value: readonly Pair[] }
  | { readonly type: 'described'; readonly descriptor: Value; readonly value: Value }
export type NumberType = 'ubyte' | 'ushort' | 'uint' | 'byte' | 'short' | 'int' | 'float' | 'double' | 'char'
export type Pair = readonly [key: Value, value: Value]

/** Bytes that are no AMQP 1.0. */
export class MalformedValue extends Error {}

/** Values within values; deeper is refused. */
const depthMax = 32
/** Elements of arrays that take no bytes of their own, in all of one value: more is refused, for a few bytes would stand for gigabytes. */
const emptyElementsMax = 65_536

export class ValueReader {
  readonly buffer: Buffer
  at: number
  readonly end: number
  readonly #empty: { count: number }

  constructor(buffer: Buffer, at = 0, end = buffer.length, empty = { count: 0 }) {
    this.buffer = buffer
    this.at = at
    this.end = end
    this.#empty = empty
  }

  get done(): boolean {
    return this.end <= this.at
  }

  read(): Value {
    return this.#described(0)
  }

  #take(bytes: number): number {
    const at = this.at
    if (this.end - at < bytes) throw new MalformedValue(`${bytes} bytes are wanted at ${at}, and ${this.end - at} are left`)
    this.at = at + bytes
    return at
  }

  #u8(): number {
    return this.buffer[this.#take(1)] as number // taken
  }

  #length(wide: boolean): number {
    return wide ? this.buffer.readUInt32BE(this.#take(4)) : this.#u8()
  }

  #described(depth: number): Value {
    if (depthMax < depth) throw new MalformedValue(`values are nested deeper than ${depthMax}`)
    const code = this.#u8()
    if (code !== 0x00) return this.#primitive(code, depth)
    const descriptor = this.#described(depth + 1)
    return { type: 'described', descriptor, value: this.#described(depth + 1) }
  }

  /** AMQP 1.0, 1.6: what follows a constructor's code. */
  #primitive(code: number, depth: number): Value {
    const { buffer } = this
    switch (code) {
      case 0x40:
        return { type: 'null', value: null }
      case 0x41:
      case 0x42:
        return { type: 'boolean', value: code === 0x41 }
      case 0x56:
        return { type: 'boolean', value: this.#u8() !== 0 }
      case 0x50:
        return { type: 'ubyte', value: this.#u8() }
      case 0x60:
        return { type: 'ushort', value: buffer.readUInt16BE(this.#take(2)) }
      case 0x70:
        return { type: 'uint', value: buffer.readUInt32BE(this.#take(4)) }
      case 0x52:
        return { type: 'uint', value: this.#u8() }
      case 0x43:
        return { type: 'uint', value: 0 }
      case 0x80:
        return { type: 'ulong', value: buffer.readBigUInt64BE(this.#take(8)) }
      case 0x53:
        return { type: 'ulong', value: BigInt(this.#u8()) }
      case 0x44:
        return { type: 'ulong', value: 0n }
      case 0x51:
        return { type: 'byte', value: buffer.readInt8(this.#take(1)) }
      case 0x61:
        return { type: 'short', value: buffer.readInt16BE(this.#take(2)) }
      case 0x71:
        return { type: 'int', value: buffer.readInt32BE(this.#take(4)) }
      case 0x54:
        return { type: 'int', value: buffer.readInt8(this.#take(1)) }
      case 0x81:
        return { type: 'long', value: buffer.readBigInt64BE(this.#take(8)) }
      case 0x55:
        return { type: 'long', value: BigInt(buffer.readInt8(this.#take(1))) }
      case 0x72:
        return { type: 'float', value: buffer.readFloatBE(this.#take(4)) }
      case 0x82:
        return { type: 'double', value: buffer.readDoubleBE(this.#take(8)) }
      case 0x74:
        return { type: 'decimal32', value: this.#bytes(4) }
      case 0x84:
        return { type: 'decimal64', value: this.#bytes(8) }
      case 0x94:
        return { type: 'decimal128', value: this.#bytes(16) }
      case 0x73:
        return { type: 'char', value: buffer.readUInt32BE(this.#take(4)) }
      case 0x83:
        return { type: 'timestamp', value: buffer.readBigInt64BE(this.#take(8)) }
      case 0x98:
        return { type: 'uuid', value: this.#bytes(16) }
      case 0xa0:
      case 0xb0:
        return { type: 'binary', value: this.#bytes(this.#length(code === 0xb0)) }
      case 0xa1:
      case 0xb1:
        return { type: 'string', value: this.#bytes(this.#length(code === 0xb1)).toString() }
      case 0xa3:
      case 0xb3:
        return { type: 'symbol', value: this.#bytes(this.#length(code === 0xb3)).toString('latin1') }
      case 0x45:
        return { type: 'list', value: [] }
      case 0xc0:
      case 0xd0:
        return { type: 'list', value: this.#compound(code === 0xd0, depth) }
      case 0xc1:
      case 0xd1:
        return { type: 'map', value: pairs(this.#compound(code === 0xd1, depth)) }
      case 0xe0:
      case 0xf0:
        return { type: 'array', value: this.#array(code === 0xf0, depth) }
      default:
        throw new MalformedValue(`no type has the code 0x${code.toString(16)}`)
    }
  }

  #bytes(length: number): Buffer {
    const at = this.#take(length)
    return this.buffer.subarray(at, at + length)
  }

  /** A size, which must cover what is inside exactly, and a count. */
  #compound(wide: boolean, depth: number): Value[] {
    const size = this.#length(wide)
    const end = this.#take(size) + size
    const inside = new ValueReader(this.buffer, end - size, end, this.#empty)
    const count = inside.#length(wide)
    const values: Value[] = []
    // Each element takes a byte at least, so that the count is bounded by what was sent.
    for (let index = 0; index < count; index++) values.push(inside.#described(depth + 1))
    if (!inside.done) throw new MalformedValue(`${end - inside.at} bytes are left behind the elements`)
    return values
  }

  #array(wide: boolean, depth: number): Value[] {
    const size = this.#length(wide)
    const end = this.#take(size) + size
    const inside = new ValueReader(this.buffer, end - size, end, this.#empty)
    const count = inside.#length(wide)
    let code = inside.#u8()
    let descriptor: Value | undefined
    if (code === 0x00) {
      descriptor = inside.#described(depth + 1)
      code = inside.#u8()
    }
    const values: Value[] = []
    for (let index = 0; index < count; index++) {
      if (inside.done && emptyElementsMax < ++this.#empty.count)
        throw new MalformedValue(`arrays of more than ${emptyElementsMax} elements without bytes`)
      const value = inside.#primitive(code, depth + 1)
      values.push(descriptor === undefined ? value : { type: 'described', descriptor, value })
    }
    if (!inside.done) throw new MalformedValue(`${end - inside.at} bytes are left behind the array`)
    return values
  }
}

function pairs(values: readonly Value[]): Pair[] {
  if (values.length % 2 !== 0) throw new MalformedValue('a map has a key without a value')
  const found: Pair[] = []
  for (let index = 0; index < values.length; index += 2) found.push([values[index] as Value, values[index + 1] as Value]) // even
  return found
}

/** Codes of the widest form of each type: what arrays use, whose elements all have one form. */
const wideCodes = {
  null: 0x40,
  boolean: 0x56,
  ubyte: 0x50,
  ushort: 0x60,
  uint: 0x70,
  ulong: 0x80,
  byte: 0x51,
  short: 0x61,
  int: 0x71,
  long: 0x81,
  float: 0x72,
  double: 0x82,
  decimal32: 0x74,
  decimal64: 0x84,
  decimal128: 0x94,
  char: 0x73,
  timestamp: 0x83,
  uuid: 0x98,
  binary: 0xb0,
  string: 0xb1,
  symbol: 0xb3,
  list: 0xd0,
  map: 0xd1,
  array: 0xf0,
} as const satisfies Record<Exclude<Value['type'], 'described'>, number>

export class ValueWriter {
  buffer: Buffer
  length = 0

  constructor(bytes = 256) {
    this.buffer = Buffer.allocUnsafe(bytes)
  }

  #room(bytes: number): number {
    const at = this.length
    if (this.buffer.length < at + bytes) {
      const grown = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, at + bytes))
      this.buffer.copy(grown, 0, 0, at)
      this.buffer = grown
    }
    this.length = at + bytes
    return at
  }

  finish(): Buffer {
    return this.buffer.subarray(0, this.length)
  }

  u8(value: number): void {
    const at = this.#room(1)
    this.buffer[at] = value
  }

  bytes(bytes: Uint8Array): void {
    const at = this.#room(bytes.length)
    this.buffer.set(bytes, at)
  }

  #u32(value: number): void {
    const at = this.#room(4)
    this.buffer.writeUInt32BE(value, at)
  }

  /** `0x00`, a small ulong descriptor: the value follows. */
  descriptor(code: number): void {
    this.u8(0x00)
    this.u8(0x53)
    this.u8(code)
  }

  write(value: Value): void {
    switch (value.type) {
      case 'described':
        this.u8(0x00)
        this.write(value.descriptor)
        return this.write(value.value)
      case 'boolean':
        return this.u8(value.value ? 0x41 : 0x42)
      case 'uint':
        if (value.value === 0) return this.u8(0x43)
        if (value.value < 256) return this.#small(0x52, value.value)
        break
      case 'ulong':
        if (value.value === 0n) return this.u8(0x44)
        if (value.value < 256n) return this.#small(0x53, Number(value.value))
        break
      case 'int':
        if (-128 <= value.value && value.value < 128) return this.#small(0x54, value.value & 0xff)
        break
      case 'long':
        if (-128n <= value.value && value.value < 128n) return this.#small(0x55, Number(value.value) & 0xff)
        break
      case 'binary':
        return this.#variable(0xa0, value.value)
      case 'string':
        return this.#variable(0xa1, Buffer.from(value.value))
      case 'symbol':
        return this.#variable(0xa3, Buffer.from(value.value, 'latin1'))
      case 'list':
        if (value.value.length === 0) return this.u8(0x45)
        break
    }
    this.u8(wideCodes[value.type])
    this.#content(value)
  }

  #small(code: number, byte: number): void {
    this.u8(code)
    this.u8(byte)
  }

  /** `code` is that of the short form; the long one has 0x10 more. */
  #variable(code: number, bytes: Buffer): void {
    if (bytes.length < 256) this.#small(code, bytes.length)
    else {
      this.u8(code + 0x10)
      this.#u32(bytes.length)
    }
    this.bytes(bytes)
  }

  /** What follows the code of the widest form. */
  #content(value: Value): void {
    switch (value.type) {
      case 'null':
        return
      case 'boolean':
        return this.u8(value.value ? 1 : 0)
      case 'ubyte':
      case 'byte':
        return this.u8(value.value & 0xff)
      case 'ushort':
      case 'short': {
        const at = this.#room(2)
        this.buffer.writeUInt16BE(value.value & 0xffff, at)
        return
      }
      case 'uint':
      case 'int':
      case 'char':
        return this.#u32(value.value >>> 0)
      case 'float': {
        const at = this.#room(4)
        this.buffer.writeFloatBE(value.value, at)
        return
      }
      case 'double': {
        const at = this.#room(8)
        this.buffer.writeDoubleBE(value.value, at)
        return
      }
      case 'ulong':
      case 'long':
      case 'timestamp': {
        const at = this.#room(8)
        this.buffer.writeBigUInt64BE(BigInt.asUintN(64, value.value), at)
        return
      }
      case 'decimal32':
      case 'decimal64':
      case 'decimal128':
      case 'uuid':
        return this.bytes(value.value)
      case 'binary':
        return this.#wide(value.value)
      case 'string':
        return this.#wide(Buffer.from(value.value))
      case 'symbol':
        return this.#wide(Buffer.from(value.value, 'latin1'))
      case 'list':
        return this.#sized(value.value.length, () => {
          for (const each of value.value) this.write(each)
        })
      case 'map':
        return this.#sized(value.value.length * 2, () => {
          for (const [key, each] of value.value) {
            this.write(key)
            this.write(each)
          }
        })
      case 'array':
        return this.#sized(value.value.length, () => this.#elements(value.value))
      case 'described':
        return this.write(value) // only elements of arrays could come here, and those are unwrapped below
    }
  }

  /** One constructor, that of the first element, and the contents of all that have it. */
  #elements(values: readonly Value[]): void {
    const [first] = values
    if (first === undefined) return this.u8(wideCodes.null)
    if (first.type === 'described') {
      this.u8(0x00)
      this.write(first.descriptor)
    }
    const inner = (value: Value): Value => (value.type === 'described' ? value.value : value)
    const type = inner(first).type
    this.u8(type === 'described' ? wideCodes.null : wideCodes[type])
    for (const value of values) if (inner(value).type === type) this.#content(inner(value))
  }

  #wide(bytes: Buffer): void {
    this.#u32(bytes.length)
    this.bytes(bytes)
  }

  #sized(count: number, inside: () => void): void {
    const at = this.#room(4)
    this.#u32(count)
    inside()
    this.buffer.writeUInt32BE(this.length - at - 4, at)
  }
}

export function encodeValue(value: Value): Buffer {
  const writer = new ValueWriter()
  writer.write(value)
  return writer.finish()
}
