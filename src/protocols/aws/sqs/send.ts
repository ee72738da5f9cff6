/** SendMessage and SendMessageBatch. */
import { createHash, randomUUID } from 'node:crypto'
import { type PublishItem, PublishStatus } from '../../../broker/face.ts'
import { type AwsError, commonError, coreError, invalidBecause, invalidValue, missing, sqsError } from '../errors.ts'
import type { Shapes } from '../form.ts'
import type { Input } from '../input.ts'
import { badCharacter, type Message } from '../mapping.ts'
import { attributeBytes, attributesMd5, md5, readAttributes } from '../message-attributes.ts'
import { batchEntries, type Failed, failed } from './batch.ts'
import type { SqsAction, SqsCall } from './call.ts'
import { itemFor } from './item.ts'
import type { Queue } from './queue.ts'

const batchBytesMax = 1_048_576
const attributeShapes: Shapes = {
  MessageAttributes: { map: 'MessageAttribute', key: 'Name', value: 'Value', of: {} },
  MessageSystemAttributes: { map: 'MessageSystemAttribute', key: 'Name', value: 'Value', of: {} },
}

interface Prepared {
  readonly message: Message
  readonly bytes: number
  readonly item: PublishItem
  readonly digests: {
    readonly MD5OfMessageBody: string
    readonly MD5OfMessageAttributes?: string
    readonly MD5OfMessageSystemAttributes?: string
  }
  /** By which a repetition is answered as the first was; null: never. */
  readonly repeatKey: string | null
}

export const sendMessage: SqsAction = {
  shapes: attributeShapes,
  run: async (call) => {
    const queue = call.queue('publish')
    const prepared = prepare(call, queue, call.input)
    await publish(call, [prepared])
    return outcome(call, prepared)
  },
}

export const sendMessageBatch: SqsAction = {
  shapes: { Entries: { list: 'SendMessageBatchRequestEntry', of: attributeShapes } },
  run: async (call) => {
    const queue = call.queue('publish')
    const good: { readonly id: string; readonly prepared: Prepared }[] = []
    const bad = new Map<string, Failed>()
    const entries = batchEntries(call.input.entries('Entries'), 'SendMessageBatch')
    let bytes = 0
    for (const { id, entry } of entries) {
      try {
        const prepared = prepare(call, queue, entry)
        bytes += prepared.bytes
        good.push({ id, prepared })
      } catch (cause) {
        if (!isRefusal(cause)) throw cause
        bad.set(id, failed(id, cause))
      }
    }
    if (bytes > batchBytesMax)
      throw sqsError(
        'BatchRequestTooLong',
        `Batch requests cannot be longer than ${batchBytesMax} bytes. You have sent ${bytes} bytes.`,
      )
    await publish(
      call,
      good.map(({ prepared }) => prepared),
    )
    const successful: object[] = []
    for (const { id, prepared } of good) {
      try {
        successful.push({ Id: id, ...outcome(call, prepared) })
      } catch (cause) {
        if (!isRefusal(cause)) throw cause
        bad.set(id, failed(id, cause))
      }
    }
    const failures = entries.flatMap(({ id }) => bad.get(id) ?? [])
    return { Successful: successful, ...(failures.length > 0 && { Failed: failures }) }
  },
}

const isRefusal = (cause: unknown): cause is AwsError => cause instanceof Error && 'queryStatus' in cause

function prepare(call: SqsCall, queue: Queue, entry: Input): Prepared {
  const body = entry.text('MessageBody')
  if (body === '') throw missing('MessageBody')
  if (badCharacter.test(body))
    throw sqsError(
      'InvalidMessageContents',
      'Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF',
    )
  const attributes = readAttributes(entry.structures('MessageAttributes'), ['String', 'Number', 'Binary'], invalidValue)
  const trace = traceOf(entry)
  const bytes = Buffer.byteLength(body) + attributeBytes(attributes)
  const bytesMax = queue.number('MaximumMessageSize')
  if (bytes > bytesMax)
    throw invalidValue(`One or more parameters are invalid. Reason: Message must be shorter than ${bytesMax} bytes.`)
  const { group, dedup } = fifoParts(queue, entry, body)
  const message: Message = {
    id: randomUUID(),
    body,
    attributes,
    ...(group !== undefined && { group }),
    ...(dedup !== undefined && { dedup }),
    ...(queue.fifo && { sequence: call.queues.sequence.next() }),
    ...(call.caller.sender !== undefined && { sender: call.caller.sender }),
    ...(trace !== undefined && { trace }),
  }
  const item = itemFor(call.broker.clock, queue, message, undefined, delayOf(queue, entry))
  return {
    message,
    bytes,
    item,
    digests: {
      MD5OfMessageBody: md5(body),
      ...(attributes.length > 0 && { MD5OfMessageAttributes: attributesMd5(attributes) }),
      ...(trace !== undefined && {
        MD5OfMessageSystemAttributes: attributesMd5([{ name: 'AWSTraceHeader', type: 'String', value: trace }]),
      }),
    },
    repeatKey: item.dedupId === null ? null : `${queue.topic.id.toString('hex')}/${item.dedupId}`,
  }
}

