// A subscription that is one of a group of which one is active: it reads only from when the client has answered that it begins.
import type { OffsetSpec } from '../commands.ts'
import { Code, Refusal } from '../errors.ts'
import type { Member } from '../groups.ts'
import type { Session } from '../session.ts'
import { partitionIndex } from '../streams.ts'
import { resolveOffset, type Subscription } from '../subscription.ts'
import type { Answer } from './answer.ts'

export class ActiveConsumer implements Member {
  readonly subscription: Subscription
  /** The key of its group. */
  readonly group: string
  readonly #session: Session
  /** Subscribe is not answered yet: what the client is to hear first comes behind that. */
  #held: boolean[] | null = []

  constructor(session: Session, subscription: Subscription, group: string) {
    this.#session = session
    this.subscription = subscription
    this.group = group
  }

  notify(active: boolean): void {
    if (this.#held !== null) {
      this.#held.push(active)
      return
    }
    if (!active) this.subscription.halt()
    this.#session.sendConsumerUpdate(this, active)
  }

  /** Subscribe is answered. */
  release(): void {
    const held = this.#held ?? []
    this.#held = null
    for (const active of held) this.notify(active)
  }

  /** The client answered from where; `none`: from where it subscribed. */
  begin(answered: OffsetSpec): void {
    const { subscription } = this
    const session = this.#session
    const spec = answered.type === 'none' ? subscription.start : answered
    resolveOffset(session.space, subscription.stream, spec).then(
      (position) => {
        if (session.groups.isActive(this.group, this)) subscription.run(position)
      },
      (cause: unknown) => {
        if (!session.closed) session.subscriptionFailed(subscription, cause instanceof Error ? cause.message : String(cause))
      },
    )
  }
}

export function joinGroup(session: Session, subscription: Subscription, superStream: string | undefined): Answer {
  const { stream, name } = subscription
  const index = superStream === undefined ? -1 : partitionIndex(session.space, superStream, stream.name)
  const key = [session.space.namespace, stream.name, name].join('\u0000')
  const consumer = new ActiveConsumer(session, subscription, key)
  if (!session.groups.join(key, index, consumer))
    throw new Refusal(Code.PreconditionFailed, `the consumers "${name}" of "${stream.name}" name another super stream`)
  session.subscriptions.set(subscription.id, subscription)
  session.activeConsumers.set(subscription.id, consumer)
  session.watch(stream)
  return { after: () => consumer.release() }
}

export function stepDown(session: Session, consumer: ActiveConsumer): void {
  session.groups.steppedDown(consumer.group, consumer)
}
