// The broker's own configs as Kafka names them. Those that Kafka lets be changed at run time and that mean something here can be: what topics have
// that say nothing themselves, and how many connections there may be. Kept in the rows "kafka.broker-configs", for all brokers ('') and for this one.
import type { Broker, Limits, Principal, Rows } from '../../broker/face.ts'
import {
  ConfigSource,
  type ConfigSynonym,
  ConfigType,
  configRows,
  followDefaults,
  kafkaDefaults,
  type SetConfigs,
  type ShownConfig,
  settingOf,
  type TopicDefaults,
} from './config.ts'
import { configNotes } from './config-notes.ts'
import { addressOverrides, unlimited } from './connection-limits.ts'
import { KafkaError, textOf } from './errors.ts'
import { namespaceName } from './names.ts'
import { ConfigRefused, Refused } from './refused.ts'
import { idExpirationMs, transactionTimeoutMaxMs } from './transaction-coordinator.ts'

const { Boolean: bool, String: string, Int: int } = ConfigType

/** Of all brokers, or of one by its number. */
export type ConfigLevel = '' | '1'
const levels = [
  ['1', ConfigSource.DynamicBroker],
  ['', ConfigSource.DynamicDefaultBroker],
] as const

interface BrokerConfigRow {
  readonly name: string
  readonly type: number
  readonly documentation: string
  /** null: it has none, and another one counts while it is not set. */
  readonly standard: string | null
  readonly fallback?: readonly [name: string, value: string] | undefined
  readonly source: number
  /** Throws {@link ConfigRefused} for what is no value of it. null: it is read-only. */
  readonly check: ((value: string) => void) | null
}

/** Topic configs by the broker config that is their default. */
const topicConfigs = new Map(
  configRows.flatMap((row) => {
    const broker = configNotes[row.name]?.broker
    return broker === undefined ? [] : [[broker, row] as const]
  }),
)

function rowsFor(nodeId: number, limits: Limits): BrokerConfigRow[] {
  const fixed = (name: string, type: number, standard: string, documentation: string, source: number): BrokerConfigRow => ({
    name,
    type,
    documentation,
    standard,
    source,
    check: null,
  })
  const given = (name: string, type: number, value: string, documentation: string): BrokerConfigRow =>
    fixed(name, type, value, documentation, ConfigSource.StaticBroker)
  const known = (name: string, type: number, value: string, documentation: string): BrokerConfigRow =>
    fixed(name, type, value, documentation, ConfigSource.Default)
  const count = (name: string, standard: number, documentation: string): BrokerConfigRow => ({
    ...known(name, int, String(standard), documentation),
    check: (value) => {
      if (!/^\d+$/.test(value) || Number(value) > unlimited)
        throw new ConfigRefused(`Invalid value ${value} for configuration ${name}: a whole number from 0 to ${unlimited}`)
    },
  })
  return [
    given('broker.id', int, String(nodeId), 'The number of this node.'),
    given('node.id', int, String(nodeId), 'The number of this node.'),
    known('num.partitions', int, String(kafkaDefaults.partitions), 'The partitions of a topic that is created without a number.'),
    known(
      'auto.create.topics.enable',
      bool,
      'true',
      'Whether asking for a missing topic creates it, where the client allows it.',
    ),
    known('default.replication.factor', int, '1', 'The replicas of a topic that is created without a number.'),
    known('delete.topic.enable', bool, 'true', 'Whether topics can be deleted.'),
    known('group.initial.rebalance.delay.ms', int, '0', 'How long a new group waits for more members.'),
    known('group.max.session.timeout.ms', int, '1800000', 'The longest session of a group member.'),
    known('group.min.session.timeout.ms', int, '6000', 'The shortest session of a group member.'),
    count('max.connections', limits.connectionsMax, 'Connections at most.'),
    count('max.connections.per.ip', unlimited, 'Connections from one address at most.'),
    {
      ...known('max.connections.per.ip.overrides', string, '', 'How many one address may have instead: address:number, …'),
      check: (value) => void addressOverrides(value),
    },
    {
      ...count('max.connection.creation.rate', unlimited, 'Connections a second at most; others wait.'),
      check: (value) => {
        if (!/^[1-9]\d*$/.test(value) || Number(value) > unlimited)
          throw new ConfigRefused(
            `Invalid value ${value} for configuration max.connection.creation.rate: a whole number from 1 to ${unlimited}`,
          )
      },
    },
    known('offsets.retention.minutes', int, '10080', 'How long the offsets of a group without members are kept.'),
    known('socket.request.max.bytes', int, String(limits.frameBytesMax), 'The largest request that is read.'),
    known(
      'transaction.max.timeout.ms',
      int,
      String(transactionTimeoutMaxMs),
      'The longest time that a transaction may be given.',
    ),
    known('transactional.id.expiration.ms', int, String(idExpirationMs), 'How long a transactional id that is not used is kept.'),
    ...[...topicConfigs].flatMap(([name, row]) => {
      const { documentation = '', fallback } = configNotes[row.name] ?? {}
      const own: BrokerConfigRow = {
        name,
        type: row.type,
        documentation,
        standard: fallback === undefined ? row.read(kafkaDefaults, {}) : null,
        fallback,
        source: ConfigSource.Default,
        check: (value) => {
          // A topic may keep nothing at all, the broker may not say so for all.
          if (name === 'log.retention.ms' && value === '0') throw new ConfigRefused('-1, or 1 and more')
          settingOf(row.name, value)
        },
      }
      return fallback === undefined ? [own] : [own, known(fallback[0], int, fallback[1], documentation)]
    }),
  ]
}

/** For what the broker does to topics by itself; whether a client may ask for it was asked before. */
const operator: Principal = { user: '', may: () => true }

