/** Transactions over a socket: each answer is the one that a broker of Apache Kafka 4.3 gives, unless the test says otherwise. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32c } from '../../lib/crc32c.ts'
import { batchAt, buildBatch, transactionalBit } from './batch.ts'
import { startForTests } from './broker.testing.ts'
import { ApiKey } from './codec.ts'
import { recordFormat } from './mapping.ts'
import type { Message } from './schema.ts'
import { TestClient } from './test-client.ts'

const { broker, client } = await startForTests()
const to = client()

interface Producer {
  readonly id: string | null
  readonly producerId: number
  readonly epoch: number
}

let serial = 0
const unique = (name: string): string => `${name}-${serial++}`

async function createTopic(partitions = 1): Promise<string> {
  const name = unique('topic')
  await to.ask(ApiKey.CreateTopics, 7, {
    topics: [{ name, numPartitions: partitions, replicationFactor: 1, configs: [] }],
    timeoutMs: 1000,
  })
  return name
}

function batchOf(by: Producer, sequence: number, values: readonly string[], transactional = true): Buffer {
  const records = values.map((value, index) => ({
    offset: index,
    timestamp: 1_700_000_000_000 + index,
    body: recordFormat.fromAttributes({ key: null, value: Buffer.from(value), headers: [] }).subarray(9),
  }))
  const batch = buildBatch(records, 0, values.length, { id: by.producerId, epoch: by.epoch, sequence })
  if (transactional) batch.writeInt16BE(transactionalBit, batchAt.attributes)
  batch.writeUInt32BE(crc32c(batch, batchAt.attributes, batch.length), batchAt.crc)
  return batch
}

async function produce(id: string | null, topic: string, records: Buffer, version = 12, index = 0): Promise<Message> {
  const topicData = [{ name: topic, partitionData: [{ index, records }] }]
  const { responses } = await to.ask(ApiKey.Produce, version, { transactionalId: id, acks: -1, timeoutMs: 1000, topicData })
  return responses[0].partitionResponses[0]
}

const errorOf = async (asked: Promise<Message>): Promise<number> => (await asked)['errorCode']

async function init(id: string | null, expected?: Producer, transactionTimeoutMs = 60_000, version = 5): Promise<Message> {
  const { producerId, epoch: producerEpoch } = expected ?? { producerId: -1, epoch: -1 }
  return await to.ask(ApiKey.InitProducerId, version, { transactionalId: id, transactionTimeoutMs, producerId, producerEpoch })
}

async function newProducer(id: string | null = unique('id')): Promise<Producer> {
  const { producerId, producerEpoch, errorCode } = await init(id)
  assert.equal(errorCode, 0)
  return { id, producerId, epoch: producerEpoch }
}

async function add(by: Producer, topic: string, partitions = [0], version = 3): Promise<number[]> {
  const answer = await to.ask(ApiKey.AddPartitionsToTxn, version, {
    v3AndBelowTransactionalId: by.id,
    v3AndBelowProducerId: by.producerId,
    v3AndBelowProducerEpoch: by.epoch,
    v3AndBelowTopics: [{ name: topic, partitions }],
  })
  return answer['resultsByTopicV3AndBelow'][0].resultsByPartition.map((result: Message) => result['partitionErrorCode'])
}

function end(by: Producer, committed: boolean, version = 5): Promise<Message> {
  const { id: transactionalId, producerId, epoch: producerEpoch } = by
  return to.ask(ApiKey.EndTxn, version, { transactionalId, producerId, producerEpoch, committed })
}

function addOffsets(by: Producer, groupId: string, version = 3): Promise<Message> {
  return to.ask(ApiKey.AddOffsetsToTxn, version, {
    transactionalId: by.id,
    producerId: by.producerId,
    producerEpoch: by.epoch,
    groupId,
  })
}

async function commitOffset(by: Producer, groupId: string, topic: string, version: number, member?: object): Promise<number> {
  const answer = await to.ask(ApiKey.TxnOffsetCommit, version, {
    transactionalId: by.id,
    groupId,
    producerId: by.producerId,
    producerEpoch: by.epoch,
    generationIdOrMemberEpoch: -1,
    ...member,
    topics: [{ name: topic, partitions: [{ partitionIndex: 0, committedOffset: 5, committedMetadata: 'm' }] }],
  })
  return answer['topics'][0].partitions[0].errorCode
}

async function fetchOffset(groupId: string, topic: string, requireStable: boolean): Promise<number[]> {
  const groups = [{ groupId, topics: [{ name: topic, partitionIndexes: [0] }] }]
  const answer = await to.ask(ApiKey.OffsetFetch, 8, { groups, requireStable })
  const { committedOffset, errorCode } = answer['groups'][0].topics[0].partitions[0]
  return [committedOffset, errorCode]
}

async function fetch(topic: string, isolationLevel: number, fetchOffset = 0, maxWaitMs = 0, version = 12): Promise<Message> {
  const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: 1 << 20 }]
  const topics = [{ topic, partitions }]
  const answer = await to.ask(ApiKey.Fetch, version, { maxWaitMs, minBytes: 1, maxBytes: 1 << 20, isolationLevel, topics })
  return answer['responses'][0].partitions[0]
}

/** The base offset, attributes, epoch and record count of each batch. */
function batchesIn(records: Buffer): number[][] {
  const found: number[][] = []
  for (let at = 0; at < records.length; at += records.readInt32BE(at + batchAt.length) + batchAt.leaderEpoch) {
    found.push([
      Number(records.readBigInt64BE(at)),
      records.readInt16BE(at + batchAt.attributes),
      records.readInt16BE(at + batchAt.producerEpoch),
      records.readInt32BE(at + batchAt.count),
    ])
  }
  return found
}

