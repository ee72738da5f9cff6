/** For tests: a client of a broker without a socket, and a reader of replies. */
import type { Broker, Connection } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import { type Answer, encode, Pushed, readAnswer } from '../../lib/resp/client.testing.ts'
import { payloadFormat } from './mapping.ts'
import { Server } from './server.ts'
import { Session } from './session.ts'

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
      overWebSocket: false,
      peerName: undefined,
      upgrade: 'none',
      write: received,
      whenSent: (then) => then(),
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
