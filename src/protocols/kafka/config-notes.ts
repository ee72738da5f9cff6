// What is said of each topic config beside its value: in a few words what it does here, the broker-wide config that Kafka derives its default
// from, and why it has one value only where it has.

export interface ConfigNote {
  readonly documentation: string
  /** The broker config of the same meaning. */
  readonly broker?: string
  /** That one has no value unless it is set: another one with this value counts till then. */
  readonly fallback?: readonly [name: string, value: string]
  /** "… since": why nothing but the default is accepted. */
  readonly fixed?: string
}

const oneNode = 'there is one node and no replication'
const noTiers = 'records are kept on this machine alone'
const groupCommit = 'records are made durable together, before they are confirmed'

export const configNotes: Readonly<Record<string, ConfigNote>> = {
  'cleanup.policy': {
    documentation: 'What becomes of old records: delete by time and size, compact to the newest of each key, or both.',
    broker: 'log.cleanup.policy',
  },
  'retention.ms': {
    documentation: 'Records older than this are deleted, in milliseconds; -1 keeps them.',
    broker: 'log.retention.ms',
    fallback: ['log.retention.hours', '168'],
  },
  'retention.bytes': {
    documentation: 'The oldest records of a partition beyond this many bytes are deleted; -1 keeps them.',
    broker: 'log.retention.bytes',
  },
  'segment.bytes': { documentation: 'The size at which a new segment begins.', broker: 'log.segment.bytes' },
  'segment.ms': {
    documentation: 'The age at which a new segment begins, in milliseconds.',
    broker: 'log.roll.ms',
    fallback: ['log.roll.hours', '168'],
  },
  'max.message.bytes': {
    documentation: 'The largest batch that is accepted, as the producer sent it.',
    broker: 'message.max.bytes',
  },
  'message.timestamp.type': {
    documentation: "Whether a record keeps its producer's time or gets the broker's.",
    broker: 'log.message.timestamp.type',
  },
  'message.timestamp.before.max.ms': {
    documentation: 'How far in the past the time of a record may lie when it arrives.',
    broker: 'log.message.timestamp.before.max.ms',
  },
  'message.timestamp.after.max.ms': {
    documentation: 'How far in the future the time of a record may lie when it arrives.',
    broker: 'log.message.timestamp.after.max.ms',
  },
  'compression.type': {
    documentation: 'Batches are kept as the producer compressed them (producer), or compressed anew in this way.',
    broker: 'compression.type',
  },
  'compression.gzip.level': {
    documentation: 'The level at which batches are compressed anew with gzip.',
    broker: 'compression.gzip.level',
    fixed: 'batches are compressed anew at the standard level',
  },
  'compression.lz4.level': {
    documentation: 'The level at which batches are compressed anew with lz4.',
    broker: 'compression.lz4.level',
    fixed: 'batches are compressed anew at the standard level',
  },
  'compression.zstd.level': {
    documentation: 'The level at which batches are compressed anew with zstd.',
    broker: 'compression.zstd.level',
    fixed: 'batches are compressed anew at the standard level',
  },
  'min.insync.replicas': {
    documentation: 'How many replicas must have a record before it is confirmed.',
    broker: 'min.insync.replicas',
    fixed: oneNode,
  },
  'delete.retention.ms': {
    documentation: 'How long a compacted topic keeps the mark of a deleted key.',
    broker: 'log.cleaner.delete.retention.ms',
  },
  'file.delete.delay.ms': {
    documentation: 'How long the file of a deleted segment stays.',
    broker: 'log.segment.delete.delay.ms',
    fixed: 'files go once nobody reads them',
  },
  'flush.messages': {
    documentation: 'After how many records they are forced to the disk.',
    broker: 'log.flush.interval.messages',
    fixed: groupCommit,
  },
  'flush.ms': { documentation: 'After how long records are forced to the disk.', fixed: groupCommit },
  'follower.replication.throttled.replicas': { documentation: 'Replicas that copy at a limited rate.', fixed: oneNode },
  'leader.replication.throttled.replicas': { documentation: 'Replicas that are copied at a limited rate.', fixed: oneNode },
  'index.interval.bytes': {
    documentation: 'How many bytes lie between entries of the index.',
    broker: 'log.index.interval.bytes',
    fixed: 'the index has an entry for each block',
  },
  'local.retention.bytes': {
    documentation: 'How much stays on this machine of what is kept elsewhere.',
    broker: 'log.local.retention.bytes',
    fixed: noTiers,
  },
  'local.retention.ms': {
    documentation: 'How long what is kept elsewhere stays on this machine.',
    broker: 'log.local.retention.ms',
    fixed: noTiers,
  },
  'max.compaction.lag.ms': {
    documentation: 'After how long a record is compacted at the latest.',
    broker: 'log.cleaner.max.compaction.lag.ms',
    fixed: 'compaction runs when enough is to be gained',
  },
  'min.cleanable.dirty.ratio': {
    documentation: 'The share of uncompacted records at which compaction begins.',
    broker: 'log.cleaner.min.cleanable.ratio',
  },
  'min.compaction.lag.ms': {
    documentation: 'How long a record is left alone by compaction.',
    broker: 'log.cleaner.min.compaction.lag.ms',
  },
  'confluent.key.schema.validation': {
    documentation: "Whether a record's key must begin with the id of a schema that is registered for the topic.",
  },
  'confluent.key.subject.name.strategy': {
    documentation: "Under which subject the schemas of the records' keys are registered.",
  },
  'confluent.value.schema.validation': {
    documentation: "Whether a record's value must begin with the id of a schema that is registered for the topic.",
  },
  'confluent.value.subject.name.strategy': {
    documentation: "Under which subject the schemas of the records' values are registered.",
  },
  'anymq.key.schema.validation': {
    documentation: 'none, registered (as confluent.key.schema.validation), or content: the key must be by its schema too.',
  },
  'anymq.value.schema.validation': {
    documentation: 'none, registered (as confluent.value.schema.validation), or content: the value must be by its schema too.',
  },
  'anymq.delay.ms': {
    documentation: 'How long after their arrival records become visible, in ms, in the order of the log; 0: at once.',
  },
  'anymq.forward.topic': {
    documentation:
      'The topic that records move to by themselves once they are visible, with a header anymq.attempts; empty: they stay.',
  },
  'anymq.delay.headers': {
    documentation: "Whether records' headers anymq.delay-ms and anymq.deliver-at say when they are stored in the topic.",
  },
  'anymq.dead.letter.topic': {
    documentation: 'The topic that rejected, expired and too often delivered records go to; empty: they are dropped.',
  },
  'anymq.delivery.limit': {
    documentation: 'How often a record may come back from consumers that acknowledge one by one; -1: without end.',
  },
  'anymq.retry.delay.ms': {
    documentation:
      'How long a record that came back waits, in ms for each attempt so far, and after a colon at most; empty: not at all.',
  },
  'anymq.record.ttl.ms': {
    documentation: 'How long a record is offered to consumers that acknowledge one by one, in ms; -1: as long as it is kept.',
  },
  preallocate: {
    documentation: 'Whether files get their size when they are made.',
    broker: 'log.preallocate',
    fixed: 'segments are written whole',
  },
  'remote.log.copy.disable': { documentation: 'Whether nothing more is copied elsewhere.', fixed: noTiers },
  'remote.log.delete.on.disable': { documentation: 'Whether copies elsewhere are deleted when that ends.', fixed: noTiers },
  'remote.storage.enable': { documentation: 'Whether old records are kept elsewhere.', fixed: noTiers },
  'segment.index.bytes': {
    documentation: 'The size of the index of a segment.',
    broker: 'log.index.size.max.bytes',
    fixed: 'the index is as large as it must be',
  },
  'segment.jitter.ms': {
    documentation: 'A random part of the age at which a new segment begins.',
    fixed: 'segments are not begun all at once',
  },
  'unclean.leader.election.enable': {
    documentation: 'Whether a replica that lacks records may lead.',
    broker: 'unclean.leader.election.enable',
    fixed: oneNode,
  },
}
