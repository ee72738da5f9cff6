// The stored envelope of a message, its neutral attributes, and names ⇄ namespaces.
//
//   envelope = version(u8 = 1) exchange(shortstr) routing-key(shortstr) properties-length(u32) property-flags property-list body
//
// The names and the properties stand as they came from the publisher, so a delivery copies three slices and understands none.
// What has no counterpart here is kept in one header, `x-anymq` (a table), and comes back from it unharmed.
import { Buffer } from 'node:buffer'
import type { Attributes, Format, Header, HeaderValue } from '../../core/record.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import { decodeProperties, encodeProperties, type Properties, readU32 } from './codec.ts'
import { deathsIn, furtherKeys } from './provenance.ts'
import { type FieldValue, type Table, text, writeTable } from './table.ts'

/** Stored in every entry: never to be changed. */
export const formatId = 32
export const envelopeVersion = 1

/** The one header for what AMQP has no word for. */
export const spareHeader = 'x-anymq'

/** Where the parts of an envelope are; one object is filled again for each message. */
export class EnvelopeView {
  names = 0
  namesEnd = 0
  properties = 0
  propertiesEnd = 0
  body = 0

  /** False when the bytes are no envelope that we know. */
  read(buffer: Buffer, start: number, end: number): boolean {
    if (end - start < 9 || buffer[start] !== envelopeVersion) return false
    this.names = start + 1
    const key = start + 2 + (buffer[start + 1] as number)
    this.namesEnd = key + 1 + (buffer[key] ?? 0)
    if (end < this.namesEnd + 6) return false
    this.properties = this.namesEnd + 4
    this.propertiesEnd = this.properties + readU32(buffer, this.namesEnd)
    this.body = this.propertiesEnd
    return this.body <= end
  }
}

export function encodeEnvelope(exchange: string, routingKey: string, properties: Properties, body: Uint8Array): Buffer {
  const writer = new ByteWriter(256 + body.length)
  writer.u8(envelopeVersion)
  writer.shortString(exchange)
  writer.shortString(routingKey)
  const at = writer.length
  writer.u32(0)
  encodeProperties(writer, properties)
  writer.buffer.writeUInt32BE(writer.length - at - 4, at)
  writer.bytes(body)
  return writer.view()
}

export interface Envelope {
  exchange: string
  routingKey: string
  properties: Properties
  body: Buffer
}

/** Reads all of an envelope; bytes that are none become the body of an empty message. */
export function decodeEnvelope(buffer: Buffer, start = 0, end = buffer.length): Envelope {
  const view = new EnvelopeView()
  if (!view.read(buffer, start, end)) return { exchange: '', routingKey: '', properties: {}, body: buffer.subarray(start, end) }
  const names = new ByteReader(buffer, view.names, view.namesEnd)
  let properties: Properties = {}
  try {
    properties = decodeProperties(buffer, view.properties, view.propertiesEnd)
  } catch {
    // A publisher's malformed headers must not make its message undeliverable elsewhere: the body is still worth having.
    properties = {}
  }
  return { exchange: names.shortString(), routingKey: names.shortString(), properties, body: buffer.subarray(view.body, end) }
}

export const messageFormat: Format = {
  id: formatId,
  name: 'amqp 0-9-1 message',
  batched: false,
  toAttributes(envelope) {
    const { exchange, routingKey, properties, body } = decodeEnvelope(envelope)
    return attributesOf(exchange, routingKey, properties, body)
  },
  fromAttributes,
  origin(envelope) {
    const { exchange, routingKey, properties } = decodeEnvelope(envelope)
    return { exchange, routingKeys: [routingKey, ...furtherKeys(properties.headers)] }
  },
  deaths: (envelope) => deathsIn(decodeEnvelope(envelope).properties.headers),
  keys: (payload) => [{ key: decodeEnvelopeKey(payload), tombstone: false }],
}

function decodeEnvelopeKey(payload: Buffer): Buffer | null {
  const spare = decodeEnvelope(payload).properties.headers?.get(spareHeader)
  const key = spare?.type === 'F' ? spare.value.get('key') : undefined
  return key?.type === 'x' || key?.type === 'S' ? key.value : null
}

