// x-arguments of queues: checked as RabbitMQ checks them, turned into a topic's configuration, compared at a redeclaration.
import type { TopicConfig, TopicInfo } from '../../broker/face.ts'
import { type AmqpError, named, preconditionFailed } from './errors.ts'
import type { MethodFields } from './methods.ts'
import { type FieldValue, flagOf, integerOf, printed, type Table, textOf, typeName } from './table.ts'

type Declare = MethodFields<'queue.declare'>
type Check = (field: FieldValue) => string | null

/** Ten years, in ms: RabbitMQ's largest timer. */
export const timerMax = 315_360_000_000

const positive: Check = (field) => {
  const value = integerOf(field)
  if (value === undefined) return `"expected integer, got ${typeName(field)}"`
  return value < 0 ? `{value_negative,${value}}` : null
}
const duration: Check = (field) =>
  positive(field) ?? (timerMax < (integerOf(field) ?? 0) ? `{value_too_big,${printed(field)}}` : null)
const expires: Check = (field) => duration(field) ?? (integerOf(field) === 0 ? '{value_zero,0}' : null)
const string: Check = (field) => (textOf(field) === undefined ? `{unacceptable_type,${typeName(field)}}` : null)
const boolean: Check = (field) => (flagOf(field) === undefined ? `{unacceptable_type,${typeName(field)}}` : null)
const integer: Check = (field) => (integerOf(field) === undefined ? `"expected integer, got ${typeName(field)}"` : null)
const oneOf =
  (label: string, values: readonly string[]): Check =>
  (field) => {
    const value = textOf(field)
    if (value === undefined) return `{unacceptable_type,${typeName(field)}}`
    return values.includes(value) ? null : label
  }
const priorityMax: Check = (field) =>
  positive(field) ?? (255 < (integerOf(field) ?? 0) ? `{max_value_exceeded,${printed(field)}}` : null)

/** The arguments that mean something here; others are annotations of the user, as in RabbitMQ. */
const checks: Readonly<Record<string, Check>> = {
  'x-message-ttl': duration,
  'x-expires': expires,
  'x-max-length': positive,
  'x-max-length-bytes': positive,
  'x-overflow': oneOf('invalid_overflow', ['drop-head', 'reject-publish', 'reject-publish-dlx']),
  'x-dead-letter-exchange': string,
  'x-dead-letter-routing-key': string,
  'x-dead-letter-strategy': oneOf('invalid_dead_letter_strategy', ['at-most-once', 'at-least-once']),
  'x-max-priority': priorityMax,
  'x-single-active-consumer': boolean,
  'x-delivery-limit': integer,
  'x-queue-type': string,
  // One node, one storage: these choose between forms of RabbitMQ's own storage and change nothing that a client can see.
  'x-queue-mode': oneOf('invalid_queue_mode', ['default', 'lazy']),
  'x-queue-version': integer,
  'x-queue-master-locator': string,
  'x-queue-leader-locator': string,
  'x-quorum-initial-group-size': positive,
  'x-initial-cluster-size': positive,
  'x-max-in-memory-length': positive,
  'x-max-in-memory-bytes': positive,
  'x-consumer-timeout': positive,
}

const invalid = (name: string, queue: string, vhost: string, why: string): AmqpError =>
  preconditionFailed(`invalid arg '${name}' for ${named('queue', queue, vhost)}: ${why}`)

export function checkArguments(declare: Declare, queue: string, vhost: string): void {
  const target = declare.arguments.get('x-dead-letter-exchange')
  if (target !== undefined && textOf(target) === undefined) {
    // RabbitMQ looks at this one before the others, and says it in other words.
    throw preconditionFailed(
      `invalid type '${typeName(target)}' for arg 'x-dead-letter-exchange' in ${named('queue', queue, vhost)}`,
    )
  }
  for (const [name, field] of declare.arguments) {
    const why = checks[name]?.(field)
    if (why !== null && why !== undefined) throw invalid(name, queue, vhost, why)
  }
  if (declare.arguments.has('x-dead-letter-routing-key') && !declare.arguments.has('x-dead-letter-exchange')) {
    throw invalid('x-dead-letter-routing-key', queue, vhost, 'routing_key_but_no_dlx_defined')
  }
  const type = queueType(declare.arguments)
  if (type !== 'classic' && type !== 'quorum') throw invalid('x-queue-type', queue, vhost, `"unsupported queue type '${type}'"`)
  if (type === 'quorum') {
    if (!declare.durable) throw preconditionFailed(`invalid property 'non-durable' for ${named('queue', queue, vhost)}`)
    if (declare.exclusive) throw preconditionFailed(`invalid property 'exclusive-owner' for ${named('queue', queue, vhost)}`)
    if (declare.autoDelete) throw preconditionFailed(`invalid property 'auto-delete' for ${named('queue', queue, vhost)}`)
  }
}

export const queueType = (table: Table): string => textOf(table.get('x-queue-type')) ?? 'classic'

const overflows = { 'drop-head': 'dropOldest', 'reject-publish': 'refuse', 'reject-publish-dlx': 'refuseDeadLetter' } as const

