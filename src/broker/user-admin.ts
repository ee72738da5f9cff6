/** Creating, changing and deleting users, durably. Who may do it is asked by whoever offers it to clients. */
import { CoreError } from '../core/errors.ts'
import type { Shard } from '../core/shard.ts'
import { checkKeyPermission, checkPermission, type StoredUser, toListing, type Users, verifiersFor } from './access.ts'
import type {
  Operations,
  PasswordVerifier,
  Principal,
  ScramMechanism,
  ScramVerifier,
  UserAdmin,
  UserChange,
  UserListing,
} from './face.ts'
import { checkHash } from './imported-hash.ts'

type Verifiers = Pick<StoredUser, 'scrypt' | 'scram' | 'imported' | 'anyPassword'>

export class StoredUsers implements UserAdmin {
  readonly #users: Users
  readonly #shard: Shard
  readonly #gone: (name: string) => void
  /** By the protocol: what checks the operations that are said of it. */
  readonly #keepers = new Map<string, (words: readonly string[]) => Promise<void>>()
  /** The change that is under way, or was the last one: they come one after the other, so that what one was decided by still holds when it is made. */
  #last: Promise<unknown> = Promise.resolve()

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
    await this.change(name, () => change)
  }

  async change(
    name: string,
    decide: (present: UserListing | undefined) => UserChange | null | Promise<UserChange | null>,
  ): Promise<void> {
    await this.#inTurn(async () => {
      const present = this.#users.get(name)
      const change = await decide(present === undefined ? undefined : toListing(present))
      if (change === null) return
      for (const permission of change.permissions ?? []) checkPermission(permission)
      for (const permission of change.keyPermissions ?? []) checkKeyPermission(permission)
      await this.#checkOperations(change.operations ?? {})
      this.#change(name, change, await newVerifiers(change))
    })
    await this.#shard.durable()
  }

  keepOperations(protocol: string, check: (words: readonly string[]) => Promise<void>): void {
    this.#keepers.set(protocol, check)
  }

  async #checkOperations(operations: Operations): Promise<void> {
    for (const [protocol, words] of Object.entries(operations)) {
      const check = this.#keepers.get(protocol)
      if (check === undefined)
        throw new CoreError('Invalid', `operations: "${protocol}" is no protocol here that keeps users from single operations`)
      await check(words)
    }
  }

  principal(name: string): Principal {
    return this.#users.principal(name, '')
  }

  async #inTurn<Result>(work: () => Promise<Result> | Result): Promise<Result> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    return await turn
  }

  /** What is not given stays. */
  #change(name: string, change: UserChange, verifiers: Verifiers | null): void {
    // Its verifiers may have been renewed since the change was decided.
    const present = this.#users.get(name)
    const user: StoredUser = {
      name,
      admin: change.admin ?? present?.admin ?? false,
      tags: change.tags ?? present?.tags ?? [],
      permissions: change.permissions ?? present?.permissions ?? [],
      keyPermissions: change.keyPermissions ?? present?.keyPermissions ?? [],
      signingSecret: change.signingSecret === undefined ? (present?.signingSecret ?? null) : change.signingSecret,
      disabled: change.disabled ?? present?.disabled ?? false,
      operations: change.operations ?? present?.operations ?? {},
      ...(verifiers ?? verifiersOf(present)),
    }
    this.#store(user)
  }

  #store(user: StoredUser): void {
    this.#users.apply(user.name, user)
    this.#shard.putMetadata('user', user.name, JSON.stringify(user))
  }

  async delete(name: string, check: () => void = () => undefined): Promise<boolean> {
    const deleted = await this.#inTurn(() => {
      check()
      if (this.#users.get(name) === undefined) return false
      this.#users.apply(name, null)
      this.#shard.putMetadata('user', name, null)
      this.#gone(name)
      return true
    })
    if (deleted) await this.#shard.durable()
    return deleted
  }

  /** Makes all verifiers of the password that just let `name` in, unless the user has changed meanwhile. */
  async renew(name: string, password: string): Promise<void> {
    const seen = this.#users.get(name)
    if (seen === undefined) return
    const user = { ...seen, ...(await verifiersFor(password)), imported: null }
    if (this.#users.get(name) !== seen) return
    this.#store(user)
    await this.#shard.durable()
  }

  async putScram(name: string, mechanism: ScramMechanism, verifier: ScramVerifier | null): Promise<void> {
    await this.#inTurn(() => {
      const present = this.#users.get(name) ?? { name, admin: false, permissions: [], scrypt: null, scram: {} }
      const { [mechanism]: _, ...others } = present.scram
      const scram = verifier === null ? others : { ...others, [mechanism]: asText(verifier) }
      this.#store({ ...present, scrypt: verifier === null ? present.scrypt : null, imported: null, anyPassword: false, scram })
    })
    await this.#shard.durable()
  }

  verifier(name: string): PasswordVerifier | undefined {
    const user = this.#users.get(name)
    if (user === undefined) return undefined
    if (user.anyPassword === true) return { algorithm: 'any' }
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

const verifiersOf = (user: StoredUser | undefined): Verifiers => ({
  scrypt: user?.scrypt ?? null,
  scram: user?.scram ?? {},
  imported: user?.imported ?? null,
  anyPassword: user?.anyPassword ?? false,
})

/** null: they stay as they are. */
async function newVerifiers({ password, verifier }: UserChange): Promise<Verifiers | null> {
  if (password !== undefined) return { ...(await verifiersFor(password)), imported: null, anyPassword: false }
  if (verifier === undefined) return null
  const none = verifiersOf(undefined)
  if (!('hash' in verifier)) return { ...none, anyPassword: verifier.algorithm === 'any' }
  const { algorithm, salt, hash } = verifier
  checkHash(algorithm, hash)
  return algorithm === 'scrypt' ? { ...none, scrypt: { salt, hash } } : { ...none, imported: { algorithm, salt, hash } }
}
