/** Bytes to operations: every split, every limit, every kind of bad line. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Decoder, Op } from './codec.ts'
import { NatsError } from './errors.ts'

const limits = { controlLineBytesMax: 64, payloadBytesMax: 1000 }

/** Everything that the decoder makes of the chunks, as text. */
function read(...chunks: (string | Buffer)[]): string[] {
  const decoder = new Decoder(limits)
  const found: string[] = []
  for (const chunk of chunks) {
    decoder.push(Buffer.from(chunk as string))
    for (let op = decoder.next(); op !== Op.More; op = decoder.next()) found.push(show(decoder, op))
  }
  return found
}

function show(decoder: Decoder, op: Op): string {
  const { subject, reply, queue, sid, max, headerBytes, payload, json } = decoder
  if (op === Op.Publish) return `pub ${subject} <${reply}> ${headerBytes} ${payload}`
  if (op === Op.Subscribe) return `sub ${subject} <${queue}> ${sid}`
  if (op === Op.Unsubscribe) return `unsub ${sid} ${max}`
  if (op === Op.Connect) return `connect ${json.trim()}`
  return op === Op.Ping ? 'ping' : 'pong'
}

const conversation =
  'CONNECT {"verbose":false,"name":"ü"}\r\nPING\r\nPUB a.b 5\r\nhello\r\npub\ta.b   r.1\t0\r\n\r\n' +
  'HPUB a.b 16 21\r\nNATS/1.0\r\nA:\r\n\r\nhello\r\nhpub c _INBOX.1 12 12\r\nNATS/1.0\r\n\r\n\r\nHPUB d 0 2\r\nhi\r\n' +
  'SUB a.* 1\r\nSub a.> workers 22\r\nUNSUB 1\r\nUNSUB 22 5\r\nPUB ünter 7\r\nPING\r\n\n\r\nPONG\n+OK\r\nPING\r\n'
const expected = [
  'connect {"verbose":false,"name":"ü"}',
  'ping',
  'pub a.b <> 0 hello',
  'pub a.b <r.1> 0 ',
  'pub a.b <> 16 NATS/1.0\r\nA:\r\n\r\nhello',
  'pub c <_INBOX.1> 12 NATS/1.0\r\n\r\n',
  'pub d <> 0 hi',
  'sub a.* <> 1',
  'sub a.> <workers> 22',
  'unsub 1 -1',
  'unsub 22 5',
  'pub ünter <> 0 PING\r\n\n',
  'pong',
  'ping',
]

test('a conversation is the same however it is cut', () => {
  const bytes = Buffer.from(conversation)
  assert.deepEqual(read(bytes), expected)
  for (let at = 0; at <= bytes.length; at++)
    assert.deepEqual(read(bytes.subarray(0, at), bytes.subarray(at)), expected, `at ${at}`)
  assert.deepEqual(read(...Array.from(bytes, (byte) => Buffer.from([byte]))), expected)
})

test('what is published comes out, whatever it is', () => {
  const word = fc.string({ minLength: 1, maxLength: 5 }).filter((text) => text.isWellFormed() && !/\s/.test(text))
  const message = fc.record({ subject: word, reply: fc.option(word, { nil: '' }), payload: fc.uint8Array({ maxLength: 60 }) })
  fc.assert(
    fc.property(fc.array(message), fc.integer({ min: 1, max: 40 }), (messages, size) => {
      const bytes = Buffer.concat(
        messages.flatMap(({ subject, reply, payload }) => [
          Buffer.from(`PUB ${subject} ${reply} ${payload.length}\r\n`),
          Buffer.from(payload),
          Buffer.from('\r\n'),
        ]),
      )
      const chunks: Buffer[] = []
      for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size))
      const wanted = messages.map(({ subject, reply, payload }) => `pub ${subject} <${reply}> 0 ${Buffer.from(payload)}`)
      assert.deepEqual(read(...chunks), wanted)
    }),
  )
})

for (const [text, error] of [
  ['HELLO\r\n', 'Unknown Protocol Operation'],
  ['GET / HTTP/1.1', 'Unknown Protocol Operation'],
  ['\r\n', 'Unknown Protocol Operation'],
  ['x'.repeat(10_000), 'Unknown Protocol Operation'],
  ['PUB a 2\r\nabc\r\n', 'Unknown Protocol Operation'],
  ['PUB a\r\n', 'Parser Error'],
  ['PUB a b c 1\r\n', 'Parser Error'],
  ['PUB a b c d e 1\r\n', 'Parser Error'],
  ['PUB a -1\r\n', 'Parser Error'],
  ['PUB a 1x\r\n', 'Parser Error'],
  ['PUB a 99999999999\r\n', 'Parser Error'],
  ['HPUB a 12\r\n', 'Parser Error'],
  ['HPUB a 20 12\r\n', 'Parser Error'],
  ['HPUB a 3 12\r\n', 'Parser Error'],
  ['SUB a\r\n', 'Parser Error'],
  ['SUB a b c d\r\n', 'Parser Error'],
  ['UNSUB\r\n', 'Parser Error'],
  ['UNSUB 1 x\r\n', 'Parser Error'],
  ['PUB a 1001\r\n', 'Maximum Payload Violation'],
  [`SUB ${'a'.repeat(70)} 1\r\n`, 'maximum control line exceeded'],
  [`PUB ${'a'.repeat(200)}`, 'maximum control line exceeded'],
] as const) {
  test(`refused: ${JSON.stringify(text.slice(0, 40))}`, () => {
    const refusal = (cause: unknown): boolean => cause instanceof NatsError && cause.message === error
    assert.throws(() => read(text), refusal)
    assert.throws(() => read(...text), refusal)
  })
}

test('a payload that is too large is refused before a byte of it is there', () => {
  assert.throws(() => read('PUB a 1001\r'.concat('\n')), { message: 'Maximum Payload Violation' })
})
