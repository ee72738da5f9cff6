/** What is published to a channel has no envelope: the message is the value of the record. (Redis has the formats from 112 to 127; list-envelope.ts has its own.) */
import type { Format } from '../../core/record.ts'

export const payloadFormatId = 120

const nothing = Buffer.alloc(0)

export const payloadFormat: Format = {
  id: payloadFormatId,
  name: 'redis payload',
  batched: false,
  toAttributes: (payload) => ({ key: null, value: payload, headers: [] }),
  fromAttributes: (attributes) => attributes.value ?? nothing,
}
