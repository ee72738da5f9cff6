/** ACL: the broker's own users and permissions, in Redis's words. */

import { randomBytes } from 'node:crypto'
import { type Broker, CoreError, type Principal, type UserListing } from '../../../broker/face.ts'
import type { Reply } from '../../../lib/resp/reply.ts'
import { Request } from '../../../lib/resp/request.ts'
import { checkAccess } from '../access.ts'
import { categories, isCommandWord, plainWords } from '../acl-commands.ts'
import {
  aclUserOf,
  applyRules,
  changeOf,
  channelsOf,
  commandsOf,
  isAdministrator,
  keysOf,
  newAclUser,
  notPresent,
} from '../acl-rules.ts'
import { integer, option, text } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import { errorText, RedisError, wrongArguments } from '../errors.ts'
import { checkArity } from '../executor.ts'
import { resetChannels } from '../operations.ts'
import type { Server } from '../server.ts'

/** Who everybody is where there are no users. */
const anyone: UserListing = {
  name: 'default',
  admin: true,
  tags: [],
  permissions: [],
  keyPermissions: [],
  disabled: false,
  operations: {},
}

const usersOf = ({ broker }: Server): UserListing[] => (broker.authenticationRequired ? broker.users.list() : [anyone])

const named = (server: Server, name: string): UserListing | undefined => usersOf(server).find((each) => each.name === name)

function passwordOf(broker: Broker, name: string): 'none' | 'kept' | 'any' {
  const { algorithm } = broker.users.verifier(name) ?? { algorithm: 'none' }
  if (algorithm !== 'none') return algorithm === 'any' ? 'any' : 'kept'
  return (['SCRAM-SHA-256', 'SCRAM-SHA-512'] as const).some((each) => broker.scramVerifier(name, each)) ? 'kept' : 'none'
}

function listCategories({ args, reply, server }: Call): void {
  if (args.length > 3) throw wrongArguments('acl|cat')
  const wanted = args.length === 3 ? text(args[2]).toLowerCase() : null
  if (wanted !== null && !categories.includes(wanted)) throw new RedisError(`ERR Unknown category '${text(args[2])}'`)
  bulks(reply, wanted === null ? categories : server.commandsIn(wanted))
}

function bulks(reply: Reply, texts: readonly string[]): void {
  reply.array(texts.length)
  for (const each of texts) reply.bulk(Buffer.from(each))
}

const listUsers = ({ reply, server }: Call): void =>
  bulks(
    reply,
    usersOf(server).map(({ name }) => name),
  )

function list({ reply, server }: Call): void {
  const plain = plainWords(server.commands)
  const lines = usersOf(server).map((user) =>
    [
      ...['user', user.name, ...flagsOf(server, user), ...keysOf(user)],
      ...channelsOf(user).flatMap((each, index) => (index === 0 && each !== '*' ? [resetChannels, `&${each}`] : [`&${each}`])),
      ...(channelsOf(user).length === 0 ? [resetChannels] : []),
      ...commandsOf(user, plain),
    ].join(' '),
  )
  bulks(reply, lines)
}

function flagsOf({ broker }: Server, user: UserListing): string[] {
  if (user === anyone) return ['on', 'nopass']
  const onOff = user.disabled ? 'off' : 'on'
  return passwordOf(broker, user.name) === 'any' ? [onOff, 'nopass', 'sanitize-payload'] : [onOff, 'sanitize-payload']
}

function getUser({ args, reply, server }: Call): void {
  const user = named(server, nameAt(args, 2))
  if (user === undefined) return reply.nil()
  reply.map(6)
  reply.bulk('flags')
  const flags = flagsOf(server, user)
  reply.set(flags.length)
  for (const flag of flags) reply.bulk(flag)
  reply.bulk('passwords')
  // Theirs are digests that anybody could try passwords on.
  reply.array(0)
  for (const [field, value] of [
    ['commands', commandsOf(user, plainWords(server.commands)).join(' ')],
    ['keys', keysOf(user).join(' ')],
    [
      'channels',
      channelsOf(user)
        .map((each) => `&${each}`)
        .join(' '),
    ],
  ] as const) {
    reply.bulk(field)
    reply.bulk(Buffer.from(value))
  }
  reply.bulk('selectors')
  reply.array(0)
}

const nameAt = (args: readonly Buffer[], at: number): string => args[at]?.toString() ?? ''

function later(call: Call, work: (reply: Reply) => Promise<void>): void {
  const deferred = call.defer()
  work(deferred.reply)
    .catch((cause: unknown) => deferred.reply.error(errorText(cause)))
    .finally(() => deferred.done())
}

function setUser(call: Call): void {
  const { args, server } = call
  const { broker } = server
  const name = nameAt(args, 2)
  if (!broker.authenticationRequired)
    throw new RedisError(
      'ERR ACL SETUSER: there are no users, and everybody may do everything; the first, an administrator, is made over the HTTP API, and from then on all have to log in',
    )
  if (name === '' || /[\s\0]/.test(name)) throw new RedisError("ERR Usernames can't contain spaces or null characters")
  const rules = args.slice(3).map((arg) => arg.toString())
  const plain = plainWords(server.commands)
  later(call, async (reply) => {
    await broker.users.change(name, async (present) => {
      const user = present === undefined ? newAclUser() : aclUserOf(present, passwordOf(broker, name), plain)
      const presumed = applyRules(user, rules, (word) => isCommandWord(word, server.commands))
      if (!isAdministrator(user) || !user.on) checkAdministratorRemains(server, new Set([name]))
      for (const { rule, password } of presumed) if (!(await isPassword(broker, name, password))) throw notPresent(rule)
      return changeOf(user, present, plain)
    })
    reply.status('OK')
  })
}

