/**
 * Policies: settings that apply to all topics or exchanges of a namespace whose name matches, from the moment they are made until they are deleted.
 *
 * What a topic was declared with stays as it is; what it does follows from declaration and policies together (`effective…`). Of the policies that
 * match, the one of the highest priority counts, whole; beside it counts one cap, found in the same way, which its author means to be stronger:
 *
 *   limits (times, lengths, attempts)   the smallest of declaration, policy and cap
 *   everything else                     the declaration, else the cap, else the policy
 */
import type { Shard } from '../core/shard.ts'
import { CoreError, type ExchangeInfo, type Policy, type PolicySettings, type TopicConfig } from './face.ts'

export const policiesMax = 10_000

/** What of {@link PolicySettings} is a limit: the smaller one wins. -1 in a topic's configuration is no limit. */
const limits = [
  'recordTtlMs',
  'expiresMs',
  'settleTimeoutMs',
  'recordsMax',
  'bytesMax',
  'deliveryLimit',
  'retentionMs',
  'retentionBytes',
] as const satisfies (keyof PolicySettings & keyof TopicConfig)[]

export class Policies {
  readonly #shard: Shard
  readonly #byKey = new Map<string, Policy>()
  /** By namespace, in the order in which they are asked. */
  readonly #ordered = new Map<string, Compiled[]>()

  constructor(shard: Shard) {
    this.#shard = shard
  }

  list(): Policy[] {
    return [...this.#byKey.values()]
  }

  put(policy: Policy): void {
    checkPolicy(policy)
    const key = keyOf(policy)
    if (this.#byKey.size >= policiesMax && !this.#byKey.has(key))
      throw new CoreError('Full', `there are ${this.#byKey.size} policies already (policiesMax)`)
    this.apply(key, JSON.stringify(policy))
    this.#shard.putMetadata('policy', key, JSON.stringify(policy))
  }

  /** False when there was none. */
  delete(of: Pick<Policy, 'namespace' | 'name' | 'cap'>): boolean {
    const key = keyOf(of)
    if (!this.#byKey.has(key)) return false
    this.apply(key, null)
    this.#shard.putMetadata('policy', key, null)
    return true
  }

  deleteNamespace(namespace: string): void {
    for (const policy of this.list()) if (policy.namespace === namespace) this.delete(policy)
  }

  /** Makes a stored row live; null is its deletion. */
  apply(key: string, text: string | null): void {
    if (text === null) this.#byKey.delete(key)
    else this.#byKey.set(key, JSON.parse(text) as Policy) // our own rows
    this.#ordered.clear()
  }

  /** What governs a topic. */
  ofTopic(namespace: string, name: string, config: TopicConfig): Governing {
    return this.#find(namespace, name, (policy) => policy.topicKinds.includes(config.kind))
  }

  ofExchange(namespace: string, name: string): Governing {
    return this.#find(namespace, name, (policy) => policy.exchanges)
  }

  #find(namespace: string, name: string, fits: (policy: Policy) => boolean): Governing {
    let policy: Policy | null = null
    let cap: Policy | null = null
    for (const each of this.#inOrder(namespace)) {
      if (!fits(each.policy) || !each.pattern.test(name)) continue
      if (each.policy.cap) cap ??= each.policy
      else policy ??= each.policy
      if (policy !== null && cap !== null) break
    }
    return { policy, cap }
  }

  #inOrder(namespace: string): Compiled[] {
    let found = this.#ordered.get(namespace)
    if (found === undefined) {
      found = this.list()
        .filter((policy) => policy.namespace === namespace)
        .sort((a, b) => b.priority - a.priority || (a.name < b.name ? -1 : 1))
        .map((policy) => ({ policy, pattern: new RegExp(policy.pattern) }))
      this.#ordered.set(namespace, found)
    }
    return found
  }
}

interface Compiled {
  readonly policy: Policy
  readonly pattern: RegExp
}

/** The policy and the cap that count for one topic or exchange. */
export interface Governing {
  readonly policy: Policy | null
  readonly cap: Policy | null
}

export const ungoverned: Governing = { policy: null, cap: null }

/** Policy and cap as one: limits by the smaller one, else the cap. */
export function combined({ policy, cap }: Governing): PolicySettings {
  const settings: { -readonly [K in keyof PolicySettings]: PolicySettings[K] } = { ...policy?.settings, ...cap?.settings }
  for (const name of limits) {
    const values = [policy?.settings[name], cap?.settings[name]].filter((value) => value !== undefined)
    if (values.length > 0) settings[name] = Math.min(...values)
  }
  return settings
}

/** What a topic declared with `declared` does. */
export function effectiveConfig(declared: TopicConfig, governing: Governing): TopicConfig {
  if (governing.policy === null && governing.cap === null) return declared
  const settings = concerning(declared, combined(governing))
  const config: { -readonly [K in keyof TopicConfig]: TopicConfig[K] } = { ...declared }
  for (const name of limits) {
    const limit = settings[name]
    if (limit === undefined) continue
    const own = declared.unasked.includes(name) ? -1 : declared[name]
    config[name] = own < 0 ? limit : Math.min(own, limit)
  }
  if (settings.overflow !== undefined && declared.unasked.includes('overflow')) config.overflow = settings.overflow
  config.retryDelay ??= settings.retryDelay ?? null
  config.deadLetter = deadLetter(declared, settings, config.overflow)
  return config
}

function deadLetter(
  { deadLetter: own }: TopicConfig,
  settings: PolicySettings,
  overflow: TopicConfig['overflow'],
): TopicConfig['deadLetter'] {
  const exchange = own?.exchange ?? settings.deadLetterExchange
  if (exchange === undefined) return null
  const routingKey = own?.routingKey ?? settings.deadLetterRoutingKey ?? null
  const untilStored = own?.untilStored === true || (settings.deadLetterUntilStored === true && overflow === 'refuse')
  return { exchange, routingKey, ...(untilStored ? { untilStored } : {}) }
}

/** Retention is of topics kept by time, all else of those kept until acknowledged; and what a topic has fixed is its own. */
function concerning({ retention, fixed }: TopicConfig, settings: PolicySettings): PolicySettings {
  const concerns = (name: string): boolean =>
    name.startsWith('retention') === (retention === 'time') && !(fixed as readonly string[]).includes(name)
  return Object.fromEntries(Object.entries(settings).filter(([name]) => concerns(name)))
}

/** Where an exchange sends what none of its bindings wants. */
export function effectiveAlternate(declared: ExchangeInfo, governing: Governing): string | null {
  return declared.alternate ?? combined(governing).alternate ?? null
}

const keyOf = ({ namespace, name, cap }: Pick<Policy, 'namespace' | 'name' | 'cap'>): string =>
  [namespace, cap ? 'cap' : 'policy', name].join('\u0000')

function checkPolicy(policy: Policy): void {
  if (policy.name === '') throw new CoreError('Invalid', 'a policy needs a name')
  if (!Number.isSafeInteger(policy.priority)) throw new CoreError('Invalid', `${policy.priority} is no priority`, 'priority')
  try {
    new RegExp(policy.pattern)
  } catch {
    throw new CoreError('Invalid', `"${policy.pattern}" is not a regular expression`, 'pattern')
  }
  for (const name of limits) {
    const value = policy.settings[name]
    if (value !== undefined && (!Number.isSafeInteger(value) || value < 0))
      throw new CoreError('Invalid', `policy "${policy.name}": ${name} must be a whole number from 0 on`, name)
  }
}