const readCommitted = 1
const readUncommitted = 0

test('a transaction of version 2: partitions join by being written to, the end raises the epoch', async () => {
  const topic = await createTopic()
  const by = await newProducer()
  assert.equal((await produce(by.id, topic, batchOf(by, 0, ['a', 'b'])))['baseOffset'], 0)
  const open = await fetch(topic, readCommitted)
  assert.deepEqual([open['highWatermark'], open['lastStableOffset'], open['records'].length], [2, 0, 0])
  const all = await fetch(topic, readUncommitted)
  assert.deepEqual([all['lastStableOffset'], all['abortedTransactions'], batchesIn(all['records'])], [0, null, [[0, 0x10, 0, 2]]])

  const ended = await end(by, true)
  assert.deepEqual([ended['errorCode'], ended['producerId'], ended['producerEpoch']], [0, by.producerId, 1])
  const done = await fetch(topic, readCommitted)
  assert.deepEqual([done['highWatermark'], done['lastStableOffset'], done['abortedTransactions']], [3, 3, []])
  assert.deepEqual(batchesIn(done['records']), [
    [0, 0x10, 0, 2],
    [2, 0x30, 1, 1],
  ])
  assert.equal(await errorOf(produce(by.id, topic, batchOf(by, 2, ['late']))), 47)
  const next = { ...by, epoch: 1 }
  assert.equal(await errorOf(produce(by.id, topic, batchOf(next, 2, ['not from 0']))), 45)
  assert.equal(await errorOf(produce(by.id, topic, batchOf(next, 0, ['c']))), 0)
})

test('the marker is the control batch that Kafka writes, byte for byte', async () => {
  const topic = await createTopic()
  const by = await newProducer()
  await produce(by.id, topic, batchOf(by, 0, ['a']))
  await end(by, true)
  const { records } = await fetch(topic, readCommitted, 1)
  const marker = Buffer.from(records)
  // As Kafka 4.3.1 wrote it; offset, checksum, times and producer id are of the day.
  const golden = Buffer.from(
    '0000000000000002000000420000000002481c83d1003000000000000001a1fee3ec6f000001a1fee3ec6f00000000000000020001ffffffff000000012000000008000000010c00000000000000',
    'hex',
  )
  marker.copy(golden, 0, 0, 8)
  for (const [from, size] of [
    [batchAt.crc, 4],
    [batchAt.baseTimestamp, 16],
    [batchAt.producerId, 8],
  ] as const)
    marker.copy(golden, from, from, from + size)
  assert.deepEqual(marker, golden)
  assert.equal(marker.readUInt32BE(batchAt.crc), crc32c(marker, batchAt.attributes, marker.length))
})

test('an aborted transaction is listed for those who read what is committed', async () => {
  const topic = await createTopic()
  const by = await newProducer()
  await produce(null, topic, batchOf({ ...by, producerId: -1, epoch: -1 }, -1, ['plain'], false))
  await produce(by.id, topic, batchOf(by, 0, ['a']))
  await end(by, false)
  const part = await fetch(topic, readCommitted)
  assert.deepEqual([part['lastStableOffset'], part['highWatermark']], [3, 3])
  assert.deepEqual(part['abortedTransactions'], [{ producerId: by.producerId, firstOffset: 1 }])
})

