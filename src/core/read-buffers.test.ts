import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReadBuffers } from './read-buffers.ts'

const MiB = 1024 * 1024

test('what was given back is used again, whatever length it is asked for within its size', () => {
  const buffers = new ReadBuffers()
  const first = buffers.take(MiB - 5)
  assert.equal(first.length, MiB - 5)
  const second = buffers.take(MiB)
  assert.notEqual(second.buffer, first.buffer, 'nobody gave the first one back')
  buffers.give(first)
  const third = buffers.take(MiB)
  assert.equal(third.buffer, first.buffer)
  assert.equal(third.length, MiB)
  assert.notEqual(buffers.take(MiB).buffer, first.buffer, 'it is in use')
})

test('a smaller one does not take a larger place, and small and large ones are not kept', () => {
  const buffers = new ReadBuffers()
  const large = buffers.take(MiB)
  buffers.give(large)
  assert.notEqual(buffers.take(200_000).buffer, large.buffer)
  for (const bytes of [1000, 4 * MiB]) {
    const buffer = buffers.take(bytes)
    buffers.give(buffer)
    assert.notEqual(buffers.take(bytes).buffer, buffer.buffer)
  }
})

test('only so many are kept, and none once nobody reads', () => {
  const buffers = new ReadBuffers()
  const taken = Array.from({ length: 20 }, () => buffers.take(MiB))
  for (const buffer of taken) buffers.give(buffer)
  const before = new Set(taken.map(({ buffer }) => buffer))
  const again = Array.from({ length: 20 }, () => buffers.take(MiB))
  assert.equal(again.filter(({ buffer }) => before.has(buffer)).length, 8)
  for (const buffer of again) buffers.give(buffer)
  buffers.letGo()
  assert(!again.some(({ buffer }) => buffer === buffers.take(MiB).buffer))
})
