/** Transactions: each request with what is right and what is wrong about it. One transactional id for each way of doing it. */
import { crc32c } from '../../../src/lib/crc32c.ts'
import { batchAt, buildBatch, transactionalBit } from '../../../src/protocols/kafka/batch.ts'
import { recordFormat } from '../../../src/protocols/kafka/mapping.ts'
import type { Message } from '../../../src/protocols/kafka/schema.ts'
import { type Case, expecting, type World } from './case.ts'

const topic = 'transactions'
const group = 'transactions.group'

interface Producer {
  readonly transactionalId: string
  readonly producerId: number
  readonly producerEpoch: number
}

/** The producer that last initialised this id; `epochs` away from its epoch. */
function producerOf(world: World, transactionalId: string, epochs = 0): Producer {
  const { producerId, producerEpoch } = world.values.get(transactionalId) ?? { producerId: -1, producerEpoch: -1 }
  return { transactionalId, producerId, producerEpoch: producerEpoch + epochs }
}

/** While Kafka is still writing markers, or finding its coordinator, it has the client ask again. */
const isSettled = (answer: Message): boolean => ![14, 15, 16, 51].includes(codeIn(answer))

function codeIn(answer: Message): number {
  const first =
    answer['errorCode'] ||
    answer['resultsByTopicV3AndBelow']?.[0]?.resultsByPartition?.[0]?.partitionErrorCode ||
    answer['topics']?.[0]?.partitions?.[0]?.errorCode ||
    answer['transactionStates']?.[0]?.errorCode ||
    answer['responses']?.[0]?.partitionResponses?.[0]?.errorCode
  return Number(first ?? 0)
}

function init(name: string, transactionalId: string | null, more: object = {}, versions = [5]): Case {
  return {
    name: `a producer: ${name}`,
    key: 22,
    versions,
    body: () => ({ transactionalId, transactionTimeoutMs: 60_000, producerId: -1, producerEpoch: -1, ...more }),
    learn: (answer, world) => {
      if (answer['errorCode'] === 0 && transactionalId !== null) world.values.set(transactionalId, answer)
    },
    until: isSettled,
  }
}

/** KIP-360: names what it has, `epochs` away. */
function initAgain(name: string, id: string, epochs = 0, ids = 0): Case {
  const again = init(name, id)
  const body = (world: World): Message => {
    const { producerId, producerEpoch } = producerOf(world, id, epochs)
    return { transactionalId: id, transactionTimeoutMs: 60_000, producerId: producerId + ids, producerEpoch }
  }
  return { ...again, body }
}

function add(name: string, id: string, partitions: number[], epochs = 0, versions = [0, 1, 2, 3]): Case {
  return {
    name: `partitions: ${name}`,
    key: 24,
    versions,
    body: (world) => {
      const { transactionalId, producerId, producerEpoch } = producerOf(world, id, epochs)
      return {
        v3AndBelowTransactionalId: transactionalId,
        v3AndBelowProducerId: producerId,
        v3AndBelowProducerEpoch: producerEpoch,
        v3AndBelowTopics: [{ name: topic, partitions }],
      }
    },
    until: isSettled,
  }
}

function end(name: string, id: string, committed: boolean, versions: number[], epochs = 0): Case {
  return {
    name: `end: ${name}`,
    key: 26,
    versions,
    body: (world) => ({ ...producerOf(world, id, epochs), committed }),
    until: isSettled,
  }
}

/** After an end of version 5 that was carried out, the producer has what it was told. */
function endV2(name: string, id: string, committed: boolean): Case {
  return {
    ...end(name, id, committed, [5]),
    learn: (answer, world) => {
      if (answer['errorCode'] === 0) world.values.set(id, answer)
    },
  }
}

interface Write {
  readonly version: number
  readonly sequence: number
  readonly partition?: number
  readonly epochs?: number
  readonly plain?: boolean
  /** Of the request, when it is another than the producer's. */
  readonly transactionalId?: string | null
}

