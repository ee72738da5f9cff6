/** A message that a client publishes, by PUBLISH or as its will: as a record, and as what is retained. */
import { Buffer } from 'node:buffer'
import { PublishItem, type Space } from '../../broker/face.ts'
import type { Qos } from './codec.ts'
import { encodeEnvelope, formatId } from './mapping.ts'
import { swap } from './names.ts'
import { encodePropertyList, type Properties } from './properties.ts'
import { forgetRetained, retain } from './retained.ts'

export interface Message {
  readonly topic: string
  readonly qos: Qos
  readonly retain: boolean
  readonly properties: Properties | null
  readonly payload: Buffer
}

const none = Buffer.alloc(0)

export function itemOf(message: Message, clientId: string, connection: number): PublishItem {
  const { topic, qos, retain: retained, properties, payload } = message
  const { messageExpiry = -1, topicAlias: _, willDelay: __, ...rest } = properties ?? {}
  const envelope = encodeEnvelope({
    qos,
    retain: retained,
    fromStore: false,
    expirySeconds: messageExpiry,
    clientId,
    properties: properties === null ? none : encodePropertyList(rest),
    payload,
  })
  const item = new PublishItem(null, swap(topic), formatId, envelope)
  item.transient = qos === 0
  item.ttlMs = messageExpiry < 0 ? -1 : messageExpiry * 1000
  item.connection = connection
  return item
}

/** Whether its publisher may, and asks, that it is retained. */
export const isRetained = (message: Message, item: PublishItem, space: Space): boolean =>
  message.retain && space.principal.may('publish', space.namespace, item.address)

/** Replaces what is retained, or forgets it where the payload is empty. `own` is the protocol's own space. */
export function keep(own: Space, message: Message, item: PublishItem, stored: (ok: boolean) => void): void {
  if (message.payload.length === 0) forgetRetained(own, item.address, stored)
  else retain(own, item, stored)
}
