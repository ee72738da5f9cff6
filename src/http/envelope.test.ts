import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Attributes } from '../core/record.ts'
import { envelopeFormat } from './envelope.ts'
import { attributesFromJson, attributesToJson } from './record-json.ts'

const full: Attributes = {
  key: Buffer.from('k'),
  value: Buffer.from([0xff, 0, 1]),
  headers: [
    { name: 'a', value: { type: 'i64', value: -9223372036854775808n } },
    { name: 'a', value: { type: 'f64', value: Number.NaN } },
    { name: 'b', value: { type: 'bytes', value: Buffer.from([1, 2]) } },
    { name: 'c', value: { type: 'decimal', value: { scale: 2, unscaled: -5 } } },
    {
      name: 'd',
      value: {
        type: 'table',
        value: [
          {
            name: 'x',
            value: {
              type: 'array',
              value: [
                { type: 'null', value: null },
                { type: 'bool', value: true },
              ],
            },
          },
        ],
      },
    },
  ],
  timestamp: 1,
  messageId: 'm',
  correlationId: 'c',
  replyTo: 'r',
  contentType: 'text/plain',
  priority: 3,
  persistent: false,
  extra: [{ name: 'z', value: { type: 'timestamp', value: 5 } }],
}

test('attributes survive the stored form', () => {
  assert.deepEqual(envelopeFormat.toAttributes(envelopeFormat.fromAttributes(full)), full)
})

test('a null value is not an empty one', () => {
  for (const value of [null, Buffer.alloc(0)]) {
    const attributes: Attributes = { key: null, value, headers: [] }
    assert.deepEqual(envelopeFormat.toAttributes(envelopeFormat.fromAttributes(attributes)), attributes)
  }
})

test('attributes survive JSON', () => {
  assert.deepEqual(attributesFromJson(JSON.parse(JSON.stringify(attributesToJson(full)))), full)
})

test('any bytes are read without throwing', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      assert(envelopeFormat.toAttributes(Buffer.from(bytes)).headers.length === 0)
    }),
  )
})
