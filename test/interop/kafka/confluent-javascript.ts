/** @confluentinc/kafka-javascript: librdkafka for Node, called as kafkajs is. `security` as the argument: logins, against a broker with users. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import type { Admin, Consumer, Producer } from 'kafkajs'
import { runCases, setting, unique, until } from '../cases/cases.ts'
import { confluentJavaScript } from '../install.ts'

/** What is used of it. It has the types of kafkajs where it has its calls; settings under `kafkaJS` are kafkajs's, the others librdkafka's. */
interface Kafka {
  producer(config: object): Producer
  consumer(config: object): Consumer & { assignment(): unknown[]; committed(): Promise<{ partition: number; offset: string }[]> }
  admin(): Admin
}

const { KafkaJS } = createRequire(`${confluentJavaScript}/`)('@confluentinc/kafka-javascript') as {
  KafkaJS: { Kafka: new (config: object) => Kafka; logLevel: { NOTHING: number } }
}
const connection = { brokers: [setting('KAFKA')], clientId: 'interop', logLevel: KafkaJS.logLevel.NOTHING }
const kafka = new KafkaJS.Kafka({ kafkaJS: connection })

const compressions = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

async function create(numPartitions = 1, client = kafka): Promise<string> {
  const topic = unique('confluent.js')
  const admin = client.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions }] })
  await admin.disconnect()
  return topic
}

async function produce(topic: string, values: readonly string[], config: object = {}, client = kafka): Promise<void> {
  const producer = client.producer(config)
  await producer.connect()
  await producer.send({ topic, messages: values.map((value, i) => message(value, i)) })
  await producer.disconnect()
}

const message = (value: string, i: number): { key: string; value: string; headers: Record<string, string> } => ({
  key: `k${i % 7}`,
  value,
  headers: { i: String(i), text: 'tëxt' },
})

const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `v${i}`)

interface Seen {
  readonly at: string
  readonly offset: string
  readonly key: string | undefined
  readonly value: string | undefined
  readonly headers: Record<string, string>
}

/** A consumer that runs, with what it has seen so far. */
async function consume(topic: string, groupId: string, config: object = {}, client = kafka) {
  const seen: Seen[] = []
  const consumer = client.consumer({
    kafkaJS: { groupId, fromBeginning: true, autoCommit: false },
    'fetch.wait.max.ms': 100,
    ...config,
  })
  await consumer.connect()
  await consumer.subscribe({ topic })
  await consumer.run({
    eachMessage: async ({ partition, message: { offset, key, value, headers } }) => {
      seen.push({
        at: `${partition}/${offset}`,
        offset,
        key: key?.toString(),
        value: value?.toString(),
        headers: Object.fromEntries(Object.entries(headers ?? {}).map(([name, each]) => [name, String(each)])),
      })
    },
  })
  const take = async (count: number): Promise<Seen[]> => {
    await until(`${count} records`, () => count <= seen.length, 20_000)
    assert.equal(seen.length, count)
    return seen
  }
  return { consumer, seen, take }
}

async function valuesOf(topic: string, count: number): Promise<(string | undefined)[]> {
  const { consumer, take } = await consume(topic, unique('confluent.js.g'))
  const values = (await take(count)).map(({ value }) => value)
  await consumer.disconnect()
  return values
}

if (process.argv.includes('security')) {
  const ca = { 'ssl.ca.location': `${setting('TLS')}/root.crt` }
  const login = (mechanism: string, password: string): object => ({
    'bootstrap.servers': setting('KAFKA'),
    'sasl.mechanisms': mechanism,
    'sasl.username': 'alice',
    'sasl.password': password,
    log_level: 0,
  })
  await runCases({
    'logins: PLAIN and SCRAM, in plain text and over TLS': async () => {
      for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']) {
        for (const way of [{ 'security.protocol': 'sasl_plaintext' }, { 'security.protocol': 'sasl_ssl', ...ca }]) {
          const client = new KafkaJS.Kafka({ ...login(mechanism, 'alice-secret'), ...way })
          const topic = await create(1, client)
          await produce(topic, ['one'], {}, client)
          const { consumer, take } = await consume(topic, unique('confluent.js.g'), {}, client)
          assert.equal((await take(1))[0]?.value, 'one')
          await consumer.disconnect()
        }
      }
    },
    // This client says nothing of why, and tries for ever.
    'a wrong password gets nowhere': async () => {
      const list = async (password: string): Promise<string[]> => {
        const client = new KafkaJS.Kafka({ ...login('SCRAM-SHA-256', password), 'security.protocol': 'sasl_plaintext' })
        const admin = client.admin() as Omit<Admin, 'listTopics'> & { listTopics(options: object): Promise<string[]> }
        await admin.connect()
        try {
          return await admin.listTopics({ timeout: 3000 })
        } finally {
          await admin.disconnect()
        }
      }
      await list('alice-secret')
      await assert.rejects(list('wrong'))
    },
  })
}

