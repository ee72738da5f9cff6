/** Records of a request on their way to a topic, and what became of each. */
import { PublishItem, PublishStatus, type Space } from '../../broker/face.ts'
import type { Header } from '../../core/record.ts'
import { recordFormat } from '../kafka/mapping.ts'
import { codeOf } from './errors.ts'
import { partitionOf } from './partitioner.ts'

export interface OutgoingRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** null: by the key, or any. */
  readonly partition: number | null
  readonly headers: readonly Header[]
  /** ms; null: now. */
  readonly timestamp: number | null
}

/** Records without a key go to partitions in turn. */
let turn = 0

/** Resolves when all are stored, or refused; each item says its partition. The topic exists. */
export function produce(
  space: Space,
  topic: string,
  partitions: number,
  records: readonly OutgoingRecord[],
  now: number,
): Promise<PublishItem[]> {
  const items = records.map(({ key, value, partition, headers, timestamp }) => {
    const time = timestamp ?? now
    const payload = recordFormat.fromAttributes({ key, value, headers: [...headers], timestamp: time })
    const item = new PublishItem(null, topic, recordFormat.id, payload)
    item.key = key
    item.timestamp = time
    item.partition = partition ?? (key === null ? turn++ % partitions : partitionOf(key, partitions))
    return item
  })
  return new Promise((resolve) => {
    if (items.length === 0) resolve(items)
    else space.publish(items, () => resolve(items))
  })
}

export const failed = (item: PublishItem): boolean =>
  item.status !== PublishStatus.Stored && item.status !== PublishStatus.Duplicate

/** Of v2: 1 for what will fail again, 2 for what may be tried again. */
export function v2Outcome(item: PublishItem): object {
  if (!failed(item)) return { partition: item.partition, offset: item.baseOffset, error_code: null, error: null }
  const retriable = item.errorCode === 'Full' || item.errorCode === 'Unavailable' || item.errorCode === 'Throttled'
  return { partition: null, offset: null, error_code: retriable ? 2 : 1, error: item.errorMessage || 'no topic took it' }
}

export const errorCodeOf = (item: PublishItem): number => codeOf(item.errorCode ?? 'NotFound')
