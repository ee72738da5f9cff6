/** What administrators ask, and that the configs they set hold. The differential test compares the same answers with a real Kafka. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import amqplib from 'amqplib'
import { type EmbeddedBroker, startBroker } from '../../index.ts'
import { batchCodec, buildBatch, openBatch } from './batch.ts'
import { ApiKey } from './codec.ts'
import { KafkaError } from './errors.ts'
import { recordFormat } from './mapping.ts'
import type { Message } from './schema.ts'
import { TestClient } from './test-client.ts'

let broker: EmbeddedBroker
let to: TestClient

before(async () => {
  broker = await startBroker({ protocols: ['kafka', 'amqp'] })
  to = new TestClient(broker.port('kafka'))
})
after(async () => {
  to.close()
  await broker.close()
})

async function createTopic(name: string, configs: Record<string, string> = {}, numPartitions = 1): Promise<Message> {
  const asked = Object.entries(configs).map(([key, value]) => ({ name: key, value }))
  const topic = { name, numPartitions, replicationFactor: 1, assignments: [], configs: asked }
  return (await to.ask(ApiKey.CreateTopics, 7, { topics: [topic], timeoutMs: 1000 }))['topics'][0]
}

async function alter(name: string, config: string, value: string | null, configOperation = 0): Promise<number> {
  const resource = { resourceType: 2, resourceName: name, configs: [{ name: config, value, configOperation }] }
  return (await to.ask(ApiKey.IncrementalAlterConfigs, 1, { resources: [resource] }))['responses'][0].errorCode
}

async function configOf(name: string, config: string): Promise<Message> {
  const resources = [{ resourceType: 2, resourceName: name, configurationKeys: [config] }]
  const { results } = await to.ask(ApiKey.DescribeConfigs, 4, { resources, includeSynonyms: true })
  return results[0].configs[0]
}

function batchAt(...times: number[]): Buffer {
  const records = times.map((timestamp, offset) => ({
    offset,
    timestamp,
    body: recordFormat.fromAttributes({ key: null, value: Buffer.alloc(500, 'v'), headers: [] }).subarray(9),
  }))
  return buildBatch(records, 0, times.length)
}

async function produce(topic: string, records: Buffer): Promise<number> {
  const body = { acks: -1, timeoutMs: 1000, topicData: [{ name: topic, partitionData: [{ index: 0, records }] }] }
  return (await to.ask(ApiKey.Produce, 9, body))['responses'][0].partitionResponses[0].errorCode
}

async function stored(topic: string): Promise<Buffer> {
  const topics = [{ topic, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }] }]
  return (await to.ask(ApiKey.Fetch, 12, { maxWaitMs: 0, minBytes: 1, maxBytes: 1 << 20, topics }))['responses'][0].partitions[0]
    .records
}

test("a config that is set is the topic's own even at its default, and its default again when deleted", async () => {
  await createTopic('own')
  assert.equal((await configOf('own', 'retention.bytes'))['configSource'], 5)
  assert.equal(await alter('own', 'retention.bytes', '-1'), 0)
  const set = await configOf('own', 'retention.bytes')
  assert.deepEqual(
    [set['configSource'], set['synonyms'].map((synonym: Message) => synonym['name'])],
    [1, ['retention.bytes', 'log.retention.bytes']],
  )
  assert.equal(await alter('own', 'retention.bytes', null, 1), 0)
  assert.equal((await configOf('own', 'retention.bytes'))['configSource'], 5)
})

test('the greatest long is accepted, shown as it was set, and means no limit', async () => {
  const longest = '9223372036854775807'
  await createTopic('long', { 'retention.ms': longest })
  assert.equal((await configOf('long', 'retention.ms'))['value'], longest)
  assert.equal(await alter('long', 'retention.ms', '9223372036854775808'), KafkaError.InvalidConfig)
})

test('compression.type compresses batches anew, and leaves those alone that are so already', async () => {
  for (const [name, codec] of Object.entries({ uncompressed: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4, producer: 0 })) {
    const topic = `compressed-${name}`
    await createTopic(topic, { 'compression.type': name })
    assert.equal(await produce(topic, batchAt(Date.now(), Date.now())), 0)
    const batch = await stored(topic)
    assert.equal(batchCodec(batch, 0), codec, name)
    assert.equal(openBatch(batch).length, 2)
    assert.equal(await produce(topic, batch), 0)
    assert.equal(await alter(topic, 'compression.type', 'uncompressed'), 0)
    assert.equal(await produce(topic, batch), 0)
  }
  assert.equal((await createTopic('compressed-badly', { 'compression.type': 'rar' }))['errorCode'], KafkaError.InvalidConfig)
})

test('times too far from now are refused, unless the broker sets them itself', async () => {
  const now = Date.now()
  await createTopic('times', { 'message.timestamp.before.max.ms': '60000' })
  assert.equal(await produce('times', batchAt(now)), 0)
  assert.equal(await produce('times', batchAt(now + 2 * 3_600_000)), KafkaError.InvalidTimestamp)
  assert.equal(await produce('times', batchAt(now - 120_000, now)), KafkaError.InvalidTimestamp)
  assert.equal(await alter('times', 'message.timestamp.type', 'LogAppendTime'), 0)
  assert.equal(await produce('times', batchAt(now + 2 * 3_600_000)), 0)
})

test('names that differ in periods and underscores alone collide', async () => {
  await createTopic('a.b_c')
  assert.equal((await createTopic('a_b.c'))['errorCode'], KafkaError.InvalidTopic)
  const asked = { topics: [{ name: 'a_b_c' }], allowAutoTopicCreation: true }
  assert.equal((await to.ask(ApiKey.Metadata, 9, asked))['topics'][0].errorCode, KafkaError.InvalidTopic)
  assert.equal((await createTopic('a.b'))['errorCode'], 0)
})

test('who deletes a topic and asks for it is told that it is gone; asking again makes it anew', async () => {
  const ask = async (): Promise<Message> =>
    (await to.ask(ApiKey.Metadata, 9, { topics: [{ name: 'deleted' }], allowAutoTopicCreation: true }))['topics'][0]
  assert.equal((await ask())['errorCode'], KafkaError.None)
  await to.ask(ApiKey.DeleteTopics, 5, { topicNames: ['deleted'], timeoutMs: 1000 })
  const gone = await ask()
  assert.deepEqual([gone['errorCode'], gone['partitions'].length], [KafkaError.UnknownTopicOrPartition, 0])
  const anew = await ask()
  assert.deepEqual([anew['errorCode'], anew['partitions'].length], [KafkaError.None, 1])
})

test('partitions are described a page at a time', async () => {
  await createTopic('paged-1', {}, 3)
  await createTopic('paged-2', {}, 2)
  const topics = [{ name: 'paged-2' }, { name: 'paged-1' }]
  const seen: string[] = []
  let cursor: Message | null = null
  for (let pages = 0; pages < 5; pages++) {
    const answer: Message = await to.ask(ApiKey.DescribeTopicPartitions, 0, { topics, responsePartitionLimit: 2, cursor })
    for (const topic of answer['topics']) {
      for (const partition of topic.partitions) seen.push(`${topic.name}/${partition.partitionIndex}`)
    }
    cursor = answer['nextCursor']
    if (cursor === null) break
  }
  assert.deepEqual(seen, ['paged-1/0', 'paged-1/1', 'paged-1/2', 'paged-2/0', 'paged-2/1'])
})

test('producers are described by what they wrote', async () => {
  await createTopic('producers')
  const { producerId } = await to.ask(ApiKey.InitProducerId, 4, { transactionalId: null, transactionTimeoutMs: -1 })
  const body = recordFormat.fromAttributes({ key: null, value: Buffer.from('v'), headers: [] }).subarray(9)
  const records = [0, 1].map((offset) => ({ offset, timestamp: Date.now(), body }))
  assert.equal(await produce('producers', buildBatch(records, 0, 2, { id: producerId, epoch: 0, sequence: 0 })), 0)
  const { topics } = await to.ask(ApiKey.DescribeProducers, 0, { topics: [{ name: 'producers', partitionIndexes: [0] }] })
  const [producer] = topics[0].partitions[0].activeProducers
  assert.deepEqual(
    [producer.producerId, producer.producerEpoch, producer.lastSequence, producer.currentTxnStartOffset],
    [producerId, 0, 1, -1],
  )
})

test('what an AMQP consumer gives back of a Kafka topic comes again after its delay, and what it rejects goes to the dead-letter topic', async () => {
  await createTopic('dead')
  assert.equal(
    (await createTopic('worked', { 'anymq.dead.letter.topic': 'no such topic!' }))['errorCode'],
    KafkaError.InvalidConfig,
  )
  const own = { 'anymq.dead.letter.topic': 'dead', 'anymq.delivery.limit': '1', 'anymq.retry.delay.ms': '5:20' }
  assert.equal((await createTopic('worked', own))['errorCode'], 0)
  for (const [name, value] of Object.entries(own)) assert.equal((await configOf('worked', name))['value'], value)
  const connection = await amqplib.connect(broker.url('amqp'))
  const channel = await connection.createChannel()
  assert.equal(await produce('worked', batchAt(Date.now())), 0)
  const attempts: boolean[] = []
  const dead = new Promise<void>((resolve) => {
    void channel.consume('worked', (message) => {
      if (message === null) return
      attempts.push(message.fields.redelivered)
      channel.nack(message, false, attempts.length === 1)
      if (attempts.length === 2) resolve()
    })
  })
  await dead
  while ((await broker.messages('dead')).length === 0) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(attempts, [false, true])
  await connection.close()
})

test('the record with the greatest time is found wherever it lies', async () => {
  await createTopic('newest')
  const now = Date.now()
  for (const times of [[now - 5000], [now, now + 1_000_123, now + 7], [now - 1], [now + 1_000_122, now + 3], [now - 77]]) {
    assert.equal(await produce('newest', batchAt(...times)), 0)
  }
  const partitions = [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: -3 }]
  const { topics } = await to.ask(ApiKey.ListOffsets, 7, {
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ name: 'newest', partitions }],
  })
  const { offset, timestamp } = topics[0].partitions[0]
  assert.deepEqual([offset, timestamp], [2, now + 1_000_123])
})
