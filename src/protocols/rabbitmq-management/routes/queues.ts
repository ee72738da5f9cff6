/** Queues: list, show, declare, delete, purge, and the messages at their heads. */
import type { Space, TopicInfo } from '../../../broker/face.ts'
import { tableOfJson } from '../../amqp/json.ts'
import { type AmqpChannel, type Message, withChannel } from '../amqp-client.ts'
import { ApiError, badRequest, notFound } from '../errors.ts'
import { flag, integer, need, object } from '../fields.ts'
import type { Json } from '../json.ts'
import { listed, shaped } from '../page.ts'
import { propertiesJson } from '../properties.ts'
import { type Call, put, type Route } from '../route.ts'
import { bindingView, defaultBinding, queueContext, queueDetails, queueView } from '../views.ts'

/** Bodies that one answer of /get holds, together; what is beyond stays in the queue. */
const getBytesMax = 64 * 1024 * 1024
const ackModes = ['ack_requeue_true', 'ack_requeue_false', 'reject_requeue_true', 'reject_requeue_false']

function list(call: Call, spaces: readonly Space[], view = queueView): unknown {
  const context = queueContext(call.broker, call.rates)
  return listed(
    call,
    spaces.flatMap((space) => space.topics().map((topic) => view(context, space, topic))),
  )
}

function find(call: Call): { space: Space; topic: TopicInfo } {
  const space = call.caller.space(call.vhost)
  const topic = space.topic(call.parameter('queue'))
  if (topic === undefined) throw notFound()
  return { space, topic }
}

export async function declareQueue(channel: AmqpChannel, queue: string, body: Json): Promise<void> {
  await channel.call(
    'queue.declare',
    {
      ticket: 0,
      queue,
      passive: false,
      durable: flag(body, 'durable', true),
      exclusive: false,
      autoDelete: flag(body, 'auto_delete', false),
      nowait: false,
      arguments: tableOfJson(object(body, 'arguments')),
    },
    'queue.declare-ok',
  )
}

export const queueRoutes: readonly Route[] = [
  { method: 'GET', path: '/queues', handle: (call) => list(call, call.caller.spaces()) },
  { method: 'GET', path: '/queues/detailed', handle: (call) => list(call, call.caller.spaces(), queueDetails) },
  { method: 'GET', path: '/queues/:vhost', handle: (call) => list(call, [call.caller.space(call.vhost)]) },
  {
    method: 'GET',
    path: '/queues/:vhost/:queue',
    handle: (call) => {
      const { space, topic } = find(call)
      return shaped(call, queueDetails(queueContext(call.broker, call.rates), space, topic))
    },
  },
  {
    method: 'PUT',
    path: '/queues/:vhost/:queue',
    handle: async (call) => {
      const body = await call.body()
      const queue = call.parameter('queue')
      const { broker, caller, request, vhost } = call
      return await withChannel(broker, caller, request, vhost, async (channel) => {
        const isNew = caller.space(vhost).topic(queue) === undefined
        await declareQueue(channel, queue, body)
        return put(isNew)
      })
    },
  },
  {
    method: 'DELETE',
    path: '/queues/:vhost/:queue',
    handle: async (call) => {
      find(call)
      const ifEmpty = call.query.get('if-empty') === 'true'
      const ifUnused = call.query.get('if-unused') === 'true'
      const fields = { ticket: 0, queue: call.parameter('queue'), ifUnused, ifEmpty, nowait: false }
      await withChannel(call.broker, call.caller, call.request, call.vhost, (channel) =>
        channel.call('queue.delete', fields, 'queue.delete-ok'),
      )
      return null
    },
  },
  {
    method: 'DELETE',
    path: '/queues/:vhost/:queue/contents',
    handle: async (call) => {
      find(call)
      const fields = { ticket: 0, queue: call.parameter('queue'), nowait: false }
      await withChannel(call.broker, call.caller, call.request, call.vhost, (channel) =>
        channel.call('queue.purge', fields, 'queue.purge-ok'),
      )
      return null
    },
  },
  {
    method: 'GET',
    path: '/queues/:vhost/:queue/bindings',
    handle: (call) => {
      const { space, topic } = find(call)
      const bound = space.bindings({ destination: topic.name, destinationKind: 'topic' })
      return listed(
        call,
        [defaultBinding(topic.name), ...bound].map((binding) => bindingView(space, binding)),
        ['source', 'routing_key'],
      )
    },
  },
  {
    method: 'POST',
    path: '/queues/:vhost/:queue/actions',
    handle: async (call) => {
      find(call)
      const { action } = await call.body()
      // Both concern mirrors on other nodes, and there are none.
      if (action === 'sync' || action === 'cancel_sync') throw badRequest('there is one node: nothing to synchronise')
      throw badRequest(['unknown', action])
    },
  },
  { method: 'POST', path: '/queues/:vhost/:queue/get', handle: get },
]

async function get(call: Call): Promise<unknown> {
  const body = await call.body()
  need(body, 'ackmode', 'count', 'encoding')
  const { ackmode, encoding } = body
  const count = integer(body['count'])
  const truncate = body['truncate'] === undefined ? Infinity : integer(body['truncate'])
  if (typeof ackmode !== 'string' || !ackModes.includes(ackmode)) throw badRequest(['unknown_ackmode', ackmode])
  if (encoding !== 'auto' && encoding !== 'base64') throw badRequest(['unsupported_encoding', encoding])
  if (count < 0) throw badRequest(['not_integer', count])
  const queue = call.parameter('queue')
  if (call.caller.space(call.vhost).topic(queue) === undefined)
    throw new ApiError(404, 'not_found', `NOT_FOUND - no queue '${queue}' in vhost '${call.vhost}'`)
  return await withChannel(call.broker, call.caller, call.request, call.vhost, async (channel) => {
    const noAck = ackmode === 'ack_requeue_false'
    const messages: Json[] = []
    let last = 0
    for (let bytes = 0; messages.length < count && bytes < getBytesMax; ) {
      const got = await channel.call('basic.get', { ticket: 0, queue, noAck }, 'basic.get-ok', 'basic.get-empty')
      if (got.name === 'basic.get-empty' || got.content === undefined) break
      last = got.fields.deliveryTag
      bytes += got.content.body.length
      messages.push({
        redelivered: got.fields.redelivered,
        exchange: got.fields.exchange,
        routing_key: got.fields.routingKey,
        message_count: got.fields.messageCount,
        ...contentJson(got.content, encoding, truncate),
      })
    }
    if (last > 0 && !noAck) {
      // Put back they were never away; a reject counts as a delivery that failed.
      if (ackmode === 'ack_requeue_true') channel.tell('basic.nack', { deliveryTag: last, multiple: true, requeue: true })
      else {
        const requeue = ackmode === 'reject_requeue_true'
        for (let deliveryTag = 1; deliveryTag <= last; deliveryTag++) channel.tell('basic.reject', { deliveryTag, requeue })
      }
      // Its answer says that the settling before it was understood.
      await channel.call('basic.qos', { prefetchSize: 0, prefetchCount: 0, global: false }, 'basic.qos-ok')
    }
    return messages
  })
}

function contentJson({ properties, body }: Message, encoding: string, truncate: number): Json {
  const shown = body.subarray(0, truncate)
  const asText = encoding === 'auto' && Buffer.from(shown.toString()).equals(shown)
  return {
    payload_bytes: body.length,
    properties: propertiesJson(properties),
    payload: shown.toString(asText ? 'utf8' : 'base64'),
    payload_encoding: asText ? 'string' : 'base64',
  }
}
