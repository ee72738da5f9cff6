/** Topics kept to the record: single removals, limits by address and in all, ages, times to live, and preconditions, against a plain list, over crashes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Machine, publish, spaceOf, textsRead } from '../../test/support/machine.ts'
import { PublishItem, PublishStatus, type Space, type TopicConfig } from './face.ts'

const to = (address: string, text: string): PublishItem => new PublishItem(null, address, 1, Buffer.from(text))
const all = async (space: Space): Promise<string[]> => textsRead(await space.peek('s', { limit: 1000 }))

async function readAll(space: Space, from: number): Promise<string[]> {
  const texts: string[] = []
  for (let offset = from; ; ) {
    const { entries, nextOffset } = await new Promise<Parameters<Parameters<Space['read']>[4]>[0]>((resolve) =>
      space.read('s', 0, offset, 100, resolve),
    )
    for (const { buffer, start, end } of entries) texts.push(buffer.toString('utf8', start, end))
    const last = entries.at(-1)
    if (last === undefined || last.baseOffset + last.count >= nextOffset) return texts
    offset = last.baseOffset + last.count
  }
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('publish' as const), address: fc.constantFrom('s.a', 's.b', 's.c.d') }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), pick: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
)
const limits = fc.record({
  recordsMax: fc.constantFrom(-1, 5),
  bytesMax: fc.constantFrom(-1, 300),
  subjectRecordsMax: fc.constantFrom(-1, 1, 3),
})

/** As an entry is laid out: a head of 48 bytes, the address with its length, the payload. */
const bytesOf = (records: readonly { address: string; text: string }[]): number =>
  records.reduce((sum, { address, text }) => sum + 48 + 2 + address.length + text.length, 0)

test('what is kept is what a plain list keeps, to the record', async () => {
  await fc.assert(
    fc.asyncProperty(limits, fc.array(step, { maxLength: 40 }), fc.nat(), async (config, steps, seed) => {
      const machine = new Machine(seed)
      let space = spaceOf(await machine.start())
      await space.createTopic('s', { captures: ['s.#'], indexed: true, ...config }, 'test')
      let model: { address: string; text: string; offset: number }[] = []
      let next = 0
      for (const each of steps) {
        if (each.kind === 'publish') {
          await publish(space, to(each.address, String(next)))
          model.push({ address: each.address, text: String(next), offset: next })
          next++
          const { subjectRecordsMax, recordsMax, bytesMax } = config
          if (subjectRecordsMax >= 0) {
            const same = model.filter(({ address }) => address === each.address)
            const excess = new Set(same.slice(0, Math.max(0, same.length - subjectRecordsMax)))
            model = model.filter((record) => !excess.has(record))
          }
          if (recordsMax >= 0) model = model.slice(-recordsMax)
          while (bytesMax >= 0 && bytesOf(model) > bytesMax) model.shift()
        } else if (each.kind === 'remove') {
          const removed = await space.removeRecords('s', 0, [each.pick])
          assert.equal(removed, model.some(({ offset }) => offset === each.pick) ? 1 : 0)
          model = model.filter(({ offset }) => offset !== each.pick)
        } else space = spaceOf(await machine[each.kind]())
        const texts = model.map(({ text }) => text)
        assert.deepEqual(await all(space), texts)
        assert.equal(space.status('s')?.partitions[0]?.bytes, bytesOf(model))
        const start = space.status('s')?.partitions[0]?.startOffset ?? 0
        assert.deepEqual(await readAll(space, start), texts)
        for (const address of ['s.a', 's.b', 's.c.d']) {
          const offsets = model.filter((record) => record.address === address).map(({ offset }) => offset)
          assert.deepEqual([...space.offsetsOf('s', address)], offsets)
        }
        const counted = space.addresses('s', 's.*').map(({ subject, count }) => `${subject} ${count}`)
        const expected = ['s.a', 's.b'].flatMap((address) => {
          const { length } = model.filter((record) => record.address === address)
          return length === 0 ? [] : [`${address} ${length}`]
        })
        assert.deepEqual(counted.sort(), expected)
        assert.equal(space.addressCount('s'), new Set(model.map(({ address }) => address)).size)
      }
      await machine.stop()
    }),
    { numRuns: 60 },
  )
})

