/** What goes wrong, as an ERROR frame says it: STOMP has no codes, only a `message`, and every error ends the connection. */
import type { CoreErrorCode } from '../../broker/face.ts'

export class StompError extends Error {
  /** More than the message, for the ERROR frame's body. */
  readonly detail: string

  constructor(message: string, detail = '') {
    super(message)
    this.detail = detail
  }
}

/** The texts that RabbitMQ's clients look for, where it has one. */
export const messages = {
  NotFound: 'not_found',
  AlreadyExists: 'precondition_failed',
  Mismatch: 'precondition_failed',
  AccessDenied: 'access_refused',
  Unauthenticated: 'Bad CONNECT',
  TooLarge: 'Message too large',
  Throttled: 'resource_error',
  Full: 'resource_error',
  Unavailable: 'resource_error',
  Fenced: 'resource_locked',
  OutOfRange: 'precondition_failed',
  Invalid: 'precondition_failed',
  Unsupported: 'not_implemented',
  Internal: 'internal_error',
} as const satisfies Record<CoreErrorCode, string>
