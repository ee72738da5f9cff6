/** What goes wrong, as `-ERR` says it, in the words of nats-server. */
import type { CoreErrorCode } from '../../broker/face.ts'

/** The text of an `-ERR` after which the connection ends. */
export class NatsError extends Error {}

export const words = {
  unknownOperation: 'Unknown Protocol Operation',
  parser: 'Parser Error',
  controlLine: 'maximum control line exceeded',
  payload: 'Maximum Payload Violation',
  authorization: 'Authorization Violation',
  authenticationTimeout: 'Authentication Timeout',
  expired: 'User Authentication Expired',
  clientProtocol: 'Invalid Client Protocol',
  connections: 'maximum connections exceeded',
  accountConnections: 'maximum account active connections exceeded',
  subscriptions: 'maximum subscriptions exceeded',
  stale: 'Stale Connection',
  secure: 'Secure Connection - TLS Required',
  /** These do not end the connection. */
  subject: 'Invalid Subject',
  publishSubject: 'Invalid Publish Subject',
} as const

/**
 * NATS has one error for a publish that leaves the connection open, and clients close for ever on words they do not know: so every refusal of a
 * publish begins with it, and ends with the reason where that is another.
 */
export function publishRefusal(code: CoreErrorCode, subject: string, reason: string): string {
  const violation = `Permissions Violation for Publish to "${subject}"`
  return code === 'AccessDenied' ? violation : `${violation}: ${reason.replaceAll("'", '"')}`
}

/** For SUB; the same goes for clients as for {@link publishRefusal}. */
export function subscribeRefusal(code: CoreErrorCode, subject: string, queue: string, reason: string): string {
  const violation = `Permissions Violation for Subscription to "${subject}"${queue === '' ? '' : ` using queue "${queue}"`}`
  return code === 'AccessDenied' ? violation : `${violation}: ${reason.replaceAll("'", '"')}`
}
