/** Scheduled messages: when they are due, what is made of them, and that neither a restart nor a new message to their subject confuses them. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { type EmbeddedBroker, startBroker } from '../../../index.ts'
import { nextCron } from '../../../lib/cron.ts'
import { JetStreamClient, type Json } from './jetstream-client.testing.ts'
import { dueAfter } from './schedule-patterns.ts'

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

const codeOf = (answer: Json): number => ((answer['error'] ?? {}) as { err_code: number }).err_code

interface Stored {
  readonly seq: number
  readonly body: string
  readonly headers: string
}

async function last(from: JetStreamClient, stream: string, subject: string): Promise<Stored | null> {
  const { message } = (await from.api(`STREAM.MSG.GET.${stream}`, { last_by_subj: subject })) as {
    message?: { seq: number; data?: string; hdrs?: string }
  }
  if (message === undefined) return null
  const decoded = (text = ''): string => Buffer.from(text, 'base64').toString()
  return { seq: message.seq, body: decoded(message.data), headers: decoded(message.hdrs) }
}

/** The clock goes on until there is one that was made later; a slow disk gets time of its own then. */
async function made(of: EmbeddedBroker, from: JetStreamClient, stream: string, subject: string, newerThan = 0): Promise<Stored> {
  const deadline = performance.now() + 20_000
  for (let step = 0; performance.now() < deadline; step++) {
    const found = await last(from, stream, subject)
    if (found !== null && found.seq > newerThan) return found
    if (step < 100) await of.clock.advance('1s')
    else await setTimeout(5)
  }
  throw new Error(`nothing was made of ${subject}`)
}

test('a message of its time comes once, and its schedule is gone with it', async () => {
  await client.stream('once', { allow_msg_schedules: true, allow_msg_ttl: true })
  const at = new Date(broker.clock.now() + 10_000).toISOString()
  const headers = { 'Nats-Schedule': `@at ${at}`, 'Nats-Schedule-Target': 'once.out', 'Nats-Schedule-TTL': '5m', Own: 'kept' }
  assert.deepEqual(await client.publish('once.in', 'later', headers), { stream: 'once', seq: 1 })
  assert.match((await last(client, 'once', 'once.in'))?.headers ?? '', /Nats-Rollup: sub\r\n/)
  await broker.clock.advance('9s')
  assert.equal(await last(client, 'once', 'once.out'), null)
  const { body, headers: block } = await made(broker, client, 'once', 'once.out')
  assert.equal(body, 'later')
  assert.equal(block, 'NATS/1.0\r\nOwn: kept\r\nNats-Scheduler: once.in\r\nNats-Schedule-Next: purge\r\nNats-TTL: 5m\r\n\r\n')
  assert.equal(await last(client, 'once', 'once.in'), null)
})

test('one that repeats takes its source, says when it comes next, and rolls up', async () => {
  await client.stream('again', { allow_msg_schedules: true })
  await client.publish('again.source', 'first', { From: 'source' })
  const schedule = { 'Nats-Schedule': '@every 5s', 'Nats-Schedule-Target': 'again.out', 'Nats-Schedule-Source': 'again.source' }
  await client.publish('again.in', 'own', { ...schedule, 'Nats-Schedule-Rollup': 'sub' })
  const one = await made(broker, client, 'again', 'again.out')
  assert.equal(one.body, 'first')
  const next = /From: source\r\nNats-Scheduler: again\.in\r\nNats-Schedule-Next: (\S+)\r\nNats-Rollup: sub\r\n\r\n$/.exec(
    one.headers,
  )
  assert.ok(Date.parse(next?.[1] ?? '') > broker.clock.now())
  await client.publish('again.source', 'second')
  const two = await made(broker, client, 'again', 'again.out', one.seq)
  assert.equal(two.body, 'second')
  const info = await client.api('STREAM.INFO.again', { subjects_filter: 'again.out' })
  assert.deepEqual((info['state'] as Json)['subjects'], { 'again.out': 1 })
  // What ends it can come with the message that ends it.
  const end = { 'Nats-Schedule-Next': 'purge', 'Nats-Scheduler': 'again.in' }
  assert.equal(codeOf(await client.publish('again.x', '', { ...end, 'Nats-Scheduler': 'again.out' })), 10212)
  await client.publish('again.x', '', end)
  assert.equal(await last(client, 'again', 'again.in'), null)
  await broker.clock.advance('20s')
  assert.equal((await last(client, 'again', 'again.out'))?.seq, two.seq)
})

test('one whose time has passed comes at once', async () => {
  await client.stream('past', { allow_msg_schedules: true })
  const headers = { 'Nats-Schedule': '@at 2020-01-01T00:00:00Z', 'Nats-Schedule-Target': 'past.out' }
  await client.publish('past.in', 'x', headers)
  assert.equal((await made(broker, client, 'past', 'past.out')).seq, 2)
})

test('another message of its subject takes its place', async () => {
  await client.stream('over', { allow_msg_schedules: true })
  const soon = (body: string, ms: number): Promise<Json> =>
    client.publish('over.in', body, {
      'Nats-Schedule': `@at ${new Date(broker.clock.now() + ms).toISOString()}`,
      'Nats-Schedule-Target': 'over.out',
    })
  await soon('a', 2000)
  await soon('b', 4000)
  assert.equal((await made(broker, client, 'over', 'over.out')).body, 'b')
  const { seq } = (await last(client, 'over', 'over.out')) as Stored
  await soon('c', 2000)
  await client.publish('over.in', 'plain')
  await broker.clock.advance('5s')
  assert.equal((await last(client, 'over', 'over.out'))?.seq, seq)
})

