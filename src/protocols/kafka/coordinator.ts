// All groups of this broker by their name, of whichever kind: who is in them and what they were assigned is kept in rows (group-store.ts) and
// taken up again after a restart, as a Kafka coordinator does from its log. Committed offsets are the broker's cursors.
import { type Broker, CoreError, type Space, type SubscriptionStatus } from '../../broker/face.ts'
import type { Clock } from '../../lib/timers.ts'
import {
  ConsumerGroup,
  type ConsumerGroupOptions,
  GroupRefusal,
  type HeartbeatAnswer,
  type HeartbeatAsk,
} from './consumer-group.ts'
import { beatConsumerGroup, joinConsumerGroup, leaveConsumerGroup, syncConsumerGroup } from './consumer-group-classic.ts'
import { MemberEpoch } from './consumer-group-member.ts'
import { downgraded, upgradedMembers } from './coordinator-migration.ts'
import { KafkaError } from './errors.ts'
import { ClassicGroup, type GroupOptions } from './group.ts'
import { GroupConfigs } from './group-config.ts'
import { type JoinAnswer, type JoinAsk, joinFailure, type SyncAnswer, type SyncAsk, syncFailure } from './group-member.ts'
import { GroupStore } from './group-store.ts'
import { GroupTopics, type KnownTopic, TopicPatterns } from './group-topics.ts'
import { type ShareAnswer, type ShareAsk, ShareGroup, type ShareGroupOptions } from './share-group.ts'

export type AnyGroup = ClassicGroup | ConsumerGroup | ShareGroup

/** Groups with members at most; beyond, joining is refused. */
const groupsMax = 10_000
/** offsets.retention.minutes, and how often it is looked after. */
const offsetsRetentionMs = 7 * 24 * 3600 * 1000
const retentionCheckMs = 600_000

export class Coordinator {
  readonly #clock: Clock
  readonly #store: GroupStore
  readonly #classicOptions: GroupOptions
  readonly #consumerOptions: ConsumerGroupOptions
  readonly #shareOptions: ShareGroupOptions
  readonly #groups = new Map<string, AnyGroup>()
  /** All rights: for what the coordinator does by itself. */
  readonly #space: () => Space
  readonly topics: GroupTopics
  readonly patterns = new TopicPatterns()
  readonly configs: GroupConfigs
  readonly #log: Broker['log']