export function topicConfig(declare: Declare): Partial<TopicConfig> {
  const table = declare.arguments
  const number = (name: string): number => {
    const field = table.get(name)
    return field === undefined ? -1 : (integerOf(field) ?? -1)
  }
  const quorum = queueType(table) === 'quorum'
  const priorityLevels = quorum ? 1 : Math.max(0, number('x-max-priority')) + 1
  const exchange = textOf(table.get('x-dead-letter-exchange'))
  const limit = table.has('x-delivery-limit') ? number('x-delivery-limit') : quorum ? 20 : -1
  const overflow = textOf(table.get('x-overflow')) as keyof typeof overflows | undefined
  return {
    partitions: priorityLevels,
    priorityLevels,
    retention: 'acknowledged',
    retentionMs: -1,
    retentionBytes: -1,
    storage: declare.durable && !declare.exclusive ? 'disk' : 'memory',
    recordTtlMs: number('x-message-ttl'),
    recordsMax: number('x-max-length'),
    bytesMax: number('x-max-length-bytes'),
    overflow: overflow === undefined ? 'dropOldest' : overflows[overflow],
    deadLetter: exchange === undefined ? null : { exchange, routingKey: textOf(table.get('x-dead-letter-routing-key')) ?? null },
    // RabbitMQ counts returns, as the core does.
    deliveryLimit: limit < 0 ? -1 : limit,
    singleActiveConsumer: flagOf(table.get('x-single-active-consumer')) ?? false,
    expiresMs: number('x-expires'),
    autoDelete: declare.autoDelete,
    kind: queueType(table),
    unasked: [
      ...(overflow === undefined ? (['overflow'] as const) : []),
      ...(table.has('x-delivery-limit') ? [] : (['deliveryLimit'] as const)),
    ],
  }
}

/** What a queue was declared with, kept beside the topic: [type, value] of each argument as RabbitMQ prints them. */
export interface Declaration {
  readonly durable: boolean
  readonly autoDelete: boolean
  readonly exclusive: boolean
  readonly arguments: Readonly<Record<string, readonly [string, string]>>
}

export const declaredArguments = (table: Table): Record<string, readonly [string, string]> =>
  Object.fromEntries([...table].map(([name, field]) => [name, [typeName(field), printed(field)] as const]))

export const declarationOf = (declare: Declare): Record<string, unknown> =>
  ({
    durable: declare.durable && !declare.exclusive,
    autoDelete: declare.autoDelete,
    exclusive: declare.exclusive,
    arguments: declaredArguments(declare.arguments),
  }) satisfies Declaration

/** The type that a queue was declared with; what another protocol declared is a classic queue to clients. */
export function declaredType(topic: TopicInfo): string {
  if (topic.declaredBy !== 'amqp') return 'classic'
  const declared = topic.declaration['arguments'] as Declaration['arguments'] | undefined // written by declarationOf
  return declared?.['x-queue-type']?.[1] ?? 'classic'
}

const integerTypes: ReadonlySet<string> = new Set([
  'byte',
  'unsignedbyte',
  'short',
  'unsignedshort',
  'signedint',
  'unsignedint',
  'long',
])
const sameClass = (a: string, b: string): boolean => a === b || (integerTypes.has(a) && integerTypes.has(b))
const shown = (value: readonly [string, string] | undefined): string =>
  value === undefined ? 'none' : `the value '${value[1]}' of type '${value[0]}'`

export function inequivalent(name: string, what: string, received: string, current: string): AmqpError {
  return preconditionFailed(`inequivalent arg '${name}' for ${what}: received ${received} but current is ${current}`)
}

/** Compares arguments as RabbitMQ does: integers of any width are one type, and only arguments that mean something count. */
export function assertSameArguments(
  what: string,
  current: Declaration['arguments'],
  received: Declaration['arguments'],
  names: readonly string[] = Object.keys(checks),
): void {
  for (const name of names) {
    const had = current[name]
    const has = received[name]
    if (had === undefined && has === undefined) continue
    // Declaring the default type aloud is the same as leaving it out.
    if (name === 'x-queue-type' && (had?.[1] ?? 'classic') === (has?.[1] ?? 'classic')) continue
    if (had === undefined || has === undefined) throw inequivalent(name, what, shown(has), shown(had))
    if (!sameClass(had[0], has[0]) || had[1] !== has[1]) throw inequivalent(name, what, `'${has[1]}'`, `'${had[1]}'`)
  }
}

/** A queue another protocol made is what it is: declaring it here asks for nothing. */
export function assertEquivalent(topic: TopicInfo, declare: Declare, vhost: string): void {
  if (topic.declaredBy !== 'amqp') return
  const current = topic.declaration as unknown as Declaration // Only declarationOf writes declarations under this name.
  const what = named('queue', topic.name, vhost)
  const durable = declare.durable && !declare.exclusive
  if (current.durable !== durable) throw inequivalent('durable', what, `'${durable}'`, `'${current.durable}'`)
  if (current.autoDelete !== declare.autoDelete)
    throw inequivalent('auto_delete', what, `'${declare.autoDelete}'`, `'${current.autoDelete}'`)
  assertSameArguments(what, current.arguments, declaredArguments(declare.arguments))
}
