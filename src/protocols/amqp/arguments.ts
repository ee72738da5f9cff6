// x-arguments of queues and consumers: checked as RabbitMQ checks them, and turned into a topic's configuration.
import type { TopicConfig } from '../../broker/face.ts'
import type { QueueType } from './declaration.ts'
import { type AmqpError, named, preconditionFailed } from './errors.ts'
import type { MethodFields } from './methods.ts'
import { type FieldValue, flagOf, integerOf, printed, type Table, textOf, typeName } from './table.ts'

type Declare = MethodFields<'queue.declare'>
/** Why a value is refused, as RabbitMQ prints it; null when it is good. */
type Check = (field: FieldValue, table: Table) => string | null

/** Ten years, in ms: RabbitMQ's largest timer. */
export const timerMax = 315_360_000_000
const segmentBytesMax = 3_000_000_000
const defaultDeliveryLimit = 20
/** RabbitMQ 4.3: always there, from 0 to 31. */
const quorumPriorities = 32
const quorumPriorityDefault = 4

const positive: Check = (field) => {
  const value = integerOf(field)
  if (value === undefined) return `"expected integer, got ${typeName(field)}"`
  return value < 0 ? `{value_negative,${value}}` : null
}
const duration: Check = (field, table) =>
  positive(field, table) ?? (timerMax < (integerOf(field) ?? 0) ? `{value_too_big,${printed(field)}}` : null)
const notZero =
  (check: Check): Check =>
  (field, table) =>
    integerOf(field) === 0 ? '{value_zero,0}' : check(field, table)
const string: Check = (field) => (textOf(field) === undefined ? `{unacceptable_type,${typeName(field)}}` : null)
const boolean: Check = (field) => (flagOf(field) === undefined ? `{unacceptable_type,${typeName(field)}}` : null)
const integer: Check = (field) => (integerOf(field) === undefined ? `"expected integer, got ${typeName(field)}"` : null)
const oneOf =
  (label: string, values: readonly string[]): Check =>
  (field) => {
    const value = textOf(field)
    if (value === undefined) return `{unacceptable_type,${typeName(field)}}`
    return values.includes(value) ? null : label.replace('$', value)
  }
const priorityMax: Check = (field, table) =>
  positive(field, table) ?? (255 < (integerOf(field) ?? 0) ? `{max_value_exceeded,${printed(field)}}` : null)
const queueVersion: Check = (field, table) => {
  const value = integerOf(field)
  return positive(field, table) ?? (value === 1 || value === 2 ? null : `"unsupported queue version '${value}'"`)
}
const age: Check = (field) => {
  const value = textOf(field)
  if (value === undefined) return `{unacceptable_type,${typeName(field)}}`
  return ageMs(value) === undefined ? 'invalid_max_age' : null
}

const all: readonly QueueType[] = ['classic', 'quorum', 'stream']
const classic: readonly QueueType[] = ['classic']
const quorum: readonly QueueType[] = ['quorum']
const stream: readonly QueueType[] = ['stream']
const queues: readonly QueueType[] = ['classic', 'quorum']

