import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { wsconnect } from '@nats-io/nats-core'
import { connect, headers, type NatsConnection } from '@nats-io/transport-node'
import type { Corpus, Healthy } from './corpus.ts'
import { Echoes } from './echoes.ts'
import { lines } from './lines.ts'
import { webSocket } from './web-socket.ts'

/** nats.js has one transport at a time for all connections that are being opened, so they are opened one after the other. */
let opened: Promise<unknown> = Promise.resolve()
const options = { name: 'fuzz', ignoreClusterUpdates: true }

function open(make: () => Promise<NatsConnection>): Promise<NatsConnection> {
  const connection = opened.then(make)
  opened = connection.catch(() => undefined) // whoever asked for it hears of that
  return connection
}

const overTcp = (port: number): Promise<NatsConnection> => open(() => connect({ servers: `127.0.0.1:${port}`, ...options }))
const overWebSocket = (port: number): Promise<NatsConnection> =>
  open(() => wsconnect({ servers: `ws://127.0.0.1:${port}`, ...options }))

async function converse(connection: NatsConnection): Promise<void> {
  connection.subscribe('fuzzed.ask', { callback: (_, message) => void message.respond('answer') })
  connection.subscribe('fuzzed.*.x', { queue: 'group', callback: () => undefined })
  connection.subscribe('fuzzed.>', { max: 20, callback: () => undefined })
  await connection.flush()
  const carried = headers()
  carried.append('Name', 'first')
  carried.append('Name', 'second')
  for (let index = 0; index < 5; index++) connection.publish(`fuzzed.${index}.x`, `payload ${index}`, { headers: carried })
  connection.publish('fuzzed.lines', 'PUB fuzzed.lines 3\r\nabc\r\n')
  connection.publish('fuzzed.large', 'x'.repeat(20_000), { reply: 'fuzzed.reply' })
  await connection.request('fuzzed.ask', 'question', { timeout: 5000 })
}

/** Requests and conditions of JetStream; what goes wrong in them is as often their JSON as their lines. */
async function store(connection: NatsConnection, name: string): Promise<void> {
  const manager = await jetstreamManager(connection)
  const subject = name.replaceAll('-', '.')
  await manager.streams.add({
    name,
    subjects: [`${subject}.>`],
    allow_direct: true,
    allow_msg_ttl: true,
    max_msgs_per_subject: 5,
  })
  const js = jetstream(connection)
  const expect = { streamName: name, lastSequence: 0 }
  await js.publish(`${subject}.a`, 'first', { msgID: 'one', expect, ttl: '1h' })
  for (let index = 0; index < 4; index++) await js.publish(`${subject}.b`, `payload ${index}`)
  const consumer = { durable_name: 'own', ack_policy: AckPolicy.Explicit, filter_subjects: [`${subject}.a`, `${subject}.b`] }
  await manager.consumers.add(name, consumer)
  const messages = await (await js.consumers.get(name, 'own')).fetch({ max_messages: 3, expires: 1000 })
  let taken = 0
  for await (const message of messages) {
    if (taken++ === 0) message.nak(10)
    else await message.ackAck()
  }
  await manager.direct.getMessage(name, { last_by_subj: `${subject}.b` })
  await manager.streams.info(name, { subjects_filter: '>', deleted_details: true })
  await manager.streams.purge(name, { filter: `${subject}.b`, keep: 1 })
  await manager.streams.update(name, { max_msgs: 100 })
  await manager.streams.delete(name)
}

async function healthy(connection: NatsConnection, subject: string): Promise<Healthy> {
  const echoes = new Echoes()
  connection.subscribe(subject, { callback: (_, message) => echoes.heard(message.string()) })
  await connection.flush()
  return {
    beat: () => echoes.beat((value) => connection.publish(subject, value)),
    close: () => connection.close(),
  }
}

export const nats: Corpus = {
  listener: 'nats',
  standardPort: 4222,
  frames: lines,

  async drive(port) {
    const connection = await overTcp(port)
    await converse(connection)
    await store(connection, 'fuzzed-stream')
    await connection.drain()
  },

  healthy: async (port) => healthy(await overTcp(port), 'healthy.nats'),
}

export const natsWebSocket: Corpus = {
  listener: 'nats-websocket',
  standardPort: 8080,
  ...webSocket,

  async drive(port) {
    const connection = await overWebSocket(port)
    await converse(connection)
    await connection.drain()
  },

  healthy: async (port) => healthy(await overWebSocket(port), 'healthy.nats.websocket'),
}
