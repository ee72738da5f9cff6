// Stored envelopes ⇄ neutral attributes, pure and total. Messages of this protocol are AMQP 1.0 messages; the table is in README.md.
//
// Headers are application properties, and message annotations where their names begin with `x-`, as RabbitMQ has it. What AMQP 1.0 has no word for
// goes into one annotation, `x-opt-anymq` (a map), and comes back from it; what has no neutral word goes into `extra` under `amqp1.…`.
import { Buffer } from 'node:buffer'
import { isDeepStrictEqual } from 'node:util'
import type { Attributes, Death, Format, Header, HeaderValue, KeyedRecord } from '../../core/record.ts'
import { type Body, decodeMessage, encodeMessage, type Message, type PropertyFields } from '../../lib/amqp1/message.ts'
import { encodeValue, type Pair, type Value, ValueReader } from '../../lib/amqp1/value.ts'
import { encodeSingle, openBatch, readSingle, retainRecords, type Single } from './batch.ts'
import { headerOf, headersOf, nullable, sectionsOf, text, textOf, valueFrom } from './values.ts'

/** Stored in every entry: never to be changed. */
export const messageFormatId = 48
export const batchFormatId = 49

/** The annotation for what has no word of its own. */
const spareName = 'x-opt-anymq'
/** Annotations that RabbitMQ writes for what 0-9-1 had, and their neutral places. */
const typeName = 'x-basic-type'
const provenance: Readonly<Record<string, string>> = { 'x-exchange': 'amqp.exchange', 'x-routing-key': 'amqp.routing-key' }
/** By which publishers of other protocols say a message's filter value, and their consumers see it. */
const filterHeader = 'x-stream-filter-value'
/** In `extra`: the header is not the message's own, but stands for the filter value beside it. */
const filterMark = 'stream.filter-value'

export const messageFormat: Format = {
  id: messageFormatId,
  name: 'stream message',
  batched: false,
  toAttributes: (envelope) => attributesOf(readSingle(envelope)),
  fromAttributes(attributes) {
    const { filter, message } = singleOf(attributes)
    return encodeSingle(filter, message)
  },
}

export const batchFormat: Format = {
  id: batchFormatId,
  name: 'stream batch',
  batched: true,
  recordFormat: messageFormatId,
  open: (payload) => openBatch(payload),
  retain: retainRecords,
  keys: (payload) => openBatch(payload).map((envelope) => (envelope === null ? null : keyOf(envelope))),
  toAttributes: (payload) => attributesOf(readSingle(openBatch(payload).find((envelope) => envelope !== null) ?? payload)),
  fromAttributes: messageFormat.fromAttributes,
}

function keyOf(envelope: Buffer): KeyedRecord {
  const { key, value } = attributesOf(readSingle(envelope))
  return { key, tombstone: value === null }
}

// ------------------------------------------------------------------------------------------------------------- to attributes

function attributesOf({ filter, message }: Single): Attributes {
  const attributes = messageAttributes(message)
  if (filter === null || attributes.headers.some(({ name }) => name === filterHeader)) return attributes
  attributes.headers.push({ name: filterHeader, value: textOrBytes(filter) })
  attributes.extra = [...(attributes.extra ?? []), { name: filterMark, value: { type: 'bool', value: true } }]
  return attributes
}

function messageAttributes(message: Buffer): Attributes {
  const extra: Header[] = []
  let decoded: Message
  try {
    decoded = decodeMessage(message)
  } catch {
    // Some clients send bytes without AMQP 1.0 around them: they are the value.
    extra.push({ name: 'stream.raw', value: { type: 'bool', value: true } })
    return { key: null, value: message, headers: [], extra }
  }
  const attributes: Attributes = { key: null, value: null, headers: [] }
  readBody(decoded.body, attributes, extra)
  readHeader(decoded, attributes, extra)
  readAnnotations(decoded, attributes, extra)
  readProperties(decoded.properties, attributes, extra)
  if (decoded.deliveryAnnotations !== undefined) keepMap('delivery-annotations', decoded.deliveryAnnotations, extra)
  if (decoded.footer !== undefined) keepMap('footer', decoded.footer, extra)
  if (0 < extra.length) attributes.extra = extra
  return attributes
}

