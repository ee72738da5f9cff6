// Chunks out of stored entries: their header, what may stand together, filters, and records of other protocols.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import type { EntryView } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import { decodeMessage } from '../../lib/amqp1/message.ts'
import { encodeBatch, encodeSingle, simpleHead } from './batch.ts'
import { type Chunk, chunksOf, deliverHead, type Filter } from './chunk.ts'
import { batchFormat, batchFormatId, messageFormat, messageFormatId } from './mapping.ts'

const foreignId = 250
formats.register(messageFormat)
formats.register(batchFormat)
formats.register({
  id: foreignId,
  name: 'of another protocol',
  batched: false,
  toAttributes: (envelope) => ({ key: null, value: envelope, headers: [] }),
  fromAttributes: (attributes) => attributes.value ?? Buffer.alloc(0),
})

const view = (format: number, payload: Buffer, baseOffset: number, count = 1, hidden = false): EntryView => ({
  buffer: Buffer.concat([Buffer.alloc(3), payload]),
  start: 3,
  end: 3 + payload.length,
  format,
  baseOffset,
  count,
  timestamp: 1000 + baseOffset,
  annotations: null,
  subject: null,
  hidden,
})
const entry = (text: string): Buffer => Buffer.concat([simpleHead(text.length), Buffer.from(text)])
const batch = (baseOffset: number, texts: string[], filters: (string | null)[] = []): EntryView =>
  view(
    batchFormatId,
    encodeBatch(
      texts.length,
      filters.map((filter) => (filter === null ? null : Buffer.from(filter))),
      Buffer.concat(texts.map(entry)),
    ),
    baseOffset,
    texts.length,
  )
const shape = (chunks: readonly Chunk[]) =>
  chunks.map(({ firstOffset, nextOffset, entries }) => [firstOffset, nextOffset, entries])
const dataOf = (chunk: Chunk | undefined): string => Buffer.concat(chunk?.data ?? []).toString('latin1')

test('neighbours share a chunk, and its data is what was stored', () => {
  const { chunks, next } = chunksOf([batch(0, ['a', 'b']), batch(2, ['c'])], 0, 3, null)
  assert.deepEqual(shape(chunks), [[0, 3, 3]])
  assert.equal(next, 3)
  assert.equal(dataOf(chunks[0]), Buffer.concat(['a', 'b', 'c'].map(entry)).toString('latin1'))
  assert.equal(chunks[0]?.timestamp, 1000)
})

test('a batch that begins before the wanted offset goes out whole, what is behind the end does not', () => {
  const entries = [batch(0, ['a', 'b']), batch(2, ['c', 'd']), batch(4, ['e'])]
  const { chunks, next } = chunksOf(entries, 3, 4, null)
  assert.deepEqual(shape(chunks), [[2, 4, 2]])
  assert.equal(next, 4)
})

test('hidden records end a chunk and are passed over', () => {
  const entries = [batch(0, ['a']), view(batchFormatId, Buffer.alloc(0), 1, 1, true), batch(2, ['b'])]
  assert.deepEqual(shape(chunksOf(entries, 0, 3, null).chunks), [
    [0, 1, 1],
    [2, 3, 1],
  ])
  assert.equal(chunksOf([view(batchFormatId, Buffer.alloc(0), 0, 1, true)], 0, 1, null).next, 1)
})

test('a long chunk ends; an entry longer than a chunk goes alone', () => {
  const long = 'x'.repeat(200 * 1024)
  const huge = 'y'.repeat(300 * 1024)
  const { chunks } = chunksOf([batch(0, ['a']), batch(1, [long]), batch(2, [long]), batch(3, [huge])], 0, 4, null)
  assert.deepEqual(shape(chunks), [
    [0, 2, 2],
    [2, 3, 1],
    [3, 4, 1],
  ])
})

test('a filter chooses what was stored together', () => {
  const entries = [batch(0, ['a', 'b'], ['red', null]), batch(2, ['c'], ['blue']), batch(3, ['d']), batch(4, ['e'], ['red'])]
  const filter = (matchUnfiltered: boolean): Filter => ({ values: new Set(['red']), matchUnfiltered })
  assert.deepEqual(shape(chunksOf(entries, 0, 5, filter(false)).chunks), [
    [0, 2, 2],
    [4, 5, 1],
  ])
  assert.deepEqual(shape(chunksOf(entries, 0, 5, filter(true)).chunks), [
    [0, 2, 2],
    [3, 5, 2],
  ])
  assert.equal(chunksOf([batch(0, ['c'], ['blue'])], 0, 1, filter(false)).next, 1)
})

test('records of other protocols are AMQP 1.0 messages, and single messages come without their envelope', () => {
  const single = encodeSingle(Buffer.from('red'), Buffer.from('one'))
  const { chunks } = chunksOf([view(foreignId, Buffer.from('theirs'), 0), view(messageFormatId, single, 1)], 0, 2, null)
  assert.deepEqual(shape(chunks), [[0, 2, 2]])
  const data = Buffer.concat(chunks[0]?.data ?? [])
  const end = 4 + data.readUInt32BE(0)
  const message = decodeMessage(data.subarray(4, end))
  assert.deepEqual(message.body, { kind: 'data', sections: [Buffer.from('theirs')] })
  // They say no time of their own: it is the entry's.
  assert.deepEqual(message.properties?.creationTime, { type: 'timestamp', value: 1000n })
  assert.deepEqual(data.subarray(end), entry('one'))
  const red = { values: new Set(['red']), matchUnfiltered: false }
  assert.deepEqual(shape(chunksOf([view(messageFormatId, single, 1)], 1, 2, red).chunks), [[1, 2, 1]])
})

test('the head of a Deliver frame, versions 1 and 2', () => {
  const [chunk] = chunksOf([batch(5, ['a', 'b'])], 5, 7, null).chunks
  assert.ok(chunk)
  const data = Buffer.concat(chunk.data)
  const crc = crc32(data).toString(16).padStart(8, '0')
  // magic and type, entries, records, timestamp, epoch, first offset, CRC, data, trailer, bloom filter
  const header = `50000002${'00000002'}${'00000000000003ed'}${'0000000000000001'}${'0000000000000005'}${crc}${'0000000a'}${'00000000'}00000000`
  assert.equal(deliverHead(1, 9, 6, chunk).toString('hex'), `0000003f0008000109${header}`)
  assert.equal(deliverHead(2, 9, 6, chunk).toString('hex'), `000000470008000209${'0000000000000006'}${header}`)
})
