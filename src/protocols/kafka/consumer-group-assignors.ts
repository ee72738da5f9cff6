// The assignors of the broker (KIP-848): from who subscribes to what and has what, to who shall have what.
import { Heap } from '../../lib/heap.ts'
import { type Assignment, filterPartitions } from './group-assignment.ts'

export interface AssignorMember {
  readonly id: string
  readonly instanceId: string | null
  /** Ids of the topics it reads. */
  readonly topics: ReadonlySet<string>
  /** What it is meant to have now. */
  readonly target: Assignment
}

/** Target by member id. `partitions` has the number of partitions of each topic id. */
export type Assignor = (members: readonly AssignorMember[], partitions: ReadonlyMap<string, number>) => Map<string, Assignment>

export const assignors: ReadonlyMap<string, Assignor> = new Map([
  ['uniform', uniform],
  ['range', range],
])
export const defaultAssignor = 'uniform'

class Load {
  readonly member: AssignorMember
  readonly topics = new Map<string, Set<number>>()
  count = 0

  constructor(member: AssignorMember) {
    this.member = member
  }

  add(topicId: string, partition: number): void {
    const partitions = this.topics.get(topicId)
    if (partitions === undefined) this.topics.set(topicId, new Set([partition]))
    else partitions.add(partition)
    this.count++
  }

  remove(topicId: string, partition: number): void {
    const partitions = this.topics.get(topicId)
    if (partitions?.delete(partition) !== true) return
    if (partitions.size === 0) this.topics.delete(topicId)
    this.count--
  }
}

/**
 * Balanced and sticky: everybody keeps what is still his up to his share, what is left over goes to whoever has least, and then partitions
 * move from the fullest to the emptiest that reads the topic while they are two apart. With equal subscriptions counts differ by one at most.
 */
function uniform(members: readonly AssignorMember[], partitions: ReadonlyMap<string, number>): Map<string, Assignment> {
  const loads = inOrder(members).map((member) => new Load(member))
  const taken = new Map<string, Set<number>>()
  for (const topicId of partitions.keys()) taken.set(topicId, new Set())
  for (const load of loads) {
    const { topics, target } = load.member
    const kept = filterPartitions(
      target,
      (topicId, partition) =>
        topics.has(topicId) && partition < (partitions.get(topicId) ?? 0) && taken.get(topicId)?.has(partition) === false,
    )
    for (const [topicId, some] of kept) {
      for (const partition of some) {
        load.add(topicId, partition)
        taken.get(topicId)?.add(partition)
      }
    }
  }
  for (const [topicId, count] of partitions) {
    const readers = loads.filter((load) => load.member.topics.has(topicId))
    if (readers.length === 0) continue
    const byLoad = [...readers].sort((a, b) => a.count - b.count)
    const leastLoaded = new Heap<Load>((a, b) => a.count < b.count, byLoad)
    for (let partition = 0; partition < count; partition++) {
      if (taken.get(topicId)?.has(partition) === true) continue
      const least = leastLoaded.peek() as Load // there are readers
      least.add(topicId, partition)
      leastLoaded.replaceTop(least)
    }
  }
  for (const group of byTopics(loads)) level(group)
  if (!isHomogeneous(loads)) levelAcross(loads)
  return new Map(loads.map((load) => [load.member.id, load.topics]))
}

/** Members who read the same topics: any partition of one may go to any other. */
function level(loads: Load[]): void {
  const sorted = [...loads].sort((a, b) => a.count - b.count)
  const total = sorted.reduce((sum, load) => sum + load.count, 0)
  const share = Math.floor(total / sorted.length)
  let extras = total - share * sorted.length
  // The fullest keep the extra ones, so that least moves.
  const quota = new Map<Load, number>()
  for (const load of [...sorted].reverse()) quota.set(load, extras-- > 0 ? share + 1 : share)
  const givers = sorted.filter((load) => load.count > (quota.get(load) ?? 0))
  for (const load of sorted) {
    while (load.count < (quota.get(load) ?? 0)) {
      const giver = givers.at(-1)
      if (giver === undefined) return
      move(giver, load, () => true)
      if (giver.count <= (quota.get(giver) ?? 0)) givers.pop()
    }
  }
}

/** Members who read different topics: move what the other may have, while it makes them more equal. */
function levelAcross(loads: readonly Load[]): void {
  // Each round brings a partition from one to another who has two less at least, so the sum of squares falls; the bound is for certainty.
  let rounds = loads.reduce((sum, load) => sum + load.count, 0)
  for (let moved = true; moved && rounds > 0; ) {
    moved = false
    const sorted = [...loads].sort((a, b) => a.count - b.count)
    for (let from = sorted.length - 1; from > 0 && rounds > 0; from--) {
      const giver = sorted[from] as Load // < length
      for (const taker of sorted) {
        if (giver.count - taker.count < 2) break
        if (!move(giver, taker, (topicId) => taker.member.topics.has(topicId))) continue
        moved = true
        rounds--
        break
      }
    }
  }
}

function move(from: Load, to: Load, may: (topicId: string) => boolean): boolean {
  for (const [topicId, partitions] of from.topics) {
    if (!may(topicId)) continue
    const [partition] = partitions
    if (partition === undefined) continue
    from.remove(topicId, partition)
    to.add(topicId, partition)
    return true
  }
  return false
}

function byTopics(loads: readonly Load[]): Load[][] {
  const groups = new Map<string, Load[]>()
  for (const load of loads) {
    const key = [...load.member.topics].sort().join()
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [load])
    else group.push(load)
  }
  return [...groups.values()]
}

const isHomogeneous = (loads: readonly Load[]): boolean => byTopics(loads).length <= 1

/** By topic, contiguous ranges in the order of the members, so that topics with as many partitions fall together. */
function range(members: readonly AssignorMember[], partitions: ReadonlyMap<string, number>): Map<string, Assignment> {
  const loads = inOrder(members).map((member) => new Load(member))
  for (const [topicId, count] of partitions) {
    const readers = loads.filter((load) => load.member.topics.has(topicId))
    const share = Math.floor(count / readers.length)
    const extras = count % readers.length
    let next = 0
    readers.forEach((load, index) => {
      const end = next + share + (index < extras ? 1 : 0)
      for (; next < end; next++) load.add(topicId, next)
    })
  }
  return new Map(loads.map((load) => [load.member.id, load.topics]))
}

/** Static members by their instance, since their ids change with each restart. */
function inOrder(members: readonly AssignorMember[]): AssignorMember[] {
  const name = (member: AssignorMember): string => member.instanceId ?? member.id
  return [...members].sort((a, b) => (name(a) < name(b) ? -1 : name(a) > name(b) ? 1 : 0))
}
