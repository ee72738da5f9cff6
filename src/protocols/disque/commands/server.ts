/** The server and its clients: AUTH, PING, HELLO, INFO, TIME, COMMAND, CLIENT, CONFIG, CLUSTER, MONITOR, SLOWLOG, LATENCY, SHUTDOWN. */
import type { Credential } from '../../../broker/face.ts'
import { loginOfSecret } from '../../../lib/login-secret.ts'
import { integer, option, text, timeoutMs } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import { Refusal, words, wrongArguments } from '../errors.ts'
import type { Session } from '../session.ts'

/** Of Disque, whose commands and replies these are. */
const disqueVersion = '1.0-rc1'

function authenticate({ args, server, client, reply, wait }: Call): void {
  if (args.length > 3) throw wrongArguments('auth')
  if (!server.broker.authenticationRequired) throw new Refusal(words.noPassword)
  const credential = credentialOf(args.slice(1).map((arg) => arg.toString()))
  wait((goOn) => {
    server.broker.authenticate(credential, client.remoteAddress).then(
      (principal) =>
        goOn(() => {
          client.use(principal)
          reply.status('OK')
        }),
      () =>
        goOn(() => {
          client.use(null)
          throw new Refusal(words.badPassword)
        }),
    )
  })
}

/** Clients have one word for it: a password with its user's name before a colon, or a token. */
function credentialOf([first = '', second]: readonly string[]): Credential {
  return second === undefined ? loginOfSecret(first) : { kind: 'password', user: first, password: second }
}

function ping({ args, reply }: Call): void {
  const [, message] = args
  if (args.length > 2) throw wrongArguments('ping')
  if (message === undefined) reply.status('PONG')
  else reply.bulk(message)
}

/** The only node is this one, where this client reaches it. */
function hello({ server, client, reply }: Call): void {
  const { host, port } = client.address
  reply.array(3)
  reply.integer(1)
  reply.bulk(server.nodeId)
  reply.array(4)
  reply.bulk(server.nodeId)
  reply.bulk(host)
  reply.bulk(String(port))
  reply.bulk('1')
}

function info({ args, server, client, reply }: Call): void {
  if (args.length > 2) throw new Refusal(words.syntax)
  const now = server.broker.clock.now()
  const seconds = Math.floor((now - server.startedAt) / 1000)
  const { rss } = process.memoryUsage()
  const { system, user } = process.cpuUsage()
  const { connections, commands } = server.statistics
  const sections: Readonly<Record<string, readonly (readonly [string, string | number])[]>> = {
    Server: [
      ['disque_version', disqueVersion],
      ['os', `${process.platform} ${process.arch}`],
      ['arch_bits', 64],
      ['process_id', process.pid],
      ['run_id', server.nodeId],
      ['tcp_port', client.address.port],
      ['uptime_in_seconds', seconds],
      ['uptime_in_days', Math.floor(seconds / 86_400)],
      ['server_name', 'AnyMQ'],
    ],
    Clients: [
      ['connected_clients', server.clients.size],
      ['blocked_clients', [...server.clients.values()].filter(({ isBlocked }) => isBlocked).length],
    ],
    Memory: [
      ['used_memory', rss],
      ['used_memory_rss', rss],
    ],
    Jobs: [['registered_jobs', registeredJobs(server)]],
    Queues: [['registered_queues', server.queueNames().length]],
    Persistence: [
      ['loading', 0],
      ['aof_enabled', 1],
      ['aof_last_write_status', server.broker.stats().walFailed === null ? 'ok' : 'err'],
    ],
    Stats: [
      ['total_connections_received', connections],
      ['total_commands_processed', commands],
    ],
    CPU: [
      ['used_cpu_sys', (system / 1e6).toFixed(2)],
      ['used_cpu_user', (user / 1e6).toFixed(2)],
    ],
  }
  const wanted = option(args[1])
  const shown = Object.entries(sections).filter(([name]) => ['', 'default', 'all', name.toLowerCase()].includes(wanted))
  const parts = shown.map(([name, fields]) => [`# ${name}`, ...fields.map(([field, value]) => `${field}:${value}`), ''])
  reply.bulk(Buffer.from(parts.map((lines) => lines.join('\r\n')).join('\r\n')))
}

/** Of queues that are in use: for others nobody has counted. */
function registeredJobs({ queues }: Call['server']): number {
  let jobs = 0
  for (const { records } of queues.values()) jobs += records?.unfinished ?? 0
  return jobs
}

function time({ server, reply }: Call): void {
  const now = server.broker.clock.now()
  reply.array(2)
  reply.bulk(String(Math.floor(now / 1000)))
  reply.bulk(String((now % 1000) * 1000))
}

