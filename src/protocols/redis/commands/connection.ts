/** PING, ECHO, HELLO, AUTH, SELECT, QUIT, RESET. */

import { CoreError } from '../../../broker/face.ts'
import type { Reply } from '../../../lib/resp/reply.ts'
import { integer, option, text } from '../arguments.ts'
import type { Client } from '../client.ts'
import { type Call, type Command, command } from '../command.ts'
import { RedisError, words } from '../errors.ts'
import { redisVersion } from '../server.ts'

function ping({ args, client, reply }: Call): void {
  if (args.length > 2) throw new RedisError("ERR wrong number of arguments for 'ping' command")
  const [, message] = args
  if (client.protocol === 2 && client.subscriptions > 0) {
    reply.array(2)
    reply.bulk('pong')
    reply.bulk(message ?? '')
  } else if (message === undefined) reply.status('PONG')
  else reply.bulk(message)
}

function select({ args, client, reply, server }: Call): void {
  const index = integer(args[1])
  const db = server.databases[index]
  if (db === undefined) throw new RedisError('ERR DB index is out of range')
  client.db = db
  client.host.selected(index)
  reply.status('OK')
}

/** Replies later: passwords are checked slowly, and what the client sent behind it waits. */
function auth(call: Call): void {
  const { args, server } = call
  if (args.length > 3) throw new RedisError(words.syntax)
  const user = args.length === 3 ? (args[1] as Buffer).toString() : ''
  const password = (args.at(-1) as Buffer).toString()
  if (args.length === 2 && !server.broker.authenticationRequired)
    throw new RedisError(
      'ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?',
    )
  logIn(call, user, password, (reply) => reply.status('OK'))
}

/** `then` replies. What the client sent behind it waits, since it may depend on who it is. */
function logIn(call: Call, user: string, password: string, then: (reply: Reply) => void): void {
  const { client, server } = call
  const deferred = call.defer()
  server
    .logIn(client, user, password)
    .then(() => then(deferred.reply))
    .catch((cause: unknown) => {
      const isFull = cause instanceof CoreError && cause.code === 'Full'
      if (!isFull) server.noteFailedLogin(client, user, client.lastCommand)
      deferred.reply.error(isFull ? words.tooManyClients : words.wrongPass)
      if (isFull) client.closing = cause.message
    })
    .finally(() => deferred.done())
}

function hello(call: Call): void {
  const { args, client } = call
  let version = client.protocol
  if (args.length > 1) {
    version = integer(args[1], 'ERR Protocol version is not an integer or out of range')
    if (version !== 2 && version !== 3) throw new RedisError('NOPROTO unsupported protocol version')
  }
  let credentials: { user: string; password: string } | null = null
  let name: string | null = null
  for (let at = 2; at < args.length; at++) {
    const word = option(args[at])
    if (word === 'AUTH' && at + 2 < args.length) {
      credentials = { user: (args[at + 1] as Buffer).toString(), password: (args[at + 2] as Buffer).toString() }
      at += 2
    } else if (word === 'SETNAME' && at + 1 < args.length) name = checkedName(text(args[++at]))
    else throw new RedisError(`ERR Syntax error in HELLO option '${text(args[at])}'`)
  }
  const answer = (reply: Reply): void => {
    if (name !== null) client.name = name
    client.protocol = version
    reply.protocol = version
    describe(client, reply)
  }
  if (credentials !== null) return logIn(call, credentials.user, credentials.password, answer)
  if (client.principal === null)
    throw new RedisError(
      'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time',
    )
  answer(client.reply)
}

function describe(client: Client, reply: Reply): void {
  reply.map(7)
  reply.bulk('server')
  reply.bulk('redis')
  reply.bulk('version')
  reply.bulk(redisVersion)
  reply.bulk('proto')
  reply.integer(client.protocol)
  reply.bulk('id')
  reply.integer(client.id)
  reply.bulk('mode')
  reply.bulk('standalone')
  reply.bulk('role')
  reply.bulk('master')
  reply.bulk('modules')
  reply.array(0)
}

/** Throws where it would break a listing of clients. */
export function checkedName(name: string): string {
  if (/[^!-~]/.test(name)) throw new RedisError('ERR Client names cannot contain spaces, newlines or special characters.')
  return name
}

function reset({ client, server }: Call): void {
  server.reset(client)
  client.reply.status('RESET')
}

export const connectionCommands: readonly Command[] = [
  command('connection', 'ping', -1, 'fast', null, ping),
  command('connection', 'echo', 2, 'fast', null, ({ args, reply }) => reply.bulk(args[1] as Buffer)),
  command('connection', 'select', 2, 'fast', null, select),
  command('connection', 'auth', -2, 'noscript fast no_auth allow_busy skip_monitor', null, auth),
  command('connection', 'hello', -1, 'noscript fast no_auth allow_busy skip_monitor', null, hello),
  command('connection', 'quit', -1, 'noscript fast no_auth allow_busy', null, ({ client, reply }) => {
    reply.status('OK')
    client.closing = ''
  }),
  command('connection', 'reset', 1, 'noscript fast no_auth allow_busy', null, reset),
]
