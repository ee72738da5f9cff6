/** Bytes ⇄ packets of MQTT 3.1, 3.1.1 and 5.0. Pure. Views in what is decoded live as long as the chunk they came in. */
import { Buffer } from 'node:buffer'
import { Joined } from '../../lib/joined.ts'
import { MqttError, Reason } from './errors.ts'
import {
  encodeProperties,
  encodePropertyList,
  encodeText,
  encodeVarint,
  Packet,
  type Properties,
  Reader,
  readProperties,
} from './properties.ts'

export const Version = { V31: 3, V311: 4, V5: 5 } as const
export type Version = (typeof Version)[keyof typeof Version]
export type Qos = 0 | 1 | 2

/** The fixed header and the body of one packet. */
export interface RawPacket {
  readonly type: number
  readonly flags: number
  readonly body: Buffer
}

const malformed = (what: string): MqttError => new MqttError(Reason.MalformedPacket, what)

const nothing = Buffer.alloc(0)

/** Cuts a stream into packets. Only a packet that straddles chunks is copied, into a buffer of its own length. */
export class PacketDecoder {
  /** Of a whole packet; a larger one is refused before it is buffered. */
  bytesMax: number
  #chunk: Buffer = nothing
  #at = 0
  /** A packet that began in an earlier chunk: its fixed header so far, then its body. */
  readonly #head: number[] = []
  #body: Joined | null = null

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  push(chunk: Buffer): void {
    this.#chunk = this.#at < this.#chunk.length ? Buffer.concat([this.#chunk.subarray(this.#at), chunk]) : chunk
    this.#at = 0
  }

