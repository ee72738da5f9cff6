/**
 * A TCP connection as protocols see it (broker/face.ts). Small writes go into a slab, large ones by reference; both are handed to the socket once a
 * turn, in order. A connection whose peer does not read becomes congested at `outboundBytesMax` and tells its session when it may go on.
 */
import type { Socket } from 'node:net'
import type { CloseCause, Connection, ConnectionInfo, ConnectionListing, Session } from '../broker/face.ts'
import type { Secured } from '../lib/tls.ts'

const slabBytes = 32 * 1024
/** Below this a copy costs less than one more piece for the kernel. */
const copyBytesMax = 1024
/** A connection asked to end that does not take its last bytes is cut. */
const endTimeoutMs = 5000

export class SocketConnection implements Connection {
  readonly id: number
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  encrypted: boolean
  peerName: string | undefined
  upgrade: Connection['upgrade'] = 'none'
  readonly openedAt: number
  info: ConnectionInfo
  slab = Buffer.allocUnsafeSlow(slabBytes)
  closeReason = ''
  #socket: Socket
  readonly #outboundBytesMax: number
  /** Where the next slab bytes go, and where those begin that no piece names yet. */
  #slabAt = 0
  #pieceAt = 0
  #pieces: Uint8Array[] = []
  #queuedBytes = 0
  #flushScheduled = false
  #pauses = 0
  #congested = false
  /** A TLS handshake is going on: nothing of ours may come in between. */
  #holding = false
  #ending = false
  #session: Session | null = null
  #cause: CloseCause = 'peer'

  constructor(id: number, socket: Socket, secured: Secured | null, protocol: string, openedAt: number, outboundBytesMax: number) {
    this.id = id
    this.encrypted = secured !== null
    this.peerName = secured?.peerName
    this.#socket = socket
    this.openedAt = openedAt
    this.#outboundBytesMax = outboundBytesMax
    this.remoteAddress = socket.remoteAddress ?? ''
    this.remotePort = socket.remotePort ?? 0
    this.localAddress = socket.localAddress ?? ''
    this.localPort = socket.localPort ?? 0
    this.info = { protocol, clientName: '', clientVersion: '', user: '', namespace: 'default' }
    socket.setNoDelay(true)
    socket.on('drain', () => this.#relieve())
  }

  /** Sends what was written in plain text, and nothing more until {@link secured}. */
  hold(): void {
    this.#flush()
    this.#holding = true
  }

  /** Goes on with this socket, which wraps the one before. */
  secured(socket: Socket, { peerName }: Secured): void {
    this.#socket = socket
    this.encrypted = true
    this.peerName = peerName
    this.upgrade = 'none'
    socket.on('drain', () => this.#relieve())
    this.#holding = false
    this.#flush()
  }

  /** From here on `session` is told of everything. */
  attach(session: Session): void {
    this.#session = session
  }

  get outboundBytes(): number {
    return this.#queuedBytes + this.#socket.writableLength
  }

  get congested(): boolean {
    if (!this.#congested && this.outboundBytes > this.#outboundBytesMax) this.#congested = true
    return this.#congested
  }

  write(bytes: Uint8Array): void {
    if (this.#ending || bytes.length === 0) return
    if (bytes.length <= copyBytesMax) {
      // In two steps: reserving may exchange the slab.
      const at = this.reserve(bytes.length)
      this.slab.set(bytes, at)
      this.commit(bytes.length)
      return
    }
    this.#sealPiece()
    this.#pieces.push(bytes)
    this.#queue(bytes.length)
  }

  reserve(bytes: number): number {
    if (this.#slabAt + bytes > this.slab.length) {
      this.#sealPiece()
      // Pieces of the old slab may still be on their way to the kernel, so it is left to them.
      this.slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, bytes))
      this.#slabAt = 0
      this.#pieceAt = 0
    }
    return this.#slabAt
  }

  commit(bytes: number): void {
    if (this.#ending) return
    this.#slabAt += bytes
    this.#queue(bytes)
  }

  /** False while its session asked not to read. */
  get reading(): boolean {
    return this.#pauses === 0
  }

  pause(): void {
    if (this.#pauses++ === 0) this.#socket.pause()
  }

  resume(): void {
    if (this.#pauses === 0) throw new Error('resume without pause')
    if (--this.#pauses === 0) this.#socket.resume()
  }

  end(reason: string): void {
    if (this.#ending) return
    if (this.#holding) return this.destroy(reason)
    this.#flush()
    this.#ending = true
    this.#cause = 'server'
    this.closeReason ||= reason
    this.#socket.end()
    setTimeout(() => this.#socket.destroy(), endTimeoutMs).unref()
  }

  destroy(reason: string): void {
    this.#ending = true
    this.#cause = 'server'
    this.closeReason ||= reason
    this.#socket.destroy()
  }

  /** The socket closed: the session's last call. */
  closed(failed: boolean): void {
    this.#ending = true
    const session = this.#session
    this.#session = null
    session?.onClose(failed && this.#cause === 'peer' ? 'error' : this.#cause)
  }

  listing(): ConnectionListing {
    return {
      ...this.info,
      id: this.id,
      remote: `${this.remoteAddress}:${this.remotePort}`,
      local: `${this.localAddress}:${this.localPort}`,
      encrypted: this.encrypted,
      openedAt: this.openedAt,
      bytesIn: this.#socket.bytesRead,
      bytesOut: this.#socket.bytesWritten,
    }
  }

  #queue(bytes: number): void {
    this.#queuedBytes += bytes
    if (this.#flushScheduled) return
    this.#flushScheduled = true
    setImmediate(() => this.#flush())
  }

  #sealPiece(): void {
    if (this.#slabAt === this.#pieceAt) return
    this.#pieces.push(this.slab.subarray(this.#pieceAt, this.#slabAt))
    this.#pieceAt = this.#slabAt
  }

  #flush(): void {
    this.#flushScheduled = false
    if (this.#socket.destroyed || this.#ending || this.#holding) return
    this.#sealPiece()
    const pieces = this.#pieces
    if (pieces.length === 0) return
    this.#pieces = []
    this.#queuedBytes = 0
    // Corked, so that all pieces leave in one writev.
    this.#socket.cork()
    for (const piece of pieces) this.#socket.write(piece)
    this.#socket.uncork()
    // When the kernel took all of it at once no drain event follows.
    if (this.#socket.writableLength === 0) this.#relieve()
  }

  #relieve(): void {
    if (!this.#congested || this.outboundBytes > this.#outboundBytesMax / 2) return
    this.#congested = false
    this.#session?.onWritable()
  }
}
