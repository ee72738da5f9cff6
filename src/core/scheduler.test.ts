/** Delayed records: fired once and on time, found and cancelled at any moment, counted, over crashes and beside checkpoints. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { Machine, publish, spaceOf, textsRead } from '../../test/support/machine.ts'
import { plainFormat } from '../../test/support/plain-format.ts'
import { PublishItem, type Space } from '../broker/face.ts'

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

function delayed(text: string, deliverAt: number): PublishItem {
  const item = new PublishItem(null, 'q', plainFormat.id, Buffer.from(text))
  item.deliverAt = deliverAt
  return item
}

const texts = async (space: Space): Promise<string[]> => textsRead(await space.peek('q', { limit: 1000 }))

test('what is scheduled is counted after a restart and after a crash too', async () => {
  const machine = new Machine()
  const first = await machine.start()
  await spaceOf(first).createTopic('q', {}, 'test')
  const now = machine.clock.now()
  await publish(spaceOf(first), delayed('a', now + 1_000), delayed('b', now + 500_000), delayed('c', now + 600_000))
  assert.equal(first.stats().scheduled, 3)
  const second = await machine.crash()
  assert.equal(second.stats().scheduled, 3)
  const third = await machine.restart()
  assert.equal(third.stats().scheduled, 3)
  const [, b] = await spaceOf(third).scheduled(10)
  assert.equal(await spaceOf(third).cancelScheduled(b?.id ?? 0), true)
  const fourth = await machine.crash()
  assert.equal(fourth.stats().scheduled, 2)
  machine.clock.advance(2_000)
  await turns(20)
  assert.equal(fourth.stats().scheduled, 1)
  const fifth = await machine.restart()
  assert.equal(fifth.stats().scheduled, 1)
  assert.deepEqual(await texts(spaceOf(fifth)), ['a'])
  await machine.stop()
})

test('records fire once each, in time, or are cancelled, or wait: whatever a checkpoint, a look at the list or a crash does meanwhile', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('add' as const), ms: fc.integer({ min: 1, max: 120_000 }) }),
    fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 70_000 }) }),
    fc.record({ kind: fc.constantFrom('cancel' as const, 'move' as const), ms: fc.nat(60_000) }),
    fc.record({ kind: fc.constantFrom('crash' as const, 'turn' as const), ms: fc.constant(0) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25, size: 'max' }), fc.nat(1000), async (steps, seed) => {
      // A checkpoint with almost every frame.
      const machine = new Machine(seed, { checkpointBytes: 256 })
      let space = spaceOf(await machine.start())
      await space.createTopic('q', {}, 'test')
      const due = new Map<string, number>()
      const cancelled = new Set<string>()
      for (const [index, { kind, ms }] of steps.entries()) {
        const now = machine.clock.now()
        if (kind === 'add') {
          due.set(String(index), now + ms)
          await publish(space, delayed(String(index), now + ms))
        }
        if (kind === 'advance') machine.clock.advance(ms)
        if (kind === 'turn' || kind === 'advance') await turns(1)
        if (kind === 'crash') {
          await turns(12)
          space = spaceOf(await machine.crash())
        }
        if (kind === 'cancel' || kind === 'move') {
          const listed = await space.scheduled(100)
          const one = listed[index % Math.max(1, listed.length)]
          if (one === undefined) continue
          const text = String(one.payload)
          assert.ok(!cancelled.has(text), `${text} is listed though it was cancelled`)
          if (kind === 'cancel' && (await space.cancelScheduled(one.id))) cancelled.add(text)
          if (kind === 'move' && (await space.reschedule(one.id, now + 1 + ms))) due.set(text, now + 1 + ms)
        }
      }
      await turns(20)
      const now = machine.clock.now()
      const fired = await texts(space)
      const waiting = (await space.scheduled(1000)).map(({ payload }) => String(payload))
      const expected = [...due].filter(([text]) => !cancelled.has(text))
      assert.deepEqual([...fired].sort(), expected.flatMap(([text, at]) => (at <= now ? [text] : [])).sort())
      assert.deepEqual([...waiting].sort(), expected.flatMap(([text, at]) => (at > now ? [text] : [])).sort())
      await machine.stop()
    }),
    { numRuns: 40 },
  )
})

test('a record comes again and again, once each, over crashes; what was missed is not made up for; it ends when it is cancelled', async () => {
  const machine = new Machine(1, { checkpointBytes: 256 })
  let space = spaceOf(await machine.start())
  await space.createTopic('q', {}, 'test')
  const start = machine.clock.now()
  const again = (text: string, times: number): PublishItem =>
    Object.assign(delayed(text, start + 1000), { repetition: { everyMs: 1000, times } })
  await publish(space, again('ever', -1), again('thrice', 2))
  const expected: string[] = []
  for (let second = 1; second <= 6; second++) {
    machine.clock.advance(1000)
    await turns(20)
    expected.push('ever', ...(second <= 3 ? ['thrice'] : []))
    assert.deepEqual(await texts(space), expected, `second ${second}`)
    if (second % 2 === 0) space = spaceOf(await machine.crash())
  }
  const [left, ...others] = await space.scheduled(10)
  assert.deepEqual([left?.dueAt, left?.repetition, others], [start + 7000, { everyMs: 1000, times: -1 }, []])
  await machine.stop()
  machine.clock.advance(10_500)
  space = spaceOf(await machine.start())
  await turns(20)
  expected.push('ever')
  assert.deepEqual(await texts(space), expected, 'the one that was due is published, once')
  const [next] = await space.scheduled(10)
  assert.equal(next?.dueAt, start + 17_500)
  const records = await space.peek('q', { limit: 100 })
  assert.equal(records.at(-1)?.timestamp, start + 16_500, 'each has its own time')
  assert.equal(records.at(-1)?.annotations?.scheduleId, next?.id)
  assert.equal(await space.cancelScheduled(next?.id ?? 0), true)
  space = spaceOf(await machine.crash())
  machine.clock.advance(5000)
  await turns(20)
  assert.deepEqual(await texts(space), expected)
  assert.equal((await machine.restart()).stats().scheduled, 0)
  await machine.stop()
})

test('a time pattern begins so many anew each time; what can never be due, or would never end, is refused', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('q', {}, 'test')
  const start = machine.clock.now()
  const hour = 3_600_000
  const first = (Math.floor(start / hour) + 1) * hour
  const pattern = { cron: '0 0 * * * *', zone: 'UTC', afterMs: 2000, times: 1 }
  const item = (repetition: PublishItem['repetition']): PublishItem => Object.assign(delayed('x', 0), { repetition })
  await publish(space, item({ everyMs: 5000, times: 1, pattern }))
  for (const at of [first + 2000, first + 7000, first + hour + 2000]) {
    assert.equal((await space.scheduled(10))[0]?.dueAt, at)
    const count = (await texts(space)).length
    machine.clock.advance(at - 1 - machine.clock.now())
    await turns(20)
    assert.equal((await texts(space)).length, count)
    machine.clock.advance(1)
    await turns(20)
    assert.equal((await texts(space)).length, count + 1)
  }
  await assert.rejects(
    publish(space, item({ everyMs: 1000, times: 0, pattern: { ...pattern, cron: '0 0 0 30 2 *' } })),
    /Invalid/,
  )
  await assert.rejects(publish(space, item({ everyMs: 1000, times: -1, pattern })), /Invalid/)
  await assert.rejects(publish(space, item({ everyMs: 0, times: 1 })), /Invalid/)
  await machine.stop()
})

test('however many are due at a time, all are published then, in the order in which they are due', async () => {
  const machine = new Machine()
  const first = spaceOf(await machine.start())
  await first.createTopic('q', {}, 'test')
  const now = machine.clock.now()
  const count = 50_000
  for (let at = 0; at < count; at += 1000) {
    const items = Array.from({ length: 1000 }, (_, index) => {
      // Each multiple comes before the others, wherever it was scheduled.
      const number = (at + index) * 7919
      return delayed(String(number % count).padStart(5, '0'), now + 200_000 + (number % count) / 100)
    })
    await publish(first, ...items)
  }
  const space = spaceOf(await machine.restart())
  machine.clock.advance(199_000)
  await turns(50)
  assert.equal((await space.peek('q', { limit: 1 })).length, 0)
  machine.clock.advance(1_000 + count / 100)
  const seen: string[] = []
  for (let waited = 0; waited < 1000 && seen.length < count; waited++) {
    seen.push(...textsRead(await space.peek('q', { offset: seen.length, limit: count })))
    await turns(5)
  }
  assert.equal(seen.length, count)
  // Those of one millisecond stand in the order in which they were scheduled.
  const due = seen.map((text) => Math.floor(Number(text) / 100))
  assert.deepEqual(
    due,
    [...due].sort((a, b) => a - b),
  )
  await machine.stop()
})

test('records of others do not take places in a list', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  await broker.createNamespace(broker.anonymous, 'other')
  const [mine, other] = [spaceOf(broker), broker.space(broker.anonymous, 'other')]
  await mine.createTopic('q', {}, 'test')
  await other.createTopic('q', {}, 'test')
  const now = machine.clock.now()
  for (let number = 0; number < 20; number++) await publish(other, delayed(`other ${number}`, now + 1000 + number))
  await publish(mine, delayed('a', now + 5000), delayed('b', now + 6000))
  const listed = await mine.scheduled(2)
  assert.deepEqual(
    listed.map(({ payload }) => String(payload)),
    ['a', 'b'],
  )
  assert.equal((await other.scheduled(7)).length, 7)
  await machine.stop()
})

test('what is taken off the schedule while a list is made leaves no gap behind it', async () => {
  for (let delay = 0; delay < 12; delay++) {
    const machine = new Machine()
    const first = spaceOf(await machine.start())
    await first.createTopic('q', {}, 'test')
    const now = machine.clock.now()
    await publish(first, ...Array.from({ length: 40 }, (_, index) => delayed(String(index), now + 500_000 + index)))
    const space = spaceOf(await machine.restart())
    const all = await space.scheduled(100)
    const cancelled = all.slice(0, 8).map(({ id }) => space.cancelScheduled(id))
    for (let microtask = 0; microtask < delay; microtask++) await null
    const listed = await space.scheduled(5)
    await Promise.all(cancelled)
    assert.equal(listed.length, 5, `after ${delay} microtasks`)
    await machine.stop()
  }
})
