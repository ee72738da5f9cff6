// What goes wrong, in RabbitMQ's words and codes, and what it closes.
import type { CoreErrorCode, RefusedAccess } from '../../broker/face.ts'
import type { QuotaReached } from '../../core/errors.ts'

/** Codes from 501 on, 320, 402 close the connection; the others close only the channel (AMQP 0-9-1, 1.2). */
export const replyCodes = {
  CONTENT_TOO_LARGE: 311,
  NO_ROUTE: 312,
  NO_CONSUMERS: 313,
  CONNECTION_FORCED: 320,
  INVALID_PATH: 402,
  ACCESS_REFUSED: 403,
  NOT_FOUND: 404,
  RESOURCE_LOCKED: 405,
  PRECONDITION_FAILED: 406,
  FRAME_ERROR: 501,
  SYNTAX_ERROR: 502,
  COMMAND_INVALID: 503,
  CHANNEL_ERROR: 504,
  UNEXPECTED_FRAME: 505,
  RESOURCE_ERROR: 506,
  NOT_ALLOWED: 530,
  NOT_IMPLEMENTED: 540,
  INTERNAL_ERROR: 541,
} as const
export type ReplyName = keyof typeof replyCodes

const connectionClosing: ReadonlySet<ReplyName> = new Set<ReplyName>([
  'CONNECTION_FORCED',
  'INVALID_PATH',
  'FRAME_ERROR',
  'SYNTAX_ERROR',
  'COMMAND_INVALID',
  'CHANNEL_ERROR',
  'UNEXPECTED_FRAME',
  'RESOURCE_ERROR',
  'NOT_ALLOWED',
  'NOT_IMPLEMENTED',
  'INTERNAL_ERROR',
])

/** A protocol exception: thrown by handlers of cold methods, caught once in the session. */
export class AmqpError extends Error {
  readonly reply: ReplyName
  readonly closesConnection: boolean

  constructor(reply: ReplyName, explanation: string) {
    super(explanation)
    this.reply = reply
    this.closesConnection = connectionClosing.has(reply)
  }

  get code(): number {
    return replyCodes[this.reply]
  }

  /** The text on the wire, as RabbitMQ builds it. */
  get replyText(): string {
    return `${this.reply} - ${this.message}`
  }
}

/** What each refusal of the core is called here, where a handler has no better words. */
export const coreReplies = {
  NotFound: 'NOT_FOUND',
  AlreadyExists: 'PRECONDITION_FAILED',
  Mismatch: 'PRECONDITION_FAILED',
  AccessDenied: 'ACCESS_REFUSED',
  Unauthenticated: 'ACCESS_REFUSED',
  TooLarge: 'PRECONDITION_FAILED',
  Throttled: 'RESOURCE_ERROR',
  Full: 'PRECONDITION_FAILED',
  Unavailable: 'RESOURCE_ERROR',
  Fenced: 'RESOURCE_LOCKED',
  OutOfRange: 'PRECONDITION_FAILED',
  Invalid: 'PRECONDITION_FAILED',
  Unsupported: 'NOT_IMPLEMENTED',
  Internal: 'INTERNAL_ERROR',
} as const satisfies Record<CoreErrorCode, ReplyName>

export const named = (kind: 'queue' | 'exchange', name: string, vhost: string): string =>
  kind === 'exchange' && name === '' ? `default exchange in vhost '${vhost}'` : `${kind} '${name}' in vhost '${vhost}'`

/** The three permissions, as RabbitMQ 4 names them; everything that changes a thing is configure. */
const permissions: Readonly<Record<string, string>> = { publish: 'write', consume: 'read' }

export function accessRefused({ user, action, kind, name, key }: RefusedAccess, vhost: string): AmqpError {
  const what = `${kind === 'topic' ? 'queue' : 'exchange'} '${name}' in vhost '${vhost}'`
  const ofTopic = key === undefined ? '' : `topic '${key}' in `
  return new AmqpError(
    'ACCESS_REFUSED',
    `${permissions[action] ?? 'configure'} access to ${ofTopic}${what} refused for user '${user}'`,
  )
}

/** Limits of vhosts and users, as RabbitMQ says that they are reached. */
export function quotaReached({ quota, detail }: QuotaReached, vhost: string, user: string): AmqpError {
  const { of, what, max } = quota
  if (what === 'topics')
    return new AmqpError(
      'PRECONDITION_FAILED',
      `cannot declare queue '${detail}': queue limit in vhost '${vhost}' (${max}) is reached`,
    )
  if (of === 'user')
    return new AmqpError('NOT_ALLOWED', `connection refused for user '${user}': user connection limit (${max}) is reached`)
  return new AmqpError(
    'NOT_ALLOWED',
    `access to vhost '${vhost}' refused for user '${user}': connection limit (${max}) is reached`,
  )
}

export const notFound = (kind: 'queue' | 'exchange', name: string, vhost: string): AmqpError =>
  new AmqpError('NOT_FOUND', `no ${kind} '${name}' in vhost '${vhost}'`)

export const locked = (queue: string, vhost: string): AmqpError =>
  new AmqpError(
    'RESOURCE_LOCKED',
    `cannot obtain exclusive access to locked ${named('queue', queue, vhost)}. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.`,
  )

export const preconditionFailed = (explanation: string): AmqpError => new AmqpError('PRECONDITION_FAILED', explanation)