test('records removed while they wait, or after they came back, are not delivered', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('s', { retention: 'acknowledged' }, 'test')
  await publish(space, ...['a', 'b', 'c', 'd'].map((text) => to('s', text)))
  const take = (): Promise<{ text: string; back: () => void } | null> =>
    new Promise((resolve) =>
      space.take('s', false, (taken) =>
        resolve(
          taken === null
            ? null
            : { text: String(taken.bytes), back: () => taken.settle({ kind: 'release', countsAsAttempt: false }) },
        ),
      ),
    )
  const first = await take()
  assert.equal(first?.text, 'a')
  assert.equal(await space.removeRecords('s', 0, [0, 1, 99]), 2)
  first?.back()
  assert.equal((await take())?.text, 'c')
  assert.equal((await take())?.text, 'd')
  assert.equal(await take(), null)
  await machine.stop()
})

test('ages and times to live hold to the record, also after a restart', async () => {
  const machine = new Machine()
  let space = spaceOf(await machine.start())
  await space.createTopic('s', { indexed: true, retentionMs: 10_000 }, 'test')
  const brief = to('s', 'brief')
  brief.ttlMs = 2000
  const later = to('s', 'later')
  later.ttlMs = 5000
  await publish(space, to('s', 'old'), later, brief)
  space = spaceOf(await machine.restart())
  await machine.clock.advance(3000)
  assert.deepEqual(await all(space), ['old', 'later'])
  await publish(space, to('s', 'new'))
  await machine.clock.advance(3000)
  assert.deepEqual(await all(space), ['old', 'new'])
  await machine.clock.advance(5500)
  // What is old is read from its segment first.
  for (let turn = 0; turn < 100 && (await all(space)).length > 1; turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(await all(space), ['new'])
  await machine.stop()
})

/** What is old is read from its segment first, and what is stored then has to be durable. */
async function becomes(space: Space, expected: readonly string[]): Promise<void> {
  for (let turn = 0; turn < 200 && (await all(space)).join() !== expected.join(); turn++)
    await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(await all(space), expected)
}

test('of an address whose last record expired a marker stays for its time, and nothing of that', async () => {
  const machine = new Machine()
  let space = spaceOf(await machine.start())
  const expiryMarker = { format: to('s', '').format, payload: Buffer.from('gone').toString('base64'), ttlMs: 4000 }
  await space.createTopic('s', { captures: ['s.*'], indexed: true, retentionMs: 10_000, expiryMarker }, 'test')
  const brief = to('s.a', 'brief')
  brief.ttlMs = 2000
  const last = to('s.b', 'last')
  last.ttlMs = 2000
  last.leavesNothing = true
  await publish(space, brief, last, to('s.c', 'old'), to('s.d', 'old'))
  await machine.clock.advance(1000)
  await publish(space, to('s.d', 'new'))
  space = spaceOf(await machine.restart())
  await machine.clock.advance(1500)
  await becomes(space, ['old', 'old', 'new', 'gone'])
  assert.deepEqual(space.offsetsOf('s', 's.a').length, 1)
  assert.deepEqual(space.offsetsOf('s', 's.b').length, 0)
  space = spaceOf(await machine.restart())
  await machine.clock.advance(4500)
  await becomes(space, ['old', 'old', 'new'])
  await machine.clock.advance(3500)
  // Of the one address something newer is there yet.
  await becomes(space, ['new', 'gone'])
  assert.deepEqual(space.offsetsOf('s', 's.c').length, 1)
  await machine.stop()
})

test('preconditions and refusing limits name what is there', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  const config: Partial<TopicConfig> = { captures: ['s.*'], indexed: true, subjectRecordsMax: 1, subjectOverflow: 'refuse' }
  await space.createTopic('s', config, 'test')
  const outcome = async (item: PublishItem): Promise<string> => {
    await new Promise<void>((resolve) => space.publish([item], resolve))
    return item.status === PublishStatus.Stored ? `stored at ${item.baseOffset}` : `${item.errorCode}`
  }
  const expecting = (address: string, fields: Partial<PublishItem>): PublishItem => Object.assign(to(address, 'x'), fields)
  assert.equal(await outcome(expecting('s.a', { expectedLast: { offset: -1 } })), 'stored at 0')
  assert.equal(await outcome(expecting('s.a', { expectedLast: { offset: -1 } })), 'Mismatch')
  assert.equal(await outcome(expecting('s.a', { expectedLast: { offset: 0 } })), 'Full')
  assert.equal(await outcome(expecting('s.b', { expectedNext: 5 })), 'Mismatch')
  assert.equal(await outcome(expecting('s.b', { expectedNext: 1 })), 'stored at 1')
  assert.equal(await outcome(expecting('s.c', { expectedLast: { address: 's.b', offset: 1 } })), 'stored at 2')
  await space.alterTopic('s', { recordsMax: 3, overflow: 'refuse' })
  assert.equal(await outcome(to('s.d', 'x')), 'Full')
  await space.removeRecords('s', 0, [1])
  assert.equal(await outcome(to('s.d', 'x')), 'stored at 3')
  await assert.rejects(space.createTopic('t', { indexed: true, partitions: 2 }, 'test'), /one partition/)
  await machine.stop()
})

