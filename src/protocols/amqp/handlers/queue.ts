// queue.declare, bind, unbind, purge, delete. A queue is a topic kept until acknowledged, read through its default subscription.
import { randomBytes } from 'node:crypto'
import type { TopicInfo } from '../../../broker/face.ts'
import { asCoreError } from '../../../core/errors.ts'
import { checkArguments, queueType, topicConfig } from '../arguments.ts'
import type { Channel } from '../channel.ts'
import { assertEquivalent, declarationOf, declaredType } from '../declaration.ts'
import { AmqpError, locked, named, notFound, preconditionFailed } from '../errors.ts'
import type { MethodFields } from '../methods.ts'
import { repliesTo, replyPrefix, replyQueue } from '../reply.ts'
import { assertMay } from '../rights.ts'
import type { Session } from '../session.ts'
import { typedByVhost } from '../vhosts.ts'
import type { Handlers } from './all.ts'
import { bindingOf, unbindIfThere, withoutLineBreaks } from './exchange.ts'

/** Which connection owns which exclusive queue; at most one entry a topic, so the topics' limit bounds it. */
const owners = (session: Session): Map<string, Session> =>
  session.broker.shared('amqp exclusive queues', () => new Map<string, Session>())
const ownerKey = (session: Session, queue: string): string => `${session.space.namespace}\0${queue}`

export function ownedQueues(session: Session): string[] {
  return [...owners(session)].flatMap(([key, owner]) => (owner === session ? [key.slice(key.indexOf('\0') + 1)] : []))
}

/** Exclusive queues go with their connection. */
export function releaseExclusiveQueues(session: Session): void {
  const all = owners(session)
  for (const [key, owner] of all) {
    if (owner !== session) continue
    all.delete(key)
    const queue = key.slice(key.indexOf('\0') + 1)
    session.space.deleteTopic(queue).catch((cause: unknown) => {
      if (asCoreError(cause).code !== 'NotFound')
        session.broker.log.warn({ queue, cause }, 'an exclusive queue could not be deleted')
    })
  }
}

/** The queue, if this connection may use it. */
export function accessibleQueue(channel: Channel, queue: string): TopicInfo {
  const { session } = channel
  const topic = session.space.topic(queue)
  if (topic === undefined) throw notFound('queue', queue, session.vhost)
  const owner = owners(session).get(ownerKey(session, queue))
  if (owner !== undefined && owner !== session) throw locked(queue, session.vhost)
  return topic
}

/** An empty name means the queue this channel declared last. */
export function lastDeclared(channel: Channel, queue: string): string {
  if (queue !== '') return queue
  if (channel.lastQueue === '') throw new AmqpError('NOT_FOUND', 'no previously declared queue')
  return channel.lastQueue
}

function counts(channel: Channel, queue: string): { messageCount: number; consumerCount: number } {
  const status = channel.session.space.status(queue)
  const subscription = status?.subscriptions.find(({ name }) => name === '')
  if (subscription !== undefined) return { messageCount: subscription.ready, consumerCount: subscription.consumers }
  // Nobody has read it as a queue yet: everything kept would be delivered.
  return {
    messageCount: (status?.partitions ?? []).reduce((sum, { startOffset, nextOffset }) => sum + nextOffset - startOffset, 0),
    consumerCount: 0,
  }
}

type Names = 'queue.declare' | 'queue.bind' | 'queue.unbind' | 'queue.purge' | 'queue.delete'

export const queueHandlers: Handlers<Names> = {
  async 'queue.declare'(channel, fields) {
    const { broker, vhost } = channel.session
    const queue = await declare(channel, typedByVhost(fields, broker, vhost), withoutLineBreaks(fields.queue))
    channel.lastQueue = queue
    if (fields.nowait) return
    const status =
      queue.startsWith(replyPrefix) || queue === replyQueue ? { messageCount: 0, consumerCount: 1 } : counts(channel, queue)
    channel.session.send(channel.number, 'queue.declare-ok', { queue, ...status })
  },

  async 'queue.bind'(channel, fields) {
    const queue = withoutLineBreaks(lastDeclared(channel, fields.queue))
    const key = fields.queue === '' && fields.routingKey === '' ? queue : fields.routingKey
    const binding = bindingOf(channel, withoutLineBreaks(fields.exchange), queue, 'topic', key, fields.arguments)
    accessibleQueue(channel, queue)
    await channel.session.space.bind(binding)
    if (!fields.nowait) channel.session.send(channel.number, 'queue.bind-ok', {})
  },

  async 'queue.unbind'(channel, fields) {
    const queue = withoutLineBreaks(lastDeclared(channel, fields.queue))
    const key = fields.queue === '' && fields.routingKey === '' ? queue : fields.routingKey
    await unbindIfThere(
      channel.session.space,
      bindingOf(channel, withoutLineBreaks(fields.exchange), queue, 'topic', key, fields.arguments, true),
    )
    channel.session.send(channel.number, 'queue.unbind-ok', {})
  },

  async 'queue.purge'(channel, fields) {
    const queue = lastDeclared(channel, fields.queue)
    assertMay(channel.session.space, 'consume', queue)
    if (declaredType(accessibleQueue(channel, queue)) === 'stream')
      throw new AmqpError(
        'NOT_IMPLEMENTED',
        `queue.purge not supported by stream queues ${named('queue', queue, channel.session.vhost)}`,
      )
    const messageCount = await channel.session.space.purge(queue)
    if (!fields.nowait) channel.session.send(channel.number, 'queue.purge-ok', { messageCount })
  },

  async 'queue.delete'(channel, fields) {
    const { session } = channel
    session.heldCancels = []
    try {
      const messageCount = await remove(channel, fields)
      if (!fields.nowait) session.send(channel.number, 'queue.delete-ok', { messageCount })
    } finally {
      const cancels = session.heldCancels
      session.heldCancels = null
      for (const tell of cancels) tell()
    }
  },
}

