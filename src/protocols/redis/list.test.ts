/** Lists against plain arrays, over crashes, beside other protocols that publish to the queue and take from it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Machine, publish, spaceOf } from '../../../test/support/machine.ts'
import { accept, type Broker, PublishItem, type Space, type Taken } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import { type End, List, type ListMemory, otherEnd, type Steps } from './list.ts'
import { elementFormat, placedFormat } from './list-envelope.ts'
import { ListQueue } from './list-queue.ts'

formats.register(elementFormat)
formats.register(placedFormat)

const durable = (broker: Broker): Promise<void> =>
  new Promise((resolve, reject) =>
    broker.atomically(
      () => undefined,
      (error) => (error === null ? resolve() : reject(error)),
    ),
  )
const takeOne = (space: Space): Promise<Taken | null> => new Promise((resolve) => space.take('q', false, resolve))

class Bench {
  readonly machine: Machine
  broker!: Broker
  space!: Space
  list!: List
  queue!: ListQueue
  constructor(seed: number) {
    this.machine = new Machine(seed, { cacheBytes: 4096 })
  }
  async begin(broker: Broker & Parameters<typeof spaceOf>[0]): Promise<void> {
    this.broker = broker
    this.space = spaceOf(broker)
    if (this.space.topic('q') === undefined) await this.space.createTopic('q', { retention: 'acknowledged' }, 'test')
    const rows = broker.rows('test')
    const stored = rows.get('q')
    const queue = new ListQueue(broker, this.space, 'q', (memory) => rows.put('q', JSON.stringify(memory)))
    this.queue = queue
    this.list = new List(queue, stored === undefined ? null : (JSON.parse(stored) as ListMemory)) // written above
  }
  async run<T>(steps: Steps<T>): Promise<T> {
    for (;;) {
      const step = steps.next()
      if (step.done === true) return step.value
      await new Promise<void>((resolve, reject) =>
        step.value.records.load(step.value.place, (error) => (error === null ? resolve() : reject(error))),
      )
    }
  }
  async contents(): Promise<string[]> {
    return (await this.run(this.list.range(0, -1))).map(String)
  }
}

const end = fc.constantFrom<End>('left', 'right')
const value = fc.constantFrom('a', 'b', 'c', 'd')
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('push' as const), end, values: fc.array(value, { minLength: 1, maxLength: 3 }) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('pop' as const), end, count: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('set' as const), at: fc.integer({ min: -5, max: 5 }), value }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('insert' as const),
      where: fc.constantFrom('before' as const, 'after' as const),
      pivot: value,
      value,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), count: fc.integer({ min: -2, max: 2 }), value }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('trim' as const),
      first: fc.integer({ min: -6, max: 6 }),
      last: fc.integer({ min: -6, max: 6 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('range' as const),
      first: fc.integer({ min: -6, max: 6 }),
      last: fc.integer({ min: -6, max: 6 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('index' as const), at: fc.integer({ min: -5, max: 5 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('publish' as const), value }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
)

const within = <T>(items: readonly T[], first: number, last: number): T[] => {
  const from = Math.max(0, first < 0 ? first + items.length : first)
  const to = last < 0 ? last + items.length : last
  return items.slice(from, to + 1 < 0 ? 0 : to + 1)
}

test('a list is what an array is, also after a crash', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 50 }), fc.nat(), async (steps, seed) => {
      const bench = new Bench(seed)
      await bench.begin(await bench.machine.start())
      let model: string[] = []
      for (const each of steps) {
        const { list } = bench
        // Nobody has said yet which end is which.
        const says = each.kind === 'push' ? each.end : each.kind === 'pop' ? otherEnd(each.end) : 'left'
        if (says === 'right' && bench.broker.rows('test').get('q') === undefined) model.reverse()
        switch (each.kind) {
          case 'push': {
            await bench.run(list.prepare())
            for (const text of each.values) each.end === 'left' ? model.unshift(text) : model.push(text)
            assert.equal(
              list.push(
                each.end,
                each.values.map((text) => Buffer.from(text)),
              ),
              model.length,
            )
            break
          }
          case 'pop': {
            const popped = (await bench.run(list.pop(each.end, each.count))).map(String)
            const expected = each.end === 'left' ? model.splice(0, each.count) : model.splice(-each.count).reverse()
            assert.deepEqual(popped, expected)
            break
          }
          case 'set': {
            const at = each.at < 0 ? each.at + model.length : each.at
            if (at < 0 || at >= model.length)
              await assert.rejects(bench.run(list.set(each.at, Buffer.from(each.value))), /index out of range/)
            else {
              await bench.run(list.set(each.at, Buffer.from(each.value)))
              model[at] = each.value
            }
            break
          }
          case 'insert': {
            const at = model.indexOf(each.pivot)
            if (at >= 0) model.splice(each.where === 'before' ? at : at + 1, 0, each.value)
            const length = await bench.run(list.insert(each.where, Buffer.from(each.pivot), Buffer.from(each.value)))
            assert.equal(length, at < 0 ? -1 : model.length)
            break
          }
          case 'remove': {
            let left = each.count === 0 ? Infinity : Math.abs(each.count)
            const keep = (text: string): boolean => text !== each.value || left-- <= 0
            const before = model.length
            model = each.count < 0 ? model.reverse().filter(keep).reverse() : model.filter(keep)
            assert.equal(await bench.run(list.remove(each.count, Buffer.from(each.value))), before - model.length)
            break
          }
          case 'trim':
            await bench.run(list.trim(each.first, each.last))
            model = within(model, each.first, each.last)
            break
          case 'range':
            assert.deepEqual(
              (await bench.run(list.range(each.first, each.last))).map(String),
              within(model, each.first, each.last),
            )
            break
          case 'index':
            assert.equal((await bench.run(list.index(each.at)))?.toString(), model.at(each.at))
            break
          case 'publish': {
            const inEnd = bench.list.inEnd
            await publish(bench.space, new PublishItem('', 'q', 1, Buffer.from(each.value)))
            inEnd === 'left' ? model.unshift(each.value) : model.push(each.value)
            break
          }
          default:
            await durable(bench.broker)
            await bench.begin(await bench.machine[each.kind]())
        }
        assert.deepEqual(await bench.contents(), model)
        assert.equal(bench.list.length, model.length)
      }
      await bench.machine.stop()
    }),
    { numRuns: 150 },
  )
})

test('what others have in flight is no element, and comes back to its place', async () => {
  const bench = new Bench(1)
  await bench.begin(await bench.machine.start())
  bench.list.push(
    'right',
    ['1', '2', '3', '4'].map((text) => Buffer.from(text)),
  )
  await durable(bench.broker)
  const first = await takeOne(bench.space)
  const second = await takeOne(bench.space)
  assert.deepEqual(await bench.contents(), ['3', '4'])
  bench.list.push('left', [Buffer.from('0')])
  assert.deepEqual(await bench.contents(), ['0', '3', '4'])
  second?.settle({ kind: 'release', countsAsAttempt: true })
  assert.deepEqual(await bench.contents(), ['0', '2', '3', '4'])
  first?.settle(accept)
  assert.deepEqual((await bench.run(bench.list.pop('right', 9))).map(String), ['4', '3', '2', '0'])
  assert.equal(bench.list.length, 0)
  await bench.machine.stop()
})

test('an element that was given a place keeps it, though nobody had said which end is which', async () => {
  const bench = new Bench(1)
  await bench.begin(await bench.machine.start())
  await publish(bench.space, new PublishItem('', 'q', 1, Buffer.from('a')))
  await bench.run(bench.list.insert('before', Buffer.from('a'), Buffer.from('c')))
  assert.deepEqual(await bench.contents(), ['c', 'a'])
  assert.equal(String(bench.list.popOne('left')), 'c')
  await bench.machine.stop()
})

test('of records of another protocol the first command that takes says which comes first', async () => {
  for (const side of ['left', 'right'] as const) {
    const bench = new Bench(1)
    await bench.begin(await bench.machine.start())
    for (const text of ['1', '2', '3']) await publish(bench.space, new PublishItem('', 'q', 1, Buffer.from(text)))
    assert.equal(String(bench.list.popOne(side)), '1')
    assert.equal(bench.list.inEnd, otherEnd(side))
    await durable(bench.broker)
    await bench.begin(await bench.machine.crash())
    assert.equal(bench.list.inEnd, otherEnd(side))
    assert.equal(String(bench.list.popOne(side)), '2')
    await bench.machine.stop()
  }
})
