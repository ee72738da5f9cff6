/** Pausing a topic or a subscription, and moving a subscription to a time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, publish, spaceOf } from '../../test/support/machine.ts'
import { PublishItem, type Space } from './face.ts'

const item = (text: string): PublishItem => new PublishItem(null, 'jobs', 1, Buffer.from(text))

function take(space: Space): Promise<string | null> {
  return new Promise((resolve) => space.take('jobs', true, (taken) => resolve(taken === null ? null : String(taken.bytes))))
}

test('a paused topic and a paused subscription deliver nothing, also after a restart, and go on when resumed', async () => {
  const machine = new Machine()
  let space = spaceOf(await machine.start())
  await space.createTopic('jobs', { retention: 'acknowledged' }, 'test')
  await publish(space, item('a'), item('b'), item('c'))
  await space.pauseSubscription('jobs', '', true)
  assert.equal(await take(space), null)
  space = spaceOf(await machine.crash())
  assert.equal(space.status('jobs')?.subscriptions[0]?.paused, true)
  assert.equal(await take(space), null)
  await space.pauseSubscription('jobs', '', false)
  assert.equal(await take(space), 'a')

  await space.alterTopic('jobs', { paused: true })
  assert.equal(await take(space), null)
  const delivered: string[] = []
  const sink = {
    onDeliveries: (
      _: unknown,
      {
        buffer,
        start,
        end,
        length,
      }: { buffer: readonly Buffer[]; start: readonly number[]; end: readonly number[]; length: number },
    ) => {
      for (let at = 0; at < length; at++) delivered.push(String(buffer[at]?.subarray(start[at], end[at])))
    },
    onConsumerClosed: () => undefined,
  }
  space.subscribe({ topic: 'jobs', subscription: '', autoSettle: true, name: 'one' }, sink).credit(10)
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(delivered, [])
  space = spaceOf(await machine.restart())
  assert.equal(await take(space), null)
  space.subscribe({ topic: 'jobs', subscription: '', autoSettle: true, name: 'two' }, sink).credit(10)
  await space.alterTopic('jobs', { paused: false })
  // They are read from segments first.
  for (let turn = 0; turn < 100 && delivered.length < 2; turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(delivered, ['b', 'c'])
  await machine.stop()
})

test('a subscription moved to a time begins with the first record of that time, in memory and in segments', async () => {
  const machine = new Machine()
  let space = spaceOf(await machine.start())
  await space.createTopic('jobs', { retention: 'time' }, 'test')
  const start = machine.clock.now()
  for (let at = 0; at < 20; at++) {
    const record = item(String(at))
    record.timestamp = start + at * 10
    await publish(space, record)
  }
  for (const way of ['in memory', 'in segments']) {
    await space.seek('jobs', '', { time: start + 75 })
    assert.equal(await take(space), '8', way)
    await space.seek('jobs', '', { time: start + 70 })
    assert.equal(await take(space), '7', way)
    await space.seek('jobs', '', { time: start + 1000 })
    assert.equal(await take(space), null, way)
    space = spaceOf(await machine.restart())
  }
  await machine.stop()
})
