// Broker configs that are changed at run time: what topics follow, what is refused, and how many connections there may be.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import amqplib from 'amqplib'
import { Machine, spaceOf } from '../../../test/support/machine.ts'
import { type EmbeddedBroker, type StartBrokerOptions, startBroker } from '../../index.ts'
import { batchCodec, buildBatch } from './batch.ts'
import { BrokerConfigs } from './broker-configs.ts'
import { ApiKey } from './codec.ts'
import { KafkaError } from './errors.ts'
import { recordFormat } from './mapping.ts'
import type { Message } from './schema.ts'
import { TestClient } from './test-client.ts'

interface Started {
  readonly broker: EmbeddedBroker
  readonly to: TestClient
}

async function started(t: TestContext, options: StartBrokerOptions = {}): Promise<Started> {
  const broker = await startBroker({ protocols: ['kafka', 'amqp'], ...options })
  const to = new TestClient(broker.port('kafka'))
  t.after(async () => {
    to.close()
    await broker.close()
  })
  return { broker, to }
}

async function create(to: TestClient, name: string, configs: Record<string, string> = {}): Promise<void> {
  const asked = Object.entries(configs).map(([key, value]) => ({ name: key, value }))
  const topic = { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: asked }
  const { topics } = await to.ask(ApiKey.CreateTopics, 7, { topics: [topic], timeoutMs: 1000 })
  assert.equal(topics[0].errorCode, 0, topics[0].errorMessage)
}

/** Of a broker, or with '' of all of them. null takes a config away. */
async function set(to: TestClient, level: string, configs: Record<string, string | null>, more: Message = {}): Promise<Message> {
  const listed = Object.entries(configs).map(([name, value]) => ({ name, value, configOperation: value === null ? 1 : 0 }))
  const resources = [{ resourceType: 4, resourceName: level, configs: listed }]
  return (await to.ask(ApiKey.IncrementalAlterConfigs, 1, { resources, ...more }))['responses'][0]
}

async function shown(to: TestClient, resourceType: number, resourceName: string, name: string): Promise<Message | undefined> {
  const resources = [{ resourceType, resourceName, configurationKeys: [name] }]
  const { results } = await to.ask(ApiKey.DescribeConfigs, 4, { resources, includeSynonyms: true })
  return results[0].configs[0]
}

const topicConfig = (to: TestClient, topic: string, name: string): Promise<Message | undefined> => shown(to, 2, topic, name)
const told = (config: Message | undefined): unknown[] => [config?.['value'], config?.['configSource']]
const [ofTopic, ofBroker, ofAll, standard] = [1, 2, 3, 5]

function batchOf(bytes: number, timestamp = Date.now()): Buffer {
  const body = recordFormat.fromAttributes({ key: null, value: Buffer.alloc(bytes, 'v'), headers: [] }).subarray(9)
  return buildBatch([{ offset: 0, timestamp, body }], 0, 1)
}

async function produce(to: TestClient, topic: string, records: Buffer): Promise<number> {
  const body = { acks: -1, timeoutMs: 1000, topicData: [{ name: topic, partitionData: [{ index: 0, records }] }] }
  return (await to.ask(ApiKey.Produce, 9, body))['responses'][0].partitionResponses[0].errorCode
}

