/** Who a client is. The protocol has no login: where users exist, a client shows a certificate, or is sent away. */
import {
  type Broker,
  type Session as BrokerSession,
  type CloseCause,
  type Connection,
  CoreError,
  type Principal,
} from '../../broker/face.ts'
import { Session } from './session.ts'

export class Login implements BrokerSession {
  readonly #connection: Connection
  #session: Session | null = null
  #isClosed = false
  #isRefused = false
  readonly #early: Buffer[] = []

  constructor(connection: Connection, broker: Broker) {
    this.#connection = connection
    const { peerName } = connection
    if (!broker.authenticationRequired) {
      this.#open(broker, broker.anonymous)
      return
    }
    if (peerName === undefined) {
      this.#refuse('INTERNAL_ERROR', 'beanstalkd has no login, and users exist: a client has to show a certificate')
      return
    }
    // What comes meanwhile waits: nobody can send much, since reading is paused.
    connection.pause()
    broker.authenticate({ kind: 'certificate', user: peerName }, connection.remoteAddress).then(
      (principal) => {
        connection.resume()
        if (!this.#isClosed) this.#open(broker, principal)
        for (const chunk of this.#early.splice(0)) this.#session?.onBytes(chunk)
      },
      (error: Error) => connection.end(error.message),
    )
  }

  #open(broker: Broker, principal: Principal): void {
    const connection = this.#connection
    connection.info.user = principal.user
    try {
      broker.admit(connection)
    } catch (cause) {
      if (!(cause instanceof CoreError)) throw cause
      // protocol.txt has this word for what goes by when others make room.
      return this.#refuse('OUT_OF_MEMORY', cause.message)
    }
    this.#session = new Session(connection, broker, principal)
  }

  #refuse(answer: string, reason: string): void {
    this.#isRefused = true
    this.#connection.write(Buffer.from(`${answer}\r\n`))
    this.#connection.end(reason)
  }

  onBytes(chunk: Buffer): void {
    if (this.#session !== null) this.#session.onBytes(chunk)
    else if (!this.#isRefused) this.#early.push(Buffer.from(chunk))
  }

  onWritable(): void {
    this.#session?.onWritable()
  }

  onTick(): void {
    // Sessions have timers of their own.
  }

  onEnd(): void {
    if (this.#session === null) this.#connection.end('')
    else this.#session.onEnd()
  }

  drain(): void {
    if (this.#session === null) this.#connection.end('the broker shuts down')
    else this.#session.drain()
  }

  onClose(cause: CloseCause): void {
    this.#isClosed = true
    this.#session?.onClose(cause)
  }
}
