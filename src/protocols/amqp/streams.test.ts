// Stream queues over plain consumers: each reads the log for itself, from where it says, and takes nothing away.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import type { Channel, ConsumeMessage } from 'amqplib'
import { Conversation, eventually, texts } from '../../../test/support/amqp.ts'

const talk = new Conversation()

async function stream(name: string, bodies: readonly string[], more: object = {}): Promise<Channel> {
  const channel = await talk.channel()
  await channel.assertQueue(name, { arguments: { 'x-queue-type': 'stream', ...more } })
  for (const body of bodies) channel.sendToQueue(name, Buffer.from(body))
  await eventually(async () => (await channel.checkQueue(name)).messageCount === bodies.length)
  return channel
}

/** What a consumer is given, as it comes. */
async function reading(queue: string, args: object, prefetch = 10, ack = true): Promise<ConsumeMessage[]> {
  const channel = await talk.channel()
  await channel.prefetch(prefetch)
  const messages: ConsumeMessage[] = []
  await channel.consume(
    queue,
    (message) => {
      if (message === null) return
      messages.push(message)
      if (ack) channel.ack(message)
    },
    { arguments: args },
  )
  return messages
}

const offsets = (messages: readonly ConsumeMessage[]): unknown[] =>
  messages.map(({ properties }) => properties.headers?.['x-stream-offset'])

test('consumers begin where they say, see their offsets, and leave everything for the next', async () => {
  const writer = await stream('places', ['a', 'b', 'c', 'd'])
  for (const [start, expected] of [
    ['first', ['a', 'b', 'c', 'd']],
    ['last', ['d']],
    [2, ['c', 'd']],
    [{ '!': 'timestamp', value: 0 }, ['a', 'b', 'c', 'd']],
    ['1h', ['a', 'b', 'c', 'd']],
  ] as const) {
    const messages = await reading('places', { 'x-stream-offset': start })
    await eventually(() => messages.length === expected.length)
    assert.deepEqual(texts(messages), expected, String(start))
    assert.deepEqual(offsets(messages), [0, 1, 2, 3].slice(4 - expected.length))
    assert.ok(messages.every(({ fields }) => !fields.redelivered))
  }
  const next = await reading('places', {})
  const later = await reading('places', { 'x-stream-offset': 6 })
  for (const body of ['e', 'f', 'g']) writer.sendToQueue('places', Buffer.from(body))
  await eventually(() => next.length === 3 && later.length === 1)
  assert.deepEqual([texts(next), texts(later)], [['e', 'f', 'g'], ['g']])
  assert.equal((await writer.checkQueue('places')).messageCount, 7)
})

test('an acknowledgement asks for more, and returning or rejecting is one, too', async () => {
  await stream('credit', ['a', 'b', 'c', 'd', 'e'])
  const channel = await talk.channel()
  await channel.prefetch(2)
  const messages: ConsumeMessage[] = []
  await channel.consume('credit', (message) => message !== null && messages.push(message), {
    arguments: { 'x-stream-offset': 'first' },
  })
  await eventually(() => messages.length === 2)
  channel.nack(messages[0] as ConsumeMessage, false, true)
  await eventually(() => messages.length === 3)
  channel.reject(messages[1] as ConsumeMessage, false)
  channel.ack(messages[2] as ConsumeMessage)
  await eventually(() => messages.length === 5)
  assert.deepEqual(texts(messages), ['a', 'b', 'c', 'd', 'e'])
})

test('a filter lets through what has one of its values, and what has none when asked to', async () => {
  const channel = await stream('filtered', [])
  for (const [body, value] of [
    ['1', 'red'],
    ['2', 'blue'],
    ['3', undefined],
    ['4', 'green'],
    ['5', 'red'],
  ] as const)
    channel.sendToQueue('filtered', Buffer.from(body), value === undefined ? {} : { headers: { 'x-stream-filter-value': value } })
  for (const [args, expected] of [
    [{ 'x-stream-filter': 'red' }, ['1', '5']],
    [{ 'x-stream-filter': ['red', 'green'] }, ['1', '4', '5']],
    [{ 'x-stream-filter': 'red', 'x-stream-match-unfiltered': true }, ['1', '3', '5']],
  ] as const) {
    const messages = await reading('filtered', { 'x-stream-offset': 'first', ...args }, 1)
    await eventually(() => messages.length === expected.length)
    assert.deepEqual(texts(messages), expected)
  }
})

