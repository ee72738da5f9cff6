/**
 * Password hashes made elsewhere: a digest of salt and password, in one round. They are too fast to keep, so they serve only until their user's
 * first login with the password, from which proper verifiers are made (broker.ts).
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { CoreError } from '../core/errors.ts'

export interface ImportedHash {
  readonly algorithm: 'sha256' | 'sha512'
  /** Base64. */
  readonly salt: string
  /** Base64 of digest(salt, password). */
  readonly hash: string
}

const digestBytes = { scrypt: 32, sha256: 32, sha512: 64 } as const

export function checkHash(algorithm: keyof typeof digestBytes, hash: string): void {
  if (Buffer.from(hash, 'base64').length !== digestBytes[algorithm])
    throw new CoreError('Invalid', `the password's hash is no ${algorithm}`, 'hash')
}

export function matchesImported(imported: ImportedHash, password: string): boolean {
  const hash = createHash(imported.algorithm).update(Buffer.from(imported.salt, 'base64')).update(password).digest()
  const wanted = Buffer.from(imported.hash, 'base64')
  return wanted.length === hash.length && timingSafeEqual(hash, wanted)
}
