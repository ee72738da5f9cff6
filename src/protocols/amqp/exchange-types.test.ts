// Exchange types of RabbitMQ's plug-ins, over a real socket.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import { Conversation, collected, taken, texts } from '../../../test/support/amqp.ts'

const talk = new Conversation()

test('a consistent-hash exchange keeps what has the same key, header or property together', async () => {
  const channel = await talk.channel()
  for (const [name, options] of [
    ['ch key', {}],
    ['ch header', { arguments: { 'hash-header': 'user' } }],
    ['ch property', { arguments: { 'hash-property': 'message_id' } }],
  ] as const) {
    await channel.assertExchange(name, 'x-consistent-hash', options)
    for (const queue of [`${name} 1`, `${name} 2`]) {
      await channel.assertQueue(queue)
      await channel.bindQueue(queue, name, '2')
    }
    for (let index = 0; index < 100; index++) {
      const user = `user ${index % 10}`
      const key = name === 'ch key' ? user : String(index)
      channel.publish(name, key, Buffer.from(user), { headers: { user }, messageId: user })
    }
    const seen: Set<string>[] = []
    for (const queue of [`${name} 1`, `${name} 2`]) {
      const { messageCount } = await channel.checkQueue(queue)
      assert.ok(0 < messageCount && messageCount < 100, `${queue} has ${messageCount} of 100`)
      seen.push(new Set(texts(await collected(channel, queue, messageCount, { noAck: true }))))
    }
    assert.equal((seen[0]?.size ?? 0) + (seen[1]?.size ?? 0), 10, `${name}: a user's messages went to both queues`)
  }
})

test('random and modulus exchanges give each message to one queue', async () => {
  const channel = await talk.channel()
  for (const type of ['x-random', 'x-modulus-hash', 'x-local-random']) {
    await channel.assertExchange(type, type)
    for (const queue of [`${type} 1`, `${type} 2`]) {
      await channel.assertQueue(queue)
      await channel.bindQueue(queue, type, '')
    }
    for (let index = 0; index < 64; index++) channel.publish(type, `key ${index}`, Buffer.from('x'), { CC: ['other'] })
    const first = (await channel.checkQueue(`${type} 1`)).messageCount
    const second = (await channel.checkQueue(`${type} 2`)).messageCount
    assert.equal(first + second, 64, type)
    assert.ok(0 < first && 0 < second, `${type}: ${first} and ${second}`)
  }
})

test('a recent-history exchange gives its newest messages to a queue that is bound later', async () => {
  const channel = await talk.fresh('history')
  await channel.assertExchange('rh', 'x-recent-history', { arguments: { 'x-recent-history-length': 2 } })
  for (const body of ['a', 'b', 'c']) channel.publish('rh', 'k', Buffer.from(body))
  channel.publish('rh', 'k', Buffer.from('secret'), { headers: { 'x-recent-history-no-store': true } })
  await channel.bindQueue('history', 'rh', '')
  const messages = await collected(channel, 'history', 2, { noAck: true })
  assert.deepEqual(texts(messages), ['b', 'c'])
  assert.deepEqual([messages[0]?.fields.exchange, messages[0]?.fields.routingKey], ['rh', 'k'])
})

test('a delayed message waits for its time, is then routed by the inner type, and its delay is told as negative', async () => {
  const channel = await talk.fresh('delayed')
  await channel.assertExchange('later', 'x-delayed-message', { arguments: { 'x-delayed-type': 'topic' } })
  await channel.bindQueue('delayed', 'later', 'a.#')
  await channel.bindQueue('delayed', 'later', 'cc')
  channel.publish('later', 'a.b', Buffer.from('second'), { headers: { 'x-delay': 60_000 } })
  channel.publish('later', 'a.b', Buffer.from('first'), { headers: { 'x-delay': '30000' } })
  channel.publish('later', 'z', Buffer.from('by CC'), { headers: { 'x-delay': 90_000 }, CC: ['cc'] })
  channel.publish('later', 'a.b', Buffer.from('now'), { headers: { 'x-delay': -5 } })
  assert.equal((await taken(channel, 'delayed', { noAck: true })).content.toString(), 'now')
  assert.equal(await channel.get('delayed', { noAck: true }), false)
  await talk.broker.clock.advance('31s')
  const first = await taken(channel, 'delayed', { noAck: true })
  assert.equal(first.content.toString(), 'first')
  assert.equal(first.properties.headers?.['x-delay'], -30_000)
  assert.equal(await channel.get('delayed', { noAck: true }), false)
  await talk.broker.clock.advance('60s')
  assert.deepEqual(texts(await collected(channel, 'delayed', 2, { noAck: true })), ['second', 'by CC'])
})

test('types, arguments and bindings that RabbitMQ refuses are refused in its words', async () => {
  const channel = await talk.fresh('refused')
  await channel.assertExchange('hashing', 'x-consistent-hash')
  await channel.assertExchange('local', 'x-local-random')
  await channel.assertExchange('slow', 'x-delayed-message', { arguments: { 'x-delayed-type': 'direct' } })
  await channel.assertQueue('refused quorum', { arguments: { 'x-queue-type': 'quorum' } })
  const declare = (type: string, args: object) => talk.refusal((other) => other.assertExchange('e', type, { arguments: args }))
  const bind = (exchange: string, key: string, queue = 'refused') =>
    talk.refusal((other) => other.bindQueue(queue, exchange, key))
  assert.equal(await bind('hashing', 'abc'), `PRECONDITION_FAILED - The binding key must be an integer: <<"abc">>`)
  assert.equal(await bind('hashing', '0'), 'PRECONDITION_FAILED - The binding key must be greater than 0')
  assert.equal(await bind('hashing', '10001'), 'PRECONDITION_FAILED - The binding key must not exceed 10000')
  assert.equal(await bind('local', 'k'), "PRECONDITION_FAILED - Non empty binding 'k' key not permitted")
  assert.equal(
    await bind('local', '', 'refused quorum'),
    'PRECONDITION_FAILED - Queue type rabbit_quorum_queue not valid for this exchange type',
  )
  assert.equal(
    await declare('x-consistent-hash', { 'hash-header': 'a', 'hash-property': 'message_id' }),
    'PRECONDITION_FAILED - hash-header and hash-property are mutually exclusive',
  )
  assert.equal(
    await declare('x-consistent-hash', { 'hash-property': 'app_id' }),
    'PRECONDITION_FAILED - Unsupported property: app_id',
  )
  assert.equal(
    await declare('x-recent-history', { 'x-recent-history-length': 0 }),
    "PRECONDITION_FAILED - Invalid argument 0, 'x-recent-history-length' must be a positive integer",
  )
  assert.equal(
    await declare('x-delayed-message', {}),
    "PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange type",
  )
  assert.equal(
    await talk.refusal((other) => other.assertExchange('slow', 'direct')),
    "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'slow' in vhost '/': received 'direct' but current is 'x-delayed-message'",
  )
  assert.equal(
    await talk.connectionRefusal((other) => other.assertExchange('jms', 'x-jms-topic')),
    "COMMAND_INVALID - unknown exchange type 'x-jms-topic'",
  )
})
