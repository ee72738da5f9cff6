// OffsetCommit, OffsetFetch, OffsetDelete: a group's cursors, kept by the broker.
import type { CursorPosition } from '../../../broker/face.ts'
import { codeOf, KafkaError } from '../errors.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'
import type { KafkaSession } from '../session.ts'
import { mayUse } from './groups.ts'

const metadataBytesMax = 4096

export function offsetCommit(request: Request): void {
  const { session } = request
  const body = request.body()
  const group: string = body['groupId']
  const refused = mayUse(session, group)
    ? session.coordinator.mayCommit(group, body['memberId'], body['groupInstanceId'], body['generationIdOrMemberEpoch'])
    : KafkaError.GroupAuthorizationFailed
  const mayCommitLate = (topic: FoundTopic | undefined, partition: number): boolean =>
    topic !== undefined &&
    session.coordinator.mayCommitLate(group, body['memberId'], body['generationIdOrMemberEpoch'], topic.id, partition)
  const positions: CursorPosition[] = []
  const codes = (body['topics'] as Message[]).map((topic) => {
    const found = topicOf(session, topic, request.version >= 10)
    const partitions = (topic['partitions'] as Message[]).map((partition) => {
      const stays = refused !== KafkaError.StaleMemberEpoch || !mayCommitLate(found, partition['partitionIndex'])
      const errorCode = (stays ? refused : KafkaError.None) || checkCommit(session, found, partition, request.version >= 10)
      if (errorCode === KafkaError.None && found !== undefined) {
        positions.push({
          topic: found.name,
          partition: partition['partitionIndex'],
          offset: partition['committedOffset'],
          metadata: partition['committedMetadata'] ?? '',
          leaderEpoch: partition['committedLeaderEpoch'],
        })
      }
      return { partitionIndex: partition['partitionIndex'] as number, errorCode }
    })
    return { name: topic['name'], topicId: topic['topicId'], partitions }
  })
  if (positions.length === 0) return request.respond({ topics: codes })
  session.space.commitCursors(group, positions, (error) => {
    if (error !== null) {
      const failed = codeOf(error)
      for (const topic of codes) for (const partition of topic.partitions) partition.errorCode ||= failed
    }
    request.respond({ topics: codes })
  })
}

interface FoundTopic {
  readonly id: string
  readonly name: string
  readonly partitions: number
}

export function topicOf(session: KafkaSession, topic: Message, byId: boolean): FoundTopic | undefined {
  const info = byId ? session.space.topicById(Buffer.from(topic['topicId'], 'hex')) : session.space.topic(topic['name'])
  return info && { id: info.id.toString('hex'), name: info.name, partitions: info.config.partitions }
}

export function checkCommit(session: KafkaSession, topic: FoundTopic | undefined, partition: Message, byId: boolean): number {
  if (topic === undefined) return byId ? KafkaError.UnknownTopicId : KafkaError.UnknownTopicOrPartition
  if (!session.principal.may('consume', 'default', topic.name)) return KafkaError.TopicAuthorizationFailed
  if (partition['partitionIndex'] < 0 || partition['partitionIndex'] >= topic.partitions)
    return KafkaError.UnknownTopicOrPartition
  if (Buffer.byteLength(partition['committedMetadata'] ?? '') > metadataBytesMax) return KafkaError.OffsetMetadataTooLarge
  return KafkaError.None
}

export function offsetFetch(request: Request): void {
  const { session, version } = request
  const body = request.body()
  const stable: boolean = body['requireStable']
  if (version < 8) {
    const refused = mayUse(session, body['groupId']) ? KafkaError.None : KafkaError.GroupAuthorizationFailed
    if (refused !== KafkaError.None) return request.respond({ ...refusedPartitions(body, version, refused), errorCode: refused })
    return request.respond(fetchGroup(session, body['groupId'], body['topics'], false, stable))
  }
  request.respond({ groups: (body['groups'] as Message[]).map((group) => fetchOne(session, group, version, stable)) })
}

function fetchOne(session: KafkaSession, group: Message, version: number, stable: boolean): object {
  const refused = mayUse(session, group['groupId'], 'describe')
    ? session.coordinator.mayFetch(group['groupId'], group['memberId'], group['memberEpoch'])
    : KafkaError.GroupAuthorizationFailed
  if (refused !== KafkaError.None) return { groupId: group['groupId'], errorCode: refused }
  return {
    groupId: group['groupId'],
    ...fetchGroup(session, group['groupId'], group['topics'], version >= 10, stable),
  }
}

