// When the broker is short of something, publishers are told and held, as RabbitMQ does with an alarm.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { test } from 'node:test'
import amqplib from 'amqplib'
import { Conversation, eventually } from '../../../test/support/amqp.ts'

const mebibyte = 1024 * 1024
const talk = new Conversation({ limits: { memoryBytesMax: 8 * mebibyte } })

test('a publisher is told that it is blocked and why, nothing of it is lost, and it goes on when there is room', async () => {
  const consumer = await talk.fresh('held', { durable: false })
  const publisher = await amqplib.connect(talk.broker.url('amqp'))
  const channel = await publisher.createConfirmChannel()
  const blocked = once(publisher, 'blocked')
  for (let index = 0; index < 200; index++) channel.sendToQueue('held', Buffer.alloc(100_000, `${index % 10}`))
  assert.deepEqual(await blocked, ['low on memory'])
  // Consumers are not held.
  const { messageCount } = await consumer.checkQueue('held')
  assert.ok(messageCount < 200)
  const unblocked = once(publisher, 'unblocked')
  let got = 0
  await consumer.consume('held', () => got++, { noAck: true })
  await unblocked
  await channel.waitForConfirms()
  await eventually(() => got === 200)
  await publisher.close()
})
