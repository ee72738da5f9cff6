import assert from 'node:assert/strict'
import { test } from 'node:test'
import { atEndOfTurn, endTurn } from './turn.ts'

test('what is told at the end of a turn has its consequences in the same turn, after all were told', async () => {
  const order: string[] = []
  const later = new Promise<void>((resolve) => {
    atEndOfTurn(() => {
      order.push('the turn before')
      resolve()
    })
  })
  endTurn(() => {
    atEndOfTurn(() => order.push('consequence'))
    order.push('told')
  })
  await Promise.resolve()
  assert.deepEqual(order, ['told', 'consequence'])
  await later
  assert.deepEqual(order, ['told', 'consequence', 'the turn before'])
})

test('a failure in between ends the turn too', async () => {
  assert.throws(() =>
    endTurn(() => {
      throw new Error('a bug')
    }),
  )
  let done = false
  atEndOfTurn(() => {
    done = true
  })
  await Promise.resolve()
  assert.equal(done, false)
})
