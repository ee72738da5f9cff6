/** Timers run once each, in order of their time and then of their making, at their own time; cancelled ones do not run. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseDuration, SystemClock, type Timer, VirtualClock } from './timers.ts'

test('a clock that is moved runs what became due, against a sorted list', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('after' as const), ms: fc.nat(50) }),
    fc.record({ kind: fc.constant('cancel' as const), ms: fc.nat(50) }),
    fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(30) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const clock = new VirtualClock(1000)
      const timers: { timer: Timer; at: number; number: number }[] = []
      const ran: { number: number; at: number }[] = []
      let waiting: { at: number; number: number }[] = []
      for (const { kind, ms } of steps) {
        if (kind === 'after') {
          const number = timers.length
          const at = clock.now() + ms
          timers.push({ timer: clock.after(ms, () => ran.push({ number, at: clock.now() })), at, number })
          waiting.push({ at, number })
        }
        const one = timers[ms % Math.max(1, timers.length)]
        if (kind === 'cancel' && one !== undefined) {
          one.timer.cancel()
          waiting = waiting.filter(({ number }) => number !== one.number)
        }
        if (kind !== 'advance') continue
        const before = ran.length
        clock.advance(ms)
        const due = waiting.filter(({ at }) => at <= clock.now()).sort((a, b) => a.at - b.at || a.number - b.number)
        waiting = waiting.filter(({ at }) => at > clock.now())
        assert.deepEqual(
          ran.slice(before),
          due.map(({ number, at }) => ({ number, at })),
        )
        assert.equal(clock.nextDueAt(), Math.min(Infinity, ...waiting.map(({ at }) => at)))
      }
    }),
  )
})

test('cancelled timers are not kept until their time has come', () => {
  const clock = new VirtualClock(0)
  const ran: number[] = []
  for (const at of [5, 60_000]) clock.after(at, () => ran.push(at))
  for (let count = 0; count < 100_000; count++) {
    clock.after(60_000, () => assert.fail('it was cancelled')).cancel()
    assert.ok(clock.size < 3000)
  }
  const timer = clock.after(1, () => ran.push(1))
  clock.advance(100_000)
  timer.cancel()
  assert.deepEqual(ran, [1, 5, 60_000])
  assert.equal(clock.size, 0)
})

test('what a timer sets while the clock is moved runs in the same move, if it is due', () => {
  const clock = new VirtualClock(0)
  const ran: number[] = []
  const again = (): void => {
    ran.push(clock.now())
    clock.after(10, again)
  }
  clock.after(10, again)
  clock.advance(35)
  assert.deepEqual(ran, [10, 20, 30])
})

test("the machine's clock runs the earlier timer first, whichever was set first, and none that was cancelled", {
  timeout: 10_000,
}, async () => {
  const clock = new SystemClock()
  const ran: string[] = []
  await new Promise<void>((resolve) => {
    clock.after(60, () => {
      ran.push('late')
      resolve()
    })
    clock.after(30, () => ran.push('cancelled')).cancel()
    clock.after(5, () => ran.push('early'))
    // Its own timers keep no process alive.
    setTimeout(() => undefined, 200)
  })
  assert.deepEqual(ran, ['early', 'late'])
})

test("the machine's clock waits longer than its timers can: a wait of a hundred days ends after these, not sooner", (context) => {
  context.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  const dayMs = 86_400_000
  const clock = new SystemClock()
  const ran: string[] = []
  clock.after(100 * dayMs, () => ran.push('hundred'))
  clock.after(30 * dayMs, () => ran.push('thirty'))
  clock.after(Infinity, () => ran.push('never'))
  for (let day = 1; day <= 99; day++) {
    context.mock.timers.tick(dayMs)
    assert.deepEqual(ran, day < 30 ? [] : ['thirty'], `on day ${day}`)
  }
  context.mock.timers.tick(dayMs)
  assert.deepEqual(ran, ['thirty', 'hundred'])
})

test('durations', () => {
  assert.equal(parseDuration('1h30m'), 5_400_000)
  assert.equal(parseDuration(' 250ms '), 250)
  assert.equal(parseDuration('1.5s'), 1500)
  assert.equal(parseDuration('2d'), 172_800_000)
  for (const bad of ['', '5', 's', '1x', '1h30', '-1s', '1 s']) assert.throws(() => parseDuration(bad), /duration/, bad)
})
