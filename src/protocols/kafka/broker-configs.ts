// The broker's own configs as Kafka names them. Those that Kafka lets be changed at run time and that mean something here can be: what topics have
// that say nothing themselves, and how many connections there may be. Kept in the rows "kafka.broker-configs", for all brokers ('') and for this one.
import type { Broker, Principal, Rows } from '../../broker/face.ts'
import { type BrokerConfigRow, brokerConfigRows, topicConfigs } from './broker-config-rows.ts'
import {
  ConfigSource,
  type ConfigSynonym,
  followDefaults,
  kafkaDefaults,
  type SetConfigs,
  type ShownConfig,
  settingOf,
  type TopicDefaults,
} from './config.ts'
import { KafkaError, textOf } from './errors.ts'
import { namespaceName } from './names.ts'
import { Refused } from './refused.ts'

/** Of all brokers, or of one by its number. */
export type ConfigLevel = '' | '1'
const levels = [
  ['1', ConfigSource.DynamicBroker],
  ['', ConfigSource.DynamicDefaultBroker],
] as const

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
  #levels: Readonly<Record<ConfigLevel, SetConfigs>> = { '': {}, '1': {} }

  static of(broker: Broker): BrokerConfigs {
    return broker.shared('kafka.broker-configs', () => new BrokerConfigs(broker))
  }

  constructor(broker: Broker) {
    this.#broker = broker
    this.#rows = broker.rows('kafka.broker-configs')
    this.#table = new Map(brokerConfigRows(1, broker.limits).map((row) => [row.name, row]))
    this.#learn()
  }

  get config(): TopicDefaults['config'] {
    return this.#config
  }

  get set(): SetConfigs {
    return this.#set
  }

  setAt(level: ConfigLevel): SetConfigs {
    return this.#levels[level]
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
    const read = (level: ConfigLevel): SetConfigs => JSON.parse(this.#rows.get(`set:${level}`) ?? '{}') as SetConfigs // our own rows
    this.#levels = { '': read(''), '1': read('1') }
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