await runCases({
  'admin: topics, offsets, records, groups': async () => {
    const topic = await create(3)
    const admin = kafka.admin()
    await admin.connect()
    assert.equal(await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] }), false)
    const producer = kafka.producer({})
    await producer.connect()
    await producer.send({ topic, messages: numbered(30).map((value, i) => ({ value, partition: i % 3 })) })
    await producer.disconnect()
    const groupId = unique('confluent.js.g')
    const { consumer, take } = await consume(topic, groupId)
    await take(30)
    await consumer.commitOffsets([0, 1, 2].map((partition) => ({ topic, partition, offset: '10' })))
    const { groups } = await admin.describeGroups([groupId])
    assert.equal(groups[0]?.members.length, 1)
    await consumer.disconnect()
    const [fetched] = await admin.fetchOffsets({ groupId, topics: [topic] })
    assert.deepEqual(
      fetched?.partitions.map(({ offset }) => Number(offset)),
      [10, 10, 10],
    )
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 1, offset: '4' }] })
    const offsets = await admin.fetchTopicOffsets(topic)
    assert.deepEqual(
      offsets.toSorted((a, b) => a.partition - b.partition).map(({ low, high }) => [Number(low), Number(high)]),
      [
        [0, 10],
        [4, 10],
        [0, 10],
      ],
    )
    assert.ok((await admin.listGroups()).groups.some((group) => group.groupId === groupId))
    await admin.deleteGroups([groupId])
    await admin.deleteTopics({ topics: [topic] })
    assert.equal((await admin.listTopics()).includes(topic), false)
    await admin.disconnect()
  },

  'all codecs both ways': async () => {
    for (const compression of compressions) {
      const topic = await create()
      await produce(topic, numbered(200), { 'compression.codec': compression })
      const { consumer, take } = await consume(topic, unique('confluent.js.g'))
      for (const [i, record] of (await take(200)).entries()) {
        const { key, value, headers } = message(`v${i}`, i)
        assert.deepEqual(record, { at: `0/${i}`, offset: String(i), key, value, headers })
      }
      await consumer.disconnect()
    }
  },

  'idempotent producer': async () => {
    const topic = await create()
    const producer = kafka.producer({ kafkaJS: { idempotent: true } })
    await producer.connect()
    for (let i = 0; i < 30; i++) {
      const [result] = await producer.send({ topic, messages: [{ value: `a${i}` }, { value: `b${i}` }] })
      assert.equal(result?.baseOffset, String(i * 2))
    }
    await producer.disconnect()
  },

  'commit and resume': async () => {
    const topic = await create()
    const groupId = unique('confluent.js.g')
    await produce(topic, numbered(100))
    const first = await consume(topic, groupId)
    await first.take(100)
    await first.consumer.commitOffsets([{ topic, partition: 0, offset: '30' }])
    await first.consumer.disconnect()
    const second = await consume(topic, groupId)
    assert.equal((await second.take(70))[0]?.offset, '30')
    const committed = await second.consumer.committed()
    assert.deepEqual(
      committed.map(({ partition, offset }) => [partition, String(offset)]),
      [[0, '30']],
    )
    await second.consumer.disconnect()
  },

  'a group of two shares four partitions, and the one that stays gets all': async () => {
    const topic = await create(4)
    const groupId = unique('confluent.js.g')
    const options = { 'heartbeat.interval.ms': 200, 'session.timeout.ms': 6000 }
    const members = await Promise.all([0, 1].map(() => consume(topic, groupId, options)))
    await until('two partitions each', () => members.every(({ consumer }) => consumer.assignment().length === 2), 25_000)
    const all = (): number => new Set(members.flatMap(({ seen }) => seen.map(({ at }) => at))).size
    await produce(topic, numbered(80))
    await until('80 records', () => all() === 80)
    await members[0]?.consumer.disconnect()
    await until('four partitions for the one that stays', () => members[1]?.consumer.assignment().length === 4, 25_000)
    await produce(topic, numbered(40))
    await until('40 more', () => all() === 120)
    await members[1]?.consumer.disconnect()
  },

  'the consumer protocol: a group of two shares four partitions': async () => {
    const topic = await create(4)
    const groupId = unique('confluent.js.g')
    const members = await Promise.all([0, 1].map(() => consume(topic, groupId, { 'group.protocol': 'consumer' })))
    await until('two partitions each', () => members.every(({ consumer }) => consumer.assignment().length === 2), 25_000)
    await produce(topic, numbered(80))
    await until('80 records', () => new Set(members.flatMap(({ seen }) => seen.map(({ at }) => at))).size === 80)
    await Promise.all(members.map(({ consumer }) => consumer.disconnect()))
  },

  'transactions are committed and aborted': async () => {
    const topic = await create()
    const producer = kafka.producer({
      kafkaJS: { transactionalId: unique('confluent.js.txn') },
    })
    await producer.connect()
    const expected: string[] = []
    for (let round = 0; round < 6; round++) {
      const transaction = await producer.transaction()
      const values = numbered(10).map((value) => `r${round}.${value}`)
      await transaction.send({ topic, messages: values.map((value) => ({ value })) })
      if (round % 3 === 1) await transaction.abort()
      else {
        await transaction.commit()
        expected.push(...values)
      }
    }
    await producer.disconnect()
    assert.deepEqual(await valuesOf(topic, expected.length), expected)
  },

  'consume, transform, produce in transactions': async () => {
    const [source, target] = [await create(), await create()]
    const groupId = unique('confluent.js.g')
    await produce(source, numbered(60))
    const { consumer, take } = await consume(source, groupId)
    const seen = await take(60)
    const producer = kafka.producer({ kafkaJS: { transactionalId: unique('confluent.js.txn') } })
    await producer.connect()
    for (let done = 20; done <= 60; done += 20) {
      const transaction = await producer.transaction()
      const messages = seen.slice(done - 20, done).map(({ value }) => ({ value: `${value}!` }))
      await transaction.send({ topic: target, messages })
      const topics = [{ topic: source, partitions: [{ partition: 0, offset: String(done) }] }]
      await (transaction.sendOffsets as (args: object) => Promise<void>)({ consumer, topics }) // its own way to name the group
      await transaction.commit()
    }
    await producer.disconnect()
    await until('the offset of the last transaction', async () => String((await consumer.committed())[0]?.offset) === '60')
    await consumer.disconnect()
    assert.deepEqual(
      await valuesOf(target, 60),
      numbered(60).map((value) => `${value}!`),
    )
  },
})
