import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { Runs } from './runs.ts'

const numbers = fc.nat(30)
const step = fc.oneof(
  { weight: 6, arbitrary: numbers.map((number) => ({ kind: 'add' as const, number })) },
  { weight: 1, arbitrary: numbers.map((number) => ({ kind: 'dropBelow' as const, number })) },
  { weight: 1, arbitrary: fc.constant({ kind: 'store' as const, number: 0 }) },
)

test('is the set of the numbers it was told, as runs that neither touch nor are empty', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let runs = new Runs()
      let model = new Set<number>()
      for (const { kind, number } of steps) {
        if (kind === 'add') {
          runs.add(number)
          model.add(number)
        } else if (kind === 'dropBelow') {
          runs.dropBelow(number)
          model = new Set([...model].filter((each) => each >= number))
        } else runs = new Runs(JSON.parse(JSON.stringify(runs)) as number[])
        for (let at = 0; at < 32; at++) {
          assert.equal(runs.has(at), model.has(at), `has ${at}`)
          let [begin, end] = [at, at]
          while (model.has(begin - 1)) begin--
          while (model.has(end)) end++
          assert.equal(runs.endOf(at), model.has(at) ? end : -1)
          assert.equal(runs.beginOf(at), model.has(at) ? begin : -1)
        }
        const edges = runs.toJSON()
        assert.deepEqual(
          edges,
          [...new Set(edges)].sort((a, b) => a - b),
        )
        assert.equal(runs.empty, model.size === 0)
        assert.equal(
          [...runs].reduce((sum, [begin, end]) => sum + end - begin, 0),
          model.size,
        )
      }
    }),
  )
})