function readBody(body: Body, attributes: Attributes, extra: Header[]): void {
  if (body.kind === 'data') {
    const [first] = body.sections
    attributes.value = body.sections.length === 1 && first !== undefined ? first : Buffer.concat(body.sections)
    return
  }
  const value = body.kind === 'value' ? body.value : null
  if (value?.type === 'string') attributes.value = Buffer.from(value.value)
  else if (value?.type === 'binary') attributes.value = value.value
  else attributes.value = encodeMessage({ body })
  const form = value?.type === 'string' || value?.type === 'binary' ? value.type : 'sections'
  extra.push({ name: 'amqp1.body', value: text(form) })
}

/** 3.2.1: what is not set has a default, and is not said. */
function readHeader({ header }: Message, attributes: Attributes, extra: Header[]): void {
  if (header === undefined) return
  for (const [name, value] of Object.entries(header)) {
    if (name === 'durable' && value.type === 'boolean') attributes.persistent = value.value
    else if (name === 'priority' && value.type === 'ubyte') attributes.priority = value.value
    else if (name === 'ttl' && value.type === 'uint') attributes.expirationMs = value.value
    else extra.push({ name: `amqp1.${name}`, value: kept(value) })
  }
}

function readAnnotations(message: Message, attributes: Attributes, extra: Header[]): void {
  const annotations: Pair[] = []
  let spare: readonly Pair[] = []
  for (const pair of message.messageAnnotations ?? []) {
    const [key, value] = pair
    const name = key.type === 'symbol' ? key.value : ''
    const neutral = provenance[name]
    if (name === spareName && value.type === 'map') spare = value.value
    else if (name === typeName && value.type === 'string') attributes.type = value.value
    else if (neutral !== undefined && value.type === 'string') extra.push({ name: neutral, value: text(value.value) })
    else annotations.push(pair)
  }
  const properties = message.applicationProperties ?? []
  attributes.headers = headersOf(properties, annotations)
  // Types without a neutral counterpart: the sections are kept as they were, for as long as the headers stay what they are.
  const again = sectionsOf(attributes.headers)
  if (!isDeepStrictEqual(again.properties, properties)) keepMap('application-properties', properties, extra)
  if (!isDeepStrictEqual(again.annotations, annotations)) keepMap('message-annotations', annotations, extra)
  readSpare(spare, attributes, extra)
}

type TextField = 'subject' | 'replyTo' | 'groupId' | 'contentType' | 'contentEncoding'
const textFields: Readonly<Record<TextField, 'subject' | 'replyTo' | 'groupKey' | 'contentType' | 'contentEncoding'>> = {
  subject: 'subject',
  replyTo: 'replyTo',
  groupId: 'groupKey',
  contentType: 'contentType',
  contentEncoding: 'contentEncoding',
}

function readProperties(properties: PropertyFields | undefined, attributes: Attributes, extra: Header[]): void {
  if (properties === undefined) return
  for (const [field, name] of Object.entries(textFields)) {
    const value = properties[field as TextField]
    if (value?.type === 'string' || value?.type === 'symbol') attributes[name] = value.value
  }
  for (const name of ['messageId', 'correlationId'] as const) {
    const value = properties[name]
    if (value !== undefined) attributes[name] = textOf(value)
  }
  const { userId, creationTime } = properties
  if (userId?.type === 'binary') attributes.userId = userId.value.toString()
  if (creationTime?.type === 'timestamp') attributes.timestamp = Number(creationTime.value)
  const again = propertiesOf(attributes)
  for (const [name, value] of Object.entries(properties)) {
    if (!isDeepStrictEqual(again[name as keyof PropertyFields], value)) extra.push({ name: `amqp1.${name}`, value: kept(value) })
  }
}

