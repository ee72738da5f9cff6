/**
 * A shard: one write-ahead log and everything written through it. The flow of a publish ends here: append to the log in memory, put the
 * same bytes into the frame, tell the waiters when it is durable (committer.ts). Recovery and checkpoints: recovery.ts, checkpoint.ts.
 */
import type { Logger, Transaction } from '../broker/face.ts'
import type { Clock } from '../lib/timers.ts'
import type { Storage } from '../storage/interfaces.ts'
import type { Backlog } from './backlog.ts'
import type { Block } from './block.ts'
import { checkpoint, stopTable } from './checkpoint.ts'
import { Committer } from './committer.ts'
import { Compactor } from './compaction.ts'
import { type EntryContent, entryBytes } from './entry.ts'
import { LatencyHistogram } from './latency.ts'
import { Log } from './log.ts'
import type { AppendMarks, Frame } from './ops.ts'
import { PressureGauge } from './pressure.ts'
import { ReadAhead } from './read-ahead.ts'
import type { Segment } from './segment.ts'
import type { Subscription } from './subscription.ts'
import type { Topic } from './topic.ts'

/** Settlements are written with the next frame, or after this time. */
const settleDelayMs = 20
/** Entries that could not be written to a segment are tried again after this. */
const flushRetryMs = 1000
/** Blocks still in use that one round of freeing memory passes over. */
const keptBlocksMax = 1000
export const checkpointBytesDefault = 96 * 1024 * 1024

export interface ShardOptions {
  readonly storage: Storage
  readonly clock: Clock
  readonly log: Logger
  /** Newest entries kept in memory for readers. */
  readonly cacheBytes: number
  /** What topics kept in memory may take together. */
  readonly memoryBytesMax: number
  /** A checkpoint is made when the write-ahead log has grown by so much since the last one. */
  readonly checkpointBytes?: number | undefined
  /** A frame of the write-ahead log takes no more above this. */
  readonly frameBytes?: number | undefined
  /** For retention by key: what one pass may take to remember keys. */
  readonly compactionBytes?: number | undefined
}

export type ChangedTables = Map<string, Map<string, string | Uint8Array | null>>

export class Shard {
  readonly storage: Storage
  readonly clock: Clock
  readonly log: Logger
  readonly committer: Committer
  readonly logs = new Map<number, { readonly log: Log; readonly topic: Topic; readonly partition: number }>()
  readonly topics = new Map<number, Topic>()
  readonly subscriptions = new Map<number, { readonly topic: Topic; readonly subscription: Subscription }>()
  /** Metadata changed since the last checkpoint, by table and key; null is a deletion. */
  changed: ChangedTables = new Map()
  /** What the checkpoint under way is storing of it. */
  saving: ChangedTables = new Map()
  readonly deadSegments: { readonly log: Log; readonly segment: Segment }[] = []
  readonly deadLogs: number[] = []
  readonly #cacheBytes: number
  readonly #readAhead: ReadAhead
  readonly #checkpointBytes: number
  readonly #settled = new Set<Backlog>()
  #settleTimer = false
  /** Blocks in memory, the oldest first. */
  readonly #blocks = new Map<Block, Log>()
  #blockBytes = 0
  #balancing = false
  #checkpointAt = 0
  #checkpointing: Promise<void> | null = null
  /** Logs that hold, or held, undecided entries. */
  readonly withDecisions = new Set<Log>()
  #transactions = new WeakMap<Transaction, (() => void)[]>()
  closed = false
  /** Nothing is handed out, expires or dies while the log is read: what is known then is not the end of the story. */
  recovering = false
  #asksForSpace = false
  #flushesHeld = false
  #balanceHeld = false
  readonly compactor: Compactor
  readonly publishLatency = new LatencyHistogram()
  readonly deliverLatency = new LatencyHistogram()
  readonly pressure: PressureGauge
  recordsIn = 0
  bytesIn = 0
  recordsOut = 0
  /** Told of every topic with newly readable entries. */
  onReadable: (topic: Topic, partition: number) => void = () => undefined

