/**
 * An HTTP port of a protocol (broker/face.ts, HttpHandler). What every such port needs is here once: the limit on connections, limits on headers,
 * bodies and time, listing, logging, draining, and the refusal of foreign pages while nobody has to log in.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Broker, ConnectionInfo, ConnectionListing, CoreError, HttpAnswer, HttpHandler } from '../broker/face.ts'
import { asCoreError } from '../core/errors.ts'
import { answerBadHttp } from '../lib/bad-http.ts'
import { foreignPage } from '../lib/local-host.ts'
import { createServer } from '../lib/node-http.ts'
import { type Secured, secureHttp, type Tls } from '../lib/tls.ts'
import type { Connections, OpenConnection } from './connections.ts'
import { AskedRequest } from './http-request.ts'

/** For all of a request to arrive. */
const requestTimeoutMs = 60_000
const headersTimeoutMs = 10_000
/**
 * Of a connection between two requests. Clients keep theirs in a pool: one that is closed in the moment in which a request is sent on it costs an error, or a
 * request sent twice, and after Node's own five seconds that is often.
 */
const idleTimeoutMs = 75_000
/** A connection on which nothing moves for so long is closed, a waiting answer included. */
const silenceTimeoutMs = 120_000

export interface HttpListenerOptions {
  readonly broker: Broker
  readonly connections: Connections
  readonly protocol: string
  readonly handler: HttpHandler
  /** Answers requests for any Host header, from any page. */
  readonly anyHost: boolean
  readonly tls: Tls | null
  /**
   * A limit of its own. Its connections are then neither listed among those of protocols nor counted with them: what is used to see and end those
   * stays in reach when they are too many.
   */
  readonly connectionsMax?: number
  /** Takes connections that ask to become something else; without it they are answered like any other request. */
  upgrade?(request: IncomingMessage, socket: Duplex, head: Buffer, secured: Secured | null): void
}

export class HttpListener {
  readonly #options: HttpListenerOptions
  readonly #server: Server
  /** Connections that TLS secured. */
  readonly #secured = new WeakMap<Socket, Secured>()
  readonly #bySocket = new WeakMap<Socket, HttpConnection>()
  readonly #own = new Set<HttpConnection>()

