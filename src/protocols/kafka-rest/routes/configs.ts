/** v3: configs of topics, of the broker, and of all brokers; read and changed as Kafka's admin client does. */
import { ApiKey } from '../../kafka/codec.ts'
import type { Message } from '../../kafka/schema.ts'
import { badRequest, RestError } from '../errors.ts'
import { check, withKafka } from '../kafka-client.ts'
import { type Call, listOf, onlyKnown, type Route } from '../route.ts'
import { base, clusterPath, list, own, thing } from '../v3.ts'
import { ownBroker } from './brokers.ts'

/** Whose configs they are. */
interface Owner {
  readonly type: number
  readonly name: string
  readonly kind: string
  /** Below the cluster. */
  readonly path: string
  readonly fields: object
}

const [topicType, brokerType] = [2, 4]
const [setting, deletion] = [0, 1]
const sources: Readonly<Record<number, string>> = {
  1: 'DYNAMIC_TOPIC_CONFIG',
  2: 'DYNAMIC_BROKER_CONFIG',
  3: 'DYNAMIC_DEFAULT_BROKER_CONFIG',
  4: 'STATIC_BROKER_CONFIG',
  5: 'DEFAULT_CONFIG',
}
const defaultSource = 5

function ofTopic(call: Call): Owner {
  own(call)
  return topicOwner(call.topic(call.parameter('topic')).name)
}

function topicOwner(name: string): Owner {
  const path = `topics/${encodeURIComponent(name)}/configs`
  return { type: topicType, name, kind: 'KafkaTopicConfig', path, fields: { topic_name: name } }
}

function ofBroker(call: Call): Owner {
  ownBroker(call)
  const name = call.parameter('broker')
  const fields = { broker_id: Number(name) }
  return { type: brokerType, name, kind: 'KafkaBrokerConfig', path: `brokers/${name}/configs`, fields }
}

function ofCluster(call: Call): Owner {
  own(call)
  return { type: brokerType, name: '', kind: 'KafkaClusterConfig', path: 'broker-configs', fields: { config_type: 'BROKER' } }
}

export const configRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: `${clusterPath}/topics/-/configs`,
    handle: async (call) => {
      own(call)
      const configs: object[] = []
      for (const { name } of call.space.topics().filter((each) => call.may('describe', each.name))) {
        const owner = topicOwner(name)
        for (const config of await described(call, owner, null)) configs.push(shown(call, owner, config))
      }
      return list(call, 'KafkaTopicConfigList', `${base(call)}/topics/-/configs`, configs)
    },
  },
  ...routesOf('topics/:topic/configs', ofTopic),
  ...routesOf('brokers/:broker/configs', ofBroker),
  ...routesOf('broker-configs', ofCluster),
]

function routesOf(below: string, ownerOf: (call: Call) => Owner): Route[] {
  const path = `${clusterPath}/${below}`
  return [
    {
      method: 'GET',
      path,
      handle: async (call) => {
        const owner = ownerOf(call)
        const configs = (await described(call, owner, null)).map((config) => shown(call, owner, config))
        return list(call, `${owner.kind}List`, `${base(call)}/${owner.path}`, configs)
      },
    },
    {
      method: 'GET',
      path: `${path}/:name`,
      handle: async (call) => {
        const owner = ownerOf(call)
        return shown(call, owner, await one(call, owner))
      },
    },
    {
      method: 'PUT',
      path: `${path}/:name`,
      handle: async (call) => {
        const owner = ownerOf(call)
        const { value } = await call.body(['value'])
        if (value !== null && typeof value !== 'string') throw badRequest('value must be text, or null')
        const configOperation = value === null ? deletion : setting
        await alter(call, owner, [{ name: call.parameter('name'), value, configOperation }], false)
      },
    },
    {
      method: 'DELETE',
      path: `${path}/:name`,
      handle: async (call) => {
        const owner = ownerOf(call)
        await one(call, owner)
        await alter(call, owner, [{ name: call.parameter('name'), value: null, configOperation: deletion }], false)
      },
    },
    {
      method: 'POST',
      path: `${path}:alter`,
      handle: async (call) => {
        const owner = ownerOf(call)
        const body = await call.body(['data', 'validate_only'])
        await alter(call, owner, listOf(body, 'data').map(changeOf), body['validate_only'] === true)
      },
    },
  ]
}

function changeOf(each: unknown): Message {
  const { name, value = null, operation = 'SET' } = onlyKnown(each, ['name', 'value', 'operation'], 'a config')
  if (typeof name !== 'string') throw badRequest('a config has a name')
  if (operation !== 'SET' && operation !== 'DELETE') throw badRequest('operation must be SET or DELETE')
  if (operation === 'SET' && typeof value !== 'string') throw badRequest('value must be text')
  return { name, value: operation === 'SET' ? value : null, configOperation: operation === 'SET' ? setting : deletion }
}

async function described(call: Call, { type, name }: Owner, configurationKeys: string[] | null): Promise<Message[]> {
  const resources = [{ resourceType: type, resourceName: name, configurationKeys }]
  const { results } = await withKafka(call, (kafka) =>
    kafka.ask(ApiKey.DescribeConfigs, 4, { resources, includeSynonyms: true, includeDocumentation: false }),
  )
  check(results[0])
  return results[0].configs
}

async function one(call: Call, owner: Owner): Promise<Message> {
  const [config] = await described(call, owner, [call.parameter('name')])
  if (config === undefined) throw new RestError(404, `Config ${call.parameter('name')} cannot be found.`)
  return config
}

async function alter(call: Call, { type, name }: Owner, configs: Message[], validateOnly: boolean): Promise<void> {
  const resources = [{ resourceType: type, resourceName: name, configs }]
  const { responses } = await withKafka(call, (kafka) =>
    kafka.ask(ApiKey.IncrementalAlterConfigs, 1, { resources, validateOnly }),
  )
  check(responses[0])
}

function shown(call: Call, owner: Owner, config: Message): object {
  const { name, value, readOnly, isSensitive, configSource } = config
  const resource = owner.path.replace('/configs', '').replace(/^(topic|broker)s\//, '$1=')
  return thing(call, owner.kind, `${owner.path}/${encodeURIComponent(name)}`, `${resource}/config=${name}`, {
    ...owner.fields,
    name,
    value,
    is_default: configSource === defaultSource,
    is_read_only: readOnly,
    is_sensitive: isSensitive,
    source: sources[configSource] ?? 'UNKNOWN',
    synonyms: (config['synonyms'] as Message[]).map((each) => ({
      name: each['name'],
      value: each['value'],
      source: sources[each['source']] ?? 'UNKNOWN',
    })),
  })
}
