/** What a client listens to: SUB and UNSUB, by its sids. */
import { asCoreError } from '../../core/errors.ts'
import type { Client, Identity } from './client.ts'
import { NatsError, subscribeRefusal, words } from './errors.ts'
import { hasForeignWildcard, isValidSubject, matchesSubject, patternOf } from './subjects.ts'
import { Subscription, type SubscriptionHost } from './subscription.ts'

const subscriptionsMax = 100_000

export class Subscriptions {
  readonly #client: Client & SubscriptionHost
  readonly #bySid = new Map<string, Subscription>()

  constructor(client: Client & SubscriptionHost) {
    this.#client = client
  }

  get size(): number {
    return this.#bySid.size
  }

  /** Throws {@link NatsError} for what ends the connection. `queue`: '' for none. */
  subscribe({ space, user }: Identity, sid: string, subject: string, queue: string): void {
    const { publisher, options, connection } = this.#client
    // In the order of the operations: what was published before is not for it.
    publisher.flush()
    if (!isValidSubject(subject) || hasForeignWildcard(subject)) return publisher.complain(words.subject)
    // As nats-server has it: a sid that is taken stays what it is.
    if (this.#bySid.has(sid)) return publisher.done()
    if (user !== null && !user.permissions.maySubscribe(subject, queue))
      return publisher.complain(subscribeRefusal('AccessDenied', subject, queue, ''))
    if (user !== null && user.subscriptionsMax >= 0 && this.#bySid.size >= user.subscriptionsMax)
      return publisher.complain(words.subscriptions)
    if (this.#bySid.size >= subscriptionsMax) throw new NatsError(words.subscriptions)
    const subscription = new Subscription(this.#client, sid, subject, queue)
    try {
      const spec = {
        pattern: patternOf(subject),
        ...(queue === '' ? {} : { group: queue }),
        ...(options.echo ? {} : { exceptConnection: connection.id }),
      }
      subscription.attach(space.listen(spec, subscription))
    } catch (cause) {
      const { code, message } = asCoreError(cause)
      return publisher.complain(subscribeRefusal(code, subject, queue, message))
    }
    this.#bySid.set(sid, subscription)
    publisher.done()
  }

  /** `max`: so many since its SUB, not more than 0: none from now on. */
  unsubscribe(sid: string, max: number): void {
    const { publisher } = this.#client
    publisher.flush()
    const subscription = this.#bySid.get(sid)
    if (subscription !== undefined) {
      // What it was handed before is written yet, as it is where nothing waits for the end of a turn.
      subscription.limit(max > 0 ? max : subscription.handed)
      if (subscription.handed >= subscription.max) this.#bySid.delete(sid)
    }
    publisher.done()
  }

  /** It got all that it asked for. */
  forget({ sid }: Subscription): void {
    this.#bySid.delete(sid)
  }

  listensTo(subject: string): boolean {
    for (const subscription of this.#bySid.values()) if (matchesSubject(subscription.subject, subject)) return true
    return false
  }

  /**
   * A request that nobody hears is answered at once, if its client wants that: to the first of its own subscriptions that the answer would have reached.
   * null: there is none.
   */
  nobodyLine(subject: string, reply: string): Buffer | null {
    if (!this.#client.options.noResponders) return null
    for (const subscription of this.#bySid.values()) {
      // A member of a group waits for what is the group's.
      if (subscription.queue !== '' || !matchesSubject(subscription.subject, reply)) continue
      const block = Buffer.from(`NATS/1.0 503\r\nNats-Subject: ${subject}\r\n\r\n`)
      return Buffer.from(`HMSG ${reply} ${subscription.sid} ${block.length} ${block.length}\r\n${block}\r\n`)
    }
    return null
  }

  tellNobody(subject: string, reply: string): void {
    const line = this.nobodyLine(subject, reply)
    if (line !== null) this.#client.write(line)
  }

  close(): void {
    for (const subscription of this.#bySid.values()) subscription.close()
    this.#bySid.clear()
  }

  describe(): readonly { subject: string; qgroup?: string; sid: string; msgs: number }[] {
    return [...this.#bySid.values()].map(({ subject, queue, sid, messages }) => ({
      subject,
      ...(queue === '' ? {} : { qgroup: queue }),
      sid,
      msgs: messages,
    }))
  }
}
