import assert from 'node:assert/strict'
import { AwsClient } from '../../../src/protocols/aws/client.testing.ts'
import type { Corpus } from './corpus.ts'
import { lines } from './lines.ts'

export const sqs: Corpus = {
  listener: 'sqs',
  standardPort: 4566,
  saysWhy: (heardLast) => heardLast.length > 0,
  frames: lines,

  async drive(port) {
    const client = new AwsClient(`http://127.0.0.1:${port}`)
    const QueueUrl = await client.createQueue('fuzzed-messages')
    const attribute = { DataType: 'String', StringValue: 'v' }
    await client.sqs('SendMessage', { QueueUrl, MessageBody: 'x', MessageAttributes: { a: attribute } })
    await client.sqs('SendMessageBatch', { QueueUrl, Entries: [{ Id: 'a', MessageBody: 'y', DelaySeconds: 1 }] })
    const [message] = await client.receive(QueueUrl)
    const ReceiptHandle = message?.ReceiptHandle
    await client.sqs('ChangeMessageVisibility', { QueueUrl, ReceiptHandle, VisibilityTimeout: 5 })
    await client.sqs('DeleteMessage', { QueueUrl, ReceiptHandle })
    await client.sqs('SetQueueAttributes', { QueueUrl, Attributes: { VisibilityTimeout: '7' } })
    await client.attributes(QueueUrl)
    await client.query({ Action: 'ReceiveMessage', Version: '2012-11-05', 'AttributeName.1': 'All', QueueUrl })
    const Version = '2010-03-31'
    const TopicArn = 'arn:aws:sns:us-east-1:000000000000:fuzzed-messages'
    const Endpoint = 'arn:aws:sqs:us-east-1:000000000000:fuzzed-messages'
    const policy = { 'Attributes.entry.1.key': 'FilterPolicy', 'Attributes.entry.1.value': '{"a":[{"prefix":"v"}]}' }
    await client.query({ Action: 'CreateTopic', Version, Name: 'fuzzed-messages' })
    await client.query({ Action: 'Subscribe', Version, TopicArn, Protocol: 'sqs', Endpoint, ...policy })
    await client.query({ Action: 'Publish', Version, TopicArn, Message: 'z', MessageStructure: 'json' })
  },

  async healthy(port) {
    const client = new AwsClient(`http://127.0.0.1:${port}`)
    const QueueUrl = await client.createQueue('healthy-messages')
    return {
      async beat() {
        await client.sqs('SendMessage', { QueueUrl, MessageBody: 'beat' })
        const [message] = await client.receive(QueueUrl, { WaitTimeSeconds: 5 })
        assert.equal(message?.Body, 'beat')
        await client.sqs('DeleteMessage', { QueueUrl, ReceiptHandle: message.ReceiptHandle })
      },
      close: async () => undefined,
    }
  },
}
