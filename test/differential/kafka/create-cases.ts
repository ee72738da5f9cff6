/** Creating topics: what is accepted and what is refused. Later cases use these topics. */
import type { Message } from '../../../src/protocols/kafka/schema.ts'
import { type Case, configs, create, type World } from './case.ts'

const topicIdsOf =
  (field: string) =>
  (answer: Message, world: World): void => {
    for (const topic of answer[field] as Message[])
      if (topic['topicId'] !== undefined) world.topicIds.set(topic['name'], topic['topicId'])
  }

export function createCases(): Case[] {
  const refused: [string, string, object][] = [
    ['name with a space', 'a b', {}],
    ['name of dots', '..', {}],
    ['empty name', '', {}],
    ['name of 250 characters', 'n'.repeat(250), {}],
    ['no partitions', 'bad.partitions', { numPartitions: 0 }],
    ['three replicas', 'bad.replicas', { replicationFactor: 3 }],
    ['no replicas', 'bad.noreplicas', { replicationFactor: 0 }],
    [
      'assignment to an unknown broker',
      'bad.assign',
      { numPartitions: -1, replicationFactor: -1, assignments: [{ partitionIndex: 0, brokerIds: [7] }] },
    ],
    ['assignment and a count', 'bad.both', { numPartitions: 1, assignments: [{ partitionIndex: 0, brokerIds: [1] }] }],
    [
      'assignment with a gap',
      'bad.gap',
      { numPartitions: -1, replicationFactor: -1, assignments: [{ partitionIndex: 1, brokerIds: [1] }] },
    ],
    ['unknown config', 'bad.config', { configs: configs({ 'no.such.config': '1' }) }],
    ['config of the wrong type', 'bad.config', { configs: configs({ 'retention.ms': 'long' }) }],
    ['config out of range', 'bad.config', { configs: configs({ 'max.message.bytes': '-1' }) }],
    ['config with a null value', 'bad.config', { configs: configs({ 'retention.ms': null }) }],
    ['wrong cleanup policy', 'bad.config', { configs: configs({ 'cleanup.policy': 'shred' }) }],
  ]
  return [
    { name: 'one topic', key: 19, body: (_, v) => create(`created.v${v}`, { numPartitions: 2 })(), learn: topicIdsOf('topics') },
    { name: 'the same again', key: 19, body: (_, v) => create(`created.v${v}`, {})() },
    {
      name: 'by assignment',
      key: 19,
      body: (_, v) =>
        create(`assigned.v${v}`, {
          numPartitions: -1,
          replicationFactor: -1,
          assignments: [
            { partitionIndex: 0, brokerIds: [1] },
            { partitionIndex: 1, brokerIds: [1] },
          ],
        })(),
    },
    {
      name: 'by defaults',
      key: 19,
      versions: [4, 7],
      body: (_, v) => create(`default.v${v}`, { numPartitions: -1, replicationFactor: -1 })(),
    },
    {
      name: 'with configs',
      key: 19,
      body: (_, v) => create(`configured.v${v}`, { configs: configs({ 'retention.ms': '1000', 'cleanup.policy': 'compact' }) })(),
    },
    { name: 'validate only', key: 19, versions: [7], body: create('validated', {}, { validateOnly: true }) },
    { name: 'validate only, existing', key: 19, versions: [7], body: create('created.v7', {}, { validateOnly: true }) },
    { name: 'a name that collides', key: 19, versions: [7], body: create('created_v7', {}) },
    {
      name: 'the same name twice',
      key: 19,
      versions: [7],
      body: () => {
        const one = create('twice', {})()['topics'][0]
        return { topics: [one, one], timeoutMs: 1000 }
      },
    },
    ...refused.map(([name, topic, fields]): Case => ({ name, key: 19, versions: [2, 7], body: create(topic, fields) })),
    { name: 'no topics', key: 19, body: () => ({ topics: [], timeoutMs: 1000 }) },
  ]
}
