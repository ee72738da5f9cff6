/** All open connections, of whatever kind: the broker lists and closes them through this, and the limit on their number holds for all together. */
import type { ConnectionListing } from '../broker/face.ts'

/** A connection asked to go has so long to say goodbye. */
const drainTimeoutMs = 5000

export interface OpenConnection {
  readonly id: number
  listing(): ConnectionListing
  /** Asks it to say goodbye and go; `reason` goes to the log, where it is not empty. */
  drain(reason: string): void
  destroy(reason: string): void
  /** About once a second. */
  tick(now: number): void
}

export class Connections {
  readonly #open = new Map<number, OpenConnection>()
  #nextId = 1

  get size(): number {
    return this.#open.size
  }

  nextId(): number {
    return this.#nextId++
  }

  add(connection: OpenConnection): void {
    this.#open.set(connection.id, connection)
  }

  remove(id: number): void {
    this.#open.delete(id)
  }

  list(): ConnectionListing[] {
    return [...this.#open.values()].map((connection) => connection.listing())
  }

  close(id: number, reason: string): boolean {
    const connection = this.#open.get(id)
    if (connection === undefined) return false
    connection.drain(reason)
    setTimeout(() => connection.destroy(reason), drainTimeoutMs).unref()
    return true
  }

  each(visit: (connection: OpenConnection) => void): void {
    for (const connection of [...this.#open.values()]) visit(connection)
  }
}
