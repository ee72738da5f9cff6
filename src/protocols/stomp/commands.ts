/** What each frame of a client asks for, in the broker's verbs. A command that has to wait answers a promise; the next frame comes after it. */
import { accept, CoreError, type Outcome, PublishItem } from '../../broker/face.ts'
import type { Frame, Headers } from './codec.ts'
import { type Destination, parseDestination, routeOf } from './destinations.ts'
import { StompError } from './errors.ts'
import { required, whole } from './headers.ts'
import { encodeEnvelope, formatId } from './mapping.ts'
import { ensureQueue } from './queues.ts'
import { scheduleHeaders, scheduleOf } from './schedule.ts'
import { isManagement, manage } from './schedule-management.ts'
import type { Session } from './session.ts'
import { attach, subscribe, unsubscribe } from './subscribing.ts'
import { rejected, released, type Subscription } from './subscription.ts'
import { answerableQueue, answerableTopic, resolved, temporaryReply } from './temporary.ts'

type Resolved = ReturnType<typeof resolved>

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

// --------------------------------------------------------------------------------------------------------------------- SEND

function send(session: Session, frame: Frame): Promise<void> | undefined {
  const destination = resolved(session, parseDestination(required(frame.headers, 'destination')))
  if (isManagement(destination)) return manageSchedules(session, frame)
  const missing = destination.kind === 'queue' && session.space.topic(destination.name) === undefined
  const reply = temporaryReply(frame.headers)
  if (!missing && reply === undefined && session.broker.pressure === 'none') {
    sendNow(session, frame, destination, frame.headers)
    return undefined
  }
  return sendLater(session, frame, destination, reply)
}

async function sendLater(session: Session, frame: Frame, destination: Resolved, reply: Destination | undefined): Promise<void> {
  if (destination.kind === 'queue') await ensureQueue(session.space, destination.name, frame.headers)
  const headers = await answerableHeaders(session, frame, reply)
  if (session.broker.pressure !== 'none') await session.relieved()
  sendNow(session, frame, destination, headers)
}

async function manageSchedules(session: Session, frame: Frame): Promise<void> {
  const headers = await answerableHeaders(session, frame, temporaryReply(frame.headers))
  await manage(session, { ...frame, headers })
}

async function answerableHeaders(session: Session, { headers }: Frame, reply: Destination | undefined): Promise<Headers> {
  return reply === undefined ? headers : new Map([...headers, ['reply-to', await answerable(session, reply)]])
}

/** Where others can answer to. Naming a temporary queue subscribes to it, unless that was done before. */
async function answerable(session: Session, reply: Destination): Promise<string> {
  if (reply.kind !== 'temporary') return answerableTopic(session.temporaries.topic(reply.name))
  const queue = await session.temporaries.queue(session, reply.name)
  const subscribed = [...session.subscriptions.values()].some((subscription) => subscription.topic === queue)
  if (!subscribed) attach(session, { id: `/temp-queue/${reply.name}`, ack: 'auto', topic: queue, subscription: '' }, new Map())
  return answerableQueue(queue)
}

function sendNow(session: Session, frame: Frame, destination: Resolved, headers: Headers): void {
  const item = itemFor(session, destination, headers, frame.body)
  const name = headers.get('transaction')
  if (name === undefined) return session.publish(item, frame)
  transactionOf(session, name).publish([item])
  session.receipt(frame)
}

function itemFor(session: Session, destination: Resolved, headers: Headers, body: Buffer): PublishItem {
  const [exchange, address] = routeOf(destination)
  if (destination.kind === 'existing' && session.space.topic(address) === undefined)
    throw new CoreError('NotFound', `no queue '${address}'`)
  const now = session.broker.clock.now()
  const schedule = scheduleOf(headers, now)
  const kept = schedule === null ? headers : [...headers].filter(([name]) => !scheduleHeaders.has(name))
  const item = new PublishItem(exchange, address, formatId, encodeEnvelope(kept, body))
  item.connection = session.connection.id
  item.transient = headers.get('persistent') !== 'true' && headers.get('receipt') === undefined
  item.priority = whole(headers, 'priority') ?? -1
  item.ttlMs = whole(headers, 'expiration') ?? ttlOf(whole(headers, 'expires'), now)
  const group = headers.get('JMSXGroupID')
  if (group !== undefined) item.key = Buffer.from(group)
  if (schedule !== null) {
    item.deliverAt = schedule.deliverAt
    item.repetition = schedule.repetition
  }
  return item
}

/** ActiveMQ: a time in ms since the epoch; 0 never. */
function ttlOf(expires: number | undefined, now: number): number {
  return expires === undefined || expires === 0 ? -1 : Math.max(0, expires - now)
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
