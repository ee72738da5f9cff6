/** QoS 2 through kills of the broker: what a client sends and takes by the rules of the specification arrives once, in order. */
import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TestClient } from '../../../src/protocols/mqtt/client.testing.ts'
import { readPublish, Version } from '../../../src/protocols/mqtt/codec.ts'
import { Packet } from '../../../src/protocols/mqtt/properties.ts'
import { type AnyMQ, startAnyMQ } from '../anymq.ts'
import { runCases, until, within } from '../cases/cases.ts'

const messages = 3000
const kills = 6
const session = { version: Version.V5, clean: false, properties: { sessionExpiry: 0xffffffff } } as const

/** Connects again after each kill, for as long as `going` says. */
async function reconnecting(
  port: () => number,
  clientId: string,
  going: () => boolean,
  run: (client: TestClient) => Promise<void>,
): Promise<void> {
  while (going()) {
    try {
      await run(await TestClient.connected(port(), { ...session, clientId }))
    } catch {
      // Killed, or not up yet.
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

await runCases({
  'QoS 2 both ways, exactly once': async () => {
    const data = mkdtempSync(join(tmpdir(), 'anymq-mqtt-'))
    let broker: AnyMQ = await startAnyMQ({ data })
    const { portOffset } = broker
    const port = (): number => 1883 + portOffset

    const got: string[] = []
    /** Received and not released yet: by the packet identifier. */
    const received = new Set<number>()
    const subscribing = await TestClient.connected(port(), { ...session, clientId: 'taker' })
    await subscribing.subscribe('exactly/once', { qos: 2 })
    await subscribing.disconnect()
    const taking = reconnecting(
      port,
      'taker',
      () => got.length < messages,
      async (client) => {
        for (let packet = await client.next(); packet !== null; packet = await client.next()) {
          if (packet.type === Packet.Publish) {
            const { packetId, payload } = readPublish(packet, Version.V5)
            if (!received.has(packetId)) got.push(String(payload))
            received.add(packetId)
            client.ack(Packet.Pubrec, packetId)
          } else if (packet.type === Packet.Pubrel) {
            const packetId = packet.body.readUInt16BE(0)
            received.delete(packetId)
            client.ack(Packet.Pubcomp, packetId)
          }
          if (got.length >= messages && received.size === 0) {
            await client.quiet()
            return client.destroy()
          }
        }
        throw new Error('the connection ended')
      },
    )

    let next = 0
    let half: 'publish' | 'release' | null = null
    const sending = reconnecting(
      port,
      'giver',
      () => next < messages,
      async (client) => {
        while (next < messages) {
          const packetId = (next % 65_535) + 1
          if (half !== 'release') {
            client.publish('exactly/once', String(next), { qos: 2, packetId, duplicate: half === 'publish' })
            half = 'publish'
            await client.packet(Packet.Pubrec)
          }
          half = 'release'
          client.ack(Packet.Pubrel, packetId)
          await client.packet(Packet.Pubcomp)
          half = null
          next++
        }
        await client.destroy()
      },
    )

    for (let kill = 1; kill <= kills; kill++) {
      await until(`message ${kill * 400}`, () => next >= kill * 400, 30_000)
      broker.process.kill('SIGKILL')
      await broker.process.exited
      broker = await startAnyMQ({ data, portOffset })
    }
    await within(60_000, 'all messages', Promise.all([sending, taking]))
    assert.deepEqual(
      got,
      Array.from({ length: messages }, (_, i) => String(i)),
    )
    await broker.stop()
  },
})
