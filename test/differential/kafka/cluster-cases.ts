import { type Case, expecting } from './case.ts'

export function clusterCases(): Case[] {
  const partition = { topics: [{ topic: 'configured.v6', partitions: [0] }] }
  return [
    {
      name: 'the brokers',
      key: 60,
      body: () => ({ includeClusterAuthorizedOperations: false, endpointType: 1, includeFencedBrokers: false }),
    },
    {
      name: 'with operations',
      key: 60,
      body: () => ({ includeClusterAuthorizedOperations: true, endpointType: 1, includeFencedBrokers: true }),
    },
    {
      name: 'the controllers',
      key: 60,
      versions: [1, 2],
      body: () => ({ includeClusterAuthorizedOperations: false, endpointType: 2, includeFencedBrokers: false }),
    },
    {
      name: 'an unknown endpoint type',
      key: 60,
      versions: [1, 2],
      body: () => ({ includeClusterAuthorizedOperations: false, endpointType: 9, includeFencedBrokers: false }),
    },
    { name: 'one topic', key: 35, body: () => partition },
    { name: 'a missing topic', key: 35, body: () => ({ topics: [{ topic: 'missing', partitions: [0] }] }) },
    { name: 'producers of a topic', key: 61, body: () => ({ topics: [{ name: 'configured.v6', partitionIndexes: [0, 9] }] }) },
    { name: 'producers of a missing topic', key: 61, body: () => ({ topics: [{ name: 'missing', partitionIndexes: [0] }] }) },
    {
      name: 'the quorum',
      key: 55,
      ...expecting(/leaderEpoch|highWatermark|logEndOffset/, 'there is no log of metadata that clients could read'),
      body: () => ({ topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }] }),
    },
    {
      name: 'the quorum of an ordinary topic',
      key: 55,
      body: () => ({ topics: [{ topicName: 'configured.v6', partitions: [{ partitionIndex: 0 }] }] }),
    },
    {
      name: 'raise a feature to what it is',
      key: 57,
      body: () => ({
        timeoutMs: 1000,
        featureUpdates: [{ feature: 'metadata.version', maxVersionLevel: 30, upgradeType: 1 }],
        validateOnly: false,
      }),
    },
    {
      name: 'an unknown feature',
      key: 57,
      body: () => ({
        timeoutMs: 1000,
        featureUpdates: [{ feature: 'no.such', maxVersionLevel: 1, upgradeType: 1 }],
        validateOnly: false,
      }),
    },
    {
      name: 'a feature beyond what is supported',
      key: 57,
      body: () => ({
        timeoutMs: 1000,
        featureUpdates: [{ feature: 'group.version', maxVersionLevel: 99, upgradeType: 1 }],
        validateOnly: true,
      }),
    },
    { name: 'no reassignments', key: 46, body: () => ({ timeoutMs: 1000, topics: null }) },
    {
      name: 'no reassignments of a missing topic',
      key: 46,
      body: () => ({ timeoutMs: 1000, topics: [{ name: 'missing', partitionIndexes: [0] }] }),
    },
    {
      name: 'reassign to the same',
      key: 45,
      body: () => ({ timeoutMs: 1000, topics: [{ name: 'configured.v6', partitions: [{ partitionIndex: 0, replicas: [1] }] }] }),
    },
    {
      name: 'reassign to an unknown broker',
      key: 45,
      body: () => ({ timeoutMs: 1000, topics: [{ name: 'configured.v6', partitions: [{ partitionIndex: 0, replicas: [2] }] }] }),
    },
    {
      name: 'reassign nothing to cancel',
      key: 45,
      body: () => ({ timeoutMs: 1000, topics: [{ name: 'configured.v6', partitions: [{ partitionIndex: 0, replicas: null }] }] }),
    },
    {
      name: 'reassign a missing topic',
      key: 45,
      body: () => ({ timeoutMs: 1000, topics: [{ name: 'missing', partitions: [{ partitionIndex: 0, replicas: [1] }] }] }),
    },
    {
      name: 'reassign to no replicas',
      key: 45,
      body: () => ({ timeoutMs: 1000, topics: [{ name: 'configured.v6', partitions: [{ partitionIndex: 0, replicas: [] }] }] }),
    },
    {
      name: 'elect the preferred leader',
      key: 43,
      body: () => ({ electionType: 0, topicPartitions: partition.topics, timeoutMs: 1000 }),
    },
    {
      name: 'elect uncleanly',
      key: 43,
      versions: [1, 2],
      body: () => ({ electionType: 1, topicPartitions: partition.topics, timeoutMs: 1000 }),
    },
    {
      name: 'elect for a missing topic',
      key: 43,
      body: () => ({ electionType: 0, topicPartitions: [{ topic: 'missing', partitions: [0] }], timeoutMs: 1000 }),
    },
    { name: 'elect for all', key: 43, body: () => ({ electionType: 0, topicPartitions: null, timeoutMs: 1000 }) },
    {
      name: 'elect in an unknown way',
      key: 43,
      versions: [1, 2],
      body: () => ({ electionType: 7, topicPartitions: partition.topics, timeoutMs: 1000 }),
    },
    {
      name: 'move a replica to a missing directory',
      key: 34,
      body: () => ({ dirs: [{ path: '/no/such', topics: [{ name: 'configured.v6', partitions: [0] }] }] }),
    },
    { name: 'subscriptions of telemetry', key: 71, body: () => ({ clientInstanceId: '1'.repeat(32) }) },
  ]
}
