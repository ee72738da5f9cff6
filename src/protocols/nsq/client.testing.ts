// For tests only: a client that sends commands and reads frames, one after the other.
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'

export interface Frame {
  readonly type: 'response' | 'error' | 'message'
  readonly text: string
}

export interface Message {
  readonly id: string
  readonly attempts: number
  readonly timestampNs: bigint
  readonly body: string
}

const types = ['response', 'error', 'message'] as const
const waitMs = 5000

export class NsqClient {
  #socket: Socket
  #bytes = Buffer.alloc(0)
  #wake: () => void = () => undefined
  #ended = false

  private constructor(socket: Socket) {
    this.#socket = socket
    this.#attach(socket)
  }

  #attach(socket: Socket): void {
    this.#socket = socket
    socket.on('data', (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#wake()
    })
    socket.on('close', () => {
      this.#ended = true
      this.#wake()
    })
    socket.on('error', () => undefined)
  }

  static async connected(port: number, magic = '  V2'): Promise<NsqClient> {
    const socket = createConnection(port, '127.0.0.1')
    socket.setNoDelay(true)
    await once(socket, 'connect')
    const client = new NsqClient(socket)
    client.send(magic)
    return client
  }

  /** With messages of a channel coming in, so many at a time. */
  static async subscribed(port: number, topic: string, channel: string, rdy = 1, identity?: object): Promise<NsqClient> {
    const client = await NsqClient.connected(port)
    if (identity !== undefined) await client.identify(identity)
    await client.ok(`SUB ${topic} ${channel}`)
    client.send(`RDY ${rdy}\n`)
    return client
  }

  async startTls(options: ConnectionOptions = {}): Promise<void> {
    this.#socket.removeAllListeners()
    const secure = connectTls({ socket: this.#socket, rejectUnauthorized: false, ...options })
    await once(secure, 'secureConnect')
    this.#attach(secure)
  }

  send(bytes: string | Buffer): void {
    this.#socket.write(bytes)
  }

  /** A command with its body. */
  static frame(line: string, body?: string | Buffer): Buffer {
    const head = Buffer.from(`${line}\n`, 'latin1')
    if (body === undefined) return head
    const size = Buffer.alloc(4)
    size.writeInt32BE(Buffer.byteLength(body))
    return Buffer.concat([head, size, Buffer.from(body)])
  }

  async ask(line: string, body?: string | Buffer): Promise<Frame> {
    this.send(NsqClient.frame(line, body))
    return await this.frame()
  }

  async ok(line: string, body?: string | Buffer): Promise<void> {
    const { text } = await this.ask(line, body)
    if (text !== 'OK') throw new Error(`${line}: ${text}`)
  }

  async identify(identity: object): Promise<Record<string, unknown>> {
    const { text } = await this.ask('IDENTIFY', JSON.stringify({ feature_negotiation: true, ...identity }))
    return JSON.parse(text) as Record<string, unknown>
  }

  async frame(): Promise<Frame> {
    const data = await this.#frameButBeats()
    const type = types[data.readInt32BE(0)]
    if (type === undefined) throw new Error('a frame of an unknown type')
    return { type, text: data.toString('latin1', 4) }
  }

  async message(): Promise<Message> {
    const data = await this.#frameButBeats()
    if (data.readInt32BE(0) !== 2) throw new Error(`no message: ${data.toString('latin1', 4)}`)
    return {
      timestampNs: data.readBigInt64BE(4),
      attempts: data.readUInt16BE(12),
      id: data.toString('latin1', 14, 30),
      body: data.toString('utf8', 30),
    }
  }

  /** An answer of nsqlookupd's protocol. */
  async plain(): Promise<string> {
    return (await this.#frame()).toString('latin1')
  }

  async #frameButBeats(ms = waitMs): Promise<Buffer> {
    for (;;) {
      const data = await this.#frame(ms)
      if (data.toString('latin1', 4) !== '_heartbeat_') return data
      this.send('NOP\n')
    }
  }

  async #frame(ms = waitMs): Promise<Buffer> {
    return await this.#until(() => {
      if (this.#bytes.length < 4) return null
      const end = 4 + this.#bytes.readInt32BE(0)
      if (this.#bytes.length < end) return null
      const data = this.#bytes.subarray(4, end)
      this.#bytes = this.#bytes.subarray(end)
      return data
    }, ms)
  }

  /** Bytes as they came, for what reads them itself. */
  async raw(): Promise<Buffer> {
    return await this.#until(() => {
      if (this.#bytes.length === 0) return null
      const all = this.#bytes
      this.#bytes = Buffer.alloc(0)
      return all
    })
  }

  /** From now on each frame goes there, but heartbeats; null when the connection has ended. */
  listen(onFrame: (frame: { type: Frame['type']; data: Buffer } | null) => void): void {
    const next = async (): Promise<void> => {
      for (;;) {
        const data = await this.#frameButBeats(Infinity)
        onFrame({ type: types[data.readInt32BE(0)] ?? 'error', data: data.subarray(4) })
      }
    }
    next().catch(() => onFrame(null))
  }

  /** Stops or goes on reading what comes. */
  pause(paused: boolean): void {
    if (paused) this.#socket.pause()
    else this.#socket.resume()
  }

  get ended(): boolean {
    return this.#ended
  }

  async closed(): Promise<void> {
    await this.#until(() => (this.#ended ? true : null))
  }

  async #until<T>(found: () => T | null, ms = waitMs): Promise<T> {
    const deadline = Date.now() + ms
    for (;;) {
      const value = found()
      if (value !== null) return value
      if (this.#ended) throw new Error('the connection was closed')
      if (Date.now() > deadline) throw new Error(`nothing came within ${ms} ms`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  close(): void {
    this.#socket.destroy()
  }
}
