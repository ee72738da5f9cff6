/**
 * nats.js: publish and subscribe, wildcards, queue groups, requests, headers, drain, reconnecting; over WebSocket with the argument
 * `websocket`.
 */
import assert from 'node:assert/strict'
import { connect as connectSocket, createServer, type Socket } from 'node:net'
import { wsconnect } from '@nats-io/nats-core'
import {
  connect as connectTcp,
  createInbox,
  headers,
  type Msg,
  type NatsConnection,
  RequestError,
  type Subscription,
} from '@nats-io/transport-node'
import { runCases, setting, unique, until } from '../cases/cases.ts'

const overWebSocket = process.argv[2] === 'websocket'
const servers = setting(overWebSocket ? 'NATS_WEBSOCKET' : 'NATS')
const connect = overWebSocket ? wsconnect : connectTcp
const text = (message: Msg): string => message.string()

async function collect(subscription: Subscription): Promise<Msg[]> {
  const messages: Msg[] = []
  for await (const message of subscription) messages.push(message)
  return messages
}

async function withConnections(count: number, body: (...connections: NatsConnection[]) => Promise<void>): Promise<void> {
  const connections = await Promise.all(Array.from({ length: count }, () => connect({ servers })))
  try {
    await body(...connections)
  } finally {
    await Promise.all(connections.map((each) => each.close()))
  }
}

const one = (body: (connection: NatsConnection) => Promise<void>): Promise<void> =>
  withConnections(1, (connection) => body(connection as NatsConnection))
const two = (body: (a: NatsConnection, b: NatsConnection) => Promise<void>): Promise<void> =>
  withConnections(2, (a, b) => body(a as NatsConnection, b as NatsConnection))

await runCases({
  'publish and subscribe, in order': () =>
    two(async (publisher, subscriber) => {
      const subject = unique('js')
      const messages = collect(subscriber.subscribe(subject, { max: 1000 }))
      await subscriber.flush()
      for (let i = 0; i < 1000; i++) publisher.publish(subject, String(i))
      assert.deepEqual(
        (await messages).map(text),
        Array.from({ length: 1000 }, (_, i) => String(i)),
      )
    }),

  'payloads of every size': () =>
    two(async (publisher, subscriber) => {
      const subject = unique('js')
      const sizes = [0, 1, 1000, 4096, 5000, 65_536, 1_048_576]
      const messages = collect(subscriber.subscribe(subject, { max: sizes.length }))
      await subscriber.flush()
      for (const size of sizes) publisher.publish(subject, new Uint8Array(size).fill(7))
      assert.deepEqual(
        (await messages).map(({ data }) => data.length),
        sizes,
      )
    }),

  wildcards: () =>
    one(async (connection) => {
      const subject = unique('js')
      const [all, single] = [connection.subscribe(`${subject}.>`, { max: 3 }), connection.subscribe(`${subject}.*.c`, { max: 1 })]
      const [many, few] = [collect(all), collect(single)]
      for (const end of ['', '.a', '.b.c', '.b.c.d']) connection.publish(subject + end)
      assert.deepEqual(
        (await many).map((message) => message.subject),
        ['.a', '.b.c', '.b.c.d'].map((end) => subject + end),
      )
      assert.deepEqual(
        (await few).map((message) => message.subject),
        [`${subject}.b.c`],
      )
    }),

  'queue groups': () =>
    withConnections(3, async (a, b, publisher) => {
      const subject = unique('js')
      const heard: string[][] = [[], []]
      for (const [index, connection] of [a, b].entries()) {
        connection?.subscribe(subject, { queue: 'workers', callback: (_, message) => void heard[index]?.push(text(message)) })
        await connection?.flush()
      }
      for (let i = 0; i < 100; i++) publisher?.publish(subject, String(i))
      await until('every message once', () => heard.flat().length === 100)
      assert.equal(new Set(heard.flat()).size, 100)
      assert.ok(heard.every((own) => own.length > 0))
    }),

  'requests, with and without responders': () =>
    two(async (asking, answering) => {
      const subject = unique('js')
      answering.subscribe(subject, { callback: (_, message) => void message.respond(`re: ${text(message)}`) })
      await answering.flush()
      for (let i = 0; i < 50; i++) assert.equal(text(await asking.request(subject, String(i), { timeout: 5000 })), `re: ${i}`)
      const nobody = await asking.request(unique('nobody'), '', { timeout: 5000 }).catch((cause: Error) => cause)
      assert.ok(nobody instanceof RequestError && nobody.isNoResponders())
    }),

  headers: () =>
    two(async (publisher, subscriber) => {
      const subject = unique('js')
      const messages = collect(subscriber.subscribe(subject, { max: 1 }))
      await subscriber.flush()
      const sent = headers()
      sent.append('Colour', 'blue')
      sent.append('Colour', 'green')
      sent.set('Other', 'ß')
      publisher.publish(subject, 'x', { headers: sent, reply: createInbox() })
      const [message] = await messages
      assert.deepEqual(message?.headers?.values('Colour'), ['blue', 'green'])
      assert.equal(message?.headers?.get('Other'), 'ß')
      assert.match(message?.reply ?? '', /^_INBOX\./)
    }),

  'a connection without echo': async () => {
    const connection = await connect({ servers, noEcho: true })
    const subject = unique('js')
    let heard = 0
    connection.subscribe(subject, { callback: () => void heard++ })
    connection.publish(subject)
    await connection.flush()
    await connection.flush()
    assert.equal(heard, 0)
    await connection.close()
  },

  'drain hands out what came before': () =>
    two(async (publisher, subscriber) => {
      const subject = unique('js')
      const messages = collect(subscriber.subscribe(subject))
      await subscriber.flush()
      for (let i = 0; i < 100; i++) publisher.publish(subject, String(i))
      await publisher.flush()
      await subscriber.drain()
      assert.equal((await messages).length, 100)
    }),

  'after a broken connection subscriptions are there again': async () => {
    const { hostname, port } = new URL(overWebSocket ? servers : `tcp://${servers}`)
    const sockets: Socket[] = []
    const proxy = createServer((socket) => {
      const onward = connectSocket(Number(port), hostname)
      sockets.push(socket)
      socket
        .on('error', () => undefined)
        .pipe(onward)
        .on('error', () => undefined)
        .pipe(socket)
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    const address = proxy.address()
    assert.ok(typeof address === 'object' && address !== null)
    const connection = await connect({
      servers: `${overWebSocket ? 'ws://' : ''}127.0.0.1:${address.port}`,
      reconnectTimeWait: 50,
      maxReconnectAttempts: 100,
    })
    const subject = unique('js')
    const heard: string[] = []
    connection.subscribe(subject, { callback: (_, message) => void heard.push(text(message)) })
    await connection.flush()
    const reconnected = (async () => {
      for await (const status of connection.status()) if (status.type === 'reconnect') return
    })()
    for (const socket of sockets.splice(0)) socket.destroy()
    await reconnected
    connection.publish(subject, 'again')
    await until('the message', () => heard.length === 1)
    await connection.close()
    proxy.close()
  },
})
