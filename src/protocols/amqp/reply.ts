// Direct reply-to: a requester consumes from `amq.rabbitmq.reply-to`, the broker gives its requests an address of their own, and
// what is published there goes straight to the requester's channel: nothing is stored, delivered at most once.

import { randomBytes } from 'node:crypto'
import { type Broker, type PublishItem, PublishStatus } from '../../broker/face.ts'
import type { Channel } from './channel.ts'
import { writeContent } from './content.ts'
import { decodeEnvelope } from './mapping.ts'

export const replyQueue = 'amq.rabbitmq.reply-to'
export const replyPrefix = `${replyQueue}.`

/** At most one a channel, so the channels' limit bounds it. */
const listeners = (broker: Broker): Map<string, Channel> =>
  broker.shared('amqp direct reply-to', () => new Map<string, Channel>())

export function openReplies(broker: Broker, channel: Channel): string {
  const token = randomBytes(16).toString('base64url')
  listeners(broker).set(token, channel)
  return token
}

export function closeReplies(broker: Broker, token: string): void {
  listeners(broker).delete(token)
}

export const repliesTo = (broker: Broker, name: string): boolean => listeners(broker).has(name.slice(replyPrefix.length))

export function deliverReply(broker: Broker, item: PublishItem): void {
  const channel = listeners(broker).get(item.address.slice(replyPrefix.length))
  if (channel === undefined) {
    item.status = PublishStatus.Unrouted
    return
  }
  item.status = PublishStatus.Stored
  item.routedTo = 1
  const { exchange, routingKey } = decodeEnvelope(item.payload)
  writeContent(
    channel.session,
    channel.number,
    'basic.deliver',
    { consumerTag: channel.replyTag, deliveryTag: channel.unacked.skip(), redelivered: false, exchange, routingKey },
    item.payload,
  )
}
