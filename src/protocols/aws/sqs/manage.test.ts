/** Queues as a whole, in both protocols: attributes, lists, tags, permissions, purging, moving. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../../index.ts'
import { AwsClient, element, elements, type Json } from '../client.testing.ts'

let broker: EmbeddedBroker
let client: AwsClient

before(async () => {
  broker = await startBroker({ protocols: ['sqs'] })
  client = new AwsClient(broker.url('sqs'))
})
after(() => broker.close())

const arn = (name: string): string => `arn:aws:sqs:us-east-1:000000000000:${name}`

test('a queue’s URL is where the client came from, of any account, and creating it again is no error', async () => {
  const url = await client.createQueue('here')
  assert.equal(url, `${client.url}/000000000000/here`)
  assert.equal(await client.createQueue('here', { VisibilityTimeout: '30' }), url)
  const found = await client.sqs('GetQueueUrl', { QueueName: 'here', QueueOwnerAWSAccountId: '123456789012' })
  assert.equal(found['QueueUrl'], `${client.url}/123456789012/here`)
  const other = await client.refusal('CreateQueue', { QueueName: 'here', Attributes: { VisibilityTimeout: '31' } })
  assert.deepEqual([other.type, other.code], ['com.amazonaws.sqs#QueueNameExists', 'QueueAlreadyExists;Sender'])
  await client.sqs('SendMessage', { QueueUrl: found['QueueUrl'], MessageBody: 'x' })
  assert.deepEqual(await client.bodies(url), ['x'])
})

test('attributes are checked, kept, changed and taken away', async () => {
  await client.createQueue('target')
  const RedrivePolicy = `{"maxReceiveCount": "4",  "deadLetterTargetArn":"${arn('target')}"}`
  const QueueUrl = await client.createQueue('attributes', { RedrivePolicy, DelaySeconds: '3', MessageRetentionPeriod: '61' })
  const before = await client.attributes(QueueUrl)
  // As it was written.
  assert.equal(before['RedrivePolicy'], RedrivePolicy)
  assert.equal(before['MessageRetentionPeriod'], '61')
  assert.equal(before['DelaySeconds'], '3')
  assert.equal(before['QueueArn'], arn('attributes'))
  const Attributes = { RedrivePolicy: '', DelaySeconds: '0', MessageRetentionPeriod: '1209600' }
  await client.sqs('SetQueueAttributes', { QueueUrl, Attributes })
  const changed = await client.attributes(QueueUrl)
  assert.equal(changed['RedrivePolicy'], undefined)
  assert.deepEqual([changed['DelaySeconds'], changed['MessageRetentionPeriod']], ['0', '1209600'])
  for (const [attributes, code] of [
    [{ VisibilityTimeout: '43201' }, 'InvalidAttributeValue;Sender'],
    [{ MaximumMessageSize: '1023' }, 'InvalidAttributeValue;Sender'],
    [{ MaximumMessageSize: '1048577' }, 'InvalidAttributeValue;Sender'],
    [{ DelaySeconds: 'x' }, 'InvalidAttributeValue;Sender'],
    [{ Nonsense: '1' }, 'InvalidAttributeName;Sender'],
    [{ ContentBasedDeduplication: 'true' }, 'InvalidAttributeName;Sender'],
    [{ KmsMasterKeyId: 'alias/aws/sqs' }, 'InvalidAttributeValue;Sender'],
    [{ SqsManagedSseEnabled: 'true' }, 'InvalidAttributeValue;Sender'],
    [{ RedrivePolicy: '{"maxReceiveCount":1}' }, 'InvalidParameterValue;Sender'],
    [{ RedrivePolicy: `{"maxReceiveCount":1001,"deadLetterTargetArn":"${arn('target')}"}` }, 'InvalidParameterValue;Sender'],
    [{ RedrivePolicy: `{"maxReceiveCount":1,"deadLetterTargetArn":"${arn('nobody')}"}` }, 'InvalidParameterValue;Sender'],
    [{ Policy: '{"Statement":[{"Effect":"Deny","Principal":"*","Action":"*"}]}' }, 'InvalidAttributeValue;Sender'],
  ] as const)
    assert.equal(
      (await client.refusal('SetQueueAttributes', { QueueUrl, Attributes: attributes })).code,
      code,
      JSON.stringify(attributes),
    )
  assert.equal(
    (await client.refusal('GetQueueAttributes', { QueueUrl, AttributeNames: ['Nonsense'] })).code,
    'InvalidAttributeName;Sender',
  )
})

test('a dead-letter queue says who may use it', async () => {
  const QueueUrl = await client.createQueue('picky', {
    RedriveAllowPolicy: JSON.stringify({ redrivePermission: 'byQueue', sourceQueueArns: [arn('friend')] }),
  })
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: arn('picky'), maxReceiveCount: 1 })
  await client.createQueue('friend', { RedrivePolicy })
  const refusal = await client.refusal('CreateQueue', { QueueName: 'stranger', Attributes: { RedrivePolicy } })
  assert.equal(refusal.code, 'InvalidParameterValue;Sender')
  const Attributes = { RedriveAllowPolicy: '{"redrivePermission":"sometimes"}' }
  assert.equal((await client.refusal('SetQueueAttributes', { QueueUrl, Attributes })).code, 'InvalidParameterValue;Sender')
  await client.createQueue('ordered.fifo', { FifoQueue: 'true' })
  const wrongType = JSON.stringify({ deadLetterTargetArn: arn('ordered.fifo'), maxReceiveCount: 1 })
  const mixed = await client.refusal('CreateQueue', { QueueName: 'mixed', Attributes: { RedrivePolicy: wrongType } })
  assert.match(mixed.message, /same type of queue/)
})

test('names are checked', async () => {
  for (const [QueueName, Attributes] of [
    ['a b', {}],
    ['', {}],
    ['x'.repeat(81), {}],
    ['a.fifo', {}],
    ['a', { FifoQueue: 'true' }],
  ] as const)
    assert.equal((await client.refusal('CreateQueue', { QueueName, Attributes })).code, 'InvalidParameterValue;Sender')
})

test('queues are listed by prefix and in pages', async () => {
  for (const name of ['list-c', 'list-a', 'list-b']) await client.createQueue(name)
  const names = (answer: Json): string[] => ((answer['QueueUrls'] ?? []) as string[]).map((url) => url.split('/').at(-1) ?? '')
  const first = await client.sqs('ListQueues', { QueueNamePrefix: 'list-', MaxResults: 2 })
  assert.deepEqual(names(first), ['list-a', 'list-b'])
  const second = await client.sqs('ListQueues', { QueueNamePrefix: 'list-', MaxResults: 2, NextToken: first['NextToken'] })
  assert.deepEqual([names(second), second['NextToken']], [['list-c'], undefined])
  assert.deepEqual(await client.sqs('ListQueues', { QueueNamePrefix: 'none-' }), {})
  assert.equal((await client.refusal('ListQueues', { MaxResults: 1001 })).code, 'InvalidParameterValue;Sender')
})

test('tags are added, shown and removed', async () => {
  const url = String((await client.sqs('CreateQueue', { QueueName: 'tagged', tags: { team: 'a' } }))['QueueUrl'])
  await client.sqs('TagQueue', { QueueUrl: url, Tags: { stage: 'test', team: 'b' } })
  assert.deepEqual(await client.sqs('ListQueueTags', { QueueUrl: url }), { Tags: { stage: 'test', team: 'b' } })
  await client.sqs('UntagQueue', { QueueUrl: url, TagKeys: ['stage'] })
  assert.deepEqual(await client.sqs('ListQueueTags', { QueueUrl: url }), { Tags: { team: 'b' } })
})

test('permissions that are given while everybody has them are kept as the policy', async () => {
  const QueueUrl = await client.createQueue('permitted')
  const permission = { QueueUrl, Label: 'share', AWSAccountIds: ['123456789012'], Actions: ['SendMessage'] }
  await client.sqs('AddPermission', permission)
  assert.match((await client.attributes(QueueUrl))['Policy'] ?? '', /"Sid":"share"/)
  assert.equal((await client.refusal('AddPermission', permission)).code, 'InvalidParameterValue;Sender')
  await client.sqs('RemovePermission', { QueueUrl, Label: 'share' })
  assert.equal((await client.attributes(QueueUrl))['Policy'], undefined)
})

test('purging takes what waits, what is in flight and what is delayed, once a minute', async () => {
  const QueueUrl = await client.createQueue('purged')
  for (const DelaySeconds of [0, 0, 60]) await client.sqs('SendMessage', { QueueUrl, MessageBody: 'x', DelaySeconds })
  await client.receive(QueueUrl, { MaxNumberOfMessages: 1 })
  await client.sqs('PurgeQueue', { QueueUrl })
  const { ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible, ApproximateNumberOfMessagesDelayed } =
    await client.attributes(QueueUrl)
  assert.deepEqual(
    [ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible, ApproximateNumberOfMessagesDelayed],
    ['0', '0', '0'],
  )
  const again = await client.refusal('PurgeQueue', { QueueUrl })
  assert.equal(again.code, 'AWS.SimpleQueueService.PurgeQueueInProgress;Sender')
  await broker.clock.advance('60s')
  await client.sqs('PurgeQueue', { QueueUrl })
  assert.deepEqual(await client.bodies(QueueUrl), [])
})

test('a deleted queue is gone, ends who waits for it, and comes back empty', async () => {
  const QueueUrl = await client.createQueue('deleted', { DelaySeconds: '1' })
  const waiting = client.refusal('ReceiveMessage', { QueueUrl, WaitTimeSeconds: 20 })
  for (let rounds = 0; rounds < 20; rounds++) await client.attributes(QueueUrl)
  await client.sqs('DeleteQueue', { QueueUrl })
  assert.equal((await waiting).type, 'com.amazonaws.sqs#QueueDoesNotExist')
  assert.equal((await client.refusal('DeleteQueue', { QueueUrl })).type, 'com.amazonaws.sqs#QueueDoesNotExist')
  await client.createQueue('deleted')
  assert.equal((await client.attributes(QueueUrl))['DelaySeconds'], '0')
})

test('dead letters are moved back to where they came from, and elsewhere', async () => {
  const dead = await client.createQueue('moved-dead')
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: arn('moved-dead'), maxReceiveCount: 1 })
  const urls = [await client.createQueue('moved-a', { RedrivePolicy }), await client.createQueue('moved-b', { RedrivePolicy })]
  for (const QueueUrl of urls) {
    await client.sqs('SendMessage', { QueueUrl, MessageBody: QueueUrl.at(-1) })
    await client.receive(QueueUrl, { VisibilityTimeout: 1 })
  }
  await client.sqs('SendMessage', { QueueUrl: dead, MessageBody: 'own' })
  await broker.clock.advance('1s')
  await eventually(async () => (await client.attributes(dead))['ApproximateNumberOfMessages'] === '3')
  const missing = await client.refusal('StartMessageMoveTask', { SourceArn: arn('nobody') })
  assert.deepEqual([missing.status, missing.type], [404, 'com.amazonaws.sqs#ResourceNotFoundException'])
  assert.equal((await client.refusal('StartMessageMoveTask', { SourceArn: arn('moved-a') })).code, 'InvalidParameterValue;Sender')
  await client.sqs('StartMessageMoveTask', { SourceArn: arn('moved-dead') })
  const task = async (): Promise<Json> =>
    ((await client.sqs('ListMessageMoveTasks', { SourceArn: arn('moved-dead') }))['Results'] as Json[])[0] ?? {}
  await eventually(async () => (await task())['Status'] === 'COMPLETED')
  assert.equal((await task())['ApproximateNumberOfMessagesMoved'], 2)
  for (const QueueUrl of urls) assert.deepEqual(await client.bodies(QueueUrl), [QueueUrl.at(-1)])
  // What was sent there itself came from nowhere.
  await client.createQueue('moved-there')
  const slow = { SourceArn: arn('moved-dead'), DestinationArn: arn('moved-there'), MaxNumberOfMessagesPerSecond: 1 }
  await client.sqs('StartMessageMoveTask', slow)
  await eventually(async () => {
    await broker.clock.advance('1s')
    return (await task())['Status'] === 'COMPLETED'
  })
  assert.deepEqual(await client.bodies(`${client.url}/000000000000/moved-there`), ['own'])
})

test('a moving task is cancelled by its handle', async () => {
  const dead = await client.createQueue('slow-dead')
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: arn('slow-dead'), maxReceiveCount: 1 })
  await client.createQueue('slow', { RedrivePolicy })
  for (let index = 0; index < 5; index++) await client.sqs('SendMessage', { QueueUrl: dead, MessageBody: `${index}` })
  const start = { SourceArn: arn('slow-dead'), DestinationArn: arn('slow'), MaxNumberOfMessagesPerSecond: 1 }
  const { TaskHandle } = await client.sqs('StartMessageMoveTask', start)
  const twice = await client.refusal('StartMessageMoveTask', start)
  assert.equal(twice.code, 'AWS.SimpleQueueService.UnsupportedOperation;Sender')
  await client.sqs('CancelMessageMoveTask', { TaskHandle })
  const status = async (): Promise<unknown> =>
    ((await client.sqs('ListMessageMoveTasks', { SourceArn: arn('slow-dead') }))['Results'] as Json[])[0]?.['Status']
  await eventually(async () => {
    await broker.clock.advance('1s')
    return (await status()) === 'CANCELLED'
  })
  assert.ok(Number((await client.attributes(dead))['ApproximateNumberOfMessages']) >= 3)
  assert.equal((await client.refusal('CancelMessageMoveTask', { TaskHandle })).status, 404)
})

test('the Query protocol says the same in forms and XML', async () => {
  const Version = '2012-11-05'
  const created = await client.query({
    Action: 'CreateQueue',
    Version,
    QueueName: 'old',
    'Attribute.1.Name': 'VisibilityTimeout',
    'Attribute.1.Value': '7',
    'Tag.1.Key': 'k',
    'Tag.1.Value': 'v<&>',
  })
  assert.equal(created.status, 200)
  const url = element(created.xml, 'QueueUrl') ?? ''
  const path = new URL(url).pathname
  const sent = await client.query(
    {
      Action: 'SendMessageBatch',
      Version,
      'SendMessageBatchRequestEntry.1.Id': 'one',
      'SendMessageBatchRequestEntry.1.MessageBody': 'a & b',
      'SendMessageBatchRequestEntry.1.MessageAttribute.1.Name': 'n',
      'SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType': 'Number',
      'SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue': '12',
      'SendMessageBatchRequestEntry.2.Id': 'two',
      'SendMessageBatchRequestEntry.2.MessageBody': '',
    },
    path,
  )
  assert.deepEqual(elements(sent.xml, 'Id'), ['one', 'two'])
  assert.match(sent.xml, /<SendMessageBatchResultEntry><Id>one<.*<BatchResultErrorEntry><Id>two</s)
  const received = await client.query(
    { Action: 'ReceiveMessage', Version, 'AttributeName.1': 'ApproximateReceiveCount', 'MessageAttributeName.1': 'All' },
    path,
  )
  assert.match(received.xml, /<Message><MessageId>[^<]+<\/MessageId><ReceiptHandle>/)
  assert.equal(element(received.xml, 'Body'), 'a &amp; b')
  assert.match(received.xml, /<Attribute><Name>ApproximateReceiveCount<\/Name><Value>1<\/Value><\/Attribute>/)
  assert.match(
    received.xml,
    /<MessageAttribute><Name>n<\/Name><Value><StringValue>12<\/StringValue><DataType>Number<\/DataType><\/Value><\/MessageAttribute>/,
  )
  const ReceiptHandle = element(received.xml, 'ReceiptHandle') ?? ''
  const deleted = await client.query({ Action: 'DeleteMessage', Version, ReceiptHandle }, path)
  assert.match(
    deleted.xml,
    /^<\?xml version="1.0"\?>\n<DeleteMessageResponse xmlns="http:\/\/queue.amazonaws.com\/doc\/2012-11-05\/"><ResponseMetadata>/,
  )
  const attributes = await client.query({ Action: 'GetQueueAttributes', Version, 'AttributeName.1': 'VisibilityTimeout' }, path)
  assert.match(attributes.xml, /<Attribute><Name>VisibilityTimeout<\/Name><Value>7<\/Value><\/Attribute>/)
  const tags = await client.query({ Action: 'ListQueueTags', Version }, path)
  assert.match(tags.xml, /<Tag><Key>k<\/Key><Value>v&lt;&amp;&gt;<\/Value><\/Tag>/)
  const missing = await client.query({ Action: 'GetQueueUrl', Version, QueueName: 'nobody' })
  assert.deepEqual(
    [missing.status, element(missing.xml, 'Code'), element(missing.xml, 'Type')],
    [400, 'AWS.SimpleQueueService.NonExistentQueue', 'Sender'],
  )
  assert.equal(element((await client.query({ Version })).xml, 'Code'), 'MissingAction')
  assert.equal(
    element((await client.query({ Action: 'DeleteMessage', Version, ReceiptHandle: 'x' }, path)).xml, 'Code'),
    'ReceiptHandleIsInvalid',
  )
})

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 5000
  while (!(await holds())) assert.ok(Date.now() < deadline, 'not within 5 s')
}
