/** Publish and PublishBatch: one record to the topic's exchange; copies.ts says what subscribers get of it. */
import { createHash, randomUUID } from 'node:crypto'
import { PublishItem, PublishStatus } from '../../../broker/face.ts'
import { commonError, coreError, errorOf, invalidParameter } from '../errors.ts'
import type { Shapes } from '../form.ts'
import { type Input, isFields } from '../input.ts'
import { badCharacter, encodeMessage, type Message, messageFormatId } from '../mapping.ts'
import { attributeBytes, readAttributes } from '../message-attributes.ts'
import { namespace } from '../sqs/queue.ts'
import type { SnsAction, SnsCall } from './call.ts'
import type { Topic } from './store.ts'

const messageBytesMax = 256 * 1024
const entriesMax = 10
const messageShapes: Shapes = {
  MessageAttributes: { map: 'MessageAttributes.entry', key: 'Name', value: 'Value', of: {} },
}

interface Prepared {
  readonly message: Message
  readonly bytes: number
  readonly item: PublishItem
  /** By which a repetition is answered as the first was; null: never. */
  readonly repeatKey: string | null
}

export const publish: SnsAction = {
  shapes: messageShapes,
  run: async (call) => {
    if (call.input.has('PhoneNumber')) throw invalidParameter('PhoneNumber Reason: messages to phones are not sent here')
    const topic = call.topic('publish', call.input.has('TopicArn') ? 'TopicArn' : 'TargetArn')
    const prepared = prepare(call, topic, call.input)
    if (prepared.bytes > messageBytesMax) throw invalidParameter('Message too long')
    await store(call, [prepared])
    return outcome(call, prepared)
  },
}

export const publishBatch: SnsAction = {
  shapes: { PublishBatchRequestEntries: { list: 'PublishBatchRequestEntries.member', of: messageShapes } },
  run: async (call) => {
    const topic = call.topic('publish')
    const entries = batchEntries(call.input.entries('PublishBatchRequestEntries'))
    const good: { readonly id: string; readonly prepared: Prepared }[] = []
    const failures = new Map<string, object>()
    for (const { id, entry } of entries) {
      try {
        good.push({ id, prepared: prepare(call, topic, entry) })
      } catch (cause) {
        failures.set(id, failure(id, cause))
      }
    }
    if (good.reduce((sum, { prepared }) => sum + prepared.bytes, 0) > messageBytesMax)
      throw commonError('BatchRequestTooLong', `The length of all the messages put together is more than the limit.`)
    await store(
      call,
      good.map(({ prepared }) => prepared),
    )
    const successful: object[] = []
    for (const { id, prepared } of good) {
      try {
        successful.push({ Id: id, ...outcome(call, prepared) })
      } catch (cause) {
        failures.set(id, failure(id, cause))
      }
    }
    return { Successful: successful, Failed: entries.flatMap(({ id }) => failures.get(id) ?? []) }
  },
}

/** Throws what is nobody's fault but ours. */
function failure(id: string, cause: unknown): object {
  const error = errorOf('sns', cause)
  if (error === null) throw cause
  return { Id: id, Code: error.code, Message: error.message, SenderFault: error.senderFault }
}

function batchEntries(entries: readonly Input[]): { readonly id: string; readonly entry: Input }[] {
  if (entries.length === 0) throw commonError('EmptyBatchRequest', "The batch request doesn't contain any entries.")
  if (entries.length > entriesMax)
    throw commonError('TooManyEntriesInBatchRequest', 'The batch request contains more entries than permissible.')
  const seen = new Set<string>()
  return entries.map((entry) => {
    const id = entry.text('Id')
    if (!/^[A-Za-z0-9_-]{1,80}$/.test(id))
      throw commonError('InvalidBatchEntryId', "The Id of a batch entry in a batch request doesn't abide by the specification.")
    if (seen.has(id)) throw commonError('BatchEntryIdsNotDistinct', 'Two or more batch entries in the request have the same Id.')
    seen.add(id)
    return { id, entry }
  })
}

