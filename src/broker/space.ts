/** One namespace as one principal sees it. Permission is asked first in each call; then the namespace's topics and the shard do the work. */
import { isDeepStrictEqual } from 'node:util'
import { AckSet } from '../core/ackset.ts'
import { AccessRefused, CoreError, type RefusedAccess } from '../core/errors.ts'
import type { Keeper } from '../core/keeper.ts'
import type { Log } from '../core/log.ts'
import { ReadyView } from '../core/ready.ts'
import { LogView } from '../core/record-reader.ts'
import type { Subscription } from '../core/subscription.ts'
import type { Topic } from '../core/topic.ts'
import { decide } from './deciding.ts'
import type { Engine } from './engine.ts'
import type {
  Action,
  AddressStatus,
  Binding,
  CommittedCursor,
  Consumer,
  CursorPosition,
  Decision,
  ExchangeInfo,
  FilterSpec,
  Listener,
  ListenSpec,
  LiveSink,
  LogRecords,
  PeekedRecord,
  Principal,
  ProducerStatus,
  PublishItem,
  ReadResult,
  ReadyRecords,
  ScheduledRecord,
  Sink,
  Space,
  StartAt,
  SubscribeSpec,
  SubscriptionOptions,
  SubscriptionStatus,
  Taken,
  Tally,
  TopicConfig,
  TopicInfo,
  TopicStatus,
  Transaction,
  Withholding,
} from './face.ts'
import type { Namespace } from './namespace.ts'
import { mayPublish } from './publish-rights.ts'
import { failedRead, findTime, offsetsOf, peekLog, readEntries } from './reading.ts'
import { countPublished, type Traffic } from './traffic.ts'
import { BrokerTransaction } from './transaction.ts'

export class BrokerSpace implements Space {
  readonly principal: Principal
  readonly #namespace: Namespace
  readonly #engine: Engine
  readonly #traffic: Traffic
  /** Made when it is needed: there may be a space for each of thousands of connections. */
  #views: WeakMap<Subscription, ReadyView> | null = null

  constructor(engine: Engine, namespace: Namespace, principal: Principal, traffic: Traffic) {
    this.#engine = engine
    this.#namespace = namespace
    this.principal = principal
    this.#traffic = traffic
  }

  get namespace(): string {
    return this.#namespace.name
  }

  #allow(action: Action, name: string, kind: RefusedAccess['kind'] = 'topic'): void {
    if (this.principal.may(action, this.#namespace.name, name)) return
    throw new AccessRefused({ user: this.principal.user, action, kind, name })
  }

  #topic(name: string): Topic {
    const topic = this.#namespace.topics.get(name)
    if (topic === undefined) throw new CoreError('NotFound', `no topic "${name}"`, name)
    return topic
  }

