// Streams as such: made, deleted, where they are, how far they reach.
import { Key, type OffsetSpec } from '../commands.ts'
import { Code, Refusal } from '../errors.ts'
import type { Session } from '../session.ts'
import { checkedName, declared, findStream, isEquivalent, requireStream, type Stream } from '../streams.ts'
import { resolveOffset } from '../subscription.ts'
import { type Handlers, ok } from './answer.ts'
import { advertised } from './connection.ts'

export const streamHandlers: Handlers<
  typeof Key.Create | typeof Key.Delete | typeof Key.Metadata | typeof Key.StreamStats | typeof Key.ResolveOffsetSpec
> = {
  async [Key.Create](session, { stream, arguments: given }) {
    await createStream(session, checkedName(stream), given)
    return ok
  },

  async [Key.Delete](session, { stream }) {
    const { topic, name } = requireStream(session.space, stream)
    if (topic.name !== name) throw new Refusal(Code.PreconditionFailed, `"${name}" is a partition of "${topic.name}"`)
    await session.space.deleteTopic(name)
    return ok
  },

  [Key.Metadata](session, { streams }) {
    const { host, port } = advertised(session)
    return {
      bare: true,
      tail: (writer) => {
        writer.u32(1)
        writer.u16(0)
        writer.string(host)
        writer.u32(port)
        writer.u32(streams.length)
        for (const name of streams) {
          const code = metadataCode(session, name)
          writer.string(name)
          writer.u16(code)
          // Broker 0 leads, and there are no replicas; no broker at all (-1) where there is no stream.
          writer.u16(code === Code.Ok ? 0 : -1)
          writer.u32(0)
        }
      },
    }
  },

  async [Key.StreamStats](session, { stream: name }) {
    const stream = readable(session, name)
    const status = session.space.status(stream.topic.name)?.partitions[stream.partition]
    const empty = status === undefined || status.startOffset === status.nextOffset
    const last = empty ? -1 : await resolveOffset(session.space, stream, { type: 'last' })
    const stats = {
      first_chunk_id: empty ? -1 : status.startOffset,
      committed_chunk_id: last,
      last_chunk_id: last,
      committed_offset: empty ? -1 : status.nextOffset - 1,
    }
    return {
      tail: (writer) => {
        writer.u32(Object.keys(stats).length)
        for (const [key, value] of Object.entries(stats)) {
          writer.string(key)
          writer.i64(value)
        }
      },
    }
  },

  async [Key.ResolveOffsetSpec](session, { stream, offset }) {
    const resolved = await resolve(session, readable(session, stream), offset)
    return {
      tail: (writer) => {
        writer.u16(4)
        writer.i64(resolved)
      },
    }
  },
}

export async function createStream(session: Session, name: string, given: ReadonlyMap<string, string>): Promise<void> {
  const { config, declaration } = declared(given)
  const present = findStream(session.space, name)?.topic ?? session.space.topic(name)
  if (present !== undefined) {
    if (isEquivalent(present, declaration)) throw new Refusal(Code.StreamAlreadyExists, `stream "${name}" exists`)
    throw new Refusal(Code.PreconditionFailed, `stream "${name}" exists with other arguments`)
  }
  await session.space.createTopic(name, config, 'amqp', declaration)
}

function metadataCode(session: Session, name: string): Code {
  const stream = findStream(session.space, name)
  if (stream === undefined) return Code.StreamDoesNotExist
  const { principal, namespace } = session.space
  const allowed = principal.may('consume', namespace, stream.topic.name) || principal.may('publish', namespace, stream.topic.name)
  return allowed ? Code.Ok : Code.AccessRefused
}

/** RabbitMQ asks for the permission first, so that names can not be probed. */
export function readable(session: Session, name: string): Stream {
  const stream = findStream(session.space, name)
  const topic = stream?.topic.name ?? name
  const { principal, namespace } = session.space
  if (!principal.may('consume', namespace, topic))
    throw new Refusal(Code.AccessRefused, `${principal.user} may not read "${topic}"`)
  return stream ?? requireStream(session.space, name)
}

function resolve(session: Session, stream: Stream, offset: OffsetSpec): Promise<number> {
  if (offset.type === 'none') throw new Refusal(Code.PreconditionFailed, 'no offset specification was given')
  return resolveOffset(session.space, stream, offset)
}
