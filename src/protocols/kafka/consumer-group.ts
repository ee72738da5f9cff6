// One consumer group (KIP-848): members heartbeat, the broker assigns. Each change of members, subscriptions or topics makes a new group epoch, for
// which a target is computed at once; each member then goes from its epoch to the target's by itself (consumer-group-member.ts).
// Classic members may share the group while it migrates (consumer-group-classic.ts).
import { randomUUID } from 'node:crypto'
import type { Clock } from '../../lib/timers.ts'
import { type AssignorMember, assignors, defaultAssignor } from './consumer-group-assignors.ts'
import { ConsumerMember, MemberEpoch, MemberPhase, type MemberProfile } from './consumer-group-member.ts'
import { KafkaError } from './errors.ts'
import { groupMembersMax } from './group.ts'
import { type Assignment, countOf, hasPartition, isSame, isSubset, noPartitions } from './group-assignment.ts'
import type { GroupTopics, TopicPatterns } from './group-topics.ts'

/** How often at most a group looks whether its topics have changed. */
const topicsRefreshMs = 1000

/** A request that is answered with an error. */
export class GroupRefusal extends Error {
  readonly errorCode: number

  constructor(errorCode: number, message: string) {
    super(message)
    this.errorCode = errorCode
  }
}

export interface HeartbeatAsk {
  readonly memberId: string
  readonly memberEpoch: number
  readonly instanceId: string | null
  readonly rackId: string | null
  readonly clientId: string
  readonly clientHost: string
  /** -1, null: as before. */
  readonly rebalanceTimeoutMs: number
  readonly topicNames: readonly string[] | null
  readonly pattern: string | null
  readonly assignor: string | null
  readonly owned: Assignment | null
  /** Whether the client may read a topic that its pattern matches. */
  readonly mayRead: (topic: string) => boolean
}

export interface HeartbeatAnswer {
  readonly memberId: string
  readonly memberEpoch: number
  /** null: as before. */
  readonly assignment: Assignment | null
}

export interface ConsumerGroupOptions {
  readonly clock: Clock
  readonly topics: GroupTopics
  readonly patterns: TopicPatterns
  /** Of members that speak the consumer protocol. */
  readonly sessionTimeoutMs: (group: string) => number
  /** The group itself, and these members, are to be stored; null is a member that is gone. */
  readonly store: (group: ConsumerGroup, members: ReadonlyMap<string, ConsumerMember | null>) => void
  /** A member was taken out by time; the group may have to become another. */
  readonly onMemberGone: (group: ConsumerGroup) => void
}

export class ConsumerGroup {
  readonly kind = 'consumer'
  readonly protocolType = 'consumer'
  readonly name: string
  readonly #options: ConsumerGroupOptions
  readonly #clock: Clock
  epoch = 0
  targetEpoch = 0
  emptySince: number
  readonly members = new Map<string, ConsumerMember>()
  readonly #byInstance = new Map<string, string>()
  /** Who holds each partition, by topic id: nobody else is given it before he has let go. And the same by member. */
  readonly #holders = new Map<string, Map<number, string>>()
  readonly #heldBy = new Map<string, Assignment>()
  /** The topics the group reads, as the newest target knew them. */
  #partitions = new Map<string, number>()
  #refreshedAt = Number.NEGATIVE_INFINITY
  #dirty = new Map<string, ConsumerMember | null>()
  #isChanged = false

  constructor(name: string, options: ConsumerGroupOptions) {
    this.name = name
    this.#options = options
    this.#clock = options.clock
    this.emptySince = options.clock.now()
  }

  get isIdle(): boolean {
    return this.members.size === 0
  }

  get state(): string {
    if (this.members.size === 0) return 'Empty'
    if (this.epoch > this.targetEpoch) return 'Assigning'
    for (const member of this.members.values())
      if (member.epoch !== this.targetEpoch || member.phase !== MemberPhase.Stable) return 'Reconciling'
    return 'Stable'
  }

