/**
 * A publish: route, check, append to each topic, one confirmation for the whole batch when the shard says durable.
 * From a protocol's session to here; from here to core/shard.ts.
 */

import { type EntryContent, EntryFlag } from '../core/entry.ts'
import { CoreError, type CoreErrorCode } from '../core/errors.ts'
import type { Delayed, Scheduler } from '../core/scheduler.ts'
import type { Shard } from '../core/shard.ts'
import type { Topic } from '../core/topic.ts'
import { hash32 } from '../lib/bytes.ts'
import type { Histories } from './exchanges/history.ts'
import { type Decision, type Principal, type PublishItem, PublishStatus } from './face.ts'
import type { Namespace } from './namespace.ts'

/** An entry must fit into one frame of the write-ahead log, whatever a topic allows. */
const entryBytesMax = 40 * 1024 * 1024

export class Publisher {
  readonly #shard: Shard
  readonly #scheduler: Scheduler
  readonly #nextId: () => number

  readonly #histories: Histories

  constructor(shard: Shard, scheduler: Scheduler, histories: Histories, nextId: () => number) {
    this.#shard = shard
    this.#scheduler = scheduler
    this.#histories = histories
    this.#nextId = nextId
  }

  publish(namespace: Namespace, principal: Principal, items: readonly PublishItem[], done: () => void): void {
    let waits = false
    for (const item of items) {
      this.append(namespace, principal, item)
      if (!item.transient || item.deliverAt > 0) waits = true
    }
    if (!waits) return queueMicrotask(done)
    this.#shard.committer.whenDurable((error) => {
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
      if (item.deliverAt > this.#shard.clock.now()) return this.#schedule(namespace, item)
      this.#route(namespace, item)
    } catch (error) {
      if (!(error instanceof CoreError)) throw error
      fail(item, error.code, error.message)
    }
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
      if (item.deliverAt > this.#shard.clock.now()) return { error: null, bytes }
      const topics = this.#targets(namespace, item)
      for (const topic of topics) {
        const waiting = ahead.get(topic) ?? 0
        this.#checkRoom(topic, item, waiting)
        ahead.set(topic, waiting + item.count)
      }
      return { error: null, bytes: topics.length * bytes }
    } catch (error) {
      if (!(error instanceof CoreError)) throw error
      return { error, bytes: 0 }
    }
  }

