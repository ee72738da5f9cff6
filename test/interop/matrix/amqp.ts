/** The matrix's AMQP 0-9-1 side, by amqplib. */
import amqplib, { type ConfirmChannel, type ConsumeMessage, type GetMessage } from 'amqplib'
import { setting, until } from '../cases/cases.ts'
import { ATTRIBUTES, BODY, type Driver, HEADERS, KEY, type Seen, TIMESTAMP } from './message.ts'

export async function amqpDriver(): Promise<Driver> {
  const connection = await amqplib.connect(setting('AMQP'))
  connection.on('error', () => undefined)
  let current: ConfirmChannel | undefined

  /** A channel that the broker closes ends its case; the next case gets a new one. */
  async function usable(): Promise<ConfirmChannel> {
    if (current !== undefined) return current
    const opened = await connection.createConfirmChannel()
    const forget = (): void => {
      current = undefined
    }
    opened.on('error', forget)
    opened.on('close', forget)
    current = opened
    return opened
  }

  async function get(topic: string): Promise<GetMessage> {
    const channel = await usable()
    let found: GetMessage | false = false
    await until(`a message for AMQP in ${topic}`, async () => {
      found = await channel.get(topic)
      return found !== false
    })
    return found as unknown as GetMessage
  }

  /** What is declared a stream is only consumed, from where one says. */
  async function fromStream(topic: string): Promise<ConsumeMessage> {
    const channel = await usable()
    await channel.prefetch(1)
    const message = await new Promise<ConsumeMessage>((resolve, reject) => {
      const came = (message: ConsumeMessage | null): void => {
        if (message !== null) resolve(message)
      }
      channel.consume(topic, came, { arguments: { 'x-stream-offset': 'first' }, consumerTag: topic }).catch(reject)
    })
    await channel.cancel(topic)
    channel.ack(message)
    await channel.prefetch(0)
    return message
  }

  return {
    name: 'amqp',
    typedHeaders: true,
    declares: 'queue',
    declare: async (topic) => {
      const channel = await usable()
      await channel.assertQueue(topic, { durable: true })
    },
    produce: async (topic) => {
      const channel = await usable()
      channel.sendToQueue(topic, BODY, {
        messageId: ATTRIBUTES['message-id'],
        correlationId: ATTRIBUTES['correlation-id'],
        replyTo: ATTRIBUTES['reply-to'],
        contentType: ATTRIBUTES['content-type'],
        contentEncoding: ATTRIBUTES['content-encoding'],
        type: ATTRIBUTES.type,
        expiration: ATTRIBUTES.expiration,
        priority: Number(ATTRIBUTES.priority),
        appId: ATTRIBUTES['app-id'],
        timestamp: TIMESTAMP / 1000,
        persistent: true,
        headers: { 'x-anymq': { key: KEY }, ...Object.fromEntries(HEADERS.map((header) => [header.name, header.written])) },
      })
      await channel.waitForConfirms()
    },
    consume: async (topic, owner) => {
      if (owner === 'stream') return seen(await fromStream(topic))
      const message = await get(topic)
      current?.ack(message)
      return seen(message)
    },
    consumeTwice: async (topic) => {
      const first = await get(topic)
      current?.nack(first, false, true)
      const message = await get(topic)
      current?.ack(message)
      return seen(message)
    },
    forward: async (from, to, owner) => {
      const streams = owner === 'stream'
      const message = streams ? await fromStream(from) : await get(from)
      const channel = await usable()
      const { headers, ...properties } = message.properties
      channel.sendToQueue(to, message.content, { ...properties, headers: withTags(headers ?? {}) })
      await channel.waitForConfirms()
      if (!streams) channel.ack(message)
    },
    close: () => connection.close(),
  }
}

/** amqplib reads numbers without their width; a forwarding program that cares would tag them, and the matrix's message knows them. */
function withTags(headers: Record<string, unknown>): Record<string, unknown> {
  const known = new Map(HEADERS.map((header) => [header.name, header.written]))
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, typeof value === 'number' ? (known.get(name) ?? value) : value]),
  )
}

function seen(message: GetMessage | ConsumeMessage): Seen {
  const { properties } = message
  const headers = new Map<string, unknown>(Object.entries(properties.headers ?? {}))
  const spare = headers.get('x-anymq') as { key?: unknown } | undefined // a table, by the documented mapping
  const key = spare?.key
  headers.delete('x-anymq')
  headers.delete('x-stream-offset') // of the delivery
  return {
    body: message.content,
    key: Buffer.isBuffer(key) ? key : typeof key === 'string' ? Buffer.from(key) : undefined,
    timestamp: properties.timestamp === undefined ? undefined : Number(properties.timestamp) * 1000,
    attributes: {
      'message-id': properties.messageId as string | undefined,
      'correlation-id': properties.correlationId as string | undefined,
      'reply-to': properties.replyTo as string | undefined,
      'content-type': properties.contentType as string | undefined,
      'content-encoding': properties.contentEncoding as string | undefined,
      type: properties.type as string | undefined,
      expiration: properties.expiration as string | undefined,
      priority: properties.priority === undefined ? undefined : String(properties.priority),
      'app-id': properties.appId as string | undefined,
    },
    headers,
    redelivered: message.fields.redelivered,
  }
}
