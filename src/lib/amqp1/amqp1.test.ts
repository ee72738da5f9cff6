// Values and messages of AMQP 1.0: bytes of the specification and of a real client, round trips of anything, and no harm from any bytes.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeMessage, encodeMessage, type Message } from './message.ts'
import { encodeValue, MalformedValue, type Pair, type Value, ValueReader } from './value.ts'

const decode = (hex: string): Value => new ValueReader(Buffer.from(hex, 'hex')).read()

test('each form of each type (part 1, 1.6) is read', () => {
  const forms: [string, Value][] = [
    ['40', { type: 'null', value: null }],
    ['41', { type: 'boolean', value: true }],
    ['5600', { type: 'boolean', value: false }],
    ['50ff', { type: 'ubyte', value: 255 }],
    ['60ffff', { type: 'ushort', value: 65535 }],
    ['43', { type: 'uint', value: 0 }],
    ['52ff', { type: 'uint', value: 255 }],
    ['70fffffffe', { type: 'uint', value: 0xfffffffe }],
    ['44', { type: 'ulong', value: 0n }],
    ['53ff', { type: 'ulong', value: 255n }],
    ['80ffffffffffffffff', { type: 'ulong', value: 2n ** 64n - 1n }],
    ['51ff', { type: 'byte', value: -1 }],
    ['61ff00', { type: 'short', value: -256 }],
    ['54f9', { type: 'int', value: -7 }],
    ['7180000000', { type: 'int', value: -(2 ** 31) }],
    ['55f9', { type: 'long', value: -7n }],
    ['818000000000000000', { type: 'long', value: -(2n ** 63n) }],
    ['723fc00000', { type: 'float', value: 1.5 }],
    ['823ff8000000000000', { type: 'double', value: 1.5 }],
    ['740102030f', { type: 'decimal32', value: Buffer.from('0102030f', 'hex') }],
    ['730001f600', { type: 'char', value: 0x1f600 }],
    ['830000018bcfe74a40', { type: 'timestamp', value: 1_700_000_123_456n }],
    ['98000102030405060708090a0b0c0d0e0f', { type: 'uuid', value: Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex') }],
    ['a00201ff', { type: 'binary', value: Buffer.from([1, 255]) }],
    ['b10000000367c3bc', { type: 'string', value: 'gü' }],
    ['a3026162', { type: 'symbol', value: 'ab' }],
    ['45', { type: 'list', value: [] }],
    [
      'c00302' + '4142',
      {
        type: 'list',
        value: [
          { type: 'boolean', value: true },
          { type: 'boolean', value: false },
        ],
      },
    ],
    [
      'c10502a1016141',
      {
        type: 'map',
        value: [
          [
            { type: 'string', value: 'a' },
            { type: 'boolean', value: true },
          ],
        ],
      },
    ],
    [
      'e0060260' + '00010002',
      {
        type: 'array',
        value: [
          { type: 'ushort', value: 1 },
          { type: 'ushort', value: 2 },
        ],
      },
    ],
    ['00a3016441', { type: 'described', descriptor: { type: 'symbol', value: 'd' }, value: { type: 'boolean', value: true } }],
  ]
  for (const [hex, value] of forms) assert.deepEqual(decode(hex), value, hex)
})

const leaf: fc.Arbitrary<Value> = fc.oneof(
  fc.constant<Value>({ type: 'null', value: null }),
  fc.boolean().map((value): Value => ({ type: 'boolean', value })),
  fc.integer({ min: 0, max: 255 }).map((value): Value => ({ type: 'ubyte', value })),
  fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }).map((value): Value => ({ type: 'short', value })),
  fc.integer({ min: 0, max: 2 ** 32 - 1 }).map((value): Value => ({ type: 'uint', value })),
  fc.integer().map((value): Value => ({ type: 'int', value })),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value): Value => ({ type: 'ulong', value })),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((value): Value => ({ type: 'long', value })),
  fc.double().map((value): Value => ({ type: 'double', value })),
  fc.string({ unit: 'grapheme', maxLength: 300 }).map((value): Value => ({ type: 'string', value })),
  fc.string({ unit: 'grapheme-ascii' }).map((value): Value => ({ type: 'symbol', value })),
  fc.uint8Array({ maxLength: 300 }).map((value): Value => ({ type: 'binary', value: Buffer.from(value) })),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map((value): Value => ({ type: 'uuid', value: Buffer.from(value) })),
)
const { value: anyValue } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie('value'), { maxLength: 4 }).map((value): Value => ({ type: 'list', value })),
    fc.array(fc.tuple(leaf, tie('value')), { maxLength: 4 }).map((value): Value => ({ type: 'map', value })),
    fc
      .array(fc.integer(), { minLength: 1, maxLength: 4 })
      .map((all): Value => ({ type: 'array', value: all.map((value) => ({ type: 'int', value })) })),
    fc.tuple(leaf, tie('value')).map(([descriptor, value]): Value => ({ type: 'described', descriptor, value })),
  ),
}))