  /** The next whole packet, or null. Throws {@link MqttError}. */
  next(): RawPacket | null {
    if (this.#body === null && !this.#readHead()) return null
    const [first = 0] = this.#head
    const body = this.#readBody()
    // A chunk that was read to its end is not held: most connections are idle most of the time.
    if (this.#at === this.#chunk.length) {
      this.#chunk = nothing
      this.#at = 0
    }
    if (body === null) return null
    this.#head.length = 0
    return { type: first >> 4, flags: first & 15, body }
  }

  /** True when the fixed header is whole; what was read of one that is not is kept. */
  #readHead(): boolean {
    const chunk = this.#chunk
    const head = this.#head
    while (!isWhole(head)) {
      if (this.#at >= chunk.length) return false
      head.push(chunk[this.#at++] as number) // at < length
      if (head.length === 5 && !isWhole(head)) throw malformed('the remaining length is longer than four bytes')
    }
    return true
  }

  #readBody(): Buffer | null {
    const chunk = this.#chunk
    if (this.#body === null) {
      const length = remainingLength(this.#head)
      if (length + this.#head.length > this.bytesMax)
        throw new MqttError(Reason.PacketTooLarge, `a packet of ${length} bytes exceeds the maximum of ${this.bytesMax}`)
      if (chunk.length - this.#at >= length) return chunk.subarray(this.#at, (this.#at += length))
      this.#body = new Joined(length)
    }
    this.#at = this.#body.take(chunk, this.#at)
    const body = this.#body.whole
    if (body === null) return null
    this.#body = null
    return body
  }
}

function isWhole(head: readonly number[]): boolean {
  return head.length > 1 && ((head.at(-1) as number) & 0x80) === 0
}

function remainingLength(head: readonly number[]): number {
  let length = 0
  for (let at = head.length - 1; at > 0; at--) length = length * 128 + ((head[at] as number) & 0x7f)
  return length
}

// ------------------------------------------------------------------------------------------------------------------- reading

export interface Will {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: Qos
  readonly retain: boolean
  readonly properties: Properties
}

export interface ConnectPacket {
  readonly version: Version
  readonly cleanStart: boolean
  readonly keepAlive: number
  readonly clientId: string
  readonly will: Will | null
  readonly user: string | null
  readonly password: Buffer | null
  readonly properties: Properties
}

/** 3.1.2.2: it is answered in the words that such a client most likely knows. */
export class UnknownVersion extends MqttError {
  readonly likely: Version

  constructor(name: string, level: number) {
    super(Reason.UnsupportedVersion, `${JSON.stringify(name.slice(0, 20))} level ${level} is not spoken here`)
    // Bridges of Mosquitto set the highest bit first, and try without it when they are refused.
    this.likely = name === 'MQTT' && (level & 0x7f) > 4 ? Version.V5 : Version.V311
  }
}

export function readConnect({ body, flags: fixed }: RawPacket): ConnectPacket {
  if (fixed !== 0) throw malformed('the flags of CONNECT must be 0')
  const reader = new Reader(body)
  const name = reader.text()
  const level = reader.u8()
  const known = name === 'MQTT' ? level === 4 || level === 5 : name === 'MQIsdp' && level === 3
  if (!known) throw new UnknownVersion(name, level)
  const version = level as Version
  const flags = reader.u8()
  const hasWill = (flags & 4) !== 0
  const willQos = (flags >> 3) & 3
  // 3.1 asks nothing of the bits that mean nothing.
  const strict = version !== Version.V31
  if (strict && (flags & 1) !== 0) throw malformed('the reserved flag of CONNECT must be 0')
  if (willQos === 3 || (strict && !hasWill && (flags & 0x38) !== 0)) throw malformed('the flags of the will are wrong')
  const hasUser = (flags & 0x80) !== 0
  const hasPassword = (flags & 0x40) !== 0
  if (hasPassword && !hasUser && version !== Version.V5) throw malformed('a password needs a user name')
  const keepAlive = reader.u16()
  const properties = version === Version.V5 ? readProperties(reader, Packet.Connect) : {}
  const clientId = reader.text()
  let will: Will | null = null
  if (hasWill) {
    const willProperties = version === Version.V5 ? readProperties(reader, Packet.Will) : {}
    const topic = reader.text()
    const payload = Buffer.from(reader.binary())
    will = { topic, payload, qos: willQos as Qos, retain: (flags & 0x20) !== 0, properties: willProperties }
  }
  const user = hasUser ? reader.text() : null
  const password = hasPassword ? Buffer.from(reader.binary()) : null
  if (!reader.done) throw malformed('CONNECT goes on after its end')
  return { version, cleanStart: (flags & 2) !== 0, keepAlive, clientId, will, user, password, properties }
}

export interface PublishPacket {
  readonly topic: string
  readonly qos: Qos
  readonly retain: boolean
  readonly duplicate: boolean
  /** 0 with QoS 0. */
  readonly packetId: number
  readonly properties: Properties | null
  /** A view. */
  readonly payload: Buffer
}

export function readPublish({ flags, body }: RawPacket, version: Version): PublishPacket {
  const qos = (flags >> 1) & 3
  if (qos === 3) throw malformed('QoS 3')
  const duplicate = (flags & 8) !== 0
  if (qos === 0 && duplicate && version !== Version.V31) throw malformed('DUP with QoS 0')
  const reader = new Reader(body)
  const topic = reader.text()
  const packetId = qos === 0 ? 0 : readPacketId(reader)
  const properties = version === Version.V5 ? readPublishProperties(reader) : null
  const payload = body.subarray(reader.at)
  return { topic, qos: qos as Qos, retain: (flags & 1) !== 0, duplicate, packetId, properties, payload }
}

function readPublishProperties(reader: Reader): Properties | null {
  if (reader.bytes[reader.at] === 0) {
    reader.at++
    return null
  }
  return readProperties(reader, Packet.Publish)
}

function readPacketId(reader: Reader): number {
  const id = reader.u16()
  if (id === 0) throw malformed('packet identifier 0')
  return id
}

export interface AckPacket {
  readonly packetId: number
  readonly reason: number
}

/** PUBACK, PUBREC, PUBREL, PUBCOMP. */
export function readAck({ type, flags, body }: RawPacket, version: Version): AckPacket {
  // 3.1 sets QoS 1 on PUBREL, and perhaps DUP.
  const expected = type === Packet.Pubrel ? 2 : 0
  if (version !== Version.V31 && flags !== expected) throw malformed('the flags of an acknowledgement are wrong')
  const reader = new Reader(body)
  const packetId = readPacketId(reader)
  if (version !== Version.V5) {
    if (!reader.done) throw malformed('an acknowledgement goes on after its end')
    return { packetId, reason: 0 }
  }
  const reason = reader.done ? 0 : reader.u8()
  if (!reader.done) readProperties(reader, type as Packet)
  return { packetId, reason }
}

export interface RequestedSubscription {
  readonly filter: string
  readonly qos: Qos
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0 always, 1 when the subscription is new, 2 never. */
  readonly retainHandling: number
}

export interface SubscribePacket {
  readonly packetId: number
  readonly subscriptionId: number
  readonly filters: readonly RequestedSubscription[]
}

export function readSubscribe({ flags, body }: RawPacket, version: Version): SubscribePacket {
  if ((version === Version.V31 ? flags & 6 : flags) !== 2) throw malformed('the flags of SUBSCRIBE must be 2')
  const reader = new Reader(body)
  const packetId = readPacketId(reader)
  const properties = version === Version.V5 ? readProperties(reader, Packet.Subscribe) : {}
  const filters: RequestedSubscription[] = []
  while (!reader.done) {
    const filter = reader.text()
    const options = reader.u8()
    const allowed = version === Version.V5 ? 0x3f : 3
    const qos = options & 3
    const retainHandling = (options >> 4) & 3
    if ((options & ~allowed) !== 0 || qos === 3) throw malformed('subscription options are wrong')
    if (retainHandling === 3) throw new MqttError(Reason.ProtocolError, 'retain handling 3')
    const noLocal = (options & 4) !== 0
    filters.push({ filter, qos: qos as Qos, noLocal, retainAsPublished: (options & 8) !== 0, retainHandling })
  }
  if (filters.length === 0) throw new MqttError(Reason.ProtocolError, 'SUBSCRIBE without a filter')
  return { packetId, subscriptionId: properties.subscriptionIds?.[0] ?? 0, filters }
}

export function readUnsubscribe({ flags, body }: RawPacket, version: Version): { packetId: number; filters: string[] } {
  if ((version === Version.V31 ? flags & 6 : flags) !== 2) throw malformed('the flags of UNSUBSCRIBE must be 2')
  const reader = new Reader(body)
  const packetId = readPacketId(reader)
  if (version === Version.V5) readProperties(reader, Packet.Unsubscribe)
  const filters: string[] = []
  while (!reader.done) filters.push(reader.text())
  if (filters.length === 0) throw new MqttError(Reason.ProtocolError, 'UNSUBSCRIBE without a filter')
  return { packetId, filters }
}

export function readDisconnect({ flags, body }: RawPacket, version: Version): { reason: number; properties: Properties } {
  if (flags !== 0) throw malformed('the flags of DISCONNECT must be 0')
  const reader = new Reader(body)
  if (version !== Version.V5) {
    if (!reader.done) throw malformed('DISCONNECT goes on after its end')
    return { reason: 0, properties: {} }
  }
  const reason = reader.done ? 0 : reader.u8()
  return { reason, properties: reader.done ? {} : readProperties(reader, Packet.Disconnect) }
}

export function readAuth({ flags, body }: RawPacket): { reason: number; properties: Properties } {
  if (flags !== 0) throw malformed('the flags of AUTH must be 0')
  const reader = new Reader(body)
  const reason = reader.done ? 0 : reader.u8()
  return { reason, properties: reader.done ? {} : readProperties(reader, Packet.Auth) }
}

// ------------------------------------------------------------------------------------------------------------------- writing

function packet(type: Packet, flags: number, ...parts: readonly Buffer[]): Buffer {
  let length = 0
  for (const part of parts) length += part.length
  return Buffer.concat([Buffer.from([(type << 4) | flags]), encodeVarint(length), ...parts])
}

export function encodeConnack(version: Version, sessionPresent: boolean, code: number, properties: Properties): Buffer {
  const head = Buffer.from([sessionPresent ? 1 : 0, code])
  return version === Version.V5 ? packet(Packet.Connack, 0, head, encodeProperties(properties)) : packet(Packet.Connack, 0, head)
}

/** PUBACK, PUBREC, PUBREL, PUBCOMP. The reason goes to version 5 only, and there only when it is not success. */
export function encodeAck(type: Packet, packetId: number, reason: number, version: Version): Buffer {
  const first = (type << 4) | (type === Packet.Pubrel ? 2 : 0)
  return version === Version.V5 && reason !== 0
    ? Buffer.from([first, 3, packetId >> 8, packetId & 255, reason])
    : Buffer.from([first, 2, packetId >> 8, packetId & 255])
}

export function encodeSuback(packetId: number, codes: readonly number[], version: Version): Buffer {
  return answers(Packet.Suback, packetId, codes, version)
}

export function encodeUnsuback(packetId: number, codes: readonly number[], version: Version): Buffer {
  return answers(Packet.Unsuback, packetId, version === Version.V5 ? codes : [], version)
}

function answers(type: Packet, packetId: number, codes: readonly number[], version: Version): Buffer {
  const none = version === Version.V5 ? Buffer.from([0]) : Buffer.alloc(0)
  return packet(type, 0, Buffer.from([packetId >> 8, packetId & 255]), none, Buffer.from(codes))
}

export const pingresp = Buffer.from([Packet.Pingresp << 4, 0])

/** Version 5 only; the versions before have no DISCONNECT of the server. */
export function encodeDisconnect(reason: number, properties: Properties): Buffer {
  return packet(Packet.Disconnect, 0, Buffer.from([reason]), encodeProperties(properties))
}

export function encodeAuth(reason: number, properties: Properties): Buffer {
  return packet(Packet.Auth, 0, Buffer.from([reason]), encodeProperties(properties))
}

export interface OutgoingPublish {
  readonly topic: string
  readonly qos: Qos
  readonly retain: boolean
  readonly duplicate: boolean
  readonly packetId: number
  /** Of version 5 only: properties as they stand in the packet, without their length. */
  readonly properties: Buffer
  readonly payload: Buffer
}

export function encodePublish(message: OutgoingPublish, version: Version): Buffer {
  const { topic, qos, payload, properties } = message
  const topicBytes = Buffer.byteLength(topic)
  const five = version === Version.V5
  const propertiesHead = five ? varintBytes(properties.length) + properties.length : 0
  const length = 2 + topicBytes + (qos > 0 ? 2 : 0) + propertiesHead + payload.length
  const bytes = Buffer.allocUnsafe(1 + varintBytes(length) + length)
  bytes[0] = (Packet.Publish << 4) | (message.duplicate ? 8 : 0) | (qos << 1) | (message.retain ? 1 : 0)
  let at = putVarint(bytes, 1, length)
  at = bytes.writeUInt16BE(topicBytes, at)
  at += bytes.write(topic, at)
  if (qos > 0) at = bytes.writeUInt16BE(message.packetId, at)
  if (five) {
    at = putVarint(bytes, at, properties.length)
    at += properties.copy(bytes, at)
  }
  payload.copy(bytes, at)
  return bytes
}

function varintBytes(value: number): number {
  return value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4
}

function putVarint(bytes: Buffer, start: number, value: number): number {
  let at = start
  let rest = value
  while (rest > 127) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[at++] = rest
  return at
}

export { encodePropertyList, encodeText, Packet, type Properties }
