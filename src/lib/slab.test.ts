import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Slab } from './slab.ts'

test('byte arrays that are taken do not overlap, and small ones share a slab', () => {
  const slab = new Slab()
  const sizes = [0, 1, 1000, 16 * 1024, 16 * 1024 + 1, 20_000, 7, 16 * 1024, 16 * 1024, 16 * 1024, 16 * 1024]
  const taken = sizes.map((bytes, index) => slab.take(bytes).fill(index))
  for (const [index, bytes] of taken.entries()) {
    assert.equal(bytes.length, sizes[index])
    assert.ok(bytes.every((byte) => byte === index))
  }
  const owners = new Set(taken.map((bytes) => bytes.buffer))
  assert.deepEqual(
    [...owners]
      .map((owner) => owner.byteLength)
      .filter((bytes) => bytes > 0)
      .sort((a, b) => a - b),
    [16 * 1024 + 1, 20_000, 64 * 1024, 64 * 1024],
  )
})
