/** Attributes as a flat list and back: nothing is lost, whatever their types. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { addFlatHeaders, addFlatTexts, flatHeaders, flatTexts } from './flat-headers.ts'
import type { Attributes, Header, HeaderValue } from './record.ts'

const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((text) => !text.startsWith('anymq.'))
const text = fc.string({ unit: 'grapheme', maxLength: 20 })
const bytes = fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array))
const { value } = fc.letrec<{ value: HeaderValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant<HeaderValue>({ type: 'null', value: null }),
    fc.boolean().map((each): HeaderValue => ({ type: 'bool', value: each })),
    fc.integer({ min: -128, max: 127 }).map((each): HeaderValue => ({ type: 'i8', value: each })),
    fc.integer().map((each): HeaderValue => ({ type: 'i32', value: each })),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((each): HeaderValue => ({ type: 'i64', value: each })),
    fc.double().map((each): HeaderValue => ({ type: 'f64', value: each })),
    fc.integer({ min: 0 }).map((each): HeaderValue => ({ type: 'timestamp', value: each })),
    fc.nat(1e6).map((unscaled): HeaderValue => ({ type: 'decimal', value: { scale: 2, unscaled } })),
    text.map((each): HeaderValue => ({ type: 'string', value: each })),
    bytes.map((each): HeaderValue => ({ type: 'bytes', value: each })),
    fc.array(tie('value'), { maxLength: 3 }).map((each): HeaderValue => ({ type: 'array', value: each })),
    fc
      .array(fc.record({ name, value: tie('value') }, { noNullPrototype: true }), { maxLength: 3 })
      .map((each): HeaderValue => ({ type: 'table', value: each })),
  ),
}))
const header: fc.Arbitrary<Header> = fc.record({ name, value }, { noNullPrototype: true })
const whole = fc.integer({ min: 0, max: 2 ** 48 })
const attributes: fc.Arbitrary<Attributes> = fc.record(
  {
    key: fc.option(bytes),
    value: fc.oneof(fc.constant(null), bytes),
    headers: fc.array(header, { maxLength: 5 }),
    timestamp: whole,
    messageId: text,
    correlationId: text,
    replyTo: text,
    contentType: text,
    contentEncoding: text,
    type: text,
    subject: text,
    expirationMs: whole,
    priority: whole,
    deliverAt: whole,
    groupKey: text,
    dedupId: text,
    userId: text,
    appId: text,
    persistent: fc.boolean(),
    extra: fc.array(header, { minLength: 1, maxLength: 3 }),
  },
  { requiredKeys: ['key', 'value', 'headers'], noNullPrototype: true },
)

test('attributes come back from a flat list as they were', () => {
  fc.assert(
    fc.property(attributes, (original) => {
      const back: Attributes = { key: null, value: original.value ?? Buffer.alloc(0), headers: [] }
      addFlatHeaders(back, flatHeaders(original, new Set()))
      assert.deepEqual(back, original)
    }),
    { numRuns: 500 },
  )
})

test('attributes come back from a flat list of texts as they were', () => {
  fc.assert(
    fc.property(attributes, (original) => {
      const back: Attributes = { key: null, value: original.value ?? Buffer.alloc(0), headers: [] }
      addFlatTexts(back, flatTexts(original, new Set()))
      assert.deepEqual(back, original)
    }),
    { numRuns: 500 },
  )
})

test('text alone needs no list of types, and what the protocol has a place for is left out', () => {
  const given: Attributes = {
    key: Buffer.from('k'),
    value: Buffer.from('v'),
    headers: [{ name: 'a', value: { type: 'string', value: 'b' } }],
    contentType: 'text/plain',
    messageId: 'm',
  }
  const flat = flatHeaders(given, new Set(['key', 'contentType'] as const))
  assert.deepEqual(
    flat.map(({ name: each, bytes: content }) => `${each}=${content}`),
    ['a=b', 'anymq.message-id=m'],
  )
})

test('a list of types that does not fit leaves text', () => {
  const back: Attributes = { key: null, value: null, headers: [] }
  addFlatHeaders(back, [
    { name: 'n', bytes: Buffer.from('not a number') },
    { name: 'anymq.types', bytes: Buffer.from('n=i32&=&x=%zz') },
    { name: 'anymq.priority', bytes: Buffer.from('high') },
  ])
  assert.deepEqual(back.headers, [
    { name: 'n', value: { type: 'string', value: 'not a number' } },
    { name: 'anymq.priority', value: { type: 'string', value: 'high' } },
  ])
})
