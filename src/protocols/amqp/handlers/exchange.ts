// exchange.declare, delete, bind, unbind.
import type { Binding, ExchangeInfo, ExchangeKind, Space } from '../../../broker/face.ts'
import { asCoreError } from '../../../core/errors.ts'
import type { Channel } from '../channel.ts'
import { assertSameArguments, type Declaration, declaredArguments, declaredType, inequivalent } from '../declaration.ts'
import { AmqpError, named, notFound, preconditionFailed } from '../errors.ts'
import { checkBindingKey, exchangeOptions, typeOf } from '../exchange-types.ts'
import { plain } from '../mapping.ts'
import type { MethodFields } from '../methods.ts'
import { assertMay, assertMayUseKey } from '../rights.ts'
import { type Table, textOf, typeName } from '../table.ts'
import type { Handlers } from './all.ts'

const standard: readonly (readonly [string, ExchangeKind, boolean])[] = [
  ['amq.direct', 'direct', false],
  ['amq.fanout', 'fanout', false],
  ['amq.topic', 'topic', false],
  ['amq.headers', 'headers', false],
  ['amq.match', 'headers', false],
  ['amq.rabbitmq.trace', 'topic', true],
]

/** The exchanges every vhost has. null when they are all there, as from the second connection on. */
export function declareStandardExchanges(space: Space): Promise<void> | null {
  const missing = standard.filter(([name]) => space.exchange(name) === undefined)
  if (missing.length === 0) return null
  const declare = async (): Promise<void> => {
    for (const [name, kind, internal] of missing) {
      try {
        await space.declareExchange({
          name,
          kind,
          durable: true,
          autoDelete: false,
          internal,
          alternate: null,
          declaration: { arguments: {} },
        })
      } catch (cause) {
        // Whoever may not declare them can still use what exists; another connection may have been quicker.
        const { code } = asCoreError(cause)
        if (code !== 'AlreadyExists' && code !== 'AccessDenied') throw cause
      }
    }
  }
  return declare()
}

export const withoutLineBreaks = (name: string): string => name.replace(/[\r\n]/g, '')

type Names = 'exchange.declare' | 'exchange.delete' | 'exchange.bind' | 'exchange.unbind'

export const exchangeHandlers: Handlers<Names> = {
  async 'exchange.declare'(channel, fields) {
    await declare(channel, fields, withoutLineBreaks(fields.exchange))
    if (!fields.nowait) channel.session.send(channel.number, 'exchange.declare-ok', {})
  },

  async 'exchange.delete'(channel, fields) {
    const { session } = channel
    const name = withoutLineBreaks(fields.exchange)
    refuseDefault(name)
    if (name.startsWith('amq.'))
      throw new AmqpError('ACCESS_REFUSED', `deletion of system ${named('exchange', name, session.vhost)} not allowed`)
    assertMay(session.space, 'manage', name, 'exchange')
    // Deleting what is not there succeeds, as in RabbitMQ since 3.2.
    if (session.space.exchange(name) !== undefined) {
      if (fields.ifUnused && 0 < session.space.bindings({ source: name }).length)
        throw preconditionFailed(`${named('exchange', name, session.vhost)} in use`)
      await session.space.deleteExchange(name, fields.ifUnused)
    }
    if (!fields.nowait) session.send(channel.number, 'exchange.delete-ok', {})
  },

  async 'exchange.bind'(channel, fields) {
    const binding = exchangeBinding(channel, fields)
    await channel.session.space.bind(binding)
    if (!fields.nowait) channel.session.send(channel.number, 'exchange.bind-ok', {})
  },

  async 'exchange.unbind'(channel, fields) {
    await unbindIfThere(channel.session.space, exchangeBinding(channel, fields, true))
    if (!fields.nowait) channel.session.send(channel.number, 'exchange.unbind-ok', {})
  },
}

