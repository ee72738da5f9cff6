/** startBroker as other people's tests use it. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import amqplib from 'amqplib'
import { startBroker } from '../src/index.ts'

test('time moved ahead expires records at once', async () => {
  const broker = await startBroker({ protocols: ['amqp'] })
  try {
    const connection = await amqplib.connect(broker.url('amqp'))
    const channel = await connection.createConfirmChannel()
    await channel.assertQueue('late')
    await channel.assertQueue('short', {
      messageTtl: 20 * 60_000,
      arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'late' },
    })
    channel.sendToQueue('short', Buffer.from('x'))
    await channel.waitForConfirms()
    assert.equal((await broker.messages('late')).length, 0)
    await broker.clock.advance('30m')
    const deadline = Date.now() + 5000
    while ((await broker.messages('late')).length === 0) {
      assert(Date.now() < deadline, 'the record did not expire')
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await connection.close()
  } finally {
    await broker.close()
  }
})

test('settled waits until consumers have acknowledged everything', async () => {
  const broker = await startBroker({ protocols: ['amqp'] })
  try {
    const connection = await amqplib.connect(broker.url('amqp'))
    const channel = await connection.createChannel()
    await channel.assertQueue('jobs')
    let acknowledged = 0
    await channel.consume('jobs', (message) => {
      if (message === null) return
      setTimeout(() => {
        acknowledged++
        channel.ack(message)
      }, 5)
    })
    for (let index = 0; index < 20; index++) await broker.publish('jobs', `job ${index}`)
    await broker.settled()
    assert.equal(acknowledged, 20)
    await broker.reset()
    await assert.rejects(broker.messages('jobs'))
    await connection.close()
  } finally {
    await broker.close()
  }
})

test('a folder keeps records over a restart', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'anymq-library-'))
  try {
    const first = await startBroker({ storage: { folder }, protocols: ['kafka'] })
    await first.publish('orders', { id: 1 }, { key: 'k', headers: { colour: 'blue' } })
    await first.close()
    const second = await startBroker({ storage: { folder }, protocols: ['kafka'] })
    const [message] = await second.messages('orders')
    assert.equal(message?.text, '{"id":1}')
    assert.deepEqual(message?.headers, { colour: 'blue' })
    assert.equal(message?.key?.toString(), 'k')
    await second.close()
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('an unknown protocol is refused', async () => {
  await assert.rejects(startBroker({ protocols: ['kafak'] }), /unknown protocol "kafak"; known: kafka, amqp/)
})
