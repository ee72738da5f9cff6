/** A request on its way: login, route, answer. What each operation does is in routes/. */
import { type Broker, CoreError, type HttpAnswer, type HttpHandler, type HttpRequest, type Principal } from '../../broker/face.ts'
import { httpCaller } from '../../lib/http-login.ts'
import { Routes } from '../../lib/http-routes.ts'
import { printJson } from '../../lib/schemas/json-text.ts'
import { registryOf } from '../schema-registry/registry.ts'
import { Consumers } from './consumers.ts'
import { errorAnswer, RestError, unauthorized } from './errors.ts'
import { metadataType } from './media.ts'
import { Answer, Call, type Surroundings } from './route.ts'
import { routes } from './routes/all.ts'

export class RestHandler implements HttpHandler {
  readonly #surroundings: Surroundings
  readonly #routes = new Routes(routes)

  constructor(broker: Broker) {
    this.#surroundings = { broker, registry: registryOf(broker), consumers: new Consumers(broker) }
  }

  async answer(request: HttpRequest): Promise<HttpAnswer> {
    const type = request.path.startsWith('/v3') ? 'application/json' : metadataType
    try {
      return await this.#answer(request, type)
    } catch (cause) {
      const answer = errorAnswer(cause, type)
      if (answer === null) throw cause
      return answer
    }
  }

  async #answer(request: HttpRequest, type: string): Promise<HttpAnswer> {
    const found = this.#routes.find(request.method, request.path)
    if ('allowed' in found)
      throw found.allowed.length === 0
        ? new RestError(404, 'HTTP 404 Not Found')
        : new RestError(405, 'HTTP 405 Method Not Allowed')
    const principal = await this.#login(request)
    const result = await found.route.handle(new Call(this.#surroundings, principal, request, found.parameters))
    if (result instanceof Answer) return result.answer
    if (result === undefined) return { status: 204 }
    return { status: 200, headers: { 'content-type': type }, body: printJson(result) }
  }

  async #login({ headers, connection }: HttpRequest): Promise<Principal> {
    let principal: Principal | null
    try {
      principal = await httpCaller(this.#surroundings.broker, headers['authorization'], connection)
    } catch (cause) {
      if (cause instanceof CoreError && cause.code === 'Unauthenticated') throw unauthorized()
      throw cause
    }
    if (principal === null) throw unauthorized()
    connection.info.user = principal.user
    return principal
  }
}
