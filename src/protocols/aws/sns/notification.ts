/** What a subscriber gets: the message itself (raw), or wrapped in JSON that says where it comes from. */
import type { Message } from '../mapping.ts'
import type { MessageAttribute } from '../message-attributes.ts'
import type { Subscription } from './store.ts'

/** Of a message whose publisher gave different protocols different texts. */
export function textFor(message: Message, protocol: string): string {
  return message.bodies?.[protocol] ?? message.body
}

/** What endpoints get is signed when it is posted, what queues get as their topic says: signer.ts. */
export function wrapped(message: Message, subscription: Subscription, topicArn: string, at: number): string {
  const attributes = message.attributes.map(
    ({ name, type, value }: MessageAttribute) => [name, { Type: type, Value: value }] as const,
  )
  return JSON.stringify({
    Type: 'Notification',
    MessageId: message.id,
    ...(message.sequence !== undefined && { SequenceNumber: message.sequence }),
    TopicArn: topicArn,
    ...(message.subject !== undefined && { Subject: message.subject }),
    Message: textFor(message, subscription.protocol),
    Timestamp: new Date(at).toISOString(),
    UnsubscribeURL: unsubscribeUrl(subscription),
    ...(attributes.length > 0 && { MessageAttributes: Object.fromEntries(attributes) }),
  })
}

export const unsubscribeUrl = ({ base, arn }: Subscription): string =>
  `${base}/?Action=Unsubscribe&Version=2010-03-31&SubscriptionArn=${encodeURIComponent(arn)}`

/** What asks an endpoint to confirm that it wants to be one. */
export function confirmation(subscription: Subscription, topicArn: string, messageId: string, at: number): string {
  const { base, token } = subscription
  const query = `Action=ConfirmSubscription&Version=2010-03-31&TopicArn=${encodeURIComponent(topicArn)}&Token=${token}`
  return JSON.stringify({
    Type: 'SubscriptionConfirmation',
    MessageId: messageId,
    Token: token,
    TopicArn: topicArn,
    Message: `You have chosen to subscribe to the topic ${topicArn}.\nTo confirm the subscription, visit the SubscribeURL included in this message.`,
    SubscribeURL: `${base}/?${query}`,
    Timestamp: new Date(at).toISOString(),
  })
}
