// The classic group requests: each finds its group in the coordinator and turns answers into messages.
import type { Action } from '../../../broker/face.ts'
import { plainAddress } from '../../../lib/ip.ts'
import { codeOf, KafkaError } from '../errors.ts'
import { GroupState, sessionTimeoutMaxMs, sessionTimeoutMinMs } from '../group.ts'
import type { GroupProtocol, JoinAsk, SyncAsk } from '../group-member.ts'
import { mayGroup } from '../operations.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'
import type { KafkaSession } from '../session.ts'

export const clientHost = (session: KafkaSession): string => `/${plainAddress(session.connection.remoteAddress)}`

/** Every use of a group needs the right to consume under its name; to look at it or to delete it takes less, and other rights. */
export function mayUse(session: KafkaSession, groupId: string, action: Action = 'consume'): boolean {
  return mayGroup(session, action, groupId)
}

export function joinGroup(request: Request): void {
  const { session, version } = request
  const body = request.body()
  const refuse = (errorCode: number): void =>
    request.respond({ errorCode, memberId: body['memberId'], protocolName: version >= 7 ? null : '' })
  if (body['groupId'] === '') return refuse(KafkaError.InvalidGroupId)
  if (!mayUse(session, body['groupId'])) return refuse(KafkaError.GroupAuthorizationFailed)
  const sessionTimeoutMs: number = body['sessionTimeoutMs']
  if (sessionTimeoutMs < sessionTimeoutMinMs || sessionTimeoutMs > sessionTimeoutMaxMs)
    return refuse(KafkaError.InvalidSessionTimeout)
  const ask: JoinAsk = {
    memberId: body['memberId'],
    instanceId: body['groupInstanceId'],
    clientId: request.clientId ?? '',
    clientHost: clientHost(session),
    sessionTimeoutMs,
    rebalanceTimeoutMs: body['rebalanceTimeoutMs'] < 0 ? sessionTimeoutMs : body['rebalanceTimeoutMs'],
    protocolType: body['protocolType'],
    // Kept beyond this turn, so copied out of the frame.
    protocols: (body['protocols'] as Message[]).map(
      (protocol): GroupProtocol => ({ name: protocol['name'], metadata: Buffer.from(protocol['metadata']) }),
    ),
    needsMemberId: version >= 4,
    canSkipAssignment: version >= 9,
  }
  session.coordinator.join(body['groupId'], ask, (answer) =>
    request.respond({ ...answer, protocolName: answer.protocolName ?? (version >= 7 ? null : '') }),
  )
}

export function syncGroup(request: Request): void {
  const { session } = request
  const body = request.body()
  if (!mayUse(session, body['groupId'])) return request.respond({ errorCode: KafkaError.GroupAuthorizationFailed })
  const ask: SyncAsk = {
    memberId: body['memberId'],
    instanceId: body['groupInstanceId'],
    generation: body['generationId'],
    protocolType: body['protocolType'],
    protocolName: body['protocolName'],
    assignments: body['assignments'],
  }
  session.coordinator.sync(body['groupId'], ask, (answer) => request.respond({ ...answer }))
}

export function heartbeat(request: Request): void {
  const body = request.body()
  const { session } = request
  if (!mayUse(session, body['groupId'])) return request.respond({ errorCode: KafkaError.GroupAuthorizationFailed })
  const errorCode = session.coordinator.beat(body['groupId'], body['memberId'], body['groupInstanceId'], body['generationId'])
  request.respond({ errorCode })
}

export function leaveGroup(request: Request): void {
  const { session, version } = request
  const body = request.body()
  if (!mayUse(session, body['groupId'])) return request.respond({ errorCode: KafkaError.GroupAuthorizationFailed })
  const leave = (memberId: string, instanceId: string | null): number =>
    session.coordinator.leave(body['groupId'], memberId, instanceId)
  if (version < 3) return request.respond({ errorCode: leave(body['memberId'], null) })
  const members = (body['members'] as Message[]).map(({ memberId, groupInstanceId }) => ({
    memberId,
    groupInstanceId,
    errorCode: leave(memberId, groupInstanceId),
  }))
  request.respond({ members })
}

