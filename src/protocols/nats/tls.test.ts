/** TLS as NATS has it: begun by the client after the server's INFO in plain text, or at once. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import path from 'node:path'
import { after, test } from 'node:test'
import { type ConnectionOptions, connect } from '@nats-io/transport-node'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import { testCertificate, testRoot, writeCertificates } from '../../lib/certificates.testing.ts'
import type { RunningBroker } from '../../server/start.ts'
import { NatsClient } from './nats-client.testing.ts'

const root = testRoot('root')
const alice = testCertificate('alice', root)
const folder = writeCertificates(root, testCertificate('server', root))
const file = (name: string): string => path.join(folder, name)
const running: RunningBroker[] = []

after(async () => {
  await Promise.all(running.map((broker) => broker.stop()))
  rmSync(folder, { recursive: true })
})

async function start(options: { refusePlainText?: boolean; users?: boolean } = {}): Promise<number> {
  const started = await startTestBroker({
    only: ['nats'],
    tls: {
      certificateFile: file('server.crt'),
      keyFile: file('server.key'),
      clientCaFile: file('root.crt'),
      requireClientCertificate: false,
      refusePlainText: options.refusePlainText ?? false,
    },
    beforeListening: async ({ users }) => {
      if (options.users !== true) return
      await users.put('alice', { permissions: [{ namespace: 'default', publish: 'a', consume: 'a', manage: '' }] })
    },
  })
  running.push(started)
  return portOf(started, 'nats')
}

/** A message to itself, with all that a connection has to do for it. */
async function echo(port: number, options: ConnectionOptions): Promise<string> {
  const connection = await connect({ servers: `127.0.0.1:${port}`, reconnect: false, timeout: 5000, ...options })
  const subscription = connection.subscribe('a', { max: 1 })
  connection.publish('a', 'x'.repeat(100_000))
  let heard = ''
  for await (const message of subscription) heard = message.string()
  await connection.close()
  return heard
}

const tls = { ca: root.certificate }

test('one port serves a handshake after INFO, a handshake at once, and plain text', async () => {
  const port = await start()
  for (const options of [{ tls }, { tls: { ...tls, handshakeFirst: true } }, { tls: null }])
    assert.equal((await echo(port, options)).length, 100_000)
  const client = await NatsClient.open(port)
  assert.deepEqual([client.info['tls_available'], client.info['tls_required']], [true, undefined])
  client.close()
})

test('the certificate shown after INFO logs its user in', async () => {
  const port = await start({ users: true })
  const own = { ...tls, cert: alice.certificate, key: alice.key }
  assert.equal((await echo(port, { tls: own })).length, 100_000)
  await assert.rejects(echo(port, { tls }), /Authorization Violation/)
})

test('where plain text is refused INFO says so, and nobody else is served', async () => {
  const port = await start({ refusePlainText: true })
  assert.equal((await echo(port, { tls })).length, 100_000)
  const client = await NatsClient.open(port)
  assert.equal(client.info['tls_required'], true)
  assert.equal(await client.line(), 'closed')
})

test('what is no handshake after all ends that connection alone', async () => {
  const port = await start()
  const socket = connectSocket(port, '127.0.0.1')
  await once(socket, 'data')
  socket.write(Buffer.concat([Buffer.from([0x16]), Buffer.alloc(100)]))
  socket.on('error', () => undefined).resume()
  await once(socket, 'close')
  assert.equal((await echo(port, { tls })).length, 100_000)
})
