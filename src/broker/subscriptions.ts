/** Subscriptions of topics: made, changed, deleted, and what is stored of them. How they deliver is core/subscription.ts. */
import { CoreError } from '../core/errors.ts'
import { compileFilter } from '../core/filter.ts'
import type { Shard } from '../core/shard.ts'
import { Subscription } from '../core/subscription.ts'
import type { Topic } from '../core/topic.ts'
import type { Counters } from './counters.ts'
import type { StartAt, SubscriptionOptions } from './face.ts'
import { findTime } from './reading.ts'
import type { Watches } from './watches.ts'

/** As stored in the table `subscription`. */
interface SubscriptionDefinition {
  readonly topic: number
  readonly name: string
  readonly floors: readonly number[]
  readonly paused?: boolean
  readonly options?: SubscriptionOptions
}

export class Subscriptions {
  readonly #shard: Shard
  readonly #counters: Counters
  readonly #watches: Watches
  /** As stored; of durable subscriptions of topics on disk. */
  readonly #definitions = new Map<number, SubscriptionDefinition>()

  constructor(shard: Shard, counters: Counters, watches: Watches) {
    this.#shard = shard
    this.#counters = counters
    this.#watches = watches
  }

  /** `options` are for a subscription that does not exist yet. Throws Invalid when its filter is none. */
  ensure(topic: Topic, name: string, startAt: StartAt, durable: boolean, options: SubscriptionOptions = {}): Subscription {
    const present = topic.subscriptions.get(name)
    if (present !== undefined) return present
    if (options.filter !== undefined) compileFilter(options.filter, topic.name)
    const floors = topic.logs.map((log, partition) => startOffset(log, startAt, topic.info.withheldFrom?.[partition]))
    const subscription = this.#make(topic, this.#counters.next('subscription'), name, floors, durable, options)
    if (durable && topic.config.storage === 'disk') this.#store(subscription, { topic: topic.id, name, floors, options })
    const [lane] = subscription.lanes
    if (typeof startAt === 'object' && 'records' in startAt && lane !== undefined) {
      const wanted = startAt.records.filter((offset) => offset >= lane.log.start)
      for (const [index, offset] of wanted.entries()) subscription.skip(lane, offset + 1, wanted[index + 1] ?? lane.log.next)
    }
    return subscription
  }

  #store(subscription: Subscription, definition: SubscriptionDefinition): void {
    this.#definitions.set(subscription.id, definition)
    this.#shard.putMetadata('subscription', String(subscription.id), JSON.stringify(definition))
  }

  pause(subscription: Subscription, paused: boolean): void {
    subscription.pause(paused)
    const definition = this.#definitions.get(subscription.id)
    if (definition !== undefined) this.#store(subscription, { ...definition, paused })
  }

  refilter(topic: Topic, subscription: Subscription, filter: SubscriptionOptions['filter']): void {
    if (filter !== undefined) compileFilter(filter, topic.name)
    subscription.refilter(filter)
    const definition = this.#definitions.get(subscription.id)
    if (definition !== undefined) this.#store(subscription, { ...definition, options: subscription.options })
  }

  #make(
    topic: Topic,
    id: number,
    name: string,
    floors: readonly number[],
    durable: boolean,
    options: SubscriptionOptions,
  ): Subscription {
    const subscription = new Subscription(id, name, topic.name, durable, topic, options)
    for (const [index, log] of topic.logs.entries()) {
      subscription.addLane(log, floors[index] ?? 0)
      if (log.committed > (floors[index] ?? 0)) subscription.liveBytes += log.bytes
    }
    topic.subscriptions.set(name, subscription)
    this.#shard.subscriptions.set(id, { topic, subscription })
    if (name === '') subscription.onReady = () => this.#watches.wake(topic)
    return subscription
  }

  delete(topic: Topic, subscription: Subscription): void {
    topic.subscriptions.delete(subscription.name)
    this.#definitions.delete(subscription.id)
    this.#shard.subscriptions.delete(subscription.id)
    if (subscription.durable) this.unstore(subscription)
    subscription.close('NotFound')
  }

  async resolveStart(topic: Topic, partition: number, to: StartAt): Promise<number> {
    const log = topic.logs[partition]
    if (log === undefined) throw new CoreError('OutOfRange', `topic "${topic.name}" has no partition ${partition}`)
    if (typeof to === 'object' && 'time' in to) return (await findTime(log, to.time))?.offset ?? log.committed
    return startOffset(log, to, topic.info.withheldFrom?.[partition])
  }

  /** Those of a topic that is gone; their rows are deleted by who deletes its own. */
  forget(topic: Topic): void {
    for (const { id } of topic.subscriptions.values()) {
      this.#shard.subscriptions.delete(id)
      this.#definitions.delete(id)
    }
  }

  /** The rows of a subscription that was stored. */
  unstore({ id }: Subscription): void {
    this.#shard.putMetadata('subscription', String(id), null)
    this.#shard.noteMetadata('state', String(id), null)
  }

  /** Makes a stored row live; null is its deletion. */
  apply(id: number, text: string | null): void {
    const present = this.#shard.subscriptions.get(id)
    if (text === null) {
      if (present === undefined) return
      const { topic, subscription } = present
      if (topic.subscriptions.get(subscription.name) === subscription) topic.subscriptions.delete(subscription.name)
      this.#shard.subscriptions.delete(id)
      return
    }
    const definition = JSON.parse(text) as SubscriptionDefinition // our own rows
    const topic = this.#shard.topics.get(definition.topic)
    if (topic === undefined) return
    this.#definitions.set(id, definition)
    const { name, floors, options = {} } = definition
    const subscription = present?.subscription ?? this.#make(topic, id, name, floors, true, options)
    // As with topics: the log may have told of an earlier one of this name.
    topic.subscriptions.set(name, subscription)
    subscription.pause(definition.paused === true)
  }
}

/** A time is for whoever can look it up. */
export function startOffset(
  log: { start: number; committed: number; next: number },
  startAt: StartAt,
  withheldFrom: number | undefined,
): number {
  if (startAt === 'withheld') return Math.max(log.start, withheldFrom ?? log.next)
  if (startAt === 'oldest') return log.start
  if (startAt === 'newest') return log.next
  if ('records' in startAt) return startAt.records.find((offset) => offset >= log.start) ?? log.next
  if ('offset' in startAt) return Math.min(Math.max(startAt.offset, log.start), log.next)
  return log.start
}