  #log(name: string, partition: number): Log {
    const log = this.#topic(name).logs[partition]
    if (log === undefined) throw new CoreError('OutOfRange', `topic "${name}" has no partition ${partition}`, name)
    return log
  }

  // ------------------------------------------------------------------------------------------------------------------ topics

  topic(name: string): TopicInfo | undefined {
    return this.#namespace.topics.get(name)?.info
  }

  topics(): TopicInfo[] {
    return [...this.#namespace.topics.values()].map((topic) => topic.info)
  }

  topicById(id: Buffer): TopicInfo | undefined {
    const topic = this.#engine.topicsByUuid.get(id.toString('hex'))
    return topic?.namespace === this.#namespace.name ? topic.info : undefined
  }

  status(name: string): TopicStatus | undefined {
    const topic = this.#namespace.topics.get(name)
    if (topic === undefined) return undefined
    const queues = [...topic.subscriptions.values()].map(
      (subscription): SubscriptionStatus => ({
        name: subscription.name,
        kind: 'queue',
        ready: subscription.ready,
        inFlight: subscription.inFlight,
        consumers: subscription.consumers.length,
        paused: subscription.paused,
        options: subscription.options,
        bytes: subscription.liveBytes,
        delivered: subscription.delivered,
        accepted: subscription.accepted,
        returned: subscription.returned,
        cursors: subscription.lanes.map((lane) => ({ partition: lane.index, offset: lane.acked.floor, lag: lane.outstanding })),
      }),
    )
    return {
      partitions: topic.logs.map((log) => ({
        ...offsetsOf(log),
        records: log.records,
        bytes: topic.keeper?.bytes ?? log.bytesFrom(log.start),
      })),
      subscriptions: [...queues, ...this.#cursorStatuses(topic)],
      recordsIn: topic.recordsIn,
      isUsed: topic.isUsed,
    }
  }

  #cursorStatuses(topic: Topic): SubscriptionStatus[] {
    const statuses: SubscriptionStatus[] = []
    for (const [group, positions] of this.#namespace.cursors) {
      const cursors = topic.logs.flatMap((log, partition) => {
        const cursor = positions.get(`${topic.name}/${partition}`)
        return cursor === undefined
          ? []
          : [{ partition, offset: cursor.offset, lag: Math.max(0, log.committed - Math.max(cursor.offset, log.start)) }]
      })
      if (cursors.length === 0) continue
      const ready = cursors.reduce((sum, cursor) => sum + cursor.lag, 0)
      const idle = { inFlight: 0, consumers: 0, paused: false, options: {}, bytes: 0, delivered: 0, accepted: 0, returned: 0 }
      statuses.push({ name: group, kind: 'cursor', ready, ...idle, cursors })
    }
    return statuses
  }

  async createTopic(
    name: string,
    config: Partial<TopicConfig>,
    declaredBy: string,
    declaration: Record<string, unknown> = {},
    reading: SubscriptionOptions | null = {},
  ): Promise<TopicInfo> {
    // Who may create in the whole cluster may create here.
    if (!this.principal.may('create', this.namespace, '', 'cluster')) this.#allow('create', name)
    this.#allowDeadLetter(name, config)
    this.#allowCaptures(config.captures ?? [])
    const topic = this.#engine.createTopic(
      this.#namespace,
      name,
      config,
      declaredBy,
      declaration,
      reading && subscriptionOptions(reading),
    )
    if (topic.config.storage === 'disk') await this.#engine.shard.durable()
    return topic.info
  }

  async alterTopic(name: string, config: Partial<TopicConfig>, declaration?: Record<string, unknown>): Promise<TopicInfo> {
    this.#allow(config.partitions === undefined ? 'configure' : 'alter', name)
    this.#allowDeadLetter(name, config)
    const topic = this.#topic(name)
    const { captures } = topic.config
    this.#allowCaptures((config.captures ?? []).filter((pattern) => !captures.includes(pattern)))
    this.#engine.alterTopic(topic, config, declaration)
    await this.#engine.shard.durable()
    return topic.info
  }

  /** What a topic captures can be read there by whoever may read that. */
  #allowCaptures(patterns: readonly string[]): void {
    for (const pattern of patterns) this.#allow('consume', pattern)
  }

  /** Who sends a topic's records or dead letters somewhere takes them from here and publishes them there. */
  #allowDeadLetter(name: string, { deadLetter, forwardTo }: Partial<TopicConfig>): void {
    if (forwardTo !== undefined && forwardTo !== null) {
      this.#allow('consume', name)
      this.#allow('publish', forwardTo)
    }
    if (deadLetter === undefined || deadLetter === null) return
    this.#allow('consume', name)
    const { exchange, routingKey } = deadLetter
    if (!mayPublish(this.principal, this.namespace, exchange, routingKey ?? ''))
      throw new AccessRefused({ user: this.principal.user, action: 'publish', kind: 'exchange', name: exchange || 'amq.default' })
  }

  async deleteTopic(name: string): Promise<void> {
    this.#allow('delete', name)
    this.#engine.deleteTopic(this.#namespace, this.#topic(name))
    await this.#engine.shard.durable()
  }

  async purge(name: string, subscription = ''): Promise<number> {
    this.#allow('consume', name)
    const found = this.#subscription(name, subscription)
    const purged = found.purge()
    await this.#engine.shard.durable()
    return purged
  }

  async deleteRecordsBefore(name: string, partition: number, offset: number): Promise<number> {
    this.#allow('delete', name)
    const log = this.#log(name, partition)
    if (offset > log.committed || offset < -1)
      throw new CoreError('OutOfRange', `topic "${name}": offset ${offset} is beyond the end (${log.committed})`)
    this.#engine.shard.truncate(this.#topic(name), log, offset === -1 ? log.committed : offset)
    await this.#engine.shard.durable()
    return log.start
  }

  async removeRecords(name: string, partition: number, offsets: readonly number[]): Promise<number> {
    this.#allow('manage', name)
    const removed = this.#engine.shard.remove(this.#topic(name), this.#log(name, partition), offsets)
    await this.#engine.shard.durable()
    return removed
  }

  addresses(name: string, pattern: string): AddressStatus[] {
    this.#allow('consume', name)
    return this.#keeper(name).matching(pattern)
  }

  addressCount(name: string): number {
    this.#allow('consume', name)
    return this.#keeper(name).addresses
  }

  offsetsOf(name: string, address: string): readonly number[] {
    this.#allow('consume', name)
    return this.#keeper(name).offsets(address)
  }

  tally(name: string, patterns: readonly string[], from: StartAt): Tally {
    this.#allow('consume', name)
    return this.#keeper(name).tally(patterns, from)
  }

  #keeper(name: string): Keeper {
    const { keeper } = this.#topic(name)
    if (keeper === null) throw new CoreError('Invalid', `topic "${name}" is not indexed`, name)
    return keeper
  }

  touch(name: string): void {
    this.#namespace.topics.get(name)?.touch()
  }

  // ------------------------------------------------------------------------------------------------------------------ router

  exchange(name: string): ExchangeInfo | undefined {
    return this.#namespace.router.exchange(name)
  }

  exchanges(): ExchangeInfo[] {
    return this.#namespace.router.exchanges()
  }

  async declareExchange(exchange: ExchangeInfo): Promise<void> {
    this.#allow('manage', exchange.name, 'exchange')
    if (exchange.alternate !== null) {
      this.#allow('consume', exchange.name, 'exchange')
      this.#allow('publish', exchange.alternate, 'exchange')
    }
    if (this.#namespace.router.exchange(exchange.name) !== undefined)
      throw new CoreError('AlreadyExists', `exchange "${exchange.name}" exists`)
    this.#engine.exchanges.declare(this.#namespace, exchange)
    await this.#engine.shard.durable()
  }

  async deleteExchange(name: string, ifUnused: boolean): Promise<void> {
    this.#allow('manage', name, 'exchange')
    if (this.#namespace.router.exchange(name) === undefined) throw new CoreError('NotFound', `no exchange "${name}"`)
    if (ifUnused && this.#namespace.router.bindingsFrom(name).length > 0)
      throw new CoreError('Mismatch', `exchange "${name}" is in use`)
    this.#engine.exchanges.delete(this.#namespace, name)
    await this.#engine.shard.durable()
  }

  async bind(binding: Binding): Promise<void> {
    this.#allowBinding(binding)
    if (binding.destinationKind === 'topic') this.#topic(binding.destination)
    if (!this.#namespace.router.bind(binding)) return
    this.#engine.exchanges.bound(this.#namespace, binding)
    await this.#engine.shard.durable()
  }

  async unbind(binding: Binding): Promise<void> {
    this.#allowBinding(binding)
    if (!this.#namespace.router.unbind(binding)) return
    this.#engine.exchanges.unbound(this.#namespace, [binding])
    await this.#engine.shard.durable()
  }

  /** A binding takes records from its source and puts them to its destination. */
  #allowBinding({ source, destination, destinationKind, key }: Binding): void {
    this.#allow('publish', destination, destinationKind)
    this.#allow('consume', source, 'exchange')
    if (this.principal.mayUseKey === undefined || this.principal.mayUseKey('consume', this.namespace, source, key)) return
    if (this.#namespace.router.exchange(source)?.kind === 'topic')
      throw new AccessRefused({ user: this.principal.user, action: 'consume', kind: 'exchange', name: source, key })
  }

  bindings(of: { source?: string; destination?: string; destinationKind?: 'topic' | 'exchange' } = {}): Binding[] {
    const all = of.source === undefined ? this.#namespace.router.bindings() : [...this.#namespace.router.bindingsFrom(of.source)]
    return all.filter(
      (binding) =>
        (of.destination === undefined || binding.destination === of.destination) &&
        (of.destinationKind === undefined || binding.destinationKind === of.destinationKind),
    )
  }

  // ----------------------------------------------------------------------------------------------------------------- records

  publish(items: readonly PublishItem[], done: (() => void) | null): void {
    this.#engine.publisher.publish(this.#namespace, this.principal, items, done)
    countPublished(this.#traffic, items)
  }

  tell(address: string, format: number, payload: Buffer, connection: number): number {
    const heardBy = this.#engine.publisher.tell(this.#namespace, this.principal, address, format, payload, connection)
    if (heardBy > 0) {
      this.#traffic.recordsIn++
      this.#traffic.bytesIn += payload.length
    }
    return heardBy
  }

  begin(): Transaction {
    return new BrokerTransaction(this.#engine, this.#namespace, this.principal, (items) => countPublished(this.#traffic, items))
  }

  decide(decision: Decision): void {
    decide(this.#engine.shard, this.#namespace, decision)
  }

  producers(name: string, partition: number): ProducerStatus[] {
    const log = this.#log(name, partition)
    const known = this.#topic(name).producers[partition]?.list() ?? []
    return known.map((producer) => ({ ...producer, openSince: log.decisions?.openSince(producer.producerId) ?? -1 }))
  }

  #subscription(topicName: string, name: string) {
    const topic = this.#topic(topicName)
    const found = topic.subscriptions.get(name)
    if (found !== undefined) return found
    if (name === '') return this.#engine.subscriptions.ensure(topic, '', 'oldest', true)
    throw new CoreError('NotFound', `topic "${topicName}" has no subscription "${name}"`)
  }

  subscribe(spec: SubscribeSpec, sink: Sink): Consumer {
    this.#allow('consume', spec.topic)
    const topic = this.#topic(spec.topic)
    const { filter, keyExclusive, startAt = 'oldest', durable = true } = spec
    const options = subscriptionOptions({ filter, keyExclusive })
    const present = topic.subscriptions.get(spec.subscription)
    for (const [name, value] of Object.entries(options)) {
      if (
        present === undefined ||
        isDeepStrictEqual(subscriptionOptions(present.options)[name as keyof SubscriptionOptions], value)
      )
        continue
      const which = `subscription "${spec.subscription}" of topic "${topic.name}"`
      throw new CoreError('Mismatch', `${which} has another ${name}; delete it to change that`, name)
    }
    const subscription = present ?? this.#engine.subscriptions.ensure(topic, spec.subscription, startAt, durable, options)
    const consumer = subscription.subscribe(spec, sink)
    consumer.onHandedOver = (records, bytes) => this.#countOut(records, bytes)
    return consumer
  }

  listen(spec: ListenSpec, sink: LiveSink): Listener {
    this.#allow('consume', spec.pattern)
    const counted: LiveSink = {
      onRecords: (listener, batch) => {
        this.#countOut(
          batch.length,
          sumOf(batch.bytes, (bytes) => bytes.length),
        )
        sink.onRecords(listener, batch)
      },
    }
    return this.#namespace.subjects.listen(spec, this.principal, this.namespace, counted)
  }

  isHeard(address: string): boolean {
    return this.#namespace.subjects.isHeard(address)
  }

  acceptAt(topic: string, subscription: string, partition: number, offset: number): Promise<boolean> {
    this.#allow('consume', topic)
    const found = this.#subscription(topic, subscription)
    return new Promise((resolve) => found.acceptAt(partition, offset, resolve))
  }

  whenHeard(address: string, wake: () => void): () => void {
    return this.#namespace.subjects.whenHeard(address, wake)
  }

  take(topic: string, autoSettle: boolean, done: (taken: Taken | null) => void): void {
    this.#allow('consume', topic)
    this.touch(topic)
    this.#subscription(topic, '').askers.take(autoSettle, (taken) => {
      if (taken !== null) this.#countOut(1, taken.bytes.length)
      done(taken)
    })
  }

  ready(topic: string): ReadyRecords {
    this.#allow('consume', topic)
    const subscription = this.#subscription(topic, '')
    this.#views ??= new WeakMap()
    let view = this.#views.get(subscription)
    if (view === undefined) {
      view = new ReadyView(subscription, (records, bytes) => this.#countOut(records, bytes))
      this.#views.set(subscription, view)
    }
    return view
  }

  records(topic: string, partition: number): LogRecords {
    this.#allow('consume', topic)
    return new LogView(this.#log(topic, partition))
  }

  watch(topic: string, wake: () => void): () => void {
    return this.#engine.watches.add(this.#namespace, topic, wake)
  }

  #countOut(records: number, bytes: number): void {
    this.#traffic.recordsOut += records
    this.#traffic.bytesOut += bytes
  }

  read(name: string, partition: number, offset: number, maxBytes: number, done: (result: ReadResult) => void): void {
    if (!this.principal.may('consume', this.#namespace.name, name)) return done(failedRead('AccessDenied'))
    const log = this.#namespace.topics.get(name)?.logs[partition]
    if (log === undefined) return done(failedRead('NotFound'))
    readEntries(log, offset, maxBytes, (result) => {
      const { entries } = result
      const last = entries.at(-1)
      if (last !== undefined) {
        this.#countOut(
          sumOf(entries, ({ count }) => count),
          sumOf(entries, ({ start, end }) => end - start),
        )
        const { sampleOffset } = log
        if (sampleOffset >= offset && sampleOffset < last.baseOffset + last.count)
          this.#engine.shard.handedOver(log, sampleOffset)
      }
      done(result)
    })
  }

  whenReadable(name: string, partition: number, offset: number, wake: () => void, decided = false): () => void {
    const topic = this.#namespace.topics.get(name)
    const log = topic?.logs[partition]
    if (topic === undefined || log === undefined || (decided ? log.stable : log.readable) > offset) {
      queueMicrotask(wake)
      return () => undefined
    }
    return this.#engine.waiters.add(topic, partition, offset, decided, wake)
  }

  async offsetForTime(name: string, partition: number, time: number): Promise<{ offset: number; timestamp: number } | null> {
    this.#allow('consume', name)
    return await findTime(this.#log(name, partition), time)
  }

  async peek(
    name: string,
    options: { partition?: number; offset?: number; time?: number; limit: number },
  ): Promise<PeekedRecord[]> {
    this.#allow('consume', name)
    const topic = this.#topic(name)
    const found: PeekedRecord[] = []
    const partitions = options.partition === undefined ? topic.logs.map((_, index) => index) : [options.partition]
    for (const partition of partitions) {
      const log = this.#log(name, partition)
      const from = options.time === undefined ? options.offset : ((await findTime(log, options.time))?.offset ?? log.committed)
      await peekLog(topic, partition, from ?? 0, options.limit, found)
    }
    return found
  }

  // ----------------------------------------------------------------------------------------------------------------- cursors

  commitCursors(group: string, positions: readonly CursorPosition[], done: (error: Error | null) => void): void {
    for (const position of positions) {
      if (this.principal.may('consume', this.#namespace.name, position.topic)) continue
      const error = new CoreError('AccessDenied', `${this.principal.user} may not consume "${position.topic}"`)
      return queueMicrotask(() => done(error))
    }
    const committedAt = this.#engine.shard.clock.now()
    for (const { topic, partition, offset, metadata, leaderEpoch } of positions) {
      const cursor = { offset, metadata, leaderEpoch, committedAt }
      this.#namespace.setCursor(group, topic, partition, cursor)
      const key = [this.namespace, group, topic, partition].join('\u0000')
      this.#engine.shard.putMetadata('cursor', key, JSON.stringify(cursor))
    }
    this.#engine.shard.committer.whenDurable(done)
  }

  cursors(group: string): CommittedCursor[] {
    return [...(this.#namespace.cursors.get(group) ?? [])].map(([key, cursor]) => {
      const at = key.lastIndexOf('/')
      return { topic: key.slice(0, at), partition: Number(key.slice(at + 1)), ...cursor }
    })
  }

  cursorGroups(): string[] {
    return [...this.#namespace.cursors.keys()]
  }

  async deleteCursors(group: string, topic?: string, partition?: number): Promise<void> {
    for (const position of this.cursors(group)) {
      if (topic !== undefined && position.topic !== topic) continue
      if (partition !== undefined && position.partition !== partition) continue
      this.#namespace.setCursor(group, position.topic, position.partition, null)
      this.#engine.shard.putMetadata('cursor', [this.namespace, group, position.topic, position.partition].join('\u0000'), null)
    }
    await this.#engine.shard.durable()
  }

  async seek(name: string, subscriptionName: string, to: StartAt, partition?: number): Promise<void> {
    this.#allow('consume', name)
    const topic = this.#topic(name)
    const subscription = this.#subscription(name, subscriptionName)
    for (const lane of subscription.lanes) {
      if (partition !== undefined && lane.index !== partition) continue
      const offset = await this.#engine.subscriptions.resolveStart(topic, lane.index, to)
      lane.acked = new AckSet(offset)
      lane.forgetReturns()
      lane.moveTo(offset)
      subscription.changed = true
      this.#engine.shard.putMetadata('floor', `${subscription.id}/${lane.index}`, String(offset))
    }
    subscription.wake()
    await this.#engine.shard.durable()
  }

  async pauseSubscription(name: string, subscriptionName: string, paused: boolean): Promise<void> {
    this.#allow('manage', name)
    const subscription = this.#subscription(name, subscriptionName)
    this.#engine.subscriptions.pause(subscription, paused)
    await this.#engine.shard.durable()
  }

  async withhold(name: string, from: Withholding | null): Promise<void> {
    this.#allow('manage', name)
    this.#engine.withhold(this.#topic(name), from)
    await this.#engine.shard.durable()
  }

  async dropWithheld(name: string): Promise<void> {
    this.#allow('consume', name)
    this.#engine.dropWithheld(this.#topic(name))
    await this.#engine.shard.durable()
  }

  async createSubscription(
    name: string,
    subscriptionName: string,
    { startAt = 'oldest', ...options }: SubscriptionOptions & { startAt?: StartAt },
  ): Promise<void> {
    this.#allow('consume', name)
    const topic = this.#topic(name)
    if (topic.subscriptions.has(subscriptionName))
      throw new CoreError('AlreadyExists', `topic "${name}" has a subscription "${subscriptionName}"`, subscriptionName)
    this.#engine.subscriptions.ensure(topic, subscriptionName, startAt, true, subscriptionOptions(options))
    await this.#engine.shard.durable()
  }

  async deleteSubscription(name: string, subscriptionName: string): Promise<void> {
    this.#allow('manage', name)
    const topic = this.#topic(name)
    if (this.#namespace.cursors.has(subscriptionName) && !topic.subscriptions.has(subscriptionName)) {
      return await this.deleteCursors(subscriptionName, name)
    }
    this.#engine.subscriptions.delete(topic, this.#subscription(name, subscriptionName))
    await this.#engine.shard.durable()
  }

  async refilterSubscription(name: string, subscriptionName: string, filter: FilterSpec | undefined): Promise<void> {
    this.#allow('manage', name)
    this.#engine.subscriptions.refilter(this.#topic(name), this.#subscription(name, subscriptionName), filter)
    await this.#engine.shard.durable()
  }

  isDone(name: string, subscriptionName: string, partition: number, offset: number): boolean {
    this.#allow('consume', name)
    return this.#subscription(name, subscriptionName).lanes[partition]?.acked.has(offset) ?? true
  }

  // --------------------------------------------------------------------------------------------------------- delayed records

  async scheduled(limit: number, from = 0): Promise<ScheduledRecord[]> {
    return await this.#engine.scheduler.list(
      limit,
      from,
      ({ namespace, address }) => namespace === this.namespace && this.principal.may('consume', namespace, address),
    )
  }

  async reschedule(id: number, dueAt: number): Promise<boolean> {
    if (!(await this.#mayManage(id))) return false
    return await this.#engine.scheduler.move(id, dueAt)
  }

  async cancelScheduled(id: number): Promise<boolean> {
    if (!(await this.#mayManage(id))) return false
    return (await this.#engine.scheduler.cancel(id)) !== undefined
  }

  async #mayManage(id: number): Promise<boolean> {
    const delayed = await this.#engine.scheduler.find(id)
    if (delayed === undefined || delayed.namespace !== this.namespace) return false
    this.#allow('manage', delayed.address)
    return true
  }

  lastSequence(topic: string, partition: number, producerName: string): number {
    return this.#topic(topic).namedProducers[partition]?.last(producerName)?.sequence ?? -1
  }

  async nextProducerId(): Promise<number> {
    return await this.#engine.counters.durableNext('producer')
  }
}

/** What is said, in the form it is stored. */
function subscriptionOptions(said: {
  readonly filter?: SubscriptionOptions['filter'] | undefined
  readonly keyExclusive?: SubscriptionOptions['keyExclusive'] | undefined
}): SubscriptionOptions {
  return {
    ...(said.filter === undefined ? {} : { filter: said.filter }),
    ...(said.keyExclusive === undefined ? {} : { keyExclusive: said.keyExclusive }),
  }
}

function sumOf<Item>(items: readonly Item[], of: (item: Item) => number): number {
  let sum = 0
  for (const item of items) sum += of(item)
  return sum
}
