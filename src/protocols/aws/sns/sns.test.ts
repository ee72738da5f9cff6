/** SNS over a real socket: topics, subscriptions, filters, raw and wrapped messages, FIFO, endpoints over HTTP, dead letters. */
import assert from 'node:assert/strict'
import { verify, X509Certificate } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import amqplib from 'amqplib'
import { type EmbeddedBroker, startBroker } from '../../../index.ts'
import { AwsClient, element, elements } from '../client.testing.ts'

let broker: EmbeddedBroker
let client: AwsClient
let endpoint: Server
const posts: { path: string; headers: IncomingHttpHeaders; body: string }[] = []
const answers: number[] = []

before(async () => {
  broker = await startBroker({ protocols: ['sqs', 'amqp'] })
  client = new AwsClient(broker.url('sqs'))
  endpoint = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      posts.push({ path: request.url ?? '', headers: request.headers, body })
      response.statusCode = answers.shift() ?? 200
      response.end()
    })
  })
  await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve))
})
after(async () => {
  endpoint.close()
  endpoint.closeAllConnections()
  await broker.close()
})

const arnOf = (service: 'sqs' | 'sns', name: string): string => `arn:aws:${service}:us-east-1:000000000000:${name}`

async function sns(Action: string, form: Record<string, string> = {}): Promise<string> {
  const { status, xml } = await client.query({ Action, Version: '2010-03-31', ...form })
  assert.equal(status, 200, xml)
  return xml
}

async function refused(
  Action: string,
  form: Record<string, string> = {},
): Promise<[number, string | undefined, string | undefined]> {
  const { status, xml } = await client.query({ Action, Version: '2010-03-31', ...form })
  return [status, element(xml, 'Code'), element(xml, 'Message')]
}

const entries = (name: string, map: Record<string, string>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(map).flatMap(([key, value], index) => [
      [`${name}.entry.${index + 1}.key`, key],
      [`${name}.entry.${index + 1}.value`, value],
    ]),
  )
const messageAttributes = (map: Record<string, string | number>, prefix = ''): Record<string, string> =>
  Object.fromEntries(
    Object.entries(map).flatMap(([name, value], index) => {
      const at = `${prefix}MessageAttributes.entry.${index + 1}`
      return [
        [`${at}.Name`, name],
        [`${at}.Value.DataType`, typeof value === 'number' ? 'Number' : 'String'],
        [`${at}.Value.StringValue`, String(value)],
      ]
    }),
  )

async function topic(name: string, attributes: Record<string, string> = {}): Promise<string> {
  return element(await sns('CreateTopic', { Name: name, ...entries('Attributes', attributes) }), 'TopicArn') ?? ''
}

async function subscribedQueue(TopicArn: string, name: string, attributes: Record<string, string> = {}): Promise<string> {
  const url = await client.createQueue(name, name.endsWith('.fifo') ? { FifoQueue: 'true' } : {})
  await sns('Subscribe', { TopicArn, Protocol: 'sqs', Endpoint: arnOf('sqs', name), ...entries('Attributes', attributes) })
  return url
}

test('topics are made once, listed, described, tagged, changed and deleted', async () => {
  const TopicArn = await topic('made', { DisplayName: 'Made' })
  assert.equal(TopicArn, arnOf('sns', 'made'))
  assert.equal(await topic('made'), TopicArn)
  assert.equal(
    (await refused('CreateTopic', { Name: 'made', ...entries('Attributes', { DisplayName: 'x' }) }))[1],
    'InvalidParameter',
  )
  assert.ok(elements(await sns('ListTopics'), 'TopicArn').includes(TopicArn))
  await sns('SetTopicAttributes', { TopicArn, AttributeName: 'DisplayName', AttributeValue: 'Other' })
  assert.match(await sns('GetTopicAttributes', { TopicArn }), /<entry><key>DisplayName<\/key><value>Other<\/value><\/entry>/)
  await sns('TagResource', { ResourceArn: TopicArn, 'Tags.member.1.Key': 'team', 'Tags.member.1.Value': 'a' })
  assert.match(await sns('ListTagsForResource', { ResourceArn: TopicArn }), /<member><Key>team<\/Key><Value>a<\/Value><\/member>/)
  await sns('UntagResource', { ResourceArn: TopicArn, 'TagKeys.member.1': 'team' })
  assert.deepEqual(elements(await sns('ListTagsForResource', { ResourceArn: TopicArn }), 'Key'), [])
  for (const [name, value] of [
    ['KmsMasterKeyId', 'alias/aws/sns'],
    ['Nonsense', 'x'],
    ['Policy', '{"Statement":[{"Effect":"Deny"}]}'],
    ['DeliveryPolicy', '{"http":{"defaultHealthyRetryPolicy":{"numRetries":101}}}'],
    ['HTTPSuccessFeedbackRoleArn', 'arn:aws:iam::1:role/x'],
  ] as const)
    assert.equal(
      (await refused('SetTopicAttributes', { TopicArn, AttributeName: name, AttributeValue: value }))[1],
      'InvalidParameter',
      name,
    )
  await sns('DeleteTopic', { TopicArn })
  await sns('DeleteTopic', { TopicArn })
  assert.deepEqual(await refused('GetTopicAttributes', { TopicArn }), [404, 'NotFound', 'Topic does not exist'])
  for (const Name of ['a b', 'a.fifo', '', 'x'.repeat(257)])
    assert.equal((await refused('CreateTopic', { Name }))[1], 'InvalidParameter')
})

