// What a queue was declared with: kept beside its topic, compared at a redeclaration as RabbitMQ compares it.
import type { TopicInfo } from '../../broker/face.ts'
import { comparedArguments } from './arguments.ts'
import { type AmqpError, named, preconditionFailed } from './errors.ts'
import type { MethodFields } from './methods.ts'
import { printed, type Table, typeName } from './table.ts'

type Declare = MethodFields<'queue.declare'>

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

export type QueueType = 'classic' | 'quorum' | 'stream'

/** The type that a queue was declared with; a topic of another protocol is a classic queue, unless it was declared to be something else there. */
export function declaredType(topic: TopicInfo): QueueType {
  const declared = topic.declaration['arguments'] as Declaration['arguments'] | undefined // written by declarationOf
  const type = declared?.['x-queue-type']?.[1]
  return type === 'quorum' || type === 'stream' ? type : 'classic'
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
  names: readonly string[],
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
  const names = comparedArguments[declaredType(topic)]
  assertSameArguments(what, current.arguments, declaredArguments(declare.arguments), names)
}
