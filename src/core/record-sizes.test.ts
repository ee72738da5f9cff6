/** Against a plain map. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RecordSizes } from './record-sizes.ts'

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('add' as const),
      gap: fc.oneof(fc.nat(3), fc.nat(2 ** 40)),
      bytes: fc.integer({ min: 1, max: 0xffffffff }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('remove' as const), share: fc.double({ min: -0.1, max: 1.1, noNaN: true }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('raise' as const), share: fc.double({ min: -0.1, max: 1.1, noNaN: true }) }),
  },
)

test('sizes are those of a map, whatever comes and goes', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 40), fc.array(step, { maxLength: 600, size: 'max' }), (first, steps) => {
      const sizes = new RecordSizes()
      const model = new Map<number, number>()
      let start = first
      let next = first
      for (const each of steps) {
        if (each.kind === 'add') {
          next += each.gap
          sizes.add(next, each.bytes)
          model.set(next++, each.bytes)
        } else {
          const at = start + Math.round((next - start) * each.share)
          if (each.kind === 'remove') {
            sizes.remove(at)
            model.delete(at)
          } else {
            sizes.raiseTo(at)
            start = Math.max(start, Math.min(at, next))
            for (const offset of model.keys()) if (offset < at) model.delete(offset)
          }
        }
        assert.equal(
          sizes.bytes,
          [...model.values()].reduce((sum, bytes) => sum + bytes, 0),
        )
      }
      for (const offset of [start - 1, next, ...[...model.keys()].flatMap((each) => [each - 1, each, each + 1])])
        assert.equal(sizes.of(offset), model.get(offset) ?? 0)
    }),
    { numRuns: 50 },
  )
})
