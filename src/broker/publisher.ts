/**
 * A publish: route, check, append to each topic, one confirmation for the whole batch when the shard says durable.
 * From a protocol's session to here; from here to core/shard.ts.
 */

import { type EntryContent, EntryFlag } from '../core/entry.ts'
import { AccessRefused, CoreError, type CoreErrorCode } from '../core/errors.ts'
import { type AppendMarks, noMarks } from '../core/ops.ts'
import { formats, keyedRecords } from '../core/record.ts'
import { firstOf } from '../core/repetition.ts'
import type { Delayed, Scheduler } from '../core/scheduler.ts'
import type { Shard } from '../core/shard.ts'
import type { Topic } from '../core/topic.ts'
import { hash32 } from '../lib/bytes.ts'
import { renamed } from '../lib/renaming.ts'
import { everyone } from './access.ts'
import type { Histories } from './exchanges/history.ts'
import { type ExchangeInfo, type LaterRecords, type Principal, type PublishItem, PublishStatus } from './face.ts'
import type { Namespace } from './namespace.ts'
import { checkPublish } from './publish-rights.ts'
import { RecordChecks } from './record-checks.ts'

/** An entry must fit into one frame of the write-ahead log, whatever a topic allows. */
const entryBytesMax = 40 * 1024 * 1024

/** The exchange whose bindings are those of the subject space. */
const subjectExchange = 'amq.topic'

/** How long what must be delivered at once may take on its way to the consumer that waits. */
const handOverMs = 250

export class Publisher {
  readonly #shard: Shard
  readonly #scheduler: Scheduler
  readonly #nextId: () => number
  #measuring = false

  readonly checks = new RecordChecks()
  readonly #histories: Histories

  /** Makes a lane for a priority and returns its index. */
  readonly #addLane: (topic: Topic, level: number) => number
  /** Told of what a full topic refuses that wants such records as dead letters. */
  readonly #onRefused: (topic: Topic, item: PublishItem) => void

  constructor(
    shard: Shard,
    scheduler: Scheduler,
    histories: Histories,
    nextId: () => number,
    onRefused: (topic: Topic, item: PublishItem) => void,
    addLane: (topic: Topic, level: number) => number,
  ) {
    this.#addLane = addLane
    this.#onRefused = onRefused
    this.#shard = shard
    this.#scheduler = scheduler
    this.#histories = histories
    this.#nextId = nextId
  }

