// The codec: hot frames equal the table's bytes, every method survives a round trip, every split of a stream gives the same frames.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import { ByteReader, ByteWriter, shortText } from './bytes.ts'
import {
  ackFrameBytes,
  decodeProperties,
  deliverBytes,
  deliverPrefix,
  encodeProperties,
  FrameDecoder,
  FrameResult,
  FrameType,
  heartbeatFrame,
  methodFrame,
  type Properties,
  PropertyScan,
  writeAck,
  writeContentHeader,
  writeDeliver,
} from './codec.ts'
import { decodeMethod, keyOf, type MethodName, methods } from './methods.ts'
import { type FieldValue, readTable, type Table, text, writeTable } from './table.ts'

interface SeenFrame {
  readonly type: number
  readonly channel: number
  readonly payload: string
}

function decodeAll(chunks: readonly Buffer[], frameMax = 131_072): { frames: SeenFrame[]; error: string } {
  const decoder = new FrameDecoder()
  decoder.frameMax = frameMax
  const frames: SeenFrame[] = []
  for (const chunk of chunks) {
    decoder.push(chunk)
    for (;;) {
      const result = decoder.next()
      if (result === FrameResult.Error) return { frames, error: decoder.error }
      if (result === FrameResult.NeedBytes) break
      frames.push({
        type: decoder.type,
        channel: decoder.channel,
        payload: decoder.buffer.toString('hex', decoder.start, decoder.end),
      })
    }
  }
  return { frames, error: '' }
}

const everyType: Table = new Map<string, FieldValue>([
  ['t', { type: 't', value: true }],
  ['b', { type: 'b', value: -5 }],
  ['B', { type: 'B', value: 250 }],
  ['s', { type: 's', value: -300 }],
  ['u', { type: 'u', value: 65_000 }],
  ['I', { type: 'I', value: -70_000 }],
  ['i', { type: 'i', value: 4_000_000_000 }],
  ['l', { type: 'l', value: -(2n ** 60n) }],
  ['f', { type: 'f', value: 1.5 }],
  ['d', { type: 'd', value: Math.PI }],
  ['D', { type: 'D', scale: 2, value: 314 }],
  ['S', text('häß')],
  ['x', { type: 'x', value: Buffer.from([0, 255]) }],
  ['T', { type: 'T', value: 1_700_000_000 }],
  ['V', { type: 'V' }],
  ['F', { type: 'F', value: new Map([['in', text('ner')]]) }],
  ['A', { type: 'A', value: [text('a'), { type: 'V' }] }],
])

const sample = {
  octet: 7,
  short: 513,
  long: 4_000_000_001,
  longlong: 2 ** 52 + 3,
  bit: true,
  shortstr: 'namé',
  longstr: Buffer.from('long'),
  table: everyType,
} as const

test('every method of the table survives encoding and decoding', () => {
  for (const name of Object.keys(methods) as MethodName[]) {
    const fields = Object.fromEntries(Object.entries(methods[name].fields).map(([field, kind]) => [field, sample[kind]]))
    // The fields are built from the same table that types them.
    const frame = methodFrame(9, name, fields as never)
    assert.equal(frame.readUInt32BE(7), keyOf(name))
    assert.deepEqual(decodeMethod(frame, 7, frame.length - 1), { name, fields })
  }
})

test('bits share an octet, the first lowest, and a field between them begins a new one', () => {
  const frame = methodFrame(1, 'queue.declare', {
    ticket: 0,
    queue: 'q',
    passive: false,
    durable: true,
    exclusive: false,
    autoDelete: true,
    nowait: false,
    arguments: new Map(),
  })
  assert.equal(frame.subarray(7).toString('hex'), '0032000a' + '0000' + '0171' + '0a' + '00000000' + 'ce')
})

test('a basic.ack written by hand equals the table', () => {
  for (const [tag, multiple] of [
    [1, false],
    [2 ** 40 + 7, true],
  ] as const) {
    const slab = Buffer.alloc(ackFrameBytes)
    writeAck(slab, 0, 300, 80, tag, multiple)
    assert.deepEqual(slab, methodFrame(300, 'basic.ack', { deliveryTag: tag, multiple }))
    writeAck(slab, 0, 300, 120, tag, multiple)
    assert.deepEqual(slab, methodFrame(300, 'basic.nack', { deliveryTag: tag, multiple, requeue: false }))
  }
})

test('a basic.deliver written by hand equals the table, and its content header the codec', () => {
  const names = Buffer.from('\x02ex\x03key', 'latin1')
  const properties = new ByteWriter()
  encodeProperties(properties, { contentType: 'text/plain', deliveryMode: 2, headers: everyType })
  const source = Buffer.concat([names, properties.view()])
  const prefix = deliverPrefix(513, 'consumer')
  const size = deliverBytes(prefix.length, names.length, properties.length)
  const slab = Buffer.alloc(size)
  assert.equal(writeDeliver(slab, 0, prefix, 77, true, source, 0, names.length, names.length, source.length, 9), size)
  const method = methodFrame(513, 'basic.deliver', {
    consumerTag: 'consumer',
    deliveryTag: 77,
    redelivered: true,
    exchange: 'ex',
    routingKey: 'key',
  })
  assert.deepEqual(slab.subarray(0, method.length), method)
  const header = Buffer.alloc(size - method.length)
  writeContentHeader(header, 0, 2, 1, properties.view(), 0, properties.length, 9)
  assert.deepEqual(slab.subarray(method.length), header)
})