const textOrBytes = (bytes: Buffer): HeaderValue => {
  const string = bytes.toString()
  return Buffer.from(string).equals(bytes) ? text(string) : { type: 'bytes', value: bytes }
}

/** A value under its own name in `extra`: text as text, others in their encoding. */
const kept = (value: Value): HeaderValue =>
  value.type === 'string' ? text(value.value) : { type: 'bytes', value: encodeValue(value) }

function keepMap(name: string, pairs: readonly Pair[], extra: Header[]): void {
  extra.push({ name: `amqp1.${name}`, value: { type: 'bytes', value: encodeValue({ type: 'map', value: pairs }) } })
}

function readSpare(spare: readonly Pair[], attributes: Attributes, extra: Header[]): void {
  for (const [key, value] of spare) {
    const name = key.type === 'string' ? key.value : ''
    if (name === 'key' && value.type === 'binary') attributes.key = value.value
    else if (name === 'tombstone') attributes.value = null
    else if (isSpareText(name) && value.type === 'string') attributes[name] = value.value
    else if (isSpareNumber(name) && value.type === 'double') attributes[name] = value.value
    else if (name === 'headers' && value.type === 'list') attributes.headers = pairsOf(value.value)
    else if (name === 'extra' && value.type === 'list') extra.push(...pairsOf(value.value))
  }
}

const isSpareText = (name: string): name is (typeof spareTexts)[number] => (spareTexts as readonly string[]).includes(name)
const isSpareNumber = (name: string): name is (typeof spareNumbers)[number] => (spareNumbers as readonly string[]).includes(name)

function pairsOf(values: readonly Value[]): Header[] {
  return values.flatMap((each): Header[] => {
    const [name, value] = each.type === 'list' ? each.value : []
    return name?.type === 'string' && value !== undefined ? [{ name: name.value, value: headerOf(value) }] : []
  })
}

// ----------------------------------------------------------------------------------------------------------- from attributes

const spareTexts = ['dedupId', 'appId', 'userId'] as const
const spareNumbers = ['timestamp', 'expirationMs', 'priority', 'deliverAt'] as const

/** What the broker knows of a record beside its envelope. */
export interface Known {
  /** A dead-lettered record's way. */
  readonly deaths: readonly Death[]
  /** What it was published to, where that is not the topic's name. */
  readonly address: string | null
}
const nothingKnown: Known = { deaths: [], address: null }

export function singleOf(given: Attributes, known: Known = nothingKnown): Single {
  const extra = new Map((given.extra ?? []).map(({ name, value }) => [name, value]))
  const filter = filterOf(given)
  const attributes = extra.has(filterMark)
    ? { ...given, headers: given.headers.filter(({ name }) => name !== filterHeader) }
    : given
  if (extra.get('stream.raw')?.value === true && attributes.value !== null) return { filter, message: attributes.value }
  const message: Message = { body: bodyOf(attributes, extra) }
  const header = messageHeaderOf(attributes)
  restoreFields(header, ['firstAcquirer', 'deliveryCount', 'durable', 'priority', 'ttl'], extra)
  if (0 < Object.keys(header).length) message.header = header
  const properties = propertiesOf(attributes)
  restoreFields(properties, ['to', 'absoluteExpiryTime', 'groupSequence', 'replyToGroupId'], extra)
  restoreIds(properties, attributes, extra)
  if (0 < Object.keys(properties).length) message.properties = properties
  const { applicationProperties, messageAnnotations } = annotationsOf(attributes, extra, known)
  if (0 < applicationProperties.length) message.applicationProperties = applicationProperties
  if (0 < messageAnnotations.length) message.messageAnnotations = messageAnnotations
  const deliveryAnnotations = mapIn(extra.get('amqp1.delivery-annotations'))
  if (deliveryAnnotations !== undefined) message.deliveryAnnotations = deliveryAnnotations
  const footer = mapIn(extra.get('amqp1.footer'))
  if (footer !== undefined) message.footer = footer
  return { filter, message: encodeMessage(message) }
}

