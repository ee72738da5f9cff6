/** Against a plain map. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NumberTable } from './number-table.ts'

test('it is a map from keys to rows, whatever is done to it', () => {
  const step = fc.record({ kind: fc.constantFrom('set', 'set', 'append', 'delete', 'get'), key: fc.nat(1500), value: fc.nat() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 2500, size: 'max' }), (steps) => {
      const table = new NumberTable(3)
      const model = new Map<number, number[]>()
      for (const { kind, key, value } of steps) {
        const at = kind === 'append' ? Math.max(0, ...model.keys()) + 1 : key
        if (kind === 'set' || kind === 'append') {
          table.set([at, value, value / 2])
          model.set(at, [at, value, value / 2])
        } else if (kind === 'delete') assert.equal(table.delete(key), model.delete(key))
        assert.deepEqual(table.get(at), model.get(at))
        assert.equal(table.has(at), model.has(at))
        assert.equal(table.size, model.size)
      }
      assert.equal(table.first, Math.min(Infinity, ...model.keys()))
      assert.equal(table.last, Math.max(-Infinity, ...model.keys()))
      for (const [key, row] of model) assert.deepEqual(table.get(key), row)
      table.clear()
      assert.equal(table.size, 0)
    }),
    { numRuns: 20 },
  )
})
