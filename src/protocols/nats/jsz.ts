/** nats-server's page /jsz: what JetStream holds, of each namespace as an account; with `accounts`, `streams`, `consumers` and `config` in detail. */
import type { Broker } from '../../broker/face.ts'
import { apiLevel } from './info.ts'
import { reserved } from './jetstream/account-limits.ts'
import type { JetStream } from './jetstream/jetstream.ts'
import { jetStreamOf } from './jetstream/of.ts'
import { shownStreamConfig } from './jetstream/stream-config.ts'
import { timeText } from './jetstream/times.ts'

const accountsMax = 1024

interface Totals {
  memory: number
  storage: number
  reserved_memory: number
  reserved_storage: number
  streams: number
  consumers: number
  messages: number
  bytes: number
}

function held(jetStream: JetStream): Totals {
  const all = jetStream.streams()
  const totals = {
    memory: 0,
    storage: 0,
    reserved_memory: reserved(all, 'memory'),
    reserved_storage: reserved(all, 'file'),
    streams: 0,
    consumers: 0,
    messages: 0,
    bytes: 0,
  }
  for (const { name, config, consumers } of all) {
    const there = jetStream.space.status(name)?.partitions[0]
    totals.streams++
    totals.consumers += consumers.size
    totals.messages += there?.records ?? 0
    totals.bytes += there?.bytes ?? 0
    totals[config.storage === 'memory' ? 'memory' : 'storage'] += there?.bytes ?? 0
  }
  return totals
}

/** Of all namespaces together. */
export function jetStreamTotals(broker: Broker) {
  const all = broker.namespaces().map((namespace) => jetStreamOf(broker, namespace))
  const each = all.map(held)
  const sum = (of: keyof Totals): number => each.reduce((total, totals) => total + totals[of], 0)
  const counts = (of: 'requests' | 'errors'): number => all.reduce((total, jetStream) => total + jetStream.counts[of], 0)
  return {
    memory: sum('memory'),
    storage: sum('storage'),
    reserved_memory: sum('reserved_memory'),
    reserved_storage: sum('reserved_storage'),
    accounts: all.length,
    ha_assets: 0,
    api: { level: apiLevel, total: counts('requests'), errors: counts('errors') },
    // -1: what there is.
    config: { max_memory: broker.limits.memoryBytesMax, max_storage: -1 },
    streams: sum('streams'),
    consumers: sum('consumers'),
    messages: sum('messages'),
    bytes: sum('bytes'),
  }
}

const asks = (query: URLSearchParams, name: string): boolean => ['1', 'true'].includes(query.get(name) ?? '')

export async function jsz(broker: Broker, query: URLSearchParams): Promise<object> {
  const account = query.get('acc') ?? ''
  const wantsAccounts = account !== '' || ['accounts', 'streams', 'consumers'].some((name) => asks(query, name))
  const shown = broker
    .namespaces()
    .filter((namespace) => account === '' || namespace === account)
    .slice(0, accountsMax)
  const details = shown.map((namespace) => accountDetails(jetStreamOf(broker, namespace), query))
  return {
    ...jetStreamTotals(broker),
    ...(wantsAccounts ? { account_details: await Promise.all(details) } : {}),
    total: shown.length,
  }
}

export async function accountDetails(jetStream: JetStream, query: URLSearchParams): Promise<object> {
  const wanted = { streams: asks(query, 'streams'), consumers: asks(query, 'consumers'), config: asks(query, 'config') }
  const { memory, storage, reserved_memory, reserved_storage } = held(jetStream)
  const { requests, errors } = jetStream.counts
  const streams = jetStream.streams().map(async (stream) => ({
    name: stream.name,
    created: timeText(stream.createdAt),
    ...(wanted.config ? { config: shownStreamConfig(stream.config) } : {}),
    state: await stream.state(),
    ...(wanted.consumers ? { consumer_detail: [...stream.consumers.values()].map((consumer) => consumer.info()) } : {}),
  }))
  return {
    name: jetStream.namespace,
    id: jetStream.namespace,
    memory,
    storage,
    reserved_memory,
    reserved_storage,
    accounts: 0,
    ha_assets: 0,
    api: { level: apiLevel, total: requests, errors },
    ...(wanted.streams || wanted.consumers ? { stream_detail: await Promise.all(streams) } : {}),
  }
}
