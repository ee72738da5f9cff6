// The membership of one share group (KIP-932): who is in it and which partitions each is to fetch from. Several members may have the same
// partition, so nothing has to be given up first; who gets which record is the business of the subscription (share-session.ts).
import type { Clock, Timer } from '../../lib/timers.ts'
import { GroupRefusal } from './consumer-group.ts'
import { KafkaError } from './errors.ts'
import { type Assignment, assignmentOf, isSame, noPartitions } from './group-assignment.ts'
import type { GroupTopics, KnownTopic } from './group-topics.ts'

/** group.share.max.size. */
const shareMembersMax = 200
const topicsRefreshMs = 1000
export const shareAssignor = 'simple'

export interface ShareProfile {
  readonly rackId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly topicNames: readonly string[]
}

export interface ShareAsk {
  readonly memberId: string
  /** 0 joins, -1 leaves. */
  readonly memberEpoch: number
  readonly rackId: string | null
  readonly clientId: string
  readonly clientHost: string
  /** null: as before. */
  readonly topicNames: readonly string[] | null
}

export interface ShareAnswer {
  readonly memberEpoch: number
  /** null: as before. */
  readonly assignment: Assignment | null
}

export class ShareMember {
  readonly id: string
  profile: ShareProfile
  epoch = 0
  previousEpoch = 0
  assigned: Assignment = noPartitions
  lastSeen = 0
  timer: Timer | null = null

  constructor(id: string, profile: ShareProfile) {
    this.id = id
    this.profile = profile
  }
}

export interface ShareGroupOptions {
  readonly clock: Clock
  readonly topics: GroupTopics
  readonly sessionTimeoutMs: (group: string) => number
  /** The group itself, and these members, are to be stored; null is a member that is gone. */
  readonly store: (group: ShareGroup, members: ReadonlyMap<string, ShareMember | null>) => void
  /** The group begins to read a topic. */
  readonly onTopic: (group: ShareGroup, topic: KnownTopic) => void
}

export class ShareGroup {
  readonly kind = 'share'
  readonly protocolType = 'share'
  readonly name: string
  readonly #options: ShareGroupOptions
  readonly #clock: Clock
  epoch = 0
  emptySince: number
  readonly members = new Map<string, ShareMember>()
  /** Ids of the topics it has a subscription of. */
  readonly topics = new Set<string>()
  #targets = new Map<string, Assignment>()
  #partitions = ''
  #refreshedAt = Number.NEGATIVE_INFINITY
  #dirty = new Map<string, ShareMember | null>()

  constructor(name: string, options: ShareGroupOptions) {
    this.name = name
    this.#options = options
    this.#clock = options.clock
    this.emptySince = options.clock.now()
  }

  get isIdle(): boolean {
    return this.members.size === 0
  }

  get state(): string {
    return this.members.size === 0 ? 'Empty' : 'Stable'
  }

  subscribesTo(topic: string): boolean {
    for (const member of this.members.values()) if (member.profile.topicNames.includes(topic)) return true
    return false
  }

  /** Throws {@link GroupRefusal}. */
  heartbeat(ask: ShareAsk): ShareAnswer {
    if (ask.memberEpoch < 0) return this.#leave(ask.memberId)
    const member = this.#admit(ask)
    const before = member.profile
    const { rackId, clientId, clientHost } = ask
    member.profile = { rackId: rackId ?? before.rackId, clientId, clientHost, topicNames: ask.topicNames ?? before.topicNames }
    if (member.profile.topicNames.join() !== before.topicNames.join() || member.epoch === 0) this.#rebalance(member)
    else this.#refresh()
    const changed = this.#bringUp(member)
    this.#watch(member)
    this.#flush()
    return { memberEpoch: member.epoch, assignment: changed || ask.memberEpoch === 0 ? member.assigned : null }
  }

