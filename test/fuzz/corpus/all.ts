import { amqp } from './amqp.ts'
import { beanstalkd } from './beanstalkd.ts'
import type { Corpus } from './corpus.ts'
import { disque } from './disque.ts'
import { http } from './http.ts'
import { kafka } from './kafka.ts'
import { kafkaRest, schemaRegistry } from './kafka-rest.ts'
import { mqtt, mqttWebSocket } from './mqtt.ts'
import { nats } from './nats.ts'
import { nsqd, nsqdHttp, nsqlookupd, nsqlookupdHttp } from './nsq.ts'
import { rabbitmqManagement } from './rabbitmq-management.ts'
import { rabbitmqStream } from './rabbitmq-stream.ts'
import { redis } from './redis.ts'
import { sqs } from './sqs.ts'
import { stomp } from './stomp.ts'

export const corpora: readonly Corpus[] = [
  kafka,
  amqp,
  rabbitmqStream,
  stomp,
  nats,
  mqtt,
  mqttWebSocket,
  redis,
  beanstalkd,
  disque,
  nsqd,
  nsqdHttp,
  nsqlookupd,
  nsqlookupdHttp,
  sqs,
  rabbitmqManagement,
  kafkaRest,
  schemaRegistry,
  http,
]
