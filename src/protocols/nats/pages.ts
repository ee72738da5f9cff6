/** What nats-server's monitoring tells, for its pages (monitoring.ts) and for requests of its tools (system.ts); of the whole broker, or of one namespace. */
import { availableParallelism } from 'node:os'
import type { Broker, ConnectionListing, ServerFacts } from '../../broker/face.ts'
import {
  controlLineBytesMax,
  payloadLimit,
  pendingBytesMax,
  pingEveryMs,
  pingsMax,
  serverId,
  serverName,
  serverVersion,
  writeDeadlineMs,
} from './info.ts'
import { jetStreamOf } from './jetstream/of.ts'
import { nanosOf } from './jetstream/times.ts'
import { accountDetails, jetStreamTotals, jsz } from './jsz.ts'
import type { NatsConnection } from './session.ts'
import { totalsOf } from './totals.ts'

const connectionsMax = 1024

export class Pages {
  readonly #broker: Broker
  readonly #facts: ServerFacts
  readonly #namespace: string | null

  constructor(broker: Broker, facts: ServerFacts, namespace: string | null = null) {
    this.#broker = broker
    this.#facts = facts
    this.#namespace = namespace
  }

  #isWithin(namespace: string): boolean {
    return this.#namespace === null || this.#namespace === namespace
  }

  get #now(): string {
    return new Date(this.#broker.clock.now()).toISOString()
  }

  #connections(): { listing: ConnectionListing; own: NatsConnection }[] {
    return this.#broker.connections().flatMap((listing) => {
      if (listing.protocol !== 'nats' || listing.describe === undefined || !this.#isWithin(listing.namespace)) return []
      return [{ listing, own: listing.describe() as NatsConnection }] // what our own sessions say
    })
  }

  varz() {
    const connections = this.#connections()
    const sum = (of: 'in_msgs' | 'out_msgs' | 'in_bytes' | 'out_bytes' | 'subscriptions'): number =>
      connections.reduce((total, { own }) => total + own[of], 0)
    const listener = this.#facts.listeners().find(({ name }) => name === 'nats')
    const { startedAt, version } = this.#facts
    // Messages of connections that are gone, too; bytes are those of envelopes.
    const traffic = this.#broker.stats().traffic.filter(({ protocol }) => protocol === 'nats')
    const totals = totalsOf(this.#broker)
    const total = (of: 'recordsIn' | 'recordsOut' | 'bytesIn' | 'bytesOut'): number =>
      traffic.reduce((all, each) => all + each[of], 0)
    return {
      server_id: serverId(this.#broker),
      server_name: serverName,
      version: serverVersion,
      anymq_version: version,
      proto: 1,
      host: listener?.host ?? '',
      port: listener?.port ?? 0,
      auth_required: this.#broker.authenticationRequired,
      max_connections: this.#broker.limits.connectionsMax,
      max_payload: payloadLimit(this.#broker),
      max_control_line: controlLineBytesMax,
      max_pending: pendingBytesMax,
      ping_interval: nanosOf(pingEveryMs),
      ping_max: pingsMax,
      write_deadline: nanosOf(writeDeadlineMs),
      jetstream: this.#jetStream(),
      start: new Date(startedAt).toISOString(),
      now: this.#now,
      uptime: uptime(this.#broker.clock.now() - startedAt),
      mem: process.memoryUsage.rss(),
      cores: availableParallelism(),
      cpu: totals.cpu,
      total_connections: totals.connections,
      slow_consumers: totals.slowConsumers,
      stale_connections: totals.staleConnections,
      routes: 0,
      remotes: 0,
      leafnodes: 0,
      connections: connections.length,
      in_msgs: total('recordsIn'),
      out_msgs: total('recordsOut'),
      in_bytes: total('bytesIn'),
      out_bytes: total('bytesOut'),
      subscriptions: sum('subscriptions'),
    }
  }

  #jetStream() {
    const { memory, storage, reserved_memory, reserved_storage, accounts, ha_assets, api, config } = jetStreamTotals(this.#broker)
    return { config, stats: { memory, storage, reserved_memory, reserved_storage, accounts, ha_assets, api } }
  }

  connz(query: URLSearchParams): object {
    const limit = count(query.get('limit'), connectionsMax)
    const offset = count(query.get('offset'), 0)
    const wantsSubscriptions = ['1', 'true', 'detail'].includes(query.get('subs') ?? '')
    const all = this.#connections()
    const shown = all.slice(offset, offset + limit)
    const now = this.#broker.clock.now()
    return {
      server_id: serverId(this.#broker),
      now: this.#now,
      num_connections: shown.length,
      total: all.length,
      offset,
      limit,
      connections: shown.map(({ listing, own }) => {
        const { subscriptions_list: list, activeAt, ...counts } = own
        const colon = listing.remote.lastIndexOf(':')
        return {
          cid: listing.id,
          kind: 'Client',
          type: 'nats',
          ip: listing.remote.slice(0, colon),
          port: Number(listing.remote.slice(colon + 1)),
          start: new Date(listing.openedAt).toISOString(),
          last_activity: new Date(activeAt).toISOString(),
          uptime: uptime(now - listing.openedAt),
          idle: uptime(now - activeAt),
          ...counts,
          ...(wantsSubscriptions ? { subscriptions_list: list.map(({ subject }) => subject) } : {}),
          ...(query.get('auth') === '1' || query.get('auth') === 'true' ? { authorized_user: listing.user } : {}),
        }
      }),
    }
  }

  /** Of one namespace: who is connected, and what they do. */
  clients() {
    const all = this.#connections()
    const sum = (of: 'in_msgs' | 'out_msgs' | 'in_bytes' | 'out_bytes' | 'subscriptions'): number =>
      all.reduce((total, { own }) => total + own[of], 0)
    return {
      conns: all.length,
      num_subscriptions: sum('subscriptions'),
      sent: { msgs: sum('out_msgs'), bytes: sum('out_bytes') },
      received: { msgs: sum('in_msgs'), bytes: sum('in_bytes') },
    }
  }

  subsz(): object {
    const all = this.#connections()
    return {
      server_id: serverId(this.#broker),
      now: this.#now,
      num_subscriptions: all.reduce((sum, { own }) => sum + own.subscriptions, 0),
    }
  }

  /** As a server answers that has no others around it. */
  routez(): object {
    return { server_id: serverId(this.#broker), server_name: serverName, now: this.#now, num_routes: 0, routes: [] }
  }

  gatewayz(): object {
    return { server_id: serverId(this.#broker), now: this.#now, outbound_gateways: {}, inbound_gateways: {} }
  }

  leafz(): object {
    return { server_id: serverId(this.#broker), now: this.#now, leafnodes: 0, leafs: [] }
  }

  /** Of one namespace: what is its own. */
  async jsz(query: URLSearchParams): Promise<object> {
    if (this.#namespace !== null) return await accountDetails(jetStreamOf(this.#broker, this.#namespace), query)
    return { server_id: serverId(this.#broker), now: this.#now, ...(await jsz(this.#broker, query)) }
  }

  get ready(): boolean {
    return this.#facts.ready()
  }

  healthz(): object {
    return this.ready ? { status: 'ok' } : { status: 'unavailable', error: 'the broker is not ready' }
  }

  /** How much it does, in few words. */
  statsz(): object {
    const all = this.varz()
    const sent = { msgs: all.out_msgs, bytes: all.out_bytes }
    const received = { msgs: all.in_msgs, bytes: all.in_bytes }
    return {
      start: all.start,
      mem: all.mem,
      cores: all.cores,
      cpu: all.cpu,
      connections: all.connections,
      total_connections: all.total_connections,
      active_accounts: this.#broker.namespaces().length,
      subscriptions: all.subscriptions,
      sent,
      received,
      sent_to_clients: sent,
      received_from_clients: received,
      slow_consumers: all.slow_consumers,
      stale_connections: all.stale_connections,
      active_servers: 1,
      jetstream: all.jetstream,
    }
  }
}

const count = (text: string | null, absent: number): number => (text !== null && /^\d{1,9}$/.test(text) ? Number(text) : absent)

/** As nats-server writes durations: 1d2h3m4s. */
function uptime(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
  ]
  const first = parts.findIndex(([value]) => value > 0)
  const shown =
    first < 0
      ? ''
      : parts
          .slice(first)
          .map(([value, unit]) => `${value}${unit}`)
          .join('')
  return `${shown}${seconds % 60}s`
}
