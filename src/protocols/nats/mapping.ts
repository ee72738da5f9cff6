/**
 * Envelope ⇄ attributes, pure and total; the table is in README.md. A message with a reply subject or headers is version byte (1), u16 length of the
 * reply, u32 length of the headers, reply, headers as they came, payload. A payload alone is a format of its own without anything around it, so that
 * the most common message is never copied. What is delivered from a stream has a u16 and the subject that it is of before the reply, for it
 * goes to another.
 */
import { Buffer } from 'node:buffer'
import { addFlatTexts, type FlatText, flatTexts } from '../../core/flat-headers.ts'
import type { Attributes, Format, Header } from '../../core/record.ts'
import { isLiteral } from './subjects.ts'

export const messageFormatId = 96
export const payloadFormatId = 97
/** Never stored. */
export const deliveryFormatId = 98

const headBytes = 7
const deliveryHeadBytes = 9
const replyBytesMax = 0xffff
const nothing = Buffer.alloc(0)
const statusLine = 'NATS/1.0'
const own: ReadonlySet<keyof Attributes> = new Set<keyof Attributes>(['replyTo'])
/** A header that no header line can hold as it is: its value is `name=value` in URI encoding. */
const encodedHeader = 'anymq.encoded'
const statusExtra = 'nats.status'

/** `body`: headers and payload. */
export function encodeEnvelope(reply: string, headerBytes: number, body: Buffer): Buffer {
  const replyBytes = Buffer.byteLength(reply)
  const envelope = Buffer.allocUnsafe(headBytes + replyBytes + body.length)
  envelope[0] = 1
  envelope.writeUInt16BE(replyBytes, 1)
  envelope.writeUInt32BE(headerBytes, 3)
  envelope.write(reply, headBytes)
  body.copy(envelope, headBytes + replyBytes)
  return envelope
}

/** What a stream's message goes out as: `subject` is what its receiver sees. */
export function encodeDelivery(subject: string, reply: string, headers: Buffer, payload: Buffer): Buffer {
  const subjectBytes = Buffer.byteLength(subject)
  const replyBytes = Buffer.byteLength(reply)
  const headersAt = deliveryHeadBytes + subjectBytes + replyBytes
  const envelope = Buffer.allocUnsafe(headersAt + headers.length + payload.length)
  envelope[0] = 1
  envelope.writeUInt16BE(replyBytes, 1)
  envelope.writeUInt32BE(headers.length, 3)
  envelope.writeUInt16BE(subjectBytes, headBytes)
  envelope.write(subject, deliveryHeadBytes)
  envelope.write(reply, deliveryHeadBytes + subjectBytes)
  headers.copy(envelope, headersAt)
  payload.copy(envelope, headersAt + headers.length)
  return envelope
}

/** Where the parts of an envelope stand: the reply from `replyAt` to `headersAt`, headers to `payloadAt`. One that is damaged is all payload. */
export interface Places {
  replyAt: number
  headersAt: number
  payloadAt: number
}

export function locate(envelope: Buffer, places: Places): void {
  places.replyAt = places.headersAt = places.payloadAt = 0
  if (envelope.length < headBytes || envelope[0] !== 1) return
  const headersAt = headBytes + envelope.readUInt16BE(1)
  const payloadAt = headersAt + envelope.readUInt32BE(3)
  if (payloadAt > envelope.length) return
  places.replyAt = headBytes
  places.headersAt = headersAt
  places.payloadAt = payloadAt
}

/** The same of what {@link encodeDelivery} made; its subject ends where the reply begins. */
export function locateDelivery(envelope: Buffer, places: Places): void {
  places.replyAt = deliveryHeadBytes + envelope.readUInt16BE(headBytes)
  places.headersAt = places.replyAt + envelope.readUInt16BE(1)
  places.payloadAt = places.headersAt + envelope.readUInt32BE(3)
}

export const subjectAt = 9

export const messageFormat: Format = {
  id: messageFormatId,
  name: 'nats message',
  batched: false,
  toAttributes(envelope) {
    const places = { replyAt: 0, headersAt: 0, payloadAt: 0 }
    locate(envelope, places)
    return attributesAt(envelope, places)
  },
  fromAttributes(attributes) {
    const { replyTo } = attributes
    const fits = replyTo !== undefined && isLiteral(replyTo) && Buffer.byteLength(replyTo) <= replyBytesMax
    const headers = Buffer.from(headerText(attributes, replyTo === undefined || fits))
    const value = attributes.value ?? nothing
    return encodeEnvelope(fits ? replyTo : '', headers.length, headers.length === 0 ? value : Buffer.concat([headers, value]))
  },
}

