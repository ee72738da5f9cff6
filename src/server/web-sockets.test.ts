/** WebSocket before the protocols of bytes: who is taken for what, what is refused, and that messages are one stream, whatever their size. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { get } from 'node:http'
import path from 'node:path'
import { after, test } from 'node:test'
import { type ClientOptions, WebSocket } from 'ws'
import { portOf, startTestBroker } from '../../test/support/running.ts'
import { testCertificate, testRoot, writeCertificates } from '../lib/certificates.testing.ts'
import type { RunningBroker, StartOptions } from './start.ts'

const logged: object[] = []
const log = { debug() {}, info: (fields: object) => void logged.push(fields), warn() {}, error() {} }
const running: RunningBroker[] = []
const root = testRoot('root')
const server = testCertificate('server', root)
const certificates = writeCertificates(root, server)

after(async () => {
  await Promise.all(running.map((broker) => broker.stop()))
  rmSync(certificates, { recursive: true })
})

async function start(options: Partial<StartOptions> = {}): Promise<RunningBroker> {
  const started = await startTestBroker({
    log,
    ...options,
  })
  running.push(started)
  return started
}

/** A client and what it was sent, from its first message on. */
class Client {
  readonly socket: WebSocket
  /** Resolves to the close code. */
  readonly closed: Promise<number>
  #received: { bytes: Buffer; binary: boolean }[] = []
  #wake: () => void = () => {}

  constructor(url: string, subprotocols: string[] = [], options: ClientOptions = {}) {
    this.socket = new WebSocket(url, subprotocols, options)
    // With ws's own default each message is one buffer.
    this.socket.on('message', (bytes: Buffer, binary) => {
      this.#received.push({ bytes, binary })
      this.#wake()
    })
    this.closed = new Promise((resolve) => this.socket.on('close', resolve))
    this.socket.on('error', () => {})
  }

  async opened(): Promise<this> {
    await once(this.socket, 'open')
    return this
  }

