/** CONFIG, TIME, ROLE, MONITOR, SLOWLOG, MEMORY, LATENCY, CLUSTER and others that ask about the server. */
import { integer, option, text } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import { RedisError, syntaxError, words, wrongArguments } from '../errors.ts'

function configGet({ args, reply, server }: Call): void {
  const found = new Map<string, string>()
  for (const pattern of args.slice(2)) for (const [name, value] of server.settings.matching(text(pattern))) found.set(name, value)
  reply.map(found.size)
  for (const [name, value] of found) {
    reply.bulk(name)
    reply.bulk(value)
  }
}

function configSet({ args, reply, server }: Call): void {
  if (args.length % 2 !== 0) throw wrongArguments('config|set')
  for (let at = 2; at < args.length; at += 2) server.settings.set(text(args[at]), text(args[at + 1]))
  server.settingsChanged()
  reply.status('OK')
}

function resetStat({ reply, server }: Call): void {
  Object.assign(server.statistics, { commands: 0, connections: 0, expired: 0, errors: 0 })
  reply.status('OK')
}

function time({ reply, server }: Call): void {
  const ms = server.broker.clock.now()
  // The clock's own milliseconds, and microseconds that only grow within one.
  const micros = ms * 1000 + (Math.floor(performance.now() * 1000) % 1000)
  reply.array(2)
  reply.bulk(String(Math.floor(micros / 1e6)))
  reply.bulk(String(micros % 1e6))
}

function role({ reply }: Call): void {
  reply.array(3)
  reply.bulk('master')
  reply.integer(0)
  reply.array(0)
}

function monitor({ client, reply, server }: Call): void {
  server.monitor(client)
  reply.status('OK')
}

// ---------------------------------------------------------------------------------------------------------------------- MEMORY

function memoryUsage({ args, db, reply }: Call): void {
  if (args.length > 3 && (option(args[3]) !== 'SAMPLES' || args.length !== 5)) throw syntaxError()
  if (args.length === 5) integer(args[4])
  const key = text(args[2])
  const value = db.get(key)
  if (value !== undefined) return reply.integer(80 + key.length + value.bytes)
  const provider = db.provider(key)
  if (provider === undefined) reply.nil()
  else reply.integer(provider.bytes(db, key))
}

function memoryStats({ reply, server }: Call): void {
  const { rss, heapUsed } = process.memoryUsage()
  const stats: [string, number][] = [
    ['peak.allocated', heapUsed],
    ['total.allocated', heapUsed],
    ['dataset.bytes', server.memoryBytes],
    ['keys.count', server.databases.reduce((sum, db) => sum + db.size, 0)],
    ['allocator.resident', rss],
  ]
  reply.map(stats.length)
  for (const [name, value] of stats) {
    reply.bulk(name)
    reply.integer(value)
  }
}

// --------------------------------------------------------------------------------------------------------------------- SLOWLOG

function slowlogGet({ args, reply, server }: Call): void {
  const count = args.length > 2 ? integer(args[2]) : 10
  if (count < -1) throw new RedisError('ERR count should be greater than or equal to -1')
  const entries = count === -1 ? server.slow : server.slow.slice(0, count)
  reply.array(entries.length)
  for (const entry of entries) {
    reply.array(6)
    reply.integer(entry.id)
    reply.integer(Math.floor(entry.at / 1000))
    reply.integer(entry.microseconds)
    reply.array(entry.args.length)
    for (const arg of entry.args) reply.bulk(arg)
    reply.bulk(entry.address)
    reply.bulk(entry.name)
  }
}

// --------------------------------------------------------------------------------------------------------------------- CLUSTER

const noCluster = (): never => {
  throw new RedisError('ERR This instance has cluster support disabled')
}

/** It has no master, and takes none. */
function replicaOf({ args, reply }: Call): void {
  if (option(args[1]) !== 'NO' || option(args[2]) !== 'ONE')
    throw new RedisError('ERR replication is not supported by this server')
  reply.status('OK')
}

function clusterInfo({ reply }: Call): void {
  reply.verbatim(
    'txt',
    'cluster_enabled:0\r\ncluster_state:ok\r\ncluster_slots_assigned:0\r\ncluster_known_nodes:1\r\ncluster_size:0\r\n',
  )
}

function saved({ reply, server }: Call): void {
  server.keeper.snapshot()
  reply.status('OK')
}

/** All is stored already when it is replied to; asked to save, a snapshot is taken, which shortens the journal. */
function backgroundSave({ reply, server }: Call, said: string): void {
  server.keeper.snapshot()
  reply.status(said)
}

