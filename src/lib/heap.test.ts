import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Heap } from './heap.ts'

test('a heap gives what a sorted list would, whatever was pushed, popped and replaced between', () => {
  const step = fc.oneof(
    fc.record({ push: fc.integer({ min: 0, max: 20 }) }),
    fc.constant('pop' as const),
    fc.record({ replace: fc.integer({ min: 0, max: 20 }) }),
    fc.record({ leaveOut: fc.integer({ min: 0, max: 20 }) }),
  )
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20 })), fc.array(step), (start, steps) => {
      let model = [...start].sort((a, b) => a - b)
      const heap = new Heap<number>((a, b) => a < b, [...model])
      for (const each of steps) {
        if (each === 'pop') assert.equal(heap.pop(), model.shift())
        else if ('push' in each) {
          heap.push(each.push)
          model.push(each.push)
        } else if ('leaveOut' in each) {
          heap.retain((item) => item % 4 !== each.leaveOut % 4)
          model = model.filter((item) => item % 4 !== each.leaveOut % 4)
        } else if (heap.size > 0) {
          heap.replaceTop(each.replace)
          model[0] = each.replace
        }
        model.sort((a, b) => a - b)
        assert.equal(heap.peek(), model[0])
        assert.equal(heap.size, model.length)
      }
      while (heap.size > 0) assert.equal(heap.pop(), model.shift())
      assert.equal(heap.pop(), undefined)
    }),
  )
})