  #admit(ask: ShareAsk): ShareMember {
    const present = this.members.get(ask.memberId)
    if (ask.memberEpoch === 0) {
      if (present !== undefined) return present
      if (this.members.size >= shareMembersMax)
        throw new GroupRefusal(KafkaError.GroupMaxSizeReached, `Group ${this.name} has ${shareMembersMax} members.`)
      const { rackId, clientId, clientHost } = ask
      const member = new ShareMember(ask.memberId, { rackId, clientId, clientHost, topicNames: [] })
      this.members.set(ask.memberId, member)
      return member
    }
    if (present === undefined)
      throw new GroupRefusal(KafkaError.UnknownMemberId, `Member ${ask.memberId} is not a member of group ${this.name}.`)
    // The epoch before is accepted: the answer that told the new one may be lost.
    if (ask.memberEpoch !== present.epoch && ask.memberEpoch !== present.previousEpoch)
      throw new GroupRefusal(
        KafkaError.FencedMemberEpoch,
        `Member ${ask.memberId} has epoch ${ask.memberEpoch} and the group has ${present.epoch}; it must rejoin.`,
      )
    return present
  }

  #leave(memberId: string): ShareAnswer {
    const member = this.members.get(memberId)
    if (member === undefined)
      throw new GroupRefusal(KafkaError.UnknownMemberId, `Member ${memberId} is not a member of group ${this.name}.`)
    this.#remove(member)
    return { memberEpoch: -1, assignment: null }
  }

  #remove(member: ShareMember): void {
    member.timer?.cancel()
    this.members.delete(member.id)
    this.#dirty.set(member.id, null)
    if (this.members.size === 0) this.emptySince = this.#clock.now()
    this.#rebalance(null)
    this.#flush()
  }

  #rebalance(changed: ShareMember | null): void {
    this.epoch++
    if (changed !== null) this.#dirty.set(changed.id, changed)
    this.#assign()
  }

  /** Topics may have come, gone or grown. */
  #refresh(): void {
    if (this.#clock.now() - this.#refreshedAt < topicsRefreshMs) return
    if (this.#partitions === describePartitions(this.#readers())) {
      this.#refreshedAt = this.#clock.now()
      return
    }
    this.epoch++
    this.#assign()
    this.#dirty.set('', null)
  }

  #readers(): Map<KnownTopic, ShareMember[]> {
    const byName = new Map<string, ShareMember[]>()
    for (const member of [...this.members.values()].sort((a, b) => (a.id < b.id ? -1 : 1))) {
      for (const name of member.profile.topicNames) byName.set(name, [...(byName.get(name) ?? []), member])
    }
    const readers = new Map<KnownTopic, ShareMember[]>()
    for (const [name, members] of byName) {
      const topic = this.#options.topics.byName(name)
      if (topic !== undefined) readers.set(topic, members)
    }
    return readers
  }

  /** Each partition has a member at least, and each member a partition. */
  #assign(): void {
    const readers = this.#readers()
    const lists = new Map([...this.members.keys()].map((id): [string, { topicId: string; partitions: number[] }[]] => [id, []]))
    for (const [topic, members] of readers) {
      members.forEach((member, index) => {
        const partitions: number[] = []
        if (members.length > topic.partitions) partitions.push(index % topic.partitions)
        else for (let partition = index; partition < topic.partitions; partition += members.length) partitions.push(partition)
        lists.get(member.id)?.push({ topicId: topic.id, partitions })
      })
      if (this.topics.has(topic.id)) continue
      this.topics.add(topic.id)
      this.#options.onTopic(this, topic)
    }
    this.#targets = new Map([...lists].map(([id, topics]) => [id, assignmentOf(topics)]))
    this.#partitions = describePartitions(readers)
    this.#refreshedAt = this.#clock.now()
  }

  /** The member goes to the newest epoch at once. True when it has other partitions then. */
  #bringUp(member: ShareMember): boolean {
    const target = this.#targets.get(member.id) ?? noPartitions
    if (member.epoch === this.epoch) return false
    const changed = !isSame(target, member.assigned)
    member.previousEpoch = member.epoch
    member.epoch = this.epoch
    member.assigned = target
    this.#dirty.set(member.id, member)
    return changed
  }

  #flush(): void {
    const dirty = this.#dirty
    if (dirty.size === 0) return
    this.#dirty = new Map()
    dirty.delete('')
    this.#options.store(this, dirty)
  }

  /** Heartbeats only note the time; the timer finds out when it fires. */
  #watch(member: ShareMember): void {
    member.lastSeen = this.#clock.now()
    if (member.timer !== null) return
    const look = (): void => {
      const left = member.lastSeen + this.#options.sessionTimeoutMs(this.name) - this.#clock.now()
      if (left > 0) member.timer = this.#clock.after(left, look)
      else this.#remove(member)
    }
    member.timer = this.#clock.after(this.#options.sessionTimeoutMs(this.name), look)
  }

  /** Takes up stored members; their sessions begin anew. */
  adopt(epoch: number, topics: readonly string[], members: readonly ShareMember[]): void {
    this.epoch = epoch
    for (const id of topics) this.topics.add(id)
    for (const member of members) {
      this.members.set(member.id, member)
      this.#watch(member)
    }
    this.#assign()
  }

  /** It reads the topic no longer: its place there was deleted. */
  forgetTopic(id: string): void {
    this.topics.delete(id)
    this.#options.store(this, new Map())
  }

  noteTopic(id: string): void {
    if (this.topics.has(id)) return
    this.topics.add(id)
    this.#options.store(this, new Map())
  }

  dissolve(): void {
    for (const member of this.members.values()) member.timer?.cancel()
    this.members.clear()
  }

  /** A share group has no cursors. */
  check(): number {
    return KafkaError.GroupIdNotFound
  }

  mayCommit(): number {
    return KafkaError.GroupIdNotFound
  }
}

const describePartitions = (readers: ReadonlyMap<KnownTopic, unknown>): string =>
  [...readers.keys()].map(({ id, partitions }) => `${id}:${partitions}`).join()
