/** Envelope ⇄ attributes: nothing is lost on the way there and back, whoever produced it, and damage throws nothing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Attributes, HeaderValue } from '../../core/record.ts'
import { decodeMessage, encodeMessage, type Message, messageFormat, messageOf } from './mapping.ts'

const message: Message = {
  id: '34d282f0-3449-40c0-8c5e-611685e9ef3b',
  body: 'größe',
  attributes: [
    { name: 'text', type: 'String', value: 'v' },
    { name: 'labelled', type: 'String.custom', value: 'w' },
    { name: 'whole', type: 'Number', value: '12' },
    { name: 'exact', type: 'Number.float', value: '1.50' },
    { name: 'bytes', type: 'Binary.png', value: 'AP8=' },
  ],
  group: 'g',
  dedup: 'd',
  sequence: '00000000000000000007',
  trace: 'Root=1',
}

test('a message is decoded as it was encoded', () => {
  assert.deepEqual(decodeMessage(encodeMessage(message)), message)
})

test('a message keeps its attributes, types and ids through the attributes of a record', () => {
  const attributes = messageFormat.toAttributes(encodeMessage(message))
  assert.equal(attributes.messageId, message.id)
  assert.deepEqual([attributes.groupKey, attributes.dedupId], ['g', 'd'])
  assert.deepEqual(
    attributes.headers.map(({ name, value }) => [name, value.type, value.value]),
    [
      ['text', 'string', 'v'],
      ['labelled', 'string', 'w'],
      ['whole', 'i64', 12n],
      ['exact', 'string', '1.50'],
      ['bytes', 'bytes', Buffer.from([0, 255])],
    ],
  )
  const again = messageOf(attributes)
  const plain = again.attributes.filter(({ name }) => name !== 'anymq.types')
  assert.deepEqual({ ...again, attributes: plain }, message)
})

test('a message id that a program set by hand comes before the queue’s own', () => {
  const attributes = [{ name: 'anymq.message-id', type: 'String', value: 'mine' }]
  assert.equal(messageFormat.toAttributes(encodeMessage({ ...message, attributes })).messageId, 'mine')
})

test('any record comes back from a message as it was, in at most ten attributes', () => {
  const value: fc.Arbitrary<HeaderValue> = fc.oneof(
    fc.string().map((text): HeaderValue => ({ type: 'string', value: text.toWellFormed() })),
    fc.uint8Array({ maxLength: 20 }).map((bytes): HeaderValue => ({ type: 'bytes', value: Buffer.from(bytes) })),
    fc.integer().map((number): HeaderValue => ({ type: 'i32', value: number })),
    fc.boolean().map((flag): HeaderValue => ({ type: 'bool', value: flag })),
    fc.constant<HeaderValue>({ type: 'null', value: null }),
  )
  const name = fc
    .string({ minLength: 1, maxLength: 12 })
    .filter((each) => each.isWellFormed() && !/^(anymq|sqs|sns)\./.test(each))
  const record = fc.record(
    {
      key: fc.option(fc.uint8Array({ minLength: 1, maxLength: 10 }).map((bytes) => Buffer.from(bytes))),
      value: fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
      headers: fc.uniqueArray(fc.record({ name, value }, { noNullPrototype: true }), {
        maxLength: 14,
        selector: (header) => header.name,
      }),
      correlationId: fc.string({ minLength: 1 }).map((text) => text.toWellFormed()),
      timestamp: fc.nat(),
    },
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(record, (attributes: Attributes) => {
      const shown = messageOf(attributes)
      assert.ok(shown.attributes.length <= 10)
      const { headers, ...rest } = messageFormat.toAttributes(encodeMessage(shown))
      const { headers: sent, ...others } = attributes
      assert.deepEqual(rest, others)
      // Their order may change where not all of them have room.
      const sorted = (list: Attributes['headers']) => [...list].sort((a, b) => (a.name < b.name ? -1 : 1))
      assert.deepEqual(sorted(headers), sorted(sent))
    }),
  )
})

test('damaged envelopes are bodies', () => {
  for (const bytes of [Buffer.alloc(0), Buffer.from([1, 0, 0]), Buffer.from([1, 255, 255, 255, 255, 0]), Buffer.from('1234567')])
    assert.equal(messageFormat.toAttributes(bytes).value?.toString(), bytes.toString())
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void messageFormat.toAttributes(Buffer.from(bytes))))
})
