/** Core error code → HTTP status. The body of every error is `{"error": {"code", "message"}}`. */
import { CoreError, type CoreErrorCode } from '../broker/face.ts'

const statusByCode = {
  NotFound: 404,
  AlreadyExists: 409,
  Mismatch: 409,
  AccessDenied: 403,
  Unauthenticated: 401,
  TooLarge: 413,
  Throttled: 429,
  Full: 507,
  Unavailable: 503,
  Fenced: 409,
  OutOfRange: 416,
  Invalid: 400,
  Unsupported: 501,
  Internal: 500,
} satisfies Record<CoreErrorCode, number>

export function statusOf(error: CoreError): number {
  return statusByCode[error.code]
}

export function errorBody(error: CoreError): { error: { code: CoreErrorCode; message: string } } {
  return { error: { code: error.code, message: error.message } }
}

export function invalid(message: string): CoreError {
  return new CoreError('Invalid', message)
}
