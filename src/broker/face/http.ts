/** Requests and answers of the ports that speak HTTP. */
import type { Connection } from './connections.ts'

/**
 * What answers the requests of one HTTP listener. The server around it reads HTTP, limits connections, headers, bodies and time, keeps pages
 * of other sites out while nobody has to log in, and lists the connections. A connection that asks to become something else
 * (Upgrade) is answered like any other request, but where the port has protocols over WebSocket.
 */
export interface HttpHandler {
  /** A protocol answers its own errors; what this rejects with is logged and answered 500, or 413 for a body that was too large. */
  answer(request: HttpRequest): HttpAnswer | Promise<HttpAnswer>
  /** The broker shuts down: end what only waits. Requests under way have a few seconds more. */
  drain?(): void
}

export interface HttpRequest {
  readonly method: string
  /** As sent: percent-encoded and without the query. */
  readonly path: string
  /** Without its question mark. */
  readonly query: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** The connection it came on; `info.user` is set by whoever logs it in. */
  readonly connection: Pick<
    Connection,
    'id' | 'remoteAddress' | 'remotePort' | 'localAddress' | 'localPort' | 'encrypted' | 'peerName' | 'info'
  >
  /** Aborted when the client has gone before its answer. */
  readonly signal: AbortSignal
  /** Collects the body, once. Rejects with TooLarge before more than `bytesMax` is buffered, with Unavailable when the client goes. */
  body(bytesMax?: number): Promise<Buffer>
}

export interface HttpAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** Pieces are sent as they come, as fast as the client reads; who gives them stops when the request's signal says that the client has gone. */
  readonly body?: string | Uint8Array | AsyncIterable<string | Uint8Array>
}
