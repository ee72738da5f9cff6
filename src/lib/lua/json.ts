/** `cjson`: JSON to and from Lua values, as lua-cjson 2.1 does it. Strings are bytes as latin1: UTF-8 passes as it is. */
import { type Args, type Arguments, install } from './library.ts'
import type { Machine } from './machine.ts'
import { LuaError, LuaTable, type LuaValue, shortest, typeName } from './value.ts'

/** JSON's null in Lua: a value that is like nothing else, a light userdata in C. */
export class JsonNull {}

const depthMax = 1000
const numberDigits = 14

interface Options {
  sparseConvert: boolean
  sparseRatio: number
  sparseSafe: number
  encodeDepth: number
  decodeDepth: number
  numberDigits: number
}

export function installJson(machine: Machine): void {
  const library = new LuaTable()
  const options: Options = {
    sparseConvert: false,
    sparseRatio: 2,
    sparseSafe: 10,
    encodeDepth: depthMax,
    decodeDepth: depthMax,
    numberDigits,
  }
  const jsonNull = new JsonNull() as unknown as LuaValue // opaque to Lua
  install(machine, library, (check) => ({
    encode: (args) => {
      if (args.length !== 1) throw check('encode').error(1, 'expected 1 argument')
      return [new Encoder(machine, options, jsonNull).encode(args[0])]
    },
    decode: (args) => {
      if (args.length !== 1) throw check('decode').error(1, 'expected 1 argument')
      return [new JsonReader(machine, check('decode').string(args, 1), options.decodeDepth, jsonNull).read()]
    },
    encode_sparse_array: (args) => {
      if (args[0] !== undefined) options.sparseConvert = args[0] === true
      if (args[1] !== undefined) options.sparseRatio = nonNegative(check('encode_sparse_array'), args, 2)
      if (args[2] !== undefined) options.sparseSafe = nonNegative(check('encode_sparse_array'), args, 3)
      return [options.sparseConvert, options.sparseRatio, options.sparseSafe]
    },
    encode_max_depth: (args) => {
      if (args[0] !== undefined) options.encodeDepth = nonNegative(check('encode_max_depth'), args, 1)
      return [options.encodeDepth]
    },
    decode_max_depth: (args) => {
      if (args[0] !== undefined) options.decodeDepth = nonNegative(check('decode_max_depth'), args, 1)
      return [options.decodeDepth]
    },
    encode_number_precision: (args) => {
      if (args[0] !== undefined) options.numberDigits = nonNegative(check('encode_number_precision'), args, 1)
      return [options.numberDigits]
    },
    encode_keep_buffer: () => [true],
    encode_invalid_numbers: () => [false],
    decode_invalid_numbers: () => [false],
  }))
  library.set('null', jsonNull)
  library.set('_NAME', 'cjson')
  library.set('_VERSION', '2.1.0')
  machine.globals.set('cjson', library)
}

function nonNegative(check: Arguments, args: Args, place: number): number {
  const value = check.integer(args, place)
  if (value < 0) throw check.error(place, 'expected integer between 0 and 2147483647')
  return value
}