async function isPassword(broker: Broker, user: string, password: string): Promise<boolean> {
  try {
    await broker.authenticate({ kind: 'password', user, password }, '')
    return true
  } catch (cause) {
    if (cause instanceof CoreError && cause.code === 'Unauthenticated') return false
    throw cause
  }
}

/** Else nobody could manage users any more. */
function checkAdministratorRemains({ broker }: Server, without: ReadonlySet<string>): void {
  const administrators = broker.users.list().filter(({ admin, disabled }) => admin && !disabled)
  if (administrators.every(({ name }) => without.has(name)))
    throw new RedisError(`ERR '${administrators[0]?.name ?? ''}' is the last administrator`)
}

function deleteUsers(call: Call): void {
  const { args, client, server } = call
  const names = new Set(args.slice(2).map((arg) => arg.toString()))
  if (!server.broker.authenticationRequired) {
    if (names.has('default')) throw new RedisError("ERR The 'default' user cannot be removed")
    return call.reply.integer(0)
  }
  later(call, async (reply) => {
    let deleted = 0
    for (const name of names)
      if (await server.broker.users.delete(name, () => checkAdministratorRemains(server, names))) deleted++
    reply.integer(deleted)
    for (const other of server.clients.values()) {
      if (other.principal === null || !names.has(other.user)) continue
      if (other === client) client.closing = 'its user was deleted'
      else other.host.end('its user was deleted')
    }
  })
}

/** Whether the user could run it, without running it. */
function dryRun(call: Call): void {
  const { args, server } = call
  const { broker } = server
  const name = nameAt(args, 2)
  if (named(server, name) === undefined) throw new RedisError(`ERR User '${name}' not found`)
  const request = args.slice(3).map((arg) => Buffer.from(arg))
  const found = server.findCommand(Request.of(request))
  if (found === undefined) throw new RedisError(`ERR Command '${nameAt(args, 3)}' not found`)
  checkArity(found, request)
  if (!broker.authenticationRequired) return call.reply.status('OK')
  const why = whyNot(broker.users.principal(name), found, request)
  if (why === null) call.reply.status('OK')
  else call.reply.bulk(Buffer.from(why))
}

function whyNot(principal: Principal, found: Command, request: readonly Buffer[]): string | null {
  try {
    checkAccess(principal, found, request)
    return null
  } catch (cause) {
    if (!(cause instanceof RedisError)) throw cause
    return cause.message.replace(/^[A-Z]+ /, '')
  }
}

function log({ args, reply, server }: Call): void {
  if (args.length > 3) throw wrongArguments('acl|log')
  const { accessLog } = server
  if (option(args[2]) === 'RESET') {
    accessLog.entries = []
    return reply.status('OK')
  }
  const count = args.length === 3 ? integer(args[2]) : 10
  const entries = accessLog.entries.slice(0, Math.max(0, count))
  reply.array(entries.length)
  for (const entry of entries) {
    reply.map(10)
    reply.bulk('count')
    reply.integer(entry.count)
    for (const [field, value] of [
      ['reason', entry.reason],
      ['context', entry.context],
      ['object', entry.object],
      ['username', entry.user],
    ] as const) {
      reply.bulk(field)
      reply.bulk(Buffer.from(value))
    }
    reply.bulk('age-seconds')
    reply.double(Math.max(0, server.now - entry.updatedAt) / 1000)
    reply.bulk('client-info')
    reply.bulk(entry.client)
    for (const [field, value] of [
      ['entry-id', entry.id],
      ['timestamp-created', entry.createdAt],
      ['timestamp-last-updated', entry.updatedAt],
    ] as const) {
      reply.bulk(field)
      reply.integer(value)
    }
  }
}

function genPass({ args, reply }: Call): void {
  const bits = args.length > 2 ? integer(args[2]) : 256
  if (bits < 1 || bits > 4096)
    throw new RedisError(
      'ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096',
    )
  const digits = Math.ceil(bits / 4)
  reply.bulk(
    randomBytes(Math.ceil(digits / 2))
      .toString('hex')
      .slice(0, digits),
  )
}

const noFile = (): never => {
  throw new RedisError(
    'ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.',
  )
}

const administration = 'admin noscript loading stale'

export const aclCommands: readonly Command[] = [
  command('server', 'acl|whoami', 2, 'noscript loading stale', null, ({ client, reply }) => reply.bulk(Buffer.from(client.user))),
  command('server', 'acl|users', 2, administration, null, listUsers),
  command('server', 'acl|list', 2, administration, null, list),
  command('server', 'acl|cat', -2, 'noscript loading stale', null, listCategories),
  command('server', 'acl|genpass', -2, 'noscript loading stale', null, genPass),
  command('server', 'acl|setuser', -3, `${administration} no_multi`, null, setUser),
  command('server', 'acl|deluser', -3, `${administration} no_multi`, null, deleteUsers),
  command('server', 'acl|getuser', 3, administration, null, getUser),
  command('server', 'acl|dryrun', -4, administration, null, dryRun),
  command('server', 'acl|log', -2, administration, null, log),
  command('server', 'acl|load', 2, administration, null, noFile),
  command('server', 'acl|save', 2, administration, null, noFile),
]
