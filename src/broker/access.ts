/** Users, their verifiers and what they may do; one rule set for every protocol. */
import { createHash, createHmac, pbkdf2, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { CoreError } from '../core/errors.ts'
import { Asker } from './asker.ts'
import type { Action, KeyPermission, Operations, Permission, Principal, ScramVerifier, UserListing } from './face.ts'
import { type ImportedHash, matchesImported } from './imported-hash.ts'
import type { AccessRules } from './rules.ts'
import type { TokenScopes } from './token-scopes.ts'

const scramIterations = 8192
const deriveKey = promisify(pbkdf2)
const scryptBytes = promisify<string | Buffer, Buffer, number, Buffer>(scrypt)

/** As stored in the table `user`. */
export interface StoredUser {
  readonly name: string
  readonly admin: boolean
  /** Absent in rows of older versions, as the next two. */
  readonly tags?: readonly string[]
  readonly permissions: readonly Permission[]
  readonly keyPermissions?: readonly KeyPermission[]
  readonly signingSecret?: string | null
  readonly imported?: ImportedHash | null
  readonly anyPassword?: boolean
  readonly disabled?: boolean
  readonly operations?: Operations
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
  /**
   * A keyed digest of the password that last let each user in: a client that logs in for every request would otherwise cost a slow hash each
   * time. The key is this process's own and nothing of this is stored.
   */
  readonly #proven = new Map<string, Buffer>()
  readonly #proofKey = randomBytes(32)
  readonly #rules: AccessRules

  constructor(rules: AccessRules) {
    this.#rules = rules
  }

  /** Told when somebody may do more, or less, than before. */
  onChanged: () => void = () => undefined

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
    this.#proven.delete(name)
    if (user === null) this.#users.delete(name)
    else this.#users.set(name, user)
    this.onChanged()
  }

  async verify(name: string, password: string): Promise<boolean> {
    const user = this.#users.get(name)
    const proof = createHmac('sha256', this.#proofKey).update(password).digest()
    const proven = this.#proven.get(name)
    if (proven !== undefined && timingSafeEqual(proven, proof)) return true
    const known = (await this.#check(user, password)) || user?.anyPassword === true
    // Not when the user was changed while we looked.
    if (known && this.#users.get(name) === user) this.#proven.set(name, proof)
    return known
  }

  async #check(user: StoredUser | undefined, password: string): Promise<boolean> {
    const stored = user?.scrypt ?? null
    // The same work for an unknown name, so that the time taken tells nothing.
    const salt = stored === null ? Buffer.alloc(16) : Buffer.from(stored.salt, 'base64')
    const hash = await scryptBytes(password, salt, 32)
    if (stored !== null) return timingSafeEqual(hash, Buffer.from(stored.hash, 'base64'))
    if (user?.imported !== undefined && user.imported !== null) return matchesImported(user.imported, password)
    for (const mechanism of Object.keys(user?.scram ?? {})) {
      const verifier = this.scram(user?.name ?? '', mechanism)
      if (verifier !== undefined && (await matchesScram(mechanism, verifier, password))) return true
    }
    return false
  }

  /** Whether a login that succeeded should be used to make all verifiers anew: the user came from elsewhere with less. */
  lacksVerifiers(name: string): boolean {
    const user = this.#users.get(name)
    return user !== undefined && user.anyPassword !== true && Object.keys(user.scram).length === 0
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

  /**
   * Rules are read at each question, so that a change counts at once; answers are remembered by the caller for a publish path only until then.
   * `voucher`: somebody else has said who it is. It need not be one of our users: then rules say what it may do, beside scopes, which stand in place of
   * the user's own permissions.
   */
  principal(name: string, from: string, voucher?: Voucher): Principal {
    const asker = new Asker(name, from)
    const scopes = voucher?.scopes ?? null
    const isAdmin = (): boolean => (scopes === null ? this.#users.get(name)?.admin === true : scopes.isAdministrator)
    return {
      user: name,
      from,
      may: (action, namespace, topic, kind = 'topic') => {
        if (voucher === undefined && this.#users.get(name) === undefined) return false
        if (isAdmin()) return true
        const verdict = this.#rules.judge(asker, action, namespace, kind, topic)
        if (verdict !== null) return verdict === 'allow'
        return kind !== 'cluster' && this.#isPermitted(name, scopes, action, namespace, topic)
      },
      mayAll: isAdmin,
      denies: (action, namespace, topic, kind = 'topic') =>
        !isAdmin() && this.#rules.judge(asker, action, namespace, kind, topic) === 'deny',
      mayUseKey: (action, namespace, exchange, key) =>
        scopes?.mayUseKey(action, namespace, exchange, key) ?? this.#mayUseKey(name, action, namespace, exchange, key),
      operations: (protocol) => (scopes === null ? (this.#users.get(name)?.operations?.[protocol] ?? null) : null),
      ...(scopes === null
        ? {}
        : { tags: scopes.tags, enters: (namespace: string) => scopes.isAdministrator || scopes.enters(namespace) }),
    }
  }

  #isPermitted(user: string, scopes: TokenScopes | null, action: Action, namespace: string, resource: string): boolean {
    const rights = rightsFor(action)
    if (scopes !== null) return rights.some((right) => scopes.may(right, namespace, resource))
    const permissions = this.#users.get(user)?.permissions ?? []
    return permissions.some(
      (permission) => permission.namespace === namespace && rights.some((right) => wholeMatch(permission[right], resource)),
    )
  }

  #mayUseKey(name: string, action: 'publish' | 'consume', namespace: string, exchange: string, key: string): boolean {
    const rules = this.#users.get(name)?.keyPermissions
    if (rules === undefined || rules.length === 0) return true
    const rule = rules.find((each) => each.namespace === namespace && each.exchange === exchange)
    return rule === undefined || wholeMatch(rule[action], key)
  }
}

/** Who somebody is, said by somebody else. */
interface Voucher {
  /** null: nothing is said of what it may do. */
  readonly scopes: TokenScopes | null
}

/** Which rights of a permission, any of them, let somebody do this. */
function rightsFor(action: Action): readonly ('publish' | 'consume' | 'manage')[] {
  switch (action) {
    case 'publish':
    case 'consume':
      return [action]
    case 'manage':
    case 'create':
    case 'delete':
    case 'alter':
    case 'configure':
      return ['manage']
    case 'describe':
    case 'describeConfig':
      return ['publish', 'consume', 'manage']
    case 'operate':
      return []
  }
}

/** RFC 5802 section 3, from the password to the stored key. */
async function matchesScram(mechanism: string, verifier: ScramVerifier, password: string): Promise<boolean> {
  const [digest, bytes] = mechanism === 'SCRAM-SHA-256' ? (['sha256', 32] as const) : (['sha512', 64] as const)
  const salted = await deriveKey(password.normalize('NFKC'), verifier.salt, verifier.iterations, bytes, digest)
  const clientKey = createHmac(digest, salted).update('Client Key').digest()
  const storedKey = createHash(digest).update(clientKey).digest()
  return storedKey.length === verifier.storedKey.length && timingSafeEqual(storedKey, verifier.storedKey)
}

/** What listings show of a user. */
export const toListing = (user: StoredUser): UserListing => ({
  name: user.name,
  admin: user.admin,
  tags: [...(user.tags ?? [])],
  permissions: [...user.permissions],
  keyPermissions: [...(user.keyPermissions ?? [])],
  disabled: user.disabled ?? false,
  operations: user.operations ?? {},
})

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
  for (const action of ['publish', 'consume', 'manage'] as const) checkPattern(action, permission[action])
}

export function checkKeyPermission(permission: KeyPermission): void {
  for (const action of ['publish', 'consume'] as const) checkPattern(action, permission[action])
}

function checkPattern(action: string, pattern: string): void {
  try {
    new RegExp(pattern)
  } catch {
    throw new CoreError('Invalid', `the ${action} pattern "${pattern}" is not a regular expression`, action)
  }
}

/** Everyone, where no users are configured. */
export const everyone: Principal = { user: 'anonymous', may: () => true, mayAll: () => true }
