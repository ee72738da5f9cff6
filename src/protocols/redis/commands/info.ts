/** INFO. Fields that clients look at, as far as they are true here. */
import { text } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import { redisVersion, type Server } from '../server.ts'

type Section = (server: Server) => readonly (readonly [string, string | number])[]

const mebibyte = 1024 * 1024

function human(bytes: number): string {
  if (bytes < 1024) return `${bytes}B`
  if (bytes < mebibyte) return `${(bytes / 1024).toFixed(2)}K`
  if (bytes < mebibyte * 1024) return `${(bytes / mebibyte).toFixed(2)}M`
  return `${(bytes / mebibyte / 1024).toFixed(2)}G`
}

const sections: Readonly<Record<string, Section>> = {
  server: (server) => {
    const seconds = Math.floor((server.now - server.startedAt) / 1000)
    return [
      ['redis_version', redisVersion],
      ['redis_mode', 'standalone'],
      ['os', `${process.platform} ${process.arch}`],
      ['arch_bits', 64],
      ['process_id', process.pid],
      ['run_id', Buffer.from(server.broker.clusterId).toString('hex').padEnd(40, '0').slice(0, 40)],
      ['tcp_port', server.port],
      ['server_time_usec', server.now * 1000],
      ['uptime_in_seconds', seconds],
      ['uptime_in_days', Math.floor(seconds / 86_400)],
      ['server_name', 'AnyMQ'],
    ]
  },
  clients: (server) => [
    ['connected_clients', server.clients.size],
    ['cluster_connections', 0],
    ['maxclients', server.broker.limits.connectionsMax],
    ['blocked_clients', server.blocked.size],
    ['tracking_clients', 0],
    ['pubsub_clients', [...server.clients.values()].filter(({ subscriptions }) => subscriptions > 0).length],
    ['watching_clients', [...server.clients.values()].filter(({ watched }) => watched.length > 0).length],
    ['total_blocking_keys', server.blocked.keys],
  ],
  memory: (server) => {
    const used = server.memoryBytes
    const { rss } = process.memoryUsage()
    const max = server.settings.maxMemoryBytes
    return [
      ['used_memory', used],
      ['used_memory_human', human(used)],
      ['used_memory_rss', rss],
      ['used_memory_rss_human', human(rss)],
      ['used_memory_dataset', used],
      ['maxmemory', max],
      ['maxmemory_human', human(max)],
      ['maxmemory_policy', 'noeviction'],
      ['mem_fragmentation_ratio', used === 0 ? '1.00' : (rss / used).toFixed(2)],
    ]
  },
  persistence: (server) => [
    ['loading', 0],
    ['async_loading', 0],
    ['rdb_changes_since_last_save', 0],
    ['rdb_bgsave_in_progress', 0],
    ['rdb_last_save_time', Math.floor(server.startedAt / 1000)],
    ['rdb_last_bgsave_status', 'ok'],
    ['aof_enabled', 1],
    ['aof_rewrite_in_progress', server.keeper.isTaking ? 1 : 0],
    ['aof_last_write_status', server.failure === null ? 'ok' : 'err'],
    ['aof_current_size', server.keeper.journal.bytes],
    ['aof_rewrites', server.keeper.snapshots],
  ],
  stats: (server) => [
    ['total_connections_received', server.statistics.connections],
    ['total_commands_processed', server.statistics.commands],
    ['rejected_connections', 0],
    ['expired_keys', server.statistics.expired],
    ['evicted_keys', 0],
    ['pubsub_channels', server.pubsub.channels(null, false).length],
    ['pubsub_patterns', server.pubsub.patterns],
    ['pubsubshard_channels', server.pubsub.channels(null, true).length],
    ['total_error_replies', server.statistics.errors],
  ],
  replication: () => [
    ['role', 'master'],
    ['connected_slaves', 0],
    ['master_failover_state', 'no-failover'],
    ['master_repl_offset', 0],
  ],
  cpu: () => {
    const { system, user } = process.cpuUsage()
    return [
      ['used_cpu_sys', (system / 1e6).toFixed(6)],
      ['used_cpu_user', (user / 1e6).toFixed(6)],
    ]
  },
  modules: () => [],
  errorstats: () => [],
  cluster: () => [['cluster_enabled', 0]],
  keyspace: (server) =>
    server.databases
      .filter((db) => db.size > 0)
      .map((db) => [`db${db.index}`, `keys=${db.size},expires=${db.expiring},avg_ttl=0,subexpiry=0`] as const),
}

const all = ['all', 'everything', 'default']

function info({ args, reply, server }: Call): void {
  const wanted = args.slice(1).map((arg) => text(arg).toLowerCase())
  const names = Object.keys(sections).filter(
    (name) => wanted.length === 0 || wanted.includes(name) || wanted.some((word) => all.includes(word)),
  )
  const parts = names.map((name) => {
    const fields = sections[name]?.(server) ?? []
    const title = name === 'cpu' ? 'CPU' : name.charAt(0).toUpperCase() + name.slice(1)
    return [`# ${title}`, ...fields.map(([field, value]) => `${field}:${value}`)].join('\r\n')
  })
  reply.verbatim('txt', parts.map((part) => `${part}\r\n`).join('\r\n'))
}

export const infoCommands: readonly Command[] = [command('server', 'info', -1, 'loading stale', null, info)]