test('who waits for committed records is woken by the end of the transaction, not by its records', async () => {
  const topic = await createTopic()
  const by = await newProducer()
  const waiting = new TestClient(broker.port('kafka'))
  const topics = [{ topic, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }] }]
  let answered = false
  const fetched = waiting
    .ask(ApiKey.Fetch, 12, { maxWaitMs: 20_000, minBytes: 1, maxBytes: 1 << 20, isolationLevel: readCommitted, topics })
    .then((answer) => {
      answered = true
      return answer
    })
  await produce(by.id, topic, batchOf(by, 0, ['a']))
  assert.equal((await fetch(topic, readUncommitted))['highWatermark'], 1)
  assert.equal(answered, false)
  await end(by, true)
  const part = (await fetched)['responses'][0].partitions[0]
  assert.equal(batchesIn(part['records']).length, 2)
  waiting.close()
})

test('the latest offset is the last stable one for those who read what is committed', async () => {
  const topic = await createTopic()
  const by = await newProducer()
  await produce(by.id, topic, batchOf(by, 0, ['a']))
  const latest = async (isolationLevel: number): Promise<number> => {
    const topics = [{ name: topic, partitions: [{ partitionIndex: 0, timestamp: -1 }] }]
    const answer = await to.ask(ApiKey.ListOffsets, 7, { isolationLevel, topics })
    return answer['topics'][0].partitions[0].offset
  }
  assert.deepEqual([await latest(readUncommitted), await latest(readCommitted)], [1, 0])
  await end(by, true)
  assert.deepEqual([await latest(readUncommitted), await latest(readCommitted)], [2, 2])
})

test('version 1: a partition is written to after it was added, the epoch stays, the sequence goes on', async () => {
  const topic = await createTopic(2)
  const by = await newProducer()
  assert.equal(await errorOf(produce(by.id, topic, batchOf(by, 0, ['a']), 11)), 120)
  assert.equal(await errorOf(produce(by.id, topic, batchOf(by, 0, ['a']), 10)), 48)
  assert.deepEqual(await add(by, topic), [0])
  assert.equal(await errorOf(produce(by.id, topic, batchOf(by, 0, ['a']), 11)), 0)
  assert.equal(await errorOf(produce(by.id, topic, batchOf(by, 0, ['b']), 11, 1)), 120)
  assert.equal(await errorOf(end(by, true, 4)), 0)
  assert.equal(await errorOf(produce(by.id, topic, batchOf(by, 1, ['c']), 11)), 120)
  assert.deepEqual(await add(by, topic), [0])
  assert.equal(await errorOf(produce(by.id, topic, batchOf(by, 1, ['c']), 11)), 0)
  assert.equal(await errorOf(end(by, false, 4)), 0)
  assert.deepEqual(batchesIn((await fetch(topic, readUncommitted))['records']), [
    [0, 0x10, 0, 1],
    [1, 0x30, 0, 1],
    [2, 0x10, 0, 1],
    [3, 0x30, 0, 1],
  ])
})

test('AddPartitionsToTxn adds all or none, and old versions know no PRODUCER_FENCED', async () => {
  const topic = await createTopic()
  const by = await newProducer()
  assert.deepEqual(await add(by, topic, [0, 7]), [55, 3])
  assert.equal(await errorOf(produce(by.id, topic, batchOf(by, 0, ['a']), 11)), 120)
  assert.deepEqual(await add({ ...by, epoch: 1 }, topic, [0], 1), [47])
  assert.deepEqual(await add({ ...by, epoch: 1 }, topic, [0], 2), [90])
  assert.deepEqual(await add({ ...by, producerId: 1e6 }, topic), [49])
  assert.deepEqual(await add({ ...by, id: 'nobody' }, topic), [49])
  assert.deepEqual(await add({ ...by, id: '' }, topic), [42])
})

test('AddPartitionsToTxn 4 and later: several transactions at once, and asking only whether a partition is in', async () => {
  const topic = await createTopic(2)
  const [a, b] = [await newProducer(), await newProducer()]
  const ask = async (verifyOnly: boolean, partitions: number[]): Promise<number[]> => {
    const transactions = [a, b].map(({ id, producerId, epoch }) => ({
      transactionalId: id,
      producerId,
      producerEpoch: epoch,
      verifyOnly,
      topics: [{ name: topic, partitions }],
    }))
    const answer = await to.ask(ApiKey.AddPartitionsToTxn, 5, { transactions })
    return answer['resultsByTransaction'].flatMap((result: Message) =>
      result['topicResults'][0].resultsByPartition.map((each: Message) => each['partitionErrorCode']),
    )
  }
  assert.deepEqual(await ask(true, [0]), [120, 120])
  assert.deepEqual(await ask(false, [0]), [0, 0])
  assert.deepEqual(await ask(true, [0, 1]), [0, 120, 0, 120])
})

