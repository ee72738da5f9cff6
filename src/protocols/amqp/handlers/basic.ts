// basic.*: consuming, getting, settling. Publishing is in publisher.ts, basic.ack in channel.ts.
import { randomBytes } from 'node:crypto'
import type { Outcome, Taken, Transaction } from '../../../broker/face.ts'
import { asCoreError } from '../../../core/errors.ts'
import { type Channel, discard, requeue } from '../channel.ts'
import { ChannelConsumer, type DeliveryOwner, deliverable } from '../consumer.ts'
import { AmqpError, named, preconditionFailed } from '../errors.ts'
import { decodeEnvelope } from '../mapping.ts'
import type { MethodFields } from '../methods.ts'
import { replyQueue } from '../reply.ts'
import { integerOf, typeName } from '../table.ts'
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

  'basic.consume'(channel, fields) {
    if (channel.consumers.has(fields.consumerTag) || (channel.replyToken !== null && channel.replyTag === fields.consumerTag)) {
      throw new AmqpError('NOT_ALLOWED', `attempt to reuse consumer tag '${fields.consumerTag}'`)
    }
    const tag = fields.consumerTag === '' ? `amq.ctag-${randomBytes(16).toString('base64url')}` : fields.consumerTag
    if (fields.queue === replyQueue) consumeReplies(channel, tag, fields.noAck)
    const consumer = fields.queue === replyQueue ? null : consume(channel, fields, tag)
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
    channel.settle(deliveryTag, multiple, again ? requeue : discard)
  },

  'basic.reject'(channel, { deliveryTag, requeue: again }) {
    channel.settle(deliveryTag, false, again ? requeue : discard)
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

function consume(channel: Channel, fields: MethodFields<'basic.consume'>, tag: string): () => void {
  const { session } = channel
  const queue = lastDeclared(channel, fields.queue)
  const topic = accessibleQueue(channel, queue)
  const given = fields.arguments.get('x-priority')
  const priority = given === undefined ? 0 : integerOf(given)
  if (priority === undefined) {
    throw preconditionFailed(
      `invalid arg 'x-priority' for ${named('queue', queue, session.vhost)}: {unacceptable_type,${given === undefined ? '' : typeName(given)}}`,
    )
  }
  const consumer = new ChannelConsumer(channel, tag, queue, fields.noAck, channel.prefetch, isQuorum(topic.declaration))
  consumer.exclusive = fields.exclusive
  consumer.arguments = fields.arguments
  try {
    const core = session.space.subscribe(
      {
        topic: queue,
        subscription: '',
        autoSettle: fields.noAck,
        exclusive: fields.exclusive,
        priority,
        name: tag,
        connection: session.connection.id,
      },
      consumer,
    )
    channel.consumers.set(tag, consumer)
    return () => consumer.attach(core)
  } catch (cause) {
    if (asCoreError(cause).code === 'Mismatch')
      throw new AmqpError('ACCESS_REFUSED', `${named('queue', queue, session.vhost)} in exclusive use`)
    throw cause
  }
}

const isQuorum = (declaration: Readonly<Record<string, unknown>>): boolean => {
  const declared = declaration.arguments as Readonly<Record<string, readonly [string, string]>> | undefined
  return declared?.['x-queue-type']?.[1] === 'quorum'
}

/** What basic.get took: settled by itself, outside every prefetch. */
class TakenOwner implements DeliveryOwner {
  readonly limited = false
  readonly #taken: Taken
  constructor(taken: Taken) {
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
  const topic = accessibleQueue(channel, queue)
  const quorum = isQuorum(topic.declaration)
  return new Promise((resolve) => {
    session.space.take(queue, noAck, (taken) => {
      if (taken === null) {
        if (channel.open) session.send(channel.number, 'basic.get-empty', { clusterId: '' })
      } else if (!channel.open) {
        if (!noAck) taken.settle(requeue)
      } else {
        const bytes = deliverable(
          taken.bytes,
          taken.format,
          queue,
          taken.subject,
          taken.annotations,
          quorum && taken.redelivered ? taken.attempt - 1 : -1,
        )
        const { exchange, routingKey } = decodeEnvelope(bytes)
        const deliveryTag = noAck ? channel.unacked.skip() : channel.unacked.add(new TakenOwner(taken), 0)
        session.writeContent(
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
