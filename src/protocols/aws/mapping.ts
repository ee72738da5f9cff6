/**
 * Envelope ⇄ attributes, pure and total; the table is in README.md. An envelope is version byte (1), u32 length of the head, the head in JSON, the
 * body as sent.
 */
import { Buffer } from 'node:buffer'
import { addFlatHeaders, type FlatHeader, flatHeaders } from '../../core/flat-headers.ts'
import { type Attributes, type Format, formats, type Header } from '../../core/record.ts'
import { attributesMax, baseType, type MessageAttribute } from './message-attributes.ts'

export const messageFormatId = 176

export interface Message {
  /** A UUID; '' where its producer was another protocol. */
  readonly id: string
  readonly body: string
  readonly attributes: readonly MessageAttribute[]
  readonly group?: string
  readonly dedup?: string
  /** 20 digits, growing. */
  readonly sequence?: string
  readonly sender?: string
  readonly trace?: string
  /** Of a notification. */
  readonly subject?: string
  /** Of a notification: the texts for single protocols, where they have their own. */
  readonly bodies?: Readonly<Record<string, string>>
}

interface Head {
  readonly id: string
  readonly attributes?: readonly (readonly [name: string, type: string, value: string])[]
  readonly group?: string
  readonly dedup?: string
  readonly sequence?: string
  readonly sender?: string
  readonly trace?: string
  readonly subject?: string
  readonly bodies?: Readonly<Record<string, string>>
}

const headAt = 5
/** What does not fit into attributes: `name=value&…` with every other byte as %XX; a name alone is null. */
const moreAttribute = 'anymq.more'
/** `base64`: the body is that of bytes that are no text. */
const bodyAttribute = 'anymq.body'
/** Types of attributes that headers have no word for. */
const typesExtra = 'sqs.types'
const traceExtra = 'sqs.trace'
const sequenceExtra = 'sqs.sequence'
const bodiesExtra = 'sns.bodies'

export function encodeMessage({ body, attributes, ...rest }: Message): Buffer {
  const head: Head = {
    ...rest,
    ...(attributes.length > 0 && { attributes: attributes.map(({ name, type, value }) => [name, type, value] as const) }),
  }
  const text = JSON.stringify(head)
  const headBytes = Buffer.byteLength(text)
  const envelope = Buffer.allocUnsafe(headAt + headBytes + Buffer.byteLength(body))
  envelope[0] = 1
  envelope.writeUInt32BE(headBytes, 1)
  envelope.write(text, headAt)
  envelope.write(body, headAt + headBytes)
  return envelope
}

/** One that is damaged is all body. */
export function decodeMessage(envelope: Buffer): Message {
  const end = envelope.length >= headAt && envelope[0] === 1 ? headAt + envelope.readUInt32BE(1) : Infinity
  if (end > envelope.length) return { id: '', body: envelope.toString(), attributes: [] }
  const { attributes = [], ...rest } = headOf(envelope.toString('utf8', headAt, end))
  return {
    ...rest,
    body: envelope.toString('utf8', end),
    attributes: attributes.map(([name, type, value]) => ({ name, type, value })),
  }
}

function headOf(text: string): Head {
  try {
    return JSON.parse(text) as Head // as encodeMessage wrote it
  } catch {
    return { id: '' }
  }
}

export const messageFormat: Format = {
  id: messageFormatId,
  name: 'sqs message',
  batched: false,
  toAttributes: (envelope) => attributesOf(decodeMessage(envelope)),
  fromAttributes: (attributes) => encodeMessage(messageOf(attributes)),
}

// -------------------------------------------------------------------------------------------------------------- to attributes

