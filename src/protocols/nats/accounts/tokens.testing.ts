/** For tests: keys and tokens of operators, accounts and users, as nsc makes them. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { encodeKey, type KeyOf } from '../nkeys.ts'
import type { Kind } from './claims.ts'

export interface Key {
  readonly publicKey: string
  readonly privateKey: KeyObject
}

export function makeKey(of: KeyOf): Key {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  return { publicKey: encodeKey(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32), of), privateKey }
}

export const signWith = ({ privateKey }: Key, text: string): string =>
  sign(null, Buffer.from(text), privateKey).toString('base64url')

interface Parts {
  readonly subject: string
  readonly issuer: Key
  readonly name?: string
  readonly iat?: number
  readonly exp?: number
  readonly own?: Readonly<Record<string, unknown>>
}

export function makeToken(type: Kind, { subject, issuer, name = type, own = {}, ...times }: Parts): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = {
    iat: Math.floor(Date.now() / 1000),
    iss: issuer.publicKey,
    name,
    sub: subject,
    ...times,
    nats: { ...own, type, version: 2 },
  }
  const body = part({ jti: createHash('sha256').update(JSON.stringify(claims)).digest('base64url'), ...claims })
  const signed = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${body}`
  return `${signed}.${signWith(issuer, signed)}`
}

export const noLimits = {
  subs: -1,
  data: -1,
  payload: -1,
  imports: -1,
  exports: -1,
  wildcards: true,
  conn: -1,
  leaf: -1,
} as const
