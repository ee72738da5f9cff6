import amqplib from 'amqplib'
import type { Corpus } from './corpus.ts'
import { Echoes } from './echoes.ts'

const protocolHeaderBytes = 8

export const amqp: Corpus = {
  listener: 'amqp',
  standardPort: 5672,

  /** After the protocol header: u8 type, u16 channel, u32 size, the payload, u8 end. */
  frames(stream) {
    const frames = [stream.subarray(0, protocolHeaderBytes)]
    for (let at = protocolHeaderBytes; at < stream.length; ) {
      const length = at + 7 <= stream.length ? 8 + stream.readUInt32BE(at + 3) : stream.length - at
      frames.push(stream.subarray(at, at + length))
      at += length
    }
    return frames
  },

  async drive(port) {
    const connection = await amqplib.connect(`amqp://127.0.0.1:${port}`)
    const channel = await connection.createConfirmChannel()
    await channel.assertExchange('fuzzed.exchange', 'topic')
    await channel.assertExchange('fuzzed.headers', 'headers', { autoDelete: true, alternateExchange: 'fuzzed.exchange' })
    await channel.assertQueue('fuzzed.amqp', { deadLetterExchange: 'fuzzed.exchange', messageTtl: 60_000, maxLength: 1000 })
    await channel.assertQueue('fuzzed.priority', { maxPriority: 5, durable: false })
    await channel.bindQueue('fuzzed.amqp', 'fuzzed.exchange', 'a.*.#')
    await channel.bindQueue('fuzzed.priority', 'fuzzed.headers', '', { 'x-match': 'any', h: 1, t: { nested: [1, 'x', true] } })
    await channel.prefetch(10)
    const headers = { text: 'x', number: 5, list: [1, 'two'], table: { a: null } }
    const properties = {
      headers,
      correlationId: 'c',
      replyTo: 'r',
      expiration: '5000',
      messageId: 'm',
      type: 't',
      persistent: true,
    }
    for (let count = 0; count < 6; count++) channel.publish('fuzzed.exchange', 'a.b.c', Buffer.from(`body ${count}`), properties)
    channel.publish('fuzzed.headers', '', Buffer.alloc(5000, 'x'), { headers: { h: 1 }, mandatory: true })
    await channel.waitForConfirms()
    let left = 4
    await new Promise<void>((resolve) => {
      void channel.consume('fuzzed.amqp', (message) => {
        if (message === null || left === 0) return
        if (left % 2 === 0) channel.ack(message)
        else channel.nack(message, false, left === 3)
        if (--left === 0) resolve()
      })
    })
    await channel.get('fuzzed.priority', { noAck: true })
    await channel.recover()
    await channel.purgeQueue('fuzzed.amqp')
    await channel.unbindQueue('fuzzed.amqp', 'fuzzed.exchange', 'a.*.#')
    await channel.deleteQueue('fuzzed.priority')
    await channel.deleteExchange('fuzzed.headers')
    await channel.close()
    await connection.close()
  },

  async healthy(port) {
    const connection = await amqplib.connect(`amqp://127.0.0.1:${port}`)
    connection.on('error', () => undefined)
    const channel = await connection.createConfirmChannel()
    const queue = 'healthy.amqp'
    await channel.assertQueue(queue)
    const echoes = new Echoes()
    await channel.consume(queue, (message) => {
      if (message === null) return
      channel.ack(message)
      echoes.heard(String(message.content))
    })
    return {
      beat: () =>
        echoes.beat(async (value) => {
          channel.sendToQueue(queue, Buffer.from(value), { persistent: true })
          await channel.waitForConfirms()
        }),
      close: () => connection.close(),
    }
  },
}
