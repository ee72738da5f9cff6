/** S2 streams: what is written can be read however it is cut, what a real S2 writer makes too (repeated offsets), and what is damaged is refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { identifier, openS2Block, S2Reader, s2Chunks } from './s2.ts'

function read(stream: Buffer, pieceBytes = stream.length): Buffer {
  const reader = new S2Reader()
  const parts: Buffer[] = []
  for (let at = 0; at < stream.length; at += pieceBytes) parts.push(...reader.push(stream.subarray(at, at + pieceBytes)))
  assert(reader.whole)
  return Buffer.concat(parts)
}

const stream = (bytes: Buffer): Buffer => Buffer.concat([identifier, s2Chunks(bytes)])

test('what is written is read again, in pieces of any size', () => {
  const text = fc.array(fc.constantFrom('again ', 'and ', 'something else', '\u0000'), { maxLength: 400 })
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 300 }), (words, pieceBytes) => {
      const bytes = Buffer.from(words.join(''))
      assert.deepEqual(read(stream(bytes), pieceBytes), bytes)
    }),
  )
  const random = Buffer.from(Array.from({ length: 200_000 }, (_, at) => (at * at * 2_654_435_761) >>> 24))
  assert.deepEqual(read(stream(random), 70_000), random)
})

test('a block of each kind of part: literals, copies of one, two and four bytes of offset, and offsets that are repeated', () => {
  const block = (opened: number, ...bytes: number[]): string => openS2Block(Buffer.from([opened, ...bytes]), 1000).toString()
  const abcd = [3 << 2, 97, 98, 99, 100]
  assert.equal(block(4, ...abcd), 'abcd')
  assert.equal(block(8, ...abcd, 1, 4), 'abcdabcd')
  assert.equal(block(9, ...abcd, 2 | (4 << 2), 4, 0), 'abcdabcda')
  assert.equal(block(8, ...abcd, 3 | (3 << 2), 1, 0, 0, 0), 'abcddddd')
  // The offset of before, for 4, and for 4 + 4 + 1 bytes more.
  assert.equal(block(12, ...abcd, 1, 4, 1, 0), 'abcdabcdabcd')
  assert.equal(block(17, ...abcd, 1, 4, 1 | (5 << 2), 0, 1), `${'abcd'.repeat(4)}a`)
})

test('what is damaged, too large or no such stream is refused', () => {
  const good = stream(Buffer.from('x'.repeat(100)))
  for (let at = 0; at < good.length; at++) {
    const bad = Buffer.from(good)
    bad[at] = (bad[at] as number) ^ 1
    assert.throws(() => read(bad), /s2|whole|reader/, `byte ${at}`)
  }
  assert.throws(() => read(s2Chunks(Buffer.from('x'))), /does not begin/)
  assert.throws(() => openS2Block(Buffer.from([4, 1, 0]), 10), /damaged/, 'an offset that was not there')
  assert.throws(() => openS2Block(Buffer.from([8, 3 << 2, 97, 98]), 10), /damaged/, 'a literal that ends too early')
  assert.throws(() => openS2Block(Buffer.from([200, 1]), 100), /exceed/)
  assert.throws(() => new S2Reader().push(Buffer.from([0, 255, 255, 255])), /chunk of/)
})
