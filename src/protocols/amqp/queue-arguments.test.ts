// What x-arguments of queues and consumers do, and how they are refused.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { test } from 'node:test'
import type { Channel, ConsumeMessage, Options } from 'amqplib'
import { Conversation, collected, eventually, taken, texts } from '../../../test/support/amqp.ts'

const talk = new Conversation()
const quorum = (more: object = {}): Options.AssertQueue => ({ arguments: { 'x-queue-type': 'quorum', ...more } })
const countsOf = ({ properties }: { properties: ConsumeMessage['properties'] }): unknown[] => [
  properties.headers?.['x-acquired-count'],
  properties.headers?.['x-delivery-count'],
]

const reasonOf = ({ properties }: { properties: ConsumeMessage['properties'] }): unknown =>
  (properties.headers?.['x-death'] as { reason: string }[] | undefined)?.[0]?.reason

test('arguments that a type of queue does not know, or of a wrong type or value, are refused in RabbitMQ’s words', async () => {
  const what = "queue 'refused' in vhost '/'"
  for (const [args, expected] of [
    [{ 'x-delivery-limit': 5 }, `invalid arg 'x-delivery-limit' for ${what} of queue type rabbit_classic_queue`],
    [
      { 'x-queue-type': 'quorum', 'x-max-priority': 5 },
      `invalid arg 'x-max-priority' for ${what} of queue type rabbit_quorum_queue`,
    ],
    [{ 'x-queue-type': 'other' }, `invalid arg 'x-queue-type' for ${what}: "unsupported queue type 'other'"`],
    [{ 'x-max-priority': 256 }, `invalid arg 'x-max-priority' for ${what}: {max_value_exceeded,256}`],
    [{ 'x-expires': 0 }, `invalid arg 'x-expires' for ${what}: {value_zero,0}`],
    [{ 'x-message-ttl': -1 }, `invalid arg 'x-message-ttl' for ${what}: {value_negative,-1}`],
    [{ 'x-overflow': 'drop' }, `invalid arg 'x-overflow' for ${what}: invalid_overflow`],
    [{ 'x-queue-version': 3 }, `invalid arg 'x-queue-version' for ${what}: "unsupported queue version '3'"`],
    [{ 'x-single-active-consumer': 1 }, `invalid arg 'x-single-active-consumer' for ${what}: {unacceptable_type,byte}`],
    [{ 'x-dead-letter-routing-key': 'k' }, `invalid arg 'x-dead-letter-routing-key' for ${what}: routing_key_but_no_dlx_defined`],
    [
      { 'x-queue-type': 'quorum', 'x-dead-letter-strategy': 'sometimes' },
      `invalid arg 'x-dead-letter-strategy' for ${what}: invalid_dlx_strategy`,
    ],
    [{ 'x-queue-leader-locator': 'there' }, `invalid arg 'x-queue-leader-locator' for ${what}: invalid_queue_locator_arg`],
  ] as const)
    assert.match(
      (await talk.refusal((channel) => channel.assertQueue('refused', { arguments: args }))).replace(
        /signedint|short|long$/,
        'byte',
      ),
      new RegExp(`^PRECONDITION_FAILED - ${expected.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace('byte', '\\w+')}`),
    )
  assert.equal(
    await talk.refusal((channel) => channel.assertQueue('', quorum())),
    'PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue',
  )
  await talk.fresh('classic')
  assert.equal(
    await talk.refusal((channel) => channel.consume('classic', () => undefined, { arguments: { 'x-stream-offset': 'first' } })),
    "PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue 'classic' in vhost '/' of queue type rabbit_classic_queue",
  )
})

test('hints about storage are accepted', async () => {
  await talk.fresh('hints', { arguments: { 'x-queue-mode': 'lazy', 'x-queue-version': 2, 'x-queue-leader-locator': 'balanced' } })
  await talk.fresh('quorum hints', quorum({ 'x-quorum-initial-group-size': 3, 'x-max-in-memory-length': 5 }))
})

test('RabbitMQ 4.3: reject and a lost consumer count as failed, nack does not; the counts are told', async () => {
  const channel = await talk.fresh('counts', quorum())
  channel.sendToQueue('counts', Buffer.from('x'))
  let message = await taken(channel, 'counts')
  assert.deepEqual(countsOf(message), [undefined, undefined])
  channel.nack(message, false, true)
  message = await taken(channel, 'counts')
  assert.deepEqual(countsOf(message), [1, undefined])
  channel.reject(message, true)
  message = await taken(channel, 'counts')
  assert.deepEqual(countsOf(message), [2, 1])
  await channel.close()
  const again = await talk.channel()
  assert.deepEqual(countsOf(await taken(again, 'counts')), [3, 2])
})

