// Conversations with a real client over a real socket, one for each rule that clients rely on.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import { test } from 'node:test'
import amqplib, { type Channel, type ConsumeMessage, type Options } from 'amqplib'
import { Conversation, collected, eventually, taken } from '../../../test/support/amqp.ts'
import { frameEnd, protocolHeader } from './codec.ts'

const talk = new Conversation()
const refusal = (use: (channel: Channel) => unknown) => talk.refusal(use)
const fresh = (name: string, options: Options.AssertQueue = {}) => talk.fresh(name, options)

test('a message comes back with every property and header as it was', async () => {
  const channel = await fresh('properties')
  const headers = { text: 'x', number: 5, big: 2 ** 40, real: 1.5, yes: true, list: [1, 'a'], table: { inner: 'v' } }
  channel.sendToQueue('properties', Buffer.from('body'), {
    headers,
    persistent: true,
    priority: 3,
    correlationId: 'c',
    replyTo: 'r',
    messageId: 'm',
    timestamp: 1_700_000_000,
    type: 't',
    appId: 'a',
    contentType: 'text/plain',
    contentEncoding: 'x',
  })
  const { content, properties, fields } = await taken(channel, 'properties', { noAck: true })
  assert.equal(content.toString(), 'body')
  assert.deepEqual({ ...properties.headers }, headers)
  assert.deepEqual(
    [properties.deliveryMode, properties.priority, properties.correlationId, properties.timestamp, properties.type],
    [2, 3, 'c', 1_700_000_000, 't'],
  )
  assert.deepEqual([fields.exchange, fields.routingKey, fields.redelivered, fields.messageCount], ['', 'properties', false, 0])
})

test('a method sees what was published before it on its connection, transient or not', async () => {
  const channel = await fresh('seen')
  channel.sendToQueue('seen', Buffer.from('transient'))
  assert.equal((await taken(channel, 'seen', { noAck: true })).content.toString(), 'transient')
  channel.sendToQueue('seen', Buffer.from('persistent'), { persistent: true })
  assert.equal((await channel.checkQueue('seen')).messageCount, 1)
})

test('a body of many frames arrives whole', async () => {
  const channel = await fresh('large')
  const body = Buffer.alloc(1_000_000, 'abcdefg')
  channel.sendToQueue('large', body)
  channel.sendToQueue('large', Buffer.alloc(0))
  const [first, second] = await collected(channel, 'large', 2)
  assert.ok(first?.content.equals(body))
  assert.equal(second?.content.length, 0)
})

test('confirms come after returns, and a nack when the queue refuses', async () => {
  const channel = await talk.connection.createConfirmChannel()
  const seen: string[] = []
  channel.on('return', (message: ConsumeMessage) => seen.push(`return ${message.fields.routingKey}`))
  channel.publish('', 'no-such-queue', Buffer.from('x'), { mandatory: true }, (error) =>
    seen.push(error === null ? 'ack' : 'nack'),
  )
  await channel.waitForConfirms()
  assert.deepEqual(seen, ['return no-such-queue', 'ack'])
  await channel.assertQueue('full', { maxLength: 1, arguments: { 'x-overflow': 'reject-publish' } })
  const outcome = (): Promise<string> =>
    new Promise((resolve) => {
      channel.sendToQueue('full', Buffer.from('x'), {}, (error) => resolve(error === null ? 'ack' : 'nack'))
    })
  assert.deepEqual([await outcome(), await outcome(), await outcome()], ['ack', 'nack', 'nack'])
})

test('prefetch bounds what is in flight, and each acknowledgement lets the next come', async () => {
  const channel = await fresh('prefetch')
  for (let i = 0; i < 5; i++) channel.sendToQueue('prefetch', Buffer.from(String(i)))
  await channel.prefetch(2)
  const messages: ConsumeMessage[] = []
  const { consumerTag } = await channel.consume('prefetch', (message) => {
    if (message !== null) messages.push(message)
  })
  await eventually(() => messages.length === 2)
  assert.equal((await channel.checkQueue('prefetch')).messageCount, 3)
  channel.ack(messages[1] as ConsumeMessage, true)
  await eventually(() => messages.length === 4)
  assert.equal((await channel.checkQueue('prefetch')).messageCount, 1)
  await channel.cancel(consumerTag)
  channel.ack(messages[3] as ConsumeMessage, true)
  await channel.close()
})

