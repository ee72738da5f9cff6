/** One packet at a time to a connection of its own: well formed ones, malformed ones, each reason code, each property in each packet. */
import { Buffer } from 'node:buffer'
import { encodeText, Packet, Version } from '../../../src/protocols/mqtt/codec.ts'
import { encodeVarint } from '../../../src/protocols/mqtt/properties.ts'
import { connectPacket, frame, Wire } from './wire.ts'

export interface Case {
  readonly name: string
  /** What came back. */
  run(port: number): Promise<string[]>
}

const versions = { '3.1': Version.V31, '3.1.1': Version.V311, '5.0': Version.V5 } as const
type VersionName = keyof typeof versions
const names = Object.keys(versions) as VersionName[] // an object's own keys

/** Sent on a connection that is open. */
function sent(version: VersionName, name: string, ...packets: Buffer[]): Case {
  return {
    name: `${version} ${name}`,
    run: async (port) => {
      const wire = await Wire.connected(port, { version: versions[version] })
      for (const packet of packets) wire.send(packet)
      // What waits for a disk may be answered after a ping.
      const answered = packets.filter(
        (packet) => packet[0] !== undefined && packet[0] >> 4 === Packet.Publish && (packet[0] & 6) !== 0,
      )
      const lines = await wire.settle(answered.length)
      if (lines.at(-1) !== 'closed') lines.push(...(await wire.quiet()))
      await wire.destroy()
      return lines
    },
  }
}

/** Sent as the first bytes. */
function first(version: VersionName, name: string, bytes: Buffer): Case {
  return {
    name: `first packet: ${name}`,
    run: async (port) => {
      const wire = await Wire.open(port, versions[version])
      wire.send(bytes)
      const lines = await wire.settle(1)
      const rest = lines.at(-1) === 'closed' || lines.length === 0 ? [] : await wire.quiet()
      await wire.destroy()
      return [...lines, ...rest]
    },
  }
}

const id = [0, 10]
const none = Buffer.alloc(0)

/** A valid body for each packet that a client sends, by version. */
function bodies(five: boolean): Record<string, { type: number; flags: number; body: Buffer }> {
  const properties = five ? Buffer.of(0) : none
  const join = (...parts: (Buffer | number[])[]): Buffer => Buffer.concat(parts.map((part) => Buffer.from(part)))
  return {
    PUBLISH0: { type: Packet.Publish, flags: 0, body: join(encodeText('d/t'), properties, Buffer.from('x')) },
    PUBLISH1: { type: Packet.Publish, flags: 2, body: join(encodeText('d/t'), id, properties, Buffer.from('x')) },
    PUBLISH2: { type: Packet.Publish, flags: 4, body: join(encodeText('d/t'), id, properties, Buffer.from('x')) },
    PUBACK: { type: Packet.Puback, flags: 0, body: join(id) },
    PUBREC: { type: Packet.Pubrec, flags: 0, body: join(id) },
    PUBREL: { type: Packet.Pubrel, flags: 2, body: join(id) },
    PUBCOMP: { type: Packet.Pubcomp, flags: 0, body: join(id) },
    SUBSCRIBE: { type: Packet.Subscribe, flags: 2, body: join(id, properties, encodeText('d/s'), [0]) },
    UNSUBSCRIBE: { type: Packet.Unsubscribe, flags: 2, body: join(id, properties, encodeText('d/s')) },
    PINGREQ: { type: Packet.Pingreq, flags: 0, body: none },
    DISCONNECT: { type: Packet.Disconnect, flags: 0, body: none },
  }
}

