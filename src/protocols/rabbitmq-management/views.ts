/** Queues, exchanges, bindings, connections, channels and consumers as JSON, with the fields that RabbitMQ's tools read. What AnyMQ does not measure is left out. */
import type { Binding, Broker, ConnectionListing, ExchangeInfo, Policy, Space, TopicInfo } from '../../broker/face.ts'
import { hash32 } from '../../lib/bytes.ts'
import { type Declaration, declaredType } from '../amqp/declaration.ts'
import type { ChannelDescription, ConnectionDescription, ConsumerDescription } from '../amqp/describe.ts'
import { typeOf } from '../amqp/exchange-types.ts'
import type { Json } from './json.ts'
import { nodeName, vhostOf } from './names.ts'
import { effectiveDefinition } from './policy-words.ts'
import { depths, keyOfConnection, keyOfTopic, messageStats, noTotals, type Rates, totalsOf } from './rates.ts'

// ----------------------------------------------------------------------------------------------------------------- connections

/** One connection with what its session says of itself, where it speaks AMQP. */
export interface ClientConnection {
  readonly listing: ConnectionListing
  readonly name: string
  readonly amqp: ConnectionDescription | null
}

const isAmqp = (description: object | undefined): description is ConnectionDescription =>
  description !== undefined && 'family' in description && description.family === 'amqp'

/** All connections of clients, of every protocol; requests to this API are none. */
export function clientConnections(broker: Broker): ClientConnection[] {
  return broker.connections().flatMap((listing) => {
    if (listing.protocol === 'rabbitmq-management') return []
    const description = listing.describe?.()
    const amqp = isAmqp(description) ? description : null
    return [{ listing, name: `${listing.remote} -> ${listing.local}`, amqp }]
  })
}

const hostOf = (address: string): string => address.slice(0, address.lastIndexOf(':'))
const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1))

export function connectionView({ listing, name, amqp }: ClientConnection, rates: Rates): Json {
  const rate = rates.of(keyOfConnection(listing.id))
  const { clientName, clientVersion } = listing
  const properties = amqp?.clientProperties ?? { product: clientName, version: clientVersion }
  return {
    name,
    node: nodeName,
    vhost: vhostOf(listing.namespace),
    user: listing.user,
    user_who_performed_action: listing.user,
    user_provided_name: typeof properties['connection_name'] === 'string' ? properties['connection_name'] : undefined,
    protocol: listing.protocol.replace(/^amqp/, 'AMQP'),
    type: 'network',
    state: 'running',
    connected_at: listing.openedAt,
    peer_host: hostOf(listing.remote),
    peer_port: portOf(listing.remote),
    host: hostOf(listing.local),
    port: portOf(listing.local),
    ssl: listing.encrypted,
    recv_oct: listing.bytesIn,
    recv_oct_details: { rate: rate.bytesIn },
    send_oct: listing.bytesOut,
    send_oct_details: { rate: rate.bytesOut },
    client_properties: properties,
    channels: amqp?.channels.length ?? 0,
    ...(amqp === null
      ? {}
      : {
          auth_mechanism: amqp.mechanism,
          channel_max: amqp.channelMax,
          frame_max: amqp.frameMax,
          timeout: amqp.heartbeatSeconds,
        }),
  }
}

const connectionDetails = ({ listing, name }: ClientConnection): Json => ({
  name,
  peer_host: hostOf(listing.remote),
  peer_port: portOf(listing.remote),
})

const channelName = (connection: ClientConnection, channel: ChannelDescription): string =>
  `${connection.name} (${channel.number})`

export interface ClientChannel {
  readonly connection: ClientConnection
  readonly channel: ChannelDescription
  readonly name: string
}

export function channelsOf(connections: readonly ClientConnection[]): ClientChannel[] {
  return connections.flatMap((connection) =>
    (connection.amqp?.channels ?? []).map((channel) => ({ connection, channel, name: channelName(connection, channel) })),
  )
}

