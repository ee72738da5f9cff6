// Which configs the broker has, as Kafka names them: what each is, what it may be, and whether it can be changed.
import type { Limits } from '../../broker/face.ts'
import { ConfigSource, ConfigType, configRows, kafkaDefaults, settingOf } from './config.ts'
import { configNotes } from './config-notes.ts'
import { addressOverrides, unlimited } from './connection-limits.ts'
import { ConfigRefused } from './refused.ts'
import { idExpirationMs, transactionTimeoutMaxMs } from './transaction-coordinator.ts'

const { Boolean: bool, String: string, Int: int } = ConfigType

export interface BrokerConfigRow {
  readonly name: string
  readonly type: number
  readonly documentation: string
  /** null: it has none, and another one counts while it is not set. */
  readonly standard: string | null
  readonly fallback?: readonly [name: string, value: string] | undefined
  readonly source: number
  /** Throws {@link ConfigRefused} for what is no value of it. null: it is read-only. */
  readonly check: ((value: string) => void) | null
}

/** Topic configs by the broker config that is their default. */
export const topicConfigs = new Map(
  configRows.flatMap((row) => {
    const broker = configNotes[row.name]?.broker
    return broker === undefined ? [] : [[broker, row] as const]
  }),
)

/** All of them, in the order in which they are shown. */
export function brokerConfigRows(nodeId: number, limits: Limits): BrokerConfigRow[] {
  const fixed = (name: string, type: number, standard: string, documentation: string, source: number): BrokerConfigRow => ({
    name,
    type,
    documentation,
    standard,
    source,
    check: null,
  })
  const given = (name: string, type: number, value: string, documentation: string): BrokerConfigRow =>
    fixed(name, type, value, documentation, ConfigSource.StaticBroker)
  const known = (name: string, type: number, value: string, documentation: string): BrokerConfigRow =>
    fixed(name, type, value, documentation, ConfigSource.Default)
  const count = (name: string, standard: number, documentation: string, least = 0): BrokerConfigRow => ({
    ...known(name, int, String(standard), documentation),
    check: (value) => {
      if (!/^\d+$/.test(value) || Number(value) < least || Number(value) > unlimited)
        throw new ConfigRefused(`Invalid value ${value} for configuration ${name}: a whole number from ${least} to ${unlimited}`)
    },
  })
  return [
    given('broker.id', int, String(nodeId), 'The number of this node.'),
    given('node.id', int, String(nodeId), 'The number of this node.'),
    known('num.partitions', int, String(kafkaDefaults.partitions), 'The partitions of a topic that is created without a number.'),
    known(
      'auto.create.topics.enable',
      bool,
      'true',
      'Whether asking for a missing topic creates it, where the client allows it.',
    ),
    known('default.replication.factor', int, '1', 'The replicas of a topic that is created without a number.'),
    known('delete.topic.enable', bool, 'true', 'Whether topics can be deleted.'),
    known('group.initial.rebalance.delay.ms', int, '0', 'How long a new group waits for more members.'),
    known('group.max.session.timeout.ms', int, '1800000', 'The longest session of a group member.'),
    known('group.min.session.timeout.ms', int, '6000', 'The shortest session of a group member.'),
    count('max.connections', limits.connectionsMax, 'Connections at most.'),
    count('max.connections.per.ip', unlimited, 'Connections from one address at most.'),
    {
      ...known('max.connections.per.ip.overrides', string, '', 'How many one address may have instead: address:number, …'),
      check: (value) => void addressOverrides(value),
    },
    count('max.connection.creation.rate', unlimited, 'Connections a second at most; others wait.', 1),
    known('offsets.retention.minutes', int, '10080', 'How long the offsets of a group without members are kept.'),
    known('socket.request.max.bytes', int, String(limits.frameBytesMax), 'The largest request that is read.'),
    known(
      'transaction.max.timeout.ms',
      int,
      String(transactionTimeoutMaxMs),
      'The longest time that a transaction may be given.',
    ),
    known('transactional.id.expiration.ms', int, String(idExpirationMs), 'How long a transactional id that is not used is kept.'),
    ...[...topicConfigs].flatMap(([name, row]) => {
      const { documentation = '', fallback } = configNotes[row.name] ?? {}
      const own: BrokerConfigRow = {
        name,
        type: row.type,
        documentation,
        standard: fallback === undefined ? row.read(kafkaDefaults, {}) : null,
        fallback,
        source: ConfigSource.Default,
        check: (value) => {
          // A topic may keep nothing at all, the broker may not say so for all.
          if (name === 'log.retention.ms' && value === '0') throw new ConfigRefused('-1, or 1 and more')
          settingOf(row.name, value)
        },
      }
      return fallback === undefined ? [own] : [own, known(fallback[0], int, fallback[1], documentation)]
    }),
  ]
}
