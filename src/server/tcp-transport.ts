/** A TCP socket, or TLS on one, as the carrier of a connection. */
import type { Socket } from 'node:net'
import type { Transport } from './transport.ts'

export class TcpTransport implements Transport {
  readonly isWebSocket = false
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  onDrain: () => void = () => {}
  readonly #socket: Socket

  constructor(socket: Socket) {
    this.#socket = socket
    this.remoteAddress = socket.remoteAddress ?? ''
    this.remotePort = socket.remotePort ?? 0
    this.localAddress = socket.localAddress ?? ''
    this.localPort = socket.localPort ?? 0
    socket.setNoDelay(true)
    socket.on('drain', () => this.onDrain())
  }

  get bytesRead(): number {
    return this.#socket.bytesRead
  }

  get bytesWritten(): number {
    return this.#socket.bytesWritten
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength
  }

  get closed(): boolean {
    return this.#socket.destroyed
  }

  send(pieces: readonly Uint8Array[], sent: (() => void) | null): void {
    // Corked, so that all pieces leave in one writev.
    const last = pieces.length - 1
    if (last > 0) this.#socket.cork()
    for (let index = 0; index < last; index++) this.#socket.write(pieces[index] as Uint8Array) // index < length
    const bytes = pieces[last] as Uint8Array // there is one at least
    if (sent === null) this.#socket.write(bytes)
    else this.#socket.write(bytes, (error) => (error ? undefined : sent()))
    if (last > 0) this.#socket.uncork()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  // TCP's own keep-alive and the protocols' heartbeats watch over silence.
  tick(): void {}
}
