// A member of a consumer group (KIP-848), and how it gets from what it has to what it shall have: first it gives up, then it takes.
//
//   state              the member                                                            leaves it when
//   Stable             has all it shall have at its epoch                                    the group has a newer target
//   UnrevokedPartitions was told to give something up; stays in its epoch                    it reports that it owns them no longer
//   UnreleasedPartitions is in the newest epoch, but others still have some of its partitions these are free
import type { Timer } from '../../lib/timers.ts'
import {
  type Assignment,
  difference,
  filterPartitions,
  hasPartition,
  intersection,
  noPartitions,
  union,
} from './group-assignment.ts'
import type { GroupProtocol } from './group-member.ts'

export const MemberPhase = { Stable: 'stable', Unrevoked: 'unrevoked', Unreleased: 'unreleased' } as const
export type MemberPhase = (typeof MemberPhase)[keyof typeof MemberPhase]

/** Epochs with a meaning in requests and, of a static member that is away, in the group. */
export const MemberEpoch = { Join: 0, Leave: -1, LeaveStatic: -2 } as const

/** What a classic member said when it joined. */
export interface ClassicSide {
  readonly protocols: readonly GroupProtocol[]
  readonly sessionTimeoutMs: number
  /** Of the consumer's own words, for the answers to it. */
  readonly version: number
}

/** What a member says of itself. */
export interface MemberProfile {
  readonly instanceId: string | null
  readonly rackId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly rebalanceTimeoutMs: number
  readonly topicNames: readonly string[]
  readonly pattern: string | null
  readonly assignor: string | null
  /** null: it speaks the consumer protocol. */
  readonly classic: ClassicSide | null
}

export class ConsumerMember {
  readonly id: string
  profile: MemberProfile
  epoch = 0
  previousEpoch = 0
  phase: MemberPhase = MemberPhase.Stable
  assigned: Assignment = noPartitions
  /** Given up by order and not yet reported so. */
  revoking: Assignment = noPartitions
  target: Assignment = noPartitions
  /** The epoch in which each assigned partition became its own, by `topicId/partition`; what was so before a restart is not known. */
  readonly since = new Map<string, number>()
  /** What its pattern matches of the topics it may read. */
  matched: readonly string[] = []
  lastSeen = 0
  sessionTimer: Timer | null = null
  /** While something is expected of it: to give up, to join anew, to sync. */
  patienceTimer: Timer | null = null

  constructor(id: string, profile: MemberProfile) {
    this.id = id
    this.profile = profile
  }

  get isClassic(): boolean {
    return this.profile.classic !== null
  }

  get topics(): Set<string> {
    return new Set([...this.profile.topicNames, ...this.matched])
  }

  /** All it holds against others. */
  get held(): Assignment {
    return union(this.assigned, this.revoking)
  }

  stopTimers(): void {
    this.sessionTimer?.cancel()
    this.patienceTimer?.cancel()
    this.sessionTimer = null
    this.patienceTimer = null
  }

  /**
   * Takes the next step towards `target` of `targetEpoch`. `owned` is what the member reports to have, null when it says nothing of it;
   * `isFree` tells whether nobody holds a partition. True when anything changed.
   */
  advance(targetEpoch: number, owned: Assignment | null, isFree: (topicId: string, partition: number) => boolean): boolean {
    switch (this.phase) {
      case MemberPhase.Stable:
        if (this.epoch === targetEpoch) return false
        return this.#step(this.epoch, targetEpoch, owned, isFree)
      case MemberPhase.Unrevoked:
        if (owns(owned, this.revoking)) return false
        // It has given up what this epoch asked for, which completes the epoch.
        return this.#step(this.epoch + 1, targetEpoch, owned, isFree)
      case MemberPhase.Unreleased:
        return this.#step(this.epoch, targetEpoch, owned, isFree)
    }
  }

  #step(
    epoch: number,
    targetEpoch: number,
    owned: Assignment | null,
    isFree: (topicId: string, partition: number) => boolean,
  ): boolean {
    const kept = intersection(this.assigned, this.target)
    const revoking = difference(this.assigned, kept)
    if (revoking.size > 0 && owns(owned, revoking)) {
      return this.#become(MemberPhase.Unrevoked, Math.min(epoch, targetEpoch), kept, revoking)
    }
    const wanted = difference(this.target, kept)
    // What it has just given up itself is free for others, and for it.
    const own = this.held
    const taken = filterPartitions(
      wanted,
      (topicId, partition) => isFree(topicId, partition) || hasPartition(own, topicId, partition),
    )
    const isComplete = difference(wanted, taken).size === 0
    return this.#become(isComplete ? MemberPhase.Stable : MemberPhase.Unreleased, targetEpoch, union(kept, taken), noPartitions)
  }

  #become(phase: MemberPhase, epoch: number, assigned: Assignment, revoking: Assignment): boolean {
    const before = [this.phase, this.epoch, this.assigned.size, this.revoking.size] as const
    const isSame =
      before[0] === phase &&
      before[1] === epoch &&
      difference(assigned, this.assigned).size === 0 &&
      difference(this.assigned, assigned).size === 0 &&
      difference(revoking, this.revoking).size === 0 &&
      difference(this.revoking, revoking).size === 0
    if (isSame) return false
    if (epoch !== this.epoch) this.previousEpoch = this.epoch
    for (const [topicId, partitions] of difference(this.assigned, assigned))
      for (const partition of partitions) this.since.delete(`${topicId}/${partition}`)
    for (const [topicId, partitions] of difference(assigned, this.assigned))
      for (const partition of partitions) this.since.set(`${topicId}/${partition}`, epoch)
    this.phase = phase
    this.epoch = epoch
    this.assigned = assigned
    this.revoking = revoking
    return true
  }
}

/** Whether some of `partitions` are still had; who says nothing is taken to have them. */
function owns(owned: Assignment | null, partitions: Assignment): boolean {
  if (owned === null) return true
  return intersection(owned, partitions).size > 0
}
