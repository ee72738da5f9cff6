import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { positionBefore, positionBetween, positionOfOffset } from './list-position.ts'

test('positions sort as the elements they were made for, however often one place is divided', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ kind: fc.constantFrom('in', 'out', 'between', 'same'), at: fc.nat(1000) })), (steps) => {
      const positions: string[] = []
      let same = 1
      for (const [offset, { kind, at }] of steps.entries()) {
        if (kind === 'in' || positions.length === 0) positions.push(positionOfOffset(offset))
        else if (kind === 'out') positions.unshift(positionBefore(positions[0] as string))
        else {
          const place = kind === 'same' ? Math.min(same, positions.length - 1) : at % positions.length
          if (place === 0) positions.unshift(positionBefore(positions[0] as string))
          else positions.splice(place, 0, positionBetween(positions[place - 1] as string, positions[place] as string))
          same = place
        }
      }
      assert.deepEqual(positions, [...positions].sort())
      assert.equal(new Set(positions).size, positions.length)
    }),
    { numRuns: 200 },
  )
})

test('a place divided ten thousand times takes little', () => {
  let after = positionOfOffset(8)
  const before = positionOfOffset(7)
  for (let count = 0; count < 10_000; count++) after = positionBetween(before, after)
  assert.ok(after > before)
  assert.ok(after.length < 10_000)
})
