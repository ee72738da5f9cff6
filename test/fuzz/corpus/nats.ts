import { connect, headers } from '@nats-io/transport-node'
import type { Corpus } from './corpus.ts'
import { Echoes } from './echoes.ts'
import { lines } from './lines.ts'

export const nats: Corpus = {
  listener: 'nats',
  standardPort: 4222,
  frames: lines,

  async drive(port) {
    const connection = await connect({ servers: `127.0.0.1:${port}`, name: 'fuzz', ignoreClusterUpdates: true })
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
    await connection.drain()
  },

  async healthy(port) {
    const connection = await connect({ servers: `127.0.0.1:${port}`, ignoreClusterUpdates: true })
    const echoes = new Echoes()
    connection.subscribe('healthy.nats', { callback: (_, message) => echoes.heard(message.string()) })
    await connection.flush()
    return {
      beat: () => echoes.beat((value) => connection.publish('healthy.nats', value)),
      close: () => connection.close(),
    }
  },
}
