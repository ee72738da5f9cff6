/**
 * The HTTP listener: health, metrics and the API under /v1, on node:http alone. A request goes body → login → route → JSON; what each operation
 * does is in routes/.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Broker, Principal, ServerFacts } from '../broker/face.ts'
import { CoreError } from '../broker/face.ts'
import { asCoreError } from '../core/errors.ts'
import { formats } from '../core/record.ts'
import { answerBadHttp } from '../lib/bad-http.ts'
import { foreignPage } from '../lib/local-host.ts'
import { type Secured, secureHttp, type Tls } from '../lib/tls.ts'
import { authenticateRequest, requireAdmin } from './access.ts'
import { readJsonBody } from './body.ts'
import { envelopeFormat } from './envelope.ts'
import { errorBody, statusOf } from './errors.ts'
import type { Metrics } from './metrics.ts'
import { openApiDocument } from './openapi.ts'
import type { Call, Route } from './route.ts'
import { Router } from './router.ts'
import { apiRoutes } from './routes/all.ts'

export interface HttpOptions {
  readonly broker: Broker
  readonly facts: ServerFacts
  readonly host: string
  readonly port: number
  /** Any Host header is fine. Otherwise, while nobody has to log in, pages of other sites are kept out (lib/local-host.ts). */
  readonly anyHost: boolean
  /** Secures whoever begins with a TLS handshake. */
  readonly tls?: Tls | null
  readonly bodyBytesMax?: number
  readonly connectionsMax?: number
  /** Takes connections that ask to become WebSockets, for the path they ask it for; they count towards `connectionsMax` no longer. */
  upgrade?(path: string, request: IncomingMessage, socket: Duplex, head: Buffer, secured: Secured | null): void
}

const bodyBytesMaxDefault = 32 * 1024 * 1024
const connectionsMaxDefault = 1000
/** Who calls an open route: it does nothing in a caller's name. */
const nobody: Principal = { user: '', may: () => false }
const requestTimeoutMs = 60_000
const headersTimeoutMs = 10_000

export class HttpServer {
  readonly #options: HttpOptions
  readonly #server: Server
  readonly #router: Router
  /** Loaded with the first request: an idle broker does without. */
  #metrics: Promise<Metrics> | null = null
  #closed = false
  readonly #bodyBytesMax: number
  readonly #remotes = new WeakMap<Socket, string>()
  /** Connections that TLS secured. */
  readonly #secured = new WeakMap<Socket, Secured>()

