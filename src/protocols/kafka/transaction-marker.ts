// The control batch that ends a transaction in a partition: what a consumer of the log is told, one offset of it.
import { crc32c } from '../../lib/crc32c.ts'
import { batchAt, batchHeaderBytes, controlBit, transactionalBit } from './batch.ts'
import { writeInt64 } from './wire.ts'

/**
 * A record with the key (version 0 i16, type i16: 0 abort, 1 commit) and the value (version 0 i16, coordinator epoch i32): its length, attributes,
 * deltas and the lengths of key and value are zig-zag varints, each of one byte here.
 */
const record = Buffer.from('20000000' + '0800000000' + '0c000000000000' + '00', 'hex')
const typeAt = 8
const coordinatorEpochAt = 12

export interface MarkerFields {
  readonly producerId: number
  readonly producerEpoch: number
  readonly commit: boolean
  readonly coordinatorEpoch: number
  /** Milliseconds since the epoch. */
  readonly timestamp: number
}

/** Its base offset is stamped when it is stored. */
export function buildMarker({ producerId, producerEpoch, commit, coordinatorEpoch, timestamp }: MarkerFields): Buffer {
  const batch = Buffer.alloc(batchHeaderBytes + record.length)
  batch.writeInt32BE(batch.length - batchAt.leaderEpoch, batchAt.length)
  batch[batchAt.magic] = 2
  batch.writeInt16BE(transactionalBit | controlBit, batchAt.attributes)
  writeInt64(batch, timestamp, batchAt.baseTimestamp)
  writeInt64(batch, timestamp, batchAt.maxTimestamp)
  writeInt64(batch, producerId, batchAt.producerId)
  batch.writeInt16BE(producerEpoch, batchAt.producerEpoch)
  batch.writeInt32BE(-1, batchAt.baseSequence)
  batch.writeInt32BE(1, batchAt.count)
  record.copy(batch, batchHeaderBytes)
  batch[batchHeaderBytes + typeAt] = commit ? 1 : 0
  batch.writeInt32BE(coordinatorEpoch, batchHeaderBytes + coordinatorEpochAt)
  batch.writeUInt32BE(crc32c(batch, batchAt.attributes, batch.length), batchAt.crc)
  return batch
}