test('a published message comes to every queue that wants it: wrapped, raw, filtered', async () => {
  const TopicArn = await topic('orders')
  const wrapped = await subscribedQueue(TopicArn, 'orders-wrapped')
  const raw = await subscribedQueue(TopicArn, 'orders-raw', { RawMessageDelivery: 'true' })
  const large = await subscribedQueue(TopicArn, 'orders-large', { FilterPolicy: '{"amount":[{"numeric":[">=",100]}]}' })
  const body = await subscribedQueue(TopicArn, 'orders-body', {
    FilterPolicy: '{"kind":["new"]}',
    FilterPolicyScope: 'MessageBody',
  })
  const Message = '{"kind":"new","text":"größe <&>"}'
  const sent = await sns('Publish', { TopicArn, Message, Subject: 'An order', ...messageAttributes({ amount: 5, shop: 'a' }) })
  const [envelope] = await client.receive(wrapped)
  const notification = JSON.parse(envelope?.Body ?? '{}') as Record<string, unknown>
  assert.deepEqual(
    { ...notification, Timestamp: '', UnsubscribeURL: '' },
    {
      Type: 'Notification',
      MessageId: element(sent, 'MessageId'),
      TopicArn,
      Subject: 'An order',
      Message,
      Timestamp: '',
      UnsubscribeURL: '',
      MessageAttributes: { amount: { Type: 'Number', Value: '5' }, shop: { Type: 'String', Value: 'a' } },
    },
  )
  assert.ok(String(notification['UnsubscribeURL']).startsWith(`${client.url}/?Action=Unsubscribe&`))
  const [plain] = await client.receive(raw)
  assert.equal(plain?.Body, Message)
  assert.equal(plain?.MessageAttributes['amount']?.StringValue, '5')
  assert.equal((await client.bodies(body)).length, 1)
  assert.deepEqual(await client.bodies(large), [])
  await sns('Publish', { TopicArn, Message: 'large', ...messageAttributes({ amount: 100 }) })
  assert.equal((await client.bodies(large)).length, 1)
  assert.deepEqual(await client.bodies(body), [])
  await client.query({ Action: 'Unsubscribe' }, new URL(String(notification['UnsubscribeURL'])).pathname)
  const unsubscribed = await fetch(String(notification['UnsubscribeURL']))
  assert.equal(unsubscribed.status, 200)
  await sns('Publish', { TopicArn, Message: 'later' })
  assert.equal((await client.bodies(raw)).at(-1), 'later')
  assert.equal((await client.bodies(wrapped)).length, 1)
})