test('a transactional batch without the id, and a plain one in the midst of a transaction, are refused', async () => {
  const topic = await createTopic(2)
  const by = await newProducer()
  assert.equal(await errorOf(produce(null, topic, batchOf(by, 0, ['a']))), 53)
  assert.equal(await errorOf(produce(by.id, topic, batchOf(by, 0, ['a']))), 0)
  assert.equal(await errorOf(produce(null, topic, batchOf(by, 1, ['b'], false))), 48)
  assert.equal(await errorOf(produce(null, topic, batchOf(by, 0, ['b'], false), 12, 1)), 0)
  assert.equal(await errorOf(produce(by.id, topic, batchOf({ ...by, producerId: -1 }, -1, ['a']))), 87)
})

test('a second producer with the same id aborts and fences the first', async () => {
  const topic = await createTopic()
  const first = await newProducer()
  await produce(first.id, topic, batchOf(first, 0, ['never']))
  const second = await newProducer(first.id)
  assert.deepEqual([second.producerId, second.epoch], [first.producerId, 1])
  assert.deepEqual((await fetch(topic, readCommitted))['abortedTransactions'], [{ producerId: first.producerId, firstOffset: 0 }])
  for (const version of [11, 12]) assert.equal(await errorOf(produce(first.id, topic, batchOf(first, 1, ['x']), version)), 47)
  assert.deepEqual(
    [await errorOf(end(first, true, 1)), await errorOf(end(first, true, 4)), await errorOf(end(first, true, 5))],
    [47, 90, 90],
  )
  assert.deepEqual([await errorOf(addOffsets(first, 'g', 1)), await errorOf(addOffsets(first, 'g', 3))], [47, 90])
  assert.equal(await errorOf(produce(second.id, topic, batchOf(second, 0, ['ok']))), 0)
  assert.equal(await errorOf(end(second, true)), 0)
})

test('InitProducerId refuses what it cannot serve, and gives idempotent producers an id of their own', async () => {
  assert.equal(await errorOf(init('')), 42)
  assert.equal(await errorOf(init('x', undefined, 900_001)), 50)
  assert.equal(await errorOf(init('x', undefined, 0)), 50)
  assert.equal(await errorOf(init('x', { id: 'x', producerId: -1, epoch: 5 })), 42)
  const by = await newProducer()
  assert.equal(await errorOf(init(by.id, { ...by, epoch: 7 })), 90)
  assert.equal(await errorOf(init(by.id, { ...by, epoch: 7 }, 60_000, 3)), 47)
  const [a, b] = [await newProducer(null), await newProducer(null)]
  assert.notEqual(a.producerId, b.producerId)
  assert.deepEqual([a.epoch, b.epoch], [0, 0])
})

test('EndTxn says what became of the transaction, as often as it is asked', async () => {
  const topic = await createTopic()
  const by = await newProducer()
  const at = (epoch: number): Producer => ({ ...by, epoch })
  const ends = async (epoch: number, committed: boolean, version = 5): Promise<number[]> => {
    const { errorCode, producerEpoch } = await end(at(epoch), committed, version)
    return [errorCode, producerEpoch]
  }
  assert.deepEqual(await ends(0, true), [48, -1])
  await produce(by.id, topic, batchOf(by, 0, ['a']))
  assert.deepEqual(await ends(0, true), [0, 1])
  assert.deepEqual(await ends(0, true), [0, 1])
  assert.deepEqual(await ends(0, false), [48, -1])
  assert.deepEqual(await ends(1, true), [48, -1])
  // An abort is taken without anything to abort: the producer may not know whether its records came.
  assert.deepEqual(await ends(1, false), [0, 2])
  assert.deepEqual(await ends(1, false), [0, 2])
  assert.deepEqual(await ends(2, false), [0, 3])
  assert.equal(await errorOf(end({ ...by, id: 'nobody' }, true)), 49)
  const old = await newProducer()
  assert.equal(await errorOf(end(old, false, 4)), 48)
  await add(old, topic)
  assert.equal(await errorOf(end(old, true, 4)), 0)
  assert.equal(await errorOf(end(old, true, 4)), 0)
  assert.equal(await errorOf(end(old, false, 4)), 48)
})

