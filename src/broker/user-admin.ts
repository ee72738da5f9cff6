/** Creating, changing and deleting users, durably. Who may do it is asked by whoever offers it to clients. */
import type { Shard } from '../core/shard.ts'
import { checkKeyPermission, checkPermission, type StoredUser, toListing, type Users, verifiersFor } from './access.ts'
import type { PasswordVerifier, ScramMechanism, ScramVerifier, UserAdmin, UserChange, UserListing } from './face.ts'
import { checkHash } from './imported-hash.ts'

type Verifiers = Pick<StoredUser, 'scrypt' | 'scram' | 'imported'>

export class StoredUsers implements UserAdmin {
  readonly #users: Users
  readonly #shard: Shard
  readonly #gone: (name: string) => void

  /** `gone`: what else goes with a user that is deleted. */
  constructor(users: Users, shard: Shard, gone: (name: string) => void) {
    this.#users = users
    this.#shard = shard
    this.#gone = gone
  }

  list(): UserListing[] {
    return this.#users.all().map(toListing)
  }

  async put(name: string, change: UserChange): Promise<void> {
    for (const permission of change.permissions ?? []) checkPermission(permission)
    for (const permission of change.keyPermissions ?? []) checkKeyPermission(permission)
    const verifiers = await newVerifiers(change)
    // Read after the wait above: another change may have come meanwhile, and only what is given here is to change.
    const present = this.#users.get(name)
    const user: StoredUser = {
      name,
      admin: change.admin ?? present?.admin ?? false,
      tags: change.tags ?? present?.tags ?? [],
      permissions: change.permissions ?? present?.permissions ?? [],
      keyPermissions: change.keyPermissions ?? present?.keyPermissions ?? [],
      signingSecret: change.signingSecret === undefined ? (present?.signingSecret ?? null) : change.signingSecret,
      ...(verifiers ?? { scrypt: present?.scrypt ?? null, scram: present?.scram ?? {}, imported: present?.imported ?? null }),
    }
    this.#users.apply(name, user)
    this.#shard.putMetadata('user', name, JSON.stringify(user))
    await this.#shard.durable()
  }

  async delete(name: string): Promise<boolean> {
    if (this.#users.get(name) === undefined) return false
    this.#users.apply(name, null)
    this.#shard.putMetadata('user', name, null)
    this.#gone(name)
    await this.#shard.durable()
    return true
  }

  /** Makes all verifiers of the password that just let `name` in, unless the user has changed meanwhile. */
  async renew(name: string, password: string): Promise<void> {
    const seen = this.#users.get(name)
    if (seen === undefined) return
    const user = { ...seen, ...(await verifiersFor(password)), imported: null }
    if (this.#users.get(name) !== seen) return
    this.#users.apply(name, user)
    this.#shard.putMetadata('user', name, JSON.stringify(user))
    await this.#shard.durable()
  }

  async putScram(name: string, mechanism: ScramMechanism, verifier: ScramVerifier | null): Promise<void> {
    const present = this.#users.get(name) ?? { name, admin: false, permissions: [], scrypt: null, scram: {} }
    const { [mechanism]: _, ...others } = present.scram
    const scram = verifier === null ? others : { ...others, [mechanism]: asText(verifier) }
    const user: StoredUser = { ...present, scrypt: verifier === null ? present.scrypt : null, imported: null, scram }
    this.#users.apply(name, user)
    this.#shard.putMetadata('user', name, JSON.stringify(user))
    await this.#shard.durable()
  }

  verifier(name: string): PasswordVerifier | undefined {
    const user = this.#users.get(name)
    if (user === undefined) return undefined
    if (user.scrypt !== null) return { algorithm: 'scrypt', ...user.scrypt }
    return user.imported ?? { algorithm: 'none' }
  }

  signingSecret(name: string): string | undefined {
    return this.#users.get(name)?.signingSecret ?? undefined
  }
}

function asText({ salt, iterations, storedKey, serverKey }: ScramVerifier): StoredUser['scram'][string] {
  return {
    salt: salt.toString('base64'),
    iterations,
    storedKey: storedKey.toString('base64'),
    serverKey: serverKey.toString('base64'),
  }
}

/** null: they stay as they are. */
async function newVerifiers({ password, verifier }: UserChange): Promise<Verifiers | null> {
  if (password !== undefined) return { ...(await verifiersFor(password)), imported: null }
  if (verifier === undefined) return null
  const none: Verifiers = { scrypt: null, scram: {}, imported: null }
  if (verifier.algorithm === 'none') return none
  const { algorithm, salt, hash } = verifier
  checkHash(algorithm, hash)
  return algorithm === 'scrypt' ? { ...none, scrypt: { salt, hash } } : { ...none, imported: { algorithm, salt, hash } }
}
