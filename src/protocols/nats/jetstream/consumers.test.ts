/** Consumers: deadlines, delays, limits, pace, pauses, groups, and what ends them; with a clock that is moved by hand. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { portOf, startTestBroker } from '../../../../test/support/running.ts'
import { VirtualClock } from '../../../lib/timers.ts'
import type { RunningBroker } from '../../../server/start.ts'
import { type Got, JetStreamClient, type Json } from './jetstream-client.testing.ts'

const clock = new VirtualClock()
const second = 1_000_000_000
let running: RunningBroker
let client: JetStreamClient
const clients: JetStreamClient[] = []
const port = (): number => portOf(running, 'nats')

before(async () => {
  running = await startTestBroker({
    clock,
    only: ['nats'],
    beforeListening: async ({ users }) => {
      const permissions = [{ namespace: 'default', publish: '.*', consume: 'in\\..*|open.*', manage: 'open.*' }]
      await users.put('admin', { password: 'secret', admin: true })
      await users.put('alice', { password: 'love', permissions })
    },
  })
})
beforeEach(async () => {
  client = await JetStreamClient.open(port(), { user: 'admin', pass: 'secret' })
  clients.push(client)
})
after(async () => {
  for (const each of clients) each.close()
  await running.stop()
})

const bodies = (got: readonly Got[]): string[] => got.map(({ body }) => body)
const deliveries = ({ reply }: Got): number => Number(reply.split('.')[4])
/** Everything that was sent before has happened, timers that ran out included. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 3; turn++) assert.deepEqual(await client.nats.flush(), [])
}

/** Waits for messages, of which none is there. */
async function next(stream: string, consumer: string, body: string | Json): Promise<string> {
  const reply = client.ask(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, body)
  await settle()
  return reply
}

test('what is not acknowledged in time comes again, as often as it may; then there is an advisory', async () => {
  await client.stream('late')
  await client.publish('late.a', 'x')
  await client.consumer('late', 'c', { ack_wait: 10 * second, max_deliver: 2 })
  client.nats.send('SUB $JS.EVENT.ADVISORY.> a')
  const [first] = await client.pull('late', 'c', 1)
  await clock.advance(10_001)
  const [again] = await client.pull('late', 'c', 1)
  assert.deepEqual([deliveries(first as Got), deliveries(again as Got)], [1, 2])
  await clock.advance(10_001)
  const advisory = JSON.parse((await client.next()).body) as Json
  assert.deepEqual(
    [advisory['type'], advisory['stream'], advisory['consumer'], advisory['stream_seq'], advisory['deliveries']],
    ['io.nats.jetstream.advisory.v1.max_deliver', 'late', 'c', 1, 2],
  )
  client.nats.send('UNSUB a')
  assert.equal((await client.api('CONSUMER.INFO.late.c'))['num_ack_pending'], 0)
  assert.equal(((await client.api('STREAM.INFO.late'))['state'] as Json)['messages'], 1)
})

test('an acknowledgement that comes late, but before the next delivery, counts', async () => {
  await client.stream('tardy')
  await client.publish('tardy.a', 'x')
  await client.consumer('tardy', 'c', { ack_wait: second })
  const [message] = await client.pull('tardy', 'c', 1)
  await clock.advance(1001)
  await client.request(message?.reply ?? '', '+ACK')
  assert.equal((await client.request('$JS.API.CONSUMER.MSG.NEXT.tardy.c', { batch: 1, no_wait: true })).status, '404 No Messages')
})

test('waits grow with the attempts, and a negative acknowledgement says its own', async () => {
  await client.stream('back')
  await client.publish('back.a', 'x')
  await client.consumer('back', 'c', { backoff: [second, 10 * second], max_ack_pending: 1 })
  await client.publish('back.a', 'y')
  await client.pull('back', 'c', 1)
  await next('back', 'c', { batch: 1, expires: 60 * second })
  await clock.advance(1001)
  assert.equal(deliveries(await client.next()), 2)
  await next('back', 'c', { batch: 1, expires: 60 * second })
  await clock.advance(5000)
  await settle()
  await clock.advance(5001)
  const third = await client.next()
  assert.equal(deliveries(third), 3)
  assert.equal((await client.request(third.reply, `-NAK {"delay": ${5 * second}}`)).body, '')
  await next('back', 'c', { batch: 1, expires: 60 * second })
  await clock.advance(4000)
  // With one message out at a time, the next one does not overtake it.
  await settle()
  await clock.advance(1001)
  const fourth = await client.next()
  assert.deepEqual([fourth.body, deliveries(fourth)], ['x', 4])
  await client.request(fourth.reply, '+TERM')
  assert.deepEqual(bodies(await client.pull('back', 'c', 1)), ['y'])
})

test('progress moves the deadline', async () => {
  await client.stream('work')
  await client.publish('work.a', 'x')
  await client.consumer('work', 'c', { ack_wait: 10 * second })
  const [message] = await client.pull('work', 'c', 1)
  for (let step = 0; step < 3; step++) {
    await clock.advance(8000)
    await client.request(message?.reply ?? '', '+WPI')
  }
  await next('work', 'c', { batch: 1, expires: 60 * second })
  await clock.advance(8000)
  await settle()
  await clock.advance(2001)
  assert.equal(deliveries(await client.next()), 2)
})

