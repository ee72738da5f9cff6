/**
 * Which log to write anew, and when. Looked at once a second, one log at a time, in the background.
 * Topics kept by key (cleaner.ts): segments that take no more are cleaned once enough of them is dirty, or a tombstone's time has come. So that small
 * topics get there too, what stands in memory only is written to a segment, and the segment closed, after `segmentMs`.
 * All others (sparse.ts): segments of which little is still wanted.
 */
import type { TopicConfig } from '../broker/face.ts'
import { flushOnce } from './checkpoint.ts'
import { Cleaner } from './cleaner.ts'
import type { Log } from './log.ts'
import { Rewriter, RewritingAborted, SegmentDamaged } from './rewriter.ts'
import type { Segment } from './segment.ts'
import type { Shard } from './shard.ts'
import { findSparse, KeptSelection, rewriteSparse, type Sparse } from './sparse.ts'
import type { Topic } from './topic.ts'

/** For the newest offset of each key of one pass: about half a million keys. With more, a pass goes less far. */
const mapBytesDefault = 16 * 1024 * 1024
/** After a failure a log is left alone for so long. */
const retryMs = 5 * 60_000
/** What was replaced, truncated or deleted goes at the latest after this time: a checkpoint is made for it. */
const deadSegmentsMs = 60_000
const progressMs = 10_000
/** A log is looked at for sparse segments again after this time, and as much longer as it has segments, so that looking costs some thousandths of the time at most. */
const lookEveryMs = 10_000
const lookMsPerSegment = 100
/** The same when what was begun came to nothing, since the log was truncated or a reader came. */
const lookAgainMs = 60_000

/** What is known of a log beside what it knows itself. */
interface Watched {
  /** Since when it has entries that no segment holds; 0: it has none. */
  unflushedSince: number
  notBefore: number
  /** For sparse segments: the next look, and what was gone at the last one. */
  lookAt: number
  gone: number
}

interface Place {
  readonly topic: Topic
  readonly partition: number
  readonly log: Log
}

interface Candidate extends Place {
  readonly sources: readonly Segment[]
  readonly dirtyRatio: number
}

export class Compactor {
  readonly #shard: Shard
  readonly #watched = new WeakMap<Log, Watched>()
  /** Found when they were to be written anew. */
  readonly #damaged = new WeakSet<Segment>()
  #rewriter: Rewriter | null = null
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
      .catch((error: Error) => this.#shard.log.error({ error: error.message }, 'looking for segments to write anew failed'))
      .finally(() => {
        this.#running = null
      })
  }

  /** Ends what is under way: what a pass has done so far stays valid. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#rewriter !== null) this.#rewriter.aborted = true
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
    else await this.#thinOne(now)
    await this.#dropDead(now)
  }

  #watch(log: Log): Watched {
    let watched = this.#watched.get(log)
    if (watched === undefined) {
      watched = { unflushedSince: 0, notBefore: 0, lookAt: 0, gone: 0 }
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
    // Each pass leaves a copy behind, and an object's name comes round again after 31 passes: one that still waits for its deletion must not be met.
    if (shard.deadSegments.some((dead) => dead.log === log)) await shard.checkpoint()
    const bytes = sources.reduce((sum, segment) => sum + segment.bytes, 0)
    const { tombstoneRetentionMs } = topic.config
    const plan = { sources, now, tombstoneRetentionMs, mapBytes: this.#mapBytes }
    await this.#rewrite({ topic, partition, log }, now, { what: 'retention by key', bytes, dirtyRatio }, (rewriter) =>
      new Cleaner(log, rewriter, plan).run(),
    )
  }

  /** The first log that has something to gain and whose time has come. */
  async #thinOne(now: number): Promise<void> {
    for (const topic of [...this.#shard.topics.values()]) {
      for (const [partition, log] of topic.logs.entries()) {
        if (this.#stopped || this.#shard.pressure.lowOnSpace) return
        if (log.inMemory || topic.config.compact || topic.deleted) continue
        const sparse = await this.#look(topic, partition, log, now)
        if (sparse !== null) return await this.#thin({ topic, partition, log }, sparse, now)
      }
    }
  }

  async #look(topic: Topic, partition: number, log: Log, now: number): Promise<Sparse | null> {
    const watched = this.#watch(log)
    if (log.segments.length < 2 || now < watched.lookAt || now < watched.notBefore) return null
    watched.lookAt = now + lookEveryMs + log.segments.length * lookMsPerSegment
    const { gone } = topic.kept(partition)
    if (gone === watched.gone) return null
    const sparse = await findSparse(log, () => topic.kept(partition), this.#damaged)
    // With something to gain it is looked at again, whether or not all of it is gained now.
    if (sparse === null) watched.gone = gone
    return sparse
  }

  async #thin(place: Place, sparse: Sparse, now: number): Promise<void> {
    const shard = this.#shard
    const { topic, partition, log } = place
    const names = new Set(sparse.groups.map(([first]) => first?.successor(0).object))
    if (shard.deadSegments.some((dead) => dead.log === log && names.has(dead.segment.object))) await shard.checkpoint()
    const bytes = sparse.groups.flat().reduce((sum, segment) => sum + segment.bytes, 0)
    await this.#rewrite(place, now, { what: 'sparse segments', bytes }, async (rewriter) => {
      const selection = new KeptSelection(log, () => topic.kept(partition))
      await rewriteSparse(rewriter, selection, sparse, () => !shard.pressure.lowOnSpace)
      return { recordsRemoved: selection.recordsRemoved }
    })
  }

  /** Runs a pass, and tells of it. */
  async #rewrite(
    { topic, partition, log }: Place,
    now: number,
    about: object,
    pass: (rewriter: Rewriter) => Promise<object>,
  ): Promise<void> {
    const shard = this.#shard
    const of = { topic: topic.name, namespace: topic.namespace, partition, ...about }
    const rewriter = new Rewriter(log, shard.storage.segments, (segments) => shard.release(log, segments))
    this.#rewriter = rewriter
    const began = performance.now()
    let told = began
    shard.log.debug(of, 'segments are written anew')
    const progress = setInterval(() => {
      if (performance.now() - told < progressMs) return
      told = performance.now()
      shard.log.info({ ...of, bytesDone: rewriter.bytesBefore }, 'segments are still being written anew')
    }, progressMs)
    progress.unref()
    try {
      const result = await pass(rewriter)
      const { bytesBefore, bytesAfter } = rewriter
      const ms = Math.round(performance.now() - began)
      shard.log.info({ ...of, bytesBefore, bytesAfter, ...result, ms }, 'segments were written anew')
    } catch (error) {
      const watched = this.#watch(log)
      watched.lookAt = now + lookAgainMs
      if (error instanceof RewritingAborted) return
      if (error instanceof SegmentDamaged) this.#damaged.add(error.segment)
      watched.notBefore = now + retryMs
      const message = error instanceof Error ? error.message : String(error)
      shard.log.error({ ...of, error: message }, 'segments could not be written anew; it is tried again later, nothing is lost')
    } finally {
      clearInterval(progress)
      this.#rewriter = null
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
