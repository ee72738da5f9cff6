/** v3: the cluster, its topics and partitions. */

import type { TopicInfo } from '../../../broker/face.ts'
import { ApiKey } from '../../kafka/codec.ts'
import { nodeId } from '../../kafka/session.ts'
import { badRequest } from '../errors.ts'
import { check, withKafka } from '../kafka-client.ts'
import { Answer, type Call, listOf, onlyKnown, type Route } from '../route.ts'
import { base, clusterPath, list, own, related, url } from '../v3.ts'

const noId = '0'.repeat(32)
/** Kafka asks for it; nothing waits here. */
const timeoutMs = 10_000

export const clusterRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v3/clusters',
    handle: (call) => list(call, 'KafkaClusterList', '/v3/clusters', [cluster(call)]),
  },
  {
    method: 'GET',
    path: clusterPath,
    handle: (call) => {
      own(call)
      return cluster(call)
    },
  },
  {
    method: 'GET',
    path: `${clusterPath}/topics`,
    handle: (call) => {
      own(call)
      const topics = call.space.topics().filter(({ name }) => call.may('describe', name))
      return list(
        call,
        'KafkaTopicList',
        `${base(call)}/topics`,
        topics.map((each) => topic(call, each)),
      )
    },
  },
  { method: 'POST', path: `${clusterPath}/topics`, handle: createTopic },
  {
    method: 'GET',
    path: `${clusterPath}/topics/:topic`,
    handle: (call) => {
      own(call)
      return topic(call, call.topic(call.parameter('topic')))
    },
  },
  {
    method: 'DELETE',
    path: `${clusterPath}/topics/:topic`,
    handle: async (call) => {
      own(call)
      const topics = [{ name: call.topic(call.parameter('topic')).name, topicId: noId }]
      const { responses } = await withKafka(call, (kafka) => kafka.ask(ApiKey.DeleteTopics, 6, { topics, timeoutMs }))
      check(responses[0])
    },
  },
  {
    method: 'PATCH',
    path: `${clusterPath}/topics/:topic`,
    handle: async (call) => {
      own(call)
      const { name } = call.topic(call.parameter('topic'))
      const { partitions_count: count } = await call.body(['partitions_count'])
      if (!isInt(count)) throw badRequest('partitions_count must be a whole number')
      const topics = [{ name, count, assignments: null }]
      const { results } = await withKafka(call, (kafka) => kafka.ask(ApiKey.CreatePartitions, 3, { topics, timeoutMs }))
      check(results[0])
      return topic(call, call.topic(name))
    },
  },
  {
    method: 'GET',
    path: `${clusterPath}/topics/:topic/partitions`,
    handle: (call) => {
      own(call)
      const info = call.topic(call.parameter('topic'))
      const partitions = Array.from({ length: info.config.partitions }, (_, index) => partition(call, info.name, index))
      return list(call, 'KafkaPartitionList', `${base(call)}/topics/${encodeURIComponent(info.name)}/partitions`, partitions)
    },
  },
  {
    method: 'GET',
    path: `${clusterPath}/topics/:topic/partitions/:partition`,
    handle: (call) => {
      own(call)
      return partition(call, call.topic(call.parameter('topic')).name, call.partition())
    },
  },
]

function cluster(call: Call): object {
  const self = base(call)
  return {
    kind: 'KafkaCluster',
    metadata: { self: url(call, self), resource_name: `crn:///kafka=${call.broker.clusterId}` },
    cluster_id: call.broker.clusterId,
    controller: related(call, `brokers/${nodeId}`),
    acls: related(call, 'acls'),
    brokers: related(call, 'brokers'),
    broker_configs: related(call, 'broker-configs'),
    consumer_groups: related(call, 'consumer-groups'),
    topics: related(call, 'topics'),
  }
}

function topic(call: Call, { name, config }: TopicInfo): object {
  const self = `${base(call)}/topics/${encodeURIComponent(name)}`
  return {
    kind: 'KafkaTopic',
    metadata: { self: url(call, self), resource_name: `crn:///kafka=${call.broker.clusterId}/topic=${name}` },
    cluster_id: call.broker.clusterId,
    topic_name: name,
    is_internal: false,
    replication_factor: 1,
    partitions_count: config.partitions,
    partitions: { related: url(call, `${self}/partitions`) },
    configs: { related: url(call, `${self}/configs`) },
    partition_reassignments: { related: url(call, `${self}/partitions/-/reassignment`) },
  }
}

function partition(call: Call, name: string, index: number): object {
  const self = `${base(call)}/topics/${encodeURIComponent(name)}/partitions/${index}`
  return {
    kind: 'KafkaPartition',
    metadata: { self: url(call, self), resource_name: `crn:///kafka=${call.broker.clusterId}/topic=${name}/partition=${index}` },
    cluster_id: call.broker.clusterId,
    topic_name: name,
    partition_id: index,
    leader: related(call, `brokers/${nodeId}`),
    replicas: { related: url(call, `${self}/replicas`) },
    reassignment: { related: url(call, `${self}/reassignment`) },
    leader_id: nodeId,
  }
}

/** What is not said is the broker's default, as Kafka has it. */
async function createTopic(call: Call): Promise<Answer> {
  own(call)
  const body = await call.body(['topic_name', 'partitions_count', 'replication_factor', 'configs', 'validate_only'])
  const { topic_name: name, partitions_count: numPartitions = -1, replication_factor: replicationFactor = -1 } = body
  if (typeof name !== 'string') throw badRequest('topic_name must be text')
  if (!isInt(numPartitions)) throw badRequest('partitions_count must be a whole number')
  if (!isInt(replicationFactor) || Math.abs(replicationFactor) > 0x7fff)
    throw badRequest('replication_factor must be a whole number')
  const configs = body['configs'] === undefined ? [] : listOf(body, 'configs').map(configOf)
  const validateOnly = body['validate_only'] === true
  const topics = [{ name, numPartitions, replicationFactor, assignments: [], configs }]
  const answer = await withKafka(call, (kafka) => kafka.ask(ApiKey.CreateTopics, 7, { topics, timeoutMs, validateOnly }))
  const [made] = answer['topics']
  check(made)
  const shown = validateOnly ? { topic_name: name, partitions_count: made.numPartitions } : topic(call, call.topic(name))
  return new Answer({ status: 201, headers: { 'content-type': 'application/json' }, body: JSON.stringify(shown) })
}

function configOf(each: unknown): object {
  const { name, value } = onlyKnown(each, ['name', 'value'], 'a config')
  if (typeof name !== 'string' || typeof value !== 'string') throw badRequest('a config has a name and a value, both text')
  return { name, value }
}

const isInt = (value: unknown): value is number => Number.isInteger(value) && Math.abs(Number(value)) <= 0x7fffffff