test('what another protocol publishes to the exchange of that name reaches subscribers, and its queues hear what SNS publishes', async () => {
  const TopicArn = await topic('joined')
  const url = await subscribedQueue(TopicArn, 'joined-sqs', { RawMessageDelivery: 'true', FilterPolicy: '{"tenant":["a"]}' })
  const connection = await amqplib.connect(broker.url('amqp'))
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('joined-amqp')
  await channel.bindQueue('joined-amqp', 'joined', '')
  for (const tenant of ['a', 'b'])
    channel.publish('joined', '', Buffer.from(`from ${tenant}`), { headers: { tenant }, messageId: 'm1', mandatory: true })
  await channel.waitForConfirms()
  const [message] = await client.receive(url)
  assert.equal(message?.Body, 'from a')
  assert.equal(message?.MessageAttributes['tenant']?.StringValue, 'a')
  assert.deepEqual(await client.bodies(url), [])
  await sns('Publish', { TopicArn, Message: 'from sns', Subject: 's', ...messageAttributes({ n: 7 }) })
  const seen: unknown[] = []
  for (let count = 0; count < 3; count++) {
    const got = await channel.get('joined-amqp', { noAck: true })
    if (got !== false) seen.push([got.content.toString(), got.properties.headers?.['n']])
  }
  assert.deepEqual(seen, [
    ['from a', undefined],
    ['from b', undefined],
    ['from sns', 7],
  ])
  await connection.close()
})

test('different protocols get different texts where the publisher gave them', async () => {
  const TopicArn = await topic('structured')
  const url = await subscribedQueue(TopicArn, 'structured-sqs', { RawMessageDelivery: 'true' })
  await sns('Publish', { TopicArn, MessageStructure: 'json', Message: '{"default":"d","sqs":"for queues","email":"e"}' })
  await sns('Publish', { TopicArn, MessageStructure: 'json', Message: '{"default":"for all"}' })
  assert.deepEqual(await client.bodies(url), ['for queues', 'for all'])
  for (const Message of ['{"sqs":"x"}', 'no json'])
    assert.equal((await refused('Publish', { TopicArn, MessageStructure: 'json', Message }))[1], 'InvalidParameter')
})

test('a batch tells of each entry', async () => {
  const TopicArn = await topic('batched')
  const url = await subscribedQueue(TopicArn, 'batched-sqs', { RawMessageDelivery: 'true' })
  const entry = (index: number, id: string, message: string): Record<string, string> => ({
    [`PublishBatchRequestEntries.member.${index}.Id`]: id,
    [`PublishBatchRequestEntries.member.${index}.Message`]: message,
  })
  const xml = await sns('PublishBatch', {
    TopicArn,
    ...entry(1, 'a', 'one'),
    ...entry(2, 'b', ''),
    ...entry(3, 'c', 'three'),
    ...messageAttributes({ x: 'y' }, 'PublishBatchRequestEntries.member.3.'),
  })
  assert.match(
    xml,
    /<Successful><member><Id>a<.*<member><Id>c<.*<\/Successful><Failed><member><Id>b<\/Id><Code>InvalidParameter<.*<SenderFault>true</s,
  )
  const got = await client.receive(url)
  assert.deepEqual(
    got.map(({ Body, MessageAttributes }) => [Body, MessageAttributes?.['x']?.StringValue]),
    [
      ['one', undefined],
      ['three', 'y'],
    ],
  )
  assert.equal((await refused('PublishBatch', { TopicArn }))[1], 'EmptyBatchRequest')
  assert.equal(
    (await refused('PublishBatch', { TopicArn, ...entry(1, 'a', 'x'), ...entry(2, 'a', 'x') }))[1],
    'BatchEntryIdsNotDistinct',
  )
})

test('a FIFO topic brings groups in order to FIFO queues, and each message once, to standard queues too', async () => {
  const TopicArn = await topic('steps.fifo', { FifoTopic: 'true', ContentBasedDeduplication: 'true' })
  const ordered = await subscribedQueue(TopicArn, 'steps.fifo', { RawMessageDelivery: 'true' })
  const loose = await subscribedQueue(TopicArn, 'steps', { RawMessageDelivery: 'true' })
  const numbers: (string | undefined)[] = []
  for (const Message of ['1', '2', '1', '3']) {
    const xml = await sns('Publish', { TopicArn, Message, MessageGroupId: 'g' })
    numbers.push(element(xml, 'SequenceNumber'))
  }
  assert.equal(numbers[2], numbers[0])
  const got = await client.receive(ordered)
  assert.deepEqual(
    got.map(({ Body, Attributes }) => [Body, Attributes['MessageGroupId'], Attributes['SequenceNumber']]),
    [
      ['1', 'g', numbers[0]],
      ['2', 'g', numbers[1]],
      ['3', 'g', numbers[3]],
    ],
  )
  assert.deepEqual((await client.bodies(loose)).sort(), ['1', '2', '3'])
  assert.match((await refused('Publish', { TopicArn, Message: 'x' }))[2] ?? '', /MessageGroupId parameter is required/)
  const standard = await topic('standard')
  const fifoEndpoint = { TopicArn: standard, Protocol: 'sqs', Endpoint: arnOf('sqs', 'steps.fifo') }
  assert.match((await refused('Subscribe', fifoEndpoint))[2] ?? '', /can not be subscribed to standard SNS topics/)
})