/** The arguments that mean something here, for which types, in the order in which RabbitMQ looks at them; others are annotations of the user, as there. */
const known: Readonly<Record<string, readonly [Check, readonly QueueType[]]>> = {
  'x-queue-type': [oneOf(`"unsupported queue type '$'"`, all), all],
  'x-expires': [notZero(duration), queues],
  'x-message-ttl': [duration, queues],
  'x-dead-letter-exchange': [string, queues],
  'x-dead-letter-routing-key': [
    (field, table) => string(field, table) ?? (table.has('x-dead-letter-exchange') ? null : 'routing_key_but_no_dlx_defined'),
    queues,
  ],
  'x-dead-letter-strategy': [oneOf('invalid_dlx_strategy', ['at-most-once', 'at-least-once']), quorum],
  'x-max-length': [positive, queues],
  'x-max-length-bytes': [positive, all],
  'x-max-priority': [priorityMax, classic],
  'x-overflow': [oneOf('invalid_overflow', ['drop-head', 'reject-publish', 'reject-publish-dlx']), queues],
  'x-single-active-consumer': [boolean, queues],
  'x-consumer-timeout': [positive, queues],
  'x-delivery-limit': [integer, quorum],
  'x-delayed-retry-type': [oneOf('invalid_delayed_retry_type', ['all', 'failed', 'returned', 'disabled']), quorum],
  'x-delayed-retry-min': [notZero(positive), quorum],
  'x-delayed-retry-max': [notZero(positive), quorum],
  'x-max-age': [age, stream],
  'x-stream-max-segment-size-bytes': [positive, stream],
  // One node, one storage: these choose between forms of RabbitMQ's own storage and clustering, and change nothing that a client can see.
  'x-stream-filter-size-bytes': [positive, stream],
  'x-queue-mode': [oneOf(`"unsupported queue mode '$'"`, ['default', 'lazy']), classic],
  'x-queue-version': [queueVersion, classic],
  'x-queue-master-locator': [string, classic],
  'x-queue-leader-locator': [oneOf('invalid_queue_locator_arg', ['client-local', 'balanced', 'random', 'least-leaders']), all],
  'x-quorum-initial-group-size': [notZero(positive), quorum],
  'x-initial-cluster-size': [notZero(positive), stream],
  'x-max-in-memory-length': [positive, quorum],
  'x-max-in-memory-bytes': [positive, quorum],
  'x-member-placement-tag': [string, quorum],
  'x-consumer-disconnected-timeout': [positive, quorum],
}

/** The arguments that RabbitMQ compares at a redeclaration, in its order, which decides what the refusal is about. */
export const comparedArguments: Readonly<Record<QueueType, readonly string[]>> = {
  classic: [
    ...['x-expires', 'x-message-ttl', 'x-dead-letter-exchange', 'x-dead-letter-routing-key', 'x-max-length'],
    ...['x-max-length-bytes', 'x-max-priority', 'x-overflow', 'x-queue-mode', 'x-queue-version', 'x-single-active-consumer'],
    ...['x-queue-type', 'x-queue-master-locator', 'x-queue-leader-locator', 'x-consumer-timeout'],
  ],
  quorum: [
    ...['x-dead-letter-exchange', 'x-dead-letter-routing-key', 'x-dead-letter-strategy', 'x-expires', 'x-max-length'],
    ...['x-max-length-bytes', 'x-max-in-memory-length', 'x-max-in-memory-bytes', 'x-overflow', 'x-single-active-consumer'],
    ...['x-queue-type', 'x-quorum-initial-group-size', 'x-member-placement-tag', 'x-delivery-limit', 'x-message-ttl'],
    ...['x-queue-leader-locator', 'x-consumer-disconnected-timeout', 'x-consumer-timeout'],
    ...['x-delayed-retry-type', 'x-delayed-retry-min', 'x-delayed-retry-max'],
  ],
  stream: [
    ...['x-max-length-bytes', 'x-queue-type', 'x-max-age', 'x-stream-max-segment-size-bytes'],
    ...['x-stream-filter-size-bytes', 'x-initial-cluster-size', 'x-queue-leader-locator'],
  ],
}

const consumerArguments: Readonly<Record<string, readonly [Check, readonly QueueType[]]>> = {
  'x-priority': [integer, queues],
  'x-consumer-timeout': [positive, quorum],
  'x-stream-offset': [
    (field) => (streamStart(field) === undefined ? `{invalid_stream_offset_arg,${tuple(field)}}` : null),
    stream,
  ],
  'x-stream-filter': [() => null, stream],
  'x-stream-match-unfiltered': [() => null, stream],
}

const tuple = (field: FieldValue): string =>
  `{${typeName(field)},${textOf(field) === undefined ? printed(field) : `<<"${textOf(field)}">>`}}`

const invalid = (name: string, what: string, why: string): AmqpError =>
  preconditionFailed(`invalid arg '${name}' for ${what}: ${why}`)