function describeCommand(reply: Call['reply'], described: Command | undefined): void {
  if (described === undefined) return reply.nil()
  reply.array(6)
  reply.bulk(described.name)
  reply.integer(described.arity)
  reply.array(described.flags.length)
  for (const flag of described.flags) reply.status(flag)
  for (let i = 0; i < 3; i++) reply.integer(0)
}

const listCommands =
  (table: () => ReadonlyMap<string, Command>) =>
  ({ args, reply }: Call): void => {
    const what = option(args[1])
    if (args.length === 1) {
      reply.array(table().size)
      for (const each of table().values()) describeCommand(reply, each)
    } else if (what === 'info') {
      reply.array(args.length - 2)
      for (const name of args.slice(2)) describeCommand(reply, table().get(option(name)))
    } else if (what === 'count' && args.length === 2) reply.integer(table().size)
    else throw new Refusal('ERR Unknown subcommand or wrong number of arguments.')
  }

function client(call: Call): void {
  const { args, client: self, server, reply } = call
  const what = option(args[1])
  if (['list', 'kill', 'pause'].includes(what)) call.checkOperator()
  if (what === 'list' && args.length === 2)
    return reply.bulk(Buffer.from([...server.clients.values()].map((each) => `${each.line()}\n`).join('')))
  if (what === 'reply' && args.length === 3) return silence(self, reply, option(args[2]))
  if (what === 'kill') return kill(call)
  if (what === 'setname' && args.length === 3) {
    const name = text(args[2])
    if (/[^!-~]/.test(name)) throw new Refusal('ERR Client names cannot contain spaces, newlines or special characters.')
    self.rename(name)
    return reply.status('OK')
  }
  if (what === 'getname' && args.length === 2) return self.name === '' ? reply.nil() : reply.bulk(self.name)
  if (what === 'pause' && args.length === 3) {
    server.pausedUntil = server.broker.clock.now() + timeoutMs(args[2])
    server.broker.clock.after(server.pausedUntil - server.broker.clock.now(), () => {
      for (const each of server.clients.values()) each.goOn()
    })
    return reply.status('OK')
  }
  throw new Refusal('ERR Syntax error, try CLIENT (LIST | KILL ip:port | GETNAME | SETNAME connection-name)')
}

function silence(self: Session, reply: Call['reply'], how: string): void {
  if (how === 'on') {
    self.silent = 'no'
    reply.status('OK')
  } else if (how === 'off') self.silent = 'always'
  else if (how === 'skip') {
    if (self.silent !== 'always') self.silent = 'next'
  } else throw new Refusal(words.syntax)
}

function kill({ args, client: self, server, reply }: Call): void {
  const wanted: { address?: string; id?: number; isSelfSpared: boolean } = { isSelfSpared: args.length > 3 }
  if (args.length < 3 || (args.length > 3 && args.length % 2 !== 0)) throw new Refusal(words.syntax)
  if (args.length === 3) wanted.address = text(args[2])
  for (let at = 2; args.length > 3 && at < args.length; at += 2) {
    const value = args[at + 1]
    const name = option(args[at])
    if (name === 'id') wanted.id = integer(value)
    else if (name === 'addr') wanted.address = text(value)
    else if (name === 'type') {
      if (option(value) !== 'normal') throw new Refusal(`ERR Unknown client type '${text(value)}'`)
    } else if (name === 'skipme' && ['yes', 'no'].includes(option(value))) wanted.isSelfSpared = option(value) === 'yes'
    else throw new Refusal(words.syntax)
  }
  let killed = 0
  for (const each of [...server.clients.values()]) {
    if (wanted.address !== undefined && each.remote !== wanted.address) continue
    if (wanted.id !== undefined && each.id !== wanted.id) continue
    if (each === self && wanted.isSelfSpared) continue
    each.close('another client ended it (CLIENT KILL)')
    killed++
  }
  if (args.length > 3) reply.integer(killed)
  else if (killed === 0) throw new Refusal('ERR No such client')
  else reply.status('OK')
}

/** What is true here of what Disque can be told. */
const settings = ({ server, client: { address } }: Call): Readonly<Record<string, string>> => ({
  port: String(address.port),
  maxclients: String(server.broker.limits.connectionsMax),
  maxmemory: '0',
  timeout: '0',
  appendonly: 'yes',
  'slowlog-log-slower-than': '-1',
  'latency-monitor-threshold': '0',
})

