// A topic that asks for schemas: what each protocol's producers get whose records are not by them, and that records that are pass.
import assert from 'node:assert/strict'
import { connect as connectSocket } from 'node:net'
import { after, before, test } from 'node:test'
import amqplib from 'amqplib'
import { CompressionTypes, Kafka, logLevel } from 'kafkajs'
import mqtt from 'mqtt'
import { type EmbeddedBroker, startBroker } from '../../index.ts'
import { parseSchema } from '../../lib/schemas/parse-schema.ts'
import { framed } from './framing.ts'

let broker: EmbeddedBroker
let kafka: Kafka
/** Of the JSON Schema that topics here ask for. */
let id: number

const text = '{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}'

before(async () => {
  broker = await startBroker({ protocols: ['kafka', 'amqp', 'mqtt', 'stomp', 'nats', 'schema-registry'] })
  kafka = new Kafka({ brokers: [broker.url('kafka')], logLevel: logLevel.NOTHING, retry: { retries: 0 } })
  for (const topic of ['orders', 'plain']) {
    id = await register(`${topic}-value`, text, 'JSON')
    await createTopic(topic, { 'anymq.value.schema.validation': 'content' })
  }
})
after(() => broker.close())

async function register(subject: string, schema: string, schemaType: string): Promise<number> {
  const body = JSON.stringify({ schema, schemaType })
  const response = await fetch(`${broker.url('schema-registry')}/subjects/${subject}/versions`, { method: 'POST', body })
  return ((await response.json()) as { id: number }).id
}

async function createTopic(topic: string, configs: Record<string, string>): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
  await admin.createTopics({ topics: [{ topic, numPartitions: 1, configEntries }] })
  await admin.disconnect()
}

async function produce(
  topic: string,
  values: readonly (Buffer | string | null)[],
  compression = CompressionTypes.None,
  key?: Buffer,
): Promise<void> {
  const producer = kafka.producer()
  await producer.connect()
  try {
    await producer.send({
      topic,
      compression,
      messages: values.map((value) => ({ value, ...(key === undefined ? {} : { key }) })),
    })
  } finally {
    await producer.disconnect()
  }
}

const stored = async (topic: string): Promise<number> => (await broker.messages(topic)).length
const invalidRecord = { type: 'INVALID_RECORD', code: 87 }

test('Kafka: ids as Confluent checks them, in compressed batches too', async () => {
  const value = await register('ids-value', '"string"', 'AVRO')
  const other = await register('elsewhere-value', '"int"', 'AVRO')
  await createTopic('ids', { 'confluent.value.schema.validation': 'true' })
  const good = framed(value, 'AVRO', Buffer.from('anything'))
  await produce('ids', [good, null])
  await produce('ids', [good, good], CompressionTypes.GZIP)
  assert.equal(await stored('ids'), 4)
  for (const bad of [
    Buffer.from('no id'),
    framed(other, 'AVRO', Buffer.alloc(1)),
    framed(9999, 'AVRO', Buffer.alloc(1)),
    Buffer.alloc(0),
  ])
    for (const compression of [CompressionTypes.None, CompressionTypes.GZIP])
      await assert.rejects(produce('ids', [good, bad], compression), invalidRecord)
  assert.equal(await stored('ids'), 4)
})

test('Kafka: keys, and subjects by the name of the record', async () => {
  const record = '{"type":"record","name":"shop.Order","fields":[]}'
  const own = await register('shop.Order', record, 'AVRO')
  const both = await register('named-shop.Order', record.replace('[]', '[{"name":"a","type":"int","default":0}]'), 'AVRO')
  await createTopic('named', {
    'confluent.key.schema.validation': 'true',
    'confluent.key.subject.name.strategy': 'io.confluent.kafka.serializers.subject.RecordNameStrategy',
    'confluent.value.schema.validation': 'true',
    'confluent.value.subject.name.strategy': 'io.confluent.kafka.serializers.subject.TopicRecordNameStrategy',
  })
  const [ownBytes, bothBytes] = [framed(own, 'AVRO', Buffer.alloc(0)), framed(both, 'AVRO', Buffer.from([2]))]
  await produce('named', [bothBytes], CompressionTypes.None, ownBytes)
  await assert.rejects(produce('named', [ownBytes], CompressionTypes.None, ownBytes), invalidRecord)
  await assert.rejects(produce('named', [bothBytes], CompressionTypes.None, bothBytes), invalidRecord)
  assert.equal(await stored('named'), 1)
})

test('Kafka: the content by the schema that is named, or by the newest', async () => {
  const schema = parseSchema('JSON', text)
  await produce('orders', [framed(id, 'JSON', schema.encode({ a: 1 })), '{"a":2}'])
  assert.equal(await stored('orders'), 2)
  await assert.rejects(produce('orders', [framed(id, 'JSON', Buffer.from('{"a":"x"}'))]), invalidRecord)
  await assert.rejects(produce('orders', ['{"a":2}', '{"b":2}'], CompressionTypes.GZIP), invalidRecord)
  await assert.rejects(produce('orders', ['not json']), invalidRecord)
  assert.equal(await stored('orders'), 2)
})

