// basic.*: consuming, getting, settling. Publishing is in publisher.ts, basic.ack in channel.ts.

import { randomBytes } from 'node:crypto'
import type { Outcome, Taken, TopicInfo, Transaction } from '../../../broker/face.ts'
import { asCoreError } from '../../../core/errors.ts'
import { checkConsumerArguments, streamStart } from '../arguments.ts'
import { type Channel, discard, failed, putBack } from '../channel.ts'
import { ChannelConsumer, type DeliveryOwner, deliverable, returnHeaders } from '../consumer.ts'
import { writeContent } from '../content.ts'
import { declaredType, type QueueType } from '../declaration.ts'
import { AmqpError, named, preconditionFailed } from '../errors.ts'
import { decodeEnvelope } from '../mapping.ts'
import type { MethodFields } from '../methods.ts'
import { replyQueue } from '../reply.ts'
import { assertMay } from '../rights.ts'
import { placeOf, StreamReader } from '../stream.ts'
import { integerOf, type Table } from '../table.ts'
import type { Handlers } from './all.ts'
import { accessibleQueue, lastDeclared } from './queue.ts'

type Names =
  | 'basic.qos'
  | 'basic.consume'
  | 'basic.cancel'
  | 'basic.cancel-ok'
  | 'basic.get'
  | 'basic.nack'
  | 'basic.reject'
  | 'basic.recover'
  | 'basic.recover-async'

export const basicHandlers: Handlers<Names> = {
  'basic.qos'(channel, { prefetchSize, prefetchCount, global }) {
    if (prefetchSize !== 0) throw new AmqpError('NOT_IMPLEMENTED', `prefetch_size!=0 (${prefetchSize})`)
    channel.sharedPrefetch = global ? prefetchCount : 0
    if (!global) channel.prefetch = prefetchCount
    channel.topUp()
    channel.session.send(channel.number, 'basic.qos-ok', {})
  },

  async 'basic.consume'(channel, fields) {
    if (channel.consumers.has(fields.consumerTag) || (channel.replyToken !== null && channel.replyTag === fields.consumerTag)) {
      throw new AmqpError('NOT_ALLOWED', `attempt to reuse consumer tag '${fields.consumerTag}'`)
    }
    const tag = fields.consumerTag === '' ? `amq.ctag-${randomBytes(16).toString('base64url')}` : fields.consumerTag
    if (fields.queue === replyQueue) consumeReplies(channel, tag, fields.noAck)
    const consumer = fields.queue === replyQueue ? null : await consume(channel, fields, tag)
    if (!fields.nowait) channel.session.send(channel.number, 'basic.consume-ok', { consumerTag: tag })
    // Only now may deliveries come.
    consumer?.()
  },

  'basic.cancel'(channel, { consumerTag, nowait }) {
    channel.consumers.get(consumerTag)?.cancel()
    channel.consumers.delete(consumerTag)
    if (channel.replyTag === consumerTag) channel.stopReplies()
    if (!nowait) channel.session.send(channel.number, 'basic.cancel-ok', { consumerTag })
  },

  // Some clients answer the server's basic.cancel.
  'basic.cancel-ok'() {},

  'basic.get'(channel, { queue, noAck }) {
    return get(channel, lastDeclared(channel, queue), noAck)
  },

  'basic.nack'(channel, { deliveryTag, multiple, requeue: again }) {
    channel.settle(deliveryTag, multiple, again ? putBack : discard)
  },

  'basic.reject'(channel, { deliveryTag, requeue: again }) {
    channel.settle(deliveryTag, false, again ? failed : discard)
  },

  'basic.recover'(channel, { requeue: again }) {
    if (!again) throw new AmqpError('NOT_IMPLEMENTED', 'requeue=false')
    channel.recover()
    channel.session.send(channel.number, 'basic.recover-ok', {})
  },

  'basic.recover-async'(channel, { requeue: again }) {
    if (!again) throw new AmqpError('NOT_IMPLEMENTED', 'requeue=false')
    channel.recover()
  },
}

function consumeReplies(channel: Channel, tag: string, noAck: boolean): void {
  if (!noAck) throw preconditionFailed('reply consumer cannot acknowledge')
  if (channel.replyToken !== null) throw preconditionFailed('reply consumer already set')
  channel.listenForReplies(tag)
}

/** RabbitMQ's default: 30 minutes. */
const consumerTimeoutMs = 1_800_000