test('offsets of a group count from the commit on; until then they are unstable for who asks', async () => {
  const topic = await createTopic()
  const group = unique('group')
  const by = await newProducer()
  assert.deepEqual([await commitOffset(by, group, topic, 3), await commitOffset(by, group, topic, 4)], [48, 120])
  assert.equal(await errorOf(addOffsets(by, group)), 0)
  assert.equal(await commitOffset(by, group, topic, 3), 0)
  assert.deepEqual(await fetchOffset(group, topic, false), [-1, 0])
  assert.deepEqual(await fetchOffset(group, topic, true), [-1, 88])
  assert.equal(await errorOf(end(by, true, 4)), 0)
  assert.deepEqual(await fetchOffset(group, topic, true), [5, 0])
  // Version 5 lets the group join by itself.
  const other = unique('group')
  assert.equal(await commitOffset(by, other, topic, 5), 0)
  assert.equal(await errorOf(end(by, false)), 0)
  assert.deepEqual(await fetchOffset(other, topic, true), [-1, 0])
})

test('TxnOffsetCommit is for the producer that has the id and the member that has the partition', async () => {
  const topic = await createTopic()
  const group = unique('group')
  const by = await newProducer()
  await addOffsets(by, group)
  assert.equal(await commitOffset({ ...by, epoch: 1 }, group, topic, 3), 47)
  assert.equal(await commitOffset({ ...by, producerId: 1e6 }, group, topic, 3), 49)
  assert.equal(await commitOffset(by, '', topic, 3), 24)
  assert.equal(await commitOffset(by, group, 'nowhere', 3), 3)
  const join = { groupId: group, sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000, memberId: '', protocolType: 'consumer' }
  const protocols = [{ name: 'range', metadata: Buffer.alloc(0) }]
  const { memberId, generationId } = await to.ask(ApiKey.JoinGroup, 3, { ...join, protocols })
  // The assignment is not known yet: a commit outside of transactions would have to wait, this one need not.
  const member = { memberId, generationIdOrMemberEpoch: generationId }
  assert.equal(await commitOffset(by, group, topic, 3, member), 0)
  assert.equal(await commitOffset(by, group, topic, 3, { ...member, generationIdOrMemberEpoch: 99 }), 22)
  assert.equal(await commitOffset(by, group, topic, 3, { ...member, memberId: 'stranger' }), 25)
  assert.equal(await commitOffset(by, group, topic, 3, { ...member, groupInstanceId: 'stranger' }), 25)
  assert.equal(await commitOffset(by, group, topic, 3), 0)
})

test('a group that is deleted takes its pending offsets with it', async () => {
  const topic = await createTopic()
  const group = unique('group')
  const by = await newProducer()
  assert.equal(await commitOffset(by, group, topic, 5), 0)
  assert.equal(await errorOf(end(by, true)), 0)
  assert.equal(await commitOffset({ ...by, epoch: 1 }, group, topic, 5), 0)
  assert.equal((await to.ask(ApiKey.DeleteGroups, 2, { groupsNames: [group] }))['results'][0].errorCode, 0)
  assert.equal(await errorOf(end({ ...by, epoch: 1 }, true)), 0)
  assert.deepEqual(await fetchOffset(group, topic, true), [-1, 0])
})

