/** The properties of MQTT 5.0 (2.2.2): one table of their types and places, and a small interpreter of it. */
import { Buffer, isUtf8 } from 'node:buffer'
import { MqttError, Reason } from './errors.ts'

export const Packet = {
  Connect: 1,
  Connack: 2,
  Publish: 3,
  Puback: 4,
  Pubrec: 5,
  Pubrel: 6,
  Pubcomp: 7,
  Subscribe: 8,
  Suback: 9,
  Unsubscribe: 10,
  Unsuback: 11,
  Pingreq: 12,
  Pingresp: 13,
  Disconnect: 14,
  Auth: 15,
  /** No packet: the will's part of CONNECT. */
  Will: 16,
} as const
export type Packet = (typeof Packet)[keyof typeof Packet]

export interface Properties {
  payloadFormat?: number
  messageExpiry?: number
  contentType?: string
  responseTopic?: string
  correlationData?: Buffer
  subscriptionIds?: number[]
  sessionExpiry?: number
  assignedClientId?: string
  serverKeepAlive?: number
  authMethod?: string
  authData?: Buffer
  requestProblemInformation?: number
  willDelay?: number
  requestResponseInformation?: number
  responseInformation?: string
  serverReference?: string
  reasonString?: string
  receiveMaximum?: number
  topicAliasMaximum?: number
  topicAlias?: number
  maximumQos?: number
  retainAvailable?: number
  userProperties?: [string, string][]
  maximumPacketSize?: number
  wildcardAvailable?: number
  subscriptionIdsAvailable?: number
  sharedAvailable?: number
}

type Type = 'flag' | 'u16' | 'u32' | 'varint' | 'text' | 'bytes' | 'pair'
interface Definition {
  readonly name: keyof Properties
  readonly type: Type
  readonly in: readonly Packet[]
  /** 0 is a protocol error. */
  readonly positive?: boolean
}

const { Connect, Connack, Publish, Will, Subscribe, Disconnect, Auth, Puback, Pubrec, Pubrel, Pubcomp, Suback, Unsuback } = Packet
const answers = [Connack, Puback, Pubrec, Pubrel, Pubcomp, Suback, Unsuback, Disconnect, Auth]
const definitions: Readonly<Record<number, Definition>> = {
  1: { name: 'payloadFormat', type: 'flag', in: [Publish, Will] },
  2: { name: 'messageExpiry', type: 'u32', in: [Publish, Will] },
  3: { name: 'contentType', type: 'text', in: [Publish, Will] },
  8: { name: 'responseTopic', type: 'text', in: [Publish, Will] },
  9: { name: 'correlationData', type: 'bytes', in: [Publish, Will] },
  11: { name: 'subscriptionIds', type: 'varint', in: [Publish, Subscribe], positive: true },
  17: { name: 'sessionExpiry', type: 'u32', in: [Connect, Connack, Disconnect] },
  18: { name: 'assignedClientId', type: 'text', in: [Connack] },
  19: { name: 'serverKeepAlive', type: 'u16', in: [Connack] },
  21: { name: 'authMethod', type: 'text', in: [Connect, Connack, Auth] },
  22: { name: 'authData', type: 'bytes', in: [Connect, Connack, Auth] },
  23: { name: 'requestProblemInformation', type: 'flag', in: [Connect] },
  24: { name: 'willDelay', type: 'u32', in: [Will] },
  25: { name: 'requestResponseInformation', type: 'flag', in: [Connect] },
  26: { name: 'responseInformation', type: 'text', in: [Connack] },
  28: { name: 'serverReference', type: 'text', in: [Connack, Disconnect] },
  31: { name: 'reasonString', type: 'text', in: answers },
  33: { name: 'receiveMaximum', type: 'u16', in: [Connect, Connack], positive: true },
  34: { name: 'topicAliasMaximum', type: 'u16', in: [Connect, Connack] },
  35: { name: 'topicAlias', type: 'u16', in: [Publish] },
  36: { name: 'maximumQos', type: 'flag', in: [Connack] },
  37: { name: 'retainAvailable', type: 'flag', in: [Connack] },
  38: { name: 'userProperties', type: 'pair', in: [...answers, Connect, Publish, Will, Subscribe, Packet.Unsubscribe] },
  39: { name: 'maximumPacketSize', type: 'u32', in: [Connect, Connack], positive: true },
  40: { name: 'wildcardAvailable', type: 'flag', in: [Connack] },
  41: { name: 'subscriptionIdsAvailable', type: 'flag', in: [Connack] },
  42: { name: 'sharedAvailable', type: 'flag', in: [Connack] },
}
const idOf = new Map(Object.entries(definitions).map(([id, { name }]) => [name, Number(id)]))

const malformed = (what: string): MqttError => new MqttError(Reason.MalformedPacket, what)

/** Reads one packet's body from front to back; every read beyond its end is a malformed packet. */
export class Reader {
  readonly bytes: Buffer
  at: number
  end: number

  constructor(bytes: Buffer, at = 0, end = bytes.length) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  get done(): boolean {
    return this.at >= this.end
  }