function prepare(call: SnsCall, topic: Topic, entry: Input): Prepared {
  const text = entry.optionalText('Message') ?? ''
  if (text === '') throw invalidParameter('Empty message')
  if (badCharacter.test(text)) throw invalidParameter('Message Reason: it has characters that XML 1.0 does not have')
  const bodies = entry.has('MessageStructure') ? bodiesOf(entry.text('MessageStructure'), text) : undefined
  const subject = entry.optionalText('Subject')
  if (subject !== undefined && !/^[!-~][ -~]{0,99}$/.test(subject)) throw invalidParameter('Subject')
  const attributes = readAttributes(entry.structures('MessageAttributes'), ['String', 'Number', 'Binary'], (reason) =>
    commonError('ParameterValueInvalid', reason),
  )
  const { group, dedup } = fifoParts(topic, entry, text)
  const body = bodies?.['default'] ?? text
  const message: Message = {
    id: randomUUID(),
    body,
    attributes,
    ...(subject !== undefined && { subject }),
    ...(bodies !== undefined && { bodies }),
    ...(group !== undefined && { group }),
    ...(dedup !== undefined && { dedup }),
    ...(topic.fifo && { sequence: call.store.queues.sequence.next() }),
    ...(call.caller.sender !== undefined && { sender: call.caller.sender }),
  }
  const item = new PublishItem(topic.name, '', messageFormatId, encodeMessage(message))
  if (group !== undefined) item.key = Buffer.from(group)
  const scope = topic.attributes['FifoThroughputScope'] === 'MessageGroup' ? `${group ?? ''}\u0000` : ''
  // For queues that others have bound; those that are subscribed have their own (sqs/item.ts).
  if (dedup !== undefined) item.dedupId = `${topic.name}\u0000${scope}${dedup}`
  return {
    message,
    bytes: Buffer.byteLength(text) + attributeBytes(attributes),
    item,
    repeatKey: item.dedupId === null ? null : `sns/${namespace}/${item.dedupId}`,
  }
}

/** A text for each protocol, and one for those without their own. */
function bodiesOf(structure: string, text: string): Record<string, string> {
  if (structure !== 'json') throw invalidParameter('MessageStructure')
  let bodies: unknown
  try {
    bodies = JSON.parse(text)
  } catch {
    throw invalidParameter('Message Structure - JSON message body failed to parse')
  }
  if (!isFields(bodies)) throw invalidParameter('Message Structure - JSON message body failed to parse')
  if (typeof bodies['default'] !== 'string') throw invalidParameter('Message Structure - No default entry in JSON message body')
  // What is no text is for nobody here.
  return Object.fromEntries(Object.entries(bodies).filter((pair): pair is [string, string] => typeof pair[1] === 'string'))
}

const fifoText = /^[!-~]{1,128}$/

function fifoParts(topic: Topic, entry: Input, text: string): { group: string | undefined; dedup: string | undefined } {
  const group = entry.optionalText('MessageGroupId')
  const given = entry.optionalText('MessageDeduplicationId')
  if (group !== undefined && !fifoText.test(group))
    throw invalidParameter('The MessageGroupId parameter can only include alphanumeric and punctuation characters, 1 to 128')
  if (given !== undefined && !fifoText.test(given))
    throw invalidParameter(
      'The MessageDeduplicationId parameter can only include alphanumeric and punctuation characters, 1 to 128',
    )
  if (!topic.fifo) {
    if (given !== undefined)
      throw invalidParameter(
        'MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type',
      )
    return { group, dedup: undefined }
  }
  if (group === undefined) throw invalidParameter('The MessageGroupId parameter is required for FIFO topics')
  if (given !== undefined) return { group, dedup: given }
  if (topic.attributes['ContentBasedDeduplication'] !== 'true')
    throw invalidParameter(
      'The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
    )
  return { group, dedup: createHash('sha256').update(text).digest('hex') }
}

/** One publish for all of them. */
function store(call: SnsCall, prepared: readonly Prepared[]): Promise<void> {
  if (prepared.length === 0) return Promise.resolve()
  const { sent } = call.store.queues
  return new Promise((resolve) => {
    // What was published in the last five minutes is published no more; it is answered once all so far is durable.
    const fresh = prepared.filter(({ repeatKey }) => repeatKey === null || sent.find(repeatKey) === undefined)
    if (fresh.length < prepared.length) return void call.store.durable().then(() => publishAll(call, fresh, resolve), resolve)
    publishAll(call, fresh, resolve)
  })
}

function publishAll(call: SnsCall, fresh: readonly Prepared[], done: () => void): void {
  if (fresh.length === 0) return done()
  call.space.publish(
    fresh.map(({ item }) => item),
    done,
  )
  for (const { message, item, repeatKey } of fresh)
    if (repeatKey !== null && item.status !== PublishStatus.Failed && call.store.queues.sent.find(repeatKey) === undefined)
      call.store.queues.sent.note(repeatKey, { id: message.id, sequence: message.sequence ?? '' })
}

/** Throws why it was not stored. A topic that leads nowhere takes everything. */
function outcome(call: SnsCall, { message, item, repeatKey }: Prepared): object {
  if (item.status === PublishStatus.Failed) throw coreError('sns', item.errorCode ?? 'Internal', item.errorMessage)
  const first = repeatKey === null ? undefined : call.store.queues.sent.find(repeatKey)
  const { id, sequence } = first ?? { id: message.id, sequence: message.sequence ?? '' }
  return { MessageId: id, ...(sequence !== '' && { SequenceNumber: sequence }) }
}
