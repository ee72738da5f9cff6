// Delays by topic setting: of whole topics, and of single records by their headers, which leave the batch they came in.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import amqplib from 'amqplib'
import { CompressionTypes, type IHeaders, Kafka, logLevel } from 'kafkajs'
import { type EmbeddedBroker, startBroker } from '../../index.ts'

let broker: EmbeddedBroker
let kafka: Kafka

before(async () => {
  broker = await startBroker({ protocols: ['kafka', 'amqp'] })
  kafka = new Kafka({ brokers: [broker.url('kafka')], logLevel: logLevel.NOTHING, retry: { retries: 0 } })
})
after(() => broker.close())

async function createTopic(topic: string, configs: Record<string, string>): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
  await admin.createTopics({ topics: [{ topic, numPartitions: 1, configEntries }] })
  await admin.disconnect()
}

type Message = { readonly value: string; readonly headers?: IHeaders }

async function produce(
  topic: string,
  messages: readonly Message[],
  options: { compression?: CompressionTypes; idempotent?: boolean } = {},
): Promise<string | undefined> {
  const { compression = CompressionTypes.None, idempotent = false } = options
  const producer = kafka.producer({ idempotent, maxInFlightRequests: 1, retry: { retries: idempotent ? 1 : 0 } })
  await producer.connect()
  try {
    const [result] = await producer.send({ topic, compression, messages: [...messages] })
    return result?.baseOffset
  } finally {
    await producer.disconnect()
  }
}

/** As many as are asked for, from the beginning, with their offsets. */
async function consume(topic: string, count: number): Promise<string[]> {
  const consumer = kafka.consumer({ groupId: `g-${topic}-${count}`, retry: { retries: 5 } })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const got: string[] = []
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        eachMessage: async ({ message }) => {
          got.push(`${message.offset} ${String(message.value)}`)
          if (got.length === count) resolve()
        },
      })
      .catch(reject)
  })
  await consumer.disconnect()
  return got
}

const latest = async (topic: string): Promise<string | undefined> => {
  const admin = kafka.admin()
  await admin.connect()
  const [partition] = await admin.fetchTopicOffsets(topic)
  await admin.disconnect()
  return partition?.high
}

