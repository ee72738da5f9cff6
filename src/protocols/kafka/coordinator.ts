// All groups of this broker by their name, of whichever kind: who is in them and what they were assigned is kept in rows (group-store.ts) and
// taken up again after a restart, as a Kafka coordinator does from its log. Committed offsets are the broker's cursors.
import type { Broker, Space } from '../../broker/face.ts'
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
import { type JoinAnswer, type JoinAsk, joinFailure, type SyncAnswer, type SyncAsk, syncFailure } from './group-member.ts'
import { GroupStore } from './group-store.ts'
import { GroupTopics, TopicPatterns } from './group-topics.ts'

export type AnyGroup = ClassicGroup | ConsumerGroup

/** Groups with members at most; beyond, joining is refused. */
const groupsMax = 10_000
/**
 * group.initial.rebalance.delay.ms. Kafka says 3 000; a newcomer that is waited for saves all others a rebalance, which they learn of with their
 * next heartbeat only, but a lone consumer should not be kept waiting. Members of one program start within such a moment.
 */
const initialDelayMs = 100
/** offsets.retention.minutes, and how often it is looked after. */
const offsetsRetentionMs = 7 * 24 * 3600 * 1000
const retentionCheckMs = 600_000

export class Coordinator {
  readonly #clock: Clock
  readonly #store: GroupStore
  readonly #classicOptions: GroupOptions
  readonly #consumerOptions: ConsumerGroupOptions
  readonly #groups = new Map<string, AnyGroup>()
  /** All rights: for what the coordinator does by itself. */
  readonly #space: () => Space
  readonly topics: GroupTopics
  readonly patterns = new TopicPatterns()

  constructor(broker: Broker, delayMs = initialDelayMs) {
    this.#clock = broker.clock
    this.#store = new GroupStore(broker.rows('kafka.groups'))
    this.#space = () => broker.space({ user: 'kafka', may: () => true }, 'default', { protocol: 'kafka' })
    this.topics = new GroupTopics(this.#space)
    this.#classicOptions = {
      clock: broker.clock,
      initialDelayMs: delayMs,
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
      store: (group, members) => {
        if (this.#groups.get(group.name) === group) this.#store.putConsumer(group, members)
      },
      onMemberGone: (group) => this.#considerDowngrade(group),
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
      this.#store.deleteConsumer(name, group.members.keys())
      group.dissolve()
    }
  }

  isSubscribed(group: string, topic: string): boolean {
    return this.#groups.get(group)?.subscribesTo(topic) ?? false
  }

  #makeRoom(): boolean {
    if (this.#groups.size < groupsMax) return true
    // Groups without members may go; what they committed stays.
    for (const [name, group] of this.#groups) if (group.isIdle) this.delete(name)
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
    const shared = group
    this.durably(() => joinConsumerGroup(shared, ask, this.topics), answer, refuse)
    this.#considerDowngrade(shared)
  }

  sync(name: string, ask: SyncAsk, answer: (answer: SyncAnswer) => void): void {
    const group = this.#groups.get(name)
    const refuse = (errorCode: number): void => answer(syncFailure(errorCode))
    if (group === undefined) return refuse(KafkaError.UnknownMemberId)
    if (group.kind === 'classic') return group.sync(ask, answer)
    this.durably(() => syncConsumerGroup(group, ask, this.topics), answer, refuse)
  }

  /** 0, or Kafka's error code. */
  beat(name: string, memberId: string, instanceId: string | null, generation: number): number {
    const group = this.#groups.get(name)
    if (group === undefined) return KafkaError.UnknownMemberId
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
    if (group === undefined) return KafkaError.UnknownMemberId
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
    if (ask.memberEpoch !== MemberEpoch.Join) {
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

  // ---------------------------------------------------------------------------------------------------------------------- offsets

  /** Whether this member may commit offsets now: 0, or Kafka's error code. */
  mayCommit(name: string, memberId: string, instanceId: string | null, generation: number): number {
    const group = this.#groups.get(name)
    // A group that nobody joined is whoever's commits in it: a consumer that assigns itself, an administrator that resets.
    if (group === undefined) return generation < 0 ? KafkaError.None : KafkaError.IllegalGeneration
    return group.mayCommit(memberId, instanceId, generation)
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
    for (const group of this.all()) if (group.isIdle && !alive.has(group.name)) this.delete(group.name)
  }
}
