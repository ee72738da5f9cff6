/** CLIENT: who is connected, by which name, and what is done to them. */
import { integer, option, text } from '../arguments.ts'
import type { Client } from '../client.ts'
import { type Call, type Command, command } from '../command.ts'
import { RedisError, syntaxError } from '../errors.ts'
import type { Server } from '../server.ts'
import { checkedName } from './connection.ts'

/** As CLIENT LIST and CLIENT INFO describe one. What nothing here corresponds to is left out. */
export function describeClient(client: Client, server: Server): string {
  const now = server.now
  const flags = flagsOf(client, server)
  const fields: [string, string | number][] = [
    ['id', client.id],
    ['addr', client.host.remote],
    ['laddr', client.host.local],
    ['fd', 0],
    ['name', client.name],
    ['age', Math.floor((now - client.connectedAt) / 1000)],
    ['idle', Math.floor((now - client.lastActiveAt) / 1000)],
    ['flags', flags],
    ['db', client.db.index],
    ['sub', client.channels.size],
    ['psub', client.patterns.size],
    ['ssub', client.shardChannels.size],
    ['multi', client.queued === null ? -1 : client.queued.length],
    ['watch', client.watched.length],
    ['qbuf', 0],
    ['qbuf-free', 0],
    ['argv-mem', 0],
    ['multi-mem', 0],
    ['obl', 0],
    ['oll', 0],
    ['omem', client.host.outboundBytes],
    ['tot-mem', client.host.outboundBytes],
    ['events', 'r'],
    ['cmd', client.lastCommand === '' ? 'NULL' : client.lastCommand],
    ['user', client.user],
    ['redir', -1],
    ['resp', client.protocol],
    ['lib-name', client.libraryName],
    ['lib-ver', client.libraryVersion],
  ]
  return fields.map(([name, value]) => `${name}=${value}`).join(' ')
}

function flagsOf(client: Client, server: Server): string {
  let flags = ''
  if (client.monitoring) flags += 'O'
  if (client.subscriptions > 0) flags += 'P'
  if (client.queued !== null) flags += 'x'
  if (server.blocked.isBlocked(client)) flags += 'b'
  if (client.watchFailed) flags += 'd'
  if (client.noEvict) flags += 'e'
  if (client.noTouch) flags += 'T'
  return flags === '' ? 'N' : flags
}

function typeOf(client: Client): string {
  return client.subscriptions > 0 ? 'pubsub' : 'normal'
}

const clientTypes = ['normal', 'master', 'replica', 'slave', 'pubsub']

function checkedType(word: string): string {
  if (!clientTypes.includes(word.toLowerCase())) throw new RedisError(`ERR Unknown client type '${word}'`)
  return word.toLowerCase()
}

function list({ args, server, reply }: Call): void {
  let type: string | null = null
  let ids: number[] | null = null
  for (let at = 2; at < args.length; at++) {
    const word = option(args[at])
    if (word === 'TYPE' && at + 1 < args.length) type = checkedType(text(args[++at]))
    else if (word === 'ID' && at + 1 < args.length) {
      ids = args.slice(at + 1).map((arg) => {
        const id = integer(arg, 'ERR Invalid client ID')
        if (id < 1) throw new RedisError('ERR Invalid client ID')
        return id
      })
      break
    } else throw syntaxError()
  }
  const shown = [...server.clients.values()].filter(
    (client) => (type === null || typeOf(client) === type) && (ids === null || ids.includes(client.id)),
  )
  reply.verbatim('txt', shown.map((client) => `${describeClient(client, server)}\n`).join(''))
}

interface KillFilter {
  id?: number
  address?: string
  localAddress?: string
  type?: string
  user?: string
  skipMe: boolean
  maxAge?: number
}

function kill(call: Call): void {
  const { args, client: me, server, reply } = call
  if (args.length === 3) {
    const address = text(args[2])
    const found = [...server.clients.values()].find((client) => client.host.remote === address)
    if (found === undefined) throw new RedisError('ERR No such client')
    end(found, me, server)
    return reply.status('OK')
  }
  const filter = killFilter(args)
  let killed = 0
  for (const client of [...server.clients.values()]) {
    if (filter.id !== undefined && client.id !== filter.id) continue
    if (filter.address !== undefined && client.host.remote !== filter.address) continue
    if (filter.localAddress !== undefined && client.host.local !== filter.localAddress) continue
    if (filter.type !== undefined && typeOf(client) !== filter.type) continue
    if (filter.user !== undefined && client.user !== filter.user) continue
    if (filter.maxAge !== undefined && (server.now - client.connectedAt) / 1000 < filter.maxAge) continue
    if (filter.skipMe && client === me) continue
    killed++
    end(client, me, server)
  }
  reply.integer(killed)
}

/** Oneself after the reply. */
function end(client: Client, me: Client, server: Server): void {
  if (client === me) client.closing = 'ended by CLIENT KILL'
  else {
    client.host.end('ended by CLIENT KILL')
    // It is listed no more from here on, though its connection takes a moment to go.
    server.remove(client)
  }
}

