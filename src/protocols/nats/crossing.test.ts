/** What NATS publishes reaches queues, topics, bindings and captures; what other protocols publish reaches NATS subscribers. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import amqplib from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import { type EmbeddedBroker, startBroker } from '../../index.ts'
import { NatsClient } from './nats-client.testing.ts'

let broker: EmbeddedBroker
let nats: NatsClient
let amqp: Awaited<ReturnType<typeof amqplib.connect>>
let channel: Awaited<ReturnType<typeof amqp.createChannel>>

before(async () => {
  broker = await startBroker({ protocols: ['nats', 'amqp', 'kafka'] })
  nats = await NatsClient.open(broker.port('nats'))
  amqp = await amqplib.connect(broker.url('amqp'))
  channel = await amqp.createChannel()
})
after(async () => {
  nats.close()
  await amqp.close()
  await broker.close()
})

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** What NATS publishes is stored without being waited for. */
async function fromQueue(queue: string): Promise<amqplib.GetMessage> {
  for (;;) {
    const message = await channel.get(queue, { noAck: true })
    if (message !== false) return message
    await turn()
  }
}

test('a queue of that name gets it, with reply and headers; so does what is bound to amq.topic', async () => {
  await channel.assertQueue('orders.new')
  await channel.assertQueue('bound')
  await channel.bindQueue('bound', 'amq.topic', 'orders.#')
  nats.send('HPUB orders.new replies 28 32', 'NATS/1.0', 'Colour: blue', '', '', 'body')
  assert.deepEqual(await nats.flush(), [])
  const message = await fromQueue('orders.new')
  const { replyTo, headers } = message.properties
  assert.deepEqual([String(message.content), replyTo, headers?.['Colour']], ['body', 'replies', 'blue'])
  const bound = await fromQueue('bound')
  assert.deepEqual([String(bound.content), bound.fields.exchange, bound.fields.routingKey], ['body', 'amq.topic', 'orders.new'])
})

test('a Kafka topic of that name gets it', async () => {
  const kafka = new Kafka({ brokers: [broker.url('kafka')], logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'sensors.1.temp', numPartitions: 1 }] })
  await admin.disconnect()
  nats.publish('sensors.1.temp', '21.5')
  nats.publish('sensors.1.temp', '21.6', 'reply.here')
  await nats.flush()
  let messages = await broker.messages('sensors.1.temp')
  while (messages.length < 2) {
    await turn()
    messages = await broker.messages('sensors.1.temp')
  }
  assert.deepEqual(
    messages.map(({ text, attributes }) => [text, attributes['replyTo']]),
    [
      ['21.5', undefined],
      ['21.6', 'reply.here'],
    ],
  )
})

test('NATS subscribers hear AMQP and Kafka producers, headers and reply address included', async () => {
  nats.send('SUB news.> 1')
  await nats.flush()
  channel.publish('amq.topic', 'news.sport', Buffer.from('goal'), { headers: { team: 'red' }, replyTo: 'answers' })
  const head = 'NATS/1.0\r\nteam: red\r\nanymq.persistent: false\r\n\r\n'
  const line = await nats.line()
  const match = /^HMSG news\.sport 1 answers (\d+) (\d+)$/.exec(line)
  assert.ok(match, line)
  assert.equal(Number(match[2]) - Number(match[1]), 'goal'.length)
  const rest: string[] = []
  while (rest.at(-1) !== 'goal') rest.push(await nats.line())
  assert.equal(rest[0], 'NATS/1.0')
  assert.ok(rest.includes('team: red'), head)

  const kafka = new Kafka({ brokers: [broker.url('kafka')], logLevel: logLevel.NOTHING })
  const producer = kafka.producer({ allowAutoTopicCreation: true })
  await producer.connect()
  await producer.send({
    topic: 'news.kafka',
    messages: [
      { key: 'k', value: 'one', headers: { a: 'b' } },
      { value: 'two', headers: { 'a name': 'line\nbreak' } },
    ],
  })
  await producer.disconnect()
  const heard: string[] = []
  while (heard.at(-1) !== 'two') heard.push(await nats.line())
  assert.ok(heard.includes('one') && heard.includes('a: b') && heard.includes('anymq.key: k'), heard.join('|'))
  assert.ok(heard.includes('anymq.encoded: a%20name=line%0Abreak'), heard.join('|'))
})

test('a request is not without responders when a topic stores it', async () => {
  await channel.assertQueue('work')
  nats.send('SUB in.* 9')
  nats.publish('work', 'do it', 'in.1')
  assert.deepEqual(await nats.flush(), [])
  const message = await fromQueue('work')
  channel.publish('amq.topic', message.properties.replyTo as string, Buffer.from('done'))
  const lines = [await nats.line()]
  while (lines.at(-1) !== 'done') lines.push(await nats.line())
  assert.match(lines[0] ?? '', /^H?MSG in\.1 9 /)
})