test('a message that failed more often than the delivery limit is dead-lettered; 20 is the default of quorum queues', async () => {
  const channel = await talk.fresh('dead')
  const dlx = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
  for (const [name, more, limit] of [
    ['limit 2', { 'x-delivery-limit': 2 }, 2],
    ['limit 20', {}, 20],
  ] as const) {
    await channel.assertQueue(name, quorum({ ...dlx, ...more }))
    channel.sendToQueue(name, Buffer.from(name))
    let count = 0
    for (let message = await channel.get(name); message !== false; message = await channel.get(name)) {
      count++
      channel.reject(message, true)
    }
    assert.equal(count, limit + 1)
    assert.equal(reasonOf(await taken(channel, 'dead', { noAck: true })), 'delivery_limit')
  }
  await channel.assertQueue('no limit', quorum({ 'x-delivery-limit': -1 }))
  channel.sendToQueue('no limit', Buffer.from('x'))
  for (let count = 0; count < 30; count++) channel.reject(await taken(channel, 'no limit'), true)
})

test('delayed retry: what comes back waits longer each time, up to its most', async () => {
  const channel = await talk.fresh(
    'retry',
    quorum({ 'x-delayed-retry-type': 'failed', 'x-delayed-retry-min': 10_000, 'x-delayed-retry-max': 15_000 }),
  )
  channel.sendToQueue('retry', Buffer.from('x'))
  channel.nack(await taken(channel, 'retry'), false, true)
  for (const seconds of [10, 15, 15]) {
    channel.reject(await taken(channel, 'retry'), true)
    assert.equal(await channel.get('retry'), false)
    await talk.broker.clock.advance(`${seconds - 1}s`)
    assert.equal(await channel.get('retry'), false, `${seconds - 1} s`)
    await talk.broker.clock.advance('1s')
  }
  await taken(channel, 'retry')
})

test('at-least-once dead-lettering keeps a message until its target takes it', async () => {
  const channel = await talk.fresh('kept target', { maxLength: 1, arguments: { 'x-overflow': 'reject-publish' } })
  await channel.assertQueue(
    'kept',
    quorum({
      'x-dead-letter-exchange': 'kept exchange',
      'x-dead-letter-strategy': 'at-least-once',
      'x-overflow': 'reject-publish',
    }),
  )
  for (const body of ['a', 'b']) channel.sendToQueue('kept', Buffer.from(body))
  for (let count = 0; count < 2; count++) channel.reject(await taken(channel, 'kept'), false)
  await channel.assertExchange('kept exchange', 'fanout')
  await talk.broker.clock.advance('2s')
  await channel.bindQueue('kept target', 'kept exchange', '')
  await talk.broker.clock.advance('2s')
  await eventually(async () => (await channel.checkQueue('kept target')).messageCount === 1)
  assert.equal((await taken(channel, 'kept target', { noAck: true })).content.toString(), 'a')
  await talk.broker.clock.advance('2s')
  await eventually(async () => (await channel.checkQueue('kept target')).messageCount === 1)
  assert.equal((await taken(channel, 'kept target', { noAck: true })).content.toString(), 'b')
})

test('the three overflow modes: the oldest goes, the newest is refused, or refused and dead-lettered', async () => {
  const confirming = await talk.connection.createConfirmChannel()
  await confirming.assertQueue('overflow dead')
  const publish = (queue: string, body: string): Promise<boolean> =>
    new Promise((resolve) => {
      confirming.sendToQueue(queue, Buffer.from(body), {}, (error) => resolve(error === null || error === undefined))
    })
  const rest: Record<string, string[]> = {}
  for (const mode of ['drop-head', 'reject-publish', 'reject-publish-dlx']) {
    await confirming.assertQueue(mode, {
      maxLength: 2,
      arguments: { 'x-overflow': mode, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'overflow dead' },
    })
    const confirmed: boolean[] = []
    for (const body of ['1', '2', '3']) confirmed.push(await publish(mode, body))
    assert.deepEqual(confirmed, [true, true, mode === 'drop-head'], mode)
    const queue = await talk.channel()
    rest[mode] = texts(await collected(queue, mode, 2, { noAck: true }))
    const dead = await queue.get('overflow dead', { noAck: true })
    if (mode === 'reject-publish') assert.equal(dead, false)
    else {
      assert.ok(dead !== false, mode)
      assert.equal(dead.content.toString(), mode === 'drop-head' ? '1' : '3')
      assert.equal(reasonOf(dead), 'maxlen')
    }
  }
  assert.deepEqual(rest, { 'drop-head': ['2', '3'], 'reject-publish': ['1', '2'], 'reject-publish-dlx': ['1', '2'] })
})