  constructor(options: HttpListenerOptions) {
    this.#options = options
    this.#server = createServer({
      requestTimeout: requestTimeoutMs,
      headersTimeout: headersTimeoutMs,
      keepAliveTimeout: idleTimeoutMs,
      noDelay: true,
    })
    this.#server.on('connection', (socket) => this.#accept(socket))
    this.#server.on('request', (request, response) => void this.#serve(request, response))
    if (options.upgrade !== undefined)
      this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head, options.upgrade))
    this.#server.setTimeout(silenceTimeoutMs)
    answerBadHttp(this.#server, (remote, reason) =>
      options.broker.log.info({ protocol: options.protocol, remote, reason }, 'connection closed by the broker'),
    )
    if (options.tls !== null) {
      secureHttp(this.#server, options.tls, {
        secured: (socket, secured) => this.#secured.set(socket, secured),
        refused: (socket, reason) =>
          options.broker.log.info({ protocol: options.protocol, remote: socket.remoteAddress, reason }, 'connection refused'),
      })
    }
  }

  /** Resolves to the port, or rejects with the socket's own error (EADDRINUSE). */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject)
        this.#server.on('error', (error) => this.#options.broker.log.error({ error: error.message, port }, 'a listener failed'))
        const address = this.#server.address()
        resolve(typeof address === 'object' && address !== null ? address.port : port)
      })
    })
  }

  /** Answers what is under way, closes idle connections, then whatever is left after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#options.handler.drain?.()
    for (const connection of this.#own) connection.drain('')
    const force = setTimeout(() => this.#server.closeAllConnections(), graceMs)
    await closed
    clearTimeout(force)
  }

  #accept(socket: Socket): void {
    const { broker, connections, protocol } = this.#options
    const apart = this.#options.connectionsMax !== undefined
    const connectionsMax = this.#options.connectionsMax ?? broker.limits.connectionsMax
    if ((apart ? this.#own.size : connections.size) >= connectionsMax) {
      broker.log.warn({ protocol, remote: socket.remoteAddress, connectionsMax }, 'too many connections: refused one')
      socket.destroy()
      return
    }
    const secured = this.#secured.get(socket)
    const connection = new HttpConnection(connections.nextId(), socket, secured, protocol, broker.clock.now())
    this.#bySocket.set(socket, connection)
    this.#own.add(connection)
    if (!apart) connections.add(connection)
    socket.on('close', () => {
      this.#own.delete(connection)
      if (!apart) connections.remove(connection.id)
    })
  }

  /** The connection is HTTP's no longer. */
  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, upgrade: HttpListenerOptions['upgrade']): void {
    const connection = this.#bySocket.get(request.socket)
    // Refused already: its socket is gone.
    if (connection === undefined) return
    this.#own.delete(connection)
    if (this.#options.connectionsMax === undefined) this.#options.connections.remove(connection.id)
    upgrade?.(request, socket, head, this.#secured.get(request.socket) ?? null)
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const connection = this.#bySocket.get(request.socket)
    // Refused already: its socket is gone.
    if (connection === undefined) return
    connection.busy = true
    const asked = new AskedRequest(request, connection)
    response.on('close', () => {
      connection.busy = false
      if (!response.writableFinished) asked.abort()
      else if (connection.draining) request.socket.end()
    })
    try {
      const foreign = this.#options.anyHost || this.#options.broker.authenticationRequired ? null : foreignPage(request.headers)
      if (foreign !== null) return this.#send(request, response, { status: 403, body: `${foreign}\n` })
      this.#send(request, response, await this.#options.handler.answer(asked))
    } catch (cause) {
      this.#fail(request, response, asCoreError(cause))
    }
  }

  #send(request: IncomingMessage, response: ServerResponse, answer: HttpAnswer): void {
    if (response.destroyed) {
      // Who hung up in the middle of a request hears nothing, and it is no fault of ours.
      if (!request.complete) this.#logBrokenOff(request)
      return
    }
    const { status, body = '' } = answer
    // What is left of a body that nobody wanted is not worth reading: answer and close, unless the handler says how it goes on.
    const headers: Record<string, string | number> = {}
    if (!request.complete && !this.#bodyIsEmpty(request)) headers['connection'] = 'close'
    Object.assign(headers, answer.headers)
    if (typeof body !== 'string' && Symbol.asyncIterator in body) {
      response.writeHead(status, headers)
      return void this.#stream(request, response, body)
    }
    if (status !== 204 && status !== 304) headers['content-length'] = Buffer.byteLength(body)
    // A text as it is: Node sends it in one piece with its headers.
    response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : body)
  }

  async #stream(request: IncomingMessage, response: ServerResponse, pieces: AsyncIterable<string | Uint8Array>): Promise<void> {
    if (request.method === 'HEAD') return void response.end()
    const { socket } = request
    // It may be long until the next piece comes.
    socket.setTimeout(0)
    response.flushHeaders()
    try {
      for await (const piece of pieces) {
        if (response.destroyed) return
        if (!response.write(piece)) await drained(response)
      }
      response.end()
      socket.setTimeout(silenceTimeoutMs)
    } catch (cause) {
      const { message, stack } = asCoreError(cause)
      this.#options.broker.log.error({ url: request.url, error: message, stack }, 'an HTTP answer broke off')
      response.destroy()
    }
  }

  #logBrokenOff(request: IncomingMessage): void {
    const connection = this.#bySocket.get(request.socket)
    const remote = `${connection?.remoteAddress}:${connection?.remotePort}`
    this.#options.broker.log.info({ remote, reason: 'a request was not sent to its end' }, 'HTTP connection closed')
  }

  #bodyIsEmpty(request: IncomingMessage): boolean {
    return request.headers['transfer-encoding'] === undefined && Number(request.headers['content-length'] ?? 0) === 0
  }

  #fail(request: IncomingMessage, response: ServerResponse, error: CoreError): void {
    const { broker, protocol } = this.#options
    const tooLarge = error.code === 'TooLarge'
    if (!tooLarge && !response.destroyed)
      broker.log.error({ protocol, url: request.url, error: error.message, stack: error.stack }, 'an HTTP request failed')
    if (response.headersSent) response.destroy()
    else
      this.#send(request, response, { status: tooLarge ? 413 : 500, body: tooLarge ? `${error.message}\n` : 'internal error\n' })
  }
}

/** Resolves when the client has read, or has gone. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      response.off('drain', finish)
      response.off('close', finish)
      resolve()
    }
    response.on('drain', finish)
    response.on('close', finish)
    if (response.destroyed) finish()
  })
}

/** A connection in the registry; it ends when its request is answered. */
class HttpConnection implements OpenConnection {
  readonly id: number
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly encrypted: boolean
  readonly peerName: string | undefined
  readonly info: ConnectionInfo
  busy = false
  draining = false
  readonly #socket: Socket
  readonly #openedAt: number

  constructor(id: number, socket: Socket, secured: Secured | undefined, protocol: string, openedAt: number) {
    this.id = id
    this.encrypted = secured !== undefined
    this.peerName = secured?.peerName
    this.#socket = socket
    this.#openedAt = openedAt
    this.remoteAddress = socket.remoteAddress ?? ''
    this.remotePort = socket.remotePort ?? 0
    this.localAddress = socket.localAddress ?? ''
    this.localPort = socket.localPort ?? 0
    this.info = { protocol, clientName: '', clientVersion: '', user: '', namespace: 'default' }
  }

  listing(): ConnectionListing {
    const { bytesRead: bytesIn, bytesWritten: bytesOut } = this.#socket
    const remote = `${this.remoteAddress}:${this.remotePort}`
    const local = `${this.localAddress}:${this.localPort}`
    const { id, encrypted } = this
    return { ...this.info, id, remote, local, encrypted, openedAt: this.#openedAt, bytesIn, bytesOut }
  }

  drain(_reason: string): void {
    this.draining = true
    if (!this.busy) this.#socket.end()
  }

  destroy(_reason: string): void {
    this.#socket.destroy()
  }

  // HTTP has no heartbeats; the server's own timeouts watch over silence.
  tick(): void {}
}
