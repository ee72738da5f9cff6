/**
 * Topics and channels of one broker, as NSQ has them: a topic is the topic of its name, made by whoever first names it and kept until its readers have
 * acknowledged; a channel is a subscription of it with a name. A topic's own queue is the records that nobody reads yet: the first channel begins
 * with them, later ones with what is published from then on.
 */
import type { Broker, Consumer, Principal, Sink, Space, SubscriptionStatus, TopicStatus } from '../../broker/face.ts'
import { Registry } from './lookup/registry.ts'
import { isEphemeral, isName } from './names.ts'

export const namespace = 'default'

/** For what is done for everybody: what a caller may do is asked before. */
const operator: Principal = { user: '', may: () => true }

/** Who consumes from a channel, as the channel sees it. */
export interface ChannelClient {
  /** The channel was emptied: what it has in flight is nobody's. */
  onEmptied(): void
  has(place: number): boolean
}

/** What is counted of a channel since the broker started; it goes with the channel. */
export class Channel {
  readonly topic: string
  readonly name: string
  readonly clients = new Set<ChannelClient>()
  requeued = 0
  timedOut = 0
  /** Messages that were emptied away, which counted. */
  dropped = 0
  /** Keeps an ephemeral channel that was made before anybody consumed. */
  holder: Consumer | null = null

  constructor(topic: string, name: string) {
    this.topic = topic
    this.name = name
  }
}

const silent: Sink = { onDeliveries: () => undefined, onConsumerClosed: () => undefined }

export class Topics {
  readonly broker: Broker
  /** For what is done for everybody. */
  readonly space: Space
  readonly #channels = new Map<string, Map<string, Channel>>()
  /** Bytes that NSQ clients published to a topic since the broker started. */
  readonly #bytesIn = new Map<string, number>()
  /** Hears of what was made and deleted here. */
  onChange: (change: 'made' | 'gone', topic: string, channel: string | null) => void = () => undefined

  constructor(broker: Broker) {
    this.broker = broker
    this.space = broker.space(operator, namespace, { protocol: 'nsq' })
  }

  static of(broker: Broker): Topics {
    return broker.shared('nsq.topics', () => new Topics(broker))
  }

  /** Those whose names NSQ can say. */
  names(): string[] {
    return this.space
      .topics()
      .map(({ name }) => name)
      .filter(isName)
      .sort()
  }

  has(topic: string): boolean {
    return this.space.topic(topic) !== undefined
  }

  /**
   * Makes it where there is none, on behalf of whoever may use the space. It is there at once, or `failed` is called; what is published to it
   * is durable after it is.
   */
  ensure(topic: string, space: Space, failed: (error: Error) => void): void {
    if (this.has(topic)) return
    const storage = isEphemeral(topic) ? 'memory' : 'disk'
    space.createTopic(topic, { retention: 'acknowledged', storage }, 'nsq', {}, null).catch(failed)
    if (!this.has(topic)) return
    this.onChange('made', topic, null)
    // What somebody has said at nsqlookupd: the reference server asks there.
    for (const channel of Registry.of(this.broker).channels(topic))
      if (!isEphemeral(channel)) this.makeChannel(topic, channel, failed)
  }

  /** Resolves when the topic is there, and durable; rejects when it could not be made. */
  async create(topic: string, space: Space): Promise<void> {
    await this.#durably((failed) => this.ensure(topic, space, failed))
  }

