/** A client for tests that sends exactly the packets it is told to and hides nothing of what comes back. */
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import {
  encodeAck,
  encodePublish,
  encodeText,
  PacketDecoder,
  type PublishPacket,
  type Qos,
  type RawPacket,
  readPublish,
  Version,
} from './codec.ts'
import {
  encodeProperties,
  encodePropertyList,
  encodeVarint,
  Packet,
  type Properties,
  Reader,
  readProperties,
} from './properties.ts'

export interface ConnectOptions {
  readonly version?: Version
  readonly clientId?: string
  readonly clean?: boolean
  readonly keepAlive?: number
  readonly user?: string
  readonly password?: string
  readonly properties?: Properties
  readonly will?: { topic: string; payload: string; qos?: Qos; retain?: boolean; properties?: Properties }
}

export interface PublishOptions {
  readonly qos?: Qos
  readonly retain?: boolean
  readonly duplicate?: boolean
  readonly packetId?: number
  readonly properties?: Properties
}

export interface SubscribeOptions {
  readonly qos?: Qos
  /** The other bits of the options. */
  readonly bits?: number
  readonly properties?: Properties
}

export function frame(type: number, flags: number, ...parts: readonly (Buffer | readonly number[])[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)))
  return Buffer.concat([Buffer.from([(type << 4) | flags]), encodeVarint(body.length), body])
}

export class TestClient {
  readonly version: Version
  readonly #socket: Socket
  readonly #decoder = new PacketDecoder(1e9)
  readonly #packets: RawPacket[] = []
  readonly #waiting: ((packet: RawPacket | null) => void)[] = []
  #ended = false
  #nextId = 1

  constructor(socket: Socket, version: Version) {
    this.#socket = socket
    this.version = version
    socket.on('data', (chunk) => {
      this.#decoder.push(chunk)
      for (let packet = this.#decoder.next(); packet !== null; packet = this.#decoder.next()) {
        const waiting = this.#waiting.shift()
        if (waiting === undefined) this.#packets.push(packet)
        else waiting(packet)
      }
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#ended = true
      for (const waiting of this.#waiting.splice(0)) waiting(null)
    })
  }

  static async open(port: number, version: Version = Version.V5): Promise<TestClient> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    return new TestClient(socket, version)
  }

  /** Connects and expects success; `present` and `properties` are what CONNACK says. */
  static async connected(
    port: number,
    options: ConnectOptions = {},
  ): Promise<TestClient & { present: boolean; properties: Properties }> {
    const client = await TestClient.open(port, options.version ?? Version.V5)
    const { present, code, properties } = await client.connect(options)
    assert.equal(code, 0)
    return Object.assign(client, { present, properties })
  }

  async connect(options: ConnectOptions): Promise<{ present: boolean; code: number; properties: Properties }> {
    const { clientId = '', clean = true, keepAlive = 0, user, password, will, properties = {} } = options
    const five = this.version === Version.V5
    const flags =
      (clean ? 2 : 0) |
      (will === undefined ? 0 : 4 | ((will.qos ?? 0) << 3) | (will.retain === true ? 0x20 : 0)) |
      (user === undefined ? 0 : 0x80) |
      (password === undefined ? 0 : 0x40)
    const parts = [
      encodeText(this.version === Version.V31 ? 'MQIsdp' : 'MQTT'),
      Buffer.from([this.version, flags, keepAlive >> 8, keepAlive & 255]),
    ]
    if (five) parts.push(encodeProperties(properties))
    parts.push(encodeText(clientId))
    if (will !== undefined) {
      if (five) parts.push(encodeProperties(will.properties ?? {}))
      parts.push(encodeText(will.topic), encodeText(will.payload))
    }
    if (user !== undefined) parts.push(encodeText(user))
    if (password !== undefined) parts.push(encodeText(password))
    this.raw(frame(Packet.Connect, 0, ...parts))
    const { body } = await this.packet(Packet.Connack)
    const reader = new Reader(body, 2)
    return {
      present: body[0] === 1,
      code: body[1] as number,
      properties: reader.done ? {} : readProperties(reader, Packet.Connack),
    }
  }

