// Exchange types by RabbitMQ's names, and the kinds of the broker that they are; what their arguments and bindings must look like.
import type { ExchangeInfo, ExchangeKind } from '../../broker/face.ts'
import { AmqpError, preconditionFailed } from './errors.ts'
import { integerOf, printed, type Table, textOf } from './table.ts'

const kinds: Readonly<Record<string, ExchangeKind>> = {
  direct: 'direct',
  fanout: 'fanout',
  topic: 'topic',
  headers: 'headers',
  'x-consistent-hash': 'hash',
  'x-modulus-hash': 'modulus',
  'x-random': 'random',
  'x-local-random': 'random', // There is one node, so every queue is local.
  'x-recent-history': 'history',
}
const delayedType = 'x-delayed-message'

/** What the broker is told of an exchange's type. */
type Options = Pick<ExchangeInfo, 'kind' | 'hashOn' | 'historyRecords'>

const historyRecordsDefault = 20
/** RabbitMQ has no limit here. */
const historyRecordsMax = 10_000
const hashAttributes = { message_id: 'messageId', correlation_id: 'correlationId', timestamp: 'timestamp' } as const
const weightMax = 10_000

export function exchangeOptions(type: string, table: Table): Options {
  if (type === delayedType) {
    const inner = textOf(table.get('x-delayed-type'))
    if (inner === undefined || inner === delayedType)
      throw preconditionFailed("Invalid argument, 'x-delayed-type' must be an existing exchange type")
    return exchangeOptions(inner, table)
  }
  const kind = Object.hasOwn(kinds, type) ? kinds[type] : undefined
  if (kind === undefined) throw new AmqpError('COMMAND_INVALID', `unknown exchange type '${type}'`)
  if (kind === 'hash') return { kind, ...hashOptions(table) }
  if (kind === 'history') return { kind, historyRecords: historyRecords(table) }
  return { kind }
}

function hashOptions(table: Table): Pick<Options, 'hashOn'> {
  const header = table.get('hash-header')
  const property = table.get('hash-property')
  if (header !== undefined && property !== undefined)
    throw preconditionFailed('hash-header and hash-property are mutually exclusive')
  if (header !== undefined) return { hashOn: { header: textOf(header) ?? printed(header) } }
  if (property === undefined) return {}
  const name = textOf(property) ?? printed(property)
  if (!Object.hasOwn(hashAttributes, name)) throw preconditionFailed(`Unsupported property: ${name}`)
  return { hashOn: { attribute: hashAttributes[name as keyof typeof hashAttributes] } } // checked the line before
}

function historyRecords(table: Table): number {
  const given = table.get('x-recent-history-length')
  if (given === undefined) return historyRecordsDefault
  const length = integerOf(given)
  if (length === undefined || length < 1 || historyRecordsMax < length) {
    const most = length !== undefined && historyRecordsMax < length ? ` of ${historyRecordsMax} at most` : ''
    const shown = textOf(given) === undefined ? printed(given) : `<<"${printed(given)}">>`
    throw preconditionFailed(`Invalid argument ${shown}, 'x-recent-history-length' must be a positive integer${most}`)
  }
  return length
}

/** The type as it was declared; of exchanges that another protocol made, the kind. */
export const typeOf = (exchange: ExchangeInfo): string =>
  typeof exchange.declaration['type'] === 'string' ? exchange.declaration['type'] : exchange.kind

export const isDelayed = (exchange: ExchangeInfo): boolean => exchange.declaration['type'] === delayedType

/** What some types ask of the key of a binding; the broker takes any. `queueType` of the destination, undefined when it is an exchange. */
export function checkBindingKey(exchange: ExchangeInfo, key: string, queueType: string | undefined): void {
  if (exchange.kind === 'hash') {
    if (!/^[+-]?\d+$/.test(key))
      throw preconditionFailed(`The binding key must be an integer: <<${key === '' ? '' : `"${key}"`}>>`)
    const weight = Number(key)
    if (weight < 1) throw preconditionFailed('The binding key must be greater than 0')
    if (weightMax < weight) throw preconditionFailed(`The binding key must not exceed ${weightMax}`)
  }
  if (typeOf(exchange) !== 'x-local-random') return
  if (key !== '') throw preconditionFailed(`Non empty binding '${key}' key not permitted`)
  if (queueType === undefined) throw preconditionFailed('Destination not found')
  if (queueType !== 'classic') throw preconditionFailed(`Queue type rabbit_${queueType}_queue not valid for this exchange type`)
}

/** The longest delay that the plug-in's timers take. */
const delayMsMax = 4_294_967_295

/** How long a message's x-delay asks it to wait, ms; 0: not at all. */
export function delayOf(headers: Table): number {
  const field = headers.get('x-delay')
  if (field === undefined) return 0
  const given =
    integerOf(field) ??
    (field.type === 'f' || field.type === 'd' ? Math.trunc(field.value) : Number.parseInt(textOf(field) ?? '', 10))
  return 0 < given && given <= delayMsMax ? given : 0
}
