/** Client quotas: who goes beyond is told, and not read for so long; or, for new topics, refused; or, for connections, kept out for a while. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import type { Rows } from '../../broker/face.ts'
import { type EmbeddedBroker, startBroker } from '../../index.ts'
import { buildBatch } from './batch.ts'
import { ApiKey } from './codec.ts'
import { ConnectionLimits } from './connection-limits.ts'
import { KafkaError } from './errors.ts'
import { recordFormat } from './mapping.ts'
import { Meter } from './meter.ts'
import { type QuotaEntity, Quotas } from './quotas.ts'
import type { Message } from './schema.ts'
import { TestClient } from './test-client.ts'

let broker: EmbeddedBroker
let to: TestClient

before(async () => {
  broker = await startBroker({ protocols: ['kafka'] })
  to = new TestClient(broker.port('kafka'))
})
after(async () => {
  to.close()
  await broker.close()
})

const own = [{ entityType: 'client-id', entityName: 'test' }] // what TestClient says it is
const fromHere = [{ entityType: 'ip', entityName: '127.0.0.1' }]

async function alter(entity: object[], key: string, value: number, remove = false): Promise<number> {
  const entries = [{ entity, ops: [{ key, value, remove }] }]
  return (await to.ask(ApiKey.AlterClientQuotas, 1, { entries }))['entries'][0].errorCode
}

async function create(version: number, name: string, numPartitions = 1): Promise<Message> {
  const topics = [{ name, numPartitions, replicationFactor: 1, assignments: [], configs: [] }]
  const answer = await to.ask(ApiKey.CreateTopics, version, { topics, timeoutMs: 1000 })
  return { ...answer, errorCode: answer['topics'][0].errorCode }
}

function batchAt(...times: number[]): Buffer {
  const body = recordFormat.fromAttributes({ key: null, value: Buffer.alloc(500, 'v'), headers: [] }).subarray(9)
  return buildBatch(
    times.map((timestamp, offset) => ({ offset, timestamp, body })),
    0,
    times.length,
  )
}

function memoryRows(): Rows {
  const stored = new Map<string, string>()
  return {
    size: 0,
    get: (key: string) => stored.get(key),
    entries: () => stored.entries(),
    put: (key: string, value: string) => void stored.set(key, value),
    delete: (key: string) => stored.delete(key),
    durable: async () => {},
  }
}

test('who goes beyond a quota is told to be silent, and not read for so long', async () => {
  await create(7, 'metered')
  const batch = batchAt(...Array.from({ length: 20 }, () => Date.now()))
  assert.equal(await alter(own, 'producer_byte_rate', batch.length), 0)
  const other = new TestClient(broker.port('kafka'))
  const body = { acks: -1, timeoutMs: 1000, topicData: [{ name: 'metered', partitionData: [{ index: 0, records: batch }] }] }
  const throttled = async (): Promise<number> => (await other.ask(ApiKey.Produce, 9, body))['throttleTimeMs']
  assert.equal(await throttled(), 0)
  const first = await throttled()
  assert.ok(first > 0 && first <= 1000, String(first))
  let answered = false
  const second = throttled().then((ms) => {
    answered = true
    return ms
  })
  // Another connection is read meanwhile, which shows that time passed for the broker too.
  await to.ask(ApiKey.Metadata, 9, { topics: [] })
  assert.equal(answered, false)
  await broker.clock.advance(1000)
  assert.ok((await second) > 0)
  await broker.clock.advance(60_000)
  assert.equal(await alter(own, 'producer_byte_rate', 0, true), 0)
  assert.equal(await throttled(), 0)
  const { entries } = await to.ask(ApiKey.DescribeClientQuotas, 1, { components: [], strict: false })
  assert.deepEqual(entries, [])
  other.close()
})

test('of the quotas that fit a client, the one that says most of it counts', () => {
  const rows = memoryRows()
  const quotas = new Quotas(rows)
  void quotas.put({ clientId: null }, { producer_byte_rate: 100 })
  void quotas.put({ user: null }, { producer_byte_rate: 1000 })
  void quotas.put({ user: 'alice', clientId: 'app' }, { producer_byte_rate: 10_000 })
  const after = (user: string, clientId: string): number => quotas.record('producer_byte_rate', user, clientId, 20_000, 0)
  assert.equal(after('alice', 'app'), 1000)
  assert.equal(after('alice', 'other'), 19_000)
  // Shared by all clients of the user.
  assert.equal(after('alice', 'third'), 30_000)
  assert.equal(after('bob', 'app'), 19_000)
  const again = new Quotas(rows)
  assert.equal(again.record('producer_byte_rate', 'alice', 'app', 20_000, 0), 1000)
  assert.equal(again.record('consumer_byte_rate', 'alice', 'app', 20_000, 0), 0)
})

test('an address has its own rate, else that of all addresses; what was too much does not count', () => {
  const quotas = new Quotas(memoryRows())
  assert.equal(quotas.connect('10.0.0.1', 0), 0)
  void quotas.put({ ip: null }, { connection_creation_rate: 1 })
  void quotas.put({ ip: '10.0.0.2' }, { connection_creation_rate: 2 })
  // Ten seconds' worth may come at once.
  const admitted = (address: string, now: number): number => {
    for (let count = 0; ; count++) if (quotas.connect(address, now) > 0) return count
  }
  assert.equal(admitted('10.0.0.1', 0), 10)
  assert.equal(admitted('10.0.0.2', 0), 20)
  assert.equal(quotas.connect('10.0.0.1', 500), 500)
  assert.equal(admitted('10.0.0.1', 1000), 1)
  assert.equal(admitted('10.0.0.3', 1000), 10)
})

test('time is counted in percent of one thread, and nobody is silent for more than a second of it at once', () => {
  const quotas = new Quotas(memoryRows())
  assert.equal(quotas.areTimed, false)
  const entity: QuotaEntity = { clientId: 'app' }
  void quotas.put(entity, { request_percentage: 5 })
  assert.equal(quotas.areTimed, true)
  const after = (ms: number, now: number): number => quotas.record('request_percentage', '', 'app', ms, now)
  assert.equal(after(50, 0), 0)
  assert.equal(after(10, 0), 200)
  assert.equal(after(10, 0), 400)
  assert.equal(after(1000, 0), 1000)
  void quotas.put(entity, {})
  assert.equal(quotas.areTimed, false)
})

test('a meter gives what it holds, and what it could not give it has not given', () => {
  const meter = new Meter(2, 5, 0)
  assert.equal(meter.takeWhole(10, 0), 0)
  assert.equal(meter.takeWhole(1, 0), 500)
  assert.equal(meter.takeWhole(1, 500), 0)
  assert.equal(meter.take(3, 500), 1500)
  assert.equal(meter.owed(1000), 1000)
  assert.equal(meter.owed(2000), 0)
})

test('who takes too much of the time is told so by any answer, and not read for so long', async () => {
  assert.equal(await alter(own, 'request_percentage', 0.001), 0)
  const other = new TestClient(broker.port('kafka'))
  // A request takes more than the 0.01 ms that there are.
  const ask = async (): Promise<number> => (await other.ask(ApiKey.ListGroups, 4, { statesFilter: [] }))['throttleTimeMs']
  const first = await ask()
  assert.ok(0 < first && first <= 1000, String(first))
  let answered = false
  const second = ask().then(() => {
    answered = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(answered, false)
  await broker.clock.advance(1000)
  await second
  other.close()
  assert.equal(await alterLater(own, 'request_percentage'), 0)
  assert.equal((await to.ask(ApiKey.ListGroups, 4, { statesFilter: [] }))['throttleTimeMs'], 0)
})

/** Takes a quota away, while it holds for who does so. */
async function alterLater(entity: object[], key: string): Promise<number> {
  const altered = alter(entity, key, 0, true)
  await broker.clock.advance(60_000)
  return await altered
}

