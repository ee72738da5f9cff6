/** Frames byte by byte: at every split, with every length, and ids both ways. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Decoder, FrameType, type Output, parseNumber, placeOf, placeOfId, writeMessage, writeText } from './codec.ts'
import { quoted } from './names.ts'

class Written implements Output {
  slab = Buffer.alloc(4096)
  #at = 0
  #bytes: Buffer[] = []

  reserve(): number {
    return this.#at
  }
  commit(bytes: number): void {
    this.#bytes.push(Buffer.from(this.slab.subarray(this.#at, this.#at + bytes)))
    this.#at += bytes
  }
  write(bytes: Uint8Array): void {
    this.#bytes.push(Buffer.from(bytes))
  }
  get hex(): string {
    return Buffer.concat(this.#bytes).toString('hex')
  }
}

test('frames as the reference server writes them', () => {
  const text = new Written()
  writeText(text, FrameType.Response, 'OK')
  assert.equal(text.hex, '00000006000000004f4b')
  const error = new Written()
  writeText(error, FrameType.Error, 'E_\xff')
  assert.equal(error.hex, '0000000700000001455fff')
  const message = new Written()
  const ms = 1_700_000_000_123
  writeMessage(message, 0xbeef, placeOf(5, 0x2_3456_789a), ms, 70_000, Buffer.from('body'))
  const time = (BigInt(ms) * 1_000_000n).toString(16).padStart(16, '0')
  const id = Buffer.from('beef00523456789a').toString('hex')
  assert.equal(message.hex, `00000022${'00000002'}${time}ffff${id}626f6479`)
})

test('times are exact to the nanosecond that a millisecond has', () => {
  for (const ms of [0, 1, 999, 2 ** 20, 2 ** 32 - 1, 1_800_000_000_001, 4_102_444_800_999]) {
    const written = new Written()
    writeMessage(written, 0, 0, ms, 1, Buffer.alloc(0))
    assert.equal(BigInt(`0x${written.hex.slice(16, 32)}`), BigInt(ms) * 1_000_000n, `${ms}`)
  }
})

test('ids lead back to their places, and what is no id of the topic leads nowhere', () => {
  for (const [tag, partition, offset] of [
    [0, 0, 0],
    [0xffff, 0, 2 ** 36 - 1],
    [7, 4095, 12_345_678_901],
  ] as const) {
    const written = new Written()
    writeMessage(written, tag, placeOf(partition, offset), 0, 1, Buffer.alloc(0))
    const id = Buffer.from(written.hex.slice(36, 68), 'hex').toString()
    assert.equal(placeOfId(id, tag), placeOf(partition, offset))
    assert.equal(placeOfId(id, tag ^ 1), -1)
  }
  for (const id of ['000000000000000G', '0x00000000000001', '00000000000000FF', '               1', ''])
    assert.equal(placeOfId(id, 0), -1, id)
})

test('lines and bodies at every split', () => {
  const body = Buffer.from('a body\nwith lines')
  const size = Buffer.alloc(4)
  size.writeInt32BE(body.length)
  const stream = Buffer.concat([Buffer.from('PUB t\r\n'), size, body, Buffer.from('NOP\n\nFIN\xff\n', 'latin1')])
  for (let first = 0; first <= stream.length; first++) {
    for (const second of new Set([first, Math.min(first + 3, stream.length), stream.length])) {
      const decoder = new Decoder()
      const found: (string | number)[] = []
      let wants: 'line' | 'size' | 'body' = 'line'
      for (const piece of [stream.subarray(0, first), stream.subarray(first, second), stream.subarray(second)]) {
        decoder.push(piece)
        for (;;) {
          const next = wants === 'line' ? decoder.line(100) : wants === 'size' ? decoder.size() : decoder.body(body.length)
          if (next === null) break
          found.push(Buffer.isBuffer(next) ? next.toString() : next)
          if (next === 'PUB t') wants = 'size'
          else wants = wants === 'size' ? 'body' : 'line'
        }
      }
      assert.deepEqual(found, ['PUB t', body.length, body.toString(), 'NOP', '', 'FIN\xff'])
      assert.equal(decoder.remaining().length, 0)
    }
  }
})

test('a line that does not end is refused before more of it is kept', () => {
  const decoder = new Decoder()
  decoder.push(Buffer.alloc(99, 'x'))
  assert.equal(decoder.line(100), null)
  decoder.push(Buffer.alloc(1, 'x'))
  assert.equal(decoder.line(100), 'tooLong')
})

test('numbers as the reference server reads them', () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ['0', 0],
    ['', 0],
    ['007', 7],
    ['3600000', 3_600_000],
    ['9223372036854775808', -(2 ** 63)],
    ['-1', undefined],
    ['+1', undefined],
    ['1.5', undefined],
    [' 1', undefined],
  ]
  for (const [text, value] of cases) assert.equal(parseNumber(text), value, text)
})

test('names are quoted as Go does', () => {
  const latin1 = (text: string): string => Buffer.from(text).toString('latin1')
  for (const [name, expected] of [
    ['plain', '"plain"'],
    ['a"b\\c', '"a\\"b\\\\c"'],
    ['\t\n\x7f\x00', '"\\t\\n\\x7f\\x00"'],
    ['\xff\xfe', '"\\xff\\xfe"'],
    [latin1('größe'), `"${latin1('größe')}"`],
    [latin1('\u200b\u{10ffff}'), '"\\u200b\\U0010ffff"'],
  ] as const)
    assert.equal(quoted(name), expected)
})
