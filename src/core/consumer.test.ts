/** A consumer's credit, in messages and bytes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../../test/simulation/disk.ts'
import { Machine, spaceOf } from '../../test/support/machine.ts'
import { type Delivered, plainItem, publish, RememberingSink, turns } from '../../test/support/records.ts'
import { accept, type Space } from '../broker/face.ts'

async function start(machine: Machine, sizes: readonly number[]): Promise<Space> {
  const space = spaceOf(await machine.start())
  await space.createTopic('t', { retention: 'acknowledged' }, 'test')
  await publish(space, ...sizes.map((size) => plainItem('t', { value: 'x'.repeat(size) })))
  return space
}

const subscribe = { topic: 't', subscription: '', autoSettle: false, name: 'c' }
const bytesOf = (got: readonly Delivered[]): number => got.reduce((sum, { bytes }) => sum + bytes, 0)

test('what is delivered stays within the credit for bytes, but for one record that comes alone', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new Random(seed)
    const machine = new Machine(seed)
    const sizes = Array.from({ length: 100 }, () => (random.chance(0.05) ? 5000 : random.below(300)))
    const space = await start(machine, sizes)
    const sink = new RememberingSink()
    const consumer = space.subscribe(subscribe, sink)
    const window = 1000
    consumer.setCredit(1000, window)
    let settled = 0
    for (let round = 0; settled < sizes.length; round++) {
      assert(round < 5000, 'it gets on')
      await turns(2)
      const unsettled = sink.got.slice(settled)
      assert(unsettled.length === 1 || bytesOf(unsettled) <= window, `${bytesOf(unsettled)} bytes in ${unsettled.length} records`)
      const count = 1 + random.below(Math.max(1, unsettled.length))
      const some = unsettled.slice(0, count)
      consumer.settle(
        some.map(({ id }) => id),
        accept,
      )
      consumer.credit(some.length, bytesOf(some))
      settled += some.length
    }
    await machine.stop()
  }
})

test('a limit on bytes begins with the first that is given, and ends with Infinity', async () => {
  const machine = new Machine()
  const space = await start(
    machine,
    Array.from({ length: 50 }, () => 80),
  )
  const sink = new RememberingSink()
  const consumer = space.subscribe(subscribe, sink)
  consumer.credit(10)
  await turns()
  assert.equal(sink.got.length, 10, 'no limit on bytes')
  const each = bytesOf(sink.got) / 10
  consumer.credit(40, each * 3 + 1)
  await turns()
  assert.equal(sink.got.length, 13)
  consumer.credit(0, each)
  await turns()
  assert.equal(sink.got.length, 14)
  consumer.credit(0, Number.POSITIVE_INFINITY)
  await turns()
  assert.equal(sink.got.length, 50)
  await machine.stop()
})

test('a record that is too large for one consumer goes to another that has room', async () => {
  const machine = new Machine()
  const space = await start(machine, [50, 500, 50])
  const [small, large] = [new RememberingSink(), new RememberingSink()]
  const first = space.subscribe({ ...subscribe, name: 'small' }, small)
  first.setCredit(10, 200)
  await turns()
  assert.deepEqual(
    small.got.map(({ offset }) => offset),
    [0],
    'the next is larger than what is left, and something is unsettled',
  )
  space.subscribe({ ...subscribe, name: 'large' }, large).setCredit(1)
  await turns()
  assert.deepEqual(
    large.got.map(({ offset }) => offset),
    [1],
  )
  assert.deepEqual(
    small.got.map(({ offset }) => offset),
    [0, 2],
  )
  await machine.stop()
})

test('a subscription that is not durable goes with its last consumer, and with all it held', async () => {
  const machine = new Machine()
  const space = await start(machine, [10, 10])
  const sink = new RememberingSink()
  const spec = { ...subscribe, subscription: 'temporary', durable: false }
  const [first, second] = [space.subscribe(spec, sink), space.subscribe(spec, sink)]
  first.credit(1)
  await turns()
  first.close()
  await turns()
  const names = (): (string | undefined)[] => space.status('t')?.subscriptions.map(({ name }) => name) ?? []
  assert.deepEqual(names(), ['', 'temporary'])
  second.close()
  await turns()
  assert.deepEqual(names(), [''])
  const again = spaceOf(await machine.restart())
  assert.deepEqual(
    again.status('t')?.subscriptions.map(({ name }) => name),
    [''],
  )
  await machine.stop()
})