test('topics that say nothing follow the broker, the one broker before all, and those that say something do not', async (t) => {
  const { broker, to } = await started(t)
  await create(to, 'plain')
  await create(to, 'own', { 'retention.ms': '5000' })
  const channel = await (await amqplib.connect(broker.url('amqp'))).createChannel()
  await channel.assertQueue('queue', { durable: true })
  assert.equal((await set(to, '', { 'log.retention.ms': '1000000', 'message.max.bytes': '2000' }))['errorCode'], 0)
  await create(to, 'later')
  for (const topic of ['plain', 'later']) {
    const retention = await topicConfig(to, topic, 'retention.ms')
    assert.deepEqual(told(retention), ['1000000', ofAll])
    assert.deepEqual(retention?.['synonyms'], [
      { name: 'log.retention.ms', value: '1000000', source: ofAll },
      { name: 'log.retention.hours', value: '168', source: standard },
    ])
    assert.equal(await produce(to, topic, batchOf(3000)), KafkaError.MessageTooLarge)
  }
  assert.deepEqual(told(await topicConfig(to, 'own', 'retention.ms')), ['5000', ofTopic])
  assert.equal(await produce(to, 'queue', batchOf(3000)), 0, 'a queue of AMQP has its own limits')
  assert.equal((await set(to, '1', { 'message.max.bytes': '4000' }))['errorCode'], 0)
  assert.equal(await produce(to, 'plain', batchOf(3000)), 0)
  const most = await shown(to, 4, '1', 'message.max.bytes')
  assert.deepEqual(told(most), ['4000', ofBroker])
  assert.deepEqual(
    most?.['synonyms'].map((each: Message) => [each['value'], each['source']]),
    [
      ['4000', ofBroker],
      ['2000', ofAll],
      ['1048588', standard],
    ],
  )
  assert.deepEqual(told(await shown(to, 4, '', 'message.max.bytes')), ['2000', ofAll])
  await set(to, '1', { 'message.max.bytes': null })
  await set(to, '', { 'message.max.bytes': null, 'log.retention.ms': null })
  assert.deepEqual(told(await topicConfig(to, 'plain', 'max.message.bytes')), ['1048588', standard])
  assert.deepEqual(told(await topicConfig(to, 'later', 'retention.ms')), ['604800000', standard])
  assert.deepEqual(told(await shown(to, 4, '1', 'log.retention.ms')), [null, standard])
  assert.equal(await shown(to, 4, '', 'message.max.bytes'), undefined)
})

test('what counts when records are produced counts for all topics', async (t) => {
  const { to } = await started(t)
  await create(to, 'compressed')
  await create(to, 'as-they-come', { 'compression.type': 'producer' })
  await set(to, '', { 'compression.type': 'gzip', 'log.message.timestamp.before.max.ms': '60000' })
  for (const topic of ['compressed', 'as-they-come']) {
    assert.equal(await produce(to, topic, batchOf(100, Date.now() - 120_000)), KafkaError.InvalidTimestamp)
    assert.equal(await produce(to, topic, batchOf(100)), 0)
  }
  const stored = async (topic: string): Promise<Buffer> => {
    const topics = [{ topic, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }] }]
    const answer = await to.ask(ApiKey.Fetch, 12, { maxWaitMs: 0, minBytes: 1, maxBytes: 1 << 20, topics })
    return answer['responses'][0].partitions[0].records
  }
  assert.equal(batchCodec(await stored('compressed'), 0), 1)
  assert.equal(batchCodec(await stored('as-they-come'), 0), 0)
})

test('the old call leaves nothing set but what it names, and validating changes nothing', async (t) => {
  const { to } = await started(t)
  await create(to, 'topic')
  await set(to, '', { 'log.retention.bytes': '1000', 'log.retention.ms': '1000' })
  const resources = [{ resourceType: 4, resourceName: '', configs: [{ name: 'log.retention.ms', value: '2000' }] }]
  const { responses } = await to.ask(ApiKey.AlterConfigs, 2, { resources })
  assert.equal(responses[0].errorCode, 0)
  assert.deepEqual(told(await topicConfig(to, 'topic', 'retention.ms')), ['2000', ofAll])
  assert.deepEqual(told(await topicConfig(to, 'topic', 'retention.bytes')), ['-1', standard])
  assert.equal((await set(to, '', { 'log.retention.ms': '3000' }, { validateOnly: true }))['errorCode'], 0)
  assert.deepEqual(told(await topicConfig(to, 'topic', 'retention.ms')), ['2000', ofAll])
})

