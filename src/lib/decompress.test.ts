import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { compressFrameSync } from 'lz4-napi'
import { compressSync } from 'snappy'
import { gunzip, unlz4Frame, unsnappyBlock, unsnappyFrames, unzstd } from './decompress.ts'

const content = Buffer.from('as it was, as it was, as it was')
/** One chunk of snappy's framing format; checksums are not looked at. */
const chunk = (type: number, bytes: Buffer): Buffer => {
  const head = Buffer.alloc(4)
  head[0] = type
  head.writeUIntLE(bytes.length, 1, 3)
  return Buffer.concat([head, bytes])
}
const snappyBlock = compressSync(content) as Buffer
const framed = Buffer.concat([
  chunk(0xff, Buffer.from('sNaPpY')),
  chunk(0x00, Buffer.concat([Buffer.alloc(4), snappyBlock])),
  chunk(0xfe, Buffer.alloc(9)),
  chunk(0x01, Buffer.concat([Buffer.alloc(4), content])),
])

test('each form opens', () => {
  assert.deepEqual(gunzip(gzipSync(content), 100), content)
  assert.deepEqual(unzstd(zstdCompressSync(content), 100), content)
  assert.deepEqual(unlz4Frame(Buffer.from(compressFrameSync(content)), 100), content)
  assert.deepEqual(unsnappyBlock(snappyBlock, 100), content)
  assert.deepEqual(unsnappyFrames(framed, 100), Buffer.concat([content, content]))
})

test('none opens to more than the limit', () => {
  assert.throws(() => gunzip(gzipSync(content), 10))
  assert.throws(() => unzstd(zstdCompressSync(content), 10))
  assert.throws(() => unlz4Frame(Buffer.from(compressFrameSync(content)), 10))
  assert.throws(() => unsnappyBlock(snappyBlock, 10))
  assert.throws(() => unsnappyFrames(framed, content.length + 1))
})

test('frames of snappy that are cut short or unknown are refused', () => {
  for (const length of [1, 3, 5, framed.length - 1]) assert.throws(() => unsnappyFrames(framed.subarray(0, length), 100))
  assert.throws(() => unsnappyFrames(chunk(0x02, Buffer.alloc(4)), 100))
  assert.throws(() => unsnappyFrames(chunk(0x00, Buffer.alloc(3)), 100))
})