function traceOf(entry: Input): string | undefined {
  const system = entry.structures('MessageSystemAttributes')
  if (system === undefined) return undefined
  for (const [name, value] of system) {
    if (name !== 'AWSTraceHeader') throw invalidValue(`Message system attribute name is invalid: ${name}.`)
    if (value.optionalText('DataType') !== 'String') throw invalidValue(`The message system attribute ${name} must be a String.`)
  }
  return system.get('AWSTraceHeader')?.text('StringValue')
}

const fifoText = /^[A-Za-z0-9!"#$%&'()*+,\-./:;<=>?@[\\\]^_`{|}~]{1,128}$/

function fifoParts(queue: Queue, entry: Input, body: string): { group: string | undefined; dedup: string | undefined } {
  const group = entry.optionalText('MessageGroupId')
  const given = entry.optionalText('MessageDeduplicationId')
  for (const [name, value] of [
    ['MessageGroupId', group],
    ['MessageDeduplicationId', given],
  ] as const)
    if (value !== undefined && !fifoText.test(value))
      throw invalidBecause(value, name, `${name} can only include alphanumeric and punctuation characters. 1 to 128 in length.`)
  if (!queue.fifo) {
    if (given !== undefined)
      throw invalidBecause(
        given,
        'MessageDeduplicationId',
        'The request includes a parameter that is not valid for this queue type.',
      )
    return { group, dedup: undefined }
  }
  if (group === undefined) throw missing('MessageGroupId')
  if (given !== undefined) return { group, dedup: given }
  if (queue.attribute('ContentBasedDeduplication') !== 'true')
    throw invalidValue(
      'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
    )
  return { group, dedup: createHash('sha256').update(body).digest('hex') }
}

function delayOf(queue: Queue, entry: Input): number {
  const given = entry.optionalWhole('DelaySeconds')
  if (given === undefined) return queue.number('DelaySeconds')
  if (given < 0 || given > 900) throw invalidBecause(given, 'DelaySeconds', 'DelaySeconds must be >= 0 and <= 900.')
  if (!queue.fifo) return given
  if (given > 0)
    throw invalidBecause(given, 'DelaySeconds', 'The request include parameter that is not valid for this queue type.')
  return queue.number('DelaySeconds')
}

/** One publish for all of them. */
function publish(call: SqsCall, prepared: readonly Prepared[]): Promise<void> {
  if (prepared.length === 0) return Promise.resolve()
  return new Promise((resolve) => {
    call.space.publish(
      prepared.map(({ item }) => item),
      resolve,
    )
    // A repetition of what is only on its way is answered as that is.
    for (const { message, item, repeatKey } of prepared)
      if (repeatKey !== null && item.status === PublishStatus.Stored && call.queues.sent.find(repeatKey) === undefined)
        call.queues.sent.note(repeatKey, { id: message.id, sequence: message.sequence ?? '' })
  })
}

/** Throws why it was not stored. */
function outcome(call: SqsCall, { message, item, digests, repeatKey }: Prepared): object {
  if (item.status === PublishStatus.Failed) throw coreError('sqs', item.errorCode ?? 'Internal', item.errorMessage)
  if (item.status === PublishStatus.Unrouted) throw commonError('InternalFailure', 'The message was not stored.', 500)
  const first = repeatKey === null ? undefined : call.queues.sent.find(repeatKey)
  const { id, sequence } = first ?? { id: message.id, sequence: message.sequence ?? '' }
  return { MessageId: id, ...digests, ...(sequence !== '' && { SequenceNumber: sequence }) }
}