/** Version 1 has no error of its own at the top: each partition says it. */
function refusedPartitions(body: Message, version: number, errorCode: number): object {
  if (version >= 2) return { topics: [] }
  const topics = (body['topics'] as Message[]).map(({ name, partitionIndexes }) => ({
    name,
    partitions: (partitionIndexes as number[]).map((partitionIndex) => ({ partitionIndex, committedOffset: -1, errorCode })),
  }))
  return { topics }
}

/** `stable`: offsets that an open transaction may change are refused, so that nothing is consumed twice. */
function fetchGroup(session: KafkaSession, group: string, asked: Message[] | null, byId: boolean, stable: boolean): Message {
  let cursors: CursorPosition[]
  try {
    cursors = session.space.cursors(group)
  } catch (cause) {
    return { errorCode: codeOf(cause), topics: [] }
  }
  const byPlace = new Map(cursors.map((cursor) => [`${cursor.partition}/${cursor.topic}`, cursor]))
  const isPending = session.transactions.pendingOf(group)
  const answerFor = (topic: string, partition: number, cursor: CursorPosition | undefined): object =>
    stable && isPending(topic, partition)
      ? { partitionIndex: partition, errorCode: KafkaError.UnstableOffsetCommit, committedOffset: -1, metadata: '' }
      : committed(partition, cursor)
  if (asked === null) return { topics: allOf(session, cursors, answerFor) }
  const topics = asked.map((topic) => {
    const name = byId ? session.space.topicById(Buffer.from(topic['topicId'], 'hex'))?.name : (topic['name'] as string)
    const partitions = (topic['partitionIndexes'] as number[]).map((partitionIndex) => {
      if (name === undefined) return { partitionIndex, errorCode: KafkaError.UnknownTopicId, committedOffset: -1 }
      if (!session.principal.may('describe', 'default', name))
        return { partitionIndex, errorCode: KafkaError.TopicAuthorizationFailed, committedOffset: -1 }
      return answerFor(name, partitionIndex, byPlace.get(`${partitionIndex}/${name}`))
    })
    return { name: name ?? '', topicId: topic['topicId'], partitions }
  })
  return { topics }
}

function allOf(
  session: KafkaSession,
  cursors: readonly CursorPosition[],
  answerFor: (topic: string, partition: number, cursor: CursorPosition) => object,
): object[] {
  const names = new Set(cursors.map((cursor) => cursor.topic))
  const readable = [...names].filter((name) => session.principal.may('describe', 'default', name))
  return readable.map((name) => ({
    name,
    topicId: session.space.topic(name)?.id.toString('hex'),
    partitions: cursors.filter((cursor) => cursor.topic === name).map((cursor) => answerFor(name, cursor.partition, cursor)),
  }))
}

function committed(partitionIndex: number, cursor: CursorPosition | undefined): object {
  if (cursor === undefined) return { partitionIndex, committedOffset: -1, metadata: '' }
  return { partitionIndex, committedOffset: cursor.offset, committedLeaderEpoch: cursor.leaderEpoch, metadata: cursor.metadata }
}

export async function offsetDelete(request: Request): Promise<void> {
  const { session } = request
  const body = request.body()
  const group: string = body['groupId']
  if (!mayUse(session, group, 'delete')) return request.respond({ errorCode: KafkaError.GroupAuthorizationFailed })
  const present = session.coordinator.get(group)
  // What a group of another kind reads is not known, so nothing of it is taken away while it lives.
  if (present !== undefined && present.members.size > 0 && present.protocolType !== 'consumer')
    return request.respond({ errorCode: KafkaError.NonEmptyGroup })
  if (!session.coordinator.has(group) && !session.space.cursorGroups().includes(group)) {
    return request.respond({ errorCode: KafkaError.GroupIdNotFound })
  }
  const topics: object[] = []
  for (const topic of body['topics'] as Message[]) {
    const refused = checkDelete(session, group, topic['name'])
    const partitions: object[] = []
    for (const { partitionIndex } of topic['partitions']) {
      let errorCode: number = refused
      if (refused === KafkaError.None)
        await session.space
          .deleteCursors(group, topic['name'], partitionIndex)
          .catch((cause: unknown) => (errorCode = codeOf(cause)))
      partitions.push({ partitionIndex, errorCode })
    }
    topics.push({ name: topic['name'], partitions })
  }
  request.respond({ topics })
}

function checkDelete(session: KafkaSession, group: string, topic: string): number {
  if (session.space.topic(topic) === undefined) return KafkaError.UnknownTopicOrPartition
  if (!session.principal.may('consume', 'default', topic)) return KafkaError.TopicAuthorizationFailed
  return session.coordinator.isSubscribed(group, topic) ? KafkaError.GroupSubscribedToTopic : KafkaError.None
}
