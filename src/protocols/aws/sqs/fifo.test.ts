/** FIFO queues: order and exclusivity of groups, deduplication, sequence numbers, receive attempts. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../../index.ts'
import { AwsClient, type Json } from '../client.testing.ts'

let broker: EmbeddedBroker
let client: AwsClient

before(async () => {
  broker = await startBroker({ protocols: ['sqs'] })
  client = new AwsClient(broker.url('sqs'))
})
after(() => broker.close())

const fifo = (name: string, more: Record<string, string> = {}): Promise<string> =>
  client.createQueue(`${name}.fifo`, { FifoQueue: 'true', ...more })
const send = (QueueUrl: string, group: string, body: string, more: Json = {}): Promise<Json> =>
  client.sqs('SendMessage', { QueueUrl, MessageBody: body, MessageGroupId: group, MessageDeduplicationId: body, ...more })

test('a group comes in its order, several at once, and waits while any of it is in flight; other groups do not', async () => {
  const url = await fifo('groups')
  for (const body of ['a1', 'a2', 'a3']) await send(url, 'a', body)
  await send(url, 'b', 'b1')
  const first = await client.receive(url, { MaxNumberOfMessages: 2 })
  assert.deepEqual(
    first.map(({ Body }) => Body),
    ['a1', 'a2'],
  )
  assert.deepEqual(await client.bodies(url), ['b1'])
  const { ReceiptHandle } = first[1] ?? {}
  await client.sqs('DeleteMessage', { QueueUrl: url, ReceiptHandle })
  assert.deepEqual(await client.bodies(url), [])
  await client.sqs('ChangeMessageVisibility', { QueueUrl: url, ReceiptHandle: first[0]?.ReceiptHandle, VisibilityTimeout: 0 })
  assert.deepEqual(await client.bodies(url), ['a1', 'a3'])
})

test('an expired receipt is refused', async () => {
  const url = await fifo('expired', { VisibilityTimeout: '1' })
  await send(url, 'g', 'once')
  const [message] = await client.receive(url)
  await broker.clock.advance('2s')
  const refusal = await client.refusal('DeleteMessage', { QueueUrl: url, ReceiptHandle: message?.ReceiptHandle })
  assert.match(refusal.message, /^Value .* for parameter ReceiptHandle is invalid\. Reason: The receipt handle has expired\.$/)
  assert.deepEqual(await client.bodies(url), ['once'])
})

test('a repetition within five minutes is answered as the first was, and stored once; also after it was deleted', async () => {
  const url = await fifo('repeated')
  const first = await send(url, 'g', 'same')
  const again = await send(url, 'other', 'same')
  assert.deepEqual([again['MessageId'], again['SequenceNumber']], [first['MessageId'], first['SequenceNumber']])
  const [message, ...more] = await client.receive(url)
  assert.equal(more.length, 0)
  assert.equal(message?.MessageId, first['MessageId'])
  assert.equal(message?.Attributes['SequenceNumber'], first['SequenceNumber'])
  assert.equal(message?.Attributes['MessageGroupId'], 'g')
  assert.equal(message?.Attributes['MessageDeduplicationId'], 'same')
  await client.sqs('DeleteMessage', { QueueUrl: url, ReceiptHandle: message?.ReceiptHandle })
  await send(url, 'g', 'same')
  assert.deepEqual(await client.bodies(url), [])
  await broker.clock.advance('5m')
  const later = await send(url, 'g', 'same')
  assert.notEqual(later['MessageId'], first['MessageId'])
  assert.ok(String(later['SequenceNumber']) > String(first['SequenceNumber']))
  assert.match(String(later['SequenceNumber']), /^\d{20}$/)
  assert.deepEqual(await client.bodies(url), ['same'])
})

test('content tells repetitions where the queue says so, and groups have ids of their own where it says that', async () => {
  const url = await fifo('content', { ContentBasedDeduplication: 'true', DeduplicationScope: 'messageGroup' })
  const plain = (group: string, body: string): Promise<Json> =>
    client.sqs('SendMessage', { QueueUrl: url, MessageBody: body, MessageGroupId: group })
  for (const [group, body] of [
    ['a', 'x'],
    ['a', 'x'],
    ['b', 'x'],
    ['a', 'y'],
  ] as const)
    await plain(group, body)
  const got = await client.receive(url)
  assert.deepEqual(got.map(({ Body, Attributes }) => `${Attributes['MessageGroupId']}${Body}`).sort(), ['ax', 'ay', 'bx'])
})

test('a queue’s delay keeps order and repetitions; a delay of a message is refused', async () => {
  const url = await fifo('delayed', { DelaySeconds: '10' })
  for (const body of ['1', '2', '1']) await send(url, 'g', body)
  assert.deepEqual(await client.bodies(url), [])
  await broker.clock.advance('10s')
  assert.deepEqual(await client.bodies(url, { WaitTimeSeconds: 1 }), ['1', '2'])
  const refusal = await client.refusal('SendMessage', {
    QueueUrl: url,
    MessageBody: 'x',
    MessageGroupId: 'g',
    MessageDeduplicationId: 'x',
    DelaySeconds: 5,
  })
  assert.equal(refusal.code, 'InvalidParameterValue;Sender')
})

test('what a FIFO queue needs is asked for', async () => {
  const url = await fifo('asked')
  const code = async (fields: Json): Promise<string> =>
    (await client.refusal('SendMessage', { QueueUrl: url, MessageBody: 'x', ...fields })).message
  assert.equal(await code({}), 'The request must contain the parameter MessageGroupId.')
  assert.match(await code({ MessageGroupId: 'g' }), /ContentBasedDeduplication enabled or MessageDeduplicationId/)
  assert.match(await code({ MessageGroupId: 'g g', MessageDeduplicationId: 'd' }), /alphanumeric and punctuation/)
})

test('an attempt that is made again gets the same messages, while all of them are in flight', async () => {
  const url = await fifo('attempts')
  for (const body of ['1', '2']) await send(url, 'g', body)
  const attempt = { ReceiveRequestAttemptId: 'one', MaxNumberOfMessages: 2 }
  const first = await client.receive(url, attempt)
  const again = await client.receive(url, attempt)
  assert.deepEqual(
    again.map(({ ReceiptHandle }) => ReceiptHandle),
    first.map(({ ReceiptHandle }) => ReceiptHandle),
  )
  await client.sqs('DeleteMessage', { QueueUrl: url, ReceiptHandle: first[0]?.ReceiptHandle })
  assert.deepEqual(await client.bodies(url, attempt), [])
})

test('dead letters of a group keep their order and free the group', async () => {
  await fifo('dead')
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: 'arn:aws:sqs:eu-west-1:1:dead.fifo', maxReceiveCount: '1' })
  const url = await fifo('poisoned', { RedrivePolicy, VisibilityTimeout: '1' })
  for (const body of ['1', '2', '3']) await send(url, 'g', body)
  assert.deepEqual(await client.bodies(url, { MaxNumberOfMessages: 2 }), ['1', '2'])
  await broker.clock.advance('1s')
  assert.deepEqual(await client.bodies(url, { WaitTimeSeconds: 1 }), ['3'])
  assert.deepEqual(await client.bodies(url.replace('poisoned', 'dead'), { WaitTimeSeconds: 1 }), ['1', '2'])
})
