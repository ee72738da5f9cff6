/**
 * Figures for Prometheus on port 15692, under the names of RabbitMQ's own exporter, so that its dashboards and alerts find them: connections, channels,
 * queues and their messages, memory and disk. /metrics sums up and is open, as there; what names queues (per-object, detailed) wants a login once users exist.
 */
import type { Broker, HttpAnswer, HttpHandler, HttpRequest, Principal, ServerFacts } from '../../broker/face.ts'
import { spokenVersion } from '../amqp/login.ts'
import { authenticate } from './caller.ts'
import { errorAnswer } from './errors.ts'
import { nodeName, vhostOf } from './names.ts'
import { noTotals, plus, type Totals, totalsOf } from './rates.ts'
import { channelsOf, clientConnections } from './views.ts'

/** More would make a page of many megabytes; a line says so. */
const queuesMax = 20_000

interface Figure {
  readonly name: string
  readonly type: 'gauge' | 'counter'
  readonly help: string
  of(totals: Totals, consumers: number): number
}

const queueFigures: readonly Figure[] = [
  {
    name: 'queue_messages_ready',
    type: 'gauge',
    help: 'Messages ready to be delivered to consumers',
    of: (totals) => totals.ready,
  },
  {
    name: 'queue_messages_unacked',
    type: 'gauge',
    help: 'Messages delivered to consumers but not yet acknowledged',
    of: (totals) => totals.unacknowledged,
  },
  {
    name: 'queue_messages',
    type: 'gauge',
    help: 'Sum of ready and unacknowledged messages',
    of: (totals) => totals.ready + totals.unacknowledged,
  },
  { name: 'queue_consumers', type: 'gauge', help: 'Consumers on a queue', of: (_, consumers) => consumers },
  {
    name: 'queue_messages_published_total',
    type: 'counter',
    help: 'Messages published to queues',
    of: (totals) => totals.published,
  },
]
/** Of /metrics/detailed, by family. */
const families: Readonly<Record<string, readonly string[]>> = {
  queue_coarse_metrics: ['queue_messages_ready', 'queue_messages_unacked', 'queue_messages'],
  queue_consumer_count: ['queue_consumers'],
}

interface Queue {
  readonly vhost: string
  readonly name: string
  readonly totals: Totals
  readonly consumers: number
}

/** Reads figures only; who may see them is asked before. */
const observer: Principal = { user: '', may: () => false }

export class PrometheusHandler implements HttpHandler {
  readonly #broker: Broker
  readonly #facts: ServerFacts

  constructor(broker: Broker, facts: ServerFacts) {
    this.#broker = broker
    this.#facts = facts
  }

