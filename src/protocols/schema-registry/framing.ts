/**
 * Confluent's wire format: a zero byte, the schema's id, for Protocol Buffers the place of the message in its file, then the value.
 * The place: a count and that many indexes, as zig-zag varints; a count of 0 stands for the first message.
 */
import type { SchemaLanguage } from '../../lib/schemas/schema.ts'

const magic = 0
const headBytes = 5
/** Messages are not nested deeper. */
const pathMax = 64

/** The id in front of a value; null when there is none. */
export function schemaIdOf(bytes: Buffer): number | null {
  return bytes.length >= headBytes && bytes[0] === magic ? bytes.readInt32BE(1) : null
}

/** What follows the id; null when it is not as the language wants it. */
export function contentOf(bytes: Buffer, language: SchemaLanguage): { path: number[]; content: Buffer } | null {
  if (language !== 'PROTOBUF') return { path: [], content: bytes.subarray(headBytes) }
  const count = varint(bytes, headBytes)
  if (count === null || count.value < 0 || count.value > pathMax) return null
  if (count.value === 0) return { path: [0], content: bytes.subarray(count.end) }
  const path: number[] = []
  let at = count.end
  for (let left = count.value; left > 0; left--) {
    const index = varint(bytes, at)
    if (index === null || index.value < 0) return null
    path.push(index.value)
    at = index.end
  }
  return { path, content: bytes.subarray(at) }
}

/** A value of the first message, where messages have places. */
export function framed(id: number, language: SchemaLanguage, content: Buffer): Buffer {
  const head = Buffer.alloc(language === 'PROTOBUF' ? headBytes + 1 : headBytes)
  head.writeInt32BE(id, 1)
  return Buffer.concat([head, content])
}

function varint(bytes: Buffer, from: number): { value: number; end: number } | null {
  let raw = 0
  for (let at = from, shift = 0; at < bytes.length && shift < 35; at++, shift += 7) {
    const byte = bytes[at] as number // at < length
    raw += (byte & 0x7f) * 2 ** shift
    if (byte < 0x80) return { value: raw % 2 === 0 ? raw / 2 : -(raw + 1) / 2, end: at + 1 }
  }
  return null
}