test('a stream gives the same frames however it is split', () => {
  const stream = Buffer.concat([
    methodFrame(1, 'basic.publish', { ticket: 0, exchange: '', routingKey: 'orders', mandatory: true, immediate: false }),
    heartbeatFrame,
    methodFrame(2, 'connection.start-ok', {
      clientProperties: everyType,
      mechanism: 'PLAIN',
      response: Buffer.from('\0a\0b'),
      locale: 'en_US',
    }),
    heartbeatFrame,
  ])
  const whole = decodeAll([stream])
  assert.equal(whole.frames.length, 4)
  assert.deepEqual(decodeAll([...stream].map((byte) => Buffer.from([byte]))), whole)
  for (let at = 0; at <= stream.length; at++)
    assert.deepEqual(decodeAll([stream.subarray(0, at), stream.subarray(at)]), whole, `split at ${at}`)
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: stream.length }), { maxLength: 6 }), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), stream.length]
      assert.deepEqual(decodeAll(at.slice(1).map((end, i) => stream.subarray(at[i], end))), whole)
    }),
  )
})

test('an oversize frame is refused by its length alone', () => {
  const head = Buffer.from([FrameType.Body, 0, 1, 0x7f, 0xff, 0xff, 0xff])
  assert.match(decodeAll([head]).error, /exceeds the negotiated maximum/)
  assert.match(decodeAll([...head].map((byte) => Buffer.from([byte]))).error, /exceeds the negotiated maximum/)
})

test('a frame without its end octet is refused', () => {
  const frame = Buffer.from(heartbeatFrame)
  frame[7] = 0
  assert.match(decodeAll([frame]).error, /invalid_frame_end_marker/)
})

test('random bytes give frames or an error, never a throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      decodeAll([Buffer.from(bytes)], 4096)
      try {
        decodeMethod(Buffer.from(bytes), 0, bytes.length)
      } catch (cause) {
        assert.ok(cause instanceof RangeError, String(cause))
      }
    }),
  )
})

test('a field table of every type comes back as it was', () => {
  const writer = new ByteWriter(4)
  writeTable(writer, everyType)
  assert.deepEqual(readTable(new ByteReader(writer.buffer, 0, writer.length)), everyType)
})

test('a table nested without end is refused, not recursed into', () => {
  let table: Table = new Map()
  for (let i = 0; i < 100; i++) table = new Map([['t', { type: 'F', value: table }]])
  const writer = new ByteWriter()
  writeTable(writer, table)
  assert.throws(() => readTable(new ByteReader(writer.buffer, 0, writer.length)), RangeError)
})

test('the property scan finds what a publish needs, for every combination of properties', () => {
  const all: Required<Properties> = {
    contentType: 'a/b',
    contentEncoding: 'gzip',
    headers: everyType,
    deliveryMode: 2,
    priority: 5,
    correlationId: 'c',
    replyTo: 'r',
    expiration: '60000',
    messageId: 'm',
    timestamp: 1_700_000_000,
    type: 't',
    userId: 'guest',
    appId: 'app',
    clusterId: 'cl',
  }
  const scan = new PropertyScan()
  fc.assert(
    fc.property(fc.subarray(Object.keys(all) as (keyof Properties)[]), (names) => {
      const properties: Properties = Object.fromEntries(names.map((name) => [name, all[name]]))
      const writer = new ByteWriter()
      encodeProperties(writer, properties)
      const bytes = writer.view()
      assert.ok(scan.scan(bytes, 0, bytes.length))
      assert.equal(scan.deliveryMode, properties.deliveryMode ?? 0)
      assert.equal(scan.priority, properties.priority ?? -1)
      assert.equal(0 <= scan.headers, properties.headers !== undefined)
      assert.equal(0 <= scan.userId && bytes.toString('latin1', scan.userId + 1, scan.userId + 6), properties.userId ?? false)
      assert.equal(
        0 <= scan.expiration && bytes.toString('latin1', scan.expiration + 1, scan.expiration + 6),
        properties.expiration ?? false,
      )
      assert.deepEqual(decodeProperties(bytes, 0, bytes.length), properties)
      assert.equal(scan.scan(bytes, 0, bytes.length - 1) && names.length !== 0, false)
    }),
  )
})

test('a short string is cut between characters', () => {
  const long = 'é'.repeat(200)
  assert.equal(Buffer.byteLength(shortText(long)), 254)
  assert.equal(shortText('plain'), 'plain')
})
