/** Pausing a topic or a subscription, and moving a subscription to a time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, publish, spaceOf } from '../../test/support/machine.ts'
import { PublishItem, type Sink, type Space } from './face.ts'

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

/** All that a subscription gives now, and keeps giving to the same array. */
function reader(space: Space, subscription: string, startAt: 'oldest' | 'newest' | 'withheld' = 'newest'): string[] {
  const got: string[] = []
  const sink: Sink = {
    onDeliveries: (_, batch) => {
      for (let at = 0; at < batch.length; at++) got.push(String(batch.buffer[at]?.subarray(batch.start[at], batch.end[at])))
    },
    onConsumerClosed: () => undefined,
  }
  space.subscribe({ topic: 'jobs', subscription, startAt, autoSettle: true, name: subscription }, sink).credit(100)
  return got
}

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

test('what is withheld is seen by the default subscription alone, until it is let go, also after a crash', async () => {
  const machine = new Machine()
  let space = spaceOf(await machine.start())
  await space.createTopic('jobs', { retention: 'acknowledged' }, 'test')
  await space.createSubscription('jobs', 'slow', { startAt: 'newest' })
  await publish(space, item('a'), item('b'))
  await space.withhold('jobs', 'newest')
  await publish(space, item('c'), item('d'))
  assert.deepEqual(space.topic('jobs')?.withheldFrom, [2])
  const readyOf = (name: string): number | undefined =>
    space.status('jobs')?.subscriptions.find((each) => each.name === name)?.ready
  assert.deepEqual([readyOf('slow'), readyOf('')], [2, 4])

  space = spaceOf(await machine.crash())
  const slow = reader(space, 'slow')
  const withThem = reader(space, 'late', 'withheld')
  const afterThem = reader(space, 'later', 'newest')
  assert.equal(await take(space), 'a')
  await publish(space, item('e'))
  await turns()
  assert.deepEqual([slow, withThem, afterThem], [['a', 'b'], [], []])
  assert.equal(await space.purge('jobs', 'slow'), 0)
  await space.withhold('jobs', null)
  await turns()
  assert.deepEqual([slow, withThem, afterThem], [['a', 'b', 'c', 'd', 'e'], ['c', 'd', 'e'], ['e']])
  assert.equal(space.topic('jobs')?.withheldFrom, null)
  await machine.stop()
})

test('what is withheld and dropped is done for those who did not see it; purging one of them leaves it', async () => {
  const machine = new Machine()
  let space = spaceOf(await machine.start())
  await space.createTopic('jobs', { retention: 'acknowledged' }, 'test')
  await space.createSubscription('jobs', 'slow', { startAt: 'oldest' })
  await publish(space, item('a'))
  await space.withhold('jobs', 'newest')
  await publish(space, item('b'))
  assert.equal(await space.purge('jobs', 'slow'), 1)
  await publish(space, item('c'))
  await space.dropWithheld('jobs')
  await publish(space, item('d'))
  space = spaceOf(await machine.crash())
  const slow = reader(space, 'slow')
  await turns()
  assert.deepEqual(slow, [])
  await space.withhold('jobs', null)
  await turns()
  assert.deepEqual(slow, ['d'])
  assert.equal(await take(space), 'a')
  await machine.stop()
})
