import type { Message } from '../../../src/protocols/kafka/schema.ts'

/** What one side of the comparison knows from earlier answers; both sides are filled by the same cases. */
export class World {
  /** Topic ids by name, as hexadecimal digits. */
  readonly topicIds = new Map<string, string>()
  readonly values = new Map<string, Message>()

  topicId(name: string): string {
    return this.topicIds.get(name) ?? '0'.repeat(32)
  }
}

/** One request that both brokers are asked. */
export interface Case {
  readonly name: string
  readonly key: number
  /** All that both advertise, unless given. */
  readonly versions?: readonly number[]
  readonly body: (world: World, version: number) => Message
  /** Takes from an answer what later cases need. */
  readonly learn?: (answer: Message, world: World) => void
  /** Paths whose values may differ here, with the reason; see expected.ts for those that may differ everywhere. */
  readonly differs?: readonly Expected[]
  /** Asked until this holds on both sides, for what takes effect a moment later. */
  readonly until?: (answer: Message) => boolean
}

export interface Expected {
  readonly path: RegExp
  readonly why: string
}

/** The fields of a case that expects differences at these paths. */
export const expecting = (path: RegExp, why: string): { readonly differs: readonly Expected[] } => ({ differs: [{ path, why }] })

/** Values of configs as requests carry them. */
export const configs = (values: Record<string, string | null>): object[] =>
  Object.entries(values).map(([name, value]) => ({ name, value }))

/** The body of CreateTopics for one topic. */
export const create =
  (name: string, topic: object, extra: object = {}) =>
  (): Message => ({
    topics: [{ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [], ...topic }],
    timeoutMs: 10_000,
    ...extra,
  })