  async answer(request: HttpRequest): Promise<HttpAnswer> {
    if (request.method !== 'GET' && request.method !== 'HEAD') return { status: 405, headers: { allow: 'GET, HEAD' } }
    const query = new URLSearchParams(request.query)
    switch (request.path.replace(/\/$/, '')) {
      case '/metrics':
        return page([...this.#node(), ...this.#sums()])
      case '/metrics/per-object':
        return (await this.#refusal(request)) ?? page([...this.#node(), ...byQueue('rabbitmq', queueFigures, this.#queues())])
      case '/metrics/detailed':
        return (await this.#refusal(request)) ?? page(this.#detailed(query))
      default:
        return { status: 404 }
    }
  }

  async #refusal({ headers, connection }: HttpRequest): Promise<HttpAnswer | null> {
    try {
      const { authorization } = headers
      const header = Array.isArray(authorization) ? authorization[0] : authorization
      const caller = await authenticate(this.#broker, header, connection.remoteAddress)
      caller.requireMonitor()
      return null
    } catch (cause) {
      const answer = errorAnswer(cause)
      if (answer === null) throw cause
      return { ...answer, headers: { ...answer.headers, 'www-authenticate': 'Basic realm="RabbitMQ Prometheus"' } }
    }
  }

  #queues(vhosts: readonly string[] = []): Queue[] {
    return this.#broker.namespaces().flatMap((namespace) => {
      const vhost = vhostOf(namespace)
      if (vhosts.length > 0 && !vhosts.includes(vhost)) return []
      const space = this.#broker.space(observer, namespace)
      return space.topics().flatMap(({ name }) => {
        const status = space.status(name)
        const queue = status?.subscriptions.find((each) => each.name === '' && each.kind === 'queue')
        return status === undefined ? [] : [{ vhost, name, totals: totalsOf(status), consumers: queue?.consumers ?? 0 }]
      })
    })
  }

  #detailed(query: URLSearchParams): string[] {
    const wanted = query.getAll('family').flatMap((family) => (Object.hasOwn(families, family) ? (families[family] ?? []) : []))
    const figures = queueFigures.filter(({ name }) => wanted.includes(name))
    return figures.length === 0 ? [] : byQueue('rabbitmq_detailed', figures, this.#queues(query.getAll('vhost')))
  }

  #sums(): string[] {
    const queues = this.#queues()
    const totals = queues.reduce((sum, queue) => plus(sum, queue.totals), noTotals)
    const consumers = queues.reduce((sum, queue) => sum + queue.consumers, 0)
    const connections = clientConnections(this.#broker)
    const channels = channelsOf(connections)
    const exact: readonly (readonly [string, number, string])[] = [
      ['connections', connections.length, 'Connections currently open'],
      ['channels', channels.length, 'Channels currently open'],
      ['consumers', consumers, 'Consumers currently connected'],
      ['queues', queues.length, 'Queues available'],
      [
        'channel_messages_unacked',
        sum(channels, ({ channel }) => channel.unacknowledged),
        'Delivered but not yet acknowledged messages',
      ],
      [
        'channel_messages_unconfirmed',
        sum(channels, ({ channel }) => channel.unconfirmed),
        'Published but not yet confirmed messages',
      ],
    ]
    return [
      ...queueFigures.flatMap(({ name, type, help, of }) => figure(`rabbitmq_${name}`, type, help, of(totals, consumers))),
      ...exact.flatMap(([name, value, help]) => figure(`rabbitmq_${name}`, 'gauge', help, value)),
    ]
  }

  #node(): string[] {
    const { broker, facts } = { broker: this.#broker, facts: this.#facts }
    const stats = broker.stats()
    const alarm = (which: string): number => Number(broker.pressure === which)
    const identity = labels({
      rabbitmq_node: nodeName,
      rabbitmq_cluster: `anymq@${broker.clusterId}`,
      rabbitmq_cluster_permanent_id: broker.clusterId,
    })
    const build = labels({ rabbitmq_version: spokenVersion, product_name: 'AnyMQ', product_version: facts.version })
    return [
      ...figure('rabbitmq_build_info', 'gauge', 'RabbitMQ version that is spoken', 1, build),
      ...figure('rabbitmq_identity_info', 'gauge', 'Node and cluster', 1, identity),
      ...figure('rabbitmq_alarms_memory_used_watermark', 'gauge', 'is 1 if the memory alarm is in effect', alarm('memory')),
      ...figure('rabbitmq_alarms_free_disk_space_watermark', 'gauge', 'is 1 if the disk alarm is in effect', alarm('disk')),
      ...figure('rabbitmq_process_resident_memory_bytes', 'gauge', 'Memory used in bytes', process.memoryUsage.rss()),
      ...figure('rabbitmq_disk_space_available_bytes', 'gauge', 'Disk space available in bytes', stats.diskFreeBytes),
      ...figure('rabbitmq_process_max_tcp_sockets', 'gauge', 'Open connections limit', broker.limits.connectionsMax),
      ...figure('rabbitmq_process_open_tcp_sockets', 'gauge', 'Open connections', stats.connections),
    ]
  }
}

function byQueue(prefix: string, figures: readonly Figure[], all: readonly Queue[]): string[] {
  const queues = all.slice(0, queuesMax)
  const lines = figures.flatMap(({ name, type, help, of }) => [
    ...head(`${prefix}_${name}`, type, help),
    ...queues.map((queue) => {
      const whose = labels({ vhost: queue.vhost, queue: queue.name })
      return `${prefix}_${name}${whose} ${of(queue.totals, queue.consumers)}`
    }),
  ])
  return all.length > queuesMax ? [...lines, `# ${all.length - queuesMax} more queues are left out`] : lines
}

const head = (name: string, type: string, help: string): string[] => [`# TYPE ${name} ${type}`, `# HELP ${name} ${help}`]

const figure = (name: string, type: Figure['type'], help: string, value: number, whose = ''): string[] => [
  ...head(name, type, help),
  `${name}${whose} ${value}`,
]

function labels(pairs: Readonly<Record<string, string>>): string {
  const escaped = (value: string): string => value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')
  return `{${Object.entries(pairs)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',')}}`
}

function page(lines: readonly string[]): HttpAnswer {
  return { status: 200, headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }, body: `${lines.join('\n')}\n` }
}

const sum = <Item>(items: readonly Item[], of: (item: Item) => number): number =>
  items.reduce((total, item) => total + of(item), 0)
