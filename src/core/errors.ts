/**
 * The closed list of reasons for which the broker refuses or fails something.
 * Each protocol owns a total table from these codes to its own wire errors.
 */
export type CoreErrorCode =
  | 'NotFound'
  | 'AlreadyExists'
  | 'Mismatch'
  | 'AccessDenied'
  | 'Unauthenticated'
  | 'TooLarge'
  | 'Throttled'
  | 'Full'
  | 'Unavailable'
  | 'Fenced'
  | 'OutOfRange'
  | 'Invalid'
  | 'Unsupported'
  | 'Internal'

/** An error that crosses the seam: its code is for programs, its message for people. */
export class CoreError extends Error {
  readonly code: CoreErrorCode
  /** Which part was refused, e.g. the name of a setting; empty when the message says all. */
  readonly detail: string

  constructor(code: CoreErrorCode, message: string, detail = '') {
    super(message)
    this.name = 'CoreError'
    this.code = code
    this.detail = detail
  }
}

/** Wraps whatever was thrown, so that callers always see a {@link CoreError}. */
export function asCoreError(cause: unknown): CoreError {
  if (cause instanceof CoreError) return cause
  return new CoreError('Internal', cause instanceof Error ? cause.message : String(cause))
}
