/** v3: the broker, and where partitions are: all of them on it. */
import { nodeId } from '../../kafka/session.ts'
import { partitionNotFound, RestError } from '../errors.ts'
import type { Call, Route } from '../route.ts'
import { base, clusterPath, list, own, related, thing } from '../v3.ts'

const replicasPath = `${clusterPath}/topics/:topic/partitions/:partition/replicas`

export const brokerRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: `${clusterPath}/brokers`,
    handle: (call) => {
      own(call)
      return list(call, 'KafkaBrokerList', `${base(call)}/brokers`, [broker(call)])
    },
  },
  {
    method: 'GET',
    path: `${clusterPath}/brokers/:broker`,
    handle: (call) => {
      ownBroker(call)
      return broker(call)
    },
  },
  {
    method: 'GET',
    path: replicasPath,
    handle: (call) => {
      const one = replica(call)
      const { topic, partition } = placeOf(call)
      return list(
        call,
        'KafkaReplicaList',
        `${base(call)}/topics/${encodeURIComponent(topic)}/partitions/${partition}/replicas`,
        [one],
      )
    },
  },
  {
    method: 'GET',
    path: `${replicasPath}/:broker`,
    handle: (call) => {
      ownBroker(call)
      return replica(call)
    },
  },
]

/** Throws where the path names another broker. */
export function ownBroker(call: Call): void {
  own(call)
  if (call.parameter('broker') !== String(nodeId)) throw new RestError(404, 'Broker not found.')
}

function broker(call: Call): object {
  const advertised = call.broker.advertised('kafka')
  return thing(call, 'KafkaBroker', `brokers/${nodeId}`, `broker=${nodeId}`, {
    broker_id: nodeId,
    // Where no address is advertised, Kafka's clients are told the one that they came to, which is not known here.
    host: advertised?.host ?? null,
    port: advertised?.port ?? null,
    rack: null,
    configs: related(call, `brokers/${nodeId}/configs`),
  })
}

function placeOf(call: Call): { topic: string; partition: number } {
  own(call)
  const { name, config } = call.topic(call.parameter('topic'))
  const written = call.parameter('partition')
  if (!/^\d{1,9}$/.test(written) || Number(written) >= config.partitions) throw partitionNotFound()
  return { topic: name, partition: Number(written) }
}

function replica(call: Call): object {
  const { topic, partition } = placeOf(call)
  const path = `topics/${encodeURIComponent(topic)}/partitions/${partition}/replicas/${nodeId}`
  return thing(call, 'KafkaReplica', path, `topic=${topic}/partition=${partition}/replica=${nodeId}`, {
    topic_name: topic,
    partition_id: partition,
    broker_id: nodeId,
    is_leader: true,
    is_in_sync: true,
    broker: related(call, `brokers/${nodeId}`),
  })
}
