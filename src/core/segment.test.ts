import assert from 'node:assert/strict'
import test from 'node:test'
import { entryOf } from '../../test/support/entry.ts'
import { entryBytes, sealEntry, writeEntry } from './entry.ts'
import { Segment } from './segment.ts'

/** A segment of entries of one record each, of so many bytes of payload. */
function segmentOf(payloads: readonly number[]): Segment {
  const segment = new Segment(10)
  for (const [index, bytes] of payloads.entries()) {
    const content = entryOf('x'.repeat(bytes))
    const buffer = Buffer.alloc(entryBytes(content))
    sealEntry(buffer, 0, writeEntry(buffer, 0, 10 + index, content))
    segment.note(segment.bytes, buffer, 0, 1)
    segment.bytes += buffer.length
    segment.next = 11 + index
  }
  return segment
}

const countOf =
  (wanted: (offset: number) => boolean) =>
  (from: number, to: number): number => {
    let count = 0
    for (let offset = from; offset < to; offset++) if (wanted(offset)) count++
    return count
  }

test('what is wanted of a segment is told by bytes, also where large and small records stand in turn', () => {
  const payloads = Array.from({ length: 100 }, (_, index) => (index % 2 === 0 ? 100_000 : 100))
  const segment = segmentOf(payloads)
  assert.equal(segment.bytesWanted(countOf(() => true)), segment.bytes)
  assert.equal(segment.bytesWanted(countOf(() => false)), 0)
  const small = segment.bytesWanted(countOf((offset) => offset % 2 === 1))
  assert.ok(0 < small && small < 20_000, `${small}`)
  const large = segment.bytesWanted(countOf((offset) => offset % 2 === 0))
  assert.ok(4_990_000 < large && large < segment.bytes, `${large}`)
})

test('what stands around holes counts as it did when it was written', () => {
  const segment = segmentOf([100, 100, 100, 100])
  // Of those between them nothing was there any more.
  segment.next = 5000
  assert.equal(segment.bytesWanted(countOf((offset) => offset < 14)), segment.bytes)
})

test('a segment that was stored before records were counted takes each offset for one, and goes on from there', () => {
  const { records, recordsTotal, ...stored } = segmentOf([100_000, 100_000]).toJSON() as Segment
  assert.deepEqual([records, recordsTotal], [[0, 1], 2])
  const segment = Segment.from(JSON.parse(JSON.stringify(stored)) as object)
  assert.deepEqual([segment.records, segment.recordsTotal], [[0, 1], 2])
})
