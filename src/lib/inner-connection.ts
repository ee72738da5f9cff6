/** One end of a conversation inside the process: a protocol's session holds it as it would the connection of a client. */

/** Of whose connection it is told, as broker/face.ts has it. */
interface Outer<Info> {
  readonly id: number
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly encrypted: boolean
  readonly info: Info
}

/** The other end. */
export interface InnerPeer {
  bytes(bytes: Buffer): void
  ended(reason: string): void
}

/** What the session writes comes to its peer a moment later, as over a socket. */
export class InnerConnection<Info> {
  readonly overWebSocket = false
  readonly id: number
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly encrypted: boolean
  readonly peerName = undefined
  readonly upgrade = 'none'
  readonly outboundBytes = 0
  readonly congested = false
  info: Info
  slab = Buffer.alloc(0)
  #slabAt = 0
  #pending: Buffer[] = []
  #closed = false
  readonly #peer: InnerPeer

  constructor(outer: Outer<Info>, peer: InnerPeer) {
    this.id = outer.id
    this.remoteAddress = outer.remoteAddress
    this.remotePort = outer.remotePort
    this.localAddress = outer.localAddress
    this.localPort = outer.localPort
    this.encrypted = outer.encrypted
    this.info = { ...outer.info }
    this.#peer = peer
  }

  write(bytes: Uint8Array): void {
    if (this.#closed) return
    if (this.#pending.push(Buffer.from(bytes)) === 1) queueMicrotask(() => this.#flush())
  }

  /** What was written has been copied. */
  whenSent(then: () => void): void {
    then()
  }

  reserve(bytes: number): number {
    this.slab = Buffer.alloc(bytes)
    this.#slabAt = 0
    return 0
  }

  commit(bytes: number): void {
    this.write(this.slab.subarray(this.#slabAt, this.#slabAt + bytes))
    this.#slabAt += bytes
  }

  #flush(): void {
    const bytes = Buffer.concat(this.#pending)
    this.#pending = []
    if (!this.#closed) this.#peer.bytes(bytes)
  }

  pause(): void {}
  resume(): void {}

  end(reason: string): void {
    queueMicrotask(() => this.#peer.ended(reason))
  }

  /** Its peer, who hears nothing more, knows. */
  destroy(): void {
    this.#closed = true
  }
}
