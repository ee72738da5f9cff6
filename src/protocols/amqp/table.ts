// Field tables as RabbitMQ reads and writes them, which is not what the specification's page says:
//
//   t bool   b i8   B u8   s i16   u u16   I i32   i u32   l,L i64   f f32   d f64   D decimal(scale u8, value u32)
//   S longstr   x bytes   T seconds(u64)   F table   A array   V void
//
// A value keeps its type letter: arguments are compared and reported by type, and headers must come back as they were.
import { Buffer } from 'node:buffer'
import { ByteReader, type ByteWriter } from './bytes.ts'

export type FieldValue =
  | { readonly type: 't'; readonly value: boolean }
  | { readonly type: 'b' | 'B' | 's' | 'u' | 'I' | 'i' | 'f' | 'd' | 'T'; readonly value: number }
  | { readonly type: 'l'; readonly value: bigint }
  | { readonly type: 'D'; readonly scale: number; readonly value: number }
  | { readonly type: 'S' | 'x'; readonly value: Buffer }
  | { readonly type: 'F'; readonly value: Table }
  | { readonly type: 'A'; readonly value: readonly FieldValue[] }
  | { readonly type: 'V' }

/** Keys in the order they came; a repeated key keeps its last value. */
export type Table = Map<string, FieldValue>

/** Nested deeper than this, a table is refused: reading it recurses. */
export const tableDepthMax = 64

export function readTable(reader: ByteReader, depth = 0): Table {
  const length = reader.u32()
  const inner = new ByteReader(reader.buffer, reader.position, reader.position + length)
  reader.bytes(length)
  const table: Table = new Map()
  while (inner.position < inner.end) {
    const key = inner.shortString()
    table.set(key, readValue(inner, depth))
  }
  return table
}

function readValue(reader: ByteReader, depth: number): FieldValue {
  const type = String.fromCharCode(reader.u8())
  switch (type) {
    case 't':
      return { type, value: reader.u8() !== 0 }
    case 'b':
      return { type, value: reader.i8() }
    case 'B':
      return { type, value: reader.u8() }
    case 's':
      return { type, value: reader.i16() }
    case 'u':
      return { type, value: reader.u16() }
    case 'I':
      return { type, value: reader.i32() }
    case 'i':
      return { type, value: reader.u32() }
    case 'l':
    case 'L':
      return { type: 'l', value: reader.i64() }
    case 'f':
      return { type, value: reader.f32() }
    case 'd':
      return { type, value: reader.f64() }
    case 'D':
      return { type, scale: reader.u8(), value: reader.u32() }
    case 'S':
    case 'x':
      return { type, value: Buffer.from(reader.longBytes()) }
    case 'T':
      return { type, value: reader.u64() }
    case 'V':
      return { type }
    case 'F':
      if (tableDepthMax <= depth) throw new RangeError('table nested too deeply')
      return { type, value: readTable(reader, depth + 1) }
    case 'A':
      return { type, value: readArray(reader, depth) }
    default:
      throw new RangeError(`unknown field type ${JSON.stringify(type)}`)
  }
}

function readArray(reader: ByteReader, depth: number): FieldValue[] {
  if (tableDepthMax <= depth) throw new RangeError('array nested too deeply')
  const length = reader.u32()
  const inner = new ByteReader(reader.buffer, reader.position, reader.position + length)
  reader.bytes(length)
  const values: FieldValue[] = []
  while (inner.position < inner.end) values.push(readValue(inner, depth + 1))
  return values
}

export function writeTable(writer: ByteWriter, table: Table): void {
  const start = writer.length
  writer.u32(0)
  for (const [key, value] of table) {
    writer.shortString(key)
    writeValue(writer, value)
  }
  writer.buffer.writeUInt32BE(writer.length - start - 4, start)
}

function writeValue(writer: ByteWriter, field: FieldValue): void {
  writer.u8(field.type.charCodeAt(0))
  switch (field.type) {
    case 't':
      return writer.u8(field.value ? 1 : 0)
    case 'b':
      return writer.i8(field.value)
    case 'B':
      return writer.u8(field.value)
    case 's':
      return writer.i16(field.value)
    case 'u':
      return writer.u16(field.value)
    case 'I':
      return writer.i32(field.value)
    case 'i':
      return writer.u32(field.value)
    case 'l':
      return writer.i64(field.value)
    case 'f':
      return writer.f32(field.value)
    case 'd':
      return writer.f64(field.value)
    case 'D':
      writer.u8(field.scale)
      return writer.u32(field.value)
    case 'S':
    case 'x':
      return writer.longBytes(field.value)
    case 'T':
      return writer.u64(field.value)
    case 'V':
      return
    case 'F':
      return writeTable(writer, field.value)
    case 'A': {
      const start = writer.length
      writer.u32(0)
      for (const item of field.value) writeValue(writer, item)
      writer.buffer.writeUInt32BE(writer.length - start - 4, start)
    }
  }
}

export const text = (value: string): FieldValue => ({ type: 'S', value: Buffer.from(value) })
export const flag = (value: boolean): FieldValue => ({ type: 't', value })
export const long = (value: number | bigint): FieldValue => ({ type: 'l', value: BigInt(value) })

/** The table's integers, whatever their width; undefined for every other type. */
export function integerOf(field: FieldValue): number | undefined {
  switch (field.type) {
    case 'b':
    case 'B':
    case 's':
    case 'u':
    case 'I':
    case 'i':
      return field.value
    case 'l':
      return Number(field.value)
    default:
      return undefined
  }
}

export const textOf = (field: FieldValue | undefined): string | undefined =>
  field?.type === 'S' ? field.value.toString() : undefined
export const flagOf = (field: FieldValue | undefined): boolean | undefined => (field?.type === 't' ? field.value : undefined)

const typeNames = {
  t: 'bool',
  b: 'byte',
  B: 'unsignedbyte',
  s: 'short',
  u: 'unsignedshort',
  I: 'signedint',
  i: 'unsignedint',
  l: 'long',
  f: 'float',
  d: 'double',
  D: 'decimal',
  S: 'longstr',
  x: 'binary',
  T: 'timestamp',
  F: 'table',
  A: 'array',
  V: 'void',
} as const satisfies Record<FieldValue['type'], string>

/** The name by which RabbitMQ's error texts call the type. */
export const typeName = (field: FieldValue): string => typeNames[field.type]

/** The value as RabbitMQ prints it in its error texts. */
export function printed(field: FieldValue): string {
  switch (field.type) {
    case 'S':
    case 'x':
      return field.value.toString()
    case 'V':
      return 'undefined'
    case 'F':
      return `[${[...field.value].map(([key, value]) => `{<<"${key}">>,${typeName(value)},${printed(value)}}`).join(',')}]`
    case 'A':
      return `[${field.value.map((value) => `{${typeName(value)},${printed(value)}}`).join(',')}]`
    case 'D':
      return `{${field.scale},${field.value}}`
    default:
      return String(field.value)
  }
}