test('what a queue cannot take goes to the subscription’s dead-letter queue', async () => {
  const dead = await client.createQueue('undelivered')
  const TopicArn = await topic('lossless')
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: arnOf('sqs', 'undelivered') })
  const small = await subscribedQueue(TopicArn, 'small', { RawMessageDelivery: 'true', RedrivePolicy })
  await client.sqs('SetQueueAttributes', { QueueUrl: small, Attributes: { MaximumMessageSize: '1024' } })
  await sns('Publish', { TopicArn, Message: 'x'.repeat(1025) })
  assert.equal((await client.bodies(dead))[0]?.length, 1025)
  await client.sqs('DeleteQueue', { QueueUrl: small })
  await sns('Publish', { TopicArn, Message: 'nobody there' })
  assert.deepEqual(await client.bodies(dead), ['nobody there'])
})

test('subscriptions are listed, described, changed and ended; again is no error unless it differs', async () => {
  const TopicArn = await topic('subscribed')
  await client.createQueue('subscriber')
  const form = { TopicArn, Protocol: 'sqs', Endpoint: arnOf('sqs', 'subscriber') }
  const SubscriptionArn = element(await sns('Subscribe', form), 'SubscriptionArn') ?? ''
  assert.equal(element(await sns('Subscribe', form), 'SubscriptionArn'), SubscriptionArn)
  const different = await refused('Subscribe', { ...form, ...entries('Attributes', { RawMessageDelivery: 'true' }) })
  assert.match(different[2] ?? '', /Subscription already exists with different attributes/)
  assert.deepEqual(elements(await sns('ListSubscriptionsByTopic', { TopicArn }), 'SubscriptionArn'), [SubscriptionArn])
  assert.ok(elements(await sns('ListSubscriptions'), 'SubscriptionArn').includes(SubscriptionArn))
  const set = { SubscriptionArn, AttributeName: 'FilterPolicy' }
  await sns('SetSubscriptionAttributes', { ...set, AttributeValue: '{"a":["b"]}' })
  const attributes = await sns('GetSubscriptionAttributes', { SubscriptionArn })
  assert.match(attributes, /<key>FilterPolicy<\/key><value>\{&quot;a&quot;:\[&quot;b&quot;\]\}<\/value>/)
  assert.match(attributes, /<key>FilterPolicyScope<\/key><value>MessageAttributes<\/value>/)
  assert.equal((await refused('SetSubscriptionAttributes', { ...set, AttributeValue: '{"a":1}' }))[1], 'InvalidParameter')
  await sns('Unsubscribe', { SubscriptionArn })
  await sns('Unsubscribe', { SubscriptionArn })
  assert.deepEqual(await refused('GetSubscriptionAttributes', { SubscriptionArn }), [
    404,
    'NotFound',
    'Subscription does not exist',
  ])
  for (const Protocol of ['email', 'sms', 'lambda', 'firehose'])
    assert.match(
      (await refused('Subscribe', { TopicArn, Protocol, Endpoint: 'x' }))[2] ?? '',
      /Does not support this protocol string/,
    )
})

