// The requests of the consumer protocol (KIP-848).

import type { ConsumerGroup, HeartbeatAsk } from '../consumer-group.ts'
import { assignors } from '../consumer-group-assignors.ts'
import { type ConsumerMember, MemberEpoch } from '../consumer-group-member.ts'
import { KafkaError } from '../errors.ts'
import { Features } from '../features.ts'
import { type Assignment, assignmentOf, topicsOf } from '../group-assignment.ts'
import type { GroupTopics } from '../group-topics.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'
import type { KafkaSession } from '../session.ts'
import { clientHost, mayUse } from './groups.ts'

export function consumerGroupHeartbeat(request: Request): void {
  const { session } = request
  const body = request.body()
  const refuse = (errorCode: number, errorMessage: string | null): void => request.respond({ errorCode, errorMessage })
  if (!isFinalized(session, 'group.version')) return refuse(KafkaError.UnsupportedVersion, 'group.version is 0')
  if (!mayUse(session, body['groupId'])) return refuse(KafkaError.GroupAuthorizationFailed, null)
  const wrong = invalidity(body, request.version)
  if (wrong !== undefined) return refuse(KafkaError.InvalidRequest, wrong)
  if (body['serverAssignor'] !== null && !assignors.has(body['serverAssignor']))
    return refuse(
      KafkaError.UnsupportedAssignor,
      `ServerAssignor ${body['serverAssignor']} is not supported. Supported: ${[...assignors.keys()].join(', ')}.`,
    )
  if (body['subscribedTopicRegex']) {
    const useless = session.coordinator.patterns.refuse(body['subscribedTopicRegex'])
    if (useless !== undefined)
      return refuse(
        KafkaError.InvalidRegularExpression,
        `SubscribedTopicRegex \`${body['subscribedTopicRegex']}\` is not usable: ${useless}`,
      )
  }
  const mayRead = (topic: string): boolean => session.principal.may('consume', 'default', topic)
  const forbidden = (body['subscribedTopicNames'] as string[] | null)?.find((topic) => !mayRead(topic))
  if (forbidden !== undefined) return refuse(KafkaError.TopicAuthorizationFailed, `Not authorized to read topic ${forbidden}.`)
  const ask: HeartbeatAsk = {
    memberId: body['memberId'],
    memberEpoch: body['memberEpoch'],
    instanceId: body['instanceId'],
    rackId: body['rackId'],
    clientId: request.clientId ?? '',
    clientHost: clientHost(session),
    rebalanceTimeoutMs: body['rebalanceTimeoutMs'],
    topicNames: body['subscribedTopicNames'],
    pattern: body['subscribedTopicRegex'],
    assignor: body['serverAssignor'],
    owned: body['topicPartitions'] === null ? null : assignmentOf(body['topicPartitions']),
    mayRead,
  }
  const interval = session.coordinator.configs.number(body['groupId'], 'consumer.heartbeat.interval.ms')
  session.coordinator.durably(
    () => session.coordinator.consumerHeartbeat(body['groupId'], ask),
    ({ memberId, memberEpoch, assignment }) =>
      request.respond({
        memberId,
        memberEpoch,
        heartbeatIntervalMs: memberEpoch < MemberEpoch.Join ? 0 : interval,
        assignment: assignment === null ? null : { topicPartitions: topicsOf(assignment) },
      }),
    refuse,
  )
}

/** Whether the cluster has agreed to use a feature. */
export const isFinalized = (session: KafkaSession, feature: string): boolean =>
  (Features.of(session.broker).get(feature)?.level ?? 0) > 0

/** What the protocol does not allow, or undefined. */
function invalidity(body: Message, version: number): string | undefined {
  const { memberId, memberEpoch, instanceId, rackId, subscribedTopicNames, subscribedTopicRegex } = body
  if (body['groupId'] === '') return "GroupId can't be empty."
  if (instanceId === '') return "InstanceId can't be empty."
  if (rackId === '') return "RackId can't be empty."
  // KIP-1082: from version 1 the client makes the id.
  if (memberId === '' && (version >= 1 || memberEpoch !== MemberEpoch.Join)) return "MemberId can't be empty."
  if (memberEpoch < MemberEpoch.LeaveStatic) return 'MemberEpoch is invalid.'
  if (memberEpoch === MemberEpoch.LeaveStatic && instanceId === null) return "InstanceId can't be null."
  if (memberEpoch !== MemberEpoch.Join) return undefined
  if (body['rebalanceTimeoutMs'] === -1) return 'RebalanceTimeoutMs must be provided in first request.'
  if (body['topicPartitions'] === null || body['topicPartitions'].length > 0)
    return 'TopicPartitions must be empty when (re-)joining.'
  if (!subscribedTopicNames?.length && !subscribedTopicRegex)
    return 'Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.'
  return undefined
}

export function consumerGroupDescribe(request: Request): void {
  const { session } = request
  const groups = (request.body()['groupIds'] as string[]).map((groupId) => {
    const failed = (errorCode: number, errorMessage: string | null): object => ({ groupId, errorCode, errorMessage })
    if (!mayUse(session, groupId, 'describe')) return failed(KafkaError.GroupAuthorizationFailed, null)
    const group = session.coordinator.get(groupId)
    if (group === undefined) return failed(KafkaError.GroupIdNotFound, `Group ${groupId} not found.`)
    if (group.kind !== 'consumer') return failed(KafkaError.GroupIdNotFound, `Group ${groupId} is not a consumer group.`)
    return described(group, session.coordinator.topics)
  })
  request.respond({ groups })
}

function described(group: ConsumerGroup, topics: GroupTopics): object {
  return {
    groupId: group.name,
    groupState: group.state,
    groupEpoch: group.epoch,
    assignmentEpoch: group.targetEpoch,
    assignorName: group.assignor,
    members: [...group.members.values()].map((member) => describedMember(member, topics)),
  }
}

function describedMember(member: ConsumerMember, topics: GroupTopics): object {
  const { instanceId, rackId, clientId, clientHost, topicNames, pattern } = member.profile
  return {
    memberId: member.id,
    instanceId,
    rackId,
    memberEpoch: member.epoch,
    clientId,
    clientHost,
    subscribedTopicNames: topicNames,
    subscribedTopicRegex: pattern,
    assignment: named(member.assigned, topics),
    targetAssignment: named(member.target, topics),
    memberType: member.isClassic ? 0 : 1,
  }
}

/** With the topics' names; those that are gone are left out. */
export function named(assignment: Assignment, topics: GroupTopics): object {
  const topicPartitions = topicsOf(assignment).flatMap(({ topicId, partitions }) => {
    const known = topics.byId(topicId)
    return known === undefined ? [] : [{ topicId, topicName: known.name, partitions }]
  })
  return { topicPartitions }
}
