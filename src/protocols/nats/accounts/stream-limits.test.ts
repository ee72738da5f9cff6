/** What an account's token says of its streams holds, with nats-server's errors, and is shown with what is in use. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { portOf, startTestBroker } from '../../../../test/support/running.ts'
import { VirtualClock } from '../../../lib/timers.ts'
import type { RunningBroker } from '../../../server/start.ts'
import { JetStreamClient, type Json } from '../jetstream/jetstream-client.testing.ts'
import { type Key, makeKey, makeToken, noLimits, signWith } from './tokens.testing.ts'

const clock = new VirtualClock()
const operator = makeKey('operator')
const [flat, tiered, others] = [makeKey('account'), makeKey('account'), makeKey('account')]
const tier = { mem_storage: 1000, disk_storage: 20_000, streams: 2, consumer: 1, max_ack_pending: 50 }
const limitsOf = new Map<Key, object>([
  [flat, { ...tier, mem_max_stream_bytes: 600, disk_max_stream_bytes: 12_000, max_bytes_required: true }],
  [tiered, { tiered_limits: { R1: { ...tier, mem_storage: 0 }, R3: { disk_storage: -1 } } }],
  [others, { tiered_limits: { R3: { disk_storage: -1, mem_storage: -1 } } }],
])
let running: RunningBroker
const clients: JetStreamClient[] = []

before(async () => {
  const accounts = [...limitsOf].map(([key, limits]) =>
    makeToken('account', { subject: key.publicKey, issuer: operator, own: { limits: { ...noLimits, ...limits } } }),
  )
  running = await startTestBroker({
    clock,
    only: ['nats'],
    protocolSettings: new Map([
      ['nats', { operator: makeToken('operator', { subject: operator.publicKey, issuer: operator }), accounts }],
    ]),
  })
})
after(async () => {
  for (const client of clients) client.close()
  await running.stop()
})

async function open(issuer: Key): Promise<JetStreamClient> {
  const key = makeKey('user')
  const own = { subs: -1, data: -1, payload: -1, bearer_token: true }
  const jwt = makeToken('user', { subject: key.publicKey, issuer, own })
  const client = await JetStreamClient.open(portOf(running, 'nats'), { jwt, sig: signWith(key, '') })
  clients.push(client)
  return client
}

test('streams are as many and as large as an account may have them', async () => {
  const client = await open(flat)
  const refused = (name: string, config: object): Promise<number> =>
    client.refusal(`STREAM.CREATE.${name}`, { name, subjects: [name], ...config })
  assert.equal(await refused('a', {}), 10113)
  assert.equal(await refused('a', { max_bytes: 12_001 }), 10122)
  assert.equal(await refused('a', { max_bytes: 20_001 }), 10047)
  assert.equal(await refused('a', { max_bytes: 1001, storage: 'memory' }), 10028)
  assert.equal(await refused('a', { max_bytes: 601, storage: 'memory' }), 10122)
  assert.equal(await refused('a', { max_bytes: 100, max_consumers: 2 }), 10026)
  await client.stream('a', { subjects: ['a'], max_bytes: 12_000 })
  assert.equal(await refused('b', { max_bytes: 8001 }), 10047)
  await client.stream('b', { subjects: ['b'], max_bytes: 8000 })
  assert.equal(await refused('c', { max_bytes: 1, storage: 'memory' }), 10027)
  const update = { name: 'b', subjects: ['b'], max_bytes: 8001 }
  assert.equal(await client.refusal('STREAM.UPDATE.b', update), 10047)
  assert.equal(await client.refusal('STREAM.UPDATE.b', { ...update, max_bytes: -1 }), 10113)
  await client.api('STREAM.UPDATE.b', { ...update, max_bytes: 7000 })
  const create = (name: string, config: Json): Promise<number> =>
    client.refusal(`CONSUMER.CREATE.a.${name}`, { stream_name: 'a', config: { name, ack_policy: 'explicit', ...config } })
  assert.equal(await create('c', { max_ack_pending: 51 }), 10121)
  const info = await client.api('CONSUMER.CREATE.a.c', {
    stream_name: 'a',
    config: { durable_name: 'c', name: 'c', ack_policy: 'explicit' },
  })
  assert.equal((info['config'] as Json)['max_ack_pending'], 50)
  assert.equal(await create('d', {}), 10026)
  await client.api('CONSUMER.CREATE.b.c', { stream_name: 'b', config: { durable_name: 'c', name: 'c' } })
  const account = await client.api('INFO')
  assert.deepEqual(account['limits'], {
    max_memory: 1000,
    max_storage: 20_000,
    max_streams: 2,
    max_consumers: 1,
    max_ack_pending: 50,
    memory_max_stream_bytes: 600,
    storage_max_stream_bytes: 12_000,
    max_bytes_required: true,
  })
  assert.deepEqual([account['reserved_memory'], account['reserved_storage'], account['consumers']], [0, 19_000, 2])
})

test('what all streams of an account hold together has an end, also for a publisher that does not wait', async () => {
  const client = await open(tiered)
  assert.equal(await client.refusal('STREAM.CREATE.m', { name: 'm', storage: 'memory' }), 10028)
  for (const name of ['x', 'y']) await client.stream(name, { subjects: [name] })
  const body = 'x'.repeat(900)
  for (let n = 0; n < 40; n++) client.ask(n % 2 === 0 ? 'x' : 'y', body)
  const answers = (await client.take(40)).map((each) => JSON.parse(each.body) as { error?: Json })
  const codes = answers.map(({ error }) => error?.['err_code'])
  const stored = codes.filter((code) => code === undefined).length
  assert.ok(stored >= 15 && stored <= 21, `${stored} were stored`)
  assert.ok(codes.every((code) => code === undefined || code === 10002))
  const { tiers, limits } = (await client.api('INFO')) as { tiers: Record<string, Json>; limits: Json }
  assert.deepEqual(Object.keys(tiers), ['R1', 'R3'])
  assert.ok(Number(tiers['R1']?.['storage']) <= 20_000 && Number(tiers['R1']?.['storage']) > 15_000)
  assert.deepEqual([tiers['R1']?.['streams'], tiers['R3']?.['streams'], limits['max_storage']], [2, 0, 0])
  await client.api('STREAM.PURGE.x', {})
  assert.equal((await client.publish('y', body))['error'], undefined)
})

test('an account with limits for several copies alone has none for streams that stand once', async () => {
  const client = await open(others)
  assert.equal(await client.refusal('STREAM.CREATE.a', { name: 'a' }), 10120)
})
