/** The AWS SDK for JavaScript, version 3: queues and topics, and what crosses to Kafka and AMQP clients. */
import assert from 'node:assert/strict'
import { CreateTopicCommand, PublishBatchCommand, PublishCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns'
import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type Message,
  QueueDoesNotExist,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import amqplib from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import { runCases, setting, unique, until } from '../cases/cases.ts'

const options = {
  endpoint: setting('SQS'),
  region: 'us-east-1',
  credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
}
const sqs = new SQSClient(options)
const sns = new SNSClient(options)

const named = (suffix = ''): string => unique('sdk').replaceAll('.', '-') + suffix

async function queue(name = named(), Attributes: Record<string, string> = {}): Promise<string> {
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes }))
  return QueueUrl ?? ''
}

/** Until so many messages have come. */
async function receive(QueueUrl: string, count: number): Promise<Message[]> {
  const found: Message[] = []
  const command = new ReceiveMessageCommand({
    QueueUrl,
    MaxNumberOfMessages: 10,
    WaitTimeSeconds: 5,
    MessageSystemAttributeNames: ['All'],
    MessageAttributeNames: ['All'],
  })
  await until(`${count} messages`, async () => {
    const { Messages = [] } = await sqs.send(command)
    found.push(...Messages)
    return found.length >= count
  })
  assert.equal(found.length, count)
  return found
}

await runCases({
  'messages with attributes and digests': async () => {
    const QueueUrl = await queue()
    const MessageAttributes = {
      text: { DataType: 'String', StringValue: 'grüße' },
      bytes: { DataType: 'Binary', BinaryValue: Uint8Array.from([0, 255]) },
    }
    const sent = await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'größe', MessageAttributes }))
    const [message] = await receive(QueueUrl, 1)
    assert.equal(message?.MessageId, sent.MessageId)
    assert.equal(message?.Body, 'größe')
    assert.equal(message?.MessageAttributes?.['text']?.StringValue, 'grüße')
    assert.deepEqual([...(message?.MessageAttributes?.['bytes']?.BinaryValue ?? [])], [0, 255])
    await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: message?.ReceiptHandle }))
    const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl }))
    assert.equal(Messages, undefined)
  },
  'batches, and what is left': async () => {
    const QueueUrl = await queue()
    const Entries = Array.from({ length: 10 }, (_, index) => ({ Id: `${index}`, MessageBody: `${index}` }))
    const { Successful = [] } = await sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries }))
    assert.equal(Successful.length, 10)
    const got = await receive(QueueUrl, 10)
    const handles = got.map(({ ReceiptHandle }, index) => ({ Id: `${index}`, ReceiptHandle }))
    const deleted = await sqs.send(new DeleteMessageBatchCommand({ QueueUrl, Entries: handles }))
    assert.equal(deleted.Successful?.length, 10)
    const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }))
    assert.equal(Attributes?.['ApproximateNumberOfMessages'], '0')
    assert.equal(Attributes?.['ApproximateNumberOfMessagesNotVisible'], '0')
  },
  'errors are classes of the SDK': async () => {
    const QueueUrl = `${setting('SQS')}/000000000000/nobody`
    await assert.rejects(sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'x' })), QueueDoesNotExist)
  },
  'FIFO queues': async () => {
    const QueueUrl = await queue(named('.fifo'), { FifoQueue: 'true', ContentBasedDeduplication: 'true' })
    for (const MessageBody of ['1', '2', '1', '3'])
      await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody, MessageGroupId: 'g' }))
    const got = await receive(QueueUrl, 3)
    assert.deepEqual(
      got.map(({ Body }) => Body),
      ['1', '2', '3'],
    )
  },
  'a topic to a queue': async () => {
    const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: named() }))
    const QueueUrl = await queue()
    const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }))
    const raw = { RawMessageDelivery: 'true', FilterPolicy: '{"to":[{"prefix":"a"}]}' }
    await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: Attributes?.['QueueArn'], Attributes: raw }))
    const to = (StringValue: string) => ({ to: { DataType: 'String', StringValue } })
    await sns.send(new PublishCommand({ TopicArn, Message: 'one', MessageAttributes: to('ab') }))
    const entries = ['ac', 'b'].map((name) => ({ Id: name, Message: name, MessageAttributes: to(name) }))
    const { Successful } = await sns.send(new PublishBatchCommand({ TopicArn, PublishBatchRequestEntries: entries }))
    assert.equal(Successful?.length, 2)
    const got = await receive(QueueUrl, 2)
    assert.deepEqual(
      got.map(({ Body }) => Body),
      ['one', 'ac'],
    )
  },
  'SQS to AMQP and back, on the queue of one name': async () => {
    const name = named()
    const QueueUrl = await queue(name)
    const connection = await amqplib.connect(setting('AMQP'))
    const channel = await connection.createConfirmChannel()
    const MessageAttributes = { tenant: { DataType: 'String', StringValue: 'acme' } }
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'to amqp', MessageAttributes }))
    const got = await channel.get(name, { noAck: true })
    assert.ok(got !== false)
    assert.deepEqual([got.content.toString(), got.properties.headers?.['tenant']], ['to amqp', 'acme'])
    channel.sendToQueue(name, Buffer.from('to sqs'), { headers: { tenant: 'b' }, persistent: true })
    await channel.waitForConfirms()
    const [message] = await receive(QueueUrl, 1)
    assert.deepEqual([message?.Body, message?.MessageAttributes?.['tenant']?.StringValue], ['to sqs', 'b'])
    await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: message?.ReceiptHandle }))
    assert.equal((await channel.checkQueue(name)).messageCount, 0)
    await connection.close()
  },
  'Kafka to SQS': async () => {
    const name = named()
    const QueueUrl = await queue(name)
    const kafka = new Kafka({ brokers: [setting('KAFKA')], logLevel: logLevel.NOTHING })
    const producer = kafka.producer()
    await producer.connect()
    await producer.send({ topic: name, messages: [{ key: 'k', value: 'from kafka', headers: { h: 'v' } }] })
    await producer.disconnect()
    const [message] = await receive(QueueUrl, 1)
    assert.equal(message?.Body, 'from kafka')
    assert.equal(message?.MessageAttributes?.['h']?.StringValue, 'v')
    assert.equal(message?.MessageAttributes?.['anymq.key']?.StringValue, 'k')
  },
})
