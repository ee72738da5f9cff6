// Client quotas: how many bytes a second a user, a client id, or both may produce and fetch, how much of the broker's time their requests may take, how
// many partitions they may make and delete, and how many connections an address may open. Who goes beyond is answered, told for how long to be silent,
// and not read for so long (KIP-219, KIP-599, KIP-612). Durable in the rows "kafka.quotas".
import type { Broker, Rows } from '../../broker/face.ts'
import { Meter } from './meter.ts'

interface Measure {
  /** What the meter counts of one unit of the quota. */
  readonly scale: number
  /** How many seconds' worth may be used at once. */
  readonly seconds: number
  /** Nobody is kept silent longer at a time, ms; what is left counts on. */
  readonly throttleMsMax: number
}

const bytes: Measure = { scale: 1, seconds: 1, throttleMsMax: 30_000 }
const measures = {
  producer_byte_rate: bytes,
  consumer_byte_rate: bytes,
  // Percent of one thread, counted in ms of each second.
  request_percentage: { scale: 10, seconds: 1, throttleMsMax: 1000 },
  controller_mutation_rate: { scale: 1, seconds: 11, throttleMsMax: 30_000 },
  connection_creation_rate: { scale: 1, seconds: 10, throttleMsMax: 1000 },
} as const satisfies Record<string, Measure>

export type QuotaKey = keyof typeof measures
export type ClientQuotaKey = Exclude<QuotaKey, 'connection_creation_rate'>

/** By what they are for: users and client ids have other quotas than addresses. */
export const clientQuotaKeys: readonly QuotaKey[] = [
  'producer_byte_rate',
  'consumer_byte_rate',
  'request_percentage',
  'controller_mutation_rate',
]
export const addressQuotaKeys: readonly QuotaKey[] = ['connection_creation_rate']

/** What a quota is for: each part a name, null for whoever has none of his own, or undefined when it does not matter. An `ip` stands alone. */
export interface QuotaEntity {
  readonly user?: string | null
  readonly clientId?: string | null
  readonly ip?: string | null
}
export type QuotaValues = Readonly<Partial<Record<QuotaKey, number>>>

export const quotasMax = 10_000
/** Whose use is remembered at a time; who used least recently starts anew, at worst with so much more as may be used at once. */
const metersMax = 10_000

const keyOf = ({ user, clientId, ip }: QuotaEntity): string =>
  JSON.stringify(ip === undefined ? [partOf(user), partOf(clientId)] : [partOf(ip)])
/** A name, true for the default and false for no matter who: a name cannot look like either. */
const partOf = (name: string | null | undefined): string | boolean => name ?? name === null

interface Stored {
  readonly entity: QuotaEntity
  readonly values: QuotaValues
}

/** The quota that counts, and whom it is shared by. */
interface Found {
  readonly rate: number
  readonly shared: string
}

export class Quotas {
  readonly #rows: Rows
  readonly #stored = new Map<string, Stored>()
  readonly #meters = new Map<string, Meter>()
  #areTimed = false

  static of(broker: Broker): Quotas {
    return broker.shared('kafka.quotas', () => new Quotas(broker.rows('kafka.quotas')))
  }

  constructor(rows: Rows) {
    this.#rows = rows
    for (const [key, text] of rows.entries()) this.#stored.set(key, JSON.parse(text) as Stored) // only put() writes these rows
    this.#learn()
  }

  all(): Stored[] {
    return [...this.#stored.values()]
  }

  get full(): boolean {
    return this.#stored.size >= quotasMax
  }

  /** Whether the time that requests take has to be measured. */
  get areTimed(): boolean {
    return this.#areTimed
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
    this.#learn()
    await this.#rows.durable()
  }

  #learn(): void {
    this.#areTimed = this.all().some(({ values }) => values.request_percentage !== undefined)
  }

  /** Counts what a client used: bytes, ms of time, partitions. How long it must be silent for them, ms. */
  record(key: ClientQuotaKey, user: string, clientId: string, amount: number, now: number): number {
    const meter = this.#meterOf(key, user, clientId, now)
    return meter === null ? 0 : Math.min(meter.take(amount, now), measures[key].throttleMsMax)
  }

  /** How long a client must be silent for what it used so far, ms. */
  owed(key: ClientQuotaKey, user: string, clientId: string, now: number): number {
    const meter = this.#meterOf(key, user, clientId, now)
    return meter === null ? 0 : Math.min(meter.owed(now), measures[key].throttleMsMax)
  }

  /** Counts a connection from an address; or, where there were too many, does not, and says how long there may be no other, ms. */
  connect(address: string, now: number): number {
    if (this.#stored.size === 0) return 0
    const rate = this.get({ ip: address }).connection_creation_rate ?? this.get({ ip: null }).connection_creation_rate
    if (rate === undefined) return 0
    const meter = this.#shared('connection_creation_rate', { rate, shared: JSON.stringify(address) }, now)
    return Math.min(meter.takeWhole(1, now), measures.connection_creation_rate.throttleMsMax)
  }

  #meterOf(key: ClientQuotaKey, user: string, clientId: string, now: number): Meter | null {
    if (this.#stored.size === 0) return null
    const found = this.#find(key, user, clientId)
    return found === null ? null : this.#shared(key, found, now)
  }

  #shared(key: QuotaKey, { rate, shared }: Found, now: number): Meter {
    const name = `${key}/${shared}`
    const { scale, seconds } = measures[key]
    const meter = this.#meters.get(name) ?? new Meter(rate * scale, seconds, now)
    // Used most recently, so last in the order in which they are forgotten.
    this.#meters.delete(name)
    this.#meters.set(name, meter)
    if (this.#meters.size > metersMax) {
      const [oldest] = this.#meters.keys()
      if (oldest !== undefined) this.#meters.delete(oldest)
    }
    return meter
  }

  /** In Kafka's order. */
  #find(key: ClientQuotaKey, user: string, clientId: string): Found | null {
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
