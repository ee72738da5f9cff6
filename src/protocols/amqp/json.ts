// Field tables ⇄ JSON as RabbitMQ's HTTP API has them: whole numbers are long, others double, text is longstr; the way back loses the widths.

import type { FieldValue, Table } from './table.ts'
import { tableDepthMax } from './table.ts'

export function jsonOfTable(table: Table): Record<string, unknown> {
  const json: Record<string, unknown> = Object.create(null)
  for (const [name, value] of table) json[name] = jsonOf(value)
  return json
}

function jsonOf(field: FieldValue): unknown {
  switch (field.type) {
    case 'V':
      return null
    case 'S':
      return field.value.toString()
    case 'x':
      // Bytes that are no text cannot stand in JSON otherwise.
      return isText(field.value) ? field.value.toString() : field.value.toString('base64')
    case 'l':
      return Number.isSafeInteger(Number(field.value)) ? Number(field.value) : exact(field.value)
    case 'D':
      return field.value / 10 ** field.scale
    case 'F':
      return jsonOfTable(field.value)
    case 'A':
      return field.value.map(jsonOf)
    case 'f':
    case 'd':
      return Number.isFinite(field.value) ? field.value : String(field.value)
    default:
      return field.value
  }
}

const isText = (bytes: Buffer): boolean => Buffer.from(bytes.toString()).equals(bytes)

/** A number in JSON with all its digits. */
const exact = (value: bigint): unknown => (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(String(value)) // not in TypeScript's library yet

/** Throws RangeError for what no table can hold. */
export function tableOfJson(json: Readonly<Record<string, unknown>>, depth = 0): Table {
  if (tableDepthMax <= depth) throw new RangeError('nested too deeply')
  const table: Table = new Map()
  for (const [name, value] of Object.entries(json)) {
    if (255 < Buffer.byteLength(name)) throw new RangeError(`the name "${name.slice(0, 20)}…" is longer than 255 bytes`)
    table.set(name, fieldOf(value, depth))
  }
  return table
}

function fieldOf(value: unknown, depth: number): FieldValue {
  switch (typeof value) {
    case 'boolean':
      return { type: 't', value }
    case 'number':
      return Number.isSafeInteger(value) ? { type: 'l', value: BigInt(value) } : { type: 'd', value }
    case 'string':
      return { type: 'S', value: Buffer.from(value) }
    case 'object':
      if (value === null) return { type: 'V' }
      if (tableDepthMax <= depth) throw new RangeError('nested too deeply')
      if (Array.isArray(value)) return { type: 'A', value: value.map((item) => fieldOf(item, depth + 1)) }
      return { type: 'F', value: tableOfJson(value as Record<string, unknown>, depth + 1) } // an object that is no array
    default:
      throw new RangeError(`${String(value)} is no value of a table`)
  }
}
