/** What the broker is made of, and the changes that several of its faces make: topics, subscriptions, dead letters, and what is stored of them. */
import { CoreError } from '../core/errors.ts'
import { Slot } from '../core/lane.ts'
import type { Death } from '../core/record.ts'
import { type Delayed, type Fired, Scheduler } from '../core/scheduler.ts'
import type { Shard } from '../core/shard.ts'
import type { Subscription } from '../core/subscription.ts'
import { Topic, type TopicDefinition, type TopicOwner } from '../core/topic.ts'
import { everyone } from './access.ts'
import { Counters } from './counters.ts'
import { bury } from './deadletter.ts'
import { Histories } from './exchanges/history.ts'
import { StoredExchanges } from './exchanges/stored.ts'
import { type Limits, PublishItem, type StartAt, type SubscriptionOptions, type TopicConfig, topicDefaults } from './face.ts'
import { TopicJournal } from './journal.ts'
import { Namespace } from './namespace.ts'
import { effectiveConfig, Policies } from './policy.ts'
import { Publisher } from './publisher.ts'
import { Quotas } from './quotas.ts'
import { RowTables } from './rows.ts'
import { Subscriptions, startOffset } from './subscriptions.ts'
import { checkConfig } from './topic-config.ts'
import { TrafficTotals } from './traffic.ts'
import { Waiters } from './waiters.ts'
import { Watches } from './watches.ts'

/** About what the metadata of a topic takes in a frame. */
const definitionBytes = 16 * 1024

export class Engine implements TopicOwner {
  readonly shard: Shard
  readonly limits: Limits
  readonly namespaces = new Map<string, Namespace>()
  /** Holds the journals of protocols; it has no name and is listed nowhere. */
  readonly #hidden: Namespace
  readonly #journals = new Map<string, TopicJournal>()
  readonly topicsByUuid = new Map<string, Topic>()
  readonly waiters = new Waiters()
  readonly watches = new Watches()
  readonly counters: Counters
  readonly scheduler: Scheduler
  readonly publisher: Publisher
  readonly policies: Policies
  readonly rows: RowTables
  readonly quotas: Quotas
  readonly subscriptions: Subscriptions
  readonly exchanges: StoredExchanges
  readonly traffic = new TrafficTotals()
  readonly #randomBytes: (size: number) => Buffer
  readonly histories: Histories

