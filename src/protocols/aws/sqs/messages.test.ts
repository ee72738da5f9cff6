/** Messages of standard queues over a real socket: sent, received, deleted, hidden, dead-lettered. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../../index.ts'
import { AwsClient } from '../client.testing.ts'

let broker: EmbeddedBroker
let client: AwsClient

before(async () => {
  broker = await startBroker({ protocols: ['sqs'] })
  client = new AwsClient(broker.url('sqs'))
})
after(() => broker.close())

test('a message comes with its digests, attributes and system attributes', async () => {
  const QueueUrl = await client.createQueue('attributes')
  const sent = await client.sqs('SendMessage', {
    QueueUrl,
    MessageBody: 'This is a test message',
    MessageAttributes: {
      Test: { DataType: 'String', StringValue: 'value' },
      Count: { DataType: 'Number.int', StringValue: '5' },
      Raw: { DataType: 'Binary', BinaryValue: Buffer.from([0, 255]).toString('base64') },
    },
    MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: 'Root=1-5e3d83c1' } },
  })
  // Digests calculated by botocore's and boto's own rules.
  assert.equal(sent['MD5OfMessageBody'], 'fafb00f5732ab283681e124bf8747ed1')
  const [message] = await client.receive(QueueUrl)
  assert.ok(message)
  assert.equal(message.MessageId, sent['MessageId'])
  assert.equal(message.Body, 'This is a test message')
  assert.equal(message.MD5OfBody, sent['MD5OfMessageBody'])
  assert.equal(message.MD5OfMessageAttributes, sent['MD5OfMessageAttributes'])
  assert.deepEqual(message.MessageAttributes, {
    Test: { DataType: 'String', StringValue: 'value' },
    Count: { DataType: 'Number.int', StringValue: '5' },
    Raw: { DataType: 'Binary', BinaryValue: 'AP8=' },
  })
  const { SentTimestamp, ApproximateFirstReceiveTimestamp, ...rest } = message.Attributes
  assert.deepEqual(rest, {
    SenderId: '000000000000',
    ApproximateReceiveCount: '1',
    AWSTraceHeader: 'Root=1-5e3d83c1',
  })
  assert.ok(Number(SentTimestamp) <= Number(ApproximateFirstReceiveTimestamp))
})

test('attributes come only when they are asked for, by name, by prefix or all, and their digest is of these', async () => {
  const QueueUrl = await client.createQueue('asked')
  const attribute = { DataType: 'String', StringValue: 'v' }
  const send = { QueueUrl, MessageBody: 'b', MessageAttributes: { 'a.x': attribute, 'a.y': attribute, b: attribute } }
  await client.sqs('SendMessage', send)
  const names = async (asked: string[]): Promise<string[]> => {
    const [message] = await client.receive(QueueUrl, { MessageAttributeNames: asked, VisibilityTimeout: 0 })
    assert.equal(message?.MD5OfMessageAttributes === undefined, message?.MessageAttributes === undefined)
    return Object.keys(message?.MessageAttributes ?? {}).sort()
  }
  const eventually = async (asked: string[], expected: string[]): Promise<void> => {
    await broker.clock.advance(1)
    assert.deepEqual(await names(asked), expected)
  }
  await eventually([], [])
  await eventually(['b', 'other'], ['b'])
  await eventually(['a.*'], ['a.x', 'a.y'])
  await eventually(['.*'], ['a.x', 'a.y', 'b'])
  await broker.clock.advance(1)
  const answer = await client.sqs('ReceiveMessage', { QueueUrl, MessageSystemAttributeNames: ['SentTimestamp'] })
  const [message] = answer['Messages'] as { Attributes: object; MessageAttributes?: object }[]
  assert.deepEqual(Object.keys(message?.Attributes ?? {}), ['SentTimestamp'])
  assert.equal(message?.MessageAttributes, undefined)
})

test('a message is hidden while it is in flight, comes again when its time is over or it is given back, and is gone once deleted', async () => {
  const QueueUrl = await client.createQueue('hidden', { VisibilityTimeout: '30' })
  await client.sqs('SendMessage', { QueueUrl, MessageBody: 'job' })
  const [first] = await client.receive(QueueUrl)
  assert.deepEqual(await client.bodies(QueueUrl), [])
  assert.deepEqual(await counts(QueueUrl), ['0', '1', '0'])
  await broker.clock.advance('29s')
  assert.deepEqual(await client.bodies(QueueUrl), [])
  await client.sqs('ChangeMessageVisibility', { QueueUrl, ReceiptHandle: first?.ReceiptHandle, VisibilityTimeout: 60 })
  await broker.clock.advance('59s')
  assert.deepEqual(await client.bodies(QueueUrl), [])
  await broker.clock.advance('1s')
  const [second] = await client.receive(QueueUrl)
  assert.equal(second?.Attributes['ApproximateReceiveCount'], '2')
  assert.equal(second?.Attributes['ApproximateFirstReceiveTimestamp'], first?.Attributes['ApproximateFirstReceiveTimestamp'])
  assert.notEqual(second?.ReceiptHandle, first?.ReceiptHandle)
  await client.sqs('ChangeMessageVisibility', { QueueUrl, ReceiptHandle: second?.ReceiptHandle, VisibilityTimeout: 0 })
  const [third] = await client.receive(QueueUrl)
  assert.equal(third?.Attributes['ApproximateReceiveCount'], '3')
  // Not in flight by this receipt any more.
  const expired = { QueueUrl, ReceiptHandle: first?.ReceiptHandle, VisibilityTimeout: 5 }
  const refusal = await client.refusal('ChangeMessageVisibility', expired)
  assert.equal(refusal.code, 'AWS.SimpleQueueService.MessageNotInflight;Sender')
  // An old receipt deletes nothing while somebody else has the message, though it says so.
  await client.sqs('DeleteMessage', { QueueUrl, ReceiptHandle: first?.ReceiptHandle })
  assert.deepEqual(await counts(QueueUrl), ['0', '1', '0'])
  await client.sqs('DeleteMessage', { QueueUrl, ReceiptHandle: third?.ReceiptHandle })
  await broker.clock.advance('1h')
  assert.deepEqual(await counts(QueueUrl), ['0', '0', '0'])
})

test('an expired receipt still deletes a message that nobody else received meanwhile', async () => {
  const QueueUrl = await client.createQueue('late', { VisibilityTimeout: '1' })
  await client.sqs('SendMessage', { QueueUrl, MessageBody: 'job' })
  const [message] = await client.receive(QueueUrl)
  await broker.clock.advance('2s')
  await client.sqs('DeleteMessage', { QueueUrl, ReceiptHandle: message?.ReceiptHandle })
  assert.deepEqual(await client.bodies(QueueUrl), [])
  assert.deepEqual(await counts(QueueUrl), ['0', '0', '0'])
})

test('twelve hours after it was received a message comes back, whatever was asked', async () => {
  const QueueUrl = await client.createQueue('twelve')
  await client.sqs('SendMessage', { QueueUrl, MessageBody: 'job' })
  const [message] = await client.receive(QueueUrl, { VisibilityTimeout: 3600 })
  await broker.clock.advance('30m')
  const { ReceiptHandle } = message ?? {}
  const refusal = await client.refusal('ChangeMessageVisibility', { QueueUrl, ReceiptHandle, VisibilityTimeout: 43_200 })
  assert.match(refusal.message, /Total VisibilityTimeout for the message is beyond the limit \[43200 seconds\]/)
  await client.sqs('ChangeMessageVisibility', { QueueUrl, ReceiptHandle, VisibilityTimeout: 41_000 })
})

test('messages are delayed by their own or by the queue’s time', async () => {
  const QueueUrl = await client.createQueue('delayed', { DelaySeconds: '60', VisibilityTimeout: '43200' })
  await client.sqs('SendMessage', { QueueUrl, MessageBody: 'of the queue' })
  await client.sqs('SendMessage', { QueueUrl, MessageBody: 'at once', DelaySeconds: 0 })
  await client.sqs('SendMessage', { QueueUrl, MessageBody: 'own', DelaySeconds: 900 })
  assert.deepEqual(await counts(QueueUrl), ['1', '0', '2'])
  assert.deepEqual(await client.bodies(QueueUrl), ['at once'])
  await broker.clock.advance('60s')
  assert.deepEqual(await client.bodies(QueueUrl, { WaitTimeSeconds: 1 }), ['of the queue'])
  await broker.clock.advance('14m')
  assert.deepEqual(await client.bodies(QueueUrl, { WaitTimeSeconds: 1 }), ['own'])
})

test('a long poll is answered when the first message comes, or with nothing when its time is over', async () => {
  const QueueUrl = await client.createQueue('polled', { ReceiveMessageWaitTimeSeconds: '20' })
  const waiting = client.bodies(QueueUrl)
  await client.sqs('SendMessage', { QueueUrl, MessageBody: 'one' })
  assert.deepEqual(await waiting, ['one'])
  const nothing = client.bodies(QueueUrl)
  // Until the poll is there to be timed out.
  for (let rounds = 0; rounds < 50; rounds++) await client.attributes(QueueUrl)
  await broker.clock.advance('20s')
  assert.deepEqual(await nothing, [])
})

test('a client that has gone takes no message with it', async () => {
  const QueueUrl = await client.createQueue('gone')
  const abort = new AbortController()
  const waiting = client.sqs('ReceiveMessage', { QueueUrl, WaitTimeSeconds: 20 }, abort.signal)
  for (let rounds = 0; rounds < 20; rounds++) await client.attributes(QueueUrl)
  abort.abort()
  await assert.rejects(waiting)
  for (let rounds = 0; rounds < 20; rounds++) await client.attributes(QueueUrl)
  await client.sqs('SendMessage', { QueueUrl, MessageBody: 'kept' })
  assert.deepEqual(await client.bodies(QueueUrl), ['kept'])
})

test('a message received too often goes to the dead-letter queue, with its time and its source', async () => {
  const dead = await client.createQueue('dead')
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: 'arn:aws:sqs:us-east-1:000000000000:dead', maxReceiveCount: 2 })
  const QueueUrl = await client.createQueue('source', { RedrivePolicy, MessageRetentionPeriod: '60' })
  await client.sqs('SendMessage', { QueueUrl, MessageBody: 'poison' })
  const [first] = await client.receive(QueueUrl, { VisibilityTimeout: 1 })
  await broker.clock.advance('1s')
  assert.equal((await client.receive(QueueUrl, { VisibilityTimeout: 1 })).length, 1)
  await broker.clock.advance('1s')
  assert.deepEqual(await client.bodies(QueueUrl), [])
  const [buried] = await client.receive(dead, { WaitTimeSeconds: 1 })
  assert.equal(buried?.MessageId, first?.MessageId)
  assert.equal(buried?.Attributes['SentTimestamp'], first?.Attributes['SentTimestamp'])
  assert.equal(buried?.Attributes['DeadLetterQueueSourceArn'], 'arn:aws:sqs:us-east-1:000000000000:source')
  const sources = await client.sqs('ListDeadLetterSourceQueues', { QueueUrl: dead })
  assert.deepEqual(sources['queueUrls'], [QueueUrl])
  // What is too old is deleted, and is no dead letter.
  await client.sqs('SendMessage', { QueueUrl, MessageBody: 'old' })
  await broker.clock.advance('61s')
  assert.deepEqual(await client.bodies(QueueUrl), [])
  assert.deepEqual((await counts(dead))[0], '1')
})

test('batches tell of each entry, and are refused as a whole where no entry can be told apart', async () => {
  const QueueUrl = await client.createQueue('batches', { MaximumMessageSize: '1024' })
  const Entries = [
    { Id: 'good', MessageBody: 'a' },
    { Id: 'bad', MessageBody: 'b\u0001' },
    { Id: 'large', MessageBody: 'x'.repeat(1025) },
    { Id: 'late', MessageBody: 'c', DelaySeconds: 901 },
  ]
  const sent = (await client.sqs('SendMessageBatch', { QueueUrl, Entries })) as Record<string, { Id: string; Code?: string }[]>
  assert.deepEqual(
    sent['Successful']?.map(({ Id }) => Id),
    ['good'],
  )
  assert.deepEqual(
    sent['Failed']?.map(({ Id, Code }) => [Id, Code]),
    [
      ['bad', 'InvalidMessageContents'],
      ['large', 'InvalidParameterValue'],
      ['late', 'InvalidParameterValue'],
    ],
  )
  const code = async (action: string, entries: object[]): Promise<string> =>
    (await client.refusal(action, { QueueUrl, Entries: entries })).code
  const entry = (Id: string): object => ({ Id, MessageBody: 'x', ReceiptHandle: 'x' })
  for (const action of ['SendMessageBatch', 'DeleteMessageBatch', 'ChangeMessageVisibilityBatch']) {
    assert.equal(await code(action, []), 'AWS.SimpleQueueService.EmptyBatchRequest;Sender')
    assert.equal(await code(action, [entry('a'), entry('a')]), 'AWS.SimpleQueueService.BatchEntryIdsNotDistinct;Sender')
    assert.equal(await code(action, [entry('a b')]), 'AWS.SimpleQueueService.InvalidBatchEntryId;Sender')
    const eleven = Array.from({ length: 11 }, (_, index) => entry(`i${index}`))
    assert.equal(await code(action, eleven), 'AWS.SimpleQueueService.TooManyEntriesInBatchRequest;Sender')
  }
  const wide = await client.createQueue('wide')
  const large = Array.from({ length: 3 }, (_, index) => ({ Id: `i${index}`, MessageBody: 'x'.repeat(400_000) }))
  const refusal = await client.refusal('SendMessageBatch', { QueueUrl: wide, Entries: large })
  assert.equal(refusal.code, 'AWS.SimpleQueueService.BatchRequestTooLong;Sender')
  const [message] = await client.receive(QueueUrl)
  const removed = (await client.sqs('DeleteMessageBatch', {
    QueueUrl,
    Entries: [
      { Id: 'one', ReceiptHandle: message?.ReceiptHandle },
      { Id: 'two', ReceiptHandle: 'nonsense' },
    ],
  })) as Record<string, { Id: string; Code?: string }[]>
  assert.deepEqual(removed['Successful'], [{ Id: 'one' }])
  assert.equal(removed['Failed']?.[0]?.Code, 'ReceiptHandleIsInvalid')
})

test('bad requests are refused in the words of AWS, and nothing is stored', async () => {
  const QueueUrl = await client.createQueue('refused')
  for (const [action, fields, status, code] of [
    ['SendMessage', { MessageBody: '' }, 400, 'MissingParameter;Sender'],
    ['SendMessage', {}, 400, 'MissingParameter;Sender'],
    ['SendMessage', { MessageBody: '\ud800' }, 400, 'InvalidMessageContents;Sender'],
    ['SendMessage', { MessageBody: 'a', DelaySeconds: -1 }, 400, 'InvalidParameterValue;Sender'],
    ['SendMessage', { MessageBody: 'a', MessageDeduplicationId: 'd' }, 400, 'InvalidParameterValue;Sender'],
    [
      'SendMessage',
      { MessageBody: 'a', MessageAttributes: { x: { DataType: 'String', StringValue: '' } } },
      400,
      'InvalidParameterValue;Sender',
    ],
    [
      'SendMessage',
      { MessageBody: 'a', MessageAttributes: { x: { DataType: 'Text', StringValue: 'v' } } },
      400,
      'InvalidParameterValue;Sender',
    ],
    [
      'SendMessage',
      { MessageBody: 'a', MessageAttributes: { 'aws.x': { DataType: 'String', StringValue: 'v' } } },
      400,
      'InvalidParameterValue;Sender',
    ],
    ['SendMessage', { MessageBody: 'x'.repeat(1_048_577) }, 400, 'InvalidParameterValue;Sender'],
    ['ReceiveMessage', { MaxNumberOfMessages: 0 }, 400, 'InvalidParameterValue;Sender'],
    ['ReceiveMessage', { WaitTimeSeconds: 21 }, 400, 'InvalidParameterValue;Sender'],
    ['ReceiveMessage', { VisibilityTimeout: 43_201 }, 400, 'InvalidParameterValue;Sender'],
    ['ReceiveMessage', { QueueUrl: `${client.url}/000000000000/nobody` }, 400, 'AWS.SimpleQueueService.NonExistentQueue;Sender'],
    ['ReceiveMessage', { QueueUrl: 'nobody' }, 400, 'InvalidAddress;Sender'],
    ['DeleteMessage', { ReceiptHandle: 'x' }, 400, 'ReceiptHandleIsInvalid;Sender'],
    ['DeleteMessage', {}, 400, 'MissingParameter;Sender'],
    ['Nonsense', {}, 400, 'InvalidAction;Sender'],
  ] as const) {
    const refusal = await client.refusal(action, { QueueUrl, ...fields })
    assert.deepEqual([refusal.status, refusal.code], [status, code], `${action} ${JSON.stringify(fields).slice(0, 80)}`)
  }
  assert.deepEqual(await counts(QueueUrl), ['0', '0', '0'])
})

test('messages cross: others’ records are messages, and messages are records with their attributes', async () => {
  const QueueUrl = await client.createQueue('crossing')
  await broker.publish('crossing', Buffer.from([0, 1, 255]), {
    key: 'k',
    headers: { tenant: 'acme', empty: '' },
    correlationId: 'c-1',
  })
  const [message] = await client.receive(QueueUrl)
  assert.equal(message?.Body, Buffer.from([0, 1, 255]).toString('base64'))
  assert.match(message?.MessageId ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/)
  const shown = Object.entries(message?.MessageAttributes ?? {}).map(([name, { StringValue }]) => [name, StringValue])
  assert.deepEqual(Object.fromEntries(shown), {
    'anymq.body': 'base64',
    'anymq.correlation-id': 'c-1',
    'anymq.key': 'k',
    'anymq.more': 'empty=',
    tenant: 'acme',
  })
  // A program that copies what it reads loses nothing.
  await client.sqs('DeleteMessage', { QueueUrl, ReceiptHandle: message?.ReceiptHandle })
  const copy = { MessageBody: message?.Body, MessageAttributes: message?.MessageAttributes }
  await client.createQueue('copied')
  await client.sqs('SendMessage', { QueueUrl: QueueUrl.replace('crossing', 'copied'), ...copy })
  const [record] = await broker.messages('copied')
  assert.deepEqual(record?.value, Buffer.from([0, 1, 255]))
  assert.deepEqual(record?.key, Buffer.from('k'))
  assert.deepEqual(record?.headers, { tenant: 'acme', empty: '' })
  assert.equal(record?.attributes['correlationId'], 'c-1')
})

async function counts(QueueUrl: string): Promise<(string | undefined)[]> {
  const attributes = await client.attributes(QueueUrl)
  return ['', 'NotVisible', 'Delayed'].map((kind) => attributes[`ApproximateNumberOfMessages${kind}`])
}
