// Policies set over the API, seen by what AMQP clients see. The same steps against RabbitMQ 3.10 give the same messages and reasons.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { Channel, ConfirmChannel, Options } from 'amqplib'
import { eventually, taken } from '../../../test/support/amqp.ts'
import { Management } from '../../../test/support/management.ts'

const management = new Management()
const { call } = management

async function put(name: string, definition: object, more: object = {}, kind = 'policies'): Promise<void> {
  const { status, json } = await call('PUT', `/${kind}/%2F/${name}`, { pattern: '^q', definition, ...more })
  assert.ok(status === 201 || status === 204, JSON.stringify(json))
}
async function confirming(): Promise<ConfirmChannel> {
  const channel = await (await management.connect()).createConfirmChannel()
  channel.on('error', () => undefined)
  return channel
}
/** Whether each was taken (true) or refused by a nack. */
async function send(channel: ConfirmChannel, queue: string, ...texts: string[]): Promise<boolean[]> {
  return await Promise.all(
    texts.map(
      (text) =>
        new Promise<boolean>((resolve) =>
          channel.sendToQueue(queue, Buffer.from(text), { persistent: true }, (e) => resolve(e === null)),
        ),
    ),
  )
}
const depth = async (channel: Channel, queue: string): Promise<number> => (await channel.checkQueue(queue)).messageCount
const declared = (own: Options.AssertQueue = {}): Options.AssertQueue => ({ durable: true, ...own })

test('a length counts at once and for what comes; the smaller of argument, policy and operator policy', async () => {
  const channel = await confirming()
  await channel.assertQueue('q.free', declared())
  await channel.assertQueue('q.two', declared({ maxLength: 2 }))
  await send(channel, 'q.free', 'a', 'b', 'c', 'd', 'e')
  await put('len', { 'max-length': 4 })
  await eventually(async () => (await depth(channel, 'q.free')) === 4)
  await send(channel, 'q.two', 'a', 'b', 'c')
  await eventually(async () => (await depth(channel, 'q.two')) === 2)
  await put('cap', { 'max-length': 1 }, { 'apply-to': 'queues' }, 'operator-policies')
  await eventually(async () => (await depth(channel, 'q.free')) === 1 && (await depth(channel, 'q.two')) === 1)
  assert.equal((await taken(channel, 'q.free')).content.toString(), 'e')
  const { json } = await call('GET', '/queues/%2F/q.free')
  assert.deepEqual([json.policy, json.operator_policy, json.effective_policy_definition], ['len', 'cap', { 'max-length': 1 }])
  // What it was declared with is not changed by a policy.
  await channel.assertQueue('q.two', declared({ maxLength: 2 }))
})

test('overflow: an argument goes before a policy, a policy before the default', async () => {
  const channel = await confirming()
  await put('refuse', { 'max-length': 1, overflow: 'reject-publish' })
  await channel.assertQueue('q.default', declared())
  await channel.assertQueue('q.drop', declared({ arguments: { 'x-overflow': 'drop-head' } }))
  assert.deepEqual(await send(channel, 'q.default', 'a'), [true])
  assert.deepEqual(await send(channel, 'q.default', 'b'), [false])
  assert.deepEqual(await send(channel, 'q.drop', 'a', 'b'), [true, true])
  assert.equal((await taken(channel, 'q.drop')).content.toString(), 'b')
  await call('DELETE', '/policies/%2F/refuse')
  assert.deepEqual(await send(channel, 'q.default', 'c'), [true])
})

test('a time to live counts for what is published from then on, and its dead letters say why', async () => {
  const channel = await confirming()
  await channel.assertQueue('dead')
  await channel.assertQueue('q', declared())
  await send(channel, 'q', 'old')
  await put('ttl', { 'message-ttl': 1000, 'dead-letter-exchange': '', 'dead-letter-routing-key': 'dead' })
  await send(channel, 'q', 'new')
  const old = await taken(channel, 'q')
  await management.broker.clock.advance(2000)
  await eventually(async () => (await depth(channel, 'dead')) === 1)
  const { content, properties } = await taken(channel, 'dead')
  const [death] = properties.headers?.['x-death'] ?? []
  assert.deepEqual([content.toString(), death?.reason, death?.queue], ['new', 'expired', 'q'])
  channel.nack(old, false, false)
  await eventually(async () => (await depth(channel, 'dead')) === 1)
  assert.equal((await taken(channel, 'dead')).properties.headers?.['x-death']?.[0]?.reason, 'rejected')
})

test('a dead-letter exchange of the queue goes before that of a policy', async () => {
  const channel = await confirming()
  await put('dlx', { 'dead-letter-exchange': '', 'dead-letter-routing-key': 'by.policy' })
  for (const name of ['by.policy', 'by.argument']) await channel.assertQueue(name)
  await channel.assertQueue('q.own', declared({ deadLetterExchange: '', deadLetterRoutingKey: 'by.argument' }))
  await channel.assertQueue('q.none', declared())
  for (const queue of ['q.own', 'q.none']) {
    await send(channel, queue, queue)
    channel.nack(await taken(channel, queue), false, false)
  }
  await eventually(async () => (await depth(channel, 'by.policy')) === 1 && (await depth(channel, 'by.argument')) === 1)
  assert.equal((await taken(channel, 'by.argument')).content.toString(), 'q.own')
})

