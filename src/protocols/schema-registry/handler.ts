/** A request on its way: login, route, answer. What each operation does is in routes/, its rules in registry.ts. */
import type { Broker, HttpAnswer, HttpHandler, HttpRequest, ServerFacts } from '../../broker/face.ts'
import { Routes } from '../../lib/http-routes.ts'
import { authenticate } from './caller.ts'
import { errorAnswer, RegistryError } from './errors.ts'
import { json } from './json.ts'
import { registryOf } from './registry.ts'
import { Call, RawText } from './route.ts'
import { routes } from './routes/all.ts'

/** A client may be configured with the address of a context, of which there is one. */
const theContext = /^\/contexts\/(:|%3A)\.(:|%3A)(?=\/.)/i

export class RegistryHandler implements HttpHandler {
  readonly #surroundings
  readonly #routes = new Routes(routes)

  constructor(broker: Broker, facts: ServerFacts) {
    this.#surroundings = { broker, facts, registry: registryOf(broker) }
  }

  async answer(request: HttpRequest): Promise<HttpAnswer> {
    try {
      return await this.#answer(request)
    } catch (cause) {
      const answer = errorAnswer(cause)
      if (answer === null) throw cause
      return answer
    }
  }

  async #answer(request: HttpRequest): Promise<HttpAnswer> {
    const found = this.#routes.find(request.method, request.path.replace(theContext, ''))
    if ('allowed' in found) {
      if (found.allowed.length === 0) throw new RegistryError(404, 'HTTP 404 Not Found')
      return { ...json({ error_code: 405, message: 'HTTP 405 Method Not Allowed' }, 405) }
    }
    const caller = await authenticate(this.#surroundings.broker, request)
    const result = await found.route.handle(new Call(this.#surroundings, caller, request, found.parameters))
    return result instanceof RawText ? result.answer : json(result)
  }
}
