/** TLS as IDENTIFY negotiates it, and logins: AUTH, certificates, and what one who may do less is told. */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import { testCertificate, testRoot, writeCertificates } from '../../lib/certificates.testing.ts'
import type { RunningBroker } from '../../server/start.ts'
import { NsqClient } from './client.testing.ts'

const root = testRoot('root')
const alice = testCertificate('alice', root)
const folder = writeCertificates(root, testCertificate('server', root))
const file = (name: string): string => path.join(folder, name)
const running: RunningBroker[] = []

after(async () => {
  await Promise.all(running.map((broker) => broker.stop()))
  rmSync(folder, { recursive: true })
})

async function start(options: { refusePlainText?: boolean; users?: boolean } = {}): Promise<(listener: string) => number> {
  const started = await startTestBroker({
    only: ['nsq'],
    tls: {
      certificateFile: file('server.crt'),
      keyFile: file('server.key'),
      clientCaFile: file('root.crt'),
      requireClientCertificate: false,
      refusePlainText: options.refusePlainText ?? false,
    },
    beforeListening: async ({ users }) => {
      if (options.users !== true) return
      const permissions = [{ namespace: 'default', publish: 'own.*', consume: 'own.*', manage: 'own.*' }]
      await users.put('alice', { password: 'secret', permissions })
    },
  })
  running.push(started)
  return (listener) => portOf(started, listener)
}

test('TLS after IDENTIFY, then compression within it', async () => {
  const port = (await start())('nsqd')
  const client = await NsqClient.connected(port)
  assert.equal((await client.identify({ tls_v1: true }))['tls_v1'], true)
  await client.startTls()
  assert.equal((await client.frame()).text, 'OK')
  await client.ok('SUB t c')
  await client.ok('PUB t', 'x'.repeat(100_000))
  client.send('RDY 1\n')
  assert.equal((await client.message()).body.length, 100_000)
  client.close()
  const plain = await NsqClient.connected(port)
  assert.equal((await plain.identify({}))['tls_v1'], false)
  await plain.ok('PUB t', 'x')
  plain.close()
})

test('where plain text is refused, IDENTIFY alone may be said in it', async () => {
  const port = (await start({ refusePlainText: true }))('nsqd')
  const client = await NsqClient.connected(port)
  assert.equal((await client.ask('PUB t', 'x')).text, 'E_INVALID cannot PUB in current state (TLS required)')
  await client.closed()
  const secured = await NsqClient.connected(port)
  await secured.identify({ tls_v1: true })
  await secured.startTls()
  assert.equal((await secured.frame()).text, 'OK')
  await secured.ok('PUB t', 'x')
  secured.close()
})

test('what is no handshake after all ends that connection', async () => {
  const port = (await start())('nsqd')
  const client = await NsqClient.connected(port)
  await client.identify({ tls_v1: true })
  client.send('PUB t\nnot a handshake')
  await client.closed()
})

test('with users a client has to AUTH, and may do what its user may', async () => {
  const ports = await start({ users: true })
  const open = async (): Promise<NsqClient> => {
    const client = await NsqClient.connected(ports('nsqd'))
    assert.equal((await client.identify({}))['auth_required'], true)
    return client
  }
  for (const [line, body, text] of [
    ['PUB own.t', 'x', 'E_AUTH_FIRST AUTH required before PUB'],
    ['SUB own.t c', undefined, 'E_AUTH_FIRST AUTH required before SUB'],
    ['AUTH', 'alice:wrong', 'E_AUTH_FAILED AUTH failed'],
    ['AUTH', 'a token', 'E_AUTH_FAILED AUTH failed'],
  ] as const) {
    const client = await open()
    assert.deepEqual(await client.ask(line, body), { type: 'error', text })
    await client.closed()
  }
  const client = await open()
  const { text } = await client.ask('AUTH', 'alice:secret')
  assert.deepEqual(JSON.parse(text), { identity: 'alice', identity_url: '', permission_count: 1 })
  await client.ok('PUB own.t', 'x')
  await client.ok('SUB own.t c')
  client.send('RDY 1\n')
  assert.equal((await client.message()).body, 'x')
  assert.equal((await client.ask('PUB other', 'x')).text, 'E_UNAUTHORIZED AUTH failed for PUB on "other" ""')
  await client.closed()
  const consumer = await open()
  await consumer.ask('AUTH', 'alice:secret')
  assert.equal((await consumer.ask('SUB other c')).text, 'E_UNAUTHORIZED AUTH failed for SUB on "other" "c"')
  await consumer.closed()
})

test('a certificate logs its user in', async () => {
  const port = (await start({ users: true }))('nsqd')
  const client = await NsqClient.connected(port)
  await client.identify({ tls_v1: true })
  await client.startTls({ cert: alice.certificate, key: alice.key })
  assert.equal((await client.frame()).text, 'OK')
  await client.ok('PUB own.t', 'x')
  await client.ok('MPUB own.t', Buffer.from('\0\0\0\x01\0\0\0\x01y', 'latin1'))
  client.close()
})

test('with users HTTP asks for a login, but for /ping', async () => {
  const ports = await start({ users: true })
  const ask = async (listener: string, path: string, login?: string): Promise<number> => {
    const headers = login === undefined ? {} : { authorization: `Basic ${Buffer.from(login).toString('base64')}` }
    const response = await fetch(`http://127.0.0.1:${ports(listener)}${path}`, {
      method: path.startsWith('/pub') || path.startsWith('/topic/') ? 'POST' : 'GET',
      headers,
      ...(path.startsWith('/pub') ? { body: 'x' } : {}),
    })
    await response.arrayBuffer()
    return response.status
  }
  assert.equal(await ask('nsqd-http', '/ping'), 200)
  assert.equal(await ask('nsqlookupd-http', '/ping'), 200)
  for (const path of ['/pub?topic=own.t', '/stats', '/info']) assert.equal(await ask('nsqd-http', path), 401, path)
  assert.equal(await ask('nsqlookupd-http', '/topics'), 401)
  assert.equal(await ask('nsqd-http', '/pub?topic=own.t', 'alice:wrong'), 401)
  assert.equal(await ask('nsqd-http', '/pub?topic=own.t', 'alice:secret'), 200)
  assert.equal(await ask('nsqd-http', '/pub?topic=other', 'alice:secret'), 403)
  assert.equal(await ask('nsqd-http', '/topic/delete?topic=own.t', 'alice:secret'), 200)
  assert.equal(await ask('nsqlookupd-http', '/topic/create?topic=other', 'alice:secret'), 403)
})

test('where its namespace has all the connections it may have, a client is told', async () => {
  const ports = await start()
  const { broker } = running.at(-1) as RunningBroker // just started
  await broker.quotas.put({ of: 'namespace', name: 'default', connectionsMax: 1 })
  const first = await NsqClient.connected(ports('nsqd'))
  await first.ok('PUB t', 'x')
  const second = await NsqClient.connected(ports('nsqd'))
  assert.match((await second.frame()).text, /^E_INVALID .*connections/)
  await second.closed()
  first.close()
})
