/** Topics in memory have a limit together, and sessions hear when memory or disk gets short. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, spaceOf } from '../../test/support/machine.ts'
import { plainItem, publish, RememberingSink, turns, until } from '../../test/support/records.ts'
import { diskReserveBytes } from '../core/pressure.ts'
import { accept, type Pressure, PublishStatus } from './face.ts'

const mebibyte = 1024 * 1024

test('topics kept in memory refuse at their limit together, raise pressure before it, and take more when something was acknowledged', async () => {
  const machine = new Machine(1, { limits: { memoryBytesMax: 4 * mebibyte } })
  const broker = await machine.start()
  const space = spaceOf(broker)
  const heard: Pressure[] = []
  broker.onPressure((pressure) => heard.push(pressure))
  for (const name of ['a', 'b']) await space.createTopic(name, { storage: 'memory', retention: 'acknowledged' }, 'test')
  await space.createTopic('disk', { retention: 'acknowledged' }, 'test')

  const value = 'x'.repeat(100_000)
  let stored = 0
  let refused = null
  for (let index = 0; index < 100 && refused === null; index++) {
    const [item] = await publish(space, plainItem(index % 2 === 0 ? 'a' : 'b', { value }))
    if (item?.status === PublishStatus.Stored) stored++
    else refused = item
  }
  assert.equal(refused?.errorCode, 'Full')
  assert.match(refused?.errorMessage ?? '', /memoryBytesMax/)
  assert(stored >= 30 && stored <= 41, `${stored} records of 100 kB were stored in 4 MiB`)
  assert.deepEqual(heard, ['memory'])
  assert.equal(broker.pressure, 'memory')
  const [onDisk] = await publish(space, plainItem('disk', { value }))
  assert.equal(onDisk?.status, PublishStatus.Stored)

  const sink = new RememberingSink()
  for (const topic of ['a', 'b']) {
    const consumer = space.subscribe({ topic, subscription: '', autoSettle: false, name: topic }, sink)
    consumer.credit(1000)
    await until(() => space.status(topic)?.subscriptions[0]?.ready === 0)
    const own = sink.got.filter((each) => each.consumer === topic).map(({ id }) => id)
    consumer.settle(own, accept)
  }
  await turns()
  machine.clock.advance(100)
  await until(() => broker.pressure === 'none', 'what was acknowledged was not freed')
  await turns(2)
  assert.deepEqual(heard, ['memory', 'none'])
  const [again] = await publish(space, plainItem('a', { value }))
  assert.equal(again?.status, PublishStatus.Stored)
  await machine.stop()
})

test('what was acknowledged takes no memory, long before the cache is full', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  const space = spaceOf(broker)
  await space.createTopic('t', { retention: 'acknowledged' }, 'test')
  for (let index = 0; index < 50; index++) await publish(space, plainItem('t', { value: 'x'.repeat(100_000) }))
  assert(broker.stats().cachedBytes > 5_000_000)
  const sink = new RememberingSink()
  const consumer = space.subscribe({ topic: 't', subscription: '', autoSettle: false, name: 'c' }, sink)
  consumer.credit(1000)
  await until(() => sink.got.length === 50)
  consumer.settle(
    sink.got.map(({ id }) => id),
    accept,
  )
  await until(() => {
    machine.clock.advance(100)
    return broker.stats().cachedBytes < 600_000
  }, 'its blocks were kept')
  await machine.stop()
})

test('a deleted topic gives its memory back', async () => {
  const machine = new Machine(1, { limits: { memoryBytesMax: mebibyte } })
  const broker = await machine.start()
  const space = spaceOf(broker)
  await space.createTopic('a', { storage: 'memory' }, 'test')
  for (let index = 0; index < 11; index++) await publish(space, plainItem('a', { value: 'x'.repeat(100_000) }))
  assert.equal(broker.pressure, 'memory')
  await space.deleteTopic('a')
  assert.equal(broker.pressure, 'none')
  await machine.stop()
})

test('a disk whose reserve is touched is pressure, until there is space again', async () => {
  let free = Infinity
  const machine = new Machine(1, { freeBytes: async () => free })
  const broker = await machine.start()
  const space = spaceOf(broker)
  const heard: Pressure[] = []
  const stop = broker.onPressure((pressure) => heard.push(pressure))
  await space.createTopic('t', {}, 'test')
  free = diskReserveBytes - 1
  machine.clock.advance(1000)
  await until(() => broker.pressure === 'disk')
  const [refused] = await publish(space, plainItem('t', { value: 'x' }))
  assert.equal(refused?.errorCode, 'Full')
  free = diskReserveBytes
  machine.clock.advance(1000)
  await until(() => broker.pressure === 'none')
  await turns(2)
  stop()
  free = 0
  machine.clock.advance(1000)
  await until(() => broker.pressure === 'disk')
  await turns(2)
  assert.deepEqual(heard, ['disk', 'none'])
  const [still] = await publish(space, plainItem('t', { value: 'x' }))
  assert.equal(still?.errorCode, 'Full')
  await machine.stop()
})
