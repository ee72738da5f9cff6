/** For tests: a client of a broker without a socket, and a reader of replies. */
import type { Broker, Connection } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import { payloadFormat } from './mapping.ts'
import { Server } from './server.ts'
import { Session } from './session.ts'

export type Answer = string | number | bigint | null | boolean | Error | Answer[] | Map<Answer, Answer> | Pushed

export class Pushed {
  readonly items: Answer[]
  constructor(items: Answer[]) {
    this.items = items
  }
}

let nextId = 1

export class TestClient {
  readonly session: Session
  /** What came without being asked for, RESP3. */
  readonly pushed: Answer[][] = []
  /** Why the server ended the connection; null: it has not. */
  ended: string | null = null
  #bytes = Buffer.alloc(0)
  readonly #waiting: ((answer: Answer) => void)[] = []
  readonly #early: Answer[] = []

  private constructor(broker: Broker) {
    this.session = new Session(this.#connection(), broker)
  }

  static async open(broker: Broker): Promise<TestClient> {
    formats.register(payloadFormat)
    await Server.of(broker).load()
    return new TestClient(broker)
  }

  #connection(): Connection {
    const received = (bytes: Uint8Array): void => {
      this.#bytes = Buffer.concat([this.#bytes, bytes])
      this.#read()
    }
    const end = (reason: string): void => {
      this.ended = reason
    }
    return {
      id: nextId++,
      remoteAddress: '127.0.0.1',
      remotePort: 1,
      localAddress: '127.0.0.1',
      localPort: 2,
      encrypted: false,
      peerName: undefined,
      upgrade: 'none',
      write: received,
      reserve() {
        return 0
      },
      slab: Buffer.alloc(64 * 1024 * 1024),
      commit(bytes: number) {
        received(Buffer.from(this.slab.subarray(0, bytes)))
      },
      outboundBytes: 0,
      congested: false,
      pause() {},
      resume() {},
      end,
      destroy: end,
      info: { protocol: '', clientName: '', clientVersion: '', user: '', namespace: '' },
    }
  }

  /** Sends a command and resolves to its reply; errors resolve to an Error. */
  run(...args: (string | number | Buffer)[]): Promise<Answer> {
    return this.raw(encode(args))
  }

  raw(bytes: Buffer): Promise<Answer> {
    const answer = this.next()
    this.session.onBytes(bytes)
    return answer
  }

  /** The next reply. */
  next(): Promise<Answer> {
    const early = this.#early.shift()
    if (early !== undefined) return Promise.resolve(early)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  close(): void {
    this.session.onClose('peer')
  }

  #read(): void {
    for (;;) {
      const read = readAnswer(this.#bytes, 0)
      if (read === null) return
      this.#bytes = this.#bytes.subarray(read.end)
      if (read.answer instanceof Pushed) {
        this.pushed.push(read.answer.items)
        continue
      }
      const waiting = this.#waiting.shift()
      if (waiting === undefined) this.#early.push(read.answer)
      else waiting(read.answer)
    }
  }
}

export function encode(args: readonly (string | number | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)]
  for (const arg of args) {
    const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg))
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
  }
  return Buffer.concat(parts)
}

/** One reply; null while it is not whole. Bulk strings are read as UTF-8. */
export function readAnswer(bytes: Buffer, at: number): { answer: Answer; end: number } | null {
  const lineEnd = bytes.indexOf('\r\n', at)
  if (lineEnd < 0) return null
  const type = String.fromCharCode(bytes[at] ?? 0)
  const line = bytes.toString('utf8', at + 1, lineEnd)
  const end = lineEnd + 2
  switch (type) {
    case '+':
      return { answer: line, end }
    case '-':
      return { answer: new Error(line), end }
    case ':':
      return { answer: Number.isSafeInteger(Number(line)) ? Number(line) : BigInt(line), end }
    case ',':
      return { answer: line === 'inf' ? Infinity : line === '-inf' ? -Infinity : Number(line), end }
    case '#':
      return { answer: line === 't', end }
    case '_':
      return { answer: null, end }
    case '$':
    case '=': {
      const length = Number(line)
      if (length < 0) return { answer: null, end }
      if (bytes.length < end + length + 2) return null
      return { answer: bytes.toString('utf8', end, end + length), end: end + length + 2 }
    }
  }
  const count = Number(line) * (type === '%' ? 2 : 1)
  if (count < 0) return { answer: null, end }
  const items: Answer[] = []
  let place = end
  for (let i = 0; i < count; i++) {
    const item = readAnswer(bytes, place)
    if (item === null) return null
    items.push(item.answer)
    place = item.end
  }
  if (type === '>') return { answer: new Pushed(items), end: place }
  if (type !== '%') return { answer: items, end: place }
  const map = new Map<Answer, Answer>()
  for (let i = 0; i < items.length; i += 2) map.set(items[i] as Answer, items[i + 1] as Answer)
  return { answer: map, end: place }
}
