/**
 * The socket loop: opens the ports of the protocols, makes a connection and a session of each socket, and carries bytes, ticks and ends to them.
 * What a session throws ends its own connection and nothing else.
 */
import { createServer, type Server, type Socket } from 'node:net'
import type { Broker, Protocol, Session } from '../broker/face.ts'
import type { Connections, OpenConnection } from './connections.ts'
import { SocketConnection } from './socket-connection.ts'

const tickMs = 1000
/** Who says nothing for so long on a port that several protocols share is closed. */
const detectTimeoutMs = 10_000
const detectBytesMax = 64

export class Listeners {
  readonly #broker: Broker
  readonly #connections: Connections
  readonly #servers: Server[] = []
  readonly #own = new Set<OpenConnection>()
  #tick: NodeJS.Timeout | undefined

  constructor(broker: Broker, connections: Connections) {
    this.#broker = broker
    this.#connections = connections
    this.#tick = setInterval(() => this.#tickAll(), tickMs)
    this.#tick.unref()
  }

  /** Resolves to the port, or rejects with the socket's own error (EADDRINUSE). */
  open(protocols: readonly Protocol[], host: string, port: number): Promise<number> {
    const server = createServer({ noDelay: true, allowHalfOpen: false }, (socket) => this.#accept(socket, protocols))
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, () => {
        server.off('error', reject)
        server.on('error', (error) => this.#broker.log.error({ error: error.message, port }, 'a listener failed'))
        this.#servers.push(server)
        const address = server.address()
        resolve(typeof address === 'object' && address !== null ? address.port : port)
      })
    })
  }

  /** Takes nobody new, lets sessions say goodbye, and cuts who has not gone after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    clearInterval(this.#tick)
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())))
    for (const connection of this.#own) connection.drain('')
    const force = setTimeout(() => {
      for (const connection of this.#own) connection.destroy('the broker stops')
    }, graceMs)
    await Promise.all(closed)
    clearTimeout(force)
  }

  #accept(socket: Socket, protocols: readonly Protocol[]): void {
    // Without a handler an error of a socket that is already gone would end the process.
    socket.on('error', () => {})
    if (this.#connections.size >= this.#broker.limits.connectionsMax) {
      this.#broker.log.warn(
        { remote: socket.remoteAddress, connectionsMax: this.#broker.limits.connectionsMax },
        'too many connections: refused one',
      )
      socket.destroy()
      return
    }
    const [only] = protocols
    if (only !== undefined && protocols.length === 1) this.#start(socket, only, null)
    else this.#detect(socket, protocols)
  }

  /** Keeps the first bytes until one of the port's protocols knows them. */
  #detect(socket: Socket, protocols: readonly Protocol[]): void {
    let first = Buffer.alloc(0)
    const timeout = setTimeout(() => socket.destroy(), detectTimeoutMs)
    const done = (): void => {
      clearTimeout(timeout)
      socket.off('data', onData)
      socket.off('close', done)
    }
    const onData = (chunk: Buffer): void => {
      first = Buffer.concat([first, chunk])
      const answers = protocols.map((protocol) => protocol.detect?.(first))
      const chosen = protocols[answers.indexOf(true)]
      if (chosen === undefined && answers.includes(undefined) && first.length < detectBytesMax) return
      done()
      // Nobody's bytes go to the port's first protocol, which refuses them in its own words.
      const protocol = chosen ?? protocols[0]
      if (protocol !== undefined) this.#start(socket, protocol, first)
    }
    socket.on('data', onData)
    socket.on('close', done)
  }

  #start(socket: Socket, protocol: Protocol, first: Buffer | null): void {
    const broker = this.#broker
    const connections = this.#connections
    const connection = new SocketConnection(
      connections.nextId(),
      socket,
      protocol.name,
      broker.clock.now(),
      broker.limits.outboundBytesMax,
    )
    let failed = false
    let session: Session
    try {
      if (protocol.open === undefined) throw new Error(`${protocol.name} takes no connections of bytes`)
      session = protocol.open(connection, broker)
    } catch (cause) {
      this.#blame(connection, cause)
      return
    }
    connection.attach(session)
    const open: OpenConnection = {
      id: connection.id,
      listing: () => connection.listing(),
      drain: (reason) => {
        connection.closeReason ||= reason
        this.#guard(connection, () => session.drain())
      },
      destroy: (reason) => connection.destroy(reason),
      tick: (now) => this.#guard(connection, () => session.onTick(now)),
    }
    connections.add(open)
    this.#own.add(open)
    socket.on('data', (chunk: Buffer) => this.#guard(connection, () => session.onBytes(chunk)))
    socket.on('error', () => {
      failed = true
    })
    socket.on('close', () => {
      connections.remove(connection.id)
      this.#own.delete(open)
      this.#guard(connection, () => connection.closed(failed))
      const { remoteAddress, remotePort, closeReason, info } = connection
      const fields = {
        connection: connection.id,
        protocol: info.protocol,
        remote: `${remoteAddress}:${remotePort}`,
        reason: closeReason,
      }
      if (closeReason === '') broker.log.debug(fields, 'connection closed')
      else broker.log.info(fields, 'connection closed by the broker')
    })
    if (first !== null) this.#guard(connection, () => session.onBytes(first))
  }

  #tickAll(): void {
    const now = this.#broker.clock.now()
    for (const connection of [...this.#own]) connection.tick(now)
  }

  #guard(connection: SocketConnection, call: () => void): void {
    try {
      call()
    } catch (cause) {
      this.#blame(connection, cause)
    }
  }

  #blame(connection: SocketConnection, cause: unknown): void {
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
    connection.destroy('an internal error')
  }
}
