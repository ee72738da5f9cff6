/** `cmsgpack`: MessagePack to and from Lua values, as lua-cmsgpack 0.4 does it. */
import { type Args, install } from './library.ts'
import type { Machine } from './machine.ts'
import { LuaError, LuaTable, type LuaValue } from './value.ts'

const depthMax = 16

export function installMsgpack(machine: Machine): void {
  const library = new LuaTable()
  install(machine, library, (check) => {
    const unpack = (args: Args, limit: number, from: number, name: string): LuaValue[] => {
      const bytes = Buffer.from(check(name).string(args, 1), 'latin1')
      if (from < 0 || from > bytes.length)
        throw new LuaError(`${machine.where(1)}Start offset ${from} greater than input length ${bytes.length}.`)
      const reader = new Reader(machine, bytes, from)
      const values: LuaValue[] = []
      while (values.length < limit && !reader.atEnd) values.push(reader.value())
      // Where it stopped, and -1 when nothing is left: for the forms that say so.
      return limit === Infinity ? values : [reader.atEnd ? -1 : reader.at, ...values]
    }
    return {
      pack: (args) => {
        if (args.length === 0) throw check('pack').error(0, 'MessagePack pack needs input.')
        const writer = new Writer()
        for (const value of args) writer.value(value, 0)
        return [writer.text]
      },
      unpack: (args) => unpack(args, Infinity, 0, 'unpack'),
      unpack_one: (args) => unpack(args, 1, args[1] === undefined ? 0 : check('unpack_one').integer(args, 2), 'unpack_one'),
      unpack_limit: (args) =>
        unpack(
          args,
          check('unpack_limit').integer(args, 2),
          args[2] === undefined ? 0 : check('unpack_limit').integer(args, 3),
          'unpack_limit',
        ),
    }
  })
  library.set('_NAME', 'cmsgpack')
  library.set('_VERSION', 'lua-cmsgpack 0.4.0')
  machine.globals.set('cmsgpack', library)
}

class Writer {
  readonly #parts: string[] = []
  readonly #scratch = Buffer.alloc(9)

  get text(): string {
    return this.#parts.join('')
  }

  value(value: LuaValue, depth: number): void {
    switch (typeof value) {
      case 'undefined':
        return this.#bytes(0xc0)
      case 'boolean':
        return this.#bytes(value ? 0xc3 : 0xc2)
      case 'string':
        return this.#string(value)
      case 'number':
        return Number.isInteger(value) && Math.abs(value) < 2 ** 63 ? this.#integer(value) : this.#float(value)
      default:
        // What has no form is nil, and so is what lies too deep.
        if (!(value instanceof LuaTable) || depth === depthMax) return this.#bytes(0xc0)
        return this.#table(value, depth)
    }
  }

  #bytes(...bytes: number[]): void {
    this.#parts.push(String.fromCharCode(...bytes))
  }

  #sized(head: number, bytes: number, write: (scratch: Buffer) => void): void {
    this.#scratch[0] = head
    write(this.#scratch)
    this.#parts.push(this.#scratch.toString('latin1', 0, bytes + 1))
  }

  #integer(value: number): void {
    if (value >= 0) {
      if (value <= 127) this.#bytes(value)
      else if (value <= 0xff) this.#sized(0xcc, 1, (to) => to.writeUInt8(value, 1))
      else if (value <= 0xffff) this.#sized(0xcd, 2, (to) => to.writeUInt16BE(value, 1))
      else if (value <= 0xffff_ffff) this.#sized(0xce, 4, (to) => to.writeUInt32BE(value, 1))
      else this.#sized(0xcf, 8, (to) => to.writeBigUInt64BE(BigInt(value), 1))
    } else if (value >= -32) this.#bytes(value & 0xff)
    else if (value >= -128) this.#sized(0xd0, 1, (to) => to.writeInt8(value, 1))
    else if (value >= -32_768) this.#sized(0xd1, 2, (to) => to.writeInt16BE(value, 1))
    else if (value >= -2_147_483_648) this.#sized(0xd2, 4, (to) => to.writeInt32BE(value, 1))
    else this.#sized(0xd3, 8, (to) => to.writeBigInt64BE(BigInt(value), 1))
  }

  #float(value: number): void {
    if (Math.fround(value) === value) this.#sized(0xca, 4, (to) => to.writeFloatBE(value, 1))
    else this.#sized(0xcb, 8, (to) => to.writeDoubleBE(value, 1))
  }

  #string(text: string): void {
    const { length } = text
    if (length < 32) this.#bytes(0xa0 | length)
    else if (length <= 0xff) this.#sized(0xd9, 1, (to) => to.writeUInt8(length, 1))
    else if (length <= 0xffff) this.#sized(0xda, 2, (to) => to.writeUInt16BE(length, 1))
    else this.#sized(0xdb, 4, (to) => to.writeUInt32BE(length, 1))
    this.#parts.push(text)
  }

  #table(table: LuaTable, depth: number): void {
    const entries: [LuaValue, LuaValue][] = []
    for (let entry = table.next(undefined); entry !== null; entry = table.next(entry[0])) entries.push(entry)
    const isList = entries.length > 0 && entries.length === table.length && entries.every(([key]) => typeof key === 'number')
    if (isList) {
      this.#head(entries.length, 0x90, 0xdc)
      for (let at = 1; at <= table.length; at++) this.value(table.get(at), depth + 1)
      return
    }
    this.#head(entries.length, 0x80, 0xde)
    for (const [key, value] of entries) {
      this.value(key, depth + 1)
      this.value(value, depth + 1)
    }
  }

  /** `short` with up to 15, else `long` with 16 bits and the next one with 32. */
  #head(count: number, short: number, long: number): void {
    if (count <= 15) this.#bytes(short | count)
    else if (count <= 0xffff) this.#sized(long, 2, (to) => to.writeUInt16BE(count, 1))
    else this.#sized(long + 1, 4, (to) => to.writeUInt32BE(count, 1))
  }
}