function produce(name: string, id: string, write: Write): Case {
  return {
    name: `records: ${name}`,
    key: 0,
    versions: [write.version],
    body: (world) => {
      const by = producerOf(world, id, write.epochs)
      const body = recordFormat.fromAttributes({ key: null, value: Buffer.from(name), headers: [] }).subarray(9)
      const records = buildBatch([{ offset: 0, timestamp: Date.now(), body }], 0, 1, {
        id: by.producerId,
        epoch: by.producerEpoch,
        sequence: write.sequence,
      })
      if (write.plain !== true) records.writeInt16BE(transactionalBit, batchAt.attributes)
      records.writeUInt32BE(crc32c(records, batchAt.attributes, records.length), batchAt.crc)
      return {
        transactionalId: write.transactionalId === undefined ? by.transactionalId : write.transactionalId,
        acks: -1,
        timeoutMs: 5_000,
        topicData: [{ name: topic, partitionData: [{ index: write.partition ?? 0, records }] }],
      }
    },
    differs: [
      { path: /errorMessage$/, why: 'the words are our own' },
      { path: /logStartOffset$|logAppendTimeMs$/, why: 'Kafka tells them with some errors and with repetitions too' },
    ],
  }
}

function offsets(name: string, id: string, versions: number[], more: object = {}, epochs = 0): Case {
  return {
    name: `offsets: ${name}`,
    key: 28,
    versions,
    body: (world) => ({
      ...producerOf(world, id, epochs),
      groupId: group,
      generationIdOrMemberEpoch: -1,
      memberId: '',
      groupInstanceId: null,
      topics: [
        {
          name: topic,
          partitions: [{ partitionIndex: 0, committedOffset: 5, committedLeaderEpoch: -1, committedMetadata: 'note' }],
        },
      ],
      ...more,
    }),
    until: isSettled,
  }
}

function offsetsFound(name: string, requireStable: boolean): Case {
  return {
    name: `offsets found: ${name}`,
    key: 9,
    versions: [7],
    body: () => ({ groupId: group, topics: [{ name: topic, partitionIndexes: [0] }], requireStable }),
  }
}

function describe(name: string, id: string): Case {
  return {
    name: `described: ${name}`,
    key: 65,
    body: () => ({ transactionalIds: [id] }),
    until: (answer) => !String(answer['transactionStates'][0].transactionState).startsWith('Prepare'),
    differs: [
      { path: /transactionStartTimeMs$/, why: 'times of two runs' },
      { path: /partitions\[\d\]$/, why: 'their order means nothing' },
    ],
  }
}

/** The records themselves bear ids and times. */
function fetch(name: string, isolationLevel: number, partition: number, fetchOffset = 0): Case {
  const partitions = [
    { partition, currentLeaderEpoch: -1, fetchOffset, lastFetchedEpoch: -1, logStartOffset: -1, partitionMaxBytes: 1 << 20 },
  ]
  return {
    name: `fetched: ${name}`,
    key: 1,
    versions: [4, 6, 7, 11, 12],
    body: () => ({
      replicaId: -1,
      maxWaitMs: 50,
      minBytes: 1,
      maxBytes: 1 << 20,
      isolationLevel,
      sessionId: 0,
      sessionEpoch: -1,
      topics: [{ topic, partitions }],
      forgottenTopicsData: [],
      rackId: '',
    }),
    ...expecting(/records$/, 'producer ids and times are in them'),
  }
}

function latest(name: string, isolationLevel: number): Case {
  return {
    name: `offsets listed: ${name}`,
    key: 2,
    versions: [2, 5, 7],
    body: () => ({
      replicaId: -1,
      isolationLevel,
      topics: [{ name: topic, partitions: [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: -1 }] }],
    }),
  }
}

function producers(name: string, partition: number): Case {
  return {
    name: `producers: ${name}`,
    key: 61,
    body: () => ({ topics: [{ name: topic, partitionIndexes: [partition] }] }),
    ...expecting(/coordinatorEpoch$/, 'Kafka knows none before the first marker'),
  }
}

function list(name: string, filters: object, versions?: number[]): Case {
  const all = { stateFilters: [], producerIdFilters: [], durationFilter: -1, transactionalIdPattern: null }
  return { name: `listed: ${name}`, key: 66, ...(versions && { versions }), body: () => ({ ...all, ...filters }) }
}

