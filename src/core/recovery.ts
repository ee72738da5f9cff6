/**
 * Recovery: the last checkpoint, then every frame after it, in order. Metadata first makes topics and subscriptions; what a frame says of
 * one that was deleted later is passed over.
 */
import { AckSet, type StoredAckSet } from './ackset.ts'
import { stopTable } from './checkpoint.ts'
import { Decisions } from './decisions.ts'
import { entryBase, entryCount, entryFlags } from './entry.ts'
import { type OpVisitor, visitFrame } from './ops.ts'
import { Segment } from './segment.ts'
import type { Shard } from './shard.ts'

/** Tables in the order in which they are loaded. */
const tables = [
  'counter',
  'namespace',
  'user',
  'rule',
  'policy',
  'topic',
  'subscription',
  'exchange',
  'binding',
  'cursor',
  'rows',
  'history',
] as const

interface StoredLog {
  start: number
  flushedTo: number
  timestampMax: number
  cleanedTo?: number
  segments: Parameters<typeof Segment.from>[0][]
  decisions?: Parameters<typeof Decisions.from>[0] | null
  removed?: StoredAckSet | null
}

interface StoredLane {
  acked: StoredAckSet
  attempts: [number, number][]
  handedOut?: [number, number][]
  held?: [number, number][]
  seenTo?: number
}

/** `apply` makes what the metadata tables say, live; it is called for the checkpoint's rows and then for each change after it. */
export async function recover(
  shard: Shard,
  apply: (table: string, key: string, value: string | Uint8Array | null) => void,
): Promise<void> {
  shard.recovering = true
  let stopped = false
  await shard.storage.metadata.load(stopTable, () => {
    stopped = true
  })
  await replay(shard, (table, key, value) => {
    if (table === stopTable) stopped = value !== null
    else apply(table, key, value)
  })
  shard.recovering = false
  if (!stopped) noteSeen(shard)
  // From here on records are handed out: that must be known whatever happens.
  if (stopped) {
    shard.putMetadata(stopTable, '', null)
    await shard.durable()
  }
  for (const { subscription } of shard.subscriptions.values()) subscription.wake()
}

/** Who had which records when the broker was killed was not written down. */
function noteSeen(shard: Shard): void {
  for (const { subscription } of shard.subscriptions.values()) {
    for (const lane of subscription.lanes) lane.seenTo = lane.log.committed
    subscription.changed = true
  }
}

async function replay(
  shard: Shard,
  apply: (table: string, key: string, value: string | Uint8Array | null) => void,
): Promise<void> {
  const { metadata, wal, segments } = shard.storage
  const position = await metadata.position()
  for (const table of tables) await metadata.load(table, (key, value) => apply(table, key, value))
  await metadata.load('log', (key, value) => loadLog(shard, Number(key), JSON.parse(String(value)) as StoredLog)) // our own rows
  await metadata.load('state', (key, value) => {
    const owner = shard.subscriptions.get(Number(key))
    if (owner === undefined) return
    const stored = JSON.parse(String(value)) as { lanes: StoredLane[]; liveBytes: number } // our own rows
    owner.subscription.liveBytes = stored.liveBytes
    for (const [index, lane] of owner.subscription.lanes.entries()) {
      const state = stored.lanes[index]
      if (state === undefined) continue
      lane.acked = AckSet.from(state.acked)
      for (const [offset, attempts] of state.attempts) lane.attempts.set(offset, attempts)
      for (const [offset, times] of state.handedOut ?? []) lane.handedOut.set(offset, times)
      for (const [offset, notBefore] of state.held ?? []) lane.held.set(offset, notBefore)
      lane.seenTo = state.seenTo ?? 0
    }
  })
  await metadata.load('producers', (key, value) => {
    const owner = shard.logs.get(Number(key))
    owner?.topic.producers[owner.partition]?.load(JSON.parse(String(value)))
  })
  await metadata.load('named', (key, value) => {
    const owner = shard.logs.get(Number(key))
    owner?.topic.namedProducers[owner.partition]?.load(JSON.parse(String(value))) // our own rows
  })
  await metadata.load('ids', (key, value) => shard.topics.get(Number(key))?.ids.load(JSON.parse(String(value))))
  await metadata.load('start', (key, value) => raiseStart(shard, Number(key), Number(value)))

  // Before the log is replayed: what is replayed may be written to segments again while that goes on.
  for (const id of await segments.logs()) {
    const keep = new Set(shard.logs.get(id)?.log.segments.map((segment) => segment.object))
    await segments.deleteOthers(id, keep)
  }
  const visitor = makeVisitor(shard, apply)
  await wal.recover(position, (frame) => visitFrame(frame, visitor))

  for (const topic of shard.topics.values()) {
    await topic.keeper?.load((error) =>
      shard.log.error(
        { topic: topic.name, error },
        'stored records are damaged; limits do not count them, and reading them fails',
      ),
    )
  }
  for (const { log } of shard.logs.values()) if (log.decisions !== null) shard.withDecisions.add(log)
  for (const { subscription } of shard.subscriptions.values()) {
    for (const lane of subscription.lanes) {
      lane.acked.raiseTo(Math.min(lane.log.start, lane.log.next))
      lane.moveTo(lane.acked.floor)
    }
    subscription.resumeHeld()
  }
}

