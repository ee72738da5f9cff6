/** Filters on subscriptions: what does not match is settled, the definition is stored, and changing it is refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, spaceOf } from '../../test/support/machine.ts'
import { type PlainRecord, plainFormat, plainItem, publish, RememberingSink, turns, until } from '../../test/support/records.ts'
import { accept, type FilterSpec, type Space } from '../broker/face.ts'
import { compileFilter, type Filterable } from './filter.ts'

function filterable(record: PlainRecord, more: Partial<Filterable> = {}): Filterable {
  const buffer = Buffer.from(JSON.stringify(record))
  const place = { format: plainFormat.id, buffer, start: 0, end: buffer.length }
  return { ...place, timestamp: 1000, subject: null, annotations: null, ...more }
}

test('subjects, headers, selectors and their combinations', () => {
  const order = filterable({
    key: 'k',
    value: 'v',
    headers: { region: 'eu', empty: '' },
    subject: 'orders.eu.new',
    priority: 7,
    type: 'order',
  })
  const cases: [FilterSpec, boolean][] = [
    [{ kind: 'subject', patterns: ['orders.*.new'] }, true],
    [{ kind: 'subject', patterns: ['orders.*', 'orders.#'] }, true],
    [{ kind: 'subject', patterns: ['orders.us.#'] }, false],
    [{ kind: 'headers', match: 'all', headers: { region: 'eu', 'record.type': 'order', 'record.priority': 7 } }, true],
    [{ kind: 'headers', match: 'all', headers: { region: 'eu', 'record.priority': 8 } }, false],
    [{ kind: 'headers', match: 'any', headers: { region: 'us', empty: null } }, true],
    [{ kind: 'headers', match: 'any', headers: { region: 'us', none: null } }, false],
    [{ kind: 'selector', expression: `region = 'eu' AND record.priority > 5` }, true],
    [
      {
        kind: 'selector',
        expression: `Priority BETWEEN 1 AND 7 AND T = 'order'`,
        names: { Priority: 'record.priority', T: 'record.type' },
      },
      true,
    ],
    [{ kind: 'selector', expression: `record.subject LIKE '%.new' AND record.key = 'k' AND record.timestamp = 1000` }, true],
    [{ kind: 'selector', expression: `record.messageId IS NULL AND region <> 'eu'` }, false],
    [
      {
        kind: 'any',
        of: [
          { kind: 'subject', patterns: ['x'] },
          { kind: 'selector', expression: `region = 'eu'` },
        ],
      },
      true,
    ],
    [
      {
        kind: 'all',
        of: [
          { kind: 'subject', patterns: ['x'] },
          { kind: 'selector', expression: `region = 'eu'` },
        ],
      },
      false,
    ],
  ]
  for (const [spec, expected] of cases) assert.equal(compileFilter(spec, 'topic')(order), expected, JSON.stringify(spec))
})

test('the subject is where it was published to, else what the record says, else the topic', () => {
  const filter = compileFilter({ kind: 'subject', patterns: ['a.b'] }, 'a.b')
  assert.equal(filter(filterable({})), true)
  assert.equal(filter(filterable({ subject: 'c' })), false)
  assert.equal(filter(filterable({ subject: 'c' }, { subject: 'a.b' })), true)
})

test('a filter that is none is refused', () => {
  let deep: FilterSpec = { kind: 'subject', patterns: ['a'] }
  for (let depth = 0; depth < 10; depth++) deep = { kind: 'all', of: [deep] }
  for (const spec of [
    { kind: 'subject', patterns: [] },
    { kind: 'headers', match: 'all', headers: {} },
    { kind: 'headers', match: 'all', headers: { 'record.nothing': 1 } },
    { kind: 'selector', expression: 'record.nothing = 1' },
    { kind: 'selector', expression: 'a =' },
    { kind: 'selector', expression: 'A = 1', names: { A: 'record.nothing' } },
    { kind: 'regex', expression: '.*' } as unknown as FilterSpec, // as it might come in JSON
    deep,
  ] satisfies FilterSpec[]) {
    assert.throws(() => compileFilter(spec, 'topic'), { code: 'Invalid' }, JSON.stringify(spec))
  }
})

async function fill(space: Space, count: number): Promise<void> {
  const items = Array.from({ length: count }, (_, index) =>
    plainItem('t', { value: String(index), headers: { third: String(index % 3 === 0) } }),
  )
  await publish(space, ...items)
}

const thirds: FilterSpec = { kind: 'selector', expression: `third = 'true'` }

test('a subscription gets what matches, is done with the rest, and stays so over a restart', async () => {
  const machine = new Machine(1, { cacheBytes: 10_000 })
  let space = spaceOf(await machine.start())
  await space.createTopic('t', { retention: 'acknowledged' }, 'test')
  await space.createSubscription('t', 's', { filter: thirds })
  await fill(space, 3000)
  const consume = async (wanted: number): Promise<string[]> => {
    const sink = new RememberingSink()
    const consumer = space.subscribe({ topic: 't', subscription: 's', autoSettle: false, name: 'c' }, sink)
    consumer.credit(wanted)
    await until(() => sink.got.length === wanted)
    consumer.settle(
      sink.got.map(({ id }) => id),
      accept,
    )
    await turns()
    consumer.close()
    return sink.got.map(({ record }) => record.value ?? '')
  }
  const first = await consume(400)
  space = spaceOf(await machine.restart())
  assert.deepEqual(space.status('t')?.subscriptions.find(({ name }) => name === 's')?.options, { filter: thirds })
  const second = await consume(600)
  assert.deepEqual(
    [...first, ...second],
    Array.from({ length: 1000 }, (_, index) => String(index * 3)),
  )
  await turns()
  const status = space.status('t')?.subscriptions.find(({ name }) => name === 's')
  assert.equal(status?.ready, 0, 'nothing that does not match is left over')
  assert.equal(status?.inFlight, 0)
  await machine.stop()
})

test('what does not match at the front is done with, though nobody consumes', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('t', {}, 'test')
  await space.createSubscription('t', 's', { filter: { kind: 'subject', patterns: ['elsewhere'] } })
  await fill(space, 10_000)
  await until(() => space.status('t')?.subscriptions[0]?.ready === 0)
  await machine.stop()
})

test('a filter is given once', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('t', {}, 'test')
  const spec = { topic: 't', subscription: 's', autoSettle: true, name: 'c' }
  const sink = new RememberingSink()
  assert.throws(() => space.subscribe({ ...spec, filter: { kind: 'selector', expression: '(' } }, sink), { code: 'Invalid' })
  assert.equal(space.status('t')?.subscriptions.length, 0)
  space.subscribe({ ...spec, filter: thirds }, sink)
  space.subscribe({ ...spec, filter: { ...thirds } }, sink)
  space.subscribe(spec, sink)
  assert.throws(() => space.subscribe({ ...spec, filter: { kind: 'subject', patterns: ['x'] } }, sink), { code: 'Mismatch' })
  assert.throws(() => space.subscribe({ ...spec, keyExclusive: 'group' }, sink), { code: 'Mismatch' })
  await assert.rejects(space.createSubscription('t', 's', {}), { code: 'AlreadyExists' })
  await space.deleteSubscription('t', 's')
  space.subscribe({ ...spec, filter: { kind: 'subject', patterns: ['x'] } }, sink)
  await machine.stop()
})
