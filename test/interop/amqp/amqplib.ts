/** amqplib, the Node client. */
import assert from 'node:assert/strict'
import amqplib, { type Channel, type ChannelModel, type ConfirmChannel, type ConsumeMessage, type GetMessage } from 'amqplib'
import { runCases, setting, unique, until, within } from '../cases/cases.ts'

const url = setting('AMQP')
const connection: ChannelModel = await within(
  10_000,
  'connecting',
  amqplib.connect(url, { clientProperties: { connection_name: 'interop-amqplib' } }),
)
connection.on('error', () => undefined)

await runCases({
  'publish with confirms, consume with prefetch, acknowledge': async () => {
    const channel = await confirmed()
    const queue = await declare(channel)
    for (let i = 0; i < 500; i++) channel.sendToQueue(queue, Buffer.from(String(i)), { persistent: true })
    await channel.waitForConfirms()
    await channel.prefetch(7)
    const waiting: ConsumeMessage[] = []
    await channel.consume(queue, (message) => {
      if (message !== null) waiting.push(message)
    })
    let next = 0
    await until('seven deliveries', () => waiting.length === 7)
    await pause(100)
    assert.equal(waiting.length, 7, 'no more than the prefetch in flight')
    while (next < 500) {
      await until(`delivery ${next}`, () => 0 < waiting.length)
      for (const message of waiting.splice(0)) {
        assert.equal(message.content.toString(), String(next++))
        assert.equal(message.fields.redelivered, false)
        channel.ack(message)
      }
    }
    assert.equal((await channel.checkQueue(queue)).messageCount, 0)
    await channel.close()
  },

  'one acknowledgement for many': async () => {
    const channel = await confirmed()
    const queue = await declare(channel)
    for (let i = 0; i < 20; i++) channel.sendToQueue(queue, Buffer.from(String(i)))
    await channel.waitForConfirms()
    const other = await open()
    const messages = await take(other, queue, 20)
    const tenth = messages[9]
    assert.ok(tenth !== undefined)
    other.ack(tenth, true)
    await other.close()
    const rest = await take(channel, queue, 10)
    assert.deepEqual(
      rest.map((message) => message.content.toString()),
      Array.from({ length: 10 }, (_, i) => String(i + 10)),
    )
    assert.ok(
      rest.every((message) => message.fields.redelivered),
      'what was unacknowledged comes back as redelivered',
    )
    await channel.close()
  },

  'mandatory: returned with 312 before it is confirmed': async () => {
    const channel = await confirmed()
    const events: string[] = []
    channel.on('return', (message: { fields: { replyCode: number } }) => events.push(`return ${message.fields.replyCode}`))
    channel.publish('', unique('nowhere'), Buffer.from('x'), { mandatory: true }, () => events.push('confirm'))
    await channel.waitForConfirms()
    assert.deepEqual(events, ['return 312', 'confirm'])
    await channel.close()
  },

  'nack with requeue comes back redelivered, near its place': async () => {
    const channel = await confirmed()
    const queue = await declare(channel)
    for (const body of ['a', 'b', 'c']) channel.sendToQueue(queue, Buffer.from(body))
    await channel.waitForConfirms()
    const first = await get(channel, queue)
    assert.equal(first.content.toString(), 'a')
    channel.nack(first, false, true)
    const again = await get(channel, queue)
    assert.deepEqual([again.content.toString(), again.fields.redelivered], ['a', true])
    channel.ack(again)
    assert.equal((await get(channel, queue)).content.toString(), 'b')
    await channel.close()
  },

  'reject dead-letters with x-death, again and again': async () => {
    const channel = await confirmed()
    const dead = await declare(channel)
    const exchange = unique('amqplib.dlx')
    await channel.assertExchange(exchange, 'direct')
    await channel.bindQueue(dead, exchange, 'the-key')
    const queue = await declare(channel, { 'x-dead-letter-exchange': exchange, 'x-dead-letter-routing-key': 'the-key' })
    channel.sendToQueue(queue, Buffer.from('poison'), { headers: { mine: 'kept' } })
    await channel.waitForConfirms()
    channel.reject(await get(channel, queue), false)
    const message = await get(channel, dead)
    const headers = message.properties.headers as unknown as Record<string, unknown>
    assert.equal(deaths(message).length, 1)
    const death = deaths(message)[0] ?? {}
    assert.deepEqual(
      {
        reason: death['reason'],
        queue: death['queue'],
        count: death['count'],
        exchange: death['exchange'],
        keys: death['routing-keys'],
      },
      { reason: 'rejected', queue, count: 1, exchange: '', keys: [queue] },
    )
    assert.equal((death['time'] as { '!'?: string })['!'], 'timestamp')
    assert.deepEqual(
      [headers['x-first-death-queue'], headers['x-first-death-reason'], headers['x-first-death-exchange']],
      [queue, 'rejected', ''],
    )
    assert.equal(headers['mine'], 'kept')
    assert.deepEqual([message.fields.exchange, message.fields.routingKey], [exchange, 'the-key'])
    // Sent round again with its headers, as retrying programs do, the count goes on.
    channel.sendToQueue(queue, message.content, { headers })
    await channel.waitForConfirms()
    channel.reject(await get(channel, queue), false)
    const again = await get(channel, dead)
    assert.equal(deaths(again)[0]?.['count'], 2)
    await channel.close()
  },

  'expiration and x-message-ttl dead-letter with reason expired': async () => {
    const channel = await confirmed()
    const dead = await declare(channel)
    const target = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead }
    const own = await declare(channel, target)
    channel.sendToQueue(own, Buffer.from('own'), { expiration: '60' })
    await channel.waitForConfirms()
    const first = await get(channel, dead)
    assert.equal(first.content.toString(), 'own')
    assert.equal(first.properties.expiration, undefined, 'a dead letter does not expire again')
    const death = deaths(first)[0]
    assert.deepEqual([death?.['reason'], death?.['original-expiration']], ['expired', '60'])
    const queues = await declare(channel, { ...target, 'x-message-ttl': 60 })
    channel.sendToQueue(queues, Buffer.from('queue'))
    await channel.waitForConfirms()
    assert.equal((await get(channel, dead)).content.toString(), 'queue')
    await channel.close()
  },

  'x-max-length drops the head, or refuses with a nack': async () => {
    const channel = await confirmed()
    const dead = await declare(channel)
    const dropping = await declare(channel, {
      'x-max-length': 2,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': dead,
    })
    for (const body of ['1', '2', '3']) channel.sendToQueue(dropping, Buffer.from(body))
    await channel.waitForConfirms()
    const dropped = await get(channel, dead)
    assert.equal(dropped.content.toString(), '1')
    assert.equal(deaths(dropped)[0]?.['reason'], 'maxlen')
    const refusing = await declare(channel, { 'x-max-length': 1, 'x-overflow': 'reject-publish' })
    const outcomes: boolean[] = []
    for (let i = 0; i < 2; i++) {
      await new Promise<void>((resolve) => {
        channel.sendToQueue(refusing, Buffer.from('x'), {}, (error: unknown) => {
          outcomes.push(error === null || error === undefined)
          resolve()
        })
      })
    }
    assert.deepEqual(outcomes, [true, false])
    await channel.close()
  },

  'exchanges of four types, exchange to exchange, alternate exchange': async () => {
    const channel = await confirmed()
    const names = {
      direct: unique('x.direct'),
      fanout: unique('x.fanout'),
      topic: unique('x.topic'),
      headers: unique('x.headers'),
    }
    for (const [type, name] of Object.entries(names)) await channel.assertExchange(name, type)
    const queue = {
      direct: await declare(channel),
      fanout: await declare(channel),
      topic: await declare(channel),
      headers: await declare(channel),
    }
    await channel.bindQueue(queue.direct, names.direct, 'red')
    await channel.bindQueue(queue.fanout, names.fanout, '')
    await channel.bindQueue(queue.topic, names.topic, '*.stock.#')
    await channel.bindQueue(queue.topic, names.topic, 'usd.#')
    await channel.bindQueue(queue.headers, names.headers, '', { 'x-match': 'any', a: 1, b: 'two' })
    channel.publish(names.direct, 'red', Buffer.from('1'))
    channel.publish(names.direct, 'blue', Buffer.from('no'))
    channel.publish(names.fanout, 'whatever', Buffer.from('1'))
    channel.publish(names.topic, 'usd.stock', Buffer.from('once, though two bindings match'))
    channel.publish(names.topic, 'eur.stock.nyse.x', Buffer.from('2'))
    channel.publish(names.topic, 'eur.bond', Buffer.from('no'))
    channel.publish(names.headers, '', Buffer.from('1'), { headers: { b: 'two' } })
    channel.publish(names.headers, '', Buffer.from('no'), { headers: { b: 'three' } })
    await channel.waitForConfirms()
    const counts = async () => {
      const found: Record<string, number> = {}
      for (const [type, name] of Object.entries(queue)) found[type] = (await channel.purgeQueue(name)).messageCount
      return found
    }
    assert.deepEqual(await counts(), { direct: 1, fanout: 1, topic: 2, headers: 1 })

    const alternate = unique('x.alternate')
    await channel.assertExchange(alternate, 'fanout')
    await channel.bindQueue(queue.fanout, alternate, '')
    const outer = unique('x.outer')
    await channel.assertExchange(outer, 'topic', { alternateExchange: alternate })
    await channel.bindExchange(names.direct, outer, 'red')
    channel.publish(outer, 'red', Buffer.from('through'))
    channel.publish(outer, 'unbound', Buffer.from('alternate'))
    await channel.waitForConfirms()
    assert.deepEqual(await counts(), { direct: 1, fanout: 1, topic: 0, headers: 0 })
    await channel.unbindExchange(names.direct, outer, 'red')
    await channel.unbindQueue(queue.fanout, names.fanout, '')
    channel.publish(names.fanout, '', Buffer.from('no'))
    await channel.waitForConfirms()
    assert.deepEqual(await counts(), { direct: 0, fanout: 0, topic: 0, headers: 0 })
    for (const name of [...Object.values(names), alternate, outer]) await channel.deleteExchange(name)
    await channel.close()
  },

  'basic.get, purge, delete, and their counts': async () => {
    const channel = await confirmed()
    const queue = await declare(channel)
    assert.equal(await channel.get(queue), false)
    for (let i = 0; i < 5; i++) channel.sendToQueue(queue, Buffer.from(String(i)))
    await channel.waitForConfirms()
    const message = await channel.get(queue, { noAck: true })
    assert.ok(message !== false)
    assert.equal(message.fields.messageCount, 4)
    assert.deepEqual(await channel.checkQueue(queue), { queue, messageCount: 4, consumerCount: 0 })
    assert.equal((await channel.purgeQueue(queue)).messageCount, 4)
    channel.sendToQueue(queue, Buffer.from('last'))
    await channel.waitForConfirms()
    assert.equal((await channel.deleteQueue(queue)).messageCount, 1)
    await channel.close()
  },

  'server-named, exclusive and auto-delete queues': async () => {
    const channel = await open()
    const named = await channel.assertQueue('', { exclusive: true })
    assert.match(named.queue, /^amq\.gen-/)
    const other = await amqplib.connect(url)
    other.on('error', () => undefined)
    const foreign = await other.createChannel()
    const failed = failure(foreign)
    await assert.rejects(foreign.checkQueue(named.queue))
    assert.equal((await failed).code, 405)
    await other.close()
    const autoDelete = unique('amqplib.auto')
    await channel.assertQueue(autoDelete, { autoDelete: true })
    const { consumerTag } = await channel.consume(autoDelete, () => undefined)
    await channel.cancel(consumerTag)
    await until('auto-deletion', async () => {
      const probe = await open()
      probe.on('error', () => undefined)
      try {
        await probe.checkQueue(autoDelete)
        await probe.close()
        return false
      } catch {
        return true
      }
    })
    await channel.close()
  },

  'priorities: x-max-priority delivers the highest first': async () => {
    const channel = await confirmed()
    const queue = await declare(channel, { 'x-max-priority': 5 })
    for (const priority of [0, 5, 1, 5, 3]) channel.sendToQueue(queue, Buffer.from(String(priority)), { priority })
    await channel.waitForConfirms()
    const order: string[] = []
    for (let i = 0; i < 5; i++) order.push((await get(channel, queue)).content.toString())
    assert.deepEqual(order, ['5', '5', '3', '1', '0'])
    await channel.close()
  },

  'a queue that is deleted cancels its consumers': async () => {
    const channel = await open()
    const queue = await declare(channel)
    const cancelled = new Promise<void>((resolve) => {
      void channel.consume(queue, (message) => {
        if (message === null) resolve()
      })
    })
    await pause(50)
    const other = await open()
    await other.deleteQueue(queue)
    await within(5_000, 'cancellation', cancelled)
    await channel.close()
  },

  'errors: the right code closes the channel and only the channel': async () => {
    const cases: [number, (channel: Channel) => Promise<unknown>][] = [
      [404, (channel) => channel.checkQueue(unique('missing'))],
      [404, (channel) => channel.checkExchange(unique('missing'))],
      [404, async (channel) => channel.publish(unique('missing'), 'k', Buffer.from('x'))],
      [404, (channel) => channel.consume(unique('missing'), () => undefined)],
      [403, (channel) => channel.assertExchange(`amq.${unique('reserved')}`, 'direct')],
      [
        406,
        async (channel) => {
          const queue = unique('amqplib.different')
          await channel.assertQueue(queue, { durable: true, expires: 60_000 })
          await channel.assertQueue(queue, { durable: true, expires: 61_000 })
        },
      ],
      [406, (channel) => channel.assertExchange('amq.direct', 'fanout')],
      [
        406,
        async (channel) => {
          channel.ack({ fields: { deliveryTag: 99 } } as unknown as ConsumeMessage)
        },
      ],
    ]
    for (const [code, provoke] of cases) {
      const channel = await open()
      const failed = failure(channel)
      await provoke(channel).catch(() => undefined)
      const error = await within(5_000, `a channel error ${code}`, failed)
      assert.equal(error.code, code, error.message)
    }
    await (await open()).close()
  },

  'a body of several frames, and an empty one': async () => {
    const channel = await confirmed()
    const queue = await declare(channel)
    const large = Buffer.alloc(1_000_000, 'large')
    channel.sendToQueue(queue, large)
    channel.sendToQueue(queue, Buffer.alloc(0))
    await channel.waitForConfirms()
    assert.ok((await get(channel, queue)).content.equals(large))
    assert.equal((await get(channel, queue)).content.length, 0)
    await channel.close()
  },

  'a queue with everything set survives redeclaration, and messages outlive their connection': async () => {
    const own = await amqplib.connect(url)
    const channel = await own.createConfirmChannel()
    const queue = await declare(channel)
    channel.sendToQueue(queue, Buffer.from('kept'), { persistent: true, contentType: 'text/plain', headers: { a: 1 } })
    await channel.waitForConfirms()
    await own.close()
    const reader = await open()
    await reader.assertQueue(queue, { durable: true, arguments: { 'x-expires': 120_000 } })
    const message = await get(reader, queue)
    assert.deepEqual(
      [message.content.toString(), message.properties.contentType, message.properties.headers?.['a']],
      ['kept', 'text/plain', 1],
    )
    await reader.close()
  },
})

