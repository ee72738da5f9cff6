/** The matrix's NSQ side, by a client of the protocol's frames. A message is its value alone; a channel is made before anything is published, or begins with what is kept. */
import { NsqClient } from '../../../src/protocols/nsq/client.testing.ts'
import { setting } from '../cases/cases.ts'
import { ATTRIBUTES, BODY, type Driver, HEADERS, type Seen } from './message.ts'

const allButTheBody = ['key', 'timestamp', ...Object.keys(ATTRIBUTES), ...HEADERS.map(({ name }) => name), 'header types named']
const channel = 'matrix'

export async function nsqDriver(): Promise<Driver> {
  const port = Number(setting('NSQ').split(':')[1])
  const producer = await NsqClient.connected(port)

  async function first(topic: string, times: number): Promise<{ body: Buffer; attempts: number }> {
    const client = await NsqClient.subscribed(port, topic, channel)
    for (;;) {
      const { id, body, attempts } = await client.message()
      client.send(attempts < times ? `REQ ${id} 0\n` : `FIN ${id}\nCLS\n`)
      if (attempts < times) continue
      await client.frame()
      client.close()
      return { body: Buffer.from(body), attempts }
    }
  }

  const seen = (body: Buffer, redelivered: boolean): Seen => ({
    body,
    key: undefined,
    timestamp: undefined,
    attributes: {},
    headers: new Map(),
    redelivered,
  })

  return {
    name: 'nsq',
    typedHeaders: false,
    declares: 'queue',
    cannotWrite: allButTheBody,
    cannotRead: allButTheBody,
    cannotCopy: allButTheBody,
    declare: async (topic) => {
      const client = await NsqClient.subscribed(port, topic, channel, 0)
      client.close()
    },
    produce: (topic) => producer.ok(`PUB ${topic}`, BODY),
    consume: async (topic) => {
      const { body, attempts } = await first(topic, 1)
      return seen(body, attempts > 1)
    },
    forward: async (from, to) => producer.ok(`PUB ${to}`, (await first(from, 1)).body),
    consumeTwice: async (topic) => {
      const { body, attempts } = await first(topic, 2)
      return seen(body, attempts > 1)
    },
    close: async () => producer.close(),
  }
}
