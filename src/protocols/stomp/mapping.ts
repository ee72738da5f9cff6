/**
 * Envelope ⇄ attributes, pure and total. The envelope: version byte (1), u32 length of the headers, the SEND frame's headers as version 1.2 writes
 * them, body. The table is in README.md.
 */
import { Buffer } from 'node:buffer'
import { addFlatTexts, flatTexts } from '../../core/flat-headers.ts'
import type { Attributes, Format } from '../../core/record.ts'
import { decodeHeaders, encodeHeaders, type Headers, Version } from './codec.ts'

export const formatId = 64

const headAt = 5

/** Headers of SEND that speak of the frame or the sending, not of the message. */
const ofTheFrame: ReadonlySet<string> = new Set(['receipt', 'transaction', 'content-length'])

export function encodeEnvelope(headers: Iterable<readonly [string, string]>, body: Buffer): Buffer {
  const kept: (readonly [string, string])[] = []
  for (const header of headers) if (!ofTheFrame.has(header[0])) kept.push(header)
  const text = Buffer.from(encodeHeaders(kept, Version.V12))
  const envelope = Buffer.allocUnsafe(headAt + text.length + body.length)
  envelope[0] = 1
  envelope.writeUInt32BE(text.length, 1)
  text.copy(envelope, headAt)
  body.copy(envelope, headAt + text.length)
  return envelope
}

export function decodeEnvelope(envelope: Buffer): { headers: Map<string, string>; body: Buffer } {
  const headBytes = envelope.length < headAt ? -1 : envelope.readUInt32BE(1)
  if (envelope[0] !== 1 || headBytes < 0 || headAt + headBytes > envelope.length) return { headers: new Map(), body: envelope }
  const bodyAt = headAt + headBytes
  try {
    return { headers: decodeHeaders(envelope.toString('utf8', headAt, bodyAt)), body: envelope.subarray(bodyAt) }
  } catch {
    return { headers: new Map(), body: envelope.subarray(bodyAt) } // Not ours to refuse now: the body is still worth having.
  }
}

/** Attributes with a header of their own in one of the dialects. */
const texts: readonly (readonly [
  string,
  'correlationId' | 'replyTo' | 'contentType' | 'type' | 'groupKey' | 'contentEncoding',
])[] = [
  ['content-type', 'contentType'],
  ['content-encoding', 'contentEncoding'],
  ['correlation-id', 'correlationId'],
  ['reply-to', 'replyTo'],
  ['type', 'type'],
  ['JMSXGroupID', 'groupKey'],
]
const numbers: readonly (readonly [string, 'priority' | 'timestamp' | 'expirationMs'])[] = [
  ['priority', 'priority'],
  ['timestamp', 'timestamp'],
  ['expiration', 'expirationMs'],
]
const own: ReadonlySet<keyof Attributes> = new Set<keyof Attributes>([
  'persistent',
  ...[...texts, ...numbers].map(([, name]) => name),
])

const whole = /^\d{1,15}$/

export const messageFormat: Format = {
  id: formatId,
  name: 'stomp message',
  batched: false,
  toAttributes(envelope) {
    const { headers, body } = decodeEnvelope(envelope)
    const attributes: Attributes = { key: null, value: body, headers: [] }
    const destination = headers.get('destination')
    headers.delete('destination')
    for (const [header, name] of texts) {
      const value = headers.get(header)
      if (value === undefined) continue
      attributes[name] = value
      headers.delete(header)
    }
    for (const [header, name] of numbers) {
      const value = headers.get(header)
      if (value === undefined || !whole.test(value)) continue
      attributes[name] = Number(value)
      headers.delete(header)
    }
    const persistent = headers.get('persistent')
    if (persistent === 'true' || persistent === 'false') {
      attributes.persistent = persistent === 'true'
      headers.delete('persistent')
    }
    addFlatTexts(
      attributes,
      [...headers].map(([name, text]) => ({ name, text })),
    )
    if (destination !== undefined) {
      ;(attributes.extra ??= []).push({ name: 'stomp.destination', value: { type: 'string', value: destination } })
    }
    return attributes
  },
  fromAttributes(attributes) {
    const headers: [string, string][] = []
    const destination = attributes.extra?.find(({ name }) => name === 'stomp.destination')
    if (destination !== undefined) headers.push(['destination', String(destination.value.value)])
    const extra = attributes.extra?.filter((each) => each !== destination) ?? []
    for (const [header, name] of texts) if (attributes[name] !== undefined) headers.push([header, attributes[name]])
    for (const [header, name] of numbers) if (attributes[name] !== undefined) headers.push([header, String(attributes[name])])
    if (attributes.persistent !== undefined) headers.push(['persistent', String(attributes.persistent)])
    const { extra: _, ...rest } = attributes
    for (const { name, text } of flatTexts(extra.length === 0 ? rest : { ...rest, extra }, own)) headers.push([name, text])
    return encodeEnvelope(headers, attributes.value ?? Buffer.alloc(0))
  },
}

export function headersOf(envelope: Buffer): Headers {
  return decodeEnvelope(envelope).headers
}