test('any value comes back from its bytes', () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const bytes = encodeValue(value)
      const reader = new ValueReader(bytes)
      assert.deepEqual(reader.read(), value)
      assert.ok(reader.done)
    }),
  )
})

const pairs: fc.Arbitrary<Pair[]> = fc.array(fc.tuple(leaf, anyValue), { maxLength: 3 })
const present = leaf.filter((value) => value.type !== 'null')
const message: fc.Arbitrary<Message> = fc.record(
  {
    header: fc.record({ durable: present, ttl: present }, { requiredKeys: [], noNullPrototype: true }),
    deliveryAnnotations: pairs,
    messageAnnotations: pairs,
    properties: fc.record({ messageId: present, replyToGroupId: present }, { requiredKeys: [], noNullPrototype: true }),
    applicationProperties: pairs,
    body: fc.oneof(
      fc
        .array(
          fc.uint8Array().map((bytes) => Buffer.from(bytes)),
          { minLength: 1, maxLength: 3 },
        )
        .map((sections) => ({ kind: 'data', sections }) as const),
      fc
        .array(fc.array(anyValue, { maxLength: 3 }), { minLength: 1, maxLength: 3 })
        .map((sections) => ({ kind: 'sequence', sections }) as const),
      anyValue.map((value) => ({ kind: 'value', value }) as const),
    ),
    footer: pairs,
  },
  { requiredKeys: ['body'], noNullPrototype: true },
)

test('any message comes back from its bytes', () => {
  fc.assert(fc.property(message, (each) => assert.deepEqual(decodeMessage(encodeMessage(each)), each)))
})

test('a message of the Go stream client is read', () => {
  const bytes = Buffer.from(
    '005372d10000001700000002a306782d6e6f7465a109616e6e6f7461746564' +
      '005373d0000000480000000ca10269644040a1077375626a656374a1077265706c696573a10b636f7272656c6174696f6ea30a746578742f706c61696e4040830000018bcfe74a40a10567726f757043' +
      '005374d1000000440000000aa103696e7471fffeee90a1046c6f6e67810000010000000000a104626f6f6c41a106646f75626c65823ff8000000000000a10474657874a1076772c3b6c39f65' +
      '005375a004626f6479',
    'hex',
  )
  const { body, properties, applicationProperties, messageAnnotations } = decodeMessage(bytes)
  assert.deepEqual(body, { kind: 'data', sections: [Buffer.from('body')] })
  assert.deepEqual(properties?.messageId, { type: 'string', value: 'id' })
  assert.deepEqual(properties?.creationTime, { type: 'timestamp', value: 1_700_000_123_456n })
  assert.equal(applicationProperties?.length, 5)
  assert.deepEqual(messageAnnotations, [
    [
      { type: 'symbol', value: 'x-note' },
      { type: 'string', value: 'annotated' },
    ],
  ])
})

test('bytes that are no message are refused, whatever they are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decodeMessage(Buffer.from(bytes))
      } catch (cause) {
        assert.ok(cause instanceof MalformedValue, String(cause))
      }
    }),
    { numRuns: 2000 },
  )
  // A message cut short anywhere, and one with any byte changed.
  fc.assert(
    fc.property(message, fc.nat(), fc.nat(255), (each, place, byte) => {
      const bytes = encodeMessage(each)
      const changed = Buffer.from(bytes)
      changed[place % bytes.length] = byte
      for (const wrong of [bytes.subarray(0, place % bytes.length), changed]) {
        try {
          decodeMessage(wrong)
        } catch (cause) {
          assert.ok(cause instanceof MalformedValue, String(cause))
        }
      }
    }),
  )
})

test('a few bytes can not ask for much memory: empty elements and depth are bounded', () => {
  // An array of four billion nulls, one of 70 000, and a list nested deeper than the limit.
  assert.throws(() => decode('f000000005ffffffff40'), MalformedValue)
  assert.throws(() => decode('f0000000050001117040'), MalformedValue)
  assert.throws(() => decode(`${'00'.repeat(40)}40`), MalformedValue)
  assert.equal((decode('f0000000050000006440').value as readonly Value[]).length, 100)
})
