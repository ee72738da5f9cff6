/**
 * Keeps the private keys: the journal of their effects, read again when the broker starts, and cut when a snapshot of all keys was appended. A snapshot is
 * taken in pieces while commands go on: it begins at a place, appends each key as it is by then, and when every key had its turn what stands
 * before that place is needed no more.
 */
import type { Broker, Journal } from '../../broker/face.ts'
import type { Database } from './database.ts'
import { type EffectLog, repeatEffects } from './effects.ts'

/** A snapshot is taken when the journal has grown to so many times the snapshot before it, and to so many bytes. */
const growthMax = 2
export const snapshotBytesMin = 32 * 1024 * 1024
/** Keys, and bytes, of one piece. */
const pieceKeys = 200
const pieceBytes = 1024 * 1024

export interface KeeperHost {
  readonly databases: readonly Database[]
  readonly effects: EffectLog
  libraries(): ReadonlyMap<string, string>
  restoreLibrary(name: string, code: string): void
  /** Something was appended outside of a command. */
  changed(): void
}

export class Keeper {
  readonly #broker: Broker
  readonly #journal: Journal
  readonly #host: KeeperHost
  /** Of the last snapshot with all that came while it was taken. */
  #snapshotBytes = 0
  #snapshot: Snapshot | null = null
  snapshots = 0

  constructor(broker: Broker, host: KeeperHost) {
    this.#broker = broker
    this.#host = host
    this.#journal = broker.journal('redis.keys')
  }

  get journal(): Journal {
    return this.#journal
  }

  async load(): Promise<void> {
    const { databases } = this.#host
    await this.#journal.replay((entry) => repeatEffects(entry, databases, (name, code) => this.#host.restoreLibrary(name, code)))
    this.#snapshotBytes = this.#journal.bytes
  }

  /** Appends what was recorded. */
  append(): void {
    for (const entry of this.#host.effects.take()) this.#journal.append(entry)
    if (this.#snapshot === null && this.#journal.bytes > Math.max(snapshotBytesMin, this.#snapshotBytes * growthMax))
      this.snapshot()
  }

  /** Begins a snapshot, unless one is being taken. */
  snapshot(): void {
    if (this.#snapshot !== null) return
    this.#snapshot = { from: this.#journal.next, db: 0, cursor: 0 }
    setImmediate(() => this.#piece())
  }

  /** What stands in which database has changed: the snapshot begins anew. */
  restart(): void {
    if (this.#snapshot !== null) Object.assign(this.#snapshot, { from: this.#journal.next, db: 0, cursor: 0 })
  }

  get isTaking(): boolean {
    return this.#snapshot !== null
  }

  #piece(): void {
    const snapshot = this.#snapshot
    if (snapshot === null) return
    const { databases, effects } = this.#host
    const db = databases[snapshot.db]
    if (db === undefined) return this.#finish(snapshot)
    let bytes = 0
    snapshot.cursor = db.contents(snapshot.cursor, pieceKeys, (key, value, expiresAt) => {
      if (value === undefined) effects.expiry(db.index, key, expiresAt)
      else effects.whole(db.index, key, value, expiresAt)
      bytes += value?.bytes ?? 0
    })
    if (snapshot.cursor === 0) snapshot.db++
    for (const entry of effects.take()) this.#journal.append(entry)
    // What is large goes to the disk before more is taken.
    if (bytes > pieceBytes) this.#journal.whenDurable((error) => error === null && setImmediate(() => this.#piece()))
    else setImmediate(() => this.#piece())
  }

  #finish(snapshot: Snapshot): void {
    for (const [name, code] of this.#host.libraries()) this.#host.effects.library(name, code)
    for (const entry of this.#host.effects.take()) this.#journal.append(entry)
    this.#journal.whenDurable((error) => {
      this.#snapshot = null
      if (error !== null) return
      this.#journal.truncate(snapshot.from)
      this.#snapshotBytes = this.#journal.bytes
      this.snapshots++
      this.#broker.log.debug({ bytes: this.#snapshotBytes }, 'a snapshot of the Redis keys was taken')
    })
    this.#host.changed()
  }
}

interface Snapshot {
  /** Where in the journal it began. */
  from: number
  db: number
  cursor: number
}
