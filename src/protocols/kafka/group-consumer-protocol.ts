// The consumer's own words within a classic group ("consumer" protocol type): what it subscribes to and what it is assigned. The broker
// needs them to know a group's topics, and where classic members and members of the consumer protocol share a group.
import { consumerProtocolAssignment, consumerProtocolSubscription } from './messages.ts'
import { Schema } from './schema.ts'
import { Reader, Writer } from './wire.ts'

export const consumerProtocolType = 'consumer'
const versionMax = 3
const subscriptionSchema = new Schema(consumerProtocolSubscription, 0x7fff)
const assignmentSchema = new Schema(consumerProtocolAssignment, 0x7fff)

export interface TopicPartitions {
  readonly topic: string
  readonly partitions: readonly number[]
}

export interface ConsumerSubscription {
  readonly version: number
  readonly topics: readonly string[]
  readonly ownedPartitions: readonly TopicPartitions[]
  readonly rackId: string | null
}

/** undefined when the bytes are something else: they are opaque by contract. */
export function readSubscription(metadata: Buffer): ConsumerSubscription | undefined {
  const read = readVersioned(metadata, subscriptionSchema)
  if (read === undefined) return undefined
  const { topics, ownedPartitions, rackId } = read.message
  return { version: read.version, topics, ownedPartitions, rackId }
}

export function readAssignment(assignment: Buffer): readonly TopicPartitions[] | undefined {
  if (assignment.length === 0) return []
  return readVersioned(assignment, assignmentSchema)?.message['assignedPartitions']
}

export function writeAssignment(version: number, assignedPartitions: readonly TopicPartitions[]): Buffer {
  const writer = new Writer()
  writer.int16(version)
  assignmentSchema.encode(writer, { assignedPartitions }, version)
  return Buffer.concat(writer.finish())
}

function readVersioned(bytes: Buffer, schema: Schema): { version: number; message: ReturnType<Schema['decode']> } | undefined {
  try {
    const reader = new Reader(bytes)
    // A version beyond ours begins with all that we know, by its rule.
    const version = Math.min(reader.int16(), versionMax)
    if (version < 0) return undefined
    return { version, message: schema.decode(reader, version) }
  } catch {
    return undefined
  }
}
