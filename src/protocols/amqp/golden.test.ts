/**
 * The codec against what real clients and RabbitMQ said to each other (golden/, recorded by scripts/capture.ts): every frame is understood, comes out
 * of our tables byte for byte, and is found whole however the stream is split.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ByteWriter } from './bytes.ts'
import { decodeProperties, encodeProperties, FrameDecoder, FrameResult, FrameType, protocolHeader } from './codec.ts'
import { decodeMethod, encodeMethod } from './methods.ts'

interface Frame {
  readonly from: 'client' | 'broker'
  readonly what: string
  readonly hex: string
}

const folder = new URL('golden/', import.meta.url)
const contentHeaderPropertiesAt = 12

function decodeAll(chunks: readonly Buffer[]): string[] {
  const decoder = new FrameDecoder()
  decoder.frameMax = 1 << 20
  const seen: string[] = []
  for (const chunk of chunks) {
    if (chunk.length > 0) decoder.push(chunk)
    for (;;) {
      const result = decoder.next()
      assert.notEqual(result, FrameResult.Error, decoder.error)
      if (result === FrameResult.NeedBytes) break
      seen.push(`${decoder.type} ${decoder.channel} ${decoder.buffer.toString('hex', decoder.start, decoder.end)}`)
    }
  }
  return seen
}

function withoutFrame(frame: Buffer): string {
  return `${frame[0]} ${frame.readUInt16BE(1)} ${frame.toString('hex', 7, frame.length - 1)}`
}

for (const file of readdirSync(folder)) {
  const all = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Frame[] // our own files
  const frames = all.filter(({ what }) => what !== 'header')

  test(`golden, ${file}: each method and content header survives the tables byte for byte`, () => {
    const kinds = new Set<string>()
    for (const { from, what, hex } of frames) {
      const frame = Buffer.from(hex, 'hex')
      const payload = frame.subarray(7, -1)
      if (frame[0] === FrameType.Method) {
        const method = decodeMethod(payload, 0, payload.length)
        assert(method !== undefined, what)
        const writer = new ByteWriter()
        encodeMethod(writer, method.name, method.fields)
        assert.equal(writer.buffer.toString('hex', 0, writer.length), payload.toString('hex'), `${from} ${what}`)
      } else if (frame[0] === FrameType.Header) {
        const writer = new ByteWriter()
        encodeProperties(writer, decodeProperties(payload, contentHeaderPropertiesAt, payload.length))
        assert.equal(
          writer.buffer.toString('hex', 0, writer.length),
          payload.toString('hex', contentHeaderPropertiesAt),
          `${from} ${what}`,
        )
      }
      kinds.add(what)
    }
    assert(kinds.size > 25, `only ${kinds.size} kinds of frames`)
    assert.deepEqual(Buffer.from(all.find(({ what }) => what === 'header')?.hex ?? '', 'hex'), protocolHeader)
  })

  test(`golden, ${file}: a stream split at any byte gives the same frames`, () => {
    for (const side of ['client', 'broker']) {
      const wholes = frames.filter(({ from }) => from === side).map(({ hex }) => Buffer.from(hex, 'hex'))
      const stream = Buffer.concat(wholes)
      const expected = wholes.map(withoutFrame)
      for (const step of [1, 2, 3, 5, 7, 64, 1000]) {
        const chunks: Buffer[] = []
        for (let at = 0; at < stream.length; at += step) chunks.push(stream.subarray(at, at + step))
        assert.deepEqual(decodeAll(chunks), expected, `${side}, in steps of ${step}`)
      }
      for (const [index, whole] of wholes.entries()) {
        for (let split = 0; split <= whole.length; split++) {
          assert.deepEqual(decodeAll([whole.subarray(0, split), whole.subarray(split)]), [expected[index]], `split at ${split}`)
        }
      }
    }
  })
}
