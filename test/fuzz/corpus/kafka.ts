import { connect } from 'node:net'
import { CompressionTypes, Kafka, logLevel } from 'kafkajs'
import { type Corpus, lengthPrefixed } from './corpus.ts'
import { Echoes } from './echoes.ts'

/** A client all of whose connections go to `port`, whatever address the broker tells it. */
function clientOf(port: number): Kafka {
  return new Kafka({
    clientId: 'fuzz',
    brokers: [`127.0.0.1:${port}`],
    logLevel: logLevel.NOTHING,
    retry: { retries: 3, initialRetryTime: 50 },
    socketFactory: ({ onConnect }) => {
      const socket = connect(port, '127.0.0.1', onConnect)
      socket.setNoDelay(true)
      return socket
    },
  })
}

async function consume(
  client: Kafka,
  topic: string,
  groupId: string,
  each: (value: string) => void,
): Promise<() => Promise<void>> {
  const consumer = client.consumer({ groupId, maxWaitTimeInMs: 50 })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({ autoCommitInterval: 200, eachMessage: async ({ message }) => each(String(message.value)) })
  return () => consumer.disconnect()
}

export const kafka: Corpus = {
  listener: 'kafka',
  standardPort: 9092,
  frames: lengthPrefixed,

  async drive(port) {
    const client = clientOf(port)
    const admin = client.admin()
    await admin.connect()
    const topic = 'fuzzed.kafka'
    await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] })
    await admin.fetchTopicMetadata({ topics: [topic] })
    await admin.fetchTopicOffsets(topic)
    const producer = client.producer({ idempotent: true })
    await producer.connect()
    const messages = [{ key: 'k', value: 'v', headers: { h: 'x' } }, { value: 'w'.repeat(300) }, { key: 'gone', value: null }]
    await producer.send({ topic, messages })
    await producer.send({ topic, messages, compression: CompressionTypes.GZIP })
    let seen = 0
    const stop = await consume(client, topic, 'fuzzed', () => seen++)
    for (const until = Date.now() + 10_000; seen < 6 && Date.now() < until; )
      await new Promise((resolve) => setTimeout(resolve, 50))
    await stop()
    await admin.fetchOffsets({ groupId: 'fuzzed', topics: [topic] })
    await admin.describeGroups(['fuzzed'])
    await admin.listGroups()
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '1' }] })
    await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
    await producer.disconnect()
    await admin.disconnect()
  },

  async healthy(port) {
    const client = clientOf(port)
    const topic = 'healthy.kafka'
    const admin = client.admin()
    await admin.connect()
    await admin.createTopics({ topics: [{ topic }] })
    await admin.disconnect()
    const producer = client.producer()
    await producer.connect()
    const echoes = new Echoes()
    const stop = await consume(client, topic, 'healthy', (value) => echoes.heard(value))
    return {
      beat: () => echoes.beat((value) => producer.send({ topic, messages: [{ value }] })),
      async close() {
        await stop()
        await producer.disconnect()
      },
    }
  },
}