  constructor(shard: Shard, limits: Limits, randomBytes: (size: number) => Buffer) {
    this.shard = shard
    this.limits = limits
    this.#randomBytes = randomBytes
    this.histories = new Histories(shard)
    this.counters = new Counters(shard)
    this.policies = new Policies(shard)
    this.rows = new RowTables(shard)
    this.quotas = new Quotas(this.rows.table('broker quotas'))
    this.scheduler = new Scheduler(shard, (delayed) => this.#fire(delayed))
    this.publisher = new Publisher(
      shard,
      this.scheduler,
      this.histories,
      () => this.counters.next('schedule'),
      (topic, item) => this.#buryRefused(topic, item),
      (topic, level) => this.#addLane(topic, level),
    )
    this.subscriptions = new Subscriptions(shard, this.counters, this.watches)
    this.exchanges = new StoredExchanges(shard, this.namespaces, this.policies, this.publisher, this.histories)
    this.#hidden = new Namespace('', () => this.#random(), this.shard.clock)
    this.makeNamespace('default')
    shard.onReadable = (topic, partition) => {
      this.waiters.readable(topic, partition)
      this.watches.wake(topic)
    }
  }

  /** Hears of each topic whose settings may have changed. */
  onGoverned: (topic: Topic) => void = () => undefined

  makeNamespace(name: string): void {
    this.namespaces.set(name, new Namespace(name, () => this.#random(), this.shard.clock))
  }

  #random(): number {
    return this.#randomBytes(4).readUInt32BE() / 0x1_0000_0000
  }

  #namespaceOfTopic(name: string): Namespace | undefined {
    return name === '' ? this.#hidden : this.namespaces.get(name)
  }

  journal(name: string): TopicJournal {
    let journal = this.#journals.get(name)
    if (journal === undefined) {
      const forEver = { retention: 'time', retentionMs: -1, retentionBytes: -1 } as const
      const topic = this.#hidden.topics.get(name) ?? this.createTopic(this.#hidden, name, forEver, '', {})
      journal = new TopicJournal(this.shard, topic)
      this.#journals.set(name, journal)
    }
    return journal
  }

  namespace(name: string): Namespace {
    const namespace = this.namespaces.get(name)
    if (namespace === undefined) throw new CoreError('NotFound', `no namespace "${name}"`, name)
    return namespace
  }

  // ------------------------------------------------------------------------------------------------------------------ topics

  createTopic(
    namespace: Namespace,
    name: string,
    config: Partial<TopicConfig>,
    declaredBy: string,
    declaration: Record<string, unknown>,
    reading: SubscriptionOptions | null = {},
  ): Topic {
    if (namespace.topics.has(name)) throw new CoreError('AlreadyExists', `topic "${name}" exists`, name)
    if (name === '') throw new CoreError('Invalid', 'a topic needs a name')
    if (this.shard.topics.size >= this.limits.topicsMax)
      throw new CoreError('Full', `there are ${this.shard.topics.size} topics already (topicsMax)`)
    this.quotas.admitTopic(namespace.name, namespace.topics.size, name)
    const asked = checkConfig({ ...topicDefaults, ...config })
    if (asked.forwardTo === name) throw new CoreError('Invalid', 'a topic cannot hand its records on to itself', 'forwardTo')
    const ranked = asked.priorityLevels > 1
    const full = ranked ? { ...asked, partitions: 1 } : asked
    const logs = Array.from({ length: full.partitions }, () => this.counters.next('log'))
    const definition: TopicDefinition = {
      id: this.counters.next('topic'),
      uuid: this.#randomBytes(16).toString('hex'),
      namespace: namespace.name,
      name,
      config: full,
      declaredBy,
      declaration,
      createdAt: this.shard.clock.now(),
      logs,
      ...(ranked ? { priorities: [full.priorityDefault] } : {}),
    }
    const topic = this.#makeTopic(namespace, definition)
    this.shard.committer.atomically(definitionBytes, () => {
      this.#storeTopic(topic)
      if (full.retention === 'acknowledged' && reading !== null) this.subscriptions.ensure(topic, '', 'oldest', true, reading)
    })
    return topic
  }

  #makeTopic(namespace: Namespace, definition: TopicDefinition): Topic {
    const topic = new Topic(definition, this.shard, this)
    for (const [partition, log] of definition.logs.entries()) topic.addLog(this.shard.makeLog(log, topic, partition))
    if (definition.config.retention === 'acknowledged')
      topic.cursorFloor = (partition) => namespace.cursorFloor(topic.name, partition)
    namespace.topics.set(definition.name, topic)
    namespace.subjects.capture(topic, definition.config.captures)
    namespace.router.changed()
    this.shard.topics.set(definition.id, topic)
    this.topicsByUuid.set(definition.uuid, topic)
    this.#governTopic(topic)
    return topic
  }