export function channelView({ connection, channel, name }: ClientChannel): Json {
  const { user, namespace } = connection.listing
  return {
    name,
    node: nodeName,
    number: channel.number,
    vhost: vhostOf(namespace),
    user,
    user_who_performed_action: user,
    connection_details: connectionDetails(connection),
    state: 'running',
    confirm: channel.confirm,
    transactional: channel.transactional,
    prefetch_count: channel.prefetch,
    global_prefetch_count: channel.sharedPrefetch,
    messages_unacknowledged: channel.unacknowledged,
    messages_unconfirmed: channel.unconfirmed,
    consumer_count: channel.consumers.length,
  }
}

export function consumerView(client: ClientChannel, consumer: ConsumerDescription): Json {
  const { connection, channel, name } = client
  const { listing } = connection
  return {
    consumer_tag: consumer.tag,
    queue: { name: consumer.queue, vhost: vhostOf(listing.namespace) },
    ack_required: !consumer.noAck,
    exclusive: consumer.exclusive,
    active: consumer.active,
    activity_status: consumer.active ? 'up' : 'waiting',
    prefetch_count: consumer.prefetch,
    arguments: consumer.arguments,
    consumer_timeout: consumer.timeoutMs,
    channel_details: {
      name,
      node: nodeName,
      number: channel.number,
      connection_name: connection.name,
      peer_host: hostOf(listing.remote),
      peer_port: portOf(listing.remote),
      user: listing.user,
    },
  }
}

export const consumersOf = (channels: readonly ClientChannel[]): Json[] =>
  channels.flatMap((client) => client.channel.consumers.map((consumer) => consumerView(client, consumer)))

// ---------------------------------------------------------------------------------------------------------------------- queues

/** Arguments as JSON, from what the declaration kept of them. */
export function argumentsOf(declaration: Json): Record<string, unknown> {
  const kept = (declaration['arguments'] ?? {}) as Declaration['arguments'] // written by declaredArguments, or absent
  // Another protocol's declaration may have arguments of another shape.
  const pairs = Object.entries(kept).filter(([, argument]) => Array.isArray(argument) && argument.length === 2)
  return Object.fromEntries(pairs.map(([name, [type, value]]) => [name, argumentValue(type, value)]))
}

const numbers: ReadonlySet<string> = new Set([
  'byte',
  'unsignedbyte',
  'short',
  'unsignedshort',
  'signedint',
  'unsignedint',
  'long',
  'float',
  'double',
  'timestamp',
])

function argumentValue(type: string, value: string): unknown {
  if (numbers.has(type)) return Number(value)
  if (type === 'bool') return value === 'true'
  return type === 'void' ? null : value
}

/** As RabbitMQ would call it: what another protocol declared and keeps by time is a stream to its tools. */
export function queueType(topic: TopicInfo): string {
  const declared = declaredType(topic)
  return topic.declaredBy !== 'amqp' && topic.config.retention === 'time' ? 'stream' : declared
}

/** What the views of many queues share. */
export interface QueueContext {
  readonly rates: Rates
  readonly consumers: readonly Json[]
  readonly owners: ReadonlyMap<string, ClientConnection>
  /** By {@link policyKey}. */
  readonly policies: ReadonlyMap<string, Policy>
}

const policyKey = (namespace: string, cap: boolean, name: string): string => [namespace, cap, name].join('\0')

export function queueContext(broker: Broker, rates: Rates): QueueContext {
  const connections = clientConnections(broker)
  const owners = new Map(
    connections.flatMap((connection) =>
      (connection.amqp?.exclusiveQueues ?? []).map((queue) => [`${connection.listing.namespace}\0${queue}`, connection] as const),
    ),
  )
  const policies = new Map(broker.policies.list().map((each) => [policyKey(each.namespace, each.cap, each.name), each]))
  return { rates, consumers: consumersOf(channelsOf(connections)), owners, policies }
}

