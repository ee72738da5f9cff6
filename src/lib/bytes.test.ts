import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { getU64, hash32, putU64 } from './bytes.ts'
import { crc32c } from './crc32c.ts'

test('64-bit integers are written as the machine would, up to 2^53', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), fc.nat(9), (value, at) => {
      const ours = Buffer.alloc(20, 0xee)
      const theirs = Buffer.alloc(20, 0xee)
      putU64(ours, at, value)
      theirs.writeBigUInt64BE(BigInt(value), at)
      assert.deepEqual(ours, theirs)
      assert.equal(getU64(ours, at), value)
    }),
  )
})

/** Bit by bit, from the definition (RFC 3720 appendix B.4). */
function slowly(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return ~crc >>> 0
}

test('CRC-32C is right at every length and place, on both sides of where the addon takes over', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600, size: 'max' }), fc.nat(50), fc.nat(50), (bytes, before, behind) => {
      const start = Math.min(before, bytes.length)
      const end = Math.max(start, bytes.length - behind)
      assert.equal(crc32c(bytes, start, end), slowly(bytes.subarray(start, end)))
      // A view that does not begin where its memory does.
      assert.equal(crc32c(bytes.subarray(start, end)), slowly(bytes.subarray(start, end)))
    }),
  )
})

test('hash32 is FNV-1a, and never the 0 that means no key', () => {
  assert.equal(hash32(Buffer.from('')), 0x811c9dc5)
  assert.equal(hash32(Buffer.from('a')), 0xe40c292c)
  assert.equal(hash32(Buffer.from('foobar')), 0xbf9cf968)
  fc.assert(fc.property(fc.uint8Array(), (bytes) => hash32(bytes) > 0 && hash32(bytes) < 2 ** 32))
})
