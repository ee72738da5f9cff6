/** Logins by password, token and nkey, permissions, and the timeouts of a connection; and what the monitoring pages say of it. */
import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import { VirtualClock } from '../../lib/timers.ts'
import type { RunningBroker } from '../../server/start.ts'
import { NatsClient } from './nats-client.testing.ts'
import { encodeKey } from './nkeys.ts'

const { publicKey, privateKey } = generateKeyPairSync('ed25519')
const nkey = encodeKey(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32))
const clock = new VirtualClock()
const permissions = [{ namespace: 'default', publish: 'orders\\..*|_INBOX\\..*', consume: 'orders\\..*|_INBOX\\..*', manage: '' }]
const folder = mkdtempSync(path.join(tmpdir(), 'anymq-nats-'))
const signer = await generateKeyPair('ES256')
writeFileSync(path.join(folder, 'keys.json'), JSON.stringify({ keys: [{ ...(await exportJWK(signer.publicKey)), kid: 'one' }] }))
let running: RunningBroker
const clients: NatsClient[] = []

before(async () => {
  running = await startTestBroker({
    clock,
    only: ['nats'],
    tokens: { keySet: path.join(folder, 'keys.json'), issuer: null, audience: null, userClaim: 'sub' },
    beforeListening: async ({ users }) => {
      await users.put('admin', { password: 'secret', admin: true })
      await users.put('alice', { password: 'love', permissions })
      await users.put(nkey, { permissions })
    },
  })
})
after(async () => {
  for (const client of clients) client.close()
  await running.stop()
  rmSync(folder, { recursive: true })
})

const port = (name: string): number => portOf(running, name)
async function open(options: object | null): Promise<NatsClient> {
  const client = await NatsClient.open(port('nats'), options)
  clients.push(client)
  return client
}

test('a password lets in, and permissions hold for each subject', async () => {
  const client = await open({ user: 'alice', pass: 'love' })
  assert.equal(client.info['auth_required'], true)
  client.send('SUB orders.new 1', 'SUB secrets 2', 'SUB secrets workers 3')
  client.publish('orders.new', 'yes')
  client.publish('secrets', 'no')
  assert.deepEqual((await client.flush()).sort(), [
    `-ERR 'Permissions Violation for Publish to "secrets"'`,
    `-ERR 'Permissions Violation for Subscription to "secrets" using queue "workers"'`,
    `-ERR 'Permissions Violation for Subscription to "secrets"'`,
    'MSG orders.new 1 3',
    'yes',
  ])
})

test('batches are refused to who may not publish, as a message alone is', async () => {
  const admin = await open({ user: 'admin', pass: 'secret' })
  const stream = JSON.stringify({ name: 'SECRET', subjects: ['secret.>'], allow_atomic: true, allow_batched: true })
  admin.send('SUB answers 1')
  admin.publish('$JS.API.STREAM.CREATE.SECRET', stream, 'answers')
  while (!(await admin.line()).startsWith('MSG answers'));
  const client = await open({ user: 'alice', pass: 'love' })
  const violation = `-ERR 'Permissions Violation for Publish to "secret.a"'`
  client.publish('secret.a', 'x', '_INBOX.one.b.10.ok.1.2.$FI')
  assert.deepEqual(await client.flush(), [violation])
  const block = 'NATS/1.0\r\nNats-Batch-Id: b\r\nNats-Batch-Sequence: 1\r\nNats-Batch-Commit: 1\r\n\r\n'
  client.send(`HPUB secret.a _INBOX.one ${block.length} ${block.length + 1}`, `${block}x`)
  assert.deepEqual(await client.flush(), [violation])
  assert.equal(running.broker.space(running.broker.anonymous, 'default').status('SECRET')?.partitions[0]?.records, 0)
  admin.publish('$JS.API.STREAM.DELETE.SECRET', '', 'answers')
  while (!(await admin.line()).startsWith('MSG answers'));
})

test('an nkey lets in by its signature of the nonce alone', async () => {
  const connect = async (forge: (nonce: string) => string): Promise<NatsClient> => {
    const client = await open(null)
    const sig = sign(null, Buffer.from(forge(String(client.info['nonce']))), privateKey).toString('base64url')
    client.send(`CONNECT ${JSON.stringify({ verbose: false, nkey, sig })}`)
    return client
  }
  const client = await connect((nonce) => nonce)
  client.send('SUB orders.x 1')
  client.publish('orders.x', 'signed')
  assert.deepEqual(await client.flush(), ['MSG orders.x 1 6', 'signed'])
  assert.deepEqual(await (await connect((nonce) => `${nonce}.`)).lines(2), ["-ERR 'Authorization Violation'", 'closed'])
})

