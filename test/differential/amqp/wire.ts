/** An AMQP client that hides nothing: every frame that comes is an event, in the order in which it came. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { ByteReader, ByteWriter } from '../../../src/protocols/amqp/bytes.ts'
import {
  decodeProperties,
  encodeProperties,
  FrameDecoder,
  FrameResult,
  FrameType,
  frameEnd,
  methodFrame,
  type Properties,
  protocolHeader,
} from '../../../src/protocols/amqp/codec.ts'
import { decodeMethod, type Method, type MethodFields, type MethodName } from '../../../src/protocols/amqp/methods.ts'
import { flag, type Table } from '../../../src/protocols/amqp/table.ts'

export interface Event {
  readonly channel: number
  readonly method: Method
  properties?: Properties
  body?: string
}

const closeQuietMs = 60
const answerMs = 15_000

const capabilities: Table = new Map(
  ['consumer_cancel_notify', 'authentication_failure_close', 'basic.nack', 'publisher_confirms'].map((name) => [
    name,
    flag(true),
  ]),
)

export class Wire {
  readonly #socket: Socket
  readonly #decoder = new FrameDecoder()
  events: Event[] = []
  #partial: { event: Event; left: number } | null = null
  #cameAt = 0
  closed = false
  /** Channels that are open. */
  readonly open = new Set<number>()

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.closed = true
    })
  }

  static async connect(port: number): Promise<Wire> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const wire = new Wire(socket)
    socket.write(protocolHeader)
    await wire.#awaitMethod('connection.start')
    const clientProperties: Table = new Map([['capabilities', { type: 'F', value: capabilities }]])
    const response = Buffer.from('\0guest\0guest')
    wire.send(0, 'connection.start-ok', { clientProperties, mechanism: 'PLAIN', response, locale: 'en_US' })
    await wire.#awaitMethod('connection.tune')
    wire.send(0, 'connection.tune-ok', { channelMax: 100, frameMax: 131_072, heartbeat: 0 })
    wire.send(0, 'connection.open', { virtualHost: '/', capabilities: '', insist: false })
    await wire.#awaitMethod('connection.open-ok')
    wire.events = []
    return wire
  }

  send<N extends MethodName>(channel: number, name: N, fields: MethodFields<N>): void {
    this.#socket.write(methodFrame(channel, name, fields))
  }

  publish(channel: number, exchange: string, routingKey: string, mandatory: boolean, properties: Properties, body: string): void {
    const method = { ticket: 0, exchange, routingKey, mandatory, immediate: false }
    const header = new ByteWriter(64)
    header.u16(60)
    header.u16(0)
    header.u32(0)
    header.u32(Buffer.byteLength(body))
    encodeProperties(header, properties)
    this.send(channel, 'basic.publish', method)
    this.#frame(FrameType.Header, channel, header.view())
    if (body !== '') this.#frame(FrameType.Body, channel, Buffer.from(body))
  }

  #frame(type: number, channel: number, payload: Uint8Array): void {
    const head = Buffer.alloc(7)
    head[0] = type
    head.writeUInt16BE(channel, 1)
    head.writeUInt32BE(payload.length, 3)
    this.#socket.write(Buffer.concat([head, payload, Buffer.from([frameEnd])]))
  }

  #onData(chunk: Buffer): void {
    this.#cameAt = performance.now()
    this.#decoder.frameMax = 131_072
    this.#decoder.push(chunk)
    while (this.#decoder.next() === FrameResult.Frame) this.#onFrame()
  }

  #onFrame(): void {
    const { type, channel, buffer, start, end } = this.#decoder
    if (type === FrameType.Method) {
      const method = decodeMethod(buffer, start, end)
      if (method === undefined) throw new Error(`unknown method ${buffer.toString('hex', start, start + 4)}`)
      this.events.push({ channel, method })
      if (method.name === 'channel.close') {
        this.open.delete(channel)
        this.send(channel, 'channel.close-ok', {})
      }
      if (method.name === 'connection.close') {
        this.send(0, 'connection.close-ok', {})
        this.#socket.end()
        this.closed = true
      }
    } else if (type === FrameType.Header) {
      const event = this.events.at(-1) as Event // a method came before
      const reader = new ByteReader(buffer, start + 4, end)
      const left = Number(reader.u64())
      event.properties = decodeProperties(buffer, start + 12, end)
      event.body = ''
      this.#partial = left === 0 ? null : { event, left }
    } else if (type === FrameType.Body && this.#partial !== null) {
      this.#partial.event.body += buffer.toString('utf8', start, end)
      this.#partial.left -= end - start
    }
  }

  async #awaitMethod(...names: string[]): Promise<void> {
    const deadline = performance.now() + answerMs
    while (!this.closed && !this.events.some(({ method }) => names.includes(method.name))) {
      if (deadline < performance.now()) throw new Error(`none of ${names.join(', ')} came`)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  /** Asks for something that changes nothing and is answered in its turn: what was sent before has then been seen. */
  async barrier(channel: number): Promise<void> {
    this.send(channel, 'channel.flow', { active: true })
    await this.#awaitMethod('channel.flow-ok', 'channel.close', 'connection.close')
    this.events = this.events.filter(({ method }) => method.name !== 'channel.flow-ok')
  }

  /** Everything that came since the last call, once one of `answers` (or a close) is there and nothing more has come for so long. */
  async take(answers: readonly string[], quietMs: number): Promise<Event[]> {
    if (0 < answers.length) await this.#awaitMethod(...answers, 'channel.close', 'connection.close')
    const started = performance.now()
    // What was held by a channel that closes goes to others.
    const wait = this.events.some(({ method }) => method.name.endsWith('.close')) ? Math.max(quietMs, closeQuietMs) : quietMs
    while (performance.now() - Math.max(started, this.#cameAt) < wait) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const events = this.events
    this.events = []
    return events
  }

  end(): void {
    this.#socket.destroy()
  }
}
