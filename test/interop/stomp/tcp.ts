/** stompjs speaks over what looks like a WebSocket: here a plain TCP connection does. */
import { connect, type Socket } from 'node:net'
import { Client, type IStompSocket, StompSocketState } from '@stomp/stompjs'

export class TcpSocket implements IStompSocket {
  readonly url: string
  binaryType: 'blob' | 'arraybuffer' = 'arraybuffer'
  onopen: ((event?: unknown) => unknown) | undefined | null
  onmessage: ((event: { data?: string | ArrayBuffer }) => unknown) | undefined | null
  onclose: ((event?: unknown) => unknown) | undefined | null
  onerror: ((event: unknown) => unknown) | undefined | null
  readyState: StompSocketState = StompSocketState.CONNECTING
  readonly #socket: Socket

  constructor(address: string) {
    this.url = `tcp://${address}`
    const [host, port] = address.split(':')
    this.#socket = connect(Number(port), host)
    this.#socket.on('connect', () => {
      this.readyState = StompSocketState.OPEN
      this.onopen?.()
    })
    this.#socket.on('data', (chunk) => this.onmessage?.({ data: Uint8Array.from(chunk).buffer }))
    this.#socket.on('error', (error) => this.onerror?.(error))
    this.#socket.on('close', () => {
      this.readyState = StompSocketState.CLOSED
      this.onclose?.({ code: 1000, reason: '', wasClean: true })
    })
  }

  send(data: string | ArrayBuffer): void {
    this.#socket.write(typeof data === 'string' ? data : new Uint8Array(data))
  }

  close(): void {
    this.readyState = StompSocketState.CLOSING
    this.#socket.end()
  }

  terminate(): void {
    this.#socket.destroy()
  }
}

/** A client that connects once, and is not connected again by itself. */
export async function connected(address: string, options: ConstructorParameters<typeof Client>[0] = {}): Promise<Client> {
  const client = new Client({
    webSocketFactory: () => new TcpSocket(address),
    reconnectDelay: 0,
    heartbeatIncoming: 0,
    heartbeatOutgoing: 0,
    forceBinaryWSFrames: true,
    ...options,
  })
  await new Promise<void>((resolve, reject) => {
    client.onConnect = () => resolve()
    client.onStompError = ({ headers, body }) => reject(new Error(`${headers['message']}: ${body}`))
    client.onWebSocketError = (event: unknown) => reject(event)
    client.activate()
  })
  return client
}

/** Sends and resolves once the broker's receipt says that it is stored. */
export function sent(
  client: Client,
  destination: string,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
): Promise<void> {
  const receipt = `sent-${Math.random().toString(36).slice(2)}`
  return new Promise((resolve) => {
    client.watchForReceipt(receipt, () => resolve())
    const content = typeof body === 'string' ? { body } : { binaryBody: body }
    client.publish({ destination, ...content, headers: { ...headers, receipt } })
  })
}
