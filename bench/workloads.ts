/** What is measured for each protocol. */
import { amqpWorkloads, deepQueueWorkloads } from './amqp.ts'
import { beanstalkdWorkloads } from './beanstalkd.ts'
import type { Durability, Protocol } from './contender.ts'
import { kafkaWorkloads } from './kafka.ts'
import { mqttWorkloads } from './mqtt.ts'
import { natsWorkloads } from './nats.ts'
import { nsqWorkloads } from './nsq.ts'
import { redisWorkloads } from './redis.ts'
import { sqsWorkloads } from './sqs.ts'
import type { Workload } from './workload.ts'

/** `deep`: instead of the usual ones, a queue of millions that is filled and then drained. */
export function workloads(protocol: Protocol, durability: Durability, scale: number, deep: boolean): readonly Workload[] {
  if (protocol === 'kafka') return kafkaWorkloads(scale)
  if (protocol === 'mqtt') return mqttWorkloads(scale)
  if (protocol === 'nats') return natsWorkloads(scale)
  if (protocol === 'sqs') return sqsWorkloads(scale)
  if (protocol === 'redis') return redisWorkloads(scale)
  if (protocol === 'beanstalkd') return beanstalkdWorkloads(durability === 'fsync', scale)
  if (protocol === 'nsq') return nsqWorkloads(scale)
  return deep ? deepQueueWorkloads(Math.round(5_000_000 * scale)) : amqpWorkloads(scale)
}
