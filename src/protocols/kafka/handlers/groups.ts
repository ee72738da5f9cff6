// The classic group requests: each finds its group in the coordinator and turns answers into messages.
import { codeOf, KafkaError } from '../errors.ts'
import { type GroupProtocol, GroupState, type JoinAsk, sessionTimeoutMaxMs, sessionTimeoutMinMs } from '../group.ts'
import type { Message } from '../schema.ts'
import type { Request } from '../session.ts'

export function joinGroup(request: Request): void {
  const { session, version } = request
  const body = request.body()
  const refuse = (errorCode: number): void =>
    request.respond({ errorCode, memberId: body['memberId'], protocolName: version >= 7 ? null : '' })
  if (body['groupId'] === '') return refuse(KafkaError.InvalidGroupId)
  if (!session.principal.may('consume', 'default', body['groupId'])) return refuse(KafkaError.GroupAuthorizationFailed)
  const sessionTimeoutMs: number = body['sessionTimeoutMs']
  if (sessionTimeoutMs < sessionTimeoutMinMs || sessionTimeoutMs > sessionTimeoutMaxMs)
    return refuse(KafkaError.InvalidSessionTimeout)
  // Only a member that is new may make a group: one that says it has an id belongs to a group we do not know.
  const group = body['memberId'] === '' ? session.coordinator.open(body['groupId']) : session.coordinator.get(body['groupId'])
  if (group === undefined)
    return refuse(body['memberId'] === '' ? KafkaError.CoordinatorNotAvailable : KafkaError.UnknownMemberId)
  const ask: JoinAsk = {
    memberId: body['memberId'],
    instanceId: body['groupInstanceId'],
    clientId: request.clientId ?? '',
    clientHost: `/${session.connection.remoteAddress.replace(/^::ffff:/, '')}`,
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
  group.join(ask, (answer) => request.respond({ ...answer, protocolName: answer.protocolName ?? (version >= 7 ? null : '') }))
}

export function syncGroup(request: Request): void {
  const { session } = request
  const body = request.body()
  const group = session.coordinator.get(body['groupId'])
  if (group === undefined) return request.respond({ errorCode: KafkaError.UnknownMemberId })
  const protocol = { type: body['protocolType'], name: body['protocolName'] }
  group.sync(body['memberId'], body['groupInstanceId'], body['generationId'], protocol, body['assignments'], (answer) =>
    request.respond({ ...answer }),
  )
}

export function heartbeat(request: Request): void {
  const body = request.body()
  const group = request.session.coordinator.get(body['groupId'])
  const errorCode =
    group?.heartbeat(body['memberId'], body['groupInstanceId'], body['generationId']) ?? KafkaError.UnknownMemberId
  request.respond({ errorCode })
}

export function leaveGroup(request: Request): void {
  const { session, version } = request
  const body = request.body()
  const group = session.coordinator.get(body['groupId'])
  if (version < 3) return request.respond({ errorCode: group?.leave(body['memberId'], null) ?? KafkaError.UnknownMemberId })
  const members = (body['members'] as Message[]).map(({ memberId, groupInstanceId }) => ({
    memberId,
    groupInstanceId,
    errorCode: group?.leave(memberId, groupInstanceId) ?? KafkaError.UnknownMemberId,
  }))
  request.respond({ members })
}

export function listGroups(request: Request): void {
  const { coordinator, space } = request.session
  const body = request.body()
  const states = lowered(body['statesFilter'])
  const types = lowered(body['typesFilter'])
  const groups = coordinator
    .all()
    .filter((group) => !group.isIdle || group.generation > 0)
    .map((group) => ({
      groupId: group.name,
      protocolType: group.protocolType,
      groupState: group.state as string,
      groupType: 'classic',
    }))
  const known = new Set(groups.map((group) => group.groupId))
  for (const groupId of space.cursorGroups()) {
    if (!known.has(groupId)) groups.push({ groupId, protocolType: '', groupState: GroupState.Empty, groupType: 'classic' })
  }
  request.respond({
    groups: groups.filter(
      (group) =>
        (states.size === 0 || states.has(group.groupState.toLowerCase())) && (types.size === 0 || types.has(group.groupType)),
    ),
  })
}

const lowered = (words: readonly string[]): Set<string> => new Set(words.map((word) => word.toLowerCase()))

export function describeGroups(request: Request): void {
  const { coordinator, space } = request.session
  const stored = new Set(space.cursorGroups())
  const groups = (request.body()['groups'] as string[]).map((groupId) => {
    const group = coordinator.get(groupId)
    if (group === undefined) {
      if (stored.has(groupId)) return { groupId, groupState: GroupState.Empty, errorMessage: null }
      if (request.version < 6) return { groupId, groupState: 'Dead' }
      return { groupId, groupState: 'Dead', errorCode: KafkaError.GroupIdNotFound, errorMessage: `Group ${groupId} not found.` }
    }
    const members = [...group.members.values()].map((member) => ({
      memberId: member.id,
      groupInstanceId: member.instanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      memberMetadata: member.metadataFor(group.protocolName),
      memberAssignment: member.assignment,
    }))
    return {
      groupId,
      groupState: group.state,
      errorMessage: null,
      protocolType: group.protocolType,
      protocolData: group.protocolName ?? '',
      members,
    }
  })
  request.respond({ groups })
}

export async function deleteGroups(request: Request): Promise<void> {
  const { coordinator, space } = request.session
  const results: object[] = []
  for (const groupId of request.body()['groupsNames'] as string[]) {
    const group = coordinator.get(groupId)
    let errorCode: number = KafkaError.None
    if (group !== undefined && group.members.size > 0) errorCode = KafkaError.NonEmptyGroup
    else if (group === undefined && !space.cursorGroups().includes(groupId)) errorCode = KafkaError.GroupIdNotFound
    else {
      try {
        await space.deleteCursors(groupId)
        coordinator.delete(groupId)
      } catch (cause) {
        errorCode = codeOf(cause)
      }
    }
    results.push({ groupId, errorCode })
  }
  request.respond({ results })
}