// ------------------------------------------------------------------------------------------------------------- to attributes

function attributesOf(exchange: string, routingKey: string, properties: Properties, body: Buffer): Attributes {
  const attributes: Attributes = { key: null, value: body, headers: [] }
  const extra: Header[] = []
  if (exchange !== '') extra.push({ name: 'amqp.exchange', value: { type: 'string', value: exchange } })
  if (routingKey !== '') {
    extra.push({ name: 'amqp.routing-key', value: { type: 'string', value: routingKey } })
    if (exchange !== '') attributes.subject = routingKey
  }
  if (properties.contentType !== undefined) attributes.contentType = properties.contentType
  if (properties.contentEncoding !== undefined) attributes.contentEncoding = properties.contentEncoding
  if (properties.deliveryMode !== undefined) attributes.persistent = properties.deliveryMode === 2
  if (properties.priority !== undefined) attributes.priority = properties.priority
  if (properties.correlationId !== undefined) attributes.correlationId = properties.correlationId
  if (properties.replyTo !== undefined) attributes.replyTo = properties.replyTo
  if (properties.expiration !== undefined && /^\d{1,15}$/.test(properties.expiration))
    attributes.expirationMs = Number(properties.expiration)
  if (properties.messageId !== undefined) attributes.messageId = properties.messageId
  if (properties.timestamp !== undefined) attributes.timestamp = properties.timestamp * 1000
  if (properties.type !== undefined) attributes.type = properties.type
  if (properties.userId !== undefined) attributes.userId = properties.userId
  if (properties.appId !== undefined) attributes.appId = properties.appId
  if (properties.clusterId !== undefined)
    extra.push({ name: 'amqp.cluster-id', value: { type: 'string', value: properties.clusterId } })
  if (properties.headers !== undefined) {
    for (const [name, value] of properties.headers) {
      if (name === spareHeader && value.type === 'F') continue
      attributes.headers.push({ name, value: headerOf(value) })
    }
    const spare = properties.headers.get(spareHeader)
    if (spare?.type === 'F') restoreSpare(attributes, spare.value, extra)
  }
  if (0 < extra.length) attributes.extra = extra
  return attributes
}

function headerOf(field: FieldValue): HeaderValue {
  switch (field.type) {
    case 't':
      return { type: 'bool', value: field.value }
    case 'b':
      return { type: 'i8', value: field.value }
    case 'B':
      return { type: 'u8', value: field.value }
    case 's':
      return { type: 'i16', value: field.value }
    case 'u':
      return { type: 'u16', value: field.value }
    case 'I':
      return { type: 'i32', value: field.value }
    case 'i':
      return { type: 'u32', value: field.value }
    case 'l':
      return { type: 'i64', value: field.value }
    case 'f':
      return { type: 'f32', value: field.value }
    case 'd':
      return { type: 'f64', value: field.value }
    case 'D':
      return { type: 'decimal', value: { scale: field.scale, unscaled: field.value } }
    case 'S': {
      // A long string is any bytes; only what survives as text may be called text.
      const string = field.value.toString()
      return Buffer.from(string).equals(field.value) ? { type: 'string', value: string } : { type: 'bytes', value: field.value }
    }
    case 'x':
      return { type: 'bytes', value: field.value }
    case 'T':
      return { type: 'timestamp', value: field.value * 1000 }
    case 'V':
      return { type: 'null', value: null }
    case 'A':
      return { type: 'array', value: field.value.map(headerOf) }
    case 'F':
      return { type: 'table', value: [...field.value].map(([name, value]) => ({ name, value: headerOf(value) })) }
  }
}

