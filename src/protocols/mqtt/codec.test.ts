/** The codec: packets survive every split, are written as the specification writes them, and what is malformed has its reason. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { frame } from './client.testing.ts'
import {
  encodePublish,
  PacketDecoder,
  type RawPacket,
  readAck,
  readConnect,
  readPublish,
  readSubscribe,
  Version,
} from './codec.ts'
import { MqttError, Reason } from './errors.ts'
import { encodeProperties, encodeVarint, Packet, type Properties, Reader, readProperties } from './properties.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

function decode(chunks: readonly Buffer[], bytesMax = 1e6): RawPacket[] {
  const decoder = new PacketDecoder(bytesMax)
  const packets: RawPacket[] = []
  for (const chunk of chunks) {
    decoder.push(chunk)
    for (let packet = decoder.next(); packet !== null; packet = decoder.next())
      packets.push({ ...packet, body: Buffer.from(packet.body) })
  }
  return packets
}

function only(bytes: Buffer): RawPacket {
  const [packet, ...more] = decode([bytes])
  assert.ok(packet !== undefined && more.length === 0)
  return packet
}

const reason =
  (expected: Reason) =>
  (cause: unknown): boolean =>
    cause instanceof MqttError && cause.reason === expected

const publishArbitrary = fc.record({
  topic: fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
    .filter((text) => text.isWellFormed() && !text.includes('\0')),
  qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
  retain: fc.boolean(),
  payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  userProperties: fc.array(fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom('', 'é'))) as fc.Arbitrary<[string, string][]>,
})

test('packets come back as they were, however the stream is cut', () => {
  fc.assert(
    fc.property(fc.array(publishArbitrary, { maxLength: 5 }), fc.array(fc.integer({ min: 1, max: 40 })), (messages, cuts) => {
      const stream = Buffer.concat(
        messages.map(({ userProperties, ...message }) => {
          const properties = encodeProperties({ userProperties })
          // Without the length that encodePublish writes itself.
          const list = properties.subarray(encodeVarint(properties.length - 1).length)
          return encodePublish({ ...message, duplicate: false, packetId: 7, properties: list }, Version.V5)
        }),
      )
      const chunks: Buffer[] = []
      let at = 0
      for (const cut of cuts) chunks.push(stream.subarray(at, (at += cut)))
      chunks.push(stream.subarray(at))
      const seen = decode(chunks).map((packet) => readPublish(packet, Version.V5))
      assert.equal(seen.length, messages.length)
      for (const [i, { userProperties, ...message }] of messages.entries()) {
        const { properties, packetId, duplicate: _, ...rest } = seen[i] as (typeof seen)[0]
        assert.deepEqual(rest, message)
        assert.equal(packetId, message.qos === 0 ? 0 : 7)
        assert.deepEqual(properties?.userProperties ?? [], userProperties)
      }
    }),
  )
})

test('a stream is read alike at every single split', () => {
  const stream = Buffer.concat([
    frame(Packet.Pingreq, 0),
    encodePublish(
      {
        topic: 'a',
        qos: 1,
        retain: false,
        duplicate: true,
        packetId: 9,
        properties: Buffer.alloc(0),
        payload: Buffer.alloc(130, 1),
      },
      Version.V311,
    ),
    frame(Packet.Puback, 0, [0, 1]),
  ])
  const whole = decode([stream])
  assert.deepEqual(
    whole.map(({ type }) => type),
    [12, 3, 4],
  )
  for (let split = 0; split <= stream.length; split++)
    assert.deepEqual(decode([stream.subarray(0, split), stream.subarray(split)]), whole)
  assert.deepEqual(decode([...stream].map((byte) => Buffer.from([byte]))), whole)
})

test('CONNECT is read field by field, and each flag that may not be is refused', () => {
  const packet = only(hex('10 1c 0004 4d515454 05 ce 000a 05 11 0000000a 0000 00 0001 61 0000 0000 0000'))
  const connect = readConnect(packet)
  assert.equal(connect.keepAlive, 10)
  assert.equal(connect.properties.sessionExpiry, 10)
  assert.deepEqual(connect.will, { topic: 'a', payload: Buffer.alloc(0), qos: 1, retain: false, properties: {} })
  assert.equal(connect.user, '')
  const flags = (version: number, value: number): RawPacket =>
    only(frame(1, 0, hex('0004 4d515454'), [version, value, 0, 0], version === 5 ? [0] : [], hex('0000')))
  assert.throws(() => readConnect(flags(4, 1)), reason(Reason.MalformedPacket), 'the reserved flag')
  assert.throws(() => readConnect(flags(4, 0x08)), reason(Reason.MalformedPacket), 'a QoS without a will')
  assert.throws(() => readConnect(flags(4, 0x1c)), reason(Reason.MalformedPacket), 'QoS 3')
  assert.throws(() => readConnect(flags(4, 0x40)), reason(Reason.MalformedPacket), 'a password alone')
  assert.throws(() => readConnect(flags(6, 2)), reason(Reason.UnsupportedVersion))
})

test('what is malformed is told apart from what breaks the protocol', () => {
  const properties = (text: string, packet: Packet): Properties => readProperties(new Reader(hex(text)), packet)
  assert.throws(() => properties('05 11 00000001', Packet.Publish), reason(Reason.MalformedPacket), 'not of this packet')
  assert.throws(() => properties('0a 11 00000001 11 00000002', Packet.Connect), reason(Reason.ProtocolError), 'twice')
  assert.throws(() => properties('03 21 0000', Packet.Connect), reason(Reason.ProtocolError), 'receive maximum 0')
  assert.throws(() => properties('02 01 02', Packet.Publish), reason(Reason.ProtocolError), 'a flag of 2')
  assert.throws(() => properties('02 7f 02', Packet.Publish), reason(Reason.MalformedPacket), 'unknown')
  assert.throws(() => properties('05 03 0002 61', Packet.Publish), reason(Reason.MalformedPacket), 'too short')
  assert.throws(() => decode([hex('30 ffffffff 7f')]), reason(Reason.MalformedPacket))
  assert.throws(() => decode([hex('30 ffff 7f')], 1000), reason(Reason.PacketTooLarge))
  assert.throws(() => readPublish(only(frame(3, 6, hex('0001 61 0001'))), Version.V311), reason(Reason.MalformedPacket))
  assert.throws(() => readPublish(only(frame(3, 2, hex('0001 61 0000'))), Version.V311), reason(Reason.MalformedPacket))
  assert.throws(() => readPublish(only(frame(3, 0, hex('0001 00'))), Version.V311), reason(Reason.MalformedPacket), 'U+0000')
  assert.throws(() => readPublish(only(frame(3, 0, hex('0001 ff'))), Version.V311), reason(Reason.MalformedPacket), 'no UTF-8')
  assert.throws(() => readAck(only(frame(6, 0, [0, 1])), Version.V311), reason(Reason.MalformedPacket), 'PUBREL flags')
  assert.throws(() => readSubscribe(only(frame(8, 2, [0, 1])), Version.V311), reason(Reason.ProtocolError), 'no filter')
  assert.throws(() => readSubscribe(only(frame(8, 2, hex('0001 0001 61 03'))), Version.V311), reason(Reason.MalformedPacket))
})

test('no bytes make it throw anything but its own error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(3, 4, 5), (bytes, version) => {
      try {
        for (const packet of decode([Buffer.from(bytes)], 1000)) {
          if (packet.type === Packet.Connect) readConnect(packet)
          if (packet.type === Packet.Publish) readPublish(packet, version as Version)
          if (packet.type === Packet.Subscribe) readSubscribe(packet, version as Version)
          if (packet.type === Packet.Puback) readAck(packet, version as Version)
        }
      } catch (cause) {
        assert.ok(cause instanceof MqttError, String(cause))
      }
    }),
    { numRuns: 500 },
  )
})