  raw(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  /** The next packet, or null when the connection ends first. */
  async next(): Promise<RawPacket | null> {
    const packet = this.#packets.shift()
    if (packet !== undefined) return packet
    if (this.#ended) return null
    return await new Promise((resolve) => this.#waiting.push(resolve))
  }

  async packet(type: Packet): Promise<RawPacket> {
    const packet = await this.next()
    assert.notEqual(packet, null, 'the connection ended')
    assert.equal(packet?.type, type)
    return packet as RawPacket // asserted above
  }

  publish(topic: string, payload: string, options: PublishOptions = {}): number {
    const { qos = 0, retain = false, duplicate = false, properties = {} } = options
    const packetId = qos === 0 ? 0 : (options.packetId ?? this.#nextId++)
    const list = encodePropertyList(properties)
    this.raw(
      encodePublish({ topic, qos, retain, duplicate, packetId, properties: list, payload: Buffer.from(payload) }, this.version),
    )
    return packetId
  }

  /** Publishes with QoS 1 and resolves to the reason of PUBACK. */
  async published(topic: string, payload: string, options: PublishOptions = {}): Promise<number> {
    const id = this.publish(topic, payload, { ...options, qos: 1 })
    const { body } = await this.packet(Packet.Puback)
    assert.equal(body.readUInt16BE(0), id)
    return body[2] ?? 0
  }

  async subscribe(filter: string, { qos = 0, bits = 0, properties = {} }: SubscribeOptions = {}): Promise<number> {
    const id = this.#nextId++
    const five = this.version === Version.V5 ? [encodeProperties(properties)] : []
    this.raw(frame(Packet.Subscribe, 2, [id >> 8, id & 255], ...five, encodeText(filter), [qos | bits]))
    const { body } = await this.packet(Packet.Suback)
    assert.equal(body.readUInt16BE(0), id)
    return body.at(-1) as number
  }

  async unsubscribe(filter: string): Promise<number | undefined> {
    const id = this.#nextId++
    const five = this.version === Version.V5 ? [[0]] : []
    this.raw(frame(Packet.Unsubscribe, 2, [id >> 8, id & 255], ...five, encodeText(filter)))
    const { body } = await this.packet(Packet.Unsuback)
    return body[3]
  }

  async message(): Promise<PublishPacket> {
    return readPublish(await this.packet(Packet.Publish), this.version)
  }

  async text(): Promise<string> {
    const { topic, payload } = await this.message()
    return `${topic} ${payload}`
  }

  ack(type: Packet, packetId: number, reason = 0): void {
    this.raw(encodeAck(type, packetId, reason, this.version))
  }

  /** Nothing is on its way: a ping comes back first. */
  async quiet(): Promise<void> {
    this.raw(frame(Packet.Pingreq, 0))
    await this.packet(Packet.Pingresp)
  }

  /** The reason of DISCONNECT, or null when the connection ends without one. */
  async ended(): Promise<number | null> {
    const packet = await this.next()
    if (packet === null) return null
    assert.equal(packet.type, Packet.Disconnect)
    assert.equal(await this.next(), null)
    return packet.body[0] ?? 0
  }

  async disconnect(reason = 0, properties: Properties = {}): Promise<void> {
    const body = this.version === Version.V5 ? [Buffer.from([reason]), encodeProperties(properties)] : []
    this.raw(frame(Packet.Disconnect, 0, ...body))
    assert.equal(await this.next(), null)
  }

  /** Reads nothing more, until {@link resume}. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Cuts the connection. */
  async destroy(): Promise<void> {
    this.#socket.destroy()
    while ((await this.next()) !== null);
  }
}
