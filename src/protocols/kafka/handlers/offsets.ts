// ListOffsets and OffsetForLeaderEpoch: where a log begins, ends, and stands at a time.

import type { EntryView, Space } from '../../../broker/face.ts'
import { openBatch } from '../batch.ts'
import { codeOf, KafkaError } from '../errors.ts'
import { batchFormatId } from '../mapping.ts'
import { mayTopic } from '../operations.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'

const At = { Latest: -1, Earliest: -2, MaxTimestamp: -3, EarliestLocal: -4, LatestTiered: -5, EarliestPendingUpload: -6 } as const

/** The first version of the request that knows each of the later places. */
const since: Readonly<Record<number, number>> = {
  [At.MaxTimestamp]: 7,
  [At.EarliestLocal]: 8,
  [At.LatestTiered]: 9,
  [At.EarliestPendingUpload]: 11,
}

interface Found {
  readonly offset: number
  readonly timestamp: number
}
const nowhere: Found = { offset: -1, timestamp: -1 }

const readCommitted = 1

export async function listOffsets(request: Request): Promise<void> {
  const body = request.body()
  const committedOnly = body['isolationLevel'] === readCommitted
  const topics = await Promise.all(
    (body['topics'] as Message[]).map(async (topic) => ({
      name: topic['name'],
      partitions: await Promise.all(
        (topic['partitions'] as Message[]).map((partition) => listOne(request, topic['name'], partition, committedOnly)),
      ),
    })),
  )
  request.respond({ topics })
}

async function listOne(request: Request, topic: string, partition: Message, committedOnly: boolean): Promise<object> {
  const { session, version } = request
  const { partitionIndex } = partition
  const failed = (errorCode: number): object => ({ partitionIndex, errorCode })
  try {
    if (!mayTopic(session, 'describe', topic)) return failed(KafkaError.TopicAuthorizationFailed)
    const log = session.space.status(topic)?.partitions[partitionIndex]
    if (log === undefined) return failed(KafkaError.UnknownTopicOrPartition)
    if (version < (since[partition['timestamp']] ?? 0)) return failed(KafkaError.UnsupportedVersion)
    if (partition['currentLeaderEpoch'] > 0) return failed(KafkaError.UnknownLeaderEpoch)
    const end = committedOnly ? log.stableOffset : log.nextOffset
    const found = await find(session.space, topic, partitionIndex, log.startOffset, end, partition['timestamp'])
    return { partitionIndex, ...found, leaderEpoch: found.offset < 0 ? -1 : 0 }
  } catch (cause) {
    return failed(codeOf(cause))
  }
}

/** `end`: what lies at or beyond it is not there for who asks. */
async function find(space: Space, topic: string, partition: number, start: number, end: number, time: number): Promise<Found> {
  switch (time) {
    case At.Latest:
      return { offset: end, timestamp: -1 }
    case At.Earliest:
    case At.EarliestLocal:
      return { offset: start, timestamp: -1 }
    case At.LatestTiered:
    case At.EarliestPendingUpload:
      return nowhere // There is no second tier.
    case At.MaxTimestamp:
      return start === end ? nowhere : await findNewest(space, topic, partition, end)
    default:
      return await findTime(space, topic, partition, end, time)
  }
}

async function findTime(space: Space, topic: string, partition: number, end: number, time: number): Promise<Found> {
  const near = await space.offsetForTime(topic, partition, time)
  if (near === null) return nowhere
  const within = firstAtOrAfter(await firstEntry(space, topic, partition, near.offset), time)
  const found = within ?? near
  return found.offset < end ? found : nowhere
}

/** The record with the greatest time. As a rule it is the last; producers choose times freely, so whether there is a greater one is asked too. */
async function findNewest(space: Space, topic: string, partition: number, end: number): Promise<Found> {
  let best = newest(await firstEntry(space, topic, partition, end - 1))
  const beyond = (ms: number): Promise<Found> => findTime(space, topic, partition, end, best.timestamp + ms)
  // In growing steps, then in shrinking ones: the times themselves are not sorted, but "some record is at or after t" is.
  let step = 1
  for (let found = await beyond(step); found.offset >= 0; found = await beyond(step)) {
    best = found
    step *= 2
  }
  while (step > 1) {
    step = Math.ceil(step / 2)
    const found = await beyond(step)
    if (found.offset >= 0) best = found
  }
  return best
}

function firstEntry(space: Space, topic: string, partition: number, offset: number): Promise<EntryView | undefined> {
  return new Promise((resolve) => space.read(topic, partition, offset, 1, (result) => resolve(result.entries[0])))
}

/** The core finds the entry; the record within a batch is found here. */
function firstAtOrAfter(entry: EntryView | undefined, time: number): Found | undefined {
  const record = timesOf(entry).find((candidate) => candidate.timestamp >= time)
  return record && { offset: record.offset, timestamp: record.timestamp }
}

function newest(entry: EntryView | undefined): Found {
  return timesOf(entry).reduce((best, record) => (record.timestamp > best.timestamp ? record : best), nowhere)
}

function timesOf(entry: EntryView | undefined): Found[] {
  if (entry === undefined) return []
  if (entry.format !== batchFormatId) return [{ offset: entry.baseOffset, timestamp: entry.timestamp }]
  try {
    const times = openBatch(entry.buffer.subarray(entry.start, entry.end)).map((record) => ({
      offset: entry.baseOffset + record.offsetDelta,
      timestamp: record.timestamp,
    }))
    return times.length > 0 ? times : [{ offset: entry.baseOffset, timestamp: entry.timestamp }] // The end of a transaction.
  } catch {
    return [{ offset: entry.baseOffset, timestamp: entry.timestamp }] // Unreadable inside: the batch's own place is the answer.
  }
}

export function offsetForLeaderEpoch(request: Request): void {
  const { session } = request
  const { space } = session
  const topics = (request.body()['topics'] as Message[]).map(({ topic, partitions }) => ({
    topic,
    partitions: (partitions as Message[]).map(({ partition, currentLeaderEpoch, leaderEpoch }) => {
      if (!mayTopic(session, 'describe', topic)) return { partition, errorCode: KafkaError.TopicAuthorizationFailed }
      const log = space.status(topic)?.partitions[partition]
      if (log === undefined) return { partition, errorCode: KafkaError.UnknownTopicOrPartition }
      if (currentLeaderEpoch > 0) return { partition, errorCode: KafkaError.UnknownLeaderEpoch }
      // There has only ever been epoch 0; of one that never was, nothing is known.
      return leaderEpoch === 0
        ? { partition, leaderEpoch: 0, endOffset: log.nextOffset }
        : { partition, leaderEpoch: -1, endOffset: -1 }
    }),
  }))
  request.respond({ topics })
}