function coordinator(keyType: number, key: string): Case {
  return {
    name: `the coordinator of ${key}`,
    key: 10,
    versions: [4],
    body: () => ({ keyType, coordinatorKeys: [key] }),
    until: (answer) => answer['coordinators'][0].errorCode === 0,
  }
}

export function transactionCases(): Case[] {
  const ids = ['first', 'second', 'offsets', 'marked']
  return [
    {
      name: 'a topic for transactions',
      key: 19,
      versions: [5],
      body: () => ({
        topics: [{ name: topic, numPartitions: 3, replicationFactor: 1, assignments: [], configs: [] }],
        timeoutMs: 10_000,
      }),
    },
    ...ids.map((id) => coordinator(1, id)),
    coordinator(0, group),

    init('no id', null, {}, [0, 1, 2, 3, 4, 5]),
    init('an empty id', '', {}, [0, 5]),
    init('a time too long', 'late', { transactionTimeoutMs: 900_001 }, [0, 5]),
    init('no time', 'late', { transactionTimeoutMs: 0 }),
    init('half an identity', 'late', { producerEpoch: 4 }),

    // The first version of the protocol.
    init('for the first version', 'first', {}, [1]),
    describe('nothing happened yet', 'first'),
    describe('nobody', 'nobody.ever'),
    describe('an empty id', ''),
    end('nothing began', 'first', true, [1, 4]),
    add('of a producer that is none', 'nobody.ever', [0]),
    add('one that does not exist', 'first', [0, 9]),
    add('an older epoch', 'first', [0], -1),
    add('a newer epoch', 'first', [0], 1),
    produce('not added', 'first', { version: 10, sequence: 0, partition: 2 }),
    produce('not added, to newer clients', 'first', { version: 11, sequence: 0, partition: 2 }),
    produce('without the id', 'first', { version: 11, sequence: 0, transactionalId: null }),
    add('as it should be', 'first', [0, 1]),
    describe('partitions are in', 'first'),
    produce('as it should be', 'first', { version: 11, sequence: 0 }),
    produce('next', 'first', { version: 11, sequence: 1 }),
    produce('again', 'first', { version: 11, sequence: 0 }),
    produce('a gap', 'first', { version: 11, sequence: 7 }),
    produce('not as part of the transaction', 'first', { version: 11, sequence: 2, plain: true, transactionalId: null }),
    produce('an older epoch', 'first', { version: 11, sequence: 2, epochs: -1 }),
    producers('with an open transaction', 0),
    fetch('all of an open transaction', 0, 0),
    fetch('what is committed of an open transaction', 1, 0),
    latest('all of an open transaction', 0),
    latest('what is committed of an open transaction', 1),
    end('an older epoch', 'first', true, [0, 1, 2, 4], -1),
    end('a newer epoch', 'first', true, [1, 4], 1),
    end('as it should be', 'first', true, [3]),
    describe('committed', 'first'),
    end('again', 'first', true, [0, 1, 4]),
    end('again and otherwise', 'first', false, [0, 1, 4]),
    producers('after its transaction', 0),
    add('the next transaction', 'first', [0]),
    produce('the sequence goes on', 'first', { version: 11, sequence: 2 }),
    end('aborted', 'first', false, [4]),
    describe('aborted', 'first'),
    fetch('all, with an aborted transaction', 0, 0),
    fetch('what is committed, with an aborted transaction', 1, 0),
    fetch('behind the aborted records', 1, 0, 4),
    fetch('behind the marker', 1, 0, 5),
    latest('all, with an aborted transaction', 0),
    latest('what is committed, with an aborted transaction', 1),

    // The second.
    init('for the second version', 'second'),
    produce('does not begin with 0', 'second', { version: 12, sequence: 5 }),
    produce('as it should be in the second version', 'second', { version: 12, sequence: 0, partition: 1 }),
    describe('joined by being written to', 'second'),
    endV2('as it should be in the second version', 'second', true),
    describe('committed, with the next epoch', 'second'),
    end('asked again with the epoch before', 'second', true, [5], -1),
    end('asked again, and otherwise', 'second', false, [5], -1),
    end('nothing to commit', 'second', true, [5]),
    endV2('nothing to abort', 'second', false),
    describe('aborted, and nothing was', 'second'),
    produce('the epoch before', 'second', { version: 12, sequence: 1, partition: 1, epochs: -1 }),
    initAgain('names what it has', 'second'),
    initAgain('names what it had before', 'second', -1),
    initAgain('names what it had long before', 'second', -2),
    initAgain('names another id', 'second', 0, 1000),
    producers('with an epoch and nothing else', 1),

    // Offsets of groups.
    init('for offsets', 'offsets'),
    offsets('group not added', 'offsets', [0, 2, 3, 4]),
    {
      name: 'a group joins',
      key: 25,
      body: (world) => ({ ...producerOf(world, 'offsets'), groupId: group }),
      until: isSettled,
    },
    {
      name: 'a group joins an older epoch',
      key: 25,
      body: (world) => ({ ...producerOf(world, 'offsets', -1), groupId: group }),
      until: isSettled,
    },
    offsets('as it should be', 'offsets', [0, 2, 3, 4]),
    offsets('an older epoch', 'offsets', [0, 3, 4], {}, -1),
    offsets('no group', 'offsets', [3], { groupId: '' }),
    offsets('a missing topic', 'offsets', [3], { topics: [{ name: 'missing', partitions: [{ partitionIndex: 0 }] }] }),
    offsetsFound('pending', false),
    offsetsFound('pending, and stable is asked for', true),
    end('with offsets', 'offsets', true, [4]),
    { ...offsetsFound('committed', true), until: (answer) => answer['topics'][0].partitions[0].committedOffset === 5 },
    offsets('the group joins by itself', 'offsets', [5]),
    endV2('of the group that joined', 'offsets', false),

    // What tools ask, and do.
    init('to be ended by an administrator', 'marked'),
    produce('to be ended', 'marked', { version: 12, sequence: 0, partition: 2 }),
    list('all', {}),
    list('by state', { stateFilters: ['Ongoing', 'PrepareCommit', 'Nonsense'] }),
    list('by age', { durationFilter: 3_600_000, stateFilters: ['Ongoing'] }, [1, 2]),
    list('by name', { transactionalIdPattern: 'm.*' }, [2]),
    list('by a part of the name', { transactionalIdPattern: 'mark' }, [2]),
    list('by what is no pattern', { transactionalIdPattern: '(' }, [2]),
    {
      name: 'markers by an older coordinator',
      key: 27,
      body: (world) => ({ markers: [marker(world, { coordinatorEpoch: -1 })] }),
      ...expecting(/errorCode$/, 'Kafka 4.3 knows no coordinator before its first marker'),
    },
    { name: 'markers for a missing partition', key: 27, body: (world) => ({ markers: [marker(world, {}, 9)] }) },
    { name: 'markers', key: 27, versions: [1], body: (world) => ({ markers: [marker(world, {})] }) },
    {
      ...producers('after markers', 2),
      ...expecting(/producerEpoch$|lastSequence$/, 'the whole transaction was aborted here, and its producer fenced'),
    },

    features('of nothing', 'nothing.version', 1, 1),
    features('a level that is none', 'transaction.version', 9, 1),
    features('a downgrade by an upgrade', 'transaction.version', 1, 1),
    features('a downgrade', 'transaction.version', 1, 2),
    features('back', 'transaction.version', 2, 1),
  ]
}

function marker(world: World, more: object, partition = 2): object {
  const { producerId, producerEpoch } = producerOf(world, 'marked')
  const topics = [{ name: topic, partitionIndexes: [partition] }]
  return { producerId, producerEpoch, transactionResult: false, coordinatorEpoch: 0, transactionVersion: 0, topics, ...more }
}

function features(name: string, feature: string, maxVersionLevel: number, upgradeType: number): Case {
  return {
    name: `features: ${name}`,
    key: 57,
    versions: [1, 2],
    body: (_, version) => ({
      timeoutMs: 5_000,
      featureUpdates: [{ feature, maxVersionLevel, upgradeType }],
      validateOnly: version === 1,
    }),
  }
}
