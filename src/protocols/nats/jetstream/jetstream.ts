/**
 * JetStream of one namespace: its streams (topics that it declared) and their consumers, which act by themselves. Sessions ask it where a publish
 * belongs and hand it what comes on `$JS.` subjects; the API is in api.ts.
 */
import {
  type Broker,
  CoreError,
  type CoreErrorCode,
  type PublishItem,
  type Space,
  type StartAt,
  type TopicInfo,
} from '../../../broker/face.ts'
import { asCoreError } from '../../../core/errors.ts'
import { declaredBy, everything } from '../owner.ts'
import { matchesSubject } from '../subjects.ts'
import { type AccountLimits, Room, storedBytes, unlimited } from './account-limits.ts'
import { parseAck } from './acks.ts'
import { Batches, type Incoming } from './batches.ts'
import { Consumer, type ConsumerHost } from './consumer.ts'
import type { ConsumerConfig } from './consumer-config.ts'
import { filtersOf } from './consumer-config.ts'
import { Copy } from './copies.ts'
import { Counters } from './counters.ts'
import { refusal } from './errors.ts'
import { FastBatches, isPart } from './fast-batches.ts'
import { Follower } from './follower.ts'
import { headerOf, type Line, withHeaders } from './headers.ts'
import { Outbox } from './outbox.ts'
import { randomId } from './pull.ts'
import { Retention } from './retention.ts'
import { Schedules } from './schedules.ts'
import type { StoredMessage } from './stored.ts'
import { Stream } from './stream.ts'
import { type StreamConfig, topicConfig } from './stream-config.ts'
import { timeText } from './times.ts'

const rowsName = 'nats.consumers'
const copiesName = 'nats.copies'
const schedulesName = 'nats.schedules'
const separator = '\u0000'
const cachedSubjectsMax = 10_000

/** Of streams that were stored before there was such a thing. */
const addedLater = {
  allow_batched: false,
  subject_transform: null,
  allow_msg_schedules: false,
  subject_delete_marker_ttl: 0,
} as const

interface StoredConsumer {
  readonly config: ConsumerConfig
  readonly createdAt: number
}

/** A connection that may be behind with what it was sent. */
export interface Receiver {
  listensTo(subject: string): boolean
}

export class JetStream implements ConsumerHost {
  readonly space: Space
  readonly outbox: Outbox
  readonly namespace: string
  readonly #broker: Broker
  readonly #streams = new Map<string, Stream>()
  readonly #followers = new Map<Stream, Follower>()
  readonly #copies = new Map<Stream, readonly Copy[]>()
  readonly #retention: Retention
  readonly #batches: Batches
  readonly #counters: Counters
  readonly #fastBatches: FastBatches
  readonly #schedules: Schedules
  readonly #behind = new Set<Receiver>()
  /** Which stream a subject belongs to. */
  #bySubject = new Map<string, Stream | null>()
  readonly counts = { requests: 0, errors: 0 }
  readonly limits: AccountLimits
  readonly #room: Readonly<Record<StreamConfig['storage'], Room>> | null

