/**
 * Envelope ⇄ attributes. An envelope is version byte (1), u48 ms and u24 number of its creation, u32 time to live, u32 delay, u32 retry (in seconds), then the
 * body as it came.
 */
import { Buffer } from 'node:buffer'
import type { Attributes, Format } from '../../core/record.ts'

export const jobFormatId = 208

/** What a job is made with. */
export interface JobHead {
  /** ms since the epoch, and its number among those of the same ms. */
  readonly createdMs: number
  readonly sequence: number
  readonly ttlSeconds: number
  /** Before it is queued for the first time. */
  readonly delaySeconds: number
  /** After which a job that nobody has acknowledged is queued again; 0: never, it is delivered at most once. */
  readonly retrySeconds: number
}

export const ttlSecondsDefault = 24 * 3600
export const retrySecondsMax = 300
/** Seconds are kept in 32 bits: more counts as so many. */
export const secondsMax = 0xffffffff

/** Where nobody has said it. */
export const defaultRetry = (ttlSeconds: number): number => Math.max(1, Math.min(retrySecondsMax, Math.floor(ttlSeconds / 10)))

const headBytes = 22

export function encodeJob(head: JobHead, body: Buffer): Buffer {
  const envelope = Buffer.allocUnsafe(headBytes + body.length)
  envelope[0] = 1
  envelope.writeUIntBE(head.createdMs, 1, 6)
  envelope.writeUIntBE(head.sequence & 0xffffff, 7, 3)
  envelope.writeUInt32BE(head.ttlSeconds, 10)
  envelope.writeUInt32BE(head.delaySeconds, 14)
  envelope.writeUInt32BE(head.retrySeconds, 18)
  body.copy(envelope, headBytes)
  return envelope
}

/** null: it is damaged. */
export function decodeHead(envelope: Buffer): JobHead | null {
  if (envelope.length < headBytes || envelope[0] !== 1) return null
  return {
    createdMs: envelope.readUIntBE(1, 6),
    sequence: envelope.readUIntBE(7, 3),
    ttlSeconds: envelope.readUInt32BE(10),
    delaySeconds: envelope.readUInt32BE(14),
    retrySeconds: envelope.readUInt32BE(18),
  }
}

/** Of an envelope whose head can be read. */
export const bodyOfJob = (envelope: Buffer): Buffer => envelope.subarray(headBytes)

const retryExtra = 'disque.retry'

export const jobFormat: Format = {
  id: jobFormatId,
  name: 'disque job',
  batched: false,
  toAttributes(envelope): Attributes {
    const head = decodeHead(envelope)
    if (head === null) return { key: null, value: envelope, headers: [] }
    return {
      key: null,
      value: bodyOfJob(envelope),
      headers: [],
      timestamp: head.createdMs,
      expirationMs: head.ttlSeconds * 1000,
      extra: [{ name: retryExtra, value: { type: 'u32', value: head.retrySeconds } }],
    }
  },
  fromAttributes({ value, timestamp, expirationMs, extra = [] }): Buffer {
    const ttlSeconds = expirationMs === undefined ? ttlSecondsDefault : seconds(expirationMs / 1000)
    const said = extra.find(({ name }) => name === retryExtra)?.value.value
    const retrySeconds = typeof said === 'number' ? seconds(said) : defaultRetry(ttlSeconds)
    const head = { createdMs: Math.max(0, Math.floor(timestamp ?? 0)), sequence: 0, ttlSeconds, delaySeconds: 0, retrySeconds }
    return encodeJob(head, value ?? Buffer.alloc(0))
  },
}

const seconds = (value: number): number => Math.min(secondsMax, Math.max(0, Math.floor(value)))
