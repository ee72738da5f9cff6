import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OffsetMap } from './offset-map.ts'

test('it holds the newest offset of each key, until it is full', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 3 }), { maxLength: 300 }), (keys) => {
      const map = new OffsetMap(64 * 24)
      const model = new Map<string, number>()
      for (const [offset, key] of keys.entries()) {
        const fits = model.has(key) || model.size < 48
        assert.equal(map.put(Buffer.from(key), offset), fits, 'three quarters of 64 slots are filled')
        if (fits) model.set(key, offset)
      }
      assert.equal(map.size, model.size)
      for (const key of new Set([...keys, 'none of them'])) assert.equal(map.newest(Buffer.from(key)), model.get(key) ?? -1)
    }),
  )
})
