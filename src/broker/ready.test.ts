/** Ready records looked at and taken in any order, beside consumers who take them in turn, against a plain list and over crashes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Machine, publish, spaceOf } from '../../test/support/machine.ts'
import { accept, type Broker, type Held, PublishItem, type ReadyRecords, type Space, type Taken } from './face.ts'

const item = (text: string): PublishItem => new PublishItem('', 'q', 1, Buffer.from(text))

async function textAt(records: ReadyRecords, place: number): Promise<string | null> {
  let found = records.get(place)
  if (found === undefined) {
    await new Promise<void>((resolve, reject) => records.load(place, (error) => (error === null ? resolve() : reject(error))))
    found = records.get(place)
  }
  assert.notEqual(found, undefined)
  return found ? found.buffer.toString('utf8', found.start, found.end) : null
}

async function placesOf(records: ReadyRecords): Promise<{ place: number; text: string | null }[]> {
  const places = []
  for (let place = records.first(); place >= 0; place = records.after(place))
    places.push({ place, text: await textAt(records, place) })
  const backwards = []
  for (let place = records.last(); place >= 0; place = records.before(place)) backwards.unshift(place)
  assert.deepEqual(
    backwards,
    places.map(({ place }) => place),
  )
  return places
}

const durable = (broker: Broker): Promise<void> =>
  new Promise((resolve, reject) =>
    broker.atomically(
      () => undefined,
      (error) => (error === null ? resolve() : reject(error)),
    ),
  )
const takeOne = (space: Space): Promise<Taken | null> => new Promise((resolve) => space.take('q', false, resolve))

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('publish' as const), waits: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('pick' as const), at: fc.nat(20) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('hold' as const), at: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('take' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('release' as const), at: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('accept' as const), at: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
)

test('ready records are those of a plain list without what others have in flight', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.nat(), async (steps, seed) => {
      const machine = new Machine(seed)
      let broker = await machine.start()
      let space = spaceOf(broker)
      await space.createTopic('q', { retention: 'acknowledged' }, 'test')
      let ready: string[] = []
      let flying: { text: string; taken: Held }[] = []
      let next = 0
      const back = (text: string): void => {
        ready = [...ready, text].sort((a, b) => Number(a) - Number(b))
      }
      for (const each of steps) {
        if (each.kind === 'publish') {
          const text = String(next++)
          const stored = publish(space, item(text))
          ready.push(text)
          // Ahead of what is durable: it is there at once.
          assert.equal(space.ready('q').count, ready.length)
          if (each.waits) await stored
        } else if (each.kind === 'pick') {
          const records = space.ready('q')
          const places = await placesOf(records)
          const picked = places[each.at]
          if (picked !== undefined) {
            assert.equal(await textAt(records, picked.place), picked.text)
            records.take(picked.place)
            assert.equal(records.has(picked.place), false)
            ready.splice(each.at, 1)
          }
        } else if (each.kind === 'hold') {
          const records = space.ready('q')
          const picked = (await placesOf(records))[each.at]
          if (picked !== undefined && (await textAt(records, picked.place)) !== null) {
            flying.push({ text: picked.text ?? '', taken: records.hold(picked.place) })
            assert.equal(records.has(picked.place), false)
            ready.splice(each.at, 1)
          }
        } else if (each.kind === 'take') {
          await durable(broker)
          const taken = await takeOne(space)
          assert.equal(taken?.bytes.toString(), ready[0])
          if (taken !== null) flying.push({ text: ready.shift() as string, taken }) // it was just seen
        } else if (each.kind === 'release' || each.kind === 'accept') {
          const [flight] = flying.splice(each.at, 1)
          flight?.taken.settle(each.kind === 'accept' ? accept : { kind: 'release', countsAsAttempt: true })
          if (flight !== undefined && each.kind === 'release') back(flight.text)
        } else if (each.kind === 'clear') {
          assert.equal(space.ready('q').takeAll(), ready.length)
          ready = []
        } else {
          await durable(broker)
          broker = await machine[each.kind]()
          space = spaceOf(broker)
          for (const { text } of flying) back(text)
          flying = []
        }
        const found = await placesOf(space.ready('q'))
        assert.deepEqual(
          found.map(({ text }) => text),
          ready,
        )
        assert.equal(space.ready('q').count, ready.length)
      }
      await machine.stop()
    }),
    { numRuns: 60 },
  )
})

test('one that is held before it is durable, and given back, is there again', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('q', { retention: 'acknowledged' }, 'test')
  const stored = publish(space, item('a'))
  const records = space.ready('q')
  const place = records.first()
  assert.equal(await textAt(records, place), 'a')
  records.hold(place).settle({ kind: 'release', countsAsAttempt: false })
  await stored
  assert.equal((await takeOne(space))?.bytes.toString(), 'a')
  await machine.stop()
})

test('held at the front, records are passed once, and come back to their places', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('q', { retention: 'acknowledged' }, 'test')
  await publish(space, ...['a', 'b', 'c'].map(item))
  const records = space.ready('q')
  const held: Held[] = []
  for (let place = records.first(); held.length < 2; place = records.first()) {
    await textAt(records, place)
    held.push(records.hold(place))
  }
  assert.deepEqual(
    (await placesOf(records)).map(({ text }) => text),
    ['c'],
  )
  for (const one of held.reverse()) one.settle({ kind: 'release', countsAsAttempt: true })
  assert.deepEqual(
    (await placesOf(records)).map(({ text }) => text),
    ['a', 'b', 'c'],
  )
  await machine.stop()
})

test('what one watches need not exist yet, and every way of becoming ready is told', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  let woken: () => void = () => undefined
  const next = (): Promise<void> => new Promise((resolve) => (woken = resolve))
  const stop = space.watch('q', () => woken())
  await space.createTopic('q', { retention: 'acknowledged' }, 'test')
  let wake = next()
  await publish(space, item('a'))
  await wake
  const taken = await takeOne(space)
  assert.equal(space.ready('q').count, 0)
  wake = next()
  taken?.settle({ kind: 'release', countsAsAttempt: true })
  await wake
  assert.equal(space.ready('q').count, 1)
  stop()
  await machine.stop()
})
