/** kafkajs, the pure JavaScript client: old protocol versions and its own group protocol. */
import assert from 'node:assert/strict'
import { CompressionTypes, Kafka, logLevel } from 'kafkajs'
import { runCases, setting, unique, until } from '../cases/cases.ts'

const kafka = new Kafka({
  clientId: 'interop',
  brokers: [setting('KAFKA')],
  logLevel: logLevel.NOTHING,
  retry: { retries: 8, initialRetryTime: 50 },
})

interface Seen {
  readonly partition: number
  readonly offset: string
  readonly key: string | undefined
  readonly value: string | undefined
  readonly headers: Record<string, unknown>
}

await runCases({
  'admin creates, describes and deletes a topic': async () => {
    const admin = kafka.admin()
    await admin.connect()
    const topic = unique('kafkajs.admin')
    assert.equal(await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] }), true)
    assert.equal(await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] }), false)
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    assert.equal(topics[0]?.partitions.length, 3)
    await admin.deleteTopics({ topics: [topic] })
    assert.equal((await admin.listTopics()).includes(topic), false)
    await admin.disconnect()
  },

  'produce and consume with keys, headers and gzip': async () => {
    const topic = await create(2)
    const producer = kafka.producer()
    await producer.connect()
    for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
      const messages = Array.from({ length: 100 }, (_, i) => ({
        key: `k${i % 5}`,
        value: `v${compression}-${i}`,
        headers: { i: String(i), raw: Buffer.from([0, 255]) },
      }))
      await producer.send({ topic, acks: -1, compression, messages })
    }
    await producer.disconnect()
    const seen = await consume(topic, unique('g'), 200)
    for (let k = 0; k < 5; k++) {
      const own = seen.filter((record) => record.key === `k${k}`)
      assert.equal(own.length, 40)
      assert.equal(new Set(own.map((record) => record.partition)).size, 1, 'one key, one partition')
      assert.deepEqual(
        own.map((record) => record.value),
        [0, 1].flatMap((c) => Array.from({ length: 20 }, (_, i) => `v${c}-${i * 5 + k}`)),
      )
    }
    assert.deepEqual(seen[0]?.headers['raw'], Buffer.from([0, 255]))
  },

  'idempotent producer': async () => {
    const topic = await create(1)
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    for (let i = 0; i < 50; i++) {
      const [result] = await producer.send({ topic, messages: [{ value: `a${i}` }, { value: `b${i}` }] })
      assert.equal(result?.baseOffset, String(i * 2))
    }
    await producer.disconnect()
    const seen = await consume(topic, unique('g'), 100)
    assert.deepEqual(
      seen.map((record) => record.value),
      Array.from({ length: 50 }, (_, i) => [`a${i}`, `b${i}`]).flat(),
    )
  },

  'commit and resume': async () => {
    const topic = await create(1)
    const group = unique('kafkajs.resume')
    const producer = kafka.producer()
    await producer.connect()
    await producer.send({ topic, messages: Array.from({ length: 60 }, (_, i) => ({ value: String(i) })) })
    await producer.disconnect()
    const consumer = kafka.consumer({ groupId: group, heartbeatInterval: 500 })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    let count = 0
    await consumer.run({
      autoCommit: false,
      eachMessage: async () => {
        count++
      },
    })
    await until('60 records', () => count === 60)
    await consumer.commitOffsets([{ topic, partition: 0, offset: '25' }])
    await consumer.disconnect()
    const seen = await consume(topic, group, 35)
    assert.equal(seen[0]?.value, '25')
    const admin = kafka.admin()
    await admin.connect()
    const offsets = await admin.fetchTopicOffsets(topic)
    assert.deepEqual({ high: offsets[0]?.high, low: offsets[0]?.low }, { high: '60', low: '0' })
    const committed = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    assert.equal(committed[0]?.partitions[0]?.offset, '60')
    await admin.disconnect()
  },

  'two consumers of a group share the partitions': async () => {
    const topic = await create(4)
    const group = unique('kafkajs.group')
    const assigned = [0, 0]
    const got = new Set<string>()
    const consumers = [0, 1].map(() =>
      kafka.consumer({ groupId: group, heartbeatInterval: 200, sessionTimeout: 6_000, rebalanceTimeout: 6_000 }),
    )
    for (const [index, consumer] of consumers.entries()) {
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
        assigned[index] = payload.memberAssignment[topic]?.length ?? 0
      })
      await consumer.connect()
      await consumer.subscribe({ topic, fromBeginning: true })
      await consumer.run({
        eachMessage: async ({ partition, message }) => {
          got.add(`${partition}/${message.offset}`)
        },
      })
    }
    await until('two partitions each', () => assigned[0] === 2 && assigned[1] === 2, 25_000)
    const producer = kafka.producer()
    await producer.connect()
    await producer.send({ topic, messages: Array.from({ length: 80 }, (_, i) => ({ partition: i % 4, value: String(i) })) })
    await producer.disconnect()
    await until('80 records', () => got.size === 80)
    await Promise.all(consumers.map((consumer) => consumer.disconnect()))
  },
})

async function create(numPartitions: number): Promise<string> {
  const admin = kafka.admin()
  const topic = unique('kafkajs')
  await admin.connect()
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions }] })
  await admin.disconnect()
  return topic
}

async function consume(topic: string, groupId: string, count: number): Promise<Seen[]> {
  const consumer = kafka.consumer({ groupId, heartbeatInterval: 500 })
  const seen: Seen[] = []
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      seen.push({
        partition,
        offset: message.offset,
        key: message.key?.toString(),
        value: message.value?.toString(),
        headers: message.headers ?? {},
      })
    },
  })
  await until(`${count} records`, () => count <= seen.length, 20_000)
  await consumer.disconnect()
  assert.equal(seen.length, count)
  return seen
}
