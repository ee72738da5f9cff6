import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Joined } from './joined.ts'

test('what comes in any pieces is joined, and not a byte more is taken', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      fc.uint8Array({ maxLength: 20 }),
      (frame, sizes, behind) => {
        const stream = Buffer.concat([frame, behind])
        const joined = new Joined(frame.length)
        let at = 0
        for (let piece = 0; joined.whole === null; piece++) {
          const chunk = stream.subarray(at, at + (sizes[piece % sizes.length] as number))
          at += joined.take(chunk, 0)
        }
        assert.deepEqual([...joined.whole], [...frame])
        assert.equal(at, frame.length)
      },
    ),
  )
})

test('a length sets no memory aside, and the bytes that come set aside twice their own at most', () => {
  const before = process.memoryUsage().arrayBuffers
  const joined = new Joined(1 << 30)
  const chunk = Buffer.alloc(64 * 1024, 7)
  for (let count = 0; count < 64; count++) assert.equal(joined.take(chunk, 0), chunk.length)
  assert.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024)
  assert.equal(joined.whole, null)
})

test('a frame beyond the first room keeps its bytes in order', () => {
  const frame = Buffer.from(Array.from({ length: 3_000_000 }, (_, at) => at % 251))
  const joined = new Joined(frame.length)
  for (let at = 0; at < frame.length; ) at = joined.take(frame.subarray(0, at + 100_000), at)
  assert.ok(joined.whole?.equals(frame))
})
