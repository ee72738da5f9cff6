/** Lanes of priorities are made when a record needs one, and are found again after a crash. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, spaceOf } from '../../test/support/machine.ts'
import { plainItem, publish, RememberingSink, until } from '../../test/support/records.ts'
import { accept, type PublishItem } from './face.ts'

const ranked = (value: string, priority: number): PublishItem => Object.assign(plainItem('ranked', { value }), { priority })

test('a topic has a log for each priority in use, serves them in order, and drops the least urgent first', async () => {
  const machine = new Machine()
  let space = spaceOf(await machine.start())
  const config = { retention: 'acknowledged', priorityLevels: 32, priorityDefault: 4, recordsMax: 5 } as const
  await space.createTopic('ranked', config, 'test')
  assert.equal(space.topic('ranked')?.config.partitions, 1)
  await publish(space, ranked('none', -1), ranked('low', 0), ranked('high', 31), ranked('beyond', 99), ranked('none 2', -1))
  assert.equal(space.topic('ranked')?.config.partitions, 3)

  space = spaceOf(await machine.crash())
  assert.equal(space.topic('ranked')?.config.partitions, 3)
  await publish(space, ranked('middle', 9))
  const sink = new RememberingSink()
  const consumer = space.subscribe({ topic: 'ranked', subscription: '', autoSettle: false, name: 'c' }, sink)
  consumer.credit(100)
  await until(() => sink.got.length === 5)
  assert.deepEqual(sink.values, ['high', 'beyond', 'middle', 'none', 'none 2'])
  consumer.settle(
    sink.got.map(({ id }) => id),
    accept,
  )

  space = spaceOf(await machine.restart())
  assert.equal(space.topic('ranked')?.config.partitions, 4)
  await publish(space, ranked('last', 0), ranked('first', 9))
  const after = new RememberingSink()
  space.subscribe({ topic: 'ranked', subscription: '', autoSettle: true, name: 'd' }, after).credit(10)
  await until(() => after.got.length === 2)
  assert.deepEqual(after.values, ['first', 'last'])
  await assert.rejects(space.alterTopic('ranked', { partitions: 9 }), /for each priority in use/)
  await machine.stop()
})
