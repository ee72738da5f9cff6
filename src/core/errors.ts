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

/** What somebody may not do, in parts, for protocols that say it in words of their own. */
export interface RefusedAccess {
  readonly user: string
  readonly action: string
  readonly kind: 'topic' | 'exchange'
  readonly name: string
  /** The routing key that was refused, where the exchange itself is allowed. */
  readonly key?: string
}

export class AccessRefused extends CoreError {
  readonly access: RefusedAccess

  constructor(access: RefusedAccess) {
    const { user, action, name, key } = access
    super('AccessDenied', `${user} may not ${action} ${key === undefined ? '' : `with the key "${key}" `}"${name}"`, name)
    this.access = access
  }
}

/** A limit that somebody set for one namespace or user. */
export interface ReachedQuota {
  readonly of: 'namespace' | 'user'
  readonly name: string
  readonly what: 'connections' | 'topics'
  readonly max: number
}

export class QuotaReached extends CoreError {
  readonly quota: ReachedQuota

  /** `refused`: what was to be made, where it has a name. */
  constructor(quota: ReachedQuota, refused = '') {
    const what = refused === '' ? '' : `"${refused}" cannot be made: `
    super('Full', `${what}${quota.of} "${quota.name}" has the ${quota.max} ${quota.what} that it may have`, refused)
    this.quota = quota
  }
}

/** Wraps whatever was thrown, so that callers always see a {@link CoreError}. */
export function asCoreError(cause: unknown): CoreError {
  if (cause instanceof CoreError) return cause
  return new CoreError('Internal', cause instanceof Error ? cause.message : String(cause))
}
