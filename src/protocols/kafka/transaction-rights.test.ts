/** What a user may do in transactions: with which ids, in which topics, and that nothing of what is refused is done by halves. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import { crc32c } from '../../lib/crc32c.ts'
import type { RunningBroker } from '../../server/start.ts'
import { batchAt, buildBatch, transactionalBit } from './batch.ts'
import { ApiKey } from './codec.ts'
import { recordFormat } from './mapping.ts'
import type { Message } from './schema.ts'
import { TestClient } from './test-client.ts'

let broker: RunningBroker
let writer: TestClient
let admin: TestClient

before(async () => {
  broker = await startTestBroker({
    only: ['kafka'],
    beforeListening: async ({ users }) => {
      await users.put('admin', { password: 'secret', admin: true })
      const permissions = [{ namespace: 'default', publish: '^mine', consume: '^mine', manage: '^$' }]
      await users.put('writer', { password: 'secret', permissions })
    },
  })
  admin = await loggedIn('admin')
  writer = await loggedIn('writer')
  const topics = ['mine', 'theirs'].map((name) => ({ name, numPartitions: 1, replicationFactor: 1, configs: [] }))
  await admin.ask(ApiKey.CreateTopics, 7, { topics, timeoutMs: 1000 })
})
after(async () => {
  writer.close()
  admin.close()
  await broker.stop()
})

async function loggedIn(user: string): Promise<TestClient> {
  const client = new TestClient(portOf(broker, 'kafka'))
  await client.ask(ApiKey.SaslHandshake, 1, { mechanism: 'PLAIN' })
  const { errorCode } = await client.ask(ApiKey.SaslAuthenticate, 2, { authBytes: Buffer.from(`\0${user}\0secret`) })
  assert.equal(errorCode, 0)
  return client
}

function init(client: TestClient, transactionalId: string): Promise<Message> {
  return client.ask(ApiKey.InitProducerId, 5, {
    transactionalId,
    transactionTimeoutMs: 60_000,
    producerId: -1,
    producerEpoch: -1,
  })
}

function batchOf(producerId: number, epoch: number): Buffer {
  const body = recordFormat.fromAttributes({ key: null, value: Buffer.from('x'), headers: [] }).subarray(9)
  const batch = buildBatch([{ offset: 0, timestamp: 0, body }], 0, 1, { id: producerId, epoch, sequence: 0 })
  batch.writeInt16BE(transactionalBit, batchAt.attributes)
  batch.writeUInt32BE(crc32c(batch, batchAt.attributes, batch.length), batchAt.crc)
  return batch
}

async function ends(topic: string): Promise<number> {
  const topics = [{ name: topic, partitions: [{ partitionIndex: 0, timestamp: -1 }] }]
  return (await admin.ask(ApiKey.ListOffsets, 7, { topics }))['topics'][0].partitions[0].offset
}

test('a transactional id is for who may publish under its name', async () => {
  assert.equal((await init(writer, 'theirs'))['errorCode'], 53)
  assert.equal((await init(writer, 'mine'))['errorCode'], 0)
  const by = { transactionalId: 'theirs', producerId: 0, producerEpoch: 0 }
  assert.equal((await writer.ask(ApiKey.EndTxn, 5, { ...by, committed: true }))['errorCode'], 53)
  assert.equal((await writer.ask(ApiKey.AddOffsetsToTxn, 3, { ...by, groupId: 'mine' }))['errorCode'], 53)
  assert.equal(
    (await writer.ask(ApiKey.AddOffsetsToTxn, 3, { ...by, transactionalId: 'mine', groupId: 'theirs' }))['errorCode'],
    30,
  )
})

test('a topic that may not be published to does not join the transaction, so that it gets no marker either', async () => {
  const { producerId, producerEpoch } = await init(writer, 'mine')
  const records = batchOf(producerId, producerEpoch)
  const topicData = ['mine', 'theirs'].map((name) => ({ name, partitionData: [{ index: 0, records }] }))
  const { responses } = await writer.ask(ApiKey.Produce, 12, { transactionalId: 'mine', acks: -1, timeoutMs: 1000, topicData })
  assert.deepEqual(
    responses.map((topic: Message) => [topic['name'], topic['partitionResponses'][0].errorCode]),
    [
      ['mine', 0],
      ['theirs', 29],
    ],
  )
  const added = await writer.ask(ApiKey.AddPartitionsToTxn, 3, {
    v3AndBelowTransactionalId: 'mine',
    v3AndBelowProducerId: producerId,
    v3AndBelowProducerEpoch: producerEpoch,
    v3AndBelowTopics: [{ name: 'theirs', partitions: [0] }],
  })
  assert.equal(added['resultsByTopicV3AndBelow'][0].resultsByPartition[0].partitionErrorCode, 29)
  await writer.ask(ApiKey.EndTxn, 5, { transactionalId: 'mine', producerId, producerEpoch, committed: true })
  assert.deepEqual([await ends('mine'), await ends('theirs')], [2, 0])
})

test('markers and features are for who may alter the cluster', async () => {
  const topics = [{ name: 'mine', partitionIndexes: [0] }]
  const markers = [{ producerId: 999, producerEpoch: 0, transactionResult: false, coordinatorEpoch: 0, topics }]
  const errorOf = (answer: Message): number => answer['markers'][0].topics[0].partitions[0].errorCode
  assert.equal(errorOf(await writer.ask(ApiKey.WriteTxnMarkers, 1, { markers })), 31)
  assert.equal(errorOf(await admin.ask(ApiKey.WriteTxnMarkers, 1, { markers })), 0)
  const featureUpdates = [{ feature: 'transaction.version', maxVersionLevel: 1, upgradeType: 2 }]
  assert.equal((await writer.ask(ApiKey.UpdateFeatures, 1, { featureUpdates, validateOnly: true }))['errorCode'], 31)
  assert.equal((await admin.ask(ApiKey.UpdateFeatures, 1, { featureUpdates, validateOnly: true }))['errorCode'], 0)
})