test('tools find transactions by state, producer, age and name, and describe them', async () => {
  const topic = await createTopic(2)
  const by = await newProducer(unique('listed'))
  await produce(by.id, topic, batchOf(by, 0, ['a']), 12, 1)
  const list = async (filters: object): Promise<[number, string[], string[]]> => {
    const answer = await to.ask(ApiKey.ListTransactions, 2, { durationFilter: -1, ...filters })
    const states = answer['transactionStates'].filter((state: Message) => state['transactionalId'] === by.id)
    return [answer['errorCode'], answer['unknownStateFilters'], states.map((state: Message) => state['transactionState'])]
  }
  assert.deepEqual(await list({}), [0, [], ['Ongoing']])
  assert.deepEqual(await list({ stateFilters: ['Ongoing', 'Nope', 'PrepareCommit'] }), [0, ['Nope'], ['Ongoing']])
  assert.deepEqual(await list({ stateFilters: ['Empty'] }), [0, [], []])
  assert.deepEqual(await list({ producerIdFilters: [by.producerId + 1] }), [0, [], []])
  assert.deepEqual(await list({ durationFilter: 3_600_000 }), [0, [], []])
  assert.deepEqual(await list({ transactionalIdPattern: 'listed-.*' }), [0, [], ['Ongoing']])
  assert.deepEqual(await list({ transactionalIdPattern: 'listed' }), [0, [], []])
  assert.deepEqual(await list({ transactionalIdPattern: '(' }), [128, [], []])

  const { transactionStates } = await to.ask(ApiKey.DescribeTransactions, 0, { transactionalIds: [by.id, 'nobody', ''] })
  const [found, unknown, empty] = transactionStates
  assert.deepEqual([unknown.errorCode, empty.errorCode], [105, 42])
  assert.deepEqual(
    [found.transactionState, found.transactionTimeoutMs, found.producerId, found.topics],
    ['Ongoing', 60_000, by.producerId, [{ topic, partitions: [1] }]],
  )
  const producers = await to.ask(ApiKey.DescribeProducers, 0, { topics: [{ name: topic, partitionIndexes: [0, 1, 9] }] })
  const [none, one, missing] = producers['topics'][0].partitions
  assert.deepEqual([none.activeProducers, missing.errorCode], [[], 3])
  const [producer] = one.activeProducers
  assert.deepEqual([producer.producerId, producer.lastSequence, producer.currentTxnStartOffset], [by.producerId, 0, 0])
})

test('WriteTxnMarkers ends what hangs; a transaction that is known is aborted whole and its producer fenced', async () => {
  const topic = await createTopic(2)
  const by = await newProducer()
  await produce(by.id, topic, batchOf(by, 0, ['a']))
  await produce(by.id, topic, batchOf(by, 0, ['b']), 12, 1)
  const write = async (marker: object, partition = 0): Promise<number> => {
    const { producerId, epoch: producerEpoch } = by
    const topics = [{ name: topic, partitionIndexes: [partition] }]
    const markers = [{ producerId, producerEpoch, transactionResult: false, coordinatorEpoch: 0, topics, ...marker }]
    const answer = await to.ask(ApiKey.WriteTxnMarkers, 1, { markers })
    return answer['markers'][0].topics[0].partitions[0].errorCode
  }
  assert.equal(await write({ producerEpoch: -1 }), 47)
  assert.equal(await write({ coordinatorEpoch: -1 }), 52)
  assert.equal(await write({}, 9), 3)
  assert.equal(await write({ transactionResult: true }), 48)
  assert.equal(await write({}), 0)
  const { transactionStates } = await to.ask(ApiKey.DescribeTransactions, 0, { transactionalIds: [by.id] })
  assert.equal(transactionStates[0].transactionState, 'CompleteAbort')
  assert.equal(await errorOf(produce(by.id, topic, batchOf(by, 1, ['c']))), 47)
  assert.equal((await fetch(topic, readCommitted))['lastStableOffset'], 2)
  assert.equal(await write({ producerEpoch: 1 }), 0, 'also without anything open')
})

test('the level of transaction.version is told and can be changed; clients then choose the older way', async () => {
  const told = async (): Promise<unknown[]> => {
    const software = { clientSoftwareName: 'x', clientSoftwareVersion: '1' }
    const { finalizedFeatures, supportedFeatures } = await to.ask(ApiKey.ApiVersions, 4, software)
    const find = (list: Message[]): Message | undefined => list.find(({ name }) => name === 'transaction.version')
    return [find(finalizedFeatures)?.['maxVersionLevel'], find(supportedFeatures)?.['maxVersion']]
  }
  const update = (maxVersionLevel: number, upgradeType: number, more: object = {}): Promise<number> =>
    errorOf(
      to.ask(ApiKey.UpdateFeatures, 2, {
        featureUpdates: [{ feature: 'transaction.version', maxVersionLevel, upgradeType, ...more }],
      }),
    )
  assert.deepEqual(await told(), [2, 2])
  assert.equal(await update(1, 1), 95, 'a downgrade is asked for as one')
  assert.equal(await update(3, 1), 95)
  assert.equal(await update(1, 2, { feature: 'nothing' }), 95)
  assert.equal(await update(1, 2), 0)
  assert.deepEqual(await told(), [1, 2])
  assert.equal(await update(0, 3), 0)
  assert.deepEqual(await told(), [undefined, 2])
  assert.equal(await update(2, 1), 0)
  assert.deepEqual(await told(), [2, 2])
})
