// DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources: of topics (config.ts), of the broker (broker-configs.ts) and of groups.
import type { Action, TopicConfig, TopicInfo } from '../../../broker/face.ts'
import type { ConfigLevel } from '../broker-configs.ts'
import {
  ConfigType,
  configRows,
  declarationWith,
  type SetConfigs,
  type ShownConfig,
  setConfigs,
  settingOf,
  shownConfigs,
} from '../config.ts'
import { KafkaError } from '../errors.ts'
import { GroupConfigs } from '../group-config.ts'
import { isTopicName } from '../names.ts'
import { mayCluster, mayGroup, mayTopic } from '../operations.ts'
import { ConfigRefused, failure, Refused } from '../refused.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'
import { type KafkaSession, nodeId } from '../session.ts'

const ResourceType = { Topic: 2, Broker: 4, BrokerLogger: 8, ClientMetrics: 16, Group: 32 } as const
const Operation = { Set: 0, Delete: 1, Append: 2, Subtract: 3 } as const

export function describeConfigs(request: Request): void {
  const body = request.body()
  const results = (body['resources'] as Message[]).map((resource) => {
    const { resourceType, resourceName } = resource
    const wanted: string[] | null = resource['configurationKeys']
    try {
      const configs = configsOf(request.session, resourceType, resourceName)
        .filter((config) => wanted === null || wanted.length === 0 || wanted.includes(config.name))
        .map((config) => ({
          ...config,
          synonyms: body['includeSynonyms'] ? config.synonyms : [],
          documentation: body['includeDocumentation'] ? config.documentation : null,
        }))
      return { resourceType, resourceName, errorMessage: '', configs }
    } catch (cause) {
      return { resourceType, resourceName, configs: [], ...failure(cause) }
    }
  })
  request.respond({ results })
}

function configsOf(session: KafkaSession, type: number, name: string): readonly ShownConfig[] {
  switch (type) {
    case ResourceType.Topic: {
      const topic = topicNamed(session, name, 'describeConfig')
      return shownConfigs(topic.config, setConfigs(topic), session.configs)
    }
    case ResourceType.Broker:
      checkCluster(session, 'describeConfig')
      return session.configs.shown(levelNamed(name))
    case ResourceType.BrokerLogger:
      checkCluster(session, 'describeConfig')
      checkBroker(name)
      return []
    case ResourceType.ClientMetrics:
    case ResourceType.Group:
      if (name === '') throw new Refused(KafkaError.InvalidRequest, 'the resource has no name')
      if (type === ResourceType.ClientMetrics) return []
      if (!mayGroup(session, 'describeConfig', name))
        throw new Refused(KafkaError.GroupAuthorizationFailed, `${session.principal.user} may not describe group "${name}"`)
      return GroupConfigs.of(session.broker).shown(name)
    default:
      throw new Refused(KafkaError.InvalidRequest, `unknown kind of resource: ${type}`)
  }
}

function checkCluster(session: KafkaSession, action: Action): void {
  if (!mayCluster(session, action))
    throw new Refused(KafkaError.ClusterAuthorizationFailed, `${session.principal.user} may not ${action} the cluster`)
}

function topicNamed(session: KafkaSession, name: string, action: Action): TopicInfo {
  if (!mayTopic(session, action, name))
    throw new Refused(KafkaError.TopicAuthorizationFailed, `${session.principal.user} may not ${action} "${name}"`)
  const topic = session.space.topic(name)
  if (topic !== undefined) return topic
  if (!isTopicName(name)) throw new Refused(KafkaError.InvalidTopic, `"${name}" is not a topic name`)
  throw new Refused(KafkaError.UnknownTopicOrPartition, `no such topic: ${name}`)
}

function checkBroker(name: string): void {
  if (name !== String(nodeId))
    throw new Refused(KafkaError.InvalidRequest, `Unexpected broker id, expected ${nodeId}, but received ${name}`)
}

/** Without a name: all brokers. */
function levelNamed(name: string): ConfigLevel {
  if (name !== '') checkBroker(name)
  return name === '' ? '' : '1'
}

