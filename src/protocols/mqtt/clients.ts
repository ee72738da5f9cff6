/**
 * What the connections of one broker share: who is connected under which client id, packet identifiers that outlive a connection, wills that wait,
 * and the figures under `$SYS`.
 */
import { type Broker, CoreError, type Principal, type Rows, type Space } from '../../broker/face.ts'
import type { Timer } from '../../lib/timers.ts'

const sweepMs = 60_000
const figuresMs = 10_000

/** Where sessions keep their messages, and who they are. */
export const sessionTopic = (clientId: string): string => `mqtt.session.${clientId}`

/** The protocol's own topics belong to it; what a user may do is asked of addresses. */
const itself: Principal = { user: 'mqtt', may: () => true }

/** A live session, as another connection sees it. */
export interface LiveSession {
  takeOver(): void
  figures(values: readonly (readonly [string, string])[]): void
}

/** Packet identifiers of QoS 2 that are half way: `in` received and not released, `out` released and not completed. */
export interface PacketIds {
  readonly in: Set<number>
  readonly out: Set<number>
}

type Direction = keyof PacketIds

export class Clients {
  readonly broker: Broker
  readonly #live = new Map<string, LiveSession>()
  readonly #ids = new Map<string, PacketIds>()
  readonly #rows: Rows
  readonly #wills = new Map<string, { readonly timer: Timer; readonly send: () => void }>()
  readonly #startedAt: number
  received = 0
  sent = 0

  constructor(broker: Broker) {
    this.broker = broker
    this.#rows = broker.rows('mqtt.sessions')
    this.#startedAt = broker.clock.now()
    for (const [row] of this.#rows.entries()) {
      const [key, direction, id] = JSON.parse(row) as [string, Direction, number]
      this.ids(key)[direction].add(id)
    }
  }

  start(): void {
    this.#sweep()
    this.#tellFigures()
  }

  space(namespace: string): Space {
    return this.broker.space(itself, namespace, { protocol: 'mqtt' })
  }

  // -------------------------------------------------------------------------------------------------------------- connections

  /** Makes it the one session of its client id; another one is told to go. A will that waits is not sent, unless the old session ends (`clean`). */
  enter(key: string, session: LiveSession, clean: boolean): void {
    this.#live.get(key)?.takeOver()
    this.#live.set(key, session)
    if (clean) this.#endWill(key)
    this.#wills.get(key)?.timer.cancel()
    this.#wills.delete(key)
  }

  leave(key: string, session: LiveSession): void {
    if (this.#live.get(key) === session) this.#live.delete(key)
  }

  /** Sends a will later, unless the client comes back before. */
  delayWill(key: string, delayMs: number, send: () => void): void {
    const timer = this.broker.clock.after(delayMs, () => {
      this.#wills.delete(key)
      send()
    })
    this.#wills.set(key, { timer, send })
  }

  /** The session of a client ends before its will was due (5.0, 3.1.3.2.2). */
  #endWill(key: string): void {
    const will = this.#wills.get(key)
    if (will === undefined) return
    will.timer.cancel()
    this.#wills.delete(key)
    will.send()
  }

  // ------------------------------------------------------------------------------------------------------- packet identifiers

  ids(key: string): PacketIds {
    let ids = this.#ids.get(key)
    if (ids === undefined) {
      ids = { in: new Set(), out: new Set() }
      this.#ids.set(key, ids)
    }
    return ids
  }

  note(key: string, direction: Direction, id: number): void {
    this.ids(key)[direction].add(id)
    this.#rows.put(JSON.stringify([key, direction, id]), '')
  }

  drop(key: string, direction: Direction, id: number): void {
    this.ids(key)[direction].delete(id)
    this.#rows.delete(JSON.stringify([key, direction, id]))
  }

  /** Forgets all of a session that has ended. */
  forget(key: string): void {
    const ids = this.#ids.get(key)
    if (ids === undefined) return
    for (const direction of ['in', 'out'] as const)
      for (const id of ids[direction]) this.#rows.delete(JSON.stringify([key, direction, id]))
    this.#ids.delete(key)
  }

  durable(): Promise<void> {
    return this.#rows.durable()
  }

  /** Sessions that expired leave their packet identifiers behind, and a crash leaves sessions that should have ended with their connection. */
  #sweep(): void {
    for (const key of [...this.#ids.keys()]) if (!this.#live.has(key) && !this.#exists(key)) this.forget(key)
    this.broker.clock.after(sweepMs, () => this.#sweep())
  }

  #exists(key: string): boolean {
    const [namespace, clientId] = JSON.parse(key) as [string, string]
    if (!this.broker.namespaces().includes(namespace)) return false
    return this.space(namespace).topic(sessionTopic(clientId)) !== undefined
  }

  // ------------------------------------------------------------------------------------------------------------------ figures

  #tellFigures(): void {
    const values = this.figures()
    for (const session of this.#live.values()) session.figures(values)
    this.broker.clock.after(figuresMs, () => this.#tellFigures())
  }

  /** Under the names that Mosquitto gave them. */
  figures(): readonly (readonly [string, string])[] {
    return [
      ['$SYS/broker/version', 'AnyMQ'],
      ['$SYS/broker/uptime', `${Math.floor((this.broker.clock.now() - this.#startedAt) / 1000)} seconds`],
      ['$SYS/broker/clients/connected', String(this.#live.size)],
      ['$SYS/broker/messages/received', String(this.received)],
      ['$SYS/broker/messages/sent', String(this.sent)],
    ]
  }
}

export function clientsOf(broker: Broker): Clients {
  return broker.shared('mqtt', () => new Clients(broker))
}

export const sessionKey = (namespace: string, clientId: string): string => JSON.stringify([namespace, clientId])

/** Resolves also when somebody else made the topic, or deleted it. */
export async function tolerate(pending: Promise<unknown>, code: 'AlreadyExists' | 'NotFound'): Promise<void> {
  try {
    await pending
  } catch (cause) {
    if (!(cause instanceof CoreError && cause.code === code)) throw cause
  }
}
