/**
 * Envelope ⇄ attributes of stream entries, pure and total: version byte (1), u64 ms, u64 seq, then fields and values in turn, each u32 length and bytes. The
 * table is in docs/bridging.md: the field `value` is the record's value, the others are its headers; an entry without that field has all its fields as JSON for a value.
 */
import { Buffer } from 'node:buffer'
import { addFlatHeaders, flatHeaders } from '../../core/flat-headers.ts'
import type { Attributes, Format } from '../../core/record.ts'
import { formats } from '../../core/record.ts'
import { putU32, putU64 } from '../../lib/bytes.ts'
import type { Request } from '../../lib/resp/request.ts'
import { idMin, type StreamId, type U64, u64 } from './stream-id.ts'

export const entryFormatId = 114
const headBytes = 17
const valueField = 'value'
const typesField = 'anymq.types'
const nullType = '=null'
/** Says that the value is what is made of the fields. */
const fieldsMark = 'redis.fields'

/** Fields and values in turn. */
export type Pairs = readonly Buffer[]

export function encodeEntry(id: StreamId, pairs: Pairs): Buffer {
  let bytes = headBytes
  for (const part of pairs) bytes += 4 + part.length
  const envelope = withHead(id, bytes)
  let at = headBytes
  for (const part of pairs) {
    putU32(envelope, at, part.length)
    envelope.set(part, at + 4)
    at += 4 + part.length
  }
  return envelope
}

/** The same of a request's arguments from `first` on. */
export function encodeRequested(id: StreamId, request: Request, first: number): Buffer {
  let bytes = headBytes
  for (let index = first; index < request.length; index++) bytes += 4 + request.size(index)
  const envelope = withHead(id, bytes)
  let at = headBytes
  for (let index = first; index < request.length; index++) {
    putU32(envelope, at, request.size(index))
    at = request.copy(index, envelope, at + 4)
  }
  return envelope
}

function withHead({ ms, seq }: StreamId, bytes: number): Buffer {
  const envelope = Buffer.allocUnsafe(bytes)
  envelope[0] = 1
  putId(envelope, 1, ms)
  putId(envelope, 9, seq)
  return envelope
}

function putId(buffer: Buffer, at: number, value: U64): void {
  if (typeof value === 'bigint') buffer.writeBigUInt64BE(value, at)
  else putU64(buffer, at, value)
}

function getU64(buffer: Buffer, at: number): U64 {
  const high = buffer.readUInt32BE(at)
  return high < 0x20_0000 ? high * 0x1_0000_0000 + buffer.readUInt32BE(at + 4) : u64(buffer.readBigUInt64BE(at))
}

interface Envelope {
  readonly format: number
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
}

/** null: another protocol's record, which carries none. */
export function entryId({ format, buffer, start, end }: Envelope): StreamId | null {
  if (format !== entryFormatId || end - start < headBytes || buffer[start] !== 1) return null
  return { ms: getU64(buffer, start + 1), seq: getU64(buffer, start + 9) }
}

/** A record of another protocol has its value as the field `value`, and what else it has as fields under the names of flat headers. */
export function pairsOf({ format, buffer, start, end }: Envelope): Pairs {
  if (format === entryFormatId) return decodePairs(buffer, start, end)
  return pairsOfAttributes(formats.get(format).toAttributes(buffer.subarray(start, end)))
}

function decodePairs(buffer: Buffer, start: number, end: number): Pairs {
  const pairs: Buffer[] = []
  for (let at = start + headBytes; at + 4 <= end; ) {
    const next = at + 4 + buffer.readUInt32BE(at)
    if (next > end) break
    pairs.push(buffer.subarray(at + 4, next))
    at = next
  }
  return pairs.length % 2 === 0 ? pairs : pairs.slice(0, -1)
}

function pairsOfAttributes(attributes: Attributes): Pairs {
  const isMade = attributes.extra?.some(({ name }) => name === fieldsMark) === true
  const extra = attributes.extra?.filter(({ name }) => name !== fieldsMark) ?? []
  const { extra: _, ...others } = attributes
  const rest: Attributes = extra.length > 0 ? { ...others, extra } : others
  if (isMade && rest.contentType === 'application/json') delete rest.contentType
  const pairs: Buffer[] = isMade ? [] : [Buffer.from(valueField), attributes.value ?? Buffer.alloc(0)]
  for (const { name, bytes } of flatHeaders(rest, new Set())) pairs.push(Buffer.from(name), bytes ?? Buffer.alloc(0))
  return pairs
}

/** Names of headers that are null: no field is, so it is empty, and the list of types says so. */
function nullHeaders(pairs: Pairs): ReadonlySet<string> {
  const nulls = new Set<string>()
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    if (String(pairs[at]) !== typesField) continue
    for (const each of String(pairs[at + 1]).split('&'))
      if (each.endsWith(nullType)) nulls.add(decoded(each.slice(0, -nullType.length)))
  }
  return nulls
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // somebody else wrote the list
  }
}

export const entryFormat: Format = {
  id: entryFormatId,
  name: 'redis stream entry',
  batched: false,
  toAttributes(envelope) {
    const pairs = decodePairs(envelope, 0, envelope.length)
    const attributes: Attributes = { key: null, value: null, headers: [] }
    const headers: { name: string; bytes: Buffer }[] = []
    const nulls = nullHeaders(pairs)
    for (let at = 0; at < pairs.length; at += 2) {
      const name = (pairs[at] as Buffer).toString() // pairs
      const bytes = pairs[at + 1] as Buffer
      if (name === valueField && attributes.value === null) attributes.value = bytes
      else headers.push({ name, bytes })
    }
    if (attributes.value === null) {
      attributes.value = Buffer.from(
        JSON.stringify(Object.fromEntries(headers.map(({ name, bytes }) => [name, bytes.toString()]))),
      )
      attributes.extra = [{ name: fieldsMark, value: { type: 'bool', value: true } }]
    }
    addFlatHeaders(
      attributes,
      headers.map(({ name, bytes }) => ({ name, bytes: bytes.length === 0 && nulls.has(name) ? null : bytes })),
    )
    return attributes
  },
  fromAttributes: (attributes) => encodeEntry(idMin, pairsOfAttributes(attributes)),
}
