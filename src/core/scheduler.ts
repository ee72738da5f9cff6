/**
 * Delayed records: stored under their due time in the ordered table `schedule`, and in memory only when they are due soon or not yet in a
 * checkpoint. Firing a record is one frame with taking it off the schedule, or, if it is to be published again, with moving it to its next time.
 */
import type { Timer } from '../lib/timers.ts'
import { nextOf, type Repetition } from './repetition.ts'
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
  /** By which a repetition is recognised when it is due. */
  readonly dedupId?: string
  /** Where it said one. */
  readonly partition?: number
  /** Records in the payload, when there are several. */
  readonly count?: number
  /** How it is published again. */
  readonly repetition?: Repetition
  readonly payload: Buffer
}

/** What became of a record that was due. `refused`: for now, so that it is tried again; `gone`: it is for nobody, ever. */
export type Fired = 'published' | 'refused' | 'gone'

export class Scheduler {
  readonly #shard: Shard
  readonly #fire: (delayed: Delayed) => Fired
  /** By storage key, which sorts by due time. */
  readonly #soon = new Map<string, Delayed>()
  /** Keys taken off while somebody looks at what is stored, which may be older than that. */
  readonly #removed = new Set<string>()
  #looking = 0
  #timer: Timer | null = null
  #timerAt = Infinity
  count = 0

  constructor(shard: Shard, fire: (delayed: Delayed) => Fired) {
    this.#shard = shard
    this.#fire = fire
  }

  add(delayed: Delayed): void {
    const key = keyOf(delayed)
    this.#shard.committer.atomically(delayed.payload.length + 1024, () => {
      this.#shard.putMetadata('schedule', key, encode(delayed))
      this.#shard.putMetadata('scheduleId', String(delayed.id), key)
    })
    this.#removed.delete(key)
    this.count++
    if (delayed.dueAt < this.#shard.clock.now() + horizonMs) this.#hold(key, delayed)
  }

  /** Recovery and start: loads what is due soon, and goes on doing so. */
  async start(): Promise<void> {
    const { metadata } = this.#shard.storage
    this.count = await metadata.count('schedule')
    for (const [key, value] of this.#shard.unsavedRows('schedule')) {
      const stored = (await metadata.range('schedule', key, after(key), 1)).length
      this.count += (value === null ? 0 : 1) - stored
    }
    await this.#load()
  }

  async #load(): Promise<void> {
    if (this.#shard.closed) return
    for (;;) {
      const to = this.#shard.clock.now() + horizonMs
      await this.#look(loadedMax, 0, to, (delayed) => this.#hold(keyOf(delayed), delayed))
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
    this.#timer?.cancel()
    this.#timerAt = Infinity
    const now = this.#shard.clock.now()
    const due = [...this.#soon].filter(([, delayed]) => delayed.dueAt <= now)
    due.sort(([a], [b]) => (a < b ? -1 : 1))
    for (const [key, delayed] of due) this.#take(key, delayed)
    let next = Infinity
    for (const delayed of this.#soon.values()) next = Math.min(next, delayed.dueAt)
    // What was added meanwhile may have set one.
    this.#timer?.cancel()
    if (next === Infinity) return
    this.#timerAt = next
    this.#timer = this.#shard.clock.after(next - now, () => this.#run())
  }

  #take(key: string, delayed: Delayed): void {
    this.#shard.committer.atomically(delayed.payload.length + 1024, () => {
      const fired = this.#fire(delayed)
      const now = this.#shard.clock.now()
      this.#remove(key, delayed.id)
      // Refused for now (full, no space): tried again a little later.
      if (fired === 'refused') return this.add({ ...delayed, dueAt: now + retryMs })
      const { repetition, dueAt } = delayed
      const next = fired === 'gone' || repetition === undefined ? null : nextOf(repetition, dueAt, now)
      if (next !== null) this.add({ ...delayed, ...next })
    })
  }

  #remove(key: string, id: number): void {
    this.#soon.delete(key)
    this.count = Math.max(0, this.count - 1)
    if (this.#looking > 0) this.#removed.add(key)
    this.#shard.putMetadata('schedule', key, null)
    this.#shard.putMetadata('scheduleId', String(id), null)
  }

  /** In order of due time, from `from` (inclusive) to `to` (exclusive), ms. */
  async list(limit: number, from = 0, to = Number.MAX_SAFE_INTEGER): Promise<Delayed[]> {
    const found: Delayed[] = []
    await this.#look(limit, from, to, (delayed) => found.push(delayed))
    return found
  }

  /** Visits what is scheduled at the moment of the visits, all of them in one turn. */
  async #look(limit: number, from: number, to: number, visit: (delayed: Delayed) => void): Promise<void> {
    const within = (key: string): boolean => key >= dueKey(from) && key < dueKey(to)
    this.#looking++
    try {
      const before = this.#shard.unsavedRows('schedule')
      const stored = await this.#shard.storage.metadata.range('schedule', dueKey(from), dueKey(to), limit + before.size)
      // A checkpoint may have stored some of it meanwhile, after this was read.
      const rows = new Map<string, string | Uint8Array | null>(stored.map((row) => [row.key, row.value]))
      for (const [key, value] of before) if (within(key)) rows.set(key, value)
      for (const [key, value] of this.#shard.unsavedRows('schedule')) if (within(key)) rows.set(key, value)
      let count = 0
      for (const key of [...rows.keys()].sort()) {
        const value = rows.get(key)
        if (value === null || value === undefined || this.#removed.has(key)) continue
        if (count++ >= limit) break
        visit(decode(value))
      }
    } finally {
      this.#doneLooking()
    }
  }

  #doneLooking(): void {
    if (--this.#looking === 0) this.#removed.clear()
  }

  async find(id: number): Promise<Delayed | undefined> {
    return await this.#with(id, (delayed) => delayed)
  }

  /** What `act` returns of the record with this id, which is scheduled at that moment; undefined when there is none. */
  async #with<T>(id: number, act: (delayed: Delayed) => T): Promise<T | undefined> {
    this.#looking++
    try {
      for (;;) {
        const key = await this.#row('scheduleId', String(id))
        if (key === null) return undefined
        const value = await this.#row('schedule', String(key))
        if (this.#removed.has(String(key))) continue // it was moved, or is gone
        return value === null ? undefined : act(decode(value))
      }
    } finally {
      this.#doneLooking()
    }
  }

  async #row(table: string, key: string): Promise<string | Uint8Array | null> {
    const unsaved = this.#shard.unsaved(table, key)
    if (unsaved !== undefined) return unsaved
    const [row] = await this.#shard.storage.metadata.range(table, key, after(key), 1)
    // What was changed meanwhile is newer than what was read.
    const newer = this.#shard.unsaved(table, key)
    return newer === undefined ? (row?.value ?? null) : newer
  }

  async cancel(id: number): Promise<Delayed | undefined> {
    const cancelled = await this.#with(id, (delayed) => {
      this.#remove(keyOf(delayed), id)
      return delayed
    })
    if (cancelled !== undefined) await this.#shard.durable()
    return cancelled
  }

  async move(id: number, dueAt: number): Promise<boolean> {
    const moved = await this.#with(id, (delayed) => {
      this.#shard.committer.atomically(delayed.payload.length + 1024, () => {
        this.#remove(keyOf(delayed), id)
        this.add({ ...delayed, dueAt })
      })
      return true
    })
    if (moved === true) await this.#shard.durable()
    return moved === true
  }
}

const after = (key: string): string => `${key}\u0000`
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