function filterOf({ headers }: Attributes): Buffer | null {
  const value = headers.find(({ name }) => name === filterHeader)?.value
  const bytes = value?.type === 'string' ? Buffer.from(value.value) : value?.type === 'bytes' ? value.value : null
  return bytes !== null && bytes.length < 0x8000 ? bytes : null
}

function bodyOf(attributes: Attributes, extra: ReadonlyMap<string, HeaderValue>): Body {
  const value = attributes.value ?? Buffer.alloc(0)
  switch (extra.get('amqp1.body')?.value) {
    case 'string':
      return { kind: 'value', value: { type: 'string', value: value.toString() } }
    case 'binary':
      return { kind: 'value', value: { type: 'binary', value } }
    case 'sections':
      try {
        return decodeMessage(value).body
      } catch {
        break // Someone else wrote that word; the bytes are what there is.
      }
  }
  return { kind: 'data', sections: [value] }
}

function messageHeaderOf({ persistent, priority, expirationMs }: Attributes): NonNullable<Message['header']> {
  const header: NonNullable<Message['header']> = {}
  if (persistent !== undefined) header.durable = { type: 'boolean', value: persistent }
  if (priority !== undefined && isWithin(priority, 0xff)) header.priority = { type: 'ubyte', value: priority }
  if (expirationMs !== undefined && isWithin(expirationMs, 0xffff_ffff)) header.ttl = { type: 'uint', value: expirationMs }
  return header
}

const isWithin = (value: number, most: number): boolean => Number.isInteger(value) && 0 <= value && value <= most
/** Symbols are ASCII. */
const isAscii = (string: string): boolean => Buffer.byteLength(string) === string.length

function propertiesOf(attributes: Attributes): PropertyFields {
  const { messageId, correlationId, userId, timestamp } = attributes
  const properties: PropertyFields = {}
  if (messageId !== undefined) properties.messageId = { type: 'string', value: messageId }
  if (correlationId !== undefined) properties.correlationId = { type: 'string', value: correlationId }
  if (userId !== undefined) properties.userId = { type: 'binary', value: Buffer.from(userId) }
  if (timestamp !== undefined && Number.isSafeInteger(timestamp))
    properties.creationTime = { type: 'timestamp', value: BigInt(timestamp) }
  for (const [field, name] of Object.entries(textFields)) {
    const value = attributes[name]
    if (value === undefined) continue
    const symbolic = (field === 'contentType' || field === 'contentEncoding') && isAscii(value)
    properties[field as TextField] = { type: symbolic ? 'symbol' : 'string', value }
  }
  return properties
}

function restoreFields<Name extends string>(
  fields: Partial<Record<Name, Value>>,
  names: readonly Name[],
  extra: ReadonlyMap<string, HeaderValue>,
): void {
  for (const name of names) {
    const value = valueIn(extra.get(`amqp1.${name}`))
    if (value !== undefined) fields[name] = value
  }
}

/** Ids, and the user's, in their own types, as long as they say what the attributes say. */
function restoreIds(properties: PropertyFields, attributes: Attributes, extra: ReadonlyMap<string, HeaderValue>): void {
  for (const name of ['messageId', 'correlationId', 'userId'] as const) {
    const value = valueIn(extra.get(`amqp1.${name}`))
    if (value === undefined) continue
    const same = value.type === 'binary' && name === 'userId' ? value.value.toString() : textOf(value)
    if (same === attributes[name]) properties[name] = value
  }
  for (const [field, name] of Object.entries(textFields)) {
    const value = valueIn(extra.get(`amqp1.${field}`))
    if ((value?.type === 'string' || value?.type === 'symbol') && value.value === attributes[name])
      properties[field as TextField] = value
  }
}

