/**
 * A checkpoint: what the write-ahead log says up to a position, brought to segments and metadata, so that the log before it can go.
 * Replaying the log from that position over a checkpoint taken a little later gives the same state: every operation may be repeated.
 */
import type { MetadataChange } from '../storage/interfaces.ts'
import type { Log } from './log.ts'
import type { Shard } from './shard.ts'

export async function checkpoint(shard: Shard): Promise<void> {
  await shard.durable()
  const position = shard.storage.wal.position
  for (const { log, topic, partition } of [...shard.logs.values()]) {
    if (log.inMemory) continue
    const upTo = log.committed
    while (log.flushedTo < upTo && shard.logs.has(log.id)) {
      await flushOnce(log, upTo, (from, to) => topic.isDone(partition, from, to))
    }
  }
  for (const { log } of [...shard.logs.values()]) {
    for (const segment of log.segments) {
      if (!segment.dirty) continue
      segment.dirty = false
      await shard.storage.segments.sync(log.id, segment.base)
    }
  }
  const dead = shard.deadSegments.splice(0)
  const deadLogs = shard.deadLogs.splice(0)
  const changes = collectChanges(shard)
  // What was collected may be newer than what is durable; it becomes so before the checkpoint names it.
  await shard.durable()
  await shard.storage.metadata.checkpoint(position, changes)
  await shard.storage.wal.trim(position)
  for (const { log, segment } of dead) await shard.storage.segments.delete(log.id, segment.base)
  for (const log of deadLogs) await shard.storage.segments.deleteOthers(log, new Set())
}

function flushOnce(log: Log, upTo: number, isDone: (from: number, to: number) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    if (log.flushing) {
      setTimeout(resolve, 5)
      return
    }
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

function collectChanges(shard: Shard): MetadataChange[] {
  const changes: MetadataChange[] = []
  for (const [table, rows] of shard.changed) for (const [key, value] of rows) changes.push({ table, key, value })
  shard.changed.clear()
  for (const { log, topic, partition } of shard.logs.values()) {
    if (log.inMemory) continue
    const state = { start: log.start, flushedTo: log.flushedTo, timestampMax: log.timestampMax, segments: log.segments }
    changes.push({ table: 'log', key: String(log.id), value: JSON.stringify(state) })
    const producers = topic.producers[partition]
    if (producers?.changed === true) {
      producers.changed = false
      changes.push({ table: 'producers', key: String(log.id), value: JSON.stringify(producers) })
    }
  }
  for (const topic of shard.topics.values()) {
    if (!topic.ids.changed) continue
    topic.ids.changed = false
    changes.push({ table: 'ids', key: String(topic.id), value: JSON.stringify(topic.ids) })
  }
  for (const { topic, subscription } of shard.subscriptions.values()) {
    if (!subscription.changed || !subscription.durable || topic.config.storage === 'memory') continue
    subscription.changed = false
    const lanes = subscription.lanes.map((lane) => ({ acked: lane.acked, attempts: [...lane.attempts] }))
    changes.push({
      table: 'state',
      key: String(subscription.id),
      value: JSON.stringify({ lanes, liveBytes: subscription.liveBytes }),
    })
  }
  for (const log of shard.deadLogs) {
    changes.push({ table: 'log', key: String(log), value: null }, { table: 'producers', key: String(log), value: null })
  }
  return changes
}