test('an endpoint over HTTP confirms, and gets what is published, again when it does not take it, else it is a dead letter', async () => {
  const { port } = endpoint.address() as AddressInfo
  const Endpoint = `http://127.0.0.1:${port}/hook`
  const dead = await client.createQueue('hook-dead')
  const TopicArn = await topic('hooked')
  const DeliveryPolicy = '{"healthyRetryPolicy":{"numRetries":2,"minDelayTarget":5,"maxDelayTarget":5}}'
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: arnOf('sqs', 'hook-dead') })
  const form = { TopicArn, Protocol: 'http', Endpoint, ...entries('Attributes', { DeliveryPolicy, RedrivePolicy }) }
  assert.equal(element(await sns('Subscribe', form), 'SubscriptionArn'), 'pending confirmation')
  await eventually(() => posts.length === 1)
  const asked = JSON.parse(posts[0]?.body ?? '{}') as { Type: string; SubscribeURL: string; Token: string }
  assert.equal(asked.Type, 'SubscriptionConfirmation')
  assert.equal(posts[0]?.headers['x-amz-sns-message-type'], 'SubscriptionConfirmation')
  await sns('Publish', { TopicArn, Message: 'too early' })
  assert.match(await sns('ListSubscriptionsByTopic', { TopicArn }), /<SubscriptionArn>PendingConfirmation</)
  assert.equal((await refused('ConfirmSubscription', { TopicArn, Token: 'wrong' }))[1], 'InvalidParameter')
  assert.equal((await fetch(asked.SubscribeURL)).status, 200)
  await sns('Publish', { TopicArn, Message: 'hello' })
  await eventually(() => posts.length === 2)
  const got = JSON.parse(posts[1]?.body ?? '{}') as { Type: string; Message: string }
  assert.deepEqual([got.Type, got.Message, posts[1]?.path], ['Notification', 'hello', '/hook'])
  assert.equal((await refused('SetTopicAttributes', signatureVersion(TopicArn, '3')))[1], 'InvalidParameter')
  await sns('SetTopicAttributes', signatureVersion(TopicArn, '2'))
  await sns('Publish', { TopicArn, Message: 'signed anew' })
  await eventually(() => posts.length === 3)
  await checkSignature(posts[1]?.body ?? '', 'RSA-SHA1')
  await checkSignature(posts.pop()?.body ?? '', 'RSA-SHA256')
  // Not taken twice, then taken.
  answers.push(500, 503, 200)
  await sns('Publish', { TopicArn, Message: 'again' })
  await eventually(async () => {
    await broker.clock.advance('5s')
    return posts.length === 5
  })
  answers.push(500, 500, 500)
  await sns('Publish', { TopicArn, Message: 'never' })
  await eventually(async () => {
    await broker.clock.advance('5s')
    return (await client.attributes(dead))['ApproximateNumberOfMessages'] === '1'
  })
  answers.push(400)
  await sns('Publish', { TopicArn, Message: 'refused' })
  await eventually(async () => (await client.attributes(dead))['ApproximateNumberOfMessages'] === '2')
  const letters = (await client.bodies(dead)).map((text) => (JSON.parse(text) as { Message: string }).Message)
  assert.deepEqual(letters, ['never', 'refused'])
})

test('notifications in queues are signed where their topic says how, one signature for all of them', async () => {
  const TopicArn = await topic('signed')
  const queues = [await subscribedQueue(TopicArn, 'signed-1'), await subscribedQueue(TopicArn, 'signed-2')]
  const bodies = async (): Promise<string[]> => {
    const found = await Promise.all(queues.map((queue) => client.bodies(queue)))
    return found.map(([body = '']) => body)
  }
  await sns('Publish', { TopicArn, Message: 'plain' })
  for (const body of await bodies()) assert.equal((JSON.parse(body) as { Signature?: string }).Signature, undefined)
  for (const [version, algorithm] of [
    ['1', 'RSA-SHA1'],
    ['2', 'RSA-SHA256'],
  ] as const) {
    await sns('SetTopicAttributes', signatureVersion(TopicArn, version))
    await sns('Publish', { TopicArn, Message: version })
    const signed = await bodies()
    for (const body of signed) await checkSignature(body, algorithm)
    const signatures = signed.map((body) => JSON.parse(body) as { Signature: string; SignatureVersion: string })
    assert.equal(signatures[0]?.Signature, signatures[1]?.Signature)
    assert.equal(signatures[0]?.SignatureVersion, version)
  }
})

const signatureVersion = (TopicArn: string, AttributeValue: string): Record<string, string> => ({
  TopicArn,
  AttributeName: 'SignatureVersion',
  AttributeValue,
})

/** Of a notification without a subject. */
async function checkSignature(text: string, algorithm: string): Promise<void> {
  const fields = JSON.parse(text) as Record<string, string>
  const answer = await fetch(fields['SigningCertURL'] ?? '')
  const { publicKey } = new X509Certificate(await answer.text())
  const names = ['Message', 'MessageId', 'Timestamp', 'TopicArn', 'Type']
  const signable = names.map((name) => `${name}\n${fields[name]}\n`).join('')
  assert.ok(verify(algorithm, Buffer.from(signable), publicKey, Buffer.from(fields['Signature'] ?? '', 'base64')))
}

async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 5000
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, 'not within 5 s')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
