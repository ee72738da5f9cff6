/** When a message of ActiveMQ's clients is due, and how it comes again. What the fields of a pattern mean is ActiveMQ's CronParser. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ownTimeZone } from '../../lib/time-zone.ts'
import { scheduleOf } from './schedule.ts'

const now = Date.UTC(2026, 0, 1)

const scheduled = (headers: Record<string, string | number>) =>
  scheduleOf(new Map(Object.entries(headers).map(([name, value]) => [name.replace('_', 'AMQ_SCHEDULED_'), String(value)])), now)

test('a delay, a period, and repeats of it', () => {
  assert.equal(scheduled({}), null)
  assert.equal(scheduled({ _DELAY: 0 }), null)
  assert.equal(scheduled({ _DELAY: 5, scheduledJobId: 1 }), null)
  assert.deepEqual(scheduled({ _DELAY: 5 }), { deliverAt: now + 5, repetition: null })
  assert.deepEqual(scheduled({ _PERIOD: 7 }), { deliverAt: now + 7, repetition: null })
  assert.deepEqual(scheduled({ _DELAY: 5, _PERIOD: 7, _REPEAT: 2 }), {
    deliverAt: now + 5,
    repetition: { everyMs: 7, times: 2 },
  })
  assert.deepEqual(scheduled({ _PERIOD: 7, _REPEAT: -3 })?.repetition, { everyMs: 7, times: -1 })
  for (const wrong of [{ _REPEAT: 1 }, { _DELAY: -1 }, { _PERIOD: 1, _REPEAT: 1001 }, { _PERIOD: 1, _REPEAT: 'x' }])
    assert.throws(() => scheduled(wrong), /precondition_failed/)
})

test('a pattern of minutes, hours, days, months and days of the week', () => {
  const cronOf = (_CRON: string): string | undefined => scheduled({ _CRON })?.repetition?.pattern?.cron
  const cases: [string, string][] = [
    ['* * * * *', '0 * * * * *'],
    ['  0  9-17 1,15 * 1-5 ', '0 0 9-17 1,15 * 1-5'],
    ['*/20 ?/6 */10 5-9/4 */1', '0 0,20,40 0,6,12,18 10,20,30 8 *'],
    ['30 0 1-7/3,31 * ?', '0 30 0 3,6,31 * ?'],
  ]
  for (const [said, cron] of cases) assert.equal(cronOf(said), cron, said)
  for (const wrong of ['* * * *', '* * * * * *', 'a * * * *', '* * * jan *', '*-5 * * * *', '1/ * * * *'])
    assert.throws(() => cronOf(wrong), /precondition_failed/, wrong)
  const pattern = { cron: '0 0 * * * *', zone: ownTimeZone() }
  // A delay says when a series begins; without one the pattern alone does.
  assert.deepEqual(scheduled({ _CRON: '0 * * * *', _DELAY: 9 }), {
    deliverAt: 0,
    repetition: { everyMs: 1, times: 0, pattern: { ...pattern, afterMs: 0, times: 0 } },
  })
  assert.deepEqual(scheduled({ _CRON: '0 * * * *', _DELAY: 9, _PERIOD: 7, _REPEAT: 2 })?.repetition, {
    everyMs: 7,
    times: 2,
    pattern: { ...pattern, afterMs: 9, times: 2 },
  })
  assert.throws(() => scheduled({ _CRON: '0 * * * *', _PERIOD: 1, _REPEAT: -1 }), /precondition_failed/)
})
