import assert from 'node:assert/strict'
import test from 'node:test'
import { Alarm } from './alarm.ts'
import { VirtualClock } from './timers.ts'

test('it rings once, at the earliest time it was set to, and can be set again', () => {
  const clock = new VirtualClock(1000)
  const rung: number[] = []
  const alarm = new Alarm(clock, () => rung.push(clock.now()))
  alarm.set(1500)
  alarm.set(1200)
  alarm.set(1900)
  clock.advance(1000)
  assert.deepEqual(rung, [1200])
  alarm.set(1900) // over already
  clock.advance(1)
  assert.equal(rung.length, 2)
  alarm.set(5000)
  alarm.cancel()
  alarm.set(Infinity)
  clock.advance(10_000)
  assert.equal(rung.length, 2)
})
