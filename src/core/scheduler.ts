/**
 * Delayed records: stored under their due time in the ordered table `schedule`, and in memory only when they are due soon or not yet in a
 * checkpoint. Firing a record is one frame with taking it off the schedule, or, if it is to be published again, with moving it to its next time.
 */
import { Heap } from '../lib/heap.ts'
import type { Timer } from '../lib/timers.ts'
import { nextOf, type Repetition } from './repetition.ts'
import type { Shard } from './shard.ts'

/** What is due within this is held in memory, as far as there is room. */
const horizonMs = 60_000
const heldMax = 20_000
const heldBytesMax = 32 * 1024 * 1024
/** Read from storage at a time; fewer where records are large. */
const pageMin = 16
const pageMax = 4096
const pageBytes = 4 * 1024 * 1024
/** Published in one turn: others have theirs in between. */
const firedAtOnce = 1000
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
  /** All whose key, which sorts by due time, is below {@link #heldBefore}. */
  readonly #held = new Map<string, Delayed>()
  #heldBytes = 0
  #heldBefore = ''
  /** Keys of what is held, and of some that went. */
  readonly #order = new Heap<string>((a, b) => a < b)
  /** Something is being read in. */
  #loading = false
  #page = pageMin
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
    if (key >= this.#heldBefore) return
    this.#hold(key, delayed)
    if (this.#isFull) this.#holdLess()
    this.#arm()
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
    this.#loadOnTime()
  }

  /** Time brings what is further away within reach. */
  #loadOnTime(): void {
    this.#shard.clock.after(horizonMs / 2, () => {
      if (this.#shard.closed) return
      this.#loadMore()
      this.#loadOnTime()
    })
  }

  #loadMore(): void {
    this.#load().catch((error: Error) =>
      this.#shard.log.error({ error: error.message }, 'delayed records could not be loaded; it is tried again'),
    )
  }

  /** There is room again for what had to be left out. */
  #refill(): void {
    if (this.#loading || this.#held.size >= heldMax / 4 || this.#heldBytes >= heldBytesMax / 4) return
    if (this.#heldBefore < dueKey(this.#shard.clock.now() + horizonMs / 2)) this.#loadMore()
  }

  /** Brings in what is due next, as far as there is room. */
  async #load(): Promise<void> {
    if (this.#loading) return
    this.#loading = true
    try {
      // A clock that was moved ahead meanwhile has more to bring in.
      for (let to = this.#horizon; this.#heldBefore < to && !this.#isFull && !this.#shard.closed; to = this.#horizon)
        await this.#loadPage(to)
    } finally {
      this.#loading = false
    }
    this.#arm()
  }

  async #loadPage(to: string): Promise<void> {
    const from = this.#heldBefore
    const before = this.#heldBytes
    // Some of what is before it may have been let go meanwhile.
    const isNext = (): boolean => this.#heldBefore === from
    const next = await this.#look(this.#page, from, to, (key, delayed) => {
      if (isNext()) this.#hold(key, delayed)
    })
    if (isNext()) this.#heldBefore = next ?? to
    const bytes = this.#heldBytes - before
    if (bytes > pageBytes) this.#page = Math.max(pageMin, this.#page / 4)
    else if (bytes < pageBytes / 2) this.#page = Math.min(pageMax, this.#page * 2)
  }

  get #horizon(): string {
    return dueKey(this.#shard.clock.now() + horizonMs)
  }

  get #isFull(): boolean {
    return this.#held.size >= heldMax || this.#heldBytes >= heldBytesMax
  }

  #hold(key: string, delayed: Delayed): void {
    if (this.#held.has(key)) return
    this.#held.set(key, delayed)
    this.#heldBytes += delayed.payload.length
    this.#order.push(key)
  }

  #drop(key: string): void {
    const delayed = this.#held.get(key)
    if (delayed === undefined) return
    this.#held.delete(key)
    this.#heldBytes -= delayed.payload.length
  }

  /** Lets the later half go: it is read in again in its time. */
  #holdLess(): void {
    const keys = [...this.#held.keys()].sort()
    const half = keys.length >> 1
    const first = keys[half]
    if (first === undefined || half === 0) return
    this.#heldBefore = first
    for (const key of keys.slice(half)) this.#drop(key)
    this.#order.retain((key) => this.#held.has(key))
  }

  /** The first that is held. */
  #first(): string | undefined {
    let key = this.#order.peek()
    while (key !== undefined && !this.#held.has(key)) {
      this.#order.pop()
      key = this.#order.peek()
    }
    return key
  }

  /** Wakes up for the first. */
  #arm(): void {
    const key = this.#first()
    const dueAt = key === undefined ? Infinity : dueOf(key)
    if (dueAt >= this.#timerAt) return
    this.#timer?.cancel()
    this.#timerAt = dueAt
    const inMs = dueAt - this.#shard.clock.now()
    if (inMs <= 0) setImmediate(() => this.#run())
    else this.#timer = this.#shard.clock.after(inMs, () => this.#run())
  }

  #run(): void {
    this.#timer?.cancel()
    this.#timerAt = Infinity
    const end = dueKey(this.#shard.clock.now() + 1)
    for (let count = 0; count < firedAtOnce; count++) {
      const key = this.#first()
      if (key === undefined || key >= end) break
      this.#order.pop()
      this.#take(key, this.#held.get(key) as Delayed) // #first() has what is held
    }
    this.#arm()
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
    this.#drop(key)
    this.#refill()
    this.count = Math.max(0, this.count - 1)
    if (this.#looking > 0) this.#removed.add(key)
    this.#shard.putMetadata('schedule', key, null)
    this.#shard.putMetadata('scheduleId', String(id), null)
  }

  /** The first `limit` that are `wanted`, in order of due time, from `from` (ms, inclusive) on. */
  async list(limit: number, from: number, wanted: (delayed: Delayed) => boolean): Promise<Delayed[]> {
    const found: Delayed[] = []
    const take = (_: string, delayed: Delayed): void => {
      if (found.length < limit && wanted(delayed)) found.push(delayed)
    }
    for (let key: string | null = dueKey(from); key !== null && found.length < limit; )
      key = await this.#look(limit, key, dueKey(Number.MAX_SAFE_INTEGER), take)
    return found
  }

  /**
   * Visits what is scheduled at the moment of the visits, from one key on and before another, all of them in one turn, and up to `limit`. Returns from where
   * on there may be more, or null.
   */
  async #look(limit: number, from: string, to: string, visit: (key: string, delayed: Delayed) => void): Promise<string | null> {
    const within = (key: string): boolean => key >= from && key < to
    this.#looking++
    try {
      const before = this.#shard.unsavedRows('schedule')
      let deleted = 0
      for (const [key, value] of before) if (value === null && within(key)) deleted++
      const wanted = limit + deleted + 1
      const stored = await this.#shard.storage.metadata.range('schedule', from, to, wanted)
      // What is behind the last one was not read. A checkpoint may have stored some of the others meanwhile, after they were read.
      const until = stored.length < wanted ? to : after(stored[wanted - 1]?.key ?? to)
      const rows = new Map<string, string | Uint8Array | null>(stored.map((row) => [row.key, row.value]))
      for (const unsaved of [before, this.#shard.unsavedRows('schedule')])
        for (const [key, value] of unsaved) if (within(key) && key < until) rows.set(key, value)
      const there = (key: string): boolean => rows.get(key) !== null && !this.#removed.has(key)
      const keys = smallest([...rows.keys()].filter(there), limit + 1)
      for (const key of keys.slice(0, limit)) visit(key, decode(rows.get(key) as Uint8Array)) // it is there
      return keys[limit] ?? (until < to ? until : null)
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

/** The first `count` of them, in order. */
function smallest(keys: readonly string[], count: number): string[] {
  const latest = new Heap<string>((a, b) => a > b)
  for (const key of keys) {
    if (latest.size < count) latest.push(key)
    else if (key < (latest.peek() as string)) latest.replaceTop(key) // count > 0
  }
  return latest.values().sort()
}

const after = (key: string): string => `${key}\u0000`
const dueKey = (dueAt: number): string => String(Math.max(0, Math.floor(dueAt))).padStart(16, '0')
const dueOf = (key: string): number => Number(key.slice(0, 16))
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