test('unacknowledged messages return in order, marked redelivered, when the channel closes', async () => {
  const channel = await fresh('returning')
  for (const text of ['a', 'b', 'c']) channel.sendToQueue('returning', Buffer.from(text))
  await taken(channel, 'returning')
  await taken(channel, 'returning')
  await channel.close()
  const other = await talk.connection.createChannel()
  const messages = await collected(other, 'returning', 3)
  assert.deepEqual(
    messages.map(({ content, fields }) => [content.toString(), fields.redelivered]),
    [
      ['a', true],
      ['b', true],
      ['c', false],
    ],
  )
})

test('a rejected message is dead-lettered with x-death', async () => {
  const channel = await fresh('dying', { deadLetterExchange: '', deadLetterRoutingKey: 'graveyard' })
  await channel.assertQueue('graveyard')
  channel.sendToQueue('dying', Buffer.from('x'), { headers: { kept: 1 }, expiration: '60000' })
  channel.nack(await taken(channel, 'dying'), false, false)
  const [{ properties }] = (await collected(channel, 'graveyard', 1)) as [ConsumeMessage]
  const death = properties.headers?.['x-death']?.[0]
  assert.deepEqual(
    { ...death, time: 0, 'routing-keys': [...(death?.['routing-keys'] ?? [])] },
    {
      count: 1,
      reason: 'rejected',
      queue: 'dying',
      time: 0,
      exchange: '',
      'routing-keys': ['dying'],
      'original-expiration': '60000',
    },
  )
  assert.equal(properties.headers?.['x-first-death-queue'], 'dying')
  assert.equal(properties.headers?.kept, 1)
  assert.equal(properties.expiration, undefined)
})

test('a message expires by its own time or its queue’s, whichever is sooner', async () => {
  const channel = await fresh('expiring', { messageTtl: 60_000 })
  channel.sendToQueue('expiring', Buffer.from('soon'), { expiration: '1000' })
  await channel.checkQueue('expiring')
  await talk.broker.clock.advance('2s')
  assert.equal(await channel.get('expiring'), false)
})

test('exchanges route by their kind, one copy for each queue', async () => {
  const channel = await talk.connection.createChannel()
  const { queue } = await channel.assertQueue('', { exclusive: true })
  await channel.assertExchange('kind.topic', 'topic')
  await channel.assertExchange('kind.headers', 'headers')
  await channel.bindQueue(queue, 'kind.topic', 'a.*.#')
  await channel.bindQueue(queue, 'kind.topic', '#.z')
  await channel.bindQueue(queue, 'kind.headers', '', { 'x-match': 'any', colour: 'red', size: 3 })
  await channel.bindExchange('kind.topic', 'amq.fanout', '')
  channel.publish('kind.topic', 'a.b.z', Buffer.from('both'))
  channel.publish('kind.topic', 'b', Buffer.from('none'))
  channel.publish('kind.headers', '', Buffer.from('header'), { headers: { size: 3 } })
  channel.publish('kind.headers', '', Buffer.from('none'), { headers: { size: 4 } })
  channel.publish('amq.fanout', 'a.x', Buffer.from('through'))
  const messages = await collected(channel, queue, 3)
  assert.deepEqual(
    messages.map(({ content }) => content.toString()),
    ['both', 'header', 'through'],
  )
})

test('a reply goes straight to the requester', async () => {
  const channel = await fresh('requests')
  const reply = new Promise<ConsumeMessage>((resolve) => {
    channel
      .consume(
        'amq.rabbitmq.reply-to',
        (message) => {
          if (message !== null) resolve(message)
        },
        { noAck: true },
      )
      .catch(() => undefined)
  })
  channel.sendToQueue('requests', Buffer.from('ping'), { replyTo: 'amq.rabbitmq.reply-to', correlationId: '7' })
  const request = await taken(channel, 'requests', { noAck: true })
  channel.sendToQueue(String(request.properties.replyTo), Buffer.from('pong'), {
    correlationId: String(request.properties.correlationId),
  })
  const { content, properties } = await reply
  assert.deepEqual([content.toString(), properties.correlationId], ['pong', '7'])
})

test('CC and BCC route further, and only CC is seen', async () => {
  const channel = await talk.connection.createChannel()
  for (const queue of ['to', 'cc', 'bcc']) await channel.assertQueue(queue)
  channel.sendToQueue('to', Buffer.from('x'), { CC: 'cc', BCC: 'bcc' })
  for (const queue of ['to', 'cc', 'bcc']) {
    const { properties } = await taken(channel, queue, { noAck: true })
    assert.deepEqual(Object.keys(properties.headers ?? {}), ['CC'], queue)
  }
})

