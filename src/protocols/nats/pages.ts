/** What nats-server's monitoring tells, for its pages (monitoring.ts) and for requests of its tools (system.ts); of the whole broker, or of one namespace. */
import { availableParallelism } from 'node:os'
import type { Broker, ConnectionListing, ServerFacts } from '../../broker/face.ts'
import { controlLineBytesMax, payloadLimit, serverId, serverName, serverVersion } from './info.ts'
import { jsz } from './jsz.ts'
import type { NatsConnection } from './session.ts'

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
      jetstream: { config: { max_memory: this.#broker.limits.memoryBytesMax, max_storage: -1 } },
      start: new Date(startedAt).toISOString(),
      now: this.#now,
      uptime: uptime(this.#broker.clock.now() - startedAt),
      mem: process.memoryUsage.rss(),
      connections: connections.length,
      in_msgs: total('recordsIn'),
      out_msgs: total('recordsOut'),
      in_bytes: total('bytesIn'),
      out_bytes: total('bytesOut'),
      subscriptions: sum('subscriptions'),
    }
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
        const { subscriptions_list: list, ...counts } = own
        const colon = listing.remote.lastIndexOf(':')
        return {
          cid: listing.id,
          kind: 'Client',
          type: 'nats',
          ip: listing.remote.slice(0, colon),
          port: Number(listing.remote.slice(colon + 1)),
          start: new Date(listing.openedAt).toISOString(),
          uptime: uptime(now - listing.openedAt),
          ...counts,
          ...(wantsSubscriptions ? { subscriptions_list: list.map(({ subject }) => subject) } : {}),
          ...(query.get('auth') === '1' || query.get('auth') === 'true' ? { authorized_user: listing.user } : {}),
        }
      }),
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

  async jsz(query: URLSearchParams): Promise<object> {
    const of = new URLSearchParams(query)
    if (this.#namespace !== null) of.set('acc', this.#namespace)
    return { server_id: serverId(this.#broker), now: this.#now, ...(await jsz(this.#broker, of)) }
  }

  healthz(): object {
    return this.#facts.ready() ? { status: 'ok' } : { status: 'unavailable', error: 'the broker is not ready' }
  }

  /** How much it does, in few words. */
  statsz(): object {
    const {
      start,
      mem,
      connections,
      subscriptions,
      in_msgs: in_,
      in_bytes: inBytes,
      out_msgs: out,
      out_bytes: outBytes,
    } = this.varz()
    return {
      start,
      mem,
      cores: availableParallelism(),
      cpu: 0,
      connections,
      total_connections: connections,
      active_accounts: this.#broker.namespaces().length,
      subscriptions,
      sent: { msgs: out, bytes: outBytes },
      received: { msgs: in_, bytes: inBytes },
      slow_consumers: 0,
      active_servers: 1,
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
