/** Exchanges that choose one destination, look into the record, or keep a history: without any protocol. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, spaceOf } from '../../../test/support/machine.ts'
import { type PlainRecord, plainFormat, plainItem, publish, RememberingSink, until } from '../../../test/support/records.ts'
import { type Binding, type ExchangeInfo, PublishItem, type Space } from '../face.ts'
import { Router } from '../router.ts'
import { historyBytesMax } from './history.ts'
import { Destinations } from './one.ts'

const exchange = (name: string, kind: ExchangeInfo['kind'], more: Partial<ExchangeInfo> = {}): ExchangeInfo => ({
  name,
  kind,
  durable: true,
  autoDelete: false,
  internal: false,
  alternate: null,
  declaration: {},
  ...more,
})
const binding = (source: string, destination: string, key = '', more: Partial<Binding> = {}): Binding => ({
  source,
  destination,
  destinationKind: 'topic',
  key,
  arguments: {},
  ...more,
})
const record = (fields: PlainRecord) => ({ format: plainFormat.id, payload: Buffer.from(JSON.stringify(fields)) })
const keys = Array.from({ length: 10_000 }, (_, index) => `key ${index}`)

function router(...infos: ExchangeInfo[]): Router {
  const made = new Router(
    () => true,
    () => 0.5,
  )
  for (const info of infos) made.declare(info)
  return made
}

test('a hash exchange sends each key to one destination, by weight, and moves only what it must when one goes', () => {
  const some = [binding('x', 'one', '1'), binding('x', 'three', '3')]
  const before = new Destinations(some)
  const counts = new Map<string, number>()
  for (const key of keys) {
    const to = before.hashed(key)?.destination ?? ''
    counts.set(to, (counts.get(to) ?? 0) + 1)
  }
  const share = (counts.get('three') ?? 0) / keys.length
  assert.ok(0.72 < share && share < 0.78, `${share} of the keys went to the destination of weight 3 of 4`)
  const after = new Destinations([...some, binding('x', 'new', '1')])
  for (const key of keys) {
    const to = after.hashed(key)?.destination
    assert.ok(to === 'new' || to === before.hashed(key)?.destination, 'a key moved between destinations that both stayed')
  }
})

test('hash, modulus and random exchanges choose one destination however often it is bound, and none when there is none', () => {
  for (const kind of ['hash', 'modulus', 'random'] as const) {
    const made = router(exchange('x', kind))
    assert.deepEqual(made.route('x', 'k', null), [])
    for (const [to, key] of [
      ['a', '1'],
      ['a', '2'],
      ['b', '1'],
    ] as const)
      made.bind(binding('x', to, key))
    assert.equal(made.route('x', 'k', null).length, 1, kind)
    assert.equal(made.choosesOne('x'), true)
  }
  const random = router(exchange('x', 'random'))
  for (const to of ['a', 'b', 'c']) random.bind(binding('x', to))
  assert.deepEqual(random.route('x', '', null), ['b'], 'the middle of three for 0.5')
  const modulus = router(exchange('x', 'modulus'))
  for (const to of ['a', 'b', 'c']) modulus.bind(binding('x', to))
  const reached = new Set(keys.slice(0, 100).flatMap((key) => modulus.route('x', key, null)))
  assert.equal(reached.size, 3)
})

test('a hash exchange chooses by a header or an attribute when it was told so, not by the key', () => {
  for (const [hashOn, fields] of [
    [{ header: 'user' }, (value: string) => ({ headers: { user: value } })],
    [{ attribute: 'messageId' }, (value: string) => ({ messageId: value })],
    [{ attribute: 'correlationId' }, (value: string) => ({ correlationId: value })],
  ] as const) {
    const made = router(exchange('x', 'hash', { hashOn }))
    for (const to of ['a', 'b', 'c']) made.bind(binding('x', to, '1'))
    const first = made.route('x', 'k', record(fields('u1')))
    for (const key of keys.slice(0, 50)) assert.deepEqual(made.route('x', key, record(fields('u1'))), first)
    const reached = new Set(keys.slice(0, 50).flatMap((value) => made.route('x', 'k', record(fields(value)))))
    assert.equal(reached.size, 3)
  }
})

test('headers are looked at behind a direct exchange, and when they decide nothing is remembered', () => {
  const made = router(exchange('d', 'direct'), exchange('h', 'headers'))
  made.bind(binding('d', 'h', 'k', { destinationKind: 'exchange' }))
  made.bind(binding('h', 'red', '', { arguments: { color: 'red' } }))
  assert.deepEqual(made.route('d', 'k', record({ headers: { color: 'red' } })), ['red'])
  assert.deepEqual(made.route('d', 'k', record({ headers: { color: 'blue' } })), [])
})

async function declare(space: Space, info: ExchangeInfo, ...topics: string[]): Promise<void> {
  await space.declareExchange(info)
  for (const topic of topics) await space.createTopic(topic, { retention: 'acknowledged' }, 'test')
}

function toExchange(name: string, value: string): PublishItem {
  const item = plainItem('', { value })
  return new PublishItem(name, 'k', item.format, item.payload)
}

async function valuesOf(space: Space, topic: string, count: number): Promise<unknown[]> {
  const sink = new RememberingSink()
  const consumer = space.subscribe({ topic, subscription: '', autoSettle: true, name: topic }, sink)
  consumer.credit(100)
  await until(() => sink.got.length >= count)
  consumer.close()
  return sink.values
}

test('a history exchange hands its newest records to who is bound later, also after a restart, and forgets them when it is deleted', async () => {
  const machine = new Machine()
  let space = spaceOf(await machine.start())
  await declare(space, exchange('x', 'history', { historyRecords: 2 }), 'early', 'late', 'later', 'last')
  await space.bind(binding('x', 'early'))
  for (const value of ['a', 'b', 'c']) await publish(space, toExchange('x', value))
  const secret = toExchange('x', 'not kept')
  secret.remembered = false
  await publish(space, secret)
  assert.deepEqual(await valuesOf(space, 'early', 4), ['a', 'b', 'c', 'not kept'])
  await space.bind(binding('x', 'late'))
  assert.deepEqual(await valuesOf(space, 'late', 2), ['b', 'c'])

  space = spaceOf(await machine.crash())
  await space.bind(binding('x', 'later'))
  assert.deepEqual(await valuesOf(space, 'later', 2), ['b', 'c'])
  await publish(space, toExchange('x', 'd'))
  space = spaceOf(await machine.restart())
  await declare(space, exchange('d', 'direct'))
  await space.bind(binding('d', 'last', 'k'))
  await space.bind(binding('x', 'd', '', { destinationKind: 'exchange' }))
  assert.deepEqual(await valuesOf(space, 'last', 2), ['c', 'd'])

  await space.deleteExchange('x', false)
  await space.declareExchange(exchange('x', 'history', { historyRecords: 2 }))
  await space.createTopic('again', { retention: 'acknowledged' }, 'test')
  await space.bind(binding('x', 'again'))
  await publish(space, toExchange('x', 'e'))
  assert.deepEqual(await valuesOf(space, 'again', 1), ['e'])
  await machine.stop()
})

test('a history keeps no more than its bytes', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await declare(space, exchange('x', 'history', { historyRecords: 100, durable: false }), 'late')
  const value = 'x'.repeat(historyBytesMax / 4)
  for (let index = 0; index < 6; index++) await publish(space, toExchange('x', `${index}${value}`))
  await space.bind(binding('x', 'late'))
  const kept = await valuesOf(space, 'late', 3)
  assert.deepEqual(
    kept.map((each) => String(each).slice(0, 1)),
    ['3', '4', '5'],
  )
  await machine.stop()
})
