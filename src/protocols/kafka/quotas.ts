// Client quotas: how many bytes a second a user, a client id, or both may produce and fetch. Who goes beyond is answered, told for how long to
// be silent, and not read for so long (KIP-219). Durable in the rows "kafka.quotas".
import type { Broker, Rows } from '../../broker/face.ts'

export const quotaKeys = ['producer_byte_rate', 'consumer_byte_rate'] as const
export type QuotaKey = (typeof quotaKeys)[number]

/** What a quota is for: each part a name, null for whoever has none of his own, or undefined when it does not matter. */
export interface QuotaEntity {
  readonly user?: string | null
  readonly clientId?: string | null
}
export type QuotaValues = Readonly<Partial<Record<QuotaKey, number>>>

export const quotasMax = 10_000
/** Whose use is remembered at a time; who used least recently starts anew, at worst with one second's worth more. */
const metersMax = 10_000
/** Nobody is kept silent longer at a time; what is left is kept for the next request. */
const throttleMsMax = 30_000

const keyOf = ({ user, clientId }: QuotaEntity): string => JSON.stringify([partOf(user), partOf(clientId)])
/** A name, true for the default and false for no matter who: a name cannot look like either. */
const partOf = (name: string | null | undefined): string | boolean => name ?? name === null

interface Stored {
  readonly entity: QuotaEntity
  readonly values: QuotaValues
}

export class Quotas {
  readonly #rows: Rows
  readonly #stored = new Map<string, Stored>()
  readonly #meters = new Map<string, Meter>()

  static of(broker: Broker): Quotas {
    return broker.shared('kafka.quotas', () => new Quotas(broker.rows('kafka.quotas')))
  }

  constructor(rows: Rows) {
    this.#rows = rows
    for (const [key, text] of rows.entries()) this.#stored.set(key, JSON.parse(text) as Stored) // only put() writes these rows
  }

  all(): Stored[] {
    return [...this.#stored.values()]
  }

  get full(): boolean {
    return this.#stored.size >= quotasMax
  }

  get(entity: QuotaEntity): QuotaValues {
    return this.#stored.get(keyOf(entity))?.values ?? {}
  }

  /** Durable when the promise resolves. */
  async put(entity: QuotaEntity, values: QuotaValues): Promise<void> {
    const key = keyOf(entity)
    if (Object.keys(values).length === 0) {
      this.#stored.delete(key)
      this.#rows.delete(key)
    } else {
      this.#stored.set(key, { entity, values })
      this.#rows.put(key, JSON.stringify({ entity, values }))
    }
    this.#meters.clear()
    await this.#rows.durable()
  }

  /** Counts bytes; how long their client must be silent for them, ms. */
  record(key: QuotaKey, user: string, clientId: string, bytes: number, now: number): number {
    if (this.#stored.size === 0) return 0
    const found = this.#find(key, user, clientId)
    if (found === null) return 0
    const name = `${key}/${found.shared}`
    const meter = this.#meters.get(name) ?? new Meter(found.rate, now)
    // Used most recently, so last in the order in which they are forgotten.
    this.#meters.delete(name)
    this.#meters.set(name, meter)
    if (this.#meters.size > metersMax) {
      const [oldest] = this.#meters.keys()
      if (oldest !== undefined) this.#meters.delete(oldest)
    }
    return Math.min(meter.take(bytes, now), throttleMsMax)
  }

  /** The quota that counts, in Kafka's order, and whom it is shared by. */
  #find(key: QuotaKey, user: string, clientId: string): { rate: number; shared: string } | null {
    const both = JSON.stringify([user, clientId])
    const [ofUser, ofClient] = [JSON.stringify([user]), JSON.stringify([null, clientId])]
    const order: readonly (readonly [QuotaEntity, string])[] = [
      [{ user, clientId }, both],
      [{ user, clientId: null }, both],
      [{ user }, ofUser],
      [{ user: null, clientId }, both],
      [{ user: null, clientId: null }, both],
      [{ user: null }, ofUser],
      [{ clientId }, ofClient],
      [{ clientId: null }, ofClient],
    ]
    for (const [entity, shared] of order) {
      const rate = this.get(entity)[key]
      if (rate !== undefined) return { rate, shared }
    }
    return null
  }
}

/** A bucket that fills at a rate and holds one second's worth; taking more than there is leaves a debt, which is paid by waiting. */
class Meter {
  readonly #rate: number
  #left: number
  #at: number

  constructor(rate: number, now: number) {
    this.#rate = rate
    this.#left = rate
    this.#at = now
  }

  /** How long until the debt is paid, ms; 0: there is none. */
  take(bytes: number, now: number): number {
    this.#left = Math.min(this.#rate, this.#left + ((now - this.#at) / 1000) * this.#rate) - bytes
    this.#at = now
    return this.#left >= 0 ? 0 : Math.ceil((-this.#left / this.#rate) * 1000)
  }
}
