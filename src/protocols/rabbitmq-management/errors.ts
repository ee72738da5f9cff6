/** What goes wrong, as RabbitMQ's API says it: a status, a word, a reason. */
import { CoreError, type CoreErrorCode, type HttpAnswer } from '../../broker/face.ts'
import { json } from './json.ts'

export class ApiError extends Error {
  readonly status: number
  readonly error: string
  /** Text, or for some refusals a list. */
  readonly reason: unknown

  constructor(status: number, error: string, reason: unknown) {
    super(typeof reason === 'string' ? reason : JSON.stringify(reason))
    this.status = status
    this.error = error
    this.reason = reason
  }
}

export const badRequest = (reason: unknown): ApiError => new ApiError(400, 'bad_request', reason)
export const notFound = (reason = 'Not Found'): ApiError => new ApiError(404, 'Object Not Found', reason)
/** RabbitMQ answers 401, not 403, to those who may not. */
export const notAuthorised = (reason: string): ApiError => new ApiError(401, 'not_authorised', reason)
export const vhostNotFound = (): ApiError => new ApiError(404, 'not_found', 'vhost_not_found')

/** Core error code → status and word. */
const answers = {
  NotFound: [404, 'Object Not Found'],
  AlreadyExists: [400, 'bad_request'],
  Mismatch: [400, 'bad_request'],
  AccessDenied: [401, 'not_authorised'],
  Unauthenticated: [401, 'not_authorized'],
  TooLarge: [413, 'payload_too_large'],
  Throttled: [429, 'too_many_requests'],
  Full: [503, 'service_unavailable'],
  Unavailable: [503, 'service_unavailable'],
  Fenced: [400, 'bad_request'],
  OutOfRange: [400, 'bad_request'],
  Invalid: [400, 'bad_request'],
  Unsupported: [400, 'bad_request'],
  Internal: [500, 'internal_server_error'],
} as const satisfies Record<CoreErrorCode, readonly [number, string]>

/** null for what is nobody's fault but ours: that is logged and answered by the server. */
export function errorAnswer(cause: unknown): HttpAnswer | null {
  if (cause instanceof ApiError) return json({ error: cause.error, reason: cause.reason }, cause.status)
  if (!(cause instanceof CoreError) || cause.code === 'Internal') return null
  const [status, error] = answers[cause.code]
  return json({ error, reason: cause.message }, status)
}
