/** Which subjects a user of an account may publish and subscribe to, and for a while and a number of times the reply subjects that it was sent. */
import type { Clock } from '../../../lib/timers.ts'
import { isSubset, matchesSubject } from '../subjects.ts'
import { number, record, strings } from './claims.ts'

const repliesMax = 10_000
const replyMsDefault = 2 * 60_000
const nanos = 1_000_000

interface Rule {
  /** Without one: all. */
  readonly allow: readonly string[]
  readonly deny: readonly string[]
}

interface Reply {
  left: number
  readonly until: number
}

export class Permissions {
  readonly #publish: Rule
  readonly #subscribe: Rule
  /** How often a reply may be published, -1 any number, and for how long; null: not at all, if the rules do not say so. */
  readonly #responses: { readonly most: number; readonly forMs: number } | null
  readonly #replies = new Map<string, Reply>()
  readonly #clock: Clock
  /** Whether they forbid nothing. */
  readonly all: boolean

  /** `said`: as the token says it. */
  constructor(said: Readonly<Record<string, unknown>>, clock: Clock) {
    this.#clock = clock
    this.all = !Permissions.areSaid(said)
    this.#publish = ruleOf(said['pub'])
    this.#subscribe = ruleOf(said['sub'])
    const responses = said['resp']
    if (responses === undefined || responses === null) {
      this.#responses = null
      return
    }
    const most = number(record(responses)['max'])
    const forNanos = number(record(responses)['ttl'])
    this.#responses = {
      most: most === 0 ? 1 : most,
      forMs: forNanos === 0 ? replyMsDefault : forNanos < 0 ? Number.POSITIVE_INFINITY : forNanos / nanos,
    }
  }

  static areSaid(said: Readonly<Record<string, unknown>>): boolean {
    const rules = [ruleOf(said['pub']), ruleOf(said['sub'])]
    return rules.some(({ allow, deny }) => allow.length + deny.length > 0) || (said['resp'] ?? null) !== null
  }

  get answersOnly(): boolean {
    return this.#responses !== null
  }

  mayPublish(subject: string): boolean {
    const { allow, deny } = this.#publish
    // Who may answer may do nothing else, unless that is said as well.
    const allowed = allow.length === 0 ? this.#responses === null : allow.some((each) => matchesSubject(each, subject))
    return (allowed && !deny.some((each) => matchesSubject(each, subject))) || this.#mayReply(subject)
  }

  /** `queue`: '' for none. Rules may end with the name of a queue, for its members alone. */
  maySubscribe(subject: string, queue: string): boolean {
    const { allow, deny } = this.#subscribe
    const covers = (each: string): boolean => {
      const [pattern = '', group] = each.split(' ')
      if (group !== undefined && (queue === '' || !matchesSubject(group, queue))) return false
      return isSubset(subject, pattern)
    }
    return (allow.length === 0 || allow.some(covers)) && !deny.some(covers)
  }

  /** What a wildcard brings in may be denied still. */
  mayHear(subject: string): boolean {
    return !this.#subscribe.deny.some((each) => !each.includes(' ') && matchesSubject(each, subject))
  }

  /** A message with a reply subject came to the user. */
  heard(reply: string): void {
    const responses = this.#responses
    if (responses === null || reply === '') return
    if (this.#replies.size >= repliesMax) this.#forgetSome()
    this.#replies.set(reply, {
      left: responses.most < 0 ? Number.POSITIVE_INFINITY : responses.most,
      until: this.#clock.now() + responses.forMs,
    })
  }

  /** The user has published. */
  published(subject: string): void {
    const reply = this.#replies.get(subject)
    if (reply !== undefined && --reply.left <= 0) this.#replies.delete(subject)
  }

  #mayReply(subject: string): boolean {
    const reply = this.#replies.get(subject)
    return reply !== undefined && reply.left > 0 && reply.until > this.#clock.now()
  }

  /** Those whose time is over, else the oldest. */
  #forgetSome(): void {
    const now = this.#clock.now()
    for (const [subject, { until }] of this.#replies) if (until <= now) this.#replies.delete(subject)
    const [oldest] = this.#replies.keys()
    if (this.#replies.size >= repliesMax && oldest !== undefined) this.#replies.delete(oldest)
  }
}

function ruleOf(said: unknown): Rule {
  const { allow, deny } = record(said)
  return { allow: strings(allow), deny: strings(deny) }
}