/** The key under which stands what topics follow, as far as they do. Levels are the other keys. */
const followedKey = 'followed'

export class BrokerConfigs implements TopicDefaults {
  readonly #broker: Broker
  readonly #rows: Rows
  readonly #table: ReadonlyMap<string, BrokerConfigRow>
  #config = kafkaDefaults
  #set: SetConfigs = {}

  static of(broker: Broker): BrokerConfigs {
    return broker.shared('kafka.broker-configs', () => new BrokerConfigs(broker))
  }

  constructor(broker: Broker) {
    this.#broker = broker
    this.#rows = broker.rows('kafka.broker-configs')
    this.#table = new Map(rowsFor(1, broker.limits).map((row) => [row.name, row]))
    this.#learn()
  }

  get config(): TopicDefaults['config'] {
    return this.#config
  }

  get set(): SetConfigs {
    return this.#set
  }

  setAt(level: ConfigLevel): SetConfigs {
    return JSON.parse(this.#rows.get(`set:${level}`) ?? '{}') as SetConfigs // our own rows
  }

  get(name: string): string {
    return this.setAt('1')[name] ?? this.setAt('')[name] ?? this.#table.get(name)?.standard ?? ''
  }

  typeOf(name: string): number | undefined {
    return this.#table.get(name)?.type
  }

  synonymsOf(name: string): ConfigSynonym[] {
    const synonyms: ConfigSynonym[] = []
    for (const [level, source] of levels) {
      const value = this.setAt(level)[name]
      if (value !== undefined) synonyms.push({ name, value, source })
    }
    const row = this.#table.get(name)
    if (row === undefined) return synonyms
    if (row.standard !== null) synonyms.push({ name, value: row.standard, source: row.source })
    // What has no default names the other one only where it is set itself, as Kafka does.
    else if (row.fallback !== undefined && synonyms.length > 0)
      synonyms.push({ name: row.fallback[0], value: row.fallback[1], source: ConfigSource.Default })
    return synonyms
  }

  /** As DescribeConfigs shows them: of a broker all that counts there, of all brokers what was set for them. */
  shown(level: ConfigLevel): ShownConfig[] {
    const shown: ShownConfig[] = []
    const set = this.setAt('')
    for (const { name, type, documentation, check, standard, source } of this.#table.values()) {
      const common = { name, readOnly: check === null, configType: type, documentation }
      if (level === '') {
        const value = set[name]
        if (value === undefined) continue
        const synonyms = [{ name, value, source: ConfigSource.DynamicDefaultBroker }]
        shown.push({ ...common, value, configSource: ConfigSource.DynamicDefaultBroker, synonyms })
        continue
      }
      const synonyms = this.synonymsOf(name)
      const first = synonyms[0]
      shown.push({ ...common, value: first?.value ?? standard, configSource: first?.source ?? source, synonyms })
    }
    return shown
  }

  /** The level's own configs become these. Throws {@link Refused}; durable, and true of every topic that follows, when the promise resolves. */
  async replace(level: ConfigLevel, set: SetConfigs, validateOnly: boolean): Promise<void> {
    for (const [name, value] of Object.entries(set)) {
      const row = this.#table.get(name)
      if (row === undefined || row.check === null)
        throw new Refused(KafkaError.InvalidRequest, `Cannot update these configs dynamically: [${name}]`)
      try {
        row.check(value)
      } catch (cause) {
        throw new Refused(KafkaError.InvalidRequest, `${name}: ${textOf(cause)}`)
      }
    }
    if (set['max.connections.per.ip'] === '0' && (set['max.connections.per.ip.overrides'] ?? '') === '')
      throw new Refused(
        KafkaError.InvalidRequest,
        'max.connections.per.ip can be 0 only where max.connections.per.ip.overrides is set',
      )
    if (validateOnly) return
    if (Object.keys(set).length === 0) this.#rows.delete(`set:${level}`)
    else this.#rows.put(`set:${level}`, JSON.stringify(set))
    this.#learn()
    await this.follow()
  }

  /**
   * Topics that say nothing themselves get what the broker says now. What they had followed so far is noted last, so that a start goes on where a
   * crash interrupted it.
   */
  async follow(): Promise<void> {
    const text = this.#rows.get(followedKey) ?? '{}'
    if (text === JSON.stringify(this.#set)) return await this.#rows.durable()
    const followed = JSON.parse(text) as SetConfigs // our own rows
    const before = { config: defaultsWith(followed), set: followed }
    const space = this.#broker.space(operator, namespaceName)
    const changes = space
      .topics()
      .filter(({ declaredBy }) => declaredBy === 'kafka')
      .map(async (topic) => {
        const setting = followDefaults(topic, before, this)
        if (Object.keys(setting).length > 0) await space.alterTopic(topic.name, setting)
      })
    if (Object.keys(this.#set).length === 0) this.#rows.delete(followedKey)
    else this.#rows.put(followedKey, JSON.stringify(this.#set))
    for (const result of await Promise.allSettled(changes))
      if (result.status === 'rejected')
        this.#broker.log.warn({ cause: textOf(result.reason) }, 'kafka: a topic does not follow the broker configs')
    await this.#rows.durable()
  }

  #learn(): void {
    const set: Record<string, string> = {}
    for (const [name, row] of topicConfigs) {
      const value = this.setAt('1')[name] ?? this.setAt('')[name]
      if (value !== undefined) set[row.name] = value
    }
    this.#set = set
    this.#config = defaultsWith(set)
  }
}

function defaultsWith(set: SetConfigs): TopicDefaults['config'] {
  let config = kafkaDefaults
  for (const [name, value] of Object.entries(set)) config = { ...config, ...settingOf(name, value) }
  return config
}