  #targets(namespace: Namespace, item: PublishItem): Topic[] {
    const names = new Set<string>()
    if (item.exchange === null) {
      if (!namespace.topics.has(item.address)) throw new CoreError('NotFound', `no topic "${item.address}"`)
      names.add(item.address)
    } else for (const name of namespace.router.route(item.exchange, item.address, item)) names.add(name)
    if (item.extraAddresses !== null && !namespace.router.choosesOne(item.exchange ?? '')) {
      for (const address of item.extraAddresses) {
        for (const name of namespace.router.route(item.exchange ?? '', address, item)) names.add(name)
      }
    }
    return [...names].flatMap((name) => namespace.topics.get(name) ?? [])
  }

  #schedule(namespace: Namespace, item: PublishItem): void {
    const delayed: Delayed = {
      id: this.#nextId(),
      dueAt: item.deliverAt,
      namespace: namespace.name,
      exchange: item.exchange,
      address: item.address,
      format: item.format,
      timestamp: item.timestamp || this.#shard.clock.now(),
      ttlMs: item.ttlMs,
      priority: item.priority,
      key: item.key === null ? null : item.key.toString('base64'),
      ...(item.extraAddresses === null ? {} : { extraAddresses: item.extraAddresses }),
      payload: Buffer.from(item.payload),
    }
    this.#scheduler.add(delayed)
    item.status = PublishStatus.Stored
    item.routedTo = 1
  }

  #route(namespace: Namespace, item: PublishItem): void {
    if (item.exchange === null || item.exchange === '') {
      const topic = namespace.topics.get(item.address)
      if (topic !== undefined) this.#appendTo(topic, item)
      else if (item.exchange === null) throw new CoreError('NotFound', `no topic "${item.address}"`)
      if (item.extraAddresses === null) {
        if (topic === undefined) item.status = PublishStatus.Unrouted
        return
      }
      this.#routeFurther(namespace, item, topic === undefined ? [] : [item.address])
      return
    }
    const names = namespace.router.route(item.exchange, item.address, item, (exchange) => {
      if (item.remembered) this.#histories.remember(namespace.name, exchange, item)
    })
    for (const name of names) {
      const topic = namespace.topics.get(name)
      if (topic !== undefined) this.#appendTo(topic, item)
    }
    if (item.extraAddresses !== null) this.#routeFurther(namespace, item, names)
    else if (item.routedTo === 0 && item.status === PublishStatus.Pending) item.status = PublishStatus.Unrouted
  }

  #routeFurther(namespace: Namespace, item: PublishItem, already: readonly string[]): void {
    const seen = new Set(already)
    const further = namespace.router.choosesOne(item.exchange ?? '') ? [] : (item.extraAddresses ?? [])
    for (const address of further) {
      for (const name of namespace.router.route(item.exchange ?? '', address, item)) {
        if (seen.has(name)) continue
        seen.add(name)
        const topic = namespace.topics.get(name)
        if (topic !== undefined) this.#appendTo(topic, item)
      }
    }
    if (item.routedTo === 0 && item.status === PublishStatus.Pending) item.status = PublishStatus.Unrouted
  }

  /** Appends the marker that decides a producer's records in a partition. */
  mark(topic: Topic, partition: number, { producerId, producerEpoch, commit, marker }: Decision): void {
    const content: EntryContent = {
      format: marker.format,
      count: 1,
      timestamp: this.#shard.clock.now(),
      expiresAt: 0,
      keyHash: 0,
      flags: EntryFlag.Marker | (commit ? EntryFlag.Commit : 0),
      annotations: null,
      payload: marker.payload,
    }
    const producer = { producerId, epoch: producerEpoch, sequence: -1 }
    this.#shard.append(topic, partition, content, { producer, named: null, dedupId: null })
  }

  #checkRoom(topic: Topic, item: PublishItem, ahead: number): void {
    const recordBytesMax = Math.min(topic.config.recordBytesMax, entryBytesMax)
    if (item.payload.length > recordBytesMax) {
      const sizes = `${item.payload.length} bytes exceed recordBytesMax (${recordBytesMax})`
      throw new CoreError('TooLarge', `topic "${topic.name}": ${sizes}`)
    }
    if (topic.config.storage === 'memory') this.#checkMemory(topic, item)
    if (topic.isFull(ahead)) throw new CoreError('Full', `topic "${topic.name}" has reached its length limit`)
    if (item.partition >= topic.logs.length) {
      throw new CoreError('OutOfRange', `topic "${topic.name}" has no partition ${item.partition}`)
    }
  }

  #checkMemory(topic: Topic, item: PublishItem): void {
    const { memoryBytes, memoryBytesMax } = this.#shard.pressure
    if (memoryBytes + item.payload.length <= memoryBytesMax) return
    const sizes = `topics kept in memory hold ${memoryBytes} bytes of ${memoryBytesMax} (memoryBytesMax)`
    throw new CoreError('Full', `topic "${topic.name}": ${sizes}`)
  }

  #appendTo(topic: Topic, item: PublishItem): void {
    const { config } = topic
    this.#checkRoom(topic, item, 0)
    const keyHash = item.key === null ? 0 : hash32(item.key)
    const partition = item.partition >= 0 ? item.partition : topic.choosePartition(item.priority, keyHash)
    const log = topic.logs[partition]
    if (log === undefined) throw new CoreError('OutOfRange', `topic "${topic.name}" has no partition ${partition}`)
    if (item.dedupId !== null) {
      const offset = topic.ids.find(item.dedupId, this.#shard.clock.now())
      if (offset !== undefined) return duplicate(item, offset, log.start)
    }
    let producer = null
    if (item.producerId >= 0 && item.producerSequence >= 0) {
      const known =
        topic.producers[partition]?.check(item.producerId, item.producerEpoch, item.producerSequence, item.count) ?? 'ok'
      if (known === 'fenced')
        throw new CoreError('Fenced', `producer ${item.producerId} has a newer epoch than ${item.producerEpoch}`)
      if (known === 'outOfOrder')
        throw new CoreError('Mismatch', `producer ${item.producerId}: sequence ${item.producerSequence} is not the next`)
      if (known !== 'ok') return duplicate(item, known.baseOffset, log.start)
      producer = { producerId: item.producerId, epoch: item.producerEpoch, sequence: item.producerSequence }
    }
    const named = item.producerName === null ? null : { name: item.producerName, sequence: item.producerSequence }
    if (named !== null) {
      const last = topic.namedProducers[partition]?.last(named.name)
      if (last !== undefined && named.sequence <= last.sequence) return duplicate(item, last.offset, log.start)
    }
    const now = this.#shard.clock.now()
    const content: EntryContent = {
      format: item.format,
      count: item.count,
      timestamp: item.timestamp === 0 || config.timestampType === 'logAppend' ? now : item.timestamp,
      expiresAt: expiry(item.ttlMs, config.recordTtlMs, now),
      keyHash,
      flags: item.undecided ? EntryFlag.Undecided : 0,
      annotations: item.annotations === null ? null : Buffer.from(JSON.stringify(item.annotations)),
      payload: item.payload,
    }
    const base = this.#shard.append(topic, partition, content, { producer, named, dedupId: item.dedupId })
    item.status = PublishStatus.Stored
    item.routedTo++
    if (item.routedTo === 1) {
      item.baseOffset = base
      item.startOffset = log.start
      if (config.timestampType === 'logAppend') item.logAppendTime = now
    }
  }
}

