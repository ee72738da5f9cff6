import assert from 'node:assert/strict'
import { test } from 'node:test'
import { murmur2, partitionOf } from './partitioner.ts'

test('keys hash as in Kafka', () => {
  // The values that Kafka's own tests expect of Utils.murmur2.
  for (const [key, hash] of [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ] as const)
    assert.equal(murmur2(Buffer.from(key)), hash)
  assert.equal(partitionOf(Buffer.from('foobar'), 7), (-790332482 & 0x7fffffff) % 7)
})
