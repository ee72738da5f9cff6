/** Retained messages: the newest record of each address in one topic of the namespace, kept to the record. */
import type { Buffer } from 'node:buffer'
import { type PeekedRecord, PublishItem, PublishStatus, type Space } from '../../broker/face.ts'
import { decodeEnvelope, formatId } from './mapping.ts'
import { type Filter, matches, swap } from './names.ts'

const topic = 'mqtt.retained'

export interface Retained {
  readonly address: string
  readonly envelope: Buffer
  readonly timestamp: number
  /** What is left of its message expiry, ms; -1: it has none. */
  readonly ttlMs: number
}

/** Replaces what is retained for the address. `done` with whether it is stored. */
export function retain(space: Space, like: PublishItem, done: (stored: boolean) => void): void {
  if (space.topic(topic) === undefined) {
    const config = { indexed: true, subjectRecordsMax: 1, retentionMs: -1 } as const
    // It is there at once, and durable before what is stored in it.
    space.createTopic(topic, config, 'mqtt').catch(() => undefined)
  }
  const item = new PublishItem(null, like.address, formatId, like.payload)
  item.into = topic
  item.ttlMs = like.ttlMs
  item.transient = like.transient
  space.publish([item], () => done(item.status === PublishStatus.Stored))
}

/** Forgets what is retained for the address. */
export function forgetRetained(space: Space, address: string, done: (stored: boolean) => void): void {
  const offsets = space.topic(topic) === undefined ? [] : space.offsetsOf(topic, address)
  if (offsets.length === 0) return queueMicrotask(() => done(true))
  space.removeRecords(topic, 0, [...offsets]).then(
    () => done(true),
    () => done(false),
  )
}

/** What is retained for the topics that a filter matches, one after the other. */
export async function* retainedFor(space: Space, filter: Filter, now: () => number): AsyncGenerator<Retained> {
  if (space.topic(topic) === undefined) return
  for (const { subject, last } of newest(space, filter)) {
    const record = await peekAt(space, last)
    // It may have been replaced meanwhile: then the subscription hears of that by itself.
    if (record === undefined || record.subject !== subject) continue
    const { expirySeconds } = decodeEnvelope(record.bytes)
    const ttlMs = expirySeconds < 0 ? -1 : record.timestamp + expirySeconds * 1000 - now()
    if (expirySeconds >= 0 && ttlMs <= 0) continue
    yield { address: subject, envelope: record.bytes, timestamp: record.timestamp, ttlMs }
  }
}

function newest(space: Space, { filter, pattern }: Filter): { subject: string; last: number }[] {
  if (/[+#]/.test(filter)) return space.addresses(topic, pattern).filter(({ subject }) => matches(filter, swap(subject)))
  const last = space.offsetsOf(topic, pattern).at(-1)
  return last === undefined ? [] : [{ subject: pattern, last }]
}

/** One that is not on the disk yet is waited for: whoever subscribes now was too late to hear it live. */
async function peekAt(space: Space, offset: number): Promise<PeekedRecord | undefined> {
  await new Promise<void>((resolve) => space.whenReadable(topic, 0, offset, resolve, true))
  const [record] = space.topic(topic) === undefined ? [] : await space.peek(topic, { partition: 0, offset, limit: 1 })
  return record?.offset === offset ? record : undefined
}