  async next(): Promise<{ bytes: Buffer; binary: boolean }> {
    for (;;) {
      const message = this.#received.shift()
      if (message !== undefined) return message
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

const refusal = async (url: string, subprotocols: string[] = [], options: ClientOptions = {}): Promise<number> => {
  const socket = new WebSocket(url, subprotocols, options)
  socket.on('error', () => {})
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }]
  return response.statusCode
}

const mqttConnect = Buffer.from([0x10, 13, 0, 4, ...Buffer.from('MQTT'), 4, 2, 0, 0, 0, 1, 'a'.charCodeAt(0)])
const stompConnect = 'CONNECT\naccept-version:1.2\nhost:/\n\n\0'

test('each protocol has a port of its own, and a path on the HTTP port', async () => {
  const broker = await start()
  const http = portOf(broker, 'http')
  for (const url of [`ws://127.0.0.1:${portOf(broker, 'mqtt-websocket')}/any`, `ws://127.0.0.1:${http}/ws/mqtt?x=1`]) {
    const client = await new Client(url, ['mqtt']).opened()
    assert.equal(client.socket.protocol, 'mqtt')
    client.socket.send(mqttConnect)
    assert.deepEqual(await client.next(), { bytes: Buffer.from([0x20, 2, 0, 0]), binary: true })
    client.socket.close()
  }
  for (const url of [`ws://127.0.0.1:${portOf(broker, 'stomp-websocket')}/ws`, `ws://127.0.0.1:${http}/ws/stomp`]) {
    const client = await new Client(url, ['v10.stomp', 'v12.stomp']).opened()
    assert.equal(client.socket.protocol, 'v10.stomp')
    client.socket.send(stompConnect)
    const { bytes, binary } = await client.next()
    assert.deepEqual([bytes.toString().split('\n')[0], binary], ['CONNECTED', false])
    client.socket.close()
  }
  for (const url of [`ws://127.0.0.1:${portOf(broker, 'nats-websocket')}`, `ws://127.0.0.1:${http}/ws/nats`]) {
    const client = await new Client(url).opened()
    assert.match(String((await client.next()).bytes), /^INFO \{/)
    client.socket.send(Buffer.from('PING\r\n'))
    assert.equal(String((await client.next()).bytes), 'PONG\r\n')
    client.socket.close()
  }
})

test('one path serves all protocols, by the subprotocol; the first that is known is taken', async () => {
  const broker = await start()
  const url = `ws://127.0.0.1:${portOf(broker, 'http')}/ws`
  const client = await new Client(url, ['unknown', 'mqttv3.1', 'nats']).opened()
  assert.equal(client.socket.protocol, 'mqttv3.1')
  client.socket.close()
  assert.equal(await refusal(url), 400)
})

test('what cannot be taken is refused in HTTP', async () => {
  const broker = await start()
  const http = portOf(broker, 'http')
  const mqtt = portOf(broker, 'mqtt-websocket')
  assert.equal(await refusal(`ws://127.0.0.1:${mqtt}`, ['v12.stomp']), 400)
  assert.equal(await refusal(`ws://127.0.0.1:${http}/ws/kafka`), 404)
  assert.equal(await refusal(`ws://127.0.0.1:${http}/v1/topics`), 404)
  const [answer] = (await once(get(`http://127.0.0.1:${mqtt}/`), 'response')) as [{ statusCode: number }]
  assert.equal(answer.statusCode, 426)
})

test('pages of other sites are kept out until logins are required', async () => {
  const url = (broker: RunningBroker): string => `ws://127.0.0.1:${portOf(broker, 'mqtt-websocket')}`
  const open = await start()
  assert.equal(await refusal(url(open), ['mqtt'], { origin: 'https://evil.example' }), 403)
  assert.equal(await refusal(url(open), ['mqtt'], { headers: { host: 'evil.example' } }), 403)
  const http = `ws://127.0.0.1:${portOf(open, 'http')}/ws/mqtt`
  assert.equal(await refusal(http, ['mqtt'], { origin: 'https://evil.example' }), 403)
  await new Client(url(open), ['mqtt'], { origin: 'http://localhost:3000' }).opened()
  const closed = await start({ beforeListening: (broker) => broker.users.put('ada', { password: 'secret' }) })
  await new Client(url(closed), ['mqtt'], { origin: 'https://app.example' }).opened()
})

test('messages are pieces of one stream', async () => {
  const broker = await start()
  const client = await new Client(`ws://127.0.0.1:${portOf(broker, 'mqtt-websocket')}`, ['mqtt']).opened()
  for (const byte of mqttConnect) client.socket.send(Buffer.of(byte))
  assert.equal((await client.next()).bytes[0], 0x20)
  const ping = Buffer.from([0xc0, 0])
  client.socket.send(Buffer.concat([ping, ping, ping]))
  assert.deepEqual((await client.next()).bytes, Buffer.from([0xd0, 0, 0xd0, 0, 0xd0, 0]))
})

test('a body that is no text goes out in a binary message', async () => {
  const broker = await start()
  const client = await new Client(`ws://127.0.0.1:${portOf(broker, 'stomp-websocket')}`, ['v12.stomp']).opened()
  client.socket.send(`${stompConnect}SUBSCRIBE\nid:1\ndestination:/topic/a\nreceipt:r\n\n\0`)
  for (let receipt = ''; !receipt.startsWith('RECEIPT'); receipt = String((await client.next()).bytes));
  client.socket.send(Buffer.from('SEND\ndestination:/topic/a\ncontent-length:2\n\n\xff\xfe\0', 'latin1'))
  const { bytes, binary } = await client.next()
  assert.deepEqual([binary, bytes.includes(Buffer.from([0xff, 0xfe]))], [true, true])
})

test('rules that are broken close with their code, and a reason in the log', async () => {
  const broker = await start({ limits: { recordBytesMax: 1000 } })
  const url = `ws://127.0.0.1:${portOf(broker, 'mqtt-websocket')}`
  const text = await new Client(url, ['mqtt']).opened()
  text.socket.send('text')
  assert.equal(await text.closed, 1003)
  const large = await new Client(url, ['mqtt']).opened()
  large.socket.send(Buffer.alloc(300_000))
  assert.equal(await large.closed, 1009)
  while (broker.broker.connections().length > 0) await new Promise((resolve) => setImmediate(resolve))
  const reasons = JSON.stringify(logged)
  assert.match(reasons, /a text message where only binary ones carry bytes/)
  assert.match(reasons, /Max payload size exceeded/)
})

test('a broker that stops says goodbye with 1001', async () => {
  const broker = await start()
  const client = await new Client(`ws://127.0.0.1:${portOf(broker, 'nats-websocket')}`).opened()
  await client.next()
  assert.equal(broker.broker.connections().length, 1)
  await broker.stop()
  assert.equal(await client.closed, 1001)
})

test('TLS is on the same ports', async () => {
  const tls = {
    certificateFile: path.join(certificates, 'server.crt'),
    keyFile: path.join(certificates, 'server.key'),
    clientCaFile: null,
    requireClientCertificate: false,
    refusePlainText: false,
  }
  const broker = await start({ tls })
  for (const listener of ['mqtt-websocket', 'http']) {
    const url = `wss://127.0.0.1:${portOf(broker, listener)}/ws/mqtt`
    const client = await new Client(url, ['mqtt'], { rejectUnauthorized: false }).opened()
    client.socket.send(mqttConnect)
    assert.equal((await client.next()).bytes[0], 0x20)
    assert(broker.broker.connections().some((each) => each.encrypted && each.protocol === 'mqtt'))
    client.socket.close()
    await client.closed
  }
})

test('connections beyond the limit of all are refused', async () => {
  const broker = await start({ limits: { connectionsMax: 1 } })
  const url = `ws://127.0.0.1:${portOf(broker, 'http')}/ws/nats`
  await (await new Client(url).opened()).next()
  assert.equal(await refusal(url), 503)
})

test('messages are compressed where that is configured and the client wants it, and limits count what was inflated', async () => {
  const plain = await start({ only: ['nats'] })
  const address = (broker: RunningBroker): string => `ws://127.0.0.1:${portOf(broker, 'nats-websocket')}`
  const offering = { perMessageDeflate: true }
  assert.equal((await new Client(address(plain), [], offering).opened()).socket.extensions, '')
  const broker = await start({ only: ['nats'], webSocketCompression: true, limits: { recordBytesMax: 512 * 1024 } })
  assert.equal((await new Client(address(broker), [], { perMessageDeflate: false }).opened()).socket.extensions, '')
  const client = await new Client(address(broker), [], offering).opened()
  assert.match(client.socket.extensions, /permessage-deflate/)
  await client.next()
  client.socket.send('CONNECT {"verbose":false,"pedantic":false}\r\nSUB a 1\r\n')
  const payload = 'x'.repeat(300_000)
  for (let count = 0; count < 3; count++) client.socket.send(`PUB a ${payload.length}\r\n${payload}\r\n`)
  const expected = 3 * `MSG a 1 ${payload.length}\r\n${payload}\r\n`.length
  let bytes = 0
  while (bytes < expected) bytes += (await client.next()).bytes.length
  assert.equal(bytes, expected)
  const [listed] = broker.broker.connections().filter(({ bytesOut }) => bytesOut > 1000)
  assert.ok(listed !== undefined && listed.bytesOut < expected / 10, 'it was sent compressed')
  client.socket.send(Buffer.alloc(2 * 1024 * 1024))
  assert.equal(await client.closed, 1009)
})
