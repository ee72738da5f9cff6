// Queues, exchanges, bindings and messages over the API. Statuses and texts are those of a running RabbitMQ 3.10.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Management } from '../../../test/support/management.ts'

const management = new Management()
const { call } = management

const refused = async (status: number, reason: unknown, method: string, path: string, body?: unknown): Promise<void> => {
  const answer = await call(method, path, body)
  assert.deepEqual([answer.status, answer.json?.reason], [status, reason], `${method} ${path}`)
}

test('a queue is declared once, found equal again, and refused when it would differ', async () => {
  const body = { durable: true, arguments: { 'x-message-ttl': 60_000, 'x-dead-letter-exchange': 'dlx' } }
  assert.equal((await call('PUT', '/queues/%2F/q1', body)).status, 201)
  assert.equal((await call('PUT', '/queues/%2F/q1', body)).status, 204)
  const differs = "inequivalent arg 'durable' for queue 'q1' in vhost '/': received 'false' but current is 'true'"
  await refused(400, differs, 'PUT', '/queues/%2F/q1', { durable: false })
  const negative = "invalid arg 'x-message-ttl' for queue 'bad' in vhost '/': {value_negative,-1}"
  await refused(400, negative, 'PUT', '/queues/%2F/bad', { arguments: { 'x-message-ttl': -1 } })
  await refused(401, 'Access refused.', 'PUT', '/queues/%2F/amq.foo', {})
  await refused(404, 'vhost_not_found', 'PUT', '/queues/nope/foo', {})
  const { json } = await call('GET', '/queues/%2F/q1')
  assert.deepEqual(
    [json.name, json.vhost, json.durable, json.exclusive, json.type, json.messages, json.state],
    ['q1', '/', true, false, 'classic', 0, 'running'],
  )
  assert.deepEqual(json.arguments, body.arguments)
  // The arguments mean what they mean to an AMQP client.
  const channel = await management.channel()
  await channel.assertQueue('q1', { durable: true, messageTtl: 60_000, deadLetterExchange: 'dlx' })
})

test('what is not there is 404, a method that is not there 405, a body that is no object 400', async () => {
  for (const path of ['/queues/nope', '/queues/%2F/nope', '/nope', '/exchanges/%2F/nope', '/vhosts/nope', '/queues/%zz'])
    await refused(404, 'Not Found', 'GET', path)
  const answer = await call('POST', '/queues/%2F/foo', {})
  assert.deepEqual([answer.status, answer.headers.get('allow')], [405, 'HEAD, GET, PUT, DELETE, OPTIONS'])
  await refused(400, 'not_json', 'PUT', '/queues/%2F/foo', [])
  await refused(404, 'Not Found', 'DELETE', '/queues/%2F/nope/contents')
})

test('exchanges of every type are declared, listed and deleted', async () => {
  const body = { type: 'topic', durable: true, arguments: { 'alternate-exchange': 'amq.fanout' } }
  assert.equal((await call('PUT', '/exchanges/%2F/dlx', body)).status, 201)
  assert.equal((await call('PUT', '/exchanges/%2F/dlx', body)).status, 204)
  await refused(400, "unknown exchange type 'nope'", 'PUT', '/exchanges/%2F/x', { type: 'nope' })
  await refused(401, 'Access refused.', 'PUT', '/exchanges/%2F/amq.foo', { type: 'direct' })
  await refused(401, 'Access refused.', 'DELETE', '/exchanges/%2F/amq.direct')
  const { json } = await call('GET', '/exchanges/%2F/dlx')
  assert.deepEqual([json.type, json.durable, json.internal, json.arguments], ['topic', true, false, body.arguments])
  const hash = await call('PUT', '/exchanges/%2F/hash', { type: 'x-consistent-hash' })
  assert.deepEqual([hash.status, (await call('GET', '/exchanges/%2F/hash')).json.type], [201, 'x-consistent-hash'])
  assert.equal((await call('DELETE', '/exchanges/%2F/dlx')).status, 204)
  await refused(404, 'Not Found', 'GET', '/exchanges/%2F/dlx')
})

