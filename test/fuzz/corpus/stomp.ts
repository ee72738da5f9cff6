import type { Client, IStompSocket } from '@stomp/stompjs'
import { stompPort } from '../../interop/anymq.ts'
import { connected, sent } from '../../interop/stomp/tcp.ts'
import type { Corpus, Healthy } from './corpus.ts'
import { Echoes } from './echoes.ts'
import { webSocket } from './web-socket.ts'

const login = { connectHeaders: { login: 'guest', passcode: 'guest', host: '/' } }
const overTcp = (port: number): Promise<Client> => connected(`127.0.0.1:${port}`, login)
const overWebSocket = (port: number): Promise<Client> => {
  const url = `ws://127.0.0.1:${port}/`
  return connected(url, { ...login, webSocketFactory: () => new WebSocket(url, ['v12.stomp']) as IStompSocket })
}

const individually = { ack: 'client-individual' } as const

/** Resolves when so many messages came and were answered: the first is refused, the others are accepted. */
function take(client: Client, destination: string, count: number): Promise<void> {
  return new Promise((resolve) => {
    let left = count
    const subscription = client.subscribe(
      destination,
      (message) => {
        if (left-- === count) return message.nack()
        message.ack()
        if (left > 0) return
        subscription.unsubscribe()
        resolve()
      },
      individually,
    )
  })
}

async function converse(client: Client): Promise<void> {
  const queue = '/queue/fuzzed.stomp'
  const headers = { persistent: 'true', priority: '3', 'content-type': 'text/plain', 'escaped:key': 'a\\b\nc' }
  for (let index = 0; index < 4; index++) await sent(client, queue, `body ${index}`, headers)
  await sent(client, queue, new Uint8Array([0, 255, 10, 0]))
  await take(client, queue, 3)
  const transaction = client.begin()
  client.publish({ destination: queue, body: 'in a transaction', headers: { transaction: transaction.id } })
  transaction.commit()
  const aborted = client.begin()
  client.publish({ destination: queue, body: 'never', headers: { transaction: aborted.id } })
  aborted.abort()
  client.subscribe('/topic/fuzzed.#', () => undefined, { id: 'topic', selector: "a = 'b'" })
  client.subscribe('/exchange/amq.topic/fuzzed.*', () => undefined, { id: 'exchange' })
  await sent(client, '/topic/fuzzed.a.b', 'x'.repeat(5000))
  await sent(client, queue, 'a question', { 'reply-to': '/temp-queue/fuzzed' })
  await client.deactivate()
}

async function healthy(client: Client, queue: string): Promise<Healthy> {
  const echoes = new Echoes()
  client.subscribe(
    queue,
    (message) => {
      message.ack()
      echoes.heard(message.body)
    },
    individually,
  )
  return {
    beat: () => echoes.beat((value) => sent(client, queue, value)),
    close: () => client.deactivate(),
  }
}

export const stomp: Corpus = {
  listener: 'stomp',
  standardPort: stompPort,

  /** Each ends with a NUL; one more may stand in a body of a known length, which is cut then. */
  frames(stream) {
    const frames: Buffer[] = []
    for (let at = 0; at < stream.length; ) {
      const end = stream.indexOf(0, at)
      const next = end < 0 ? stream.length : end + 1
      frames.push(stream.subarray(at, next))
      at = next
    }
    return frames
  },

  drive: async (port) => converse(await overTcp(port)),

  healthy: async (port) => healthy(await overTcp(port), '/queue/healthy.stomp'),
}

export const stompWebSocket: Corpus = {
  listener: 'stomp-websocket',
  standardPort: 15674,
  ...webSocket,

  drive: async (port) => converse(await overWebSocket(port)),

  healthy: async (port) => healthy(await overWebSocket(port), '/queue/healthy.stomp.websocket'),
}
