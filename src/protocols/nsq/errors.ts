/** What goes wrong, as a client hears it: `CODE text` in an error frame, after which the connection is closed but for FIN, REQ and TOUCH. */
import { CoreError, type CoreErrorCode } from '../../broker/face.ts'

export class NsqError extends Error {
  /** Bytes as latin1 characters: what a client sent comes back as it was. */
  readonly text: string
  readonly fatal: boolean

  constructor(code: string, text: string, fatal = true) {
    super(`${code} ${text}`)
    this.text = `${code} ${text}`
    this.fatal = fatal
  }
}

/** Whether the core's refusal is one of rights; all others are a failure of the command itself. */
const unauthorized = {
  NotFound: false,
  AlreadyExists: false,
  Mismatch: false,
  AccessDenied: true,
  Unauthenticated: true,
  TooLarge: false,
  Throttled: false,
  Full: false,
  Unavailable: false,
  Fenced: false,
  OutOfRange: false,
  Invalid: false,
  Unsupported: false,
  Internal: false,
} as const satisfies Record<CoreErrorCode, boolean>

/** Of a command (PUB, SUB …) that the broker refused. */
export function refused(command: string, topic: string, channel: string, code: CoreErrorCode, message: string): NsqError {
  if (unauthorized[code]) return new NsqError('E_UNAUTHORIZED', `AUTH failed for ${command} on "${topic}" "${channel}"`)
  return new NsqError(`E_${command}_FAILED`, `${command} failed ${message}`)
}

/** A cause that is not the client's fault and not the broker's word is thrown on. */
export function codeOf(cause: unknown): CoreErrorCode {
  if (cause instanceof CoreError) return cause.code
  throw cause
}
