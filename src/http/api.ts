/**
 * The API on the HTTP port: health, metrics and everything under /v1. A request goes login → body → route → JSON; what each operation does is in
 * routes/. It is served like any protocol's HTTP (server/http-listener.ts).
 */
import type { Broker, HttpAnswer, HttpHandler, HttpRequest, Principal, ServerFacts } from '../broker/face.ts'
import { CoreError } from '../broker/face.ts'
import { asCoreError } from '../core/errors.ts'
import { formats } from '../core/record.ts'
import { foreignPage } from '../lib/local-host.ts'
import { authenticateRequest, requireAdmin } from './access.ts'
import { readJsonBody } from './body.ts'
import { envelopeFormat } from './envelope.ts'
import { errorBody, statusOf } from './errors.ts'
import type { Metrics } from './metrics.ts'
import { openApiDocument } from './openapi.ts'
import { type Call, Raw, type Route } from './route.ts'
import { Router } from './router.ts'
import { apiRoutes } from './routes/all.ts'

export interface ApiOptions {
  readonly broker: Broker
  readonly facts: ServerFacts
  /** Any Host header is fine. Otherwise, while nobody has to log in, pages of other sites are kept out (lib/local-host.ts). */
  readonly anyHost: boolean
}

const bodyBytesMax = 32 * 1024 * 1024
/** Who calls an open route: it does nothing in a caller's name. */
const nobody: Principal = { user: '', may: () => false }

export class Api implements HttpHandler {
  readonly #options: ApiOptions
  readonly #router: Router
  /** Loaded with the first request: an idle broker does without. */
  #metrics: Promise<Metrics> | null = null
  /** Ends the answers that would go on for ever. */
  readonly #stopping = new AbortController()

  constructor(options: ApiOptions) {
    formats.register(envelopeFormat)
    this.#options = options
    this.#router = new Router([...apiRoutes, this.#metricsRoute(), ...this.#documentRoutes()])
  }

  drain(): void {
    this.#stopping.abort()
    void this.#metrics?.then((metrics) => metrics.close())
  }

  async answer(request: HttpRequest): Promise<HttpAnswer> {
    const startedAt = process.hrtime.bigint()
    let label = 'none'
    let answer: HttpAnswer
    try {
      const { pathname, searchParams } = new URL(`${request.path}?${request.query}`, 'http://localhost')
      const match = this.#router.find(request.method, pathname)
      if ('allowed' in match) answer = refusePath(pathname, match.allowed)
      else {
        label = `${match.route.method} ${match.route.path}`
        answer = await this.#run(match.route, match.parameters, searchParams, request)
      }
    } catch (cause) {
      answer = this.#failure(request, asCoreError(cause))
    }
    const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9
    if (!this.#stopping.signal.aborted) (await this.#loadMetrics()).observeRequest(label, answer.status, seconds)
    return answer
  }

  async #run(
    route: Route,
    parameters: ReadonlyMap<string, string>,
    query: URLSearchParams,
    request: HttpRequest,
  ): Promise<HttpAnswer> {
    const { broker, facts } = this.#options
    this.#checkHost(request)
    const principal = route.open === true ? nobody : await authenticateRequest(broker, request)
    if (route.admin === true) requireAdmin(broker, principal)
    const call: Call = {
      broker,
      principal,
      get space() {
        return broker.space(principal, query.get('namespace') ?? 'default', { protocol: 'http' })
      },
      parameter: (name) => parameters.get(name) ?? '',
      query,
      body: await readJsonBody(request, bodyBytesMax),
      signal: AbortSignal.any([request.signal, this.#stopping.signal]),
      server: facts,
    }
    const result = await route.handle(call)
    const status = route.status ?? 200
    if (result === undefined) return { status: 204 }
    if (result instanceof Raw) return { status, headers: { 'content-type': result.contentType, ...notKept }, body: result.body }
    return json(status, result)
  }

  #checkHost(request: HttpRequest): void {
    if (this.#options.anyHost || this.#options.broker.authenticationRequired) return
    const foreign = foreignPage(request.headers)
    if (foreign !== null) throw new CoreError('AccessDenied', foreign)
  }

  #failure(request: HttpRequest, error: CoreError): HttpAnswer {
    if (error.code === 'Internal')
      this.#options.broker.log.error({ url: request.path, error: error.message, stack: error.stack }, 'an HTTP request failed')
    const login = error.code === 'Unauthenticated' ? { 'www-authenticate': 'Basic realm="AnyMQ", charset="UTF-8"' } : {}
    return json(statusOf(error), errorBody(error), login)
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
      handle: async () => {
        const metrics = await this.#loadMetrics()
        return new Raw(metrics.contentType, await metrics.render())
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

const notKept = { 'cache-control': 'no-store' }

function refusePath(path: string, allowed: readonly string[]): HttpAnswer {
  if (allowed.length === 0) {
    const error = new CoreError('NotFound', `there is nothing at ${path}; see /openapi.json`)
    return json(statusOf(error), errorBody(error))
  }
  const takes = allowed.join(', ')
  return json(405, { error: { code: 'Unsupported', message: `${path} takes ${takes}` } }, { allow: takes })
}

function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): HttpAnswer {
  const own = { 'content-type': 'application/json; charset=utf-8', ...notKept }
  return { status, headers: { ...own, ...headers }, body: `${JSON.stringify(body)}\n` }
}
