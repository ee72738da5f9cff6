// Topic configs that are enforced when a batch arrives: how far its times may lie from now, and how it is to be compressed.
import type { TopicInfo } from '../../broker/face.ts'
import { batchCodec, batchMaxTimestamp, openBatch, recompressBatch } from './batch.ts'
import { codecs, type SetConfigs, setConfigs } from './config.ts'

const afterMsDefault = 3_600_000

/** Why the times in a batch are refused, or null. Kafka asks this only where the producer's times are kept. `defaults`: what was set for all topics. */
export function refusedTime(topic: TopicInfo, batch: Buffer, now: number, defaults: SetConfigs): string | null {
  if (topic.config.timestampType !== 'create') return null
  const set = setConfigs(topic)
  const after = set['message.timestamp.after.max.ms'] ?? defaults['message.timestamp.after.max.ms']
  const afterMs = Number(after ?? afterMsDefault)
  const newest = batchMaxTimestamp(batch, 0)
  if (newest - now > afterMs) return `a time ${newest - now} ms in the future; message.timestamp.after.max.ms is ${afterMs}`
  const before = set['message.timestamp.before.max.ms'] ?? defaults['message.timestamp.before.max.ms']
  if (before === undefined) return null
  const beforeMs = Number(before)
  // The header tells the newest time only.
  const oldest = openBatch(batch).reduce((least, record) => Math.min(least, record.timestamp), newest)
  return now - oldest > beforeMs ? `a time ${now - oldest} ms in the past; message.timestamp.before.max.ms is ${beforeMs}` : null
}

/** The batch as the topic wants it compressed: the same one when it is so already. Throws MalformedFrame when it cannot be opened. */
export function asConfigured(topic: TopicInfo, batch: Buffer, defaults: SetConfigs): Buffer {
  const wanted = setConfigs(topic)['compression.type'] ?? defaults['compression.type']
  if (wanted === undefined || wanted === 'producer') return batch
  const codec = codecs[wanted] ?? 0
  return batchCodec(batch, 0) === codec ? batch : recompressBatch(batch, codec)
}
