/** Requests and answers as both HTTP ports have them: what is not 200 is `{"message": …}`, and every answer says its version in a header. */
import {
  type Broker,
  CoreError,
  type CoreErrorCode,
  type HttpAnswer,
  type HttpRequest,
  type Principal,
  type ServerFacts,
} from '../../../broker/face.ts'
import { httpCaller } from '../../../lib/http-login.ts'
import type { RoutePattern, Routes } from '../../../lib/http-routes.ts'
import { isName } from '../names.ts'

export class HttpError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

const versionHeader = { 'x-nsq-content-type': 'nsq; version=1.0' }
const textHeader = { 'content-type': 'text/plain; charset=utf-8' }

export const json = (status: number, value: object): HttpAnswer => ({
  status,
  headers: { ...versionHeader, 'content-type': 'application/json; charset=utf-8' },
  body: JSON.stringify(value),
})

/** null is nothing at all, a text is itself. */
export function success(value: object | string | null): HttpAnswer {
  if (value !== null && typeof value === 'object') return json(200, value)
  return { status: 200, headers: { ...versionHeader, ...textHeader }, body: value ?? '' }
}

export const failure = (status: number, message: string): HttpAnswer => json(status, { message })

/** One request, and who sent it. */
export interface Call {
  readonly request: HttpRequest
  readonly query: URLSearchParams
  readonly principal: Principal
  /** Of a path that names it. */
  readonly option: string
}

export interface Route extends RoutePattern {
  /** For whoever watches: nobody has to log in, and the answer is bare text. */
  readonly open?: true
  run(call: Call): object | string | null | Promise<object | string | null>
}

const ofCore = {
  NotFound: [404, 'NOT_FOUND'],
  AlreadyExists: [409, 'ALREADY_EXISTS'],
  Mismatch: [409, 'MISMATCH'],
  AccessDenied: [403, 'FORBIDDEN'],
  Unauthenticated: [401, 'UNAUTHORIZED'],
  TooLarge: [413, 'MSG_TOO_BIG'],
  Throttled: [503, 'EXITING'],
  Full: [503, 'EXITING'],
  Unavailable: [503, 'EXITING'],
  Fenced: [503, 'EXITING'],
  OutOfRange: [400, 'INVALID_REQUEST'],
  Invalid: [400, 'INVALID_REQUEST'],
  Unsupported: [400, 'INVALID_REQUEST'],
  Internal: [500, 'INTERNAL_ERROR'],
} as const satisfies Record<CoreErrorCode, readonly [number, string]>

export function errorOfCore(code: CoreErrorCode): HttpError {
  const [status, message] = ofCore[code]
  return new HttpError(status, message)
}

export async function answerBy(broker: Broker, routes: Routes<Route>, request: HttpRequest): Promise<HttpAnswer> {
  try {
    const found = routes.find(request.method, request.path)
    if (!('route' in found))
      throw found.allowed.length > 0 ? new HttpError(405, 'METHOD_NOT_ALLOWED') : new HttpError(404, 'NOT_FOUND')
    const principal =
      found.route.open === true
        ? broker.anonymous
        : await httpCaller(broker, request.headers['authorization'], request.connection)
    if (principal === null) return unauthorized()
    request.connection.info.user = principal.user
    const query = new URLSearchParams(request.query)
    const value = await found.route.run({ request, query, principal, option: found.parameters.get('option') ?? '' })
    if (found.route.open === true) return { status: 200, headers: textHeader, body: String(value) }
    return success(value)
  } catch (cause) {
    if (cause instanceof HttpError) return failure(cause.status, cause.message)
    if (!(cause instanceof CoreError)) throw cause
    if (cause.code === 'Unauthenticated') return unauthorized()
    const { status, message } = errorOfCore(cause.code)
    return failure(status, message)
  }
}

function unauthorized(): HttpAnswer {
  const answer = failure(401, 'UNAUTHORIZED')
  return { ...answer, headers: { ...answer.headers, 'www-authenticate': 'Basic realm="AnyMQ"' } }
}

/** Throws MISSING_ARG_…. */
export function argument(query: URLSearchParams, name: string): string {
  const value = query.get(name)
  if (value === null) throw new HttpError(400, `MISSING_ARG_${name.toUpperCase()}`)
  return value
}

/** Where the reference server asks for a topic and a channel. */
export function topicAndChannel(query: URLSearchParams): { topic: string; channel: string } {
  const topic = argument(query, 'topic')
  if (!isName(topic)) throw new HttpError(400, 'INVALID_ARG_TOPIC')
  const channel = argument(query, 'channel')
  if (!isName(channel)) throw new HttpError(400, 'INVALID_ARG_CHANNEL')
  return { topic, channel }
}

/** Where the client of a request reaches this broker: as it is configured, else as the client has just done. */
export interface OwnAddress {
  readonly broadcastAddress: string
  readonly tcpPort: number
  readonly httpPort: number
}

export function ownAddress(broker: Broker, server: ServerFacts, request: HttpRequest): OwnAddress {
  const { host } = request.headers
  const asked = typeof host === 'string' ? host.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1') : ''
  const reached = asked === '' ? request.connection.localAddress.replace(/^::ffff:/, '') : asked
  const tcp = broker.advertised('nsqd')
  return {
    broadcastAddress: tcp?.host ?? reached,
    tcpPort: tcp?.port ?? portOf(server, 'nsqd'),
    httpPort: broker.advertised('nsqd-http')?.port ?? portOf(server, 'nsqd-http'),
  }
}

export const portOf = (server: ServerFacts, listener: string): number =>
  server.listeners().find(({ name }) => name === listener)?.port ?? 0
