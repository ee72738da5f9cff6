/** What goes wrong, in the words of Disque: the first word is a code that clients look at. */
import type { CoreErrorCode } from '../../broker/face.ts'
import { asCoreError } from '../../core/errors.ts'
import { oneLine } from '../../lib/resp/reply.ts'

/** Thrown by a command before it has replied; the message is what follows the `-` of the reply. */
export class Refusal extends Error {}

export const words = {
  syntax: 'ERR syntax error',
  notInteger: 'ERR value is not an integer or out of range',
  timeoutNotInteger: 'ERR timeout is not an integer or out of range',
  timeoutNegative: 'ERR timeout is negative',
  cursor: 'ERR invalid cursor or option name',
  noAuth: 'NOAUTH Authentication required.',
  tooManyClients: 'ERR max number of clients reached',
  badPassword: 'ERR invalid password',
  noPassword: 'ERR Client sent AUTH, but no password is set',
  badId: 'BADID Invalid Job ID format.',
  noJob: 'NOJOB Job not known in the context of this node.',
  tooLate: 'TOOLATE Half of job TTL already elapsed, you are no longer allowed to postpone the next delivery.',
  leaving: 'LEAVING This node is leaving the cluster, please connect to a different one',
  noReplicas: 'NOREPL Not enough reachable nodes for the requested replication level',
  maxLength: 'MAXLEN Queue is already longer than the specified MAXLEN count',
  paused: 'PAUSED Queue paused in input, try later',
  memory: "OOM command not allowed when used memory > 'maxmemory'.",
} as const

export const wrongArguments = (name: string): Refusal =>
  new Refusal(`ERR wrong number of arguments for '${name.toLowerCase()}' command`)

const codes = {
  NotFound: 'ERR',
  AlreadyExists: 'ERR',
  Mismatch: 'ERR',
  AccessDenied: 'NOPERM',
  Unauthenticated: 'ERR',
  TooLarge: 'ERR',
  Throttled: 'OOM',
  Full: 'OOM',
  Unavailable: 'MISCONF',
  Fenced: 'ERR',
  OutOfRange: 'ERR',
  Invalid: 'ERR',
  Unsupported: 'ERR',
  Internal: 'ERR',
} as const satisfies Record<CoreErrorCode, string>

/** Whatever was thrown, as the text of an error reply: one line. */
export function errorText(cause: unknown): string {
  if (cause instanceof Refusal) return cause.message
  const { code, message } = asCoreError(cause)
  return `${codes[code]} ${oneLine(message)}`
}
