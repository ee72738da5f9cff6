/** A connection that sends any bytes, and writes down what comes back as lines that two brokers can be compared by. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import {
  encodeText,
  Packet,
  PacketDecoder,
  type Properties,
  type RawPacket,
  readPublish,
  Version,
} from '../../../src/protocols/mqtt/codec.ts'
import { encodeProperties, encodeVarint, Reader, readProperties } from '../../../src/protocols/mqtt/properties.ts'

/** For one answer, in a broker that is idle. */
const answerMs = 2000

export function frame(type: number, flags: number, ...parts: readonly (Buffer | readonly number[])[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)))
  return Buffer.concat([Buffer.from([(type << 4) | flags]), encodeVarint(body.length), body])
}

let clients = 0

export const pingreq = frame(Packet.Pingreq, 0)

export interface Connect {
  readonly version?: Version
  readonly clientId?: string
  readonly clean?: boolean
  readonly keepAlive?: number
  readonly properties?: Properties
  readonly will?: {
    readonly topic: string
    readonly payload: string
    readonly qos?: number
    readonly retain?: boolean
    readonly properties?: Properties
  }
}

export function connectPacket({
  version = Version.V5,
  clientId = `d${++clients}`,
  clean = true,
  keepAlive = 60,
  will,
  properties = {},
}: Connect): Buffer {
  const five = version === Version.V5
  const flags = (clean ? 2 : 0) | (will === undefined ? 0 : 4 | ((will.qos ?? 0) << 3) | (will.retain === true ? 0x20 : 0))
  const parts = [
    encodeText(version === Version.V31 ? 'MQIsdp' : 'MQTT'),
    Buffer.from([version, flags, keepAlive >> 8, keepAlive & 255]),
  ]
  if (five) parts.push(encodeProperties(properties))
  parts.push(encodeText(clientId))
  if (will !== undefined) {
    if (five) parts.push(encodeProperties(will.properties ?? {}))
    parts.push(encodeText(will.topic), encodeText(will.payload))
  }
  return frame(Packet.Connect, 0, ...parts)
}

export class Wire {
  readonly version: Version
  readonly #socket: Socket
  readonly #decoder = new PacketDecoder(1e9)
  #lines: string[] = []
  /** Of the last packet that had one and asks for an answer. */
  lastPacketId = 0
  #closed = false
  #wake: () => void = () => undefined

  private constructor(socket: Socket, version: Version) {
    this.#socket = socket
    this.version = version
    socket.on('data', (chunk) => {
      this.#decoder.push(chunk)
      for (let packet = this.#decoder.next(); packet !== null; packet = this.#decoder.next())
        this.#lines.push(this.#describe(packet))
      this.#wake()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#closed = true
      this.#lines.push('closed')
      this.#wake()
    })
  }

  static async open(port: number, version: Version = Version.V5): Promise<Wire> {
    const socket = connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    await once(socket, 'connect')
    return new Wire(socket, version)
  }

  static async connected(port: number, options: Connect = {}): Promise<Wire> {
    const wire = await Wire.open(port, options.version)
    wire.send(connectPacket(options))
    await wire.settle(1)
    return wire
  }

  /** Sends CONNECT. */
  greet(options: Connect): void {
    this.send(connectPacket(options))
  }

  send(bytes: Buffer): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes)
  }

  /** Waits until so many lines have come (or the connection ended, or it takes too long), and returns all that have. */
  async settle(lines: number): Promise<string[]> {
    const deadline = performance.now() + answerMs
    while (this.#lines.length < lines && !this.#closed) {
      const left = deadline - performance.now()
      if (left <= 0) break
      await this.#changed(left)
    }
    return this.take()
  }

  /** All that comes before the answer to a ping, or the end. */
  async quiet(): Promise<string[]> {
    this.send(pingreq)
    const deadline = performance.now() + answerMs
    while (!this.#closed && !this.#lines.includes('PINGRESP')) {
      const left = deadline - performance.now()
      if (left <= 0) return [...this.take(), 'no answer']
      await this.#changed(left)
    }
    return this.take().filter((line) => line !== 'PINGRESP')
  }

  take(): string[] {
    const lines = this.#lines
    this.#lines = []
    return lines
  }

  /** Cuts it. */
  async destroy(): Promise<void> {
    this.#socket.destroy()
    while (!this.#closed) await this.#changed(answerMs)
  }

  #changed(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #describe(packet: RawPacket): string {
    const { type, flags, body } = packet
    const five = this.version === Version.V5
    switch (type) {
      case Packet.Connack: {
        const properties = five && body.length > 2 ? readProperties(new Reader(body, 2), Packet.Connack) : {}
        return `CONNACK present=${body[0]} ${hex(body[1])}${told(properties)}`
      }
      case Packet.Publish: {
        const { topic, qos, retain, duplicate, packetId, properties, payload } = readPublish(packet, this.version)
        if (qos > 0) this.lastPacketId = packetId
        const marks = `${retain ? ' retain' : ''}${duplicate ? ' dup' : ''}`
        return `PUBLISH qos=${qos}${marks} ${topic} ${payload.toString('latin1').slice(0, 40)}${told(properties ?? {})}`
      }
      case Packet.Pubrel:
        this.lastPacketId = body.readUInt16BE(0)
        return `PUBREL ${hex(body[2] ?? 0)}`
      case Packet.Puback:
      case Packet.Pubrec:
      case Packet.Pubcomp:
        return `${nameOf(type)} ${body.readUInt16BE(0)} ${hex(body[2] ?? 0)}`
      case Packet.Suback:
      case Packet.Unsuback: {
        const codes = five ? body.subarray(2 + 1 + (body[2] ?? 0)) : body.subarray(2)
        return `${nameOf(type)} ${body.readUInt16BE(0)} ${[...codes].map(hex).join(' ')}`.trim()
      }
      case Packet.Pingresp:
        return 'PINGRESP'
      case Packet.Disconnect:
        return `DISCONNECT ${hex(body[0] ?? 0)}`
      default:
        return `${nameOf(type)} flags=${flags} ${body.toString('hex')}`
    }
  }
}

const hex = (code: number | undefined): string => `0x${(code ?? 0).toString(16).padStart(2, '0')}`
const nameOf = (type: number): string =>
  (Object.entries(Packet).find(([, number]) => number === type)?.[0] ?? `packet ${type}`).toUpperCase()

/** The limits that a broker has, and what it says in its own words, are its own affair. */
const own: ReadonlySet<string> = new Set([
  'reasonString',
  'receiveMaximum',
  'topicAliasMaximum',
  'maximumPacketSize',
  'assignedClientId',
  'topicAlias',
])

function told(properties: Properties): string {
  const kept = Object.entries(properties).filter(([name]) => !own.has(name))
  kept.sort(([a], [b]) => (a < b ? -1 : 1))
  return kept.map(([name, value]) => ` ${name}=${JSON.stringify(value)}`).join('')
}
