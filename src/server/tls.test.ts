/** TLS and plain text on one port, by the first byte; what certificates of clients say; certificates read again. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { copyFileSync, rmSync } from 'node:fs'
import { get } from 'node:https'
import { connect, type Socket } from 'node:net'
import path from 'node:path'
import { after, test } from 'node:test'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import { portOf as port, startTestBroker } from '../../test/support/running.ts'
import { testCertificate, testRoot, writeCertificates } from '../lib/certificates.testing.ts'
import type { RunningBroker } from './start.ts'

const root = testRoot('root')
const server = testCertificate('server', root)
const renewed = testCertificate('renewed', root)
const alice = testCertificate('alice', root)
const mallory = testCertificate('alice', testRoot('another root'))
const folder = writeCertificates(root, server, renewed)
const file = (name: string): string => path.join(folder, name)
const running: RunningBroker[] = []

after(async () => {
  await Promise.all(running.map((broker) => broker.stop()))
  rmSync(folder, { recursive: true })
})

async function start(
  options: { requireClientCertificate?: boolean; refusePlainText?: boolean; users?: boolean; connectionsMax?: number } = {},
): Promise<RunningBroker> {
  const started = await startTestBroker({
    limits: options.connectionsMax === undefined ? {} : { connectionsMax: options.connectionsMax },
    tls: {
      certificateFile: file('server.crt'),
      keyFile: file('server.key'),
      clientCaFile: file('root.crt'),
      requireClientCertificate: options.requireClientCertificate ?? false,
      refusePlainText: options.refusePlainText ?? false,
    },
    beforeListening: async (broker) => {
      if (options.users !== true) return
      await broker.users.put('admin', { password: 'secret', admin: true })
      await broker.users.put('alice', { permissions: [{ namespace: 'default', publish: '.*', consume: '', manage: '' }] })
    },
  })
  running.push(started)
  return started
}

async function secure(to: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connectTls({ port: to, host: '127.0.0.1', ca: root.certificate, ...options })
  await once(socket, 'secureConnect')
  return socket
}

const amqpHeader = Buffer.from('AMQP\0\0\x09\x01', 'latin1')
async function mechanisms(socket: Socket): Promise<string> {
  socket.write(amqpHeader)
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  return /[A-Z]+(?: [A-Z]+)+(?=.{4}en_US)/s.exec(chunk.toString('latin1'))?.[0] ?? ''
}

function body(to: number, urlPath: string, options: object): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port: to, path: urlPath, ca: root.certificate, agent: false, ...options }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    }).on('error', reject)
  })
}

test('one port serves TLS and plain text, told apart by the first byte', async () => {
  const broker = await start()
  const plain = connect(port(broker, 'amqp'), '127.0.0.1')
  assert.equal(await mechanisms(plain), 'PLAIN AMQPLAIN')
  assert.equal(await mechanisms(await secure(port(broker, 'amqp'))), 'PLAIN AMQPLAIN')
  const http = port(broker, 'http')
  assert.equal((await fetch(`http://127.0.0.1:${http}/healthz`)).status, 200)
  assert.equal((await body(http, '/healthz', {})).status, 200)
})

test('a verified certificate is offered as a login, and one of another root refused', async () => {
  const broker = await start()
  const named = await secure(port(broker, 'amqp'), { cert: alice.certificate, key: alice.key })
  assert.equal(await mechanisms(named), 'EXTERNAL PLAIN AMQPLAIN')
  const forged = connectTls({
    port: port(broker, 'amqp'),
    host: '127.0.0.1',
    ca: root.certificate,
    cert: mallory.certificate,
    key: mallory.key,
  })
  forged.on('error', () => {})
  forged.on('secureConnect', () => forged.write(amqpHeader))
  forged.on('data', () => assert.fail('a forged certificate was served'))
  await once(forged, 'close')
})

test('the certificate logs a client in over HTTP, and only a user that exists', async () => {
  const broker = await start({ users: true })
  const http = port(broker, 'http')
  assert.equal((await body(http, '/v1/topics', {})).status, 401)
  assert.equal((await body(http, '/v1/topics', { cert: alice.certificate, key: alice.key })).status, 200)
  const bob = testCertificate('bob', root)
  assert.equal((await body(http, '/v1/topics', { cert: bob.certificate, key: bob.key })).status, 401)
  assert.equal((await body(http, '/v1/users', { cert: alice.certificate, key: alice.key })).status, 403)
})

test('certificates of clients can be required, and plain text refused', async () => {
  const broker = await start({ requireClientCertificate: true, refusePlainText: true })
  const plain = connect(port(broker, 'amqp'), '127.0.0.1')
  plain.on('data', () => assert.fail('plain text was served'))
  plain.write(amqpHeader)
  await once(plain, 'close')
  const anonymous = connectTls({ port: port(broker, 'amqp'), host: '127.0.0.1', ca: root.certificate })
  anonymous.on('error', () => {})
  anonymous.on('data', () => assert.fail('a client without a certificate was served'))
  anonymous.on('secureConnect', () => anonymous.write(amqpHeader))
  await once(anonymous, 'close')
  const named = await secure(port(broker, 'amqp'), { cert: alice.certificate, key: alice.key })
  assert.equal(await mechanisms(named), 'EXTERNAL PLAIN AMQPLAIN')
})

test('certificates are read again for new connections; unusable ones change nothing', async () => {
  const broker = await start()
  const before = await secure(port(broker, 'amqp'))
  assert.equal(before.getPeerCertificate().subject.CN, 'server')
  copyFileSync(file('renewed.crt'), file('server.crt'))
  assert.throws(() => broker.reloadCertificates(), /key values mismatch/)
  const between = await secure(port(broker, 'amqp'))
  assert.equal(between.getPeerCertificate().subject.CN, 'server')
  copyFileSync(file('renewed.key'), file('server.key'))
  broker.reloadCertificates()
  const later = await secure(port(broker, 'amqp'))
  assert.equal(later.getPeerCertificate().subject.CN, 'renewed')
  assert.equal(await mechanisms(before), 'PLAIN AMQPLAIN')
  for (const socket of [between, later]) socket.destroy()
})

test('a secured connection that ends makes room, and one in its handshake takes room', async () => {
  const broker = await start({ connectionsMax: 1 })
  const to = port(broker, 'amqp')
  for (let round = 0; round < 3; round++) {
    const socket = await secureWhenThereIsRoom(to)
    const closed = once(socket, 'close')
    socket.end()
    await closed
  }
  const kept = await secureWhenThereIsRoom(to)
  const half = connect(to, '127.0.0.1')
  half.write(Buffer.from([0x16]))
  await once(half.resume(), 'close')
  kept.destroy()
})

/** The broker hears of the end of another connection a moment later. */
async function secureWhenThereIsRoom(to: number): Promise<TLSSocket> {
  for (;;) {
    const socket = await secure(to).catch(() => null)
    if (socket !== null) return socket
  }
}
