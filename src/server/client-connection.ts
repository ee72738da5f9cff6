/**
 * A connection as protocols see it (broker/face.ts), whatever carries its bytes. Small writes go into a slab, large ones by reference; both are handed
 * to the transport once a turn, in order, and no more of it at once than it takes soon. A connection whose peer does not read becomes congested at
 * `outboundBytesMax` and tells its session when it may go on. An idle connection holds no slab.
 */
import type { CloseCause, Connection, ConnectionInfo, ConnectionListing, Session } from '../broker/face.ts'
import type { Secured } from '../lib/tls.ts'
import { atEndOfTurn } from '../lib/turn.ts'
import type { Ending, Transport } from './transport.ts'

/** A slab begins small and doubles while one turn needs more. */
const slabBytesMin = 512
const slabBytesMax = 32 * 1024
const noSlab = Buffer.allocUnsafeSlow(0)
/** Below this a copy costs less than one more piece for the kernel. */
const copyBytesMax = 1024
/**
 * More than this waits here, not in the transport: that gives all it has to the kernel as one write, of which nobody sees how much is gone until it is
 * gone altogether, nor is any of its memory free before.
 */
const handedBytesMax = 512 * 1024
/** A connection asked to end that does not take its last bytes is cut. */
const endTimeoutMs = 5000

export class ClientConnection implements Connection {
  readonly id: number
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  encrypted: boolean
  readonly overWebSocket: boolean
  peerName: string | undefined
  upgrade: Connection['upgrade'] = 'none'
  /** What its carrier does when the session begins TLS; null where it cannot. */
  onStartTls: ((early: Buffer, done: () => void) => void) | null = null
  readonly openedAt: number
  info: ConnectionInfo
  slab = noSlab
  closeReason = ''
  /** Its session ended it without a reason for the log: its client asked for it, or the log has the reason already. */
  endedAsAsked = false
  /** What its carrier says to the peer when it ends. */
  ending: Ending = 'done'
  #transport: Transport
  readonly #outboundBytesMax: number
  /** Where the next slab bytes go, and where those begin that no piece names yet. */
  #slabAt = 0
  #pieceAt = 0
  /** Nothing was written since the last tick. */
  #quiet = false
  #pieces: Uint8Array[] = []
  /** Who waits for all to be sent that was written when `at` bytes had been. */
  #whenSent: { readonly at: number; readonly then: () => void }[] = []
  #writtenBytes = 0
  /** Of these, what is not handed to the transport yet. */
  #queuedBytes = 0
  #flushScheduled = false
  #pauses = 0
  #congested = false
  /** A TLS handshake is going on: nothing of ours may come in between. */
  #holding = false
  #ending = false
  #session: Session | null = null
  #cause: CloseCause = 'peer'

  constructor(
    id: number,
    transport: Transport,
    secured: Secured | null,
    protocol: string,
    openedAt: number,
    outboundBytesMax: number,
  ) {
    this.id = id
    this.encrypted = secured !== null
    this.overWebSocket = transport.isWebSocket
    this.peerName = secured?.peerName
    this.#transport = transport
    this.openedAt = openedAt
    this.#outboundBytesMax = outboundBytesMax
    this.remoteAddress = transport.remoteAddress
    this.remotePort = transport.remotePort
    this.localAddress = transport.localAddress
    this.localPort = transport.localPort
    this.info = { protocol, clientName: '', clientVersion: '', user: '', namespace: 'default' }
    transport.onDrain = () => this.#drained()
  }

  /** Sends what was written in plain text, and nothing more until {@link secured}. */
  hold(): void {
    this.#flush(Number.POSITIVE_INFINITY)
    this.#holding = true
  }

  /** Goes on with this transport, which wraps the one before. */
  secured(transport: Transport, { peerName }: Secured): void {
    this.#transport = transport
    this.encrypted = true
    this.peerName = peerName
    this.upgrade = 'none'
    transport.onDrain = () => this.#drained()
    this.#holding = false
    this.#flush()
  }

  startTls(early: Buffer, done: () => void): void {
    if (this.onStartTls === null || this.upgrade === 'none') throw new Error('there is no TLS to begin')
    this.hold()
    this.onStartTls(early, done)
  }

  /** From here on `session` is told of everything. */
  attach(session: Session): void {
    this.#session = session
  }

