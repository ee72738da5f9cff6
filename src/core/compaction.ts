/**
 * Retention by key: which log to clean, and when. Looked at once a second, one log at a time (cleaner.ts does it). Segments that take no more
 * are cleaned once enough of them is dirty, or a tombstone's time has come. So that small topics get there too, what stands in memory only
 * is written to a segment, and the segment closed, after `segmentMs`.
 */
import type { TopicConfig } from '../broker/face.ts'
import { flushOnce } from './checkpoint.ts'
import { Cleaner, CleaningAborted } from './cleaner.ts'
import type { Log } from './log.ts'
import type { Segment } from './segment.ts'
import type { Shard } from './shard.ts'
import type { Topic } from './topic.ts'

/** For the newest offset of each key of one pass: about half a million keys. With more, a pass goes less far. */
const mapBytesDefault = 16 * 1024 * 1024
/** After a failure a log is left alone for so long. */
const retryMs = 5 * 60_000
/** What was replaced, truncated or deleted goes at the latest after this time: a checkpoint is made for it. */
const deadSegmentsMs = 60_000
const progressMs = 10_000

/** What is known of a log beside what it knows itself. */
interface Watched {
  /** Since when it has entries that no segment holds; 0: it has none. */
  unflushedSince: number
  notBefore: number
}

interface Candidate {
  readonly topic: Topic
  readonly partition: number
  readonly log: Log
  readonly sources: readonly Segment[]
  readonly dirtyRatio: number
}

export class Compactor {
  readonly #shard: Shard
  readonly #watched = new WeakMap<Log, Watched>()
  #cleaner: Cleaner | null = null
  #running: Promise<void> | null = null
  #deadSince = 0
  #stopped = false
  readonly #mapBytes: number

  constructor(shard: Shard, mapBytes = mapBytesDefault) {
    this.#shard = shard
    this.#mapBytes = mapBytes
  }

