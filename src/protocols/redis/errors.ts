/** What goes wrong, in the words of Redis: the first word is a code that clients look at, and many compare the whole text. */
import type { CoreErrorCode } from '../../broker/face.ts'
import { asCoreError } from '../../core/errors.ts'
import { oneLine } from '../../lib/resp/reply.ts'

/** Thrown by a command before it has changed anything; the message is what follows the `-` of the reply. */
export class RedisError extends Error {}

export const words = {
  syntax: 'ERR syntax error',
  wrongType: 'WRONGTYPE Operation against a key holding the wrong kind of value',
  notInteger: 'ERR value is not an integer or out of range',
  notFloat: 'ERR value is not a valid float',
  noSuchKey: 'ERR no such key',
  outOfRange: 'ERR index out of range',
  sameObject: 'ERR source and destination objects are the same',
  overflow: 'ERR increment or decrement would overflow',
  tooLong: 'ERR string exceeds maximum allowed size (proto-max-bulk-len)',
  noAuth: 'NOAUTH Authentication required.',
  wrongPass: 'WRONGPASS invalid username-password pair or user is disabled.',
  tooManyClients: 'ERR max number of clients reached',
  oom: "OOM command not allowed when used memory > 'maxmemory'.",
  execAbort: 'EXECABORT Transaction discarded because of previous errors.',
  noScript: 'NOSCRIPT No matching script. Please use EVAL.',
  timeout: 'ERR timeout is not a float or out of range',
  negativeTimeout: 'ERR timeout is negative',
} as const

export const syntaxError = (): RedisError => new RedisError(words.syntax)
export const wrongType = (): RedisError => new RedisError(words.wrongType)
export const wrongArguments = (name: string): RedisError =>
  new RedisError(`ERR wrong number of arguments for '${name.toLowerCase()}' command`)

const codes = {
  NotFound: 'ERR',
  AlreadyExists: 'BUSYKEY',
  Mismatch: 'ERR',
  AccessDenied: 'NOPERM',
  Unauthenticated: 'WRONGPASS',
  TooLarge: 'ERR',
  Throttled: 'OOM',
  Full: 'OOM',
  Unavailable: 'MISCONF',
  Fenced: 'READONLY',
  OutOfRange: 'ERR',
  Invalid: 'ERR',
  Unsupported: 'ERR',
  Internal: 'ERR',
} as const satisfies Record<CoreErrorCode, string>

/** Whatever was thrown, as the text of an error reply. */
export function errorText(cause: unknown): string {
  if (cause instanceof RedisError) return cause.message
  const { code, message } = asCoreError(cause)
  return `${codes[code]} ${oneLine(message)}`
}
