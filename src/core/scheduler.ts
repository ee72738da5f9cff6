/**
 * Delayed records: stored under their due time in the ordered table `schedule`, and in memory only when they are due soon or not yet in a
 * checkpoint. Firing a record is one frame with taking it off the schedule.
 */
import type { Timer } from '../lib/timers.ts'
import type { Shard } from './shard.ts'

/** What is due within this is held in memory. */
const horizonMs = 60_000
const loadedMax = 10_000
const retryMs = 1000

/** A delayed record, as stored. */
export interface Delayed {
  readonly id: number
  readonly dueAt: number
  readonly namespace: string
  readonly exchange: string | null
  readonly address: string
  readonly format: number
  readonly timestamp: number
  readonly ttlMs: number
  readonly priority: number
  readonly key: string | null
  /** Further addresses that it goes to. */
  readonly extraAddresses?: readonly string[]
  readonly payload: Buffer
}

export class Scheduler {
  readonly #shard: Shard
  readonly #fire: (delayed: Delayed) => boolean
  /** By storage key, which sorts by due time. */
  readonly #soon = new Map<string, Delayed>()
  #timer: Timer | null = null
  #timerAt = Infinity
  count = 0

  constructor(shard: Shard, fire: (delayed: Delayed) => boolean) {
    this.#shard = shard
    this.#fire = fire
  }

  add(delayed: Delayed): void {
    const key = keyOf(delayed)
    this.#shard.putMetadata('schedule', key, encode(delayed))
    this.#shard.putMetadata('scheduleId', String(delayed.id), key)
    this.count++
    if (delayed.dueAt < this.#shard.clock.now() + horizonMs) this.#hold(key, delayed)
  }

  /** Recovery and start: loads what is due soon, and goes on doing so. */
  async start(): Promise<void> {
    await this.#load()
  }

  async #load(): Promise<void> {
    if (this.#shard.closed) return
    for (;;) {
      const to = this.#shard.clock.now() + horizonMs
      for (const delayed of await this.list(loadedMax, 0, to)) this.#hold(keyOf(delayed), delayed)
      // A clock that was moved ahead meanwhile has more to bring in.
      if (to >= this.#shard.clock.now() + horizonMs / 2) break
    }
    this.#shard.clock.after(
      horizonMs / 2,
      () =>
        void this.#load().catch((error: Error) =>
          this.#shard.log.error({ error: error.message }, 'delayed records could not be loaded'),
        ),
    )
  }

  #hold(key: string, delayed: Delayed): void {
    this.#soon.set(key, delayed)
    if (delayed.dueAt >= this.#timerAt) return
    this.#timer?.cancel()
    this.#timerAt = delayed.dueAt
    const inMs = delayed.dueAt - this.#shard.clock.now()
    if (inMs <= 0) setImmediate(() => this.#run())
    else this.#timer = this.#shard.clock.after(inMs, () => this.#run())
  }

  #run(): void {
    this.#timerAt = Infinity
    const now = this.#shard.clock.now()
    const due = [...this.#soon].filter(([, delayed]) => delayed.dueAt <= now)
    due.sort(([a], [b]) => (a < b ? -1 : 1))
    for (const [key, delayed] of due) this.#take(key, delayed)
    let next = Infinity
    for (const delayed of this.#soon.values()) next = Math.min(next, delayed.dueAt)
    if (next === Infinity) return
    this.#timerAt = next
    this.#timer = this.#shard.clock.after(next - now, () => this.#run())
  }

  #take(key: string, delayed: Delayed): void {
    this.#shard.committer.atomically(delayed.payload.length + 1024, () => {
      if (this.#fire(delayed)) this.#remove(key, delayed.id)
      else {
        // Refused for now (full, no space): tried again a little later.
        this.#remove(key, delayed.id)
        this.add({ ...delayed, dueAt: this.#shard.clock.now() + retryMs })
      }
    })
  }

  #remove(key: string, id: number): void {
    this.#soon.delete(key)
    this.count = Math.max(0, this.count - 1)
    this.#shard.putMetadata('schedule', key, null)
    this.#shard.putMetadata('scheduleId', String(id), null)
  }

  /** In order of due time, from `from` (inclusive) to `to` (exclusive), ms. */
  async list(limit: number, from = 0, to = Number.MAX_SAFE_INTEGER): Promise<Delayed[]> {
    const stored = await this.#shard.storage.metadata.range(
      'schedule',
      dueKey(from),
      dueKey(to),
      limit + (this.#shard.changed.get('schedule')?.size ?? 0),
    )
    const rows = new Map<string, string | Uint8Array | null>(stored.map((row) => [row.key, row.value]))
    for (const [key, value] of this.#shard.changed.get('schedule') ?? [])
      if (key >= dueKey(from) && key < dueKey(to)) rows.set(key, value)
    const keys = [...rows.keys()].sort()
    const found: Delayed[] = []
    for (const key of keys) {
      const value = rows.get(key)
      if (value === null || value === undefined) continue
      found.push(decode(value))
      if (found.length >= limit) break
    }
    return found
  }

  async find(id: number): Promise<Delayed | undefined> {
    const fresh = this.#shard.changed.get('scheduleId')?.get(String(id))
    let key = typeof fresh === 'string' ? fresh : undefined
    if (fresh === undefined) {
      const [row] = await this.#shard.storage.metadata.range('scheduleId', String(id), `${id}\u0000`, 1)
      key = row === undefined ? undefined : String(row.value)
    }
    if (key === undefined) return undefined
    const changed = this.#shard.changed.get('schedule')?.get(key)
    if (changed === null) return undefined
    if (changed !== undefined) return decode(changed)
    const [row] = await this.#shard.storage.metadata.range('schedule', key, `${key}\u0000`, 1)
    return row === undefined ? undefined : decode(row.value)
  }

  async cancel(id: number): Promise<Delayed | undefined> {
    const delayed = await this.find(id)
    if (delayed === undefined) return undefined
    this.#remove(keyOf(delayed), id)
    await this.#shard.durable()
    return delayed
  }

  async move(id: number, dueAt: number): Promise<boolean> {
    const delayed = await this.find(id)
    if (delayed === undefined) return false
    this.#shard.committer.atomically(delayed.payload.length + 1024, () => {
      this.#remove(keyOf(delayed), id)
      this.add({ ...delayed, dueAt })
    })
    await this.#shard.durable()
    return true
  }
}

const dueKey = (dueAt: number): string => String(Math.max(0, Math.floor(dueAt))).padStart(16, '0')
const keyOf = (delayed: Delayed): string => `${dueKey(delayed.dueAt)}-${String(delayed.id).padStart(12, '0')}`

function encode(delayed: Delayed): Buffer {
  const { payload, ...head } = delayed
  const text = Buffer.from(JSON.stringify(head))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.length)
  return Buffer.concat([length, text, payload])
}

function decode(stored: string | Uint8Array): Delayed {
  const bytes = Buffer.from(stored as Uint8Array) // encode() made bytes
  const end = 4 + bytes.readUInt32BE(0)
  return { ...(JSON.parse(bytes.toString('utf8', 4, end)) as Omit<Delayed, 'payload'>), payload: bytes.subarray(end) } // as encode() wrote
}
