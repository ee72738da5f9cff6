/** Records for tests of the broker without a protocol: a plain format, publishing that is waited for, and sinks that remember. */
import assert from 'node:assert/strict'
import { type Consumer, type DeliveryBatch, PublishItem, type Sink, type Space } from '../../src/broker/face.ts'
import { type Attributes, type Format, formats } from '../../src/core/record.ts'

/** The envelope is JSON: key, value, text headers and any other attribute. */
export const plainFormat: Format = {
  id: 250,
  name: 'plain (tests)',
  batched: false,
  toAttributes(envelope) {
    const { key = null, value = null, headers = {}, ...rest } = JSON.parse(envelope.toString()) as PlainRecord
    return {
      ...rest,
      key: key === null ? null : Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
      headers: Object.entries(headers).map(([name, text]) => ({ name, value: { type: 'string', value: text } })),
    }
  },
  fromAttributes: (attributes) =>
    Buffer.from(
      JSON.stringify({
        key: attributes.key?.toString() ?? null,
        value: attributes.value?.toString() ?? null,
        ...(attributes.headers.length === 0
          ? {}
          : { headers: Object.fromEntries(attributes.headers.map(({ name, value }) => [name, String(value.value)])) }),
      } satisfies PlainRecord),
    ),
}
formats.register(plainFormat)

/** Several records in one entry: a JSON list of base offset and records; null where one was removed. */
export const plainBatchFormat: Format = {
  id: 251,
  name: 'plain batch (tests)',
  batched: true,
  recordFormat: plainFormat.id,
  open: (payload) => recordsIn(payload).map((record) => (record === null ? null : Buffer.from(JSON.stringify(record)))),
  keys: (payload) =>
    recordsIn(payload).map((record) =>
      record === null ? null : { key: record.key ? Buffer.from(record.key) : null, tombstone: record.value === null },
    ),
  retain(payload, keep) {
    const kept = recordsIn(payload).map((record, index) => (keep(index) ? record : null))
    return kept.every((record) => record === null) ? null : Buffer.from(JSON.stringify(kept))
  },
  toAttributes: (payload) => plainFormat.toAttributes(plainBatchFormat.open?.(payload, 0)[0] ?? payload),
  fromAttributes: (attributes) => Buffer.from(`[${String(plainFormat.fromAttributes(attributes))}]`),
}
formats.register(plainBatchFormat)

const recordsIn = (payload: Buffer): (PlainRecord | null)[] => JSON.parse(payload.toString()) as (PlainRecord | null)[]

export interface PlainRecord extends Omit<Partial<Attributes>, 'key' | 'value' | 'headers'> {
  key?: string | null
  value?: string | null
  headers?: Record<string, string>
}

/** A record of the plain format. Its key is also the item's. */
export function plainItem(topic: string, record: PlainRecord): PublishItem {
  const item = new PublishItem(null, topic, plainFormat.id, Buffer.from(JSON.stringify(record)))
  if (typeof record.key === 'string') item.key = Buffer.from(record.key)
  return item
}

export function plainBatchItem(topic: string, records: readonly PlainRecord[]): PublishItem {
  const item = new PublishItem(null, topic, plainBatchFormat.id, Buffer.from(JSON.stringify(records)))
  item.count = records.length
  return item
}

export async function publish(space: Space, ...items: PublishItem[]): Promise<PublishItem[]> {
  await new Promise<void>((resolve) => space.publish(items, resolve))
  return items
}

/** Lets what was made due happen; a simulated disk takes several turns for each operation. */
export async function turns(count = 30): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Waits for something to become true, for at most so many turns of the event loop. */
export async function until(
  what: () => boolean | Promise<boolean>,
  message = 'it did not happen',
  turnsMax = 5000,
): Promise<void> {
  for (let turn = 0; turn < turnsMax; turn++) {
    if (await what()) return
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.fail(message)
}

export interface Delivered {
  readonly consumer: string
  readonly id: number
  readonly partition: number
  readonly offset: number
  readonly attempt: number
  readonly bytes: number
  readonly record: PlainRecord
}

/** Remembers what it is given. */
export class RememberingSink implements Sink {
  readonly got: Delivered[] = []
  closedBy: string | null = null
  onDeliveries(consumer: Consumer, batch: DeliveryBatch): void {
    for (let index = 0; index < batch.length; index++) {
      const bytes = (batch.buffer[index] as Buffer).subarray(batch.start[index], batch.end[index]) // index < length, in all columns
      this.got.push({
        consumer: consumer.name,
        id: batch.id[index] as number,
        partition: batch.partition[index] as number,
        offset: batch.offset[index] as number,
        attempt: batch.attempt[index] as number,
        bytes: bytes.length,
        record: JSON.parse(bytes.toString()) as PlainRecord, // published by plainItem
      })
    }
  }
  onConsumerClosed(_consumer: Consumer, reason: string): void {
    this.closedBy = reason
  }
  get values(): (string | null | undefined)[] {
    return this.got.map(({ record }) => record.value)
  }
}
