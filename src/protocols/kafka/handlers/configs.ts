// DescribeConfigs, AlterConfigs, IncrementalAlterConfigs. Topic configs are the broker's own topic settings (config.ts); the broker's own
// configs are shown read-only.
import type { TopicConfig, TopicInfo } from '../../../broker/face.ts'
import { ConfigRefused, ConfigType, configRows, describeConfig, kafkaDefaults, settingOf } from '../config.ts'
import { codeOf, KafkaError, textOf } from '../errors.ts'
import type { Message } from '../schema.ts'
import { type KafkaSession, nodeId, type Request } from '../session.ts'

const ResourceType = { Topic: 2, Broker: 4, BrokerLogger: 8, ClientMetrics: 16, Group: 32 } as const
const Source = { Topic: 1, StaticBroker: 4, Default: 5 } as const
const Operation = { Set: 0, Delete: 1, Append: 2, Subtract: 3 } as const

export function describeConfigs(request: Request): void {
  const body = request.body()
  const results = (body['resources'] as Message[]).map((resource) => {
    const { resourceType, resourceName } = resource
    const wanted: string[] | null = resource['configurationKeys']
    const shown = configsOf(request.session, resourceType, resourceName)
    const head = { resourceType, resourceName }
    if (typeof shown === 'number') return { ...head, errorCode: shown, errorMessage: `no such resource: ${resourceName}` }
    const configs = shown
      .filter((config) => wanted === null || wanted.length === 0 || wanted.includes(config.name))
      .map((config) => ({
        ...config,
        synonyms: body['includeSynonyms'] ? [{ name: config.name, value: config.value, source: config.configSource }] : [],
      }))
    return { ...head, errorMessage: null, configs }
  })
  request.respond({ results })
}

interface ShownConfig {
  readonly name: string
  readonly value: string
  readonly readOnly: boolean
  readonly configSource: number
  readonly configType: number
}

function configsOf(session: KafkaSession, type: number, name: string): ShownConfig[] | number {
  if (type === ResourceType.Broker)
    return name === '' || name === String(nodeId) ? brokerConfigs(session) : KafkaError.InvalidRequest
  if (type !== ResourceType.Topic)
    return type === ResourceType.BrokerLogger || type === ResourceType.Group || type === ResourceType.ClientMetrics
      ? []
      : KafkaError.InvalidRequest
  const topic = session.space.topic(name)
  if (topic === undefined) return KafkaError.UnknownTopicOrPartition
  return configRows.map((row) => {
    const { value, isDefault } = describeConfig(topic.config, row)
    return {
      name: row.name,
      value,
      readOnly: false,
      configSource: isDefault ? Source.Default : Source.Topic,
      configType: row.type,
    }
  })
}

function brokerConfigs(session: KafkaSession): ShownConfig[] {
  const values: [string, string, number][] = [
    ['broker.id', String(nodeId), ConfigType.Int],
    ['node.id', String(nodeId), ConfigType.Int],
    ['auto.create.topics.enable', 'true', ConfigType.Boolean],
    ['delete.topic.enable', 'true', ConfigType.Boolean],
    ['default.replication.factor', '1', ConfigType.Int],
    ['num.partitions', String(kafkaDefaults.partitions), ConfigType.Int],
    ['message.max.bytes', String(kafkaDefaults.recordBytesMax), ConfigType.Int],
    ['socket.request.max.bytes', String(session.broker.limits.frameBytesMax), ConfigType.Int],
    ['log.retention.ms', String(kafkaDefaults.retentionMs), ConfigType.Long],
    ['log.retention.bytes', String(kafkaDefaults.retentionBytes), ConfigType.Long],
    ['log.segment.bytes', String(kafkaDefaults.segmentBytes), ConfigType.Int],
    ['log.cleanup.policy', 'delete', ConfigType.List],
    ['log.message.timestamp.type', 'CreateTime', ConfigType.String],
    ['compression.type', 'producer', ConfigType.String],
    ['min.insync.replicas', '1', ConfigType.Int],
    ['group.initial.rebalance.delay.ms', '0', ConfigType.Int],
    ['group.min.session.timeout.ms', '6000', ConfigType.Int],
    ['group.max.session.timeout.ms', '1800000', ConfigType.Int],
  ]
  return values.map(([name, value, configType]) => ({
    name,
    value,
    readOnly: true,
    configSource: Source.StaticBroker,
    configType,
  }))
}

/** The old call: the configs named are all there are, the others go back to their defaults. */
export async function alterConfigs(request: Request): Promise<void> {
  await alter(request, (_topic, configs) => {
    const setting: Partial<TopicConfig> = {}
    for (const row of configRows) Object.assign(setting, settingOf(row.name, null))
    for (const config of configs) Object.assign(setting, settingOf(config['name'], config['value']))
    return setting
  })
}

export async function incrementalAlterConfigs(request: Request): Promise<void> {
  await alter(request, (topic, configs) => {
    const setting: Partial<TopicConfig> = {}
    for (const config of configs) Object.assign(setting, settingOf(config['name'], valueAfter(topic, config)))
    return setting
  })
}

function valueAfter(topic: TopicInfo, config: Message): string | null {
  const { name, value, configOperation } = config
  if (configOperation === Operation.Delete) return null
  if (configOperation === Operation.Set) {
    if (value === null) throw new ConfigRefused(`Null value not supported for ${name}`)
    return value
  }
  const row = configRows.find((candidate) => candidate.name === name)
  if (row?.type !== ConfigType.List) throw new ConfigRefused(`${name} is not a list: it can be set, not appended to`)
  const words = new Set(
    row
      .read(topic.config)
      .split(',')
      .filter((word) => word !== ''),
  )
  for (const word of String(value).split(',')) {
    if (configOperation === Operation.Append) words.add(word.trim())
    else words.delete(word.trim())
  }
  return [...words].join(',')
}

async function alter(
  request: Request,
  settingsFor: (topic: TopicInfo, configs: Message[]) => Partial<TopicConfig>,
): Promise<void> {
  const { space } = request.session
  const body = request.body()
  const responses: object[] = []
  for (const resource of body['resources'] as Message[]) {
    const { resourceType, resourceName } = resource
    const answer = (errorCode: number, errorMessage: string | null): void => {
      responses.push({ errorCode, errorMessage, resourceType, resourceName })
    }
    const topic = resourceType === ResourceType.Topic ? space.topic(resourceName) : undefined
    if (resourceType !== ResourceType.Topic) answer(KafkaError.InvalidConfig, 'only topics have configs that can be changed here')
    else if (topic === undefined) answer(KafkaError.UnknownTopicOrPartition, `no such topic: ${resourceName}`)
    else {
      try {
        const setting = settingsFor(topic, resource['configs'])
        if (!body['validateOnly']) await space.alterTopic(resourceName, setting)
        answer(KafkaError.None, null)
      } catch (cause) {
        answer(cause instanceof ConfigRefused ? KafkaError.InvalidConfig : codeOf(cause), textOf(cause))
      }
    }
  }
  request.respond({ responses })
}
