import client, { type IClientOptions, type MqttClient } from 'mqtt'
import type { Corpus } from './corpus.ts'
import { Echoes } from './echoes.ts'
import { webSocket } from './web-socket.ts'

const topic = 'healthy/mqtt'

const connected = (url: string, options: IClientOptions): Promise<MqttClient> =>
  client.connectAsync(url, { reconnectPeriod: 0, ...options })

/** A bit of everything, in one version of the protocol. */
async function converse(url: string, protocolVersion: 4 | 5): Promise<void> {
  const is5 = protocolVersion === 5
  const clientId = `fuzzed-${protocolVersion}`
  const session: IClientOptions = is5
    ? { properties: { sessionExpiryInterval: 60, receiveMaximum: 20, topicAliasMaximum: 10, userProperties: { a: ['b', 'c'] } } }
    : { clean: false }
  const will = { topic: 'fuzzed/will', payload: Buffer.from('gone'), qos: 1, retain: true } as const
  const own = await connected(url, { protocolVersion, clientId, keepalive: 30, will, ...session })
  let seen = 0
  own.on('message', () => seen++)
  await own.subscribeAsync({ 'fuzzed/+/x': { qos: 2 }, 'fuzzed/#': { qos: 1 }, '$share/group/fuzzed/s': { qos: 0 } })
  const properties = is5
    ? {
        contentType: 'text/plain',
        responseTopic: 'fuzzed/answers',
        correlationData: Buffer.from([1, 2]),
        messageExpiryInterval: 60,
        payloadFormatIndicator: true,
        userProperties: { name: 'value' },
      }
    : undefined
  for (const qos of [0, 1, 2] as const)
    for (const retain of [false, true])
      await own.publishAsync(`fuzzed/${qos}/x`, `payload ${qos}`, { qos, retain, ...(properties && { properties }) })
  await own.publishAsync('fuzzed/large', 'x'.repeat(20_000), { qos: 1 })
  for (const until = Date.now() + 5000; seen < 5 && Date.now() < until; ) await new Promise((resolve) => setTimeout(resolve, 20))
  await own.unsubscribeAsync('fuzzed/#')
  own.sendPing()
  await own.endAsync()
}

/** A fixed header's byte, the length in up to four bytes of seven bits, and so many bytes. */
export function mqttFrames(stream: Buffer): Buffer[] {
  const frames: Buffer[] = []
  for (let at = 0; at < stream.length; ) {
    let [length, shift, head] = [0, 0, 1]
    for (let more = true; more && head < 5 && at + head < stream.length; head++, shift += 7) {
      const byte = stream[at + head] ?? 0
      length |= (byte & 127) << shift
      more = byte > 127
    }
    frames.push(stream.subarray(at, at + head + length))
    at += head + length
  }
  return frames
}

async function healthy(url: string, clientId: string): ReturnType<Corpus['healthy']> {
  const echoes = new Echoes()
  const own = await connected(url, { protocolVersion: 5, clientId })
  own.on('message', (_, payload) => echoes.heard(String(payload)))
  await own.subscribeAsync(topic, { qos: 1 })
  return {
    beat: () => echoes.beat((value) => own.publishAsync(topic, value, { qos: 1 })),
    close: () => own.endAsync(),
  }
}

export const mqtt: Corpus = {
  listener: 'mqtt',
  standardPort: 1883,
  frames: mqttFrames,

  async drive(port) {
    for (const version of [4, 5] as const) await converse(`mqtt://127.0.0.1:${port}`, version)
  },

  healthy: (port) => healthy(`mqtt://127.0.0.1:${port}`, 'healthy'),
}

/** The protocol inside of WebSocket's frames: both go wrong here. */
export const mqttWebSocket: Corpus = {
  listener: 'mqtt-websocket',
  standardPort: 8083,
  ...webSocket,

  async drive(port) {
    await converse(`ws://127.0.0.1:${port}/mqtt`, 5)
  },

  healthy: (port) => healthy(`ws://127.0.0.1:${port}/mqtt`, 'healthy-websocket'),
}
