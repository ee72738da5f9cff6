/**
 * The matrix's MQTT side, by MQTT.js in version 5. What has no property there is a user property `anymq.<name>`. Nothing waits for a subscriber that
 * comes later, so it listens before anything is published.
 */
import mqtt, { type IClientPublishOptions, type IPublishPacket } from 'mqtt'
import { setting, unique, until } from '../cases/cases.ts'
import { ATTRIBUTES, BODY, type Driver, HEADERS, KEY, type Seen, TIMESTAMP } from './message.ts'

/** Those with a property of their own. */
const own: ReadonlySet<string> = new Set(['correlation-id', 'reply-to', 'content-type', 'expiration'])
/** How long a message may have been on its way, seconds: what is left of its expiry is sent on. */
const onItsWay = 30

export async function mqttDriver(): Promise<Driver> {
  const client = mqtt.connect(`mqtt://${setting('MQTT')}`, { protocolVersion: 5, clientId: unique('matrix'), reconnectPeriod: 0 })
  const came = new Map<string, IPublishPacket>()
  client.on('message', (topic, _payload, packet) => came.set(topic, packet))
  await until('CONNACK', () => client.connected)
  const nameOf = (topic: string): string => topic.replaceAll('.', '/')

  async function next(topic: string): Promise<IPublishPacket> {
    await until(`a message for MQTT in ${topic}`, () => came.has(nameOf(topic)))
    await client.unsubscribeAsync(nameOf(topic))
    return came.get(nameOf(topic)) as IPublishPacket // until() saw it
  }

  return {
    name: 'mqtt',
    typedHeaders: false,
    cannotWrite: ['h-bytes'],
    listen: async (topic) => void (await client.subscribeAsync(nameOf(topic), { qos: 1 })),
    produce: async (topic) => {
      const userProperties: Record<string, string> = {
        'anymq.key-base64': KEY.toString('base64'),
        'anymq.timestamp': String(TIMESTAMP),
      }
      for (const [name, value] of Object.entries(ATTRIBUTES)) if (!own.has(name)) userProperties[`anymq.${name}`] = value
      for (const { name, text } of HEADERS) if (text !== undefined) userProperties[name] = text
      const properties: NonNullable<IClientPublishOptions['properties']> = {
        contentType: ATTRIBUTES['content-type'],
        correlationData: Buffer.from(ATTRIBUTES['correlation-id']),
        responseTopic: ATTRIBUTES['reply-to'],
        messageExpiryInterval: Number(ATTRIBUTES.expiration) / 1000,
        userProperties,
      }
      await client.publishAsync(nameOf(topic), BODY, { qos: 1, properties })
    },
    consume: async (topic) => seen(await next(topic)),
    forward: async (from, to) => {
      const { payload, properties } = await next(from)
      await client.publishAsync(nameOf(to), payload as Buffer, { qos: 1, ...(properties && { properties }) })
    },
    close: () => client.endAsync(),
  }
}

function seen({ payload, properties = {} }: IPublishPacket): Seen {
  const all = new Map(Object.entries(properties.userProperties ?? {}).map(([name, value]) => [name, String(value)]))
  const left = properties.messageExpiryInterval
  const attributes: Record<string, string | undefined> = {
    'content-type': properties.contentType,
    'correlation-id': properties.correlationData?.toString(),
    'reply-to': properties.responseTopic,
    expiration:
      left !== undefined && left > Number(ATTRIBUTES.expiration) / 1000 - onItsWay ? ATTRIBUTES.expiration : String(left),
  }
  const { key, timestamp, headers } = fromTexts(all, attributes)
  return { body: Buffer.from(payload), key, timestamp, attributes, headers, redelivered: undefined }
}

/** Takes the well-known attributes and the key out of headers that are text, and turns those back into bytes that `anymq.types` says are. */
export function fromTexts(
  all: ReadonlyMap<string, string>,
  attributes: Record<string, string | undefined>,
): Pick<Seen, 'key' | 'timestamp' | 'headers'> {
  const bytes = new Set(
    (all.get('anymq.types') ?? '').split('&').flatMap((each) => (each.endsWith('=bytes') ? [each.slice(0, -6)] : [])),
  )
  const headers = new Map<string, unknown>()
  for (const [name, value] of all) {
    const plain = name.startsWith('anymq.') ? name.slice(6) : ''
    if (plain in ATTRIBUTES) attributes[plain] = value
    else if (plain !== 'timestamp') headers.set(name, bytes.has(name) ? Buffer.from(value, 'base64') : value)
  }
  const [base64, key, timestamp] = [all.get('anymq.key-base64'), all.get('anymq.key'), all.get('anymq.timestamp')]
  return {
    key: base64 !== undefined ? Buffer.from(base64, 'base64') : key === undefined ? undefined : Buffer.from(key),
    timestamp: timestamp === undefined ? undefined : Number(timestamp),
    headers,
  }
}
