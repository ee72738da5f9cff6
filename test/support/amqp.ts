// For tests only: a broker with a real client on a real socket, and what conversations with it need again and again.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before } from 'node:test'
import amqplib, { type Channel, type ChannelModel, type ConsumeMessage, type GetMessage, type Options } from 'amqplib'
import { type EmbeddedBroker, type StartBrokerOptions, startBroker } from '../../src/index.ts'

export class Conversation {
  broker!: EmbeddedBroker // set before the first test
  connection!: ChannelModel // set before the first test

  /** Starts and stops with the tests of the file that makes it. */
  constructor(options: StartBrokerOptions = {}) {
    before(async () => {
      this.broker = await startBroker({ storage: 'memory', protocols: ['amqp'], ...options })
      this.connection = await amqplib.connect(this.broker.url('amqp'))
    })
    after(async () => {
      await this.connection.close()
      await this.broker.close()
    })
  }

  async channel(): Promise<Channel> {
    const channel = await this.connection.createChannel()
    // Who expects an error listens for it; a deadline that passes with the clock must not end the tests.
    channel.on('error', () => undefined)
    return channel
  }

  /** A channel that has declared a queue. */
  async fresh(name: string, options: Options.AssertQueue = {}): Promise<Channel> {
    const channel = await this.channel()
    await channel.assertQueue(name, options)
    return channel
  }

  /** The text of the error that closes the channel. */
  async refusal(use: (channel: Channel) => unknown): Promise<string> {
    const channel = await this.channel()
    const closed = once(channel, 'error')
    Promise.resolve(use(channel)).catch(() => undefined)
    const [error] = (await closed) as [Error]
    return /"(.*)"$/s.exec(error.message)?.[1] ?? error.message
  }

  /** The text of the error that closes a connection made for it. */
  async connectionRefusal(use: (channel: Channel) => unknown): Promise<string> {
    const connection = await amqplib.connect(this.broker.url('amqp'))
    const closed = once(connection, 'error')
    const channel = await connection.createChannel()
    channel.on('error', () => undefined)
    Promise.resolve(use(channel)).catch(() => undefined)
    const [error] = (await closed) as [Error]
    return /"(.*)"$/s.exec(error.message)?.[1] ?? error.message
  }
}

/** Waits for what another connection's turn brings about. */
export async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 5000
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, 'not within 5 s')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export async function taken(channel: Channel, queue: string, options: Options.Get = {}): Promise<GetMessage> {
  const message = await channel.get(queue, options)
  assert.ok(message !== false, `${queue} is empty`)
  return message
}

/** Consumes until `count` messages have come. */
export async function collected(
  channel: Channel,
  queue: string,
  count: number,
  options: Options.Consume = {},
): Promise<ConsumeMessage[]> {
  const messages: ConsumeMessage[] = []
  let consumerTag = ''
  await new Promise<void>((resolve, reject) => {
    channel
      .consume(
        queue,
        (message) => {
          if (message === null) return
          messages.push(message)
          if (options.noAck !== true) channel.ack(message)
          if (messages.length === count) resolve()
        },
        options,
      )
      .then((reply) => {
        consumerTag = reply.consumerTag
      }, reject)
  })
  await channel.cancel(consumerTag)
  return messages
}

export const texts = (messages: readonly ConsumeMessage[]): string[] => messages.map(({ content }) => content.toString())