test('bindings are made, named by their properties, and removed', async () => {
  await call('PUT', '/queues/%2F/q1', {})
  const made = await call('POST', '/bindings/%2F/e/amq.topic/q/q1', { routing_key: 'a.#', arguments: { x: 1, s: 't' } })
  assert.equal(made.status, 201)
  const plain = await call('POST', '/bindings/%2F/e/amq.topic/q/q1', { routing_key: 'plain' })
  assert.equal(plain.headers.get('location'), 'q1/plain')
  assert.equal((await call('POST', '/bindings/%2F/e/amq.topic/e/amq.fanout', {})).status, 201)
  await refused(404, "no exchange 'nox' in vhost '/'", 'POST', '/bindings/%2F/e/nox/q/q1', {})
  await refused(404, "no queue 'noq' in vhost '/'", 'POST', '/bindings/%2F/e/amq.topic/q/noq', {})
  const { json } = await call('GET', '/bindings')
  const shown = json.map((each: Record<string, string>) => [each['source'], each['destination'], each['properties_key']])
  const withArguments = decodeURIComponent(made.headers.get('location')?.slice('q1/'.length) ?? '')
  assert.deepEqual(shown, [
    ['', 'q1', 'q1'],
    ['amq.topic', 'amq.fanout', '~'],
    ['amq.topic', 'q1', withArguments],
    ['amq.topic', 'q1', 'plain'],
  ])
  const one = `/bindings/%2F/e/amq.topic/q/q1/${encodeURIComponent(withArguments)}`
  assert.deepEqual((await call('GET', one)).json.arguments, { x: 1, s: 't' })
  assert.equal((await call('DELETE', one)).status, 204)
  await refused(404, 'Not Found', 'DELETE', one)
  const left = (await call('GET', '/queues/%2F/q1/bindings')).json.map((each: { routing_key: string }) => each.routing_key)
  assert.deepEqual(left, ['q1', 'plain'])
  assert.equal((await call('GET', '/exchanges/%2F/amq.topic/bindings/source')).json.length, 2)
  assert.equal((await call('GET', '/exchanges/%2F/amq.fanout/bindings/destination')).json.length, 1)
  assert.equal((await call('GET', '/exchanges/%2F/amq.default/bindings/source')).json.length, 1)
})

test('a message is published with its properties and got again, as the ackmode says', async () => {
  await call('PUT', '/queues/%2F/q1', {})
  await call('POST', '/bindings/%2F/e/amq.topic/q/q1', { routing_key: 'a.b' })
  const properties = {
    delivery_mode: 2,
    headers: { h: 1, s: 'x', l: [1, 'a'], t: { a: true } },
    content_type: 'text/plain',
    expiration: '60000',
    priority: 3,
    correlation_id: 'c',
    timestamp: 1_700_000_000,
  }
  const message = { routing_key: 'a.b', payload: 'hello', payload_encoding: 'string', properties }
  assert.deepEqual((await call('POST', '/exchanges/%2F/amq.topic/publish', message)).json, { routed: true })
  const bytes = { routing_key: 'q1', payload: '/w==', payload_encoding: 'base64', properties: {} }
  assert.deepEqual((await call('POST', '/exchanges/%2F/amq.default/publish', bytes)).json, { routed: true })
  const lost = { ...message, routing_key: 'nowhere' }
  assert.deepEqual((await call('POST', '/exchanges/%2F/amq.topic/publish', lost)).json, { routed: false })

  const get = async (ackmode: string, more: object = {}) =>
    (await call('POST', '/queues/%2F/q1/get', { count: 5, ackmode, encoding: 'auto', ...more })).json
  const [first, second] = await get('ack_requeue_true')
  assert.deepEqual(first, {
    payload_bytes: 5,
    redelivered: false,
    exchange: 'amq.topic',
    routing_key: 'a.b',
    message_count: 1,
    properties,
    payload: 'hello',
    payload_encoding: 'string',
  })
  assert.deepEqual([second.payload, second.payload_encoding, second.properties, second.exchange], ['/w==', 'base64', [], ''])
  const [cut] = await get('reject_requeue_true', { encoding: 'base64', truncate: 2, count: 1 })
  assert.deepEqual([cut.payload, cut.payload_bytes, cut.redelivered], ['aGU=', 5, true])
  assert.equal((await get('ack_requeue_false')).length, 2)
  assert.deepEqual(await get('ack_requeue_true'), [])
})

