/**
 * Logins by signed tokens (JSON Web Token, RFC 7519): who issues them names the user. The keys that sign are a JSON Web Key Set (RFC 7517), in a file,
 * which is read again when it has changed, or at a URL, which is asked again when a token names a key that is not known.
 */
import { readFileSync, statSync } from 'node:fs'
import type { JWTVerifyGetKey } from 'jose'
import { CoreError } from '../core/errors.ts'
import { TokenScopes } from './token-scopes.ts'

export interface TokenSettings {
  /** A file or an http(s) URL. */
  readonly keySet: string
  /** What the claims `iss` and `aud` have to be; null: anything. */
  readonly issuer: string | null
  readonly audience: string | null
  /** The claim that is the user's name. */
  readonly userClaim: string
  /** What the scopes begin with that say what a token's holder may do, in place of its user's permissions; null: scopes are not read. */
  readonly scopePrefix?: string | null
}

export interface VerifiedToken {
  readonly user: string
  readonly expiresAt: number
  readonly scopes: TokenScopes | null
}

/** A shared secret would let whoever may check a token make one. */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']

export class Tokens {
  readonly #settings: TokenSettings
  #keys: JWTVerifyGetKey | null = null
  #readAt = -1

  /** Throws when the file is not there or holds no key set. */
  constructor(settings: TokenSettings) {
    this.#settings = settings
    if (!isUrl(settings.keySet)) readKeySet(settings.keySet)
  }

  /** Rejects with Unauthenticated. */
  async verify(token: string, now: number): Promise<VerifiedToken> {
    const { issuer, audience, userClaim, scopePrefix = null } = this.#settings
    // Loaded at the first login that needs it.
    const { jwtVerify } = await import('jose')
    try {
      const { payload } = await jwtVerify(token, await this.#keySet(), {
        algorithms,
        currentDate: new Date(now),
        requiredClaims: ['exp', userClaim],
        ...(issuer === null ? {} : { issuer }),
        ...(audience === null ? {} : { audience }),
      })
      const user = payload[userClaim]
      if (typeof user !== 'string' || user === '') throw new Error(`the claim ${userClaim} is no name`)
      const scopes = scopePrefix === null ? null : new TokenScopes(payload['scope'], scopePrefix)
      return { user, expiresAt: (payload.exp ?? 0) * 1000, scopes }
    } catch (cause) {
      throw new CoreError('Unauthenticated', `the token was refused: ${cause instanceof Error ? cause.message : String(cause)}`)
    }
  }

  async #keySet(): Promise<JWTVerifyGetKey> {
    const { createLocalJWKSet, createRemoteJWKSet } = await import('jose')
    const { keySet } = this.#settings
    if (isUrl(keySet)) {
      this.#keys ??= createRemoteJWKSet(new URL(keySet))
      return this.#keys
    }
    const changedAt = statSync(keySet).mtimeMs
    if (this.#keys === null || this.#readAt !== changedAt) {
      this.#keys = createLocalJWKSet(readKeySet(keySet))
      this.#readAt = changedAt
    }
    return this.#keys
  }
}

const isUrl = (text: string): boolean => /^https?:\/\//.test(text)

function readKeySet(file: string): { keys: [] } {
  const content: unknown = JSON.parse(readFileSync(file, 'utf8'))
  if (typeof content !== 'object' || content === null || !Array.isArray((content as { keys?: unknown }).keys))
    throw new CoreError('Invalid', `${file} holds no JSON Web Key Set: an object with a list "keys"`)
  return content as { keys: [] } // what each key is, jose says when it is used
}
