// Produce: the hot request, read by hand (produce.test.ts holds it equal to the table). A batch is checked and handed to the broker as it
// came; the answer goes out when the broker says it is stored. Next: broker/ (publish).
import { PublishItem, PublishStatus, type TopicInfo } from '../../../broker/face.ts'
import {
  batchBaseSequence,
  batchCount,
  batchIsTransactional,
  batchMaxTimestamp,
  batchProducerEpoch,
  batchProducerId,
  setLogAppendTime,
  validateBatch,
} from '../batch.ts'
import { skipTags } from '../codec.ts'
import { type Split, splitDelayed } from '../delays.ts'
import { KafkaError, produceCode, textOf } from '../errors.ts'
import { batchFormatId } from '../mapping.ts'
import { asConfigured, refusedTime } from '../produce-rules.ts'
import type { Request } from '../request.ts'
import { MalformedFrame, type Reader } from '../wire.ts'
import { admit, isInTransaction, joiningVersion } from './transaction-records.ts'

/** One partition's part of a produce request, and what became of it. */
export class ProducePart {
  readonly topic: string
  readonly topicId: string
  readonly index: number
  readonly records: Buffer | null
  errorCode = 0
  errorMessage: string | null = null
  /** Which records are the reason for the error, from version 8 on. */
  recordErrors: readonly { readonly batchIndex: number; readonly batchIndexErrorMessage: string }[] = []
  item: PublishItem | null = null

  constructor(topic: string, topicId: string, index: number, records: Buffer | null) {
    this.topic = topic
    this.topicId = topicId
    this.index = index
    this.records = records
  }
}

export interface ProduceRequest {
  readonly transactionalId: string | null
  readonly acks: number
  readonly timeoutMs: number
  readonly parts: ProducePart[]
}

export function readProduceRequest(reader: Reader, version: number): ProduceRequest {
  const flexible = version >= 9
  const transactionalId = flexible ? compactString(reader) : reader.nullableString()
  const acks = reader.int16()
  const timeoutMs = reader.int32()
  const parts: ProducePart[] = []
  for (let topics = count(reader, flexible); topics > 0; topics--) {
    const topic = version >= 13 ? '' : ((flexible ? compactString(reader) : reader.nullableString()) ?? '')
    const topicId = version >= 13 ? reader.uuid() : ''
    for (let partitions = count(reader, flexible); partitions > 0; partitions--) {
      const index = reader.int32()
      const bytes = flexible ? reader.uvarint() - 1 : reader.int32()
      parts.push(new ProducePart(topic, topicId, index, bytes < 0 ? null : reader.bytes(bytes)))
      if (flexible) skipTags(reader)
    }
    if (flexible) skipTags(reader)
  }
  if (flexible) skipTags(reader)
  return { transactionalId, acks, timeoutMs, parts }
}

function count(reader: Reader, flexible: boolean): number {
  const elements = flexible ? reader.uvarint() - 1 : reader.int32()
  if (elements > reader.remaining()) throw new MalformedFrame(`${elements} elements in ${reader.remaining()} bytes`)
  return elements
}

function compactString(reader: Reader): string | null {
  const length = reader.uvarint() - 1
  return length < 0 ? null : reader.string(length)
}

export function produce(request: Request): void {
  const { session, version } = request
  if (version < 3) return refuseOldVersion(request)
  const { acks, parts, transactionalId } = readProduceRequest(request.reader, version)
  if (acks < -1 || acks > 1) {
    for (const part of parts) part.errorCode = KafkaError.InvalidRequiredAcks
    return answer(request, parts, acks)
  }
  for (const part of parts) prepare(request, part)
  if (parts.some((part) => part.item?.undecided)) admit(request, transactionalId, parts)
  const items = parts.flatMap((part) => part.item ?? [])
  if (acks === 0) {
    countBytes(request, parts)
    request.silent()
  }
  if (items.length === 0) return answer(request, parts, acks)
  session.space.publish(items, () => {
    request.timed(() => {
      for (const part of parts) conclude(part)
      answer(request, parts, acks)
    })
  })
}

/** Checks a part; sets its item, or its error. */
function prepare(request: Request, part: ProducePart): void {
  const { space, broker } = request.session
  const { records: received } = part
  const info = part.topic !== '' ? space.topic(part.topic) : space.topicById(Buffer.from(part.topicId, 'hex'))
  if (info === undefined) {
    part.errorCode = request.version >= 13 ? KafkaError.UnknownTopicId : KafkaError.UnknownTopicOrPartition
    return
  }
  if (part.index < 0 || part.index >= info.config.partitions) {
    part.errorCode = KafkaError.UnknownTopicOrPartition
    return
  }
  if (received === null || received.length === 0) {
    part.errorCode = KafkaError.InvalidRecord
    return
  }
  if (received.length > info.config.recordBytesMax) {
    part.errorCode = KafkaError.MessageTooLarge
    part.errorMessage = `the batch has ${received.length} bytes; max.message.bytes of ${info.name} is ${info.config.recordBytesMax}`
    return
  }
  part.errorCode = validateBatch(received, 0, received.length, request.version)
  if (part.errorCode !== KafkaError.None) return
  const records = applyRules(request, part, info, received)
  if (records === null) return
  const split = delayed(part, info, records, broker.clock.now())
  if (part.errorCode !== KafkaError.None) return
  const item = new PublishItem(null, info.name, batchFormatId, split?.batch ?? records)
  item.later = split?.later ?? null
  item.partition = part.index
  item.count = batchCount(records, 0)
  item.timestamp = Math.max(0, batchMaxTimestamp(records, 0))
  item.producerId = batchProducerId(records, 0)
  if (item.producerId >= 0) {
    item.producerEpoch = batchProducerEpoch(records, 0)
    item.producerSequence = batchBaseSequence(records, 0)
    item.undecided = batchIsTransactional(records, 0)
    // With a new epoch for each transaction there is nothing to be remembered from before.
    item.sequenceFromZero = item.undecided && request.version >= joiningVersion
    if (!item.undecided && isInTransaction(request, item)) {
      part.errorCode = KafkaError.InvalidTxnState
      return
    }
  }
  part.item = item
}