  constructor(broker: Broker, namespace: string, limits: AccountLimits = unlimited) {
    this.limits = limits
    this.#room = this.#roomOf(broker)
    this.#broker = broker
    this.namespace = namespace
    this.space = broker.space(everything, namespace)
    this.outbox = new Outbox(this.space)
    this.#retention = new Retention(this.space)
    this.#batches = new Batches(this.outbox, broker.clock)
    this.#counters = new Counters(this.outbox)
    this.#fastBatches = new FastBatches(this)
    for (const topic of this.space.topics()) if (topic.declaredBy === declaredBy) this.#adopt(topic)
    this.#schedules = new Schedules({
      broker,
      namespace,
      space: this.space,
      rows: broker.rows(schedulesName),
      stream: (name) => this.stream(name),
      answer: (reply, body) => this.outbox.answer(reply, body),
      published: (stream, item, messageId) => this.published(stream, item, messageId),
    })
    this.#restoreConsumers()
  }

  #roomOf({ clock }: Broker): Readonly<Record<StreamConfig['storage'], Room>> | null {
    const { own } = this.limits
    if (own === null || (own.memoryBytes < 0 && own.diskBytes < 0)) return null
    const streams = (): Stream[] => this.streams()
    return { memory: new Room(own, 'memory', streams, clock), file: new Room(own, 'file', streams, clock) }
  }

  get clock(): Broker['clock'] {
    return this.#broker.clock
  }

  get log(): Broker['log'] {
    return this.#broker.log
  }

  // ------------------------------------------------------------------------------------------------------------------- streams

  #adopt(topic: TopicInfo): Stream {
    const declared = topic.declaration as unknown as { config: StreamConfig } // written by createStream
    const config = { ...addedLater, ...declared.config }
    const room = this.#room
    const stream = new Stream(topic, config, this.space, (kind, subject, bytes, hasHeaders) =>
      room === null ? null : room[kind].take(storedBytes(kind, subject, bytes, hasHeaders)),
    )
    this.#streams.set(topic.name, stream)
    this.#configured(stream)
    this.#findLastMessageId(stream).catch(() => undefined) // a stream that cannot be read is logged
    return stream
  }

  async #findLastMessageId(stream: Stream): Promise<void> {
    const last = await stream.message(stream.lastSequence)
    stream.lastMessageId ??= last === null ? '' : (headerOf(last.headers.toString('latin1'), 'Nats-Msg-Id') ?? '')
  }

  /** What follows from a configuration that is new. */
  #configured(stream: Stream): void {
    this.#bySubject.clear()
    this.#stopActing(stream)
    this.#copyInto(stream)
    const { republish, retention } = stream.config
    if (republish === null && retention !== 'interest') return
    this.#followers.set(stream, new Follower(stream, this.space, (message) => this.#stored(stream, message)))
  }

  #stopActing(stream: Stream): void {
    this.#followers.get(stream)?.close()
    this.#followers.delete(stream)
  }

  /** What it copied before, and does still, goes on. */
  #copyInto(stream: Stream): void {
    const { mirror, sources } = stream.config
    const wanted = mirror === null ? sources : [mirror]
    const before = this.#copies.get(stream) ?? []
    if (before.length + wanted.length === 0) return
    const host = {
      broker: this.#broker,
      space: this.space,
      rows: this.#broker.rows(copiesName),
      stream: (name: string) => this.stream(name),
    }
    const copies = wanted.map((source) => {
      const { name, filter_subject: filter, subject_transforms: transforms } = source
      const key = [this.namespace, stream.id.toString('hex'), name, filter, JSON.stringify(transforms)].join(separator)
      return before.find((copy) => copy.key === key) ?? new Copy(stream, source, mirror !== null, key, host)
    })
    for (const copy of before) if (!copies.includes(copy)) copy.close()
    this.#copies.set(stream, copies)
  }

  /** How far its mirror or sources are. */
  copiesOf(stream: Stream): object {
    const infos = (this.#copies.get(stream) ?? []).map((copy) => copy.info())
    if (infos.length === 0) return {}
    return stream.config.mirror === null ? { sources: infos } : { mirror: infos[0] }
  }

  #stored(stream: Stream, message: StoredMessage): void {
    this.#retention.stored(stream, message.sequence, message.subject)
    const { republish } = stream.config
    if (republish === null || !matchesSubject(republish.src, message.subject)) return
    const { subject, sequence, time, headers, payload } = message
    // `a.>` to `b.>`: what the wildcard stands for is carried over.
    const rest = republish.src === '>' ? subject : subject.slice(republish.src.length - 1)
    const to = republish.dest.endsWith('>') ? republish.dest.slice(0, -1) + rest : republish.dest
    const last = stream.sequencesOf(subject).findLast((each) => each < sequence) ?? 0
    const lines: Line[] = [
      ['Nats-Stream', stream.name],
      ['Nats-Subject', subject],
      ['Nats-Sequence', sequence],
      ['Nats-Time-Stamp', timeText(time)],
      ['Nats-Last-Sequence', last],
    ]
    if (republish.headers_only) lines.push(['Nats-Msg-Size', payload.length])
    this.outbox.status(to, withHeaders(headers, lines), republish.headers_only ? undefined : payload)
  }

  get consumerCount(): number {
    return this.streams().reduce((sum, { consumers }) => sum + consumers.size, 0)
  }

  /** Those that are there, by name: topics may come and go in other ways than through here. */
  streams(): Stream[] {
    const names = this.space.topics().flatMap(({ name, declaredBy: by }) => (by === declaredBy ? [name] : []))
    return names.sort().flatMap((name) => this.stream(name) ?? [])
  }

  stream(name: string): Stream | undefined {
    const topic = this.space.topic(name)
    if (topic?.declaredBy !== declaredBy) {
      this.#forget(name)
      return undefined
    }
    const known = this.#streams.get(name)
    if (known?.id.equals(topic.id) === true) return known
    this.#forget(name)
    return this.#adopt(topic)
  }

  #forget(name: string): void {
    const stream = this.#streams.get(name)
    if (stream === undefined) return
    this.#streams.delete(name)
    this.#stopActing(stream)
    for (const copy of this.#copies.get(stream) ?? []) copy.close()
    this.#copies.delete(stream)
    this.#schedules.forget(stream)
    for (const key of [...this.#broker.rows(copiesName).entries()].map(([each]) => each))
      if (key.startsWith([this.namespace, stream.id.toString('hex'), ''].join(separator)))
        this.#broker.rows(copiesName).delete(key)
    this.#bySubject.clear()
    for (const consumer of [...stream.consumers.values()]) this.#drop(consumer, '409 Consumer Deleted')
  }

  hasStream(name: string): boolean {
    return this.#streams.has(name)
  }

  /** The stream that stores what is published to a subject; undefined: none does. */
  streamOf(subject: string): Stream | undefined {
    if (this.#streams.size === 0) return undefined
    let found = this.#bySubject.get(subject)
    if (found === undefined) {
      found = null
      for (const stream of this.#streams.values())
        if (stream.config.subjects.some((pattern) => matchesSubject(pattern, subject))) found = stream
      if (this.#bySubject.size >= cachedSubjectsMax) this.#bySubject.clear()
      this.#bySubject.set(subject, found)
    }
    return found ?? undefined
  }

  /** `space`: of who asks. */
  async createStream(config: StreamConfig, space: Space): Promise<Stream> {
    const declaration = { config }
    const topic = await space.createTopic(
      config.name,
      topicConfig(config, this.#broker.limits.recordBytesMax),
      declaredBy,
      declaration,
    )
    const stream = this.stream(config.name)
    if (stream === undefined || !stream.id.equals(topic.id)) throw refusal('streamNotFound')
    stream.lastMessageId = ''
    this.#adviseStream(stream.name, 'CREATED', 'create')
    return stream
  }

  async updateStream(stream: Stream, config: StreamConfig, space: Space): Promise<void> {
    await space.alterTopic(stream.name, topicConfig(config, this.#broker.limits.recordBytesMax), { config })
    stream.config = config
    this.#configured(stream)
    this.#adviseStream(stream.name, 'UPDATED', 'modify')
  }

  async deleteStream(stream: Stream, space: Space): Promise<void> {
    await space.deleteTopic(stream.name)
    this.#forget(stream.name)
    this.#adviseStream(stream.name, 'DELETED', 'delete')
  }

  #adviseStream(stream: string, word: string, action: string): void {
    this.outbox.advise(
      `$JS.EVENT.ADVISORY.STREAM.${word}.${stream}`,
      'advisory.v1.stream_action',
      { stream, action },
      this.clock.now(),
    )
  }

  // ---------------------------------------------------------------------------------------------------------------- publishing

  /** Whether a publish is part of a batch, counts, or has to do with schedules: then it is published and answered from here. */
  takes(incoming: Incoming): boolean {
    const { stream, headers, reply } = incoming
    if (isPart(reply)) {
      this.#fastBatches.take(incoming)
      return true
    }
    const batch = headers === '' ? undefined : headerOf(headers, 'Nats-Batch-Id')
    const schedule = Schedules.concerns(headers)
    if (batch === undefined && !stream.config.allow_msg_counter && !schedule) return false
    if (batch !== undefined) this.#batches.take(incoming, batch)
    else if (schedule) this.#schedules.take(incoming)
    else this.#counters.take(incoming)
    return true
  }

  /** A publish that the stream decided has its outcome. */
  published(stream: Stream, item: PublishItem, messageId: string): void {
    const sequence = item.baseOffset + stream.base
    if (sequence < stream.newest) return
    stream.newest = sequence
    stream.lastMessageId = messageId
  }

  // ----------------------------------------------------------------------------------------------------------------- consumers

  #restoreConsumers(): void {
    const rows = this.#broker.rows(rowsName)
    for (const [key, value] of [...rows.entries()]) {
      const [namespace, streamName = ''] = key.split(separator)
      if (namespace !== this.namespace) continue
      const stream = this.stream(streamName)
      const { config, createdAt } = JSON.parse(value) as StoredConsumer // written by createConsumer
      if (stream === undefined) rows.delete(key)
      else this.#open(stream, config, createdAt, 'oldest').start()
    }
  }

  #open(stream: Stream, config: ConsumerConfig, createdAt: number, startAt: StartAt): Consumer {
    const consumer = new Consumer(stream, config, createdAt, startAt, this)
    stream.consumers.set(consumer.name, consumer)
    return consumer
  }

  #rowOf({ stream, name }: { readonly stream: string; readonly name: string }): string {
    return [this.namespace, stream, name].join(separator)
  }

  /** `from`: where it begins, whatever its configuration says. */
  async createConsumer(stream: Stream, asked: ConsumerConfig, from: StartAt | null = null): Promise<Consumer> {
    const name = asked.durable_name || asked.name || randomId(8)
    const config = { ...asked, name }
    const startAt = from ?? (await this.#startOf(stream, config))
    // Somebody else may have been faster meanwhile.
    const present = stream.consumers.get(name)
    if (present !== undefined) return present
    const consumer = this.#open(stream, config, this.clock.now(), startAt)
    this.#store(consumer)
    if (!config.mem_storage) await this.#broker.rows(rowsName).durable()
    this.#adviseConsumer(consumer, 'CREATED', 'create')
    return consumer
  }

  #store(consumer: Consumer): void {
    const { config, createdAt } = consumer
    if (config.mem_storage) return
    const row: StoredConsumer = { config, createdAt }
    this.#broker.rows(rowsName).put(this.#rowOf(consumer), JSON.stringify(row))
  }

  async changeConsumer(consumer: Consumer, asked: ConsumerConfig): Promise<void> {
    await consumer.change({ ...asked, name: consumer.config.name })
    this.#store(consumer)
    await this.#broker.rows(rowsName).durable()
  }

  async #startOf(stream: Stream, config: ConsumerConfig): Promise<StartAt> {
    const filters = filtersOf(config)
    switch (config.deliver_policy) {
      case 'all':
        return 'oldest'
      case 'new':
        return 'newest'
      case 'last': {
        const last = filters.length === 0 ? stream.lastSequence : Math.max(0, ...filters.map((filter) => stream.lastOf(filter)))
        return last === 0 ? 'newest' : { offset: Math.max(0, stream.offsetOf(last)) }
      }
      case 'by_start_sequence':
        return { offset: Math.max(0, stream.offsetOf(config.opt_start_seq)) }
      case 'by_start_time':
        return { offset: stream.offsetOf(await stream.sequenceAt(Date.parse(config.opt_start_time))) }
      case 'last_per_subject':
        return { records: stream.lastOfEach(filters).map((sequence) => stream.offsetOf(sequence)) }
    }
  }

  async deleteConsumer(consumer: Consumer): Promise<void> {
    this.#drop(consumer, '409 Consumer Deleted')
    const { space } = this
    if (!consumer.config.mem_storage)
      await space.deleteSubscription(consumer.stream, consumer.name).catch((cause: unknown) => {
        if (!(cause instanceof CoreError) || cause.code !== 'NotFound') throw cause
      })
    this.#adviseConsumer(consumer, 'DELETED', 'delete')
    this.#retention.consumerGone(consumer.owner)
  }

  async resetConsumer(consumer: Consumer, sequence: number): Promise<number> {
    const from = await consumer.reset(sequence)
    this.#retention.consumerGone(consumer.owner)
    return from
  }

  #drop(consumer: Consumer, status: string): void {
    consumer.close(status)
    const { owner } = consumer
    if (owner.consumers.get(consumer.name) === consumer) owner.consumers.delete(consumer.name)
    this.#broker.rows(rowsName).delete(this.#rowOf(consumer))
  }

  #adviseConsumer({ stream, name }: Consumer, word: string, action: string): void {
    const fields = { stream, consumer: name, action }
    const subject = `$JS.EVENT.ADVISORY.CONSUMER.${word}.${stream}.${name}`
    this.outbox.advise(subject, 'advisory.v1.consumer_action', fields, this.clock.now())
  }

  // -------------------------------------------------------------------------------------------------------------- ConsumerHost

  acknowledged(consumer: Consumer, sequence: number, subject: string): void {
    this.#retention.acknowledged(consumer, sequence, subject)
  }

  expired(consumer: Consumer): void {
    this.deleteConsumer(consumer).catch((cause: unknown) => {
      this.#broker.log.warn({ consumer: consumer.name, error: asCoreError(cause).message }, 'an unused consumer was not deleted')
    })
  }

  lost(consumer: Consumer, reason: CoreErrorCode): void {
    // With its topic the stream is forgotten, and all its consumers. Else the broker is stopping, or somebody deleted the subscription.
    if (this.stream(consumer.stream) !== consumer.owner) return
    if (reason === 'NotFound') this.#drop(consumer, '409 Consumer Deleted')
    else consumer.close(null)
  }

  whenDurable(done: () => void): void {
    this.durable().then(done, () => undefined) // the disk is lost, and publishers hear of that
  }

  /** Resolves when all that was done so far is on the disk. */
  durable(): Promise<void> {
    return this.#broker.rows(rowsName).durable()
  }

  isBehind(subject: string): boolean {
    for (const receiver of this.#behind) if (receiver.listensTo(subject)) return true
    return false
  }

  /** A connection takes no more for now, or does again. */
  setBehind(receiver: Receiver, behind: boolean): void {
    if (behind) this.#behind.add(receiver)
    else if (this.#behind.delete(receiver))
      for (const stream of this.#streams.values()) for (const consumer of stream.consumers.values()) consumer.refresh()
  }

  // ---------------------------------------------------------------------------------------------------------------- what comes

  consumer(stream: string, name: string): Consumer | undefined {
    return this.#streams.get(stream)?.consumers.get(name)
  }

  /** On `$JS.ACK.>`; false when there is no such consumer. */
  onAck(subject: string, body: string, reply: string): boolean {
    const place = parseAck(subject)
    const consumer = place === null ? undefined : this.consumer(place.stream, place.consumer)
    if (place === null || consumer === undefined) return false
    consumer.onAck(place, body, reply)
    return true
  }

  /** On `$JS.FC.>`; false when there is no such consumer. */
  onFlow(subject: string): boolean {
    const [, , stream = '', name = ''] = subject.split('.')
    const consumer = this.consumer(stream, name)
    consumer?.push?.flowed(subject)
    return consumer !== undefined
  }
}
