/** Dead letters and subscriptions through the API, with a real AMQP client that rejects. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import amqplib from 'amqplib'
import { type EmbeddedBroker, startBroker } from '../src/index.ts'

let broker: EmbeddedBroker
let connection: Awaited<ReturnType<typeof amqplib.connect>>

before(async () => {
  broker = await startBroker({ protocols: ['amqp'] })
  connection = await amqplib.connect(broker.url('amqp'))
})
after(async () => {
  await connection.close()
  await broker.close()
})

async function call(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
  const content = body === undefined ? {} : { body: JSON.stringify(body) }
  const response = await fetch(broker.url('http') + path, { method, ...content, headers: { 'content-type': 'application/json' } })
  const text = await response.text()
  assert(response.ok, text)
  return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) // the API answers objects
}

test('rejected records are listed with their source and sent back: one, then all', async () => {
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('dead')
  await channel.assertQueue('jobs', { arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' } })
  for (const name of ['a', 'b', 'c']) channel.sendToQueue('jobs', Buffer.from(name), { persistent: true })
  await channel.waitForConfirms()
  for (let index = 0; index < 3; index++) {
    const got = await channel.get('jobs')
    assert(got !== false)
    channel.nack(got, false, false)
  }
  await until(async () => (await broker.messages('dead')).length === 3)

  const targets = (await call('GET', '/v1/dead-letters'))['targets'] as { topic: string; sources: string[] }[] // the API's shape
  assert.deepEqual(
    targets.map(({ topic, sources }) => ({ topic, sources })),
    [{ topic: 'dead', sources: ['jobs'] }],
  )
  const dead = (await call('GET', '/v1/topics/dead/dead-letters'))['deadLetters'] as {
    source: string
    value: string
    offset: number
  }[] // the API's shape
  assert.deepEqual(
    dead.map(({ source, value }) => [source, value]),
    [
      ['jobs', 'a'],
      ['jobs', 'b'],
      ['jobs', 'c'],
    ],
  )
  const one = await call('POST', '/v1/topics/dead/dead-letters/redrive', { records: [{ offset: dead[1]?.offset }] })
  assert.equal(one['redriven'], 1)
  const back = await channel.get('jobs', { noAck: true })
  assert(back !== false)
  assert.equal(back.content.toString(), 'b')
  const rest = await call('POST', '/v1/topics/dead/dead-letters/redrive', { all: true })
  assert.equal(rest['redriven'], 2)
  const left = [await channel.get('jobs', { noAck: true }), await channel.get('jobs', { noAck: true }), await channel.get('dead')]
  assert.deepEqual(
    left.map((got) => (got === false ? false : got.content.toString())),
    ['a', 'c', false],
  )
  await channel.close()
})

test('a queue shows what is ready and in flight, and can be purged', async () => {
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('depth')
  for (const name of ['a', 'b', 'c']) channel.sendToQueue('depth', Buffer.from(name))
  await channel.waitForConfirms()
  const got = await channel.get('depth')
  assert(got !== false)
  const path = '/v1/topics/depth/subscriptions'
  const [shown] = (await call('GET', path))['subscriptions'] as { name: string; ready: number; inFlight: number }[] // the API's shape
  assert.deepEqual([shown?.name, shown?.ready, shown?.inFlight], ['', 2, 1])
  channel.ack(got)
  assert.equal((await call('POST', `${path}/~/purge`))['purged'], 2)
  assert.equal(await channel.get('depth'), false)
  await channel.close()
})

test('connections are listed with the client and can be closed', async () => {
  const other = await amqplib.connect(broker.url('amqp'))
  other.on('error', () => {})
  const closed = new Promise<void>((resolve) => other.on('close', () => resolve()))
  const listed = (await call('GET', '/v1/connections'))['connections'] as { id: number; protocol: string; clientName: string }[] // the API's shape
  assert.equal(listed.length, 2)
  assert(listed.every((each) => each.protocol === 'amqp 0-9-1' && each.clientName === 'amqplib'))
  await call('DELETE', `/v1/connections/${Math.max(...listed.map((each) => each.id))}`)
  await closed
})

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 5000
  while (!(await holds())) {
    assert(Date.now() < deadline, 'did not become true within 5 s')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