class Reader {
  readonly #machine: Machine
  readonly #bytes: Buffer
  at: number
  #depth = 0

  constructor(machine: Machine, bytes: Buffer, from: number) {
    this.#machine = machine
    this.#bytes = bytes
    this.at = from
  }

  get atEnd(): boolean {
    return this.at >= this.#bytes.length
  }

  value(): LuaValue {
    if (++this.#depth > 200) throw this.#error('Bad data format in input.')
    const value = this.#value()
    this.#depth--
    return value
  }

  #error(message: string): LuaError {
    return new LuaError(this.#machine.where(1) + message)
  }

  /** Takes so many bytes; returns where they begin. */
  #take(bytes: number): number {
    if (this.at + bytes > this.#bytes.length) throw this.#error('Missing bytes in input.')
    const from = this.at
    this.at += bytes
    return from
  }

  #value(): LuaValue {
    const bytes = this.#bytes
    const head = bytes.readUInt8(this.#take(1))
    if (head <= 0x7f) return head
    if (head >= 0xe0) return head - 256
    if (head >= 0xa0 && head <= 0xbf) return this.#string(head & 31)
    if (head >= 0x90 && head <= 0x9f) return this.#list(head & 15)
    if (head >= 0x80 && head <= 0x8f) return this.#map(head & 15)
    switch (head) {
      case 0xc0:
        return undefined
      case 0xc2:
        return false
      case 0xc3:
        return true
      case 0xca:
        return bytes.readFloatBE(this.#take(4))
      case 0xcb:
        return bytes.readDoubleBE(this.#take(8))
      case 0xcc:
        return bytes.readUInt8(this.#take(1))
      case 0xcd:
        return bytes.readUInt16BE(this.#take(2))
      case 0xce:
        return bytes.readUInt32BE(this.#take(4))
      case 0xcf:
        return Number(bytes.readBigUInt64BE(this.#take(8)))
      case 0xd0:
        return bytes.readInt8(this.#take(1))
      case 0xd1:
        return bytes.readInt16BE(this.#take(2))
      case 0xd2:
        return bytes.readInt32BE(this.#take(4))
      case 0xd3:
        return Number(bytes.readBigInt64BE(this.#take(8)))
      case 0xc4:
      case 0xd9:
        return this.#string(bytes.readUInt8(this.#take(1)))
      case 0xc5:
      case 0xda:
        return this.#string(bytes.readUInt16BE(this.#take(2)))
      case 0xc6:
      case 0xdb:
        return this.#string(bytes.readUInt32BE(this.#take(4)))
      case 0xdc:
        return this.#list(bytes.readUInt16BE(this.#take(2)))
      case 0xdd:
        return this.#list(bytes.readUInt32BE(this.#take(4)))
      case 0xde:
        return this.#map(bytes.readUInt16BE(this.#take(2)))
      case 0xdf:
        return this.#map(bytes.readUInt32BE(this.#take(4)))
      default:
        throw this.#error('Bad data format in input.')
    }
  }

  #string(length: number): string {
    const from = this.#take(length)
    return this.#bytes.toString('latin1', from, from + length)
  }

  #list(length: number): LuaTable {
    const table = new LuaTable()
    for (let at = 1; at <= length; at++) table.set(at, this.value())
    return table
  }

  #map(pairs: number): LuaTable {
    const table = new LuaTable()
    for (let left = pairs; left > 0; left--) {
      const key = this.value()
      const value = this.value()
      if (key === undefined) throw this.#error('Bad data format in input.')
      table.set(key, value)
    }
    return table
  }
}
