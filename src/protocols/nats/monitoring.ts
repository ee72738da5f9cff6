/** nats-server's monitoring pages (JSON), for tools that watch it: /varz, /connz, /subsz, /jsz (jsz.ts), /healthz. */
import type { Broker, ConnectionListing, HttpAnswer, HttpHandler, HttpRequest, ServerFacts } from '../../broker/face.ts'
import { controlLineBytesMax, payloadLimit, serverId, serverName, serverVersion } from './info.ts'
import { jsz } from './jsz.ts'
import type { NatsConnection } from './session.ts'

const connectionsMax = 1024

export class MonitoringHandler implements HttpHandler {
  readonly #broker: Broker
  readonly #facts: ServerFacts
  readonly #pages: Readonly<Record<string, (query: URLSearchParams) => HttpAnswer | Promise<HttpAnswer>>>

  constructor(broker: Broker, facts: ServerFacts) {
    this.#broker = broker
    this.#facts = facts
    this.#pages = {
      '/': () => ({ status: 200, headers: { 'content-type': 'text/plain' }, body: '/varz /connz /subsz /jsz /healthz\n' }),
      '/varz': () => json(this.#varz()),
      '/connz': (query) => json(this.#connz(query)),
      '/subsz': () => json(this.#subsz()),
      '/jsz': async (query) => json({ server_id: serverId(broker), now: this.#now(), ...(await jsz(broker, query)) }),
      '/healthz': () => this.#healthz(),
    }
  }

  async answer(request: HttpRequest): Promise<HttpAnswer> {
    const page = this.#pages[request.path]
    if (page === undefined) return { status: 404, headers: { 'content-type': 'text/plain' }, body: '404 page not found\n' }
    // As nats-server does, but only where nobody has to log in: what is shown here would tell users of each other.
    if (this.#broker.authenticationRequired && request.path !== '/healthz') {
      const refused = await this.#refusal(request)
      if (refused !== null) return refused
    }
    return page(new URLSearchParams(request.query))
  }

  async #refusal(request: HttpRequest): Promise<HttpAnswer | null> {
    const header = request.headers['authorization']
    const [scheme, text] = (Array.isArray(header) ? (header[0] ?? '') : (header ?? '')).split(' ')
    const login = scheme?.toLowerCase() === 'basic' ? Buffer.from(text ?? '', 'base64').toString() : ''
    const colon = login.indexOf(':')
    try {
      if (colon < 0) throw new Error('no login')
      const credential = { kind: 'password', user: login.slice(0, colon), password: login.slice(colon + 1) } as const
      const principal = await this.#broker.authenticate(credential)
      request.connection.info.user = principal.user
      if (principal.may('describe', 'default', '', 'cluster')) return null
      return { status: 403, headers: { 'content-type': 'text/plain' }, body: 'only administrators may\n' }
    } catch {
      return { status: 401, headers: { 'www-authenticate': 'Basic realm="AnyMQ"' }, body: 'a login is needed\n' }
    }
  }

  #now(): string {
    return new Date(this.#broker.clock.now()).toISOString()
  }

  #connections(): { listing: ConnectionListing; own: NatsConnection }[] {
    return this.#broker.connections().flatMap((listing) => {
      if (listing.protocol !== 'nats' || listing.describe === undefined) return []
      return [{ listing, own: listing.describe() as NatsConnection }] // what our own sessions say
    })
  }

  #varz(): object {
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
      now: this.#now(),
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

  #connz(query: URLSearchParams): object {
    const limit = count(query.get('limit'), connectionsMax)
    const offset = count(query.get('offset'), 0)
    const wantsSubscriptions = ['1', 'true', 'detail'].includes(query.get('subs') ?? '')
    const all = this.#connections()
    const shown = all.slice(offset, offset + limit)
    const now = this.#broker.clock.now()
    return {
      server_id: serverId(this.#broker),
      now: this.#now(),
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

  #subsz(): object {
    const all = this.#connections()
    return {
      server_id: serverId(this.#broker),
      now: this.#now(),
      num_subscriptions: all.reduce((sum, { own }) => sum + own.subscriptions, 0),
    }
  }

  #healthz(): HttpAnswer {
    if (!this.#facts.ready()) return json({ status: 'unavailable', error: 'the broker is not ready' }, 503)
    return json({ status: 'ok' })
  }
}

const json = (value: object, status = 200): HttpAnswer => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: `${JSON.stringify(value, null, 2)}\n`,
})

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
