// What the broker itself knows of a record, rendered as the headers RabbitMQ adds: x-death and its first and last, x-delivery-count.
import type { Buffer } from 'node:buffer'
import type { Annotations, Death } from '../../core/record.ts'
import { decodeEnvelope, encodeEnvelope } from './mapping.ts'
import { type FieldValue, long, type Table, text } from './table.ts'

const reasons = {
  rejected: 'rejected',
  expired: 'expired',
  maxLength: 'maxlen',
  attempts: 'delivery_limit',
} as const satisfies Record<Death['reason'], string>

/** Headers that the broker adds to a delivery, beside those of its deaths. */
export type AddedHeaders = readonly (readonly [name: string, value: FieldValue])[]

/** The envelope as it is to be delivered, with the broker's own headers. */
export function annotatedEnvelope(
  buffer: Buffer,
  start: number,
  end: number,
  annotations: Annotations | null,
  added: AddedHeaders,
): Buffer {
  const { exchange, routingKey, properties, body } = decodeEnvelope(buffer, start, end)
  const headers: Table = new Map(properties.headers)
  if (annotations?.deaths !== undefined && 0 < annotations.deaths.length) {
    headers.set('x-death', { type: 'A', value: annotations.deaths.map(deathTable) })
    for (const [which, death] of [
      ['first', annotations.firstDeath],
      ['last', annotations.lastDeath],
    ] as const) {
      if (death === undefined) continue
      headers.set(`x-${which}-death-reason`, text(reasons[death.reason]))
      headers.set(`x-${which}-death-queue`, text(death.topic))
      headers.set(`x-${which}-death-exchange`, text(death.exchange))
    }
  }
  for (const [name, value] of added) headers.set(name, value)
  if (0 < headers.size) properties.headers = headers
  if (annotations?.expirationRemoved === true) delete properties.expiration
  return encodeEnvelope(annotations?.exchange ?? exchange, annotations?.routingKey ?? routingKey, properties, body)
}

function deathTable(death: Death): FieldValue {
  const table: Table = new Map<string, FieldValue>([
    ['count', long(death.count)],
    ['reason', text(reasons[death.reason])],
    ['queue', text(death.topic)],
    ['time', { type: 'T', value: Math.floor(death.time / 1000) }],
    ['exchange', text(death.exchange)],
    ['routing-keys', { type: 'A', value: death.routingKeys.map(text) }],
  ])
  if (death.originalExpirationMs !== undefined) table.set('original-expiration', text(String(death.originalExpirationMs)))
  return { type: 'F', value: table }
}
