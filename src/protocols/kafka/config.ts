// Kafka's topic configs over the broker's own settings. A config is either enforced by the core under its neutral name, or known and fixed:
// then only the value it has anyway is accepted. Nothing is stored and ignored.
import { type TopicConfig, topicDefaults } from '../../broker/face.ts'

export const ConfigType = { Boolean: 1, String: 2, Int: 3, Long: 5, Double: 6, List: 7 } as const

interface ConfigRow {
  readonly name: string
  readonly type: number
  readonly read: (config: TopicConfig) => string
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
  return {
    name,
    type,
    read: (config) => String(config[setting]),
    write: (text) => {
      const value = Number(text)
      return /^-?\d+$/.test(text.trim()) && value >= min && value <= max ? { [setting]: value } : undefined
    },
  }
}

const fixed = (name: string, type: number, value: string): ConfigRow => ({
  name,
  type,
  read: () => value,
  write: (text) => (text === value ? {} : undefined),
})

const longMax = Number.MAX_SAFE_INTEGER
const intMax = 0x7fffffff
const { Boolean: bool, String: string, Int: int, Long: long, Double: double, List: list } = ConfigType

/** What Kafka calls unlimited is the greatest long. */
const longMaxText = '9223372036854775807'

export const configRows: readonly ConfigRow[] = [
  {
    name: 'cleanup.policy',
    type: list,
    read: (config) => (!config.compact ? 'delete' : config.compactAndDelete ? 'compact,delete' : 'compact'),
    write: (text) => {
      const words = new Set(text.split(',').map((word) => word.trim()))
      const compact = words.delete('compact')
      const deletes = words.delete('delete')
      return words.size === 0 && (compact || deletes) ? { compact, compactAndDelete: compact && deletes } : undefined
    },
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
  fixed('compression.type', string, 'producer'),
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
  fixed('message.timestamp.after.max.ms', long, longMaxText),
  fixed('message.timestamp.before.max.ms', long, longMaxText),
  fixed('preallocate', bool, 'false'),
  fixed('remote.log.copy.disable', bool, 'false'),
  fixed('remote.log.delete.on.disable', bool, 'false'),
  fixed('remote.storage.enable', bool, 'false'),
  fixed('segment.index.bytes', int, '10485760'),
  fixed('segment.jitter.ms', long, '0'),
  fixed('unclean.leader.election.enable', bool, 'false'),
]

const rowsByName = new Map(configRows.map((row) => [row.name, row]))

/** What a topic has that Kafka creates and nothing more is said of. */
export const kafkaDefaults: TopicConfig = {
  ...topicDefaults,
  recordBytesMax: 1_048_588,
  segmentBytes: topicDefaults.segmentBytes,
}

export class ConfigRefused extends Error {}

/** The neutral settings of a whole set of configs; throws ConfigRefused. */
export function configFrom(values: Readonly<Record<string, string | null>>): Partial<TopicConfig> {
  const config: Partial<TopicConfig> = { retention: 'time', recordBytesMax: kafkaDefaults.recordBytesMax }
  for (const [name, value] of Object.entries(values)) Object.assign(config, settingOf(name, value))
  return config
}

/** One config's neutral settings; a null value means its default. Throws ConfigRefused. */
export function settingOf(name: string, value: string | null): Partial<TopicConfig> {
  const row = rowsByName.get(name)
  if (row === undefined) throw new ConfigRefused(`Unknown topic config name: ${name}`)
  const setting = row.write(value ?? row.read(kafkaDefaults))
  if (setting === undefined) {
    const present = row.read(kafkaDefaults)
    throw new ConfigRefused(
      `Invalid value ${value} for configuration ${name}${row.write(present) && Object.keys(row.write(present) ?? {}).length === 0 ? `: this broker has ${present} and nothing else` : ''}`,
    )
  }
  return setting
}

export function describeConfig(
  config: TopicConfig,
  row: ConfigRow,
): { name: string; value: string; type: number; isDefault: boolean } {
  const value = row.read(config)
  return { name: row.name, value, type: row.type, isDefault: value === row.read(kafkaDefaults) }
}