  get outboundBytes(): number {
    return this.#queuedBytes + this.#transport.bufferedBytes
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

  whenSent(then: () => void): void {
    this.#whenSent.push({ at: this.#writtenBytes, then })
  }

  reserve(bytes: number): number {
    if (this.#slabAt + bytes > this.slab.length) {
      this.#sealPiece()
      // Pieces of the old slab may still be on their way to the kernel, so it is left to them.
      const next = Math.min(slabBytesMax, Math.max(slabBytesMin, 2 * this.slab.length))
      this.slab = Buffer.allocUnsafeSlow(Math.max(next, bytes))
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
    if (this.#pauses++ === 0) this.#transport.pause()
  }

  resume(): void {
    if (this.#pauses === 0) throw new Error('resume without pause')
    if (--this.#pauses === 0) this.#transport.resume()
  }

  end(reason: string): void {
    if (this.#ending) return
    if (this.#holding) return this.destroy(reason)
    this.#flush(Number.POSITIVE_INFINITY)
    this.#ending = true
    if (reason === '') this.endedAsAsked = true
    else this.#cause = 'server'
    this.closeReason ||= reason
    this.#transport.end(this.ending, reason)
    setTimeout(() => this.#transport.destroy(), endTimeoutMs).unref()
  }

  destroy(reason: string): void {
    this.#ending = true
    this.#cause = 'server'
    this.closeReason ||= reason
    this.#transport.destroy()
  }

  /** A bug of ours: says so as far as the carrier can, and closes. */
  fail(): void {
    this.#ending = true
    this.#cause = 'server'
    this.closeReason ||= 'an internal error'
    this.#transport.end('failed', 'internal error')
    this.#transport.destroy()
  }

  /** About once a second: gives the slab of a quiet connection back, and lets the carrier look after its peer. */
  tick(now: number): void {
    if (this.#quiet && this.slab !== noSlab && this.outboundBytes === 0) {
      this.slab = noSlab
      this.#slabAt = 0
      this.#pieceAt = 0
    }
    this.#quiet = true
    this.#transport.tick(now)
  }

  /** The carrier closed: the session's last call. */
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
      bytesIn: this.#transport.bytesRead,
      bytesOut: this.#transport.bytesWritten,
    }
  }

  #queue(bytes: number): void {
    this.#writtenBytes += bytes
    this.#queuedBytes += bytes
    this.#quiet = false
    if (this.#flushScheduled) return
    this.#flushScheduled = true
    atEndOfTurn(() => this.#flush())
  }

  #sealPiece(): void {
    if (this.#slabAt === this.#pieceAt) return
    this.#pieces.push(this.slab.subarray(this.#pieceAt, this.#slabAt))
    this.#pieceAt = this.#slabAt
  }

  /** Hands on what there is, up to about `bytesMax` that wait in the transport. */
  #flush(bytesMax = handedBytesMax): void {
    this.#flushScheduled = false
    if (this.#transport.closed || this.#ending || this.#holding) return
    if (this.#queuedBytes === 0) return
    while (this.#queuedBytes > 0) {
      const room = bytesMax - this.#transport.bufferedBytes
      // It tells when it has room.
      if (room <= 0) return
      const pieces = this.#take(room)
      this.#transport.send(pieces, this.#takeWhenSent())
    }
    if (this.#transport.bufferedBytes > 0) return
    // The kernel took all of it at once: the slab is free again, and no drain event follows.
    this.#slabAt = 0
    this.#pieceAt = 0
    this.#relieve()
  }

  /** The next pieces: so many that they have `bytes`, if there are so many. */
  #take(bytes: number): Uint8Array[] {
    this.#sealPiece()
    const pieces = this.#pieces
    let count = 0
    let taken = 0
    while (count < pieces.length && taken < bytes) taken += (pieces[count++] as Uint8Array).length // count < length
    this.#queuedBytes -= taken
    if (count < pieces.length) return pieces.splice(0, count)
    this.#pieces = []
    return pieces
  }

  #drained(): void {
    this.#flush()
    this.#relieve()
  }

  #takeWhenSent(): (() => void) | null {
    const waiting = this.#whenSent
    const handed = this.#writtenBytes - this.#queuedBytes
    let count = 0
    while (count < waiting.length && (waiting[count]?.at ?? 0) <= handed) count++
    if (count === 0) return null
    const told = waiting.splice(0, count)
    return () => {
      for (const { then } of told) then()
    }
  }

  #relieve(): void {
    if (!this.#congested || this.outboundBytes > this.#outboundBytesMax / 2) return
    this.#congested = false
    this.#session?.onWritable()
  }
}
