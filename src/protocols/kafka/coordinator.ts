// All groups of this broker by their name: who is in them and what they were assigned is kept in rows (group-store.ts) and taken up again
// after a restart, as a Kafka coordinator does from its log. Committed offsets are the broker's cursors.
import type { Broker, Space } from '../../broker/face.ts'
import type { Clock } from '../../lib/timers.ts'
import { KafkaError } from './errors.ts'
import { ClassicGroup, type GroupOptions } from './group.ts'
import { GroupStore } from './group-store.ts'

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
  readonly #options: GroupOptions
  readonly #groups = new Map<string, ClassicGroup>()
  /** All rights: for what the coordinator does by itself. */
  readonly #space: () => Space

  constructor(broker: Broker, delayMs = initialDelayMs) {
    this.#clock = broker.clock
    this.#store = new GroupStore(broker.rows('kafka.groups'))
    this.#space = () => broker.space({ user: 'kafka', may: () => true }, 'default')
    this.#options = {
      clock: broker.clock,
      initialDelayMs: delayMs,
      store: (group, done) => {
        // It may have been deleted, or become another kind of group, since.
        if (this.#groups.get(group.name) === group)
          this.#store.putClassic(group.name, { kind: 'classic', emptySince: group.emptySince, ...group.snapshot })
        this.#store.durable(done)
      },
    }
    for (const [name, stored] of this.#store.classicGroups()) {
      const group = this.#make(name)
      group.restore(stored)
      group.emptySince = stored.emptySince
    }
    this.#expireOffsetsLater(broker)
  }

  get(name: string): ClassicGroup | undefined {
    return this.#groups.get(name)
  }

  has(name: string): boolean {
    return this.#groups.has(name)
  }

  /** The group, made when there is room for it. */
  open(name: string): ClassicGroup | undefined {
    const present = this.#groups.get(name)
    if (present !== undefined) return present
    if (this.#groups.size >= groupsMax) this.#sweep()
    if (this.#groups.size >= groupsMax) return undefined
    return this.#make(name)
  }

  #make(name: string): ClassicGroup {
    const group = new ClassicGroup(name, this.#options)
    this.#groups.set(name, group)
    return group
  }

  /** Forgets groups without members; what they committed stays. */
  #sweep(): void {
    for (const [name, group] of this.#groups) if (group.isIdle) this.delete(name)
  }

  delete(name: string): void {
    this.#groups.delete(name)
    this.#store.delete(name)
  }

  all(): ClassicGroup[] {
    return [...this.#groups.values()]
  }

  isSubscribed(group: string, topic: string): boolean {
    return this.#groups.get(group)?.subscribesTo(topic) ?? false
  }

  /** Whether this member may commit offsets now: 0, or Kafka's error code. */
  mayCommit(name: string, memberId: string, instanceId: string | null, generation: number): number {
    const group = this.#groups.get(name)
    // A group that nobody joined is whoever's commits in it: a consumer that assigns itself, an administrator that resets.
    if (group === undefined) return generation < 0 ? KafkaError.None : KafkaError.IllegalGeneration
    return group.mayCommit(memberId, instanceId, generation)
  }

  /** KIP-848's member check of OffsetFetch; classic groups send none. */
  mayFetch(name: string, memberId: string | null, memberEpoch: number): number {
    if (memberId === null || memberId === '' || memberEpoch < 0) return KafkaError.None
    return this.#groups.get(name)?.members.has(memberId) ? KafkaError.None : KafkaError.UnknownMemberId
  }

  // --------------------------------------------------------------------------------------------------------------- offsets retention

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
