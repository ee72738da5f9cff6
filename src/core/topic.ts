/** A topic: its logs, who reads them, what may be published, and what can be freed. Knows nothing of routing: see broker/. */
import type { TopicConfig, TopicInfo, Transaction } from '../broker/face.ts'
import type { Clock } from '../lib/timers.ts'
import type { AckSet } from './ackset.ts'
import type { Backlog } from './backlog.ts'
import { IdWindow, NamedProducers, ProducerWindow } from './dedup.ts'
import { EntryFlag } from './entry.ts'
import { HoldBack } from './hold-back.ts'
import { Keeper, type KeeperHost } from './keeper.ts'
import { Kept } from './kept.ts'
import type { Lane, Slot } from './lane.ts'
import type { Log } from './log.ts'
import { noMarks, type Returned } from './ops.ts'
import type { Death } from './record.ts'
import type { Segment } from './segment.ts'
import type { Shard } from './shard.ts'
import type { Subscription } from './subscription.ts'
import type { SubscriptionHost } from './subscription-host.ts'

/** Room for the markers of what expires in one step. */
const expireBytes = 1024 * 1024

/** As stored in the table `topic`. */
export interface TopicDefinition {
  readonly id: number
  readonly uuid: string
  readonly namespace: string
  readonly name: string
  readonly config: TopicConfig
  readonly declaredBy: string
  readonly declaration: Readonly<Record<string, unknown>>
  readonly createdAt: number
  readonly logs: readonly number[]
  /** From where on each log is withheld from subscriptions with a name; of those made later, from their beginning on. Absent: nothing is. */
  readonly withheldFrom?: readonly number[]
  /** With priority levels: the priority of each log. Absent where each log's place is its priority. */
  readonly priorities?: readonly number[]
}

/** What lies above a topic: where its dead letters go, and who hears that it is not used any more. */
export interface TopicOwner {
  deadLetter(topic: Topic, slot: Slot, reason: Death['reason'], attempts: number, error: string | undefined): boolean
  consumersChanged(topic: Topic, subscription: Subscription): void
}

export class Topic implements SubscriptionHost {
  readonly id: number
  readonly namespace: string
  readonly name: string
  readonly shard: Shard
  readonly clock: Clock
  info: TopicInfo
  definition: TopicDefinition
  /** As declared, and as policies have it. */
  config: TopicConfig
  readonly logs: Log[] = []
  readonly producers: ProducerWindow[] = []
  readonly namedProducers: NamedProducers[] = []
  readonly ids = new IdWindow(() => this.config.dedupWindowMs)
  readonly subscriptions = new Map<string, Subscription>()
  readonly #owner: TopicOwner
  #byUrgency: readonly number[] | null = null
  deleted = false
  lastUsedAt: number
  /** Since the broker started: consumed from, or declared again. */
  isUsed = false
  /** Records stored since the broker started. */
  recordsIn = 0
  #turn = 0
  /** With `indexed`, for its one log. */
  keeper: Keeper | null = null
  /** Where readers by cursor are, for retention until acknowledged: the least committed offset of each partition. */
  cursorFloor: ((partition: number) => number) | null = null

  constructor(definition: TopicDefinition, shard: Shard, owner: TopicOwner) {
    this.id = definition.id
    this.namespace = definition.namespace
    this.name = definition.name
    this.definition = definition
    this.config = definition.config
    this.info = toInfo(definition, this.config, null, null)
    this.shard = shard
    this.clock = shard.clock
    this.#owner = owner
    this.lastUsedAt = shard.clock.now()
  }

  touch(): void {
    this.lastUsedAt = this.clock.now()
    this.isUsed = true
  }

  redefine(definition: TopicDefinition): void {
    this.definition = definition
    this.config = definition.config
    this.info = toInfo(definition, this.config, null, null)
    for (const { name, lanes } of this.subscriptions.values())
      for (const lane of lanes) lane.limit = this.limitOf(name, lane.index)
  }