test('one acknowledgement is good for all before it, where that is the policy', async () => {
  await client.stream('all')
  for (const body of ['1', '2', '3', '4']) await client.publish('all.a', body)
  await client.consumer('all', 'c', { ack_policy: 'all' })
  const got = await client.pull('all', 'c', 4)
  await client.request(got[2]?.reply ?? '', '+ACK')
  const info = await client.api('CONSUMER.INFO.all.c')
  assert.deepEqual([info['num_ack_pending'], (info['ack_floor'] as Json)['stream_seq']], [1, 3])
})

test('requests take turns, run out, hear heartbeats, and are counted', async () => {
  await client.stream('turns')
  await client.consumer('turns', 'c')
  const one = await next('turns', 'c', { batch: 2, expires: 10 * second })
  const two = await next('turns', 'c', { batch: 2, expires: 20 * second, idle_heartbeat: 5 * second })
  assert.equal((await client.api('CONSUMER.INFO.turns.c'))['num_waiting'], 2)
  const got = []
  for (const body of ['1', '2', '3']) {
    client.ask('turns.a', body)
    got.push(...(await client.take(2)))
  }
  const delivered = got.filter(({ reply }) => reply.startsWith('$JS.ACK'))
  assert.deepEqual(bodies(delivered), ['1', '2', '3'])
  await clock.advance(5001)
  assert.deepEqual(await client.next().then(({ status, headers }) => [status, headers['Nats-Last-Stream']]), [
    '100 Idle Heartbeat',
    '3',
  ])
  await clock.advance(20_000)
  let end = await client.next()
  while (end.status === '100 Idle Heartbeat') end = await client.next()
  assert.deepEqual([end.status, end.headers['Nats-Pending-Messages']], ['408 Request Timeout', '1'])
  assert.ok([one, two].includes(end.subject))
})

test('whoever is gone gets nothing, and loses nothing', async () => {
  await client.stream('left')
  await client.consumer('left', 'c')
  const other = await JetStreamClient.open(port(), { user: 'admin', pass: 'secret' })
  other.ask('$JS.API.CONSUMER.MSG.NEXT.left.c', { batch: 1, expires: 60 * second })
  await other.nats.flush()
  other.close()
  while ((await client.api('CONSUMER.INFO.left.c'))['num_waiting'] !== 0) {
    await client.publish('left.a', 'x')
    await clock.advance(1)
  }
  const [message] = await client.pull('left', 'c', 1)
  assert.equal(deliveries(message as Got), 1)
})

test('a consumer that nobody uses is forgotten, and those who wait are told of its end', async () => {
  await client.stream('idle')
  const config = { ack_policy: 'explicit', inactive_threshold: 10 * second }
  const created = await client.api('CONSUMER.CREATE.idle', { stream_name: 'idle', config })
  const name = String(created['name'])
  await next('idle', name, { batch: 1, expires: 5 * second })
  await clock.advance(5001)
  assert.equal((await client.next()).status, '408 Request Timeout')
  await clock.advance(9000)
  assert.equal((await client.api(`CONSUMER.INFO.idle.${name}`))['name'], name)
  await clock.advance(1500)
  await settle()
  assert.equal(await client.refusal(`CONSUMER.INFO.idle.${name}`), 10014)
  await client.consumer('idle', 'd')
  await next('idle', 'd', { batch: 1, expires: 60 * second })
  client.ask('$JS.API.CONSUMER.DELETE.idle.d')
  const ends = await client.take(2)
  assert.ok(ends.some(({ status }) => status === '409 Consumer Deleted'))
})

test('messages come at the pace they were stored at, or at a rate', async () => {
  await client.stream('pace')
  await client.publish('pace.a', '1')
  await clock.advance(3000)
  await client.publish('pace.a', '2')
  client.nats.send('SUB pushed p')
  client.ask('$JS.API.CONSUMER.CREATE.pace.o', {
    stream_name: 'pace',
    config: { durable_name: 'o', deliver_subject: 'pushed', ack_policy: 'none', replay_policy: 'original' },
  })
  const [answer, first] = await client.take(2)
  assert.deepEqual([answer?.subject.startsWith('in.'), first?.body], [true, '1'])
  await clock.advance(2000)
  await settle()
  await clock.advance(1001)
  assert.equal((await client.next()).body, '2')
  client.nats.send('UNSUB p')
})

test('a push consumer waits for somebody who listens, shows heads alone if it is to, and says that nothing comes', async () => {
  await client.stream('head')
  await client.publish('head.a', 'body', { Key: 'v' })
  await client.consumer('head', 'p', { deliver_subject: 'heads', headers_only: true, idle_heartbeat: second })
  assert.equal((await client.api('CONSUMER.INFO.head.p'))['push_bound'], undefined)
  client.nats.send('SUB heads h')
  const { body, subject, headers } = await client.next()
  assert.deepEqual([subject, body, headers['Key'], headers['Nats-Msg-Size']], ['head.a', '', 'v', '4'])
  await clock.advance(1001)
  assert.equal((await client.next()).status, '100 Idle Heartbeat')
  client.nats.send('UNSUB h')
})