test('a consumer is told when its queue is deleted', async () => {
  const channel = await fresh('deleted')
  const told = new Promise<null>((resolve) => {
    channel
      .consume('deleted', (message) => {
        if (message === null) resolve(null)
      })
      .catch(() => undefined)
  })
  await channel.deleteQueue('deleted')
  assert.equal(await told, null)
})

test('an auto-delete queue goes with its last consumer, an exclusive one with its connection', async () => {
  const channel = await fresh('going', { autoDelete: true })
  const { consumerTag } = await channel.consume('going', () => undefined)
  await channel.cancel(consumerTag)
  assert.match(await refusal((other) => other.checkQueue('going')), /^NOT_FOUND/)
  const owner = await amqplib.connect(talk.broker.url('amqp'))
  await (await owner.createChannel()).assertQueue('mine', { exclusive: true })
  assert.match(
    await refusal((other) => other.checkQueue('mine')),
    /^RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost '\/'/,
  )
  await owner.close()
  await eventually(async () => /^NOT_FOUND/.test(await refusal((other) => other.checkQueue('mine'))))
})

test('errors close the channel in RabbitMQ’s words, and only the channel', async () => {
  await fresh('declared', { maxLength: 10 })
  const cases: [(channel: Channel) => unknown, string][] = [
    [(c) => c.checkQueue('nope'), "NOT_FOUND - no queue 'nope' in vhost '/'"],
    [(c) => c.publish('nope', '', Buffer.from('x')), "NOT_FOUND - no exchange 'nope' in vhost '/'"],
    [
      (c) => c.assertQueue('declared', { maxLength: 11 }),
      "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'declared' in vhost '/': received '11' but current is '10'",
    ],
    [
      (c) => c.assertQueue('declared'),
      "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'declared' in vhost '/': received none but current is the value '10' of type 'byte'",
    ],
    [
      (c) => c.assertQueue('declared', { durable: false, maxLength: 10 }),
      "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'declared' in vhost '/': received 'false' but current is 'true'",
    ],
    [(c) => c.assertQueue('amq.mine'), "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"],
    [
      (c) => c.assertQueue('bad', { messageTtl: -1 }),
      "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'bad' in vhost '/': {value_negative,-1}",
    ],
    [
      (c) => c.assertExchange('amq.topic', 'fanout'),
      "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.topic' in vhost '/': received 'fanout' but current is 'topic'",
    ],
    [(c) => c.bindQueue('declared', '', 'k'), 'ACCESS_REFUSED - operation not permitted on the default exchange'],
    [(c) => c.ack({ fields: { deliveryTag: 99 } } as ConsumeMessage), 'PRECONDITION_FAILED - unknown delivery tag 99'],
    [
      (c) => c.publish('', 'k', Buffer.from('x'), { userId: 'somebody' }),
      "PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was 'guest'",
    ],
    [
      (c) => c.publish('', 'k', Buffer.from('x'), { expiration: 'soon' }),
      "PRECONDITION_FAILED - invalid expiration 'soon': no_integer",
    ],
  ]
  for (const [use, expected] of cases) assert.equal(await refusal(use), expected)
})

/** Writes bytes to the port and collects what comes until the socket closes. */
async function rawExchange(bytes: Buffer): Promise<Buffer> {
  const { port } = new URL(talk.broker.url('amqp'))
  const socket = connectSocket(Number(port), '127.0.0.1')
  const received: Buffer[] = []
  socket.on('data', (chunk: Buffer) => received.push(chunk))
  socket.write(bytes)
  await once(socket, 'close')
  return Buffer.concat(received)
}

test('AMQP 0-9-1 4.2.2: an unknown protocol header is answered with ours', async () => {
  assert.deepEqual(await rawExchange(Buffer.from('GET / HTTP/1.1\r\n\r\n')), protocolHeader)
})

test('an oversize frame closes the connection before it is buffered', async () => {
  const answer = await rawExchange(Buffer.concat([protocolHeader, Buffer.from([1, 0, 0, 0x7f, 0xff, 0xff, 0xff])]))
  assert.equal(answer[answer.length - 1], frameEnd)
})