test('a list is appended to; what is read-only, unknown, no value or fixed is refused, and nothing of the request done', async (t) => {
  const { to } = await started(t)
  await create(to, 'topic')
  const append = async (name: string, value: string): Promise<number> => {
    const resources = [{ resourceType: 4, resourceName: '', configs: [{ name, value, configOperation: 2 }] }]
    return (await to.ask(ApiKey.IncrementalAlterConfigs, 1, { resources }))['responses'][0].errorCode
  }
  assert.equal(await append('log.cleanup.policy', 'compact'), 0)
  assert.deepEqual(told(await topicConfig(to, 'topic', 'cleanup.policy')), ['delete,compact', ofAll])
  assert.equal(await append('log.retention.ms', '1'), KafkaError.InvalidConfig)
  const refused: [string, string][] = [
    ['num.partitions', '3'],
    ['node.id', '2'],
    ['no.such.config', '1'],
    ['log.retention.hours', '1'],
    ['log.retention.ms', '0'],
    ['message.max.bytes', 'many'],
    ['log.segment.bytes', '10'],
    ['log.cleanup.policy', 'shred'],
    ['min.insync.replicas', '2'],
    ['max.connections', '-1'],
    ['max.connections.per.ip', '0'],
    ['max.connections.per.ip.overrides', 'localhost:1'],
    ['max.connections.per.ip.overrides', '127.0.0.1:x'],
  ]
  for (const [name, value] of refused) {
    const answer = await set(to, '', { 'log.retention.ms': '7', [name]: value })
    assert.equal(answer['errorCode'], KafkaError.InvalidRequest, `${name}=${value}`)
    assert.ok(answer['errorMessage'].includes(name), answer['errorMessage'])
  }
  assert.equal((await set(to, '', { 'min.insync.replicas': '1', 'num.partitions': null }))['errorCode'], 0)
  assert.equal((await set(to, '2', { 'log.retention.ms': '7' }))['errorCode'], KafkaError.InvalidRequest)
  assert.deepEqual(told(await topicConfig(to, 'topic', 'retention.ms')), ['604800000', standard])
})

test('connections from one address, and all together, are limited; those above are closed', async (t) => {
  const { broker, to } = await started(t)
  const answers = async (): Promise<boolean> => {
    const client = new TestClient(broker.port('kafka'))
    try {
      await client.ask(ApiKey.Metadata, 9, { topics: [] })
      return true
    } catch {
      return false
    } finally {
      client.close()
    }
  }
  assert.equal(await answers(), true)
  await set(to, '', { 'max.connections.per.ip': '1' })
  assert.equal(await answers(), false)
  await set(to, '', { 'max.connections.per.ip.overrides': '10.0.0.1:0, 127.0.0.1:5' })
  assert.equal(await answers(), true)
  await set(to, '1', { 'max.connections': '1' })
  assert.equal(await answers(), false)
  await set(to, '1', { 'max.connections': '2' })
  // The connection before may be counted for a moment after it was closed.
  for (let tries = 0; !(await answers()); tries++) assert.ok(tries < 100)
})

test('what was set is there after a restart', async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'anymq-kafka-configs-'))
  t.after(() => rm(data, { recursive: true, force: true }))
  const first = await startBroker({ protocols: ['kafka'], storage: { folder: data } })
  const client = new TestClient(first.port('kafka'))
  await create(client, 'before')
  await set(client, '', { 'log.retention.ms': '1234' })
  client.close()
  await first.close()
  const { to } = await started(t, { storage: { folder: data } })
  await create(to, 'after')
  for (const topic of ['before', 'after'])
    assert.deepEqual(told(await topicConfig(to, topic, 'retention.ms')), ['1234', ofAll], topic)
})

test('a change that the power interrupts is made whole at the next start, or was not made', async () => {
  const outcomes = new Set<number>()
  for (let seed = 1; seed <= 20; seed++) {
    const machine = new Machine(seed)
    const broker = await machine.start()
    const names = Array.from({ length: 30 }, (_, index) => `topic-${index}`)
    for (const name of names) await spaceOf(broker).createTopic(name, {}, 'kafka')
    void BrokerConfigs.of(broker).replace('', { 'log.retention.ms': '1234' }, false)
    for (let turns = 0; turns < seed % 5; turns++) await new Promise((resolve) => setImmediate(resolve))
    const again = await machine.crash()
    const configs = BrokerConfigs.of(again)
    await configs.follow()
    for (const name of names) assert.equal(spaceOf(again).topic(name)?.config.retentionMs, configs.config.retentionMs, name)
    outcomes.add(configs.config.retentionMs)
    await machine.stop()
  }
  assert.equal(outcomes.size, 2, 'some were made and some not')
})
