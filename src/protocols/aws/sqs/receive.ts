/** ReceiveMessage, and what becomes of what was received: DeleteMessage and ChangeMessageVisibility, single and in batches. */
import { createHash } from 'node:crypto'
import { type AwsError, invalidBecause, sqsError } from '../errors.ts'
import type { Input } from '../input.ts'
import { type Message, messageIn } from '../mapping.ts'
import { attributesMd5, md5, shown } from '../message-attributes.ts'
import { account, queueArn } from '../names.ts'
import { Pairs } from '../pairs.ts'
import { batchEntries, eachEntry } from './batch.ts'
import type { SqsAction, SqsCall } from './call.ts'
import type { Queue } from './queue.ts'
import { inFlightMax, type Received } from './reader.ts'
import { decodeReceipt, encodeReceipt, type Receipt } from './receipt.ts'

const visibilitySecondsMax = 43_200
const messagesMax = 10
const waitSecondsMax = 20

export const receiveMessage: SqsAction = {
  shapes: {
    AttributeNames: { list: 'AttributeName', of: 'text' },
    MessageSystemAttributeNames: { list: 'MessageSystemAttributeName', of: 'text' },
    MessageAttributeNames: { list: 'MessageAttributeName', of: 'text' },
  },
  run: async (call) => {
    const queue = call.queue('consume')
    const { input } = call
    const messages = input.optionalWhole('MaxNumberOfMessages') ?? 1
    if (messages < 1 || messages > messagesMax)
      throw invalidBecause(messages, 'MaxNumberOfMessages', 'Must be between 1 and 10, if provided.')
    const waitSeconds = input.optionalWhole('WaitTimeSeconds') ?? queue.number('ReceiveMessageWaitTimeSeconds')
    if (waitSeconds < 0 || waitSeconds > waitSecondsMax)
      throw invalidBecause(waitSeconds, 'WaitTimeSeconds', 'Must be >= 0 and <= 20, if provided.')
    const visibility = visibilitySeconds(input) ?? queue.number('VisibilityTimeout')
    const system = [...input.texts('AttributeNames'), ...input.texts('MessageSystemAttributeNames')]
    const wanted = input.texts('MessageAttributeNames')
    const attempt = input.optionalText('ReceiveRequestAttemptId')
    if (attempt !== undefined && !queue.fifo)
      throw invalidBecause(
        attempt,
        'ReceiveRequestAttemptId',
        'The request includes a parameter that is not valid for this queue type.',
      )
    const received = await receive(call, queue, messages, visibility * 1000, waitSeconds * 1000, attempt)
    if (received.length === 0) return {}
    return { Messages: received.map((each) => answer(call, queue, each, system, wanted)) }
  },
}

async function receive(
  call: SqsCall,
  queue: Queue,
  messages: number,
  visibilityMs: number,
  waitMs: number,
  attempt: string | undefined,
): Promise<Received[]> {
  const reader = call.queues.reader(queue)
  const again = attempt === undefined ? undefined : reader.attempts.find(attempt)
  // What was received by this attempt, as long as all of it is in flight still.
  if (again?.every(({ receipt }) => reader.isCurrent(receipt)) === true) {
    for (const { receipt } of again) reader.changeVisibility(receipt, visibilityMs, Infinity)
    return again
  }
  const received = await reader.receive(messages, visibilityMs, waitMs, call.caller.signal)
  if (attempt !== undefined && received.length > 0) reader.attempts.note(attempt, received)
  if (received.length === 0 && !queue.fifo && inFlight(call, queue) >= inFlightMax)
    throw sqsError('OverLimit', `There are ${inFlightMax} messages in flight, which is the most that there may be.`)
  return received
}

function inFlight(call: SqsCall, queue: Queue): number {
  const status = call.queues.space.status(queue.name)
  return status?.subscriptions.find(({ name, kind }) => name === '' && kind === 'queue')?.inFlight ?? 0
}

function visibilitySeconds(input: Input): number | undefined {
  const seconds = input.optionalWhole('VisibilityTimeout')
  if (seconds === undefined || (seconds >= 0 && seconds <= visibilitySecondsMax)) return seconds
  throw invalidBecause(seconds, 'VisibilityTimeout', `Must be between 0 and ${visibilitySecondsMax}.`)
}

/** What others produced has an id by its place. */
function idByPlace({ topic, partition, offset }: Receipt): string {
  const digest = createHash('sha256').update(topic).update(`${partition}/${offset}`).digest('hex')
  return [
    digest.slice(0, 8),
    digest.slice(8, 12),
    `8${digest.slice(13, 16)}`,
    `a${digest.slice(17, 20)}`,
    digest.slice(20, 32),
  ].join('-')
}

