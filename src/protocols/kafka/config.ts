// Kafka's topic configs over the broker's own settings. A config is enforced by the core under its neutral name, or enforced here when records
// are produced (produce-rules.ts), or known and fixed: then only the value it has anyway is accepted. Nothing is stored and ignored.
import { type TopicConfig, type TopicInfo, topicDefaults } from '../../broker/face.ts'
import { configNotes } from './config-notes.ts'
import { ownConfigRows } from './own-configs.ts'
import { ConfigRefused } from './refused.ts'

export const ConfigType = { Boolean: 1, String: 2, Int: 3, Long: 5, Double: 6, List: 7 } as const

function cleanupOf(text: string): Pick<TopicConfig, 'compact' | 'compactAndDelete'> | undefined {
  const words = new Set(text.split(',').map((word) => word.trim()))
  const compact = words.delete('compact')
  const deletes = words.delete('delete')
  return words.size === 0 && (compact || deletes) ? { compact, compactAndDelete: compact && deletes } : undefined
}

/** What was set by name, as text: how Kafka tells a topic's own configs from defaults, and all there is of those that are enforced here. */
export type SetConfigs = Readonly<Record<string, string>>

export interface ConfigRow {
  readonly name: string
  readonly type: number
  readonly read: (config: TopicConfig, set: SetConfigs) => string
  /** undefined when the value is not one. */
  readonly write: (value: string) => Partial<TopicConfig> | undefined
}

type NumberSetting =
  | 'retentionMs'
  | 'retentionBytes'
  | 'segmentBytes'
  | 'segmentMs'
  | 'recordBytesMax'
  | 'tombstoneRetentionMs'
  | 'minCompactionLagMs'

function number(name: string, type: number, setting: NumberSetting, min: number, max: number): ConfigRow {
  // A long may be greater than what numbers here hold exactly; so large, it means no limit in either form.
  const parsed = (text: string): number => Math.min(Number(text), longMax)
  return {
    name,
    type,
    read: (config, set) => {
      const text = set[name]
      return text !== undefined && parsed(text) === config[setting] ? text : String(config[setting])
    },
    write: (text) => (wholeBetween(min, max === longMax ? longest : BigInt(max))(text) ? { [setting]: parsed(text) } : undefined),
  }
}

const fixed = (name: string, type: number, value: string): ConfigRow => ({
  name,
  type,
  read: () => value,
  write: (text) => (text === value ? {} : undefined),
})

/** Enforced when records are produced; kept with what was set. */
const own = (name: string, type: number, standard: string, valid: (text: string) => boolean): ConfigRow => ({
  name,
  type,
  read: (_, set) => set[name] ?? standard,
  write: (text) => (valid(text) ? {} : undefined),
})

/** Longs reach beyond what a number holds exactly. */
const wholeBetween =
  (min: number, max: bigint) =>
  (text: string): boolean =>
    /^-?\d+$/.test(text) && BigInt(text) >= min && BigInt(text) <= max

const longMax = Number.MAX_SAFE_INTEGER
const intMax = 0x7fffffff
const { Boolean: bool, String: string, Int: int, Long: long, Double: double, List: list } = ConfigType

/** compression.type by name, as a batch's attributes number it. */
export const codecs: Readonly<Record<string, number>> = { gzip: 1, snappy: 2, lz4: 3, zstd: 4 }

/** What Kafka calls unlimited is the greatest long. */
const longMaxText = '9223372036854775807'
const longest = BigInt(longMaxText)

export const configRows: readonly ConfigRow[] = [
  {
    name: 'cleanup.policy',
    type: list,
    read: ({ compact, compactAndDelete }, set) => {
      // In the order in which the words were set.
      const text = set['cleanup.policy']
      const told = text === undefined ? undefined : cleanupOf(text)
      if (text !== undefined && told?.compact === compact && told.compactAndDelete === compactAndDelete) return text
      return !compact ? 'delete' : compactAndDelete ? 'compact,delete' : 'compact'
    },
    write: cleanupOf,
  },
  number('retention.ms', long, 'retentionMs', -1, longMax),
  number('retention.bytes', long, 'retentionBytes', -1, longMax),
  number('segment.bytes', int, 'segmentBytes', 1024 * 1024, intMax),
  number('segment.ms', long, 'segmentMs', 1, longMax),
  number('delete.retention.ms', long, 'tombstoneRetentionMs', 0, longMax),
  number('min.compaction.lag.ms', long, 'minCompactionLagMs', 0, longMax),
  {
    name: 'min.cleanable.dirty.ratio',
    type: double,
    read: (config) => String(config.minCleanableRatio),
    write: (text) => {
      const value = Number(text)
      return text.trim() !== '' && value >= 0 && value <= 1 ? { minCleanableRatio: value } : undefined
    },
  },
  number('max.message.bytes', int, 'recordBytesMax', 0, intMax),
  {
    name: 'message.timestamp.type',
    type: string,
    read: (config) => (config.timestampType === 'create' ? 'CreateTime' : 'LogAppendTime'),
    write: (text) =>
      text === 'CreateTime' ? { timestampType: 'create' } : text === 'LogAppendTime' ? { timestampType: 'logAppend' } : undefined,
  },
  own('compression.type', string, 'producer', (text) => text === 'producer' || text === 'uncompressed' || text in codecs),
  fixed('compression.gzip.level', int, '-1'),
  fixed('compression.lz4.level', int, '9'),
  fixed('compression.zstd.level', int, '3'),
  fixed('min.insync.replicas', int, '1'),
  fixed('file.delete.delay.ms', long, '60000'),
  fixed('flush.messages', long, longMaxText),
  fixed('flush.ms', long, longMaxText),
  fixed('follower.replication.throttled.replicas', list, ''),
  fixed('index.interval.bytes', int, '4096'),
  fixed('leader.replication.throttled.replicas', list, ''),
  fixed('local.retention.bytes', long, '-2'),
  fixed('local.retention.ms', long, '-2'),
  fixed('max.compaction.lag.ms', long, longMaxText),
  own('message.timestamp.after.max.ms', long, '3600000', wholeBetween(0, longest)),
  own('message.timestamp.before.max.ms', long, longMaxText, wholeBetween(0, longest)),
  fixed('preallocate', bool, 'false'),
  fixed('remote.log.copy.disable', bool, 'false'),
  fixed('remote.log.delete.on.disable', bool, 'false'),
  fixed('remote.storage.enable', bool, 'false'),
  fixed('segment.index.bytes', int, '10485760'),
  fixed('segment.jitter.ms', long, '0'),
  fixed('unclean.leader.election.enable', bool, 'false'),
  ...ownConfigRows,
]

