// One classic consumer group (the join/sync protocol). Pure but for the clock: answers go out through callbacks.
//
//   state       on                                   to
//   Empty       join                                 Preparing
//   Preparing   all members have joined, or timeout  Completing (Empty when nobody is left); generation + 1
//   Completing  sync of the leader                   Stable
//   Completing  a member joins anew, leaves, expires Preparing
//   Stable      a member joins, leaves, expires      Preparing
//   any but Empty, the last member leaves            Empty
import { randomUUID } from 'node:crypto'
import type { Clock, Timer } from '../../lib/timers.ts'
import { KafkaError } from './errors.ts'
import { consumerProtocolSubscription } from './messages.ts'
import { Schema } from './schema.ts'
import { Reader } from './wire.ts'

export const GroupState = {
  Empty: 'Empty',
  Preparing: 'PreparingRebalance',
  Completing: 'CompletingRebalance',
  Stable: 'Stable',
} as const
export type GroupState = (typeof GroupState)[keyof typeof GroupState]

export const sessionTimeoutMinMs = 6000
export const sessionTimeoutMaxMs = 1_800_000
const membersMax = 5000
const noBytes = Buffer.alloc(0)
const subscriptionSchema = new Schema(consumerProtocolSubscription, 0x7fff)

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

export interface SyncAnswer {
  readonly errorCode: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignment: Buffer
}

export class Member {
  readonly id: string
  readonly instanceId: string | null
  clientId: string
  clientHost: string
  sessionTimeoutMs: number
  rebalanceTimeoutMs: number
  protocols: readonly GroupProtocol[]
  assignment: Buffer = noBytes
  /** Answers a join that waits for the others. */
  joining: ((answer: JoinAnswer) => void) | null = null
  /** Answers a sync that waits for the leader. */
  syncing: ((answer: SyncAnswer) => void) | null = null
  lastSeen = 0
  timer: Timer | null = null
  isGone = false

  constructor(id: string, ask: JoinAsk) {
    this.id = id
    this.instanceId = ask.instanceId
    this.clientId = ask.clientId
    this.clientHost = ask.clientHost
    this.sessionTimeoutMs = ask.sessionTimeoutMs
    this.rebalanceTimeoutMs = ask.rebalanceTimeoutMs
    this.protocols = ask.protocols
  }

  metadataFor(protocol: string | null): Buffer {
    return this.protocols.find((candidate) => candidate.name === protocol)?.metadata ?? noBytes
  }
}

export class Group {
  readonly name: string
  readonly #clock: Clock
  state: GroupState = GroupState.Empty
  generation = 0
  protocolType = ''
  protocolName: string | null = null
  leader = ''
  readonly members = new Map<string, Member>()
  readonly #byInstance = new Map<string, string>()
  /** Told an id and not back with it yet. */
  readonly #announced = new Map<string, Timer>()
  #rebalanceTimer: Timer | null = null

  constructor(name: string, clock: Clock) {
    this.name = name
    this.#clock = clock
  }

  get isIdle(): boolean {
    return this.members.size === 0 && this.#announced.size === 0
  }

  subscribesTo(topic: string): boolean {
    if (this.protocolType !== 'consumer') return false
    return [...this.members.values()].some((member) =>
      member.protocols.some((protocol) => subscribedTopics(protocol.metadata).includes(topic)),
    )
  }

  // ------------------------------------------------------------------------------------------------------------------------ join

