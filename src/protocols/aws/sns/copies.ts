/** The copies of a record that subscribers get: for a queue the message, for an endpoint what is to be posted to it. */
import { randomUUID } from 'node:crypto'
import { PublishItem } from '../../../broker/face.ts'
import { encodeMessage, type Message, messageFormatId, messageIn } from '../mapping.ts'
import { attributeBytes } from '../message-attributes.ts'
import { nameInArn } from '../names.ts'
import { itemFor } from '../sqs/item.ts'
import type { Queue } from '../sqs/queue.ts'
import { textFor, wrapped } from './notification.ts'
import type { Store, Subscription, Topic } from './store.ts'

export function copiesOf(
  store: Store,
  topic: Topic,
  record: Pick<PublishItem, 'format' | 'payload' | 'timestamp'>,
): PublishItem[] {
  const now = store.broker.clock.now()
  const { message, sentAt } = messageIn(record.format, record.payload)
  const at = sentAt ?? (record.timestamp || now)
  // What others publish gets its id and its number here, one for all subscribers.
  const published: Message = {
    ...message,
    id: message.id || randomUUID(),
    ...(topic.fifo && { sequence: message.sequence ?? store.queues.sequence.next() }),
  }
  const version = topic.attributes['SignatureVersion']
  const sign = version === undefined ? unsigned : (store.signer.forCopies(version) ?? unsigned)
  const copies: PublishItem[] = []
  for (const subscription of store.ofTopic(topic.name)) {
    if (!subscription.confirmed || subscription.policy?.(published) === false) continue
    const copy =
      subscription.protocol === 'sqs'
        ? forQueue(store, topic, subscription, messageFor(topic, subscription, published, at, sign))
        : forEndpoint(topic, subscription, published, at)
    if (copy !== null) copies.push(copy)
  }
  return copies
}

/** What to write in place of a notification. */
type Sign = (text: string, base: string) => string
const unsigned: Sign = (text) => text

function forQueue(store: Store, topic: Topic, subscription: Subscription, message: Message): PublishItem | null {
  const queue = store.queues.find(nameInArn(subscription.endpoint, 'sqs') ?? '')
  if (queue !== undefined && fits(queue, message)) return itemFor(store.broker.clock, queue, message, topic.name)
  return deadLetter(store, subscription, message, topic)
}

/** As a message of SQS; in its group, and with its id against repetitions. */
function messageFor(topic: Topic, subscription: Subscription, published: Message, at: number, sign: Sign): Message {
  const { group, dedup, sequence } = published
  const notification = (): string => sign(wrapped(published, subscription, topic.arn, at), subscription.base)
  return {
    id: randomUUID(),
    body: subscription.raw ? textFor(published, 'sqs') : notification(),
    attributes: subscription.raw ? published.attributes : [],
    ...(group !== undefined && { group }),
    ...(dedup !== undefined && { dedup }),
    ...(sequence !== undefined && { sequence }),
  }
}

function fits(queue: Queue, { body, attributes, group, dedup }: Message): boolean {
  if (queue.fifo && (group === undefined || dedup === undefined)) return false
  return Buffer.byteLength(body) + attributeBytes(attributes) <= queue.number('MaximumMessageSize')
}

/** What cannot be delivered goes to the subscription's dead-letter queue; without one it is dropped, and that is logged. */
export function deadLetter(store: Store, subscription: Subscription, message: Message, topic: Topic): PublishItem | null {
  const queue = store.queues.find(deadLetterQueue(subscription) ?? '')
  if (queue !== undefined && fits(queue, message)) return itemFor(store.broker.clock, queue, message, topic.name)
  const { arn, endpoint } = subscription
  store.broker.log.warn(
    { subscription: arn, endpoint, message: message.id },
    'a notification could not be delivered and is dropped',
  )
  return null
}

export function deadLetterQueue({ attributes }: Subscription): string | undefined {
  const text = attributes['RedrivePolicy']
  if (text === undefined || text === '') return undefined
  const { deadLetterTargetArn } = JSON.parse(text) as { deadLetterTargetArn: string } // checked when it was set
  return nameInArn(deadLetterTargetArn, 'sqs')
}

/** The topic that holds what an endpoint has not taken yet. */
export const outboxOf = (id: string): string => `sns.endpoint.${id}`

function forEndpoint(topic: Topic, subscription: Subscription, published: Message, at: number): PublishItem {
  const text = published.bodies?.[subscription.protocol] ?? published.body
  const posted: Message = {
    id: published.id,
    body: subscription.raw ? text : wrapped(published, subscription, topic.arn, at),
    attributes: subscription.raw ? published.attributes : [],
  }
  return new PublishItem('', outboxOf(subscription.id), messageFormatId, encodeMessage(posted))
}
