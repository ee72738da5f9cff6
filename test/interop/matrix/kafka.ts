/** The matrix's Kafka side, by kafkajs. Well-known attributes are headers `anymq.<name>`. */
import { type IHeaders, Kafka, type KafkaMessage, logLevel } from 'kafkajs'
import { setting, unique, until } from '../cases/cases.ts'
import { ATTRIBUTES, BODY, type Driver, HEADERS, KEY, type Seen, TIMESTAMP } from './message.ts'

const PREFIX = 'anymq.'

export async function kafkaDriver(): Promise<Driver> {
  const kafka = new Kafka({
    clientId: 'matrix',
    brokers: [setting('KAFKA')],
    logLevel: logLevel.NOTHING,
    retry: { retries: 5, initialRetryTime: 50 },
  })
  const producer = kafka.producer()
  const admin = kafka.admin()
  await producer.connect()
  await admin.connect()

  async function first(topic: string): Promise<KafkaMessage> {
    const consumer = kafka.consumer({ groupId: unique('matrix'), heartbeatInterval: 500, maxWaitTimeInMs: 500 })
    let found: KafkaMessage | undefined
    try {
      await consumer.connect()
      await consumer.subscribe({ topic, fromBeginning: true })
      await consumer.run({
        eachMessage: async ({ message }) => {
          found ??= message
        },
      })
      await until(`a message for Kafka in ${topic}`, () => found !== undefined, 12_000)
    } finally {
      await consumer.disconnect()
    }
    return found as KafkaMessage
  }

  return {
    name: 'kafka',
    typedHeaders: false,
    declares: 'log',
    declare: async (topic) => {
      // The matrix's message is years old.
      await admin.createTopics({
        topics: [{ topic, numPartitions: 1, configEntries: [{ name: 'retention.ms', value: '-1' }] }],
        waitForLeaders: true,
      })
    },
    produce: async (topic) => {
      const headers: IHeaders = {}
      for (const [name, value] of Object.entries(ATTRIBUTES)) headers[PREFIX + name] = value
      for (const header of HEADERS) {
        if (header.raw !== undefined) headers[header.name] = header.raw
        else if (header.text !== undefined) headers[header.name] = header.text
      }
      await producer.send({ topic, acks: -1, messages: [{ key: KEY, value: BODY, headers, timestamp: String(TIMESTAMP) }] })
    },
    consume: async (topic) => seen(await first(topic)),
    forward: async (from, to) => {
      const message = await first(from)
      const copy = { key: message.key, value: message.value, timestamp: message.timestamp }
      // kafkajs reads null header values but cannot write them.
      const headers = Object.fromEntries(
        Object.entries(message.headers ?? {}).map(([name, value]) => [name, value ?? Buffer.alloc(0)]),
      )
      await producer.send({ topic: to, acks: -1, messages: [{ ...copy, headers }] })
    },
    close: async () => {
      await producer.disconnect()
      await admin.disconnect()
    },
  }
}

function seen(message: KafkaMessage): Seen {
  const headers = new Map<string, unknown>()
  const attributes: Record<string, string | undefined> = {}
  for (const [name, value] of Object.entries(message.headers ?? {})) {
    if (name.startsWith(PREFIX) && name.slice(PREFIX.length) in ATTRIBUTES)
      attributes[name.slice(PREFIX.length)] = value?.toString()
    else headers.set(name, value)
  }
  return {
    body: message.value ?? Buffer.alloc(0),
    key: message.key ?? undefined,
    timestamp: Number(message.timestamp),
    attributes,
    headers,
    redelivered: undefined,
  }
}