  #storeTopic(topic: Topic): void {
    if (topic.config.storage === 'disk') this.shard.putMetadata('topic', String(topic.id), JSON.stringify(topic.definition))
  }

  alterTopic(topic: Topic, config: Partial<TopicConfig>, declaration: Record<string, unknown> | undefined): void {
    const next = checkConfig({ ...topic.definition.config, ...config })
    if (next.forwardTo === topic.name) throw new CoreError('Invalid', 'a topic cannot hand its records on to itself', 'forwardTo')
    if (next.partitions < topic.config.partitions)
      throw new CoreError(
        'Invalid',
        `topic "${topic.name}" has ${topic.config.partitions} partitions; they can only grow`,
        'partitions',
      )
    if (next.storage !== topic.config.storage)
      throw new CoreError('Invalid', `topic "${topic.name}": storage cannot be changed`, 'storage')
    if (next.indexed !== topic.config.indexed)
      throw new CoreError('Invalid', `topic "${topic.name}": indexed cannot be changed`, 'indexed')
    if (next.priorityLevels !== topic.config.priorityLevels)
      throw new CoreError('Invalid', `topic "${topic.name}": priorityLevels cannot be changed`, 'priorityLevels')
    if (next.priorityLevels > 1 && next.partitions !== topic.config.partitions)
      throw new CoreError(
        'Invalid',
        `topic "${topic.name}" has a partition for each priority in use; there are no others`,
        'partitions',
      )
    const added = Array.from({ length: Math.max(0, next.partitions - topic.definition.logs.length) }, () =>
      this.counters.next('log'),
    )
    const before = topic.config.retention
    this.#redefine(topic, {
      ...topic.definition,
      config: next,
      logs: [...topic.definition.logs, ...added],
      ...(declaration === undefined ? {} : { declaration }),
    })
    this.#storeTopic(topic)
    topic.keeper?.enforceAll()
    if (next.retention === 'acknowledged' && before !== 'acknowledged') this.subscriptions.ensure(topic, '', 'oldest', true)
    topic.onCommitted()
  }

  withhold(topic: Topic, from: StartAt | null): void {
    const { withheldFrom, ...definition } = topic.definition
    if ((from === null) === (withheldFrom === undefined)) return
    const offsets = from === null ? {} : { withheldFrom: topic.logs.map((log) => startOffset(log, from, undefined)) }
    this.#redefine(topic, { ...definition, ...offsets })
    this.#storeTopic(topic)
    topic.onCommitted()
  }

  dropWithheld(topic: Topic): void {
    if (topic.definition.withheldFrom === undefined) return
    for (const subscription of topic.subscriptions.values())
      for (const lane of subscription.lanes) subscription.skip(lane, lane.limit, lane.log.next) // nothing where nothing is withheld
    this.#redefine(topic, { ...topic.definition, withheldFrom: topic.logs.map(({ next }) => next) })
    this.#storeTopic(topic)
  }

  /** The lane of a priority that no record had before. Stored ahead of that record, in the same frame or an earlier one. */
  #addLane(topic: Topic, level: number): number {
    const { config, logs, priorities = [] } = topic.definition
    this.#redefine(topic, {
      ...topic.definition,
      config: { ...config, partitions: logs.length + 1 },
      logs: [...logs, this.counters.next('log')],
      priorities: [...priorities, level],
    })
    this.#storeTopic(topic)
    return logs.length
  }

  #redefine(topic: Topic, definition: TopicDefinition): void {
    topic.redefine(definition)
    this.#governTopic(topic)
    const namespace = this.namespaces.get(topic.namespace)
    namespace?.subjects.capture(topic, definition.config.captures)
    topic.cursorFloor =
      definition.config.retention === 'acknowledged' && namespace !== undefined
        ? (partition) => namespace.cursorFloor(topic.name, partition)
        : null
    for (let partition = topic.logs.length; partition < definition.logs.length; partition++) {
      topic.addLog(this.shard.makeLog(definition.logs[partition] as number, topic, partition)) // partition < length
    }
  }

  /** With all that hangs on it, in one frame: a later topic of this name inherits nothing. */
  deleteTopic(namespace: Namespace, topic: Topic): void {
    this.shard.committer.atomically(definitionBytes, () => this.#deleteTopic(namespace, topic))
  }

  #deleteTopic(namespace: Namespace, topic: Topic): void {
    this.#dropTopic(namespace, topic)
    this.shard.putMetadata('topic', String(topic.id), null)
    this.shard.noteMetadata('ids', String(topic.id), null)
    for (const subscription of topic.subscriptions.values()) this.subscriptions.unstore(subscription)
    this.exchanges.unbound(namespace, namespace.router.topicDeleted(topic.name))
    for (const group of [...namespace.cursors.keys()]) {
      for (let partition = 0; partition < topic.logs.length; partition++) {
        if (namespace.cursors.get(group)?.has(`${topic.name}/${partition}`) !== true) continue
        namespace.setCursor(group, topic.name, partition, null)
        this.shard.putMetadata('cursor', [namespace.name, group, topic.name, partition].join('\u0000'), null)
      }
    }
  }

  #dropTopic(namespace: Namespace, topic: Topic): void {
    if (namespace.topics.get(topic.name) === topic) namespace.topics.delete(topic.name)
    namespace.subjects.capture(topic, [])
    namespace.router.changed()
    this.shard.topics.delete(topic.id)
    this.topicsByUuid.delete(topic.definition.uuid)
    topic.close()
    this.subscriptions.forget(topic)
    for (const log of topic.logs) {
      log.held?.close()
      this.shard.logs.delete(log.id)
      log.discard()
      if (!log.inMemory) this.shard.deadLogs.push(log.id)
    }
    this.waiters.topicGone(topic)
  }

  // ---------------------------------------------------------------------------------------------------------------- policies

  #governTopic(topic: Topic): void {
    const governing = this.policies.ofTopic(topic.namespace, topic.name, topic.definition.config)
    const config = effectiveConfig(topic.definition.config, governing)
    topic.govern(config, governing.policy?.name ?? null, governing.cap?.name ?? null)
    this.onGoverned(topic)
  }

  /** After a change of policies, and after recovery. */
  governAll(namespace: Namespace): void {
    for (const { name } of namespace.router.exchanges()) this.exchanges.govern(namespace, name)
    for (const topic of namespace.topics.values()) {
      this.#governTopic(topic)
      // A limit on length may have come: what is beyond it goes.
      topic.onCommitted()
    }
  }

  // ------------------------------------------------------------------------------------------------------------- dead letters

  deadLetter(topic: Topic, slot: Slot, reason: Death['reason'], attempts: number, error: string | undefined): boolean {
    const namespace = this.namespaces.get(topic.namespace)
    if (namespace === undefined) return true
    const dead = { topic, slot, reason, attempts, error }
    return bury(dead, namespace, this.publisher, this.shard.log)
  }

  /** A record that a full topic refuses, where such ones are dead letters. */
  #buryRefused(topic: Topic, item: PublishItem): void {
    const slot = new Slot()
    slot.buffer = item.payload
    slot.end = item.payload.length
    slot.format = item.format
    slot.timestamp = item.timestamp || this.shard.clock.now()
    slot.annotations = item.annotations
    const namespace = this.namespace(topic.namespace)
    bury({ topic, slot, reason: 'maxLength', attempts: 0, error: undefined }, namespace, this.publisher, this.shard.log)
  }

  /** False when it could not be stored for now. */
  #fire(delayed: Delayed): Fired {
    const namespace = this.namespaces.get(delayed.namespace)
    if (namespace === undefined) return 'gone'
    const repeats = delayed.repetition !== undefined
    const item = new PublishItem(delayed.exchange, delayed.address, delayed.format, delayed.payload)
    item.timestamp = repeats ? this.shard.clock.now() : delayed.timestamp
    item.ttlMs = delayed.ttlMs
    item.priority = delayed.priority
    item.key = delayed.key === null ? null : Buffer.from(delayed.key, 'base64')
    item.extraAddresses = delayed.extraAddresses ?? null
    item.dedupId = delayed.dedupId ?? null
    item.partition = delayed.partition ?? -1
    item.count = delayed.count ?? 1
    if (repeats) item.annotations = { scheduleId: delayed.id }
    // What is published again is new each time: it takes room, and is judged.
    this.publisher.append(namespace, everyone, item, !repeats)
    if (item.errorCode === 'Full' || item.errorCode === 'Unavailable') return 'refused'
    if (item.errorCode !== null)
      this.shard.log.warn(
        { address: delayed.address, id: delayed.id, error: item.errorMessage },
        'a delayed record could not be delivered',
      )
    return 'published'
  }

  // ------------------------------------------------------------------------------------------------------------------ upkeep

  consumersChanged(topic: Topic, changed: Subscription): void {
    if (topic.deleted) return
    if (!changed.durable && changed.consumers.length === 0) {
      queueMicrotask(() => {
        if (changed.consumers.length === 0 && !changed.closed) this.subscriptions.delete(topic, changed)
      })
    }
    if (!topic.config.autoDelete) return
    queueMicrotask(() => {
      const namespace = this.namespaces.get(topic.namespace)
      if (topic.deleted || namespace === undefined) return
      const subscriptions = [...topic.subscriptions.values()]
      const used = subscriptions.some(({ wasUsed }) => wasUsed)
      if (used && subscriptions.every(({ consumers }) => consumers.length === 0)) this.deleteTopic(namespace, topic)
    })
  }

  /** Topics that nobody has used for their expiry. */
  expireTopics(): void {
    const now = this.shard.clock.now()
    for (const topic of [...this.shard.topics.values()]) {
      const { expiresMs } = topic.config
      if (expiresMs < 0) continue
      if ((topic.defaultSubscription?.consumers.length ?? 0) > 0) topic.lastUsedAt = now
      const namespace = this.namespaces.get(topic.namespace)
      if (now - topic.lastUsedAt >= expiresMs && namespace !== undefined) this.deleteTopic(namespace, topic)
    }
  }

  // ---------------------------------------------------------------------------------------------------------------- recovery

  /** Makes a stored row live; null is its deletion. */
  apply(table: string, key: string, value: string | Uint8Array | null): void {
    const text = value === null ? null : String(value)
    switch (table) {
      case 'counter':
        if (text !== null) this.counters.restore(key, Number(text))
        return
      case 'namespace':
        if (text === null) this.namespaces.delete(key)
        else if (!this.namespaces.has(key)) this.makeNamespace(key)
        return
      case 'policy':
        return this.policies.apply(key, text)
      case 'topic':
        return this.#applyTopic(Number(key), text)
      case 'subscription':
        return this.subscriptions.apply(Number(key), text)
      case 'exchange':
        return this.exchanges.apply(key, text)
      case 'history':
        return this.histories.restore(key, value)
      case 'rows':
        return this.rows.restore(key, text)
      case 'binding':
        return this.exchanges.applyBinding(key, text)
      case 'cursor': {
        const [namespace = '', group = '', topic = '', partition = ''] = key.split('\u0000')
        this.namespaces.get(namespace)?.setCursor(group, topic, Number(partition), text === null ? null : JSON.parse(text))
        return
      }
    }
  }

  #applyTopic(id: number, text: string | null): void {
    const present = this.shard.topics.get(id)
    if (text === null) {
      const namespace = present === undefined ? undefined : this.#namespaceOfTopic(present.namespace)
      if (present !== undefined && namespace !== undefined) this.#dropTopic(namespace, present)
      return
    }
    const definition = JSON.parse(text) as TopicDefinition // our own rows
    const namespace = this.#namespaceOfTopic(definition.namespace)
    if (present !== undefined) {
      // A checkpoint may name it already while the log before its making still tells of another one of this name.
      namespace?.topics.set(definition.name, present)
      return this.#redefine(present, definition)
    }
    if (namespace === undefined) return
    this.#makeTopic(namespace, { ...definition, config: { ...topicDefaults, ...definition.config } })
  }
}