  constructor(broker: Broker) {
    this.#clock = broker.clock
    this.#store = new GroupStore(broker.rows('kafka.groups'))
    this.#space = () => broker.space({ user: 'kafka', may: () => true }, 'default', { protocol: 'kafka' })
    this.topics = new GroupTopics(this.#space)
    this.configs = GroupConfigs.of(broker)
    this.#log = broker.log
    this.#classicOptions = {
      clock: broker.clock,
      store: (group, done) => {
        // It may have been deleted, or become another kind of group, since.
        if (this.#groups.get(group.name) === group) this.#store.putClassic(group)
        this.#store.durable(done)
      },
    }
    this.#consumerOptions = {
      clock: broker.clock,
      topics: this.topics,
      patterns: this.patterns,
      sessionTimeoutMs: (group) => this.configs.number(group, 'consumer.session.timeout.ms'),
      store: (group, members) => {
        if (this.#groups.get(group.name) === group) this.#store.putConsumer(group, members)
      },
      onMemberGone: (group) => this.#considerDowngrade(group),
    }
    this.#shareOptions = {
      clock: broker.clock,
      topics: this.topics,
      sessionTimeoutMs: (group) => this.configs.number(group, 'share.session.timeout.ms'),
      store: (group, members) => {
        if (this.#groups.get(group.name) === group) this.#store.putShare(group, members)
      },
      onTopic: (group, topic) => this.#beginTopic(group, topic),
    }
    this.#load()
    this.#expireOffsetsLater(broker)
  }

  #load(): void {
    const stored = this.#store.load()
    for (const row of stored.classic) {
      const group = this.#makeClassic(row.name)
      group.restore(row)
      group.emptySince = row.emptySince
    }
    for (const row of stored.consumer) {
      const group = new ConsumerGroup(row.name, this.#consumerOptions)
      this.#groups.set(row.name, group)
      group.emptySince = row.emptySince
      group.adopt(row.epoch, row.targetEpoch, row.members)
    }
    for (const row of stored.share) {
      const group = new ShareGroup(row.name, this.#shareOptions)
      this.#groups.set(row.name, group)
      group.emptySince = row.emptySince
      group.adopt(row.epoch, row.topics, row.members)
    }
  }

  get(name: string): AnyGroup | undefined {
    return this.#groups.get(name)
  }

  has(name: string): boolean {
    return this.#groups.has(name)
  }

  all(): AnyGroup[] {
    return [...this.#groups.values()]
  }

  delete(name: string): void {
    this.#drop(name, KafkaError.UnknownMemberId)
  }

  /** Who waits for an answer of it gets `errorCode`. */
  #drop(name: string, errorCode: number): void {
    const group = this.#groups.get(name)
    if (group === undefined) return
    this.#groups.delete(name)
    if (group.kind === 'classic') {
      this.#store.deleteClassic(name)
      group.dissolve(errorCode)
    } else {
      this.#store.deleteWithMembers(name, group.members.keys())
      group.dissolve()
    }
  }

  isSubscribed(group: string, topic: string): boolean {
    return this.#groups.get(group)?.subscribesTo(topic) ?? false
  }

  #makeRoom(): boolean {
    if (this.#groups.size < groupsMax) return true
    // Groups without members may go; what they committed stays.
    for (const [name, group] of this.#groups) if (group.isIdle && group.kind !== 'share') this.delete(name)
    return this.#groups.size < groupsMax
  }

  #makeClassic(name: string): ClassicGroup {
    const group = new ClassicGroup(name, this.#classicOptions)
    this.#groups.set(name, group)
    return group
  }

  /** Runs `change`, and hands its outcome over when what it changed is durable: at once if it was nothing. */
  durably<T>(change: () => T, done: (outcome: T) => void, failed: (errorCode: number, message: string | null) => void): void {
    const before = this.#store.changes
    let outcome: T
    try {
      outcome = change()
    } catch (cause) {
      if (!(cause instanceof GroupRefusal)) throw cause
      return failed(cause.errorCode, cause.message)
    }
    if (this.#store.changes === before) return done(outcome)
    this.#store.durable((error) => (error === null ? done(outcome) : failed(KafkaError.CoordinatorNotAvailable, error.message)))
  }

  // ------------------------------------------------------------------------------------------------------------- the classic protocol

  join(name: string, ask: JoinAsk, answer: (answer: JoinAnswer) => void): void {
    const refuse = (errorCode: number): void => answer(joinFailure(errorCode, ask.memberId))
    let group = this.#groups.get(name)
    if (group?.kind === 'consumer' && group.isIdle) {
      this.delete(name)
      group = undefined
    }
    if (group === undefined) {
      // Only a member that is new may make a group: one that says it has an id belongs to a group we do not know.
      if (ask.memberId !== '') return refuse(KafkaError.UnknownMemberId)
      if (!this.#makeRoom()) return refuse(KafkaError.CoordinatorNotAvailable)
      group = this.#makeClassic(name)
    }
    if (group.kind === 'classic') return group.join(ask, answer)
    if (group.kind === 'share') return refuse(KafkaError.InconsistentGroupProtocol)
    const shared = group
    this.durably(() => joinConsumerGroup(shared, ask, this.topics), answer, refuse)
    this.#considerDowngrade(shared)
  }

  sync(name: string, ask: SyncAsk, answer: (answer: SyncAnswer) => void): void {
    const group = this.#groups.get(name)
    const refuse = (errorCode: number): void => answer(syncFailure(errorCode))
    if (group === undefined || group.kind === 'share') return refuse(KafkaError.UnknownMemberId)
    if (group.kind === 'classic') return group.sync(ask, answer)
    this.durably(() => syncConsumerGroup(group, ask, this.topics), answer, refuse)
  }

  /** 0, or Kafka's error code. */
  beat(name: string, memberId: string, instanceId: string | null, generation: number): number {
    const group = this.#groups.get(name)
    if (group === undefined || group.kind === 'share') return KafkaError.UnknownMemberId
    if (group.kind === 'classic') return group.heartbeat(memberId, instanceId, generation)
    try {
      return beatConsumerGroup(group, memberId, instanceId, generation)
    } catch (cause) {
      if (cause instanceof GroupRefusal) return cause.errorCode
      throw cause
    }
  }

  /** 0, or Kafka's error code. */
  leave(name: string, memberId: string, instanceId: string | null): number {
    const group = this.#groups.get(name)
    if (group === undefined || group.kind === 'share') return KafkaError.UnknownMemberId
    if (group.kind === 'classic') return group.leave(memberId, instanceId)
    const errorCode = leaveConsumerGroup(group, memberId, instanceId)
    this.#considerDowngrade(group)
    return errorCode
  }

  // ------------------------------------------------------------------------------------------------------------ the consumer protocol

  /** Throws {@link GroupRefusal}. */
  consumerHeartbeat(name: string, ask: HeartbeatAsk): HeartbeatAnswer {
    const group = this.#consumerGroup(name, ask)
    const answer = group.heartbeat(ask)
    this.#considerDowngrade(group)
    return answer
  }

  #consumerGroup(name: string, ask: HeartbeatAsk): ConsumerGroup {
    const group = this.#groups.get(name)
    if (group?.kind === 'consumer') return group
    if (ask.memberEpoch !== MemberEpoch.Join || group?.kind === 'share') {
      const message = group === undefined ? `Group ${name} not found.` : `Group ${name} is not a consumer group.`
      throw new GroupRefusal(KafkaError.GroupIdNotFound, message)
    }
    if (group === undefined && !this.#makeRoom())
      throw new GroupRefusal(KafkaError.CoordinatorNotAvailable, `There are ${groupsMax} groups.`)
    const members = group === undefined ? [] : upgradedMembers(group, this.topics)
    if (members === undefined && group?.isIdle === false)
      throw new GroupRefusal(KafkaError.GroupIdNotFound, `Group ${name} is not a consumer group, and can not become one.`)
    const upgraded = new ConsumerGroup(name, this.#consumerOptions)
    const generation = group?.isIdle === false ? group.generation : 0
    this.#drop(name, KafkaError.RebalanceInProgress)
    this.#groups.set(name, upgraded)
    upgraded.adopt(generation, generation, members ?? [])
    return upgraded
  }

  #considerDowngrade(group: ConsumerGroup): void {
    if (this.#groups.get(group.name) !== group || group.isIdle || !group.hasOnlyClassicMembers) return
    const snapshot = downgraded(group, this.topics)
    this.delete(group.name)
    const classic = this.#makeClassic(group.name)
    classic.restore(snapshot)
    this.#store.putClassic(classic)
    classic.rebalance()
  }

  // ----------------------------------------------------------------------------------------------------------------- share groups

  /** Throws {@link GroupRefusal}. */
  shareHeartbeat(name: string, ask: ShareAsk): ShareAnswer {
    const group = this.#groups.get(name)
    if (group?.kind === 'share') return group.heartbeat(ask)
    if (group !== undefined) throw new GroupRefusal(KafkaError.GroupIdNotFound, `Group ${name} is not a share group.`)
    if (ask.memberEpoch !== 0) throw new GroupRefusal(KafkaError.GroupIdNotFound, `Group ${name} not found.`)
    if (!this.#makeRoom()) throw new GroupRefusal(KafkaError.CoordinatorNotAvailable, `There are ${groupsMax} groups.`)
    const made = new ShareGroup(name, this.#shareOptions)
    this.#groups.set(name, made)
    return made.heartbeat(ask)
  }

  /** A share group is a subscription of each of its topics, under its name; one that another protocol made is shared with it. */
  #beginTopic(group: ShareGroup, topic: KnownTopic): void {
    this.#createShareState(group, topic).catch((cause: unknown) => {
      if (cause instanceof CoreError && (cause.code === 'AlreadyExists' || cause.code === 'NotFound')) return
      this.#log.warn({ err: cause, group: group.name, topic: topic.name }, 'kafka: a share group could not begin to read a topic')
    })
  }

  async #createShareState(group: ShareGroup, topic: KnownTopic): Promise<void> {
    const startAt = this.configs.startOf(group.name, this.#clock.now())
    const space = this.#space()
    await space.createSubscription(topic.name, group.name, { startAt: typeof startAt === 'object' ? 'oldest' : startAt })
    // A time is looked for in the log, which takes a while.
    if (typeof startAt === 'object') await space.seek(topic.name, group.name, startAt)
  }

  /** Deletes what a share group has of its topics, or of one; they begin anew if it reads them again. */
  async deleteShareState(group: ShareGroup, topicId?: string): Promise<void> {
    const space = this.#space()
    for (const id of topicId === undefined ? [...group.topics] : [topicId]) {
      const topic = this.topics.byId(id)
      const exists = topic !== undefined && this.shareStatus(topic.name, group.name) !== undefined
      if (exists) await space.deleteSubscription(topic.name, group.name)
      group.forgetTopic(id)
    }
  }

  /** Moves a share group's place in a partition. */
  async moveShare(group: ShareGroup, topic: KnownTopic, partition: number, offset: number): Promise<void> {
    if (this.shareStatus(topic.name, group.name) === undefined) await this.#createShareState(group, topic)
    await this.#space().seek(topic.name, group.name, { offset }, partition)
    group.noteTopic(topic.id)
  }

  /** Where a share group stands in a topic; undefined when it has not begun. */
  shareStatus(topic: string, group: string): SubscriptionStatus | undefined {
    return this.#space()
      .status(topic)
      ?.subscriptions.find((subscription) => subscription.kind === 'queue' && subscription.name === group)
  }

  // ---------------------------------------------------------------------------------------------------------------------- offsets

  /** Whether this member may commit offsets now: 0, or Kafka's error code. */
  mayCommit(name: string, memberId: string, instanceId: string | null, generation: number): number {
    const group = this.#groups.get(name)
    // A group that nobody joined is whoever's commits in it: a consumer that assigns itself, an administrator that resets.
    if (group === undefined) return generation < 0 ? KafkaError.None : KafkaError.IllegalGeneration
    return group.mayCommit(memberId, instanceId, generation)
  }

  /** Where {@link mayCommit} says that the epoch is stale: whether the offset of this partition may be committed all the same. */
  mayCommitLate(name: string, memberId: string, memberEpoch: number, topicId: string, partition: number): boolean {
    const group = this.#groups.get(name)
    return group?.kind === 'consumer' && group.mayCommitLate(memberId, memberEpoch, topicId, partition)
  }

  /** As {@link mayCommit}, for offsets within a transaction: who does not say that it is a member need not be one, and a rebalance does not matter. */
  mayCommitInTransaction(name: string, memberId: string, instanceId: string | null, generation: number): number {
    if (generation < 0 && memberId === '' && instanceId === null) return KafkaError.None
    const group = this.#groups.get(name)
    if (group === undefined) return generation < 0 ? KafkaError.None : KafkaError.IllegalGeneration
    const refused = group.check(memberId, instanceId, generation)
    // TxnOffsetCommit knows no STALE_MEMBER_EPOCH.
    return refused === KafkaError.StaleMemberEpoch ? KafkaError.IllegalGeneration : refused
  }

  /** KIP-848's member check of OffsetFetch; classic groups send none. */
  mayFetch(name: string, memberId: string | null, memberEpoch: number): number {
    const group = this.#groups.get(name)
    if (group?.kind === 'consumer') return group.mayFetch(memberId, memberEpoch)
    if (group?.kind === 'share') return KafkaError.GroupIdNotFound
    if (memberId === null || memberId === '' || memberEpoch < 0) return KafkaError.None
    return group?.members.has(memberId) === true ? KafkaError.None : KafkaError.UnknownMemberId
  }

  #expireOffsetsLater(broker: Broker): void {
    this.#clock.after(retentionCheckMs, () => {
      this.expireOffsets().catch((cause: unknown) =>
        broker.log.warn({ err: cause }, 'kafka: offsets that are due to expire could not be deleted; it is tried again'),
      )
      this.#expireOffsetsLater(broker)
    })
  }

  /** Deletes what groups committed that have had no members for so long, or to topics they no longer read; then the groups without offsets. */
  async expireOffsets(): Promise<void> {
    const space = this.#space()
    const limit = this.#clock.now() - offsetsRetentionMs
    for (const name of space.cursorGroups()) {
      const group = this.#groups.get(name)
      const isEmpty = group === undefined || group.isIdle
      if (group !== undefined && !isEmpty && group.protocolType !== 'consumer') continue
      if (group !== undefined && isEmpty && group.emptySince > limit) continue
      for (const { topic, partition, committedAt } of space.cursors(name)) {
        if (committedAt > limit || (!isEmpty && group?.subscribesTo(topic) === true)) continue
        await space.deleteCursors(name, topic, partition)
      }
    }
    const alive = new Set(space.cursorGroups())
    for (const group of this.all()) {
      const hasState = alive.has(group.name) || (group.kind === 'share' && group.topics.size > 0)
      if (group.isIdle && !hasState) this.delete(group.name)
    }
  }
}
