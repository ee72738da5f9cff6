/** A request as its handler sees it (broker/face.ts, HttpRequest), on top of Node's. */
import type { IncomingMessage } from 'node:http'
import { CoreError, type HttpRequest } from '../broker/face.ts'

const bodyBytesMaxDefault = 32 * 1024 * 1024
const clientNameLengthMax = 200

export class AskedRequest implements HttpRequest {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly headers: HttpRequest['headers']
  readonly connection: HttpRequest['connection']
  readonly #request: IncomingMessage
  /** Made when it is asked for: most requests are answered before anybody could go. */
  #gone: AbortController | null = null
  #isGone = false

  constructor(request: IncomingMessage, connection: HttpRequest['connection']) {
    const url = request.url ?? '/'
    const mark = url.indexOf('?')
    this.#request = request
    this.method = request.method ?? 'GET'
    this.path = mark < 0 ? url : url.slice(0, mark)
    this.query = mark < 0 ? '' : url.slice(mark + 1)
    this.headers = request.headers
    this.connection = connection
    connection.info.clientName = (request.headers['user-agent'] ?? '').slice(0, clientNameLengthMax)
  }

  get signal(): AbortSignal {
    this.#gone ??= new AbortController()
    if (this.#isGone) this.#gone.abort()
    return this.#gone.signal
  }

  /** The client has gone. */
  abort(): void {
    this.#isGone = true
    this.#gone?.abort()
  }

  body(bytesMax = bodyBytesMaxDefault): Promise<Buffer> {
    const request = this.#request
    const tooLarge = (): CoreError => new CoreError('TooLarge', `the body is larger than ${bytesMax} bytes`)
    if (Number(request.headers['content-length'] ?? 0) > bytesMax) return Promise.reject(tooLarge())
    // By its events: to iterate over a request costs as much as all the rest of reading it.
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let bytes = 0
      const stop = (): void => {
        request.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone)
      }
      const onData = (chunk: Buffer): void => {
        bytes += chunk.length
        chunks.push(chunk)
        if (bytes <= bytesMax) return
        stop()
        request.pause()
        reject(tooLarge())
      }
      const onEnd = (): void => {
        stop()
        resolve(Buffer.concat(chunks, bytes))
      }
      const onGone = (): void => {
        stop()
        reject(new CoreError('Unavailable', 'the client went before its request was whole'))
      }
      if (request.readableEnded) onEnd()
      else if (request.destroyed) onGone()
      else request.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone)
    })
  }
}
