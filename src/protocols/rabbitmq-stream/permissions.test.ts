// Users: logins that are refused, and permissions asked for before anything is told.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import { VirtualClock } from '../../lib/timers.ts'
import type { RunningBroker } from '../../server/start.ts'
import { Key } from './commands.ts'
import { Code } from './errors.ts'
import { StreamClient } from './stream-client.testing.ts'

let broker: RunningBroker
const clients: StreamClient[] = []
const clock = new VirtualClock()
const folder = mkdtempSync(path.join(tmpdir(), 'anymq-stream-tokens-'))
const signer = await generateKeyPair('ES256')

before(async () => {
  const keySet = path.join(folder, 'keys.json')
  writeFileSync(keySet, JSON.stringify({ keys: [{ ...(await exportJWK(signer.publicKey)), kid: 'one' }] }))
  broker = await startTestBroker({
    clock,
    tokens: { keySet, issuer: null, audience: null, userClaim: 'sub' },
    only: ['rabbitmq-stream'],
    advertise: new Map([['rabbitmq-stream', { host: 'broker.example', port: 15552 }]]),
    beforeListening: async ({ users }) => {
      await users.put('admin', { password: 'admin', admin: true })
      const permissions = [{ namespace: 'default', publish: 'out', consume: 'in', manage: 'mine.*' }]
      await users.put('eve', { password: 'eve', permissions })
    },
  })
})
after(async () => {
  for (const client of clients) client.close()
  await broker.stop()
  rmSync(folder, { recursive: true })
})

function unopened(): StreamClient {
  const port = portOf(broker, 'rabbitmq-stream')
  const client = new StreamClient(port)
  clients.push(client)
  return client
}

test('a wrong password, an unknown user and a malformed response are refused, and the connection ends', async () => {
  for (const [user, password] of [
    ['eve', 'wrong'],
    ['nobody', 'eve'],
    ['eve', ''],
  ] as const) {
    const one = unopened()
    assert.equal((await one.authenticate(user, password)).code, Code.AuthenticationFailure)
    await one.closed()
  }
  const one = unopened()
  const { code } = await one.ask(Key.SaslAuthenticate, (writer) => {
    writer.string('PLAIN')
    writer.u32(3)
    writer.raw(Buffer.from('eve'))
  })
  assert.equal(code, Code.SaslError)
  await one.closed()
})

test('each request asks for its permission', async () => {
  const admin = await unopened().open('admin', 'admin')
  for (const name of ['in', 'out', 'other']) assert.equal(await admin.create(name), Code.Ok)
  const eve = await unopened().open('eve', 'eve')
  assert.equal(await eve.create('mine.1'), Code.Ok)
  assert.equal(await eve.create('theirs'), Code.AccessRefused)
  assert.equal(await eve.delete('in'), Code.AccessRefused)
  assert.equal(await eve.declarePublisher(1, 'out'), Code.Ok)
  assert.equal(await eve.declarePublisher(2, 'in'), Code.AccessRefused)
  assert.equal(await eve.subscribe(1, 'in'), Code.Ok)
  assert.equal(await eve.subscribe(2, 'out'), Code.AccessRefused)
  // Whether it exists is not told either.
  assert.equal(await eve.subscribe(2, 'none'), Code.AccessRefused)
  assert.equal((await eve.queryOffset('reader', 'out')).code, Code.AccessRefused)
  for (const key of [Key.StreamStats, Key.ResolveOffsetSpec] as const) {
    const { code } = await eve.ask(key, (writer) => {
      writer.string('out')
      if (key === Key.ResolveOffsetSpec) writer.u16(1)
    })
    assert.equal(code, Code.AccessRefused)
  }
  const { reader } = await eve.ask(Key.Metadata, (writer) => {
    writer.u32(2)
    writer.string('other')
    writer.string('in')
  })
  assert.deepEqual([reader.u32(), reader.u16(), reader.string(), reader.u32(), reader.u32()], [1, 0, 'broker.example', 15552, 2])
  assert.deepEqual([reader.string(), reader.u16(), reader.u16(), reader.u32()], ['other', Code.AccessRefused, 0xffff, 0])
  assert.deepEqual([reader.string(), reader.u16()], ['in', Code.Ok])
})

test('a token is a password, of the user it names, until it ends or another takes its place', async () => {
  const token = (user: string, seconds: number): Promise<string> =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'ES256', kid: 'one' })
      .setSubject(user)
      .setExpirationTime(Math.floor(clock.now() / 1000) + seconds)
      .sign(signer.privateKey)
  const refused = unopened()
  assert.equal((await refused.authenticate('eve', await token('eve', -1))).code, Code.AuthenticationFailure)
  const eve = await unopened().open('any', await token('eve', 30))
  assert.equal(await eve.create('mine.by-token'), Code.Ok)
  assert.equal(await eve.create('theirs'), Code.AccessRefused)
  assert.equal((await eve.authenticate('any', await token('eve', 300))).code, Code.Ok)
  clock.advance('40s')
  assert.equal(await eve.create('mine.renewed'), Code.Ok)
  clock.advance('280s')
  await eve.closed()
})