async function open(): Promise<Channel> {
  const channel = await connection.createChannel()
  channel.on('error', () => undefined)
  return channel
}

async function confirmed(): Promise<ConfirmChannel> {
  const channel = await connection.createConfirmChannel()
  channel.on('error', () => undefined)
  return channel
}

/** Queues of a test go away by themselves after two minutes without use. */
async function declare(channel: Channel, args: Record<string, unknown> = {}): Promise<string> {
  const name = unique('amqplib')
  await channel.assertQueue(name, { durable: true, arguments: { 'x-expires': 120_000, ...args } })
  return name
}

function failure(channel: Channel): Promise<Error & { code: number }> {
  return new Promise((resolve) => channel.once('error', resolve))
}

async function get(channel: Channel, queue: string): Promise<GetMessage> {
  let found: GetMessage | false = false
  await until(`a message in ${queue}`, async () => {
    found = await channel.get(queue)
    return found !== false
  })
  return found as unknown as GetMessage
}

function deaths(message: GetMessage): readonly Record<string, unknown>[] {
  const found: unknown = message.properties.headers?.['x-death']
  return Array.isArray(found) ? found : []
}

async function take(channel: Channel, queue: string, count: number): Promise<ConsumeMessage[]> {
  const messages: ConsumeMessage[] = []
  await channel.consume(queue, (message) => {
    if (message !== null) messages.push(message)
  })
  await until(`${count} messages`, () => messages.length === count)
  return messages
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
