/** Users, their verifiers and what they may do; one rule set for every protocol. */
import { createHash, createHmac, pbkdf2, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { CoreError } from '../core/errors.ts'
import type { Action, Permission, Principal, ScramVerifier } from './face.ts'

const scramIterations = 8192
const deriveKey = promisify(pbkdf2)
const scryptBytes = promisify<string | Buffer, Buffer, number, Buffer>(scrypt)

/** As stored in the table `user`. */
export interface StoredUser {
  readonly name: string
  readonly admin: boolean
  readonly permissions: readonly Permission[]
  readonly scrypt: { readonly salt: string; readonly hash: string } | null
  readonly scram: Readonly<
    Record<string, { readonly salt: string; readonly iterations: number; readonly storedKey: string; readonly serverKey: string }>
  >
}

/** Verifiers for a password: scrypt, and SCRAM (RFC 5802 section 3) for both hashes. */
export async function verifiersFor(password: string): Promise<Pick<StoredUser, 'scrypt' | 'scram'>> {
  const salt = randomBytes(16)
  const hash = await scryptBytes(password, salt, 32)
  const scram: Record<string, { salt: string; iterations: number; storedKey: string; serverKey: string }> = {}
  for (const [mechanism, digest, bytes] of [['SCRAM-SHA-256', 'sha256', 32] as const, ['SCRAM-SHA-512', 'sha512', 64] as const]) {
    const scramSalt = randomBytes(16)
    const salted = await deriveKey(password.normalize('NFKC'), scramSalt, scramIterations, bytes, digest)
    const clientKey = createHmac(digest, salted).update('Client Key').digest()
    scram[mechanism] = {
      salt: scramSalt.toString('base64'),
      iterations: scramIterations,
      storedKey: createHash(digest).update(clientKey).digest('base64'),
      serverKey: createHmac(digest, salted).update('Server Key').digest('base64'),
    }
  }
  return { scrypt: { salt: salt.toString('base64'), hash: hash.toString('base64') }, scram }
}

export class Users {
  readonly #users = new Map<string, StoredUser>()
  readonly #principals = new Map<string, Principal>()

  get any(): boolean {
    return this.#users.size > 0
  }

  get(name: string): StoredUser | undefined {
    return this.#users.get(name)
  }

  all(): StoredUser[] {
    return [...this.#users.values()]
  }

  apply(name: string, user: StoredUser | null): void {
    if (user === null) this.#users.delete(name)
    else this.#users.set(name, user)
  }

  async verify(name: string, password: string): Promise<boolean> {
    const stored = this.#users.get(name)?.scrypt
    // The same work for an unknown name, so that the time taken tells nothing.
    const salt = stored === undefined || stored === null ? Buffer.alloc(16) : Buffer.from(stored.salt, 'base64')
    const hash = await scryptBytes(password, salt, 32)
    return stored !== undefined && stored !== null && timingSafeEqual(hash, Buffer.from(stored.hash, 'base64'))
  }

  scram(name: string, mechanism: string): ScramVerifier | undefined {
    const stored = this.#users.get(name)?.scram[mechanism]
    if (stored === undefined) return undefined
    return {
      salt: Buffer.from(stored.salt, 'base64'),
      iterations: stored.iterations,
      storedKey: Buffer.from(stored.storedKey, 'base64'),
      serverKey: Buffer.from(stored.serverKey, 'base64'),
    }
  }

  /** Rules are read at each question, so that a change counts at once; answers are remembered by the caller for a publish path only until then. */
  principal(name: string): Principal {
    let principal = this.#principals.get(name)
    if (principal === undefined) {
      principal = { user: name, may: (action, namespace, topic) => this.#may(name, action, namespace, topic) }
      this.#principals.set(name, principal)
    }
    return principal
  }

  #may(name: string, action: Action, namespace: string, topic: string): boolean {
    const user = this.#users.get(name)
    if (user === undefined) return false
    if (user.admin) return true
    return user.permissions.some((permission) => permission.namespace === namespace && wholeMatch(permission[action], topic))
  }
}

const compiled = new Map<string, RegExp>()
const compiledMax = 1000

function wholeMatch(pattern: string, text: string): boolean {
  if (pattern === '') return false
  let expression = compiled.get(pattern)
  if (expression === undefined) {
    if (compiled.size >= compiledMax) compiled.clear()
    expression = new RegExp(`^(?:${pattern})$`)
    compiled.set(pattern, expression)
  }
  return expression.test(text)
}

/** Refuses a permission whose pattern is no regular expression. */
export function checkPermission(permission: Permission): void {
  for (const action of ['publish', 'consume', 'manage'] as const) {
    try {
      new RegExp(permission[action])
    } catch {
      throw new CoreError('Invalid', `the ${action} pattern "${permission[action]}" is not a regular expression`, action)
    }
  }
}

/** Everyone, where no users are configured. */
export const everyone: Principal = { user: 'anonymous', may: () => true }