export function listGroups(request: Request): void {
  const { session } = request
  const { coordinator, space } = session
  const body = request.body()
  const states = lowered(body['statesFilter'])
  const types = lowered(body['typesFilter'])
  const groups = coordinator.all().map((group) => ({
    groupId: group.name,
    protocolType: group.protocolType,
    groupState: group.state as string,
    groupType: group.kind as string,
  }))
  const known = new Set(groups.map((group) => group.groupId))
  for (const groupId of space.cursorGroups()) {
    if (!known.has(groupId)) groups.push({ groupId, protocolType: '', groupState: GroupState.Empty, groupType: 'classic' })
  }
  request.respond({
    groups: groups.filter(
      (group) =>
        mayUse(session, group.groupId, 'describe') &&
        (states.size === 0 || states.has(group.groupState.toLowerCase())) &&
        (types.size === 0 || types.has(group.groupType)),
    ),
  })
}

const lowered = (words: readonly string[]): Set<string> => new Set(words.map((word) => word.toLowerCase()))

export function describeGroups(request: Request): void {
  const { session } = request
  const stored = new Set(session.space.cursorGroups())
  const groups = (request.body()['groups'] as string[]).map((groupId) => describe(request, groupId, stored.has(groupId)))
  request.respond({ groups })
}

function describe(request: Request, groupId: string, hasOffsets: boolean): object {
  const { session } = request
  if (!mayUse(session, groupId, 'describe'))
    return { groupId, errorCode: KafkaError.GroupAuthorizationFailed, errorMessage: null }
  const group = session.coordinator.get(groupId)
  if (group === undefined) {
    if (hasOffsets) return { groupId, groupState: GroupState.Empty, errorMessage: null }
    // KIP-1043: before version 6 a group that does not exist is a dead one.
    if (request.version < 6) return { groupId, groupState: 'Dead', errorMessage: null }
    return { groupId, groupState: 'Dead', errorCode: KafkaError.GroupIdNotFound, errorMessage: `Group ${groupId} not found.` }
  }
  if (group.kind !== 'classic') {
    if (request.version < 6) return { groupId, groupState: 'Dead', errorMessage: null }
    const errorMessage = `Group ${groupId} is not a classic group.`
    return { groupId, groupState: 'Dead', errorCode: KafkaError.GroupIdNotFound, errorMessage }
  }
  // What members say and have is settled in a stable group only.
  const isStable = group.state === GroupState.Stable
  const members = [...group.members.values()].map((member) => ({
    memberId: member.id,
    groupInstanceId: member.instanceId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    ...(isStable && { memberMetadata: member.metadataFor(group.protocolName), memberAssignment: member.assignment }),
  }))
  const protocolData = isStable ? (group.protocolName ?? '') : ''
  return { groupId, groupState: group.state, errorMessage: null, protocolType: group.protocolType, protocolData, members }
}

export async function deleteGroups(request: Request): Promise<void> {
  const results: object[] = []
  for (const groupId of request.body()['groupsNames'] as string[]) {
    results.push({ groupId, errorCode: await deleteGroup(request.session, groupId).catch(codeOf) })
  }
  request.respond({ results })
}

async function deleteGroup(session: KafkaSession, groupId: string): Promise<number> {
  const { coordinator, space, transactions } = session
  if (!mayUse(session, groupId, 'delete')) return KafkaError.GroupAuthorizationFailed
  const group = coordinator.get(groupId)
  if (group !== undefined && group.members.size > 0) return KafkaError.NonEmptyGroup
  if (group === undefined && !space.cursorGroups().includes(groupId)) return KafkaError.GroupIdNotFound
  if (group?.kind === 'share') await coordinator.deleteShareState(group)
  coordinator.delete(groupId)
  transactions.dropPending(groupId)
  await space.deleteCursors(groupId)
  return KafkaError.None
}
