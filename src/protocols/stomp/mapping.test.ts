/** The mapping: attributes survive the way through a STOMP message, and what is no envelope is handed on whole. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Attributes } from '../../core/record.ts'
import { decodeEnvelope, encodeEnvelope, messageFormat } from './mapping.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 12 })
const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }).map((each) => `h-${each}`)
const attributes: fc.Arbitrary<Attributes> = fc.record(
  {
    key: fc.option(fc.uint8Array({ maxLength: 6 }).map((each) => Buffer.from(each))),
    value: fc.uint8Array({ maxLength: 20 }).map((each) => Buffer.from(each)),
    headers: fc.uniqueArray(
      fc.oneof(
        fc.record({ name, value: text.map((value) => ({ type: 'string' as const, value })) }, { noNullPrototype: true }),
        fc.record({ name, value: fc.integer().map((value) => ({ type: 'i32' as const, value })) }, { noNullPrototype: true }),
        fc.record(
          {
            name,
            value: fc.uint8Array({ maxLength: 5 }).map((value) => ({ type: 'bytes' as const, value: Buffer.from(value) })),
          },
          { noNullPrototype: true },
        ),
      ),
      { maxLength: 4, selector: (header) => header.name },
    ),
    timestamp: fc.integer({ min: 0, max: 2 ** 45 }),
    messageId: text,
    correlationId: text,
    replyTo: text,
    contentType: text,
    contentEncoding: text,
    type: text,
    groupKey: text,
    priority: fc.nat(255),
    expirationMs: fc.nat(),
    persistent: fc.boolean(),
    userId: text,
  },
  { requiredKeys: ['key', 'value', 'headers'], noNullPrototype: true },
)

test('attributes survive the way through a STOMP message', () => {
  fc.assert(
    fc.property(attributes, (given) => {
      assert.deepEqual(messageFormat.toAttributes(messageFormat.fromAttributes(given)), given)
    }),
    { numRuns: 500 },
  )
})

test('a message keeps its own headers and destination, and nothing of its frame', () => {
  const envelope = encodeEnvelope(
    [
      ['destination', '/queue/a'],
      ['receipt', 'r'],
      ['content-length', '1'],
      ['odd:name', 'odd\nvalue'],
    ],
    Buffer.from('x'),
  )
  assert.deepEqual(
    [...decodeEnvelope(envelope).headers],
    [
      ['destination', '/queue/a'],
      ['odd:name', 'odd\nvalue'],
    ],
  )
  assert.deepEqual(messageFormat.toAttributes(envelope).extra, [
    { name: 'stomp.destination', value: { type: 'string', value: '/queue/a' } },
  ])
})

test('anything at all has attributes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      messageFormat.toAttributes(Buffer.from(bytes))
    }),
  )
  assert.deepEqual(messageFormat.toAttributes(Buffer.from('none')).value, Buffer.from('none'))
})
