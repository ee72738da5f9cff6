/** The codec: every frame survives every split, escapes are those of the version, and what is no frame, or too large a one, is refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BadFrame, encodeFrame, type Frame, FrameDecoder, Version } from './codec.ts'

const limits = { bodyBytesMax: 10_000, headersMax: 20, lineBytesMax: 200 }

function decode(chunks: readonly Buffer[], version: Version = Version.V12): Frame[] {
  const decoder = new FrameDecoder(limits)
  decoder.version = version
  const frames: Frame[] = []
  for (const chunk of chunks) {
    decoder.push(chunk)
    for (let frame = decoder.next(); frame !== null; frame = decoder.next()) frames.push(frame)
  }
  return frames
}

const plain = ({ command, headers, body }: Frame): unknown => [command, [...headers], body.toString('latin1')]
const text = fc.string({ unit: fc.constantFrom('a', 'é', '\\', '\n', '\r', ':', ' '), maxLength: 8 })
const frame = fc.record({
  headers: fc.uniqueArray(fc.tuple(text, text), { maxLength: 5, selector: ([name]) => name }),
  body: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
})

test('frames come back as they were, however the stream is cut', () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 4 }), fc.array(fc.integer({ min: 1, max: 30 })), (frames, cuts) => {
      const stream = Buffer.concat(
        frames.flatMap(({ headers, body }) => [
          Buffer.from('\n'),
          encodeFrame('SEND', [...headers, ['content-length', String(body.length)]], body, Version.V12),
        ]),
      )
      const chunks: Buffer[] = []
      let at = 0
      for (const cut of cuts) chunks.push(stream.subarray(at, (at += cut)))
      chunks.push(stream.subarray(at))
      const expected = frames.map(({ headers, body }) => [
        'SEND',
        [...new Map([...headers, ['content-length', String(body.length)]] as [string, string][])],
        body.toString('latin1'),
      ])
      assert.deepEqual(decode(chunks.filter(({ length }) => length > 0)).map(plain), expected)
    }),
  )
})

test('a body without a length ends at the first NUL, at every split', () => {
  const stream = Buffer.from('SEND\r\ndestination:/queue/a\r\n\r\nhello\0\n\nSEND\ndestination:b\n\n\0')
  for (let split = 0; split <= stream.length; split++) {
    const frames = decode([stream.subarray(0, split), stream.subarray(split)].filter(({ length }) => length > 0))
    assert.deepEqual(
      frames.map(({ headers, body }) => [headers.get('destination'), String(body)]),
      [
        ['/queue/a', 'hello'],
        ['b', ''],
      ],
    )
  }
})

test('escapes are those of the version; CONNECT has none; of repeated headers the first counts', () => {
  const one = (lines: string, version: Version): string | undefined =>
    decode([Buffer.from(`SEND\n${lines}\n\n\0`)], version)[0]?.headers.get('k')
  assert.equal(one('k:a\\c\\n\\\\', Version.V12), 'a:\n\\')
  assert.equal(one('k:a\\rb', Version.V12), 'a\rb')
  assert.throws(() => one('k:a\\rb', Version.V11), BadFrame)
  assert.throws(() => one('k:a\\t', Version.V12), BadFrame)
  assert.equal(one('k:a\\tb', Version.V10), 'a\\tb')
  assert.equal(one('k: padded', Version.V10), 'padded')
  assert.equal(one('k: kept', Version.V12), ' kept')
  assert.equal(one('k:first\nk:second', Version.V12), 'first')
  assert.equal(decode([Buffer.from('CONNECT\npasscode:a\\tb\n\n\0')])[0]?.headers.get('passcode'), 'a\\tb')
})

test('what goes beyond a limit is refused before it is there', () => {
  const refused = (bytes: string): void => assert.throws(() => decode([Buffer.from(bytes)]), BadFrame, bytes.slice(0, 40))
  refused('x'.repeat(201))
  refused(`SEND\nk:${'x'.repeat(300)}`)
  refused(`SEND\n${'a:b\n'.repeat(21)}`)
  refused('SEND\ncontent-length:10001\n\n')
  refused('SEND\ncontent-length:-1\n\n')
  refused('SEND\ncontent-length:two\n\n')
  refused(`SEND\n\n${'x'.repeat(10_001)}`)
  refused('SEND\nno colon\n\n\0')
  refused('SEND\ncontent-length:1\n\nab')
})