function answer(call: SqsCall, queue: Queue, received: Received, system: readonly string[], wanted: readonly string[]): object {
  const { message, sentAt } = messageIn(received.format, received.bytes)
  const attributes = message.attributes.filter(({ name }) => wanted.some((pattern) => asksFor(pattern, name)))
  return {
    MessageId: message.id === '' ? idByPlace(received.receipt) : message.id,
    ReceiptHandle: encodeReceipt(received.receipt),
    MD5OfBody: md5(message.body),
    Body: message.body,
    ...(system.length > 0 && shownSystem(call, queue, received, message, sentAt ?? received.sentAt, system)),
    ...(attributes.length > 0 && {
      MD5OfMessageAttributes: attributesMd5(attributes),
      MessageAttributes: new Pairs(attributes.map((attribute) => [attribute.name, shown(attribute)])),
    }),
  }
}

/** Those of a message's own attributes that are wanted and that it has. */
function shownSystem(
  call: SqsCall,
  queue: Queue,
  received: Received,
  message: Message,
  sentAt: number,
  wanted: readonly string[],
): { Attributes?: Pairs<string> } {
  const all: Record<string, string | undefined> = {
    SenderId: message.sender ?? account,
    SentTimestamp: String(sentAt),
    ApproximateReceiveCount: String(received.receives),
    ApproximateFirstReceiveTimestamp: String(received.firstReceivedAt),
    SequenceNumber: message.sequence ?? (queue.fifo ? String(received.receipt.offset).padStart(20, '0') : undefined),
    MessageDeduplicationId: message.dedup,
    MessageGroupId: message.group,
    AWSTraceHeader: message.trace,
    DeadLetterQueueSourceArn: deadLetterSource(call, queue, received),
  }
  const found = new Pairs<string>()
  for (const [name, value] of Object.entries(all))
    if (value !== undefined && (wanted.includes('All') || wanted.includes(name))) found.set(name, value)
  return found.size > 0 ? { Attributes: found } : {}
}

function asksFor(pattern: string, name: string): boolean {
  if (pattern === 'All' || pattern === '.*') return true
  return pattern.endsWith('.*') ? name.startsWith(pattern.slice(0, -2)) : name === pattern
}

function deadLetterSource(call: SqsCall, queue: Queue, { annotations }: Received): string | undefined {
  const source = annotations?.deaths?.[0]?.topic
  return source === undefined || source === queue.name ? undefined : queueArn(call.caller.region, source)
}

// ------------------------------------------------------------------------------------------------------------------ settling

export const deleteMessage: SqsAction = {
  run: async (call) => {
    await remove(call, call.queue('consume'), call.input)
    return null
  },
}

export const deleteMessageBatch: SqsAction = {
  shapes: { Entries: { list: 'DeleteMessageBatchRequestEntry', of: {} } },
  run: async (call) => {
    const queue = call.queue('consume')
    const entries = batchEntries(call.input.entries('Entries'), 'DeleteMessageBatch')
    return lists(await eachEntry(entries, (entry) => remove(call, queue, entry)))
  },
}

async function remove(call: SqsCall, queue: Queue, entry: Input): Promise<object> {
  const text = entry.text('ReceiptHandle')
  const receipt = receiptOf(queue, text)
  // A FIFO queue delivers exactly once: an old receipt deletes nothing, and what is deleted stays so.
  if (!(await call.queues.reader(queue).delete(receipt, { currentOnly: queue.fifo })))
    throw invalidBecause(text, 'ReceiptHandle', 'The receipt handle has expired.')
  return {}
}

export const changeMessageVisibility: SqsAction = {
  run: (call) => {
    change(call, call.queue('consume'), call.input)
    return null
  },
}

export const changeMessageVisibilityBatch: SqsAction = {
  shapes: { Entries: { list: 'ChangeMessageVisibilityBatchRequestEntry', of: {} } },
  run: async (call) => {
    const queue = call.queue('consume')
    const entries = batchEntries(call.input.entries('Entries'), 'ChangeMessageVisibilityBatch')
    return lists(await eachEntry(entries, (entry) => change(call, queue, entry)))
  },
}

function change(call: SqsCall, queue: Queue, entry: Input): object {
  const text = entry.text('ReceiptHandle')
  const receipt = receiptOf(queue, text)
  entry.text('VisibilityTimeout')
  const seconds = visibilitySeconds(entry) ?? 0
  switch (call.queues.reader(queue).changeVisibility(receipt, seconds * 1000, visibilitySecondsMax * 1000)) {
    case 'done':
      return {}
    case 'notInFlight':
      throw sqsError('MessageNotInflight', "The specified message isn't in flight.")
    case 'tooLong':
      throw invalidBecause(
        seconds,
        'VisibilityTimeout',
        `Total VisibilityTimeout for the message is beyond the limit [${visibilitySecondsMax} seconds]`,
      )
  }
}

function receiptOf(queue: Queue, text: string): Receipt {
  const receipt = decodeReceipt(text)
  if (receipt === undefined || !receipt.topic.equals(queue.topic.id)) throw badReceipt(text)
  return receipt
}

const badReceipt = (text: string): AwsError =>
  sqsError('ReceiptHandleIsInvalid', `The input receipt handle "${text}" is not a valid receipt handle.`)

/** An empty list of failures is left out. */
const lists = <Done, Fail>({ Successful, Failed }: { Successful: Done[]; Failed: Fail[] }): object => ({
  Successful,
  ...(Failed.length > 0 && { Failed }),
})
