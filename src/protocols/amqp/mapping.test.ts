// Envelope ⇄ attributes: lossless for what AMQP itself can say, and for what other protocols say by way of the spare header.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Attributes, Header, HeaderValue } from '../../core/record.ts'
import { decodeEnvelope, encodeEnvelope, messageFormat } from './mapping.ts'
import { text } from './table.ts'

const again = (attributes: Attributes): Attributes => messageFormat.toAttributes(messageFormat.fromAttributes(attributes))

test('a message of this protocol crosses over and back byte-equal', () => {
  const envelope = encodeEnvelope(
    'ex',
    'a.b',
    {
      contentType: 'text/plain',
      headers: new Map([
        ['h', text('v')],
        ['n', { type: 'l', value: 5n }],
        ['v', { type: 'V' }],
      ]),
      deliveryMode: 2,
      priority: 3,
      correlationId: 'c',
      replyTo: 'r',
      expiration: '100',
      messageId: 'm',
      timestamp: 1_700_000_000,
      type: 't',
      userId: 'u',
      appId: 'a',
      clusterId: 'x',
    },
    Buffer.from('body'),
  )
  assert.deepEqual(decodeEnvelope(messageFormat.fromAttributes(messageFormat.toAttributes(envelope))), decodeEnvelope(envelope))
})

test('what AMQP has no word for comes back unharmed', () => {
  const attributes: Attributes = {
    key: Buffer.from([1, 2, 255]),
    value: null,
    timestamp: 1_700_000_000_123,
    subject: 'sub',
    groupKey: 'g',
    dedupId: 'd',
    deliverAt: 5,
    priority: 1000,
    correlationId: 'x'.repeat(300),
    headers: [
      { name: 'twice', value: { type: 'string', value: 'a' } },
      { name: 'twice', value: { type: 'bytes', value: Buffer.from([9]) } },
      { name: 'n'.repeat(300), value: { type: 'null', value: null } },
    ],
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
  fc.string({ unit: 'grapheme' }).map((value) => ({ type: 'string', value }) as const),
  fc.uint8Array().map((value) => ({ type: 'bytes', value: Buffer.from(value) }) as const),
)
const header: fc.Arbitrary<Header> = fc.record(
  { name: fc.string({ unit: 'grapheme', maxLength: 300 }), value: headerValue },
  { noNullPrototype: true },
)

test('any list of headers comes back in its order', () => {
  fc.assert(
    fc.property(fc.array(header, { maxLength: 8 }), (headers) => {
      assert.deepEqual(again({ key: null, value: Buffer.from('v'), headers }).headers, headers)
    }),
  )
})

test('bytes that are no envelope become a message, never an error', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      assert.ok(Array.isArray(messageFormat.toAttributes(Buffer.from(bytes)).headers))
    }),
  )
})
