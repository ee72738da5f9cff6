/** Queues that SEND and SUBSCRIBE make when they are missing, and what their headers ask of them. */
import { CoreError, type Space, type TopicConfig } from '../../broker/face.ts'
import type { Headers } from './codec.ts'
import { StompError } from './errors.ts'

interface Setting {
  readonly key: keyof TopicConfig
  readonly read: (text: string, header: string) => unknown
}

const count = (text: string, header: string): number => {
  if (!/^\d{1,15}$/.test(text)) throw new StompError('precondition_failed', `${header} must be a number, not '${text}'`)
  return Number(text)
}
const overflows: Readonly<Record<string, TopicConfig['overflow']>> = {
  'drop-head': 'dropOldest',
  'reject-publish': 'refuse',
  'reject-publish-dlx': 'refuseDeadLetter',
}

/** RabbitMQ's headers for queue arguments, each enforced by the broker. */
const settings: Readonly<Record<string, Setting>> = {
  'x-message-ttl': { key: 'recordTtlMs', read: count },
  'x-expires': { key: 'expiresMs', read: count },
  'x-max-length': { key: 'recordsMax', read: count },
  'x-max-length-bytes': { key: 'bytesMax', read: count },
  'x-max-priority': { key: 'priorityLevels', read: (text, header) => count(text, header) + 1 },
  'x-overflow': {
    key: 'overflow',
    read: (text, header) => {
      const overflow = overflows[text]
      if (overflow === undefined) throw new StompError('precondition_failed', `${header} cannot be '${text}'`)
      return overflow
    },
  },
  'x-single-active-consumer': { key: 'singleActiveConsumer', read: (text) => text === 'true' },
}

/** Arguments that other queues of RabbitMQ take and that cannot be asked for over STOMP here. */
const refused = ['x-queue-type', 'x-stream-offset', 'x-max-age', 'x-dead-letter-strategy'] as const

export function configOf(headers: Headers): Partial<TopicConfig> {
  const config: Record<string, unknown> = { retention: 'acknowledged' }
  for (const [header, { key, read }] of Object.entries(settings)) {
    const text = headers.get(header)
    if (text !== undefined) config[key] = read(text, header)
  }
  const exchange = headers.get('x-dead-letter-exchange')
  const routingKey = headers.get('x-dead-letter-routing-key')
  if (exchange !== undefined) config['deadLetter'] = { exchange, routingKey: routingKey ?? null }
  else if (routingKey !== undefined)
    throw new StompError('precondition_failed', 'x-dead-letter-routing-key needs x-dead-letter-exchange')
  for (const header of refused) {
    const text = headers.get(header)
    if (text !== undefined && text !== 'classic')
      throw new StompError('not_implemented', `declare the queue over AMQP for ${header}: ${text}, then use /amq/queue`)
  }
  return config as Partial<TopicConfig>
}

/** Makes the queue unless there is a topic of that name. */
export async function ensureQueue(space: Space, name: string, headers: Headers): Promise<void> {
  if (space.topic(name) !== undefined) return space.touch(name)
  try {
    await space.createTopic(name, configOf(headers), 'stomp')
  } catch (cause) {
    // Somebody else was first.
    if (!(cause instanceof CoreError && cause.code === 'AlreadyExists')) throw cause
  }
}
