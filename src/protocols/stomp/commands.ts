/** What each frame of a client asks for, in the broker's verbs. A command that has to wait answers a promise; the next frame comes after it. */
import { createHash, randomBytes } from 'node:crypto'
import { accept, CoreError, type FilterSpec, type Outcome, PublishItem, type SubscribeSpec } from '../../broker/face.ts'
import { type Frame, type Headers, Version } from './codec.ts'
import { type Destination, parseDestination, patternOf } from './destinations.ts'
import { StompError } from './errors.ts'
import { encodeEnvelope, formatId } from './mapping.ts'
import { configOf, ensureQueue } from './queues.ts'
import type { Session } from './session.ts'
import { type AckMode, rejected, released, Subscription } from './subscription.ts'

export type Command = (session: Session, frame: Frame) => Promise<void> | undefined

export const commands: Readonly<Record<string, Command>> = {
  SEND: send,
  SUBSCRIBE: subscribe,
  UNSUBSCRIBE: unsubscribe,
  ACK: (session, frame) => settle(session, frame, accept),
  // RabbitMQ: back to the queue, unless told not to; then to the dead letters.
  NACK: (session, frame) => settle(session, frame, frame.headers.get('requeue') === 'false' ? rejected : released),
  BEGIN: begin,
  COMMIT: commit,
  ABORT: abort,
  DISCONNECT: disconnect,
}

function required(headers: Headers, name: string): string {
  const value = headers.get(name)
  if (value === undefined) throw new StompError(`Missing header: ${name}`, `the frame needs the header "${name}"`)
  return value
}

// --------------------------------------------------------------------------------------------------------------------- SEND

const subjectExchange = 'amq.topic'
/** ActiveMQ's repeated schedules: not honoured, so not accepted. */
const unscheduled = ['AMQ_SCHEDULED_PERIOD', 'AMQ_SCHEDULED_REPEAT', 'AMQ_SCHEDULED_CRON'] as const

function send(session: Session, frame: Frame): Promise<void> | undefined {
  const destination = parseDestination(required(frame.headers, 'destination'))
  if (destination.kind === 'temporary')
    throw new StompError('Unknown destination', 'temporary queues are for reply-to; send to /reply-queue')
  const missing = destination.kind === 'queue' && session.space.topic(destination.name) === undefined
  const reply = temporaryReply(frame.headers)
  if (!missing && reply === undefined && session.broker.pressure === 'none') {
    sendNow(session, frame, destination, frame.headers)
    return undefined
  }
  return sendLater(session, frame, destination, reply)
}

async function sendLater(session: Session, frame: Frame, destination: Destination, reply: string | undefined): Promise<void> {
  if (destination.kind === 'queue') await ensureQueue(session.space, destination.name, frame.headers)
  let headers = frame.headers
  if (reply !== undefined) {
    const queue = await replyQueue(session, reply)
    headers = new Map([...frame.headers, ['reply-to', `/reply-queue/${queue}`]])
  }
  if (session.broker.pressure !== 'none') await session.relieved()
  sendNow(session, frame, destination, headers)
}

function sendNow(session: Session, frame: Frame, destination: Destination, headers: Headers): void {
  const item = itemFor(session, destination, headers, frame.body)
  const name = headers.get('transaction')
  if (name === undefined) return session.publish(item, frame)
  transactionOf(session, name).publish([item])
  session.receipt(frame)
}

function itemFor(session: Session, destination: Destination, headers: Headers, body: Buffer): PublishItem {
  const [exchange, address] = routeOf(destination)
  if (destination.kind === 'existing' && session.space.topic(address) === undefined)
    throw new CoreError('NotFound', `no queue '${address}'`)
  const item = new PublishItem(exchange, address, formatId, encodeEnvelope(headers, body))
  const { clock } = session.broker
  item.connection = session.connection.id
  item.transient = headers.get('persistent') !== 'true' && headers.get('receipt') === undefined
  item.priority = whole(headers, 'priority') ?? -1
  item.ttlMs = whole(headers, 'expiration') ?? ttlOf(whole(headers, 'expires'), clock.now())
  const group = headers.get('JMSXGroupID')
  if (group !== undefined) item.key = Buffer.from(group)
  for (const name of unscheduled) {
    if (headers.has(name)) throw new StompError('not_implemented', `${name}: a message is scheduled once, by AMQ_SCHEDULED_DELAY`)
  }
  const delay = whole(headers, 'AMQ_SCHEDULED_DELAY')
  if (delay !== undefined && delay > 0) item.deliverAt = clock.now() + delay
  return item
}

