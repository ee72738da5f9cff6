/** v3: the cluster, its topics and partitions. */

import type { TopicInfo } from '../../../broker/face.ts'
import { BrokerConfigs } from '../../kafka/broker-configs.ts'
import { configFrom, declarationWith } from '../../kafka/config.ts'
import { collidingTopic, isTopicName } from '../../kafka/names.ts'
import { ConfigRefused } from '../../kafka/refused.ts'
import { nodeId } from '../../kafka/session.ts'
import { badRequest, denied, partitionNotFound, RestError } from '../errors.ts'
import { Answer, type Call, listOf, onlyKnown, type Route } from '../route.ts'
import { base, clusterPath, list, own, related, url } from '../v3.ts'

const partitionsMax = 10_000

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
      const { name } = call.topic(call.parameter('topic'))
      if (!call.may('delete', name)) throw denied(`${call.principal.user} may not delete "${name}"`)
      await call.space.deleteTopic(name)
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
      const { name, config } = call.topic(call.parameter('topic'))
      const written = call.parameter('partition')
      if (!/^\d{1,9}$/.test(written) || Number(written) >= config.partitions) throw partitionNotFound()
      return partition(call, name, Number(written))
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
    leader_id: nodeId,
  }
}

async function createTopic(call: Call): Promise<Answer> {
  own(call)
  const body = await call.body(['topic_name', 'partitions_count', 'replication_factor', 'configs', 'validate_only'])
  const {
    topic_name: name,
    partitions_count: partitions = 1,
    replication_factor: factor = 1,
    validate_only: validateOnly = false,
  } = body
  if (typeof name !== 'string' || !isTopicName(name)) throw badRequest('topic_name must be 1 to 249 of a-z A-Z 0-9 . _ -')
  if (!Number.isInteger(partitions) || Number(partitions) < 1 || Number(partitions) > partitionsMax)
    throw new RestError(40002, `partitions_count must be 1 to ${partitionsMax}`)
  if (factor !== 1 && factor !== -1)
    throw new RestError(40002, `Unable to replicate the partition ${String(factor)} time(s): there is 1 broker.`)
  if (!call.may('create', name)) throw denied(`${call.principal.user} may not create "${name}"`)
  if (call.space.topic(name) !== undefined) throw new RestError(40002, `Topic '${name}' already exists.`)
  const other = collidingTopic(call.space, name)
  if (other !== undefined) throw new RestError(40002, `Topic '${name}' collides with existing topic: ${other}`)
  const set: Record<string, string> = {}
  for (const each of body['configs'] === undefined ? [] : listOf(body, 'configs')) {
    const { name: config, value } = onlyKnown(each, ['name', 'value'], 'a config')
    if (typeof config !== 'string' || typeof value !== 'string') throw badRequest('a config has a name and a value, both text')
    set[config] = value
  }
  try {
    const config = { ...configFrom(set, BrokerConfigs.of(call.broker)), partitions: Number(partitions) }
    if (validateOnly !== true) await call.space.createTopic(name, config, 'kafka', declarationWith({}, set))
  } catch (cause) {
    if (cause instanceof ConfigRefused) throw new RestError(40002, cause.message)
    throw cause
  }
  const shown = validateOnly === true ? { topic_name: name, partitions_count: partitions } : topic(call, call.topic(name))
  return new Answer({ status: 201, headers: { 'content-type': 'application/json' }, body: JSON.stringify(shown) })
}