const escaped: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '/': '\\/',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\f': '\\f',
  '\r': '\\r',
  '\x7f': '\\u007f',
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what JSON escapes
const toEscape = /["\\/\x00-\x1f\x7f]/g

class Encoder {
  readonly #machine: Machine
  readonly #options: Options
  readonly #null: LuaValue
  #depth = 0

  constructor(machine: Machine, options: Options, jsonNull: LuaValue) {
    this.#machine = machine
    this.#options = options
    this.#null = jsonNull
  }

  encode(value: LuaValue): string {
    if (value === this.#null) return 'null'
    switch (typeof value) {
      case 'undefined':
        return 'null'
      case 'boolean':
        return String(value)
      case 'string':
        return quote(value)
      case 'number':
        if (!Number.isFinite(value)) throw this.#error('number', 'must not be NaN or Inf')
        return shortest(value, this.#options.numberDigits)
      default:
        if (!(value instanceof LuaTable)) throw this.#error(typeName(value), 'type not supported')
        return this.#table(value)
    }
  }

  #error(type: string, reason: string): LuaError {
    return new LuaError(`${this.#machine.where(1)}Cannot serialise ${type}: ${reason}`)
  }

  #table(table: LuaTable): string {
    if (++this.#depth > this.#options.encodeDepth)
      throw new LuaError(`${this.#machine.where(1)}Cannot serialise, excessive depth (${this.#depth})`)
    const length = this.#arrayLength(table)
    let text: string
    if (length > 0) {
      const parts: string[] = []
      for (let at = 1; at <= length; at++) parts.push(this.encode(table.get(at)))
      text = `[${parts.join(',')}]`
    } else text = this.#object(table)
    this.#depth--
    return text
  }

  #object(table: LuaTable): string {
    const parts: string[] = []
    for (let entry = table.next(undefined); entry !== null; entry = table.next(entry[0])) {
      const [key, value] = entry
      if (typeof key === 'string') parts.push(`${quote(key)}:${this.encode(value)}`)
      else if (typeof key === 'number') parts.push(`"${shortest(key, this.#options.numberDigits)}":${this.encode(value)}`)
      else throw this.#error('table', 'table key must be a number or string')
    }
    return `{${parts.join(',')}}`
  }

  /** How long it is as an array; -1: it is none, 0: it is empty. Arrays with too many holes are objects, or an error. */
  #arrayLength(table: LuaTable): number {
    let most = 0
    let items = 0
    for (let entry = table.next(undefined); entry !== null; entry = table.next(entry[0])) {
      const [key] = entry
      if (typeof key !== 'number' || !Number.isInteger(key) || key < 1) return -1
      most = Math.max(most, key)
      items++
    }
    const { sparseRatio, sparseSafe, sparseConvert } = this.#options
    if (sparseRatio > 0 && most > items * sparseRatio && most > sparseSafe) {
      if (!sparseConvert) throw this.#error('table', 'excessively sparse array')
      return -1
    }
    return most
  }
}

const quote = (text: string): string =>
  `"${text.replace(toEscape, (char) => escaped[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`

const unescaped: Readonly<Record<string, string>> = { b: '\b', t: '\t', n: '\n', f: '\f', r: '\r' }

class JsonReader {
  readonly #machine: Machine
  readonly #text: string
  readonly #depthMax: number
  readonly #null: LuaValue
  #at = 0
  #depth = 0

  constructor(machine: Machine, text: string, depth: number, jsonNull: LuaValue) {
    this.#machine = machine
    this.#text = text
    this.#depthMax = depth
    this.#null = jsonNull
  }

  read(): LuaValue {
    const value = this.#value()
    this.#skip()
    if (this.#at < this.#text.length) throw this.#expected('the end')
    return value
  }

  #expected(what: string): LuaError {
    const char = this.#text[this.#at]
    const found = char === undefined ? 'T_END' : /[a-z]/i.test(char) ? 'invalid token' : this.#tokenName(char)
    return new LuaError(`${this.#machine.where(1)}Expected ${what} but found ${found} at character ${this.#at + 1}`)
  }

