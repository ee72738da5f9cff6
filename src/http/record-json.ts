/**
 * A record's content and attributes as JSON: what the API takes and gives. Bytes that are UTF-8 are shown as text under their own name,
 * others as base64 under the name with `Base64` behind it (`value` / `valueBase64`). Headers are a list of {name, type, value}; for input a plain
 * object of names to strings, numbers, booleans or null will do.
 */
import { isUtf8 } from 'node:buffer'
import type { Attributes, Header, HeaderType, HeaderValue } from '../core/record.ts'
import { invalid } from './errors.ts'
import { type Fields, object, onlyKeys, optionalFlag, optionalNumber, optionalText } from './input.ts'

const textAttributes = [
  'messageId',
  'correlationId',
  'replyTo',
  'contentType',
  'contentEncoding',
  'type',
  'subject',
  'groupKey',
  'dedupId',
  'userId',
  'appId',
] as const satisfies readonly (keyof Attributes)[]

const numberAttributes = ['timestamp', 'expirationMs', 'priority', 'deliverAt'] as const satisfies readonly (keyof Attributes)[]

/** Keys of a record in JSON. */
export const recordKeys: readonly string[] = [
  ...['key', 'keyBase64', 'value', 'valueBase64', 'headers', 'persistent', 'extra'],
  ...textAttributes,
  ...numberAttributes,
]

export function attributesToJson(attributes: Attributes): Record<string, unknown> {
  const json: Record<string, unknown> = {
    ...bytesToJson('key', attributes.key),
    ...bytesToJson('value', attributes.value),
    headers: attributes.headers.map(headerToJson),
  }
  for (const name of textAttributes) if (attributes[name] !== undefined) json[name] = attributes[name]
  for (const name of numberAttributes) if (attributes[name] !== undefined) json[name] = attributes[name]
  if (attributes.persistent !== undefined) json['persistent'] = attributes.persistent
  if (attributes.extra !== undefined) json['extra'] = attributes.extra.map(headerToJson)
  return json
}

/** Throws Invalid, naming the field. */
export function attributesFromJson(fields: Fields): Attributes {
  onlyKeys(fields, recordKeys, 'a record')
  const attributes: Attributes = {
    key: bytesFromJson(fields, 'key'),
    value: bytesFromJson(fields, 'value'),
    headers: headersFromJson(fields['headers'], 'headers'),
  }
  for (const name of textAttributes) {
    const value = optionalText(fields, name)
    if (value !== undefined) attributes[name] = value
  }
  for (const name of numberAttributes) {
    const value = optionalNumber(fields, name, 0)
    if (value !== undefined) attributes[name] = value
  }
  const persistent = optionalFlag(fields, 'persistent')
  if (persistent !== undefined) attributes.persistent = persistent
  if (fields['extra'] !== undefined) attributes.extra = headersFromJson(fields['extra'], 'extra')
  return attributes
}

function bytesToJson(name: string, bytes: Buffer | null): Record<string, unknown> {
  if (bytes === null) return { [name]: null }
  return isUtf8(bytes) ? { [name]: bytes.toString('utf8') } : { [`${name}Base64`]: bytes.toString('base64') }
}

function bytesFromJson(fields: Fields, name: string): Buffer | null {
  const base64 = optionalText(fields, `${name}Base64`)
  if (base64 !== undefined) return Buffer.from(base64, 'base64')
  const value = fields[name]
  if (value === undefined || value === null) return null
  // A value that is JSON itself is kept as its text: what most publishers mean.
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
}

function headerToJson(header: Header): object {
  return { name: header.name, ...headerValueToJson(header.value) }
}

function headerValueToJson(header: HeaderValue): { type: HeaderType; value: unknown } {
  switch (header.type) {
    case 'i64':
      return { type: header.type, value: header.value.toString() }
    case 'bytes':
      return { type: header.type, value: header.value.toString('base64') }
    case 'array':
      return { type: header.type, value: header.value.map(headerValueToJson) }
    case 'table':
      return { type: header.type, value: header.value.map(headerToJson) }
    case 'f32':
    case 'f64':
      return { type: header.type, value: Number.isFinite(header.value) ? header.value : String(header.value) }
    default:
      return { type: header.type, value: header.value }
  }
}

function headersFromJson(value: unknown, what: string): Header[] {
  if (value === undefined || value === null) return []
  if (Array.isArray(value)) return value.map((each, index) => headerFromJson(each, `${what}[${index}]`))
  return Object.entries(object(value, what)).map(([name, plain]) => ({ name, value: plainHeaderValue(plain, `${what}.${name}`) }))
}

function headerFromJson(value: unknown, what: string): Header {
  const fields = object(value, what)
  const { name } = fields
  if (typeof name !== 'string') throw invalid(`${what}.name must be a string`)
  return { name, value: headerValueFromJson(fields, what) }
}

function plainHeaderValue(value: unknown, what: string): HeaderValue {
  if (value === null) return { type: 'null', value: null }
  if (typeof value === 'boolean') return { type: 'bool', value }
  if (typeof value === 'string') return { type: 'string', value }
  if (typeof value === 'number')
    return Number.isSafeInteger(value) ? { type: 'i64', value: BigInt(value) } : { type: 'f64', value }
  throw invalid(`${what} must be a string, a number, true, false or null; give other types as a list of {name, type, value}`)
}

function headerValueFromJson(fields: Fields, what: string): HeaderValue {
  const { value } = fields
  const type = fields['type'] as HeaderType | undefined // anything else falls through the switch to the error
  if (type === undefined) return plainHeaderValue(value, `${what}.value`)
  switch (type) {
    case 'null':
      return { type, value: null }
    case 'bool':
      if (typeof value === 'boolean') return { type, value }
      break
    case 'i8':
    case 'u8':
    case 'i16':
    case 'u16':
    case 'i32':
    case 'u32':
    case 'timestamp':
      if (typeof value === 'number' && Number.isInteger(value)) return { type, value }
      break
    case 'f32':
    case 'f64':
      if (typeof value === 'number') return { type, value }
      if (value === 'NaN' || value === 'Infinity' || value === '-Infinity') return { type, value: Number(value) }
      break
    case 'i64':
      if (typeof value === 'string' && /^-?\d{1,19}$/.test(value)) return { type, value: BigInt(value) }
      if (typeof value === 'number' && Number.isSafeInteger(value)) return { type, value: BigInt(value) }
      break
    case 'decimal':
      return { type, value: decimalFromJson(object(value, `${what}.value`), what) }
    case 'string':
      if (typeof value === 'string') return { type, value }
      break
    case 'bytes':
      if (typeof value === 'string') return { type, value: Buffer.from(value, 'base64') }
      break
    case 'array':
      if (Array.isArray(value))
        return { type, value: value.map((each, index) => headerValueFromJson(object(each, what), `${what}[${index}]`)) }
      break
    case 'table':
      if (Array.isArray(value)) return { type, value: value.map((each, index) => headerFromJson(each, `${what}[${index}]`)) }
      break
  }
  throw invalid(`${what}: ${JSON.stringify(value)} is not a header value of type ${String(type)}`)
}

function decimalFromJson(fields: Fields, what: string): { scale: number; unscaled: number } {
  const scale = optionalNumber(fields, 'scale', 0, 255)
  const unscaled = optionalNumber(fields, 'unscaled')
  if (scale === undefined || unscaled === undefined) throw invalid(`${what}: a decimal needs scale and unscaled`)
  return { scale, unscaled }
}
