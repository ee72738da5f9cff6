/**
 * Temporary destinations: names that mean something on one connection alone. RabbitMQ's clients only name a queue in `reply-to`, and are subscribed to it
 * by that; ActiveMQ's subscribe to it first, and have topics of that kind as well. Others see a name under which they can answer.
 */
import { randomBytes } from 'node:crypto'
import type { Headers } from './codec.ts'
import { type Destination, queueDestination, topicDestination } from './destinations.ts'
import { StompError } from './errors.ts'
import type { Session } from './session.ts'

export const temporariesMax = 1000

/** What temporary names of one connection stand for. */
export class Temporaries {
  /** Queues in memory, by the names that the client gave them. */
  readonly #queues = new Map<string, string>()
  readonly #topics = new Map<string, string>()

  /** The queue behind a name, made when there is none (any more). */
  async queue({ space }: Session, name: string): Promise<string> {
    const present = this.#queues.get(name)
    if (present !== undefined && space.topic(present) !== undefined) return present
    const queue = `stomp-reply-${randomBytes(12).toString('base64url')}`
    this.#keep(this.#queues, name, queue)
    await space.createTopic(queue, { retention: 'acknowledged', storage: 'memory', autoDelete: true }, 'stomp')
    return queue
  }

  /** The queue behind a name, if it was made. */
  queueOf(name: string): string | undefined {
    return this.#queues.get(name)
  }

  /** The address behind the name of a temporary topic. */
  topic(name: string): string {
    const present = this.#topics.get(name)
    if (present !== undefined) return present
    const address = `stomp-temporary-${randomBytes(12).toString('base64url')}.${name}`
    this.#keep(this.#topics, name, address)
    return address
  }

  #keep(names: Map<string, string>, name: string, means: string): void {
    if (names.size >= temporariesMax && !names.has(name))
      throw new StompError('resource_error', `a connection has ${temporariesMax} temporary destinations at most`)
    names.set(name, means)
  }
}

/** Where a SEND to a temporary name goes. */
export function resolved(
  { temporaries }: Session,
  destination: Destination,
): Exclude<Destination, { kind: 'temporary' | 'temporary-topic' }> {
  if (destination.kind === 'temporary-topic') return { kind: 'topic', name: temporaries.topic(destination.name) }
  if (destination.kind !== 'temporary') return destination
  const queue = temporaries.queueOf(destination.name)
  if (queue === undefined)
    throw new StompError(
      'Unknown destination',
      `this connection has no temporary queue "${destination.name}"; send to /reply-queue`,
    )
  return { kind: 'existing', name: queue }
}

/** The temporary destination in `reply-to`, if it is one. */
export function temporaryReply(headers: Headers): Destination | undefined {
  const [, kind, name = ''] = /^\/(temp-queue|temp-topic)\/(.+)$/.exec(headers.get('reply-to') ?? '') ?? []
  if (kind === undefined) return undefined
  return { kind: kind === 'temp-queue' ? 'temporary' : 'temporary-topic', name }
}

/** What others see in `reply-to`. */
export const answerableQueue = (queue: string): string => queueDestination(queue).replace('/queue/', '/reply-queue/')
export const answerableTopic = topicDestination
