/** Avro's binary encoding ⇄ its JSON encoding (Avro 1.11 specification, "Data Serialization"), for values without a container file. */
import { isObject } from '../json-text.ts'
import { depthMax, Unfit } from '../schema.ts'
import { type AvroType, branchName } from './type.ts'

/** Values may take no bytes (null), so their number needs a bound of its own. */
const valuesMax = 1_000_000

export function decodeAvro(type: AvroType, bytes: Buffer): unknown {
  const reader = new Reader(bytes)
  const value = reader.value(type, 0)
  if (reader.at < bytes.length) throw new Unfit(`${bytes.length - reader.at} bytes follow the value`)
  return value
}

export function encodeAvro(type: AvroType, value: unknown): Buffer {
  const parts: Buffer[] = []
  write(type, value, parts, '', 0)
  return Buffer.concat(parts)
}

class Reader {
  at = 0
  #values = 0
  readonly #bytes: Buffer

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  value(type: AvroType, depth: number): unknown {
    if (depth > depthMax) throw new Unfit(`it is nested more than ${depthMax} deep`)
    if (++this.#values > valuesMax) throw new Unfit(`it holds more than ${valuesMax} values`)
    switch (type.kind) {
      case 'null':
        return null
      case 'boolean':
        return this.#boolean()
      case 'int': {
        const value = this.#long()
        if (value !== BigInt.asIntN(32, value)) throw new Unfit(`${value} is no int`)
        return Number(value)
      }
      case 'long': {
        const value = this.#long()
        return Number.isSafeInteger(Number(value)) ? Number(value) : value
      }
      case 'float':
        return json(this.#take(4).readFloatLE())
      case 'double':
        return json(this.#take(8).readDoubleLE())
      case 'bytes':
        return this.#take(this.#length()).toString('latin1')
      case 'string':
        return this.#string()
      case 'fixed':
        return this.#take(type.size).toString('latin1')
      case 'enum': {
        const index = Number(this.#long())
        const symbol = type.symbols[index]
        if (symbol === undefined) throw new Unfit(`${index} is no symbol of ${type.name}`)
        return symbol
      }
      case 'union': {
        const index = Number(this.#long())
        const branch = type.branches[index]
        if (branch === undefined) throw new Unfit(`${index} is no branch of the union`)
        const value = this.value(branch, depth + 1)
        return branch.kind === 'null' ? null : { [branchName(branch)]: value }
      }
      case 'array': {
        const items: unknown[] = []
        this.#blocks(() => items.push(this.value(type.items, depth + 1)))
        return items
      }
      case 'map': {
        const entries: [string, unknown][] = []
        this.#blocks(() => entries.push([this.#string(), this.value(type.values, depth + 1)]))
        return Object.fromEntries(entries)
      }
      case 'record':
      case 'error':
        return Object.fromEntries(type.fields.map((field) => [field.name, this.value(field.type, depth + 1)]))
    }
  }

  #boolean(): boolean {
    const byte = this.#take(1)[0]
    if (byte !== 0 && byte !== 1) throw new Unfit(`${byte} is no boolean`)
    return byte === 1
  }

  #string(): string {
    const bytes = this.#take(this.#length())
    try {
      return utf8.decode(bytes)
    } catch {
      throw new Unfit('a string is not in UTF-8')
    }
  }

  #blocks(item: () => void): void {
    for (;;) {
      let count = Number(this.#long())
      if (count === 0) return
      if (count < 0) {
        count = -count
        this.#long() // the block's bytes, for those who skip it
      }
      for (; count > 0; count--) item()
    }
  }

  #length(): number {
    const length = Number(this.#long())
    if (length < 0) throw new Unfit(`a length of ${length}`)
    return length
  }

  #take(length: number): Buffer {
    if (length > this.#bytes.length - this.at) throw new Unfit('the bytes end within a value')
    this.at += length
    return this.#bytes.subarray(this.at - length, this.at)
  }

  /** Zig-zag, seven bits a byte, the lowest first; ten bytes at most. */
  #long(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#take(1)[0] as number // one was taken
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n))
    }
    throw new Unfit('a number of more than ten bytes')
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** JSON has no such numbers; Avro's library writes them as text. */
const json = (value: number): unknown => (Number.isFinite(value) ? value : String(value))

function write(type: AvroType, value: unknown, out: Buffer[], path: string, depth: number): void {
  if (depth > depthMax) throw new Unfit(`it is nested more than ${depthMax} deep`)
  const wrong = (): Unfit => new Unfit(`${path || 'the value'} is no ${branchName(type)}`)
  switch (type.kind) {
    case 'null':
      if (value !== null) throw wrong()
      return
    case 'boolean':
      if (typeof value !== 'boolean') throw wrong()
      out.push(Buffer.from([value ? 1 : 0]))
      return
    case 'int':
      if (typeof value !== 'number' || (value | 0) !== value) throw wrong()
      out.push(long(value))
      return
    case 'long':
      if (typeof value === 'bigint' ? BigInt.asIntN(64, value) !== value : !Number.isSafeInteger(value)) throw wrong()
      out.push(long(value as bigint | number)) // checked in the line above
      return
    case 'float':
    case 'double': {
      const number = typeof value === 'bigint' ? Number(value) : nonFinite(value)
      if (typeof number !== 'number') throw wrong()
      const bytes = Buffer.alloc(type.kind === 'float' ? 4 : 8)
      if (type.kind === 'float') bytes.writeFloatLE(number)
      else bytes.writeDoubleLE(number)
      out.push(bytes)
      return
    }
    case 'string': {
      if (typeof value !== 'string') throw wrong()
      const bytes = Buffer.from(value)
      out.push(long(bytes.length), bytes)
      return
    }
    case 'fixed':
    case 'bytes': {
      if (typeof value !== 'string' || /[^\0-\xff]/.test(value)) throw wrong()
      const bytes = Buffer.from(value, 'latin1')
      if (type.kind === 'fixed' && bytes.length !== type.size) throw wrong()
      if (type.kind === 'bytes') out.push(long(bytes.length))
      out.push(bytes)
      return
    }
    case 'enum': {
      const index = type.symbols.indexOf(value as string) // anything else is not among them
      if (index < 0) throw wrong()
      out.push(long(index))
      return
    }
    case 'union':
      return writeUnion(type.branches, value, out, path, depth)
    case 'array':
      if (!Array.isArray(value)) throw wrong()
      if (value.length > 0) out.push(long(value.length))
      value.forEach((item, index) => {
        write(type.items, item, out, `${path}[${index}]`, depth + 1)
      })
      out.push(long(0))
      return
    case 'map': {
      if (!isObject(value)) throw wrong()
      const entries = Object.entries(value)
      if (entries.length > 0) out.push(long(entries.length))
      for (const [key, item] of entries) {
        const bytes = Buffer.from(key)
        out.push(long(bytes.length), bytes)
        write(type.values, item, out, `${path}.${key}`, depth + 1)
      }
      out.push(long(0))
      return
    }
    case 'record':
    case 'error': {
      if (!isObject(value)) throw wrong()
      const unknown = Object.keys(value).find((key) => !type.fields.some(({ name }) => name === key))
      if (unknown !== undefined) throw new Unfit(`${type.name} has no field ${unknown}`)
      for (const { name, type: inner } of type.fields) {
        if (!(name in value)) throw new Unfit(`the field ${path === '' ? name : `${path}.${name}`} is missing`)
        write(inner, value[name], out, path === '' ? name : `${path}.${name}`, depth + 1)
      }
    }
  }
}

/** null, or an object of one key: the branch's name. */
function writeUnion(branches: readonly AvroType[], value: unknown, out: Buffer[], path: string, depth: number): void {
  const names = branches.map(branchName)
  const [name, ...others] = value === null ? ['null'] : isObject(value) ? Object.keys(value) : []
  const index = others.length > 0 || name === undefined ? -1 : names.indexOf(name)
  const branch = branches[index]
  if (branch === undefined)
    throw new Unfit(`${path || 'the value'} is null or an object with one of these keys: ${names.join(', ')}`)
  out.push(long(index))
  write(branch, value === null ? null : (value as Record<string, unknown>)[name as string], out, path, depth + 1) // it has this key
}

function nonFinite(value: unknown): unknown {
  return value === 'NaN' ? Number.NaN : value === 'Infinity' ? Infinity : value === '-Infinity' ? -Infinity : value
}

function long(value: number | bigint): Buffer {
  const big = BigInt(value)
  let rest = BigInt.asUintN(64, (big << 1n) ^ (big >> 63n))
  const bytes: number[] = []
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}
