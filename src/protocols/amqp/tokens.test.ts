// Signed tokens as passwords, as RabbitMQ takes them with its OAuth 2 backend: over AMQP and over the stream protocol.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import amqplib, { type ChannelModel } from 'amqplib'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import { VirtualClock } from '../../lib/timers.ts'
import type { RunningBroker } from '../../server/start.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'anymq-tokens-'))
const issuer = 'https://issuer.example'
const clock = new VirtualClock()
const signer = await generateKeyPair('ES256')
const stranger = await generateKeyPair('ES256')
let broker: RunningBroker

before(async () => {
  const keySet = path.join(folder, 'keys.json')
  writeFileSync(keySet, JSON.stringify({ keys: [{ ...(await exportJWK(signer.publicKey)), kid: 'one' }] }))
  broker = await startTestBroker({
    only: ['amqp'],
    clock,
    tokens: { keySet, issuer, audience: null, userClaim: 'sub' },
    beforeListening: async ({ users }) => {
      await users.put('admin', { password: 'admin', admin: true })
      const permissions = [{ namespace: 'default', publish: '.*', consume: '.*', manage: 'mine.*' }]
      await users.put('robot', { password: 'robot', permissions })
    },
  })
})
after(async () => {
  await broker.stop()
  rmSync(folder, { recursive: true })
})

function token(user: string, seconds: number, key = signer.privateKey): Promise<string> {
  const made = new SignJWT({}).setProtectedHeader({ alg: 'ES256', kid: 'one' }).setSubject(user).setIssuer(issuer)
  return made.setExpirationTime(Math.floor(clock.now() / 1000) + seconds).sign(key)
}

/** Whatever user is named beside the token: it says itself whose it is. */
async function connect(password: string): Promise<ChannelModel> {
  const connection = await amqplib.connect({
    hostname: '127.0.0.1',
    port: portOf(broker, 'amqp'),
    username: 'any',
    password,
    heartbeat: 0,
  })
  connection.on('error', () => undefined)
  return connection
}

test('a token is its user, with that user’s rights', async () => {
  const connection = await connect(await token('robot', 60))
  const channel = await connection.createChannel()
  channel.on('error', () => undefined)
  await channel.assertQueue('mine.1')
  channel.sendToQueue('mine.1', Buffer.from('x'), { userId: 'robot' })
  assert.equal((await channel.checkQueue('mine.1')).messageCount, 1)
  await assert.rejects(channel.assertQueue('yours'), { code: 403 })
  await connection.close()
})

test('a token that is not good is refused like a wrong password', async () => {
  for (const bad of [await token('robot', 60, stranger.privateKey), await token('robot', -1), 'eyJ.a.b'])
    await assert.rejects(connect(bad), /ACCESS_REFUSED/)
  // Who signs says that there is somebody of this name; what he may do rules say alone.
  const nobody = await connect(await token('nobody', 60))
  const channel = await nobody.createChannel()
  channel.on('error', () => undefined)
  await assert.rejects(channel.assertQueue('mine.1'), { code: 403 })
  await nobody.close()
})

test('when the token ends, so does the connection; a new one renews it, of the same user', async () => {
  const connection = await connect(await token('robot', 30))
  await connection.updateSecret(Buffer.from(await token('robot', 300)), 'renewed')
  clock.advance('40s')
  const channel = await connection.createChannel()
  await channel.assertQueue('mine.2')
  // To amqplib an end that the server forces is no error.
  const ended = once(connection, 'close') as Promise<[{ code: number; message: string }]>
  clock.advance('280s')
  const [error] = await ended
  assert.equal(error.code, 320)
  assert.match(error.message, /CONNECTION_FORCED - credential expired/)
})

test('a secret of another user, or one that has ended, is no renewal', async () => {
  for (const [user, seconds] of [
    ['admin', 60],
    ['robot', -1],
  ] as const) {
    const connection = await connect(await token('robot', 60))
    const ended = once(connection, 'error') as Promise<[{ code: number }]>
    connection.updateSecret(Buffer.from(await token(user, seconds)), 'renewed').catch(() => undefined)
    assert.equal((await ended)[0].code, 530)
  }
})
