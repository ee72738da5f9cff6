import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { compressFrameSync } from 'lz4-napi'
import { compressSync } from 'snappy'
import type { Attributes } from '../../core/record.ts'
import { formats } from '../../core/record.ts'
import { crc32c } from '../../lib/crc32c.ts'
import { buildBatch, openBatch, retainRecords, validateBatch } from './batch.ts'
import { batchFormat, entriesToBatches, recordFormat, recordFormatId } from './mapping.ts'

if (!formats.has(recordFormatId)) formats.register(recordFormat)

const rich: Attributes = {
  key: Buffer.from('k'),
  value: Buffer.from([0, 1, 255]),
  headers: [
    { name: 'text', value: { type: 'string', value: 'grüße' } },
    { name: 'n', value: { type: 'i32', value: -7 } },
    { name: 'n', value: { type: 'i64', value: 2n ** 60n } },
    { name: 'bytes', value: { type: 'bytes', value: Buffer.from('abc') } },
    { name: 'nothing', value: { type: 'null', value: null } },
    { name: 'yes=&', value: { type: 'bool', value: true } },
    { name: 'when', value: { type: 'timestamp', value: 1_700_000_000_000 } },
    { name: 'd', value: { type: 'decimal', value: { scale: 2, unscaled: 1234 } } },
    { name: 'f', value: { type: 'f64', value: Number.NaN } },
    {
      name: 'deep',
      value: {
        type: 'table',
        value: [
          {
            name: 'list',
            value: {
              type: 'array',
              value: [
                { type: 'i64', value: 5n },
                { type: 'bytes', value: Buffer.from([9]) },
              ],
            },
          },
          { name: 'inf', value: { type: 'f64', value: Number.NEGATIVE_INFINITY } },
        ],
      },
    },
  ],
  timestamp: 1_700_000_000_123,
  messageId: 'm-1',
  correlationId: 'c-1',
  replyTo: 'answers',
  contentType: 'application/json',
  contentEncoding: 'gzip',
  type: 'order',
  subject: 's',
  expirationMs: 60_000,
  priority: 5,
  deliverAt: 1_800_000_000_000,
  groupKey: 'g',
  dedupId: 'dd',
  userId: 'u',
  appId: 'a',
  persistent: false,
  extra: [{ name: 'x', value: { type: 'u8', value: 3 } }],
}

test('attributes survive the way through a Kafka record, types included', () => {
  assert.deepEqual(recordFormat.toAttributes(recordFormat.fromAttributes(rich)), rich)
  const bare: Attributes = { key: null, value: null, headers: [] }
  assert.deepEqual(recordFormat.toAttributes(recordFormat.fromAttributes(bare)), { ...bare, timestamp: 0 })
})

test('a header that only looks well-known stays a header', () => {
  const odd: Attributes = {
    key: null,
    value: Buffer.from('v'),
    headers: [{ name: 'anymq.priority', value: { type: 'string', value: 'high' } }],
    timestamp: 1,
  }
  assert.deepEqual(recordFormat.toAttributes(recordFormat.fromAttributes(odd)), odd)
})

const records = ['a', 'b', 'c'].map((text, index) => ({
  offset: 10 + index * 2,
  timestamp: 1_700_000_000_000 + index,
  body: recordFormat
    .fromAttributes({ key: Buffer.from(text), value: Buffer.from(text.repeat(500)), headers: [], timestamp: 0 })
    .subarray(9),
}))

test('a built batch is valid but for its gaps, and opens to what went in', () => {
  const batch = buildBatch(records, 10, 16)
  const opened = openBatch(batch)
  assert.deepEqual(
    opened.map((record) => record.offsetDelta),
    [0, 2, 4],
  )
  assert.deepEqual(
    opened.map((record) => record.timestamp),
    records.map((record) => record.timestamp),
  )
  assert.deepEqual(
    opened.map((record) => Buffer.from(record.buffer.subarray(record.start, record.end))),
    records.map((record) => record.body),
  )
  const dense = buildBatch(
    records.map((record, index) => ({ ...record, offset: index })),
    0,
    3,
  )
  assert.equal(validateBatch(dense, 0, dense.length, 9), 0)
  dense[80] = (dense[80] ?? 0) ^ 1
  assert.equal(validateBatch(dense, 0, dense.length, 9), 2)
})

test('batches of every codec open into single records', () => {
  const plain = buildBatch(records, 10, 16)
  const body = plain.subarray(61)
  const xerialBlock = compressSync(body) as Buffer
  const xerial = Buffer.concat([
    Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]),
    int32(xerialBlock.length),
    xerialBlock,
  ])
  const forms: [number, Buffer][] = [
    [1, gzipSync(body)],
    [2, xerialBlock],
    [2, xerial],
    [3, compressFrameSync(body)],
    [4, zstdCompressSync(body)],
  ]
  for (const [codec, compressed] of forms) {
    const batch = Buffer.concat([plain.subarray(0, 61), compressed])
    batch.writeInt16BE(codec, 21)
    batch.writeInt32BE(batch.length - 12, 8)
    batch.writeUInt32BE(crc32c(batch, 21, batch.length), 17)
    const envelopes = batchFormat.open?.(batch, 0) ?? []
    assert.deepEqual(
      envelopes.map((envelope) => (envelope ? recordFormat.toAttributes(envelope).key?.toString() : null)),
      ['a', null, 'b', null, 'c', null],
      `codec ${codec}`,
    )
  }
})

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

test('an unreadable batch is handed on whole, not dropped and not thrown', () => {
  const batch = buildBatch(records, 10, 16)
  batch.writeInt16BE(1, 21) // Says gzip and is not.
  const [first, ...rest] = batchFormat.open?.(batch, 0) ?? []
  assert.ok(first)
  assert.deepEqual(recordFormat.toAttributes(first).value, batch)
  assert.ok(rest.every((envelope) => envelope === null))
})

test('compaction keeps the offsets of what it keeps', () => {
  const kept = retainRecords(buildBatch(records, 10, 16), (index) => index !== 2)
  assert.ok(kept)
  assert.deepEqual(
    openBatch(kept).map((record) => record.offsetDelta),
    [0, 4],
  )
  assert.equal(batchFormat.open?.(kept, 0).length, 6)
  assert.equal(
    retainRecords(buildBatch(records, 10, 16), () => false),
    null,
  )
})

test('records of other formats are coalesced into one batch, our own batches pass by reference', () => {
  const envelope = recordFormat.fromAttributes(rich)
  const entry = (format: number, baseOffset: number, payload: Buffer, count = 1) => ({
    buffer: payload,
    start: 0,
    end: payload.length,
    format,
    baseOffset,
    count,
    timestamp: 5,
    annotations: null,
    subject: null,
    hidden: false,
  })
  const own = buildBatch([{ offset: 3, timestamp: 1, body: envelope.subarray(9) }], 3, 4)
  const { buffers } = entriesToBatches([
    entry(17, 1, envelope),
    entry(17, 2, envelope),
    entry(16, 3, own),
    entry(17, 4, envelope),
  ])
  assert.equal(buffers.length, 3)
  assert.deepEqual(
    buffers.map((batch) => Number(batch.readBigInt64BE(0))),
    [1, 3, 4],
  )
  assert.equal(buffers[1]?.buffer, own.buffer)
  assert.equal(openBatch(buffers[0] ?? own).length, 2)
})