function routeOf(destination: Destination): readonly [string, string] {
  switch (destination.kind) {
    case 'topic':
      return [subjectExchange, destination.name]
    case 'exchange':
      return [destination.name, destination.key]
    default:
      return ['', destination.name]
  }
}

function whole(headers: Headers, name: string): number | undefined {
  const text = headers.get(name)
  if (text === undefined) return undefined
  if (!/^\d{1,15}$/.test(text)) throw new StompError('precondition_failed', `${name} must be a whole number, not '${text}'`)
  return Number(text)
}

/** ActiveMQ: a time in ms since the epoch; 0 never. */
function ttlOf(expires: number | undefined, now: number): number {
  return expires === undefined || expires === 0 ? -1 : Math.max(0, expires - now)
}

function temporaryReply(headers: Headers): string | undefined {
  const replyTo = headers.get('reply-to')
  return replyTo?.startsWith('/temp-queue/') === true ? replyTo : undefined
}

/** The queue behind a `/temp-queue/` name of this connection, with a subscription to it that the client did not have to ask for. */
async function replyQueue(session: Session, name: string): Promise<string> {
  const present = session.temporary.get(name)
  if (present !== undefined) return present
  const queue = `stomp-reply-${randomBytes(12).toString('base64url')}`
  session.temporary.set(name, queue)
  await session.space.createTopic(queue, { retention: 'acknowledged', storage: 'memory', autoDelete: true }, 'stomp')
  attach(session, { id: name, ack: 'auto', topic: queue, subscription: '' }, new Map())
  return queue
}

// ---------------------------------------------------------------------------------------------------------------- SUBSCRIBE

interface Wanted {
  readonly id: string
  readonly ack: AckMode
  readonly topic: string
  readonly subscription: string
  readonly filter?: FilterSpec
}

async function subscribe(session: Session, frame: Frame): Promise<void> {
  const { headers } = frame
  const text = required(headers, 'destination')
  const id = session.version === Version.V10 ? (headers.get('id') ?? text) : required(headers, 'id')
  if (session.subscriptions.has(id)) throw new StompError('Duplicate subscription', `there is a subscription "${id}" already`)
  const ack = headers.get('ack') ?? 'auto'
  if (ack !== 'auto' && ack !== 'client' && ack !== 'client-individual')
    throw new StompError('Invalid ack mode', `'${ack}' is none of auto, client, client-individual`)
  const destination = parseDestination(text)
  await session.published()
  const source = await sourceOf(session, destination, id, headers)
  attach(session, { id, ack, ...source }, headers)
  session.receipt(frame)
}

async function sourceOf(
  session: Session,
  destination: Destination,
  id: string,
  headers: Headers,
): Promise<Omit<Wanted, 'id' | 'ack'>> {
  const filter = filterOf(headers)
  switch (destination.kind) {
    case 'temporary':
      throw new StompError('Unknown destination', 'temporary queues are for reply-to and are subscribed to by themselves')
    case 'queue':
    case 'existing':
      // What one consumer's selector leaves, others of the queue must get; a queue here is one subscription.
      if (filter !== undefined) throw new StompError('not_implemented', 'a selector needs a /topic or /exchange destination')
      if (destination.kind === 'queue') await ensureQueue(session.space, destination.name, headers)
      else if (session.space.topic(destination.name) === undefined)
        throw new CoreError('NotFound', `no queue '${destination.name}'`)
      return { topic: destination.name, subscription: '' }
    default:
      return await queueForRoute(session, destination, id, headers, filter)
  }
}

