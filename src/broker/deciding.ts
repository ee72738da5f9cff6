/** Commits and aborts of records that producers stored undecided: the markers, and what live subscribers hear when it has happened. */
import {
  type EntryContent,
  EntryFlag,
  entryBase,
  entryCount,
  entryFormat,
  entryLength,
  entryPayload,
  entrySubject,
  entryTimestamp,
} from '../core/entry.ts'
import type { Log } from '../core/log.ts'
import type { Shard } from '../core/shard.ts'
import type { Topic } from '../core/topic.ts'
import type { Decision } from './face.ts'
import type { Namespace } from './namespace.ts'

/** Read at once of what live subscribers are told at a commit. */
const tellBytes = 256 * 1024

/** Ends a producer's transaction where it says, and wherever copies of its records were captured. */
export function decide(shard: Shard, namespace: Namespace, decision: Decision): void {
  const places = new Map<Log, { readonly topic: Topic; readonly partition: number }>()
  for (const { topic: name, partition } of decision.partitions) {
    const topic = namespace.topics.get(name)
    const log = topic?.logs[partition]
    if (topic !== undefined && log !== undefined) places.set(log, { topic, partition })
  }
  for (const { log, topic, partition } of shard.undecidedOf(decision.producerId)) {
    if (topic.namespace === namespace.name) places.set(log, { topic, partition })
  }
  const happened = decision.commit ? heardRanges(namespace, decision.producerId, places) : []
  shard.committer.atomically(places.size * (decision.marker.payload.length + 256), () => {
    for (const { topic, partition } of places.values()) mark(shard, topic, partition, decision)
  })
  if (happened.length === 0) return
  shard.committer.whenDurable((error) => {
    if (error === null) for (const range of happened) tellRange(namespace, range)
  })
}

/** Appends the marker that decides a producer's records in a partition. */
function mark(shard: Shard, topic: Topic, partition: number, { producerId, producerEpoch, commit, marker }: Decision): void {
  const content: EntryContent = {
    format: marker.format,
    count: 1,
    timestamp: shard.clock.now(),
    expiresAt: 0,
    keyHash: 0,
    flags: EntryFlag.Marker | (commit ? EntryFlag.Commit : 0),
    subject: null,
    annotations: null,
    payload: marker.payload,
  }
  const producer = { producerId, epoch: producerEpoch, sequence: -1 }
  shard.append(topic, partition, content, { producer, named: null, dedupId: null })
}

interface Range {
  readonly log: Log
  readonly subject: string
  readonly from: number
  readonly to: number
}

/** What the producer has stored where somebody listens; copies that were captured are not told again. */
function heardRanges(namespace: Namespace, producerId: number, places: ReadonlyMap<Log, { readonly topic: Topic }>): Range[] {
  const ranges: Range[] = []
  for (const [log, { topic }] of places) {
    if (!namespace.subjects.isHeard(topic.name)) continue
    const pairs = log.decisions?.rangesOf(producerId) ?? []
    for (let at = 0; at < pairs.length; at += 2) {
      ranges.push({ log, subject: topic.name, from: pairs[at] as number, to: pairs[at + 1] as number }) // pairs
    }
  }
  return ranges
}

function tellRange(namespace: Namespace, { log, subject, from, to }: Range): void {
  log.readChunk(from, tellBytes, (error, buffer, start, end) => {
    if (error !== null || start === end) return
    let next = from
    for (let at = start; at < end && next < to; at += entryLength(buffer, at)) {
      next = entryBase(buffer, at) + entryCount(buffer, at)
      if (next > to || entrySubject(buffer, at) !== null) continue
      const payload = buffer.subarray(entryPayload(buffer, at), at + entryLength(buffer, at))
      namespace.subjects.tell(subject, entryFormat(buffer, at), payload, entryTimestamp(buffer, at), 0)
    }
    if (next < to) tellRange(namespace, { log, subject, from: next, to })
  })
}