/** Each property with a value that is right by itself. */
const propertyBytes: Record<string, Buffer> = {
  payloadFormat: Buffer.of(1, 1),
  messageExpiry: Buffer.of(2, 0, 0, 0, 9),
  contentType: Buffer.concat([Buffer.of(3), encodeText('t')]),
  responseTopic: Buffer.concat([Buffer.of(8), encodeText('r')]),
  correlationData: Buffer.concat([Buffer.of(9), encodeText('c')]),
  subscriptionId: Buffer.of(11, 5),
  sessionExpiry: Buffer.of(17, 0, 0, 0, 0),
  assignedClientId: Buffer.concat([Buffer.of(18), encodeText('a')]),
  serverKeepAlive: Buffer.of(19, 0, 9),
  authMethod: Buffer.concat([Buffer.of(21), encodeText('NONE')]),
  authData: Buffer.concat([Buffer.of(22), encodeText('d')]),
  requestProblemInformation: Buffer.of(23, 1),
  willDelay: Buffer.of(24, 0, 0, 0, 1),
  requestResponseInformation: Buffer.of(25, 0),
  responseInformation: Buffer.concat([Buffer.of(26), encodeText('i')]),
  serverReference: Buffer.concat([Buffer.of(28), encodeText('s')]),
  reasonString: Buffer.concat([Buffer.of(31), encodeText('why')]),
  receiveMaximum: Buffer.of(33, 0, 9),
  topicAliasMaximum: Buffer.of(34, 0, 9),
  topicAlias: Buffer.of(35, 0, 1),
  maximumQos: Buffer.of(36, 1),
  retainAvailable: Buffer.of(37, 1),
  userProperty: Buffer.concat([Buffer.of(38), encodeText('n'), encodeText('v')]),
  maximumPacketSize: Buffer.of(39, 0, 1, 0, 0),
  wildcardAvailable: Buffer.of(40, 1),
  subscriptionIdsAvailable: Buffer.of(41, 1),
  sharedAvailable: Buffer.of(42, 1),
  unknown: Buffer.of(100, 1),
}

const block = (...properties: Buffer[]): Buffer => {
  const list = Buffer.concat(properties)
  return Buffer.concat([encodeVarint(list.length), list])
}

function withProperties(packet: string, list: Buffer): Buffer {
  const properties = block(list)
  switch (packet) {
    case 'CONNECT':
      return frame(Packet.Connect, 0, encodeText('MQTT'), [5, 2, 0, 60], properties, encodeText('propertied'))
    case 'will':
      return frame(
        Packet.Connect,
        0,
        encodeText('MQTT'),
        [5, 6, 0, 60, 0],
        encodeText('propertied'),
        properties,
        encodeText('d/w'),
        encodeText('w'),
      )
    case 'PUBLISH':
      return frame(Packet.Publish, 2, encodeText('d/p'), id, properties, Buffer.from('x'))
    case 'PUBACK':
      return frame(Packet.Puback, 0, id, [0], properties)
    case 'PUBREL':
      return frame(Packet.Pubrel, 2, id, [0], properties)
    case 'SUBSCRIBE':
      return frame(Packet.Subscribe, 2, id, properties, encodeText('d/s'), [0])
    case 'UNSUBSCRIBE':
      return frame(Packet.Unsubscribe, 2, id, properties, encodeText('d/s'))
    case 'AUTH':
      return frame(Packet.Auth, 0, [0x19], properties)
    default:
      return frame(Packet.Disconnect, 0, [0], properties)
  }
}

const topics: Record<string, Buffer> = {
  plain: encodeText('a/b'),
  'of one level': encodeText('/'),
  'with empty levels': encodeText('a//b/'),
  empty: encodeText(''),
  'with +': encodeText('a/+'),
  'with #': encodeText('a/#'),
  'with a plus inside': encodeText('a+b'),
  'with U+0000': Buffer.of(0, 3, 97, 0, 98),
  'not UTF-8': Buffer.of(0, 2, 0xc3, 0x28),
  'a surrogate': Buffer.of(0, 3, 0xed, 0xa0, 0x80),
  'longer than the packet': Buffer.of(0, 200, 97),
  'with characters of four bytes': encodeText('a/😀'),
  'with U+FEFF': encodeText('\ufeffa'),
  'with dots': encodeText('a.b/c'),
  'of 70 levels': encodeText('l/'.repeat(70)),
  'that begins with $': encodeText('$own/a'),
}

