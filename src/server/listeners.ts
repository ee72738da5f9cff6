/** The socket loop: opens the TCP ports of the protocols, finds out which one a new socket speaks, and makes a session of it (sessions.ts). */
import { createServer, type Server, type Socket } from 'node:net'
import type { Broker, Protocol } from '../broker/face.ts'
import { beginsHandshake, type Entrance, type Secured, type Tls } from '../lib/tls.ts'
import type { Connections } from './connections.ts'
import type { Running, Sessions } from './sessions.ts'
import { TcpTransport } from './tcp-transport.ts'

/** Who says nothing for so long on a port that several protocols share is closed. */
const detectTimeoutMs = 10_000
const detectBytesMax = 64

const ignore = (): void => {}

export class Listeners {
  readonly #broker: Broker
  readonly #connections: Connections
  readonly #tls: Tls | null
  readonly #servers: Server[] = []
  readonly #sessions: Sessions
  /** Those of {@link Sessions} that came in here. */
  #sessionCount = 0
  /** Every socket accepted and not yet closed, those included whose protocol is not known yet. */
  readonly #sockets = new Set<Socket>()

  constructor(broker: Broker, connections: Connections, sessions: Sessions, tls: Tls | null = null) {
    this.#broker = broker
    this.#tls = tls
    this.#connections = connections
    this.#sessions = sessions
  }

  /** Resolves to the port, or rejects with the socket's own error (EADDRINUSE). */
  open(protocols: readonly Protocol[], host: string, port: number): Promise<number> {
    const serve = this.#front(protocols)
    const server = createServer({ noDelay: true, allowHalfOpen: false }, (socket) => this.#accept(socket, serve))
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

  /** Takes nobody new, and cuts who has not gone after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())))
    const force = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy()
    }, graceMs)
    await Promise.all(closed)
    clearTimeout(force)
  }

  #accept(socket: Socket, serve: (socket: Socket) => void): void {
    // Without a handler an error of a socket that is already gone would end the process.
    socket.on('error', ignore)
    const { connectionsMax } = this.#broker.limits
    // Those that this loop has, and the connections of others.
    if (this.#sockets.size + this.#connections.size - this.#sessionCount >= connectionsMax) {
      this.#broker.log.warn(
        { port: socket.localPort, remote: socket.remoteAddress, connectionsMax },
        'too many connections: refused one',
      )
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    serve(socket)
  }

  /** What to do with a new socket: without TLS its protocol at once, else by its first byte. */
  #front(protocols: readonly Protocol[]): (socket: Socket) => void {
    if (this.#tls === null) return (socket) => this.#choose(socket, protocols, null, null)
    const [only] = protocols
    const speaksFirst = protocols.length === 1 && only?.speaksFirst === true
    const asksForTls = protocols.length === 1 && only?.asksForTls === true
    const entrance: Entrance = this.#tls.front({
      speaksFirst,
      asksForTls,
      plain: (socket, first) => {
        if (speaksFirst && first.length === 0) this.#start(socket, only, null, null, entrance)
        else if (asksForTls) this.#start(socket, only, null, first, entrance)
        else this.#choose(socket, protocols, null, first)
      },
      secured: (socket, secured) => this.#choose(socket, protocols, secured, null),
      refused: (socket, reason) =>
        this.#broker.log.info({ port: socket.localPort, remote: socket.remoteAddress, reason }, 'connection refused'),
    })
    return entrance.accept
  }

  #choose(socket: Socket, protocols: readonly Protocol[], secured: Secured | null, first: Buffer | null): void {
    const [only] = protocols
    if (only !== undefined && protocols.length === 1) this.#start(socket, only, secured, first)
    else this.#detect(socket, protocols, secured, first)
  }

  /** Keeps the first bytes until one of the port's protocols knows them. */
  #detect(socket: Socket, protocols: readonly Protocol[], secured: Secured | null, known: Buffer | null): void {
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
      if (protocol !== undefined) this.#start(socket, protocol, secured, first)
    }
    socket.on('close', done)
    socket.on('data', onData)
    // Paused while its first byte was looked at.
    socket.resume()
    if (known !== null) onData(known)
  }

  /** `entrance`: where a client that was spoken to first may begin a TLS handshake. */
  #start(
    socket: Socket,
    protocol: Protocol,
    secured: Secured | null,
    first: Buffer | null,
    entrance: Entrance | null = null,
  ): void {
    const plain = this.#tls?.refusesPlainText === true ? 'required' : 'offered'
    const upgrade = entrance === null ? 'none' : plain
    const running = this.#sessions.start(protocol, new TcpTransport(socket), secured, upgrade)
    if (running === null) return
    this.#sessionCount++
    if (entrance === null || protocol.asksForTls === true) {
      const stop = hear(running, socket)
      if (entrance !== null)
        running.connection.onStartTls = (early, done) => {
          stop()
          this.#startTls(running, socket, early, entrance, done)
        }
    } else socket.once('data', (chunk: Buffer) => this.#afterGreeting(running, socket, chunk, entrance))
    socket.on('close', (failed: boolean) => {
      this.#sessionCount--
      running.closed(failed)
    })
    if (first !== null) running.bytes(first)
    if (running.connection.reading) socket.resume()
  }

  /** What the client sends next is a TLS handshake: it was told so. */
  #startTls(running: Running, socket: Socket, early: Buffer, { upgrade }: Entrance, done: () => void): void {
    const begin = (first: Buffer): void => {
      socket.pause()
      upgrade(socket, first, (wrapping, secured) => {
        running.connection.secured(new TcpTransport(wrapping), secured)
        wrapping.on('error', ignore)
        hear(running, wrapping)
        done()
      })
    }
    if (early.length > 0) begin(early)
    else socket.once('data', begin)
  }

  /** The first bytes of a client that was spoken to: a TLS handshake, or its protocol at once. */
  #afterGreeting(running: Running, socket: Socket, first: Buffer, { upgrade }: Entrance): void {
    const { connection } = running
    if (beginsHandshake(first)) {
      socket.pause()
      connection.hold()
      upgrade(socket, first, (wrapping, secured) => {
        connection.secured(new TcpTransport(wrapping), secured)
        wrapping.on('error', ignore)
        hear(running, wrapping)
      })
    } else if (connection.upgrade === 'required') connection.destroy('plain text where only TLS is allowed')
    else {
      hear(running, socket)
      running.bytes(first)
    }
  }
}

/** Hands on what the peer sends, and that it sends nothing more: it may still wait for answers. Returns what ends this. */
function hear(running: Running, socket: Socket): () => void {
  const onBytes = (chunk: Buffer): void => running.bytes(chunk)
  const onEnd = (): void => running.ended()
  socket.allowHalfOpen = true
  socket.on('data', onBytes)
  socket.on('end', onEnd)
  return () => {
    socket.allowHalfOpen = false
    socket.off('data', onBytes)
    socket.off('end', onEnd)
  }
}
