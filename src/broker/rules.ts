/**
 * Rules about single names or prefixes of names, for one user or all, that allow or deny: beside the permissions of users, which are patterns and
 * only allow. What a rule denies is denied, whatever else allows it (administrators excepted); what a rule allows needs no permission.
 */
import { CoreError } from '../core/errors.ts'
import { networkOf } from '../lib/ip.ts'
import type { Asker } from './asker.ts'
import type { AccessRule, Action, ResourceKind } from './face.ts'

export const rulesMax = 10_000
/** In a rule: every user, and with an exact match every name. */
const anybody = '*'
const anything = '*'
const anywhere = '*'

export type Verdict = 'allow' | 'deny' | null

/** What a rule has to allow for an action to be allowed: who may change or use a thing may also look at it. */
const allowedBy: Readonly<Partial<Record<Action, readonly Action[]>>> = {
  describe: ['publish', 'consume', 'delete', 'alter'],
  describeConfig: ['configure'],
  manage: ['alter'],
}
/** What denies an action beside a rule of its own. */
const deniedBy: Readonly<Partial<Record<Action, readonly Action[]>>> = { manage: ['alter'] }

export class AccessRules {
  readonly #rules = new Map<string, AccessRule>()
  /** By namespace, kind and whole name; and by namespace and kind those of prefixes. */
  readonly #exact = new Map<string, Set<AccessRule>>()
  readonly #prefixes = new Map<string, Set<AccessRule>>()

  /** Told of every change. */
  onChanged: () => void = () => undefined

  get size(): number {
    return this.#rules.size
  }

  all(): AccessRule[] {
    return [...this.#rules.values()]
  }

  has(key: string): boolean {
    return this.#rules.has(key)
  }

  /** Takes a rule in, or with null out. */
  apply(key: string, rule: AccessRule | null): void {
    this.onChanged()
    const present = this.#rules.get(key)
    if (present !== undefined) {
      this.#rules.delete(key)
      const [index, place] = this.#placeOf(present)
      const together = index.get(place)
      together?.delete(present)
      if (together?.size === 0) index.delete(place)
    }
    if (rule === null) return
    this.#rules.set(key, rule)
    const [index, place] = this.#placeOf(rule)
    const together = index.get(place)
    if (together === undefined) index.set(place, new Set([rule]))
    else together.add(rule)
  }

  #placeOf(rule: AccessRule): [Map<string, Set<AccessRule>>, string] {
    return rule.match === 'prefix'
      ? [this.#prefixes, placeOf(rule.namespace, rule.kind)]
      : [this.#exact, placeOf(rule.namespace, rule.kind, rule.name)]
  }

  /** null: no rule says anything. */
  judge(asker: Asker, action: Action, namespace: string, kind: ResourceKind, name: string): Verdict {
    if (this.#rules.size === 0) return null
    let verdict: Verdict = null
    const look = (rule: AccessRule): boolean => {
      if (!isAbout(rule, asker)) return false
      const denies = rule.effect === 'deny'
      const also = (denies ? deniedBy : allowedBy)[action] ?? []
      if (rule.action !== 'all' && rule.action !== action && !also.includes(rule.action)) return false
      if (!denies) verdict = 'allow'
      return denies
    }
    for (const rule of this.#exact.get(placeOf(namespace, kind, name)) ?? []) if (look(rule)) return 'deny'
    for (const rule of this.#exact.get(placeOf(namespace, kind, anything)) ?? []) if (look(rule)) return 'deny'
    for (const rule of this.#prefixes.get(placeOf(namespace, kind)) ?? []) {
      if (name.startsWith(rule.name) && look(rule)) return 'deny'
    }
    return verdict
  }

  /** Whether any rule lets them do something in a namespace. */
  admits(asker: Asker, namespace: string): boolean {
    for (const rule of this.#rules.values()) {
      if (rule.effect === 'allow' && rule.namespace === namespace && isAbout(rule, asker)) return true
    }
    return false
  }
}

const isAbout = ({ user, from }: AccessRule, asker: Asker): boolean =>
  (user === asker.user || user === anybody) && (from === anywhere || asker.isFrom(from))

function placeOf(...parts: readonly string[]): string {
  return parts.join('\0')
}

/** Two rules that say the same have the same key. */
export function ruleKey(rule: AccessRule): string {
  const { namespace, kind, match, name, user, action, effect, from } = rule
  // Rules of older versions were from anywhere, and had a key without it.
  return JSON.stringify([namespace, kind, match, name, user, action, effect, ...(from === anywhere ? [] : [from])])
}

/** As it is stored. */
export function readRule(text: string): AccessRule {
  return { from: anywhere, ...JSON.parse(text) } as AccessRule // our own rows
}

export function checkRule(rule: AccessRule): void {
  const refuse = (why: string): never => {
    throw new CoreError('Invalid', why)
  }
  if (rule.from !== anywhere && networkOf(rule.from) === null)
    refuse(`"${rule.from}" is no IP address and no network (10.0.0.0/8); * is anywhere`)
  if (rule.user === '') refuse('a rule needs a user, or * for all')
  if (rule.name === '' && rule.kind !== 'cluster') refuse('a rule needs a name, or * for all')
  if (rule.kind === 'cluster' && (rule.name !== '' || rule.match !== 'exact')) refuse('there is one cluster, and it has no name')
}
