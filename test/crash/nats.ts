/** Publishing to a JetStream stream and reading it back, by nats.js. */
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection, nanos } from '@nats-io/transport-node'
import { within } from '../interop/cases/cases.ts'
import { begin, KEYS, type Ledger, type Publisher, send } from './ledger.ts'

const batch = 20
const open = (server: string): Promise<NatsConnection> =>
  within(15_000, 'NATS', connect({ servers: server, reconnect: false, timeout: 10_000 }))

export async function jetStreamPublisher(server: string, stream: string, ledger: Ledger): Promise<Publisher> {
  begin(ledger)
  const connection = await open(server)
  const manager = await jetstreamManager(connection)
  await within(15_000, 'the stream', manager.streams.add({ name: stream, subjects: [`${stream}.*`] }))
  const js = jetstream(connection, { timeout: 5000 })
  let running = true
  const loop = (async () => {
    for (let round = 0; running && !connection.isClosed(); round++) {
      const ids = Array.from({ length: batch }, (_, i) => send(ledger, i % KEYS))
      const text = 'x'.repeat((round * 37) % 900)
      const answers = ids.map((id) => js.publish(`${stream}.${id.split(':')[0]}`, `${id} ${text}`))
      for (const [index, answer] of (await Promise.allSettled(answers)).entries())
        if (answer.status === 'fulfilled') ledger.confirmed.add(ids[index] ?? '')
    }
  })()
  return {
    stop: async () => {
      running = false
      await connection.close().catch(() => undefined)
      await loop
    },
  }
}

export async function jetStreamReadAll(server: string, stream: string): Promise<string[]> {
  const connection = await open(server)
  const manager = await jetstreamManager(connection)
  const { state } = await manager.streams.info(stream)
  // Not forgotten while a busy machine thinks.
  const { name } = await manager.consumers.add(stream, {
    ack_policy: AckPolicy.None,
    mem_storage: true,
    inactive_threshold: nanos(60_000),
  })
  const consumer = await jetstream(connection).consumers.get(stream, name)
  const found: string[] = []
  while (found.length < state.messages) {
    const messages = await consumer.fetch({ max_messages: Math.min(500, state.messages - found.length), expires: 15_000 })
    let came = 0
    for await (const message of messages) {
      found.push(message.string().split(' ')[0] ?? '')
      came++
    }
    if (came === 0) break
  }
  await connection.close()
  return found
}