/** By this name permissions may allow all of the default exchange, whose own name is empty. */
const defaultExchangeAlias = 'amq.default'

/** Whether a principal may publish to an exchange, or with the default one to a topic. */
export function mayPublish(principal: Principal, namespace: string, exchange: string, address: string): boolean {
  if (exchange !== '') return principal.may('publish', namespace, exchange)
  return principal.may('publish', namespace, address) || principal.may('publish', namespace, defaultExchangeAlias)
}

function checkPublish(namespace: Namespace, principal: Principal, item: PublishItem): void {
  const { exchange, address, extraAddresses } = item
  const allowed =
    exchange === null
      ? principal.may('publish', namespace.name, address)
      : mayPublish(principal, namespace.name, exchange, address)
  if (!allowed) throw new CoreError('AccessDenied', `${principal.user} may not publish to "${exchange || address}"`)
  if (exchange !== null && exchange !== '') {
    checkKey(namespace, principal, exchange, address)
    for (const key of extraAddresses ?? []) checkKey(namespace, principal, exchange, key)
  } else {
    for (const name of extraAddresses ?? []) {
      if (!mayPublish(principal, namespace.name, '', name))
        throw new CoreError('AccessDenied', `${principal.user} may not publish to "${name}"`)
    }
  }
}

function checkKey(namespace: Namespace, principal: Principal, exchange: string, key: string): void {
  if (principal.mayUseKey === undefined || principal.mayUseKey('publish', namespace.name, exchange, key)) return
  if (namespace.router.exchange(exchange)?.kind === 'topic')
    throw new CoreError('AccessDenied', `${principal.user} may not publish with the key "${key}" to "${exchange}"`)
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

function fail(item: PublishItem, code: CoreErrorCode, message: string): void {
  item.status = PublishStatus.Failed
  item.errorCode = code
  item.errorMessage = message
}
