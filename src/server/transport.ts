/** What carries the bytes of a connection: a TCP socket, TLS on it, or a WebSocket. Who reads is told by whoever made the transport. */

/** Why the server ends a connection, for carriers that can say it. */
export type Ending = 'done' | 'stopping' | 'failed'

export interface Transport {
  readonly isWebSocket: boolean
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly bytesRead: number
  readonly bytesWritten: number
  /** Bytes sent and not yet taken by the kernel: at 0 nobody reads what was sent any more. */
  readonly bufferedBytes: number
  /** Nothing can be sent any more. */
  readonly closed: boolean
  /** Called after a part of {@link bufferedBytes} has gone. */
  onDrain: () => void
  /** Takes the pieces in order and by reference, all of them at once. `sent` is called once the kernel has them, and never if that fails. */
  send(pieces: readonly Uint8Array[], sent: (() => void) | null): void
  pause(): void
  resume(): void
  /** Closes once everything sent has gone. */
  end(ending: Ending, reason: string): void
  /** Closes at once. */
  destroy(): void
  /** About once a second, while the connection is open. */
  tick(now: number): void
}