  constructor(options: HttpOptions) {
    formats.register(envelopeFormat)
    this.#options = options
    this.#bodyBytesMax = options.bodyBytesMax ?? bodyBytesMaxDefault
    const routes = [...apiRoutes, this.#metricsRoute(), ...this.#documentRoutes()]
    this.#router = new Router(routes)
    this.#server = createServer({ requestTimeout: requestTimeoutMs, headersTimeout: headersTimeoutMs }, (request, response) => {
      void this.#serve(request, response)
    })
    answerBadHttp(this.#server, (remote, reason) =>
      options.broker.log.info({ protocol: 'http', remote, reason }, 'connection closed by the broker'),
    )
    this.#server.maxConnections = options.connectionsMax ?? connectionsMaxDefault
    if (options.upgrade !== undefined)
      this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head, options.upgrade))
    if (options.tls !== undefined && options.tls !== null) {
      const refused = (socket: Socket, reason: string): void =>
        options.broker.log.info({ remote: socket.remoteAddress, reason }, 'HTTP connection refused')
      secureHttp(this.#server, options.tls, { secured: (socket, secured) => this.#secured.set(socket, secured), refused })
    }
  }

  /** Resolves to the port, or rejects with the socket's own error (EADDRINUSE). */
  listen(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#options.port, this.#options.host, () => {
        this.#server.off('error', reject)
        this.#server.on('error', (error) => this.#options.broker.log.error({ error: error.message }, 'the HTTP listener failed'))
        const address = this.#server.address()
        resolve(typeof address === 'object' && address !== null ? address.port : this.#options.port)
      })
    })
  }

  /** Answers what is under way, closes idle connections, then whatever is left. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true
    void this.#metrics?.then((metrics) => metrics.close())
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeIdleConnections()
    const force = setTimeout(() => this.#server.closeAllConnections(), graceMs)
    await closed
    clearTimeout(force)
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, upgrade: HttpOptions['upgrade']): void {
    // What it becomes is counted by others.
    this.#server.maxConnections++
    socket.on('close', () => this.#server.maxConnections--)
    const path = (request.url ?? '/').replace(/\?.*$/s, '')
    upgrade?.(path, request, socket, head, this.#secured.get(request.socket) ?? null)
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedAt = process.hrtime.bigint()
    // A socket that is closed no longer knows.
    this.#remotes.set(request.socket, `${request.socket.remoteAddress}:${request.socket.remotePort}`)
    let label = 'none'
    try {
      const url = new URL(request.url ?? '/', 'http://localhost')
      const match = this.#router.find(request.method ?? 'GET', url.pathname)
      if ('allowed' in match) return this.#refusePath(request, response, url.pathname, match.allowed)
      label = `${match.route.method} ${match.route.path}`
      await this.#run(match.route, match.parameters, url.searchParams, request, response)
    } catch (cause) {
      this.#fail(request, response, asCoreError(cause))
    } finally {
      const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9
      if (!this.#closed) (await this.#loadMetrics()).observeRequest(label, response.statusCode, seconds)
    }
  }

  async #run(
    route: Route,
    parameters: ReadonlyMap<string, string>,
    query: URLSearchParams,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { broker } = this.#options
    this.#checkHost(request)
    const principal =
      route.open === true ? nobody : await authenticateRequest(broker, request, this.#secured.get(request.socket)?.peerName)
    if (route.admin === true) requireAdmin(broker, principal)
    const body = await readJsonBody(request, this.#bodyBytesMax)
    const answer = await route.handle(this.#call(principal, parameters, query, body, request, response))
    if (response.headersSent || response.writableEnded) return
    if (answer === undefined) response.writeHead(204).end()
    else sendJson(response, route.status ?? 200, answer)
  }

  #call(
    principal: Principal,
    parameters: ReadonlyMap<string, string>,
    query: URLSearchParams,
    body: Record<string, unknown>,
    request: IncomingMessage,
    response: ServerResponse,
  ): Call {
    const { broker } = this.#options
    return {
      broker,
      principal,
      get space() {
        return broker.space(principal, query.get('namespace') ?? 'default', { protocol: 'http' })
      },
      parameter: (name) => parameters.get(name) ?? '',
      query,
      body,
      request,
      response,
      server: this.#options.facts,
    }
  }

  #checkHost(request: IncomingMessage): void {
    if (this.#options.anyHost || this.#options.broker.authenticationRequired) return
    const foreign = foreignPage(request.headers)
    if (foreign !== null) throw new CoreError('AccessDenied', foreign)
  }

  #refusePath(request: IncomingMessage, response: ServerResponse, path: string, allowed: readonly string[]): void {
    request.resume()
    if (allowed.length === 0)
      return this.#fail(request, response, new CoreError('NotFound', `there is nothing at ${path}; see /openapi.json`))
    response.setHeader('allow', allowed.join(', '))
    sendJson(response, 405, { error: { code: 'Unsupported', message: `${path} takes ${allowed.join(', ')}` } })
  }

  #fail(request: IncomingMessage, response: ServerResponse, error: CoreError): void {
    // Who hung up in the middle of a request hears nothing, and it is no fault of ours.
    if (request.destroyed && !request.complete) {
      const reason = `a request was not sent to its end: ${error.message}`
      this.#options.broker.log.info({ remote: this.#remotes.get(request.socket), reason }, 'HTTP connection closed')
      return
    }
    if (error.code === 'Internal')
      this.#options.broker.log.error({ url: request.url, error: error.message, stack: error.stack }, 'an HTTP request failed')
    if (response.headersSent) {
      response.destroy()
      return
    }
    if (error.code === 'Unauthenticated') response.setHeader('www-authenticate', 'Basic realm="AnyMQ", charset="UTF-8"')
    // The rest of a refused body is not worth reading: answer and close.
    if (!request.complete) {
      response.setHeader('connection', 'close')
      const remote = this.#remotes.get(request.socket)
      this.#options.broker.log.info({ remote, reason: error.message }, 'HTTP connection closed in the middle of a request')
    }
    sendJson(response, statusOf(error), errorBody(error))
  }

  #loadMetrics(): Promise<Metrics> {
    this.#metrics ??= import('./metrics.ts').then(({ Metrics }) => new Metrics(this.#options.broker))
    return this.#metrics
  }

  #metricsRoute(): Route {
    return {
      method: 'GET',
      path: '/metrics',
      tag: 'server',
      summary: 'Figures for Prometheus',
      handle: async ({ response }) => {
        const metrics = await this.#loadMetrics()
        const text = await metrics.render()
        response.writeHead(200, { 'content-type': metrics.contentType }).end(text)
      },
    }
  }

  #documentRoutes(): Route[] {
    const route: Route = {
      method: 'GET',
      path: '/openapi.json',
      tag: 'server',
      summary: 'This document',
      open: true,
      handle: () => openApiDocument([...apiRoutes, this.#metricsRoute(), route], this.#options.facts.version),
    }
    return [route]
  }
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const bytes = Buffer.from(`${JSON.stringify(body)}\n`)
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': bytes.length,
    'cache-control': 'no-store',
  })
  response.end(bytes)
}