test('a stream is kept by its age', async () => {
  const channel = await stream('aged', ['old'], { 'x-max-age': '1h' })
  await talk.broker.clock.advance('2h')
  channel.sendToQueue('aged', Buffer.from('new'))
  await talk.broker.clock.advance('1m')
  const messages = await reading('aged', { 'x-stream-offset': 'first' })
  await eventually(() => messages.length > 0)
  assert.deepEqual(texts(messages), ['new'])
})

test('what does not go with a stream is refused in RabbitMQ’s words', async () => {
  await stream('strict', [])
  const what = "queue 'strict' in vhost '/'"
  const declare = (options: object) => talk.refusal((channel) => channel.assertQueue('strict 2', options))
  const consume = (args: object, options: object = {}) =>
    talk.refusal(async (channel) => {
      await channel.prefetch(1)
      await channel.consume('strict', () => undefined, { arguments: args, ...options })
    })
  const stream2 = { 'x-queue-type': 'stream' }
  const two = "queue 'strict 2' in vhost '/'"
  for (const [options, expected] of [
    [{ durable: false, arguments: stream2 }, `invalid property 'non-durable' for ${two}`],
    [{ exclusive: true, arguments: stream2 }, `invalid property 'exclusive-owner' for ${two}`],
    [{ autoDelete: true, arguments: stream2 }, `invalid property 'auto-delete' for ${two}`],
    [
      { arguments: { ...stream2, 'x-message-ttl': 5 } },
      `invalid arg 'x-message-ttl' for ${two} of queue type rabbit_stream_queue`,
    ],
    [{ arguments: { ...stream2, 'x-max-age': '5x' } }, `invalid arg 'x-max-age' for ${two}: invalid_max_age`],
    [{ arguments: { ...stream2, 'x-stream-filter-size-bytes': 300 } }, 'Invalid value for x-stream-filter-size-bytes'],
    [{ arguments: { 'x-max-age': '5D' } }, `invalid arg 'x-max-age' for ${two} of queue type rabbit_classic_queue`],
  ] as const)
    assert.equal(await declare(options), `PRECONDITION_FAILED - ${expected}`)
  assert.equal(
    await talk.refusal((channel) => channel.consume('strict', () => undefined)),
    `PRECONDITION_FAILED - consumer prefetch count is not set for stream ${what}`,
  )
  assert.equal(
    await consume({ 'x-stream-offset': 'soon' }),
    `PRECONDITION_FAILED - invalid arg 'x-stream-offset' for ${what}: {invalid_stream_offset_arg,{longstr,<<"soon">>}}`,
  )
  assert.equal(
    await consume({ 'x-priority': 5 }),
    `PRECONDITION_FAILED - invalid arg 'x-priority' for ${what} of queue type rabbit_stream_queue`,
  )
  for (const [use, expected] of [
    [(channel: Channel) => channel.get('strict'), `basic.get not supported by stream queues ${what}`],
    [(channel: Channel) => channel.purgeQueue('strict'), `queue.purge not supported by stream queues ${what}`],
    [
      async (channel: Channel) => {
        await channel.prefetch(1)
        await channel.consume('strict', () => undefined, { noAck: true })
      },
      `automatic acknowledgement not supported by stream ${what}`,
    ],
    [
      async (channel: Channel) => {
        await channel.prefetch(1)
        await channel.prefetch(1, true)
        await channel.consume('strict', () => undefined)
      },
      `${what} does not support global qos`,
    ],
  ] as const)
    assert.equal(await talk.connectionRefusal(use), `NOT_IMPLEMENTED - ${expected}`)
})
