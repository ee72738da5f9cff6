import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildBatch, openBatch } from './batch.ts'
import { startForTests } from './broker.testing.ts'
import { ApiKey } from './codec.ts'
import { handlers } from './handlers/table.ts'
import { recordFormat } from './mapping.ts'
import type { Message } from './schema.ts'
import type { TestClient } from './test-client.ts'

const { broker, client } = await startForTests()

function batchOf(...values: string[]): Buffer {
  const records = values.map((value, index) => ({
    offset: index,
    timestamp: 1_700_000_000_000 + index,
    body: recordFormat.fromAttributes({ key: null, value: Buffer.from(value), headers: [] }).subarray(9),
  }))
  return buildBatch(records, 0, values.length)
}

const createTopic = (to: TestClient, name: string, configs: Message[] = []): Promise<Message> =>
  to.ask(ApiKey.CreateTopics, 7, { topics: [{ name, numPartitions: 1, replicationFactor: 1, configs }], timeoutMs: 1000 })

const produceBody = (topic: string, records: Buffer, acks = -1): Message => ({
  acks,
  timeoutMs: 1000,
  topicData: [{ name: topic, partitionData: [{ index: 0, records }] }],
})

async function produceOne(to: TestClient, topic: string, records: Buffer, version = 9): Promise<Message> {
  const { responses } = await to.ask(ApiKey.Produce, version, produceBody(topic, records))
  return responses[0].partitionResponses[0]
}

const fetchBody = (topic: string, fetchOffset: number, maxWaitMs = 0): Message => ({
  maxWaitMs,
  minBytes: 1,
  maxBytes: 1 << 20,
  topics: [{ topic, partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1 << 20 }] }],
})

async function fetchOne(to: TestClient, topic: string, offset: number, maxWaitMs = 0): Promise<Message> {
  const { responses } = await to.ask(ApiKey.Fetch, 12, fetchBody(topic, offset, maxWaitMs))
  return responses[0].partitions[0]
}

test('ApiVersions of an unknown version is answered in version 0 with its own row (KIP-511)', async () => {
  const answer = await client().ask(ApiKey.ApiVersions, 99, {})
  assert.equal(answer['errorCode'], 35)
  assert.deepEqual(
    answer['apiKeys'].map((row: Message) => [row['apiKey'], row['maxVersion']]),
    [[18, 5]],
  )
})

test('ApiVersions refuses a software name that is none, and another cluster (KIP-1242)', async () => {
  const to = client()
  assert.equal((await to.ask(ApiKey.ApiVersions, 3, { clientSoftwareName: '-x', clientSoftwareVersion: '1' }))['errorCode'], 42)
  const other = { clientSoftwareName: 'x', clientSoftwareVersion: '1', clusterId: 'another', nodeId: -1 }
  assert.equal((await to.ask(ApiKey.ApiVersions, 5, other))['errorCode'], 129)
})

test('every advertised request is answered in its lowest and highest version, whatever is asked', async () => {
  const to = client()
  for (const [key, handler] of handlers) {
    for (const version of [handler.from, handler.to]) {
      if (key === ApiKey.Produce && version < 3) continue
      if (key === ApiKey.SaslHandshake && version === 0) continue // After it come bare tokens.
      await to.ask(
        key,
        version,
        key === ApiKey.ApiVersions
          ? { clientSoftwareName: 'x', clientSoftwareVersion: '1' }
          : key === ApiKey.Produce
            ? { acks: 1 }
            : {},
      )
    }
  }
})

test('what is produced is fetched byte for byte, stamped with its offset', async () => {
  const to = client()
  await createTopic(to, 'bytes')
  await produceOne(to, 'bytes', batchOf('x'))
  const batch = batchOf('a', 'b', 'c')
  assert.equal((await produceOne(to, 'bytes', batch))['baseOffset'], 1)
  const part = await fetchOne(to, 'bytes', 2)
  const records: Buffer = part['records']
  assert.equal(part['highWatermark'], 4)
  assert.equal(records.readBigInt64BE(0), 1n)
  assert.deepEqual(records.subarray(16), batch.subarray(16))
})

test('produce refuses: bad checksum, unknown topic, unknown partition, transactional batch, too large', async () => {
  const to = client()
  await createTopic(to, 'strict', [{ name: 'max.message.bytes', value: '1000' }])
  const broken = batchOf('a')
  broken[65] = (broken[65] ?? 0) ^ 0xff
  assert.equal((await produceOne(to, 'strict', broken))['errorCode'], 2)
  assert.equal((await produceOne(to, 'nowhere', batchOf('a')))['errorCode'], 3)
  assert.equal((await produceOne(to, 'strict', batchOf('a'.repeat(2000))))['errorCode'], 10)
  assert.equal((await produceOne(to, 'strict', Buffer.alloc(0)))['errorCode'], 87)
})

