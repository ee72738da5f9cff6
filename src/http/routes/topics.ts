/** Topics: list, create, look at, change, delete, empty. */
import { CoreError, type Space, type TopicConfig, type TopicInfo, topicDefaults } from '../../broker/face.ts'
import { invalid } from '../errors.ts'
import { type Fields, flag, object, onlyKeys, optionalObject, text } from '../input.ts'
import type { Route, Schema } from '../route.ts'

const configChoices: Partial<Record<keyof TopicConfig, readonly string[]>> = {
  retention: ['acknowledged', 'time'],
  storage: ['disk', 'memory'],
  overflow: ['dropOldest', 'refuse', 'refuseDeadLetter'],
  timestampType: ['create', 'logAppend'],
  keySchema: ['none', 'registered', 'content'],
  valueSchema: ['none', 'registered', 'content'],
  keySubject: ['topic', 'record', 'topicRecord'],
  valueSubject: ['topic', 'record', 'topicRecord'],
}

const configSchema: Schema = {
  type: 'object',
  additionalProperties: false,
  properties: Object.fromEntries(Object.entries(topicDefaults).map(([name, value]) => [name, configKeySchema(name, value)])),
}

const topicSchema: Schema = {
  type: 'object',
  properties: {
    name: { type: 'string' },
    id: { type: 'string' },
    config: configSchema,
    declaredBy: { type: 'string' },
    createdAt: { type: 'integer' },
    withheldFrom: {
      type: ['array', 'null'],
      items: { type: 'integer' },
      description: 'From which offset of each partition on its subscriptions with a name see nothing for now.',
    },
    status: { type: 'object' },
  },
}

export const topicRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/topics',
    tag: 'topics',
    summary: 'List topics with their depth',
    response: { type: 'object', properties: { topics: { type: 'array', items: topicSchema } } },
    handle: ({ space }) => ({ topics: space.topics().map((info) => topicToJson(space, info)) }),
  },
  {
    method: 'POST',
    path: '/v1/topics',
    tag: 'topics',
    summary: 'Create a topic',
    status: 201,
    body: { type: 'object', required: ['name'], properties: { name: { type: 'string' }, config: configSchema } },
    response: topicSchema,
    handle: async ({ space, body }) => {
      onlyKeys(body, ['name', 'config'])
      const config = topicConfig(optionalObject(body, 'config') ?? {})
      return topicToJson(space, await space.createTopic(text(body, 'name'), config, 'api'))
    },
  },
  {
    method: 'GET',
    path: '/v1/topics/{topic}',
    tag: 'topics',
    summary: 'Describe a topic',
    response: topicSchema,
    handle: ({ space, parameter }) => topicToJson(space, knownTopic(space, parameter('topic'))),
  },
  {
    method: 'PATCH',
    path: '/v1/topics/{topic}',
    tag: 'topics',
    summary: 'Change the configuration of a topic',
    description: 'Only the keys given are changed. Partitions may only grow.',
    body: { type: 'object', required: ['config'], properties: { config: configSchema } },
    response: topicSchema,
    handle: async ({ space, parameter, body }) => {
      onlyKeys(body, ['config'])
      const config = topicConfig(object(body['config'], 'config'))
      return topicToJson(space, await space.alterTopic(parameter('topic'), config))
    },
  },
  {
    method: 'DELETE',
    path: '/v1/topics/{topic}',
    tag: 'topics',
    summary: 'Delete a topic with its records and subscriptions',
    status: 204,
    handle: ({ space, parameter }) => space.deleteTopic(knownTopic(space, parameter('topic')).name),
  },
  {
    method: 'PUT',
    path: '/v1/topics/{topic}/withheld',
    tag: 'topics',
    summary: 'Withhold what is published from now on from subscriptions with a name, or let them have it',
    description: 'They go on with what they have. The default subscription, and whoever reads by offset, see everything.',
    body: { type: 'object', required: ['withheld'], properties: { withheld: { type: 'boolean' } } },
    response: topicSchema,
    handle: async ({ space, parameter, body }) => {
      onlyKeys(body, ['withheld'])
      const withheld = flag(body, 'withheld')
      const { name } = knownTopic(space, parameter('topic'))
      await space.withhold(name, withheld ? 'newest' : null)
      return topicToJson(space, knownTopic(space, name))
    },
  },
  {
    method: 'POST',
    path: '/v1/topics/{topic}/purge',
    tag: 'topics',
    summary: 'Drop all ready records of the default subscription',
    handle: async ({ space, parameter }) => ({ purged: await space.purge(knownTopic(space, parameter('topic')).name) }),
  },
]

/** The topic, or NotFound. */
export function knownTopic(space: Space, name: string): TopicInfo {
  const info = space.topic(name)
  if (info === undefined) throw new CoreError('NotFound', `there is no topic "${name}"`)
  return info
}

function topicToJson(space: Space, info: TopicInfo): object {
  return { ...info, id: info.id.toString('hex'), status: space.status(info.name) }
}

/** Checks each key's type against the defaults'; what the values mean is the core's to check. */
function topicConfig(fields: Fields): Partial<TopicConfig> {
  onlyKeys(fields, Object.keys(topicDefaults), 'config')
  for (const [name, example] of Object.entries(topicDefaults)) {
    const value = fields[name]
    if (value === undefined) continue
    if (name === 'deadLetter') checkDeadLetter(value)
    else if (name === 'forwardTo') {
      if (value !== null && typeof value !== 'string') throw invalid('config.forwardTo must be a string or null')
    } else if (typeof value !== typeof example) throw invalid(`config.${name} must be a ${typeof example}`)
    else if (typeof value === 'number' && Number.isInteger(example) && !Number.isSafeInteger(value))
      throw invalid(`config.${name} must be a whole number`)
    const choices = configChoices[name as keyof TopicConfig] // the names are topicDefaults' own
    if (choices !== undefined && !choices.includes(String(value)))
      throw invalid(`config.${name} must be one of ${choices.join(', ')}`)
  }
  return fields as Partial<TopicConfig> // every key and type was checked above
}

function checkDeadLetter(value: unknown): void {
  if (value === null) return
  const fields = object(value, 'config.deadLetter')
  onlyKeys(fields, ['exchange', 'routingKey'], 'config.deadLetter')
  const { exchange, routingKey } = fields
  if (typeof exchange !== 'string') throw invalid('config.deadLetter.exchange must be a string; "" is the default exchange')
  if (routingKey !== null && typeof routingKey !== 'string')
    throw invalid('config.deadLetter.routingKey must be a string or null')
}

function configKeySchema(name: string, value: unknown): Schema {
  if (name === 'deadLetter') {
    const properties = { exchange: { type: 'string' }, routingKey: { type: ['string', 'null'] } }
    return { type: ['object', 'null'], required: ['exchange', 'routingKey'], properties, default: null }
  }
  if (name === 'forwardTo') return { type: ['string', 'null'], default: null }
  const choices = configChoices[name as keyof TopicConfig] // the names are topicDefaults' own
  const type = Number.isInteger(value) ? 'integer' : typeof value
  return { type, default: value, ...(choices === undefined ? {} : { enum: choices }) }
}
