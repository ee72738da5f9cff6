/** The broker as one node: what it is, how much it holds, who asks. */
import { availableParallelism } from 'node:os'
import { spokenVersion } from '../../amqp/login.ts'
import { withChannel } from '../amqp-client.ts'
import { authenticate } from '../caller.ts'
import { ApiError, notFound } from '../errors.ts'
import { isObject, type Json } from '../json.ts'
import { nodeName } from '../names.ts'
import { shaped } from '../page.ts'
import { depths, keyOfAll, messageStats, noTotals, plus, totalsOf } from '../rates.ts'
import type { Call, Route } from '../route.ts'
import { channelsOf, clientConnections, consumersOf } from '../views.ts'

const exchangeTypes = [
  ['direct', 'AMQP direct exchange, as per the AMQP specification'],
  ['fanout', 'AMQP fanout exchange, as per the AMQP specification'],
  ['headers', 'AMQP headers exchange, as per the AMQP specification'],
  ['topic', 'AMQP topic exchange, as per the AMQP specification'],
  ['x-consistent-hash', 'Consistent hashing exchange'],
  ['x-modulus-hash', 'Modulus hashing exchange'],
  ['x-random', 'Randomly picks a binding to route to'],
  ['x-local-random', 'Picks one binding at random; all queues are local here'],
  ['x-recent-history', 'Sends the last messages to each new binding'],
  ['x-delayed-message', 'Delivers messages after the delay that they ask for'],
].map(([name, description]) => ({ name, description, enabled: true }))

const clusterName = (call: Call): string => `anymq@${call.broker.clusterId}`

function overview(call: Call): Json {
  const { broker, caller, rates } = call
  const spaces = caller.spaces()
  const rate = rates.of(keyOfAll)
  let totals = noTotals
  for (const space of spaces)
    for (const { name } of space.topics()) {
      const status = space.status(name)
      if (status !== undefined) totals = plus(totals, totalsOf(status))
    }
  const connections = clientConnections(broker)
  const channels = channelsOf(connections)
  const sum = (of: (space: (typeof spaces)[number]) => number): number => spaces.reduce((total, space) => total + of(space), 0)
  return {
    management_version: spokenVersion,
    rabbitmq_version: spokenVersion,
    product_name: 'AnyMQ',
    product_version: call.facts.version,
    cluster_name: clusterName(call),
    rates_mode: 'basic',
    sample_retention_policies: { global: [5], basic: [5], detailed: [] },
    exchange_types: exchangeTypes,
    node: nodeName,
    statistics_db_event_queue: 0,
    message_stats: messageStats(totals, rate),
    queue_totals: depths(totals, rate),
    object_totals: {
      connections: connections.length,
      channels: channels.length,
      consumers: consumersOf(channels).length,
      exchanges: sum((space) => space.exchanges().length),
      queues: sum((space) => space.topics().length),
    },
    listeners: listeners(call),
    contexts: [],
  }
}

/** Listeners by the names of protocols that RabbitMQ's tools look for. */
const protocolNames: Readonly<Record<string, string>> = {
  'rabbitmq-management': 'http',
  'rabbitmq-prometheus': 'http/prometheus',
  http: 'anymq/http',
}

export function listeners(call: Call): { node: string; protocol: string; ip_address: string; port: number }[] {
  return call.facts.listeners().flatMap(({ name, protocols, host, port }) =>
    protocols.map((protocol) => ({
      node: nodeName,
      protocol: protocolNames[name] ?? protocol,
      ip_address: host,
      port,
    })),
  )
}

