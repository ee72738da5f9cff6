/** Exchanges: list, show, declare, delete, their bindings, and publishing to them. The default one is called amq.default in paths. */
import type { ExchangeInfo, Space } from '../../../broker/face.ts'
import { tableOfJson } from '../../amqp/json.ts'
import { type AmqpChannel, Refused, withChannel } from '../amqp-client.ts'
import { badRequest, notAuthorised, notFound } from '../errors.ts'
import { flag, need, object, text } from '../fields.ts'
import type { Json } from '../json.ts'
import { listed, shaped } from '../page.ts'
import { propertiesOf } from '../properties.ts'
import { type Call, put, type Route } from '../route.ts'
import { bindingView, defaultBinding, exchangeView } from '../views.ts'

export const exchangeName = (name: string): string => (name === 'amq.default' ? '' : name)

function find(call: Call): { space: Space; exchange: ExchangeInfo } {
  const space = call.caller.space(call.vhost)
  const exchange = space.exchange(exchangeName(call.parameter('exchange')))
  if (exchange === undefined) throw notFound()
  return { space, exchange }
}

const list = (call: Call, spaces: readonly Space[]): unknown =>
  listed(
    call,
    spaces.flatMap((space) => space.exchanges().map((exchange) => exchangeView(call.broker, space, exchange))),
  )

export async function declareExchange(channel: AmqpChannel, exchange: string, body: Json): Promise<void> {
  need(body, 'type')
  await channel.call(
    'exchange.declare',
    {
      ticket: 0,
      exchange,
      type: text(body, 'type'),
      passive: false,
      durable: flag(body, 'durable', true),
      autoDelete: flag(body, 'auto_delete', false),
      internal: flag(body, 'internal', false),
      nowait: false,
      arguments: tableOfJson(object(body, 'arguments')),
    },
    'exchange.declare-ok',
  )
}

export const exchangeRoutes: readonly Route[] = [
  { method: 'GET', path: '/exchanges', handle: (call) => list(call, call.caller.spaces()) },
  { method: 'GET', path: '/exchanges/:vhost', handle: (call) => list(call, [call.caller.space(call.vhost)]) },
  {
    method: 'GET',
    path: '/exchanges/:vhost/:exchange',
    handle: (call) => {
      const { space, exchange } = find(call)
      return shaped(call, { ...exchangeView(call.broker, space, exchange), incoming: [], outgoing: [] })
    },
  },
  {
    method: 'PUT',
    path: '/exchanges/:vhost/:exchange',
    handle: async (call) => {
      const body = await call.body()
      const name = call.parameter('exchange')
      const { broker, caller, request, vhost } = call
      return await withChannel(broker, caller, request, vhost, async (channel) => {
        const isNew = caller.space(vhost).exchange(name) === undefined
        await declareExchange(channel, name, body)
        return put(isNew)
      })
    },
  },
  {
    method: 'DELETE',
    path: '/exchanges/:vhost/:exchange',
    handle: async (call) => {
      const { exchange } = find(call)
      if (exchange.name === '') throw notAuthorised('Access refused.')
      const fields = { ticket: 0, exchange: exchange.name, ifUnused: call.query.get('if-unused') === 'true', nowait: false }
      await withChannel(call.broker, call.caller, call.request, call.vhost, (channel) =>
        channel.call('exchange.delete', fields, 'exchange.delete-ok'),
      )
      return null
    },
  },
  {
    method: 'GET',
    path: '/exchanges/:vhost/:exchange/bindings/source',
    handle: (call) => {
      const { space, exchange } = find(call)
      const own =
        exchange.name === ''
          ? space.topics().map((topic) => defaultBinding(topic.name))
          : space.bindings({ source: exchange.name })
      return listed(
        call,
        own.map((binding) => bindingView(space, binding)),
        ['destination', 'routing_key'],
      )
    },
  },
  {
    method: 'GET',
    path: '/exchanges/:vhost/:exchange/bindings/destination',
    handle: (call) => {
      const { space, exchange } = find(call)
      const bindings = space.bindings({ destination: exchange.name, destinationKind: 'exchange' })
      return listed(
        call,
        bindings.map((binding) => bindingView(space, binding)),
        ['source', 'routing_key'],
      )
    },
  },
  { method: 'POST', path: '/exchanges/:vhost/:exchange/publish', handle: publish },
]

async function publish(call: Call): Promise<unknown> {
  const body = await call.body()
  need(body, 'routing_key', 'payload', 'payload_encoding', 'properties')
  const properties = propertiesOf(object(body, 'properties'))
  const payload = payloadOf(body)
  const exchange = exchangeName(call.parameter('exchange'))
  const fields = { ticket: 0, exchange, routingKey: text(body, 'routing_key'), mandatory: true, immediate: false }
  return await withChannel(call.broker, call.caller, call.request, call.vhost, async (channel) => {
    await channel.call('confirm.select', { nowait: false }, 'confirm.select-ok')
    try {
      channel.publish(fields, { properties, body: payload })
      const first = await channel.next('basic.ack', 'basic.nack', 'basic.return')
      // A return comes before its confirm; a nack means that every queue refused it.
      if (first.name === 'basic.return') await channel.next('basic.ack', 'basic.nack')
      else await channel.seePublished()
      return { routed: first.name === 'basic.ack' }
    } catch (cause) {
      if (cause instanceof Refused && cause.code === 404) throw badRequest(`404 ${cause.message}`)
      throw cause
    }
  })
}

function payloadOf(body: Json): Buffer {
  const { payload_encoding: encoding } = body
  const payload = text(body, 'payload')
  if (encoding === 'string') return Buffer.from(payload)
  if (encoding !== 'base64') throw badRequest(['unsupported_encoding', encoding])
  if (!/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(payload)) throw badRequest(['not_base64', payload.slice(0, 100)])
  return Buffer.from(payload, 'base64')
}
