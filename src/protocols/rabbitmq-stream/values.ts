// Values of AMQP 1.0 ⇄ typed headers. Not every type has a counterpart: mapping.ts keeps the exact ones beside.
import { Buffer } from 'node:buffer'
import type { Header, HeaderValue } from '../../core/record.ts'
import type { Pair, Value } from '../../lib/amqp1/value.ts'

export const text = (value: string): HeaderValue => ({ type: 'string', value })

/** The nearest neutral type. */
export function headerOf(value: Value): HeaderValue {
  switch (value.type) {
    case 'null':
      return { type: 'null', value: null }
    case 'boolean':
      return { type: 'bool', value: value.value }
    case 'ubyte':
      return { type: 'u8', value: value.value }
    case 'ushort':
      return { type: 'u16', value: value.value }
    case 'uint':
    case 'char':
      return { type: 'u32', value: value.value }
    case 'byte':
      return { type: 'i8', value: value.value }
    case 'short':
      return { type: 'i16', value: value.value }
    case 'int':
      return { type: 'i32', value: value.value }
    case 'long':
      return { type: 'i64', value: value.value }
    case 'ulong':
      // There is no neutral unsigned 64-bit type: beyond the signed one it is text.
      return value.value < 2n ** 63n ? { type: 'i64', value: value.value } : text(String(value.value))
    case 'float':
      return { type: 'f32', value: value.value }
    case 'double':
      return { type: 'f64', value: value.value }
    case 'timestamp':
      return { type: 'timestamp', value: Number(value.value) }
    case 'string':
    case 'symbol':
      return text(value.value)
    case 'uuid':
      return text(textOf(value))
    case 'binary':
    case 'decimal32':
    case 'decimal64':
    case 'decimal128':
      return { type: 'bytes', value: value.value }
    case 'list':
    case 'array':
      return { type: 'array', value: value.value.map(headerOf) }
    case 'map':
      return (
        decimalIn(value.value) ?? {
          type: 'table',
          value: value.value.map(([key, each]) => ({ name: textOf(key), value: headerOf(each) })),
        }
      )
    case 'described':
      return headerOf(value.value)
  }
}

/**
 * AMQP 1.0 has no scaled decimal: it is a map of this one key, whose value is the list of scale and unscaled value. (Not a described type of our
 * own: clients read those and cannot write them again.)
 */
const decimalKey = 'anymq:decimal'

function decimalIn(map: readonly Pair[]): HeaderValue | undefined {
  const [only] = map
  if (map.length !== 1 || only?.[0].type !== 'string' || only[0].value !== decimalKey || only[1].type !== 'list') return undefined
  const [scale, unscaled] = only[1].value
  if (scale?.type !== 'double' || unscaled?.type !== 'double') return undefined
  return { type: 'decimal', value: { scale: scale.value, unscaled: unscaled.value } }
}

/** Exact, but for what no number type of AMQP 1.0 takes, which is `undefined`. */
export function valueFrom(header: HeaderValue): Value | undefined {
  switch (header.type) {
    case 'null':
      return { type: 'null', value: null }
    case 'bool':
      return { type: 'boolean', value: header.value }
    case 'i8':
      return { type: 'byte', value: header.value }
    case 'u8':
      return { type: 'ubyte', value: header.value }
    case 'i16':
      return { type: 'short', value: header.value }
    case 'u16':
      return { type: 'ushort', value: header.value }
    case 'i32':
      return { type: 'int', value: header.value }
    case 'u32':
      return { type: 'uint', value: header.value }
    case 'i64':
      return { type: 'long', value: header.value }
    case 'f32':
      return { type: 'float', value: header.value }
    case 'f64':
      return { type: 'double', value: header.value }
    case 'timestamp':
      return Number.isFinite(header.value) ? { type: 'timestamp', value: BigInt(Math.trunc(header.value)) } : undefined
    case 'string':
      return { type: 'string', value: header.value }
    case 'bytes':
      return { type: 'binary', value: header.value }
    case 'decimal': {
      const { scale, unscaled } = header.value
      const value: Value = {
        type: 'list',
        value: [
          { type: 'double', value: scale },
          { type: 'double', value: unscaled },
        ],
      }
      return { type: 'map', value: [[{ type: 'string', value: decimalKey }, value]] }
    }
    case 'array':
      return { type: 'list', value: header.value.map((each) => nullable(valueFrom(each))) }
    case 'table':
      return {
        type: 'map',
        value: header.value.map(({ name, value }): Pair => [{ type: 'string', value: name }, nullable(valueFrom(value))]),
      }
  }
}

export const nullable = (value: Value | undefined): Value => value ?? { type: 'null', value: null }

/** A value as text: ids of any type, keys of maps. */
export function textOf(value: Value): string {
  switch (value.type) {
    case 'string':
    case 'symbol':
      return value.value
    case 'uuid': {
      const hex = value.value.toString('hex')
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
    }
    case 'binary':
    case 'decimal32':
    case 'decimal64':
    case 'decimal128':
      return value.value.toString('base64')
    case 'list':
    case 'array':
      return `[${value.value.map(textOf).join(',')}]`
    case 'map':
      return `{${value.value.map(([key, each]) => `${textOf(key)}=${textOf(each)}`).join(',')}}`
    case 'described':
      return textOf(value.value)
    default:
      return String(value.value)
  }
}

/** RabbitMQ's rule: names that begin so are annotations of the broker and its plugins. */
const isAnnotation = (name: string): boolean => name.startsWith('x-') && Buffer.byteLength(name) === name.length

/** Application properties, then message annotations. */
export function headersOf(properties: readonly Pair[], annotations: readonly Pair[]): Header[] {
  return [...properties, ...annotations].map(([key, value]) => ({ name: textOf(key), value: headerOf(value) }))
}

/**
 * Headers as the two sections. Application properties hold simple values only (3.2.5): a table or an array that is no annotation has no
 * place here, and a scaled decimal is its text. A name that comes again has no place either, for a map has each key once.
 */
export function sectionsOf(headers: readonly Header[]): { properties: Pair[]; annotations: Pair[] } {
  const properties: Pair[] = []
  const annotations: Pair[] = []
  const seen = new Set<string>()
  for (const { name, value } of headers) {
    if (seen.has(name)) continue
    seen.add(name)
    if (isAnnotation(name)) {
      annotations.push([{ type: 'symbol', value: name }, nullable(valueFrom(value))])
      continue
    }
    const simple = simpleValueOf(value)
    if (simple !== undefined) properties.push([{ type: 'string', value: name }, simple])
  }
  return { properties, annotations }
}

function simpleValueOf(header: HeaderValue): Value | undefined {
  if (header.type === 'array' || header.type === 'table') return undefined
  if (header.type !== 'decimal') return valueFrom(header)
  return { type: 'string', value: `${header.value.unscaled}e-${header.value.scale}` }
}
