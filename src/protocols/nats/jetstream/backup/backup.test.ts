/** Backups of streams: made and given back whole, also those of nats-server, and nothing is left of one that is not whole. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { connect, createInbox, type NatsConnection } from '@nats-io/transport-node'
import { type EmbeddedBroker, startBroker } from '../../../../index.ts'
import { type Got, JetStreamClient, type Json } from '../jetstream-client.testing.ts'
import { ask, giveBackup, takeBackup } from './backup-client.testing.ts'

let broker: EmbeddedBroker
let client: JetStreamClient
let connection: NatsConnection

before(async () => {
  broker = await startBroker({ protocols: ['nats'] })
  client = await JetStreamClient.open(broker.port('nats'))
  connection = await connect({ servers: `127.0.0.1:${broker.port('nats')}` })
})
after(async () => {
  await connection.close()
  client.close()
  await broker.close()
})

const second = 1_000_000_000
const info = (name: string): Promise<Json> => client.api(`STREAM.INFO.${name}`, { deleted_details: true })
const message = async (name: string, seq: number): Promise<Json> =>
  (await client.api(`STREAM.MSG.GET.${name}`, { seq }))['message'] as Json
async function fetch(stream: string, count: number): Promise<Got[]> {
  client.ask(`$JS.API.CONSUMER.MSG.NEXT.${stream}.c`, { batch: count, expires: second })
  return await client.take(count)
}
const errorOf = (answer: Json): number => (answer['error'] as Json)['err_code'] as number

test('a stream comes back with its sequences, times, headers, gaps and consumers', async () => {
  await client.stream('whole', { max_msgs: 100 })
  for (let at = 1; at <= 40; at++)
    await client.publish(
      `whole.${at % 4}`,
      String(Array.from({ length: 50 }, (_, i) => i * i * at)),
      at % 2 ? {} : { Name: String(at) },
    )
  for (const seq of [1, 2, 17, 40]) await client.api('STREAM.MSG.DELETE.whole', { seq })
  await client.api('CONSUMER.DURABLE.CREATE.whole.c', { stream_name: 'whole', config: { durable_name: 'c', ack_policy: 'all' } })
  for (const { reply } of await fetch('whole', 5)) await client.request(reply, '+ACK')
  const [before, one] = [await info('whole'), await message('whole', 16)]
  const backup = await takeBackup(connection, 'whole', { chunk_size: 1024, window_size: 2048 })
  assert.equal(backup.status, '204')
  assert(backup.chunks > 2, 'in several chunks')
  assert.equal(errorOf(await giveBackup(connection, backup)), 10130, 'while it is there')
  await client.api('STREAM.DELETE.whole')
  const answer = await giveBackup(connection, backup)
  assert.equal(answer['type'], 'io.nats.jetstream.api.v1.stream_create_response')
  const again = await info('whole')
  // Where the last message is gone, the time of the last one is that of the stream.
  const same = { bytes: 0, last_ts: '' }
  assert.deepEqual({ ...(again['state'] as Json), ...same }, { ...(before['state'] as Json), ...same })
  assert.deepEqual({ ...(again['config'] as Json), first_seq: 0 }, { ...(before['config'] as Json), first_seq: 0 })
  assert.deepEqual(await message('whole', 16), one)
  // Behind what was acknowledged: 3 to 7 were.
  const next = await fetch('whole', 1)
  assert.match(next[0]?.reply ?? '', /^\$JS\.ACK\.whole\.c\.1\.8\.1\./)
  assert.deepEqual(await client.publish('whole.x', 'new'), { stream: 'whole', seq: 41 })
})

test('what goes when its consumers are done with it waits for them after a restore, and what has a time to live keeps what is left of it', async () => {
  await client.stream('interest', { retention: 'interest', allow_msg_ttl: true })
  await client.api('CONSUMER.DURABLE.CREATE.interest.c', {
    stream_name: 'interest',
    config: { durable_name: 'c', ack_policy: 'explicit' },
  })
  await client.publish('interest.a', 'short', { 'Nats-TTL': '10s' })
  await client.publish('interest.a', 'long')
  await broker.clock.advance('6s')
  const backup = await takeBackup(connection, 'interest')
  await client.api('STREAM.DELETE.interest')
  await giveBackup(connection, backup)
  assert.equal(((await info('interest'))['state'] as Json)['messages'], 2)
  await broker.clock.advance('5s')
  assert.equal(((await info('interest'))['state'] as Json)['messages'], 1)
  const [got] = await fetch('interest', 1)
  assert.equal(got?.body, 'long')
  await client.request(got?.reply ?? '', '+ACK')
  assert.equal(((await info('interest'))['state'] as Json)['messages'], 0)
})

test('a backup of nats-server is restored', async () => {
  const bytes = readFileSync(new URL('./golden/nats-server-2.15.2.s2', import.meta.url))
  const config = { name: 'GOLD', subjects: ['gold.>'], max_msgs_per_subject: -1, duplicate_window: 120 * second }
  const answer = await giveBackup(connection, { config, state: {}, bytes })
  assert.equal(answer['error'], undefined)
  const { messages, first_seq: first, last_seq: last, deleted } = (await info('GOLD'))['state'] as Json
  assert.deepEqual([messages, first, last, deleted], [56, 3, 60, [30, 60]])
  for (const seq of [3, 16, 59]) {
    const { subject, data } = await message('GOLD', seq)
    assert.equal(subject, `gold.${seq % 3}`)
    assert.equal(Buffer.from(String(data), 'base64').toString(), `a message with the number ${seq}, `.repeat(4))
  }
  const consumer = await client.api('CONSUMER.INFO.GOLD.c')
  assert.deepEqual([consumer['num_pending'], (consumer['ack_floor'] as Json)['stream_seq']], [51, 7])
})

test('nothing is left of a backup that is damaged, ends too early, or stops coming', async () => {
  await client.stream('bad')
  for (let at = 0; at < 50; at++) await client.publish('bad.a', `text ${at}`)
  const backup = await takeBackup(connection, 'bad', { no_consumers: true })
  await client.api('STREAM.DELETE.bad')
  const damaged = Buffer.from(backup.bytes)
  damaged[damaged.length >> 1] = (damaged[damaged.length >> 1] as number) ^ 0x55
  const cut = backup.bytes.subarray(0, -14)
  const other = Buffer.from('something else')
  for (const bytes of [damaged, cut, other, Buffer.alloc(0)]) {
    assert.equal(errorOf(await giveBackup(connection, { ...backup, bytes })), 10062)
    assert.equal(errorOf(await info('bad')), 10059)
  }
  const { deliver_subject: to } = await ask(connection, '$JS.API.STREAM.RESTORE.bad', { config: backup.config })
  await ask(connection, String(to), backup.bytes.subarray(0, -1))
  assert.equal(((await info('bad'))['config'] as Json)['subjects'], undefined, 'it captures nothing yet')
  await broker.clock.advance('11s')
  while ((await info('bad'))['error'] === undefined) await connection.flush()
})

test('requests that cannot be done are refused', async () => {
  await client.stream('asked', { allow_msg_schedules: true })
  assert.equal(errorOf(await client.api('STREAM.SNAPSHOT.asked', { deliver_subject: 'a.>' })), 10015)
  assert.equal(errorOf(await client.api('STREAM.SNAPSHOT.none', { deliver_subject: 'a' })), 10059)
  assert.equal(errorOf(await client.api('STREAM.RESTORE.other', { config: { name: 'another' } })), 10056)
  assert.equal(errorOf(await client.api('STREAM.RESTORE.copy', { config: { name: 'copy', mirror: { name: 'asked' } } })), 10062)
  assert.equal(errorOf(await client.api('STREAM.RESTORE.twin', { config: { name: 'twin', subjects: ['asked.>'] } })), 10065)
  await client.publish('asked.later', 'x', { 'Nats-Schedule': '@at 2200-01-01T00:00:00Z', 'Nats-Schedule-Target': 'asked.a' })
  const backup = await takeBackup(connection, 'asked')
  await client.api('STREAM.DELETE.asked')
  assert.match(JSON.stringify(await giveBackup(connection, backup)), /scheduled messages are not restored here/)
})

test('a receiver that acknowledges nothing is sent no more than its window', async () => {
  await client.stream('deaf')
  for (let at = 0; at < 20; at++)
    await client.publish('deaf.a', Buffer.from(Array.from({ length: 1000 }, (_, i) => (i * i * at) >>> 3)).toString('latin1'))
  const inbox = createInbox()
  let chunks = 0
  const { promise: status, resolve } = Promise.withResolvers<string>()
  connection.subscribe(inbox, {
    callback: (_, { data, headers }) => {
      if (data.length > 0) chunks++
      else resolve(`${headers?.code} ${headers?.description}`)
    },
  })
  await ask(connection, '$JS.API.STREAM.SNAPSHOT.deaf', { deliver_subject: inbox, chunk_size: 1024, window_size: 3072 })
  while (chunks < 3) await connection.flush()
  await broker.clock.advance('5s')
  assert.equal(await status, '408 No Flow Response')
  assert.equal(chunks, 3)
})