  /** What it does from here on, beside what it was declared to do, and by whose word. */
  govern(config: TopicConfig, policy: string | null, cap: string | null): void {
    this.config = config
    this.info = toInfo(this.definition, config, policy, cap)
    for (const log of this.logs) log.segmentBytes = config.segmentBytes
    if (config.delayMs === 0) for (const log of this.logs) log.held?.release()
  }

  /** Keeps what stands at `base`, the end of a partition, from being seen until then. */
  hold(partition: number, base: number, dueAt: number): void {
    const log = this.logs[partition] as Log // callers check the partition
    log.held ??= new HoldBack(this.clock, () => {
      if (this.shard.closed) return
      this.onCommitted()
      this.shard.onReadable(this, partition)
    })
    log.held.add(base, dueAt, this.config.delayMs)
  }

  addLog(log: Log): void {
    this.logs.push(log)
    if (this.config.indexed && this.logs.length === 1) this.keeper = new Keeper(log, this.#keeping(log))
    this.#byUrgency = null
    this.producers.push(new ProducerWindow())
    this.namedProducers.push(new NamedProducers())
    for (const subscription of this.subscriptions.values()) subscription.addLane(log, 0)
  }

  #keeping(log: Log): KeeperHost {
    const topic = this
    return {
      clock: this.clock,
      name: this.name,
      get limits() {
        const { recordsMax, bytesMax, retentionMs, retention, subjectRecordsMax, overflow } = topic.config
        const total = retention === 'time' && overflow === 'dropOldest'
        return {
          recordsMax: total ? recordsMax : -1,
          bytesMax: total ? bytesMax : -1,
          ageMax: retention === 'time' ? retentionMs : -1,
          subjectRecordsMax,
        }
      },
      remove: (offsets) => this.shard.remove(this, log, offsets),
      truncate: (offset) => this.shard.truncate(this, log, offset),
      get marksEnds() {
        return topic.config.expiryMarker !== null
      },
      expire: (take, ended) => this.#expire(take, ended),
    }
  }