  /** Resolves when what `make` does is durable; rejects where it cannot be done. */
  #durably(make: (failed: (error: Error) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      make(reject)
      // Everything that comes before is durable then.
      this.broker.rows('nsq.lookupd').durable().then(resolve, reject)
    })
  }

  // --------------------------------------------------------------------------------------------------------------- channels

  /** The names of a topic's channels; those that others made count. */
  channels(topic: string): string[] {
    return channelStatuses(this.space.status(topic)).map(({ name }) => name)
  }

  channel(topic: string, name: string): Channel | undefined {
    return this.channels(topic).includes(name) ? this.#channel(topic, name) : undefined
  }

  #channel(topic: string, name: string): Channel {
    let channels = this.#channels.get(topic)
    if (channels === undefined) this.#channels.set(topic, (channels = new Map()))
    let channel = channels.get(name)
    if (channel === undefined) channels.set(name, (channel = new Channel(topic, name)))
    return channel
  }

  /** Consumes from a channel, which is made where there is none. Throws what {@link Space.subscribe} does. */
  join(space: Space, topic: string, name: string, deadlineMs: number, sink: Sink & ChannelClient, connection: number): Joined {
    const isNew = !this.channels(topic).includes(name)
    const startAt = this.#startOf(topic)
    const durable = !isEphemeral(name)
    const spec = {
      topic,
      subscription: name,
      startAt,
      durable,
      autoSettle: false,
      deadlineMs,
      name: `${name}-${connection}`,
      connection,
    }
    const consumer = space.subscribe(spec, sink)
    const channel = this.#channel(topic, name)
    channel.clients.add(sink)
    channel.holder?.close()
    channel.holder = null
    if (isNew) this.onChange('made', topic, name)
    return { consumer, channel }
  }

  leave({ consumer, channel }: Joined, client: ChannelClient): void {
    consumer.close()
    channel.clients.delete(client)
    // The channel goes by itself at the end of this turn.
    if (isEphemeral(channel.name) && channel.clients.size === 0) setImmediate(() => this.#gone(channel.topic, channel.name))
  }

  makeChannel(topic: string, name: string, failed: (error: Error) => void): void {
    if (this.channels(topic).includes(name)) return
    const startAt = this.#startOf(topic)
    if (isEphemeral(name)) {
      const spec = { topic, subscription: name, startAt, durable: false, autoSettle: false, name }
      this.#channel(topic, name).holder = this.space.subscribe(spec, silent)
    } else this.space.createSubscription(topic, name, { startAt }).catch(failed)
    this.onChange('made', topic, name)
  }

  async createChannel(topic: string, name: string): Promise<void> {
    await this.#durably((failed) => this.makeChannel(topic, name, failed))
  }

  /** Where a channel that is made now begins. */
  #startOf(topic: string): 'withheld' | 'oldest' | { readonly offset: number } {
    const status = this.space.status(topic)
    // What a paused topic holds comes to whatever channels there are when it goes on.
    if (channelStatuses(status).length > 0) return 'withheld'
    // What others have consumed from the queue is not published before the first channel, but done.
    const [queue, ...others] = status?.subscriptions.filter(({ kind, name }) => kind === 'queue' && name === '') ?? []
    const [cursor, ...partitions] = queue?.cursors ?? []
    return cursor === undefined || partitions.length > 0 || others.length > 0 ? 'oldest' : { offset: cursor.offset }
  }

  async deleteChannel(topic: string, name: string): Promise<void> {
    await this.space.deleteSubscription(topic, name)
    await this.#gone(topic, name)
  }

  /** A channel has gone, by whatever way. */
  async #gone(topic: string, name: string): Promise<void> {
    if (this.channels(topic).includes(name)) return
    this.#channels.get(topic)?.delete(name)
    this.onChange('gone', topic, name)
    if (!this.has(topic) || this.channels(topic).length > 0) return
    if (isEphemeral(topic)) return await this.deleteTopic(topic)
    await this.#forgetRead(topic)
  }

  /** Without readers a topic keeps what comes, for its next first channel: what the last one had or left is not of that. */
  async #forgetRead(topic: string, withWithheld = false): Promise<void> {
    const status = this.space.status(topic)
    if (status === undefined || status.subscriptions.length > 0 || this.space.topic(topic)?.config.retention !== 'acknowledged')
      return
    const kept = withWithheld ? null : (this.space.topic(topic)?.withheldFrom ?? null)
    for (const [partition, { nextOffset }] of status.partitions.entries())
      await this.space.deleteRecordsBefore(topic, partition, Math.min(kept?.[partition] ?? nextOffset, nextOffset))
  }

  /** Drops what waits, and what is in flight or delayed. */
  async emptyChannel(topic: string, name: string): Promise<void> {
    const channel = this.#channel(topic, name)
    const before = this.#counted(topic, name)
    for (const client of channel.clients) client.onEmptied()
    const purged = this.space.purge(topic, name)
    channel.dropped += before - this.#counted(topic, name)
    await purged
  }

  /** What was accepted, and what is not yet. */
  #counted(topic: string, name: string): number {
    const status = channelStatuses(this.space.status(topic)).find((each) => each.name === name)
    return status === undefined ? 0 : status.accepted + unfinishedOf(status)
  }

  async pauseChannel(topic: string, name: string, paused: boolean): Promise<void> {
    await this.space.pauseSubscription(topic, name, paused)
  }

  // ----------------------------------------------------------------------------------------------------------------- topics

  async deleteTopic(topic: string): Promise<void> {
    const channels = this.channels(topic)
    await this.space.deleteTopic(topic)
    this.#channels.delete(topic)
    this.#bytesIn.delete(topic)
    for (const channel of channels) this.onChange('gone', topic, channel)
    this.onChange('gone', topic, null)
  }

  /** What no channel has: channels keep theirs. */
  async emptyTopic(topic: string): Promise<void> {
    const status = this.space.status(topic)
    if (status?.subscriptions.some(({ kind, name }) => kind === 'queue' && name === '')) await this.space.purge(topic)
    await this.space.dropWithheld(topic)
    await this.#forgetRead(topic, true)
  }

  /** While it is paused, what is published stays in the topic, and its channels go on with what they have. */
  async pauseTopic(topic: string, paused: boolean): Promise<void> {
    const from = this.#startOf(topic)
    await this.space.withhold(topic, !paused ? null : from === 'withheld' ? 'newest' : from)
    // Somebody else may have stopped all delivery from it.
    if (!paused && this.space.topic(topic)?.config.paused) await this.space.alterTopic(topic, { paused: false })
  }

  isPaused(topic: string): boolean {
    const info = this.space.topic(topic)
    return info !== undefined && (info.withheldFrom !== null || info.config.paused)
  }

  countIn(topic: string, bytes: number): void {
    this.#bytesIn.set(topic, (this.#bytesIn.get(topic) ?? 0) + bytes)
  }

  bytesIn(topic: string): number {
    return this.#bytesIn.get(topic) ?? 0
  }
}

export interface Joined {
  readonly consumer: Consumer
  readonly channel: Channel
}

/** Ready, in flight, and those that wait. */
export const unfinishedOf = ({ cursors }: SubscriptionStatus): number => cursors.reduce((sum, { lag }) => sum + lag, 0)

/** Subscriptions that are channels: with a name that NSQ can say. */
export function channelStatuses(status: TopicStatus | undefined): SubscriptionStatus[] {
  return (status?.subscriptions ?? [])
    .filter(({ kind, name }) => kind === 'queue' && isName(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}
