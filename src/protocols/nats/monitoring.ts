/** nats-server's monitoring pages (JSON), for tools that watch it; what they say is in pages.ts, jsz.ts and system/account-pages.ts. */
import type { Broker, HttpAnswer, HttpHandler, HttpRequest, ServerFacts } from '../../broker/face.ts'
import { Pages } from './pages.ts'
import { accountStatz, accountz } from './system/account-pages.ts'

export class MonitoringHandler implements HttpHandler {
  readonly #broker: Broker
  readonly #facts: ServerFacts
  readonly #all: Pages
  readonly #pages: Readonly<Record<string, (query: URLSearchParams) => HttpAnswer | Promise<HttpAnswer>>>

  constructor(broker: Broker, facts: ServerFacts) {
    this.#broker = broker
    this.#facts = facts
    this.#all = new Pages(broker, facts)
    this.#pages = {
      '/': () => text(200, `${Object.keys(this.#pages).slice(1).join(' ')}\n`),
      '/varz': () => json(this.#all.varz()),
      '/connz': (query) => json(this.#all.connz(query)),
      '/subsz': () => json(this.#all.subsz()),
      '/jsz': async (query) => json(await this.#all.jsz(query)),
      '/accountz': (query) => this.#accountz(query.get('acc') ?? ''),
      '/accstatz': (query) => json(accountStatz(broker, facts, null, ['1', 'true'].includes(query.get('unused') ?? ''))),
      '/routez': () => json(this.#all.routez()),
      '/gatewayz': () => json(this.#all.gatewayz()),
      '/leafz': () => json(this.#all.leafz()),
      '/healthz': () => this.#healthz(),
    }
  }

  async answer(request: HttpRequest): Promise<HttpAnswer> {
    const page = this.#pages[request.path]
    if (page === undefined) return text(404, '404 page not found\n')
    // As nats-server does, but only where nobody has to log in: what is shown here would tell users of each other.
    if (this.#broker.authenticationRequired && request.path !== '/healthz') {
      const refused = await this.#refusal(request)
      if (refused !== null) return refused
    }
    return page(new URLSearchParams(request.query))
  }

  async #refusal(request: HttpRequest): Promise<HttpAnswer | null> {
    const header = request.headers['authorization']
    const [scheme, coded] = (Array.isArray(header) ? (header[0] ?? '') : (header ?? '')).split(' ')
    const login = scheme?.toLowerCase() === 'basic' ? Buffer.from(coded ?? '', 'base64').toString() : ''
    const colon = login.indexOf(':')
    try {
      if (colon < 0) throw new Error('no login')
      const credential = { kind: 'password', user: login.slice(0, colon), password: login.slice(colon + 1) } as const
      const principal = await this.#broker.authenticate(credential, request.connection.remoteAddress)
      request.connection.info.user = principal.user
      if (principal.may('describe', 'default', '', 'cluster')) return null
      return text(403, 'only administrators may\n')
    } catch {
      return { status: 401, headers: { 'www-authenticate': 'Basic realm="AnyMQ"' }, body: 'a login is needed\n' }
    }
  }

  #accountz(name: string): HttpAnswer {
    const told = accountz(this.#broker, this.#facts, name)
    return told === null ? text(400, `Account ${name} does not exist`) : json(told)
  }

  #healthz(): HttpAnswer {
    return json(this.#all.healthz(), this.#facts.ready() ? 200 : 503)
  }
}

const text = (status: number, body: string): HttpAnswer => ({ status, headers: { 'content-type': 'text/plain' }, body })

const json = (value: object, status = 200): HttpAnswer => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: `${JSON.stringify(value, null, 2)}\n`,
})
