// Features (KIP-584): what a cluster has agreed to use, by name and level. A client takes the newer way of doing something where the level says
// so; the old one is served at every level. Durable in the rows "kafka.features".
import type { Broker, Rows } from '../../broker/face.ts'

export interface Feature {
  readonly name: string
  /** 0: it may be left unused. */
  readonly min: number
  /** The highest level there is; it is the level of a new broker. */
  readonly max: number
}

const known: readonly Feature[] = [
  // Of Kafka's own metadata, which does not exist here. Tools tell by it how new a cluster is: 30 is 4.3.
  { name: 'metadata.version', min: 30, max: 30 },
  // 1: the consumer protocol of KIP-848.
  { name: 'group.version', min: 0, max: 1 },
  // 1: share groups (KIP-932).
  { name: 'share.version', min: 0, max: 1 },
  // 2: each transaction has an epoch of its own, and partitions join it by being written to (KIP-890).
  { name: 'transaction.version', min: 0, max: 2 },
]

/** The row that counts the changes; no feature is named so. */
const epochKey = ''

export interface FeatureLevel extends Feature {
  readonly level: number
}

export class Features {
  readonly #rows: Rows

  static of(broker: Broker): Features {
    return broker.shared('kafka.features', () => new Features(broker.rows('kafka.features')))
  }

  constructor(rows: Rows) {
    this.#rows = rows
  }

  /** Grows with each change. */
  get epoch(): number {
    return Number(this.#rows.get(epochKey) ?? 0)
  }

  all(): FeatureLevel[] {
    return known.map((feature) => ({ ...feature, level: Number(this.#rows.get(feature.name) ?? feature.max) }))
  }

  get(name: string): FeatureLevel | undefined {
    return this.all().find((feature) => feature.name === name)
  }

  /** Durable when the promise resolves. */
  async set(levels: ReadonlyMap<string, number>): Promise<void> {
    for (const [name, level] of levels) this.#rows.put(name, String(level))
    if (levels.size > 0) this.#rows.put(epochKey, String(this.epoch + 1))
    await this.#rows.durable()
  }
}
