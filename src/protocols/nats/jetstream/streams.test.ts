/** Streams: what they keep, what they answer, who may use them, and that other protocols read and write them. What nats-server answers is compared by test/differential. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { type EmbeddedBroker, startBroker } from '../../../index.ts'
import { type Got, JetStreamClient, type Json } from './jetstream-client.testing.ts'

let broker: EmbeddedBroker
let client: JetStreamClient

before(async () => {
  broker = await startBroker({ protocols: ['nats', 'kafka'] })
  client = await JetStreamClient.open(broker.port('nats'))
})
after(async () => {
  client.close()
  await broker.close()
})

const second = 1_000_000_000
const stateOf = async (name: string): Promise<Json> => (await client.api(`STREAM.INFO.${name}`))['state'] as Json

test('a publish is answered with the sequence, a repetition with the one it had', async () => {
  await client.stream('pub', { duplicate_window: 10 * second })
  assert.deepEqual(await client.publish('pub.a', 'x'), { stream: 'pub', seq: 1 })
  const id = { 'Nats-Msg-Id': 'i' }
  assert.deepEqual(await client.publish('pub.a', 'x', id), { stream: 'pub', seq: 2 })
  assert.deepEqual(await client.publish('pub.a', 'x', id), { stream: 'pub', seq: 2, duplicate: true })
  await broker.clock.advance('11s')
  assert.deepEqual(await client.publish('pub.a', 'x', id), { stream: 'pub', seq: 3 })
})

test('where an answer goes is not stored; who listens hears it', async () => {
  await client.stream('asked')
  await client.publish('asked.a', 'unheard')
  await client.publish('asked.a', 'with headers', { Colour: 'blue' })
  const listening = await JetStreamClient.open(broker.port('nats'))
  listening.nats.send('SUB asked.> 1')
  await listening.nats.flush()
  const reply = client.ask('asked.a', 'heard')
  assert.equal((await listening.next()).reply, reply)
  await client.next()
  listening.close()
  const stored = await broker.messages('asked')
  assert.deepEqual(
    stored.map(({ text, attributes, headers }) => [text, attributes['replyTo'], headers['Colour']]),
    [
      ['unheard', undefined, undefined],
      ['with headers', undefined, 'blue'],
      ['heard', reply, undefined],
    ],
  )
})

test('publishes of one chunk that build on each other are judged in their order', async () => {
  await client.stream('chain')
  for (const last of [0, 1, 1]) client.ask('chain.a', 'x', { 'Nats-Expected-Last-Sequence': String(last) })
  // One that is refused is answered at once, those before it when they are durable.
  const got = (await client.take(3)).sort((a, b) => (a.subject < b.subject ? -1 : 1))
  const answers = got.map(({ body }) => JSON.parse(body) as Json)
  assert.deepEqual([answers[0]?.['seq'], answers[1]?.['seq']], [1, 2])
  assert.deepEqual(answers[2]?.['error'], { code: 400, err_code: 10071, description: 'wrong last sequence: 2' })
})

test('what a stream refuses nobody stores; what nobody waits for is stored too', async () => {
  await client.stream('guard', { max_msg_size: 10 })
  assert.equal(((await client.publish('guard.a', '01234567890')).error as Json)['err_code'], 10054)
  client.nats.publish('guard.a', 'silent')
  await client.nats.flush()
  assert.equal((await stateOf('guard'))['messages'], 1)
})

test('a place that names none is none; one that names a cluster is refused', async () => {
  const made = await client.api('STREAM.CREATE.place', {
    name: 'place',
    subjects: ['place'],
    placement: { cluster: '', tags: [] },
  })
  assert.equal(made['error'], undefined)
  assert.equal((made['config'] as Json)['placement'], undefined)
  const refused = await client.api('STREAM.CREATE.far', { name: 'far', subjects: ['far'], placement: { cluster: 'east' } })
  assert.equal((refused['error'] as Json)['err_code'], 10010)
})

test('the name of a stream is no subject of it', async () => {
  await client.stream('name')
  const { status, headers } = await client.request('name', 'x')
  assert.deepEqual([status, headers['Nats-Subject']], ['503', 'name'])
  assert.equal((await stateOf('name'))['messages'], 0)
})

test('messages go after their own time to live, and the age of the stream', async () => {
  await client.stream('ttl', { allow_msg_ttl: true, max_age: 20 * second })
  await client.publish('ttl.a', 'short', { 'Nats-TTL': '5s' })
  await client.publish('ttl.a', 'long')
  assert.equal(((await client.publish('ttl.a', 'x', { 'Nats-TTL': 'soon' })).error as Json)['err_code'], 10165)
  await broker.clock.advance('6s')
  assert.deepEqual([(await stateOf('ttl'))['messages'], (await stateOf('ttl'))['first_seq']], [1, 2])
  await broker.clock.advance('20s')
  while (((await stateOf('ttl'))['messages'] as number) > 0) await broker.clock.advance('1s')
})

test('a stream that is full and refuses more is purged below a sequence that is yet to come, too', async () => {
  await client.stream('full', { max_msgs: 2, discard: 'new' })
  for (const body of ['a', 'b']) await client.publish('full.a', body)
  assert.equal((await client.api('STREAM.PURGE.full', { seq: 10 }))['purged'], 2)
  assert.equal((await client.publish('full.a', 'c'))['seq'], 10)
})

test('what was taken away between others is told from what never was, or is before them', async () => {
  await client.stream('holes')
  for (const body of ['a', 'b', 'c', 'd']) await client.publish('holes.a', body)
  for (const seq of [1, 3]) await client.api('STREAM.MSG.DELETE.holes', { seq })
  const refusals: number[] = []
  for (const seq of [1, 3, 9]) refusals.push(await client.refusal('STREAM.MSG.DELETE.holes', { seq }))
  assert.deepEqual(refusals, [10057, 10043, 10057])
})

test('a purge below a sequence that is yet to come goes on from there', async () => {
  await client.stream('ahead')
  await client.publish('ahead.a')
  assert.equal((await client.api('STREAM.PURGE.ahead', { seq: 10 }))['purged'], 1)
  const { messages, first_seq: first, last_seq: last } = await stateOf('ahead')
  assert.deepEqual([messages, first, last], [0, 10, 9])
  assert.equal((await client.publish('ahead.a'))['seq'], 10)
  assert.equal(await client.refusal('STREAM.PURGE.ahead', { seq: 1e9 }), 10110)
})

test('of a subject whose last message was too old a marker stays for a while', async () => {
  await client.stream('mark', { subject_delete_marker_ttl: 3 * second, max_msgs_per_subject: 1, allow_msg_ttl: true })
  const { config } = (await client.api('STREAM.INFO.mark')) as { config: Json }
  assert.deepEqual([config['subject_delete_marker_ttl'], config['allow_rollup_hdrs']], [3 * second, true])
  await client.publish('mark.a', 'x', { 'Nats-TTL': '2s' })
  await client.publish('mark.b', '', { 'Nats-TTL': '2s', 'KV-Operation': 'PURGE' })
  for (let step = 0; step < 20 && (await stateOf('mark'))['last_seq'] !== 3; step++) await broker.clock.advance('1s')
  const { message } = (await client.api('STREAM.MSG.GET.mark', { last_by_subj: 'mark.a' })) as { message: Json }
  assert.equal(
    Buffer.from(String(message['hdrs']), 'base64').toString(),
    'NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: 3s\r\nNats-Rollup: sub\r\n\r\n',
  )
  for (let step = 0; step < 20 && (await stateOf('mark'))['messages'] !== 0; step++) await broker.clock.advance('1s')
  assert.deepEqual([(await stateOf('mark'))['messages'], (await stateOf('mark'))['last_seq']], [0, 3])
  const short = { name: 'short', subjects: ['short'], subject_delete_marker_ttl: second / 2 }
  assert.equal(await client.refusal('STREAM.CREATE.short', short), 10052)
})

test('a limit that comes with an update counts at once', async () => {
  await client.stream('limit')
  for (const word of ['a', 'b', 'a', 'a']) await client.publish(`limit.${word}`, word)
  await client.api('STREAM.UPDATE.limit', { name: 'limit', subjects: ['limit.>'], max_msgs_per_subject: 1 })
  const state = (await client.api('STREAM.INFO.limit', { subjects_filter: '>' }))['state'] as Json
  assert.deepEqual(state['subjects'], { 'limit.a': 1, 'limit.b': 1 })
})

test('subjects are stored as the transform says, and counted, expected and read by that name', async () => {
  const transform = { src: 'map.*.*', dest: 'kept.$2.{{wildcard(1)}}' }
  await client.stream('map', { subject_transform: transform })
  assert.deepEqual(((await client.api('STREAM.INFO.map'))['config'] as Json)['subject_transform'], transform)
  client.nats.send('SUB map.> core')
  client.nats.publish('map.a.b', 'x')
  assert.equal((await client.next()).subject, 'map.a.b')
  client.nats.send('UNSUB core')
  await client.publish('map.other')
  const state = (await client.api('STREAM.INFO.map', { subjects_filter: '>' }))['state'] as Json
  assert.deepEqual(state['subjects'], { 'kept.b.a': 1, 'map.other': 1 })
  const last = { 'Nats-Expected-Last-Subject-Sequence': '0' }
  assert.equal(((await client.publish('map.a.b', '', last))['error'] as Json)['err_code'], 10071)
  const bad = (dest: string): Promise<number> =>
    client.refusal('STREAM.CREATE.bad', { name: 'bad', subjects: ['bad.*'], subject_transform: { src: 'bad.*', dest } })
  assert.deepEqual([await bad('x.$2'), await bad('x.>')], [10156, 10156])
})

test('what is stored is published again elsewhere, with its place', async () => {
  await client.stream('again', { republish: { src: 'again.>', dest: 'copy.>' } })
  client.nats.send('SUB copy.> c')
  client.ask('again.x.y', 'body', { Key: 'v' })
  const [first, other] = await client.take(2)
  const copy = first?.subject === 'copy.x.y' ? first : other
  const { Key, 'Nats-Stream': stream, 'Nats-Subject': subject, 'Nats-Sequence': sequence } = copy?.headers ?? {}
  assert.deepEqual(
    [copy?.subject, copy?.body, Key, stream, subject, sequence],
    ['copy.x.y', 'body', 'v', 'again', 'again.x.y', '1'],
  )
  client.nats.send('UNSUB c')
})

test('a batch is stored whole or not at all', async () => {
  await client.stream('batch', { allow_atomic: true })
  const part = (sequence: number, more: Readonly<Record<string, string>> = {}, id = 'b'): Promise<Got> =>
    client.request(`batch.${sequence}`, String(sequence), {
      'Nats-Batch-Id': id,
      'Nats-Batch-Sequence': String(sequence),
      ...more,
    })
  const refused = async (answer: Promise<Got>): Promise<unknown> =>
    (JSON.parse((await answer).body) as { error: Json }).error['err_code']
  assert.equal((await part(1)).body, '')
  assert.equal((await part(2)).body, '')
  assert.equal((await stateOf('batch'))['messages'], 0)
  const commit = { 'Nats-Batch-Commit': '1' }
  assert.deepEqual(JSON.parse((await part(3, commit)).body), { stream: 'batch', seq: 3, batch: 'b', count: 3 })
  assert.equal((await stateOf('batch'))['messages'], 3)
  // A gap, no beginning, a condition that does not hold, too long a pause.
  await part(1)
  assert.equal(await refused(part(3)), 10176)
  assert.equal(await refused(part(2, {}, 'unknown')), 10176)
  await part(1, { 'Nats-Expected-Last-Sequence': '2' })
  assert.equal(await refused(part(2, commit)), 10071)
  await part(1)
  await broker.clock.advance('11s')
  assert.equal(await refused(part(2, commit)), 10176)
  await part(1, { 'Nats-Msg-Id': 'same' })
  assert.equal(await refused(part(2, { 'Nats-Msg-Id': 'same', ...commit })), 10201)
  assert.equal((await stateOf('batch'))['messages'], 3)
  // The end may be said apart.
  await part(1)
  assert.equal((JSON.parse((await part(2, { 'Nats-Batch-Commit': 'eob' })).body) as Json)['count'], 1)
  await client.stream('single')
  const plain = client.request('single.a', 'x', { 'Nats-Batch-Id': 'b', 'Nats-Batch-Sequence': '1' })
  assert.equal(await refused(plain), 10174)
})

test('a fast batch: what is durable is told now and then, and at its end; what both servers say is compared by test/differential', async () => {
  await client.stream('fast', { allow_batched: true })
  const send = (words: string, body = 'x'): void => client.nats.publish('fast.a', body, `${client.inbox}.${words}.$FI`)
  const told = async (count: number): Promise<unknown[]> => (await client.take(count)).map(({ body }) => JSON.parse(body))
  send('b.3.fail.1.0', '1')
  assert.deepEqual(await told(1), [{ type: 'ack', seq: 0, msgs: 3 }])
  for (const part of [2, 3, 4]) send(`b.3.fail.${part}.1`, String(part))
  assert.deepEqual(await told(1), [{ type: 'ack', seq: 3, msgs: 3 }])
  send('b.3.fail.5.2', '5')
  assert.deepEqual(await told(1), [{ stream: 'fast', seq: 5, batch: 'b', count: 5 }])
  const stored = await broker.messages('fast')
  assert.deepEqual(
    stored.map(({ text }) => text),
    ['1', '2', '3', '4', '5'],
  )
  // Of nothing that came for ten seconds nobody knows any more; a ping keeps it.
  send('idle.9.ok.1.0')
  await told(1)
  await broker.clock.advance('9s')
  send('idle.9.ok.1.4')
  await told(1)
  await broker.clock.advance('9s')
  send('idle.9.ok.2.1')
  await client.nats.flush()
  await broker.clock.advance('11s')
  send('idle.9.ok.3.2')
  assert.equal((((await told(1))[0] as Json)['error'] as Json)['err_code'], 10208)
})

test('a stream of counters keeps totals', async () => {
  await client.stream('count', { allow_msg_counter: true })
  const add = async (increment: string, body = ''): Promise<Json> => client.publish('count.a', body, { 'Nats-Incr': increment })
  for (const increment of ['5', '-7']) client.ask('count.a', '', { 'Nats-Incr': increment })
  assert.deepEqual(
    (await client.take(2)).map(({ body }) => (JSON.parse(body) as Json)['val']),
    ['5', '-2'],
  )
  assert.equal((await add('+10000000000000000000'))['val'], '9999999999999999998')
  const { message } = (await client.api('STREAM.MSG.GET.count', { last_by_subj: 'count.a' })) as { message: { data: string } }
  assert.equal(Buffer.from(message.data, 'base64').toString(), '{"val":"9999999999999999998"}')
  assert.deepEqual(
    [((await add('x')).error as Json)['err_code'], ((await add('1', 'body')).error as Json)['err_code']],
    [10171, 10170],
  )
  assert.equal(((await client.publish('count.a', 'x')).error as Json)['err_code'], 10169)
})

test('users can ask who they are', async () => {
  const { data } = JSON.parse((await client.request('$SYS.REQ.USER.INFO')).body) as { data: Json }
  assert.equal(data['account'], 'default')
})

test('Kafka clients read a stream, and write to its subjects', async () => {
  await client.stream('shared', { subjects: ['shared.*'] })
  await client.publish('shared.a', 'from NATS', { Key: 'v' })
  const kafka = new Kafka({ brokers: [broker.url('kafka')], logLevel: logLevel.NOTHING })
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic: 'shared', messages: [{ value: 'from Kafka', headers: { Other: 'w' } }] })
  await producer.disconnect()
  const consumer = kafka.consumer({ groupId: 'readers' })
  await consumer.connect()
  await consumer.subscribe({ topic: 'shared', fromBeginning: true })
  const got: string[] = []
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        eachMessage: async ({ message }) => {
          got.push(`${message.offset} ${message.value} ${message.headers?.['Key'] ?? ''}`)
          if (got.length === 2) resolve()
        },
      })
      .catch(reject)
  })
  await consumer.disconnect()
  assert.deepEqual(got, ['0 from NATS v', '1 from Kafka '])
  const stored = (await client.api('STREAM.MSG.GET.shared', { seq: 2 }))['message'] as Record<string, string>
  assert.equal(Buffer.from(stored['data'] ?? '', 'base64').toString(), 'from Kafka')
  assert.match(Buffer.from(stored['hdrs'] ?? '', 'base64').toString(), /Other: w\r\n/)
})

test('a stream whose topic is deleted elsewhere is gone, with its consumers', async () => {
  await client.stream('gone')
  await client.consumer('gone', 'c')
  assert.equal((await fetch(`${broker.url('http')}/v1/topics/gone`, { method: 'DELETE' })).ok, true)
  assert.equal(await client.refusal('STREAM.INFO.gone'), 10059)
  await client.stream('gone')
  assert.deepEqual((await client.api('CONSUMER.NAMES.gone'))['consumers'], [])
})

test('streams, what they hold and their consumers are there again after a restart', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'anymq-jetstream-'))
  const start = async (): Promise<[EmbeddedBroker, JetStreamClient]> => {
    const own = await startBroker({ protocols: ['nats'], storage: { folder } })
    return [own, await JetStreamClient.open(own.port('nats'))]
  }
  let [own, nats] = await start()
  t.after(async () => {
    nats.close()
    await own.close()
    rmSync(folder, { recursive: true })
  })
  await nats.stream('kept', { max_msgs: 3, first_seq: 10 })
  for (const body of ['a', 'b', 'c', 'd']) await nats.publish('kept.x', body, body === 'd' ? { 'Nats-Msg-Id': 'd' } : {})
  await nats.consumer('kept', 'c')
  const [first, unacknowledged] = await nats.pull('kept', 'c', 2)
  assert.equal((await nats.request(first?.reply ?? '', '+ACK')).body, '')
  nats.close()
  await own.close()
  ;[own, nats] = await start()
  const { state } = (await nats.api('STREAM.INFO.kept')) as { state: Json }
  assert.deepEqual([state['messages'], state['first_seq'], state['last_seq'], state['consumer_count']], [3, 11, 13, 1])
  assert.deepEqual(await nats.publish('kept.x', 'e', { 'Nats-Expected-Last-Msg-Id': 'd' }), { stream: 'kept', seq: 14 })
  // Acknowledged with what was received before: it does not come again.
  assert.equal((await nats.request(unacknowledged?.reply ?? '', '+ACK')).body, '')
  assert.deepEqual(
    (await nats.pull('kept', 'c', 2)).map(({ body }) => body),
    ['d', 'e'],
  )
})