  join(ask: JoinAsk, answer: (answer: JoinAnswer) => void): void {
    const refuse = (errorCode: number, memberId = ask.memberId): void => answer(joinFailure(errorCode, memberId))
    if (!this.#suits(ask)) return refuse(KafkaError.InconsistentGroupProtocol)
    const instanceHolder = ask.instanceId === null ? undefined : this.#byInstance.get(ask.instanceId)
    if (ask.memberId === '') {
      if (this.members.size + this.#announced.size >= membersMax) return refuse(KafkaError.GroupMaxSizeReached)
      const id = `${ask.instanceId ?? ask.clientId}-${randomUUID()}`
      if (instanceHolder !== undefined) return this.#replaceStatic(instanceHolder, id, ask, answer)
      if (ask.needsMemberId && ask.instanceId === null) {
        this.#announce(id, ask.sessionTimeoutMs)
        return refuse(KafkaError.MemberIdRequired, id)
      }
      return this.#add(id, ask, answer)
    }
    if (ask.instanceId !== null) {
      if (instanceHolder === undefined) return refuse(KafkaError.UnknownMemberId)
      if (instanceHolder !== ask.memberId) return refuse(KafkaError.FencedInstanceId)
    }
    const announced = this.#announced.get(ask.memberId)
    if (announced !== undefined) {
      announced.cancel()
      this.#announced.delete(ask.memberId)
      return this.#add(ask.memberId, ask, answer)
    }
    const member = this.members.get(ask.memberId)
    if (member === undefined) return refuse(KafkaError.UnknownMemberId)
    this.#rejoin(member, ask, answer)
  }

  /** The type must be the group's, and one protocol must be common to all. */
  #suits(ask: JoinAsk): boolean {
    if (ask.protocolType === '' || ask.protocols.length === 0) return false
    const others = [...this.members.values()].filter(
      (member) => member.id !== ask.memberId && (ask.instanceId === null || member.instanceId !== ask.instanceId),
    )
    if (others.length === 0) return true
    if (ask.protocolType !== this.protocolType) return false
    return ask.protocols.some(({ name }) => others.every((member) => member.protocols.some((protocol) => protocol.name === name)))
  }

  #announce(id: string, timeoutMs: number): void {
    const timer = this.#clock.after(timeoutMs, () => {
      this.#announced.delete(id)
      this.#considerCompletingJoin()
    })
    this.#announced.set(id, timer)
  }

  #add(id: string, ask: JoinAsk, answer: (answer: JoinAnswer) => void): void {
    const member = new Member(id, ask)
    if (this.members.size === 0) this.protocolType = ask.protocolType
    this.members.set(id, member)
    if (ask.instanceId !== null) this.#byInstance.set(ask.instanceId, id)
    if (this.leader === '') this.leader = id
    this.#watch(member)
    member.joining = answer
    this.#rebalance()
  }

  #rejoin(member: Member, ask: JoinAsk, answer: (answer: JoinAnswer) => void): void {
    const changed = !sameProtocols(member.protocols, ask.protocols)
    member.protocols = ask.protocols
    member.sessionTimeoutMs = ask.sessionTimeoutMs
    member.rebalanceTimeoutMs = ask.rebalanceTimeoutMs
    member.lastSeen = this.#clock.now()
    switch (this.state) {
      case GroupState.Preparing:
        // A second join of the same member: the first one's answer was given up by it.
        member.joining?.(joinFailure(KafkaError.RebalanceInProgress, member.id))
        member.joining = answer
        return this.#considerCompletingJoin()
      case GroupState.Completing:
        // The answer to the join was lost perhaps: tell it again.
        if (!changed) return answer(this.#joinAnswer(member))
        break
      case GroupState.Stable:
        // Only a leader's rejoin, or news, make the others join too.
        if (!changed && member.id !== this.leader) return answer(this.#joinAnswer(member))
        break
      case GroupState.Empty:
        break
    }
    member.joining = answer
    this.#rebalance()
  }

  /** A static member is back after a restart: it takes its old place, and when it wants the same, nobody else notices. */
  #replaceStatic(oldId: string, id: string, ask: JoinAsk, answer: (answer: JoinAnswer) => void): void {
    const old = this.members.get(oldId)
    const member = new Member(id, ask)
    const wasLeader = this.leader === oldId
    if (old !== undefined) {
      member.assignment = old.assignment
      old.isGone = true
      old.timer?.cancel()
      old.joining?.(joinFailure(KafkaError.FencedInstanceId, oldId))
      old.syncing?.(syncFailure(KafkaError.FencedInstanceId))
      this.members.delete(oldId)
    }
    this.members.set(id, member)
    if (ask.instanceId !== null) this.#byInstance.set(ask.instanceId, id)
    if (wasLeader) this.leader = id
    this.#watch(member)
    const same = old?.metadataFor(this.protocolName).equals(member.metadataFor(this.protocolName)) ?? false
    if (this.state === GroupState.Stable && same && this.#vote() === this.protocolName) {
      const usual = this.#joinAnswer(member)
      if (!wasLeader) return answer(usual)
      // Its assignments stand. One that can not be told so is told that its former self leads, so that it only syncs.
      return answer(ask.canSkipAssignment ? { ...usual, skipAssignment: true } : { ...usual, leader: oldId, members: [] })
    }
    member.joining = answer
    this.#rebalance()
  }

  #rebalance(): void {
    if (this.state !== GroupState.Preparing) {
      for (const member of this.members.values()) {
        member.syncing?.(syncFailure(KafkaError.RebalanceInProgress))
        member.syncing = null
      }
      this.state = GroupState.Preparing
      this.#arm(() => this.#completeJoin())
    }
    this.#considerCompletingJoin()
  }

  /** The patience of a phase is that of its most patient member. */
  #arm(run: () => void): void {
    this.#rebalanceTimer?.cancel()
    let patience = 0
    for (const member of this.members.values()) patience = Math.max(patience, member.rebalanceTimeoutMs)
    this.#rebalanceTimer = this.#clock.after(patience, run)
  }

  #considerCompletingJoin(): void {
    if (this.state !== GroupState.Preparing || this.#announced.size > 0) return
    for (const member of this.members.values()) if (member.joining === null) return
    this.#completeJoin()
  }

  #completeJoin(): void {
    if (this.state !== GroupState.Preparing) return
    this.#rebalanceTimer?.cancel()
    for (const member of [...this.members.values()]) {
      // Static members keep their place until their session ends.
      if (member.joining === null && member.instanceId === null) this.#forget(member)
    }
    this.generation++
    if (this.members.size === 0) return this.#becomeEmpty()
    if (this.members.get(this.leader)?.joining == null)
      this.leader = [...this.members.values()].find((member) => member.joining !== null)?.id ?? this.leader
    this.protocolName = this.#vote()
    this.state = GroupState.Completing
    this.#arm(() => this.#dropUnsynced())
    for (const member of this.members.values()) {
      const answer = member.joining
      member.joining = null
      this.#watch(member)
      answer?.(this.#joinAnswer(member))
    }
  }

  #joinAnswer(member: Member): JoinAnswer {
    const leads = member.id === this.leader
    const members = leads
      ? [...this.members.values()].map((each) => ({
          memberId: each.id,
          groupInstanceId: each.instanceId,
          metadata: each.metadataFor(this.protocolName),
        }))
      : []
    const { generation: generationId, protocolType, protocolName, leader } = this
    return {
      errorCode: KafkaError.None,
      memberId: member.id,
      generationId,
      protocolType,
      protocolName,
      leader,
      skipAssignment: false,
      members,
    }
  }

  /** Each member votes for the first of its protocols that all have. */
  #vote(): string | null {
    const members = [...this.members.values()]
    const common = (name: string): boolean =>
      members.every((member) => member.protocols.some((protocol) => protocol.name === name))
    const votes = new Map<string, number>()
    for (const member of members) {
      const choice = member.protocols.find((protocol) => common(protocol.name))
      if (choice !== undefined) votes.set(choice.name, (votes.get(choice.name) ?? 0) + 1)
    }
    let best: string | null = null
    for (const [name, count] of votes) if (best === null || count > (votes.get(best) ?? 0)) best = name
    return best
  }

  // ------------------------------------------------------------------------------------------------------------------------ sync

  sync(
    memberId: string,
    instanceId: string | null,
    generation: number,
    protocol: { readonly type: string | null; readonly name: string | null },
    assignments: readonly { memberId: string; assignment: Buffer }[],
    answer: (answer: SyncAnswer) => void,
  ): void {
    const refused = this.#check(memberId, instanceId, generation)
    if (refused !== KafkaError.None) return answer(syncFailure(refused))
    const member = this.members.get(memberId)
    if (member === undefined) return answer(syncFailure(KafkaError.UnknownMemberId))
    if (
      (protocol.type !== null && protocol.type !== this.protocolType) ||
      (protocol.name !== null && protocol.name !== this.protocolName)
    ) {
      return answer(syncFailure(KafkaError.InconsistentGroupProtocol))
    }
    this.#watch(member)
    switch (this.state) {
      case GroupState.Empty:
        return answer(syncFailure(KafkaError.UnknownMemberId))
      case GroupState.Preparing:
        return answer(syncFailure(KafkaError.RebalanceInProgress))
      case GroupState.Stable:
        return answer(this.#syncAnswer(member))
      case GroupState.Completing:
        member.syncing?.(syncFailure(KafkaError.RebalanceInProgress))
        member.syncing = answer
        if (memberId === this.leader) this.#assign(assignments)
    }
  }

  #assign(assignments: readonly { memberId: string; assignment: Buffer }[]): void {
    for (const member of this.members.values()) member.assignment = noBytes
    for (const { memberId, assignment } of assignments) {
      const member = this.members.get(memberId)
      if (member !== undefined) member.assignment = Buffer.from(assignment)
    }
    this.state = GroupState.Stable
    for (const member of this.members.values()) {
      const answer = member.syncing
      member.syncing = null
      answer?.(this.#syncAnswer(member))
    }
    this.#rebalanceTimer?.cancel()
  }

  #syncAnswer(member: Member): SyncAnswer {
    return {
      errorCode: KafkaError.None,
      protocolType: this.protocolType,
      protocolName: this.protocolName,
      assignment: member.assignment,
    }
  }

  #dropUnsynced(): void {
    if (this.state !== GroupState.Completing) return
    for (const member of [...this.members.values()]) if (member.syncing === null) this.#forget(member)
    if (this.members.size === 0) return this.#becomeEmpty()
    this.#rebalance()
  }

  // -------------------------------------------------------------------------------------------------------- heartbeat, leave, expiry

  heartbeat(memberId: string, instanceId: string | null, generation: number): number {
    const refused = this.#check(memberId, instanceId, generation)
    if (refused !== KafkaError.None) return refused
    const member = this.members.get(memberId)
    if (member === undefined) return KafkaError.UnknownMemberId
    member.lastSeen = this.#clock.now()
    return this.state === GroupState.Preparing ? KafkaError.RebalanceInProgress : KafkaError.None
  }

  mayCommit(memberId: string, instanceId: string | null, generation: number): number {
    const refused = this.#check(memberId, instanceId, generation)
    if (refused !== KafkaError.None) return refused
    const member = this.members.get(memberId)
    if (member !== undefined) member.lastSeen = this.#clock.now()
    return this.state === GroupState.Completing ? KafkaError.RebalanceInProgress : KafkaError.None
  }

  #check(memberId: string, instanceId: string | null, generation: number): number {
    if (instanceId !== null) {
      const holder = this.#byInstance.get(instanceId)
      if (holder === undefined) return KafkaError.UnknownMemberId
      if (holder !== memberId) return KafkaError.FencedInstanceId
    }
    if (!this.members.has(memberId)) return KafkaError.UnknownMemberId
    return generation === this.generation ? KafkaError.None : KafkaError.IllegalGeneration
  }

  leave(memberId: string, instanceId: string | null): number {
    if (instanceId !== null) {
      const holder = this.#byInstance.get(instanceId)
      if (holder === undefined) return KafkaError.UnknownMemberId
      if (memberId !== '' && holder !== memberId) return KafkaError.FencedInstanceId
      return this.leave(holder, null)
    }
    const announced = this.#announced.get(memberId)
    if (announced !== undefined) {
      announced.cancel()
      this.#announced.delete(memberId)
      this.#considerCompletingJoin()
      return KafkaError.None
    }
    const member = this.members.get(memberId)
    if (member === undefined) return KafkaError.UnknownMemberId
    this.#remove(member)
    return KafkaError.None
  }

  #remove(member: Member): void {
    this.#forget(member)
    if (this.members.size === 0) {
      this.generation++
      return this.#becomeEmpty()
    }
    if (this.state === GroupState.Preparing) this.#considerCompletingJoin()
    else this.#rebalance()
  }

  /** Takes a member out, whatever that means for the others. */
  #forget(member: Member): void {
    member.isGone = true
    member.timer?.cancel()
    this.members.delete(member.id)
    if (member.instanceId !== null && this.#byInstance.get(member.instanceId) === member.id)
      this.#byInstance.delete(member.instanceId)
    if (this.leader === member.id) this.leader = [...this.members.keys()][0] ?? ''
    member.joining?.(joinFailure(KafkaError.UnknownMemberId, member.id))
    member.syncing?.(syncFailure(KafkaError.UnknownMemberId))
    member.joining = null
    member.syncing = null
  }

  #becomeEmpty(): void {
    this.#rebalanceTimer?.cancel()
    this.state = GroupState.Empty
    this.protocolName = null
    this.leader = ''
  }

  /** Starts the member's session anew. Heartbeats only note the time; the timer finds out when it fires. */
  #watch(member: Member): void {
    member.lastSeen = this.#clock.now()
    member.timer?.cancel()
    const expire = (): void => {
      if (member.isGone) return
      const waiting = member.joining !== null || member.syncing !== null
      const left = waiting ? member.sessionTimeoutMs : member.lastSeen + member.sessionTimeoutMs - this.#clock.now()
      if (left > 0) member.timer = this.#clock.after(left, expire)
      else this.#remove(member)
    }
    member.timer = this.#clock.after(member.sessionTimeoutMs, expire)
  }
}

function joinFailure(errorCode: number, memberId: string): JoinAnswer {
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

function syncFailure(errorCode: number): SyncAnswer {
  return { errorCode, protocolType: null, protocolName: null, assignment: noBytes }
}

function sameProtocols(a: readonly GroupProtocol[], b: readonly GroupProtocol[]): boolean {
  return (
    a.length === b.length &&
    a.every((protocol, index) => protocol.name === b[index]?.name && protocol.metadata.equals(b[index].metadata))
  )
}

/** The topics in a consumer's subscription; none when it is not one. */
function subscribedTopics(metadata: Buffer): string[] {
  try {
    const reader = new Reader(metadata)
    const version = reader.int16()
    return subscriptionSchema.decode(reader, Math.min(Math.max(version, 0), 3))['topics']
  } catch {
    return [] // Opaque to us by contract.
  }
}