  constructor(options: ShardOptions) {
    this.storage = options.storage
    this.clock = options.clock
    this.log = options.log
    this.#cacheBytes = options.cacheBytes
    this.#readAhead = new ReadAhead(options.clock)
    this.#checkpointBytes = options.checkpointBytes ?? checkpointBytesDefault
    this.compactor = new Compactor(this, options.compactionBytes)
    this.pressure = new PressureGauge(options.memoryBytesMax, options.log)
    this.committer = new Committer(
      options.storage.wal,
      (frame) => this.#writeSettled(frame),
      (logs) => this.#committed(logs),
      options.frameBytes,
    )
  }

  // ---------------------------------------------------------------------------------------------------------------- appending

  makeLog(id: number, topic: Topic, partition: number): Log {
    const memory = topic.config.storage === 'memory'
    const onBlock = (owner: Log, block: Block): void => {
      if (owner.inMemory) this.pressure.addMemory(block.gone ? -block.buffer.length : block.buffer.length)
      else if (block.gone) this.#blockGone(block)
      else this.#blockAdded(owner, block)
    }
    const log = new Log(id, this.storage.segments, topic.config.segmentBytes, memory, onBlock, this.#readAhead)
    this.logs.set(id, { log, topic, partition })
    return log
  }

  /** Appends to a log; durable when the committer says so. Returns the base offset. */
  append(topic: Topic, partition: number, content: EntryContent, marks: AppendMarks): number {
    const { producer, named, dedupId } = marks
    const log = topic.logs[partition] as Log // callers check the partition
    const base = log.inMemory ? log.append(content) : this.committer.append(log, content, marks)
    if (topic.config.delayMs > 0) topic.hold(partition, base, this.clock.now() + topic.config.delayMs)
    const bytes = entryBytes(content)
    if (log.noteFlags(content.flags, producer?.producerId ?? -1, base, log.next)) this.withDecisions.add(log)
    if (log.sampleOffset < log.start) {
      log.sampleOffset = base
      log.sampledAt = performance.now()
    }
    this.recordsIn += content.count
    topic.recordsIn += content.count
    this.bytesIn += bytes
    for (const subscription of topic.subscriptions.values()) subscription.liveBytes += content.payload.length
    if (log.inMemory) this.#commitSoon(log, topic, partition)
    if (producer !== null)
      topic.producers[partition]?.note(
        producer.producerId,
        producer.epoch,
        producer.sequence,
        content.count,
        base,
        content.timestamp,
      )
    if (named !== null) topic.namedProducers[partition]?.note(named.name, named.sequence, base)
    if (dedupId !== null) topic.ids.note(dedupId, base, this.clock.now())
    if (topic.keeper !== null) {
      const subject = content.subject === null ? null : content.subject.toString()
      topic.keeper.added(subject, base, content, bytes)
    }
    return base
  }

  /** Nothing to wait for: readable at the end of this turn. */
  #commitSoon(log: Log, topic: Topic, partition: number): void {
    queueMicrotask(() => {
      log.commit(log.next)
      topic.onCommitted()
      this.onReadable(topic, partition)
    })
  }

  /** A record of a log was handed over: ends the measurement of the one sampled, if it was this one or passed over. */
  handedOver(log: Log, offset: number): void {
    if (log.sampleOffset === offset) this.deliverLatency.observe(performance.now() - log.sampledAt)
    log.sampleOffset = -1
  }

  #committed(logs: ReadonlySet<Log>): void {
    for (const log of logs) {
      const owner = this.logs.get(log.id)
      if (owner === undefined) continue
      owner.topic.onCommitted()
      this.onReadable(owner.topic, owner.partition)
    }
    if (this.storage.wal.position - this.#checkpointAt > this.#checkpointBytes) void this.checkpoint().catch(() => undefined) // logged there
  }

  /** Where the producer has stored entries that are not decided. */
  undecidedOf(producerId: number): { readonly log: Log; readonly topic: Topic; readonly partition: number }[] {
    const found = []
    for (const log of this.withDecisions) {
      const owner = this.logs.get(log.id)
      if (owner === undefined) this.withDecisions.delete(log)
      else if (log.decisions !== null && log.decisions.openSince(producerId) >= 0) found.push(owner)
    }
    return found
  }

  // ---------------------------------------------------------------------------------------------------------------- settling

  markSettled(subscription: Backlog): void {
    this.#settled.add(subscription)
    this.#settleSoon()
  }