function killFilter(args: readonly Buffer[]): KillFilter {
  const filter: KillFilter = { skipMe: true }
  for (let at = 2; at < args.length; at += 2) {
    if (at + 1 >= args.length) throw syntaxError()
    const value = text(args[at + 1])
    switch (option(args[at])) {
      case 'ID':
        filter.id = integer(args[at + 1], 'ERR client-id should be greater than 0')
        if (filter.id < 1) throw new RedisError('ERR client-id should be greater than 0')
        break
      case 'TYPE':
        filter.type = checkedType(value)
        break
      case 'ADDR':
        filter.address = value
        break
      case 'LADDR':
        filter.localAddress = value
        break
      case 'USER':
        filter.user = value
        break
      case 'MAXAGE':
        filter.maxAge = integer(args[at + 1], 'ERR syntax error')
        break
      case 'SKIPME':
        if (!/^(yes|no)$/i.test(value)) throw syntaxError()
        filter.skipMe = value.toLowerCase() === 'yes'
        break
      default:
        throw syntaxError()
    }
  }
  return filter
}

function setName({ args, client, reply }: Call): void {
  client.name = checkedName(text(args[2]))
  client.host.described()
  reply.status('OK')
}

function setInfo({ args, client, reply }: Call): void {
  const value = text(args[3])
  const what = text(args[2]).toLowerCase()
  if (what !== 'lib-name' && what !== 'lib-ver') throw new RedisError(`ERR Unrecognized option '${text(args[2])}'`)
  if (/[^!-~]/.test(value)) throw new RedisError(`ERR ${what} cannot contain spaces, newlines or special characters.`)
  if (what === 'lib-name') client.libraryName = value
  else client.libraryVersion = value
  client.host.described()
  reply.status('OK')
}

function replyMode({ args, client, reply }: Call): void {
  switch (option(args[2])) {
    case 'ON':
      client.silent = 'no'
      return reply.status('OK')
    case 'OFF':
      client.silent = 'always'
      return
    case 'SKIP':
      if (client.silent !== 'always') client.silent = 'next'
      return
    default:
      throw syntaxError()
  }
}

function onOff(arg: Buffer | undefined): boolean {
  const word = option(arg)
  if (word !== 'ON' && word !== 'OFF') throw syntaxError()
  return word === 'ON'
}

function pause({ args, server, reply }: Call): void {
  const ms = integer(args[2], 'ERR timeout is not an integer or out of range')
  if (ms < 0) throw new RedisError('ERR timeout is negative')
  const mode = args.length > 3 ? option(args[3]) : 'ALL'
  if (args.length > 4 || (mode !== 'ALL' && mode !== 'WRITE')) throw syntaxError()
  server.executor.pause(server.now + ms, mode === 'ALL')
  reply.status('OK')
}

function unblock({ args, server, reply }: Call): void {
  const id = integer(args[2])
  const how = args.length > 3 ? option(args[3]) : 'TIMEOUT'
  if (args.length > 4 || (how !== 'TIMEOUT' && how !== 'ERROR'))
    throw new RedisError('ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR')
  const client = server.clients.get(id)
  reply.integer(client !== undefined && server.blocked.unblock(client, how === 'ERROR') ? 1 : 0)
}

/** Changes of what a client has read are not told: only turning that off is accepted. */
function tracking({ args, reply }: Call): void {
  if (onOff(args[2])) throw new RedisError('ERR client-side caching is not supported by this server')
  reply.status('OK')
}

function trackingInfo({ reply }: Call): void {
  reply.map(3)
  reply.bulk('flags')
  reply.set(1)
  reply.bulk('off')
  reply.bulk('redirect')
  reply.integer(-1)
  reply.bulk('prefixes')
  reply.array(0)
}

export const clientCommands: readonly Command[] = [
  command('connection', 'client|id', 2, 'noscript', null, ({ client, reply }) => reply.integer(client.id)),
  command('connection', 'client|info', 2, 'noscript', null, ({ client, server, reply }) =>
    reply.verbatim('txt', `${describeClient(client, server)}\n`),
  ),
  command('connection', 'client|list', -2, 'admin noscript', null, list),
  command('connection', 'client|kill', -3, 'admin noscript', null, kill),
  command('connection', 'client|setname', 3, 'noscript', null, setName),
  command('connection', 'client|getname', 2, 'noscript', null, ({ client, reply }) =>
    client.name === '' ? reply.nil() : reply.bulk(client.name),
  ),
  command('connection', 'client|setinfo', 4, 'noscript', null, setInfo),
  command('connection', 'client|reply', 3, 'noscript', null, replyMode),
  command('connection', 'client|no-evict', 3, 'admin noscript', null, ({ args, client, reply }) => {
    client.noEvict = onOff(args[2])
    reply.status('OK')
  }),
  command('connection', 'client|no-touch', 3, 'noscript', null, ({ args, client, reply }) => {
    client.noTouch = onOff(args[2])
    reply.status('OK')
  }),
  command('connection', 'client|pause', -3, 'admin noscript', null, pause),
  command('connection', 'client|unpause', 2, 'admin noscript', null, ({ server, reply }) => {
    server.executor.pause(0, false)
    reply.status('OK')
  }),
  command('connection', 'client|unblock', -3, 'admin noscript', null, unblock),
  command('connection', 'client|tracking', -3, 'noscript', null, tracking),
  command('connection', 'client|trackinginfo', 2, 'noscript', null, trackingInfo),
  command('connection', 'client|getredir', 2, 'noscript', null, ({ reply }) => reply.integer(-1)),
]