export function queueView(context: QueueContext, space: Space, topic: TopicInfo): Json {
  const { rates, owners, policies } = context
  const { config, name } = topic
  const vhost = vhostOf(space.namespace)
  const status = space.status(name)
  const queue = status?.subscriptions.find((each) => each.name === '' && each.kind === 'queue')
  const totals = status === undefined ? noTotals : totalsOf(status)
  const rate = rates.of(keyOfTopic(space.namespace, name))
  const owner = owners.get(`${space.namespace}\0${name}`)
  return {
    name,
    vhost,
    type: queueType(topic),
    durable: config.storage === 'disk',
    auto_delete: config.autoDelete,
    exclusive: owner !== undefined,
    ...(owner === undefined ? {} : { owner_pid_details: connectionDetails(owner) }),
    arguments: argumentsOf(topic.declaration),
    node: nodeName,
    state: 'running',
    policy: topic.policy,
    operator_policy: topic.cap,
    effective_policy_definition: effectiveDefinition(
      topic.policy === null ? undefined : policies.get(policyKey(space.namespace, false, topic.policy)),
      topic.cap === null ? undefined : policies.get(policyKey(space.namespace, true, topic.cap)),
    ),
    consumers: queue?.consumers ?? 0,
    ...depths(totals, rate),
    message_bytes: queue?.bytes ?? status?.partitions.reduce((sum, { bytes }) => sum + bytes, 0) ?? 0,
    message_stats: messageStats(totals, rate),
  }
}

/** With its consumers, as a single queue is shown. */
export function queueDetails(context: QueueContext, space: Space, topic: TopicInfo): Json {
  const vhost = vhostOf(space.namespace)
  const consumers = context.consumers.filter((consumer) => {
    const queue = consumer['queue'] as { name: string; vhost: string } // as consumerView makes it
    return queue.name === topic.name && queue.vhost === vhost
  })
  const exclusive = consumers.find((consumer) => consumer['exclusive'] === true)
  const single = topic.config.singleActiveConsumer ? consumers.find((consumer) => consumer['active'] === true) : undefined
  return {
    ...queueView(context, space, topic),
    consumer_details: consumers,
    exclusive_consumer_tag: exclusive?.['consumer_tag'] ?? null,
    single_active_consumer_tag: single?.['consumer_tag'] ?? null,
  }
}

// ------------------------------------------------------------------------------------------------------- exchanges and bindings

export function exchangeView(broker: Broker, space: Space, exchange: ExchangeInfo): Json {
  const { policy } = broker.policies.ofExchange(space.namespace, exchange.name)
  return {
    name: exchange.name,
    vhost: vhostOf(space.namespace),
    type: typeOf(exchange),
    durable: exchange.durable,
    auto_delete: exchange.autoDelete,
    internal: exchange.internal,
    arguments: argumentsOf(exchange.declaration),
    ...(policy === null ? {} : { policy }),
  }
}

export function bindingView(space: Space, binding: Binding): Json {
  const { source, destination, destinationKind, key } = binding
  return {
    source,
    vhost: vhostOf(space.namespace),
    destination,
    destination_type: destinationKind === 'topic' ? 'queue' : 'exchange',
    routing_key: key,
    arguments: plainArguments(binding.arguments),
    properties_key: propertiesKey(binding),
  }
}

/** Every queue is bound to the default exchange by its name. */
export const defaultBinding = (queue: string): Binding => ({
  source: '',
  destination: queue,
  destinationKind: 'topic',
  key: queue,
  arguments: {},
})

/** Bindings have no names; this one is made of the routing key and a digest of the arguments, and need only be the same each time. */
export function propertiesKey({ key, arguments: own }: Binding): string {
  const quoted = encodeURIComponent(key).replace(/%20/g, '+').replace(/~/g, '%7E')
  const names = Object.keys(own).sort()
  if (names.length === 0) return key === '' ? '~' : quoted
  const text = JSON.stringify(names.map((name) => [name, plainValue(own[name])]))
  const digest = Buffer.alloc(4)
  digest.writeUInt32BE(hash32(Buffer.from(text)) >>> 0)
  return `${quoted}~${digest.toString('base64url')}`
}

const plainArguments = (own: Json): Json =>
  Object.fromEntries(Object.entries(own).map(([name, value]) => [name, plainValue(value)]))

/** Bindings keep big integers and bytes as they came. */
function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (Buffer.isBuffer(value)) return value.toString()
  return value
}

export const isDefaultNamed = (exchange: string): boolean => exchange === '' || exchange === 'amq.default'
