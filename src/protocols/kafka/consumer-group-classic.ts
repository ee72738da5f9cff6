// Classic members in a consumer group, while it migrates from one protocol to the other: joining, syncing and beating are translated into
// steps of the group. A rebalance concerns one member at a time here: each is told to join again when there is something for it.
import { randomUUID } from 'node:crypto'
import { type ConsumerGroup, GroupRefusal } from './consumer-group.ts'
import { type ConsumerMember, MemberPhase, type MemberProfile } from './consumer-group-member.ts'
import { KafkaError } from './errors.ts'
import { type Assignment, assignmentOf, topicsOf } from './group-assignment.ts'
import {
  type ConsumerSubscription,
  consumerProtocolType,
  readSubscription,
  type TopicPartitions,
  writeAssignment,
} from './group-consumer-protocol.ts'
import { type JoinAnswer, type JoinAsk, joinFailure, type SyncAnswer, type SyncAsk } from './group-member.ts'
import type { GroupTopics } from './group-topics.ts'

/** Throws {@link GroupRefusal}. */
export function joinConsumerGroup(group: ConsumerGroup, ask: JoinAsk, topics: GroupTopics): JoinAnswer {
  const subscription = readSubscription(ask.protocols[0]?.metadata ?? Buffer.alloc(0))
  if (ask.protocolType !== consumerProtocolType || subscription === undefined || !suitsOthers(group, ask))
    throw new GroupRefusal(KafkaError.InconsistentGroupProtocol, 'no protocol in common')
  const id = ask.memberId === '' ? `${ask.instanceId ?? ask.clientId}-${randomUUID()}` : ask.memberId
  if (ask.memberId === '' && ask.needsMemberId && ask.instanceId === null) return joinFailure(KafkaError.MemberIdRequired, id)
  const profile = classicProfile(ask, subscription)
  const member = admit(group, id, ask, profile)
  group.update(member, profile, () => true)
  group.reconcile(member, assignmentIn(subscription.ownedPartitions, topics))
  group.watch(member, ask.sessionTimeoutMs)
  // It has to sync within its rebalance timeout.
  member.patienceTimer?.cancel()
  member.patienceTimer = null
  group.expect(member)
  group.flush()
  const protocolName = ask.protocols[0]?.name ?? null
  // The broker assigns, so nobody leads.
  return {
    ...joinFailure(KafkaError.None, member.id),
    generationId: member.epoch,
    protocolType: consumerProtocolType,
    protocolName,
  }
}

function suitsOthers(group: ConsumerGroup, ask: JoinAsk): boolean {
  return ask.protocols.some(({ name }) =>
    [...group.members.values()].every(
      ({ id, profile }) =>
        profile.classic === null ||
        id === ask.memberId ||
        (ask.instanceId !== null && profile.instanceId === ask.instanceId) ||
        profile.classic.protocols.some((protocol) => protocol.name === name),
    ),
  )
}

type ClassicWords = Pick<
  JoinAsk,
  'instanceId' | 'clientId' | 'clientHost' | 'rebalanceTimeoutMs' | 'sessionTimeoutMs' | 'protocols'
>

/** What a member of the classic protocol says of itself, as a member of a consumer group. */
export function classicProfile(words: ClassicWords, subscription: ConsumerSubscription): MemberProfile {
  const { instanceId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs, protocols } = words
  return {
    instanceId,
    rackId: subscription.rackId,
    clientId,
    clientHost,
    rebalanceTimeoutMs,
    topicNames: subscription.topics,
    pattern: null,
    assignor: null,
    classic: { protocols, sessionTimeoutMs, version: subscription.version },
  }
}

function admit(group: ConsumerGroup, id: string, ask: JoinAsk, profile: MemberProfile): ConsumerMember {
  const empty = { ...profile, topicNames: [] }
  if (ask.instanceId === null) return group.members.get(id) ?? group.add(id, empty)
  const present = group.staticMember(ask.instanceId)
  if (present === undefined) {
    if (ask.memberId !== '') throw new GroupRefusal(KafkaError.UnknownMemberId, `no member ${ask.memberId}`)
    return group.add(id, empty)
  }
  if (ask.memberId === '') return group.replace(present, id)
  if (present.id !== ask.memberId)
    throw new GroupRefusal(KafkaError.FencedInstanceId, `instance ${ask.instanceId} is held by ${present.id}`)
  return present
}