async function until(what: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    if (await what()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  assert.fail('it did not happen')
}

test('anymq.delay.ms: batches are confirmed with their offsets, and seen when they are old enough', async () => {
  await createTopic('slow', { 'anymq.delay.ms': '600000' })
  assert.equal(
    await produce('slow', [{ value: 'a' }, { value: 'b' }], { compression: CompressionTypes.GZIP, idempotent: true }),
    '0',
  )
  assert.equal(await latest('slow'), '0')
  await broker.clock.advance('9m')
  assert.equal(await latest('slow'), '0')
  await broker.clock.advance('61s')
  assert.equal(await latest('slow'), '2')
  assert.deepEqual(await consume('slow', 2), ['0 a', '1 b'])
})

test('anymq.delay.headers: each record at its own time, in place of its place', async () => {
  await createTopic('own', { 'anymq.delay.headers': 'true' })
  const at = (ms: number): IHeaders => ({ 'anymq.deliver-at': String(broker.clock.now() + ms) })
  const messages = [
    { value: 'now' },
    { value: 'in ten', headers: { 'anymq.delay-ms': '600000' } },
    { value: 'in five', headers: at(300_000) },
    { value: 'also now', headers: at(-1000) },
  ]
  assert.equal(await produce('own', messages, { compression: CompressionTypes.GZIP, idempotent: true }), '0')
  assert.deepEqual(await consume('own', 2), ['0 now', '3 also now'])
  await broker.clock.advance('301s')
  await broker.clock.advance('301s')
  assert.deepEqual(await consume('own', 4), ['0 now', '3 also now', '4 in five', '5 in ten'])
})

test('a batch of nothing but records for later is passed over, also by AMQP', async () => {
  await createTopic('empty', { 'anymq.delay.headers': 'true' })
  await produce('empty', [{ value: 'later', headers: { 'anymq.delay-ms': '60000' } }])
  await produce('empty', [{ value: 'now' }])
  assert.deepEqual(await consume('empty', 1), ['1 now'])
  await broker.clock.advance('61s')
  assert.deepEqual(await consume('empty', 2), ['1 now', '2 later'])
  const connection = await amqplib.connect(broker.url('amqp'))
  const channel = await connection.createChannel()
  const got: string[] = []
  for (;;) {
    const message = await channel.get('empty', { noAck: true })
    if (message === false) break
    got.push(String(message.content))
  }
  assert.deepEqual(got, ['now', 'later'])
  await connection.close()
})

test('headers that say no time, or two, are refused; where they were not asked for, they are headers', async () => {
  await createTopic('strict', { 'anymq.delay.headers': 'true' })
  for (const headers of [
    { 'anymq.delay-ms': 'soon' },
    { 'anymq.deliver-at': '-1' },
    { 'anymq.delay-ms': '1', 'anymq.deliver-at': '1' },
  ])
    await assert.rejects(produce('strict', [{ value: 'good' }, { value: 'bad', headers }]), { type: 'INVALID_RECORD' })
  assert.equal(await latest('strict'), '0')
  await createTopic('plain', {})
  await produce('plain', [{ value: 'now', headers: { 'anymq.delay-ms': '600000' } }])
  assert.deepEqual(await consume('plain', 1), ['0 now'])
})

test('a record of a transaction is not delayed by headers, and says so', async () => {
  await createTopic('transacted', { 'anymq.delay.headers': 'true' })
  const producer = kafka.producer({ transactionalId: 'x', idempotent: true, maxInFlightRequests: 1, retry: { retries: 1 } })
  await producer.connect()
  const transaction = await producer.transaction()
  await assert.rejects(
    transaction.send({ topic: 'transacted', messages: [{ value: 'a', headers: { 'anymq.delay-ms': '1000' } }] }),
  )
  await transaction.abort().catch(() => undefined)
  await producer.disconnect()
})

test('anymq.forward.topic: an ordinary consumer group gets back what it could not do, until it is a dead letter', async () => {
  await createTopic('work', {})
  await createTopic('work.dead', {})
  const retries = { 'anymq.delay.ms': '5000', 'anymq.delivery.limit': '2', 'anymq.dead.letter.topic': 'work.dead' }
  await createTopic('work.retry', { ...retries, 'anymq.forward.topic': 'work' })
  const producer = kafka.producer()
  await producer.connect()
  const consumer = kafka.consumer({ groupId: 'workers', maxWaitTimeInMs: 50 })
  await consumer.connect()
  await consumer.subscribe({ topic: 'work', fromBeginning: true })
  const seen: (string | undefined)[] = []
  const raw = Buffer.from([0xff, 0])
  await consumer.run({
    eachMessage: async ({ message }) => {
      const { key, value, headers = {} } = message
      assert.deepEqual(headers['raw'], raw)
      assert.deepEqual([String(key), String(value)], ['k', 'bad'])
      await producer.send({ topic: 'work.retry', messages: [{ key, value, headers }] })
      seen.push(headers['anymq.attempts']?.toString())
    },
  })
  await producer.send({ topic: 'work', messages: [{ key: 'k', value: 'bad', headers: { raw } }] })
  for (const times of [1, 2, 3]) {
    await until(async () => seen.length === times)
    // Less than would end the consumer's membership.
    await broker.clock.advance('6s')
  }
  await until(async () => (await broker.messages('work.dead')).length > 0)
  assert.deepEqual(seen, [undefined, '1', '2'])
  const [dead] = await broker.messages('work.dead')
  assert.deepEqual([dead?.text, dead?.headers['anymq.attempts']], ['bad', '2'])
  await consumer.disconnect()
  await producer.disconnect()
})