export function listConfigResources(request: Request): void {
  const { session, version } = request
  if (!mayCluster(session, 'describeConfig'))
    return request.respond({ errorCode: KafkaError.ClusterAuthorizationFailed, configResources: [] })
  // Version 0 knows client metrics only, of which there are none to configure.
  const asked: number[] = version === 0 ? [ResourceType.ClientMetrics] : request.body()['resourceTypes']
  const known: number[] = Object.values(ResourceType)
  if (asked.some((type) => !known.includes(type))) {
    return request.respond({ errorCode: KafkaError.UnsupportedVersion, configResources: [] })
  }
  const wanted = asked.length === 0 ? known : asked
  const configResources: object[] = []
  for (const resourceType of [ResourceType.BrokerLogger, ResourceType.Broker]) {
    if (wanted.includes(resourceType)) configResources.push({ resourceName: String(nodeId), resourceType })
  }
  if (wanted.includes(ResourceType.Topic)) {
    for (const topic of session.space.topics())
      configResources.push({ resourceName: topic.name, resourceType: ResourceType.Topic })
  }
  if (wanted.includes(ResourceType.Group)) {
    for (const resourceName of GroupConfigs.of(session.broker).groups())
      configResources.push({ resourceName, resourceType: ResourceType.Group })
  }
  request.respond({ configResources })
}

// --------------------------------------------------------------------------------------------------------------------- changes

/** The old call: the configs named are all there are, the others go back to their defaults. */
export async function alterConfigs(request: Request): Promise<void> {
  const everyName = configRows.map((row) => row.name)
  await alter(request, everyName, (_session, _topic, configs) => {
    const set: Record<string, string> = {}
    for (const { name, value } of configs) {
      if (value === null) throw new Refused(KafkaError.InvalidRequest, `Null value not supported for configs: ${name}`)
      set[name] = value
    }
    return set
  })
}

export async function incrementalAlterConfigs(request: Request): Promise<void> {
  await alter(request, [], ({ configs: defaults }, topic, configs) => {
    const set: Record<string, string> = { ...setConfigs(topic) }
    for (const config of configs) {
      const row = configRows.find((candidate) => candidate.name === config['name'])
      if (row === undefined) throw new ConfigRefused(`Unknown topic config name: ${config['name']}`)
      const value = valueAfter(config, row.type, row.read(topic.config, { ...defaults.set, ...set }))
      if (value === null) delete set[config['name']]
      else set[config['name']] = value
    }
    return set
  })
}

/** What an operation leaves of a config that has this value; null is its default. */
function valueAfter(config: Message, type: number, before: string): string | null {
  const { name, value, configOperation } = config
  if (configOperation === Operation.Delete) return null
  if (value === null) throw new Refused(KafkaError.InvalidRequest, `Null value not supported for: ${name}`)
  if (configOperation === Operation.Set) return value
  if (configOperation !== Operation.Append && configOperation !== Operation.Subtract)
    throw new Refused(KafkaError.InvalidRequest, `unknown operation ${configOperation} on ${name}`)
  if (type !== ConfigType.List)
    throw new ConfigRefused(`Can't append to or subtract from ${name}: it is not a list, and can only be set`)
  const words = new Set(before.split(',').filter((word) => word !== ''))
  for (const word of String(value).split(',')) {
    if (configOperation === Operation.Append) words.add(word.trim())
    else words.delete(word.trim())
  }
  return [...words].join(',')
}

/** What is set of a topic's configs after a request. */
type SetAfter = (session: KafkaSession, topic: TopicInfo, configs: Message[]) => SetConfigs

/** `reset`: the configs that go back to their defaults unless they are set. */
async function alter(request: Request, reset: readonly string[], setAfter: SetAfter): Promise<void> {
  const body = request.body()
  const resources: Message[] = body['resources']
  const seen = new Map<string, number>()
  for (const each of resources) seen.set(keyOf(each), (seen.get(keyOf(each)) ?? 0) + 1)
  const responses: object[] = []
  for (const resource of resources) {
    const { resourceType, resourceName } = resource
    try {
      if ((seen.get(keyOf(resource)) ?? 0) > 1)
        throw new Refused(KafkaError.InvalidRequest, 'Each resource must appear at most once.')
      await alterOne(request.session, resource, reset, setAfter, body['validateOnly'])
      responses.push({ resourceType, resourceName, errorMessage: null })
    } catch (cause) {
      responses.push({ resourceType, resourceName, ...failure(cause) })
    }
  }
  request.respond({ responses })
}