function attributesOf(message: Message): Attributes {
  const { id, group, dedup, sender, trace, sequence, subject, bodies } = message
  const encoded = message.attributes.some(({ name, value }) => name === bodyAttribute && value === 'base64')
  const attributes: Attributes = {
    key: null,
    value: Buffer.from(message.body, encoded ? 'base64' : 'utf8'),
    headers: [],
    ...(group !== undefined && { groupKey: group }),
    ...(dedup !== undefined && { dedupId: dedup }),
    ...(sender !== undefined && { userId: sender }),
    ...(subject !== undefined && { subject }),
  }
  const flat: FlatHeader[] = []
  for (const attribute of message.attributes) {
    if (attribute.name === bodyAttribute && encoded) continue
    if (attribute.name === moreAttribute) flat.push(...decodeMore(attribute.value))
    else flat.push({ name: attribute.name, bytes: bytesOf(attribute) })
  }
  addFlatHeaders(attributes, flat)
  // One that a program set by hand, or copied, comes first.
  if (id !== '') attributes.messageId ??= id
  if (!flat.some(({ name }) => name === 'anymq.types')) numbers(attributes, message.attributes)
  const labels = message.attributes.filter(({ type }) => type.includes('.')).map(({ name, type }) => `${name}=${type}`)
  for (const [name, value] of [
    [typesExtra, labels.join('&')],
    [traceExtra, trace ?? ''],
    [sequenceExtra, sequence ?? ''],
    [bodiesExtra, bodies === undefined ? '' : JSON.stringify(bodies)],
  ] as const)
    if (value !== '') (attributes.extra ??= []).push({ name, value: { type: 'string', value } })
  return attributes
}

const bytesOf = ({ type, value }: MessageAttribute): Buffer => Buffer.from(value, baseType(type) === 'Binary' ? 'base64' : 'utf8')

/** Numbers are numbers for others where they can be told exactly. */
function numbers(attributes: Attributes, sent: readonly MessageAttribute[]): void {
  const numeric = new Set(sent.filter(({ type }) => baseType(type) === 'Number').map(({ name }) => name))
  attributes.headers = attributes.headers.map((header): Header => {
    if (!numeric.has(header.name) || header.value.type !== 'string') return header
    const text = header.value.value
    if (/^(0|-?[1-9]\d{0,17})$/.test(text)) return { name: header.name, value: { type: 'i64', value: BigInt(text) } }
    return String(Number(text)) === text ? { name: header.name, value: { type: 'f64', value: Number(text) } } : header
  })
}

// ------------------------------------------------------------------------------------------------------------ from attributes

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const idText = /^[!-~]{1,128}$/
const numeric: ReadonlySet<string> = new Set(['i8', 'u8', 'i16', 'u16', 'i32', 'u32', 'i64', 'f32', 'f64'])

/** A record of another protocol as a message. */
export function messageOf(attributes: Attributes): Message {
  const extras = new Map((attributes.extra ?? []).map(({ name, value }) => [name, value.value]))
  const ownText = (name: string): string | undefined => {
    const value = extras.get(name)
    return typeof value === 'string' ? value : undefined
  }
  const { messageId = '', groupKey, dedupId, value } = attributes
  const own = new Set<keyof Attributes>()
  if (uuid.test(messageId)) own.add('messageId')
  const group = groupKey !== undefined && idText.test(groupKey) ? groupKey : undefined
  if (group !== undefined) own.add('groupKey')
  const dedup = dedupId !== undefined && idText.test(dedupId) ? dedupId : undefined
  if (dedup !== undefined) own.add('dedupId')
  const text = value === null ? '' : textOf(value)
  const [trace, sequence] = [ownText(traceExtra), ownText(sequenceExtra)]
  return {
    id: own.has('messageId') ? messageId : '',
    body: text ?? value?.toString('base64') ?? '',
    attributes: attributesFrom(attributes, own, ownText(typesExtra) ?? '', text === null),
    ...(group !== undefined && { group }),
    ...(dedup !== undefined && { dedup }),
    ...(trace !== undefined && { trace }),
    ...(sequence !== undefined && { sequence }),
  }
}

