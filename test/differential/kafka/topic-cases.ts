/** Topics as they are described, grown, cut and deleted. */
import type { Message } from '../../../src/protocols/kafka/schema.ts'
import { type Case, expecting } from './case.ts'

export function topicCases(): Case[] {
  const describe =
    (topics: string[], more: object = {}) =>
    (): Message => ({ topics: topics.map((name) => ({ name })), responsePartitionLimit: 2000, cursor: null, ...more })
  const metadata =
    (topics: object[] | null, more: object = {}) =>
    (): Message => ({ topics, allowAutoTopicCreation: false, ...more })
  return [
    { name: 'a topic', key: 3, body: metadata([{ name: 'created.v7' }]) },
    { name: 'a missing topic', key: 3, body: metadata([{ name: 'missing' }]), versions: [4, 8, 9, 12] },
    {
      name: 'a missing topic, to be created',
      key: 3,
      ...expecting(/topics\[asked/, 'made within the request, which Kafka does a moment later, when clients ask again'),
      body: (_, v) => metadata([{ name: `asked.v${v}` }], { allowAutoTopicCreation: true })(),
    },
    {
      name: 'a topic created by asking',
      key: 3,
      body: (_, v) => metadata([{ name: `asked.v${v}` }])(),
      until: (answer) => answer['topics'][0]?.partitions.length === 1,
    },
    {
      name: 'names that are none, or collide, to be created',
      key: 3,
      versions: [4, 12],
      ...expecting(/asked_v4.*errorCode/, 'Kafka tries to make it a moment later, and tells nobody that it could not'),
      body: metadata([{ name: 'a b' }, { name: 'asked_v4' }], { allowAutoTopicCreation: true }),
    },
    { name: 'a name that is none', key: 3, body: metadata([{ name: 'a b' }]), versions: [4, 12] },
    { name: 'no topics', key: 3, body: metadata([]), versions: [1, 4, 12, 13] },
    {
      name: 'by id',
      key: 3,
      versions: [12, 13],
      body: (world) => metadata([{ topicId: world.topicId('created.v7'), name: null }])(),
    },
    { name: 'by an unknown id', key: 3, versions: [12, 13], body: metadata([{ topicId: '7'.repeat(32), name: null }]) },
    {
      name: 'operations asked for',
      key: 3,
      versions: [8, 12],
      body: metadata([{ name: 'created.v7' }], {
        includeTopicAuthorizedOperations: true,
        includeClusterAuthorizedOperations: true,
      }),
    },
    { name: 'a topic', key: 75, body: describe(['created.v7']) },
    { name: 'several, one missing, one no name', key: 75, body: describe(['created.v7', 'missing', 'a b']) },
    { name: 'limited, with a cursor', key: 75, body: describe(['created.v6', 'created.v7'], { responsePartitionLimit: 3 }) },
    {
      name: 'from a cursor',
      key: 75,
      body: describe(['created.v6', 'created.v7'], { cursor: { topicName: 'created.v7', partitionIndex: 1 } }),
    },
    {
      name: 'from a cursor beyond the end',
      key: 75,
      body: describe(['created.v7'], { cursor: { topicName: 'created.v7', partitionIndex: 9 } }),
    },
    {
      name: 'from a cursor that is negative',
      key: 75,
      body: describe(['created.v7'], { cursor: { topicName: 'created.v7', partitionIndex: -1 } }),
    },
    {
      name: 'grow',
      key: 37,
      body: (_, v) => ({
        topics: [{ name: `created.v${4 + v}`, count: 4 + v, assignments: null }],
        timeoutMs: 5000,
        validateOnly: false,
      }),
    },
    {
      name: 'grow, validated',
      key: 37,
      body: () => ({ topics: [{ name: 'created.v7', count: 20, assignments: null }], timeoutMs: 5000, validateOnly: true }),
    },
    {
      name: 'shrink',
      key: 37,
      body: () => ({ topics: [{ name: 'created.v7', count: 1, assignments: null }], timeoutMs: 5000, validateOnly: false }),
    },
    {
      name: 'grow to the same',
      key: 37,
      versions: [3],
      body: () => ({ topics: [{ name: 'created.v7', count: 7, assignments: null }], timeoutMs: 5000, validateOnly: false }),
    },
    {
      name: 'grow a missing one',
      key: 37,
      ...expecting(/errorMessage/, 'Kafka gives no words here'),
      body: () => ({ topics: [{ name: 'missing', count: 3, assignments: null }], timeoutMs: 5000, validateOnly: false }),
    },
    {
      name: 'grow by too few assignments',
      key: 37,
      body: () => ({
        topics: [{ name: 'created.v7', count: 20, assignments: [{ brokerIds: [1] }] }],
        timeoutMs: 5000,
        validateOnly: false,
      }),
    },
    {
      name: 'grow by an unknown broker',
      key: 37,
      versions: [3],
      body: () => ({
        topics: [{ name: 'created.v7', count: 8, assignments: [{ brokerIds: [5] }] }],
        timeoutMs: 5000,
        validateOnly: false,
      }),
    },
    {
      name: 'grow one twice',
      key: 37,
      versions: [3],
      body: () => ({
        topics: [1, 2].map(() => ({ name: 'created.v7', count: 30, assignments: null })),
        timeoutMs: 5000,
        validateOnly: false,
      }),
    },
    {
      name: 'nothing there',
      key: 21,
      body: () => ({ topics: [{ name: 'created.v7', partitions: [{ partitionIndex: 0, offset: -1 }] }], timeoutMs: 5000 }),
    },
    {
      name: 'beyond the end',
      key: 21,
      body: () => ({ topics: [{ name: 'created.v7', partitions: [{ partitionIndex: 0, offset: 5 }] }], timeoutMs: 5000 }),
    },
    {
      name: 'a negative offset',
      key: 21,
      versions: [2],
      body: () => ({ topics: [{ name: 'created.v7', partitions: [{ partitionIndex: 0, offset: -5 }] }], timeoutMs: 5000 }),
    },
    {
      name: 'a missing topic',
      key: 21,
      body: () => ({ topics: [{ name: 'missing', partitions: [{ partitionIndex: 0, offset: 0 }] }], timeoutMs: 5000 }),
    },
    {
      name: 'a missing partition',
      key: 21,
      body: () => ({ topics: [{ name: 'created.v7', partitions: [{ partitionIndex: 99, offset: 0 }] }], timeoutMs: 5000 }),
    },
    ...[-1, -2, -3, -4, -5, 0].map(
      (timestamp): Case => ({
        name: `at ${timestamp}`,
        key: 2,
        body: () => ({
          replicaId: -1,
          isolationLevel: 0,
          topics: [{ name: 'created.v7', partitions: [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp }] }],
          timeoutMs: 1000,
        }),
      }),
    ),
    {
      name: 'offsets of a missing topic',
      key: 2,
      body: () => ({
        replicaId: -1,
        isolationLevel: 0,
        topics: [{ name: 'missing', partitions: [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: -1 }] }],
        timeoutMs: 1000,
      }),
    },
    {
      name: 'of a future leader',
      key: 2,
      body: () => ({
        replicaId: -1,
        isolationLevel: 0,
        topics: [{ name: 'created.v7', partitions: [{ partitionIndex: 0, currentLeaderEpoch: 5, timestamp: -1 }] }],
        timeoutMs: 1000,
      }),
    },
    {
      name: 'the end of an epoch',
      key: 23,
      body: () => ({
        replicaId: -1,
        topics: [{ topic: 'created.v7', partitions: [{ partition: 0, currentLeaderEpoch: -1, leaderEpoch: 0 }] }],
      }),
    },
    {
      name: 'the end of an epoch of a missing topic',
      key: 23,
      body: () => ({
        replicaId: -1,
        topics: [{ topic: 'missing', partitions: [{ partition: 0, currentLeaderEpoch: -1, leaderEpoch: 0 }] }],
      }),
    },
    {
      name: 'a topic',
      key: 20,
      body: (_, v) =>
        v >= 6
          ? { topics: [{ name: `created.v${v - 4}`, topicId: '0'.repeat(32) }], timeoutMs: 5000 }
          : { topicNames: [`assigned.v${v + 1}`], timeoutMs: 5000 },
    },
    {
      name: 'a missing topic',
      key: 20,
      body: (_, v) =>
        v >= 6
          ? { topics: [{ name: 'missing', topicId: '0'.repeat(32) }], timeoutMs: 5000 }
          : { topicNames: ['missing'], timeoutMs: 5000 },
    },
    {
      name: 'by id',
      key: 20,
      versions: [6],
      body: (world) => ({ topics: [{ name: null, topicId: world.topicId('created.v7') }], timeoutMs: 5000 }),
    },
    {
      name: 'by an unknown id',
      key: 20,
      versions: [6],
      body: () => ({ topics: [{ name: null, topicId: '7'.repeat(32) }], timeoutMs: 5000 }),
    },
    {
      name: 'by name and id',
      key: 20,
      versions: [6],
      body: () => ({ topics: [{ name: 'configured.v7', topicId: '7'.repeat(32) }], timeoutMs: 5000 }),
    },
    {
      name: 'by neither',
      key: 20,
      versions: [6],
      body: () => ({ topics: [{ name: null, topicId: '0'.repeat(32) }], timeoutMs: 5000 }),
    },
    {
      name: 'one twice',
      key: 20,
      versions: [6],
      body: () => ({ topics: [1, 2].map(() => ({ name: 'configured.v7', topicId: '0'.repeat(32) })), timeoutMs: 5000 }),
    },
    { name: 'none', key: 20, versions: [6], body: () => ({ topics: [], timeoutMs: 5000 }) },
  ]
}