/** The broker's time goes on a little between two requests. */
const isWithin = (ms: number, above: number, most: number): boolean => above < ms && ms <= most

test('who makes too many partitions is refused, or with an old version kept silent', async () => {
  assert.equal(await alter(own, 'controller_mutation_rate', 1), 0)
  // Eleven seconds' worth, and as much beyond as one request asks for.
  const first = await create(7, 'mutated', 16)
  assert.deepEqual([first['errorCode'], first['throttleTimeMs']], [0, 0])
  const refused = await create(7, 'refused')
  assert.equal(refused['errorCode'], KafkaError.ThrottlingQuotaExceeded)
  assert.ok(isWithin(refused['throttleTimeMs'], 4000, 5000), String(refused['throttleTimeMs']))
  const later = async <T>(answer: Promise<T>): Promise<T> => {
    await broker.clock.advance(5000)
    return await answer
  }
  const grown = await later(
    to.ask(ApiKey.CreatePartitions, 3, { topics: [{ name: 'mutated', count: 20, assignments: null }], timeoutMs: 1000 }),
  )
  assert.equal(grown['results'][0].errorCode, 0)
  const deletion = await to.ask(ApiKey.DeleteTopics, 5, { topicNames: ['mutated'], timeoutMs: 1000 })
  assert.equal(deletion['responses'][0].errorCode, KafkaError.ThrottlingQuotaExceeded)
  const old = await later(create(4, 'old', 2))
  assert.equal(old['errorCode'], 0)
  assert.ok(isWithin(old['throttleTimeMs'], 0, 1000), String(old['throttleTimeMs']))
  assert.equal(await alterLater(own, 'controller_mutation_rate'), 0)
})

