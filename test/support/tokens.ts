/** Who signs tokens in tests: a key of its own, whose public half is in a file that the broker is given. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { Clock } from '../../src/lib/timers.ts'

export class TokenIssuer {
  readonly settings
  readonly #clock: Clock
  readonly #key: CryptoKey
  readonly #folder: string

  static async start(clock: Clock): Promise<TokenIssuer> {
    const { publicKey, privateKey } = await generateKeyPair('ES256')
    const folder = mkdtempSync(path.join(tmpdir(), 'anymq-tokens-'))
    writeFileSync(path.join(folder, 'keys.json'), JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'one' }] }))
    return new TokenIssuer(clock, privateKey, folder)
  }

  constructor(clock: Clock, key: CryptoKey, folder: string) {
    this.#clock = clock
    this.#key = key
    this.#folder = folder
    this.settings = {
      keySet: path.join(folder, 'keys.json'),
      issuer: 'https://issuer.example',
      audience: 'anymq',
      userClaim: 'sub',
    }
  }

  token(user: string, seconds: number, claims: Record<string, unknown> = {}): Promise<string> {
    const { issuer, audience } = this.settings
    const made = new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'one' }).setSubject(user)
    return made
      .setIssuer(issuer)
      .setAudience(audience)
      .setExpirationTime(Math.floor(this.#clock.now() / 1000) + seconds)
      .sign(this.#key)
  }

  stop(): void {
    rmSync(this.#folder, { recursive: true })
  }
}
