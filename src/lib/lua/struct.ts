/** `struct`: numbers and strings to and from bytes by a format, as Roberto Ierusalimschy's library of that name (0.2) does it. */
import { type Args, type Arguments, install } from './library.ts'
import type { Machine } from './machine.ts'
import { LuaError, LuaTable, type LuaValue } from './value.ts'

/** What one letter of a format means. */
interface Item {
  readonly letter: string
  readonly bytes: number
  readonly little: boolean
  /** Zeros before it. */
  readonly padding: number
}

const integerBytesMax = 32
const nativeAlignment = 8

export function installStruct(machine: Machine): void {
  const library = new LuaTable()
  install(machine, library, (check) => ({
    pack: (args) => [pack(machine, check('pack'), args)],
    unpack: (args) => unpack(machine, check('unpack'), args),
    size: (args) => {
      let total = 0
      for (const item of items(machine, check('size').string(args, 1), () => total)) {
        if (item.letter === 's') throw check('size').error(1, "variable-size format for 'size'")
        if (item.letter === 'c' && item.bytes === 0) throw check('size').error(1, "variable-length format for 'size'")
        total += item.padding + item.bytes
      }
      return [total]
    },
  }))
  machine.globals.set('struct', library)
}

/** Reads a format; `at` is where in the bytes it stands, for alignment. */
function* items(machine: Machine, format: string, at: () => number): Generator<Item> {
  let little = true
  let alignment = 1
  for (let place = 0; place < format.length; ) {
    const letter = format[place++] as string // place < length
    const digits = /^\d*/.exec(format.slice(place))?.[0] ?? ''
    const number = digits === '' ? null : Number(digits)
    if ('!iIc'.includes(letter)) place += digits.length
    switch (letter) {
      case ' ':
        continue
      case '<':
        little = true
        continue
      case '>':
        little = false
        continue
      case '!':
        alignment = number ?? nativeAlignment
        if (alignment === 0 || (alignment & (alignment - 1)) !== 0)
          throw new LuaError(`${machine.where(1)}alignment is not a power of 2`)
        continue
    }
    const bytes = sizeOf(machine, letter, number)
    const align = Math.min(bytes, alignment)
    const aligned = align > 1 && letter !== 'c' && letter !== 'x' && letter !== 's'
    yield { letter, bytes, little, padding: aligned ? (align - (at() & (align - 1))) & (align - 1) : 0 }
  }
}

function sizeOf(machine: Machine, letter: string, number: number | null): number {
  const fixed: Readonly<Record<string, number>> = { b: 1, B: 1, h: 2, H: 2, l: 8, L: 8, T: 8, f: 4, d: 8, x: 1, s: 0 }
  const size = fixed[letter]
  if (size !== undefined) return size
  if (letter === 'c') return number ?? 1
  if (letter !== 'i' && letter !== 'I') throw new LuaError(`${machine.where(1)}invalid format option '${letter}'`)
  const bytes = number ?? 4
  if (bytes > integerBytesMax)
    throw new LuaError(`${machine.where(1)}integral size ${bytes} is larger than limit of ${integerBytesMax}`)
  return bytes
}

function pack(machine: Machine, check: Arguments, args: Args): string {
  const parts: Buffer[] = []
  let total = 0
  let place = 2
  const add = (bytes: Buffer): void => {
    parts.push(bytes)
    total += bytes.length
  }
  for (const { letter, bytes, little, padding } of items(machine, check.string(args, 1), () => total)) {
    if (padding > 0) add(Buffer.alloc(padding))
    switch (letter) {
      case 'x':
        add(Buffer.alloc(1))
        break
      case 'f':
      case 'd': {
        const buffer = Buffer.alloc(bytes)
        const value = check.number(args, place++)
        if (letter === 'f') little ? buffer.writeFloatLE(value) : buffer.writeFloatBE(value)
        else little ? buffer.writeDoubleLE(value) : buffer.writeDoubleBE(value)
        add(buffer)
        break
      }
      case 's':
        add(Buffer.from(`${check.string(args, place++)}\0`, 'latin1'))
        break
      case 'c': {
        const text = check.string(args, place++)
        const wanted = bytes === 0 ? text.length : bytes
        if (text.length < wanted) throw check.error(place - 1, 'string too short')
        add(Buffer.from(text.slice(0, wanted), 'latin1'))
        break
      }
      default:
        add(integerBytes(check.number(args, place++), bytes, little))
    }
  }
  return Buffer.concat(parts).toString('latin1')
}

function integerBytes(value: number, bytes: number, little: boolean): Buffer {
  const buffer = Buffer.alloc(bytes)
  let rest = BigInt.asUintN(bytes * 8, BigInt(Math.floor(value) || 0))
  for (let at = 0; at < bytes; at++) {
    buffer[little ? at : bytes - 1 - at] = Number(rest & 255n)
    rest >>= 8n
  }
  return buffer
}

function unpack(machine: Machine, check: Arguments, args: Args): LuaValue[] {
  const data = Buffer.from(check.string(args, 2), 'latin1')
  let at = check.integer(args, 3, 1) - 1
  if (at < 0) throw check.error(3, 'offset must be 1 or greater')
  const values: LuaValue[] = []
  for (const { letter, bytes, little, padding } of items(machine, check.string(args, 1), () => at)) {
    at += padding
    if (at + bytes > data.length) throw check.error(2, 'data string too short')
    switch (letter) {
      case 'x':
        break
      case 'f':
        values.push(little ? data.readFloatLE(at) : data.readFloatBE(at))
        break
      case 'd':
        values.push(little ? data.readDoubleLE(at) : data.readDoubleBE(at))
        break
      case 's': {
        const end = data.indexOf(0, at)
        if (end < 0) throw new LuaError(`${machine.where(1)}unfinished string in data`)
        values.push(data.toString('latin1', at, end))
        at = end + 1
        break
      }
      case 'c': {
        let wanted = bytes
        if (bytes === 0) {
          const size = values.pop()
          if (typeof size !== 'number') throw new LuaError(`${machine.where(1)}format 'c0' needs a previous size`)
          wanted = size
          if (at + wanted > data.length) throw check.error(2, 'data string too short')
        }
        values.push(data.toString('latin1', at, at + wanted))
        at += wanted - bytes
        break
      }
      default:
        values.push(readInteger(data, at, bytes, little, letter === letter.toLowerCase()))
    }
    at += letter === 's' ? 0 : bytes
  }
  return [...values, at + 1]
}

function readInteger(data: Buffer, from: number, bytes: number, little: boolean, signed: boolean): number {
  let value = 0n
  for (let at = 0; at < bytes; at++) value = (value << 8n) | BigInt(data[little ? from + bytes - 1 - at : from + at] ?? 0)
  return Number(signed ? BigInt.asIntN(bytes * 8, value) : value)
}
