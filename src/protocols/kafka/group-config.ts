// Configs of groups (KIP-848, KIP-932): each has its default, its bounds, and a place where it is honoured. Rows of the table `kafka.group-configs`.
import type { Broker, Rows, StartAt } from '../../broker/face.ts'
import { ConfigSource, ConfigType, type SetConfigs, type ShownConfig } from './config.ts'
import { ConfigRefused } from './refused.ts'

interface GroupConfigRow {
  readonly name: string
  /** Kafka's name for the default of all groups; undefined: it has none. */
  readonly broker: string | undefined
  readonly type: number
  readonly fallback: string
  readonly documentation: string
  /** Throws {@link ConfigRefused}. */
  readonly check: (name: string, value: string) => void
}

const between =
  (min: number, max: number) =>
  (name: string, value: string): void => {
    const number = /^-?\d+$/.test(value.trim()) ? Number(value) : Number.NaN
    if (!(number >= min && number <= max)) throw new ConfigRefused(`${name} must be from ${min} to ${max}, not ${value}`)
  }

const oneOf =
  (...values: readonly string[]) =>
  (name: string, value: string): void => {
    if (!values.includes(value)) throw new ConfigRefused(`${name} must be one of ${values.join(', ')}, not ${value}`)
  }

const { Int: int, String: string, Boolean: bool } = ConfigType

const configRows: readonly GroupConfigRow[] = [
  ...['consumer', 'share'].flatMap((kind) => [
    {
      name: `${kind}.heartbeat.interval.ms`,
      broker: `group.${kind}.heartbeat.interval.ms`,
      type: int,
      fallback: '5000',
      documentation: 'How often members are told to heartbeat.',
      check: between(5000, 15_000),
    },
    {
      name: `${kind}.session.timeout.ms`,
      broker: `group.${kind}.session.timeout.ms`,
      type: int,
      fallback: '45000',
      documentation: 'How long a member may be silent before it is taken out.',
      check: between(45_000, 60_000),
    },
  ]),
  {
    name: 'share.auto.offset.reset',
    broker: undefined,
    type: string,
    fallback: 'latest',
    documentation: 'Where a share group begins in a topic: latest, earliest, or by_duration:P… (ISO 8601) before now.',
    check: (name, value) => void startOf(name, value, 0),
  },
  {
    name: 'share.delivery.count.limit',
    broker: 'group.share.delivery.count.limit',
    type: int,
    fallback: '5',
    documentation: 'How often one record is delivered at most.',
    check: between(2, 10),
  },
  {
    name: 'share.isolation.level',
    broker: undefined,
    type: string,
    // Records of open and aborted transactions are kept from every subscription.
    fallback: 'read_committed',
    documentation: 'Whether records of transactions that are not committed are delivered: never.',
    check: oneOf('read_committed'),
  },
  {
    name: 'share.partition.max.record.locks',
    broker: 'group.share.partition.max.record.locks',
    type: int,
    fallback: '2000',
    documentation: 'How many records of a partition may be with members at a time.',
    check: between(100, 10_000),
  },
  {
    name: 'share.record.lock.duration.ms',
    broker: 'group.share.record.lock.duration.ms',
    type: int,
    fallback: '30000',
    documentation: 'How long a member has a record for itself.',
    check: between(15_000, 60_000),
  },
  {
    name: 'share.renew.acknowledge.enable',
    broker: undefined,
    type: bool,
    fallback: 'true',
    documentation: 'Whether a member may have that time anew.',
    check: oneOf('true', 'false'),
  },
]

export class GroupConfigs {
  readonly #rows: Rows

  static of(broker: Broker): GroupConfigs {
    return broker.shared('kafka.group-configs', () => new GroupConfigs(broker.rows('kafka.group-configs')))
  }

  constructor(rows: Rows) {
    this.#rows = rows
  }

  set(group: string): SetConfigs {
    return JSON.parse(this.#rows.get(group) ?? '{}') as SetConfigs // our own rows
  }

  get(group: string, name: string): string {
    return this.set(group)[name] ?? configRows.find((row) => row.name === name)?.fallback ?? ''
  }

  number(group: string, name: string): number {
    return Number(this.get(group, name))
  }

  /** Groups that have any of their own. */
  groups(): string[] {
    return [...this.#rows.entries()].map(([group]) => group)
  }

  shown(group: string): ShownConfig[] {
    const set = this.set(group)
    return configRows.map(({ name, broker, type, fallback, documentation }) => {
      const own = set[name]
      const synonyms = broker === undefined ? [] : [{ name: broker, value: fallback, source: ConfigSource.Default as number }]
      if (own !== undefined) synonyms.unshift({ name, value: own, source: groupSource })
      const configSource = own === undefined ? ConfigSource.Default : groupSource
      return { name, value: own ?? fallback, readOnly: false, configSource, configType: type, documentation, synonyms }
    })
  }

  /** The group's own configs become these. Throws {@link ConfigRefused}; durable when the promise resolves. */
  async replace(group: string, set: SetConfigs, validateOnly: boolean): Promise<void> {
    for (const [name, value] of Object.entries(set)) {
      const row = configRows.find((candidate) => candidate.name === name)
      if (row === undefined) throw new ConfigRefused(`Unknown group config name: ${name}`)
      row.check(name, value)
    }
    for (const kind of ['consumer', 'share']) {
      const of = (name: string): number => Number(set[name] ?? configRows.find((row) => row.name === name)?.fallback)
      if (of(`${kind}.session.timeout.ms`) <= of(`${kind}.heartbeat.interval.ms`))
        throw new ConfigRefused(`${kind}.session.timeout.ms must be greater than ${kind}.heartbeat.interval.ms`)
    }
    if (validateOnly) return
    if (Object.keys(set).length === 0) this.#rows.delete(group)
    else this.#rows.put(group, JSON.stringify(set))
    await this.#rows.durable()
  }

  /** Where a share group begins in a topic that it has not read. */
  startOf(group: string, now: number): StartAt {
    return startOf('share.auto.offset.reset', this.get(group, 'share.auto.offset.reset'), now)
  }
}

/** DYNAMIC_GROUP_CONFIG. */
const groupSource = 8

function startOf(name: string, value: string, now: number): StartAt {
  if (value === 'latest') return 'newest'
  if (value === 'earliest') return 'oldest'
  const parts = /^by_duration:P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/i.exec(value)
  if (parts === null || value.endsWith('P') || value.endsWith('T'))
    throw new ConfigRefused(`${name} must be latest, earliest or by_duration:P… (such as PT1H30M), not ${value}`)
  const [days, hours, minutes, seconds] = parts.slice(1).map((part) => Number(part ?? 0))
  return { time: now - ((((days ?? 0) * 24 + (hours ?? 0)) * 60 + (minutes ?? 0)) * 60 + (seconds ?? 0)) * 1000 }
}
