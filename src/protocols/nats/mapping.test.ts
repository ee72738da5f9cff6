/** Envelopes to attributes and back: nothing is lost, nothing throws. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Attributes } from '../../core/record.ts'
import { encodeEnvelope, messageFormat } from './mapping.ts'

const message = (reply: string, headers: string, payload: string): Buffer =>
  encodeEnvelope(reply, Buffer.byteLength(headers), Buffer.from(headers + payload))

test('reply subject, headers and status are attributes, and come back as they were', () => {
  const headers = 'NATS/1.0 503 No Responders\r\nColour: blue\r\ncolour: red\r\nColour: green\r\nanymq.correlation-id: c1\r\n\r\n'
  const envelope = message('_INBOX.1', headers, 'body')
  const attributes = messageFormat.toAttributes(envelope)
  assert.deepEqual(attributes, {
    key: null,
    value: Buffer.from('body'),
    headers: [
      { name: 'Colour', value: { type: 'string', value: 'blue' } },
      { name: 'colour', value: { type: 'string', value: 'red' } },
      { name: 'Colour', value: { type: 'string', value: 'green' } },
    ],
    replyTo: '_INBOX.1',
    correlationId: 'c1',
    extra: [{ name: 'nats.status', value: { type: 'string', value: '503 No Responders' } }],
  })
  assert.equal(String(messageFormat.fromAttributes(attributes)), String(envelope))
})

test('a record of another protocol comes back from a NATS program as it was', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 12 })
  const value = fc.oneof(
    text.map((each) => ({ type: 'string' as const, value: each })),
    fc.uint8Array({ maxLength: 8 }).map((each) => ({ type: 'bytes' as const, value: Buffer.from(each) })),
    fc.integer({ min: -1000, max: 1000 }).map((each) => ({ type: 'i32' as const, value: each })),
    fc.constant({ type: 'null' as const, value: null }),
  )
  // Names that headers of this project bear mean what they say, so no header can be called so.
  const name = text.filter((each) => !each.startsWith('anymq.'))
  const attributes = fc.record(
    {
      key: fc.option(fc.uint8Array({ maxLength: 6 }).map((each) => Buffer.from(each))),
      value: fc.option(fc.uint8Array({ maxLength: 20 }).map((each) => Buffer.from(each))),
      headers: fc.array(fc.record({ name, value }, { noNullPrototype: true }), { maxLength: 5 }),
      replyTo: text.filter((each) => each !== ''),
      correlationId: text,
      priority: fc.nat(255),
      persistent: fc.boolean(),
    },
    { requiredKeys: ['key', 'value', 'headers'], noNullPrototype: true },
  )
  fc.assert(
    fc.property(attributes, (original) => {
      const back = messageFormat.toAttributes(messageFormat.fromAttributes(original as Attributes))
      assert.deepEqual(back, original)
    }),
  )
})

test('bytes that are no envelope are all payload', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const { value } = messageFormat.toAttributes(Buffer.from(bytes))
      assert.ok(value !== null && value.length <= bytes.length)
    }),
  )
  assert.deepEqual(messageFormat.toAttributes(Buffer.from('x')), { key: null, value: Buffer.from('x'), headers: [] })
})
