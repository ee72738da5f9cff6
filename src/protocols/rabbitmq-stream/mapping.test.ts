// Envelopes ⇄ attributes: lossless for what AMQP 1.0 can say, and for what other protocols say by way of the spare annotation.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { compressFrameSync } from 'lz4-napi'
import type { Attributes, Header, HeaderValue } from '../../core/record.ts'
import { decodeMessage, encodeMessage, type Message } from '../../lib/amqp1/message.ts'
import { encodeSingle, openBatch, readSingle } from './batch.ts'
import { batchFormat, messageFormat } from './mapping.ts'

const again = (attributes: Attributes): Attributes => messageFormat.toAttributes(messageFormat.fromAttributes(attributes))
const across = (message: Message): Message =>
  decodeMessage(
    readSingle(messageFormat.fromAttributes(messageFormat.toAttributes(encodeSingle(null, encodeMessage(message))))).message,
  )

test('a message with something in every place crosses over and back the same', () => {
  const message: Message = {
    header: {
      durable: { type: 'boolean', value: true },
      priority: { type: 'ubyte', value: 4 },
      ttl: { type: 'uint', value: 60_000 },
      firstAcquirer: { type: 'boolean', value: false },
      deliveryCount: { type: 'uint', value: 3 },
    },
    deliveryAnnotations: [
      [
        { type: 'symbol', value: 'x-opt-d' },
        { type: 'int', value: 1 },
      ],
    ],
    messageAnnotations: [
      [
        { type: 'symbol', value: 'x-note' },
        { type: 'list', value: [{ type: 'symbol', value: 's' }] },
      ],
      [
        { type: 'symbol', value: 'x-basic-type' },
        { type: 'string', value: 'order.created' },
      ],
      [
        { type: 'symbol', value: 'x-exchange' },
        { type: 'string', value: 'orders' },
      ],
      [
        { type: 'symbol', value: 'x-routing-key' },
        { type: 'string', value: 'a.b' },
      ],
    ],
    properties: {
      messageId: { type: 'uuid', value: Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex') },
      userId: { type: 'binary', value: Buffer.from([0xff, 0x00]) },
      to: { type: 'string', value: 'to' },
      subject: { type: 'string', value: 'subject' },
      replyTo: { type: 'string', value: 'replies' },
      correlationId: { type: 'ulong', value: 2n ** 63n },
      contentType: { type: 'symbol', value: 'text/plain' },
      contentEncoding: { type: 'symbol', value: 'identity' },
      absoluteExpiryTime: { type: 'timestamp', value: 99n },
      creationTime: { type: 'timestamp', value: 1_700_000_123_456n },
      groupId: { type: 'string', value: 'group' },
      groupSequence: { type: 'uint', value: 7 },
      replyToGroupId: { type: 'string', value: 'other' },
    },
    applicationProperties: [
      [
        { type: 'string', value: 'ulong' },
        { type: 'ulong', value: 5n },
      ],
      [
        { type: 'string', value: 'char' },
        { type: 'char', value: 0x1f600 },
      ],
      [
        { type: 'string', value: 'uuid' },
        { type: 'uuid', value: Buffer.alloc(16, 3) },
      ],
      [
        { type: 'string', value: 'text' },
        { type: 'string', value: 'größe' },
      ],
      [
        { type: 'string', value: 'null' },
        { type: 'null', value: null },
      ],
    ],
    body: { kind: 'data', sections: [Buffer.from('body')] },
    footer: [
      [
        { type: 'symbol', value: 'x-crc' },
        { type: 'ulong', value: 1n },
      ],
    ],
  }
  // Annotations that have neutral places come last.
  assert.deepEqual(across(message), message)
})

test('each form of body crosses over and back; text and bytes are values elsewhere', () => {
  const bodies: [Message['body'], string | null][] = [
    [{ kind: 'data', sections: [Buffer.from('one')] }, 'one'],
    [{ kind: 'value', value: { type: 'string', value: 'größe' } }, 'größe'],
    [{ kind: 'value', value: { type: 'binary', value: Buffer.from('bytes') } }, 'bytes'],
    [
      {
        kind: 'value',
        value: {
          type: 'map',
          value: [
            [
              { type: 'string', value: 'a' },
              { type: 'int', value: 1 },
            ],
          ],
        },
      },
      null,
    ],
    [{ kind: 'sequence', sections: [[{ type: 'int', value: 1 }], []] }, null],
  ]
  for (const [body, value] of bodies) {
    assert.deepEqual(across({ body }).body, body)
    const attributes = messageFormat.toAttributes(encodeSingle(null, encodeMessage({ body })))
    if (value !== null) assert.equal(attributes.value?.toString(), value)
  }
  const several: Message = { body: { kind: 'data', sections: [Buffer.from('a'), Buffer.from('b')] } }
  assert.equal(messageFormat.toAttributes(encodeSingle(null, encodeMessage(several))).value?.toString(), 'ab')
})

test('what has a neutral word is where others look for it', () => {
  const attributes: Attributes = {
    key: null,
    value: Buffer.from('v'),
    headers: [
      { name: 'x-retries', value: { type: 'i32', value: 2 } },
      { name: 'x-stream-filter-value', value: { type: 'string', value: 'red' } },
    ],
    timestamp: 1_700_000_000_000,
    messageId: 'm',
    userId: 'u',
    type: 't',
    groupKey: 'g',
    persistent: true,
    priority: 3,
    expirationMs: 1000,
  }
  const { filter, message } = readSingle(messageFormat.fromAttributes(attributes))
  assert.equal(filter?.toString(), 'red')
  const decoded = decodeMessage(message)
  assert.deepEqual(decoded.header, {
    durable: { type: 'boolean', value: true },
    priority: { type: 'ubyte', value: 3 },
    ttl: { type: 'uint', value: 1000 },
  })
  assert.deepEqual(decoded.properties, {
    messageId: { type: 'string', value: 'm' },
    userId: { type: 'binary', value: Buffer.from('u') },
    creationTime: { type: 'timestamp', value: 1_700_000_000_000n },
    groupId: { type: 'string', value: 'g' },
  })
  assert.equal(decoded.applicationProperties, undefined)
  assert.deepEqual(
    decoded.messageAnnotations?.map(([key]) => key.value),
    ['x-retries', 'x-stream-filter-value', 'x-basic-type'],
  )
})

test('a filter value is a header elsewhere, and none of the message when it comes back', () => {
  const envelope = encodeSingle(Buffer.from('red'), encodeMessage({ body: { kind: 'data', sections: [Buffer.from('v')] } }))
  const attributes = messageFormat.toAttributes(envelope)
  assert.deepEqual(attributes.headers, [{ name: 'x-stream-filter-value', value: { type: 'string', value: 'red' } }])
  assert.deepEqual(messageFormat.fromAttributes(attributes), envelope)
})

test('what AMQP 1.0 has no word for comes back unharmed', () => {
  const attributes: Attributes = {
    key: Buffer.from([1, 2, 255]),
    value: null,
    headers: [
      { name: 'twice', value: { type: 'string', value: 'a' } },
      { name: 'twice', value: { type: 'bytes', value: Buffer.from([9]) } },
      { name: 'x-before', value: { type: 'i8', value: 1 } },
      { name: 'decimal', value: { type: 'decimal', value: { scale: 2, unscaled: 314 } } },
      { name: 'table', value: { type: 'table', value: [{ name: 'a', value: { type: 'bool', value: true } }] } },
    ],
    timestamp: 1_700_000_000_123,
    subject: 'sub',
    groupKey: 'g',
    dedupId: 'd',
    appId: 'app',
    deliverAt: 5,
    priority: 1000,
    expirationMs: 2 ** 40,
    contentType: 'größe',
    extra: [{ name: 'kafka.leader-epoch', value: { type: 'i32', value: 4 } }],
  }
  assert.deepEqual(again(attributes), attributes)
})

const headerValue: fc.Arbitrary<HeaderValue> = fc.oneof(
  fc.constant({ type: 'null', value: null } as const),
  fc.boolean().map((value) => ({ type: 'bool', value }) as const),
  fc.integer({ min: -128, max: 127 }).map((value) => ({ type: 'i8', value }) as const),
  fc.integer({ min: 0, max: 0xffff_ffff }).map((value) => ({ type: 'u32', value }) as const),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((value) => ({ type: 'i64', value }) as const),
  fc.double({ noNaN: true }).map((value) => ({ type: 'f64', value }) as const),
  fc.integer().map((value) => ({ type: 'timestamp', value }) as const),
  fc.string({ unit: 'grapheme' }).map((value) => ({ type: 'string', value }) as const),
  fc.uint8Array().map((value) => ({ type: 'bytes', value: Buffer.from(value) }) as const),
  fc
    .array(fc.integer(), { maxLength: 3 })
    .map((all): HeaderValue => ({ type: 'array', value: all.map((value) => ({ type: 'i32', value })) })),
)
const header: fc.Arbitrary<Header> = fc.record(
  {
    name: fc.oneof(fc.string({ unit: 'grapheme', maxLength: 300 }), fc.constantFrom('x-a', 'x-b', 'x-opt-anymq', 'plain')),
    value: headerValue,
  },
  { noNullPrototype: true },
)

test('any list of headers comes back in its order', () => {
  fc.assert(
    fc.property(fc.array(header, { maxLength: 8 }), (headers) => {
      assert.deepEqual(again({ key: null, value: Buffer.from('v'), headers }).headers, headers)
    }),
  )
})

test('bytes that are no AMQP 1.0 are the value, and come back as they were', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const envelope = encodeSingle(Buffer.from('f'), Buffer.from(bytes))
      const attributes = messageFormat.toAttributes(envelope)
      if (attributes.extra?.some(({ name }) => name === 'stream.raw') === true)
        assert.deepEqual(messageFormat.fromAttributes(attributes), envelope)
      assert.ok(Array.isArray(messageFormat.toAttributes(Buffer.from(bytes)).headers))
      assert.ok(openBatch(Buffer.from(bytes)).length <= Math.max(1, bytes.length * 0x10000))
    }),
  )
})

