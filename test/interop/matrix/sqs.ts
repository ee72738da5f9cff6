/** The matrix's SQS side, by the AWS SDK for JavaScript. Ten attributes at most: the others are in `anymq.more`, as README of the protocol says. */
import {
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageCommand,
  type Message,
  type MessageAttributeValue,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { setting } from '../cases/cases.ts'
import { ATTRIBUTES, BODY, type Driver, HEADERS, KEY, type Seen, TIMESTAMP } from './message.ts'

const PREFIX = 'anymq.'
const MORE = 'anymq.more'
const attributesMax = 10

export async function sqsDriver(): Promise<Driver> {
  const endpoint = setting('SQS')
  const sqs = new SQSClient({ endpoint, region: 'us-east-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' } })
  const urlOf = (topic: string): string => `${endpoint}/000000000000/${topic}`

  async function receive(topic: string): Promise<Message> {
    const { Messages: [message] = [] } = await sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: urlOf(topic),
        WaitTimeSeconds: 15,
        MessageSystemAttributeNames: ['All'],
        MessageAttributeNames: ['All'],
      }),
    )
    if (message === undefined) throw new Error(`no message for SQS in ${topic}`)
    return message
  }

  async function received(topic: string): Promise<Message> {
    const message = await receive(topic)
    await sqs.send(new DeleteMessageCommand({ QueueUrl: urlOf(topic), ReceiptHandle: message.ReceiptHandle }))
    return message
  }

  return {
    name: 'sqs',
    typedHeaders: false,
    declares: 'queue',
    declare: async (topic) => {
      await sqs.send(new CreateQueueCommand({ QueueName: topic }))
    },
    produce: async (topic) => {
      await sqs.send(
        new SendMessageCommand({ QueueUrl: urlOf(topic), MessageBody: BODY.toString(), MessageAttributes: attributes() }),
      )
    },
    consume: async (topic) => seen(await received(topic)),
    forward: async (from, to) => {
      const { Body, MessageAttributes } = await received(from)
      await sqs.send(new SendMessageCommand({ QueueUrl: urlOf(to), MessageBody: Body, MessageAttributes }))
    },
    consumeTwice: async (topic) => {
      const { ReceiptHandle } = await receive(topic)
      await sqs.send(new ChangeMessageVisibilityCommand({ QueueUrl: urlOf(topic), ReceiptHandle, VisibilityTimeout: 0 }))
      return seen(await received(topic))
    },
    close: async () => sqs.destroy(),
  }
}

function attributes(): Record<string, MessageAttributeValue> {
  const all: [string, Buffer][] = [
    [`${PREFIX}key`, KEY],
    [`${PREFIX}timestamp`, Buffer.from(String(TIMESTAMP))],
    ...Object.entries(ATTRIBUTES).map(([name, value]): [string, Buffer] => [PREFIX + name, Buffer.from(value)]),
    ...HEADERS.flatMap(({ name, raw, text }): [string, Buffer][] => {
      const bytes = raw ?? (text === undefined ? undefined : Buffer.from(text))
      return bytes === undefined ? [] : [[name, bytes]]
    }),
  ]
  const shown = all
    .slice(0, attributesMax - 1)
    .map(([name, bytes]): [string, MessageAttributeValue] => [
      name,
      bytes === KEY ? { DataType: 'Binary', BinaryValue: bytes } : { DataType: 'String', StringValue: bytes.toString() },
    ])
  const more = all.slice(attributesMax - 1).map(([name, bytes]) => `${name}=${percent(bytes)}`)
  return Object.fromEntries([...shown, [MORE, { DataType: 'String', StringValue: more.join('&') }]])
}

const percent = (bytes: Buffer): string => [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
const unpercent = (text: string): Buffer =>
  Buffer.from(
    text.replace(/%(..)/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16))),
    'latin1',
  )

function seen(message: Message): Seen {
  const all = new Map<string, Buffer | null>()
  for (const [name, { StringValue, BinaryValue }] of Object.entries(message.MessageAttributes ?? {})) {
    if (name !== MORE) all.set(name, Buffer.from(BinaryValue ?? StringValue ?? ''))
    else
      for (const pair of (StringValue ?? '').split('&')) {
        const [key = '', value] = pair.split('=', 2)
        all.set(unpercent(key).toString(), value === undefined ? null : unpercent(value))
      }
  }
  const headers = new Map<string, unknown>()
  const found: Record<string, string | undefined> = {}
  for (const [name, value] of all) {
    if (name.startsWith(PREFIX) && name.slice(PREFIX.length) in ATTRIBUTES) found[name.slice(PREFIX.length)] = value?.toString()
    else headers.set(name, value)
  }
  const key = headers.get(`${PREFIX}key`)
  return {
    body: Buffer.from(message.Body ?? ''),
    key: Buffer.isBuffer(key) ? key : undefined,
    timestamp: Number(headers.get(`${PREFIX}timestamp`) ?? message.Attributes?.SentTimestamp),
    attributes: found,
    headers,
    redelivered: Number(message.Attributes?.ApproximateReceiveCount) > 1,
  }
}