test('a queue that is full does not keep a message from the others', async () => {
  const confirming = await talk.connection.createConfirmChannel()
  await confirming.assertExchange('some full', 'fanout')
  for (const [queue, maxLength] of [
    ['full', 0],
    ['roomy', 10],
  ] as const) {
    await confirming.assertQueue(queue, { maxLength, arguments: { 'x-overflow': 'reject-publish' } })
    await confirming.bindQueue(queue, 'some full', '')
  }
  confirming.publish('some full', '', Buffer.from('x'))
  await assert.rejects(confirming.waitForConfirms())
  assert.equal((await confirming.checkQueue('roomy')).messageCount, 1)
})

test('an acknowledgement that does not come in time closes the channel of a classic queue', async () => {
  for (const [queue, args, advance, ms] of [
    ['slow', { 'x-consumer-timeout': 60_000 }, '62s', 60_000],
    ['default slow', {}, '31m', 1_800_000],
  ] as const) {
    const channel = await talk.fresh(queue, { arguments: args })
    channel.sendToQueue(queue, Buffer.from('x'))
    const delivered = new Promise((resolve) => void channel.consume(queue, resolve))
    await delivered
    const closed = once(channel, 'error')
    await talk.broker.clock.advance(advance)
    const [error] = (await closed) as [Error]
    assert.match(error.message, /406 \(PRECONDITION-FAILED\)/)
    assert.match(
      error.message,
      new RegExp(`delivery acknowledgement on channel \\d+ timed out. Timeout value used: ${ms} ms. This timeout value can`),
    )
    const other = await talk.channel()
    assert.equal((await taken(other, queue, { noAck: true })).fields.redelivered, true)
  }
})

test('a consumer of a quorum queue that is too slow is cancelled, its messages return, and its late acknowledgement is no error', async () => {
  const channel = await talk.fresh('slow quorum', quorum())
  channel.sendToQueue('slow quorum', Buffer.from('x'))
  const messages: (ConsumeMessage | null)[] = []
  await channel.consume('slow quorum', (message) => messages.push(message), { arguments: { 'x-consumer-timeout': 60_000 } })
  await eventually(() => messages.length === 1)
  await talk.broker.clock.advance('62s')
  await eventually(() => messages.length === 2)
  assert.equal(messages[1], null, 'told of the cancellation')
  const again = await taken(channel, 'slow quorum')
  assert.equal(again.fields.redelivered, true)
  channel.ack(messages[0] as ConsumeMessage)
  channel.ack(again)
  assert.equal((await channel.checkQueue('slow quorum')).messageCount, 0)
})

test('with a single active consumer the next takes over, and basic.get is refused', async () => {
  const channel = await talk.fresh('single', { arguments: { 'x-single-active-consumer': true } })
  await channel.assertQueue('single quorum', quorum({ 'x-single-active-consumer': true }))
  assert.equal(await channel.get('single'), false)
  const got: string[] = []
  const consume = (name: string, from: Channel) =>
    from.consume('single', (message) => message !== null && got.push(`${name} ${message.content}`), {
      noAck: true,
      consumerTag: name,
    })
  await consume('first', channel)
  await consume('second', channel)
  for (const body of ['1', '2']) channel.sendToQueue('single', Buffer.from(body))
  await eventually(() => got.length === 2)
  await channel.cancel('first')
  channel.sendToQueue('single', Buffer.from('3'))
  await eventually(() => got.length === 3)
  assert.deepEqual(got, ['first 1', 'first 2', 'second 3'])
  assert.match(
    await talk.refusal((other) => other.get('single quorum')),
    /^RESOURCE_LOCKED - cannot obtain access to locked queue 'single quorum' in vhost '\/'. basic.get operations are not supported by quorum queues with single active consumer/,
  )
})

