/**
 * Figures for Prometheus, read from the broker when somebody asks. Counters of the broker are totals since start, so rates are Prometheus' to
 * compute. Per-topic figures stop at `topicsMax` topics of all namespaces: their number is up to clients, and a scrape has to stay small.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Broker, BrokerStats, Space } from '../broker/face.ts'

const topicsMaxDefault = 1000

export class Metrics {
  readonly #broker: Broker
  readonly #registry = new Registry()
  readonly #topicsMax: number
  readonly #requests: Histogram<'route' | 'status'>
  readonly #depth: Gauge<'namespace' | 'topic'>
  readonly #topicBytes: Gauge<'namespace' | 'topic'>
  readonly #ready: Gauge<'namespace' | 'topic' | 'subscription'>
  readonly #inFlight: Gauge<'namespace' | 'topic' | 'subscription'>
  readonly #lag: Gauge<'namespace' | 'topic' | 'subscription'>
  readonly #consumers: Gauge<'namespace' | 'topic' | 'subscription'>
  readonly #connections: Gauge<'protocol'>
  readonly #connectionBytes: Gauge<'protocol' | 'direction'>
  readonly #loopDelay: Gauge<'quantile'>
  readonly #loop = monitorEventLoopDelay({ resolution: 10 })

  constructor(broker: Broker, topicsMax = topicsMaxDefault) {
    this.#broker = broker
    this.#topicsMax = topicsMax
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: 10 })
    this.#loop.enable()
    this.#requests = new Histogram({
      name: 'anymq_http_request_seconds',
      help: 'Duration of HTTP requests',
      labelNames: ['route', 'status'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5],
      registers,
    })
    const gauge = <Label extends string>(name: string, help: string, labelNames: Label[]): Gauge<Label> =>
      new Gauge({ name, help, labelNames, registers })
    const ofTopic: ('namespace' | 'topic')[] = ['namespace', 'topic']
    const ofSubscription: ('namespace' | 'topic' | 'subscription')[] = ['namespace', 'topic', 'subscription']
    this.#depth = gauge('anymq_topic_records', 'Offsets between the start and the end of the topic', ofTopic)
    this.#topicBytes = gauge('anymq_topic_bytes', 'Bytes of records kept', ofTopic)
    this.#ready = gauge('anymq_subscription_ready', 'Records ready for delivery', ofSubscription)
    this.#inFlight = gauge('anymq_subscription_in_flight', 'Deliveries not settled yet', ofSubscription)
    this.#lag = gauge('anymq_subscription_lag', 'Records behind the end of the topic', ofSubscription)
    this.#consumers = gauge('anymq_subscription_consumers', 'Consumers attached', ofSubscription)
    this.#connections = gauge('anymq_connections', 'Open connections', ['protocol'])
    this.#connectionBytes = gauge('anymq_connections_bytes', 'Bytes moved by the connections that are open now', [
      'protocol',
      'direction',
    ])
    this.#loopDelay = gauge('anymq_event_loop_delay_seconds', 'How late the event loop ran since the last scrape', ['quantile'])
    this.#addTotals(registers)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  observeRequest(route: string, status: number, seconds: number): void {
    this.#requests.observe({ route, status: String(status) }, seconds)
  }

  async render(): Promise<string> {
    this.#collectTopics()
    this.#collectConnections()
    this.#loopDelay.set({ quantile: '0.5' }, this.#loop.percentile(50) / 1e9)
    this.#loopDelay.set({ quantile: '0.99' }, this.#loop.percentile(99) / 1e9)
    this.#loop.reset()
    return this.#registry.metrics()
  }

  close(): void {
    this.#loop.disable()
    this.#registry.clear()
  }

  /** What broker.stats() counts. */
  #addTotals(registers: Registry[]): void {
    const counter = (name: string, help: string, of: (stats: BrokerStats) => number): void => {
      const broker = this.#broker
      let last = 0
      new Counter({
        name,
        help,
        registers,
        collect() {
          const now = of(broker.stats())
          this.inc(Math.max(0, now - last))
          last = now
        },
      })
    }
    const gauge = (name: string, help: string, of: (stats: BrokerStats) => number): void => {
      const broker = this.#broker
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(of(broker.stats()))
        },
      })
    }
    counter('anymq_records_in_total', 'Records stored', (stats) => stats.recordsIn)
    counter('anymq_bytes_in_total', 'Bytes of records stored', (stats) => stats.bytesIn)
    counter('anymq_records_out_total', 'Records handed to consumers and readers', (stats) => stats.recordsOut)
    counter('anymq_wal_commits_total', 'Commits of the write-ahead log', (stats) => stats.walCommits)
    gauge('anymq_wal_bytes', 'Size of the write-ahead log', (stats) => stats.walBytes)
    gauge('anymq_wal_failed', '1 when the write-ahead log has failed and nothing is confirmed any more', (stats) =>
      stats.walFailed === null ? 0 : 1,
    )
    gauge('anymq_segment_bytes', 'Size of all segments', (stats) => stats.segmentBytes)
    gauge('anymq_cached_bytes', 'Records kept in memory', (stats) => stats.cachedBytes)
    gauge('anymq_topics', 'Topics', (stats) => stats.topics)
    gauge('anymq_scheduled_records', 'Records that wait for their time', (stats) => stats.scheduled)
  }

  #collectTopics(): void {
    for (const each of [this.#depth, this.#topicBytes, this.#ready, this.#inFlight, this.#lag, this.#consumers]) each.reset()
    let room = this.#topicsMax
    for (const namespace of this.#broker.namespaces()) {
      const space = this.#broker.space(observer, namespace)
      for (const topic of space.topics()) {
        if (room-- <= 0) return
        this.#collectTopic(space, namespace, topic.name)
      }
    }
  }

  #collectTopic(space: Space, namespace: string, topic: string): void {
    const status = space.status(topic)
    if (status === undefined) return
    const labels = { namespace, topic }
    this.#depth.set(
      labels,
      sum(status.partitions, (each) => each.nextOffset - each.startOffset),
    )
    this.#topicBytes.set(
      labels,
      sum(status.partitions, (each) => each.bytes),
    )
    for (const subscription of status.subscriptions) {
      const labelled = { ...labels, subscription: subscription.name }
      this.#ready.set(labelled, subscription.ready)
      this.#inFlight.set(labelled, subscription.inFlight)
      this.#consumers.set(labelled, subscription.consumers)
      this.#lag.set(
        labelled,
        sum(subscription.cursors, (each) => each.lag),
      )
    }
  }

  #collectConnections(): void {
    this.#connections.reset()
    this.#connectionBytes.reset()
    for (const connection of this.#broker.connections()) {
      const { protocol } = connection
      this.#connections.inc({ protocol })
      this.#connectionBytes.inc({ protocol, direction: 'in' }, connection.bytesIn)
      this.#connectionBytes.inc({ protocol, direction: 'out' }, connection.bytesOut)
    }
  }
}

/** Reads figures of every topic; whoever may scrape was decided before. */
const observer = { user: 'metrics', may: () => true }

function sum<Item>(items: readonly Item[], of: (item: Item) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