function loadLog(shard: Shard, id: number, stored: StoredLog): void {
  const owner = shard.logs.get(id)
  if (owner === undefined || owner.log.inMemory) return
  const { log } = owner
  log.start = stored.start
  log.flushedTo = stored.flushedTo
  log.next = stored.flushedTo
  log.committed = stored.flushedTo
  log.timestampMax = stored.timestampMax
  log.cleanedTo = stored.cleanedTo ?? 0
  if (stored.decisions) {
    log.decisions = Decisions.from(stored.decisions)
    log.decisions.settle(log.committed)
  }
  if (stored.removed) log.removed = AckSet.from(stored.removed)
  for (const segment of stored.segments) log.segments.push(Segment.from(segment))
}

function raiseStart(shard: Shard, id: number, start: number): void {
  const log = shard.logs.get(id)?.log
  if (log === undefined) return
  log.start = Math.max(log.start, start)
  log.removed?.raiseTo(log.start)
}

function makeVisitor(shard: Shard, apply: (table: string, key: string, value: string | Uint8Array | null) => void): OpVisitor {
  return {
    append(id, { producer, named, dedupId }, entry) {
      const owner = shard.logs.get(id)
      if (owner === undefined) return
      const base = entryBase(entry, 0)
      const count = entryCount(entry, 0)
      const flags = entryFlags(entry, 0)
      owner.log.noteFlags(flags, producer?.producerId ?? -1, base, base + count)
      owner.log.restore(Buffer.from(entry))
      if (producer !== null) {
        owner.topic.producers[owner.partition]?.note(
          producer.producerId,
          producer.epoch,
          producer.sequence,
          count,
          base,
          shard.clock.now(),
        )
      }
      if (named !== null) owner.topic.namedProducers[owner.partition]?.note(named.name, named.sequence, base)
      if (dedupId !== null) owner.topic.ids.note(dedupId, base, shard.clock.now())
    },
    settle(subscription, laneIndex, offset, count) {
      const lane = shard.subscriptions.get(subscription)?.subscription.lanes[laneIndex]
      if (lane === undefined) return
      if (offset <= lane.acked.floor) lane.acked.raiseTo(offset + count)
      else for (let at = offset; at < offset + count; at++) lane.acked.add(at)
    },
    remove(id, offset, count) {
      const log = shard.logs.get(id)?.log
      for (let at = offset; at < offset + count; at++) log?.remove(at)
    },
    raise(subscription, laneIndex, offset) {
      shard.subscriptions.get(subscription)?.subscription.lanes[laneIndex]?.acked.raiseTo(offset)
    },
    returned(subscription, laneIndex, offset, { attempts, handedOut, notBefore }) {
      const lane = shard.subscriptions.get(subscription)?.subscription.lanes[laneIndex]
      if (lane === undefined) return
      lane.attempts.set(offset, attempts)
      if (attempts < handedOut) lane.handedOut.set(offset, handedOut)
      if (notBefore > 0) lane.held.set(offset, notBefore)
      else lane.held.delete(offset)
    },
    metadata(table, key, value) {
      shard.noteMetadata(table, key, value)
      if (table === 'start' && value !== null) raiseStart(shard, Number(key), Number(value))
      else if (table === 'floor' && value !== null) resetLane(shard, key, Number(value))
      else apply(table, key, value)
    },
  }
}

/** A subscription was moved: `key` is `subscription/lane`. */
function resetLane(shard: Shard, key: string, floor: number): void {
  const [id, index] = key.split('/').map(Number)
  const lane = shard.subscriptions.get(id ?? -1)?.subscription.lanes[index ?? -1]
  if (lane === undefined) return
  lane.acked = new AckSet(floor)
  lane.forgetReturns()
}