test('consumers of a higher priority are served first, and a queue that is not used expires', async () => {
  const channel = await talk.fresh('ranked', { expires: 60_000 })
  const got: string[] = []
  for (const [tag, priority] of [
    ['low', 0],
    ['high', 5],
  ] as const)
    await channel.consume('ranked', (message) => message !== null && got.push(tag), { consumerTag: tag, noAck: true, priority })
  for (let count = 0; count < 3; count++) channel.sendToQueue('ranked', Buffer.from('x'))
  await eventually(() => got.length === 3)
  assert.deepEqual(got, ['high', 'high', 'high'])
  await talk.broker.clock.advance('2m')
  await channel.cancel('low')
  await channel.cancel('high')
  await channel.checkQueue('ranked')
  for (let step = 0; step < 10; step++) await talk.broker.clock.advance('10s')
  assert.match(await talk.refusal((other) => other.checkQueue('ranked')), /^NOT_FOUND - no queue 'ranked'/)
})

test('priorities: a classic queue up to its most, a quorum queue from 0 to 31 with 4 for who says none', async () => {
  const channel = await talk.fresh('ranked classic', { maxPriority: 10 })
  await channel.assertQueue('ranked quorum', quorum())
  for (const queue of ['ranked classic', 'ranked quorum']) {
    for (const priority of [undefined, 0, 3, 5, 31, 255, undefined, 5])
      channel.sendToQueue(queue, Buffer.from(String(priority)), priority === undefined ? {} : { priority })
    assert.equal((await channel.checkQueue(queue)).messageCount, 8)
  }
  const none = 'undefined'
  assert.deepEqual(texts(await collected(channel, 'ranked classic', 8)), ['31', '255', '5', '5', '3', none, '0', none])
  assert.deepEqual(texts(await collected(channel, 'ranked quorum', 8)), ['31', '255', '5', '5', none, none, '3', '0'])
})

test('a dead-lettered message keeps its priority', async () => {
  const channel = await talk.fresh('ranked dead', { maxPriority: 5 })
  await channel.assertQueue('to ranked', { deadLetterExchange: '', deadLetterRoutingKey: 'ranked dead' })
  for (const priority of [1, 5]) channel.sendToQueue('to ranked', Buffer.from(String(priority)), { priority })
  for (let count = 0; count < 2; count++) channel.reject(await taken(channel, 'to ranked'), false)
  assert.deepEqual(texts(await collected(channel, 'ranked dead', 2)), ['5', '1'])
})

test('a time to live of 0 means: to a consumer that waits, or to the dead letters', async () => {
  const channel = await talk.fresh('at once', { deadLetterExchange: '', deadLetterRoutingKey: 'too late' })
  await channel.assertQueue('too late')
  channel.sendToQueue('at once', Buffer.from('nobody waits'), { expiration: '0' })
  assert.equal((await channel.checkQueue('at once')).messageCount, 0)
  const dead = await taken(channel, 'too late', { noAck: true })
  assert.deepEqual([dead.content.toString(), reasonOf(dead)], ['nobody waits', 'expired'])
  const got: string[] = []
  await channel.consume('at once', (message) => message !== null && got.push(message.content.toString()), { noAck: true })
  channel.sendToQueue('at once', Buffer.from('somebody waits'), { expiration: '0', persistent: true })
  await eventually(() => got.length === 1)
  assert.deepEqual(got, ['somebody waits'])
})

test('dead letters follow BCC keys as well, and still do not show them', async () => {
  const channel = await talk.fresh('hidden', { deadLetterExchange: 'hidden dead', messageTtl: 20 })
  await channel.assertExchange('hidden dead', 'direct')
  await channel.assertQueue('by BCC')
  await channel.bindQueue('by BCC', 'hidden dead', 'other key')
  channel.sendToQueue('hidden', Buffer.from('x'), { BCC: ['other key'] })
  await eventually(async () => (await channel.checkQueue('by BCC')).messageCount === 1)
  const { properties } = await taken(channel, 'by BCC', { noAck: true })
  const deaths = properties.headers?.['x-death'] as { 'routing-keys': string[] }[] | undefined
  assert.deepEqual(deaths?.[0]?.['routing-keys'], ['hidden'])
  assert.equal(properties.headers?.['BCC'], undefined)
})