  u8(): number {
    return this.bytes[this.#take(1)] as number // within the bounds that #take checks
  }

  u16(): number {
    return this.bytes.readUInt16BE(this.#take(2))
  }

  u32(): number {
    return this.bytes.readUInt32BE(this.#take(4))
  }

  /** 1.5.5; at most four bytes, and no more than needed. */
  varint(): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.u8()
      value += (byte & 0x7f) << shift
      if ((byte & 0x80) === 0) {
        if (byte === 0 && shift > 0) throw malformed('a variable byte integer is longer than needed')
        return value
      }
    }
    throw malformed('a variable byte integer is longer than four bytes')
  }

  slice(length: number): Buffer {
    const at = this.#take(length)
    return this.bytes.subarray(at, at + length)
  }

  binary(): Buffer {
    return this.slice(this.u16())
  }

  /** 1.5.4: UTF-8 without U+0000. */
  text(): string {
    const bytes = this.binary()
    if (!isUtf8(bytes) || bytes.includes(0)) throw malformed('a string is not UTF-8, or has a U+0000')
    return bytes.toString('utf8')
  }

  #take(length: number): number {
    const { at } = this
    if (at + length > this.end) throw malformed('a packet ends too early')
    this.at = at + length
    return at
  }
}

/** Reads the property block of a packet. */
export function readProperties(reader: Reader, packet: Packet): Properties {
  const length = reader.varint()
  const inner = new Reader(reader.bytes, reader.at, reader.at + length)
  reader.slice(length)
  const properties: Properties = {}
  while (!inner.done) readOne(inner, packet, properties)
  return properties
}

function readOne(reader: Reader, packet: Packet, properties: Properties): void {
  const id = reader.varint()
  const definition = definitions[id]
  if (definition === undefined || !definition.in.includes(packet)) throw malformed(`property ${id} does not belong here`)
  const { name, type, positive } = definition
  const value = readValue(reader, type)
  if (positive === true && value === 0) throw new MqttError(Reason.ProtocolError, `${name} must not be 0`)
  const holder = properties as Record<string, unknown>
  if (name === 'userProperties' || (name === 'subscriptionIds' && packet === Publish)) {
    ;((holder[name] ??= []) as unknown[]).push(value)
    return
  }
  if (holder[name] !== undefined) throw new MqttError(Reason.ProtocolError, `${name} is there twice`)
  holder[name] = name === 'subscriptionIds' ? [value] : value
}

function readValue(reader: Reader, type: Type): unknown {
  switch (type) {
    case 'flag': {
      const value = reader.u8()
      if (value > 1) throw new MqttError(Reason.ProtocolError, 'a flag is neither 0 nor 1')
      return value
    }
    case 'u16':
      return reader.u16()
    case 'u32':
      return reader.u32()
    case 'varint':
      return reader.varint()
    case 'text':
      return reader.text()
    case 'bytes':
      return Buffer.from(reader.binary())
    case 'pair':
      return [reader.text(), reader.text()]
  }
}

const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255])
const u32 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export function encodeVarint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  do {
    const more = rest >>> 7
    bytes.push((rest & 0x7f) | (more > 0 ? 0x80 : 0))
    rest = more
  } while (rest > 0)
  return Buffer.from(bytes)
}

/** What is longer than a string can be is cut off at its limit, never within a character. */
export function encodeText(text: string): Buffer {
  let bytes = Buffer.from(text.toWellFormed())
  if (bytes.length > 0xffff) {
    let end = 0xffff
    while (((bytes[end] as number) & 0xc0) === 0x80) end--
    bytes = bytes.subarray(0, end)
  }
  return Buffer.concat([u16(bytes.length), bytes])
}

function encodeValue(type: Type, value: unknown): Buffer {
  switch (type) {
    case 'flag':
      return Buffer.from([value as number])
    case 'u16':
      return u16(value as number)
    case 'u32':
      return u32(value as number)
    case 'varint':
      return encodeVarint(value as number)
    case 'text':
      return encodeText(value as string)
    case 'bytes':
      return Buffer.concat([u16((value as Buffer).length), value as Buffer])
    case 'pair': {
      const [name, text] = value as [string, string]
      return Buffer.concat([encodeText(name), encodeText(text)])
    }
  }
}

/** The properties without the length before them. */
export function encodePropertyList(properties: Properties): Buffer {
  const parts: Buffer[] = []
  for (const [name, value] of Object.entries(properties)) {
    const id = idOf.get(name as keyof Properties)
    const definition = id === undefined ? undefined : definitions[id]
    if (id === undefined || definition === undefined || value === undefined) continue
    const many = name === 'userProperties' || name === 'subscriptionIds'
    for (const each of many ? (value as unknown[]) : [value]) parts.push(Buffer.from([id]), encodeValue(definition.type, each))
  }
  return Buffer.concat(parts)
}

export function encodeProperties(properties: Properties): Buffer {
  const list = encodePropertyList(properties)
  return Buffer.concat([encodeVarint(list.length), list])
}
