// What RabbitMQ's tools show of a connection: its negotiation, its channels and their consumers, the queues that are its own.
import { ownedQueues } from './handlers/queue.ts'
import { jsonOfTable } from './json.ts'
import type { Session } from './session.ts'

export interface ConnectionDescription {
  readonly family: 'amqp'
  readonly vhost: string
  readonly mechanism: string
  readonly channelMax: number
  readonly frameMax: number
  readonly heartbeatSeconds: number
  readonly clientProperties: Record<string, unknown>
  readonly exclusiveQueues: readonly string[]
  readonly channels: readonly ChannelDescription[]
}

export interface ChannelDescription {
  readonly number: number
  readonly prefetch: number
  readonly sharedPrefetch: number
  readonly confirm: boolean
  readonly transactional: boolean
  readonly unacknowledged: number
  readonly unconfirmed: number
  readonly consumers: readonly ConsumerDescription[]
}

export interface ConsumerDescription {
  readonly tag: string
  readonly queue: string
  readonly noAck: boolean
  readonly exclusive: boolean
  readonly active: boolean
  readonly prefetch: number
  /** 0: none. */
  readonly timeoutMs: number
  readonly arguments: Record<string, unknown>
}

export function describe(session: Session): ConnectionDescription {
  return {
    family: 'amqp',
    vhost: session.vhost,
    ...session.negotiated,
    clientProperties: jsonOfTable(session.clientProperties),
    exclusiveQueues: ownedQueues(session),
    channels: [...session.channels.values()].map((channel) => ({
      number: channel.number,
      prefetch: channel.prefetch,
      sharedPrefetch: channel.sharedPrefetch,
      confirm: channel.publisher.confirming,
      transactional: channel.publisher.transactional,
      unacknowledged: channel.unacked.count,
      unconfirmed: channel.publisher.unconfirmed,
      consumers: [...channel.consumers.values()].map((consumer) => ({
        tag: consumer.tag,
        queue: consumer.queue,
        noAck: consumer.noAck,
        exclusive: consumer.exclusive,
        active: consumer.active,
        prefetch: consumer.prefetch,
        timeoutMs: consumer.timeoutMs,
        arguments: jsonOfTable(consumer.arguments),
      })),
    })),
  }
}