/** The record as a message, of whichever protocol it is. `sentAt`: when its producer says it was made. */
export function messageIn(format: number, bytes: Buffer): { readonly message: Message; readonly sentAt: number | undefined } {
  if (format === messageFormatId) return { message: decodeMessage(bytes), sentAt: undefined }
  const attributes = formats.get(format).toAttributes(bytes)
  return { message: messageOf(attributes), sentAt: attributes.timestamp }
}

const isOwnExtra = ({ name }: Header): boolean => name === typesExtra || name === traceExtra || name === sequenceExtra

function attributesFrom(
  attributes: Attributes,
  own: Set<keyof Attributes>,
  labels: string,
  encoded: boolean,
): MessageAttribute[] {
  const { extra = [], ...rest } = attributes
  const flat = flatHeaders({ ...rest, extra: extra.filter((header) => !isOwnExtra(header)) }, own)
  const types = new Map(labels.split('&').map((pair) => pair.split('=', 2) as [string, string | undefined]))
  const fitting: MessageAttribute[] = encoded ? [{ name: bodyAttribute, type: 'String', value: 'base64' }] : []
  const names = new Set<string>(fitting.map(({ name }) => name))
  const others: FlatHeader[] = []
  for (const [index, header] of flat.entries()) {
    const number = numeric.has(attributes.headers[index]?.value.type ?? '') // headers come first
    const attribute = names.has(header.name) ? null : asAttribute(header, types.get(header.name), number)
    if (attribute === null) others.push(header)
    else {
      names.add(header.name)
      fitting.push(attribute)
    }
  }
  if (others.length === 0 && fitting.length <= attributesMax) return fitting
  const byName = new Map(flat.map((header) => [header.name, header]))
  // In the order they have, as far as there is room.
  const shown = fitting.slice(0, attributesMax - 1)
  for (const { name } of fitting.slice(attributesMax - 1)) {
    const header = byName.get(name)
    if (header !== undefined) others.push(header)
  }
  return [...shown, { name: moreAttribute, type: 'String', value: encodeMore(others) }]
}

/** null: no attribute can say it. */
function asAttribute({ name, bytes }: FlatHeader, label: string | undefined, number: boolean): MessageAttribute | null {
  if (bytes === null || bytes.length === 0 || !/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(name)) return null
  if (/^(aws|amazon)\./i.test(name) || name.length > 256 || name === moreAttribute || name === bodyAttribute) return null
  const text = textOf(bytes)
  if (text === null) return { name, type: label?.startsWith('Binary') ? label : 'Binary', value: bytes.toString('base64') }
  if (label?.startsWith('Binary')) return { name, type: label, value: bytes.toString('base64') }
  return { name, type: label ?? (number && Number.isFinite(Number(text)) ? 'Number' : 'String'), value: text }
}

/** Characters that a body may have (XML 1.0). */
export const badCharacter = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u

/** null: not UTF-8, or not what a body may hold. */
function textOf(bytes: Buffer): string | null {
  const text = bytes.toString('utf8')
  if (badCharacter.test(text)) return null
  return text.includes('\ufffd') && !Buffer.from(text).equals(bytes) ? null : text
}

const encodeBytes = (bytes: Buffer): string =>
  bytes
    .toString('latin1')
    .replace(/[^A-Za-z0-9_.-]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`)
const decodeBytes = (text: string): Buffer =>
  Buffer.from(
    text.replace(/%([0-9a-f]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16))),
    'latin1',
  )

const encodeMore = (headers: readonly FlatHeader[]): string =>
  headers.map(({ name, bytes }) => encodeBytes(Buffer.from(name)) + (bytes === null ? '' : `=${encodeBytes(bytes)}`)).join('&')

function decodeMore(text: string): FlatHeader[] {
  return text.split('&').map((pair) => {
    const sign = pair.indexOf('=')
    const name = decodeBytes(sign < 0 ? pair : pair.slice(0, sign)).toString()
    return { name, bytes: sign < 0 ? null : decodeBytes(pair.slice(sign + 1)) }
  })
}
