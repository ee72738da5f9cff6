/** The protocol has no login: where users exist, a client shows a certificate, or is sent away. */
import type { Broker, Session as BrokerSession, CloseCause, Connection } from '../../broker/face.ts'
import { Session } from './session.ts'

export class Login implements BrokerSession {
  readonly #connection: Connection
  #session: Session | null = null
  #isClosed = false
  readonly #early: Buffer[] = []

  constructor(connection: Connection, broker: Broker) {
    this.#connection = connection
    const { peerName } = connection
    if (peerName === undefined) {
      connection.write(Buffer.from('INTERNAL_ERROR\r\n'))
      connection.end('beanstalkd has no login, and users exist: a client has to show a certificate')
      return
    }
    // What comes meanwhile waits: nobody can send much, since reading is paused.
    connection.pause()
    broker.authenticate({ kind: 'certificate', user: peerName }).then(
      (principal) => {
        connection.resume()
        if (this.#isClosed) return
        this.#session = new Session(connection, broker, principal)
        connection.info.user = principal.user
        for (const chunk of this.#early.splice(0)) this.#session.onBytes(chunk)
      },
      (error: Error) => connection.end(error.message),
    )
  }

  onBytes(chunk: Buffer): void {
    if (this.#session !== null) this.#session.onBytes(chunk)
    else if (this.#connection.peerName !== undefined) this.#early.push(Buffer.from(chunk))
  }

  onWritable(): void {
    this.#session?.onWritable()
  }

  onTick(): void {
    // Sessions have timers of their own.
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