  /** Records go, and of addresses that have none any more a marker takes their place, all in one. */
  #expire(take: () => void, ended: () => readonly string[]): void {
    const marker = this.config.expiryMarker
    if (marker === null) return take()
    const payload = Buffer.from(marker.payload, 'base64')
    this.shard.committer.atomically(expireBytes, () => {
      take()
      const now = this.clock.now()
      for (const subject of ended()) {
        const content = {
          format: marker.format,
          count: 1,
          timestamp: now,
          expiresAt: now + marker.ttlMs,
          keyHash: 0,
          flags: EntryFlag.Last,
          subject: subject === this.name ? null : Buffer.from(subject),
          annotations: null,
          payload,
        }
        this.shard.append(this, 0, content, noMarks)
      }
    })
  }

  /** The level that a record of this priority (-1: it says none) belongs to. */
  priorityLevel(priority: number): number {
    const { priorityLevels, priorityDefault } = this.config
    return Math.min(priority < 0 ? priorityDefault : priority, priorityLevels - 1)
  }

  /** -1 when there is no lane of it yet. */
  laneOfLevel(level: number): number {
    const { priorities } = this.definition
    return priorities === undefined ? Math.min(level, this.logs.length - 1) : priorities.indexOf(level)
  }

  /** Lanes in the order in which they are served, the most urgent first. */
  get returnsInOrder(): boolean {
    return this.config.returns === 'arrival'
  }

  get byUrgency(): readonly number[] {
    const { priorities } = this.definition
    const priorityOf = (lane: number): number => priorities?.[lane] ?? lane
    this.#byUrgency ??= this.logs.map((_, lane) => lane).sort((a, b) => priorityOf(b) - priorityOf(a))
    return this.#byUrgency
  }

  /** For records that say no partition, where there are no priorities: hash of the key, or in turn. */
  choosePartition(keyHash: number): number {
    const { logs } = this
    if (logs.length === 1) return 0
    if (keyHash !== 0) return keyHash % logs.length
    this.#turn = (this.#turn + 1) % logs.length
    return this.#turn
  }

  get defaultSubscription(): Subscription | undefined {
    return this.subscriptions.get('')
  }

  /** Whether the limits on length refuse one more record of the address, when `ahead` records are on their way already. */
  isFull(ahead: number, address: string): boolean {
    const { config } = this
    if (config.overflow === 'dropOldest') return false
    if (this.keeper !== null && config.retention === 'time') return this.#logIsFull(this.keeper, ahead, address)
    const subscription = this.defaultSubscription
    if (subscription === undefined) return false
    return (
      (config.recordsMax >= 0 && subscription.incoming + ahead >= config.recordsMax) ||
      (config.bytesMax >= 0 && subscription.liveBytes >= config.bytesMax)
    )
  }

  #logIsFull(keeper: Keeper, ahead: number, address: string): boolean {
    const { recordsMax, bytesMax, subjectRecordsMax } = this.config
    const log = this.logs[0] as Log // with a keeper there is one
    if (bytesMax >= 0 && keeper.bytes >= bytesMax) return true
    if (recordsMax < 0 || log.records + ahead < recordsMax) return false
    // One that takes the place of another makes it no longer.
    return subjectRecordsMax < 0 || keeper.offsets(address).length < subjectRecordsMax
  }

  /** Newly readable entries. */
  onCommitted(): void {
    for (const subscription of this.subscriptions.values()) subscription.wake()
  }

  /** Frees what everyone has acknowledged, or what is too old or too much. */
  collect(now: number): void {
    const { config } = this
    for (const [index, log] of this.logs.entries()) {
      if (config.retention === 'acknowledged') {
        const floor = this.#acknowledgedTo(index, log)
        this.shard.release(log, log.truncateFront(floor))
      } else {
        if (this.keeper === null) this.#expireByTime(log, now)
        else this.keeper.age()
        const kept = Math.min(log.nextKept(log.start), log.committed)
        if (kept > log.start) this.shard.truncate(this, log, kept)
      }
    }
  }

  #acknowledgedTo(index: number, log: Log): number {
    let floor = log.stable
    if (this.subscriptions.size === 0) return log.start
    for (const subscription of this.subscriptions.values()) floor = Math.min(floor, subscription.lanes[index]?.acked.floor ?? 0)
    if (this.cursorFloor !== null) floor = Math.min(floor, this.cursorFloor(index))
    return floor
  }

  /** Frees segments in the middle in which nothing is left, behind a record that is stuck or kept. */
  freeMiddle(): void {
    for (const [index, log] of this.logs.entries()) {
      if (log.segments.length < 2 || log.flushing || (this.config.retention !== 'acknowledged' && log.removed === null)) continue
      for (let at = log.segments.length - 2; at >= 0; at--) {
        const segment = log.segments[at] as Segment // at < length
        if (segment.sealed && this.isDone(index, segment.base, segment.next)) this.shard.release(log, log.segments.splice(at, 1))
      }
    }
  }

  /** A look at what of a partition is still wanted: the same as {@link isDone}, counted. */
  kept(index: number): Kept {
    const log = this.logs[index] as Log // callers know the partition
    if (this.config.retention !== 'acknowledged') return new Kept(log, null, Infinity)
    const readers: AckSet[] = []
    for (const { lanes } of this.subscriptions.values()) {
      const lane = lanes[index]
      if (lane !== undefined) readers.push(lane.acked)
    }
    return new Kept(log, readers, this.cursorFloor?.(index) ?? Infinity)
  }

  #expireByTime(log: Log, now: number): void {
    const { retentionMs, retentionBytes, compact, compactAndDelete } = this.config
    if (compact && !compactAndDelete) return
    let upTo = log.start
    const oldest = retentionMs < 0 ? -Infinity : now - retentionMs
    let excess = retentionBytes < 0 ? 0 : log.bytes - retentionBytes
    for (const segment of log.segments) {
      if (segment.timestampMax >= oldest && excess <= 0) break
      if (segment.timestampMax >= oldest && excess < segment.bytes) break
      upTo = segment.next
      excess -= segment.bytes
    }
    for (const block of log.blocks) {
      if (block.next <= upTo) continue
      if (block.base > upTo && upTo > log.start) break
      // What stands in a segment too went, or stayed, with that. The newest block stays however small the limit is.
      const inMemoryAlone = block.flushed === 0 && block.base === upTo && block !== log.blocks.at(-1)
      const tooMuch = inMemoryAlone && block.used <= excess
      if ((block.timestampMax >= oldest && !tooMuch) || block.next > log.committed) break
      upTo = block.next
      excess -= block.used
    }
    if (upTo > log.start) this.shard.truncate(this, log, upTo)
  }

  /** Whether nobody needs offsets [from, to) of a partition any more. */
  isDone(index: number, from: number, to: number): boolean {
    const log = this.logs[index]
    if (log === undefined || to <= log.start || log.removed?.covers(from, to) === true) return true
    if (this.config.retention !== 'acknowledged' || this.subscriptions.size === 0) return false
    if (this.cursorFloor !== null && to > this.cursorFloor(index)) return false
    for (const subscription of this.subscriptions.values()) {
      if (subscription.lanes[index]?.acked.covers(from, to) !== true) return false
    }
    return true
  }

  // ------------------------------------------------------------------------------------------------------ SubscriptionHost

  get recovering(): boolean {
    return this.shard.recovering
  }
  get deliveryLimit(): number {
    return this.config.deliveryLimit
  }
  get retryDelay(): TopicConfig['retryDelay'] {
    return this.config.retryDelay
  }
  get singleActiveConsumer(): boolean {
    return this.config.singleActiveConsumer
  }
  get activeConsumerYields(): boolean {
    return this.config.activeConsumerYields
  }
  get hasDeadLetter(): boolean {
    return this.config.deadLetter !== null
  }
  get priorityLanes(): boolean {
    return this.config.priorityLevels > 1
  }
  get recordsMax(): number {
    return this.config.recordsMax
  }
  get bytesMax(): number {
    return this.config.bytesMax
  }
  get paused(): boolean {
    return this.config.paused
  }
  limitOf(subscription: string, lane: number): number {
    const { withheldFrom } = this.definition
    return withheldFrom === undefined || subscription === '' ? Infinity : (withheldFrom[lane] ?? 0)
  }
  get dropsOldest(): boolean {
    return this.config.overflow === 'dropOldest'
  }

  markDirty(backlog: Backlog): void {
    this.shard.markSettled(backlog)
  }

  deadLetter(slot: Slot, reason: Death['reason'], attempts: number, error: string | undefined): boolean {
    if (this.config.deadLetter === null) return true
    return this.#owner.deadLetter(this, slot, reason, attempts, error)
  }

  recordReturn(backlog: Backlog, lane: Lane, offset: number, how: Returned): void {
    if (this.config.storage === 'disk') this.shard.committer.frame(40).returned(backlog.id, lane.index, offset, how)
  }

  consumersChanged(subscription: Subscription): void {
    this.touch()
    this.#owner.consumersChanged(this, subscription)
  }

  damaged(backlog: Backlog, error: Error): void {
    if (backlog.damaged) return
    backlog.damaged = true
    this.shard.log.error(
      { topic: this.name, subscription: backlog.name, error: error.message },
      'stored records are damaged; delivery from this topic is stopped',
    )
  }

  handedOver(lane: Lane, offset: number): void {
    this.shard.handedOver(lane.log, offset)
  }

  delivered(records: number): void {
    this.shard.recordsOut += records
  }

  enlist(transaction: Transaction, action: () => void): void {
    this.shard.enlist(transaction, action)
  }

  close(): void {
    this.deleted = true
    this.keeper?.close()
    for (const subscription of this.subscriptions.values()) subscription.close('NotFound')
  }
}

function toInfo(definition: TopicDefinition, config: TopicConfig, policy: string | null, cap: string | null): TopicInfo {
  return {
    name: definition.name,
    id: Buffer.from(definition.uuid, 'hex'),
    config,
    policy,
    cap,
    declaredBy: definition.declaredBy,
    declaration: definition.declaration,
    createdAt: definition.createdAt,
    withheldFrom: definition.withheldFrom ?? null,
  }
}