/** A queue of the subscription's own, bound to what it asked for. */
async function queueForRoute(
  session: Session,
  destination: Destination & { kind: 'topic' | 'exchange' },
  id: string,
  headers: Headers,
  filter: FilterSpec | undefined,
): Promise<Omit<Wanted, 'id' | 'ack'>> {
  const { space } = session
  const durable = durableName(session, id, headers)
  const topic = headers.get('x-queue-name') ?? durable ?? `stomp-subscription-${randomBytes(12).toString('base64url')}`
  if (space.topic(topic) === undefined) {
    const config = configOf(headers)
    await space.createTopic(topic, durable === null ? { ...config, storage: 'memory', autoDelete: true } : config, 'stomp')
  }
  const [exchange, key] = routeOf(destination)
  const pattern = destination.kind === 'topic' ? patternOf(key) : key
  await space.bind({ source: exchange, destination: topic, destinationKind: 'topic', key: pattern, arguments: {} })
  if (filter === undefined) return { topic, subscription: '' }
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

function attach(session: Session, wanted: Wanted, headers: Headers): void {
  const prefetch = whole(headers, 'prefetch-count') ?? whole(headers, 'activemq.prefetchSize') ?? 0
  const { id, ack } = wanted
  const subscription = new Subscription(session, { id, number: session.nextNumber(), ack, prefetch })
  const spec: SubscribeSpec = {
    topic: wanted.topic,
    subscription: wanted.subscription,
    autoSettle: ack === 'auto',
    exclusive: headers.get('exclusive') === 'true' || headers.get('activemq.exclusive') === 'true',
    priority: whole(headers, 'activemq.priority') ?? 0,
    name: id,
    connection: session.connection.id,
    ...(wanted.filter === undefined ? {} : { filter: wanted.filter }),
  }
  subscription.attach(session.space.subscribe(spec, subscription))
  session.subscriptions.set(id, subscription)
}

async function unsubscribe(session: Session, frame: Frame): Promise<void> {
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

// ---------------------------------------------------------------------------------------------------------------- ACK, NACK

function settle(session: Session, frame: Frame, outcome: Outcome): undefined {
  const { headers } = frame
  const messageId = headers.get('id') ?? required(headers, 'message-id')
  const found = find(session, headers.get('subscription'), messageId)
  if (found === undefined) throw new StompError('Message not found', `no message "${messageId}" waits for its acknowledgement`)
  const name = headers.get('transaction')
  found.subscription.settle(found.handle, outcome, name === undefined ? undefined : transactionOf(session, name))
  session.receipt(frame)
  return undefined
}

function find(
  session: Session,
  id: string | undefined,
  messageId: string,
): { subscription: Subscription; handle: number } | undefined {
  for (const subscription of session.subscriptions.values()) {
    if (id !== undefined && subscription.id !== id) continue
    const handle = subscription.handleOf(messageId)
    if (handle !== undefined) return { subscription, handle }
  }
  return undefined
}

// ------------------------------------------------------------------------------------------------------------- transactions

function transactionOf(session: Session, name: string) {
  const transaction = session.transactions.get(name)
  if (transaction === undefined) throw new StompError('Invalid transaction', `there is no transaction "${name}"`)
  return transaction
}

function begin(session: Session, frame: Frame): undefined {
  const name = required(frame.headers, 'transaction')
  if (session.transactions.has(name)) throw new StompError('Invalid transaction', `there is a transaction "${name}" already`)
  session.transactions.set(name, session.space.begin())
  session.receipt(frame)
  return undefined
}

async function commit(session: Session, frame: Frame): Promise<void> {
  const name = required(frame.headers, 'transaction')
  const transaction = transactionOf(session, name)
  session.transactions.delete(name)
  await new Promise<void>((resolve, reject) => {
    transaction.commit((error) => (error === null ? resolve() : reject(error)))
  })
  session.receipt(frame)
}

function abort(session: Session, frame: Frame): undefined {
  const name = required(frame.headers, 'transaction')
  transactionOf(session, name).abort()
  session.transactions.delete(name)
  session.receipt(frame)
  return undefined
}

async function disconnect(session: Session, frame: Frame): Promise<void> {
  await session.published()
  session.disconnect(frame)
}