// ------------------------------------------------------------------------------------------------------------------ sub-batches

function subBatch(compression: number, bytes: Buffer, opened: number, records: number): Buffer {
  const payload = Buffer.alloc(7 + 11)
  payload[0] = 1
  payload.writeUInt16BE(1, 1)
  payload[7] = 0x80 | (compression << 4)
  payload.writeUInt16BE(records, 8)
  payload.writeUInt32BE(opened, 10)
  payload.writeUInt32BE(bytes.length, 14)
  return Buffer.concat([payload, bytes])
}

test('a sub-batch opens into its messages with each compression', () => {
  const inside = Buffer.concat([Buffer.from([0, 0, 0, 1, 97]), Buffer.from([0, 0, 0, 2, 98, 99])])
  const compressed: [number, Buffer][] = [
    [0, inside],
    [1, gzipSync(inside)],
    [3, Buffer.from(compressFrameSync(inside))],
    [4, zstdCompressSync(inside)],
  ]
  for (const [compression, bytes] of compressed) {
    const opened = batchFormat.open?.(subBatch(compression, bytes, inside.length, 2), 0) ?? []
    assert.deepEqual(
      opened.map((envelope) => messageFormat.toAttributes(envelope as Buffer).value?.toString()),
      ['a', 'bc'],
    )
  }
})

