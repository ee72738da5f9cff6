/**
 * Topics and subscriptions. A topic is a fanout exchange of its name; what SNS alone says of it, and its subscriptions, are rows. The copies for
 * subscribers are made when a record passes the exchange, whichever protocol published it, and are one entry of the write-ahead log with it.
 */
import type { Broker, ExchangeInfo, PublishItem, Rows, Space } from '../../../broker/face.ts'
import { isFifo, nameInArn, topicArn } from '../names.ts'
import { namespace, operator, Queues } from '../sqs/queue.ts'
import { copiesOf } from './copies.ts'
import { compilePolicy, type Policy, type Scope } from './filter-policy.ts'
import { HttpDeliveries } from './http-deliveries.ts'
import { Signer } from './signer.ts'

interface StoredTopic {
  readonly region: string
  readonly attributes: Readonly<Record<string, string>>
  readonly tags: Readonly<Record<string, string>>
}

export interface Topic extends StoredTopic {
  readonly name: string
  readonly arn: string
  readonly fifo: boolean
}

/** As stored under its id. */
interface StoredSubscription {
  readonly topic: string
  readonly arn: string
  readonly protocol: 'sqs' | 'http' | 'https'
  readonly endpoint: string
  readonly attributes: Readonly<Record<string, string>>
  readonly confirmed: boolean
  readonly token: string
  /** Where whoever subscribed reached the broker. */
  readonly base: string
  readonly madeAt: number
}

export interface Subscription extends StoredSubscription {
  readonly id: string
  readonly raw: boolean
  /** null: all messages are for it. */
  readonly policy: Policy | null
}

const predeclared = /^(amq\.|$)/

export class Store {
  readonly broker: Broker
  readonly queues: Queues
  /** For what is done for everybody. */
  readonly space: Space
  readonly http: HttpDeliveries
  readonly signer: Signer
  readonly #topics: Rows
  readonly #rows: Rows
  readonly #byTopic = new Map<string, Map<string, Subscription>>()

  constructor(broker: Broker) {
    this.broker = broker
    this.queues = Queues.of(broker)
    this.space = broker.space(operator, namespace, { protocol: 'sns' })
    this.#topics = broker.rows('sns.topic')
    this.#rows = broker.rows('sns.subscription')
    this.http = new HttpDeliveries(this)
    this.signer = new Signer(broker.rows('sns.signing'), () => broker.clock.now())
    for (const [id, text] of this.#rows.entries()) this.#hold(id, JSON.parse(text) as StoredSubscription) // as put() wrote it
  }

  static of(broker: Broker): Store {
    return broker.shared('sns.store', () => new Store(broker))
  }

  /** Forgets topics whose exchange is gone, and goes on delivering. */
  start(): void {
    for (const [name] of [...this.#topics.entries()]) if (this.find(name) === undefined) this.#forgetTopic(name)
    for (const name of [...this.#byTopic.keys()]) if (this.find(name) === undefined) this.#forgetTopic(name)
    // Topics that were told how to sign before there was something to sign for.
    if (this.all().some(({ attributes }) => attributes['SignatureVersion'] !== undefined))
      this.signer
        .prepare()
        .catch((error: Error) => this.broker.log.warn({ error: error.message }, 'there is no key to sign with'))
    for (const subscription of this.subscriptions()) if (subscription.protocol !== 'sqs') this.http.begin(subscription)
  }

  durable(): Promise<void> {
    return this.#rows.durable()
  }

  // ------------------------------------------------------------------------------------------------------------------ topics

  find(name: string): Topic | undefined {
    const exchange = this.space.exchange(name)
    return exchange === undefined || !isTopic(exchange) ? undefined : this.#topic(name)
  }

  findArn(arn: string): Topic | undefined {
    const name = nameInArn(arn, 'sns')
    return name === undefined ? undefined : this.find(name)
  }

  all(): Topic[] {
    return this.space
      .exchanges()
      .filter((exchange) => isTopic(exchange) && !predeclared.test(exchange.name))
      .map(({ name }) => this.#topic(name))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  #topic(name: string): Topic {
    const text = this.#topics.get(name)
    const stored = text === undefined ? undefined : (JSON.parse(text) as StoredTopic) // as putTopic() wrote it
    const { region = 'us-east-1', attributes = {}, tags = {} } = stored ?? {}
    return { name, region, attributes, tags, arn: topicArn(region, name), fifo: isFifo(name) }
  }

  putTopic(name: string, { region, attributes, tags }: StoredTopic): void {
    this.#topics.put(name, JSON.stringify({ region, attributes, tags }))
  }

  #forgetTopic(name: string): void {
    this.#topics.delete(name)
    for (const subscription of this.ofTopic(name)) this.remove(subscription)
  }

  /** With its subscriptions; what was published is delivered no more. */
  async deleteTopic(space: Space, name: string): Promise<void> {
    await space.deleteExchange(name, false)
    this.#forgetTopic(name)
    await this.durable()
  }

  // ----------------------------------------------------------------------------------------------------------- subscriptions

  subscriptions(): Subscription[] {
    return [...this.#byTopic.values()].flatMap((ofTopic) => [...ofTopic.values()])
  }

  ofTopic(name: string): Subscription[] {
    return [...(this.#byTopic.get(name)?.values() ?? [])]
  }

  subscription(arn: string): Subscription | undefined {
    const id = arn.split(':').at(-1) ?? ''
    const name = nameInArn(arn.slice(0, -id.length - 1), 'sns') ?? ''
    return this.#byTopic.get(name)?.get(id)
  }

  put(id: string, stored: StoredSubscription): Subscription {
    this.#rows.put(id, JSON.stringify(stored))
    return this.#hold(id, stored)
  }

  change(subscription: Subscription, change: Partial<StoredSubscription>): Subscription {
    const { id, raw: _, policy: __, ...stored } = subscription
    return this.put(id, { ...stored, ...change })
  }

  remove({ id, topic }: Subscription): void {
    this.#rows.delete(id)
    const ofTopic = this.#byTopic.get(topic)
    ofTopic?.delete(id)
    this.http.end(id)
    if (ofTopic?.size !== 0) return
    this.#byTopic.delete(topic)
    this.broker.copyOnPassage(namespace, topic, null)
  }

  #hold(id: string, stored: StoredSubscription): Subscription {
    const { FilterPolicy: text = '', FilterPolicyScope: scope = 'MessageAttributes', RawMessageDelivery: raw } = stored.attributes
    const subscription: Subscription = {
      ...stored,
      id,
      raw: raw === 'true',
      policy: text === '' ? null : compilePolicy(text, scope as Scope), // both checked when they were set
    }
    let ofTopic = this.#byTopic.get(stored.topic)
    if (ofTopic === undefined) {
      ofTopic = new Map()
      this.#byTopic.set(stored.topic, ofTopic)
      this.broker.copyOnPassage(namespace, stored.topic, (record) => this.#copies(stored.topic, record))
    }
    ofTopic.set(id, subscription)
    return subscription
  }

  #copies(name: string, record: Pick<PublishItem, 'format' | 'payload' | 'timestamp'>): PublishItem[] {
    const topic = this.#topic(name)
    return copiesOf(this, topic, record)
  }
}

const isTopic = ({ kind }: ExchangeInfo): boolean => kind === 'fanout'
