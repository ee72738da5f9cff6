/** The matrix's STOMP side, by stompjs over TCP. Headers are text; what STOMP has no header for is `anymq.<name>`. */
import type { Client, IMessage } from '@stomp/stompjs'
import { setting, unique, within } from '../cases/cases.ts'
import { connected, sent } from '../stomp/tcp.ts'
import { ATTRIBUTES, BODY, type Driver, HEADERS, KEY, type Seen, TIMESTAMP } from './message.ts'

/** Of a frame, not of its message. */
const ofTheFrame: ReadonlySet<string> = new Set([
  ...[
    'destination',
    'subscription',
    'message-id',
    'redelivered',
    'ack',
    'content-length',
    'receipt',
    'transaction',
    'persistent',
    'x-stream-offset',
  ],
])
/** Attributes without a header in STOMP. */
const spare = { 'message-id': 'anymq.message-id', 'app-id': 'anymq.app-id' } as const
const headerOf = (name: string): string => (name in spare ? spare[name as keyof typeof spare] : name)

export async function stompDriver(): Promise<Driver> {
  const client = await connected(setting('STOMP'))
  const queue = (topic: string): string => `/queue/${topic}`
  return {
    name: 'stomp',
    typedHeaders: false,
    declares: 'queue',
    cannotWrite: ['h-bytes'],
    declare: async (topic) => {
      const [receipt, done] = receiptOf(client)
      client.subscribe(queue(topic), () => undefined, { id: topic, receipt }).unsubscribe()
      await done
    },
    produce: async (topic) => {
      const headers: Record<string, string> = {
        persistent: 'true',
        timestamp: String(TIMESTAMP),
        'anymq.key-base64': KEY.toString('base64'),
      }
      for (const [name, value] of Object.entries(ATTRIBUTES)) headers[headerOf(name)] = value
      for (const { name, text } of HEADERS) if (text !== undefined) headers[name] = text
      await sent(client, queue(topic), BODY, headers)
    },
    consume: async (topic, owner) => {
      const reader = new Reader(client, queue(topic), placeIn(owner))
      const message = await reader.next()
      await reader.end(message)
      return seen(message)
    },
    consumeTwice: async (topic) => {
      const reader = new Reader(client, queue(topic))
      const first = await reader.next()
      first.nack()
      const message = await reader.next()
      await reader.end(message)
      return seen(message)
    },
    forward: async (from, to, owner) => {
      const reader = new Reader(client, queue(from), placeIn(owner))
      const message = await reader.next()
      const headers = Object.fromEntries(Object.entries(message.headers).filter(([name]) => !ofTheFrame.has(name)))
      await sent(client, queue(to), message.binaryBody, { ...headers, persistent: 'true' })
      await reader.end(message)
    },
    close: () => client.deactivate(),
  }
}

/** What is declared a stream is read from where one says. */
const placeIn = (owner: string): Record<string, string> => (owner === 'stream' ? { 'x-stream-offset': 'first' } : {})

function receiptOf(client: Client): [string, Promise<void>] {
  const receipt = unique('receipt')
  return [receipt, new Promise((resolve) => client.watchForReceipt(receipt, () => resolve()))]
}

class Reader {
  readonly #client: Client
  readonly #subscription: { unsubscribe(): void }
  readonly #came: IMessage[] = []
  #wake: () => void = () => undefined

  constructor(client: Client, destination: string, headers: Record<string, string> = {}) {
    this.#client = client
    this.#subscription = client.subscribe(
      destination,
      (message) => {
        this.#came.push(message)
        this.#wake()
      },
      { ack: 'client-individual', 'prefetch-count': '1', ...headers },
    )
  }

  async next(): Promise<IMessage> {
    const came = new Promise<void>((resolve) => {
      this.#wake = resolve
      if (this.#came.length > 0) resolve()
    })
    await within(15_000, 'a message for STOMP', came)
    return this.#came.shift() as IMessage
  }

  /** Acknowledges the last message and unsubscribes. */
  async end(message: IMessage): Promise<void> {
    const [receipt, done] = receiptOf(this.#client)
    message.ack({ receipt })
    await done
    this.#subscription.unsubscribe()
  }
}

function seen(message: IMessage): Seen {
  const { headers: all } = message
  const bytes = new Set(
    (all['anymq.types'] ?? '').split('&').flatMap((each) => (each.endsWith('=bytes') ? [each.slice(0, -6)] : [])),
  )
  const headers = new Map<string, unknown>()
  const attributes: Record<string, string | undefined> = {}
  for (const name of Object.keys(ATTRIBUTES)) attributes[name] = all[headerOf(name)]
  for (const [name, value] of Object.entries(all)) {
    if (ofTheFrame.has(name) || name in ATTRIBUTES || name === 'timestamp' || Object.values<string>(spare).includes(name))
      continue
    headers.set(name, bytes.has(name) ? Buffer.from(value, 'base64') : value)
  }
  const base64 = all['anymq.key-base64']
  const key = all['anymq.key']
  return {
    body: Buffer.from(message.binaryBody),
    key: base64 !== undefined ? Buffer.from(base64, 'base64') : key !== undefined ? Buffer.from(key) : undefined,
    timestamp: all['timestamp'] === undefined ? undefined : Number(all['timestamp']),
    attributes,
    headers,
    redelivered: all['redelivered'] === 'true',
  }
}