/** The batch as the topic's configs want it, or null with the part's error set. */
function applyRules(request: Request, part: ProducePart, info: TopicInfo, received: Buffer): Buffer | null {
  const { broker, configs } = request.session
  const now = broker.clock.now()
  try {
    part.errorMessage = refusedTime(info, received, now, configs.set)
    if (part.errorMessage !== null) {
      part.errorCode = KafkaError.InvalidTimestamp
      return null
    }
    const records = asConfigured(info, received, configs.set)
    if (info.config.timestampType === 'logAppend') setLogAppendTime(records, 0, records.length, now)
    return records
  } catch (cause) {
    // Only a batch that had to be opened gets here; what is within is not what its header says.
    part.errorCode = KafkaError.CorruptMessage
    part.errorMessage = textOf(cause)
    return null
  }
}

/** What of the batch is for later, by the records' own headers; null when nothing is, or with the part's error set. */
function delayed(part: ProducePart, info: TopicInfo, records: Buffer, now: number): Split | null {
  try {
    const found = splitDelayed(info, records, now)
    if (found === null || 'later' in found) return found
    part.errorCode = KafkaError.InvalidRecord
    part.errorMessage = found.reason
    part.recordErrors = [{ batchIndex: found.index, batchIndexErrorMessage: found.reason }]
  } catch (cause) {
    part.errorCode = KafkaError.CorruptMessage
    part.errorMessage = textOf(cause)
  }
  return null
}

function conclude(part: ProducePart): void {
  const { item } = part
  if (item === null || item.status === PublishStatus.Stored || item.status === PublishStatus.Duplicate) return
  part.errorCode = item.errorCode === null ? KafkaError.UnknownTopicOrPartition : produceCode(item.errorCode)
  part.errorMessage = item.errorMessage === '' ? null : item.errorMessage
  if (item.refusedRecord >= 0) part.recordErrors = [{ batchIndex: item.refusedRecord, batchIndexErrorMessage: item.errorMessage }]
}

function answer(request: Request, parts: readonly ProducePart[], acks: number): void {
  if (acks !== 0) {
    countBytes(request, parts)
    return request.respond({ responses: responsesOf(request, parts) })
  }
  // acks=0 has no answer: the only sign of an error is the end of the connection, at which the client refreshes what it knows.
  const failed = parts.find((part) => part.errorCode !== KafkaError.None)
  if (failed !== undefined)
    request.session.fail(`produce with acks=0 failed: error ${failed.errorCode} on ${failed.topic}-${failed.index}`)
}

function countBytes(request: Request, parts: readonly ProducePart[]): void {
  const bytes = parts.reduce((sum, part) => sum + (part.records?.length ?? 0), 0)
  request.throttle('producer_byte_rate', bytes)
}

interface TopicResponse {
  readonly name: string
  readonly topicId: string
  readonly partitionResponses: object[]
}

function responsesOf(request: Request, parts: readonly ProducePart[]): TopicResponse[] {
  const responses: TopicResponse[] = []
  let last: TopicResponse | undefined
  for (const part of parts) {
    const { item } = part
    const failed = part.errorCode !== KafkaError.None
    if (last === undefined || last.name !== part.topic || (request.version >= 13 && last.topicId !== part.topicId)) {
      last = { name: part.topic, topicId: part.topicId, partitionResponses: [] }
      responses.push(last)
    }
    last.partitionResponses.push({
      index: part.index,
      errorCode: part.errorCode,
      baseOffset: failed || item === null ? -1 : item.baseOffset,
      logAppendTimeMs: failed || item === null ? -1 : logAppendTimeOf(request, item),
      logStartOffset: failed || item === null ? -1 : item.startOffset,
      recordErrors: part.recordErrors,
      errorMessage: part.errorMessage,
    })
  }
  return responses
}

function logAppendTimeOf(request: Request, item: PublishItem): number {
  return request.session.space.topic(item.address)?.config.timestampType === 'logAppend' ? batchMaxTimestamp(item.payload, 0) : -1
}

/** The fields of v0-2 are those of v3 without the transactional id, and their records are of a magic we do not take. */
function refuseOldVersion(request: Request): void {
  const { reader, session } = request
  const acks = reader.int16()
  reader.int32()
  if (acks === 0) return session.fail('produce below version 3')
  const topics: object[] = []
  const writer = request.begin()
  for (let left = count(reader, false); left > 0; left--) {
    const name = reader.nullableString() ?? ''
    const indexes: number[] = []
    for (let partitions = count(reader, false); partitions > 0; partitions--) {
      indexes.push(reader.int32())
      reader.bytes(Math.max(0, reader.int32()))
    }
    topics.push({
      name,
      partitionResponses: indexes.map((index) => ({ index, errorCode: KafkaError.UnsupportedVersion, baseOffset: -1 })),
    })
  }
  request.api.response.encode(writer, { responses: topics }, request.version)
  request.respondWritten(writer)
}
