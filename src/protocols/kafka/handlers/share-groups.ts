// Share groups (KIP-932): heartbeats, descriptions, and where a group stands in its topics.
import type { Action } from '../../../broker/face.ts'
import { codeOf, KafkaError, textOf } from '../errors.ts'
import { topicsOf } from '../group-assignment.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'
import type { KafkaSession } from '../session.ts'
import { type ShareAsk, type ShareGroup, shareAssignor } from '../share-group.ts'
import { isFinalized, named } from './consumer-groups.ts'
import { clientHost, mayUse } from './groups.ts'

export function shareGroupHeartbeat(request: Request): void {
  const { session } = request
  const body = request.body()
  const refuse = (errorCode: number, errorMessage: string | null): void => request.respond({ errorCode, errorMessage })
  if (!isFinalized(session, 'share.version')) return refuse(KafkaError.UnsupportedVersion, 'share.version is 0')
  if (!mayUse(session, body['groupId'])) return refuse(KafkaError.GroupAuthorizationFailed, null)
  const { memberId, memberEpoch, rackId } = body
  const topicNames: string[] | null = body['subscribedTopicNames']
  if (body['groupId'] === '') return refuse(KafkaError.InvalidRequest, "GroupId can't be empty.")
  if (memberId === '') return refuse(KafkaError.InvalidRequest, "MemberId can't be empty.")
  if (rackId === '') return refuse(KafkaError.InvalidRequest, "RackId can't be empty.")
  if (memberEpoch < -1) return refuse(KafkaError.InvalidRequest, 'MemberEpoch is invalid.')
  if (memberEpoch === 0 && !topicNames?.length)
    return refuse(KafkaError.InvalidRequest, 'SubscribedTopicNames must be set in first request.')
  const forbidden = topicNames?.find((topic) => !session.principal.may('consume', 'default', topic))
  if (forbidden !== undefined) return refuse(KafkaError.TopicAuthorizationFailed, `Not authorized to read topic ${forbidden}.`)
  const ask: ShareAsk = {
    memberId,
    memberEpoch,
    rackId,
    clientId: request.clientId ?? '',
    clientHost: clientHost(session),
    topicNames,
  }
  const interval = session.coordinator.configs.number(body['groupId'], 'share.heartbeat.interval.ms')
  session.coordinator.durably(
    () => session.coordinator.shareHeartbeat(body['groupId'], ask),
    (answer) =>
      request.respond({
        memberId,
        memberEpoch: answer.memberEpoch,
        heartbeatIntervalMs: answer.memberEpoch < 0 ? 0 : interval,
        assignment: answer.assignment === null ? null : { topicPartitions: topicsOf(answer.assignment) },
      }),
    refuse,
  )
}

export function shareGroupDescribe(request: Request): void {
  const { session } = request
  const groups = (request.body()['groupIds'] as string[]).map((groupId) => {
    const group = shareGroup(session, groupId, 'describe')
    if (typeof group === 'number') return { groupId, errorCode: group, errorMessage: notFound(groupId, group) }
    return {
      groupId,
      groupState: group.state,
      groupEpoch: group.epoch,
      assignmentEpoch: group.epoch,
      assignorName: shareAssignor,
      members: [...group.members.values()].map((member) => ({
        memberId: member.id,
        rackId: member.profile.rackId,
        memberEpoch: member.epoch,
        clientId: member.profile.clientId,
        clientHost: member.profile.clientHost,
        subscribedTopicNames: member.profile.topicNames,
        assignment: named(member.assigned, session.coordinator.topics),
      })),
    }
  })
  request.respond({ groups })
}

/** The group, or why it can not be had. */
function shareGroup(session: KafkaSession, groupId: string, action: Action): ShareGroup | number {
  if (!mayUse(session, groupId, action)) return KafkaError.GroupAuthorizationFailed
  const group = session.coordinator.get(groupId)
  return group?.kind === 'share' ? group : KafkaError.GroupIdNotFound
}

const notFound = (groupId: string, errorCode: number): string | null =>
  errorCode === KafkaError.GroupIdNotFound ? `Share group ${groupId} not found.` : null

// ---------------------------------------------------------------------------------------------------------------------------- offsets

