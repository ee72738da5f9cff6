/**
 * Figures for Prometheus, read from the broker when somebody asks. Counters of the broker are totals since start, so rates are Prometheus' to
 * compute. Per-topic figures stop at `topicsMax` topics of all namespaces: their number is up to clients, and a scrape has to stay small.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Broker, BrokerStats, LatencyStats, Space } from '../broker/face.ts'

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
  readonly #pressure: Gauge<'resource'>
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
    this.#pressure = gauge(
      'anymq_pressure',
      '1 while there is too little of the resource, so that publishes are refused or soon will be',
      ['resource'],
    )
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
    for (const resource of ['disk', 'memory']) this.#pressure.set({ resource }, this.#broker.pressure === resource ? 1 : 0)
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
    this.#addTraffic(registers)
    this.#addLatency(
      'anymq_publish_seconds',
      'From a publish to its confirmation, where that waited for the disk; sampled',
      (stats) => stats.publishLatency,
    )
    this.#addLatency(
      'anymq_deliver_seconds',
      'From the publishing of a record to its first delivery, waiting in the topic included; sampled',
      (stats) => stats.deliverLatency,
    )
    gauge('anymq_wal_bytes', 'Size of the write-ahead log', (stats) => stats.walBytes)
    gauge('anymq_wal_failed', '1 when the write-ahead log has failed and nothing is confirmed any more', (stats) =>
      stats.walFailed === null ? 0 : 1,
    )
    gauge('anymq_segment_bytes', 'Size of all segments', (stats) => stats.segmentBytes)
    gauge('anymq_cached_bytes', 'Newest records of topics on disk that are kept in memory', (stats) => stats.cachedBytes)
    gauge('anymq_memory_bytes', 'Records of topics that are kept in memory only', (stats) => stats.memoryBytes)
    gauge('anymq_disk_free_bytes', "Free on the data directory's file system; -1 until it is known", (stats) =>
      Number.isFinite(stats.diskFreeBytes) ? stats.diskFreeBytes : -1,
    )
    gauge('anymq_topics', 'Topics', (stats) => stats.topics)
    gauge('anymq_scheduled_records', 'Records that wait for their time', (stats) => stats.scheduled)
  }

  #addTraffic(registers: Registry[]): void {
    const broker = this.#broker
    const counter = (
      name: string,
      help: string,
      of: (row: BrokerStats['traffic'][number]) => { in: number; out: number },
    ): void => {
      new Counter({
        name,
        help,
        labelNames: ['namespace', 'protocol', 'direction'],
        registers,
        collect() {
          this.reset()
          for (const row of broker.stats().traffic) {
            const { namespace, protocol } = row
            const moved = of(row)
            this.inc({ namespace, protocol, direction: 'in' }, moved.in)
            this.inc({ namespace, protocol, direction: 'out' }, moved.out)
          }
        },
      })
    }
    counter('anymq_traffic_records_total', 'Records taken in and handed out', (row) => ({
      in: row.recordsIn,
      out: row.recordsOut,
    }))
    counter('anymq_traffic_bytes_total', 'Bytes of the records taken in and handed out', (row) => ({
      in: row.bytesIn,
      out: row.bytesOut,
    }))
  }

  /** A histogram that the broker keeps: the library's own can only be added to. */
  #addLatency(name: string, help: string, of: (stats: BrokerStats) => LatencyStats): void {
    const get = async (): Promise<object> => {
      const { count, sumSeconds, buckets } = of(this.#broker.stats())
      const bucket = (le: number | string, value: number): object => ({ metricName: `${name}_bucket`, labels: { le }, value })
      const values = [
        ...buckets.map((each) => bucket(each.upTo, each.count)),
        bucket('+Inf', count),
        { metricName: `${name}_sum`, labels: {}, value: sumSeconds },
        { metricName: `${name}_count`, labels: {}, value: count },
      ]
      return { name, help, type: 'histogram', values, aggregator: 'sum' }
    }
    // The registry asks a metric for no more than these.
    this.#registry.registerMetric({ name, get, reset: () => undefined } as unknown as Histogram)
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
