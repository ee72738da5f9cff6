/** What the connections of one broker share: who is connected under which client id, packet identifiers that outlive a connection, wills and figures. */
import { type Broker, CoreError, type Principal, type Rows, type Space } from '../../broker/face.ts'
import { Figures, type Reader } from './figures.ts'
import { Wills } from './wills.ts'

const sweepMs = 60_000

/** Where sessions keep their messages, and who they are. */
export const sessionTopic = (clientId: string): string => `mqtt.session.${clientId}`

/** The protocol's own topics belong to it; what a user may do is asked of addresses. */
const itself: Principal = { user: 'mqtt', may: () => true }

/** A live session, as another connection sees it. */
export interface LiveSession extends Reader {
  takeOver(): void
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
  readonly wills: Wills
  readonly figures: Figures

  constructor(broker: Broker) {
    this.broker = broker
    this.#rows = broker.rows('mqtt.sessions')
    this.wills = new Wills(broker, (namespace) => this.space(namespace))
    this.figures = new Figures(broker, this.#live)
    for (const [row] of this.#rows.entries()) {
      const [key, direction, id] = JSON.parse(row) as [string, Direction, number]
      this.ids(key)[direction].add(id)
    }
  }

  start(): void {
    this.#sweep()
    this.wills.start()
    this.figures.start()
  }

  space(namespace: string): Space {
    return this.broker.space(itself, namespace, { protocol: 'mqtt' })
  }

  // -------------------------------------------------------------------------------------------------------------- connections

  /** Makes it the one session of its client id; another one is told to go. */
  enter(key: string, session: LiveSession): void {
    this.#live.get(key)?.takeOver()
    this.#live.set(key, session)
    this.figures.connections++
  }

  leave(key: string, session: LiveSession): void {
    if (this.#live.get(key) === session) this.#live.delete(key)
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
