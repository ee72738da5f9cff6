// A member of a classic group, what it asks and what it is answered.
import type { Timer } from '../../lib/timers.ts'

const noBytes = Buffer.alloc(0)

export interface GroupProtocol {
  readonly name: string
  readonly metadata: Buffer
}

export interface JoinAsk {
  readonly memberId: string
  readonly instanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly protocolType: string
  readonly protocols: readonly GroupProtocol[]
  /** v4 and later: a new member is first told its id, and joins with it. */
  readonly needsMemberId: boolean
  /** v9 and later: a leader that need not assign can be told so. */
  readonly canSkipAssignment: boolean
}

export interface JoinAnswer {
  readonly errorCode: number
  readonly memberId: string
  readonly generationId: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly leader: string
  readonly skipAssignment: boolean
  readonly members: { memberId: string; groupInstanceId: string | null; metadata: Buffer }[]
}

export interface SyncAsk {
  readonly memberId: string
  readonly instanceId: string | null
  readonly generation: number
  /** null in versions that do not tell. */
  readonly protocolType: string | null
  readonly protocolName: string | null
  /** From the leader only. */
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[]
}

export interface SyncAnswer {
  readonly errorCode: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignment: Buffer
}

/** What of a member outlives a restart and a change of the group's kind. */
export interface MemberState {
  readonly id: string
  readonly instanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly protocols: readonly GroupProtocol[]
  readonly assignment: Buffer
}

export class Member {
  readonly id: string
  readonly instanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  sessionTimeoutMs: number
  rebalanceTimeoutMs: number
  protocols: readonly GroupProtocol[]
  assignment: Buffer
  /** Answers a join that waits for the others. */
  joining: ((answer: JoinAnswer) => void) | null = null
  /** Answers a sync that waits for the leader. */
  syncing: ((answer: SyncAnswer) => void) | null = null
  lastSeen = 0
  timer: Timer | null = null
  isGone = false

  constructor(state: MemberState) {
    this.id = state.id
    this.instanceId = state.instanceId
    this.clientId = state.clientId
    this.clientHost = state.clientHost
    this.sessionTimeoutMs = state.sessionTimeoutMs
    this.rebalanceTimeoutMs = state.rebalanceTimeoutMs
    this.protocols = state.protocols
    this.assignment = state.assignment
  }

  static joining(id: string, ask: JoinAsk): Member {
    return new Member({ ...ask, id, assignment: noBytes })
  }

  get state(): MemberState {
    const { id, instanceId, clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs, protocols, assignment } = this
    return { id, instanceId, clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs, protocols, assignment }
  }

  supports(protocol: string): boolean {
    return this.protocols.some((candidate) => candidate.name === protocol)
  }

  metadataFor(protocol: string | null): Buffer {
    return this.protocols.find((candidate) => candidate.name === protocol)?.metadata ?? noBytes
  }

  /** It has become another's, or is no longer one. Whoever waits on its behalf is told. */
  end(errorCode: number): void {
    this.isGone = true
    this.timer?.cancel()
    this.joining?.(joinFailure(errorCode, this.id))
    this.syncing?.(syncFailure(errorCode))
    this.joining = null
    this.syncing = null
  }
}

export function joinFailure(errorCode: number, memberId: string): JoinAnswer {
  return {
    errorCode,
    memberId,
    generationId: -1,
    protocolType: null,
    protocolName: null,
    leader: '',
    skipAssignment: false,
    members: [],
  }
}

export function syncFailure(errorCode: number): SyncAnswer {
  return { errorCode, protocolType: null, protocolName: null, assignment: noBytes }
}

export function sameProtocols(a: readonly GroupProtocol[], b: readonly GroupProtocol[]): boolean {
  return (
    a.length === b.length &&
    a.every((protocol, index) => protocol.name === b[index]?.name && protocol.metadata.equals(b[index].metadata))
  )
}

/** Each member votes for the first of its protocols that all have. */
export function electedProtocol(members: Iterable<Member>): string | null {
  const [first, ...others] = members
  if (first === undefined) return null
  const common = new Set(first.protocols.map(({ name }) => name))
  for (const member of others) for (const name of common) if (!member.supports(name)) common.delete(name)
  const votes = new Map<string, number>()
  for (const { protocols } of [first, ...others]) {
    const choice = protocols.find(({ name }) => common.has(name))
    if (choice !== undefined) votes.set(choice.name, (votes.get(choice.name) ?? 0) + 1)
  }
  let best: string | null = null
  for (const [name, count] of votes) if (best === null || count > (votes.get(best) ?? 0)) best = name
  return best
}
