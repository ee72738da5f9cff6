/**
 * The codec against what real clients and Apache Kafka said to each other (golden/, recorded by scripts/capture.ts): every frame is understood to
 * its last byte, comes out of our tables byte for byte, and is found whole however the stream is split.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { type Api, ApiKey, apis, encodeRequest, encodeResponse, FrameDecoder, readRequestHeader, skipTags } from './codec.ts'
import { KafkaError } from './errors.ts'
import { readProduceRequest } from './handlers/produce.ts'
import { Reader } from './wire.ts'

interface Frame {
  readonly from: 'client' | 'broker'
  readonly what: string
  readonly hex: string
}

const folder = new URL('golden/', import.meta.url)

function framesOf(file: string): Frame[] {
  return JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Frame[] // our own files
}

/** The message's row; undefined when it, or its version, is not in our tables. */
function apiOf({ what }: Frame): { api: Api; version: number } | undefined {
  const [key, version] = what.split(' v').map(Number)
  const api = apis.get(key ?? -1)
  return api === undefined || version === undefined || version < api.from || version > api.to ? undefined : { api, version }
}

for (const file of readdirSync(folder)) {
  const frames = framesOf(file)

  test(`golden, ${file}: each request and answer survives the tables byte for byte`, () => {
    let known = 0
    for (const frame of frames) {
      const found = apiOf(frame)
      if (found === undefined) continue
      const { api } = found
      const bytes = Buffer.from(frame.hex, 'hex')
      const reader = new Reader(bytes)
      // KIP-511: a version that the broker does not know is answered in the oldest form.
      const refused =
        frame.from === 'broker' && api.key === ApiKey.ApiVersions && bytes.readInt16BE(4) === KafkaError.UnsupportedVersion
      const version = refused ? 0 : found.version
      const what = `${frame.from} ${api.name} v${version}`
      if (frame.from === 'client') {
        const { correlationId, clientId } = readRequestHeader(reader)
        const body = api.request.decode(reader, version)
        // librdkafka leaves bytes behind the null array of topics that asks for all of them; Apache Kafka, too, reads past them.
        const extra = clientId === 'rdkafka' && api.key === ApiKey.Metadata && body['topics'] === null ? reader.remaining() : 0
        assert.equal(reader.remaining(), extra, what)
        const expected = bytes.subarray(0, bytes.length - extra)
        assert.deepEqual(encodeRequest(api, version, correlationId, clientId, body).subarray(4), expected, what)
      } else {
        const correlationId = reader.int32()
        if (version >= api.flexible && api.key !== ApiKey.ApiVersions) skipTags(reader)
        const body = api.response.decode(reader, version)
        assert.equal(reader.remaining(), 0, what)
        assert.deepEqual(Buffer.concat(encodeResponse(api, version, correlationId, body)).subarray(4), bytes, what)
      }
      known++
    }
    assert(known > 20, `only ${known} of ${frames.length} frames are of known kinds`)
  })

  test(`golden, ${file}: produce requests read by hand are as the table reads them`, () => {
    const requests = frames.filter(({ from, what }) => from === 'client' && what.startsWith('0 v'))
    assert(requests.length > 0)
    for (const frame of requests) {
      const { api, version } = apiOf(frame) ?? assert.fail(frame.what)
      const body = (): Reader => {
        const reader = new Reader(Buffer.from(frame.hex, 'hex'))
        readRequestHeader(reader)
        return reader
      }
      const table = api.request.decode(body(), version)
      const byHand = readProduceRequest(body(), version)
      assert.deepEqual(
        [byHand.transactionalId, byHand.acks, byHand.timeoutMs],
        [table['transactionalId'] ?? null, table['acks'], table['timeoutMs']],
      )
      const parts: unknown[] = []
      for (const topic of table['topicData']) {
        for (const { index, records } of topic.partitionData) parts.push([topic.name ?? '', index, records])
      }
      assert.deepEqual(
        byHand.parts.map(({ topic, index, records }) => [topic, index, records]),
        parts,
      )
    }
  })

  test(`golden, ${file}: a stream split at any byte gives the same frames`, () => {
    const wholes = frames.filter(({ from }) => from === 'client').map(({ hex }) => Buffer.from(hex, 'hex'))
    const stream = Buffer.concat(
      wholes.map((whole) => {
        const size = Buffer.alloc(4)
        size.writeInt32BE(whole.length)
        return Buffer.concat([size, whole])
      }),
    )
    const expected = wholes.map((whole) => whole.toString('hex'))
    for (const step of [1, 2, 3, 5, 7, 64, 1000]) {
      const seen: string[] = []
      const decoder = new FrameDecoder(1 << 20, (frame) => seen.push(frame.toString('hex')))
      for (let at = 0; at < stream.length; at += step) decoder.push(stream.subarray(at, at + step))
      assert.deepEqual(seen, expected, `in steps of ${step}`)
    }
    const short = stream.subarray(0, 4 + (wholes[0]?.length ?? 0))
    for (let split = 0; split <= short.length; split++) {
      const seen: string[] = []
      const decoder = new FrameDecoder(1 << 20, (frame) => seen.push(frame.toString('hex')))
      decoder.push(short.subarray(0, split))
      decoder.push(short.subarray(split))
      assert.deepEqual(seen, expected.slice(0, 1), `split at ${split}`)
    }
  })
}
