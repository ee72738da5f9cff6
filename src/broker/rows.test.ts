/** A protocol's own tables survive what the rest of the broker survives. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine } from '../../test/support/machine.ts'

test('rows come back after a crash and after a clean stop, tables kept apart', async () => {
  const machine = new Machine()
  const first = await machine.start()
  const rows = first.rows('kafka.groups')
  rows.put('a', '1')
  rows.put('b', '2')
  rows.put('with\u0000nul', '3')
  first.rows('other').put('a', 'apart')
  rows.delete('b')
  await rows.durable()

  const second = await machine.crash()
  assert.deepEqual(
    [...second.rows('kafka.groups').entries()],
    [
      ['a', '1'],
      ['with\u0000nul', '3'],
    ],
  )
  assert.equal(second.rows('other').get('a'), 'apart')
  second.rows('kafka.groups').put('a', '4')
  assert.equal(second.rows('kafka.groups').delete('none'), false)

  const third = await machine.restart()
  assert.equal(third.rows('kafka.groups').get('a'), '4')
  assert.equal(third.rows('kafka.groups').size, 2)
  await machine.stop()
})
