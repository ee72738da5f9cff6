/**
 * A checkpoint: what the write-ahead log says up to a position, brought to segments and metadata, so that the log before it can go.
 * Replaying the log from that position over a checkpoint taken a little later gives the same state: every operation may be repeated.
 */
import type { MetadataChange } from '../storage/interfaces.ts'
import type { Log } from './log.ts'
import type { Shard } from './shard.ts'

/** Logs that are written or synced at the same time: storage has them wait side by side, and still takes the write-ahead log meanwhile. */
const atOnce = 8

/** A row in it says that the broker was stopped, and not killed. */
export const stopTable = 'stop'

export async function checkpoint(shard: Shard): Promise<void> {
  await shard.durable()
  const position = shard.committer.durablePosition
  await several([...shard.logs.values()], async ({ log, topic, partition }) => {
    if (log.inMemory) return
    const upTo = log.committed
    while (log.flushedTo < upTo && shard.logs.has(log.id)) {
      await flushOnce(log, upTo, (from, to) => topic.isDone(partition, from, to))
    }
  })
  try {
    // More may be written to a segment while another is synced, but what is collected below must all be on the disk.
    for (let round = 0; await syncSegments(shard); round++) if (round === 2) shard.holdFlushes(true)
  } finally {
    shard.holdFlushes(false)
  }
  const dead = [...shard.deadSegments]
  const deadLogs = [...shard.deadLogs]
  const collected = collectChanges(shard)
  try {
    // What was collected may be newer than what is durable; it becomes so before the checkpoint names it.
    await shard.durable()
    await shard.storage.metadata.checkpoint(position, collected.changes)
    collected.saved()
  } catch (error) {
    collected.putBack()
    throw error
  } finally {
    shard.saving = new Map()
  }
  shard.deadSegments.splice(0, dead.length)
  shard.deadLogs.splice(0, deadLogs.length)
  await shard.storage.wal.trim(position)
  for (const { log, segment } of dead) await shard.storage.segments.delete(log.id, segment.object)
  for (const log of deadLogs) await shard.storage.segments.deleteOthers(log, new Set())
}

/** False when there was nothing to sync. */
async function syncSegments(shard: Shard): Promise<boolean> {
  let synced = false
  await several([...shard.logs.values()], async ({ log }) => {
    for (const segment of [...log.segments]) {
      if (segment.unsynced) throw new Error(`segment ${segment.base} of log ${log.id} could not be synced earlier`)
      if (!segment.dirty) continue
      segment.dirty = false
      synced = true
      try {
        await shard.storage.segments.sync(log.id, segment.object)
      } catch (error) {
        // What a failed sync leaves on the disk is unknown, and a second try would not tell: the write-ahead log must be kept from here on.
        segment.unsynced = true
        throw error
      }
    }
  })
  return synced
}

/** Does `work` for each, {@link atOnce} at a time. After a failure no more is begun, and it is thrown once all that was has ended. */
async function several<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values()
  let failed = false
  const worker = async (): Promise<void> => {
    for (let next = left.next(); !failed && next.done !== true; next = left.next()) {
      await work(next.value).catch((error: unknown) => {
        failed = true
        throw error
      })
    }
  }
  const ended = await Promise.allSettled(Array.from({ length: atOnce }, worker))
  for (const each of ended) if (each.status === 'rejected') throw each.reason
}

export function flushOnce(log: Log, upTo: number, isDone: (from: number, to: number) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    if (log.flushing) return log.afterFlush(resolve)
    const before = log.flushedTo
    log.flush(upTo, isDone, (error) => {
      if (error !== null) reject(error)
      else {
        // Nothing was left to write: whatever stood there is done with.
        if (log.flushedTo === before) log.flushedTo = Math.max(before, upTo)
        resolve()
      }
    })
  })
}

/** What changed since the last checkpoint. */
interface Collected {
  readonly changes: MetadataChange[]
  /** When it could not be stored: the next one tries again, newer values winning. */
  readonly putBack: () => void
  readonly saved: () => void
}

function collectChanges(shard: Shard): Collected {
  const changes: MetadataChange[] = []
  const marked: { changed: boolean }[] = []
  const savedLogs: { log: Log; state: string }[] = []
  const take = (from: { changed: boolean }, table: string, key: string, value: unknown): void => {
    from.changed = false
    marked.push(from)
    changes.push({ table, key, value: JSON.stringify(value) })
  }
  shard.saving = shard.changed
  shard.changed = new Map()
  for (const [table, rows] of shard.saving) for (const [key, value] of rows) changes.push({ table, key, value })
  const rows = changes.length
  for (const { log, topic, partition } of shard.logs.values()) {
    if (log.inMemory) continue
    const { start, flushedTo, timestampMax, segments, decisions, removed } = log
    const state = JSON.stringify({ start, flushedTo, timestampMax, cleanedTo: log.cleanedTo, segments, decisions, removed })
    if (state !== log.savedState) {
      changes.push({ table: 'log', key: String(log.id), value: state })
      savedLogs.push({ log, state })
    }
    const producers = topic.producers[partition]
    if (producers?.changed === true) take(producers, 'producers', String(log.id), producers)
    const named = topic.namedProducers[partition]
    if (named?.changed === true) take(named, 'named', String(log.id), named)
  }
  for (const topic of shard.topics.values()) if (topic.ids.changed) take(topic.ids, 'ids', String(topic.id), topic.ids)
  for (const { topic, subscription } of shard.subscriptions.values()) {
    if (!subscription.changed || !subscription.durable || topic.config.storage === 'memory') continue
    const lanes = subscription.lanes.map(({ acked, attempts, handedOut, held, seenTo }) => {
      const more = {
        ...(handedOut.size > 0 && { handedOut: [...handedOut] }),
        ...(held.size > 0 && { held: [...held] }),
        ...(seenTo > acked.floor && { seenTo }),
      }
      return { acked, attempts: [...attempts], ...more }
    })
    take(subscription, 'state', String(subscription.id), { lanes, liveBytes: subscription.liveBytes })
  }
  for (const log of shard.deadLogs) {
    for (const table of ['log', 'producers', 'named', 'start']) changes.push({ table, key: String(log), value: null })
  }
  const putBack = (): void => {
    for (const { table, key, value } of changes.slice(0, rows)) {
      if (shard.changed.get(table)?.has(key) !== true) shard.noteMetadata(table, key, value)
    }
    for (const each of marked) each.changed = true
  }
  const saved = (): void => {
    for (const { log, state } of savedLogs) log.savedState = state
  }
  return { changes, putBack, saved }
}