  #settleSoon(): void {
    if (this.#settleTimer) return
    this.#settleTimer = true
    this.clock.after(settleDelayMs, () => {
      this.#settleTimer = false
      if (this.#settled.size > 0 && !this.closed) this.committer.whenDurable(() => undefined)
    })
  }

  /** Settled runs of all subscriptions go along with this frame; what they free is freed. */
  #writeSettled(frame: Frame): void {
    for (const subscription of this.#settled) this.writeSettledOf(subscription, frame)
    this.#settled.clear()
  }

  writeSettledOf(subscription: Backlog, frame: Frame): void {
    subscription.dirty = false
    const owner = this.subscriptions.get(subscription.id)
    const durable = owner !== undefined && owner.topic.config.storage === 'disk' && subscription.durable
    for (const [lane, runs] of subscription.settledRuns.entries()) {
      if (runs.length > 0 && durable) frame.settle(subscription.id, lane, runs)
      runs.length = 0
    }
    owner?.topic.collect(this.clock.now())
  }

  /** Single records go, whoever has read them. Returns how many were there; durable when the committer says so. */
  remove(topic: Topic, log: Log, offsets: readonly number[]): number {
    const runs: number[] = []
    let removed = 0
    for (const offset of offsets) {
      if (!log.remove(offset)) continue
      topic.keeper?.removed(offset)
      removed++
      const last = runs.length - 2
      if (last >= 0 && (runs[last] as number) + (runs[last + 1] as number) === offset)
        runs[last + 1] = (runs[last + 1] as number) + 1
      else runs.push(offset, 1)
    }
    if (removed === 0) return 0
    if (!log.inMemory) this.committer.frame(32 + runs.length * 6).remove(log.id, runs)
    topic.onCommitted()
    return removed
  }

  /** Everything below `offset` of a log goes, whoever has read it. */
  truncate(topic: Topic, log: Log, offset: number): void {
    this.release(log, log.truncateFront(offset))
    topic.keeper?.truncated()
    for (const subscription of topic.subscriptions.values()) {
      const lane = subscription.lanes[topic.logs.indexOf(log)]
      if (lane === undefined) continue
      lane.acked.raiseTo(offset)
      if (lane.cursor < offset) lane.moveTo(offset)
      subscription.changed = true
    }
    this.putMetadata('start', String(log.id), String(log.start))
  }

  /** Segments that nobody needs; deleted after the next checkpoint, which no longer names them. */
  release(log: Log, segments: readonly Segment[]): void {
    for (const segment of segments) this.deadSegments.push({ log, segment })
  }

  // ---------------------------------------------------------------------------------------------------------------- metadata

  putMetadata(table: string, key: string, value: string | Uint8Array | null): void {
    this.committer.frame(64 + key.length + (value?.length ?? 0)).metadata(table, key, value)
    this.noteMetadata(table, key, value)
  }

  noteMetadata(table: string, key: string, value: string | Uint8Array | null): void {
    let rows = this.changed.get(table)
    if (rows === undefined) {
      rows = new Map()
      this.changed.set(table, rows)
    }
    rows.set(key, value)
  }

  /** What is not in the metadata store yet; undefined: nothing is known of that key. */
  unsaved(table: string, key: string): string | Uint8Array | null | undefined {
    const newest = this.changed.get(table)?.get(key)
    return newest === undefined ? this.saving.get(table)?.get(key) : newest
  }

  /** The same of a whole table. */
  unsavedRows(table: string): Map<string, string | Uint8Array | null> {
    return new Map([...(this.saving.get(table) ?? []), ...(this.changed.get(table) ?? [])])
  }

  durable(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.committer.whenDurable((error) => (error === null ? resolve() : reject(error)))
    })
  }

  // ------------------------------------------------------------------------------------------------------------- transactions

  begin(transaction: Transaction): void {
    this.#transactions.set(transaction, [])
  }

  /** Something to be done at a transaction's commit. */
  enlist(transaction: Transaction, action: () => void): void {
    this.#transactions.get(transaction)?.push(action)
  }

  /** Runs all that was enlisted; everything it writes, settlements included, is one frame. */
  commitTransaction(transaction: Transaction, bytes: number): void {
    const actions = this.#transactions.get(transaction) ?? []
    this.#transactions.delete(transaction)
    this.committer.atomically(bytes, () => {
      for (const action of actions) action()
      this.#writeSettled(this.committer.frame(0))
    })
  }

  // -------------------------------------------------------------------------------------------------------------- the memory

  get cachedBytes(): number {
    return this.#blockBytes
  }

  #blockAdded(log: Log, block: Block): void {
    this.#blocks.set(block, log)
    this.#blockBytes += block.buffer.length
    if (this.#blockBytes > this.#cacheBytes && !this.#balancing) {
      this.#balancing = true
      setImmediate(() => this.#balance())
    }
  }

  #blockGone(block: Block): void {
    if (this.#blocks.delete(block)) this.#blockBytes -= block.buffer.length
  }

  /** Lets the oldest blocks go, writing them to segments first. Several rounds if need be: writing is asynchronous. */
  #balance(): void {
    let kept = 0
    for (const [block, log] of this.#blocks) {
      if (this.#blockBytes <= this.#cacheBytes * 0.8 || kept === keptBlocksMax) break
      if (log.evict(block)) continue
      const owner = this.logs.get(log.id)
      if (owner === undefined) {
        this.#blockGone(block)
        continue
      }
      if (block === log.blocks.at(-1)) {
        // Still in use: asked again when all others were.
        this.#blocks.delete(block)
        this.#blocks.set(block, log)
        kept++
        continue
      }
      if (log.flushing) return log.afterFlush(() => this.#balance())
      if (this.#flushesHeld) {
        this.#balanceHeld = true
        return
      }
      const before = log.flushedTo
      log.flush(
        log.committed,
        (from, to) => owner.topic.isDone(owner.partition, from, to),
        (error) => {
          if (error !== null) {
            this.log.error(
              { topic: owner.topic.name, error: error.message },
              'a segment could not be written; the entries stay in memory and in the write-ahead log',
            )
            this.clock.after(flushRetryMs, () => this.#balance())
            return
          }
          // Nothing more could be written yet: its entries are not durable so far.
          if (log.flushedTo === before && block.flushed < block.used) this.#balanceWhenDurable()
          else setImmediate(() => this.#balance())
        },
      )
      return
    }
    this.#balancing = false
  }

  /** A checkpoint is about to say what stands in segments: freeing memory waits. */
  holdFlushes(hold: boolean): void {
    this.#flushesHeld = hold
    if (hold || !this.#balanceHeld) return
    this.#balanceHeld = false
    setImmediate(() => this.#balance())
  }

  #balanceWhenDurable(): void {
    this.committer.whenDurable((error) => {
      if (error === null) setImmediate(() => this.#balance())
      else this.#balancing = false // nothing becomes durable any more, and nothing is added
    })
  }

  // ------------------------------------------------------------------------------------------------------------- maintenance

  checkpoint(): Promise<void> {
    this.#checkpointing ??= checkpoint(this)
      .then(() => {
        this.#checkpointAt = this.storage.wal.position
      })
      .catch((error: Error) => {
        this.log.error({ error: error.message }, 'the checkpoint failed; the write-ahead log is kept')
        throw error
      })
      .finally(() => {
        this.#checkpointing = null
      })
    return this.#checkpointing
  }

  /** About once a second of the clock's, also when several pass at once. */
  maintain(): void {
    const now = this.clock.now()
    for (const topic of this.topics.values()) {
      topic.collect(now)
      topic.freeMiddle()
    }
    this.compactor.consider(now)
    if (this.#asksForSpace) return
    this.#asksForSpace = true
    this.storage
      .freeBytes()
      .then((bytes) => this.pressure.setFreeBytes(bytes))
      .catch((error: Error) => this.log.error({ error: error.message }, 'the free disk space could not be read'))
      .finally(() => {
        this.#asksForSpace = false
      })
  }

  async close(): Promise<void> {
    if (this.closed) return
    // What would be handed out from here on could not be settled any more.
    for (const { subscription } of [...this.subscriptions.values()]) subscription.close('Unavailable')
    await this.compactor.stop()
    if (this.committer.failure === null) {
      await this.durable().catch(() => undefined)
      this.noteMetadata(stopTable, '', 'stopped')
      await this.checkpoint().catch(() => undefined) // logged; what it would have saved is in the write-ahead log
    }
    this.closed = true
    await this.storage.close()
  }
}
