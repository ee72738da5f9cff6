/** What nats-server's tools ask of the server and its accounts: the figures are those of what happened. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../../index.ts'
import { JetStreamClient, type Json } from '../jetstream/jetstream-client.testing.ts'
import { NatsClient } from '../nats-client.testing.ts'

let broker: EmbeddedBroker
let client: JetStreamClient

before(async () => {
  broker = await startBroker({ protocols: ['nats'] })
  client = await JetStreamClient.open(broker.port('nats'))
})
after(async () => {
  client.close()
  await broker.close()
})

const ask = async (subject: string, body: string | Json = ''): Promise<Json> =>
  JSON.parse((await client.request(`$SYS.REQ.${subject}`, body)).body) as Json
const dataOf = async (subject: string, body: string | Json = ''): Promise<Json> => (await ask(subject, body))['data'] as Json

test('connections that came, and those that were cut off, are counted', async () => {
  const before = await dataOf('SERVER.PING.VARZ')
  const other = await NatsClient.open(broker.port('nats'))
  other.send('SUB a 1', 'PUB a 2', 'xx')
  await other.flush()
  const [one] = (await dataOf('ACCOUNT.default.CONNZ'))['connections'] as Json[]
  assert.match(String(one?.['last_activity']), /^\d{4}-/)
  assert.match(String(one?.['idle']), /^\d+s$/)
  const conns = await ask('ACCOUNT.default.CONNS')
  assert.deepEqual([conns['conns'], conns['num_subscriptions']], [2, 2])
  assert(Number((conns['received'] as Json)['msgs']) >= 3)
  assert.deepEqual(
    [(await dataOf('ACCOUNT.default.INFO'))['subscriptions'], (await dataOf('ACCOUNT.default.SUBSZ'))['num_subscriptions']],
    [2, 2],
  )
  // Two pings go without an answer; whoever asks answers.
  for (const expected of ['PING', 'PING', "-ERR 'Stale Connection'"]) {
    await broker.clock.advance('121s')
    while ((await other.line()) !== expected);
    client.nats.send('PONG')
    await client.nats.flush()
  }
  const statsz = (await ask('SERVER.PING'))['statsz'] as Json
  assert.equal(statsz['total_connections'], Number(before['total_connections']) + 1)
  assert.deepEqual([statsz['stale_connections'], statsz['slow_consumers'], statsz['connections']], [1, 0, 1])
})

test('JetStream of an account, and of all', async () => {
  await client.stream('held')
  await client.publish('held.a', 'x')
  const one = await dataOf('ACCOUNT.default.JSZ', { streams: true })
  assert.equal(one['name'], 'default')
  assert.deepEqual(
    (one['stream_detail'] as Json[]).map(({ name }) => name),
    ['held'],
  )
  const all = await dataOf('SERVER.PING.JSZ')
  const { jetstream } = (await ask('SERVER.PING.STATSZ'))['statsz'] as { jetstream: { stats: Json } }
  assert.equal(jetstream.stats['storage'], all['storage'])
  assert(Number(all['storage']) > 0)
  assert.equal((await dataOf('SERVER.PING.HEALTHZ'))['status_code'], 200)
})

test('accounts, and what a server without others around it says of them', async () => {
  const { accounts } = await dataOf('SERVER.PING.ACCOUNTZ')
  assert.deepEqual(accounts, ['default'])
  const { account_detail: detail } = await dataOf('SERVER.PING.ACCOUNTZ', { account: 'default' })
  assert.equal((detail as Json)['client_connections'], 1)
  assert.equal(((await ask('SERVER.PING.ACCOUNTZ', { account: 'nobody' }))['error'] as Json)['code'], 500)
  const stats = async (options: Json): Promise<Json[]> => (await dataOf('ACCOUNT.PING.STATZ', options))['account_statz'] as Json[]
  const [one] = await stats({})
  assert.deepEqual([one?.['acc'], one?.['conns'], one?.['leafnodes']], ['default', 1, 0])
  assert.deepEqual(await stats({ accounts: ['nobody'], include_unused: true }), [])
  assert.deepEqual((await dataOf('SERVER.PING.ROUTEZ'))['routes'], [])
  assert.deepEqual((await dataOf('SERVER.PING.GATEWAYZ'))['inbound_gateways'], {})
  assert.equal((await dataOf('SERVER.PING.LEAFZ'))['leafnodes'], 0)
})
