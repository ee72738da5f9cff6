/**
 * Rates of queues and of everything together: totals are read every few seconds by the broker's clock, and a rate is the difference of the last two
 * readings by the time between them. Readings begin with the first request and end when nobody has asked for a while, so a broker that
 * is not watched pays nothing; until the second reading all rates are 0.
 */
import type { Broker, Principal, TopicStatus } from '../../broker/face.ts'

const readingMs = 5000
const idleMs = 120_000

export interface Totals {
  readonly published: number
  readonly delivered: number
  readonly accepted: number
  readonly returned: number
  readonly ready: number
  readonly unacknowledged: number
  readonly bytesIn: number
  readonly bytesOut: number
}
export const noTotals: Totals = {
  published: 0,
  delivered: 0,
  accepted: 0,
  returned: 0,
  ready: 0,
  unacknowledged: 0,
  bytesIn: 0,
  bytesOut: 0,
}

interface Reading {
  readonly at: number
  readonly byKey: ReadonlyMap<string, Totals>
}

export class Rates {
  readonly #broker: Broker
  #last: Reading | null = null
  #previous: Reading | null = null
  #askedAt = 0
  #running = false
  #stopped = false

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** Call with each request. */
  asked(): void {
    this.#askedAt = this.#broker.clock.now()
    if (this.#running || this.#stopped) return
    this.#running = true
    this.#last = null
    this.#previous = null
    this.#read()
  }

  stop(): void {
    this.#stopped = true
  }

  /** Change a second of what {@link keyOfTopic}, {@link keyOfNamespace}, {@link keyOfConnection} or {@link keyOfAll} names. */
  of(key: string): Totals {
    const last = this.#last?.byKey.get(key)
    const previous = this.#previous?.byKey.get(key)
    if (this.#last === null || this.#previous === null || last === undefined || previous === undefined) return noTotals
    const seconds = Math.max(1, this.#last.at - this.#previous.at) / 1000
    const rates = { ...noTotals }
    for (const name of Object.keys(noTotals) as (keyof Totals)[]) rates[name] = (last[name] - previous[name]) / seconds
    return rates
  }

  #read(): void {
    const { clock } = this.#broker
    if (this.#stopped || clock.now() - this.#askedAt > idleMs) {
      this.#running = false
      return
    }
    this.#previous = this.#last
    this.#last = { at: clock.now(), byKey: readAll(this.#broker) }
    clock.after(readingMs, () => this.#read())
  }
}

export const keyOfAll = 'all'
export const keyOfNamespace = (namespace: string): string => `n\0${namespace}`
export const keyOfTopic = (namespace: string, topic: string): string => `t\0${namespace}\0${topic}`
export const keyOfConnection = (id: number): string => `c\0${id}`

/** Reads figures only; who may see them is asked when they are shown. */
const observer: Principal = { user: 'management', may: () => true }

function readAll(broker: Broker): Map<string, Totals> {
  const byKey = new Map<string, Totals>()
  let all = noTotals
  for (const namespace of broker.namespaces()) {
    const space = broker.space(observer, namespace)
    let sum = noTotals
    for (const { name } of space.topics()) {
      const status = space.status(name)
      if (status === undefined) continue
      const totals = totalsOf(status)
      byKey.set(keyOfTopic(namespace, name), totals)
      sum = plus(sum, totals)
    }
    all = plus(all, sum)
    byKey.set(keyOfNamespace(namespace), sum)
  }
  for (const { id, bytesIn, bytesOut } of broker.connections()) byKey.set(keyOfConnection(id), { ...noTotals, bytesIn, bytesOut })
  byKey.set(keyOfAll, all)
  return byKey
}

/** Of a queue: what its default subscription did. A topic that nobody has read as a queue has only what was stored. */
export function totalsOf(status: TopicStatus): Totals {
  const queue = status.subscriptions.find(({ name, kind }) => name === '' && kind === 'queue')
  return {
    ...noTotals,
    published: status.recordsIn,
    delivered: queue?.delivered ?? 0,
    accepted: queue?.accepted ?? 0,
    returned: queue?.returned ?? 0,
    ready: queue?.ready ?? status.partitions.reduce((sum, { startOffset, nextOffset }) => sum + nextOffset - startOffset, 0),
    unacknowledged: queue?.inFlight ?? 0,
  }
}

export function plus(a: Totals, b: Totals): Totals {
  const sum = { ...noTotals }
  for (const name of Object.keys(noTotals) as (keyof Totals)[]) sum[name] = a[name] + b[name]
  return sum
}

/** message_stats: totals since the broker started, each with its rate. */
export function messageStats(totals: Totals, rates: Totals): Record<string, unknown> {
  return {
    publish: totals.published,
    publish_details: { rate: rates.published },
    deliver_get: totals.delivered,
    deliver_get_details: { rate: rates.delivered },
    deliver: totals.delivered,
    deliver_details: { rate: rates.delivered },
    ack: totals.accepted,
    ack_details: { rate: rates.accepted },
    redeliver: totals.returned,
    redeliver_details: { rate: rates.returned },
  }
}

/** messages, messages_ready, messages_unacknowledged, each with its rate. */
export function depths(totals: Totals, rates: Totals): Record<string, unknown> {
  return {
    messages: totals.ready + totals.unacknowledged,
    messages_details: { rate: rates.ready + rates.unacknowledged },
    messages_ready: totals.ready,
    messages_ready_details: { rate: rates.ready },
    messages_unacknowledged: totals.unacknowledged,
    messages_unacknowledged_details: { rate: rates.unacknowledged },
  }
}
