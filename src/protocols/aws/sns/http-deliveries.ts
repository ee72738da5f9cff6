/**
 * Endpoints over HTTP: what they get waits in a topic of each subscription's own, so that nothing is lost over restarts. An answer of 2xx takes it;
 * others and silence are tried again by the delivery policy, and what is never taken is a dead letter.
 */
import { randomUUID } from 'node:crypto'
import { accept, type Consumer, type DeliveryBatch, type PublishItem } from '../../../broker/face.ts'
import { decodeMessage, type Message } from '../mapping.ts'
import { deadLetter, outboxOf } from './copies.ts'
import { delaysOf } from './delivery-policy.ts'
import { confirmation } from './notification.ts'
import { signatureVersionDefault } from './signer.ts'
import type { Store, Subscription } from './store.ts'

const postTimeoutMs = 15_000
/** On their way to one endpoint at once. */
const postsMax = 10

export class HttpDeliveries {
  readonly #store: Store
  readonly #consumers = new Map<string, Consumer>()
  readonly #stopping = new AbortController()

  constructor(store: Store) {
    this.#store = store
  }

  /** Makes where the messages for a subscription wait. */
  async prepare(id: string): Promise<void> {
    if (this.#store.space.topic(outboxOf(id)) === undefined)
      await this.#store.space.createTopic(outboxOf(id), { retention: 'acknowledged' }, 'sns')
  }

  /** Delivers to the endpoint from now on. */
  begin({ id }: Subscription): void {
    if (this.#consumers.has(id) || this.#store.space.topic(outboxOf(id)) === undefined) return
    const consumer = this.#store.space.subscribe(
      { topic: outboxOf(id), subscription: '', autoSettle: false, name: 'sns endpoint' },
      {
        onDeliveries: (member, batch) => this.#deliver(id, member, batch),
        onConsumerClosed: () => this.#consumers.delete(id),
      },
    )
    this.#consumers.set(id, consumer)
    consumer.credit(postsMax)
  }

  /** The subscription is gone, with what waits for it. */
  end(id: string): void {
    this.#consumers.get(id)?.close()
    this.#consumers.delete(id)
    if (this.#store.space.topic(outboxOf(id)) === undefined) return
    this.#store.space.deleteTopic(outboxOf(id)).catch((error: Error) => {
      this.#store.broker.log.warn(
        { topic: outboxOf(id), error: error.message },
        'what waited for an endpoint could not be deleted',
      )
    })
  }

  /** Posts under way are broken off; they come again. */
  drain(): void {
    this.#stopping.abort()
    for (const consumer of this.#consumers.values()) consumer.close()
    this.#consumers.clear()
  }

  /** Asks the endpoint to confirm; once, as it can be asked again by subscribing again. */
  confirm(subscription: Subscription, topicArn: string): void {
    const messageId = randomUUID()
    const body = confirmation(subscription, topicArn, messageId, this.#store.broker.clock.now())
    void this.#post(subscription, topicArn, 'SubscriptionConfirmation', messageId, body).then((outcome) => {
      const { endpoint } = subscription
      if (outcome !== 'taken')
        this.#store.broker.log.info({ endpoint, outcome }, 'an endpoint did not take its confirmation request')
    })
  }

  #deliver(id: string, consumer: Consumer, batch: DeliveryBatch): void {
    for (let index = 0; index < batch.length; index++) {
      // index < length, in all columns
      const bytes = (batch.buffer[index] as Buffer).subarray(batch.start[index], batch.end[index])
      void this.#deliverOne(id, consumer, batch.id[index] as number, batch.attempt[index] as number, decodeMessage(bytes))
    }
  }

  async #deliverOne(id: string, consumer: Consumer, delivery: number, attempt: number, message: Message): Promise<void> {
    const subscription = this.#store.subscriptions().find((each) => each.id === id)
    if (subscription === undefined) return
    const topic = this.#store.find(subscription.topic)
    if (topic === undefined) return
    const outcome = await this.#post(subscription, topic.arn, 'Notification', message.id, message.body)
    if (this.#stopping.signal.aborted) return
    const delayMs = delaysOf(subscription.attributes['DeliveryPolicy'] ?? topic.attributes['DeliveryPolicy'])[attempt - 1]
    if (outcome === 'taken') consumer.settle([delivery], accept)
    else if (outcome === 'failed' && delayMs !== undefined)
      consumer.settle([delivery], { kind: 'release', delayMs, countsAsAttempt: true })
    else this.#giveUp(consumer, delivery, deadLetter(this.#store, subscription, message, topic))
    consumer.credit(1)
  }

  /** Taking it away here and putting it there are one. */
  #giveUp(consumer: Consumer, delivery: number, letter: PublishItem | null): void {
    if (letter === null) return void consumer.settle([delivery], accept)
    const transaction = this.#store.space.begin()
    transaction.publish([letter])
    consumer.settle([delivery], accept, transaction)
    transaction.commit((error) => {
      if (error === null) return
      this.#store.broker.log.warn({ error: error.message }, 'a notification could not be moved to its dead-letter queue')
      consumer.settle([delivery], { kind: 'release', delayMs: 1000, countsAsAttempt: false })
    })
  }

  /** `refused`: trying again makes no sense. */
  async #post(
    subscription: Subscription,
    topicArn: string,
    type: string,
    messageId: string,
    text: string,
  ): Promise<'taken' | 'failed' | 'refused'> {
    const { endpoint, arn, base, topic } = subscription
    const raw = subscription.raw && type === 'Notification'
    const version = this.#store.find(topic)?.attributes['SignatureVersion'] ?? signatureVersionDefault
    try {
      const body = raw ? text : await this.#store.signer.signed(text, version, base)
      const response = await fetch(endpoint, {
        method: 'POST',
        body,
        redirect: 'manual',
        signal: AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(postTimeoutMs)]),
        headers: {
          'content-type': 'text/plain; charset=UTF-8',
          'user-agent': 'Amazon Simple Notification Service Agent',
          'x-amz-sns-message-type': type,
          'x-amz-sns-message-id': messageId,
          'x-amz-sns-topic-arn': topicArn,
          ...(type === 'Notification' && { 'x-amz-sns-subscription-arn': arn }),
          ...(raw && { 'x-amz-sns-rawdelivery': 'true' }),
        },
      })
      await response.body?.cancel()
      if (response.ok) return 'taken'
      return response.status >= 400 && response.status < 500 && response.status !== 429 ? 'refused' : 'failed'
    } catch {
      return 'failed' // It cannot be reached, or is silent, or there is no key to sign with yet.
    }
  }
}