async function declare(channel: Channel, fields: MethodFields<'exchange.declare'>, name: string): Promise<void> {
  const { space, vhost } = channel.session
  if (fields.passive) {
    refuseDefault(name)
    assertMay(space, 'describe', name, 'exchange')
    if (space.exchange(name) === undefined) throw notFound('exchange', name, vhost)
    return
  }
  const options = exchangeOptions(fields.type, fields.arguments)
  refuseDefault(name)
  assertMay(space, 'manage', name, 'exchange')
  const present = space.exchange(name)
  if (present !== undefined) return assertEquivalent(present, fields, vhost)
  if (name.startsWith('amq.')) throw new AmqpError('ACCESS_REFUSED', `exchange name '${name}' contains reserved prefix 'amq.*'`)
  const alternate = fields.arguments.get('alternate-exchange')
  if (alternate !== undefined && textOf(alternate) === undefined) {
    throw preconditionFailed(
      `invalid type '${typeName(alternate)}' for arg 'alternate-exchange' in ${named('exchange', name, vhost)}`,
    )
  }
  try {
    await space.declareExchange({
      name,
      ...options,
      durable: fields.durable,
      autoDelete: fields.autoDelete,
      internal: fields.internal,
      alternate: textOf(alternate) ?? null,
      declaration: { type: fields.type, arguments: declaredArguments(fields.arguments) },
    })
  } catch (cause) {
    const raced = space.exchange(name)
    if (asCoreError(cause).code !== 'AlreadyExists' || raced === undefined) throw cause
    assertEquivalent(raced, fields, vhost)
  }
}

/** What RabbitMQ compares at a redeclaration; the arguments of the plug-ins' types are compared here too, since they change what happens. */
const comparedArguments = ['alternate-exchange', 'x-delayed-type', 'hash-header', 'hash-property', 'x-recent-history-length']

function assertEquivalent(exchange: ExchangeInfo, fields: MethodFields<'exchange.declare'>, vhost: string): void {
  const what = named('exchange', exchange.name, vhost)
  const type = typeOf(exchange)
  if (type !== fields.type) throw inequivalent('type', what, `'${fields.type}'`, `'${type}'`)
  if (exchange.durable !== fields.durable) throw inequivalent('durable', what, `'${fields.durable}'`, `'${exchange.durable}'`)
  if (exchange.autoDelete !== fields.autoDelete)
    throw inequivalent('auto_delete', what, `'${fields.autoDelete}'`, `'${exchange.autoDelete}'`)
  if (exchange.internal !== fields.internal)
    throw inequivalent('internal', what, `'${fields.internal}'`, `'${exchange.internal}'`)
  const declared = (exchange.declaration.arguments ?? {}) as Declaration['arguments'] // written by declaredArguments, or absent
  assertSameArguments(what, declared, declaredArguments(fields.arguments), comparedArguments)
}

function refuseDefault(name: string): void {
  if (name === '') throw new AmqpError('ACCESS_REFUSED', 'operation not permitted on the default exchange')
}

function exchangeBinding(channel: Channel, fields: MethodFields<'exchange.bind'>, removing = false): Binding {
  const destination = withoutLineBreaks(fields.destination)
  refuseDefault(destination)
  return bindingOf(
    channel,
    withoutLineBreaks(fields.source),
    destination,
    'exchange',
    fields.routingKey,
    fields.arguments,
    removing,
  )
}

export function bindingOf(
  channel: Channel,
  source: string,
  destination: string,
  destinationKind: Binding['destinationKind'],
  key: string,
  table: Table,
  removing = false,
): Binding {
  const { space, vhost } = channel.session
  refuseDefault(source)
  assertMay(space, 'publish', destination, destinationKind)
  assertMay(space, 'consume', source, 'exchange')
  const exchange = space.exchange(source)
  if (exchange?.kind === 'topic') assertMayUseKey(space, source, key)
  if (exchange === undefined && !removing) throw notFound('exchange', source, vhost)
  if (exchange !== undefined && !removing) {
    const topic = destinationKind === 'topic' ? space.topic(destination) : undefined
    if (destinationKind === 'topic' && topic === undefined) throw notFound('queue', destination, vhost)
    if (destinationKind === 'exchange' && space.exchange(destination) === undefined)
      throw notFound('exchange', destination, vhost)
    checkBindingKey(exchange, key, topic === undefined ? undefined : declaredType(topic))
  }
  return {
    source,
    destination,
    destinationKind,
    key,
    arguments: exchange?.kind === 'headers' && !removing ? matchArguments(table) : plain(table),
  }
}

const matches: readonly string[] = ['all', 'any', 'all-with-x', 'any-with-x']

/** RabbitMQ looks at x-match when the binding is made, not when it is used. */
function matchArguments(table: Table): Record<string, unknown> {
  const given = table.get('x-match')
  const match = given === undefined ? 'all' : (textOf(given) ?? '')
  if (!matches.includes(match))
    throw preconditionFailed(`Invalid x-match field value <<"${match}">>; expected all, any, all-with-x, or any-with-x`)
  return plain(table)
}

export async function unbindIfThere(space: Space, binding: Binding): Promise<void> {
  try {
    await space.unbind(binding)
  } catch (cause) {
    if (asCoreError(cause).code !== 'NotFound') throw cause
  }
}