function config(call: Call): void {
  const { args, reply } = call
  const what = option(args[1])
  const lengths: Readonly<Record<string, number>> = { set: 4, get: 3, resetstat: 2, rewrite: 2 }
  const length = lengths[what]
  if (length === undefined) throw new Refusal('ERR CONFIG subcommand must be one of GET, SET, RESETSTAT, REWRITE')
  if (args.length !== length) throw new Refusal(`ERR Wrong number of arguments for CONFIG ${text(args[1])}`)
  if (what === 'set') throw new Refusal(`ERR Unsupported CONFIG parameter: ${text(args[2])}`)
  if (what === 'rewrite') throw new Refusal('ERR The server is running without a config file')
  if (what === 'resetstat') {
    Object.assign(call.server.statistics, { commands: 0, connections: 0 })
    return reply.status('OK')
  }
  const pattern = new RegExp(
    `^${option(args[2])
      .replaceAll(/[^a-z0-9*?-]/g, '\\$&')
      .replaceAll(/\*+/g, '.*')
      .replaceAll('?', '.')}$`,
  )
  const found = Object.entries(settings(call)).filter(([name]) => pattern.test(name))
  reply.array(found.length * 2)
  for (const [name, value] of found) {
    reply.bulk(name)
    reply.bulk(value)
  }
}

function cluster({ args, server, client: { address }, reply }: Call): void {
  const what = option(args[1])
  if (what === 'myid' && args.length === 2) return reply.bulk(server.nodeId)
  if (what === 'nodes' && args.length === 2)
    return reply.bulk(Buffer.from(`${server.nodeId} ${address.host}:${address.port} myself 0 0 connected\n`))
  if (what === 'info' && args.length === 2) {
    const fields = [
      'cluster_state:ok',
      'cluster_known_nodes:1',
      'cluster_reachable_nodes:0',
      'cluster_size:1',
      'cluster_stats_messages_sent:0',
      'cluster_stats_messages_received:0',
    ]
    return reply.bulk(fields.map((field) => `${field}\r\n`).join(''))
  }
  if (what === 'leaving' && args.length === 2) return reply.status(server.leaving ? 'yes' : 'no')
  if (['meet', 'forget', 'leaving', 'reset', 'saveconfig'].includes(what))
    throw new Refusal('ERR This node is the only one: its cluster cannot be changed')
  throw new Refusal('ERR Wrong CLUSTER subcommand or number of arguments')
}

function monitor({ server, client: self, reply, checkOperator }: Call): void {
  checkOperator()
  server.monitors.add(self)
  reply.status('OK')
}

/** Nothing is logged: `slowlog-log-slower-than` is -1. */
function slowLog({ args, reply }: Call): void {
  const what = option(args[1])
  if (what === 'reset' && args.length === 2) reply.status('OK')
  else if (what === 'len' && args.length === 2) reply.integer(0)
  else if (what === 'get' && args.length <= 3) {
    if (args.length === 3) integer(args[2])
    reply.array(0)
  } else throw new Refusal('ERR Unknown SLOWLOG subcommand or wrong # of args. Try GET, RESET, LEN.')
}

/** Nothing is sampled: `latency-monitor-threshold` is 0. */
function latency({ args, reply }: Call): void {
  const what = option(args[1])
  if ((what === 'history' && args.length === 3) || (what === 'latest' && args.length === 2)) reply.array(0)
  else if (what === 'reset') reply.integer(0)
  else if (what === 'graph' && args.length === 3) throw new Refusal(`ERR No samples available for event '${text(args[2])}'`)
  else throw new Refusal(words.syntax)
}

function shutdown({ args }: Call): void {
  if (args.length > 2 || (args.length === 2 && option(args[1]) !== 'rewrite-aof')) throw new Refusal(words.syntax)
  throw new Refusal('ERR Errors trying to SHUTDOWN. Check logs.')
}

export const serverCommands = (table: () => ReadonlyMap<string, Command>): readonly Command[] => [
  command('auth', -2, 'readonly loading fast', authenticate),
  command('ping', -1, 'readonly fast', ping),
  command('hello', 1, 'readonly fast', hello),
  command('info', -1, 'readonly loading', info),
  command('time', 1, 'readonly fast', time),
  command('command', 0, 'readonly loading', listCommands(table)),
  command('client', -2, 'admin readonly', client),
  command('config', -2, 'admin readonly', config),
  command('cluster', -2, 'admin readonly', cluster),
  command('monitor', 1, 'admin readonly', monitor),
  command('slowlog', -2, 'readonly', slowLog),
  command('latency', -2, 'admin readonly loading', latency),
  command('shutdown', -1, 'admin readonly loading', shutdown),
]
