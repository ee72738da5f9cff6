/** Core error code → what a producer hears. The protocol has few words. */
import type { CoreErrorCode } from '../../broker/face.ts'

export const answers = {
  NotFound: 'INTERNAL_ERROR',
  AlreadyExists: 'INTERNAL_ERROR',
  Mismatch: 'INTERNAL_ERROR',
  AccessDenied: 'INTERNAL_ERROR',
  Unauthenticated: 'INTERNAL_ERROR',
  TooLarge: 'JOB_TOO_BIG',
  Throttled: 'OUT_OF_MEMORY',
  Full: 'OUT_OF_MEMORY',
  Unavailable: 'INTERNAL_ERROR',
  Fenced: 'INTERNAL_ERROR',
  OutOfRange: 'INTERNAL_ERROR',
  Invalid: 'INTERNAL_ERROR',
  Unsupported: 'INTERNAL_ERROR',
  Internal: 'INTERNAL_ERROR',
} as const satisfies Record<CoreErrorCode, string>
