/** SUBSCRIBE and UNSUBSCRIBE: what a destination and its headers ask of the broker, in both dialects. */
import { createHash, randomBytes } from 'node:crypto'
import { CoreError, type FilterSpec, type StartAt, type SubscribeSpec } from '../../broker/face.ts'
import type { StreamReader } from '../amqp/stream.ts'
import { type Frame, type Headers, Version } from './codec.ts'
import { type Destination, parseDestination, patternOf, routeOf } from './destinations.ts'
import { StompError } from './errors.ts'
import { required, whole } from './headers.ts'
import { ensureQueue } from './queues.ts'
import type { Session } from './session.ts'
import { readsAsStream, streamPlace } from './stream-reader.ts'
import { type AckMode, Subscription } from './subscription.ts'

/** What a subscription reads. */
interface Source {
  readonly topic: string
  readonly subscription: string
  readonly filter?: FilterSpec
  /** What others of the queue get is left to them. */
  readonly selects?: FilterSpec
  /** Of streams. */
  readonly startAt?: StartAt
  readonly reader?: StreamReader
}

interface Wanted extends Source {
  readonly id: string
  readonly ack: AckMode
}

/** Asked for with `true`, these would change what is delivered, and cannot be honoured. */
const refused = {
  'activemq.noLocal': 'what this connection publishes itself reaches its subscriptions too',
  'no-local': 'what this connection publishes itself reaches its subscriptions too',
  'activemq.retroactive': 'a subscription to a topic begins with what is published from now on',
} as const

export async function subscribe(session: Session, frame: Frame): Promise<void> {
  const { headers } = frame
  const text = required(headers, 'destination')
  const id = session.version === Version.V10 ? (headers.get('id') ?? text) : required(headers, 'id')
  if (session.subscriptions.has(id)) throw new StompError('Duplicate subscription', `there is a subscription "${id}" already`)
  const ack = headers.get('ack') ?? 'auto'
  if (ack !== 'auto' && ack !== 'client' && ack !== 'client-individual')
    throw new StompError('Invalid ack mode', `'${ack}' is none of auto, client, client-individual`)
  for (const [header, why] of Object.entries(refused))
    if (headers.get(header) === 'true') throw new StompError('not_implemented', `${header}: ${why}`)
  const destination = parseDestination(text)
  await session.published()
  const source = await sourceOf(session, destination, id, headers)
  attach(session, { id, ack, ...source }, headers)
  session.receipt(frame)
}

async function sourceOf(session: Session, destination: Destination, id: string, headers: Headers): Promise<Source> {
  switch (destination.kind) {
    case 'temporary':
      return { topic: await session.temporaries.queue(session, destination.name), subscription: '' }
    case 'temporary-topic':
      return await queueForRoute(session, { kind: 'topic', name: session.temporaries.topic(destination.name) }, id, headers)
    case 'queue':
    case 'existing':
      if (destination.kind === 'queue') await ensureQueue(session.space, destination.name, headers)
      return await queueSource(session, destination.name, headers)
    default:
      return await queueForRoute(session, destination, id, headers)
  }
}

async function queueSource(session: Session, name: string, headers: Headers): Promise<Source> {
  const topic = session.space.topic(name)
  if (topic === undefined) throw new CoreError('NotFound', `no queue '${name}'`)
  const selects = filterOf(headers)
  if (!readsAsStream(topic, headers)) return { topic: name, subscription: '', ...(selects !== undefined && { selects }) }
  if (selects !== undefined) throw new StompError('not_implemented', 'a stream is read by x-stream-filter, not by a selector')
  return { topic: name, ...(await streamPlace(session, topic, headers)) }
}

/** A queue of the subscription's own, bound to what it asked for. */
async function queueForRoute(
  session: Session,
  destination: Destination & { kind: 'topic' | 'exchange' },
  id: string,
  headers: Headers,
): Promise<Source> {
  const { space } = session
  const durable = durableName(session, id, headers)
  const topic = headers.get('x-queue-name') ?? durable ?? `stomp-subscription-${randomBytes(12).toString('base64url')}`
  if (space.topic(topic) === undefined) await ensureQueue(space, topic, headers, durable !== null)
  const [exchange, key] = routeOf(destination)
  const pattern = destination.kind === 'topic' ? patternOf(key) : key
  await space.bind({ source: exchange, destination: topic, destinationKind: 'topic', key: pattern, arguments: {} })
  const filter = filterOf(headers)
  if (filter === undefined) return await queueSource(session, topic, headers)
  // Its only subscription is the one that filters; the default one would keep everything.
  await space.deleteSubscription(topic, '')
  return { topic, subscription: 'selected', filter }
}

/** RabbitMQ: `durable: true` and `auto-delete: false`; ActiveMQ: a name for the subscription and one for the client. */
function durableName(session: Session, id: string, headers: Headers): string | null {
  const name = headers.get('activemq.subscriptionName')
  if (name !== undefined) {
    if (session.clientId === '')
      throw new StompError('Missing header: client-id', 'a durable subscription needs client-id in CONNECT')
    return `stomp-durable-${digest(`${session.clientId} ${name}`)}`
  }
  if (headers.get('durable') !== 'true' || headers.get('auto-delete') === 'true') return null
  return `stomp-durable-${digest(`${session.clientId} ${id}`)}`
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 22)
}

const jmsNames = {
  JMSPriority: 'record.priority',
  JMSType: 'record.type',
  JMSCorrelationID: 'record.correlationId',
  JMSMessageID: 'record.messageId',
  JMSTimestamp: 'record.timestamp',
} as const

function filterOf(headers: Headers): FilterSpec | undefined {
  const expression = headers.get('selector')
  return expression === undefined || expression.trim() === '' ? undefined : { kind: 'selector', expression, names: jmsNames }
}

export function attach(session: Session, wanted: Wanted, headers: Headers): void {
  const prefetch = whole(headers, 'prefetch-count') ?? whole(headers, 'activemq.prefetchSize') ?? 0
  const { id, ack, topic, filter, selects, startAt } = wanted
  const reader = wanted.reader ?? null
  const subscription = new Subscription(session, { id, number: session.nextNumber(), ack, prefetch, reader })
  const spec: SubscribeSpec = {
    topic,
    subscription: wanted.subscription,
    autoSettle: ack === 'auto',
    exclusive: headers.get('exclusive') === 'true' || headers.get('activemq.exclusive') === 'true',
    priority: whole(headers, 'x-priority') ?? whole(headers, 'activemq.priority') ?? 0,
    name: id,
    connection: session.connection.id,
    ...(filter !== undefined && { filter }),
    ...(selects !== undefined && { selects }),
    ...(startAt !== undefined && { startAt, durable: false }),
  }
  subscription.attach(session.space.subscribe(spec, subscription))
  session.subscriptions.set(id, subscription)
}

export async function unsubscribe(session: Session, frame: Frame): Promise<void> {
  const { headers } = frame
  const id = headers.get('id') ?? (session.version === Version.V10 ? required(headers, 'destination') : required(headers, 'id'))
  const subscription = session.subscriptions.get(id)
  const durable = durableName(session, id, headers)
  if (subscription === undefined && durable === null)
    throw new StompError('Subscription not found', `there is no subscription "${id}"`)
  subscription?.close()
  session.subscriptions.delete(id)
  if (durable !== null && session.space.topic(durable) !== undefined) await session.space.deleteTopic(durable)
  session.receipt(frame)
}
