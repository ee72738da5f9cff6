// Which partitions somebody has: a set of partitions by topic id. Assignments are never changed in place.

export type Assignment = ReadonlyMap<string, ReadonlySet<number>>

/** As the protocol writes it. */
export interface AssignedTopic {
  readonly topicId: string
  readonly partitions: readonly number[]
}

export const noPartitions: Assignment = new Map()

export function assignmentOf(topics: Iterable<AssignedTopic>): Assignment {
  const assignment = new Map<string, Set<number>>()
  for (const { topicId, partitions } of topics) {
    if (partitions.length > 0) assignment.set(topicId, new Set([...(assignment.get(topicId) ?? []), ...partitions]))
  }
  return assignment
}

export function topicsOf(assignment: Assignment): AssignedTopic[] {
  return [...assignment].map(([topicId, partitions]) => ({ topicId, partitions: [...partitions].sort((a, b) => a - b) }))
}

/** Those of `a` for which `keep` holds. */
export function filterPartitions(a: Assignment, keep: (topicId: string, partition: number) => boolean): Assignment {
  const kept = new Map<string, Set<number>>()
  for (const [topicId, partitions] of a) {
    const some = new Set<number>()
    for (const partition of partitions) if (keep(topicId, partition)) some.add(partition)
    if (some.size > 0) kept.set(topicId, some)
  }
  return kept
}

export const hasPartition = (a: Assignment, topicId: string, partition: number): boolean =>
  a.get(topicId)?.has(partition) === true

export const intersection = (a: Assignment, b: Assignment): Assignment =>
  filterPartitions(a, (topicId, partition) => hasPartition(b, topicId, partition))

export const difference = (a: Assignment, b: Assignment): Assignment =>
  filterPartitions(a, (topicId, partition) => !hasPartition(b, topicId, partition))

export function union(a: Assignment, b: Assignment): Assignment {
  if (b.size === 0) return a
  return assignmentOf([...topicsOf(a), ...topicsOf(b)])
}

export function countOf(a: Assignment): number {
  let count = 0
  for (const partitions of a.values()) count += partitions.size
  return count
}

export function isSubset(a: Assignment, of: Assignment): boolean {
  for (const [topicId, partitions] of a)
    for (const partition of partitions) if (!hasPartition(of, topicId, partition)) return false
  return true
}

export const isSame = (a: Assignment, b: Assignment): boolean => countOf(a) === countOf(b) && isSubset(a, b)
