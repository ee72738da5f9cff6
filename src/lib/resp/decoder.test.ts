/** Requests are read the same however they are cut, and what is no request is refused before it is kept. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encode } from './client.testing.ts'
import { Decoder, ProtocolError, splitWords } from './decoder.ts'
import type { Request } from './request.ts'

const limits = { bulkBytesMax: 1024 * 1024, requestBytesMax: 4 * 1024 * 1024, stranger: false }

/** Each argument in every way in which it can be had, which have to agree. */
function readOne(request: Request): string[] {
  const texts: string[] = []
  for (let index = 0; index < request.length; index++) {
    const text = request.text(index)
    const copied = Buffer.alloc(request.size(index) + 2, '.')
    assert.equal(request.copy(index, copied, 1), copied.length - 1)
    assert.equal(copied.toString(), `.${text}.`)
    assert.equal(request.bytes(index).toString(), text)
    assert.equal(request.upper(index), text.toUpperCase())
    texts.push(text)
  }
  assert.equal(request.text(request.length) + request.upper(request.length), '')
  assert.deepEqual(
    request.all.map((arg) => arg.toString()),
    texts,
  )
  return texts
}

function readAll(chunks: readonly Buffer[]): string[][] {
  const decoder = new Decoder(limits)
  const found: string[][] = []
  for (const chunk of chunks) {
    decoder.push(chunk)
    for (let request = decoder.next(); request !== null; request = decoder.next()) found.push(readOne(request))
  }
  return found
}

const stream = Buffer.concat([
  encode(['SET', 'key', 'a value\r\nwith lines']),
  Buffer.from('PING\r\n'),
  encode(['GET', '']),
  Buffer.from('*0\r\n*-1\r\n\r\n'),
  Buffer.from('set "a b" \'c\'\n'),
  encode(['MSET', 'x'.repeat(300), 'y'.repeat(5000), 'z', '']),
])
const expected = [
  ['SET', 'key', 'a value\r\nwith lines'],
  ['PING'],
  ['GET', ''],
  ['set', 'a b', 'c'],
  ['MSET', 'x'.repeat(300), 'y'.repeat(5000), 'z', ''],
]

test('a stream of requests is read alike in every cut', () => {
  assert.deepEqual(readAll([stream]), expected)
  assert.deepEqual(readAll([...stream].map((byte) => Buffer.from([byte]))), expected)
  for (let at = 1; at < stream.length; at += 7) assert.deepEqual(readAll([stream.subarray(0, at), stream.subarray(at)]), expected)
})

test('lengths beyond the limits, and what is no request, are refused in the words of Redis', () => {
  const refused = (bytes: string, stranger = false): string => {
    const decoder = new Decoder({ ...limits, stranger })
    decoder.push(Buffer.from(bytes))
    try {
      decoder.next()
    } catch (cause) {
      assert.ok(cause instanceof ProtocolError)
      return cause.message
    }
    return ''
  }
  assert.equal(refused('*1\r\n$1048577\r\n'), 'Protocol error: invalid bulk length')
  assert.equal(refused('*1\r\n$-1\r\n'), 'Protocol error: invalid bulk length')
  assert.equal(refused('*1\r\n$x\r\n'), 'Protocol error: invalid bulk length')
  assert.equal(refused('*1048577\r\n'), 'Protocol error: invalid multibulk length')
  assert.equal(refused('*abc\r\n'), 'Protocol error: invalid multibulk length')
  assert.equal(refused('*1\r\n+x\r\n'), "Protocol error: expected '$', got '+'")
  assert.equal(refused('x'.repeat(70_000)), 'Protocol error: too big inline request')
  assert.equal(refused(`*${'1'.repeat(70_000)}`), 'Protocol error: too big mbulk count string')
  assert.equal(refused('get "a\r\n'), 'Protocol error: unbalanced quotes in request')
  assert.equal(refused('POST / HTTP/1.1\r\n'), 'Protocol error: HTTP is not spoken here')
  assert.equal(refused('host: a\r\n'), 'Protocol error: HTTP is not spoken here')
  assert.equal(refused('*11\r\n', true), 'Protocol error: unauthenticated multibulk length')
  assert.equal(refused('*1\r\n$16385\r\n', true), 'Protocol error: unauthenticated bulk length')
  assert.equal(refused('*5\r\n'.concat('$1048576\r\n', 'x'.repeat(1048576), '\r\n').repeat(1)), '')
  const many = `*9\r\n${`$1048576\r\n${'x'.repeat(1048576)}\r\n`.repeat(5)}`
  assert.match(refused(many), /a request takes at most/)
})

test('a large argument grows with its bytes, not with what was announced', () => {
  const decoder = new Decoder({ bulkBytesMax: 512 * 1024 * 1024, requestBytesMax: 512 * 1024 * 1024, stranger: false })
  const value = Buffer.alloc(3 * 1024 * 1024, 'v')
  const request = encode(['SET', 'k', value])
  let found: Request | null = null
  for (let at = 0; at < request.length; at += 65_536) {
    assert.equal(found, null)
    decoder.push(request.subarray(at, at + 65_536))
    found = decoder.next()
  }
  assert.ok(found?.bytes(2).equals(value))
})

test('words of a line', () => {
  assert.deepEqual(splitWords("  a  \"b\\x41\\n\" 'it\\'s' "), ['a', 'bA\n', "it's"])
  assert.equal(splitWords('"a"b'), null)
})