  publish(namespace: Namespace, principal: Principal, items: readonly PublishItem[], done: (() => void) | null): void {
    let waits = false
    for (const item of items) {
      this.append(namespace, principal, item)
      if (item.routedTo > 0 && (!item.transient || item.deliverAt > 0 || item.repetition !== null)) waits = true
    }
    if (done === null) return
    if (!waits) return queueMicrotask(done)
    // One publish at a time is measured.
    const since = this.#measuring ? 0 : performance.now()
    if (since > 0) this.#measuring = true
    this.#shard.committer.whenDurable((error) => {
      if (since > 0) {
        this.#measuring = false
        this.#shard.publishLatency.observe(performance.now() - since)
      }
      if (error !== null)
        for (const item of items)
          if (item.status === PublishStatus.Stored || item.status === PublishStatus.Duplicate)
            fail(item, 'Unavailable', `nothing can be stored: ${error.message}`)
      done()
    })
  }

  /**
   * Routes and appends one item; its outcome stands in it, durable when the shard's committer says so. `moved`: it is stored already and only
   * changes its place, which the disk's reserve is there for.
   */
  append(namespace: Namespace, principal: Principal, item: PublishItem, moved = false): void {
    try {
      this.#allow(namespace, principal, item, moved)
      if (this.#isForLater(item)) return this.#schedule(namespace, item)
      if (item.later === null) this.#route(namespace, item, moved)
      else this.#routeWithLater(namespace, item, item.later, moved)
    } catch (error) {
      if (!(error instanceof CoreError)) throw error
      fail(item, error.code, error.message)
      if (error instanceof AccessRefused) item.refused = error.access
    }
  }

  /**
   * Hands a record that nothing stores to who listens; returns to how many. -1, and nothing is done: it may be stored somewhere, or refused, as
   * {@link publish} finds out.
   */
  tell(namespace: Namespace, principal: Principal, address: string, format: number, payload: Buffer, connection: number): number {
    const { router, subjects, topics } = namespace
    if (this.#shard.committer.failure !== null || this.#shard.pressure.lowOnSpace) return -1
    if (topics.has(address) || !router.leadsNowhere(subjectExchange)) return -1
    if (!principal.may('publish', namespace.name, address)) return -1
    return subjects.tellUncaptured(address, format, payload, connection)
  }

  /** Asks for the time only where the item names one. */
  #isForLater({ deliverAt, repetition }: PublishItem): boolean {
    if (repetition !== null) return true
    return deliverAt > 0 && deliverAt > this.#shard.clock.now()
  }

  #allow(namespace: Namespace, principal: Principal, item: PublishItem, moved: boolean): void {
    const { failure } = this.#shard.committer
    if (failure !== null) throw new CoreError('Unavailable', `nothing can be stored: ${failure.message}`)
    if (this.#shard.pressure.lowOnSpace && !moved) throw new CoreError('Full', 'the disk is nearly full')
    checkPublish(namespace, principal, item)
  }

  /**
   * Why an item would be refused, before anything is done; null when it will be stored or is unrouted. `ahead`: how many records
   * were found good before it for each topic, this one's are added. `bytes`: what it will take in the log.
   */
  refusal(
    namespace: Namespace,
    principal: Principal,
    item: PublishItem,
    ahead: Map<Topic, number>,
  ): { error: CoreError | null; bytes: number } {
    try {
      this.#allow(namespace, principal, item, false)
      const bytes = item.payload.length + 512
      const later = this.#isForLater(item)
      if (later) this.#dueAt(item)
      const topics = later ? this.#laterTargets(namespace, item) : this.#targets(namespace, item)
      for (const [topic, address] of topics) {
        const refused = this.checks.refusal(topic, item)
        if (refused !== null) throw refused
        if (later) continue
        const waiting = ahead.get(topic) ?? 0
        const unexpected = decides(topic, item) ? mismatch(topic, item, address) : null
        if (unexpected !== null) throw unexpected
        if (item.decidedBy === topic.name && this.#isRepetition(topic, item))
          throw new CoreError('AlreadyExists', `topic "${topic.name}" has a record with the id "${item.dedupId}"`)
        this.#checkRoom(topic, item, waiting, address)
        if (decides(topic, item)) checkAddressRoom(topic, item, address)
        ahead.set(topic, waiting + item.count)
      }
      return { error: null, bytes: later ? bytes : topics.size * bytes }
    } catch (error) {
      if (!(error instanceof CoreError)) throw error
      return { error, bytes: 0 }
    }
  }

  #isRepetition(topic: Topic, { dedupId }: PublishItem): boolean {
    return dedupId !== null && topic.ids.find(dedupId, this.#shard.clock.now()) !== undefined
  }

  /**
   * Where an item goes, each topic once with the address it was reached by, the topic of that name first. `passed` hears of each exchange it
   * passes through.
   */
  #targets(namespace: Namespace, item: PublishItem, passed?: (exchange: ExchangeInfo) => void): Map<Topic, string> {
    const { router, subjects, topics } = namespace
    const { exchange, into } = item
    const found = new Map<Topic, string>()
    if (into !== null) {
      const topic = topics.get(into)
      if (topic === undefined) throw new CoreError('NotFound', `no topic "${into}"`)
      return found.set(topic, item.address)
    }
    const further = router.choosesOne(exchange ?? '') ? null : item.extraAddresses
    for (const address of further === null ? [item.address] : [item.address, ...further]) {
      const add = (topic: Topic | undefined): void => {
        if (topic !== undefined && !found.has(topic)) found.set(topic, address)
      }
      if (exchange === null || exchange === '') add(topics.get(address))
      if (exchange !== '') {
        const hears = address === item.address ? passed : undefined
        for (const name of router.route(exchange ?? subjectExchange, address, item, hears)) add(topics.get(name))
      }
      if (!isSubject(exchange)) continue
      for (const topic of subjects.captures(address)) {
        const { renames } = topic.config
        if (!found.has(topic)) found.set(topic, renames === null ? address : renamed(renames, address))
      }
    }
    if (item.decidedBy !== null && found.size > 1) {
      const decides = topics.get(item.decidedBy)
      const address = decides === undefined ? undefined : found.get(decides)
      if (decides !== undefined && address !== undefined) return new Map([[decides, address], ...found])
    }
    if (exchange === null && found.size === 0 && !subjects.isHeard(item.address)) {
      throw new CoreError('NotFound', `no topic "${item.address}"`)
    }
    return found
  }

  /** Where a scheduled item would go now; what it leads to when its time comes may be another. */
  #laterTargets(namespace: Namespace, item: PublishItem): Map<Topic, string> {
    try {
      return this.#targets(namespace, item)
    } catch (cause) {
      if (cause instanceof CoreError && cause.code === 'NotFound') return new Map()
      throw cause
    }
  }

  #schedule(namespace: Namespace, item: PublishItem): void {
    // Judged while its producer can hear of it.
    for (const topic of this.#laterTargets(namespace, item).keys()) {
      const refused = this.checks.refusal(topic, item)
      if (refused !== null) throw refused
    }
    this.#scheduler.add(this.#delayed(namespace, item, this.#dueAt(item), item.payload, item.count))
    item.status = PublishStatus.Stored
    item.routedTo = 1
  }

  #dueAt({ deliverAt, repetition }: PublishItem): number {
    if (repetition?.pattern === undefined || deliverAt > 0) return deliverAt
    const first = firstOf(repetition.pattern, this.#shard.clock.now())
    if (first === null) throw new CoreError('Invalid', `"${repetition.pattern.cron}" is no pattern of a time that comes`)
    return first
  }

  /** Some of its records are not for now: these are scheduled in the frame in which the others are stored, or not at all. */
  #routeWithLater(namespace: Namespace, item: PublishItem, later: readonly LaterRecords[], moved: boolean): void {
    const bytes = later.reduce((sum, { payload }) => sum + payload.length + 1024, item.payload.length + 1024)
    this.#shard.committer.atomically(bytes, () => {
      this.#route(namespace, item, moved)
      if (item.status !== PublishStatus.Stored) return
      for (const { deliverAt, payload, indexes } of later)
        this.#scheduler.add(this.#delayed(namespace, item, deliverAt, payload, indexes.length))
    })
  }

  #delayed(namespace: Namespace, item: PublishItem, dueAt: number, payload: Buffer, count: number): Delayed {
    return {
      id: this.#nextId(),
      dueAt,
      namespace: namespace.name,
      exchange: item.exchange,
      address: item.address,
      format: item.format,
      timestamp: item.timestamp || this.#shard.clock.now(),
      ttlMs: item.ttlMs,
      priority: item.priority,
      key: item.key === null ? null : item.key.toString('base64'),
      ...(item.extraAddresses === null ? {} : { extraAddresses: item.extraAddresses }),
      ...(item.dedupId === null ? {} : { dedupId: item.dedupId }),
      ...(item.partition < 0 ? {} : { partition: item.partition }),
      ...(count === 1 ? {} : { count }),
      ...(item.repetition === null ? {} : { repetition: item.repetition }),
      payload: Buffer.from(payload),
    }
  }

  #route(namespace: Namespace, item: PublishItem, moved: boolean): void {
    const { exchange, extraAddresses } = item
    // The common case: nothing but the topic itself can match.
    const { into } = item
    if (
      into === null &&
      isSubject(exchange) &&
      exchange !== subjectExchange &&
      extraAddresses === null &&
      namespace.subjects.idle
    ) {
      const topic = namespace.topics.get(item.address)
      if (topic !== undefined && (exchange === '' || !namespace.router.hasBindings(subjectExchange))) {
        const refused = this.#refusedBy(topic, item, topic.name, moved)
        if (refused !== null) throw refused
        return this.#appendTo(topic, item, null)
      }
    }
    this.#routeFurther(namespace, item, moved)
  }

  /** Apart from {@link #route}, which is called for each record and makes no closures. */
  #routeFurther(namespace: Namespace, item: PublishItem, moved: boolean): void {
    const { exchange, into } = item
    if (into === null && exchange === null && isForListenersAlone(namespace, item)) {
      this.#tell(namespace, item)
      if (item.heardBy > 0) item.status = PublishStatus.Stored
      else fail(item, 'NotFound', `no topic "${item.address}"`)
      return
    }
    const copies: PublishItem[] = []
    const passed = (through: ExchangeInfo): void => {
      if (item.remembered && through.kind === 'history') this.#histories.remember(namespace.name, through, item)
      for (const copy of namespace.router.copiesOf(through.name)?.(item) ?? []) copies.push(copy)
    }
    const targets = this.#targets(namespace, item, passed)
    if (copies.length === 0) return this.#store(namespace, item, targets, moved)
    const bytes = copies.reduce((sum, { payload }) => sum + payload.length + 1024, (item.payload.length + 1024) * targets.size)
    if (bytes > entryBytesMax)
      throw new CoreError('TooLarge', `all copies of a record take ${bytes} bytes; at most ${entryBytesMax} are possible`)
    this.#shard.committer.atomically(bytes, () => {
      try {
        this.#store(namespace, item, targets, moved)
      } finally {
        // One of the targets that is full does not keep the record from them.
        for (const copy of copies) this.#storeCopy(namespace, item, copy)
      }
    })
    if (item.routedTo > 0 && item.status === PublishStatus.Unrouted) item.status = PublishStatus.Stored
  }

  #storeCopy(namespace: Namespace, item: PublishItem, copy: PublishItem): void {
    if (copy.exchange !== '' && copy.into === null) throw new RangeError('a copy goes to a topic, not through exchanges')
    this.append(namespace, everyone, copy)
    item.routedTo += copy.routedTo
    if (copy.errorCode !== null)
      this.#shard.log.warn({ topic: copy.address, error: copy.errorMessage }, 'a copy of a record was refused and is dropped')
  }

  #store(namespace: Namespace, item: PublishItem, targets: ReadonlyMap<Topic, string>, moved: boolean): void {
    const { exchange, into } = item
    let refused: CoreError | null = null
    for (const [topic, address] of targets) {
      // One that refuses it does not keep the record from the others; its producer still hears of it.
      const no = this.#refusedBy(topic, item, address, moved)
      if (no !== null) {
        if (item.decidedBy === topic.name) throw no
        if (item.decidedBy === null || item.status === PublishStatus.Pending) refused = no
        continue
      }
      this.#appendTo(topic, item, (into !== null || isSubject(exchange)) && topic.name !== address ? address : null)
      // What was stored before by its own topic went everywhere else, too.
      if (item.status === PublishStatus.Duplicate) return
    }
    if (refused !== null) throw refused
    if (into === null && isSubject(exchange) && !item.undecided) this.#tell(namespace, item)
    if (item.status === PublishStatus.Pending) item.status = item.heardBy > 0 ? PublishStatus.Stored : PublishStatus.Unrouted
  }

  /**
   * Whether it is not what its producer expects there, there is no room for it, or it is not what the topic asks for; that is not asked of what was
   * stored before. A repetition needs no room.
   */
  #refusedBy(topic: Topic, item: PublishItem, address: string, moved: boolean): CoreError | null {
    const decided = decides(topic, item)
    const unexpected = decided ? mismatch(topic, item, address) : null
    if (unexpected !== null) return unexpected
    if (!topic.isFull(0, address) || (decided && this.#isRepetition(topic, item)))
      return moved ? null : this.checks.refusal(topic, item)
    if (topic.config.overflow === 'refuseDeadLetter') this.#onRefused(topic, item)
    return full(topic)
  }

  #tell(namespace: Namespace, item: PublishItem): void {
    const { subjects } = namespace
    const { format, payload, timestamp, connection } = item
    item.heardBy += subjects.tell(item.address, format, payload, timestamp, connection)
    for (const address of item.extraAddresses ?? [])
      item.heardBy += subjects.tell(address, format, payload, timestamp, connection)
  }

  #checkRoom(topic: Topic, item: PublishItem, ahead: number, address: string): void {
    const recordBytesMax = Math.min(topic.config.recordBytesMax, entryBytesMax)
    if (item.payload.length > recordBytesMax) {
      const sizes = `${item.payload.length} bytes exceed recordBytesMax (${recordBytesMax})`
      throw new CoreError('TooLarge', `topic "${topic.name}": ${sizes}`)
    }
    if (topic.config.storage === 'memory') this.#checkMemory(topic, item)
    if (topic.isFull(ahead, address)) throw full(topic)
    if (item.partition >= topic.logs.length && topic.name === item.address) {
      throw new CoreError('OutOfRange', `topic "${topic.name}" has no partition ${item.partition}`)
    }
    if (topic.config.compact && keyedRecords(formats.get(item.format), item.payload).some((record) => record?.key === null))
      throw new CoreError('Invalid', `topic "${topic.name}" is kept by key; a record without a key was refused`)
  }

  #checkMemory(topic: Topic, item: PublishItem): void {
    const { memoryBytes, memoryBytesMax } = this.#shard.pressure
    if (memoryBytes + item.payload.length <= memoryBytesMax) return
    const sizes = `topics kept in memory hold ${memoryBytes} bytes of ${memoryBytesMax} (memoryBytesMax)`
    throw new CoreError('Full', `topic "${topic.name}": ${sizes}`)
  }

  /** `subject`: the address it was published to, when that is not the topic's name. */
  #partitionFor(topic: Topic, item: PublishItem, keyHash: number): number {
    if (topic.config.priorityLevels === 1) return topic.choosePartition(keyHash)
    const level = topic.priorityLevel(item.priority)
    const lane = topic.laneOfLevel(level)
    return lane < 0 ? this.#addLane(topic, level) : lane
  }

  #appendTo(topic: Topic, item: PublishItem, subject: string | null): void {
    const { config } = topic
    const keyHash = item.key === null ? 0 : hash32(item.key)
    const partition = item.partition >= 0 && subject === null ? item.partition : this.#partitionFor(topic, item, keyHash)
    const log = topic.logs[partition]
    if (log === undefined) throw new CoreError('OutOfRange', `topic "${topic.name}" has no partition ${partition}`)
    const decided = decides(topic, item)
    if (item.dedupId !== null && decided) {
      const offset = topic.ids.find(item.dedupId, this.#shard.clock.now())
      if (offset !== undefined) return duplicate(item, offset, log.start)
    }
    this.#checkRoom(topic, item, 0, subject ?? topic.name)
    if (decided) checkAddressRoom(topic, item, subject ?? topic.name)
    let producer = null
    if (item.producerId >= 0 && subject !== null) {
      // A copy: what the producer may do was checked where its sequence counts.
      producer = item.undecided ? { producerId: item.producerId, epoch: item.producerEpoch, sequence: -1 } : null
    } else if (item.producerId >= 0 && item.producerSequence >= 0) {
      const known =
        topic.producers[partition]?.check(
          item.producerId,
          item.producerEpoch,
          item.producerSequence,
          item.count,
          item.sequenceFromZero,
        ) ?? 'ok'
      if (known === 'fenced')
        throw new CoreError('Fenced', `producer ${item.producerId} has a newer epoch than ${item.producerEpoch}`)
      if (known === 'outOfOrder')
        throw new CoreError('Mismatch', `producer ${item.producerId}: sequence ${item.producerSequence} is not the next`)
      if (known !== 'ok') return duplicate(item, known.baseOffset, log.start)
      producer = { producerId: item.producerId, epoch: item.producerEpoch, sequence: item.producerSequence }
    }
    const named =
      item.producerName === null || subject !== null ? null : { name: item.producerName, sequence: item.producerSequence }
    if (named !== null) {
      const last = topic.namedProducers[partition]?.last(named.name)
      if (last !== undefined && named.sequence <= last.sequence) return duplicate(item, last.offset, log.start)
    }
    const now = this.#shard.clock.now()
    const content: EntryContent = {
      format: item.format,
      count: item.count,
      // Where records are delayed, the time of their arrival says how long still after a restart.
      timestamp: item.timestamp === 0 || config.timestampType === 'logAppend' || config.delayMs > 0 ? now : item.timestamp,
      expiresAt: handedOver(topic, item) ? now + handOverMs : expiry(item.ttlMs, config.recordTtlMs, now),
      keyHash,
      flags: (item.undecided ? EntryFlag.Undecided : 0) | (item.leavesNothing ? EntryFlag.Last : 0),
      subject: subject === null || saysItself(item.format, topic) ? null : Buffer.from(subject),
      annotations: item.annotations === null ? null : Buffer.from(JSON.stringify(item.annotations)),
      payload: item.payload,
    }
    const dedupId = decided ? item.dedupId : null
    const marks = producer === null && named === null && dedupId === null ? noMarks : { producer, named, dedupId }
    const base =
      item.replaces === null || !decided
        ? this.#shard.append(topic, partition, content, marks)
        : this.#appendInPlace(topic, item.replaces, content, marks)
    item.status = PublishStatus.Stored
    item.routedTo++
    if (item.routedTo === 1) {
      item.baseOffset = base
      item.startOffset = log.start
      if (config.timestampType === 'logAppend') item.logAppendTime = now
    }
  }

  /** With what it takes the place of in one frame. */
  #appendInPlace(topic: Topic, of: 'address' | 'all', content: EntryContent, marks: AppendMarks): number {
    const { keeper } = topic
    const [log] = topic.logs
    if (keeper === null || log === undefined)
      throw new CoreError('Invalid', `topic "${topic.name}" is not indexed: nothing can be replaced there`)
    let base = -1
    const before = of === 'address' ? [...keeper.offsets(content.subject?.toString() ?? topic.name)] : []
    this.#shard.committer.atomically(content.payload.length + 512 + before.length * 6, () => {
      base = this.#shard.append(topic, 0, content, marks)
      if (of === 'all') this.#shard.truncate(topic, log, base)
      else this.#shard.remove(topic, log, before)
    })
    return base
  }
}