test('acks=0 has no answer, and the next request has', async () => {
  const to = client()
  await createTopic(to, 'silent')
  to.send(ApiKey.Produce, 9, produceBody('silent', batchOf('a'), 0))
  const part = await fetchOne(to, 'silent', 0, 5000)
  assert.equal(openBatch(part['records']).length, 1)
})

test('acks=0 that fails ends the connection, since there is no other sign', async () => {
  const to = client()
  to.send(ApiKey.Produce, 9, produceBody('nowhere', batchOf('a'), 0))
  await to.closed()
})

test('pipelined requests are answered in order, a waiting fetch in front', async () => {
  const [reader, writer] = [client(), client()]
  await createTopic(writer, 'ordered')
  const sent = reader.order.length
  const waiting = reader.ask(ApiKey.Fetch, 12, fetchBody('ordered', 0, 10_000))
  const behind = reader.ask(ApiKey.Metadata, 9, { topics: [] })
  await produceOne(writer, 'ordered', batchOf('a'))
  await Promise.all([waiting, behind])
  assert.deepEqual(reader.order.slice(sent), [1, 2])
})

test('a fetch waits for data, at most as long as it said', async () => {
  const to = client()
  await createTopic(to, 'later')
  const startedAt = performance.now()
  const part = await fetchOne(to, 'later', 0, 50)
  assert.ok(performance.now() - startedAt >= 30)
  assert.deepEqual([part['errorCode'], part['records'].length, part['highWatermark']], [0, 0, 0])
  assert.equal((await fetchOne(to, 'later', 7))['errorCode'], 1)
})

test('metadata by topic id, whether the name beside it is null or empty', async () => {
  const to = client()
  const { topics } = await createTopic(to, 'by-id-alone')
  const { topicId } = topics[0]
  for (const name of [null, '']) {
    const answer = await to.ask(ApiKey.Metadata, 12, { topics: [{ topicId, name }] })
    assert.deepEqual([answer['topics'][0].errorCode, answer['topics'][0].name], [0, 'by-id-alone'])
  }
})

test('fetch by topic id, and an unknown id', async () => {
  const to = client()
  const { topics } = await createTopic(to, 'by-id')
  await produceOne(to, 'by-id', batchOf('a'))
  const ask = (topicId: string): Promise<Message> =>
    to.ask(ApiKey.Fetch, 18, {
      maxWaitMs: 0,
      minBytes: 0,
      topics: [{ topicId, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }],
    })
  assert.equal(openBatch((await ask(topics[0].topicId))['responses'][0].partitions[0].records).length, 1)
  assert.equal((await ask('ab'.repeat(16)))['responses'][0].partitions[0].errorCode, 100)
})

test('produce below version 3 is refused in its own form', async () => {
  const to = client()
  const frame = Buffer.from(
    '0000002e' +
      '0000' +
      '0002' +
      '00000001' +
      '000474657374' +
      '0001' +
      '000003e8' +
      '00000001' +
      '0003616263' +
      '00000001' +
      '00000000' +
      '00000001' +
      '00',
    'hex',
  )
  frame.writeInt32BE(frame.length - 4, 0)
  to.socket.write(frame)
  const [answer] = await new Promise<Buffer[]>((resolve) => to.socket.once('data', (chunk: Buffer) => resolve([chunk])))
  assert.ok(answer)
  assert.equal(answer.readInt32BE(4), 1)
  assert.equal(answer.readInt16BE(8 + 4 + 5 + 4 + 4), 35)
})

test('garbage closes that connection only', async () => {
  const [good, bad, worse] = [client(), client(), client()]
  bad.socket.write(Buffer.from('GET / HTTP/1.1\r\nHost: kafka\r\n\r\n'))
  worse.socket.write(Buffer.from('0000000c00030009000000010001ffffffffffffffff', 'hex'))
  await Promise.all([bad.closed(), worse.closed()])
  assert.equal((await good.ask(ApiKey.Metadata, 9, { topics: [] }))['brokers'].length, 1)
})