test('Kafka: a message of Protocol Buffers is found by its place', async () => {
  const proto = 'syntax = "proto3"; message First { } message Second { message Inner { int32 a = 1; } }'
  const protoId = await register('proto-value', proto, 'PROTOBUF')
  await createTopic('proto', { 'anymq.value.schema.validation': 'content' })
  const head = framed(protoId, 'AVRO', Buffer.alloc(0)) // without a place
  const inner = Buffer.concat([head, Buffer.from([4, 2, 0, 8, 5])]) // two indexes, 1 and 0, then a = 5
  await produce('proto', [inner])
  await assert.rejects(produce('proto', [Buffer.concat([head, Buffer.from([4, 2, 2, 8, 5])])]), invalidRecord)
  await assert.rejects(produce('proto', [Buffer.concat([head, Buffer.from([4, 2, 0, 8])])]), invalidRecord)
  assert.equal(await stored('proto'), 1)
})

test('AMQP: a nack where there are confirms, else 406', async () => {
  const connection = await amqplib.connect(broker.url('amqp'))
  const confirming = await connection.createConfirmChannel()
  const publish = (body: string): Promise<void> =>
    new Promise((resolve, reject) =>
      confirming.publish('', 'plain', Buffer.from(body), {}, (error) => (error === null ? resolve() : reject(error))),
    )
  await publish('{"a":1}')
  await assert.rejects(publish('{"b":1}'), /nacked/)
  const plain = await connection.createChannel()
  const closed = new Promise<{ code: number; message: string }>((resolve) => plain.once('error', resolve))
  plain.publish('', 'plain', Buffer.from('{"b":1}'))
  const { code, message } = await closed
  assert.equal(code, 406)
  assert.match(message, /not by its schema/)
  await connection.close()
})

test('MQTT 5: reason code 0x99', async () => {
  const client = await mqtt.connectAsync(broker.url('mqtt'), { protocolVersion: 5 })
  await client.publishAsync('plain', '{"a":1}', { qos: 1 })
  await assert.rejects(client.publishAsync('plain', '{"b":1}', { qos: 1 }), { code: 0x99 })
  await client.endAsync()
})

test('MQTT: what is refused is not retained, what is stored is', async () => {
  const client = await mqtt.connectAsync(broker.url('mqtt'), { protocolVersion: 5 })
  await client.publishAsync('plain', '{"a":7}', { qos: 1, retain: true })
  await assert.rejects(client.publishAsync('plain', '{"b":1}', { qos: 1, retain: true }), { code: 0x99 })
  const first = new Promise<string>((resolve) => client.once('message', (_, payload) => resolve(payload.toString())))
  await client.subscribeAsync('plain', { qos: 1 })
  assert.equal(await first, '{"a":7}')
  await client.endAsync()
})

/** Everything that comes back until the text is there or the connection ends. */
function conversation(listener: string, lines: string, until: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket(broker.port(listener), '127.0.0.1', () => socket.write(lines))
    let heard = ''
    const done = (): void => {
      socket.destroy()
      resolve(heard)
    }
    socket.on('data', (chunk) => {
      heard += chunk.toString()
      if (until.test(heard)) done()
    })
    socket.on('error', reject)
    socket.on('close', done)
  })
}

test('STOMP: an ERROR frame; NATS: -ERR', async () => {
  const send = (body: string): string => `SEND\ndestination:/queue/plain\nreceipt:1\n\n${body}\0`
  assert.match(
    await conversation('stomp', `CONNECT\naccept-version:1.2\nhost:x\n\n\0${send('{"a":1}')}`, /RECEIPT|ERROR/),
    /RECEIPT/,
  )
  assert.match(
    await conversation('stomp', `CONNECT\naccept-version:1.2\nhost:x\n\n\0${send('{"b":1}')}`, /RECEIPT|ERROR\n/),
    /ERROR[\s\S]*not by its schema/,
  )
  const before = await stored('plain')
  assert.match(await conversation('nats', 'CONNECT {"verbose":false}\r\nPUB plain 7\r\n{"b":1}\r\nPING\r\n', /-ERR/), /-ERR/)
  assert.equal(await stored('plain'), before)
})

test('the HTTP API: 400, and the settings by their neutral names', async () => {
  await broker.publish('plain', { a: 1 })
  await assert.rejects(broker.publish('plain', { b: 1 }), { code: 'Invalid' })
  // What becomes visible later is judged at once.
  await assert.rejects(broker.publish('plain', { b: 1 }, { deliverAt: broker.clock.now() + 60_000 }), { code: 'Invalid' })
  await register('api-value', text, 'JSON')
  const body = JSON.stringify({ name: 'api', config: { valueSchema: 'content' } })
  const headers = { 'content-type': 'application/json' }
  assert.equal((await fetch(`${broker.url('http')}/v1/topics`, { method: 'POST', headers, body })).status, 201)
  const records = JSON.stringify({ records: [{ value: { b: 1 } }] })
  assert.equal(
    (await fetch(`${broker.url('http')}/v1/topics/api/records`, { method: 'POST', headers, body: records })).status,
    400,
  )
  const admin = kafka.admin()
  await admin.connect()
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: 2, name: 'api', configNames: ['confluent.value.schema.validation'] }],
  })
  assert.equal(resources[0]?.configEntries[0]?.configValue, 'true')
  await admin.disconnect()
})