for (const [name, options] of [
  ['a wrong password', { user: 'alice', pass: 'hate' }],
  ['nothing', {}],
  ['a token that nobody signed', { auth_token: 'abc' }],
  ["an account server's JWT", { jwt: 'eyJ0eXAi.e30.x', sig: 'x' }],
  ['a key that is none', { nkey: 'UABC', sig: 'x' }],
] as const) {
  test(`refused: ${name}`, async () => {
    const client = await open(options)
    assert.deepEqual(await client.lines(2), ["-ERR 'Authorization Violation'", 'closed'])
  })
}

test('a signed token lets in for as long as it lasts', async () => {
  const expires = Math.floor(clock.now() / 1000) + 60
  const token = new SignJWT({}).setProtectedHeader({ alg: 'ES256', kid: 'one' }).setSubject('alice').setExpirationTime(expires)
  const client = await open({ auth_token: await token.sign(signer.privateKey) })
  client.send('SUB orders.t 1')
  client.publish('orders.t', 'in')
  assert.deepEqual(await client.flush(), ['MSG orders.t 1 2', 'in'])
  clock.advance(61_000)
  assert.deepEqual(await client.lines(2), ["-ERR 'User Authentication Expired'", 'closed'])
})

test('refused: doing something before CONNECT', async () => {
  const hasty = await open(null)
  hasty.send('PUB a 0', '')
  assert.deepEqual(await hasty.lines(2), ["-ERR 'Authorization Violation'", 'closed'])
})

test('refused: saying nothing for too long', async () => {
  const client = await open(null)
  clock.advance(2001)
  assert.deepEqual(await client.lines(2), ["-ERR 'Authentication Timeout'", 'closed'])
})

test('the monitoring pages ask for an administrator', async () => {
  const get = (page: string, login: string) =>
    fetch(`http://127.0.0.1:${port('nats-monitoring')}${page}`, {
      headers: login === '' ? {} : { authorization: `Basic ${Buffer.from(login).toString('base64')}` },
    })
  assert.equal((await get('/healthz', '')).status, 200)
  assert.equal((await get('/connz', '')).status, 401)
  assert.equal((await get('/connz', 'alice:love')).status, 403)
  const client = await open({ user: 'alice', pass: 'love', name: 'watcher', lang: 'test', version: '1' })
  client.send('SUB orders.* 1')
  client.publish('orders.a', 'abc')
  await client.flush()
  const answer = await get('/connz?subs=1&auth=1', 'admin:secret')
  const { connections } = (await answer.json()) as { connections: Record<string, unknown>[] }
  const own = connections.find(({ name }) => name === 'watcher')
  const { in_msgs, in_bytes, out_msgs, out_bytes, lang, subscriptions_list, authorized_user } = own ?? {}
  assert.deepEqual(
    [in_msgs, in_bytes, out_msgs, out_bytes, lang, subscriptions_list, authorized_user],
    [1, 3, 1, 3, 'test', ['orders.*'], 'alice'],
  )
  const pages = await Promise.all(
    ['/varz', '/subsz', '/jsz'].map(async (page) => (await (await get(page, 'admin:secret')).json()) as Record<string, unknown>),
  )
  assert.equal(pages[0]?.['auth_required'], true)
  assert.ok(Number(pages[1]?.['num_subscriptions']) >= 1)
  assert.deepEqual([pages[2]?.['streams'], pages[2]?.['total']], [0, 1])
  assert.equal((await get('/nothing', 'admin:secret')).status, 404)
  const read = async (page: string): Promise<Record<string, unknown>> =>
    (await (await get(page, 'admin:secret')).json()) as Record<string, unknown>
  assert.deepEqual((await read('/accountz'))['accounts'], ['default'])
  assert.equal(((await read('/accountz?acc=default'))['account_detail'] as Record<string, unknown>)['account_name'], 'default')
  assert.equal((await get('/accountz?acc=none', 'admin:secret')).status, 400)
  assert.equal(((await read('/accstatz'))['account_statz'] as object[]).length, 1)
  assert.deepEqual([(await read('/routez'))['num_routes'], (await read('/leafz'))['leafs']], [0, []])
  assert.deepEqual((await read('/gatewayz'))['outbound_gateways'], {})
  assert.equal((await get('/accountz', '')).status, 401)
})