function valueIn(kept: HeaderValue | undefined): Value | undefined {
  if (kept?.type === 'string') return { type: 'string', value: kept.value }
  if (kept?.type !== 'bytes') return undefined
  try {
    const reader = new ValueReader(kept.value)
    const value = reader.read()
    return reader.done ? value : undefined
  } catch {
    return undefined // Someone else wrote it.
  }
}

function mapIn(kept: HeaderValue | undefined): readonly Pair[] | undefined {
  const value = valueIn(kept)
  return value?.type === 'map' ? value.value : undefined
}

function annotationsOf(attributes: Attributes, extra: ReadonlyMap<string, HeaderValue>, known: Known) {
  let { properties, annotations } = sectionsOf(attributes.headers)
  const exactProperties = mapIn(extra.get('amqp1.application-properties')) ?? properties
  const exactAnnotations = mapIn(extra.get('amqp1.message-annotations')) ?? annotations
  const back = headersOf(exactProperties, exactAnnotations)
  const exact = isDeepStrictEqual(back, attributes.headers)
  if (exact) {
    properties = [...exactProperties]
    annotations = [...exactAnnotations]
  }
  const add = (name: string, value: Value): void => void annotations.push([{ type: 'symbol', value: name }, value])
  if (attributes.type !== undefined) add(typeName, { type: 'string', value: attributes.type })
  for (const [name, neutral] of Object.entries(provenance)) {
    const value = extra.get(neutral)
    if (value?.type === 'string') add(name, { type: 'string', value: value.value })
  }
  const complete = exact || isDeepStrictEqual(headersOf(properties, annotations), attributes.headers)
  const spare = spareOf(attributes, extra, complete, known)
  if (0 < spare.length) add(spareName, { type: 'map', value: spare })
  return { applicationProperties: properties, messageAnnotations: annotations }
}

/** Extra that has a place of its own above. */
const isPlaced = (name: string): boolean =>
  name.startsWith('amqp1.') || name.startsWith('stream.') || Object.values(provenance).includes(name)

function spareOf(
  attributes: Attributes,
  extra: ReadonlyMap<string, HeaderValue>,
  headersAreComplete: boolean,
  { deaths, address }: Known,
): Pair[] {
  const spare: Pair[] = []
  const add = (name: string, value: Value): void => void spare.push([{ type: 'string', value: name }, value])
  if (attributes.key !== null) add('key', { type: 'binary', value: attributes.key })
  if (attributes.value === null) add('tombstone', { type: 'boolean', value: true })
  for (const name of ['dedupId', 'appId'] as const) {
    const value = attributes[name]
    if (value !== undefined) add(name, { type: 'string', value })
  }
  const { timestamp, expirationMs, priority, deliverAt } = attributes
  const number = (name: string, value: number | undefined, fits: boolean): void => {
    if (value !== undefined && !fits) add(name, { type: 'double', value })
  }
  number('timestamp', timestamp, Number.isSafeInteger(timestamp))
  number('expirationMs', expirationMs, isWithin(expirationMs ?? 0, 0xffff_ffff))
  number('priority', priority, isWithin(priority ?? 0, 0xff))
  number('deliverAt', deliverAt, false)
  if (!headersAreComplete) add('headers', listOf(attributes.headers))
  const foreign = [...extra].filter(([name]) => !isPlaced(name)).map(([name, value]) => ({ name, value }))
  if (0 < foreign.length) add('extra', listOf(foreign))
  if (address !== null) add('address', { type: 'string', value: address })
  if (0 < deaths.length) add('deaths', { type: 'string', value: JSON.stringify(deaths) })
  return spare
}

const listOf = (headers: readonly Header[]): Value => ({
  type: 'list',
  value: headers.map(({ name, value }) => ({
    type: 'list',
    value: [{ type: 'string', value: name }, nullable(valueFrom(value))],
  })),
})
