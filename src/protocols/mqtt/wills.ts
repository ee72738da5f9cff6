/**
 * Wills (MQTT 5.0, 3.1.2.5). Each is kept on the disk from CONNECT until it is sent or no longer to be sent, so that neither a stop nor a crash of
 * the broker leaves it unsaid: the connections of a broker that was killed have ended, too. Their wills are sent when their clients are back, or
 * after a while, so that whoever listens for them had time to come back as well.
 */
import { Buffer } from 'node:buffer'
import { type Broker, CoreError, type Rows, type Space } from '../../broker/face.ts'
import type { Timer } from '../../lib/timers.ts'
import type { Qos, Will } from './codec.ts'
import { isRetained, itemOf, keep, type Message } from './message.ts'
import { encodeProperties, Packet, Reader, readProperties } from './properties.ts'

/** After the start of a broker that was killed, until it sends the wills of those that were connected. */
export const returnMs = 10_000

/** Whose will it is. */
export interface Author {
  readonly clientId: string
  readonly namespace: string
  /** '': nobody had to log in. */
  readonly user: string
  /** The client's address; absent in rows of older versions. */
  readonly from?: string
  /** It logged in by a signed token, of which nothing is kept: what it may do is not known without it. */
  readonly byToken?: boolean
}

/** As it is stored. */
interface Row extends Author {
  readonly topic: string
  readonly qos: Qos
  readonly retain: boolean
  /** Base64: as version 5 writes them, and the payload. */
  readonly properties: string
  readonly payload: string
  /** Seconds from the end of the connection, and those after which its session ends. */
  readonly delay: number
  readonly session: number
  /** When it is sent; 0: its client is connected, or was when the broker was killed. */
  readonly dueAt: number
}

export class Wills {
  readonly #broker: Broker
  /** The protocol's own. */
  readonly #own: (namespace: string) => Space
  readonly #rows: Rows
  readonly #waiting = new Map<string, { readonly timer: Timer; readonly space: Space | null }>()

  constructor(broker: Broker, own: (namespace: string) => Space) {
    this.#broker = broker
    this.#own = own
    this.#rows = broker.rows('mqtt.wills')
  }

  /** The broker has started: nobody is connected. */
  start(): void {
    const now = this.#broker.clock.now()
    for (const [key, text] of [...this.#rows.entries()]) {
      const row = JSON.parse(text) as Row
      this.#wait(key, row, row.dueAt > 0 ? row.dueAt : now + Math.max(returnMs, delayMsOf(row)), null)
    }
  }

  /** A client connects with a will; resolves when it is kept. `session`: seconds from the end of the connection to that of its session. */
  async put(key: string, author: Author, will: Will, session: number): Promise<void> {
    const { topic, qos, retain } = will
    const properties = encodeProperties(will.properties).toString('base64')
    const payload = will.payload.toString('base64')
    const delay = will.properties.willDelay ?? 0
    this.#write(key, { ...author, topic, qos, retain, properties, payload, delay, session, dueAt: 0 })
    await this.#rows.durable()
  }

  /** The client said goodbye. */
  forget(key: string): void {
    this.#stop(key)
    this.#rows.delete(key)
  }

  /** Its connection ended otherwise, its `session` so many seconds later. The will is sent in the client's own `space`. */
  ended(key: string, session: number, space: Space): void {
    const stored = this.#read(key)
    if (stored === undefined) return
    const row = { ...stored, session }
    const delayMs = delayMsOf(row)
    if (delayMs === 0) this.#send(key, row, space)
    else this.#wait(key, row, this.#broker.clock.now() + delayMs, space)
  }

  /** The client is back: a will that waits for its delay is no longer to be sent, unless its session ends now (3.1.3.2.2). */
  async back(key: string, sessionEnds: boolean): Promise<void> {
    const row = this.#read(key)
    if (row === undefined) return
    const space = this.#waiting.get(key)?.space ?? null
    if (!sessionEnds && delayMsOf(row) > 0) this.forget(key)
    else if (space !== null) this.#send(key, row, space)
    else await this.#sendLate(key, row)
  }

  #read(key: string): Row | undefined {
    const text = this.#rows.get(key)
    return text === undefined ? undefined : (JSON.parse(text) as Row)
  }

  #write(key: string, row: Row): void {
    this.#rows.put(key, JSON.stringify(row))
  }

  #wait(key: string, row: Row, dueAt: number, space: Space | null): void {
    if (row.dueAt !== dueAt) this.#write(key, { ...row, dueAt })
    const send = (): void => {
      if (space === null) void this.#sendLate(key, row)
      else this.#send(key, row, space)
    }
    const timer = this.#broker.clock.after(Math.max(0, dueAt - this.#broker.clock.now()), send)
    this.#waiting.set(key, { timer, space })
  }

  #stop(key: string): void {
    this.#waiting.get(key)?.timer.cancel()
    this.#waiting.delete(key)
  }

  /** Of a client that was connected to the broker before it was started: as who it was then. */
  async #sendLate(key: string, row: Row): Promise<void> {
    const { anonymous } = this.#broker
    this.#stop(key)
    try {
      const { user, from = '', byToken = false } = row
      if (byToken) throw new CoreError('Unauthenticated', `${user} logged in by a token, of which nothing was kept`)
      const principal = user === '' ? anonymous : await this.#broker.authenticate({ kind: 'proven', user }, from)
      this.#send(key, row, this.#broker.space(principal, row.namespace, { anyone: true, protocol: 'mqtt' }))
    } catch (cause) {
      this.#rows.delete(key)
      this.#broker.log.warn({ client: row.clientId, topic: row.topic, error: String(cause) }, 'mqtt: a will is not sent')
    }
  }

  /** In one frame of the log: it is sent, or still to be sent. */
  #send(key: string, row: Row, space: Space): void {
    this.#stop(key)
    const properties = readProperties(new Reader(Buffer.from(row.properties, 'base64')), Packet.Will)
    const { topic, qos, retain } = row
    const message: Message = { topic, qos, retain, properties, payload: Buffer.from(row.payload, 'base64') }
    const item = itemOf(message, row.clientId, 0)
    const nothing = (): void => undefined
    this.#broker.atomically(() => {
      this.#rows.delete(key)
      space.publish([item], nothing)
      if (isRetained(message, item, space)) keep(this.#own(row.namespace), message, item, nothing)
    }, nothing)
  }
}

const delayMsOf = ({ delay, session }: Row): number => Math.min(delay, session) * 1000
