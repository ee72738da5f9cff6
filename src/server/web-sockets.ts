/**
 * WebSocket (RFC 6455) before the protocols that carry bytes: a request to upgrade is checked, its protocol chosen by the subprotocol that the client
 * offers, and its WebSocket becomes the carrier of an ordinary session (sessions.ts). permessage-deflate is agreed to where it is configured: what is compressed has
 * no size until it is inflated, and costs time. No window is kept between messages, so that a connection that is idle holds none.
 */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Broker, Protocol, WebSocketSpec } from '../broker/face.ts'
import { foreignPage } from '../lib/local-host.ts'
import { STATUS_CODES } from '../lib/node-http.ts'
import type { Secured } from '../lib/tls.ts'
import type { Connections } from './connections.ts'
import type { Sessions } from './sessions.ts'
import { WebSocketTransport } from './web-socket-transport.ts'

/** A message holds at least one frame of any protocol around one record. */
const messageOverheadBytesMax = 256 * 1024

/** RFC 7692. Small messages are sent as they are, and few at once are in work. */
const deflate = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  threshold: 1024,
  concurrencyLimit: 4,
  zlibDeflateOptions: { level: 3, memLevel: 7 },
}

/** A protocol that can be chosen. */
interface Offer {
  readonly protocol: Protocol
  readonly spec: WebSocketSpec
  /** '': the client offered none. */
  readonly subprotocol: string
}

interface Refusal {
  readonly status: number
  readonly reason: string
}

export interface WebSocketsOptions {
  readonly broker: Broker
  readonly connections: Connections
  readonly sessions: Sessions
  /** Takes requests for any Host header, from any page. */
  readonly anyHost: boolean
  /** Whether messages may be compressed. */
  readonly compression: boolean
}

export class WebSockets {
  readonly #options: WebSocketsOptions
  readonly #server: WebSocketServer
  /** What each request under way gets as its subprotocol. */
  readonly #subprotocols = new WeakMap<IncomingMessage, string>()

  constructor(options: WebSocketsOptions) {
    this.#options = options
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: options.compression ? deflate : false,
      maxPayload: options.broker.limits.recordBytesMax + messageOverheadBytesMax,
      handleProtocols: (_offered, request) => this.#subprotocols.get(request) || false,
    })
    this.#server.on('wsClientError', (error, socket) => this.#log(socket, error.message))
  }

  /** A request to upgrade on a port of these protocols; `head` is what came behind it. Answers it in any case. */
  accept(protocols: readonly Protocol[], request: IncomingMessage, socket: Duplex, head: Buffer, secured: Secured | null): void {
    // A peer that goes before it was answered is no error of ours.
    socket.on('error', () => {})
    const offer = this.#refusal(request) ?? choose(protocols, request)
    if ('status' in offer) return this.#refuse(socket, offer)
    this.#subprotocols.set(request, offer.subprotocol)
    this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#open(webSocket, request.socket, offer, secured))
  }

  #refusal(request: IncomingMessage): Refusal | null {
    const { broker, connections, anyHost } = this.#options
    const foreign = anyHost || broker.authenticationRequired ? null : foreignPage(request.headers)
    if (foreign !== null) return { status: 403, reason: foreign }
    if (connections.size >= broker.limits.connectionsMax) return { status: 503, reason: 'too many connections' }
    return null
  }

  #refuse(socket: Duplex, { status, reason }: Refusal): void {
    this.#log(socket, reason)
    const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, 'connection: close', 'content-type: text/plain; charset=utf-8']
    if (status === 426) lines.push('upgrade: websocket')
    socket.end(`${lines.join('\r\n')}\r\n\r\n${reason}\n`, () => socket.destroy())
  }

  #log(socket: Duplex, reason: string): void {
    // Requests come on sockets, whatever their type allows.
    const { remoteAddress, remotePort } = socket as Socket
    this.#options.broker.log.info({ remote: `${remoteAddress}:${remotePort}`, reason }, 'a WebSocket was refused')
  }

  #open(webSocket: WebSocket, socket: Socket, { protocol, spec }: Offer, secured: Secured | null): void {
    const transport = new WebSocketTransport(webSocket, socket, spec.messages)
    const running = this.#options.sessions.start(protocol, transport, secured)
    if (running === null) return
    const { connection } = running
    transport.onBytes = (chunk) => running.bytes(chunk)
    transport.onFault = (reason) => connection.end(reason)
    webSocket.on('close', (code) => running.closed(code === closedWithoutFrame))
  }
}

/** How `ws` says that the carrier broke. */
const closedWithoutFrame = 1006

/** A client may offer several subprotocols, the one that it likes best first, or none where the port has one protocol alone. */
function choose(protocols: readonly Protocol[], request: IncomingMessage): Offer | Refusal {
  const candidates = protocols.flatMap((protocol) =>
    protocol.webSocket === undefined ? [] : [{ protocol, spec: protocol.webSocket }],
  )
  const [only] = candidates
  if (only === undefined) return { status: 404, reason: 'nothing here speaks over WebSocket' }
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((each) => each.trim())
  const spoken = candidates.flatMap(({ spec }) => spec.subprotocols)
  for (const subprotocol of offered) {
    const candidate = candidates.find(({ spec }) => spec.subprotocols.includes(subprotocol))
    if (candidate !== undefined) return { ...candidate, subprotocol }
  }
  if (offered.some((each) => each !== '')) return { status: 400, reason: `of subprotocols this port has ${spoken.join(', ')}` }
  if (candidates.length > 1) return { status: 400, reason: `a subprotocol is needed: ${spoken.join(', ')}` }
  return { ...only, subprotocol: '' }
}