/** Whether the topic's answer is the producer's: what it expects holds there, and repetitions are recognised there. */
function decides(topic: Topic, { decidedBy, status }: PublishItem): boolean {
  return decidedBy === null || decidedBy === topic.name || status === PublishStatus.Pending
}

/** What its producer expects and does not hold; what there is instead stands in the item. */
function mismatch(topic: Topic, item: PublishItem, address: string): CoreError | null {
  const { expectedLast, expectedNext } = item
  const { keeper } = topic
  if (expectedLast !== null && keeper !== null) {
    const last = keeper.last(expectedLast.address ?? address)
    if (last !== expectedLast.offset) {
      item.baseOffset = last
      return new CoreError('Mismatch', `topic "${topic.name}": the newest record has offset ${last}, not ${expectedLast.offset}`)
    }
  }
  const [log] = topic.logs
  if (expectedNext < 0 || log === undefined || log.next === expectedNext) return null
  item.baseOffset = log.next
  return new CoreError('Mismatch', `topic "${topic.name}": the next offset is ${log.next}, not ${expectedNext}`)
}

/** The limit for each address, where that refuses. What takes the place of others makes it no more. */
function checkAddressRoom({ keeper, config, name }: Topic, { replaces }: PublishItem, address: string): void {
  const { subjectRecordsMax, subjectOverflow } = config
  if (keeper === null || subjectRecordsMax < 0 || subjectOverflow !== 'refuse' || replaces !== null) return
  if (keeper.offsets(address).length >= subjectRecordsMax)
    throw new CoreError('Full', `topic "${name}": there are ${subjectRecordsMax} records of "${address}" (subjectRecordsMax)`)
}

