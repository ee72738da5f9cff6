// Publishers: declared, asked how far they came, deleted. What they publish goes another way: publisher.ts.
import { Key } from '../commands.ts'
import { Code, Refusal } from '../errors.ts'
import { isReference } from '../names.ts'
import { findStream, requireStream } from '../streams.ts'
import { type Handlers, ok } from './answer.ts'
import { readable } from './streams.ts'

export const publishingHandlers: Handlers<
  typeof Key.DeclarePublisher | typeof Key.QueryPublisherSequence | typeof Key.DeletePublisher
> = {
  [Key.DeclarePublisher](session, { publisherId, reference, stream: name }) {
    const { principal, namespace } = session.space
    const topic = findStream(session.space, name)?.topic.name ?? name
    if (!principal.may('publish', namespace, topic))
      throw new Refusal(Code.AccessRefused, `${principal.user} may not publish to "${topic}"`)
    if (!isReference(reference)) throw new Refusal(Code.PreconditionFailed, 'the reference is longer than 255 bytes')
    if (session.broker.pressure === 'disk') throw new Refusal(Code.PreconditionFailed, 'the disk is nearly full')
    const { publishers } = session
    if (publishers.get(publisherId) !== undefined) throw new Refusal(Code.PreconditionFailed, `publisher ${publisherId} exists`)
    if (reference !== '' && publishers.hasReference(name, reference))
      throw new Refusal(Code.PreconditionFailed, `"${name}" has a publisher "${reference}" on this connection`)
    publishers.add({ id: publisherId, reference, stream: requireStream(session.space, name) })
    return ok
  },

  async [Key.QueryPublisherSequence](session, { reference, stream: name }) {
    const { topic, partition } = readable(session, name)
    const sequence = session.space.lastSequence(topic.name, partition, reference)
    // Only what is durable may be told: a publisher goes on behind it.
    await new Promise<void>((resolve, reject) =>
      session.space.begin().commit((error) => (error === null ? resolve() : reject(error))),
    )
    return { tail: (writer) => writer.i64(Math.max(0, sequence)) }
  },

  [Key.DeletePublisher](session, { publisherId }) {
    if (!session.publishers.delete(publisherId)) throw new Refusal(Code.PublisherDoesNotExist, `no publisher ${publisherId}`)
    return ok
  },
}
