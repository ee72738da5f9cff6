/** Definitions: everything but messages, in the form that RabbitMQ exports and imports. */
import type { Broker, Space } from '../../broker/face.ts'
import { spokenVersion } from '../amqp/login.ts'
import { vhostWords } from '../amqp/vhosts.ts'
import { keptParameters } from './global-parameters.ts'
import type { Json } from './json.ts'
import { vhostOf } from './names.ts'
import { policyJson } from './policy-words.ts'
import type { Rates } from './rates.ts'
import { limitParameters, operatorParameter } from './routes/parameters.ts'
import { permissionJson, topicPermissionJson } from './routes/permissions.ts'
import { userJson } from './routes/users.ts'
import { vhostFacts } from './routes/vhosts.ts'
import { argumentsOf, bindingView, exchangeView, queueContext } from './views.ts'

/** Of all vhosts, with users and permissions. */
export function exportAll(broker: Broker, spaces: readonly Space[], version: string, rates: Rates): Json {
  const users = broker.users.list()
  const topologies = spaces.map((space) => topologyOf(broker, space, rates))
  const policies = broker.policies.list()
  return {
    rabbit_version: spokenVersion,
    rabbitmq_version: spokenVersion,
    product_name: 'AnyMQ',
    product_version: version,
    rabbitmq_definition_format: 'cluster',
    users: users.map((user) => userJson(broker, user)),
    vhosts: spaces.map((space) => vhostJson(broker, vhostOf(space.namespace))),
    permissions: users.flatMap(({ name, permissions }) => permissions.map((each) => permissionJson(name, each))),
    topic_permissions: users.flatMap(({ name, keyPermissions }) => keyPermissions.map((each) => topicPermissionJson(name, each))),
    parameters: [...policies.filter((policy) => policy.cap).map(operatorParameter), ...limitParameters(broker)],
    global_parameters: keptParameters(broker),
    policies: policies.filter((policy) => !policy.cap).map(policyJson),
    queues: topologies.flatMap(({ queues }) => queues),
    exchanges: topologies.flatMap(({ exchanges }) => exchanges),
    bindings: topologies.flatMap(({ bindings }) => bindings),
  }
}

/** Of one vhost: nothing in it names the vhost, so that it can be imported into another. */
export function exportVhost(broker: Broker, space: Space, version: string, rates: Rates): Json {
  const { queues, exchanges, bindings } = topologyOf(broker, space, rates)
  const vhost = vhostOf(space.namespace)
  const policies = broker.policies.list().filter(({ namespace }) => namespace === space.namespace)
  const without = ({ vhost: _, ...rest }: Json): Json => rest
  return {
    rabbit_version: spokenVersion,
    rabbitmq_version: spokenVersion,
    product_name: 'AnyMQ',
    product_version: version,
    rabbitmq_definition_format: 'single_virtual_host',
    original_vhost_name: vhost,
    ...vhostFacts(vhostWords(broker, vhost)),
    parameters: [
      ...policies.filter((policy) => policy.cap).map(operatorParameter),
      ...limitParameters(broker).filter((each) => each['vhost'] === vhost),
    ].map(without),
    policies: policies
      .filter((policy) => !policy.cap)
      .map(policyJson)
      .map(without),
    queues: queues.map(without),
    exchanges: exchanges.map(without),
    bindings: bindings.map(without),
  }
}

function vhostJson(broker: Broker, vhost: string): Json {
  return { name: vhost, ...vhostFacts(vhostWords(broker, vhost)) }
}

/** What AMQP clients declared and what would be there again: neither exclusive queues, nor what every vhost has from the start, nor topics of other protocols. */
function topologyOf(broker: Broker, space: Space, rates: Rates): { queues: Json[]; exchanges: Json[]; bindings: Json[] } {
  const vhost = vhostOf(space.namespace)
  const { owners } = queueContext(broker, rates)
  const topics = space.topics().filter((topic) => topic.declaredBy === 'amqp' && !owners.has(`${space.namespace}\0${topic.name}`))
  const names = new Set(topics.map((topic) => topic.name))
  const exchanges = space.exchanges().filter(({ name }) => name !== '' && !name.startsWith('amq.'))
  const bindings = space
    .bindings()
    .filter(
      ({ source, destinationKind, destination }) => source !== '' && (destinationKind === 'exchange' || names.has(destination)),
    )
  return {
    queues: topics.map((topic) => ({
      name: topic.name,
      vhost,
      durable: topic.config.storage === 'disk',
      auto_delete: topic.config.autoDelete,
      arguments: argumentsOf(topic.declaration),
    })),
    exchanges: exchanges.map((exchange) => {
      const { policy: _, ...view } = exchangeView(broker, space, exchange)
      return view
    }),
    bindings: bindings.map((binding) => {
      const { properties_key: _, ...view } = bindingView(space, binding)
      return view
    }),
  }
}