function restoreSpare(attributes: Attributes, spare: Table, extra: Header[]): void {
  const string = (name: string): string | undefined => {
    const field = spare.get(name)
    return field?.type === 'S' ? field.value.toString() : undefined
  }
  const number = (name: string): number | undefined => {
    const field = spare.get(name)
    return field?.type === 'l' ? Number(field.value) : undefined
  }
  const key = spare.get('key')
  if (key?.type === 'x' || key?.type === 'S') attributes.key = key.value
  if (spare.has('tombstone')) attributes.value = null
  for (const name of spareTexts) {
    const value = string(name)
    if (value !== undefined) attributes[name] = value
  }
  for (const name of ['timestamp', 'expirationMs', 'priority', 'deliverAt'] as const) {
    const value = number(name)
    if (value !== undefined) attributes[name] = value
  }
  const headers = spare.get('headers')
  if (headers?.type === 'A') attributes.headers = pairsOf(headers.value)
  const kept = spare.get('extra')
  if (kept?.type === 'A') extra.push(...pairsOf(kept.value))
}

function pairsOf(fields: readonly FieldValue[]): Header[] {
  const headers: Header[] = []
  for (const field of fields) {
    if (field.type !== 'A') continue
    const [name, value] = field.value
    if (name?.type === 'S' && value !== undefined) headers.push({ name: name.value.toString(), value: headerOf(value) })
  }
  return headers
}

// ----------------------------------------------------------------------------------------------------------- from attributes

/** Text attributes: those with a property of their own go here only when they are too long for one. */
const spareTexts = [
  'messageId',
  'correlationId',
  'replyTo',
  'contentType',
  'contentEncoding',
  'type',
  'userId',
  'appId',
  'subject',
  'groupKey',
  'dedupId',
] as const
const propertyTexts: ReadonlySet<string> = new Set([
  'messageId',
  'correlationId',
  'replyTo',
  'contentType',
  'contentEncoding',
  'type',
  'userId',
  'appId',
])

function fromAttributes(attributes: Attributes): Buffer {
  const properties: Properties = {}
  const spare: Table = new Map()
  const headers: Table = new Map()
  for (const name of spareTexts) {
    const value = attributes[name]
    if (value === undefined) continue
    if (propertyTexts.has(name) && Buffer.byteLength(value) <= 255) properties[name as 'messageId'] = value
    else spare.set(name, text(value))
  }
  if (attributes.key !== null) spare.set('key', bytesField(attributes.key))
  if (attributes.value === null) spare.set('tombstone', { type: 't', value: true })
  if (attributes.persistent !== undefined) properties.deliveryMode = attributes.persistent ? 2 : 1
  numbersFrom(attributes, properties, spare)
  let exchange = ''
  let routingKey = ''
  const foreign: FieldValue[] = []
  for (const { name, value } of attributes.extra ?? []) {
    if (name === 'amqp.exchange' && value.type === 'string') exchange = value.value
    else if (name === 'amqp.routing-key' && value.type === 'string') routingKey = value.value
    else if (name === 'amqp.cluster-id' && value.type === 'string') properties.clusterId = value.value
    else foreign.push(pair(name, value))
  }
  if (0 < foreign.length) spare.set('extra', { type: 'A', value: foreign })
  // A subject that only repeats our own routing key needs no second place.
  if (attributes.subject !== undefined && attributes.subject === routingKey) spare.delete('subject')
  headersFrom(attributes.headers, headers, spare)
  if (0 < spare.size) headers.set(spareHeader, { type: 'F', value: spare })
  if (0 < headers.size) properties.headers = headers
  return encodeEnvelope(exchange, routingKey, properties, attributes.value ?? Buffer.alloc(0))
}

function numbersFrom(attributes: Attributes, properties: Properties, spare: Table): void {
  const { timestamp, expirationMs, priority, deliverAt } = attributes
  const keep = (name: string, value: number): void => {
    spare.set(name, { type: 'l', value: BigInt(Math.trunc(value)) })
  }
  if (timestamp !== undefined && Number.isFinite(timestamp)) {
    if (0 <= timestamp) properties.timestamp = Math.floor(timestamp / 1000)
    if (timestamp < 0 || timestamp % 1000 !== 0) keep('timestamp', timestamp)
  }
  if (expirationMs !== undefined && Number.isFinite(expirationMs))
    properties.expiration = String(Math.max(0, Math.trunc(expirationMs)))
  if (priority !== undefined && Number.isFinite(priority)) {
    properties.priority = Math.min(255, Math.max(0, Math.trunc(priority)))
    if (properties.priority !== priority) keep('priority', priority)
  }
  if (deliverAt !== undefined && Number.isFinite(deliverAt)) keep('deliverAt', deliverAt)
}