/** Whether the exchange stands for the subject space, to which captures and live subscribers belong. */
function isSubject(exchange: string | null): boolean {
  return exchange === null || exchange === '' || exchange === subjectExchange
}

/** Whether nothing stores what is published to the address of the subject space; then there is nothing to collect. */
function isForListenersAlone(
  { router, subjects, topics }: Namespace,
  { address, extraAddresses, undecided }: PublishItem,
): boolean {
  if (undecided || extraAddresses !== null || topics.has(address) || router.hasBindings(subjectExchange)) return false
  if (subjects.captures(address).length > 0) return false
  return router.leadsNowhere(subjectExchange) || router.route(subjectExchange, address, null).length === 0
}

/** Some envelopes name where they were published to; only captures ask for more. */
function saysItself(format: number, topic: Topic): boolean {
  return topic.config.captures.length === 0 && formats.has(format) && formats.get(format).origin !== undefined
}

/** A time to live of nothing means: to a consumer that waits for it, or not at all. */
function handedOver(topic: Topic, item: PublishItem): boolean {
  if (item.ttlMs !== 0 && topic.config.recordTtlMs !== 0) return false
  return topic.defaultSubscription?.waitsFor(item.payload.length) === true
}

function expiry(ownMs: number, topicMs: number, now: number): number {
  if (ownMs < 0 && topicMs < 0) return 0
  const ttl = ownMs < 0 ? topicMs : topicMs < 0 ? ownMs : Math.min(ownMs, topicMs)
  return Math.max(1, now + ttl)
}

function duplicate(item: PublishItem, offset: number, start: number): void {
  item.status = PublishStatus.Duplicate
  item.baseOffset = offset
  item.startOffset = start
  item.routedTo++
}

const full = (topic: Topic): CoreError => new CoreError('Full', `topic "${topic.name}" has reached its length limit`)

function fail(item: PublishItem, code: CoreErrorCode, message: string): void {
  item.status = PublishStatus.Failed
  item.errorCode = code
  item.errorMessage = message
}
