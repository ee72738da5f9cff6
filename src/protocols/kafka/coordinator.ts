// All groups of this broker by their name. Members live in memory, as in any Kafka broker that is the coordinator; committed offsets are
// the broker's cursors and outlive it.
import type { Clock } from '../../lib/timers.ts'
import { KafkaError } from './errors.ts'
import { Group, GroupState } from './group.ts'

/** Groups with members at most; beyond, joining is refused. */
const groupsMax = 10_000

export class Coordinator {
  readonly #clock: Clock
  readonly #groups = new Map<string, Group>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get(name: string): Group | undefined {
    return this.#groups.get(name)
  }

  has(name: string): boolean {
    return this.#groups.has(name)
  }

  /** The group, made when there is room for it. */
  open(name: string): Group | undefined {
    const present = this.#groups.get(name)
    if (present !== undefined) return present
    if (this.#groups.size >= groupsMax) this.#sweep()
    if (this.#groups.size >= groupsMax) return undefined
    const group = new Group(name, this.#clock)
    this.#groups.set(name, group)
    return group
  }

  /** Forgets groups without members; what they committed stays. */
  #sweep(): void {
    for (const [name, group] of this.#groups) if (group.isIdle) this.#groups.delete(name)
  }

  delete(name: string): void {
    this.#groups.delete(name)
  }

  all(): Group[] {
    return [...this.#groups.values()]
  }

  isSubscribed(group: string, topic: string): boolean {
    return this.#groups.get(group)?.subscribesTo(topic) ?? false
  }

  /** Whether this member may commit offsets now: 0, or Kafka's error code. */
  mayCommit(name: string, memberId: string, instanceId: string | null, generation: number): number {
    const group = this.#groups.get(name)
    if (group === undefined || group.state === GroupState.Empty) {
      // Without members anybody may: a consumer that assigns itself, an administrator that resets.
      if (generation < 0) return KafkaError.None
      return group === undefined ? KafkaError.IllegalGeneration : KafkaError.UnknownMemberId
    }
    if (generation < 0 && memberId === '' && instanceId === null) return KafkaError.UnknownMemberId
    return group.mayCommit(memberId, instanceId, generation)
  }

  /** KIP-848's member check of OffsetFetch; classic groups send none. */
  mayFetch(name: string, memberId: string | null, memberEpoch: number): number {
    if (memberId === null || memberId === '' || memberEpoch < 0) return KafkaError.None
    return this.#groups.get(name)?.members.has(memberId) ? KafkaError.None : KafkaError.UnknownMemberId
  }
}