const filters: Record<string, Buffer> = {
  ...topics,
  '+': encodeText('+'),
  'z/#': encodeText('z/#'),
  '+/z/#': encodeText('+/z/#'),
  'a/#/b': encodeText('a/#/b'),
  'a#': encodeText('a#'),
  'a/b+': encodeText('a/b+'),
  '$share/g/a': encodeText('$share/g/a'),
  '$share/g/': encodeText('$share/g/'),
  '$share/g': encodeText('$share/g'),
  '$share//a': encodeText('$share//a'),
  '$share/g+/a': encodeText('$share/g+/a'),
  '$share/g#/a': encodeText('$share/g#/a'),
}

export function packetCases(): Case[] {
  const cases: Case[] = []
  for (const version of names) {
    const five = version === '5.0'
    const properties = five ? Buffer.of(0) : none
    for (const [name, { type, flags, body }] of Object.entries(bodies(five))) {
      cases.push(sent(version, name, frame(type, flags, body)))
      for (let other = 0; other < 16; other++)
        if (other !== flags && !name.startsWith('PUBLISH'))
          cases.push(sent(version, `${name} with flags ${other}`, frame(type, other, body)))
      for (let length = 0; length < Math.min(body.length, 6); length++)
        cases.push(sent(version, `${name} cut to ${length}`, frame(type, flags, body.subarray(0, length))))
      cases.push(sent(version, `${name} with a byte more`, frame(type, flags, body, [7])))
    }
    for (const flags of [1, 3, 5, 6, 7, 8, 9, 10, 12, 14, 15]) {
      const packetId = (flags & 6) === 0 ? [] : id
      cases.push(
        sent(version, `PUBLISH with flags ${flags}`, frame(Packet.Publish, flags, encodeText('d/f'), packetId, properties, [1])),
      )
    }
    for (const type of [0, 2, 4, 9, 11, 13, 15]) cases.push(sent(version, `packet type ${type}`, frame(type, 0, id)))
    cases.push(sent(version, 'CONNECT again', connectPacket({ version: versions[version] })))
    cases.push(sent(version, 'a remaining length of five bytes', Buffer.of(0x30, 0x80, 0x80, 0x80, 0x80, 1)))
    cases.push(sent(version, 'a remaining length longer than needed', Buffer.of(0xc0, 0x80, 0)))
    for (const [name, topic] of Object.entries(topics)) {
      cases.push(sent(version, `PUBLISH to a topic ${name}`, frame(Packet.Publish, 2, topic, id, properties, Buffer.from('x'))))
    }
    for (const [name, filter] of Object.entries(filters)) {
      cases.push(sent(version, `SUBSCRIBE to ${name}`, frame(Packet.Subscribe, 2, id, properties, filter, [0])))
      cases.push(sent(version, `UNSUBSCRIBE from ${name}`, frame(Packet.Unsubscribe, 2, id, properties, filter)))
    }
    for (const options of [1, 2, 3, 4, 8, 12, 16, 32, 48, 64, 128, 0x2d])
      cases.push(
        sent(
          version,
          `SUBSCRIBE with options ${options}`,
          frame(Packet.Subscribe, 2, id, properties, encodeText('d/o'), [options]),
        ),
      )
    cases.push(sent(version, 'PUBLISH with packet id 0', frame(Packet.Publish, 2, encodeText('a'), [0, 0], properties, [1])))
    cases.push(sent(version, 'SUBSCRIBE with packet id 0', frame(Packet.Subscribe, 2, [0, 0], properties, encodeText('a'), [0])))
    cases.push(sent(version, 'SUBSCRIBE to nothing', frame(Packet.Subscribe, 2, id, properties)))
    cases.push(sent(version, 'UNSUBSCRIBE from nothing', frame(Packet.Unsubscribe, 2, id, properties)))
    cases.push(
      sent(
        version,
        'SUBSCRIBE to two, one of them none',
        frame(Packet.Subscribe, 2, id, properties, encodeText('a'), [1], encodeText('a#'), [1]),
      ),
    )
    cases.push(
      sent(
        version,
        'the same message with QoS 2 twice, then its release twice',
        frame(Packet.Publish, 4, encodeText('d/q'), id, properties, [1]),
        frame(Packet.Publish, 12, encodeText('d/q'), id, properties, [1]),
        frame(Packet.Pubrel, 2, id),
        frame(Packet.Pubrel, 2, id),
      ),
    )
    cases.push(...connects(version))
  }
  for (const name of ['PUBACK', 'PUBREC', 'PUBREL', 'PUBCOMP'] as const) {
    const { type, flags } = bodies(true)[name] as { type: number; flags: number } // named there
    for (const reason of [0, 1, 0x10, 0x11, 0x80, 0x83, 0x87, 0x90, 0x91, 0x92, 0x97, 0x99, 0xa2, 0xff])
      cases.push(sent('5.0', `${name} with the reason ${reason}`, frame(type, flags, id, [reason])))
  }
  for (const reason of [
    0, 1, 4, 0x80, 0x81, 0x82, 0x83, 0x87, 0x8b, 0x8e, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xff,
  ])
    cases.push(sent('5.0', `DISCONNECT with the reason ${reason}`, frame(Packet.Disconnect, 0, [reason])))
  for (const reason of [0, 0x18, 0x19, 0x80])
    cases.push(sent('5.0', `AUTH with the reason ${reason}`, frame(Packet.Auth, 0, [reason, 0])))
  for (const packet of ['CONNECT', 'will', 'PUBLISH', 'PUBACK', 'PUBREL', 'SUBSCRIBE', 'UNSUBSCRIBE', 'AUTH', 'DISCONNECT']) {
    const one = (name: string, bytes: Buffer): Case =>
      packet === 'CONNECT' || packet === 'will' ? first('5.0', name, bytes) : sent('5.0', name, bytes)
    for (const [name, bytes] of Object.entries(propertyBytes)) {
      cases.push(one(`${packet} with ${name}`, withProperties(packet, bytes)))
      cases.push(one(`${packet} with ${name} twice`, withProperties(packet, Buffer.concat([bytes, bytes]))))
      cases.push(one(`${packet} with ${name} cut off`, withProperties(packet, bytes.subarray(0, -1))))
    }
  }
  for (const [name, bytes] of Object.entries({
    'a flag of 2 (payload format)': Buffer.of(1, 2),
    'subscription id 0': Buffer.of(11, 0),
    'topic alias 0': Buffer.of(35, 0, 0),
    'topic alias 65535': Buffer.of(35, 255, 255),
    'a response topic with a wildcard': Buffer.concat([Buffer.of(8), encodeText('a/#')]),
    'a user property that is no UTF-8': Buffer.of(38, 0, 1, 0xff, 0, 0),
  }))
    cases.push(sent('5.0', `PUBLISH with ${name}`, withProperties('PUBLISH', bytes)))
  for (const [name, bytes] of Object.entries({
    'a receive maximum of 0': Buffer.of(33, 0, 0),
    'a maximum packet size of 0': Buffer.of(39, 0, 0, 0, 0),
    'request problem information 2': Buffer.of(23, 2),
    'request response information 2': Buffer.of(25, 2),
  }))
    cases.push(first('5.0', `CONNECT with ${name}`, withProperties('CONNECT', bytes)))
  cases.push(
    sent('5.0', 'PUBLISH with an alias that was not set', frame(Packet.Publish, 2, [0, 0], id, block(Buffer.of(35, 0, 3)), [1])),
    sent(
      '5.0',
      'PUBLISH with an alias that was set',
      frame(Packet.Publish, 2, encodeText('d/a'), [0, 1], block(Buffer.of(35, 0, 1)), [1]),
      frame(Packet.Publish, 2, [0, 0], [0, 2], block(Buffer.of(35, 0, 1)), [1]),
    ),
    sent(
      '5.0',
      'PUBLISH of no text that says it is',
      frame(Packet.Publish, 2, encodeText('d/a'), id, block(Buffer.of(1, 1)), [0xff]),
    ),
    sent(
      '5.0',
      'DISCONNECT that prolongs a session which ends',
      frame(Packet.Disconnect, 0, [0], block(Buffer.of(17, 0, 0, 0, 9))),
    ),
    sent('5.0', 'SUBSCRIBE with no local and a share', frame(Packet.Subscribe, 2, id, [0], encodeText('$share/g/a'), [4])),
  )
  return cases
}

