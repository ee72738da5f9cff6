/** Groups without members, and what every client asks first. */
import type { Message } from '../../../src/protocols/kafka/schema.ts'
import type { Case } from './case.ts'

export function groupCases(): Case[] {
  const commit = (topic: string) => (): Message => ({
    groupId: 'simple',
    generationIdOrMemberEpoch: -1,
    memberId: '',
    topics: [
      {
        name: topic,
        topicId: '0'.repeat(32),
        partitions: [{ partitionIndex: 0, committedOffset: 5, committedLeaderEpoch: -1, committedMetadata: 'note' }],
      },
    ],
  })
  return [
    {
      name: 'versions',
      key: 18,
      body: () => ({ clientSoftwareName: 'x', clientSoftwareVersion: '1' }),
      differs: [{ path: /./, why: 'compared as a whole at the end' }],
    },
    {
      name: 'software without a name',
      key: 18,
      versions: [3],
      body: () => ({ clientSoftwareName: '', clientSoftwareVersion: '1' }),
      differs: [{ path: /apiKeys|Features/, why: 'compared as a whole at the end' }],
    },
    {
      name: 'a group',
      key: 10,
      versions: [0, 3, 4, 5, 6],
      body: (_, v) => (v >= 4 ? { keyType: 0, coordinatorKeys: ['simple'] } : { key: 'simple', keyType: 0 }),
      until: (a) => (a['coordinators']?.[0]?.errorCode ?? a['errorCode']) === 0,
    },
    {
      name: 'an offset of a simple consumer',
      key: 8,
      versions: [2, 5, 7, 8, 9],
      body: commit('configured.v6'),
      until: (a) => a['topics'][0].partitions[0].errorCode === 0,
    },
    { name: 'an offset of a missing topic', key: 8, versions: [8, 9], body: commit('missing') },
    {
      name: 'what was committed',
      key: 9,
      versions: [1, 5, 7],
      body: () => ({ groupId: 'simple', topics: [{ name: 'configured.v6', partitionIndexes: [0, 1] }], requireStable: false }),
    },
    { name: 'groups', key: 16, versions: [0, 3, 4, 5], body: () => ({ statesFilter: [], typesFilter: [] }) },
    { name: 'a simple group', key: 15, body: () => ({ groups: ['simple'], includeAuthorizedOperations: false }) },
    { name: 'a missing group', key: 15, body: () => ({ groups: ['missing'], includeAuthorizedOperations: false }) },
    {
      name: 'an offset',
      key: 47,
      body: () => ({ groupId: 'simple', topics: [{ name: 'configured.v6', partitions: [{ partitionIndex: 0 }] }] }),
    },
    {
      name: 'of a missing group',
      key: 47,
      body: () => ({ groupId: 'missing', topics: [{ name: 'configured.v6', partitions: [{ partitionIndex: 0 }] }] }),
    },
    { name: 'a missing group', key: 42, body: () => ({ groupsNames: ['missing'] }) },
  ]
}
