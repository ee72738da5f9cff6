// For tests only: a client that sends lines and reads answers, one after the other.
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'

export class BeanstalkClient {
  readonly #socket: Socket
  #bytes = Buffer.alloc(0)
  #wake: () => void = () => undefined
  #ended = false

  private constructor(socket: Socket) {
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

  static async connected(port: number): Promise<BeanstalkClient> {
    const socket = createConnection(port, '127.0.0.1')
    await once(socket, 'connect')
    return new BeanstalkClient(socket)
  }

  send(text: string | Buffer): void {
    this.#socket.write(text)
  }

  /** The answer, with its body behind a blank. */
  async ask(line: string): Promise<string> {
    this.send(`${line}\r\n`)
    return await this.answer()
  }

  async answer(): Promise<string> {
    const line = await this.#until(() => {
      const end = this.#bytes.indexOf('\r\n')
      return end < 0 ? null : this.#take(end + 2).toString('latin1', 0, end)
    })
    const [word = '', ...rest] = line.split(' ')
    if (word !== 'RESERVED' && word !== 'FOUND' && word !== 'OK') return line
    const bytes = Number(rest.at(-1))
    const body = await this.#until(() => (this.#bytes.length < bytes + 2 ? null : this.#take(bytes + 2)))
    return `${line} ${body.toString('latin1', 0, bytes)}`
  }

  async put(body: string, { pri = 100, delay = 0, ttr = 60 } = {}): Promise<number> {
    const answer = await this.ask(`put ${pri} ${delay} ${ttr} ${Buffer.byteLength(body)}\r\n${body}`)
    const id = /^INSERTED (\d+)$/.exec(answer)?.[1]
    if (id === undefined) throw new Error(answer)
    return Number(id)
  }

  /** What `stats-job` and the like say, by name. */
  async stats(command: string): Promise<Record<string, string>> {
    const text = (await this.ask(command)).replace(/^OK \d+ ---\n/, '')
    return Object.fromEntries(
      text.split('\n').flatMap((line) => (line.includes(': ') ? [line.split(': ', 2) as [string, string]] : [])),
    )
  }

  async closed(): Promise<void> {
    await this.#until(() => (this.#ended ? true : null))
  }

  async #until<T>(found: () => T | null): Promise<T> {
    const deadline = Date.now() + 5000
    for (;;) {
      const value = found()
      if (value !== null) return value
      if (this.#ended) throw new Error('the connection was closed')
      if (Date.now() > deadline) throw new Error('no answer within 5 s')
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  #take(bytes: number): Buffer {
    const taken = this.#bytes.subarray(0, bytes)
    this.#bytes = this.#bytes.subarray(bytes)
    return taken
  }

  close(): void {
    this.#socket.destroy()
  }
}
