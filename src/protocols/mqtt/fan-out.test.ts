/** A thousand subscribers and two that do not read: the others get everything, the two cost what their limits say and no more. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import { SystemClock } from '../../lib/timers.ts'
import type { RunningBroker } from '../../server/start.ts'
import { frame, TestClient } from './client.testing.ts'
import { Packet, readPublish, Version } from './codec.ts'

const subscribers = 1000
const messages = 60
const largeBytes = 512 * 1024
const largeMessages = 30
const outboundBytesMax = 256 * 1024
/** What the kernel takes for a peer that does not read: at most what Linux grants by default, on both sides. */
const kernelBytesMax = 10 * 1024 * 1024

let broker: RunningBroker
after(() => broker.stop())

test('a subscriber that does not read neither slows the others nor grows', async () => {
  broker = await startTestBroker({
    clock: new SystemClock(),
    only: ['mqtt'],
    limits: { outboundBytesMax },
  })
  const port = portOf(broker, 'mqtt')
  const stalled = await TestClient.connected(port, { clientId: 'stalled' })
  await stalled.subscribe('fan/#')
  const kept = await TestClient.connected(port, {
    clientId: 'kept',
    clean: false,
    properties: { sessionExpiry: 1000, receiveMaximum: 10 },
  })
  await kept.subscribe('fan/#', { qos: 1 })
  for (const client of [stalled, kept]) client.pause()
  const readers = await Promise.all(
    Array.from({ length: subscribers }, async () => {
      const client = await TestClient.connected(port)
      await client.subscribe('fan/small')
      return client
    }),
  )
  const publisher = await TestClient.connected(port)
  const large = 'L'.repeat(largeBytes)
  for (let i = 0; i < messages; i++) {
    await publisher.published('fan/small', String(i))
    if (i < largeMessages) await publisher.published('fan/large', large)
  }
  for (const reader of readers) for (let i = 0; i < messages; i++) assert.equal(await reader.text(), `fan/small ${i}`)

  // One more message may be on its way when the limit is met, and for the session ten.
  const outOf = (name: string): number => broker.broker.connections().find((each) => each.clientName === name)?.bytesOut ?? 0
  assert(outOf('stalled') < outboundBytesMax + largeBytes + kernelBytesMax, `${outOf('stalled')} bytes`)
  assert(outOf('kept') < 11 * largeBytes, `${outOf('kept')} bytes`)

  // Who reads again is connected still: live messages were lost, those of the session were not.
  for (const client of [stalled, kept]) client.resume()
  stalled.raw(frame(Packet.Pingreq, 0))
  let heard = 0
  while ((await stalled.next())?.type === Packet.Publish) heard++
  assert(heard < messages + largeMessages, `${heard} messages`)
  await publisher.published('fan/small', 'last')
  assert.equal(await stalled.text(), 'fan/small last')
  const seen: string[] = []
  while (seen.length < messages + largeMessages + 1) {
    const { payload, packetId } = readPublish(await kept.packet(Packet.Publish), Version.V5)
    seen.push(payload.length === largeBytes ? 'large' : String(payload))
    kept.ack(Packet.Puback, packetId)
  }
  assert.deepEqual(
    seen,
    Array.from({ length: messages }, (_, i) => (i < largeMessages ? [String(i), 'large'] : [String(i)]))
      .flat()
      .concat('last'),
  )
})
