/** For tests: a client of a listening broker, one request at a time or many at once. */
import { connect, type Socket } from 'node:net'
import { type Answer, encode, readAnswer } from './client.testing.ts'

export class RespClient {
  readonly #socket: Socket
  #bytes = Buffer.alloc(0)
  #ended = false
  readonly #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void }[] = []

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#read()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#ended = true
      for (const { reject } of this.#waiting.splice(0)) reject(new Error('the connection was closed'))
    })
  }

  static connected(port: number): Promise<RespClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(new RespClient(socket)))
      socket.once('error', reject)
    })
  }

  get isEnded(): boolean {
    return this.#ended
  }

  /** Resolves to the reply; errors resolve to an Error. Numbers are numbers, and words of a line are arguments where there is one alone. */
  run(line: string, ...more: (string | number | Buffer)[]): Promise<Answer> {
    this.#socket.write(encode([...line.split(' '), ...more]))
    return this.next()
  }

  /** The text of an error, or why there was none. */
  async refused(line: string): Promise<string> {
    const answer = await this.run(line)
    return answer instanceof Error ? answer.message : `no error but ${JSON.stringify(answer)}`
  }

  send(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  next(): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(new Error('the connection was closed'))
      this.#waiting.push({ resolve, reject })
      this.#read()
    })
  }

  #read(): void {
    while (this.#waiting.length > 0) {
      const read = readAnswer(this.#bytes, 0)
      if (read === null) return
      this.#bytes = this.#bytes.subarray(read.end)
      this.#waiting.shift()?.resolve(read.answer)
    }
  }

  close(): void {
    this.#socket.destroy()
  }
}

/** Pairs of a reply such as that of SHOW. */
export function pairs(answer: Answer): Record<string, Answer> {
  if (!Array.isArray(answer)) throw new Error(`no pairs: ${String(answer)}`)
  const found: Record<string, Answer> = {}
  for (let at = 0; at < answer.length; at += 2) found[String(answer[at])] = answer[at + 1] as Answer // in pairs
  return found
}
