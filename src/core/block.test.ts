/** An entry is found whatever was sought before it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { entryOf } from '../../test/support/entry.ts'
import { Block, skipTo } from './block.ts'

test('the entry of an offset is found in any order, while others are appended', () => {
  const append = fc.record({ count: fc.integer({ min: 1, max: 5 }), bytes: fc.nat(900) })
  const seek = fc.record({ offset: fc.nat(150), run: fc.nat(12) })
  fc.assert(
    fc.property(fc.nat(20), fc.array(fc.oneof(append, seek), { maxLength: 120 }), (base, steps) => {
      const block = new Block(base, 256 * 1024)
      for (const step of steps) {
        if ('count' in step) block.append(entryOf(Buffer.alloc(step.bytes), { count: step.count }), null)
        else
          for (let offset = step.offset; offset <= step.offset + step.run; offset++)
            assert.equal(block.locate(offset), skipTo(block.buffer, 0, block.used, offset))
      }
    }),
  )
})