function connects(version: VersionName): Case[] {
  const level = versions[version]
  const protocol = version === '3.1' ? 'MQIsdp' : 'MQTT'
  const properties = version === '5.0' ? Buffer.of(0) : none
  const head = (flags: number, name = protocol, number: number = level): (Buffer | number[])[] => [
    encodeText(name),
    [number, flags, 0, 60],
    properties,
  ]
  const cases: Case[] = []
  for (let flags = 0; flags < 256; flags++) {
    const payload = [encodeText('flagged')]
    if ((flags & 4) !== 0) payload.push(properties, encodeText('d/w'), encodeText('w'))
    if ((flags & 0x80) !== 0) payload.push(encodeText('user'))
    if ((flags & 0x40) !== 0) payload.push(encodeText('password'))
    cases.push(first(version, `${version} CONNECT with flags ${flags}`, frame(Packet.Connect, 0, ...head(flags), ...payload)))
  }
  for (const number of [0, 1, 2, 3, 4, 5, 6, 0x83, 0x84, 0x85, 255])
    if (number !== level)
      cases.push(
        first(
          version,
          `${version} CONNECT of level ${number}`,
          frame(Packet.Connect, 0, ...head(2, protocol, number), encodeText('l')),
        ),
      )
  for (const name of ['mqtt', 'MQTT5', '', 'HTTP'])
    cases.push(first(version, `${version} CONNECT to "${name}"`, frame(Packet.Connect, 0, ...head(2, name), encodeText('n'))))
  for (let length = 0; length < 14; length++) {
    const whole = Buffer.concat([...head(2).map((part) => Buffer.from(part)), encodeText('cut')])
    cases.push(first(version, `${version} CONNECT cut to ${length}`, frame(Packet.Connect, 0, whole.subarray(0, length))))
  }
  cases.push(
    first(version, `${version} CONNECT with a byte more`, frame(Packet.Connect, 0, ...head(2), encodeText('more'), [0])),
    first(version, `${version} CONNECT with flags in its header`, frame(Packet.Connect, 1, ...head(2), encodeText('flags'))),
    first(version, `${version} CONNECT without a client id`, frame(Packet.Connect, 0, ...head(2), encodeText(''))),
    first(
      version,
      `${version} CONNECT without a client id that keeps its session`,
      frame(Packet.Connect, 0, ...head(0), encodeText('')),
    ),
    first(
      version,
      `${version} CONNECT with a client id of 30 characters`,
      frame(Packet.Connect, 0, ...head(2), encodeText('c'.repeat(30))),
    ),
    first(
      version,
      `${version} CONNECT with a client id that is no UTF-8`,
      frame(Packet.Connect, 0, ...head(2), [0, 2, 0xc3, 0x28]),
    ),
    first(
      version,
      `${version} CONNECT with a will to a wildcard`,
      connectPacket({ version: level, will: { topic: 'a/#', payload: 'w' } }),
    ),
    first(
      version,
      `${version} CONNECT with a will to nothing`,
      connectPacket({ version: level, will: { topic: '', payload: 'w' } }),
    ),
  )
  if (version === '3.1.1')
    cases.push(
      first(version, 'PINGREQ', Buffer.of(0xc0, 0)),
      first(version, 'PUBLISH', frame(Packet.Publish, 0, encodeText('a'), [1])),
      first(version, 'DISCONNECT', Buffer.of(0xe0, 0)),
      first(version, 'type 0', Buffer.of(0, 0)),
    )
  return cases
}