test('what retention by key leaves of a batch keeps its places', () => {
  const inside = Buffer.concat([Buffer.from([0, 0, 0, 1, 97]), Buffer.from([0, 0, 0, 2, 98, 99]), Buffer.from([0, 0, 0, 1, 100])])
  const payload = subBatch(1, gzipSync(inside), inside.length, 3)
  const values = (of: Buffer | null | undefined) =>
    batchFormat.open?.(of ?? Buffer.alloc(0), 0).map((each) => (each === null ? null : readSingle(each).message.toString()))
  assert.deepEqual(values(batchFormat.retain?.(payload, (index) => index === 1)), [null, 'bc'])
  const two = batchFormat.retain?.(payload, (index) => index !== 1) ?? Buffer.alloc(0)
  assert.deepEqual(values(two), ['a', null, 'd'])
  assert.deepEqual(values(batchFormat.retain?.(two, (index) => index === 2)), [null, null, 'd'])
  assert.equal(
    batchFormat.retain?.(two, () => false),
    null,
  )
})

test('a sub-batch that can not be opened is handed on whole, in as many places', () => {
  for (const payload of [
    subBatch(1, Buffer.from('no gzip'), 100, 3),
    subBatch(0, Buffer.from([0, 0, 0, 9, 1]), 5, 3),
    subBatch(1, gzipSync(Buffer.alloc(1000)), 10, 3),
  ]) {
    const opened = batchFormat.open?.(payload, 0) ?? []
    assert.equal(opened.length, 3)
    assert.deepEqual(readSingle(opened[0] as Buffer).message, payload.subarray(7))
    assert.deepEqual(opened.slice(1), [null, null])
  }
})
