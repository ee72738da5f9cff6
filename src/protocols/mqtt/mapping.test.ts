/** Names and envelopes: what is mapped comes back, and nothing makes it throw. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Attributes } from '../../core/record.ts'
import { decodeEnvelope, encodeEnvelope, messageFormat } from './mapping.ts'
import { isLoose, matches, parseFilter, swap } from './names.ts'
import { encodePropertyList } from './properties.ts'

test('names are swapped and come back', () => {
  assert.equal(swap('sensors/1/temp'), 'sensors.1.temp')
  assert.equal(swap('/a.b/'), '.a/b.')
  fc.assert(fc.property(fc.string(), (name) => swap(swap(name)) === name))
  assert.equal(parseFilter('sensors/+/a.b/#')?.pattern, 'sensors.*.a/b.#')
})

test('filters are those of 4.7', () => {
  for (const bad of ['', 'a+', 'a/#/b', '#a', 'a/b#', '$share/g', '$share//a', '$share/g/', '$share/+/a'])
    assert.equal(parseFilter(bad), undefined, bad)
  assert.deepEqual(parseFilter('$share/g/a/+'), { text: '$share/g/a/+', group: 'g', filter: 'a/+', pattern: 'a.*' })
  const cases: [string, string, boolean][] = [
    ['sport/#', 'sport', true],
    ['sport/#', 'sport/a/b', true],
    ['sport/+', 'sport', false],
    ['sport/+', 'sport/', true],
    ['+', '/a', false],
    ['+/+', '/a', true],
    ['/+', '/a', true],
    ['#', '$SYS/a', false],
    ['+/a', '$SYS/a', false],
    ['$SYS/#', '$SYS/a', true],
    ['a/*', 'a/b', false],
    ['a/b', 'a/b/c', false],
  ]
  for (const [filter, name, expected] of cases) assert.equal(matches(filter, name), expected, `${filter} ${name}`)
  const loose = ['#', '+/a', 'a/*/b', 'a/#'].map((text) =>
    isLoose(parseFilter(text) as NonNullable<ReturnType<typeof parseFilter>>),
  )
  assert.deepEqual(loose, [true, true, true, false])
})

test('an envelope says all that it was given', () => {
  const properties = encodePropertyList({
    contentType: 'text/plain',
    responseTopic: 'reply/to',
    correlationData: Buffer.from('c1'),
    userProperties: [
      ['a', '1'],
      ['a', '2'],
    ],
    payloadFormat: 1,
  })
  const envelope = {
    qos: 2,
    retain: true,
    fromStore: false,
    expirySeconds: 60,
    clientId: 'é',
    properties,
    payload: Buffer.from('x'),
  } as const
  assert.deepEqual(decodeEnvelope(encodeEnvelope(envelope)), envelope)
  const attributes = messageFormat.toAttributes(encodeEnvelope(envelope))
  assert.equal(attributes.contentType, 'text/plain')
  assert.equal(attributes.replyTo, 'reply.to')
  assert.equal(attributes.correlationId, 'c1')
  assert.equal(attributes.expirationMs, 60_000)
  assert.equal(attributes.persistent, true)
  assert.deepEqual(
    attributes.headers.map(({ name, value }) => [name, value.value]),
    [
      ['a', '1'],
      ['a', '2'],
    ],
  )
  assert.deepEqual(messageFormat.toAttributes(messageFormat.fromAttributes(attributes)), attributes)
})

test('a foreign record comes back with its types', () => {
  const attributes: Attributes = {
    key: Buffer.from('k'),
    value: Buffer.from('v'),
    headers: [
      { name: 'n', value: { type: 'i32', value: 5 } },
      { name: 's', value: { type: 'string', value: 't' } },
      { name: 'b', value: { type: 'bytes', value: Buffer.from([0, 255]) } },
    ],
    messageId: 'm',
    priority: 3,
    persistent: true,
  }
  assert.deepEqual(messageFormat.toAttributes(messageFormat.fromAttributes(attributes)), attributes)
})

test('any bytes are an envelope', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const first = Buffer.from(bytes)
      messageFormat.toAttributes(first)
      if (first.length > 0) first[0] = 1
      messageFormat.fromAttributes(messageFormat.toAttributes(first))
    }),
  )
})
