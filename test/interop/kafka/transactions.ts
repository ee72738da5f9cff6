/** Transactions by kafkajs, which has the oldest form of the protocol, and what an AMQP consumer of the same topic sees of them. */
import assert from 'node:assert/strict'
import amqplib from 'amqplib'
import { Kafka, logLevel, type Producer, type Transaction } from 'kafkajs'
import { runCases, setting, unique, until } from '../cases/cases.ts'

const kafka = new Kafka({
  clientId: 'interop',
  brokers: [setting('KAFKA')],
  logLevel: logLevel.NOTHING,
  retry: { retries: 8, initialRetryTime: 50 },
})

await runCases({
  'kafkajs commits and aborts': async () => {
    const topic = await create()
    await withProducer(async (producer) => {
      await inTransaction(producer, topic, ['a', 'b'], 'commit')
      await inTransaction(producer, topic, ['never'], 'abort')
      await inTransaction(producer, topic, ['c'], 'commit')
    })
    assert.deepEqual(await committed(topic, 3), ['a', 'b', 'c'])
  },

  'kafkajs sends offsets with a transaction': async () => {
    const topic = await create()
    const consumerGroupId = unique('txn.group')
    const offsets = { consumerGroupId, topics: [{ topic, partitions: [{ partition: 0, offset: '7' }] }] }
    const admin = kafka.admin()
    await admin.connect()
    await withProducer(async (producer) => {
      for (const [end, expected] of [
        ['abort', '-1'],
        ['commit', '7'],
      ] as const) {
        const transaction = await producer.transaction()
        await transaction.send({ topic, messages: [{ value: 'x' }] })
        await transaction.sendOffsets(offsets)
        await transaction[end]()
        const [found] = await admin.fetchOffsets({ groupId: consumerGroupId, topics: [topic] })
        assert.equal(found?.partitions[0]?.offset, expected)
      }
    })
    await admin.disconnect()
  },

  'an AMQP consumer sees what is committed, in the order of the log, and nothing that is not': async () => {
    const topic = await create()
    const connection = await amqplib.connect(setting('AMQP'))
    const channel = await connection.createChannel()
    const seen: string[] = []
    await channel.consume(topic, (message) => {
      if (message === null) return
      seen.push(String(message.content))
      channel.ack(message)
    })
    const plain = kafka.producer()
    await plain.connect()
    await withProducer(async (first) => {
      await withProducer(async (second) => {
        const send = async (through: Transaction | Producer, value: string): Promise<void> => {
          await through.send({ topic, messages: [{ value }] })
        }
        const a = await first.transaction()
        await send(plain, '0 plain')
        await send(a, '1 of a')
        const b = await second.transaction()
        await send(b, 'never')
        await send(plain, '2 plain')
        await send(a, '3 of a')
        await until('what stands before the first open transaction', () => seen.length === 1)
        await b.abort()
        const c = await second.transaction()
        await send(c, '4 of c')
        await a.commit()
        await until('what stands before the next open transaction', () => seen.length === 4)
        await send(plain, '5 plain')
        await c.commit()
        await until(`all that is committed; came: ${seen.join(', ')}`, () => seen.length === 6)
      })
    })
    assert.deepEqual(seen, ['0 plain', '1 of a', '2 plain', '3 of a', '4 of c', '5 plain'])
    await plain.disconnect()
    await connection.close()
  },
})

async function create(): Promise<string> {
  const topic = unique('txn.kafkajs')
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] })
  await admin.disconnect()
  return topic
}

async function withProducer(use: (producer: Producer) => Promise<void>): Promise<void> {
  const producer = kafka.producer({ transactionalId: unique('txn'), idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  await use(producer)
  await producer.disconnect()
}

async function inTransaction(
  producer: Producer,
  topic: string,
  values: readonly string[],
  end: 'commit' | 'abort',
): Promise<void> {
  const transaction = await producer.transaction()
  await transaction.send({ topic, messages: values.map((value) => ({ value })) })
  await transaction[end]()
}

/** kafkajs reads what is committed unless told otherwise. */
async function committed(topic: string, count: number): Promise<string[]> {
  const consumer = kafka.consumer({ groupId: unique('txn.reader') })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const seen: string[] = []
  await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
  await until(`${count} records of ${topic}`, () => seen.length >= count)
  await consumer.disconnect()
  return seen
}