  /** Begins what is due, unless something is under way. */
  consider(now: number): void {
    if (this.#running !== null || this.#stopped) return
    this.#running = this.#work(now)
      .catch((error: Error) => this.#shard.log.error({ error: error.message }, 'retention by key failed'))
      .finally(() => {
        this.#running = null
      })
  }

  /** Ends what is under way: what a pass has done so far stays valid. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#cleaner !== null) this.#cleaner.aborted = true
    await this.#running
  }

  async #work(now: number): Promise<void> {
    const candidates: Candidate[] = []
    for (const topic of [...this.#shard.topics.values()]) {
      for (const [partition, log] of topic.logs.entries()) {
        if (log.inMemory) continue
        if (topic.config.compact) await this.#bringToSegments(topic, log, now)
        closeByTime(log, topic.config, now)
        const candidate = topic.config.compact ? this.#candidate(topic, partition, log, now) : null
        if (candidate !== null) candidates.push(candidate)
      }
    }
    const worst = candidates.sort((a, b) => b.dirtyRatio - a.dirtyRatio)[0]
    if (worst !== undefined && !this.#stopped) await this.#clean(worst, now)
    await this.#dropDead(now)
  }

  #watch(log: Log): Watched {
    let watched = this.#watched.get(log)
    if (watched === undefined) {
      watched = { unflushedSince: 0, notBefore: 0 }
      this.#watched.set(log, watched)
    }
    return watched
  }

  async #bringToSegments(topic: Topic, log: Log, now: number): Promise<void> {
    const watched = this.#watch(log)
    if (log.flushedTo >= log.committed) {
      watched.unflushedSince = 0
      return
    }
    if (watched.unflushedSince === 0) watched.unflushedSince = now
    if (now - watched.unflushedSince < topic.config.segmentMs && unflushedBytes(log) < topic.config.segmentBytes) return
    // Written where the disk is nearly full, it would only make things worse.
    if (this.#shard.pressure.lowOnSpace) return
    const upTo = log.committed
    const age = now - watched.unflushedSince
    while (log.flushedTo < upTo && !topic.deleted && !this.#stopped) await flushOnce(log, upTo, () => false)
    watched.unflushedSince = 0
    const last = log.segments.at(-1)
    if (age >= topic.config.segmentMs && last !== undefined && !log.flushing) last.sealed = true
  }

  /** Null when there is nothing to clean, or not enough. */
  #candidate(topic: Topic, partition: number, log: Log, now: number): Candidate | null {
    if (now < this.#watch(log).notBefore || this.#shard.pressure.lowOnSpace) return null
    const { minCompactionLagMs, minCleanableRatio } = topic.config
    const sources: Segment[] = []
    let clean = 0
    let dirty = 0
    let due = false
    for (const segment of log.segments) {
      const young = minCompactionLagMs > 0 && segment.timestampMax > now - minCompactionLagMs
      // The last entry of a log always stays, so that its end is where readers expect it.
      if (!segment.sealed || young || segment.next > log.stable || segment.next >= log.next || segment.damage !== null) break
      sources.push(segment)
      if (segment.next <= log.cleanedTo) clean += segment.bytes
      else dirty += segment.bytes
      if (segment.tombstonesUntil !== 0 && segment.tombstonesUntil <= now) due = true
    }
    const dirtyRatio = dirty === 0 ? 0 : dirty / (clean + dirty)
    if (dirtyRatio <= minCleanableRatio && !due) return null
    return { topic, partition, log, sources, dirtyRatio }
  }

  async #clean({ topic, partition, log, sources, dirtyRatio }: Candidate, now: number): Promise<void> {
    const shard = this.#shard
    // An object's name comes round again after 31 passes; one that still waits for its deletion must not be met.
    if (shard.deadSegments.some((dead) => dead.log === log)) await shard.checkpoint()
    const of = { topic: topic.name, namespace: topic.namespace, partition }
    const bytes = sources.reduce((sum, segment) => sum + segment.bytes, 0)
    const { tombstoneRetentionMs } = topic.config
    const plan = { sources, now, tombstoneRetentionMs, mapBytes: this.#mapBytes }
    const cleaner = new Cleaner(log, shard.storage.segments, plan, (segments) => shard.release(log, segments))
    this.#cleaner = cleaner
    const began = performance.now()
    let told = began
    shard.log.debug({ ...of, bytes, dirtyRatio }, 'retention by key: cleaning')
    const progress = setInterval(() => {
      if (performance.now() - told < progressMs) return
      told = performance.now()
      shard.log.info({ ...of, bytes, bytesDone: cleaner.bytesDone }, 'retention by key: still cleaning')
    }, progressMs)
    progress.unref()
    try {
      const result = await cleaner.run()
      shard.log.info({ ...of, ...result, ms: Math.round(performance.now() - began) }, 'retention by key: cleaned')
    } catch (error) {
      if (error instanceof CleaningAborted) return
      this.#watch(log).notBefore = now + retryMs
      const message = error instanceof Error ? error.message : String(error)
      shard.log.error({ ...of, error: message }, 'retention by key failed; it is tried again later, nothing is lost')
    } finally {
      clearInterval(progress)
      this.#cleaner = null
    }
  }

  async #dropDead(now: number): Promise<void> {
    if (this.#shard.deadSegments.length + this.#shard.deadLogs.length === 0) this.#deadSince = 0
    else if (this.#deadSince === 0) this.#deadSince = now
    else if (now - this.#deadSince >= deadSegmentsMs) {
      this.#deadSince = now
      await this.#shard.checkpoint().catch(() => undefined) // logged there; tried again later
    }
  }
}

/** Closes the segment that is being filled when it is old enough. */
function closeByTime(log: Log, config: TopicConfig, now: number): void {
  const last = log.segments.at(-1)
  if (last === undefined || last.sealed || log.flushing) return
  if (last.startedAt === 0) last.startedAt = now
  else if (now - last.startedAt >= config.segmentMs) last.sealed = true
}

function unflushedBytes(log: Log): number {
  return log.blocks.reduce((sum, block) => sum + block.used - block.flushed, 0)
}
