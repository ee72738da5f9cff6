/** A request on its way: login, route, answer. What each operation does is in routes/. */
import type { Broker, HttpAnswer, HttpHandler, HttpRequest, Principal, ServerFacts } from '../../broker/face.ts'
import { Routes } from '../../lib/http-routes.ts'
import { authenticate, Caller } from './caller.ts'
import { ApiError, errorAnswer, notFound } from './errors.ts'
import { json } from './json.ts'
import { Rates } from './rates.ts'
import { Answer, Call, Status, segmentsOf } from './route.ts'
import { routes } from './routes/all.ts'

const loginHeader = { 'www-authenticate': 'Basic realm="RabbitMQ Management"' }

export class ManagementHandler implements HttpHandler {
  readonly #surroundings: { broker: Broker; facts: ServerFacts; rates: Rates }
  readonly #routes = new Routes(routes, segmentsOf)

  constructor(broker: Broker, facts: ServerFacts) {
    this.#surroundings = { broker, facts, rates: new Rates(broker) }
  }

  drain(): void {
    this.#surroundings.rates.stop()
  }

  async answer(request: HttpRequest): Promise<HttpAnswer> {
    try {
      return await this.#answer(request)
    } catch (cause) {
      const answer = errorAnswer(cause)
      if (answer === null) throw cause
      const wantsLogin = cause instanceof ApiError && cause.error === 'not_authorized'
      return wantsLogin ? { ...answer, headers: { ...answer.headers, ...loginHeader } } : answer
    }
  }

  async #answer(request: HttpRequest): Promise<HttpAnswer> {
    if (request.path === '/' || request.path === '/index.html') return { status: 200, headers: plainText, body: frontPage }
    if (!request.path.startsWith('/api/')) throw notFound()
    const found = this.#routes.find(request.method, request.path.slice('/api'.length))
    if ('allowed' in found) {
      if (found.allowed.length === 0) throw notFound()
      const allow = ['HEAD', ...found.allowed, 'OPTIONS'].join(', ')
      return { status: request.method === 'OPTIONS' ? 200 : 405, headers: { allow } }
    }
    const { broker } = this.#surroundings
    const caller =
      found.route.open === true
        ? new Caller(broker, nobody, { user: '', password: '' }, [])
        : await authenticate(broker, headerText(request.headers['authorization']), request.connection.remoteAddress)
    request.connection.info.user = caller.name
    this.#surroundings.rates.asked()
    const result = await found.route.handle(new Call(this.#surroundings, caller, request, found.parameters))
    if (result instanceof Answer) return result.answer
    if (result instanceof Status) return { status: result.status, headers: result.headers }
    return result === null || result === undefined ? { status: 204 } : json(result)
  }
}

const nobody: Principal = { user: '', may: () => false }

const headerText = (header: string | string[] | undefined): string | undefined => (Array.isArray(header) ? header[0] : header)

const plainText = { 'content-type': 'text/plain; charset=utf-8' }
const frontPage = `AnyMQ: the management API of RabbitMQ is below /api/ (for rabbitmqadmin and other tools). There is no web page here.\n`