export function describeShareGroupOffsets(request: Request): void {
  const { session } = request
  const groups = (request.body()['groups'] as Message[]).map(({ groupId, topics }) => {
    const group = shareGroup(session, groupId, 'describe')
    if (typeof group === 'number') return { groupId, topics: [], errorCode: group, errorMessage: notFound(groupId, group) }
    return {
      groupId,
      topics:
        topics === null ? allOffsets(session, group) : (topics as Message[]).map((topic) => offsetsOf(session, group, topic)),
    }
  })
  request.respond({ groups })
}

function allOffsets(session: KafkaSession, group: ShareGroup): object[] {
  return [...group.topics].flatMap((id) => {
    const topic = session.coordinator.topics.byId(id)
    if (topic === undefined || !session.principal.may('consume', 'default', topic.name)) return []
    const partitions = Array.from({ length: topic.partitions }, (_, partition) => partition)
    return [offsetsOf(session, group, { topicName: topic.name, partitions })]
  })
}

function offsetsOf(session: KafkaSession, group: ShareGroup, { topicName, partitions }: Message): object {
  const topic = session.coordinator.topics.byName(topicName)
  const mayRead = session.principal.may('consume', 'default', topicName)
  const status = mayRead ? session.coordinator.shareStatus(topicName, group.name) : undefined
  return {
    topicName,
    topicId: topic?.id,
    partitions: (partitions as number[]).map((partitionIndex) => {
      if (!mayRead) return { partitionIndex, errorCode: KafkaError.TopicAuthorizationFailed }
      if (topic === undefined || partitionIndex >= topic.partitions)
        return { partitionIndex, errorCode: KafkaError.UnknownTopicOrPartition }
      const place = status?.cursors.find((cursor) => cursor.partition === partitionIndex)
      return { partitionIndex, startOffset: place?.offset ?? -1, lag: place?.lag ?? -1 }
    }),
  }
}

export async function alterShareGroupOffsets(request: Request): Promise<void> {
  const { session } = request
  const body = request.body()
  const group = emptyGroup(session, body['groupId'], 'consume')
  if (typeof group === 'number') return request.respond({ errorCode: group, errorMessage: reason(body['groupId'], group) })
  const responses: object[] = []
  for (const { topicName, partitions } of body['topics'] as Message[]) {
    const topic = session.coordinator.topics.byName(topicName)
    const answers: object[] = []
    for (const { partitionIndex, startOffset } of partitions as Message[]) {
      let errorCode: number = KafkaError.None
      let errorMessage: string | null = null
      if (!session.principal.may('consume', 'default', topicName)) errorCode = KafkaError.TopicAuthorizationFailed
      else if (topic === undefined || partitionIndex >= topic.partitions) errorCode = KafkaError.UnknownTopicOrPartition
      else {
        try {
          await session.coordinator.moveShare(group, topic, partitionIndex, startOffset)
        } catch (cause) {
          errorCode = codeOf(cause)
          errorMessage = textOf(cause)
        }
      }
      answers.push({ partitionIndex, errorCode, errorMessage })
    }
    responses.push({ topicName, topicId: topic?.id, partitions: answers })
  }
  request.respond({ responses })
}

export async function deleteShareGroupOffsets(request: Request): Promise<void> {
  const { session } = request
  const body = request.body()
  const group = emptyGroup(session, body['groupId'], 'delete')
  if (typeof group === 'number') return request.respond({ errorCode: group, errorMessage: reason(body['groupId'], group) })
  const responses: object[] = []
  for (const { topicName } of body['topics'] as Message[]) {
    const topic = session.coordinator.topics.byName(topicName)
    let errorCode: number = KafkaError.None
    if (!session.principal.may('consume', 'default', topicName)) errorCode = KafkaError.TopicAuthorizationFailed
    else if (topic === undefined) errorCode = KafkaError.UnknownTopicOrPartition
    else await session.coordinator.deleteShareState(group, topic.id).catch((cause: unknown) => (errorCode = codeOf(cause)))
    responses.push({ topicName, topicId: topic?.id, errorCode })
  }
  request.respond({ responses })
}

/** A group whose places may be moved: one without members. */
function emptyGroup(session: KafkaSession, groupId: string, action: Action): ShareGroup | number {
  const group = shareGroup(session, groupId, action)
  return typeof group !== 'number' && !group.isIdle ? KafkaError.NonEmptyGroup : group
}

const reason = (groupId: string, errorCode: number): string | null =>
  errorCode === KafkaError.NonEmptyGroup ? `Share group ${groupId} has members.` : notFound(groupId, errorCode)
