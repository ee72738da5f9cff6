// One classic consumer group (the join/sync protocol). Pure but for the clock and its store: answers go out through callbacks.
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
import { consumerProtocolType, readSubscription } from './group-consumer-protocol.ts'
import {
  electedProtocol,
  type JoinAnswer,
  type JoinAsk,
  joinFailure,
  Member,
  type MemberState,
  type SyncAnswer,
  type SyncAsk,
  sameProtocols,
  syncFailure,
} from './group-member.ts'

export const GroupState = {
  Empty: 'Empty',
  Preparing: 'PreparingRebalance',
  Completing: 'CompletingRebalance',
  Stable: 'Stable',
} as const
export type GroupState = (typeof GroupState)[keyof typeof GroupState]

export const sessionTimeoutMinMs = 6000
export const sessionTimeoutMaxMs = 1_800_000
export const groupMembersMax = 5000
const noBytes = Buffer.alloc(0)

/** What of a group outlives a restart and a change of its kind. */
export interface GroupSnapshot {
  readonly generation: number
  readonly protocolType: string
  readonly protocolName: string | null
  readonly leader: string
  readonly members: readonly MemberState[]
}

export interface GroupOptions {
  readonly clock: Clock
  /** Keeps the group as it is now, and says when that is durable, or could not be done. */
  readonly store: (group: ClassicGroup, done: (error: Error | null) => void) => void
}

export class ClassicGroup {
  readonly kind = 'classic'
  readonly name: string
  readonly #clock: Clock
  readonly #options: GroupOptions
  state: GroupState = GroupState.Empty
  generation = 0
  protocolType = ''
  protocolName: string | null = null
  leader = ''
  /** Since when it has had no members, ms. */
  emptySince: number
  readonly members = new Map<string, Member>()
  readonly #byInstance = new Map<string, string>()
  /** Told an id and not back with it yet. */
  readonly #announced = new Map<string, Timer>()
  #rebalanceTimer: Timer | null = null

  constructor(name: string, options: GroupOptions) {
    this.name = name
    this.#options = options
    this.#clock = options.clock
    this.emptySince = options.clock.now()
  }

  get isIdle(): boolean {
    return this.members.size === 0 && this.#announced.size === 0
  }

  get snapshot(): GroupSnapshot {
    const { generation, protocolType, protocolName, leader } = this
    return { generation, protocolType, protocolName, leader, members: [...this.members.values()].map((member) => member.state) }
  }

  /** Takes up a stored group where it was: its members have a session's time to be heard of again. */
  restore(snapshot: GroupSnapshot): void {
    this.generation = snapshot.generation
    this.protocolType = snapshot.protocolType
    this.protocolName = snapshot.protocolName
    this.leader = snapshot.leader
    for (const state of snapshot.members) {
      const member = new Member(state)
      this.members.set(member.id, member)
      if (member.instanceId !== null) this.#byInstance.set(member.instanceId, member.id)
      this.#watch(member)
    }
    if (this.members.size > 0) this.state = GroupState.Stable
  }

  /** Makes every member join anew. */
  rebalance(): void {
    this.#rebalance()
  }