test('overflow requests are served only when there is enough, pinned ones to one client', async () => {
  await client.stream('group')
  await client.consumer('group', 'o', { priority_policy: 'overflow', priority_groups: ['g'] })
  await next('group', 'o', { batch: 1, expires: 60 * second, group: 'g', min_pending: 2 })
  await client.publish('group.a', '1')
  await settle()
  client.ask('group.a', '2')
  const got = await client.take(2)
  assert.ok(bodies(got).includes('1'))
  assert.equal(
    (await client.request('$JS.API.CONSUMER.MSG.NEXT.group.o', { batch: 1 })).status,
    '400 Bad Request - Priority Group missing',
  )

  await client.consumer('group', 'p', { priority_policy: 'pinned_client', priority_groups: ['g'] })
  client.ask('$JS.API.CONSUMER.MSG.NEXT.group.p', { batch: 1, expires: 60 * second, group: 'g' })
  const first = await client.next()
  const pin = first.headers['Nats-Pin-Id'] ?? ''
  assert.notEqual(pin, '')
  await next('group', 'p', { batch: 1, expires: 60 * second, group: 'g' })
  await settle()
  client.ask('$JS.API.CONSUMER.MSG.NEXT.group.p', { batch: 1, expires: 60 * second, group: 'g', id: pin })
  assert.equal((await client.next()).body, '2')
  assert.equal(
    (await client.request('$JS.API.CONSUMER.MSG.NEXT.group.p', { batch: 1, group: 'g', id: 'x' })).status,
    '423 Nats-Pin-Id mismatch',
  )
})

test('a consumer begins again where it is told to', async () => {
  await client.stream('anew')
  for (const body of ['1', '2', '3', '4']) await client.publish('anew.a', body)
  await client.consumer('anew', 'c')
  const [first] = await client.pull('anew', 'c', 3)
  await client.request(first?.reply ?? '', '+ACK')
  const toFloor = await client.api('CONSUMER.RESET.anew.c')
  assert.deepEqual([toFloor['reset_seq'], toFloor['num_pending'], toFloor['num_ack_pending']], [2, 3, 0])
  const again = await client.pull('anew', 'c', 2)
  assert.deepEqual(bodies(again), ['2', '3'])
  // A first delivery: the one before is forgotten, with its sequence.
  assert.match(again[0]?.reply ?? '', /^\$JS\.ACK\.anew\.c\.1\.2\.1\./)
  assert.equal((await client.api('CONSUMER.RESET.anew.c', { seq: 4 }))['reset_seq'], 4)
  assert.deepEqual(bodies(await client.pull('anew', 'c', 1)), ['4'])
  await client.consumer('anew', 'last', { deliver_policy: 'last' })
  assert.equal(await client.refusal('CONSUMER.RESET.anew.last', { seq: 1 }), 10204)
  assert.equal((await client.request('$JS.API.CONSUMER.RESET.anew.none')).status, '503')
})

test('users need to be allowed to make, read and manage the topic of a stream', async () => {
  const alice = await JetStreamClient.open(port(), { user: 'alice', pass: 'love' })
  await client.stream('closed')
  const denied = async (request: string, body: string | Json = ''): Promise<boolean> =>
    JSON.stringify((await alice.api(request, body))['error']).includes('may not')
  assert.ok(await denied('STREAM.CREATE.secret', { name: 'secret' }))
  // What is captured, copied or published again needs to be allowed, too.
  assert.ok(await denied('STREAM.CREATE.open1', { name: 'open1', subjects: ['others.>'] }))
  assert.ok(await denied('STREAM.CREATE.open1', { name: 'open1', sources: [{ name: 'closed' }] }))
  assert.ok(await denied('STREAM.CREATE.open1', { name: 'open1', mirror: { name: 'closed' } }))
  assert.ok(await denied('STREAM.INFO.closed'))
  assert.ok(await denied('STREAM.PURGE.closed'))
  assert.ok(await denied('STREAM.DELETE.closed'))
  assert.ok(await denied('STREAM.MSG.GET.closed', { seq: 1 }))
  assert.ok(await denied('CONSUMER.CREATE.closed.c', { stream_name: 'closed', config: { durable_name: 'c' } }))
  await client.consumer('closed', 'c')
  assert.equal((await alice.request('$JS.API.CONSUMER.MSG.NEXT.closed.c', '1')).status, '409 Not permitted')
  assert.deepEqual((await alice.api('STREAM.NAMES'))['streams'], null)
  await alice.stream('open')
  await alice.publish('open.a', 'x')
  await alice.consumer('open', 'c')
  assert.deepEqual(bodies(await alice.pull('open', 'c', 1)), ['x'])
  alice.close()
})