/** Values first, by the order of the checks; then names that the type does not know, by the order in which they came. */
function check(
  checks: Readonly<Record<string, readonly [Check, readonly QueueType[]]>>,
  table: Table,
  type: QueueType,
  what: string,
): void {
  for (const [name, [valid, types]] of Object.entries(checks)) {
    const field = table.get(name)
    const why = field === undefined || !types.includes(type) ? null : valid(field, table)
    if (why !== null) throw invalid(name, what, why)
  }
  for (const name of table.keys()) {
    const types = Object.hasOwn(checks, name) ? checks[name]?.[1] : undefined
    if (types === undefined || types.includes(type)) continue
    throw preconditionFailed(`invalid arg '${name}' for ${what} of queue type rabbit_${type}_queue`)
  }
}

export function checkArguments(declare: Declare, queue: string, vhost: string): void {
  const table = declare.arguments
  const what = named('queue', queue, vhost)
  const target = table.get('x-dead-letter-exchange')
  if (target !== undefined && textOf(target) === undefined) {
    // RabbitMQ looks at this one before the others, and says it in other words.
    throw preconditionFailed(`invalid type '${typeName(target)}' for arg 'x-dead-letter-exchange' in ${what}`)
  }
  const given = table.get('x-queue-type')
  const unknown = given === undefined ? null : (known['x-queue-type'] as (typeof known)[string])[0](given, table) // its own name
  if (unknown !== null) throw invalid('x-queue-type', what, unknown)
  const type = queueType(table)
  check(known, table, type, what)
  if (type === 'classic') return
  if (declare.autoDelete) throw preconditionFailed(`invalid property 'auto-delete' for ${what}`)
  if (declare.exclusive) throw preconditionFailed(`invalid property 'exclusive-owner' for ${what}`)
  if (!declare.durable) throw preconditionFailed(`invalid property 'non-durable' for ${what}`)
  if (type === 'stream') checkStream(table)
}

function checkStream(table: Table): void {
  if (segmentBytesMax < numberOf(table, 'x-stream-max-segment-size-bytes'))
    throw preconditionFailed('Exceeded max value for x-stream-max-segment-size-bytes')
  const filterBytes = numberOf(table, 'x-stream-filter-size-bytes')
  if (table.has('x-stream-filter-size-bytes') && (filterBytes < 16 || 255 < filterBytes))
    throw preconditionFailed('Invalid value for x-stream-filter-size-bytes')
}

export function checkConsumerArguments(table: Table, type: QueueType, queue: string, vhost: string): void {
  check(consumerArguments, table, type, named('queue', queue, vhost))
}

export function queueType(table: Table): QueueType {
  const type = textOf(table.get('x-queue-type'))
  return type === 'quorum' || type === 'stream' ? type : 'classic'
}

/** -1 when it is not there. */
function numberOf(table: Table, name: string): number {
  const field = table.get(name)
  return field === undefined ? -1 : (integerOf(field) ?? -1)
}

const unitMs: Readonly<Record<string, number>> = {
  Y: 365 * 24 * 3_600_000,
  M: 30 * 24 * 3_600_000,
  D: 24 * 3_600_000,
  h: 3_600_000,
  m: 60_000,
  s: 1000,
}

/** `7D` and the like in ms; undefined when it is none. */
export function ageMs(value: string): number | undefined {
  const parts = /^(\d+)([YMDhms])$/.exec(value)
  const count = Number(parts?.[1] ?? 0)
  return count < 1 ? undefined : count * (unitMs[parts?.[2] ?? ''] as number) // the pattern names the units
}

/** Where a consumer of a stream begins. */
export type StreamStart =
  | 'first'
  | 'last'
  | 'next'
  | { readonly offset: number }
  | { readonly time: number }
  | { readonly agoMs: number }

/** undefined: not a place in a stream. */
export function streamStart(field: FieldValue | undefined): StreamStart | undefined {
  if (field === undefined) return 'next'
  if (field.type === 'T') return { time: field.value * 1000 }
  const name = textOf(field)
  if (name === 'first' || name === 'last' || name === 'next') return name
  if (name !== undefined) {
    const ago = ageMs(name)
    return ago === undefined ? undefined : { agoMs: ago }
  }
  const offset = integerOf(field)
  // As in RabbitMQ, where what lies before the log means its beginning.
  return offset === undefined ? undefined : { offset: Math.max(0, offset) }
}