/** Resolves to what lets deliveries begin. */
async function consume(channel: Channel, fields: MethodFields<'basic.consume'>, tag: string): Promise<() => void> {
  const { session } = channel
  const queue = lastDeclared(channel, fields.queue)
  assertMay(session.space, 'consume', queue)
  const topic = accessibleQueue(channel, queue)
  const type = readAs(topic, fields)
  checkConsumerArguments(fields.arguments, type, queue, session.vhost)
  // As in RabbitMQ: with a single active consumer nobody can have it alone.
  if (fields.exclusive && topic.config.singleActiveConsumer)
    throw new AmqpError('ACCESS_REFUSED', `${named('queue', queue, session.vhost)} in exclusive use`)
  const stream = type === 'stream' ? await streamReader(channel, topic, fields) : null
  const consumer = new ChannelConsumer(channel, tag, queue, {
    noAck: fields.noAck,
    prefetch: channel.prefetch,
    type,
    timeoutMs: () => (type === 'stream' ? 0 : timeoutOf(session.space.topic(queue) ?? topic, fields)),
    stream,
    exclusive: fields.exclusive,
    arguments: fields.arguments,
  })
  try {
    const core = session.space.subscribe(
      {
        topic: queue,
        subscription: stream === null ? '' : `reader ${session.connection.id}.${channel.number} ${tag}`,
        ...(stream === null ? {} : { durable: false, startAt: stream.startAt }),
        autoSettle: fields.noAck,
        exclusive: fields.exclusive,
        priority: integerIn(fields.arguments, 'x-priority') ?? 0,
        name: tag,
        connection: session.connection.id,
      },
      consumer,
    )
    channel.consumers.set(tag, consumer)
    channel.watch(consumer.timeoutMs)
    return () => consumer.attach(core)
  } catch (cause) {
    if (asCoreError(cause).code === 'Mismatch')
      throw new AmqpError('ACCESS_REFUSED', `${named('queue', queue, session.vhost)} in exclusive use`)
    throw cause
  }
}

/** A topic that another protocol keeps by time is read as a stream by who says where to begin, and else as a queue. */
function readAs(topic: TopicInfo, fields: MethodFields<'basic.consume'>): QueueType {
  const kept = topic.declaredBy !== 'amqp' && topic.config.retention === 'time' && topic.config.partitions === 1
  return kept && fields.arguments.has('x-stream-offset') ? 'stream' : declaredType(topic)
}

async function streamReader(channel: Channel, topic: TopicInfo, fields: MethodFields<'basic.consume'>): Promise<StreamReader> {
  const { session } = channel
  const what = named('queue', topic.name, session.vhost)
  if (channel.prefetch === 0) throw preconditionFailed(`consumer prefetch count is not set for stream ${what}`)
  if (fields.noAck) throw new AmqpError('NOT_IMPLEMENTED', `automatic acknowledgement not supported by stream ${what}`)
  if (channel.sharedPrefetch !== 0) throw new AmqpError('NOT_IMPLEMENTED', `${what} does not support global qos`)
  const start = streamStart(fields.arguments.get('x-stream-offset')) ?? 'next' // checked with the other arguments
  const place = await placeOf(session.space, topic, start, session.broker.clock.now())
  return new StreamReader(place, fields.arguments)
}

function integerIn(table: Table, name: string): number | undefined {
  const field = table.get(name)
  return field === undefined ? undefined : integerOf(field)
}

/** The consumer's own time, else the queue's (by argument or policy), else RabbitMQ's default. */
function timeoutOf(topic: TopicInfo, fields?: MethodFields<'basic.consume'>): number {
  const own = fields === undefined ? undefined : integerIn(fields.arguments, 'x-consumer-timeout')
  const { settleTimeoutMs } = topic.config
  return own ?? (settleTimeoutMs < 0 ? consumerTimeoutMs : settleTimeoutMs)
}

/** What basic.get took: settled by itself, outside every prefetch. */
class TakenOwner implements DeliveryOwner {
  readonly limited = false
  readonly timeoutMs: number
  readonly #taken: Taken
  constructor(taken: Taken, timeoutMs: number) {
    this.timeoutMs = timeoutMs
    this.#taken = taken
  }
  settle(_handles: readonly number[], outcome: Outcome, transaction?: Transaction): void {
    if (transaction === undefined) this.#taken.settle(outcome)
    else this.#taken.settle(outcome, transaction)
  }
  settled(): void {}
  close(): void {}
}

function get(channel: Channel, queue: string, noAck: boolean): Promise<void> {
  const { session } = channel
  assertMay(session.space, 'consume', queue)
  const topic = accessibleQueue(channel, queue)
  const type = declaredType(topic)
  const what = named('queue', queue, session.vhost)
  if (type === 'stream') throw new AmqpError('NOT_IMPLEMENTED', `basic.get not supported by stream queues ${what}`)
  if (topic.config.singleActiveConsumer && type === 'quorum') {
    const why = `basic.get operations are not supported by ${type} queues with single active consumer`
    throw new AmqpError('RESOURCE_LOCKED', `cannot obtain access to locked ${what}. ${why}`)
  }
  return new Promise((resolve) => {
    session.space.take(queue, noAck, (taken) => {
      if (taken === null) {
        if (channel.open) session.send(channel.number, 'basic.get-empty', { clusterId: '' })
      } else if (!channel.open) {
        if (!noAck) taken.settle(putBack)
      } else {
        const bytes = deliverable(
          taken.bytes,
          taken.format,
          queue,
          taken.subject,
          taken.annotations,
          type === 'quorum' ? returnHeaders(taken.handedOut, taken.attempt) : [],
        )
        const { exchange, routingKey } = decodeEnvelope(bytes)
        const owner = new TakenOwner(taken, timeoutOf(topic))
        if (!noAck) channel.watch(owner.timeoutMs)
        const deliveryTag = noAck ? channel.unacked.skip() : channel.unacked.add(owner, 0, session.now)
        writeContent(
          session,
          channel.number,
          'basic.get-ok',
          { deliveryTag, redelivered: taken.redelivered, exchange, routingKey, messageCount: taken.remaining },
          bytes,
        )
      }
      resolve()
    })
  })
}