export const payloadFormat: Format = {
  id: payloadFormatId,
  name: 'nats payload',
  batched: false,
  toAttributes: (payload) => ({ key: null, value: payload, headers: [] }),
  fromAttributes: (attributes) => attributes.value ?? nothing,
}

/** For listeners of other protocols; nothing is stored in it. */
export const deliveryFormat: Format = {
  id: deliveryFormatId,
  name: 'nats delivery',
  batched: false,
  toAttributes(envelope) {
    const places = { replyAt: 0, headersAt: 0, payloadAt: 0 }
    locateDelivery(envelope, places)
    return { ...attributesAt(envelope, places), subject: envelope.toString('utf8', subjectAt, places.replyAt) }
  },
  fromAttributes: (attributes) => {
    const { replyTo = '', subject = '', value } = attributes
    return encodeDelivery(subject, replyTo, Buffer.from(headerText(attributes, true)), value ?? nothing)
  },
}

function attributesAt(envelope: Buffer, { replyAt, headersAt, payloadAt }: Places): Attributes {
  const attributes: Attributes = { key: null, value: envelope.subarray(payloadAt), headers: [] }
  if (headersAt > replyAt) attributes.replyTo = envelope.toString('utf8', replyAt, headersAt)
  if (payloadAt > headersAt) addHeaders(attributes, envelope.toString('utf8', headersAt, payloadAt))
  return attributes
}

// ------------------------------------------------------------------------------------------------------------------- headers

function addHeaders(attributes: Attributes, text: string): void {
  const [first = '', ...lines] = text.split('\r\n')
  const flat: FlatText[] = []
  for (const line of lines) {
    const colon = line.indexOf(':')
    if (colon < 0) continue
    const name = line.slice(0, colon)
    const value = line.slice(colon + 1).trim()
    if (name === encodedHeader) flat.push(...decodePair(value))
    else flat.push({ name, text: value })
  }
  addFlatTexts(attributes, flat)
  const status = first.slice(statusLine.length).trim()
  if (status !== '') (attributes.extra ??= []).push({ name: statusExtra, value: { type: 'string', value: status } })
}

function headerText(attributes: Attributes, replyIsElsewhere: boolean): string {
  const status = attributes.extra?.find(isStatus)
  const { extra, ...rest } = attributes
  const others = extra?.filter((header) => header !== status) ?? []
  const flat = flatTexts(others.length === 0 ? rest : { ...rest, extra: others }, replyIsElsewhere ? own : new Set())
  if (flat.length === 0 && status === undefined) return ''
  const lines = flat.map((header) =>
    fitsLine(header) ? `${header.name}: ${header.text}\r\n` : `${encodedHeader}: ${encodePair(header)}\r\n`,
  )
  return `${statusLine}${status === undefined ? '' : ` ${String(status.value.value)}`}\r\n${lines.join('')}\r\n`
}

const isStatus = ({ name, value }: Header): boolean =>
  name === statusExtra && value.type === 'string' && /^[!-~]([ -~]*[!-~])?$/.test(value.value)

/** Whether a line can say it and be read as it was: a name of printable ASCII, a value of one line without blanks around it. */
const fitsLine = ({ name, text }: FlatText): boolean =>
  /^[!-9;-~]+$/.test(name) && name !== encodedHeader && !/[\r\n]/.test(text) && text.trim() === text && text.isWellFormed()

const encodePair = ({ name, text }: FlatText): string =>
  `${encodeURIComponent(name.toWellFormed())}=${encodeURIComponent(text.toWellFormed())}`

function decodePair(pair: string): FlatText[] {
  const sign = pair.indexOf('=')
  if (sign < 0) return []
  try {
    return [{ name: decodeURIComponent(pair.slice(0, sign)), text: decodeURIComponent(pair.slice(sign + 1)) }]
  } catch {
    return [] // Somebody else wrote it; the rest is still worth having.
  }
}
