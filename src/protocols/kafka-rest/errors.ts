/** What goes wrong, in the proxy's words: `{error_code, message}`, where the first three digits of the code are the status. */
import { CoreError, type CoreErrorCode, type HttpAnswer } from '../../broker/face.ts'

export class RestError extends Error {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

const error = (code: number, message: string): RestError => new RestError(code, message)

export const badRequest = (message: string): RestError => error(400, message)
export const unauthorized = (): RestError => error(40101, 'Unauthorized')
export const denied = (message: string): RestError => error(40301, message)
export const topicNotFound = (): RestError => error(40401, 'Topic not found.')
export const partitionNotFound = (): RestError => error(40402, 'Partition not found.')
export const instanceNotFound = (): RestError => error(40403, 'Consumer instance not found.')
export const clusterNotFound = (): RestError => error(404, 'Cluster not found.')
export const notAcceptable = (): RestError => error(406, 'HTTP 406 Not Acceptable')
export const formatMismatch = (): RestError =>
  error(40601, 'The requested embedded data format does not match the deserializer for this consumer instance')
export const schemaLookup = (message: string): RestError => error(40801, message)
export const instanceExists = (): RestError => error(40902, 'Consumer instance with the specified name already exists.')
export const illegalState = (message: string): RestError => error(40903, message)
export const unsupportedMedia = (): RestError => error(415, 'HTTP 415 Unsupported Media Type')
export const unprocessable = (message: string): RestError => error(422, message)
export const keySchemaMissing = (): RestError => error(42201, 'Request includes keys but does not include key schema')
export const valueSchemaMissing = (): RestError => error(42202, 'Request includes values but does not include value schema')
export const conversionFailed = (message: string): RestError => error(42203, `Conversion of JSON to Object failed: ${message}`)
export const invalidConfig = (message: string): RestError => error(42204, `Invalid consumer configuration: ${message}`)
export const invalidSchema = (message: string): RestError => error(42205, `Invalid schema: ${message}`)
export const kafkaError = (message: string): RestError => error(50002, `Kafka error: ${message}`)

/** Core error code → the proxy's. */
const codes = {
  NotFound: 40401,
  AlreadyExists: 40002,
  Mismatch: 409,
  AccessDenied: 40301,
  Unauthenticated: 40101,
  TooLarge: 413,
  Throttled: 429,
  Full: 50003,
  Unavailable: 50003,
  Fenced: 50002,
  OutOfRange: 40402,
  Invalid: 42206,
  Unsupported: 40003,
  Internal: 500,
} as const satisfies Record<CoreErrorCode, number>

export function codeOf(code: CoreErrorCode): number {
  return codes[code]
}

/** What failed, as a part of an answer; null for what is nobody's fault but ours. */
export function errorBody(cause: unknown): { error_code: number; message: string } | null {
  if (cause instanceof RestError) return { error_code: cause.code, message: cause.message }
  if (cause instanceof CoreError && cause.code !== 'Internal') return { error_code: codes[cause.code], message: cause.message }
  return null
}

/** null for what is nobody's fault but ours: that is logged and answered by the server. */
export function errorAnswer(cause: unknown, contentType: string): HttpAnswer | null {
  const body = errorBody(cause)
  if (body === null) return null
  const status = Number(String(body.error_code).slice(0, 3))
  const headers = { 'content-type': contentType, ...(status === 401 ? { 'www-authenticate': 'Basic realm="KafkaRest"' } : {}) }
  return { status, headers, body: JSON.stringify(body) }
}
