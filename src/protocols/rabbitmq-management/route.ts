/** What one operation of the API is. */
import type { Broker, HttpAnswer, HttpRequest, ServerFacts } from '../../broker/face.ts'
import type { Caller } from './caller.ts'
import { badRequest } from './errors.ts'
import { isObject, type Json } from './json.ts'
import type { Rates } from './rates.ts'

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'

/** What a handler resolves to is sent as JSON with 200; null is 204, a {@link Status} or {@link Answer} is sent as it says. */
export interface Route {
  readonly method: Method
  /** Below /api; segments that begin with a colon are parameters. */
  readonly path: string
  /** Answered without a login; the caller is nobody. */
  readonly open?: true
  handle(call: Call): unknown
}

/** A success that is not 200 with a body. */
export class Status {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, headers: Readonly<Record<string, string>> = {}) {
    this.status = status
    this.headers = headers
  }
}

/** An answer that is no success. */
export class Answer {
  readonly answer: HttpAnswer

  constructor(answer: HttpAnswer) {
    this.answer = answer
  }
}

/** RabbitMQ's answer to PUT: 201 for what is new, 204 for what was there. */
export const created = new Status(201)
export const put = (isNew: boolean): Status => new Status(isNew ? 201 : 204)

export class Call {
  readonly broker: Broker
  readonly facts: ServerFacts
  readonly rates: Rates
  readonly caller: Caller
  readonly request: HttpRequest
  readonly query: URLSearchParams
  readonly #parameters: ReadonlyMap<string, string>

  constructor(
    surroundings: { broker: Broker; facts: ServerFacts; rates: Rates },
    caller: Caller,
    request: HttpRequest,
    parameters: ReadonlyMap<string, string>,
  ) {
    this.broker = surroundings.broker
    this.facts = surroundings.facts
    this.rates = surroundings.rates
    this.caller = caller
    this.request = request
    this.query = new URLSearchParams(request.query)
    this.#parameters = parameters
  }

  /** A parameter of the path; always there when the path has it. */
  parameter(name: string): string {
    return this.#parameters.get(name) ?? ''
  }

  get vhost(): string {
    return this.parameter('vhost')
  }

  /** The body, which must be an object; {} without one. RabbitMQ asks for no content type. */
  async body(): Promise<Json> {
    const bytes = await this.request.body()
    if (bytes.length === 0) return {}
    let parsed: unknown
    try {
      parsed = JSON.parse(bytes.toString())
    } catch {
      throw badRequest('not_json')
    }
    if (!isObject(parsed)) throw badRequest('not_json')
    return parsed
  }
}

/** The segments of a path. Empty ones count: the default exchange's name is empty. */
export const segmentsOf = (path: string): string[] => path.replace(/^\//, '').replace(/\/$/, '').split('/')