/** Resolves to how many messages went with it. */
async function remove(channel: Channel, fields: MethodFields<'queue.delete'>): Promise<number> {
  const { session } = channel
  const queue = withoutLineBreaks(lastDeclared(channel, fields.queue))
  assertMay(session.space, 'delete', queue)
  // Deleting what is not there succeeds, as in RabbitMQ since 3.2.
  if (session.space.topic(queue) === undefined) return 0
  const topic = accessibleQueue(channel, queue)
  const condition = fields.ifUnused ? 'if-unused' : fields.ifEmpty ? 'if-empty' : null
  if (condition !== null && declaredType(topic) === 'quorum') {
    const why = `queue.delete operations with ${condition} flag set are not supported by quorum queues`
    throw new AmqpError('NOT_IMPLEMENTED', `cannot delete ${named('queue', queue, session.vhost)}. ${why}`)
  }
  const { messageCount, consumerCount } = counts(channel, queue)
  if (fields.ifUnused && 0 < consumerCount) throw preconditionFailed(`${named('queue', queue, session.vhost)} in use`)
  if (fields.ifEmpty && 0 < messageCount) throw preconditionFailed(`${named('queue', queue, session.vhost)} not empty`)
  await session.space.deleteTopic(queue)
  owners(session).delete(ownerKey(session, queue))
  return declaredType(topic) === 'stream' ? 0 : messageCount // RabbitMQ counts none of a stream's.
}

async function declare(channel: Channel, fields: MethodFields<'queue.declare'>, given: string): Promise<string> {
  const { session } = channel
  const { space, vhost } = session
  if (given === replyQueue || given.startsWith(replyPrefix)) {
    // Every declaration of a reply address is passive: it says whether the requester still listens.
    if (given === replyQueue ? channel.replyToken === null : !repliesTo(session.broker, given))
      throw notFound('queue', given, vhost)
    return given
  }
  if (fields.passive) {
    const named = lastDeclared(channel, given)
    assertMay(space, 'describe', named)
    accessibleQueue(channel, named)
    return named
  }
  if (given.startsWith('amq.') && space.topic(given) === undefined) {
    throw new AmqpError('ACCESS_REFUSED', `queue name '${given}' contains reserved prefix 'amq.*'`)
  }
  const type = queueType(fields.arguments)
  if (given === '' && type !== 'classic')
    throw preconditionFailed(`Cannot declare a server-named queue for type rabbit_${type}_queue`)
  const queue = given === '' ? `amq.gen-${randomBytes(16).toString('base64url')}` : given
  assertMay(space, 'create', queue)
  const present = space.topic(queue)
  if (present !== undefined) {
    assertSameOwner(channel, present, fields)
    assertEquivalent(present, fields, vhost)
    space.touch(queue)
    return queue
  }
  checkArguments(fields, queue, vhost)
  if (fields.exclusive) owners(session).set(ownerKey(session, queue), session)
  try {
    await space.createTopic(queue, topicConfig(fields), 'amqp', declarationOf(fields))
  } catch (cause) {
    if (fields.exclusive) owners(session).delete(ownerKey(session, queue))
    const raced = space.topic(queue)
    if (asCoreError(cause).code !== 'AlreadyExists' || raced === undefined) throw cause
    assertSameOwner(channel, raced, fields)
    assertEquivalent(raced, fields, vhost)
  }
  return queue
}

function assertSameOwner(channel: Channel, topic: TopicInfo, fields: MethodFields<'queue.declare'>): void {
  if (topic.declaredBy !== 'amqp') return
  const { session } = channel
  const owner = owners(session).get(ownerKey(session, topic.name))
  if (owner !== (fields.exclusive ? session : undefined)) throw locked(topic.name, session.vhost)
}
