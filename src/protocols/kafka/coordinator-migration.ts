// A group's way from the classic protocol to the consumer protocol and back while its members are exchanged one by one (KIP-848, online migration).

import type { ConsumerGroup } from './consumer-group.ts'
import { assignmentIn, classicAssignment, classicProfile } from './consumer-group-classic.ts'
import { ConsumerMember } from './consumer-group-member.ts'
import type { ClassicGroup, GroupSnapshot } from './group.ts'
import { consumerProtocolType, readAssignment, readSubscription } from './group-consumer-protocol.ts'
import type { Member } from './group-member.ts'
import type { GroupTopics } from './group-topics.ts'

/** The members of a classic group as members of a consumer group of the same epoch; undefined when they do not speak the consumer's own words. */
export function upgradedMembers(group: ClassicGroup, topics: GroupTopics): ConsumerMember[] | undefined {
  if (group.protocolType !== consumerProtocolType) return undefined
  const members: ConsumerMember[] = []
  for (const member of group.members.values()) {
    const upgraded = upgradedMember(member, group, topics)
    if (upgraded === undefined) return undefined
    members.push(upgraded)
  }
  return members
}

function upgradedMember(member: Member, group: ClassicGroup, topics: GroupTopics): ConsumerMember | undefined {
  const chosen = group.protocolName ?? member.protocols[0]?.name ?? null
  const subscription = readSubscription(member.metadataFor(chosen))
  const assignment = readAssignment(member.assignment)
  if (subscription === undefined || assignment === undefined) return undefined
  const upgraded = new ConsumerMember(member.id, classicProfile(member, subscription))
  const assigned = assignmentIn(assignment, topics)
  upgraded.epoch = group.generation
  upgraded.previousEpoch = group.generation
  upgraded.assigned = assigned
  upgraded.target = assigned
  return upgraded
}

/** A consumer group that has classic members only, as a classic group of the newest generation that one of them knows. */
export function downgraded(group: ConsumerGroup, topics: GroupTopics): GroupSnapshot {
  const members = [...group.members.values()].map((member) => {
    const { instanceId, clientId, clientHost, rebalanceTimeoutMs, classic } = member.profile
    return {
      id: member.id,
      instanceId,
      clientId,
      clientHost,
      sessionTimeoutMs: classic?.sessionTimeoutMs ?? 0,
      rebalanceTimeoutMs,
      protocols: classic?.protocols ?? [],
      assignment: classicAssignment(member, topics),
    }
  })
  const protocolName = members[0]?.protocols[0]?.name ?? null
  const generation = Math.max(0, ...[...group.members.values()].map((member) => member.epoch))
  return { generation, protocolType: consumerProtocolType, protocolName, leader: members[0]?.id ?? '', members }
}
