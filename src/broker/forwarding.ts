/**
 * Topics that hand on what they hold (`TopicConfig.forwardTo`): the broker itself reads them, by a subscription of its own, and each record that can be
 * seen moves to the other topic in one frame with its being done here. With a delay this is a topic for retries: whoever could not deal with a record
 * publishes it here, and gets it again where it came from.
 */
import { CoreError } from '../core/errors.ts'
import { type Attributes, formats } from '../core/record.ts'
import type { Topic } from '../core/topic.ts'
import type { Clock } from '../lib/timers.ts'
import { accept, type Consumer, type DeliveryBatch, type Logger, PublishItem, type Sink, type Space } from './face.ts'

/** Of the broker's own reading. */
export const forwardingName = 'anymq.forward'
/** In a record's headers: how often it was handed on. */
const attemptsHeader = 'anymq.attempts'

const recordsAhead = 500
const bytesAhead = 4 * 1024 * 1024
const retryMs = 1000

export class Forwarding {
  readonly #spaceOf: (namespace: string) => Space
  readonly #clock: Clock
  readonly #log: Logger
  readonly #running = new Map<Topic, Forwarder>()

  constructor(spaceOf: (namespace: string) => Space, clock: Clock, log: Logger) {
    this.#spaceOf = spaceOf
    this.#clock = clock
    this.#log = log
  }

  /** After a change of what a topic does, at the end of the turn. */
  govern(topic: Topic): void {
    if ((topic.config.forwardTo === null) !== this.#running.has(topic)) return
    queueMicrotask(() => this.#look(topic))
  }

  #look(topic: Topic): void {
    const running = this.#running.get(topic)
    if (topic.config.forwardTo === null) {
      this.#running.delete(topic)
      running?.end()
    } else if (running === undefined) this.#start(topic)
  }

  #start(topic: Topic): void {
    let forwarder: Forwarder
    try {
      const space = this.#spaceOf(topic.namespace)
      if (space.topic(topic.name)?.id.equals(topic.info.id) !== true) return // it is gone
      forwarder = new Forwarder(topic, space, () => this.#running.delete(topic))
    } catch (cause) {
      if (cause instanceof CoreError && cause.code === 'NotFound') return // its namespace went with it
      const error = cause instanceof Error ? cause.message : String(cause)
      this.#log.warn({ topic: topic.name, error }, 'a topic could not be read to hand on its records; it is tried again')
      this.#clock.after(retryMs, () => this.govern(topic))
      return
    }
    this.#running.set(topic, forwarder)
  }
}

class Forwarder implements Sink {
  readonly #topic: Topic
  readonly #space: Space
  readonly #consumer: Consumer
  readonly #ended: () => void

  constructor(topic: Topic, space: Space, ended: () => void) {
    this.#topic = topic
    this.#space = space
    this.#ended = ended
    const known = topic.subscriptions.has(forwardingName)
    this.#consumer = space.subscribe(
      {
        topic: topic.name,
        subscription: forwardingName,
        // What was there before it handed on anything stays there.
        startAt: known ? 'oldest' : 'newest',
        autoSettle: false,
        name: forwardingName,
      },
      this,
    )
    this.#consumer.credit(recordsAhead, bytesAhead)
  }

  /** Nothing is handed on any more, and nobody waits for that. */
  end(): void {
    this.#consumer.close()
    this.#space.deleteSubscription(this.#topic.name, forwardingName).catch(() => undefined) // the topic is gone with it
  }

  onConsumerClosed(): void {
    this.#ended()
  }

  onDeliveries(_: Consumer, batch: DeliveryBatch): void {
    const ids: number[] = []
    const items: PublishItem[] = []
    const { forwardTo, deliveryLimit } = this.#topic.config
    if (forwardTo === null) return // it ends in this turn, and releases what it holds
    for (let index = 0; index < batch.length; index++) {
      const id = batch.id[index] as number // index < length, here and below
      const format = formats.get(batch.format[index] as number)
      const attributes = format.toAttributes((batch.buffer[index] as Buffer).subarray(batch.start[index], batch.end[index]))
      const attempts = attemptsOf(attributes)
      if (deliveryLimit >= 0 && attempts >= deliveryLimit) {
        this.#consumer.settle([id], { kind: 'reject', reason: `handed on ${attempts} times` })
        continue
      }
      const item = new PublishItem(null, forwardTo, format.id, format.fromAttributes(withAttempts(attributes, attempts + 1)))
      const partition = batch.partition[index] as number
      const partitions = this.#space.topic(forwardTo)?.config.partitions ?? 0
      // Where the partitions are the same, so is that of a key.
      if (partitions === this.#topic.config.partitions) item.partition = partition
      item.key = attributes.key
      item.timestamp = attributes.timestamp ?? (batch.timestamp[index] as number)
      ids.push(id)
      items.push(item)
    }
    const room = (): void => this.#consumer.setCredit(recordsAhead, bytesAhead)
    if (ids.length === 0) queueMicrotask(room)
    else this.#move(ids, items, room)
  }

  /** All of them or none; when they are refused, each by itself. */
  #move(ids: readonly number[], items: readonly PublishItem[], done: () => void): void {
    const transaction = this.#space.begin()
    transaction.publish(items)
    this.#consumer.settle(ids, accept, transaction)
    transaction.commit((error) => {
      if (error === null) return done()
      if (ids.length === 1) {
        this.#refused(ids, error)
        return done()
      }
      let left = ids.length
      for (const [index, id] of ids.entries()) {
        const item = items[index] as PublishItem // one for each
        this.#move([id], [again(item)], () => {
          if (--left === 0) done()
        })
      }
    })
  }

  /** What will be refused for ever is a dead letter; the rest is tried again. */
  #refused(ids: readonly number[], error: Error): void {
    const forEver = error instanceof CoreError && (error.code === 'Invalid' || error.code === 'TooLarge')
    if (forEver) this.#consumer.settle(ids, { kind: 'reject', reason: error.message })
    else this.#consumer.settle(ids, { kind: 'release', delayMs: retryMs, countsAsAttempt: false })
  }
}

/** The same, not published yet. */
function again({ address, format, payload, partition, key, timestamp }: PublishItem): PublishItem {
  return Object.assign(new PublishItem(null, address, format, payload), { partition, key, timestamp })
}

function attemptsOf({ headers }: Attributes): number {
  const value = headers.findLast(({ name }) => name === attemptsHeader)?.value.value
  const attempts = Number(value ?? 0)
  return Number.isSafeInteger(attempts) && attempts > 0 ? attempts : 0
}

function withAttempts(attributes: Attributes, attempts: number): Attributes {
  const headers = attributes.headers.filter(({ name }) => name !== attemptsHeader)
  return { ...attributes, headers: [...headers, { name: attemptsHeader, value: { type: 'string', value: String(attempts) } }] }
}
