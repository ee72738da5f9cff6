/** Strings as bits: SETBIT, BITCOUNT, BITPOS, BITOP. BITFIELD is in bitfield.ts. */
import { integer, option, text } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import type { Database } from '../database.ts'
import { RedisError, syntaxError } from '../errors.ts'
import { stringBytesMax } from './strings.ts'

const nothing = Buffer.alloc(0)

const bytesOf = (db: Database, key: string): Buffer => db.string(key)?.buffer ?? nothing

/** Also in BITFIELD. */
export function bitOffset(arg: Buffer | undefined): number {
  const message = 'ERR bit offset is not an integer or out of range'
  const offset = integer(arg, message)
  if (offset < 0 || offset >= stringBytesMax * 8) throw new RedisError(message)
  return offset
}

function setBit({ args, db, reply }: Call): void {
  const key = text(args[1])
  const offset = bitOffset(args[2])
  const bit = text(args[3])
  if (bit !== '0' && bit !== '1') throw new RedisError('ERR bit is not an integer or out of range')
  const bytes = bytesOf(db, key)
  const place = offset >> 3
  const mask = 0x80 >> (offset & 7)
  const before = bytes[place] ?? 0
  const after = bit === '1' ? before | mask : before & ~mask
  if (place >= bytes.length || after !== before) {
    db.patchString(key, place, Buffer.from([after]))
    db.notify('$', 'setbit', key)
  }
  reply.integer((before & mask) === 0 ? 0 : 1)
}

function getBit({ args, db, reply }: Call): void {
  const offset = bitOffset(args[2])
  const byte = bytesOf(db, text(args[1]))[offset >> 3] ?? 0
  reply.integer((byte >> (7 - (offset & 7))) & 1)
}

const onesOfByte = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll('0', '').length)

interface BitRange {
  /** First and last bit, both included; empty when first is greater. */
  readonly first: number
  readonly last: number
}

/** From `start stop [BYTE|BIT]` at argument `at`; without them, all. */
function bitRange(args: readonly Buffer[], at: number, bytes: number): BitRange {
  const total = bytes * 8
  if (args.length <= at) return { first: 0, last: total - 1 }
  const start = integer(args[at])
  const stop = at + 1 < args.length ? integer(args[at + 1]) : -1
  if (start < 0 && stop < 0 && start > stop) return { first: 1, last: 0 }
  const unit = at + 2 < args.length ? option(args[at + 2]) : 'BYTE'
  if (args.length > at + 3 || (unit !== 'BYTE' && unit !== 'BIT')) throw syntaxError()
  const length = unit === 'BIT' ? total : bytes
  const from = Math.max(0, start < 0 ? start + length : start)
  const to = Math.min(length - 1, Math.max(0, stop < 0 ? stop + length : stop))
  return unit === 'BIT' ? { first: from, last: to } : { first: from * 8, last: to * 8 + 7 }
}

function bitCount({ args, db, reply }: Call): void {
  const value = db.string(text(args[1]))
  // Where there is nothing, nothing else is looked at.
  if (value === undefined) return reply.integer(0)
  if (args.length === 3) throw syntaxError()
  const bytes = value.buffer
  const { first, last } = bitRange(args, 2, bytes.length)
  if (bytes.length === 0 || first > last) return reply.integer(0)
  let count = 0
  for (let place = first >> 3; place <= last >> 3; place++) {
    let byte = bytes[place] ?? 0
    if (place === first >> 3) byte &= 0xff >> (first & 7)
    if (place === last >> 3) byte &= 0xff << (7 - (last & 7))
    count += onesOfByte[byte & 0xff] as number // of 256
  }
  reply.integer(count)
}

function bitPos({ args, db, reply }: Call): void {
  const wanted = text(args[2])
  if (wanted !== '0' && wanted !== '1') throw new RedisError('ERR The bit argument must be 1 or 0.')
  const value = db.string(text(args[1]))
  if (value === undefined) return reply.integer(wanted === '1' ? -1 : 0)
  const bytes = value.buffer
  const { first, last } = bitRange(args, 3, bytes.length)
  // Behind its end a string is zeros, unless an end was said.
  const endSaid = args.length > 4
  for (let bit = first; bit <= last; bit++) {
    const byte = bytes[bit >> 3] ?? 0
    if ((bit & 7) === 0 && bit + 7 <= last && byte === (wanted === '1' ? 0 : 0xff)) {
      bit += 7
      continue
    }
    if (((byte >> (7 - (bit & 7))) & 1) === Number(wanted)) return reply.integer(bit)
  }
  reply.integer(wanted === '0' && !endSaid && first <= last ? bytes.length * 8 : -1)
}

function bitOp({ args, db, reply }: Call): void {
  const operation = option(args[1])
  const key = text(args[2])
  if (!['AND', 'OR', 'XOR', 'NOT'].includes(operation)) throw syntaxError()
  if (operation === 'NOT' && args.length !== 4) throw new RedisError('ERR BITOP NOT must be called with a single source key.')
  const sources = args.slice(3).map((arg) => bytesOf(db, text(arg)))
  const length = Math.max(...sources.map((source) => source.length))
  const result = Buffer.alloc(length)
  for (let at = 0; at < length; at++) {
    let byte = sources[0]?.[at] ?? 0
    if (operation === 'NOT') byte = ~byte
    for (const source of sources.slice(1)) {
      const other = source[at] ?? 0
      if (operation === 'AND') byte &= other
      else if (operation === 'OR') byte |= other
      else byte ^= other
    }
    result[at] = byte & 0xff
  }
  if (length > 0) {
    db.putString(key, result.toString('latin1'), 0)
    db.notify('$', 'set', key)
  } else if (db.exists(key)) {
    db.remove(key)
    db.notify('g', 'del', key)
  }
  reply.integer(length)
}

const one = [1, 1, 1] as const

export const bitCommands: readonly Command[] = [
  command('bitmap', 'setbit', 4, 'write denyoom', one, setBit),
  command('bitmap', 'getbit', 3, 'readonly fast', one, getBit),
  command('bitmap', 'bitcount', -2, 'readonly', one, bitCount),
  command('bitmap', 'bitpos', -3, 'readonly', one, bitPos),
  command('bitmap', 'bitop', -4, 'write denyoom', [2, -1, 1], bitOp),
]
