/** Answers connections to an HTTP port that bring no HTTP, too much of it, or not in time. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

const statusOf: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/** `refused` hears of each that was answered so, with the peer and why. A peer that broke off by itself is only forgotten. */
export function answerBadHttp(server: Server, refused: (remote: string, reason: string) => void): void {
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code !== 'ECONNRESET') refused(`${socket.remoteAddress}:${socket.remotePort}`, error.message)
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    const status = statusOf[error.code ?? ''] ?? '400 Bad Request'
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\n\r\n`, () => socket.destroy())
  })
}