  /** Ends it without a trace: another kind of group takes its place. */
  dissolve(errorCode: number): void {
    this.#rebalanceTimer?.cancel()
    for (const timer of this.#announced.values()) timer.cancel()
    this.#announced.clear()
    for (const member of this.members.values()) member.end(errorCode)
    this.members.clear()
    this.#byInstance.clear()
    this.state = GroupState.Empty
  }

  /** The topics its members read, as far as they say so in a way that we know. */
  subscribesTo(topic: string): boolean {
    if (this.protocolType !== consumerProtocolType) return false
    for (const member of this.members.values()) {
      if (member.protocols.some((protocol) => readSubscription(protocol.metadata)?.topics.includes(topic) === true)) return true
    }
    return false
  }

  // ------------------------------------------------------------------------------------------------------------------------ join

  join(ask: JoinAsk, answer: (answer: JoinAnswer) => void): void {
    const refuse = (errorCode: number, memberId = ask.memberId): void => answer(joinFailure(errorCode, memberId))
    if (!this.#suits(ask)) return refuse(KafkaError.InconsistentGroupProtocol)
    const instanceHolder = ask.instanceId === null ? undefined : this.#byInstance.get(ask.instanceId)
    if (ask.memberId === '') {
      const id = `${ask.instanceId ?? ask.clientId}-${randomUUID()}`
      if (instanceHolder !== undefined) return this.#replaceStatic(instanceHolder, id, ask, answer)
      if (this.members.size + this.#announced.size >= groupMembersMax) return refuse(KafkaError.GroupMaxSizeReached)
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
    let others = 0
    const common = new Set(ask.protocols.map((protocol) => protocol.name))
    for (const member of this.members.values()) {
      if (member.id === ask.memberId || (ask.instanceId !== null && member.instanceId === ask.instanceId)) continue
      others++
      for (const name of common) if (!member.supports(name)) common.delete(name)
      if (common.size === 0) return false
    }
    return others === 0 || ask.protocolType === this.protocolType
  }

  #announce(id: string, timeoutMs: number): void {
    const timer = this.#clock.after(timeoutMs, () => {
      this.#announced.delete(id)
      this.#considerCompletingJoin()
    })
    this.#announced.set(id, timer)
  }

  #add(id: string, ask: JoinAsk, answer: (answer: JoinAnswer) => void): void {
    const member = Member.joining(id, ask)
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
    if (this.members.size === 1) this.protocolType = ask.protocolType
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
    const member = Member.joining(id, ask)
    const wasLeader = this.leader === oldId
    if (old !== undefined) {
      member.assignment = old.assignment
      this.members.delete(oldId)
      old.end(KafkaError.FencedInstanceId)
    }
    this.members.set(id, member)
    if (ask.instanceId !== null) this.#byInstance.set(ask.instanceId, id)
    if (wasLeader) this.leader = id
    this.#watch(member)
    if (
      this.state === GroupState.Stable &&
      electedProtocol(this.members.values()) === this.protocolName &&
      this.#wantsTheSame(old, member)
    ) {
      return this.#options.store(this, (error) => {
        if (error !== null) return answer(joinFailure(KafkaError.CoordinatorNotAvailable, id))
        const usual = this.#joinAnswer(member)
        if (!wasLeader) return answer(usual)
        // Its assignments stand. One that can not be told so is told that its former self leads, so that it only syncs.
        answer(ask.canSkipAssignment ? { ...usual, skipAssignment: true } : { ...usual, leader: oldId, members: [] })
      })
    }
    member.joining = answer
    this.#rebalance()
  }

  /** By topics, where we can read them: what else is in there (owned partitions, user data) differs after every restart. */
  #wantsTheSame(old: Member | undefined, member: Member): boolean {
    if (old === undefined) return false
    const before = readSubscription(old.metadataFor(this.protocolName))
    const after = readSubscription(member.metadataFor(this.protocolName))
    if (this.protocolType !== consumerProtocolType || before === undefined || after === undefined) return true
    return before.topics.length === after.topics.length && before.topics.every((topic) => after.topics.includes(topic))
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

  #arm(run: () => void): void {
    this.#rebalanceTimer?.cancel()
    this.#rebalanceTimer = this.#clock.after(this.#patience(), run)
  }

  /** The patience of a phase is that of its most patient member. */
  #patience(): number {
    let patience = 0
    for (const member of this.members.values()) patience = Math.max(patience, member.rebalanceTimeoutMs)
    return patience
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
    const joined = [...this.members.values()].find((member) => member.joining !== null)
    // Only static members that are away: nobody could lead, so they are waited for as long as their sessions last.
    if (joined === undefined && this.members.size > 0) return this.#arm(() => this.#completeJoin())
    this.generation++
    if (joined === undefined) return this.#becomeEmpty()
    if (this.members.get(this.leader)?.joining == null) this.leader = joined.id
    this.protocolName = electedProtocol(this.members.values())
    this.state = GroupState.Completing
    this.#arm(() => this.#dropUnsynced())
    for (const member of this.members.values()) {
      const answer = member.joining
      member.joining = null
      if (answer === null) continue
      this.#watch(member)
      answer(this.#joinAnswer(member))
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

  // ------------------------------------------------------------------------------------------------------------------------ sync

  sync(ask: SyncAsk, answer: (answer: SyncAnswer) => void): void {
    const refused = this.check(ask.memberId, ask.instanceId, ask.generation)
    const member = this.members.get(ask.memberId)
    if (refused !== KafkaError.None || member === undefined) return answer(syncFailure(refused))
    if (
      (ask.protocolType !== null && ask.protocolType !== this.protocolType) ||
      (ask.protocolName !== null && ask.protocolName !== this.protocolName)
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
        if (ask.memberId === this.leader) this.#assign(ask.assignments)
    }
  }

  /** The leader's word is kept before it is told: after a restart the members are where they were. */
  #assign(assignments: SyncAsk['assignments']): void {
    for (const member of this.members.values()) member.assignment = noBytes
    for (const { memberId, assignment } of assignments) {
      const member = this.members.get(memberId)
      if (member !== undefined) member.assignment = Buffer.from(assignment)
    }
    this.#rebalanceTimer?.cancel()
    this.state = GroupState.Stable
    const told: (() => void)[] = []
    let failed = false
    for (const member of this.members.values()) {
      const answer = member.syncing
      member.syncing = null
      const given = this.#syncAnswer(member)
      if (answer !== null) told.push(() => answer(failed ? syncFailure(KafkaError.CoordinatorNotAvailable) : given))
    }
    this.#options.store(this, (error) => {
      failed = error !== null
      for (const tell of told) tell()
    })
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
    if (this.members.size === 0) {
      this.generation++
      return this.#becomeEmpty()
    }
    this.#rebalance()
  }

  // -------------------------------------------------------------------------------------------------------- heartbeat, leave, expiry

  heartbeat(memberId: string, instanceId: string | null, generation: number): number {
    const refused = this.check(memberId, instanceId, generation)
    if (refused !== KafkaError.None) return refused
    const member = this.members.get(memberId)
    if (member !== undefined) member.lastSeen = this.#clock.now()
    return this.state === GroupState.Preparing ? KafkaError.RebalanceInProgress : KafkaError.None
  }

  /** Whether these offsets may be committed: 0, or Kafka's error code. Without members anybody may who claims to be none. */
  mayCommit(memberId: string, instanceId: string | null, generation: number): number {
    if (generation < 0 && this.members.size === 0) return KafkaError.None
    if (generation < 0 && memberId === '' && instanceId === null) return KafkaError.UnknownMemberId
    const refused = this.check(memberId, instanceId, generation)
    if (refused !== KafkaError.None) return refused
    const member = this.members.get(memberId)
    if (member !== undefined) member.lastSeen = this.#clock.now()
    return this.state === GroupState.Completing ? KafkaError.RebalanceInProgress : KafkaError.None
  }

  /** Whether this is a member of the current generation: 0, or Kafka's error code. */
  check(memberId: string, instanceId: string | null, generation: number): number {
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
    if (this.state === GroupState.Preparing) this.#considerCompletingJoin()
    else this.#rebalance()
  }

  /** Takes a member out, whatever that means for the others. */
  #forget(member: Member): void {
    this.members.delete(member.id)
    if (member.instanceId !== null && this.#byInstance.get(member.instanceId) === member.id)
      this.#byInstance.delete(member.instanceId)
    if (this.leader === member.id) this.leader = [...this.members.keys()][0] ?? ''
    member.end(KafkaError.UnknownMemberId)
  }

  #becomeEmpty(): void {
    this.#rebalanceTimer?.cancel()
    this.state = GroupState.Empty
    this.protocolName = null
    this.leader = ''
    this.emptySince = this.#clock.now()
    // Nobody waits for this: a restart that finds the members again finds them silent, too.
    this.#options.store(this, () => undefined)
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
