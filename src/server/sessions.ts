/**
 * Makes a connection and a session of each client, whatever carries its bytes, and brings bytes, ticks and ends to them. What a session throws ends its
 * own connection and nothing else.
 */
import type { Broker, Protocol, Session } from '../broker/face.ts'
import type { Secured } from '../lib/tls.ts'
import { ClientConnection } from './client-connection.ts'
import type { Connections, OpenConnection } from './connections.ts'
import { OpeningSession } from './opening-session.ts'
import type { Transport } from './transport.ts'

const tickMs = 1000

/** One client, for whoever reads its bytes. */
export interface Running {
  readonly connection: ClientConnection
  onBytes(chunk: Buffer): void
  /** Last call. */
  closed(failed: boolean): void
}

export class Sessions {
  readonly #broker: Broker
  readonly #connections: Connections
  readonly #own = new Set<OpenConnection>()
  readonly #tick: NodeJS.Timeout
  #whenEmpty: () => void = () => {}

  constructor(broker: Broker, connections: Connections) {
    this.#broker = broker
    this.#connections = connections
    this.#tick = setInterval(() => this.#tickAll(), tickMs)
    this.#tick.unref()
  }

  /** Null when no session could be made; the transport is then closed. */
  start(
    protocol: Protocol,
    transport: Transport,
    secured: Secured | null,
    upgrade: ClientConnection['upgrade'] = 'none',
  ): Running | null {
    const { clock, limits } = this.#broker
    const id = this.#connections.nextId()
    const connection = new ClientConnection(id, transport, secured, protocol.name, clock.now(), limits.outboundBytesMax)
    connection.upgrade = upgrade
    let session: Session
    try {
      if (protocol.open === undefined) throw new Error(`${protocol.name} takes no connections of bytes`)
      const opened = protocol.open(connection, this.#broker)
      const failed = (cause: unknown): void => this.#blame(connection, cause)
      session = opened instanceof Promise ? new OpeningSession(opened, connection, failed) : opened
    } catch (cause) {
      this.#blame(connection, cause)
      return null
    }
    connection.attach(session)
    const open = this.#register(connection, session)
    return {
      connection,
      onBytes: (chunk) => this.#guard(connection, () => session.onBytes(chunk)),
      closed: (failed) => {
        this.#connections.remove(id)
        this.#own.delete(open)
        if (this.#own.size === 0) this.#whenEmpty()
        this.#guard(connection, () => connection.closed(failed))
        this.#logClose(connection)
      },
    }
  }

  /** Lets sessions say goodbye, cuts who has not gone after `graceMs`, and resolves when all have. */
  async close(graceMs: number): Promise<void> {
    clearInterval(this.#tick)
    for (const connection of this.#own) connection.drain('')
    if (this.#own.size === 0) return
    const force = setTimeout(() => {
      for (const connection of this.#own) connection.destroy('the broker stops')
    }, graceMs)
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve
    })
    clearTimeout(force)
  }

  #register(connection: ClientConnection, session: Session): OpenConnection {
    const open: OpenConnection = {
      id: connection.id,
      listing: () => {
        const describe = session.describe?.bind(session)
        return describe === undefined ? connection.listing() : { ...connection.listing(), describe }
      },
      drain: (reason) => {
        connection.closeReason ||= reason
        connection.ending = 'stopping'
        this.#guard(connection, () => session.drain())
      },
      destroy: (reason) => connection.destroy(reason),
      tick: (now) => {
        connection.tick(now)
        this.#guard(connection, () => session.onTick(now))
      },
    }
    this.#connections.add(open)
    this.#own.add(open)
    return open
  }

  #logClose({ id, remoteAddress, remotePort, closeReason, info }: ClientConnection): void {
    const fields = { connection: id, protocol: info.protocol, remote: `${remoteAddress}:${remotePort}`, reason: closeReason }
    if (closeReason === '') this.#broker.log.debug(fields, 'connection closed')
    else this.#broker.log.info(fields, 'connection closed by the broker')
  }

  #tickAll(): void {
    const now = this.#broker.clock.now()
    for (const connection of [...this.#own]) connection.tick(now)
  }

  #guard(connection: ClientConnection, call: () => void): void {
    try {
      call()
    } catch (cause) {
      this.#blame(connection, cause)
    }
  }

  #blame(connection: ClientConnection, cause: unknown): void {
    const { remoteAddress, remotePort, info } = connection
    const error = cause instanceof Error ? cause : new Error(String(cause))
    this.#broker.log.error(
      {
        connection: connection.id,
        protocol: info.protocol,
        remote: `${remoteAddress}:${remotePort}`,
        error: error.message,
        stack: error.stack,
      },
      'a session failed; its connection is closed',
    )
    connection.fail()
  }
}
