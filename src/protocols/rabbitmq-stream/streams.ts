// Which stored topic a stream is, how one is declared, and what a super stream is made of.
//
// A stream is the topic of its name. A topic of several partitions, as Kafka makes them, is the super stream of its name, and `name-0`, `name-1`
// are its streams, as far as no topic has that name itself.
import type { Binding, Space, TopicConfig, TopicInfo } from '../../broker/face.ts'
import { Code, Refusal } from './errors.ts'

export interface Stream {
  readonly name: string
  readonly topic: TopicInfo
  readonly partition: number
}

export function findStream(space: Space, name: string): Stream | undefined {
  const topic = space.topic(name)
  if (topic !== undefined) return topic.config.partitions === 1 ? { name, topic, partition: 0 } : undefined
  const [, base = '', index = ''] = /^(.+)-(0|[1-9]\d{0,6})$/s.exec(name) ?? []
  const parent = base === '' ? undefined : space.topic(base)
  const partition = Number(index)
  if (parent === undefined || parent.config.partitions === 1 || parent.config.partitions <= partition) return undefined
  return { name, topic: parent, partition }
}

/** The same stream still: a topic that was deleted and made again is another. */
export function isSame(space: Space, stream: Stream): boolean {
  return space.topic(stream.topic.name)?.id.equals(stream.topic.id) === true
}

export function requireStream(space: Space, name: string): Stream {
  const stream = findStream(space, name)
  if (stream === undefined) throw new Refusal(Code.StreamDoesNotExist, `no stream "${name}"`)
  return stream
}

// --------------------------------------------------------------------------------------------------------------------- declaring

/** RabbitMQ drops line ends from names, and keeps `amq.` to itself. */
export function checkedName(name: string): string {
  const stripped = name.replaceAll(/[\n\r]/g, '')
  if (stripped === '' || stripped.startsWith('amq.'))
    throw new Refusal(Code.PreconditionFailed, `"${name}" is no name for a stream`)
  return stripped
}

const segmentBytesMax = 3_000_000_000
const leaderLocators = ['client-local', 'balanced', 'least-leaders', 'random', 'min-masters']
const ageUnitsMs: Readonly<Record<string, number>> = {
  Y: 365 * 24 * 3600_000,
  M: 30 * 24 * 3600_000,
  D: 24 * 3600_000,
  h: 3600_000,
  m: 60_000,
  s: 1000,
}

interface Declared {
  readonly config: Partial<TopicConfig>
  readonly declaration: Record<string, unknown>
}

/**
 * Arguments of Create. The declaration is that of an AMQP queue with `x-queue-type: stream`, in the form in which queues are compared, so that
 * a redeclaration on either side finds the same.
 */
export function declared(given: ReadonlyMap<string, string>): Declared {
  const declaration: Record<string, [string, string]> = { 'x-queue-type': ['longstr', 'stream'] }
  const integer = (name: string, least: number, most: number): number | undefined => {
    const value = given.get(name)
    if (value === undefined) return undefined
    const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
    if (!(least <= number && number <= most)) throw new Refusal(Code.PreconditionFailed, `${name}=${value} is not possible`)
    declaration[`x-${name}`] = ['long', String(number)]
    return number
  }
  const bytes = integer('max-length-bytes', 0, Number.MAX_SAFE_INTEGER)
  const segment = integer('stream-max-segment-size-bytes', 0, segmentBytesMax)
  // One broker, one copy: these choose replicas and where they are, which no client can see here. The bloom filter is not used: matching is exact.
  integer('initial-cluster-size', 1, Number.MAX_SAFE_INTEGER)
  integer('stream-filter-size-bytes', 16, 255)
  const locator = given.get('queue-leader-locator')
  if (locator !== undefined) {
    if (!leaderLocators.includes(locator)) throw new Refusal(Code.PreconditionFailed, `no leader locator is called "${locator}"`)
    declaration['x-queue-leader-locator'] = ['longstr', locator]
  }
  const age = given.get('max-age')
  if (age !== undefined) declaration['x-max-age'] = ['longstr', age]
  return {
    config: {
      partitions: 1,
      retention: 'time',
      retentionMs: age === undefined ? -1 : ageMs(age),
      retentionBytes: bytes ?? -1,
      ...(segment === undefined || segment === 0 ? {} : { segmentBytes: segment }),
    },
    declaration: { durable: true, autoDelete: false, exclusive: false, arguments: declaration },
  }
}

function ageMs(age: string): number {
  const [, count = '', unit = ''] = /^(\d{1,9})([YMDhms])$/.exec(age) ?? []
  const unitMs = ageUnitsMs[unit]
  if (unitMs === undefined) throw new Refusal(Code.PreconditionFailed, `max-age=${age} is no duration`)
  return Number(count) * unitMs
}

/** Whether a stream declared again asks for what there is. A topic of another protocol is what it is. */
export function isEquivalent(topic: TopicInfo, declaration: Record<string, unknown>): boolean {
  if (topic.declaredBy !== 'amqp') return true
  const sorted = (of: Readonly<Record<string, unknown>>): string =>
    JSON.stringify(Object.entries((of['arguments'] ?? {}) as Record<string, unknown>).sort(([a], [b]) => (a < b ? -1 : 1)))
  return sorted(topic.declaration) === sorted(declaration)
}

// ----------------------------------------------------------------------------------------------------------------- super streams

/** The binding argument that orders the streams of a super stream. */
export const orderArgument = 'x-stream-partition-order'

/** The streams of a super stream, in order; undefined when there is none of the name. */
export function partitionsOf(space: Space, superStream: string): string[] | undefined {
  if (space.exchange(superStream) !== undefined) {
    return [...bindingsOf(space, superStream)].sort((a, b) => orderOf(a) - orderOf(b)).map((binding) => binding.destination)
  }
  const topic = space.topic(superStream)
  if (topic === undefined || topic.config.partitions === 1) return undefined
  return Array.from({ length: topic.config.partitions }, (_, index) => `${superStream}-${index}`)
}

const bindingsOf = (space: Space, superStream: string): Binding[] =>
  space
    .bindings({ source: superStream, destinationKind: 'topic' })
    .filter(({ destination }) => space.topic(destination)?.config.partitions === 1)

/** Bindings without an order stand behind those with one, as they were made. */
function orderOf(binding: Binding): number {
  const order = Number(binding.arguments[orderArgument] ?? Number.NaN)
  return Number.isInteger(order) ? order : Number.MAX_SAFE_INTEGER
}

/** The streams that a routing key leads to; undefined when there is no such super stream. */
export function route(space: Space, superStream: string, routingKey: string): string[] | undefined {
  if (space.exchange(superStream) !== undefined)
    return bindingsOf(space, superStream).flatMap(({ key, destination }) => (key === routingKey ? [destination] : []))
  const partitions = partitionsOf(space, superStream)
  return partitions?.filter((_, index) => String(index) === routingKey)
}

/** Where a stream stands in its super stream, for sharing its streams out among consumers; -1: nowhere. */
export function partitionIndex(space: Space, superStream: string, stream: string): number {
  return partitionsOf(space, superStream)?.indexOf(stream) ?? -1
}