  /** What most members ask for. */
  get assignor(): string {
    const votes = new Map<string, number>()
    for (const { profile } of this.members.values())
      if (profile.assignor !== null) votes.set(profile.assignor, (votes.get(profile.assignor) ?? 0) + 1)
    let best = defaultAssignor
    for (const [name, count] of votes) if (count > (votes.get(best) ?? 0)) best = name
    return best
  }

  subscribesTo(topic: string): boolean {
    for (const member of this.members.values())
      if (member.profile.topicNames.includes(topic) || member.matched.includes(topic)) return true
    return false
  }

  get hasOnlyClassicMembers(): boolean {
    for (const member of this.members.values()) if (!member.isClassic) return false
    return true
  }

  staticMember(instanceId: string): ConsumerMember | undefined {
    return this.members.get(this.#byInstance.get(instanceId) ?? '')
  }

  // ------------------------------------------------------------------------------------------------------------- the consumer protocol

  /** Throws {@link GroupRefusal}. */
  heartbeat(ask: HeartbeatAsk): HeartbeatAnswer {
    if (ask.memberEpoch < MemberEpoch.Join) return this.#leave(ask)
    const member = this.#admit(ask)
    const before = member.assigned
    this.update(member, this.#profileOf(member, ask), ask.mayRead)
    this.reconcile(member, ask.owned)
    this.watch(member, this.#options.sessionTimeoutMs(this.name))
    this.flush()
    const isFull =
      ask.memberEpoch === MemberEpoch.Join ||
      (ask.rebalanceTimeoutMs !== -1 && (ask.topicNames !== null || ask.pattern !== null) && ask.owned !== null)
    const assignment = isFull || !isSame(before, member.assigned) ? member.assigned : null
    return { memberId: member.id, memberEpoch: member.epoch, assignment }
  }

  #admit(ask: HeartbeatAsk): ConsumerMember {
    const joins = ask.memberEpoch === MemberEpoch.Join
    const present = ask.instanceId === null ? this.members.get(ask.memberId) : this.staticMember(ask.instanceId)
    if (joins) {
      if (present === undefined) return this.add(ask.memberId === '' ? randomUUID() : ask.memberId, emptyProfile(ask))
      if (ask.instanceId === null || present.id === ask.memberId) return present
      if (present.epoch !== MemberEpoch.LeaveStatic)
        throw new GroupRefusal(
          KafkaError.UnreleasedInstanceId,
          `Static member ${present.id} with instance id ${ask.instanceId} is still in the group.`,
        )
      return this.replace(present, ask.memberId)
    }
    if (present === undefined)
      throw new GroupRefusal(KafkaError.UnknownMemberId, `Member ${ask.memberId} is not a member of group ${this.name}.`)
    if (present.id !== ask.memberId)
      throw new GroupRefusal(KafkaError.FencedInstanceId, `Instance id ${ask.instanceId} is held by member ${present.id}.`)
    this.#checkEpoch(present, ask)
    return present
  }

  /** The epoch before is accepted from who has no more than it was given: it has missed the answer that told the new one. */
  #checkEpoch(member: ConsumerMember, { memberEpoch, owned }: HeartbeatAsk): void {
    if (memberEpoch === member.epoch) return
    const missedAnswer = memberEpoch === member.previousEpoch && owned !== null && isSubset(owned, member.assigned)
    if (memberEpoch > member.epoch || !missedAnswer)
      throw new GroupRefusal(
        KafkaError.FencedMemberEpoch,
        `Member ${member.id} has epoch ${memberEpoch} and the group has ${member.epoch}; it must rejoin.`,
      )
  }

  #profileOf(member: ConsumerMember, ask: HeartbeatAsk): MemberProfile {
    const { profile } = member
    return {
      instanceId: ask.instanceId ?? profile.instanceId,
      rackId: ask.rackId ?? profile.rackId,
      clientId: ask.clientId,
      clientHost: ask.clientHost,
      rebalanceTimeoutMs: ask.rebalanceTimeoutMs === -1 ? profile.rebalanceTimeoutMs : ask.rebalanceTimeoutMs,
      topicNames: ask.topicNames ?? profile.topicNames,
      // '' takes a pattern away.
      pattern: ask.pattern === null ? profile.pattern : ask.pattern || null,
      assignor: ask.assignor ?? profile.assignor,
      classic: null,
    }
  }