test('an address that connects too often is closed a while later, the others are served', async () => {
  assert.equal(
    await alter([{ entityType: 'ip', entityName: 'localhost' }], 'connection_creation_rate', 1),
    KafkaError.InvalidRequest,
  )
  assert.equal(await alter(fromHere, 'producer_byte_rate', 1), KafkaError.InvalidRequest)
  assert.equal(await alter(own, 'connection_creation_rate', 1), KafkaError.InvalidRequest)
  assert.equal(await alter([...fromHere, ...own], 'connection_creation_rate', 1), KafkaError.InvalidRequest)
  assert.equal(await alter(fromHere, 'connection_creation_rate', 1), 0)
  const components = [{ entityType: 'ip', matchType: 0, match: '127.0.0.1' }]
  const { entries } = await to.ask(ApiKey.DescribeClientQuotas, 1, { components, strict: true })
  assert.deepEqual(entries, [{ entity: fromHere, values: [{ key: 'connection_creation_rate', value: 1 }] }])
  const served = Array.from({ length: 10 }, () => new TestClient(broker.port('kafka')))
  for (const client of served) await client.ask(ApiKey.ApiVersions, 0, {})
  const socket = connect(broker.port('kafka'), '127.0.0.1')
  const closed = once(socket, 'close')
  await once(socket, 'connect')
  // ApiVersions v0, which is not answered.
  socket.write(Buffer.from('0000000a00120000000000010000', 'hex'))
  let heard = 0
  socket.on('data', (chunk) => (heard += chunk.length))
  await to.ask(ApiKey.Metadata, 9, { topics: [] })
  await broker.clock.advance(1000)
  await closed
  assert.equal(heard, 0)
  for (const client of served) client.close()
  assert.equal(await alter(fromHere, 'connection_creation_rate', 0, true), 0)
})

test('however many connections come too fast, those that come later wait no longer than the longest', () => {
  const limits = new ConnectionLimits({ get: (name) => (name === 'max.connection.creation.rate' ? '10' : '') })
  for (let count = 0; count < 100; count++) assert.equal(limits.arrive(0), 0)
  assert.equal(limits.arrive(0), 100)
  for (let count = 0; count < 10_000; count++) limits.arrive(0)
  assert.equal(limits.arrive(0), 30_000)
  assert.equal(limits.arrive(30_000), 100)
  assert.equal(limits.arrive(60_000), 0)
})

test('connections that come too fast for max.connection.creation.rate wait, and are served then', async () => {
  const resources = (value: string | null) => [
    {
      resourceType: 4,
      resourceName: '',
      configs: [{ name: 'max.connection.creation.rate', value, configOperation: value === null ? 1 : 0 }],
    },
  ]
  const set = async (value: string | null): Promise<number> =>
    (await to.ask(ApiKey.IncrementalAlterConfigs, 1, { resources: resources(value) }))['responses'][0].errorCode
  assert.equal(await set('0'), KafkaError.InvalidRequest)
  assert.equal(await set('1'), 0)
  const clients = Array.from({ length: 10 }, () => new TestClient(broker.port('kafka')))
  for (const client of clients) await client.ask(ApiKey.ApiVersions, 0, {})
  const late = new TestClient(broker.port('kafka'))
  clients.push(late)
  let answered = false
  const answer = late.ask(ApiKey.ApiVersions, 0, {}).then(() => {
    answered = true
  })
  await to.ask(ApiKey.Metadata, 9, { topics: [] })
  assert.equal(answered, false)
  await broker.clock.advance(1000)
  await answer
  for (const client of clients) client.close()
  assert.equal(await set(null), 0)
})
