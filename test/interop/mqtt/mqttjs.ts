/** MQTT.js in 3.1.1 and 5.0; over WebSocket with the argument `websocket`. */
import assert from 'node:assert/strict'
import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt'
import { runCases, setting, unique, until } from '../cases/cases.ts'

const url = process.argv[2] === 'websocket' ? setting('MQTT_WEBSOCKET') : `mqtt://${setting('MQTT')}`

interface Seen {
  readonly topic: string
  readonly text: string
  readonly packet: IPublishPacket
}

async function connected(options: IClientOptions = {}): Promise<{ client: MqttClient; seen: Seen[]; present: () => boolean }> {
  const client = mqtt.connect(url, { reconnectPeriod: 0, clientId: unique('mqttjs'), ...options })
  const seen: Seen[] = []
  let present: boolean | undefined
  client.on('message', (topic, payload, packet) => seen.push({ topic, text: payload.toString(), packet }))
  client.on('connect', ({ sessionPresent }) => {
    present = sessionPresent
  })
  client.on('error', () => undefined)
  await until('CONNACK', () => present !== undefined)
  return { client, seen, present: () => present === true }
}

const cases: Record<string, () => Promise<void>> = {}
for (const protocolVersion of [4, 5] as const) {
  const name = protocolVersion === 4 ? '3.1.1' : '5.0'

  cases[`each QoS in order, MQTT ${name}`] = async () => {
    const topic = unique('qos')
    for (const qos of [0, 1, 2] as const) {
      const { client, seen } = await connected({ protocolVersion })
      await client.subscribeAsync(topic, { qos })
      await Promise.all(Array.from({ length: 500 }, (_, i) => client.publishAsync(topic, String(i), { qos })))
      await until('500 messages', () => seen.length === 500)
      assert.deepEqual(
        seen.map(({ text }) => Number(text)),
        Array.from({ length: 500 }, (_, i) => i),
      )
      assert.ok(seen.every(({ packet }) => packet.qos === qos && !packet.retain))
      await client.endAsync()
    }
  }

  cases[`a session that is away, MQTT ${name}`] = async () => {
    const topic = unique('away')
    const properties = protocolVersion === 5 ? { properties: { sessionExpiryInterval: 600 } } : {}
    const options: IClientOptions = { protocolVersion, clean: false, clientId: unique('session'), ...properties }
    const first = await connected(options)
    assert.equal(first.present(), false)
    await first.client.subscribeAsync(topic, { qos: 2 })
    await first.client.endAsync()
    const sender = await connected({ protocolVersion })
    for (let i = 0; i < 100; i++) await sender.client.publishAsync(topic, String(i), { qos: i % 2 === 0 ? 1 : 2 })
    await sender.client.endAsync()
    const again = await connected(options)
    assert.equal(again.present(), true)
    await until('100 messages', () => again.seen.length >= 100)
    // In order for each QoS: the library shows what has QoS 2 when it is released, and QoS 1 at once.
    for (const rest of [0, 1]) {
      const texts = again.seen.map(({ text }) => Number(text)).filter((number) => number % 2 === rest)
      assert.deepEqual(
        texts,
        Array.from({ length: 50 }, (_, i) => 2 * i + rest),
      )
    }
    await again.client.endAsync()
  }

  cases[`a message of 3 MB, MQTT ${name}`] = async () => {
    const topic = unique('large')
    const { client, seen } = await connected({ protocolVersion })
    await client.subscribeAsync(topic, { qos: 1 })
    await client.publishAsync(topic, 'x'.repeat(3_000_000), { qos: 1 })
    await until('the message', () => seen.length === 1)
    assert.equal(seen[0]?.text.length, 3_000_000)
    await client.endAsync()
  }
}

cases['topic aliases, subscription identifiers and user properties'] = async () => {
  const topic = unique('properties')
  const { client, seen } = await connected({ protocolVersion: 5, autoAssignTopicAlias: true })
  await client.subscribeAsync(topic, { qos: 1, properties: { subscriptionIdentifier: 77 } })
  for (let i = 0; i < 10; i++)
    await client.publishAsync(topic, String(i), {
      qos: 1,
      properties: { userProperties: { n: String(i) }, messageExpiryInterval: 60 },
    })
  await until('ten messages', () => seen.length === 10)
  for (const [i, { packet, topic: heard }] of seen.entries()) {
    assert.equal(heard, topic)
    assert.equal(packet.properties?.subscriptionIdentifier, 77)
    assert.equal(packet.properties?.userProperties?.['n'], String(i))
    assert.ok((packet.properties?.messageExpiryInterval ?? 0) > 50)
  }
  await client.endAsync()
}

await runCases(cases)