test('what is captured is stored under another address, by which it is limited and expected', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  const renames = { pattern: 's.*.*', words: ['kept', 2], restFrom: -1 }
  await space.createTopic('s', { captures: ['s.#'], renames, indexed: true, subjectRecordsMax: 1 }, 'test')
  await publish(space, to('s.a.x', '1'), to('s.b.x', '2'), to('s.a.y', '3'), to('s.other', '4'))
  const found = space.addresses('s', '#').map(({ subject, count }) => `${subject} ${count}`)
  assert.deepEqual(found.sort(), ['kept.x 1', 'kept.y 1', 's.other 1'])
  const stale = to('s.c.x', '5')
  stale.expectedLast = { offset: 0 }
  await new Promise<void>((resolve) => space.publish([stale], resolve))
  assert.equal(stale.errorCode, 'Mismatch')
  await machine.stop()
})

test('a record goes into one topic alone under another address', async () => {
  const machine = new Machine()
  let space = spaceOf(await machine.start())
  await space.createTopic('s', { indexed: true, subjectRecordsMax: 1 }, 'test')
  await space.createTopic('other', { captures: ['a.#'] }, 'test')
  const heard: string[] = []
  space.listen({ pattern: '#' }, { onRecords: (_, batch) => heard.push(...batch.subject) })
  const into = (address: string, text: string): PublishItem => Object.assign(to(address, text), { into: 's' })
  await publish(space, into('a.b', '1'), into('a.c', '2'), into('a.b', '3'), into('free', '4'))
  space = spaceOf(await machine.restart())
  assert.deepEqual(
    (await space.peek('s', { limit: 9 })).map(({ subject, bytes }) => `${subject} ${bytes}`),
    ['a.c 2', 'a.b 3', 'free 4'],
  )
  assert.deepEqual(await space.peek('other', { limit: 9 }), [])
  assert.deepEqual(heard, [])
  const missing = Object.assign(to('a.b', 'x'), { into: 'nothing' })
  await new Promise<void>((resolve) => space.publish([missing], resolve))
  assert.equal(missing.errorCode, 'NotFound')
  await machine.stop()
})

test('a full topic takes a record that replaces another one of its address', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  const config = { captures: ['s.*'], indexed: true, subjectRecordsMax: 1, recordsMax: 2, overflow: 'refuse' } as const
  await space.createTopic('s', config, 'test')
  const outcome = async (item: PublishItem): Promise<string> => {
    await new Promise<void>((done) => space.publish([item], done))
    return item.errorCode ?? 'stored'
  }
  assert.equal(await outcome(to('s.a', '1')), 'stored')
  assert.equal(await outcome(to('s.b', '2')), 'stored')
  assert.equal(await outcome(to('s.c', '3')), 'Full')
  assert.equal(await outcome(to('s.a', '4')), 'stored')
  assert.deepEqual(await all(space), ['2', '4'])
  assert.equal(await outcome(to('s.c', '5')), 'Full')
  await machine.stop()
})

