/**
 * Queues that SEND and SUBSCRIBE make when they are missing. They are RabbitMQ's: what their headers ask for is checked, and turned into a topic, by
 * the words of AMQP; durable unless they live in memory with their subscription.
 */
import { Buffer } from 'node:buffer'
import { CoreError, type Space, type TopicConfig, type TopicInfo } from '../../broker/face.ts'
import { checkArguments, queueType, topicConfig } from '../amqp/arguments.ts'
import { assertEquivalent, declarationOf } from '../amqp/declaration.ts'
import { AmqpError } from '../amqp/errors.ts'
import type { FieldValue } from '../amqp/table.ts'
import type { Headers } from './codec.ts'
import { StompError } from './errors.ts'

const text = (value: string): FieldValue => ({ type: 'S', value: Buffer.from(value.trim()) })
const number = (value: string, header: string): FieldValue => {
  if (!/^\s*-?\d{1,15}\s*$/.test(value)) throw new StompError('precondition_failed', `${header} must be a number, not '${value}'`)
  return { type: 'l', value: BigInt(value.trim()) }
}
const flag = (value: string, header: string): FieldValue => {
  if (value !== 'true' && value !== 'false')
    throw new StompError('precondition_failed', `${header} must be true or false, not '${value}'`)
  return { type: 't', value: value === 'true' }
}

/** RabbitMQ's headers for arguments of queues, and a few more of the same names. */
const queueArguments: Readonly<Record<string, (value: string, header: string) => FieldValue>> = {
  'x-queue-type': text,
  'x-message-ttl': number,
  'x-expires': number,
  'x-max-length': number,
  'x-max-length-bytes': number,
  'x-max-priority': number,
  'x-overflow': text,
  'x-dead-letter-exchange': text,
  'x-dead-letter-routing-key': text,
  'x-dead-letter-strategy': text,
  'x-delivery-limit': number,
  'x-single-active-consumer': flag,
  'x-max-age': text,
  'x-stream-max-segment-size-bytes': number,
  'x-stream-filter-size-bytes': number,
}

/** What a queue is declared as: `lasting`, or in memory for as long as somebody subscribes. */
function declareOf(name: string, headers: Headers, lasting: boolean) {
  const table = new Map<string, FieldValue>()
  for (const [header, field] of Object.entries(queueArguments)) {
    const given = headers.get(header)
    if (given !== undefined) table.set(header, field(given, header))
  }
  return {
    ticket: 0,
    queue: name,
    passive: false,
    durable: lasting && headers.get('durable') !== 'false',
    exclusive: false,
    autoDelete: !lasting || headers.get('auto-delete') === 'true',
    nowait: false,
    arguments: table,
  }
}

/** Throws {@link StompError} for what RabbitMQ would refuse. */
function inStompsWords<T>(run: () => T): T {
  try {
    return run()
  } catch (cause) {
    if (cause instanceof AmqpError) throw new StompError(cause.reply.toLowerCase(), cause.message)
    throw cause
  }
}

/** Makes the queue unless there is a topic of that name; one of another type than the headers ask for is refused. */
export async function ensureQueue(space: Space, name: string, headers: Headers, lasting = true): Promise<void> {
  const declare = declareOf(name, headers, lasting)
  const check = (present: TopicInfo): void => {
    if (declare.arguments.has('x-queue-type')) inStompsWords(() => assertEquivalent(present, declare, space.namespace))
    space.touch(name)
  }
  const present = space.topic(name)
  if (present !== undefined) return check(present)
  const config: Partial<TopicConfig> = inStompsWords(() => {
    checkArguments(declare, name, space.namespace)
    return topicConfig(declare)
  })
  // Quorum queues and streams are the same by whatever protocol they are declared; a plain queue asks nothing of who declares it again.
  const declaredBy = queueType(declare.arguments) === 'classic' ? 'stomp' : 'amqp'
  try {
    await space.createTopic(name, config, declaredBy, declarationOf(declare))
  } catch (cause) {
    const raced = space.topic(name)
    if (!(cause instanceof CoreError && cause.code === 'AlreadyExists') || raced === undefined) throw cause
    check(raced) // Somebody else was first.
  }
}
