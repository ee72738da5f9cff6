/** A WebSocket that carries a connection: pings by the clock, backpressure in both directions, and nothing handed over while reading is paused. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { after, test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { WebSocketTransport } from './web-socket-transport.ts'

const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
after(() => {
  for (const client of server.clients) client.terminate()
  server.close()
})

async function pair(options: { autoPong?: boolean } = {}): Promise<{ transport: WebSocketTransport; client: WebSocket }> {
  if (server.address() === null) await once(server, 'listening')
  const accepted = once(server, 'connection')
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, options)
  const [[webSocket, request]] = await Promise.all([accepted, once(client, 'open')])
  return { transport: new WebSocketTransport(webSocket as WebSocket, (request as { socket: Socket }).socket, 'any'), client }
}

test('a silent peer is pinged every 30 seconds, and cut when it has not answered by the next', async () => {
  const { transport, client } = await pair({ autoPong: false })
  const faults: string[] = []
  transport.onFault = (reason) => void faults.push(reason)
  const pinged = once(client, 'ping')
  transport.tick(1000)
  transport.tick(30_999)
  transport.tick(31_000)
  await pinged
  transport.tick(60_999)
  assert.deepEqual(faults, [])
  transport.tick(61_000)
  assert.deepEqual(faults, ['WebSocket: a ping was not answered'])
  await once(client, 'close')
})

test('a peer that answers stays', async () => {
  const { transport, client } = await pair()
  transport.onFault = (reason) => assert.fail(reason)
  transport.tick(1000)
  for (const now of [31_000, 61_000, 91_000]) {
    const pinged = once(client, 'ping')
    transport.tick(now)
    await pinged
    const heard = new Promise<void>((resolve) => {
      transport.onBytes = () => resolve()
    })
    // What comes after the pong says that it has arrived.
    client.send(Buffer.from('x'))
    await heard
  }
  assert.equal(transport.closed, false)
})

test('nothing is handed over while reading is paused, and all of it in order afterwards', async () => {
  const { transport, client } = await pair()
  const seen: string[] = []
  const three = Promise.withResolvers<void>()
  transport.onBytes = (bytes) => {
    seen.push(bytes.toString())
    transport.pause()
    if (seen.length === 3) three.resolve()
    // In a turn of its own: the other messages of the same chunk came meanwhile.
    setImmediate(() => {
      assert.equal(seen.length, expected)
      expected++
      transport.resume()
    })
  }
  let expected = 1
  // One write, so that all arrive in one chunk.
  const { _socket: socket } = client as unknown as { _socket: Socket }
  socket.cork()
  for (const text of ['a', 'b', 'c']) client.send(Buffer.from(text))
  socket.uncork()
  await three.promise
  assert.deepEqual(seen, ['a', 'b', 'c'])
})

test('what the peer does not read is counted, and a drain follows when it reads', async () => {
  const { transport, client } = await pair()
  client.pause()
  const drained = new Promise<void>((resolve) => {
    transport.onDrain = () => resolve()
  })
  transport.send([Buffer.alloc(4_000_000), Buffer.alloc(4_000_000)], null)
  assert(transport.bufferedBytes > 1_000_000)
  client.resume()
  const [message] = await once(client, 'message')
  assert.equal((message as Buffer).length, 8_000_000)
  await drained
  assert.equal(transport.bufferedBytes, 0)
})
