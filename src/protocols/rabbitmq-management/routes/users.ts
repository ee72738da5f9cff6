/** Users: passwords, hashes and tags. The first one must be an administrator: from then on everybody has to log in. */
import { createHash, randomBytes } from 'node:crypto'
import type { Broker, PasswordVerifier, UserChange, UserListing } from '../../../broker/face.ts'
import { badRequest, notFound } from '../errors.ts'
import { text } from '../fields.ts'
import type { Json } from '../json.ts'
import { limitsOf } from '../limits.ts'
import { listed, shaped } from '../page.ts'
import { type Call, put, type Route } from '../route.ts'

/** A list, or words with commas between them as older tools send them. */
export function tagsOf(given: unknown): string[] {
  const words = Array.isArray(given) ? given : typeof given === 'string' ? given.split(',') : null
  if (words === null) throw badRequest('tags must be a list or a text')
  return words.map((word) => String(word).trim()).filter((word) => word !== '')
}

const algorithms = {
  rabbit_password_hashing_sha256: 'sha256',
  rabbit_password_hashing_sha512: 'sha512',
  // Ours, so that what is exported here can be imported here; other brokers do not know it.
  anymq_password_hashing_scrypt: 'scrypt',
} as const satisfies Record<string, Exclude<PasswordVerifier['algorithm'], 'none' | 'any'>>

const saltBytes = { sha256: 4, sha512: 4, scrypt: 16 } as const

/** RabbitMQ's hash is salt and digest in one; an empty one lets nobody in. */
export function verifierOf(hash: string, algorithm: string): PasswordVerifier {
  if (hash === '') return { algorithm: 'none' }
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(hash) || hash.length % 4 !== 0) throw badRequest(['not_base64', hash])
  if (!Object.hasOwn(algorithms, algorithm))
    throw badRequest(
      `hashing_algorithm ${algorithm} is not supported: give the user a new password, or a SHA-256 or SHA-512 hash`,
    )
  const known = algorithms[algorithm as keyof typeof algorithms] // checked in the line before
  const bytes = Buffer.from(hash, 'base64')
  const salt = bytes.subarray(0, saltBytes[known])
  return { algorithm: known, salt: salt.toString('base64'), hash: bytes.subarray(salt.length).toString('base64') }
}

function hashOf(verifier: PasswordVerifier | undefined): Json {
  const name = Object.keys(algorithms).find((each) => algorithms[each as keyof typeof algorithms] === verifier?.algorithm)
  if (verifier === undefined || !('hash' in verifier) || name === undefined)
    return { password_hash: '', hashing_algorithm: 'rabbit_password_hashing_sha256' }
  const hash = Buffer.concat([Buffer.from(verifier.salt, 'base64'), Buffer.from(verifier.hash, 'base64')])
  return { password_hash: hash.toString('base64'), hashing_algorithm: name }
}

export const userJson = (broker: Broker, { name, admin, tags }: UserListing): Json => ({
  name,
  ...hashOf(broker.users.verifier(name)),
  tags: [...(admin ? ['administrator'] : []), ...tags],
  limits: limitsOf(broker, 'user', name),
})

/** What a body changes. `algorithm`: where the body names none. */
export function userChange(body: Json): UserChange {
  if (body['tags'] === undefined) throw badRequest('tags_not_present')
  const tags = tagsOf(body['tags'])
  const change = { admin: tags.includes('administrator'), tags: tags.filter((tag) => tag !== 'administrator') }
  if (body['password_hash'] !== undefined) {
    const algorithm = text(body, 'hashing_algorithm', 'rabbit_password_hashing_sha256')
    return { ...change, verifier: verifierOf(text(body, 'password_hash'), algorithm) }
  }
  if (body['password'] === undefined) return { ...change, verifier: { algorithm: 'none' } }
  const password = text(body, 'password')
  if (password === '') throw badRequest('an empty password is not allowed')
  return { ...change, password }
}

/** Else nobody could manage anything any more. */
function checkKeepsAdministrator(
  broker: Broker,
  change: (users: readonly UserListing[]) => readonly Pick<UserListing, 'admin' | 'disabled'>[],
): void {
  const after = change(broker.users.list())
  if (after.length > 0 && !after.some((user) => user.admin && !user.disabled))
    throw badRequest(
      'there must be an administrator: from the first user on everybody has to log in, so create one with the tag administrator first',
    )
}

async function putUser(call: Call): Promise<unknown> {
  call.caller.requireAdministrator()
  const { broker } = call
  const name = call.parameter('user')
  const change = userChange(await call.body())
  let isNew = false
  await broker.users.change(name, (present) => {
    const after = { admin: change.admin === true, disabled: present?.disabled ?? false }
    checkKeepsAdministrator(broker, (users) => [...users.filter((user) => user.name !== name), after])
    isNew = present === undefined
    return change
  })
  return put(isNew)
}

async function deleteUsers(call: Call, names: readonly string[]): Promise<null> {
  const { broker } = call
  const check = (): void => checkKeepsAdministrator(broker, (users) => users.filter((user) => !names.includes(user.name)))
  for (const name of names) await broker.users.delete(name, check)
  return null
}

function list(call: Call, which: (user: UserListing) => boolean): unknown {
  call.caller.requireAdministrator()
  const users = call.broker.users.list().filter(which)
  return listed(
    call,
    users.map((user) => userJson(call.broker, user)),
    ['name'],
  )
}

export function userOf(call: Call): UserListing {
  const found = call.broker.users.list().find((user) => user.name === call.parameter('user'))
  if (found === undefined) throw notFound()
  return found
}

/** As RabbitMQ hashes passwords, for a user that is to be made with `password_hash`. */
function hashedPassword(password: string): string {
  const salt = randomBytes(saltBytes.sha256)
  return Buffer.concat([salt, createHash('sha256').update(salt).update(password).digest()]).toString('base64')
}

export const userRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/auth/hash_password/:password',
    handle: (call) => {
      call.caller.requireAdministrator()
      return { ok: hashedPassword(call.parameter('password')) }
    },
  },
  { method: 'GET', path: '/users', handle: (call) => list(call, () => true) },
  {
    method: 'GET',
    path: '/users/without-permissions',
    handle: (call) => list(call, (user) => user.permissions.length === 0),
  },
  {
    method: 'POST',
    path: '/users/bulk-delete',
    handle: async (call) => {
      call.caller.requireAdministrator()
      const { users } = await call.body()
      if (!Array.isArray(users)) throw badRequest('[{key_missing,users}]')
      const known = call.broker.users.list().map((user) => user.name)
      const missing = users.find((name) => !known.includes(String(name)))
      if (missing !== undefined) throw badRequest(['no_such_user', missing])
      return await deleteUsers(call, users.map(String))
    },
  },
  {
    method: 'GET',
    path: '/users/:user',
    handle: (call) => {
      call.caller.requireAdministrator()
      return shaped(call, userJson(call.broker, userOf(call)))
    },
  },
  { method: 'PUT', path: '/users/:user', handle: putUser },
  {
    method: 'DELETE',
    path: '/users/:user',
    handle: async (call) => {
      call.caller.requireAdministrator()
      return await deleteUsers(call, [userOf(call).name])
    },
  },
]
