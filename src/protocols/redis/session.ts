/** One connection: bytes become requests, requests are run in their order (executor.ts), replies leave when they may (client.ts). */
import type { Broker, CloseCause, Connection, Session as ProtocolSession } from '../../broker/face.ts'
import { Decoder, ProtocolError } from '../../lib/resp/decoder.ts'
import { Client, type ClientHost } from './client.ts'
import type { Database } from './database.ts'
import { Server } from './server.ts'

/** Requests of one client before others have their turn. */
const turnRequests = 1000

/** Requests that see the same time. */
const clockRequests = 16

/** A client that is blocked may send so much ahead. */
const earlyBytesMax = 64 * 1024

export class Session implements ProtocolSession, ClientHost {
  readonly #connection: Connection
  readonly #server: Server
  readonly #decoder: Decoder
  readonly #client: Client
  #ended = false
  #reading = true
  #planned = false
  /** Its client sends nothing more. */
  #isOver = false

  constructor(connection: Connection, broker: Broker) {
    this.#connection = connection
    this.#server = Server.of(broker)
    const { recordBytesMax, frameBytesMax } = broker.limits
    this.#decoder = new Decoder({
      bulkBytesMax: recordBytesMax,
      requestBytesMax: frameBytesMax,
      stranger: broker.authenticationRequired,
    })
    this.#client = new Client(this, this.#server.databases[0] as Database, broker.clock.now())
    connection.info.namespace = 'default'
    this.#server.welcome(this.#client)
  }

  // --------------------------------------------------------------------------------------------------------------- ClientHost

  get id(): number {
    return this.#connection.id
  }

  get remoteAddress(): string {
    return this.#connection.remoteAddress
  }

  get remote(): string {
    return `${this.#connection.remoteAddress}:${this.#connection.remotePort}`
  }

  get local(): string {
    return `${this.#connection.localAddress}:${this.#connection.localPort}`
  }

  send(bytes: Buffer): void {
    if (this.#ended) return
    const connection = this.#connection
    const at = connection.reserve(bytes.length)
    bytes.copy(connection.slab, at)
    connection.commit(bytes.length)
  }

  selected(): void {
    // Databases are no namespaces.
  }

  admitted(user: string, broker: Broker): void {
    const { info } = this.#connection
    const { user: before } = info
    info.user = user
    try {
      broker.admit(this.#connection)
    } catch (cause) {
      info.user = before
      throw cause
    }
    this.#decoder.stranger = false
  }

  described(): void {
    const { name, libraryName, libraryVersion } = this.#client
    this.#connection.info.clientName = libraryName === '' ? name : libraryName
    this.#connection.info.clientVersion = libraryVersion
  }

  get outboundBytes(): number {
    return this.#connection.outboundBytes
  }

  resumed(): void {
    this.#plan()
  }

  end(reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#connection.end(reason)
  }

  // ----------------------------------------------------------------------------------------------------------------- incoming

  onBytes(chunk: Buffer): void {
    if (this.#ended) return
    this.#decoder.push(chunk)
    this.#pump()
  }

  /** Goes on with what was read already, once whoever is at work is done. */
  #plan(): void {
    if (this.#planned || this.#ended) return
    this.#planned = true
    setImmediate(() => {
      this.#planned = false
      if (!this.#ended && !this.#client.closed) this.#pump()
    })
  }

  #pump(): void {
    const client = this.#client
    try {
      for (let count = 0; this.#mayRun(); count++) {
        if (count === turnRequests) {
          this.#plan()
          break
        }
        const request = this.#decoder.next()
        if (request === null) {
          if (this.#isOver) client.closing = ''
          break
        }
        if (count % clockRequests === 0) this.#server.executor.look()
        this.#server.executor.execute(client, request)
      }
    } catch (cause) {
      if (!(cause instanceof ProtocolError)) throw cause
      client.reply.error(`ERR ${cause.message}`)
      client.closing = cause.message
    }
    this.#server.settle()
    this.#server.flush(client)
    if (this.#isOver && client.blocked) return this.end('')
    // Whoever is blocked is read on, up to a limit: behind what is read may be the end of the connection.
    const isHeard = client.blocked && this.#decoder.buffered <= earlyBytesMax
    this.#read(isHeard || (this.#mayRun() && !this.#planned))
  }

  #mayRun(): boolean {
    const { mayRun, closing, isBehind } = this.#client
    return mayRun && closing === null && !isBehind && !this.#ended && !this.#connection.congested
  }

  /** Reads no more than it can run. */
  #read(wanted: boolean): void {
    if (wanted === this.#reading) return
    this.#reading = wanted
    if (wanted) this.#connection.resume()
    else this.#connection.pause()
  }

  // ------------------------------------------------------------------------------------------------------- called by the loop

  onWritable(): void {
    this.#plan()
  }

  onTick(now: number): void {
    this.#server.tick(this.#client, now)
  }

  /** What was sent is answered, but nobody waits for a key any more, as with Redis. */
  onEnd(): void {
    if (this.#client.blocked) return this.end('')
    this.#isOver = true
    this.#plan()
  }

  drain(): void {
    this.#server.flush(this.#client)
    this.end('the broker is stopping')
  }

  onClose(_cause: CloseCause): void {
    this.#ended = true
    this.#server.remove(this.#client)
  }
}