function node(call: Call): Json {
  const { broker, facts } = call
  const stats = broker.stats()
  return {
    name: nodeName,
    type: 'disc',
    running: true,
    being_drained: !facts.ready(),
    os_pid: String(process.pid),
    uptime: Math.max(0, broker.clock.now() - facts.startedAt),
    processors: availableParallelism(),
    rates_mode: 'basic',
    rabbitmq_version: spokenVersion,
    mem_used: process.memoryUsage.rss(),
    mem_alarm: broker.pressure === 'memory',
    disk_free: stats.diskFreeBytes,
    disk_free_alarm: broker.pressure === 'disk',
    sockets_used: stats.connections,
    sockets_total: broker.limits.connectionsMax,
    exchange_types: exchangeTypes,
    auth_mechanisms: ['PLAIN', 'AMQPLAIN'].map((name) => ({ name, description: `SASL ${name}`, enabled: true })),
    applications: [{ name: 'anymq', description: 'AnyMQ', version: facts.version }],
    enabled_plugins: [],
    partitions: [],
    contexts: [],
  }
}

export const overviewRoutes: readonly Route[] = [
  { method: 'GET', path: '/overview', handle: (call) => shaped(call, overview(call)) },
  { method: 'GET', path: '/version', handle: () => spokenVersion },
  { method: 'GET', path: '/cluster-name', handle: (call) => ({ name: clusterName(call) }) },
  {
    method: 'GET',
    path: '/nodes',
    handle: (call) => {
      call.caller.requireMonitor()
      return [shaped(call, node(call))]
    },
  },
  {
    method: 'GET',
    path: '/nodes/:node',
    handle: (call) => {
      call.caller.requireMonitor()
      if (call.parameter('node') !== nodeName) throw notFound()
      return shaped(call, node(call))
    },
  },
  { method: 'GET', path: '/whoami', handle: ({ caller }) => ({ name: caller.name, tags: caller.tags }) },
  { method: 'GET', path: '/extensions', handle: () => [] },
  { method: 'GET', path: '/feature-flags', handle: () => [] },
  { method: 'GET', path: '/deprecated-features', handle: () => [] },
  { method: 'GET', path: '/deprecated-features/used', handle: () => [] },
  {
    method: 'POST',
    path: '/rebalance/queues',
    // There is one node, and every leader is on it.
    handle: (call) => {
      call.caller.requireAdministrator()
      return null
    },
  },
  { method: 'GET', path: '/auth', handle: () => ({ oauth_enabled: false, enable_uaa: false }) },
  { method: 'POST', path: '/login', open: true, handle: login },
  {
    method: 'GET',
    path: '/aliveness-test/:vhost',
    handle: async (call) => {
      call.caller.space(call.vhost)
      return await withChannel(call.broker, call.caller, call.request, call.vhost, async (channel) => {
        const flags = { passive: false, durable: false, exclusive: true, autoDelete: true, nowait: false }
        const declared = await channel.call(
          'queue.declare',
          { ticket: 0, queue: '', ...flags, arguments: new Map() },
          'queue.declare-ok',
        )
        const { queue } = declared.fields
        const publish = { ticket: 0, exchange: '', routingKey: queue, mandatory: false, immediate: false }
        channel.publish(publish, { properties: {}, body: Buffer.from('test_message') })
        const got = await channel.call('basic.get', { ticket: 0, queue, noAck: true }, 'basic.get-ok', 'basic.get-empty')
        if (got.name === 'basic.get-empty') throw new ApiError(503, 'failed', 'the test message did not arrive')
        return { status: 'ok' }
      })
    },
  },
]

/** A form or JSON with username and password; clients that use it send Basic with each request as well. */
async function login(call: Call): Promise<string> {
  const sent = (await call.request.body(10_000)).toString()
  let fields: Json
  try {
    const parsed: unknown = JSON.parse(sent)
    fields = isObject(parsed) ? parsed : {}
  } catch {
    fields = Object.fromEntries(new URLSearchParams(sent)) // not JSON, so the form that browsers send
  }
  const encoded = Buffer.from(`${String(fields['username'])}:${String(fields['password'])}`).toString('base64')
  await authenticate(call.broker, `Basic ${encoded}`, call.request.connection.remoteAddress)
  return 'ok'
}