  #leave(ask: HeartbeatAsk): HeartbeatAnswer {
    const present = ask.instanceId === null ? this.members.get(ask.memberId) : this.staticMember(ask.instanceId)
    if (present === undefined)
      throw new GroupRefusal(KafkaError.UnknownMemberId, `Member ${ask.memberId} is not a member of group ${this.name}.`)
    if (present.id !== ask.memberId)
      throw new GroupRefusal(KafkaError.FencedInstanceId, `Instance id ${ask.instanceId} is held by member ${present.id}.`)
    if (ask.memberEpoch === MemberEpoch.LeaveStatic && ask.instanceId !== null) {
      // It will be back: its place is kept for as long as its session lasts.
      present.epoch = MemberEpoch.LeaveStatic
      present.revoking = noPartitions
      present.phase = MemberPhase.Stable
      present.patienceTimer?.cancel()
      this.#hold(present)
      this.#dirty.set(present.id, present)
    } else this.remove(present)
    this.flush()
    return { memberId: present.id, memberEpoch: ask.memberEpoch, assignment: null }
  }

  /** The same static member under another id, after its restart: it has what it had, and nobody else notices. */
  replace(old: ConsumerMember, id: string): ConsumerMember {
    const member = new ConsumerMember(id, old.profile)
    member.assigned = old.assigned
    member.target = old.target
    member.matched = old.matched
    old.stopTimers()
    this.members.delete(old.id)
    this.#release(old.id)
    this.#dirty.set(old.id, null)
    this.#insert(member)
    return member
  }

  // ----------------------------------------------------------------------------------------------------- steps, shared with classic members

  add(id: string, profile: MemberProfile): ConsumerMember {
    if (this.members.size >= groupMembersMax)
      throw new GroupRefusal(KafkaError.GroupMaxSizeReached, `Group ${this.name} has ${groupMembersMax} members.`)
    const member = new ConsumerMember(id, profile)
    this.#insert(member)
    this.#isChanged = true
    return member
  }

  #insert(member: ConsumerMember): void {
    this.members.set(member.id, member)
    if (member.profile.instanceId !== null) this.#byInstance.set(member.profile.instanceId, member.id)
    this.#hold(member)
    this.#dirty.set(member.id, member)
  }

  /** Takes over what a member says of itself; what it reads anew, or topics that changed meanwhile, make a new epoch and its target. */
  update(member: ConsumerMember, profile: MemberProfile, mayRead: (topic: string) => boolean): void {
    const before = member.profile
    member.profile = profile
    if (!sameProfile(before, profile)) this.#dirty.set(member.id, member)
    if (before.pattern !== profile.pattern || (profile.pattern !== null && this.#isDue())) this.#match(member, mayRead)
    const rereads =
      before.pattern !== profile.pattern ||
      before.assignor !== profile.assignor ||
      !sameNames(before.topicNames, profile.topicNames)
    if (rereads) this.#isChanged = true
    if (!this.#isChanged && !this.#isDue()) return
    const partitions = this.#currentPartitions()
    this.#refreshedAt = this.#clock.now()
    if (!this.#isChanged && sameCounts(partitions, this.#partitions)) return
    this.#isChanged = false
    this.epoch++
    this.#assign(partitions)
  }

  #isDue(): boolean {
    return this.#clock.now() - this.#refreshedAt >= topicsRefreshMs
  }

  #match(member: ConsumerMember, mayRead: (topic: string) => boolean): void {
    const { pattern } = member.profile
    const { topics, patterns } = this.#options
    const matched = pattern === null ? [] : patterns.matching(pattern, topics.names()).filter(mayRead)
    if (sameNames(matched, member.matched)) return
    member.matched = matched
    this.#isChanged = true
    this.#dirty.set(member.id, member)
  }

  #currentPartitions(): Map<string, number> {
    const names = new Set<string>()
    for (const member of this.members.values()) for (const name of member.topics) names.add(name)
    const partitions = new Map<string, number>()
    for (const name of [...names].sort()) {
      const topic = this.#options.topics.byName(name)
      if (topic !== undefined) partitions.set(topic.id, topic.partitions)
    }
    return partitions
  }

  #assign(partitions: Map<string, number>): void {
    this.#partitions = partitions
    const idOf = (name: string): string => this.#options.topics.byName(name)?.id ?? ''
    const subjects: AssignorMember[] = [...this.members.values()].map((member) => ({
      id: member.id,
      instanceId: member.profile.instanceId,
      topics: new Set([...member.topics].map(idOf)),
      target: member.target,
    }))
    const assign = assignors.get(this.assignor) ?? assignors.get(defaultAssignor)
    const targets = assign?.(subjects, partitions) ?? new Map<string, Assignment>()
    for (const member of this.members.values()) {
      const target = targets.get(member.id) ?? noPartitions
      if (isSame(target, member.target)) continue
      member.target = target
      this.#dirty.set(member.id, member)
    }
    this.targetEpoch = this.epoch
  }

  /** One step of the member towards its target. */
  reconcile(member: ConsumerMember, owned: Assignment | null): void {
    const changed = member.advance(
      this.targetEpoch,
      owned,
      (topicId, partition) => this.#holders.get(topicId)?.has(partition) !== true,
    )
    if (!changed) return
    this.#hold(member)
    this.#dirty.set(member.id, member)
    member.patienceTimer?.cancel()
    member.patienceTimer = null
    if (member.phase === MemberPhase.Unrevoked) this.expect(member)
  }

  /** Whether a partition that the member waits for has been let go of. */
  canTakeMore(member: ConsumerMember): boolean {
    for (const [topicId, partitions] of member.target)
      for (const partition of partitions)
        if (!hasPartition(member.assigned, topicId, partition) && this.#holders.get(topicId)?.has(partition) !== true) return true
    return false
  }

  #hold(member: ConsumerMember): void {
    this.#release(member.id)
    const { held } = member
    this.#heldBy.set(member.id, held)
    for (const [topicId, partitions] of held) {
      let holders = this.#holders.get(topicId)
      if (holders === undefined) {
        holders = new Map()
        this.#holders.set(topicId, holders)
      }
      for (const partition of partitions) holders.set(partition, member.id)
    }
  }

  #release(memberId: string): void {
    for (const [topicId, partitions] of this.#heldBy.get(memberId) ?? noPartitions) {
      const holders = this.#holders.get(topicId)
      for (const partition of partitions) if (holders?.get(partition) === memberId) holders.delete(partition)
      if (holders?.size === 0) this.#holders.delete(topicId)
    }
    this.#heldBy.delete(memberId)
  }

  /** Takes a member out; the others learn of their new targets with their next heartbeats. */
  remove(member: ConsumerMember): void {
    member.stopTimers()
    this.members.delete(member.id)
    if (member.profile.instanceId !== null && this.#byInstance.get(member.profile.instanceId) === member.id)
      this.#byInstance.delete(member.profile.instanceId)
    this.#release(member.id)
    this.#dirty.set(member.id, null)
    this.epoch++
    this.#assign(this.#currentPartitions())
    if (this.members.size === 0) this.emptySince = this.#clock.now()
  }

  /** Has what changed stored. */
  flush(): void {
    const dirty = this.#dirty
    if (dirty.size === 0) return
    this.#dirty = new Map()
    this.#options.store(this, dirty)
  }

  // -------------------------------------------------------------------------------------------------------------------------- time

  /** Heartbeats only note the time; the timer finds out when it fires. */
  watch(member: ConsumerMember, timeoutMs: number): void {
    member.lastSeen = this.#clock.now()
    if (member.sessionTimer !== null) return
    const look = (): void => {
      const left = member.lastSeen + (member.profile.classic?.sessionTimeoutMs ?? timeoutMs) - this.#clock.now()
      if (left > 0) member.sessionTimer = this.#clock.after(left, look)
      else this.#expire(member)
    }
    member.sessionTimer = this.#clock.after(timeoutMs, look)
  }

  /** The member has its rebalance timeout to do what it was told. */
  expect(member: ConsumerMember): void {
    if (member.patienceTimer !== null) return
    member.patienceTimer = this.#clock.after(member.profile.rebalanceTimeoutMs, () => this.#expire(member))
  }

  #expire(member: ConsumerMember): void {
    if (this.members.get(member.id) !== member) return
    this.remove(member)
    this.flush()
    this.#options.onMemberGone(this)
  }

  /** Ends it without a trace: another kind of group takes its place. */
  dissolve(): void {
    for (const member of this.members.values()) member.stopTimers()
    this.members.clear()
    this.#byInstance.clear()
    this.#holders.clear()
    this.#heldBy.clear()
  }

  // ---------------------------------------------------------------------------------------------------------------------- restoring

  /** Takes up members, stored ones or those of a classic group; their sessions begin anew. */
  adopt(epoch: number, targetEpoch: number, members: readonly ConsumerMember[]): void {
    this.epoch = epoch
    this.targetEpoch = targetEpoch
    for (const member of members) {
      this.#insert(member)
      this.watch(member, member.profile.classic?.sessionTimeoutMs ?? this.#options.sessionTimeoutMs(this.name))
      if (member.phase === MemberPhase.Unrevoked) this.expect(member)
    }
    // What the last target knew is not stored: it is what there is now, unless that does not fit the target.
    const partitions = this.#currentPartitions()
    let wanted = 0
    let given = 0
    for (const count of partitions.values()) wanted += count
    for (const member of members) given += countOf(member.target)
    if (wanted === given) this.#partitions = partitions
  }

  // ------------------------------------------------------------------------------------------------------------------------ offsets

  /** 0, or Kafka's error code. Without members anybody may commit who claims to be none. */
  mayCommit(memberId: string, instanceId: string | null, memberEpoch: number): number {
    if (memberEpoch < 0 && this.members.size === 0) return KafkaError.None
    return this.check(memberId, instanceId, memberEpoch)
  }

  /** KIP-1251: who has not learned of the newest epoch may still commit to what was and is its own. */
  mayCommitLate(memberId: string, memberEpoch: number, topicId: string, partition: number): boolean {
    const member = this.members.get(memberId)
    if (member === undefined || member.isClassic || memberEpoch > member.epoch) return false
    return (member.since.get(`${topicId}/${partition}`) ?? Infinity) <= memberEpoch
  }

  mayFetch(memberId: string | null, memberEpoch: number): number {
    if ((memberId === null || memberId === '') && memberEpoch < 0) return KafkaError.None
    return this.check(memberId ?? '', null, memberEpoch)
  }

  /** Whether this is a member at this epoch: 0, or Kafka's error code. */
  check(memberId: string, instanceId: string | null, memberEpoch: number): number {
    const member = this.members.get(memberId)
    if (instanceId !== null && member !== undefined && member.profile.instanceId !== instanceId)
      return KafkaError.FencedInstanceId
    if (member === undefined) return KafkaError.UnknownMemberId
    if (member.epoch === memberEpoch) return KafkaError.None
    return member.isClassic ? KafkaError.IllegalGeneration : KafkaError.StaleMemberEpoch
  }
}

function emptyProfile(ask: HeartbeatAsk): MemberProfile {
  const { instanceId, rackId, clientId, clientHost, rebalanceTimeoutMs, assignor } = ask
  return { instanceId, rackId, clientId, clientHost, rebalanceTimeoutMs, topicNames: [], pattern: null, assignor, classic: null }
}

function sameProfile(a: MemberProfile, b: MemberProfile): boolean {
  return (
    a.classic === b.classic &&
    a.topicNames === b.topicNames &&
    a.pattern === b.pattern &&
    a.assignor === b.assignor &&
    a.rebalanceTimeoutMs === b.rebalanceTimeoutMs &&
    a.instanceId === b.instanceId &&
    a.rackId === b.rackId &&
    a.clientId === b.clientId &&
    a.clientHost === b.clientHost
  )
}

const sameNames = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((name) => b.includes(name))

const sameCounts = (a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean =>
  a.size === b.size && [...a].every(([id, count]) => b.get(id) === count)