test('a full topic still tells what is not as expected, and what it has already; a limit for each address lets what takes the place of others in', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  const limits = { recordsMax: 3, overflow: 'refuse', subjectRecordsMax: 2, subjectOverflow: 'refuse' } as const
  await space.createTopic('s', { captures: ['s.*'], indexed: true, dedupWindowMs: 60_000, ...limits }, 'test')
  const outcome = async (address: string, fields: Partial<PublishItem> = {}): Promise<string> => {
    const item = Object.assign(to(address, 'x'), { decidedBy: 's', ...fields })
    await new Promise<void>((done) => space.publish([item], done))
    if (item.status === PublishStatus.Duplicate) return `duplicate of ${item.baseOffset}`
    return item.errorCode ?? `stored at ${item.baseOffset}`
  }
  assert.equal(await outcome('s.a', { dedupId: 'first' }), 'stored at 0')
  assert.equal(await outcome('s.a'), 'stored at 1')
  assert.equal(await outcome('s.a'), 'Full')
  assert.equal(await outcome('s.a', { replaces: 'address' }), 'stored at 2')
  assert.equal(await outcome('s.b'), 'stored at 3')
  assert.equal(await outcome('s.c'), 'stored at 4')
  assert.equal(await outcome('s.c'), 'Full')
  assert.equal(await outcome('s.c', { dedupId: 'first' }), 'duplicate of 0')
  assert.equal(await outcome('s.c', { expectedNext: 1 }), 'Mismatch')
  assert.equal(await outcome('s.c', { expectedLast: { offset: 1 } }), 'Mismatch')
  assert.equal(await outcome('s.c', { dedupId: 'first', expectedNext: 1 }), 'Mismatch')
  assert.equal(await outcome('s.c', { expectedNext: 5 }), 'Full')
  await machine.stop()
})

test('a damaged segment is told of, does not keep the broker from starting, and what is beside it is read', async () => {
  const errors: object[] = []
  const log = { debug() {}, info() {}, warn() {}, error: (fields: object) => errors.push(fields) }
  const machine = new Machine(1, { cacheBytes: 4096, log })
  let space = spaceOf(await machine.start())
  await space.createTopic('s', { captures: ['s.#'], indexed: true, segmentBytes: 1024 }, 'test')
  for (let count = 0; count < 300; count++) await publish(space, to(`s.${count % 3}`, `${count} ${'x'.repeat(100)}`))
  await machine.stop()
  const files = machine.disk.names().filter((name) => name.startsWith('/segments/'))
  assert.ok(files.length > 2)
  machine.disk.overwrite(files[1] as string, 60, Buffer.from('?'))
  space = spaceOf(await machine.start())
  assert.match(JSON.stringify(errors), /damaged at byte 0/)
  const [first] = await space.peek('s', { limit: 1 })
  assert.equal(first?.offset, 0)
  assert.equal(space.addressCount('s'), 3)
  assert.equal(space.offsetsOf('s', 's.2').at(-1), 299)
  await publish(space, to('s.0', 'new'))
  assert.equal(space.offsetsOf('s', 's.0').at(-1), 300)
  await assert.rejects(space.peek('s', { limit: 1000 }), /damaged/)
  await machine.stop()
})

test('a damaged segment behind one that ends with a hole is passed over, too', async () => {
  const errors: object[] = []
  const log = { debug() {}, info() {}, warn() {}, error: (fields: object) => errors.push(fields) }
  const machine = new Machine(1, { log })
  const space = spaceOf(await machine.start())
  await space.createTopic('s', { captures: ['s.#'], indexed: true, segmentBytes: 1024 }, 'test')
  for (let count = 0; count < 300; count++) await publish(space, to('s.a', `${count} ${'x'.repeat(100)}`))
  const holes = Array.from({ length: 299 }, (_, offset) => offset).filter((offset) => offset % 10 !== 0)
  await space.removeRecords('s', 0, holes)
  await machine.stop()
  const [, ...files] = machine.disk.names().filter((name) => name.startsWith('/segments/'))
  assert.ok(files.length > 1)
  for (const file of files) machine.disk.overwrite(file, 60, Buffer.from('?'))
  const again = spaceOf(await machine.start())
  assert.equal(errors.length, files.length)
  assert.equal(again.offsetsOf('s', 's.a')[0], 0)
  await machine.stop()
})