test('a config that can not be enforced is refused, one that can is shown and kept', async () => {
  const to = client()
  const refused = await createTopic(to, 'conf-bad', [{ name: 'min.insync.replicas', value: '2' }])
  assert.equal(refused['topics'][0].errorCode, 40)
  await createTopic(to, 'conf', [{ name: 'cleanup.policy', value: 'compact' }])
  const resource = { resourceType: 2, resourceName: 'conf' }
  const alter = (name: string, value: string): Promise<Message> =>
    to.ask(ApiKey.IncrementalAlterConfigs, 1, { resources: [{ ...resource, configs: [{ name, value, configOperation: 0 }] }] })
  assert.equal((await alter('retention.ms', '1234'))['responses'][0].errorCode, 0)
  assert.equal((await alter('min.insync.replicas', '2'))['responses'][0].errorCode, 40)
  assert.equal((await alter('no.such', '2'))['responses'][0].errorCode, 40)
  const { results } = await to.ask(ApiKey.DescribeConfigs, 4, { resources: [{ ...resource, configurationKeys: null }] })
  const values = new Map(results[0].configs.map((config: Message) => [config['name'], config['value']]))
  assert.deepEqual(
    [values.get('cleanup.policy'), values.get('retention.ms'), values.get('min.insync.replicas')],
    ['compact', '1234', '1'],
  )
})

test('offsets by time name the record within its batch', async () => {
  const to = client()
  await createTopic(to, 'times')
  await produceOne(to, 'times', batchOf('a', 'b', 'c'))
  const at = async (timestamp: number): Promise<number> =>
    (await to.ask(ApiKey.ListOffsets, 7, { topics: [{ name: 'times', partitions: [{ partitionIndex: 0, timestamp }] }] }))[
      'topics'
    ][0].partitions[0].offset
  assert.deepEqual([await at(-1), await at(-2), await at(-3)], [3, 0, 2])
  assert.deepEqual([await at(0), await at(1_700_000_000_001), await at(1_700_000_000_003)], [0, 1, -1])
})

test('a repeated sequence is stored once and answered with its first offset', async () => {
  const to = client()
  await createTopic(to, 'once')
  const { producerId } = await to.ask(ApiKey.InitProducerId, 4, { transactionalId: null, transactionTimeoutMs: 0 })
  const records = [
    {
      offset: 0,
      timestamp: 1,
      body: recordFormat.fromAttributes({ key: null, value: Buffer.from('v'), headers: [] }).subarray(9),
    },
  ]
  const sequenced = (sequence: number): Buffer => buildBatch(records, 0, 1, { id: producerId, epoch: 0, sequence })
  assert.equal((await produceOne(to, 'once', sequenced(0)))['baseOffset'], 0)
  assert.equal((await produceOne(to, 'once', sequenced(1)))['baseOffset'], 1)
  assert.deepEqual(await produceOne(to, 'once', sequenced(0)).then((part) => [part['errorCode'], part['baseOffset']]), [0, 0])
  assert.equal((await produceOne(to, 'once', sequenced(7)))['errorCode'], 45)
})

test('offsets are committed, fetched, deleted; a group with none is not found', async () => {
  const to = client()
  await createTopic(to, 'cursors')
  const commit = {
    groupId: 'admin',
    generationIdOrMemberEpoch: -1,
    topics: [{ name: 'cursors', partitions: [{ partitionIndex: 0, committedOffset: 5, committedMetadata: 'm' }] }],
  }
  assert.equal((await to.ask(ApiKey.OffsetCommit, 8, commit))['topics'][0].partitions[0].errorCode, 0)
  const { groups } = await to.ask(ApiKey.OffsetFetch, 9, { groups: [{ groupId: 'admin', topics: null }] })
  assert.deepEqual([groups[0].topics[0].partitions[0].committedOffset, groups[0].topics[0].partitions[0].metadata], [5, 'm'])
  const remove = { groupId: 'admin', topics: [{ name: 'cursors', partitions: [{ partitionIndex: 0 }] }] }
  assert.equal((await to.ask(ApiKey.OffsetDelete, 0, remove))['topics'][0].partitions[0].errorCode, 0)
  assert.equal((await to.ask(ApiKey.OffsetDelete, 0, { ...remove, groupId: 'nobody' }))['errorCode'], 69)
})

test('records another protocol published are fetched as a batch', async () => {
  await broker.publish('foreign', 'one', { headers: { n: 1 } })
  await broker.publish('foreign', 'two')
  const part = await fetchOne(client(), 'foreign', 0)
  const opened = openBatch(part['records'])
  assert.deepEqual(
    opened.map((record) => record.offsetDelta),
    [0, 1],
  )
  await produceOne(client(), 'foreign', batchOf('three'))
  const values = (await broker.messages('foreign')).map((message) => message.text)
  assert.deepEqual(values, ['one', 'two', 'three'])
})