const keyOf = (resource: Message): string => `${resource['resourceType']}:${resource['resourceName']}`

async function alterOne(
  session: KafkaSession,
  resource: Message,
  reset: readonly string[],
  setAfter: SetAfter,
  validateOnly: boolean,
): Promise<void> {
  const { resourceType, resourceName } = resource
  const configs: Message[] = resource['configs']
  if (new Set(configs.map((config) => config['name'])).size < configs.length)
    throw new Refused(KafkaError.InvalidRequest, 'Error due to duplicate config keys')
  if (resourceType === ResourceType.Group)
    return await alterGroup(session, resourceName, configs, reset.length === 0, validateOnly)
  if (resourceType === ResourceType.Broker)
    return await alterBroker(session, resourceName, configs, reset.length === 0, validateOnly)
  if (resourceType !== ResourceType.Topic) refuseOthers(session, resourceType, resourceName, configs)
  const topic = topicNamed(session, resourceName, 'configure')
  const after = setAfter(session, topic, configs)
  const setting: Partial<TopicConfig> = {}
  for (const name of reset) if (!(name in after)) Object.assign(setting, settingOf(name, null, session.configs))
  for (const { name } of configs) Object.assign(setting, settingOf(name, after[name] ?? null, session.configs))
  if (!validateOnly) await session.space.alterTopic(topic.name, setting, declarationWith(topic.declaration, after))
}

/** Group configs are numbers and words, so that there are no lists to append to. */
async function alterGroup(
  session: KafkaSession,
  group: string,
  configs: Message[],
  isIncremental: boolean,
  validateOnly: boolean,
): Promise<void> {
  if (group === '') throw new Refused(KafkaError.InvalidRequest, 'the resource has no name')
  if (!mayGroup(session, 'configure', group))
    throw new Refused(KafkaError.GroupAuthorizationFailed, `${session.principal.user} may not configure group "${group}"`)
  const own = GroupConfigs.of(session.broker)
  const set: Record<string, string> = isIncremental ? { ...own.set(group) } : {}
  for (const { name, value, configOperation } of configs) {
    if (isIncremental && configOperation === Operation.Delete) delete set[name]
    else if (isIncremental && configOperation !== Operation.Set)
      throw new ConfigRefused(`Can't append to or subtract from ${name}: it is not a list, and can only be set`)
    else if (value === null) throw new Refused(KafkaError.InvalidRequest, `Null value not supported for: ${name}`)
    else set[name] = value
  }
  await own.replace(group, set, validateOnly)
}

async function alterBroker(
  session: KafkaSession,
  name: string,
  configs: Message[],
  isIncremental: boolean,
  validateOnly: boolean,
): Promise<void> {
  checkCluster(session, 'configure')
  const level = levelNamed(name)
  const own = session.configs
  const set: Record<string, string> = isIncremental ? { ...own.setAt(level) } : {}
  for (const config of configs) {
    const { name, value } = config
    if (!isIncremental && value === null)
      throw new Refused(KafkaError.InvalidRequest, `Null value not supported for configs: ${name}`)
    const after = isIncremental ? valueAfter(config, own.typeOf(name) ?? ConfigType.String, set[name] ?? own.get(name)) : value
    if (after === null) delete set[name]
    else set[name] = after
  }
  await own.replace(level, set, validateOnly)
}

function refuseOthers(session: KafkaSession, resourceType: number, name: string, configs: Message[]): never {
  checkCluster(session, 'configure')
  const names = configs.map((config) => config['name']).join(', ')
  switch (resourceType) {
    case ResourceType.BrokerLogger:
      checkBroker(name)
      throw new Refused(KafkaError.InvalidRequest, `There are no such loggers: ${names}`)
    case ResourceType.ClientMetrics:
      throw new Refused(KafkaError.InvalidConfig, `nothing can be configured here: ${names}`)
    default:
      throw new Refused(KafkaError.InvalidRequest, `unknown kind of resource: ${resourceType}`)
  }
}