test('what is no schedule is refused as such', async () => {
  await client.stream('no', { allow_msg_schedules: true })
  await client.stream('off')
  const refused = async (stream: string, headers: Record<string, string>): Promise<number> =>
    codeOf(await client.publish(`${stream}.in`, '', headers))
  const target = { 'Nats-Schedule-Target': 'no.out' }
  assert.equal(await refused('off', { 'Nats-Schedule': '@hourly', 'Nats-Schedule-Target': 'off.out' }), 10188)
  assert.equal(await refused('no', { 'Nats-Schedule': '@soon', ...target }), 10189)
  assert.equal(await refused('no', { 'Nats-Schedule': '@every 500ms', ...target }), 10189)
  assert.equal(await refused('no', { 'Nats-Schedule': '@hourly' }), 10190)
  assert.equal(await refused('no', { 'Nats-Schedule': '@hourly', 'Nats-Schedule-Target': 'elsewhere' }), 10190)
  assert.equal(await refused('no', { 'Nats-Schedule': '@hourly', 'Nats-Schedule-TTL': 'x', ...target }), 10191)
  assert.equal(await refused('no', { 'Nats-Schedule': '@hourly', 'Nats-Schedule-TTL': '5s', ...target }), 10166)
  assert.equal(await refused('no', { 'Nats-Schedule': '@hourly', 'Nats-Rollup': 'all', ...target }), 10192)
  assert.equal(await refused('no', { 'Nats-Schedule': '@hourly', 'Nats-Schedule-Source': 'no.out', ...target }), 10203)
  assert.equal(await refused('no', { 'Nats-Schedule': '@hourly', 'Nats-Schedule-Time-Zone': 'Mars/Base', ...target }), 10223)
  assert.equal(await client.refusal('STREAM.CREATE.m', { name: 'm', mirror: { name: 'no' }, allow_msg_schedules: true }), 10186)
})

test('after a restart a schedule goes on', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'anymq-schedules-'))
  const first = await startBroker({ protocols: ['nats'], storage: { folder } })
  const one = await JetStreamClient.open(first.port('nats'))
  await one.stream('kept', { allow_msg_schedules: true })
  const headers = { 'Nats-Schedule': '@every 2s', 'Nats-Schedule-Target': 'kept.out' }
  await one.publish('kept.in', 'x', headers)
  one.close()
  await first.close()
  const second = await startBroker({ protocols: ['nats'], storage: { folder } })
  const two = await JetStreamClient.open(second.port('nats'))
  t.after(async () => {
    two.close()
    await second.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const { seq, headers: block } = await made(second, two, 'kept', 'kept.out')
  assert.match(block, /Nats-Scheduler: kept\.in\r\n/)
  assert.ok((await made(second, two, 'kept', 'kept.out', seq)).seq > seq)
})

test('time patterns', () => {
  const at = (text: string): number => Date.parse(text)
  const cases: [pattern: string, zone: string, after: string, next: string | null][] = [
    ['* * * * * *', 'UTC', '2026-01-01T00:00:00.500Z', '2026-01-01T00:00:01Z'],
    ['0 30 14 * * *', 'UTC', '2026-01-01T14:30:00Z', '2026-01-02T14:30:00Z'],
    ['*/15 5/20 * * * *', 'UTC', '2026-01-01T00:05:45Z', '2026-01-01T00:25:00Z'],
    ['0 0 0 29 2 *', 'UTC', '2026-01-01T00:00:00Z', '2028-02-29T00:00:00Z'],
    ['0 0 0 30 feb ?', 'UTC', '2026-01-01T00:00:00Z', null],
    ['0 0 9 * * MON-FRI', 'UTC', '2026-01-02T09:00:00Z', '2026-01-05T09:00:00Z'],
    ['0 0 0 13 * FRI', 'UTC', '2026-01-05T00:00:00Z', '2026-01-09T00:00:00Z'],
    ['0 0 12 * * *', 'America/New_York', '2026-07-01T00:00:00Z', '2026-07-01T16:00:00Z'],
    // Clocks go from two to three that night, so that there is no half past two.
    ['0 30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', '2026-03-30T00:30:00Z'],
    ['0 0 0 * * *', 'Europe/Berlin', '2026-10-24T23:00:00Z', '2026-10-25T23:00:00Z'],
    ['0 0 0 * *', 'UTC', '2026-01-01T00:00:00Z', null],
    ['60 * * * * *', 'UTC', '2026-01-01T00:00:00Z', null],
    ['0 0 0 5-3 * *', 'UTC', '2026-01-01T00:00:00Z', null],
    ['*/0 * * * * *', 'UTC', '2026-01-01T00:00:00Z', null],
  ]
  for (const [pattern, zone, after, next] of cases)
    assert.equal(nextCron(pattern, zone, at(after)), next === null ? null : at(next), `${pattern} ${zone}`)
  const now = at('2026-05-05T05:05:05Z')
  assert.deepEqual(dueAfter('@weekly', undefined, now, now), { at: at('2026-05-10T00:00:00Z'), repeats: true })
  assert.deepEqual(dueAfter('@every 10s', undefined, now - 60_000, now), { at: now + 10_000, repeats: true })
  assert.equal(dueAfter('@every 10s', 'UTC', now, now), null)
  assert.equal(dueAfter('@at 2026-05-05', undefined, now, now), null)
})
