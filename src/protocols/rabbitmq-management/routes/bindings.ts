/** Bindings: list, make and remove, from an exchange to a queue (q) or an exchange (e). */
import type { Binding, Space } from '../../../broker/face.ts'
import { jsonOfTable, tableOfJson } from '../../amqp/json.ts'
import type { Table } from '../../amqp/table.ts'
import { type AmqpChannel, Refused, withChannel } from '../amqp-client.ts'
import { ApiError, badRequest, notFound } from '../errors.ts'
import { object, text } from '../fields.ts'
import type { Json } from '../json.ts'
import { listed } from '../page.ts'
import { type Call, type Route, Status } from '../route.ts'
import { bindingView, defaultBinding, propertiesKey } from '../views.ts'
import { exchangeName } from './exchanges.ts'

const all = (space: Space): Json[] =>
  [...space.topics().map((topic) => defaultBinding(topic.name)), ...space.bindings()].map((binding) =>
    bindingView(space, binding),
  )

const sortedBy = ['vhost', 'source', 'destination', 'routing_key'] as const

/** The two ends that the path names, and the bindings between them. */
function between(call: Call): { space: Space; ends: Ends; bindings: Binding[] } {
  const space = call.caller.space(call.vhost)
  const destinationKind = kindOf(call.parameter('kind'))
  const source = exchangeName(call.parameter('source'))
  const destination = call.parameter('destination')
  const ends = { source, destination, destinationKind }
  const bindings =
    source === '' && destinationKind === 'topic' && space.topic(destination) !== undefined
      ? [defaultBinding(destination)]
      : space.bindings(ends)
  return { space, ends, bindings }
}

type Ends = Pick<Binding, 'source' | 'destination' | 'destinationKind'>

function kindOf(letter: string): Binding['destinationKind'] {
  if (letter === 'q') return 'topic'
  if (letter === 'e') return 'exchange'
  throw notFound()
}

export async function bind(channel: AmqpChannel, ends: Ends, routingKey: string, own: Table): Promise<void> {
  const { source, destination } = ends
  const common = { ticket: 0, routingKey, nowait: false, arguments: own }
  if (ends.destinationKind === 'topic')
    await channel.call('queue.bind', { ...common, queue: destination, exchange: source }, 'queue.bind-ok')
  else await channel.call('exchange.bind', { ...common, destination, source }, 'exchange.bind-ok')
}

async function unbind(
  channel: AmqpChannel,
  { source, destination, destinationKind, key, arguments: own }: Binding,
): Promise<void> {
  const common = { ticket: 0, routingKey: key, nowait: false, arguments: tableOfJson(own) }
  if (destinationKind === 'topic')
    await channel.call('queue.unbind', { ...common, queue: destination, exchange: source }, 'queue.unbind-ok')
  else await channel.call('exchange.unbind', { ...common, destination, source }, 'exchange.unbind-ok')
}

const pair = '/bindings/:vhost/e/:source/:kind/:destination'

export const bindingRoutes: readonly Route[] = [
  { method: 'GET', path: '/bindings', handle: (call) => listed(call, call.caller.spaces().flatMap(all), sortedBy) },
  { method: 'GET', path: '/bindings/:vhost', handle: (call) => listed(call, all(call.caller.space(call.vhost)), sortedBy) },
  {
    method: 'GET',
    path: pair,
    handle: (call) => {
      const { space, bindings } = between(call)
      return listed(
        call,
        bindings.map((binding) => bindingView(space, binding)),
        sortedBy,
      )
    },
  },
  {
    method: 'POST',
    path: pair,
    handle: async (call) => {
      const body = await call.body()
      const { space, ends } = between(call)
      const key = text(body, 'routing_key')
      const own = tableOfJson(object(body, 'arguments'))
      await withChannel(call.broker, call.caller, call.request, call.vhost, async (channel) => {
        try {
          await bind(channel, ends, key, own)
        } catch (cause) {
          if (cause instanceof Refused && cause.code === 404) throw new ApiError(404, 'not_found', cause.explanation)
          throw cause
        }
      })
      const made = space.bindings(ends).find((each) => each.key === key && sameJson(each.arguments, jsonOfTable(own)))
      const name = propertiesKey(made ?? { ...ends, key, arguments: jsonOfTable(own) })
      return new Status(201, { location: `${encodeURIComponent(ends.destination)}/${encodeURIComponent(name)}` })
    },
  },
  {
    method: 'GET',
    path: `${pair}/:name`,
    handle: (call) => {
      const { space, bindings } = between(call)
      return bindingView(space, named(call, bindings))
    },
  },
  {
    method: 'DELETE',
    path: `${pair}/:name`,
    handle: async (call) => {
      const binding = named(call, between(call).bindings)
      if (binding.source === '') throw badRequest('bindings of the default exchange cannot be removed')
      await withChannel(call.broker, call.caller, call.request, call.vhost, (channel) => unbind(channel, binding))
      return null
    },
  },
]

function named(call: Call, bindings: readonly Binding[]): Binding {
  const found = bindings.find((binding) => propertiesKey(binding) === call.parameter('name'))
  if (found === undefined) throw notFound()
  return found
}

const sameJson = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)
