// DescribeTopicPartitions (KIP-966): topics in the order of their names, so many partitions at a time, and where to go on.
import { KafkaError } from '../errors.ts'
import { isTopicName } from '../names.ts'
import { mayTopic, topicOperations } from '../operations.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'
import { type KafkaSession, nodeId } from '../session.ts'

/** Kafka's max.request.partition.size.limit. */
const partitionsMax = 2000

export function describeTopicPartitions(request: Request): void {
  const { session } = request
  const body = request.body()
  const cursor: { topicName: string; partitionIndex: number } | null = body['cursor']
  if (cursor !== null && cursor.partitionIndex < 0) {
    const refused = { errorCode: KafkaError.InvalidRequest, name: cursor.topicName, topicId: noId, partitions: [] }
    return request.respond({ topics: [refused], nextCursor: null })
  }
  const asked: Message[] = body['topics']
  // No names: all topics.
  const names =
    asked.length === 0
      ? session.space.topics().flatMap(({ name }) => (mayTopic(session, 'describe', name) ? [name] : []))
      : asked.map((topic) => topic['name'])
  let left = Math.min(Math.max(1, body['responsePartitionLimit']), partitionsMax)
  const topics: object[] = []
  for (const name of [...new Set<string>(names)].sort()) {
    if (cursor !== null && name < cursor.topicName) continue
    const from = name === cursor?.topicName ? cursor.partitionIndex : 0
    if (left === 0) return request.respond({ topics, nextCursor: { topicName: name, partitionIndex: from } })
    const { topic, next, shown } = describe(session, name, from, left)
    topics.push(topic)
    left -= shown
    if (next !== null) return request.respond({ topics, nextCursor: { topicName: name, partitionIndex: next } })
  }
  request.respond({ topics, nextCursor: null })
}

const noId = '0'.repeat(32)

interface Described {
  readonly topic: object
  readonly shown: number
  /** The partition that did not fit. */
  readonly next: number | null
}

function describe(session: KafkaSession, name: string, from: number, limit: number): Described {
  const found = session.space.topic(name)
  const topicAuthorizedOperations = topicOperations(session, name, true)
  if (!mayTopic(session, 'describe', name)) {
    const errorCode = KafkaError.TopicAuthorizationFailed
    return { topic: { errorCode, name, topicId: noId, partitions: [] }, shown: 0, next: null }
  }
  if (found === undefined) {
    const errorCode = isTopicName(name) ? KafkaError.UnknownTopicOrPartition : KafkaError.InvalidTopic
    return { topic: { errorCode, name, topicId: noId, partitions: [], topicAuthorizedOperations }, shown: 0, next: null }
  }
  const count = found.config.partitions
  const to = Math.min(count, from + limit)
  const partitions = Array.from({ length: Math.max(0, to - from) }, (_, index) => ({
    partitionIndex: from + index,
    leaderId: nodeId,
    leaderEpoch: 0,
    replicaNodes: [nodeId],
    isrNodes: [nodeId],
    eligibleLeaderReplicas: [],
    lastKnownElr: [],
    offlineReplicas: [],
  }))
  const topic = { name, topicId: found.id.toString('hex'), partitions, topicAuthorizedOperations }
  return { topic, shown: partitions.length, next: to < count ? to : null }
}
