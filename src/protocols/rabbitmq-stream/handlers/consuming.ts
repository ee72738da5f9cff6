// Subscriptions, their credit, and how far consumers say they came.
import type { Space } from '../../../broker/face.ts'
import type { Filter } from '../chunk.ts'
import { creditErrorFrame, Key, readCredit, readStoreOffset } from '../commands.ts'
import { Code, Refusal } from '../errors.ts'
import { isReference } from '../names.ts'
import type { Session } from '../session.ts'
import { findStream, type Stream } from '../streams.ts'
import { resolveOffset, Subscription } from '../subscription.ts'
import type { Reader } from '../wire.ts'
import { type Handlers, ok } from './answer.ts'
import { joinGroup } from './single-active.ts'
import { readable } from './streams.ts'

export const consumingHandlers: Handlers<typeof Key.Subscribe | typeof Key.Unsubscribe | typeof Key.QueryOffset> = {
  async [Key.Subscribe](session, { subscriptionId, stream: name, offset, credit, properties }) {
    const stream = readable(session, name)
    if (session.subscriptions.has(subscriptionId))
      throw new Refusal(Code.SubscriptionIdAlreadyExists, `subscription ${subscriptionId} exists`)
    const consumer = properties.get('name') ?? ''
    if (!isReference(consumer)) throw new Refusal(Code.PreconditionFailed, 'the name is longer than 255 bytes')
    if (offset.type === 'none') throw new Refusal(Code.PreconditionFailed, 'no offset specification was given')
    const subscription = new Subscription(session, subscriptionId, stream, offset, credit, consumer, filterIn(properties))
    if (properties.get('single-active-consumer') === 'true') {
      if (consumer === '') throw new Refusal(Code.PreconditionFailed, 'a single active consumer must have a name')
      return joinGroup(session, subscription, properties.get('super-stream'))
    }
    // Before the answer, so that whatever is published after it is read by a subscription from `next` on.
    const position = await resolveOffset(session.space, stream, offset)
    session.subscriptions.set(subscriptionId, subscription)
    session.watch(stream)
    return { after: () => subscription.run(position) }
  },

  [Key.Unsubscribe](session, { subscriptionId }) {
    const subscription = session.subscriptions.get(subscriptionId)
    if (subscription === undefined) throw new Refusal(Code.SubscriptionIdDoesNotExist, `no subscription ${subscriptionId}`)
    session.removeSubscription(subscription)
    session.unwatch(subscription.stream.name)
    return ok
  },

  [Key.QueryOffset](session, { reference, stream: name }) {
    const stream = readable(session, name)
    const stored = storedOffset(session.space, reference, stream)
    if (stored === undefined) throw new Refusal(Code.NoOffset, `"${reference}" has stored no offset for "${name}"`)
    return { tail: (writer) => writer.i64(stored) }
  },
}

/** Values as latin1, in which each byte is a character. */
function filterIn(properties: ReadonlyMap<string, string>): Filter | null {
  const values = [...properties].flatMap(([name, value]) =>
    name.startsWith('filter.') ? [Buffer.from(value).toString('latin1')] : [],
  )
  if (values.length === 0) return null
  return { values: new Set(values), matchUnfiltered: properties.get('match-unfiltered') === 'true' }
}

export function onCredit(session: Session, reader: Reader): void {
  const { subscriptionId, credit } = readCredit(reader)
  const subscription = session.subscriptions.get(subscriptionId)
  if (subscription === undefined) {
    session.connection.write(creditErrorFrame(Code.SubscriptionIdDoesNotExist, subscriptionId))
    return
  }
  subscription.credit += credit
  if (subscription.running) subscription.pump()
  // What is left over from when it was its turn counts, and is answered with an error, as in RabbitMQ.
  else session.connection.write(creditErrorFrame(Code.PreconditionFailed, subscriptionId))
}

/**
 * A stored offset is the last one a consumer has processed; a cursor of the broker is the next one to read, which is how Kafka's groups
 * and the lag in listings have it.
 */
export function onStoreOffset(session: Session, reader: Reader): void {
  const { reference, stream: name, offset } = readStoreOffset(reader)
  const stream = findStream(session.space, name)
  const refuse = (reason: string): void =>
    session.broker.log.warn(
      { protocol: 'rabbitmq-stream', peer: session.peer, reference, stream: name, reason },
      'an offset is not stored',
    )
  // There is no answer to StoreOffset: like RabbitMQ, say it in the log.
  if (stream === undefined) return refuse('there is no such stream')
  if (reference === '' || !isReference(reference)) return refuse('the reference is empty or longer than 255 bytes')
  if (!Number.isSafeInteger(offset + 1)) return refuse(`offset ${offset} is beyond 2^53`)
  const position = { topic: stream.topic.name, partition: stream.partition, offset: offset + 1, metadata: '', leaderEpoch: -1 }
  session.space.commitCursors(reference, [position], (error) => {
    if (error !== null) refuse(error.message)
  })
}

function storedOffset(space: Space, reference: string, { topic, partition }: Stream): number | undefined {
  const cursor = space.cursors(reference).find((each) => each.topic === topic.name && each.partition === partition)
  return cursor === undefined || cursor.offset < 1 ? undefined : cursor.offset - 1
}
