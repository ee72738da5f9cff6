/**
 * This broker as a node of nsqlookupds that others run: it keeps a connection to each, says which topics and channels it has, and what changes. Where
 * they are is said over HTTP (PUT /config/nsqlookupd_tcp_addresses) and outlives a restart.
 */
import { Buffer } from 'node:buffer'
import { connect, type Socket } from 'node:net'
import { hostname } from 'node:os'
import type { Broker, Rows, ServerFacts } from '../../../broker/face.ts'
import type { Timer } from '../../../lib/timers.ts'
import { Decoder } from '../codec.ts'
import { portOf } from '../http/answers.ts'
import { serverVersion } from '../limits.ts'
import { Topics } from '../topics.ts'

const pingMs = 15_000
const retryMs = 5_000
const startingMs = 100
const addressesMax = 16
/** Of an answer. */
const answerBytesMax = 1024 * 1024
const addressesKey = 'addresses'

/** `host:port`, in a list of JSON; null: it is none. */
export function parseAddresses(text: string): string[] | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (!Array.isArray(value) || value.length > addressesMax) return null
  const isAddress = (each: unknown): each is string => typeof each === 'string' && /^\S+:\d{1,5}$/.test(each)
  return value.every(isAddress) ? [...new Set(value)] : null
}

export class Announcing {
  readonly #broker: Broker
  readonly #rows: Rows
  readonly #links = new Map<string, Link>()
  #server: ServerFacts | null = null

  constructor(broker: Broker) {
    this.#broker = broker
    this.#rows = broker.rows('nsq.lookupd')
    const topics = Topics.of(broker)
    topics.onChange = (change, topic, channel) => {
      const command = change === 'made' ? 'REGISTER' : 'UNREGISTER'
      for (const link of this.#links.values()) link.tell(`${command} ${topic}${channel === null ? '' : ` ${channel}`}\n`)
    }
  }

  static of(broker: Broker): Announcing {
    return broker.shared('nsq.announcing', () => new Announcing(broker))
  }

  get addresses(): string[] {
    return parseAddresses(this.#rows.get(addressesKey) ?? '[]') ?? []
  }

  /** Begins, when the ports are known. */
  begin(server: ServerFacts): void {
    this.#server = server
    this.#connect()
  }

  async announceTo(addresses: readonly string[]): Promise<void> {
    this.#rows.put(addressesKey, JSON.stringify(addresses))
    await this.#rows.durable()
    this.#connect()
  }

  #connect(): void {
    const server = this.#server
    if (server === null) return
    const wanted = new Set(this.addresses)
    for (const [address, link] of this.#links) {
      if (wanted.has(address)) continue
      link.close()
      this.#links.delete(address)
    }
    for (const address of wanted) if (!this.#links.has(address)) this.#links.set(address, new Link(this.#broker, server, address))
  }

  stop(): void {
    for (const link of this.#links.values()) link.close()
    this.#links.clear()
  }
}

class Link {
  readonly #broker: Broker
  readonly #server: ServerFacts
  readonly #address: string
  #socket: Socket | null = null
  #timer: Timer | null = null
  #closed = false
  #failures = 0

  constructor(broker: Broker, server: ServerFacts, address: string) {
    this.#broker = broker
    this.#server = server
    this.#address = address
    this.#open()
  }

  #open(): void {
    // The ports that it tells of have to be open.
    if (!this.#server.ready()) {
      this.#timer = this.#broker.clock.after(startingMs, () => this.#open())
      return
    }
    const at = this.#address.lastIndexOf(':')
    const socket = connect({ host: this.#address.slice(0, at), port: Number(this.#address.slice(at + 1)) })
    this.#socket = socket
    socket.unref()
    const decoder = new Decoder()
    let bytes: number | null = null
    socket.on('connect', () => this.#introduce(socket))
    socket.on('data', (chunk: Buffer) => {
      decoder.push(Buffer.from(chunk))
      for (;;) {
        bytes ??= decoder.size()
        if (bytes === null) return
        if (bytes < 0 || bytes > answerBytesMax) return socket.destroy()
        const answer = decoder.body(bytes)
        if (answer === null) return
        bytes = null
        if (answer.toString('latin1', 0, 2) === 'E_') this.#warn(answer.toString())
      }
    })
    socket.on('error', (error) => this.#warn(error.message))
    socket.on('close', () => this.#again())
  }

  #introduce(socket: Socket): void {
    this.#failures = 0
    const advertised = this.#broker.advertised('nsqd')
    const body = Buffer.from(
      JSON.stringify({
        broadcast_address: advertised?.host ?? (socket.localAddress ?? '').replace(/^::ffff:/, ''),
        hostname: hostname(),
        http_port: this.#broker.advertised('nsqd-http')?.port ?? portOf(this.#server, 'nsqd-http'),
        tcp_port: advertised?.port ?? portOf(this.#server, 'nsqd'),
        version: serverVersion,
      }),
    )
    const size = Buffer.alloc(4)
    size.writeInt32BE(body.length)
    socket.write(Buffer.concat([Buffer.from('  V1IDENTIFY\n'), size, body]))
    const topics = Topics.of(this.#broker)
    for (const topic of topics.names()) {
      this.tell(`REGISTER ${topic}\n`)
      for (const channel of topics.channels(topic)) this.tell(`REGISTER ${topic} ${channel}\n`)
    }
    this.#ping()
  }

  #ping(): void {
    this.#timer = this.#broker.clock.after(pingMs, () => {
      this.tell('PING\n')
      this.#ping()
    })
  }

  tell(command: string): void {
    if (this.#socket !== null && !this.#socket.connecting && !this.#socket.destroyed) this.#socket.write(command)
  }

  #again(): void {
    this.#timer?.cancel()
    this.#socket = null
    if (!this.#closed) this.#timer = this.#broker.clock.after(retryMs, () => this.#open())
  }

  /** Once for each time that it is lost. */
  #warn(error: string): void {
    if (this.#failures++ === 0) this.#broker.log.warn({ protocol: 'nsq', nsqlookupd: this.#address, error }, 'nsqlookupd')
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#socket?.destroy()
  }
}
