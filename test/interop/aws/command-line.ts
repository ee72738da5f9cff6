/** The AWS command line (`aws sqs`, `aws sns`), as shell scripts use it. Its path is the argument. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { runCases, setting, unique } from '../cases/cases.ts'

const program = process.argv[2] ?? 'aws'
const run = promisify(execFile)
const env = {
  PATH: process.env['PATH'] ?? '',
  HOME: '/nonexistent',
  AWS_ACCESS_KEY_ID: 'any',
  AWS_SECRET_ACCESS_KEY: 'any',
  AWS_DEFAULT_REGION: 'eu-central-1',
}

type Json = Record<string, unknown>

async function aws(...words: string[]): Promise<Json> {
  const { stdout } = await run(program, [...words, '--endpoint-url', setting('SQS'), '--output', 'json'], {
    env,
    timeout: 20_000,
  })
  return stdout.trim() === '' ? {} : (JSON.parse(stdout) as Json) // the program's answer
}

const named = (): string => unique('cli').replaceAll('.', '-')

await runCases({
  'a queue from its making to its end': async () => {
    const name = named()
    const { QueueUrl } = await aws('sqs', 'create-queue', '--queue-name', name, '--attributes', 'VisibilityTimeout=60')
    const url = ['--queue-url', String(QueueUrl)]
    await aws(
      'sqs',
      'send-message',
      ...url,
      '--message-body',
      'hello',
      '--message-attributes',
      'a={DataType=String,StringValue=b}',
    )
    const { Messages } = await aws(
      'sqs',
      'receive-message',
      ...url,
      '--message-attribute-names',
      'All',
      '--wait-time-seconds',
      '5',
    )
    const [message] = Messages as { Body: string; ReceiptHandle: string; MessageAttributes: Json }[]
    assert.equal(message?.Body, 'hello')
    assert.deepEqual(message?.MessageAttributes, { a: { StringValue: 'b', DataType: 'String' } })
    await aws('sqs', 'delete-message', ...url, '--receipt-handle', message?.ReceiptHandle ?? '')
    const { Attributes } = await aws('sqs', 'get-queue-attributes', ...url, '--attribute-names', 'All')
    assert.equal((Attributes as Json)['QueueArn'], `arn:aws:sqs:eu-central-1:000000000000:${name}`)
    assert.deepEqual(await aws('sqs', 'list-queues', '--queue-name-prefix', name), { QueueUrls: [QueueUrl] })
    await aws('sqs', 'delete-queue', ...url)
    await assert.rejects(aws('sqs', 'get-queue-url', '--queue-name', name), /NonExistentQueue.*does not exist/s)
  },
  'a topic and its subscription': async () => {
    const [topic, name] = [named(), named()]
    const { TopicArn } = await aws('sns', 'create-topic', '--name', topic)
    const { QueueUrl } = await aws('sqs', 'create-queue', '--queue-name', name)
    const arn = `arn:aws:sqs:eu-central-1:000000000000:${name}`
    const on = ['--topic-arn', String(TopicArn)]
    await aws('sns', 'subscribe', ...on, '--protocol', 'sqs', '--notification-endpoint', arn)
    await aws('sns', 'publish', ...on, '--message', 'news', '--subject', 'today')
    const { Messages } = await aws('sqs', 'receive-message', '--queue-url', String(QueueUrl), '--wait-time-seconds', '5')
    const [message] = Messages as { Body: string }[]
    const { Message, Subject } = JSON.parse(message?.Body ?? '{}') as Json
    assert.deepEqual([Message, Subject], ['news', 'today'])
    const { Subscriptions } = await aws('sns', 'list-subscriptions-by-topic', ...on)
    assert.equal((Subscriptions as { Endpoint: string }[])[0]?.Endpoint, arn)
  },
})
