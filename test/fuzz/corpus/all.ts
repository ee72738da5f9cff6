import { amqp } from './amqp.ts'
import { beanstalkd } from './beanstalkd.ts'
import type { Corpus } from './corpus.ts'
import { disque } from './disque.ts'
import { http } from './http.ts'
import { kafka } from './kafka.ts'
import { kafkaRest, schemaRegistry } from './kafka-rest.ts'
import { mqtt, mqttWebSocket } from './mqtt.ts'
import { nats, natsWebSocket } from './nats.ts'
import { nsqd, nsqdHttp, nsqlookupd, nsqlookupdHttp } from './nsq.ts'
import { rabbitmqManagement } from './rabbitmq-management.ts'
import { rabbitmqStream } from './rabbitmq-stream.ts'
import { redis } from './redis.ts'
import { sqs } from './sqs.ts'
import { stomp, stompWebSocket } from './stomp.ts'

export const corpora: readonly Corpus[] = [
  kafka,
  amqp,
  rabbitmqStream,
  stomp,
  stompWebSocket,
  nats,
  natsWebSocket,
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
