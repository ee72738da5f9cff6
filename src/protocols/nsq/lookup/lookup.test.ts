/** nsqlookupd's side: this broker's own topics, those of nsqds that register, and registering with nsqlookupds of others. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../../index.ts'
import { NsqClient } from '../client.testing.ts'

let broker: EmbeddedBroker

before(async () => {
  broker = await startBroker({ protocols: ['nsq'] })
})
after(() => broker.close())

interface Node {
  broadcast_address: string
  tcp_port: number
  http_port: number
  tombstones: boolean[]
  topics: string[]
}
interface Answer {
  status: number
  json: { message?: string; channels?: string[]; topics?: string[]; producers?: Node[] }
}

async function ask(path: string, method = 'GET', of = broker, listener = 'nsqlookupd-http'): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${of.port(listener)}${path}`, { method })
  const text = await response.text()
  return { status: response.status, json: text === '' ? {} : (JSON.parse(text) as Answer['json']) }
}

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('it did not happen')
}

const identity = { broadcast_address: 'other.example', hostname: 'other', tcp_port: 4150, http_port: 4151, version: '1.3.0' }

async function nsqd(more: object = {}): Promise<NsqClient> {
  const client = await NsqClient.connected(broker.port('nsqlookupd'), '  V1')
  client.send(NsqClient.frame('IDENTIFY', JSON.stringify({ ...identity, ...more })))
  const said = JSON.parse(await client.plain()) as Record<string, unknown>
  assert.equal(said['version'], '1.3.0')
  return client
}

async function say(client: NsqClient, line: string): Promise<string> {
  client.send(`${line}\n`)
  return await client.plain()
}

test('a topic of this broker is found where its client has asked, with its channels', async () => {
  assert.deepEqual(await ask('/lookup?topic=own'), { status: 404, json: { message: 'TOPIC_NOT_FOUND' } })
  assert.deepEqual(await ask('/lookup'), { status: 400, json: { message: 'MISSING_ARG_TOPIC' } })
  const consumer = await NsqClient.subscribed(broker.port('nsqd'), 'own', 'c')
  const { json } = await ask('/lookup?topic=own')
  assert.deepEqual(json.channels, ['c'])
  const [node] = json.producers ?? []
  assert.deepEqual(
    [json.producers?.length, node?.broadcast_address, node?.tcp_port, node?.http_port],
    [1, '127.0.0.1', broker.port('nsqd'), broker.port('nsqd-http')],
  )
  assert.ok((await ask('/topics')).json.topics?.includes('own'))
  assert.deepEqual((await ask('/channels?topic=own')).json, { channels: ['c'] })
  consumer.close()
})

test('what an nsqd registers is found beside it, until it goes', async () => {
  const other = await nsqd()
  assert.equal(await say(other, 'REGISTER own far'), 'OK')
  assert.equal(await say(other, 'REGISTER theirs'), 'OK')
  assert.equal(await say(other, 'PING'), 'OK')
  const { json } = await ask('/lookup?topic=own')
  assert.deepEqual(json.channels, ['c', 'far'])
  assert.deepEqual(
    json.producers?.map(({ broadcast_address }) => broadcast_address),
    ['127.0.0.1', 'other.example'],
  )
  const nodes = (await ask('/nodes')).json.producers ?? []
  assert.deepEqual(nodes.find(({ broadcast_address }) => broadcast_address === 'other.example')?.topics.sort(), ['own', 'theirs'])
  assert.equal(await say(other, 'UNREGISTER own far'), 'OK')
  other.close()
  await eventually(async () => (await ask('/lookup?topic=own')).json.producers?.length === 1)
  // It was named: an nsqd that makes it will have its channels.
  assert.equal((await ask('/lookup?topic=theirs')).json.producers?.length, 0)
  assert.equal((await ask('/topic/delete?topic=theirs', 'POST')).status, 200)
  assert.equal((await ask('/lookup?topic=theirs')).status, 404)
})

test('a topic begins with the channels that somebody has named', async () => {
  assert.equal((await ask('/channel/create?topic=named&channel=early', 'POST')).status, 200)
  const producer = await NsqClient.connected(broker.port('nsqd'))
  await producer.ok('PUB named', 'x')
  const consumer = await NsqClient.subscribed(broker.port('nsqd'), 'named', 'late')
  const early = await NsqClient.subscribed(broker.port('nsqd'), 'named', 'early')
  assert.equal((await early.message()).body, 'x')
  for (const each of [producer, consumer, early]) each.close()
})

test('a node that is told to be left out is, for a while', async () => {
  const own = `127.0.0.1:${broker.port('nsqd-http')}`
  const other = await nsqd()
  await say(other, 'REGISTER own')
  for (const node of [own, 'other.example:4151'])
    assert.equal((await ask(`/topic/tombstone?topic=own&node=${node}`, 'POST')).status, 200)
  assert.equal((await ask('/lookup?topic=own')).json.producers?.length, 0)
  const nodes = (await ask('/nodes')).json.producers ?? []
  assert.ok(nodes.every(({ topics, tombstones }) => tombstones[topics.indexOf('own')] === true))
  await broker.clock.advance('46s')
  assert.equal((await ask('/lookup?topic=own')).json.producers?.length, 2)
  // One that is not heard of any more.
  await broker.clock.advance('5m')
  assert.equal((await ask('/lookup?topic=own')).json.producers?.length, 1)
  other.close()
})

test('refusals of protocol V1', async () => {
  for (const [line, answer] of [
    ['NOTHING', 'E_INVALID invalid command NOTHING'],
    ['REGISTER t', 'E_INVALID client must IDENTIFY'],
  ] as const) {
    const client = await NsqClient.connected(broker.port('nsqlookupd'), '  V1')
    assert.equal(await say(client, line), answer)
    await client.closed()
  }
  for (const [line, answer] of [
    ['REGISTER', 'E_INVALID REGISTER insufficient number of params'],
    ['REGISTER t!', "E_BAD_TOPIC REGISTER topic name 't!' is not valid"],
    ['UNREGISTER t c!', "E_BAD_CHANNEL UNREGISTER channel name 'c!' is not valid"],
    ['IDENTIFY', 'E_INVALID cannot IDENTIFY again'],
  ] as const) {
    const client = await nsqd()
    assert.equal(await say(client, line), answer)
    await client.closed()
  }
  for (const [body, answer] of [
    ['{', 'E_BAD_BODY IDENTIFY failed to decode JSON body'],
    ['{}', 'E_BAD_BODY IDENTIFY missing fields'],
  ] as const) {
    const client = await NsqClient.connected(broker.port('nsqlookupd'), '  V1')
    client.send(NsqClient.frame('IDENTIFY', body))
    assert.equal(await client.plain(), answer)
    await client.closed()
  }
})

test('a broker registers with an nsqlookupd of others, tells what changes, and remembers it over a restart', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nsq-announce-'))
  const start = (): Promise<EmbeddedBroker> => startBroker({ protocols: ['nsq'], storage: { folder } })
  const first = await start()
  const producer = await NsqClient.connected(first.port('nsqd'))
  await producer.ok('PUB announced', 'x')
  const configure = async (body: string): Promise<number> => {
    const url = `http://127.0.0.1:${first.port('nsqd-http')}/config/nsqlookupd_tcp_addresses`
    return (await fetch(url, { method: 'PUT', body })).status
  }
  for (const bad of ['x', '{}', '[1]', '["nowhere"]']) assert.equal(await configure(bad), 400, bad)
  assert.equal(await configure(`["127.0.0.1:${broker.port('nsqlookupd')}"]`), 200)
  const found = async (topic: string): Promise<Answer['json']> => (await ask(`/lookup?topic=${topic}`)).json
  await eventually(async () => (await found('announced')).producers?.[0]?.tcp_port === first.port('nsqd'))
  const consumer = await NsqClient.subscribed(first.port('nsqd'), 'later', 'c')
  await eventually(async () => (await found('later')).channels?.includes('c') === true)
  await ask('/channel/delete?topic=later&channel=c', 'POST', first, 'nsqd-http')
  await first.close()
  await eventually(async () => (await found('announced')).producers?.length === 0)
  const second = await start()
  await eventually(async () => (await found('announced')).producers?.[0]?.tcp_port === second.port('nsqd'))
  await second.close()
  consumer.close()
  rmSync(folder, { recursive: true })
})
