// The broker's own configs as Kafka names them: what tools look for. All are read-only here: they come from the broker's own configuration.
import type { Limits } from '../../broker/face.ts'
import { ConfigSource, ConfigType, kafkaDefaults, type ShownConfig } from './config.ts'
import { idExpirationMs, transactionTimeoutMaxMs } from './transaction-coordinator.ts'

const { Boolean: bool, String: string, Int: int, Long: long, List: list } = ConfigType

type Row = readonly [name: string, value: string, type: number, documentation: string]

export function brokerConfigs(nodeId: number, limits: Limits): ShownConfig[] {
  const fixed: readonly Row[] = [
    ['broker.id', String(nodeId), int, 'The number of this node.'],
    ['node.id', String(nodeId), int, 'The number of this node.'],
    ['num.partitions', String(kafkaDefaults.partitions), int, 'The partitions of a topic that is created without a number.'],
  ]
  const standard: readonly Row[] = [
    ['auto.create.topics.enable', 'true', bool, 'Whether asking for a missing topic creates it, where the client allows it.'],
    ['compression.type', 'producer', string, 'How batches are kept.'],
    ['default.replication.factor', '1', int, 'The replicas of a topic that is created without a number.'],
    ['delete.topic.enable', 'true', bool, 'Whether topics can be deleted.'],
    ['group.initial.rebalance.delay.ms', '0', int, 'How long a new group waits for more members.'],
    ['group.max.session.timeout.ms', '1800000', int, 'The longest session of a group member.'],
    ['group.min.session.timeout.ms', '6000', int, 'The shortest session of a group member.'],
    ['log.cleanup.policy', 'delete', list, 'What becomes of old records.'],
    ['log.message.timestamp.type', 'CreateTime', string, 'Whose time records have.'],
    ['log.retention.bytes', String(kafkaDefaults.retentionBytes), long, 'The bytes of a partition that are kept.'],
    ['log.retention.ms', String(kafkaDefaults.retentionMs), long, 'How long records are kept.'],
    ['log.segment.bytes', String(kafkaDefaults.segmentBytes), int, 'The size at which a new segment begins.'],
    ['max.connections', String(limits.connectionsMax), int, 'Connections at most.'],
    ['message.max.bytes', String(kafkaDefaults.recordBytesMax), int, 'The largest batch that is accepted.'],
    ['min.insync.replicas', '1', int, 'How many replicas must have a record before it is confirmed.'],
    ['offsets.retention.minutes', '10080', int, 'How long the offsets of a group without members are kept.'],
    ['socket.request.max.bytes', String(limits.frameBytesMax), int, 'The largest request that is read.'],
    ['transaction.max.timeout.ms', String(transactionTimeoutMaxMs), int, 'The longest time that a transaction may be given.'],
    ['transactional.id.expiration.ms', String(idExpirationMs), int, 'How long a transactional id that is not used is kept.'],
    ['unclean.leader.election.enable', 'false', bool, 'Whether a replica that lacks records may lead.'],
  ]
  return [
    ...fixed.map((row) => shown(row, ConfigSource.StaticBroker)),
    ...standard.map((row) => shown(row, ConfigSource.Default)),
  ]
}

function shown([name, value, configType, documentation]: Row, configSource: number): ShownConfig {
  return {
    name,
    value,
    readOnly: true,
    configSource,
    configType,
    documentation,
    synonyms: [{ name, value, source: configSource }],
  }
}
