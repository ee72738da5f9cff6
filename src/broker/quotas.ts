/**
 * How much one namespace, or one user, may have at most. Asked when a topic is made or somebody logs in, so nothing is computed ahead: the stored
 * row is read.
 */
import { CoreError, QuotaReached } from '../core/errors.ts'
import type { Connection, ConnectionListing, Quota, QuotaAdmin, Rows } from './face.ts'

export const quotasMax = 10_000

export class Quotas implements QuotaAdmin {
  readonly #rows: Rows

  constructor(rows: Rows) {
    this.#rows = rows
  }

  list(): Quota[] {
    return [...this.#rows.entries()].map(([, text]) => JSON.parse(text) as Quota) // our own rows
  }

  of(kind: Quota['of'], name: string): Quota | undefined {
    const text = this.#rows.get(keyOf(kind, name))
    return text === undefined ? undefined : (JSON.parse(text) as Quota)
  }

  async put(quota: Quota): Promise<void> {
    const key = keyOf(quota.of, quota.name)
    const { connectionsMax, topicsMax, others } = quota
    const limits = [connectionsMax, topicsMax, ...Object.values(others ?? {})].filter((limit) => limit !== undefined)
    if (limits.some((limit) => !Number.isSafeInteger(limit) || limit < 0))
      throw new CoreError('Invalid', `limits of ${quota.of} "${quota.name}" must be whole numbers from 0 on`)
    if (limits.length === 0) this.#rows.delete(key)
    else if (this.#rows.size >= quotasMax && this.#rows.get(key) === undefined)
      throw new CoreError('Full', `there are ${this.#rows.size} quotas already (quotasMax)`)
    else this.#rows.put(key, JSON.stringify(quota))
    await this.#rows.durable()
  }

  /** With whom it was for. */
  drop(kind: Quota['of'], name: string): void {
    this.#rows.delete(keyOf(kind, name))
  }

  /** Throws {@link QuotaReached} when a namespace with so many topics may have no more. */
  admitTopic(namespace: string, topics: number, topic: string): void {
    const max = this.of('namespace', namespace)?.topicsMax
    if (max !== undefined && topics >= max)
      throw new QuotaReached({ of: 'namespace', name: namespace, what: 'topics', max }, topic)
  }

  /** Throws {@link QuotaReached} when others of the connection's namespace, or of its user, are as many as there may be. */
  admitConnection({ id, info }: Pick<Connection, 'id' | 'info'>, connections: () => readonly ConnectionListing[]): void {
    for (const [kind, name] of [
      ['namespace', info.namespace],
      ['user', info.user],
    ] as const) {
      const max = this.of(kind, name)?.connectionsMax
      if (max === undefined) continue
      const present = connections().filter((each) => each.id !== id && each.admitted === true && each[kind] === name).length
      if (present >= max) throw new QuotaReached({ of: kind, name, what: 'connections', max })
    }
    info.admitted = true
  }
}

const keyOf = (kind: Quota['of'], name: string): string => `${kind} ${name}`