test('what was answered to a publisher can be got at once, persistent or not', async () => {
  await call('PUT', '/queues/%2F/q1', {})
  const get = { count: 1, ackmode: 'ack_requeue_false', encoding: 'auto' }
  for (let i = 0; i < 30; i++) {
    const message = { routing_key: 'q1', payload: String(i), payload_encoding: 'string', properties: {} }
    await call('POST', '/exchanges/%2F/amq.default/publish', message)
    const { json } = await call('POST', '/queues/%2F/q1/get', get)
    assert.deepEqual([json.length, json[0]?.payload], [1, String(i)])
  }
})

test('reject_requeue_false dead-letters, and a purge leaves nothing', async () => {
  await call('PUT', '/queues/%2F/dead', {})
  const toDead = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
  await call('PUT', '/queues/%2F/q1', { arguments: toDead })
  const message = { routing_key: 'q1', payload: 'x', payload_encoding: 'string', properties: {} }
  await call('POST', '/exchanges/%2F/amq.default/publish', message)
  await call('POST', '/queues/%2F/q1/get', { count: 1, ackmode: 'reject_requeue_false', encoding: 'auto' })
  const { json } = await call('POST', '/queues/%2F/dead/get', { count: 1, ackmode: 'ack_requeue_true', encoding: 'auto' })
  assert.equal(json[0].properties.headers['x-death'][0].reason, 'rejected')
  assert.equal((await call('DELETE', '/queues/%2F/dead/contents')).status, 204)
  assert.equal((await call('GET', '/queues/%2F/dead')).json.messages, 0)
})

test('a body that lacks or misstates something is refused', async () => {
  await call('PUT', '/queues/%2F/q1', {})
  const message = { routing_key: 'q1', payload: 'x', payload_encoding: 'string', properties: {} }
  const publish = '/exchanges/%2F/amq.default/publish'
  await refused(400, '[{key_missing,properties}]', 'POST', publish, { ...message, properties: undefined })
  await refused(400, ['unsupported_encoding', 'nope'], 'POST', publish, { ...message, payload_encoding: 'nope' })
  await refused(400, ['not_int', 'delivery_mode'], 'POST', publish, { ...message, properties: { delivery_mode: 'x' } })
  await refused(400, ['unknown_property', 'delivery-mode'], 'POST', publish, { ...message, properties: { 'delivery-mode': 2 } })
  await refused(400, "404 NOT_FOUND - no exchange 'missing' in vhost '/'", 'POST', '/exchanges/%2F/missing/publish', message)
  const get = { count: 5, ackmode: 'ack_requeue_true', encoding: 'auto' }
  await refused(400, '[{key_missing,ackmode}]', 'POST', '/queues/%2F/q1/get', { ...get, ackmode: undefined })
  await refused(400, ['not_integer', 'x'], 'POST', '/queues/%2F/q1/get', { ...get, count: 'x' })
  await refused(404, "NOT_FOUND - no queue 'nope' in vhost '/'", 'POST', '/queues/%2F/nope/get', get)
})

test('a queue is deleted only as asked', async () => {
  await call('PUT', '/queues/%2F/q1', {})
  const message = { routing_key: 'q1', payload: 'x', payload_encoding: 'string', properties: {} }
  await call('POST', '/exchanges/%2F/amq.default/publish', message)
  assert.equal((await call('DELETE', '/queues/%2F/q1?if-empty=true')).status, 400)
  const channel = await management.channel()
  const { consumerTag } = await channel.consume('q1', () => undefined)
  assert.equal((await call('DELETE', '/queues/%2F/q1?if-unused=true')).status, 400)
  await channel.cancel(consumerTag)
  assert.equal((await call('DELETE', '/queues/%2F/q1?if-unused=true')).status, 204)
  assert.equal((await call('GET', '/queues/%2F/q1')).status, 404)
})

test('a queue of another connection alone is shown with its owner and is out of reach', async () => {
  const channel = await management.channel()
  await channel.assertQueue('mine', { exclusive: true })
  const { json } = await call('GET', '/queues/%2F/mine')
  assert.equal(json.exclusive, true)
  assert.match(json.owner_pid_details.name, /^127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+$/)
  const answer = await call('DELETE', '/queues/%2F/mine')
  assert.deepEqual([answer.status, /cannot obtain exclusive access/.test(answer.json.reason)], [400, true])
})
