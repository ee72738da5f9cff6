/**
 * Envelope ⇄ attributes, pure and total. The envelope: version byte (1), flags (QoS, RETAIN, sent for a new subscription), u32 message expiry
 * (seconds; all ones: none), u16 length and text of the publisher's client id, u32 length and bytes of the other properties as version 5 writes
 * them, payload. The topic is the record's address and is not in it. The table is in README.md.
 */
import { Buffer, isUtf8 } from 'node:buffer'
import { addFlatTexts, flatTexts } from '../../core/flat-headers.ts'
import type { Attributes, Format } from '../../core/record.ts'
import type { Qos } from './codec.ts'
import { swap } from './names.ts'
import { encodePropertyList, encodeVarint, Packet, type Properties, Reader, readProperties } from './properties.ts'

export const formatId = 80
const headBytes = 8
const never = 0xffff_ffff
const none = Buffer.alloc(0)

export interface Envelope {
  readonly qos: Qos
  readonly retain: boolean
  /** A retained message on its way to a subscription that is new. */
  readonly fromStore: boolean
  /** Seconds from its publishing; -1: none. */
  readonly expirySeconds: number
  readonly clientId: string
  /** As version 5 writes them, without their length; not the expiry, alias and subscription identifiers. */
  readonly properties: Buffer
  readonly payload: Buffer
}

export function encodeEnvelope(envelope: Envelope): Buffer {
  const { properties, payload, clientId, expirySeconds } = envelope
  const idBytes = Buffer.byteLength(clientId)
  const bytes = Buffer.allocUnsafe(headBytes + idBytes + 4 + properties.length + payload.length)
  bytes[0] = 1
  bytes[1] = envelope.qos | (envelope.retain ? 4 : 0) | (envelope.fromStore ? 8 : 0)
  bytes.writeUInt32BE(expirySeconds < 0 ? never : Math.min(expirySeconds, never - 1), 2)
  bytes.writeUInt16BE(idBytes, 6)
  let at = headBytes + bytes.write(clientId, headBytes)
  at = bytes.writeUInt32BE(properties.length, at)
  at += properties.copy(bytes, at)
  payload.copy(bytes, at)
  return bytes
}

/** What is no envelope of ours is all payload. */
export function decodeEnvelope(bytes: Buffer): Envelope {
  const broken: Envelope = {
    qos: 1,
    retain: false,
    fromStore: false,
    expirySeconds: -1,
    clientId: '',
    properties: none,
    payload: bytes,
  }
  if (bytes.length < headBytes + 4 || bytes[0] !== 1) return broken
  const flags = bytes[1] as number // checked above
  const expiry = bytes.readUInt32BE(2)
  const propertiesAt = headBytes + bytes.readUInt16BE(6) + 4
  if (propertiesAt > bytes.length) return broken
  const payloadAt = propertiesAt + bytes.readUInt32BE(propertiesAt - 4)
  if (payloadAt > bytes.length) return broken
  return {
    qos: Math.min(flags & 3, 2) as Qos,
    retain: (flags & 4) !== 0,
    fromStore: (flags & 8) !== 0,
    expirySeconds: expiry === never ? -1 : expiry,
    clientId: propertiesAt === headBytes + 4 ? '' : bytes.toString('utf8', headBytes, propertiesAt - 4),
    properties: bytes.subarray(propertiesAt, payloadAt),
    payload: bytes.subarray(payloadAt),
  }
}

/** The envelope of a retained message on its way to a new subscription. */
export function fromStore(envelope: Buffer): Buffer {
  const copy = Buffer.from(envelope)
  if (copy.length > 1) copy[1] = (copy[1] as number) | 8
  return copy
}

const own: ReadonlySet<keyof Attributes> = new Set<keyof Attributes>([
  'contentType',
  'replyTo',
  'correlationId',
  'expirationMs',
  'persistent',
])
const correlationBytes = 'mqtt.correlation-data'
const payloadFormat = 'mqtt.payload-format'

export const messageFormat: Format = {
  id: formatId,
  name: 'mqtt message',
  batched: false,
  toAttributes(bytes) {
    const envelope = decodeEnvelope(bytes)
    const attributes: Attributes = { key: null, value: envelope.payload, headers: [] }
    const properties = parse(envelope.properties)
    const { correlationData } = properties
    if (properties.contentType !== undefined) attributes.contentType = properties.contentType
    if (properties.responseTopic !== undefined) attributes.replyTo = swap(properties.responseTopic)
    if (correlationData !== undefined) {
      if (isUtf8(correlationData)) attributes.correlationId = correlationData.toString('utf8')
      else (attributes.extra ??= []).push({ name: correlationBytes, value: { type: 'bytes', value: correlationData } })
    }
    if (envelope.expirySeconds >= 0) attributes.expirationMs = envelope.expirySeconds * 1000
    attributes.persistent = envelope.qos > 0
    addFlatTexts(
      attributes,
      (properties.userProperties ?? []).map(([name, text]) => ({ name, text })),
    )
    if (properties.payloadFormat === 1) {
      ;(attributes.extra ??= []).push({ name: payloadFormat, value: { type: 'i32', value: 1 } })
    }
    return attributes
  },
  fromAttributes(attributes) {
    const properties: Properties = {}
    const rest = (attributes.extra ?? []).filter(({ name, value }) => {
      if (name === correlationBytes && value.type === 'bytes') properties.correlationData = value.value
      else if (name === payloadFormat) properties.payloadFormat = 1
      else return true
      return false
    })
    if (attributes.contentType !== undefined) properties.contentType = attributes.contentType
    if (attributes.replyTo !== undefined) properties.responseTopic = swap(attributes.replyTo)
    if (attributes.correlationId !== undefined)
      properties.correlationData = Buffer.from(attributes.correlationId).subarray(0, 0xffff)
    const { extra: _, ...plain } = attributes
    const texts = flatTexts(rest.length === 0 ? plain : { ...plain, extra: rest }, own)
    if (texts.length > 0) properties.userProperties = texts.map(({ name, text }) => [name, text])
    return encodeEnvelope({
      qos: attributes.persistent === false ? 0 : 1,
      retain: false,
      fromStore: false,
      expirySeconds: attributes.expirationMs === undefined ? -1 : Math.ceil(attributes.expirationMs / 1000),
      clientId: '',
      properties: encodePropertyList(properties),
      payload: attributes.value ?? none,
    })
  },
}

function parse(list: Buffer): Properties {
  if (list.length === 0) return {}
  try {
    return readProperties(new Reader(Buffer.concat([encodeVarint(list.length), list])), Packet.Publish)
  } catch {
    return {} // Not ours to refuse now: the payload is still worth having.
  }
}
