/** Envelope ⇄ attributes. An envelope is a version byte (1) and the body: a message has nothing else. */
import { Buffer } from 'node:buffer'
import { PublishItem } from '../../broker/face.ts'
import { type Format, formats } from '../../core/record.ts'

export const messageFormatId = 224
const version = 1
const nothing = Buffer.alloc(0)

export function encodeMessage(body: Buffer): Buffer {
  const envelope = Buffer.allocUnsafe(1 + body.length)
  envelope[0] = version
  body.copy(envelope, 1)
  return envelope
}

/** A message to be published, later where `delayMs` is not 0. The body is copied. */
export function messageItem(topic: string, body: Buffer, delayMs: number, now: number): PublishItem {
  const item = new PublishItem(null, topic, messageFormatId, encodeMessage(body))
  if (delayMs > 0) item.deliverAt = now + delayMs
  return item
}

export const messageFormat: Format = {
  id: messageFormatId,
  name: 'NSQ message',
  batched: false,
  toAttributes: (envelope) => ({ key: null, value: envelope.subarray(envelope[0] === version ? 1 : 0), headers: [] }),
  fromAttributes: ({ value }) => encodeMessage(value ?? nothing),
}

/** The body of a record, whoever published it: `buffer[start..end)` is its envelope. A view. */
export function bodyOf(format: number, buffer: Buffer, start: number, end: number): Buffer {
  if (format === messageFormatId && buffer[start] === version) return buffer.subarray(start + 1, end)
  return formats.get(format).toAttributes(buffer.subarray(start, end)).value ?? nothing
}
