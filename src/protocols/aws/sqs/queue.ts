/**
 * Queues: topics, with what SQS alone says of them (attributes as they were set, tags) in a durable table by the topic's id. A topic that another
 * protocol made is a queue with the attributes it has by itself.
 */
import type { Broker, Principal, Rows, Space, TopicInfo } from '../../../broker/face.ts'
import { queueDoesNotExist } from '../errors.ts'
import { isFifo, queueArn } from '../names.ts'
import { QueueReader } from './reader.ts'
import { SentIds } from './sent-ids.ts'
import { Sequence } from './sequence.ts'

/** For what is done for everybody: what a caller may do is asked before. */
export const operator: Principal = { user: '', may: () => true }
export const namespace = 'default'

interface Stored {
  readonly attributes: Readonly<Record<string, string>>
  readonly tags: Readonly<Record<string, string>>
  readonly modifiedAt: number
}

const defaults: Readonly<Record<string, string>> = {
  VisibilityTimeout: '30',
  MaximumMessageSize: '1048576',
  DelaySeconds: '0',
  ReceiveMessageWaitTimeSeconds: '0',
  SqsManagedSseEnabled: 'false',
}
const fifoDefaults: Readonly<Record<string, string>> = {
  FifoQueue: 'true',
  ContentBasedDeduplication: 'false',
  DeduplicationScope: 'queue',
  FifoThroughputLimit: 'perQueue',
}
export const retentionDefaultSeconds = 345_600
export const retentionMaxSeconds = 1_209_600

export class Queue {
  readonly topic: TopicInfo
  readonly stored: Stored

  constructor(topic: TopicInfo, stored: Stored | undefined) {
    this.topic = topic
    this.stored = stored ?? { attributes: {}, tags: {}, modifiedAt: topic.createdAt }
  }

  get name(): string {
    return this.topic.name
  }
  get fifo(): boolean {
    return isFifo(this.name)
  }

  /** As set, else as it is by itself; undefined where it has none. */
  attribute(name: string): string | undefined {
    const { attributes } = this.stored
    if (name === 'MessageRetentionPeriod') return String(this.#retentionSeconds())
    if (name === 'RedrivePolicy') return attributes[name] ?? this.#redrivePolicy()
    return attributes[name] ?? defaults[name] ?? (this.fifo ? fifoDefaults[name] : undefined)
  }

  number(name: keyof typeof defaults): number {
    return Number(this.attribute(name))
  }

  #retentionSeconds(): number {
    const { recordTtlMs } = this.topic.config
    return recordTtlMs < 0 ? retentionMaxSeconds : Math.ceil(recordTtlMs / 1000)
  }

  /** What others made this topic do with its dead letters, where a redrive policy can say it. */
  #redrivePolicy(): string | undefined {
    const { deadLetter, deliveryLimit } = this.topic.config
    if (deadLetter === null || deadLetter.exchange !== '' || deadLetter.routingKey === null || deliveryLimit < 0) return undefined
    return JSON.stringify({
      deadLetterTargetArn: queueArn('us-east-1', deadLetter.routingKey),
      maxReceiveCount: deliveryLimit + 1,
    })
  }
}

/** Of one broker. */
export class Queues {
  readonly broker: Broker
  /** For what is done for everybody. */
  readonly space: Space
  readonly sequence: Sequence
  readonly sent: SentIds
  readonly #rows: Rows
  readonly #readers = new Map<string, QueueReader>()
  readonly #parsed = new Map<string, { readonly text: string; readonly stored: Stored }>()
  /** When each queue was last purged. */
  readonly purgedAt = new Map<string, number>()

  constructor(broker: Broker) {
    this.broker = broker
    this.space = broker.space(operator, namespace, { protocol: 'sqs' })
    this.#rows = broker.rows('sqs.queue')
    this.sequence = new Sequence(broker.clock)
    this.sent = new SentIds(broker.clock)
  }

  static of(broker: Broker): Queues {
    return broker.shared('sqs.queues', () => new Queues(broker))
  }

  /** Forgets what was said of topics that are gone. */
  clean(): void {
    for (const [id] of [...this.#rows.entries()])
      if (this.space.topicById(Buffer.from(id, 'hex')) === undefined) this.#rows.delete(id)
  }

  find(name: string): Queue | undefined {
    const topic = this.space.topic(name)
    return topic === undefined ? undefined : this.#queue(topic)
  }

  /** Throws QueueDoesNotExist. */
  get(name: string): Queue {
    const queue = this.find(name)
    if (queue === undefined) throw queueDoesNotExist()
    return queue
  }

  all(): Queue[] {
    return this.space.topics().map((topic) => this.#queue(topic))
  }

  #queue(topic: TopicInfo): Queue {
    const id = topic.id.toString('hex')
    const text = this.#rows.get(id)
    if (text === undefined) return new Queue(topic, undefined)
    let parsed = this.#parsed.get(id)
    if (parsed?.text !== text) {
      parsed = { text, stored: JSON.parse(text) as Stored } // as put() wrote it
      this.#parsed.set(id, parsed)
    }
    return new Queue(topic, parsed.stored)
  }

  put(topic: TopicInfo, attributes: Stored['attributes'], tags: Stored['tags']): void {
    const stored: Stored = { attributes, tags, modifiedAt: this.broker.clock.now() }
    this.#rows.put(topic.id.toString('hex'), JSON.stringify(stored))
  }

  durable(): Promise<void> {
    return this.#rows.durable()
  }

  reader(queue: Queue): QueueReader {
    const id = queue.topic.id.toString('hex')
    let reader = this.#readers.get(id)
    if (reader === undefined) {
      reader = new QueueReader(this.space, this.broker.clock, queue.topic, () => this.#readers.delete(id))
      this.#readers.set(id, reader)
    }
    return reader
  }

  forget(topic: TopicInfo): void {
    const id = topic.id.toString('hex')
    this.#rows.delete(id)
    this.#parsed.delete(id)
    this.purgedAt.delete(id)
  }

  /** Ends what waits: the broker shuts down. */
  drain(): void {
    for (const reader of this.#readers.values()) reader.giveUp()
  }
}
