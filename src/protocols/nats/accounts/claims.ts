/**
 * What operators, accounts and users are told to be, signed by who stands above them (nats-io/jwt, version 2): JSON Web Tokens by Ed25519 keys of
 * their own encoding.
 */
import { CoreError } from '../../../broker/face.ts'
import { isKey, type KeyOf, verifies } from '../nkeys.ts'

const tokenBytesMax = 1024 * 1024

export interface Claims {
  /** The public key that this is about. */
  readonly subject: string
  readonly issuer: string
  readonly name: string
  /** Seconds since the epoch; 0: not said. */
  readonly issuedAt: number
  readonly expiresAt: number
  readonly notBefore: number
  /** Of this kind of token. */
  readonly own: Readonly<Record<string, unknown>>
}

/** Beside those of keys, what one account gives to another. */
export type Kind = KeyOf | 'activation'

const issuers = { operator: 'operator', account: 'operator', user: 'account', activation: 'account' } as const satisfies Record<
  Kind,
  KeyOf
>

/** Throws Unauthenticated for what is none, of another kind, or not signed by its issuer. Who that is, and whether it is time, is not looked at. */
export function decodeClaims(token: string, kind: Kind): Claims {
  const parts = token.trim().split('.')
  const [header = '', body = '', signature = ''] = parts
  if (parts.length !== 3 || token.length > tokenBytesMax) throw bad(kind, 'it has not three parts')
  const { typ, alg } = objectOf(header, kind)
  if (String(typ).toUpperCase() !== 'JWT' || alg !== 'ed25519-nkey') throw bad(kind, 'its algorithm is not ed25519-nkey')
  const { sub, iss, name, iat, exp, nbf, nats } = objectOf(body, kind)
  const own = record(nats)
  if (own['type'] !== kind || own['version'] !== 2) throw bad(kind, 'it is of another kind or version')
  if (!isKey(sub, kind === 'activation' ? 'account' : kind)) throw bad(kind, 'its subject is no such key')
  if (typeof iss !== 'string' || !verifies(iss, `${header}.${body}`, signature, issuers[kind]))
    throw bad(kind, 'it is not signed by its issuer')
  return {
    subject: sub,
    issuer: iss,
    name: typeof name === 'string' ? name : '',
    issuedAt: number(iat),
    expiresAt: number(exp),
    notBefore: number(nbf),
    own,
  }
}

/** Throws Unauthenticated outside of its time. */
export function mustBeCurrent({ expiresAt, notBefore, subject }: Claims, now: number): void {
  if (expiresAt > 0 && expiresAt * 1000 <= now) throw new CoreError('Unauthenticated', `the token of ${subject} has expired`)
  if (notBefore * 1000 > now) throw new CoreError('Unauthenticated', `the token of ${subject} is not good yet`)
}

const bad = (kind: Kind, why: string): CoreError => new CoreError('Unauthenticated', `no token of an ${kind}: ${why}`)

function objectOf(part: string, kind: Kind): Record<string, unknown> {
  try {
    return record(JSON.parse(Buffer.from(part, 'base64url').toString()))
  } catch {
    throw bad(kind, 'a part of it is no JSON')
  }
}

export function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

/** The first claim that is none of those that are known: what it means cannot be held. */
export function unknownClaim(said: Readonly<Record<string, unknown>>, known: ReadonlySet<string>): string | undefined {
  return Object.keys(said).find((name) => !known.has(name))
}

/** Of any token. */
export const commonClaims = ['type', 'version', 'tags'] as const

export const number = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0)

export function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []
}