function waitAof({ args, reply }: Call): void {
  const local = integer(args[1], 'ERR value is out of range, must be between 0 and 1')
  if (local < 0 || local > 1) throw new RedisError('ERR value is out of range, must be between 0 and 1')
  if (integer(args[3], words.timeout) < 0) throw new RedisError(words.negativeTimeout)
  // By the time of this reply all changes before it are durable here.
  reply.array(2)
  reply.integer(1)
  reply.integer(0)
}

export const serverCommands: readonly Command[] = [
  command('server', 'config|get', -3, 'admin noscript loading stale', null, configGet),
  command('server', 'config|set', -4, 'admin noscript loading stale', null, configSet),
  command('server', 'config|resetstat', 2, 'admin noscript loading stale', null, resetStat),
  command('server', 'config|rewrite', 2, 'admin noscript loading stale', null, () => {
    throw new RedisError('ERR The server is running without a config file')
  }),
  command('server', 'time', 1, 'loading stale fast', null, time),
  command('server', 'role', 1, 'noscript loading stale fast', null, role),
  command('server', 'monitor', 1, 'admin noscript loading stale', null, monitor),
  command('server', 'lastsave', 1, 'loading stale fast', null, ({ reply, server }) =>
    reply.integer(Math.floor(server.startedAt / 1000)),
  ),
  command('server', 'save', 1, 'admin noscript', null, saved),
  command('server', 'bgsave', -1, 'admin noscript', null, (call) => backgroundSave(call, 'Background saving started')),
  command('server', 'bgrewriteaof', 1, 'admin noscript', null, (call) =>
    backgroundSave(call, 'Background append only file rewriting started'),
  ),
  command('generic', 'waitaof', 4, '', null, waitAof),
  command('server', 'memory|usage', -3, 'readonly', [2, 2, 1], memoryUsage),
  command('server', 'memory|stats', 2, '', null, memoryStats),
  command('server', 'memory|doctor', 2, '', null, ({ reply }) =>
    reply.verbatim(
      'txt',
      "Hi Sam, this instance is empty or is using very little memory, my issue detector can't be used in these conditions.",
    ),
  ),
  command('server', 'memory|malloc-stats', 2, '', null, ({ reply }) =>
    reply.bulk('Stats not supported for the current allocator'),
  ),
  command('server', 'memory|purge', 2, '', null, ({ reply }) => reply.status('OK')),
  command('server', 'slowlog|get', -2, 'admin loading stale', null, slowlogGet),
  command('server', 'slowlog|len', 2, 'admin loading stale', null, ({ reply, server }) => reply.integer(server.slow.length)),
  command('server', 'slowlog|reset', 2, 'admin loading stale', null, ({ reply, server }) => {
    server.slow.length = 0
    reply.status('OK')
  }),
  command('server', 'latency|latest', 2, 'admin noscript loading stale', null, ({ reply }) => reply.array(0)),
  command('server', 'latency|history', 3, 'admin noscript loading stale', null, ({ reply }) => reply.array(0)),
  command('server', 'latency|reset', -2, 'admin noscript loading stale', null, ({ reply }) => reply.integer(0)),
  command('server', 'latency|doctor', 2, 'admin noscript loading stale', null, ({ reply }) =>
    reply.verbatim(
      'txt',
      'Dave, I have observed the system, no worthy latency event registered so far in the life of this Redis instance, really.',
    ),
  ),
  command('server', 'module|list', 2, 'admin noscript', null, ({ reply }) => reply.array(0)),
  command('server', 'cluster|info', 2, 'stale', null, clusterInfo),
  command('server', 'cluster|nodes', 2, 'stale', null, noCluster),
  command('server', 'cluster|slots', 2, 'stale', null, noCluster),
  command('server', 'cluster|shards', 2, 'stale', null, noCluster),
  command('server', 'cluster|myid', 2, 'stale', null, noCluster),
  command('server', 'cluster|keyslot', 3, 'stale', null, noCluster),
  command('server', 'replicaof', 3, 'admin noscript stale', null, replicaOf),
  command('server', 'slaveof', 3, 'admin noscript stale', null, replicaOf),
  command('server', 'readonly', 1, 'fast', null, noCluster),
  command('server', 'readwrite', 1, 'fast', null, noCluster),
  command('server', 'lolwut', -1, 'readonly fast', null, ({ reply, server }) =>
    reply.verbatim('txt', `AnyMQ speaks Redis ver. ${server.version}\n`),
  ),
]
