/** Which settings of a topic go together, and within what limits. */
import { CoreError } from '../core/errors.ts'
import type { TopicConfig } from './face.ts'

/** Throws Invalid, naming the setting. */
export function checkConfig(config: TopicConfig): TopicConfig {
  const positive = (name: 'partitions' | 'priorityLevels', max: number): void => {
    if (!Number.isInteger(config[name]) || config[name] < 1 || config[name] > max)
      throw new CoreError('Invalid', `${name} must be from 1 to ${max}`, name)
  }
  positive('partitions', 10_000)
  positive('priorityLevels', 256)
  if (!Number.isSafeInteger(config.delayMs) || config.delayMs < 0)
    throw new CoreError('Invalid', 'delayMs must be a whole number, 0 for no delay', 'delayMs')
  if (!Number.isInteger(config.priorityDefault) || config.priorityDefault < 0 || config.priorityDefault >= config.priorityLevels)
    throw new CoreError('Invalid', 'priorityDefault must be below priorityLevels', 'priorityDefault')
  const least = (
    name: 'segmentBytes' | 'segmentMs' | 'tombstoneRetentionMs' | 'minCompactionLagMs' | 'minCleanableRatio',
    min: number,
    max = Number.MAX_SAFE_INTEGER,
  ): void => {
    if (!(config[name] >= min && config[name] <= max))
      throw new CoreError('Invalid', `${name} must be from ${min} to ${max}`, name)
  }
  least('segmentBytes', 1)
  least('segmentMs', 1)
  least('tombstoneRetentionMs', 0)
  least('minCompactionLagMs', 0)
  least('minCleanableRatio', 0, 1)
  if (config.indexed && Math.max(config.partitions, config.priorityLevels) > 1)
    throw new CoreError('Invalid', 'only a topic of one partition can be indexed', 'indexed')
  if (!config.indexed && config.subjectRecordsMax >= 0)
    throw new CoreError('Invalid', 'subjectRecordsMax needs indexed', 'subjectRecordsMax')
  if (!config.indexed && config.expiryMarker !== null)
    throw new CoreError('Invalid', 'expiryMarker needs indexed', 'expiryMarker')
  if (config.compact && config.retention === 'acknowledged')
    throw new CoreError('Invalid', 'a topic kept until acknowledged cannot be kept by key as well', 'compact')
  if (config.compact && config.indexed)
    throw new CoreError('Invalid', 'an indexed topic keeps by address (subjectRecordsMax), not by key', 'compact')
  if (config.compact && config.storage === 'memory')
    throw new CoreError('Invalid', 'a topic kept in memory cannot be kept by key', 'compact')
  return config
}
