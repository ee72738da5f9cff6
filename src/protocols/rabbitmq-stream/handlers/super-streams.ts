// Super streams: an exchange, and a stream for each of its bindings, as RabbitMQ keeps them and AMQP clients see them.
import type { Space } from '../../../broker/face.ts'
import { Key, writeStrings } from '../commands.ts'
import { Code, Refusal } from '../errors.ts'
import type { Session } from '../session.ts'
import { checkedName, declared, findStream, orderArgument, partitionsOf, route } from '../streams.ts'
import { type Handlers, ok } from './answer.ts'
import { createStream } from './streams.ts'

/** RabbitMQ's limit. */
const partitionsMax = 1000

export const superStreamHandlers: Handlers<
  typeof Key.CreateSuperStream | typeof Key.DeleteSuperStream | typeof Key.Route | typeof Key.Partitions
> = {
  async [Key.CreateSuperStream](session, { name: given, partitions, bindingKeys, arguments: options }) {
    const name = checkedName(given)
    const streams = partitions.map(checkedName)
    check(session.space, name, streams, bindingKeys)
    declared(options)
    const undo: (() => Promise<void>)[] = []
    try {
      const declaration = { type: 'direct', arguments: { 'x-super-stream': ['bool', 'true'] } }
      const exchange = { name, kind: 'direct', durable: true, autoDelete: false, internal: false, alternate: null } as const
      await session.space.declareExchange({ ...exchange, declaration })
      undo.push(() => session.space.deleteExchange(name, false))
      for (const [index, stream] of streams.entries()) {
        await createStream(session, stream, options)
        undo.push(() => session.space.deleteTopic(stream))
        await session.space.bind({
          source: name,
          destination: stream,
          destinationKind: 'topic',
          key: bindingKeys[index] ?? '',
          arguments: { [orderArgument]: index },
        })
      }
    } catch (cause) {
      for (const each of undo.reverse()) await each()
      throw cause
    }
    return ok
  },

  async [Key.DeleteSuperStream](session, { name }) {
    const { space } = session
    const partitions = required(partitionsOf(space, name), name)
    if (space.exchange(name) === undefined) {
      await space.deleteTopic(name)
      return ok
    }
    for (const stream of partitions) requirePermission(session, 'manage', stream)
    await space.deleteExchange(name, false)
    for (const stream of partitions) await space.deleteTopic(stream)
    return ok
  },

  [Key.Route](session, { superStream, routingKey }) {
    const streams = required(route(session.space, superStream, routingKey), superStream)
    for (const stream of streams) requirePermission(session, 'publish', topicOf(session.space, stream))
    return { tail: (writer) => writeStrings(writer, streams) }
  },

  [Key.Partitions](session, { superStream }) {
    const streams = required(partitionsOf(session.space, superStream), superStream)
    const { principal, namespace } = session.space
    for (const stream of streams) {
      const topic = topicOf(session.space, stream)
      if (!principal.may('consume', namespace, topic)) requirePermission(session, 'publish', topic)
    }
    return { tail: (writer) => writeStrings(writer, streams) }
  },
}

function check(space: Space, name: string, streams: readonly string[], bindingKeys: readonly string[]): void {
  const refuse = (why: string): never => {
    throw new Refusal(Code.PreconditionFailed, `super stream "${name}": ${why}`)
  }
  if (streams.length !== bindingKeys.length) refuse(`${streams.length} partitions and ${bindingKeys.length} binding keys`)
  if (streams.length === 0 || partitionsMax < streams.length) refuse(`1 to ${partitionsMax} partitions are possible`)
  if (new Set(streams).size !== streams.length) refuse('a partition is named twice')
  const taken =
    space.exchange(name) !== undefined || partitionsOf(space, name) !== undefined
      ? name
      : streams.find((stream) => findStream(space, stream) !== undefined || space.topic(stream) !== undefined)
  if (taken !== undefined) throw new Refusal(Code.StreamAlreadyExists, `"${taken}" exists`)
}

function required(streams: string[] | undefined, superStream: string): string[] {
  if (streams === undefined) throw new Refusal(Code.StreamDoesNotExist, `no super stream "${superStream}"`)
  return streams
}

const topicOf = (space: Space, stream: string): string => findStream(space, stream)?.topic.name ?? stream

function requirePermission(session: Session, action: 'publish' | 'manage', topic: string): void {
  const { principal, namespace } = session.space
  if (!principal.may(action, namespace, topic))
    throw new Refusal(Code.AccessRefused, `${principal.user} may not ${action} "${topic}"`)
}