const rowsByName = new Map(configRows.map((row) => [row.name, row]))

/** What topics have of which nothing more is said: the broker's own configs say so (broker-configs.ts). */
export interface TopicDefaults {
  readonly config: TopicConfig
  /** Those that were set at run time, by the names that topics know them by. */
  readonly set: SetConfigs
  /** Where a broker config has its values from, the one that counts first. */
  synonymsOf(brokerConfig: string): ConfigSynonym[]
}

/** What a topic has that Kafka creates while nothing was set for the whole broker. */
export const kafkaDefaults: TopicConfig = { ...topicDefaults, recordBytesMax: 1_048_588 }

const setKey = 'kafka.configs'

/** What Kafka clients set on this topic. */
export function setConfigs(topic: TopicInfo): SetConfigs {
  // Only {@link declarationWith} writes under this name.
  return (topic.declaration[setKey] ?? {}) as SetConfigs
}

/** The topic's declaration with these set configs in place of the ones it has; what other protocols declared stays. */
export function declarationWith(declaration: Readonly<Record<string, unknown>>, set: SetConfigs): Record<string, unknown> {
  return { ...declaration, [setKey]: set }
}

/** The neutral settings of a new topic with these configs; throws ConfigRefused. */
export function configFrom(values: SetConfigs, defaults: TopicDefaults): Partial<TopicConfig> {
  const config: Partial<TopicConfig> = { retention: 'time', recordBytesMax: kafkaDefaults.recordBytesMax }
  for (const [name, value] of Object.entries({ ...defaults.set, ...values }))
    Object.assign(config, settingOf(name, value, defaults))
  return config
}

/** One config's neutral settings; a null value means its default. Throws ConfigRefused. */
export function settingOf(
  name: string,
  value: string | null,
  defaults: Pick<TopicDefaults, 'config' | 'set'> = { config: kafkaDefaults, set: {} },
): Partial<TopicConfig> {
  const row = rowsByName.get(name)
  if (row === undefined) throw new ConfigRefused(`Unknown topic config name: ${name}`)
  const standard = row.read(defaults.config, defaults.set)
  const setting = row.write(value ?? standard)
  if (setting !== undefined) return setting
  const why = configNotes[name]?.fixed
  throw new ConfigRefused(
    `Invalid value ${value} for configuration ${name}${why === undefined ? '' : `: this broker has ${standard} and nothing else, since ${why}`}`,
  )
}

export const ConfigSource = { Topic: 1, DynamicBroker: 2, DynamicDefaultBroker: 3, StaticBroker: 4, Default: 5 } as const

export interface ConfigSynonym {
  readonly name: string
  readonly value: string
  readonly source: number
}

export interface ShownConfig {
  readonly name: string
  readonly value: string | null
  readonly readOnly: boolean
  readonly configSource: number
  readonly configType: number
  readonly documentation: string
  readonly synonyms: readonly ConfigSynonym[]
}

/** Whether a topic's own value is another than what it would have by default, or was set by name all the same. */
function isOfTopic(
  row: ConfigRow,
  config: TopicConfig,
  set: SetConfigs,
  defaults: Pick<TopicDefaults, 'config' | 'set'>,
): boolean {
  // What another protocol set differs from the default and is the topic's own as well.
  return set[row.name] !== undefined || row.read(config, { ...defaults.set, ...set }) !== row.read(defaults.config, defaults.set)
}

/** A topic's configs as Kafka shows them. */
export function shownConfigs(config: TopicConfig, set: SetConfigs, defaults: TopicDefaults): ShownConfig[] {
  return configRows.map((row) => {
    const { name, type } = row
    const value = row.read(config, { ...defaults.set, ...set })
    const ofTopic = isOfTopic(row, config, set, defaults)
    const note = configNotes[name]
    const synonyms: ConfigSynonym[] = ofTopic ? [{ name, value, source: ConfigSource.Topic }] : []
    if (note?.broker !== undefined) synonyms.push(...defaults.synonymsOf(note.broker))
    return {
      name,
      value,
      readOnly: false,
      configSource: synonyms[0]?.source ?? ConfigSource.Default,
      configType: type,
      documentation: note?.documentation ?? '',
      synonyms,
    }
  })
}

/** What changes of a topic when other defaults take the place of those it was under: it keeps what is its own. */
export function followDefaults(
  topic: TopicInfo,
  before: Pick<TopicDefaults, 'config' | 'set'>,
  after: Pick<TopicDefaults, 'config' | 'set'>,
): Partial<TopicConfig> {
  const set = setConfigs(topic)
  const setting: Partial<TopicConfig> = {}
  for (const row of configRows) {
    const standard = row.read(after.config, after.set)
    if (row.read(before.config, before.set) === standard || isOfTopic(row, topic.config, set, before)) continue
    Object.assign(setting, row.write(standard))
  }
  return setting
}