test('a delivery limit is of quorum queues: a policy’s takes the place of their default, and leaves classic ones alone', async () => {
  const channel = await confirming()
  await put('limit', { 'delivery-limit': 1 })
  await channel.assertQueue('q.quorum', declared({ arguments: { 'x-queue-type': 'quorum' } }))
  await channel.assertQueue('q.classic', declared())
  const comeBack = async (queue: string): Promise<number> => {
    await send(channel, queue, 'x')
    for (let times = 0; times < 4; times++) {
      const message = await channel.get(queue)
      if (message === false) return times
      // A reject counts as a failed delivery, a nack as one put back.
      channel.reject(message)
    }
    return Infinity
  }
  assert.equal(await comeBack('q.quorum'), 2)
  assert.equal(await comeBack('q.classic'), Infinity)
})

test('an unused queue goes after the time that a policy says', async () => {
  const channel = await confirming()
  await put('expiry', { expires: 1000 })
  await channel.assertQueue('q', declared())
  await eventually(async () => {
    await management.broker.clock.advance(1000)
    return (await call('GET', '/queues/%2F/q')).status === 404
  })
})

test('a consumer timeout: the smaller of argument and policy', async () => {
  await put('slow', { 'consumer-timeout': 60_000 })
  for (const [queue, own, advance, ms] of [
    ['q.plain', {}, '62s', 60_000],
    ['q.quick', { 'x-consumer-timeout': 20_000 }, '22s', 20_000],
    ['q.slow', { 'x-consumer-timeout': 900_000 }, '62s', 60_000],
  ] as const) {
    const channel = await confirming()
    await channel.assertQueue(queue, declared({ arguments: own }))
    await send(channel, queue, 'x')
    // Here, too, a policy counts at once.
    if (queue === 'q.plain') await call('DELETE', '/policies/%2F/slow')
    await new Promise((resolve) => void channel.consume(queue, resolve))
    if (queue === 'q.plain') await put('slow', { 'consumer-timeout': 60_000 })
    const closed = once(channel, 'error') as Promise<[Error]>
    await management.broker.clock.advance(advance)
    assert.match((await closed)[0].message, new RegExp(`timed out. Timeout value used: ${ms} ms`))
  }
  const bad = await call('PUT', '/policies/%2F/p', { pattern: 'q', definition: { 'consumer-timeout': 'x' } })
  assert.match(bad.json.reason, /"x">> is not a valid consumer timeout/)
})

test('an alternate exchange of a policy takes what finds no queue', async () => {
  const channel = await confirming()
  await channel.assertExchange('qx', 'direct')
  await channel.assertQueue('rest')
  await channel.bindQueue('rest', 'amq.fanout', '')
  await put('ae', { 'alternate-exchange': 'amq.fanout' }, { 'apply-to': 'exchanges' })
  channel.publish('qx', 'nowhere', Buffer.from('x'))
  await eventually(async () => (await depth(channel, 'rest')) === 1)
  assert.equal((await call('GET', '/exchanges/%2F/qx')).json.policy, 'ae')
  await channel.assertExchange('qx', 'direct')
})

test('whom a policy is for: kinds of queues, the highest priority, its own vhost', async () => {
  const channel = await confirming()
  await channel.assertQueue('q.quorum', declared({ arguments: { 'x-queue-type': 'quorum' } }))
  await channel.assertQueue('q.classic', declared())
  await channel.assertQueue('q.stream', declared({ arguments: { 'x-queue-type': 'stream' } }))
  await put('low', { 'max-length': 9 })
  await put('quorum', { 'max-length': 8 }, { 'apply-to': 'quorum_queues', priority: 5 })
  await put('streams', { 'max-age': '1h' }, { 'apply-to': 'streams', priority: 5 })
  const of = async (queue: string): Promise<string> => (await call('GET', `/queues/%2F/${queue}`)).json.policy
  assert.deepEqual(await Promise.all(['q.quorum', 'q.classic', 'q.stream'].map(of)), ['quorum', 'low', 'streams'])
  await call('PUT', '/vhosts/other', {})
  await call('PUT', '/queues/other/q', {})
  assert.equal((await call('GET', '/queues/other/q')).json.policy, null)
  assert.deepEqual(
    (await call('GET', '/policies/%2F')).json.map(({ name }: { name: string }) => name),
    ['low', 'quorum', 'streams'],
  )
  assert.equal((await call('PUT', '/policies/nope/p', { pattern: 'q', definition: { expires: 9 } })).status, 404)
  const bad = await call('PUT', '/policies/%2F/p', { pattern: 'q', definition: { nonsense: 3 } })
  const text = 'Validation failed\n\n[{<<"nonsense">>,3}] are not recognised policy settings\n'
  assert.deepEqual([bad.status, bad.json], [400, { error: 'bad_request', reason: text }])
  assert.equal((await call('DELETE', '/policies/%2F/none')).status, 404)
})
