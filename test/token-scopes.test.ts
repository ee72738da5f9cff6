/** With `tokenScopePrefix` a token's scopes say what its holder may do, in every protocol, in place of its user's permissions and of being an administrator. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import amqplib, { type Channel, type ChannelModel } from 'amqplib'
import { VirtualClock } from '../src/lib/timers.ts'
import type { RunningBroker } from '../src/server/start.ts'
import { portOf, startTestBroker } from './support/running.ts'
import { TokenIssuer } from './support/tokens.ts'

const clock = new VirtualClock()
const issuer = await TokenIssuer.start(clock)
const connections: ChannelModel[] = []
let broker: RunningBroker

before(async () => {
  broker = await startTestBroker({
    clock,
    only: ['amqp', 'rabbitmq-management'],
    tokens: { ...issuer.settings, scopePrefix: 'rabbitmq.' },
    beforeListening: async ({ users }) => {
      await users.put('root', { password: 'root', admin: true })
    },
  })
})
after(async () => {
  for (const connection of connections) await connection.close().catch(() => undefined)
  await broker.stop()
  issuer.stop()
})

const tokenWith = (...scopes: string[]): Promise<string> =>
  issuer.token('root', 600, { scope: scopes.map((scope) => `rabbitmq.${scope}`).join(' ') })

async function connect(password: string): Promise<ChannelModel> {
  const login = { hostname: '127.0.0.1', port: portOf(broker, 'amqp'), username: 'any', password, heartbeat: 0 }
  const connection = await amqplib.connect(login)
  connection.on('error', () => undefined)
  connections.push(connection)
  return connection
}

async function attempt(connection: ChannelModel, use: (channel: Channel) => Promise<unknown>): Promise<string> {
  const channel = await connection.createChannel()
  channel.on('error', () => undefined)
  return await use(channel).then(
    () => 'allowed',
    (error: Error) => /ACCESS_REFUSED - (.*?)"/.exec(error.message)?.[1] ?? error.message,
  )
}

test('over AMQP: what scopes allow, also of an administrator’s token; a new token may allow more', async () => {
  await assert.rejects(connect(await tokenWith('read:other/*')), /ConnectionClose/)
  const connection = await connect(await tokenWith('configure:%2F/mine*', 'read:*/mine*'))
  assert.equal(await attempt(connection, (channel) => channel.assertQueue('mine')), 'allowed')
  assert.match(await attempt(connection, (channel) => channel.assertQueue('yours')), /^configure access to queue 'yours'/)
  const bind = (): Promise<string> => attempt(connection, (channel) => channel.bindQueue('mine', 'amq.topic', 'eu.x'))
  assert.match(await bind(), /^write access to queue 'mine'/)
  await connection.updateSecret(Buffer.from(await tokenWith('write:*/mine', 'read:*/amq.topic/eu.*')), 'renewed')
  assert.equal(await bind(), 'allowed')
  const elsewhere = attempt(connection, (channel) => channel.bindQueue('mine', 'amq.topic', 'us.x'))
  assert.match(await elsewhere, /^read access to topic 'us.x' in exchange 'amq.topic'/)
})

test('over HTTP: tags say what of the management API is seen, and nothing else makes an administrator', async () => {
  const call = async (listener: string, path: string, token: string): Promise<number> => {
    const headers = { authorization: `Bearer ${token}` }
    return (await fetch(`http://127.0.0.1:${portOf(broker, listener)}${path}`, { headers })).status
  }
  const users = (token: string): Promise<number[]> =>
    Promise.all([call('rabbitmq-management', '/api/users', token), call('http', '/v1/users', token)])
  assert.deepEqual(await users(await tokenWith('read:*/*')), [401, 403])
  const manager = await tokenWith('read:*/*', 'tag:management')
  assert.deepEqual(await users(manager), [401, 403])
  assert.equal(await call('rabbitmq-management', '/api/queues', manager), 200)
  assert.deepEqual(await users(await tokenWith('tag:administrator')), [200, 200])
})
