/**
 * TLS on the ports that plain clients use too: whoever begins with a TLS handshake record (first byte 0x16, RFC 8446 section 5.1) is secured, everybody
 * else goes on in plain text. Certificates are files, read again by `reload` without touching connections that are open.
 */
import { readFileSync } from 'node:fs'
import type { Server as HttpServer } from 'node:http'
import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls'

export interface TlsSettings {
  /** PEM: the server's certificate, then those between it and its root. */
  readonly certificateFile: string
  /** PEM, not encrypted. */
  readonly keyFile: string
  /** PEM: who may sign certificates of clients; null asks clients for none. */
  readonly clientCaFile: string | null
  /** Refuse whoever has no certificate that `clientCaFile` signed. */
  readonly requireClientCertificate: boolean
  /** Refuse plain text. */
  readonly refusePlainText: boolean
}

/** What is known of a secured connection. */
export interface Secured {
  /** The common name of the client's verified certificate. */
  readonly peerName: string | undefined
}

export interface Front {
  /** A client that speaks plain text, with what it said so far. The socket is paused. */
  plain(socket: Socket, first: Buffer): void
  secured(socket: TLSSocket, secured: Secured): void
  /** The socket is destroyed. */
  refused(socket: Socket, reason: string): void
  /** The server speaks first: a client that begins no handshake at once is taken as one of plain text, and may begin it later. */
  readonly speaksFirst?: boolean
  /** Clients of plain text are taken also where that is refused: they may ask for a handshake later. */
  readonly asksForTls?: boolean
}

/** Where the new sockets of one listener go. */
export interface Entrance {
  accept(socket: Socket): void
  /** A handshake on a connection that began in plain text; `first` is what the client sent of it. `refused` hears of one that fails. */
  upgrade(socket: Socket, first: Buffer, done: (socket: TLSSocket, secured: Secured) => void): void
}

const handshakeByte = 0x16
/** From connecting to the first byte, and from there to the end of the handshake. */
const handshakeTimeoutMs = 10_000
/** How long a client may take for its first byte before the server speaks, where it speaks first. */
const listenFirstMs = 50

export class Tls {
  readonly #settings: TlsSettings
  readonly #servers: Server[] = []
  #material: TlsOptions

  /** Throws when the files cannot be read or do not belong together. */
  constructor(settings: TlsSettings) {
    this.#settings = settings
    this.#material = readMaterial(settings)
    createServer(this.#material).close()
  }

  /** Later connections use what the files hold now. Throws, and changes nothing, when they are not usable. */
  reload(): void {
    const material = readMaterial(this.#settings)
    createServer(material).close()
    this.#material = material
    for (const server of this.#servers) server.setSecureContext(material)
  }

  /** Whether plain text is refused. */
  get refusesPlainText(): boolean {
    return this.#settings.refusePlainText
  }

  /** The entrance of one listener. */
  front(front: Front): Entrance {
    const server = createServer({ ...this.#material, handshakeTimeout: handshakeTimeoutMs })
    // By the client's address: the server tells of a handshake's end by another socket than the one that it was given.
    const upgrading = new Map<string, (socket: TLSSocket, secured: Secured) => void>()
    server.on('secureConnection', (socket) => {
      // Without an address it could not be told whether it had begun in plain text.
      if (socket.remoteAddress === undefined) return refuse(front, socket, 'the client has gone')
      const done = upgrading.get(addressOf(socket)) ?? front.secured
      const secured = inspect(socket, this.#settings.requireClientCertificate)
      if (typeof secured === 'string') return refuse(front, socket, secured)
      done.call(front, socket, secured)
    })
    server.on('tlsClientError', (error, socket) => refuse(front, socket, `TLS handshake: ${error.message}`))
    this.#servers.push(server)
    return {
      accept: (socket) => this.#onSocket(socket, server, front),
      upgrade: (socket, first, done) => {
        const address = addressOf(socket)
        upgrading.set(address, done)
        socket.once('close', () => upgrading.delete(address))
        beginHandshake(server, socket, first)
      },
    }
  }

  #onSocket(socket: Socket, server: Server, front: Front): void {
    const silent = (): void => {
      if (front.speaksFirst !== true) return refuse(front, socket, 'the client said nothing')
      socket.off('close', forget)
      socket.off('data', onData)
      socket.pause()
      front.plain(socket, Buffer.alloc(0))
    }
    const timeout = setTimeout(silent, front.speaksFirst === true ? listenFirstMs : handshakeTimeoutMs)
    const forget = (): void => clearTimeout(timeout)
    socket.once('close', forget)
    const onData = (chunk: Buffer): void => {
      forget()
      socket.off('close', forget)
      socket.pause()
      if (beginsHandshake(chunk)) beginHandshake(server, socket, chunk)
      else if (this.#settings.refusePlainText && front.asksForTls !== true)
        refuse(front, socket, 'plain text where only TLS is allowed')
      else front.plain(socket, chunk)
    }
    socket.once('data', onData)
  }
}

export const beginsHandshake = (chunk: Buffer): boolean => chunk[0] === handshakeByte

function beginHandshake(server: Server, socket: Socket, first: Buffer): void {
  // The TLS socket takes what is buffered in the socket that it wraps.
  socket.unshift(first)
  server.emit('connection', socket)
}

const addressOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`

/** Puts TLS before what an HTTP server does with its new connections, and tells who secured ones are from before they are served. */
export function secureHttp(server: HttpServer, tls: Tls, tell: Pick<Front, 'secured' | 'refused'>): void {
  const serve = server.listeners('connection')
  const open = (socket: Socket): void => {
    for (const each of serve) each.call(server, socket)
    socket.resume()
  }
  const { accept } = tls.front({
    plain: (socket, first) => {
      socket.unshift(first)
      open(socket)
    },
    secured: (socket, secured) => {
      tell.secured(socket, secured)
      open(socket)
    },
    refused: tell.refused,
  })
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    // A client that goes during the handshake is no error of ours.
    socket.on('error', () => {})
    accept(socket)
  })
}

function refuse(front: Front, socket: Socket, reason: string): void {
  front.refused(socket, reason)
  socket.destroy()
}

function readMaterial(settings: TlsSettings): TlsOptions {
  const { clientCaFile } = settings
  return {
    cert: readFileSync(settings.certificateFile),
    key: readFileSync(settings.keyFile),
    ...(clientCaFile === null ? {} : { ca: readFileSync(clientCaFile), requestCert: true }),
    // A client's certificate is judged in inspect(): one that is missing may be allowed, one that is wrong never is.
    rejectUnauthorized: false,
  }
}

/** What a client's certificate says, or why it is refused. */
function inspect(socket: TLSSocket, required: boolean): Secured | string {
  const certificate = socket.getPeerCertificate()
  // Node gives an empty object when there is none, whatever its types say.
  if (Object.keys(certificate).length === 0) {
    return required ? 'the client has no certificate' : { peerName: undefined }
  }
  if (!socket.authorized) return `the client's certificate is not valid: ${String(socket.authorizationError)}`
  const { CN: name } = certificate.subject
  if (typeof name !== 'string' || name === '') return "the client's certificate has not one common name"
  return { peerName: name }
}
