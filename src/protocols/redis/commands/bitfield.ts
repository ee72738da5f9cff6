/** BITFIELD: integers of any width at any bit of a string. */
import { integer, option, text } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import type { Database } from '../database.ts'
import { RedisError, syntaxError } from '../errors.ts'
import { stringBytesMax } from './strings.ts'

type Overflow = 'WRAP' | 'SAT' | 'FAIL'

interface Operation {
  readonly kind: 'GET' | 'SET' | 'INCRBY'
  readonly signed: boolean
  readonly bits: number
  readonly offset: number
  readonly value: bigint
  readonly overflow: Overflow
}

function fieldType(arg: Buffer | undefined): { signed: boolean; bits: number } {
  const match = /^([iu])(\d{1,2})$/.exec(text(arg))
  const bits = Number(match?.[2])
  const signed = match?.[1] === 'i'
  if (match === null || bits < 1 || bits > (signed ? 64 : 63))
    throw new RedisError('ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.')
  return { signed, bits }
}

/** `#n` counts in fields of that width. */
function fieldOffset(arg: Buffer | undefined, bits: number): number {
  const word = text(arg)
  const message = 'ERR bit offset is not an integer or out of range'
  const offset = word.startsWith('#') ? integer(word.slice(1), message) * bits : integer(word, message)
  if (offset < 0 || offset + bits > stringBytesMax * 8) throw new RedisError(message)
  return offset
}

function readOperations(args: readonly Buffer[], readOnly: boolean): Operation[] {
  const operations: Operation[] = []
  let overflow: Overflow = 'WRAP'
  for (let at = 2; at < args.length; ) {
    const kind = option(args[at])
    if (kind === 'OVERFLOW' && at + 1 < args.length) {
      const how = option(args[at + 1])
      if (how !== 'WRAP' && how !== 'SAT' && how !== 'FAIL') throw new RedisError('ERR Invalid OVERFLOW type specified')
      overflow = how
      at += 2
      continue
    }
    const words = kind === 'GET' ? 3 : 4
    if ((kind !== 'GET' && kind !== 'SET' && kind !== 'INCRBY') || at + words > args.length) throw syntaxError()
    const { signed, bits } = fieldType(args[at + 1])
    const offset = fieldOffset(args[at + 2], bits)
    const value = kind === 'GET' ? 0n : BigInt(text(args[at + 3]).match(/^-?\d{1,19}$/)?.[0] ?? notInteger())
    operations.push({ kind, signed, bits, offset, value, overflow })
    at += words
  }
  if (readOnly && operations.some(({ kind }) => kind !== 'GET'))
    throw new RedisError('ERR BITFIELD_RO only supports the GET subcommand')
  return operations
}

function notInteger(): never {
  throw new RedisError('ERR value is not an integer or out of range')
}

function readField(bytes: Buffer, { signed, bits, offset }: Operation): bigint {
  let value = 0n
  for (let bit = offset; bit < offset + bits; ) {
    const byte = bytes[bit >> 3] ?? 0
    const taken = Math.min(8 - (bit & 7), offset + bits - bit)
    const part = (byte >> (8 - (bit & 7) - taken)) & ((1 << taken) - 1)
    value = (value << BigInt(taken)) | BigInt(part)
    bit += taken
  }
  return signed ? BigInt.asIntN(bits, value) : value
}

function writeField(db: Database, key: string, bytes: Buffer, { bits, offset }: Operation, value: bigint): void {
  const first = offset >> 3
  const last = (offset + bits - 1) >> 3
  const patch = Buffer.alloc(last - first + 1)
  for (let at = first; at <= last; at++) patch[at - first] = bytes[at] ?? 0
  const unsigned = BigInt.asUintN(bits, value)
  for (let bit = 0; bit < bits; bit++) {
    const place = offset + bit - first * 8
    const mask = 0x80 >> (place & 7)
    const byte = patch[place >> 3] as number // within
    patch[place >> 3] = ((unsigned >> BigInt(bits - 1 - bit)) & 1n) === 1n ? byte | mask : byte & ~mask
  }
  db.patchString(key, first, patch)
}

/** null: it does not fit, and shall fail. */
function fit(value: bigint, { signed, bits, overflow }: Operation): bigint | null {
  const max = signed ? (1n << BigInt(bits - 1)) - 1n : (1n << BigInt(bits)) - 1n
  const min = signed ? -(1n << BigInt(bits - 1)) : 0n
  if (value >= min && value <= max) return value
  if (overflow === 'FAIL') return null
  if (overflow === 'SAT') return value > max ? max : min
  return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value)
}

/** The string becomes as long as what is written needs, be it written or not. */
function extend(db: Database, key: string, operations: readonly Operation[]): void {
  const ends = operations.filter(({ kind }) => kind !== 'GET').map(({ offset, bits }) => (offset + bits + 7) >> 3)
  const length = Math.max(0, ...ends)
  if (length > (db.string(key)?.length ?? 0)) db.patchString(key, length - 1, Buffer.alloc(1))
}

function bitField({ args, db, reply }: Call, readOnly: boolean): void {
  const key = text(args[1])
  const operations = readOperations(args, readOnly)
  db.string(key)
  extend(db, key, operations)
  let changed = false
  reply.array(operations.length)
  for (const operation of operations) {
    const bytes = db.string(key)?.buffer ?? Buffer.alloc(0)
    const before = readField(bytes, operation)
    if (operation.kind === 'GET') {
      reply.integer(before)
      continue
    }
    const after = fit(operation.kind === 'SET' ? operation.value : before + operation.value, operation)
    if (after === null) {
      reply.nil()
      continue
    }
    writeField(db, key, bytes, operation, after)
    changed = true
    reply.integer(operation.kind === 'SET' ? before : after)
  }
  if (changed) db.notify('$', 'setbit', key)
}

const one = [1, 1, 1] as const

export const bitFieldCommands: readonly Command[] = [
  command('bitmap', 'bitfield', -2, 'write denyoom', one, (call) => bitField(call, false)),
  command('bitmap', 'bitfield_ro', -2, 'readonly fast', one, (call) => bitField(call, true)),
]
