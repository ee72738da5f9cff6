/** What NATS publishes reaches queues, topics, bindings and captures; what other protocols publish reaches NATS subscribers. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
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
  broker = await startBroker({ protocols: ['nats', 'amqp', 'kafka', 'stomp', 'mqtt'] })
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

test('a topic that captures the subject stores it, under the subject', async () => {
  const created = await fetch(`${broker.url('http')}/v1/topics`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'everything', config: { captures: ['caught.#'] } }),
  })
  assert.equal(created.status, 201)
  nats.publish('caught.a.b', 'kept')
  nats.publish('other', 'not kept')
  await nats.flush()
  const message = await fromQueue('everything')
  const { exchange: reached, routingKey } = message.fields
  assert.deepEqual([String(message.content), reached, routingKey], ['kept', 'amq.topic', 'caught.a.b'])
  assert.equal((await broker.messages('everything')).length, 1)
})

/** Sends the bytes, and again the next ones for each answer; resolves to the last answer. */
async function exchange(port: number, ...requests: Buffer[]): Promise<Buffer> {
  const socket = connect(port, '127.0.0.1')
  let last: Buffer = Buffer.alloc(0)
  for (const request of requests) {
    socket.write(request)
    last = await new Promise<Buffer>((resolve) => socket.once('data', resolve))
  }
  socket.destroy()
  return last
}

test('NATS subscribers hear STOMP and MQTT', async () => {
  nats.send('SUB sensors.*.temp 2')
  await nats.flush()
  const send = 'SEND\ndestination:/topic/sensors.7.temp\nreceipt:1\nunit:C\n\n21\0'
  const receipt = await exchange(
    broker.port('stomp'),
    Buffer.from('CONNECT\naccept-version:1.2\nhost:/\n\n\0'),
    Buffer.from(send),
  )
  assert.match(receipt.toString(), /^RECEIPT/)
  const fromStomp = [await nats.line()]
  while (fromStomp.at(-1) !== '21') fromStomp.push(await nats.line())
  assert.match(fromStomp[0] ?? '', /^HMSG sensors\.7\.temp 2 /)
  assert.ok(fromStomp.includes('unit: C'), fromStomp.join('|'))

  // CONNECT of 3.1.1 with a clean session and the client id c; PUBLISH with QoS 1 and the packet id 1.
  const topic = 'sensors/8/temp'
  const puback = await exchange(
    broker.port('mqtt'),
    Buffer.concat([Buffer.from([0x10, 13, 0, 4]), Buffer.from('MQTT'), Buffer.from([4, 2, 0, 60, 0, 1]), Buffer.from('c')]),
    Buffer.concat([
      Buffer.from([0x32, 2 + topic.length + 2 + 2, 0, topic.length]),
      Buffer.from(topic),
      Buffer.from([0, 1]),
      Buffer.from('22'),
    ]),
  )
  assert.equal(puback[0], 0x40)
  const fromMqtt = [await nats.line()]
  while (fromMqtt.at(-1) !== '22') fromMqtt.push(await nats.line())
  assert.match(fromMqtt[0] ?? '', /^H?MSG sensors\.8\.temp 2 /)
})
