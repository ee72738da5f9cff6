/** The first four bytes: which protocol, and so which session, it is. */
import { Buffer } from 'node:buffer'
import { type Broker, type Session as BrokerSession, type CloseCause, type Connection, CoreError } from '../../broker/face.ts'
import { FrameType, writeText } from './codec.ts'
import { LookupSession } from './lookup/session.ts'
import { Session } from './session.ts'

const magicBytes = 4
/** Of a client that says nothing. */
const patienceMs = 60_000

export class Greeting implements BrokerSession {
  readonly #connection: Connection
  readonly #broker: Broker
  readonly #since: number
  #early: Buffer = Buffer.alloc(0)
  #session: BrokerSession | null = null
  #refused = false

  constructor(connection: Connection, broker: Broker) {
    this.#connection = connection
    this.#broker = broker
    this.#since = broker.clock.now()
  }

  onBytes(chunk: Buffer): void {
    if (this.#session !== null) return this.#session.onBytes(chunk)
    if (this.#refused) return
    this.#early = Buffer.concat([this.#early, chunk])
    if (this.#early.length < magicBytes) return
    const rest = this.#early.subarray(magicBytes)
    try {
      this.#session = this.#sessionOf(this.#early.toString('latin1', 0, magicBytes))
    } catch (cause) {
      // A quota on connections.
      if (!(cause instanceof CoreError)) throw cause
      return this.#refuse(`E_INVALID ${cause.message}`, cause.message)
    }
    if (this.#session === null) return this.#refuse('E_BAD_PROTOCOL', 'neither V1 nor V2 of the protocol')
    this.#early = Buffer.alloc(0)
    if (rest.length > 0) this.#session.onBytes(rest)
  }

  #sessionOf(magic: string): BrokerSession | null {
    if (magic === '  V2') return new Session(this.#connection, this.#broker)
    return magic === '  V1' ? new LookupSession(this.#connection, this.#broker) : null
  }

  #refuse(text: string, reason: string): void {
    this.#refused = true
    writeText(this.#connection, FrameType.Error, Buffer.from(text).toString('latin1'))
    this.#connection.end(reason)
  }

  onWritable(): void {
    this.#session?.onWritable()
  }

  onTick(now: number): void {
    if (this.#session !== null) this.#session.onTick(now)
    else if (now - this.#since >= patienceMs) this.#connection.end('the client said nothing')
  }

  drain(): void {
    if (this.#session !== null) this.#session.drain()
    else this.#connection.end('the broker shuts down')
  }

  readonly describe = (): object => this.#session?.describe?.() ?? {}

  onClose(cause: CloseCause): void {
    this.#session?.onClose(cause)
  }
}