const overflows = { 'drop-head': 'dropOldest', 'reject-publish': 'refuse', 'reject-publish-dlx': 'refuseDeadLetter' } as const

export function topicConfig(declare: Declare): Partial<TopicConfig> {
  return queueType(declare.arguments) === 'stream' ? streamConfig(declare.arguments) : queueConfig(declare)
}

/** A stream is a topic kept by age and size, which each consumer reads for itself. */
function streamConfig(table: Table): Partial<TopicConfig> {
  const age = textOf(table.get('x-max-age'))
  const segmentBytes = numberOf(table, 'x-stream-max-segment-size-bytes')
  return {
    retention: 'time',
    retentionMs: age === undefined ? -1 : (ageMs(age) ?? -1),
    retentionBytes: numberOf(table, 'x-max-length-bytes'),
    ...(0 < segmentBytes ? { segmentBytes } : {}),
    kind: 'stream',
  }
}

function deadLetterTarget(table: Table, exchange: string): TopicConfig['deadLetter'] {
  const routingKey = textOf(table.get('x-dead-letter-routing-key')) ?? null
  // As in RabbitMQ, at least once is had only where publishers can be refused: what waits counts against the queue's length.
  const untilStored =
    textOf(table.get('x-dead-letter-strategy')) === 'at-least-once' && textOf(table.get('x-overflow')) === 'reject-publish'
  return { exchange, routingKey, ...(untilStored ? { untilStored } : {}) }
}

function retryDelay(table: Table): TopicConfig['retryDelay'] {
  const on = textOf(table.get('x-delayed-retry-type'))
  const minMs = numberOf(table, 'x-delayed-retry-min')
  if (minMs < 0 || (on !== 'all' && on !== 'failed' && on !== 'returned')) return null
  const most = numberOf(table, 'x-delayed-retry-max')
  return { on, minMs, maxMs: most < 0 ? minMs : most }
}

function queueConfig(declare: Declare): Partial<TopicConfig> {
  const table = declare.arguments
  const quorum = queueType(table) === 'quorum'
  const priorityLevels = quorum ? quorumPriorities : Math.max(0, numberOf(table, 'x-max-priority')) + 1
  const exchange = textOf(table.get('x-dead-letter-exchange'))
  const limit = table.has('x-delivery-limit') ? numberOf(table, 'x-delivery-limit') : quorum ? defaultDeliveryLimit : -1
  const overflow = textOf(table.get('x-overflow')) as keyof typeof overflows | undefined // checked
  return {
    priorityLevels,
    priorityDefault: quorum ? quorumPriorityDefault : 0,
    retention: 'acknowledged',
    retentionMs: -1,
    retentionBytes: -1,
    storage: declare.durable && !declare.exclusive ? 'disk' : 'memory',
    recordTtlMs: numberOf(table, 'x-message-ttl'),
    recordsMax: numberOf(table, 'x-max-length'),
    bytesMax: numberOf(table, 'x-max-length-bytes'),
    overflow: overflow === undefined ? 'dropOldest' : overflows[overflow],
    deadLetter: exchange === undefined ? null : deadLetterTarget(table, exchange),
    returns: quorum ? 'arrival' : 'place',
    retryDelay: retryDelay(table),
    // RabbitMQ counts returns, as the core does.
    deliveryLimit: limit < 0 ? -1 : limit,
    singleActiveConsumer: flagOf(table.get('x-single-active-consumer')) ?? false,
    activeConsumerYields: quorum,
    settleTimeoutMs: numberOf(table, 'x-consumer-timeout'),
    expiresMs: numberOf(table, 'x-expires'),
    autoDelete: declare.autoDelete,
    kind: queueType(table),
    unasked: [
      ...(overflow === undefined ? (['overflow'] as const) : []),
      ...(table.has('x-delivery-limit') ? [] : (['deliveryLimit'] as const)),
    ],
    // These are of quorum queues alone, in policies as in arguments.
    fixed: quorum ? [] : ['deliveryLimit', 'retryDelay', 'deadLetterUntilStored'],
  }
}