  #tokenName(char: string): string {
    const names: Readonly<Record<string, string>> = {
      '{': 'T_OBJ_BEGIN',
      '}': 'T_OBJ_END',
      '[': 'T_ARR_BEGIN',
      ']': 'T_ARR_END',
      ',': 'T_COMMA',
      ':': 'T_COLON',
      '"': 'T_STRING',
    }
    return names[char] ?? (/[\d-]/.test(char) ? 'T_NUMBER' : 'invalid token')
  }

  #skip(): void {
    while (' \t\r\n'.includes(this.#text[this.#at] ?? 'x')) this.#at++
  }

  #value(): LuaValue {
    this.#skip()
    const char = this.#text[this.#at]
    switch (char) {
      case '{':
        return this.#object()
      case '[':
        return this.#array()
      case '"':
        return this.#string()
    }
    for (const [word, value] of [
      ['true', true],
      ['false', false],
      ['null', this.#null],
    ] as const) {
      if (!this.#text.startsWith(word, this.#at)) continue
      this.#at += word.length
      return value
    }
    // As lua-cjson: what strtod takes, hexadecimal included, without signs of plus.
    const number = /-?(0x[0-9a-f]+|\d+\.?\d*([eE][+-]?\d+)?)/iy
    number.lastIndex = this.#at
    const found = number.exec(this.#text)
    if (found === null) throw this.#expected('value')
    this.#at += found[0].length
    return found[0].startsWith('-0x') ? -Number(found[0].slice(1)) : Number(found[0])
  }

  #enter(): void {
    if (++this.#depth > this.#depthMax)
      throw new LuaError(`${this.#machine.where(1)}Found too many nested data structures (${this.#depth})`)
    this.#at++
    this.#skip()
  }

  #object(): LuaTable {
    this.#enter()
    const table = new LuaTable()
    if (this.#text[this.#at] !== '}') {
      for (;;) {
        this.#skip()
        if (this.#text[this.#at] !== '"') throw this.#expected('object key string')
        const key = this.#string()
        this.#skip()
        if (this.#text[this.#at] !== ':') throw this.#expected('colon')
        this.#at++
        table.set(key, this.#value())
        this.#skip()
        const char = this.#text[this.#at]
        if (char === '}') break
        if (char !== ',') throw this.#expected('comma or object end')
        this.#at++
      }
    }
    this.#at++
    this.#depth--
    return table
  }

  #array(): LuaTable {
    this.#enter()
    const table = new LuaTable()
    if (this.#text[this.#at] !== ']') {
      for (let place = 1; ; place++) {
        table.set(place, this.#value())
        this.#skip()
        const char = this.#text[this.#at]
        if (char === ']') break
        if (char !== ',') throw this.#expected('comma or array end')
        this.#at++
      }
    }
    this.#at++
    this.#depth--
    return table
  }

  #string(): string {
    const text = this.#text
    let result = ''
    let from = ++this.#at
    for (;;) {
      const char = text[this.#at]
      if (char === undefined || char < ' ')
        throw new LuaError(
          `${this.#machine.where(1)}Expected value but found unexpected end of string at character ${this.#at + 1}`,
        )
      if (char === '"') {
        result += text.slice(from, this.#at++)
        return result
      }
      if (char !== '\\') {
        this.#at++
        continue
      }
      result += text.slice(from, this.#at)
      result += this.#escape()
      from = this.#at
    }
  }

  #escape(): string {
    const char = this.#text[this.#at + 1] ?? ''
    if (char !== 'u') {
      if (!'"\\/btnfr'.includes(char) || char === '')
        throw new LuaError(`${this.#machine.where(1)}Expected value but found invalid escape code at character ${this.#at + 1}`)
      this.#at += 2
      return unescaped[char] ?? char
    }
    const high = this.#unit(this.#at + 2)
    this.#at += 6
    if (high < 0xd800 || high > 0xdbff || this.#text[this.#at] !== '\\' || this.#text[this.#at + 1] !== 'u')
      return Buffer.from(String.fromCharCode(high)).toString('latin1')
    const low = this.#unit(this.#at + 2)
    this.#at += 6
    return Buffer.from(String.fromCharCode(high, low)).toString('latin1')
  }

  #unit(at: number): number {
    const digits = this.#text.slice(at, at + 4)
    if (!/^[0-9a-f]{4}$/i.test(digits))
      throw new LuaError(`${this.#machine.where(1)}Expected value but found invalid unicode escape code at character ${at - 1}`)
    return Number.parseInt(digits, 16)
  }
}
