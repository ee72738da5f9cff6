/**
 * Makes a connection and a session of each client, whatever carries its bytes, and brings bytes, ticks and ends to them. What a session throws ends its
 * own connection and nothing else.
 */
import type { Broker, ConnectionListing, Protocol, Session } from '../broker/face.ts'
import type { Secured } from '../lib/tls.ts'
import { ClientConnection } from './client-connection.ts'
import type { Connections, OpenConnection } from './connections.ts'
import { OpeningSession } from './opening-session.ts'
import type { Transport } from './transport.ts'

const tickMs = 1000
/** In the log. */
const clientNameLengthMax = 256

export class Sessions {
  readonly #broker: Broker
  readonly #connections: Connections
  readonly #own = new Set<Running>()
  readonly #tick: NodeJS.Timeout
  #whenEmpty: () => void = () => {}
  /** One for all. */
  readonly #ended = (running: Running): void => {
    this.#connections.remove(running.id)
    this.#own.delete(running)
    if (this.#own.size === 0) this.#whenEmpty()
  }

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
      const failed = (cause: unknown): void => blame(this.#broker, connection, cause)
      session = opened instanceof Promise ? new OpeningSession(opened, connection, failed) : opened
    } catch (cause) {
      blame(this.#broker, connection, cause)
      return null
    }
    connection.attach(session)
    const running = new Running(this.#broker, connection, session, this.#ended)
    this.#connections.add(running)
    this.#own.add(running)
    return running
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

  #tickAll(): void {
    const now = this.#broker.clock.now()
    for (const running of this.#own) running.tick(now)
  }
}

/** One client: for whoever reads its bytes, and in the list of all connections. */
export class Running implements OpenConnection {
  readonly id: number
  readonly connection: ClientConnection
  readonly #broker: Broker
  readonly #session: Session
  readonly #ended: (running: Running) => void
  /** The broker stops, which is no news about each of its connections. */
  #stops = false

  constructor(broker: Broker, connection: ClientConnection, session: Session, ended: (running: Running) => void) {
    this.id = connection.id
    this.connection = connection
    this.#broker = broker
    this.#session = session
    this.#ended = ended
  }

  bytes(chunk: Buffer): void {
    try {
      this.#session.onBytes(chunk)
    } catch (cause) {
      blame(this.#broker, this.connection, cause)
    }
  }

  /** The peer sends nothing more. */
  ended(): void {
    try {
      if (this.#session.onEnd !== undefined) this.#session.onEnd()
      else this.connection.end('')
    } catch (cause) {
      blame(this.#broker, this.connection, cause)
    }
  }

  /** Last call. */
  closed(failed: boolean): void {
    const { connection } = this
    this.#ended(this)
    try {
      connection.closed(failed)
    } catch (cause) {
      blame(this.#broker, connection, cause)
    }
    const { closeReason, endedAsAsked } = connection
    const about = described(connection)
    if (closeReason !== '' && !this.#stops)
      this.#broker.log.info({ ...about, reason: closeReason }, 'connection closed by the broker')
    else this.#broker.log.debug(endedAsAsked ? { ...about, reason: 'as asked' } : about, 'connection closed')
  }

  listing(): ConnectionListing {
    const describe = this.#session.describe?.bind(this.#session)
    const listing = this.connection.listing()
    return describe === undefined ? listing : { ...listing, describe }
  }

  drain(reason: string): void {
    this.#stops = reason === ''
    this.connection.closeReason ||= reason
    this.connection.ending = 'stopping'
    try {
      this.#session.drain()
    } catch (cause) {
      blame(this.#broker, this.connection, cause)
    }
  }

  destroy(reason: string): void {
    this.connection.destroy(reason)
  }

  tick(now: number): void {
    this.connection.tick(now)
    try {
      this.#session.onTick(now)
    } catch (cause) {
      blame(this.#broker, this.connection, cause)
    }
  }
}

function blame(broker: Broker, connection: ClientConnection, cause: unknown): void {
  const error = cause instanceof Error ? cause : new Error(String(cause))
  broker.log.error(
    { ...described(connection), error: error.message, stack: error.stack },
    'a session failed; its connection is closed',
  )
  connection.fail()
}

/** Whose connection it is, as far as that is known, for the log. */
function described({ id, remoteAddress, remotePort, info }: ClientConnection): object {
  const { protocol, clientName, user } = info
  return {
    connection: id,
    protocol,
    remote: `${remoteAddress}:${remotePort}`,
    ...(clientName === '' ? {} : { client: clientName.slice(0, clientNameLengthMax) }),
    ...(user === '' ? {} : { user }),
  }
}
