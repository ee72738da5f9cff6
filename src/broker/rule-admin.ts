/** Adding and removing rules, durably. Who may do it is asked by whoever offers it to clients. */
import { CoreError } from '../core/errors.ts'
import type { Shard } from '../core/shard.ts'
import type { AccessRule, RuleAdmin } from './face.ts'
import { type AccessRules, checkRule, ruleKey, rulesMax } from './rules.ts'

export class StoredRules implements RuleAdmin {
  readonly #rules: AccessRules
  readonly #shard: Shard

  constructor(rules: AccessRules, shard: Shard) {
    this.#rules = rules
    this.#shard = shard
  }

  list(): AccessRule[] {
    return this.#rules.all()
  }

  async add(rules: readonly AccessRule[]): Promise<void> {
    const added = new Map(rules.map((rule) => [ruleKey(rule), rule]))
    for (const [key, rule] of added) {
      checkRule(rule)
      if (this.#rules.has(key)) added.delete(key)
    }
    if (this.#rules.size + added.size > rulesMax) throw new CoreError('Full', `there are ${rulesMax} rules at most`)
    for (const [key, rule] of added) {
      this.#rules.apply(key, rule)
      this.#shard.putMetadata('rule', key, JSON.stringify(rule))
    }
    await this.#shard.durable()
  }

  async remove(rules: readonly AccessRule[]): Promise<void> {
    for (const key of rules.map(ruleKey)) {
      if (!this.#rules.has(key)) continue
      this.#rules.apply(key, null)
      this.#shard.putMetadata('rule', key, null)
    }
    await this.#shard.durable()
  }
}
