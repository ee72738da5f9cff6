/**
 * A WebSocket as the carrier of a connection: its messages are pieces of one stream of bytes, wherever a protocol's own frames begin and end. What one
 * turn wrote is one message. A peer that is silent is pinged, and cut when it does not answer.
 */
import { isUtf8 } from 'node:buffer'
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { WebSocketSpec } from '../broker/face.ts'
import type { Ending, Transport } from './transport.ts'

const pingEveryMs = 30_000
/** RFC 6455 section 7.4.1. */
const closeCodes: Readonly<Record<Ending | 'notText', number>> = { done: 1000, stopping: 1001, notText: 1003, failed: 1011 }

export class WebSocketTransport implements Transport {
  readonly isWebSocket = true
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  onDrain: () => void = () => {}
  onBytes: (chunk: Buffer) => void = () => {}
  /** The peer broke the rules of WebSocket, and was told so where that can be. */
  onFault: (reason: string) => void = () => {}
  readonly #webSocket: WebSocket
  /** What the WebSocket is on. */
  readonly #socket: Socket
  readonly #messages: WebSocketSpec['messages']
  #paused = false
  /** Messages of the chunk in which reading was paused. */
  #held: Buffer[] = []
  #heard = true
  /** When it is pinged, or cut where it was not heard since the last ping; 0: not known yet. */
  #pingAt = 0

  constructor(webSocket: WebSocket, socket: Socket, messages: WebSocketSpec['messages']) {
    this.#webSocket = webSocket
    this.#socket = socket
    this.#messages = messages
    this.remoteAddress = socket.remoteAddress ?? ''
    this.remotePort = socket.remotePort ?? 0
    this.localAddress = socket.localAddress ?? ''
    this.localPort = socket.localPort ?? 0
    socket.on('drain', () => this.onDrain())
    const heard = (): void => {
      this.#heard = true
    }
    webSocket.on('ping', heard)
    webSocket.on('pong', heard)
    webSocket.on('error', (error) => this.onFault(`WebSocket: ${error.message}`))
    // Without a choice of its own `ws` gives whole messages as one buffer.
    webSocket.on('message', (message, binary) => this.#onMessage(message as Buffer, binary))
  }

  get bytesRead(): number {
    return this.#socket.bytesRead
  }

  get bytesWritten(): number {
    return this.#socket.bytesWritten
  }

  get bufferedBytes(): number {
    return this.#webSocket.bufferedAmount
  }

  get closed(): boolean {
    return this.#webSocket.readyState !== this.#webSocket.OPEN
  }

  send(pieces: readonly Uint8Array[], sent: (() => void) | null): void {
    const [only] = pieces
    // One message costs its peer less than one for each piece; a fragmented one not every peer can read.
    const bytes = only !== undefined && pieces.length === 1 ? only : Buffer.concat(pieces)
    const options = { binary: this.#messages !== 'text' || !isUtf8(bytes) }
    // What is compressed goes to the socket later: that is no drain of it.
    const isCompressed = this.#webSocket.extensions !== ''
    if (!isCompressed && sent === null) this.#webSocket.send(bytes, options)
    else
      this.#webSocket.send(bytes, options, (error) => {
        if (isCompressed) this.onDrain()
        if (!error) sent?.()
      })
  }

  pause(): void {
    this.#paused = true
    this.#webSocket.pause()
  }

  resume(): void {
    this.#paused = false
    // It may have answered what it could not be heard saying.
    this.#heard = true
    if (this.#held.length === 0) this.#webSocket.resume()
    else setImmediate(() => this.#deliverHeld())
  }

  end(ending: Ending): void {
    this.#webSocket.close(closeCodes[ending])
  }

  destroy(): void {
    this.#webSocket.terminate()
  }

  tick(now: number): void {
    if (this.#pingAt === 0) this.#pingAt = now + pingEveryMs
    if (now < this.#pingAt || this.#paused || this.closed) return
    if (!this.#heard) {
      this.onFault('WebSocket: a ping was not answered')
      return this.destroy()
    }
    this.#heard = false
    this.#pingAt = now + pingEveryMs
    this.#webSocket.ping()
  }

  #onMessage(message: Buffer, binary: boolean): void {
    this.#heard = true
    if (!binary && this.#messages === 'binary') {
      this.#webSocket.close(closeCodes.notText)
      return this.onFault('WebSocket: a text message where only binary ones carry bytes')
    }
    if (this.closed) return
    if (this.#paused || this.#held.length > 0) this.#held.push(message)
    else this.onBytes(message)
  }

  #deliverHeld(): void {
    while (!this.#paused) {
      const next = this.#held.shift()
      if (next === undefined) return this.#webSocket.resume()
      this.onBytes(next)
    }
  }
}