/** A table holds each name once and names of 255 bytes; a header list that is more than that is kept whole beside it. */
function headersFrom(list: readonly Header[], headers: Table, spare: Table): void {
  let exact = true
  for (const { name, value } of list) {
    if (headers.has(name) || 255 < Buffer.byteLength(name) || name === spareHeader) exact = false
    if (255 < Buffer.byteLength(name) || name === spareHeader) continue
    headers.set(name, fieldOf(value))
    if (value.type === 'timestamp' && (value.value < 0 || value.value % 1000 !== 0)) exact = false
  }
  if (!exact) spare.set('headers', { type: 'A', value: list.map(({ name, value }) => pair(name, value)) })
}

const pair = (name: string, value: HeaderValue): FieldValue => ({ type: 'A', value: [text(name), exactFieldOf(value)] })

/** Milliseconds do not fit the table's seconds; where exactness matters they travel as i64. */
const exactFieldOf = (value: HeaderValue): FieldValue =>
  value.type === 'timestamp' && value.value % 1000 !== 0 ? { type: 'l', value: BigInt(Math.trunc(value.value)) } : fieldOf(value)

function bytesField(bytes: Buffer): FieldValue {
  return Buffer.from(bytes.toString()).equals(bytes) ? { type: 'S', value: bytes } : { type: 'x', value: bytes }
}

function fieldOf(header: HeaderValue): FieldValue {
  switch (header.type) {
    case 'null':
      return { type: 'V' }
    case 'bool':
      return { type: 't', value: header.value }
    case 'i8':
      return { type: 'b', value: header.value }
    case 'u8':
      return { type: 'B', value: header.value }
    case 'i16':
      return { type: 's', value: header.value }
    case 'u16':
      return { type: 'u', value: header.value }
    case 'i32':
      return { type: 'I', value: header.value }
    case 'u32':
      return { type: 'i', value: header.value }
    case 'i64':
      return { type: 'l', value: header.value }
    case 'f32':
      return { type: 'f', value: header.value }
    case 'f64':
      return { type: 'd', value: header.value }
    case 'decimal':
      return { type: 'D', scale: header.value.scale & 0xff, value: header.value.unscaled >>> 0 }
    case 'timestamp':
      return { type: 'T', value: Math.max(0, Math.floor(header.value / 1000)) }
    case 'string':
      return text(header.value)
    case 'bytes':
      return { type: 'x', value: header.value }
    case 'array':
      return { type: 'A', value: header.value.map(fieldOf) }
    case 'table':
      return { type: 'F', value: new Map(header.value.map(({ name, value }) => [name, fieldOf(value)])) }
  }
}

/** A headers table as plain values, for a headers exchange and for keeping declarations: comparable by JSON. */
export function plain(table: Table): Record<string, unknown> {
  const object: Record<string, unknown> = {}
  for (const [name, value] of table) object[name] = plainValue(value)
  return object
}

function plainValue(field: FieldValue): unknown {
  switch (field.type) {
    case 'V':
      return null
    case 'S':
    case 'x':
      return field.value.toString()
    case 'l':
      return Number.isSafeInteger(Number(field.value)) ? Number(field.value) : field.value.toString()
    case 'D':
      return field.value / 10 ** field.scale
    case 'F':
      return plain(field.value)
    case 'A':
      return field.value.map(plainValue)
    default:
      return field.value
  }
}

/** Arguments as they were declared, types included, for the comparison at a redeclaration. */
export function encodedTable(table: Table): string {
  const writer = new ByteWriter()
  writeTable(writer, table)
  return Buffer.from(writer.view()).toString('base64')
}

export const namespaceOf = (vhost: string): string => (vhost === '/' ? 'default' : vhost)