/** Partitions by the topics' names, as the consumer's own words have them, without those of topics that are gone. */
export function assignmentIn(named: readonly TopicPartitions[], topics: GroupTopics): Assignment {
  return assignmentOf(
    named.flatMap(({ topic, partitions }) => {
      const known = topics.byName(topic)
      return known === undefined ? [] : [{ topicId: known.id, partitions }]
    }),
  )
}

/** Throws {@link GroupRefusal}. */
export function syncConsumerGroup(group: ConsumerGroup, ask: SyncAsk, topics: GroupTopics): SyncAnswer {
  const member = check(group, ask.memberId, ask.instanceId, ask.generation)
  const { classic } = member.profile
  if (classic === null) throw new GroupRefusal(KafkaError.UnknownMemberId, `${member.id} is no classic member`)
  const isOther = (name: string | null): boolean => name !== null && !classic.protocols.some((protocol) => protocol.name === name)
  if ((ask.protocolType !== null && ask.protocolType !== consumerProtocolType) || isOther(ask.protocolName))
    throw new GroupRefusal(KafkaError.InconsistentGroupProtocol, 'another protocol')
  if (group.epoch > member.epoch && member.phase !== MemberPhase.Unrevoked) {
    group.expect(member)
    throw new GroupRefusal(KafkaError.RebalanceInProgress, 'there is a newer target')
  }
  if (member.phase !== MemberPhase.Unrevoked) {
    member.patienceTimer?.cancel()
    member.patienceTimer = null
  }
  group.watch(member, classic.sessionTimeoutMs)
  return {
    errorCode: KafkaError.None,
    protocolType: consumerProtocolType,
    protocolName: ask.protocolName ?? classic.protocols[0]?.name ?? null,
    assignment: classicAssignment(member, topics),
  }
}

/** What a member has, in the consumer's own words. */
export function classicAssignment(member: ConsumerMember, topics: GroupTopics): Buffer {
  const assigned = topicsOf(member.assigned).flatMap(({ topicId, partitions }): TopicPartitions[] => {
    const known = topics.byId(topicId)
    return known === undefined ? [] : [{ topic: known.name, partitions }]
  })
  return writeAssignment(member.profile.classic?.version ?? 0, assigned)
}

/** 0, or Kafka's error code. */
export function beatConsumerGroup(group: ConsumerGroup, memberId: string, instanceId: string | null, generation: number): number {
  const member = check(group, memberId, instanceId, generation)
  group.watch(member, member.profile.classic?.sessionTimeoutMs ?? 0)
  const mustJoin =
    member.epoch < group.epoch ||
    member.phase === MemberPhase.Unrevoked ||
    (member.phase === MemberPhase.Unreleased && group.canTakeMore(member))
  if (!mustJoin) return KafkaError.None
  group.expect(member)
  return KafkaError.RebalanceInProgress
}

/** 0, or Kafka's error code. Members of either protocol can be made to leave so by an administrator. */
export function leaveConsumerGroup(group: ConsumerGroup, memberId: string, instanceId: string | null): number {
  const member = instanceId === null ? group.members.get(memberId) : group.staticMember(instanceId)
  if (member === undefined) return KafkaError.UnknownMemberId
  if (instanceId !== null && memberId !== '' && member.id !== memberId) return KafkaError.FencedInstanceId
  group.remove(member)
  group.flush()
  return KafkaError.None
}

function check(group: ConsumerGroup, memberId: string, instanceId: string | null, generation: number): ConsumerMember {
  if (instanceId !== null) {
    const holder = group.staticMember(instanceId)
    if (holder === undefined) throw new GroupRefusal(KafkaError.UnknownMemberId, `no instance ${instanceId}`)
    if (holder.id !== memberId)
      throw new GroupRefusal(KafkaError.FencedInstanceId, `instance ${instanceId} is held by ${holder.id}`)
  }
  const member = group.members.get(memberId)
  if (member === undefined || !member.isClassic)
    throw new GroupRefusal(KafkaError.UnknownMemberId, `no classic member ${memberId}`)
  if (generation !== member.epoch) throw new GroupRefusal(KafkaError.IllegalGeneration, `the generation is ${member.epoch}`)
  return member
}
