/** A client for tests that sends what it is told, good or bad, and hands out what comes back line by line. */
import { connect, type Socket } from 'node:net'

export class NatsClient {
  readonly socket: Socket
  #text = ''
  #ended = false
  #wake: (() => void) | null = null
  info: Record<string, unknown> = {}

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    // One character a byte, so that lengths are those of the protocol.
    socket.on('data', (chunk) => {
      this.#text += chunk.toString('latin1')
      this.#wake?.()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#ended = true
      this.#wake?.()
    })
  }

  /** Connected, and INFO read; `options`: CONNECT's, null to send none. */
  static async open(port: number, options: object | null = {}): Promise<NatsClient> {
    const client = new NatsClient(connect(port, '127.0.0.1'))
    client.info = JSON.parse((await client.line()).slice('INFO '.length)) as Record<string, unknown>
    if (options !== null) {
      const defaults = { verbose: false, pedantic: false, headers: true, no_responders: true, protocol: 1 }
      client.send(`CONNECT ${JSON.stringify({ ...defaults, ...options })}`)
    }
    return client
  }

  /** Each with its line end. */
  send(...lines: string[]): void {
    this.socket.write(lines.map((line) => `${line}\r\n`).join(''))
  }

  publish(subject: string, payload: string, reply = ''): void {
    this.send(`PUB ${subject} ${reply} ${Buffer.byteLength(payload)}`, payload)
  }

  /** The next line; 'closed' when the connection has ended. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf('\r\n')
      if (end >= 0) {
        const line = this.#text.slice(0, end)
        this.#text = this.#text.slice(end + 2)
        return line
      }
      if (this.#ended) return 'closed'
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async lines(count: number): Promise<string[]> {
    const lines: string[] = []
    while (lines.length < count) lines.push(await this.line())
    return lines
  }

  /** Everything up to the answer to a PING, so that what was sent before has happened. */
  async flush(): Promise<string[]> {
    this.send('PING')
    const lines: string[] = []
    for (;;) {
      const line = await this.line()
      if (line === 'PONG') return lines
      lines.push(line)
      if (line === 'closed') return lines
    }
  }

  close(): void {
    this.socket.destroy()
  }
}
