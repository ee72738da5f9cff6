import type { Space } from '../../broker/face.ts'

/** The namespace that Kafka clients, who know of none, are in. */
export const namespaceName = 'default'

/** Kafka's rule for a new topic's name. Topics of other protocols may be named otherwise and are served under their names. */
export function isTopicName(name: string): boolean {
  return name.length <= 249 && name !== '.' && name !== '..' && /^[a-zA-Z0-9._-]+$/.test(name)
}

/**
 * The topic whose name differs from this one in periods and underscores alone. Kafka refuses to create the second of two such: its metrics put
 * underscores in place of periods, and so do the programs that read them.
 */
export function collidingTopic(space: Space, name: string): string | undefined {
  if (!/[._]/.test(name)) return undefined
  const flat = name.replaceAll('.', '_')
  return space.topics().find((topic) => topic.name !== name && topic.name.replaceAll('.', '_') === flat)?.name
}
