/** Reading and changing configs. */
import type { Message } from '../../../src/protocols/kafka/schema.ts'
import { type Case, configs, expecting } from './case.ts'

const ResourceType = { Topic: 2, Broker: 4, BrokerLogger: 8, ClientMetrics: 16, GroupConfig: 32 } as const

export function configCases(): Case[] {
  const describe =
    (resourceType: number, resourceName: string, configurationKeys: string[] | null = null, more: object = {}) =>
    (): Message => ({
      resources: [{ resourceType, resourceName, configurationKeys }],
      includeSynonyms: true,
      includeDocumentation: true,
      ...more,
    })
  const set =
    (name: string, values: object[], more: object = {}, resourceType: number = ResourceType.Topic) =>
    (): Message => ({
      resources: [{ resourceType, resourceName: name, configs: values }],
      validateOnly: false,
      ...more,
    })
  const one = (name: string, value: string | null, configOperation = 0): object => ({ name, value, configOperation })
  const values: [string, string][] = [
    ['cleanup.policy', 'compact,delete'],
    ['retention.ms', '3600000'],
    ['retention.bytes', '1073741824'],
    ['segment.bytes', '16777216'],
    ['max.message.bytes', '2097152'],
    ['message.timestamp.type', 'LogAppendTime'],
    ['message.timestamp.before.max.ms', '86400000'],
    ['message.timestamp.after.max.ms', '86400000'],
    ['compression.type', 'zstd'],
    ['min.insync.replicas', '1'],
    ['delete.retention.ms', '86400000'],
  ]
  const wrong: [string, string][] = [
    ['retention.ms', '-2'],
    ['retention.ms', ''],
    ['retention.bytes', 'many'],
    ['segment.bytes', '10'],
    ['max.message.bytes', '2147483648'],
    ['message.timestamp.type', 'Yesterday'],
    ['compression.type', 'rar'],
    ['min.insync.replicas', '0'],
    ['cleanup.policy', 'shred'],
    ['preallocate', 'maybe'],
    ['min.cleanable.dirty.ratio', '2'],
    ['no.such.config', '1'],
  ]
  const dynamic = ['message.max.bytes', 'log.retention.ms', 'log.cleanup.policy']
  const brokerCases = (level: string): Case[] => {
    const change = (name: string, values: object[], more: object = {}): Case => ({
      name: `${name}, of broker "${level}"`,
      key: 44,
      versions: [1],
      body: set(level, values, more, ResourceType.Broker),
    })
    const refused: [string, string][] = [
      ['num.partitions', '3'],
      ['log.retention.hours', '3'],
      ['transaction.max.timeout.ms', '1000'],
      ['message.max.bytes', 'many'],
      ['message.max.bytes', '-1'],
      ['log.cleanup.policy', 'shred'],
      ['log.segment.bytes', '10'],
      ['log.retention.ms', '0'],
      ['max.connections', '-1'],
      ['max.connections.per.ip', '0'],
      ['max.connections.per.ip.overrides', 'bad'],
    ]
    return [
      change('validate what is changed at run time', [one('log.retention.ms', '1000000')], { validateOnly: true }),
      ...refused.map(([name, value]) => change(`refuse ${name}=${value}`, [one(name, value)])),
      change('append to a number', [one('log.retention.ms', '1', 2)]),
      change('set to null', [one('log.retention.ms', null)]),
      change('forget what is read-only', [one('num.partitions', null, 1)]),
      change('append', [one('log.cleanup.policy', 'compact', 2)]),
      change('set', [one('message.max.bytes', `300000${level.length}`), one('log.retention.ms', '1000000')]),
    ]
  }
  /** Of some config: Kafka shows a change a moment later. */
  const has =
    (value: string) =>
    (answer: Message): boolean =>
      answer['results'][0].configs.some((config: Message) => config['value'] === value)
  return [
    {
      name: 'a fresh topic',
      key: 32,
      body: describe(ResourceType.Topic, 'created.v7'),
      until: (a) => a['results'][0].errorCode === 0,
    },
    { name: 'some keys', key: 32, body: describe(ResourceType.Topic, 'created.v7', ['retention.ms', 'no.such']) },
    { name: 'no such topic', key: 32, body: describe(ResourceType.Topic, 'missing') },
    { name: 'a name that is none', key: 32, body: describe(ResourceType.Topic, 'a b') },
    { name: 'another broker', key: 32, body: describe(ResourceType.Broker, '9') },
    { name: 'a broker that is no number', key: 32, body: describe(ResourceType.Broker, 'one') },
    { name: 'an unknown kind of resource', key: 32, body: describe(77, 'x') },
    {
      name: 'a group',
      key: 32,
      versions: [4],
      ...expecting(/configs/, 'groups have no configs of their own here'),
      body: describe(ResourceType.GroupConfig, 'g'),
    },
    { name: 'the loggers of another broker', key: 32, versions: [4], body: describe(ResourceType.BrokerLogger, '9') },
    {
      name: 'some broker configs',
      key: 32,
      versions: [4],
      ...expecting(/configs\[num\.partitions\]\.(configSource|synonyms)/, "Kafka's file says it; here it is the default"),
      body: describe(ResourceType.Broker, '1', [
        'node.id',
        'message.max.bytes',
        'num.partitions',
        'auto.create.topics.enable',
        'log.retention.ms',
        'compression.type',
        'delete.topic.enable',
        'default.replication.factor',
      ]),
    },
    {
      name: 'cluster-wide broker configs',
      key: 32,
      versions: [4],
      body: describe(ResourceType.Broker, '', ['message.max.bytes', 'log.retention.ms']),
    },
    ...values.map(
      ([name, value]): Case => ({
        name: `set ${name}=${value}`,
        key: 44,
        versions: [1],
        body: set('created.v7', [one(name, value)]),
      }),
    ),
    {
      name: 'after the changes',
      key: 32,
      body: describe(ResourceType.Topic, 'created.v7'),
      until: (a) => a['results'][0].configs.some((c: Message) => c['name'] === 'compression.type' && c['value'] === 'zstd'),
    },
    ...values.map(
      ([name]): Case => ({ name: `delete ${name}`, key: 44, versions: [1], body: set('created.v7', [one(name, null, 1)]) }),
    ),
    ...wrong.map(
      ([name, value]): Case => ({
        name: `refuse ${name}=${value}`,
        key: 44,
        versions: [1],
        body: set('created.v7', [one(name, value)]),
      }),
    ),
    { name: 'append to a list', key: 44, versions: [0, 1], body: set('created.v6', [one('cleanup.policy', 'compact', 2)]) },
    { name: 'subtract from a list', key: 44, versions: [0, 1], body: set('created.v6', [one('cleanup.policy', 'compact', 3)]) },
    { name: 'append to a number', key: 44, versions: [1], body: set('created.v6', [one('retention.ms', '1', 2)]) },
    {
      name: 'an unknown operation',
      key: 44,
      versions: [1],
      ...expecting(/error/, 'Kafka fails on it; here it is refused as invalid'),
      body: set('created.v6', [one('retention.ms', '1', 9)]),
    },
    { name: 'set to null', key: 44, versions: [1], body: set('created.v6', [one('retention.ms', null)]) },
    {
      name: 'the same config twice',
      key: 44,
      versions: [1],
      body: set('created.v6', [one('retention.ms', '1'), one('retention.ms', '2')]),
    },
    {
      name: 'the same topic twice',
      key: 44,
      versions: [1],
      body: () => ({
        resources: [1, 2].map(() => ({ resourceType: 2, resourceName: 'created.v6', configs: [one('retention.ms', '1')] })),
        validateOnly: false,
      }),
    },
    {
      name: 'validate only',
      key: 44,
      versions: [0, 1],
      body: set('created.v6', [one('retention.ms', '5')], { validateOnly: true }),
    },
    { name: 'a missing topic', key: 44, versions: [0, 1], body: set('missing', [one('retention.ms', '5')]) },
    {
      name: 'another broker',
      key: 44,
      versions: [1],
      body: set('9', [one('log.cleaner.threads', '1')], {}, ResourceType.Broker),
    },
    { name: 'an unknown kind of resource', key: 44, versions: [1], body: set('x', [one('a', 'b')], {}, 77) },
    { name: 'a read-only broker config', key: 44, versions: [1], body: set('1', [one('node.id', '2')], {}, ResourceType.Broker) },
    // The one broker last: what was set for all is known where this is.
    ...['', '1'].flatMap((level) => brokerCases(level)),
    {
      name: 'the broker with both',
      key: 32,
      versions: [4],
      body: describe(ResourceType.Broker, '1', dynamic),
      until: has('3000001'),
    },
    {
      name: 'all brokers with theirs',
      key: 32,
      versions: [4],
      body: describe(ResourceType.Broker, '', dynamic),
      until: has('3000000'),
    },
    {
      name: 'a topic that follows',
      key: 32,
      versions: [4],
      body: describe(ResourceType.Topic, 'created.v7', ['retention.ms', 'max.message.bytes', 'segment.ms', 'cleanup.policy']),
      until: has('3000001'),
    },
    ...['1', ''].map(
      (level): Case => ({
        name: `forget them, of broker "${level}"`,
        key: 44,
        versions: [1],
        body: set(
          level,
          dynamic.map((name) => one(name, null, 1)),
          {},
          ResourceType.Broker,
        ),
      }),
    ),
    {
      name: 'a topic that followed',
      key: 32,
      body: describe(ResourceType.Topic, 'created.v7'),
      until: has('1048588'),
    },
    { name: 'all at once', key: 33, body: set('created.v5', configs({ 'retention.ms': '7200000', 'cleanup.policy': 'delete' })) },
    { name: 'all at once, refused', key: 33, body: set('created.v5', configs({ 'retention.ms': 'x' })) },
    {
      name: 'all at once, validated',
      key: 33,
      body: set('created.v5', configs({ 'retention.ms': '1' }), { validateOnly: true }),
    },
    { name: 'all at once, missing topic', key: 33, body: set('missing', configs({ 'retention.ms': '1' })) },
    {
      name: 'after all at once',
      key: 32,
      versions: [4],
      body: describe(ResourceType.Topic, 'created.v5'),
    },
    { name: 'client metrics only', key: 74, versions: [0], body: () => ({}) },
    {
      name: 'every kind',
      key: 74,
      versions: [1],
      body: () => ({ resourceTypes: [] }),
      differs: [{ path: /configResources/, why: 'the topics that each has by now' }],
    },
    {
      name: 'groups and loggers',
      key: 74,
      versions: [1],
      body: () => ({ resourceTypes: [ResourceType.GroupConfig, ResourceType.BrokerLogger] }),
    },
    { name: 'an unknown kind', key: 74, versions: [1], body: () => ({ resourceTypes: [77] }) },
  ]
}
