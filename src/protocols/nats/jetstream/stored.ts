/** Stored records as JetStream shows them: a subject, a sequence, a time, headers and a payload, whoever published them. */
import { Buffer } from 'node:buffer'
import type { PeekedRecord } from '../../../broker/face.ts'
import { formats } from '../../../core/record.ts'
import { locate, messageFormat, messageFormatId, payloadFormatId } from '../mapping.ts'

export interface StoredMessage {
  readonly subject: string
  readonly sequence: number
  /** ms since the epoch. */
  readonly time: number
  /** The whole block, or nothing. */
  readonly headers: Buffer
  readonly payload: Buffer
}

export interface Content {
  readonly headers: Buffer
  readonly payload: Buffer
}

const nothing = Buffer.alloc(0)
const places = { replyAt: 0, headersAt: 0, payloadAt: 0 }

/** What it was published with; the reply subject is not part of it. */
export function contentOf(format: number, bytes: Buffer): Content {
  if (format === payloadFormatId) return { headers: nothing, payload: bytes }
  const envelope = format === messageFormatId ? bytes : messageFormat.fromAttributes(formats.get(format).toAttributes(bytes))
  locate(envelope, places)
  return { headers: envelope.subarray(places.headersAt, places.payloadAt), payload: envelope.subarray(places.payloadAt) }
}

/** `topic` is the subject of records that say none; `base` the sequence of offset 0. */
export function messageOf(record: PeekedRecord, topic: string, base: number): StoredMessage {
  const { offset, timestamp, format, bytes, subject } = record
  return { subject: subject ?? topic, sequence: offset + base, time: timestamp, ...contentOf(format, bytes) }
}
