/**
 * One subscription's place in one log: what is done, what comes next, what came back. Reading goes forward with a chunk of entries in hand;
 * a record that came back is read again by its offset. Memory: the chunk, and what is exceptional.
 */
import { Heap } from '../lib/heap.ts'
import { AckSet } from './ackset.ts'
import {
  entryAnnotations,
  entryBase,
  entryCount,
  entryExpiresAt,
  entryFormat,
  entryKeyHash,
  entryLength,
  entryPayload,
  entrySubject,
  entryTimestamp,
} from './entry.ts'
import type { Log } from './log.ts'
import { type Annotations, formats } from './record.ts'

const readBytes = 128 * 1024
const nothing = Buffer.alloc(0)

/** One record in hand. */
export class Slot {
  full = false
  offset = 0
  buffer: Buffer = nothing
  start = 0
  end = 0
  format = 0
  timestamp = 0
  expiresAt = 0
  keyHash = 0
  annotations: Annotations | null = null
  subject: string | null = null
  /** The subscription's filter lets it pass; asked once. */
  passed = false
  /** Its key, where keys are exclusive; undefined: not looked at yet. */
  key: string | null | undefined = undefined

  /** From the entry at `at`; `record` is set when the entry is a batch and this one of its records. */
  fill(buffer: Buffer, at: number, offset: number, record: Buffer | null): void {
    this.full = true
    this.passed = false
    this.key = undefined
    this.offset = offset
    const format = entryFormat(buffer, at)
    if (record === null) {
      this.buffer = buffer
      this.start = entryPayload(buffer, at)
      this.end = at + entryLength(buffer, at)
      this.format = format
    } else {
      this.buffer = record
      this.start = 0
      this.end = record.length
      this.format = formats.get(format).recordFormat ?? format
    }
    this.timestamp = entryTimestamp(buffer, at)
    this.expiresAt = entryExpiresAt(buffer, at)
    this.keyHash = entryKeyHash(buffer, at)
    this.annotations = entryAnnotations(buffer, at)
    this.subject = entrySubject(buffer, at)
  }

  clear(): void {
    this.full = false
    this.buffer = nothing
    this.annotations = null
  }
}

export class Lane {
  readonly index: number
  readonly log: Log
  acked: AckSet
  /** Next offset to read for the first time. */
  cursor: number
  inFlight = 0
  delayed = 0
  /** Ready, but waiting for others of their key: see key-locks.ts. */
  parked = 0
  /** Attempts so far of records that were delivered and are not done. */
  readonly attempts = new Map<number, number>()
  /** How often records were handed out, where that is more than their attempts. */
  readonly handedOut = new Map<number, number>()
  /** Below this anything may have been handed out before: it was there when the broker was killed, and what it handed out was not written down. */
  seenTo = 0
  /** What stands from here on is withheld from it. */
  limit = Infinity
  /** Offsets that came back and are not ready before a time, ms. */
  readonly held = new Map<number, number>()
  /** Out, though the cursor may not have come to them. */
  readonly claimed = new Set<number>()
  /** Offsets that came back and are ready again, the smallest first; or in the order in which they came back, by {@link #turns}. */
  readonly #returned: Heap<number>
  readonly #turns: Map<number, number> | null
  #returnedSorted: readonly number[] | null = null
  readonly #front = new Slot()
  readonly #back = new Slot()
  #chunk: Buffer = nothing
  #at = 0
  #end = 0
  /** The opened batch that the cursor is in, and where its entry begins. */
  #records: readonly (Buffer | null)[] | null = null
  #recordsBase = 0
  #recordsAt = 0
  reading = false
  /** How often {@link moveTo} was called: what is read from before means nothing. */
  #moves = 0
  failure: Error | null = null
  readonly #onReady: () => void
  /** Told when everything in hand was forgotten, and when a record that came back turns out to be gone. */
  onMoved: () => void = () => undefined
  onGone: (offset: number) => void = () => undefined

  constructor(index: number, log: Log, floor: number, onReady: () => void, returnsInOrder = false) {
    const turns = returnsInOrder ? new Map<number, number>() : null
    this.#turns = turns
    this.#returned = new Heap(turns === null ? (a, b) => a < b : (a, b) => (turns.get(a) ?? 0) < (turns.get(b) ?? 0))
    this.index = index
    this.log = log
    this.acked = new AckSet(floor)
    this.cursor = floor
    this.#onReady = onReady
  }

  /** As far as it sees its log. */
  get end(): number {
    return Math.min(this.log.stable, this.limit)
  }
  /** As {@link end}, with what is not durable yet. */
  get ahead(): number {
    return Math.min(this.log.ahead, this.limit)
  }

  /** Ready, in flight or delayed. */
  get outstanding(): number {
    return Math.max(0, this.end - this.acked.floor - this.acked.above)
  }

  /** Ready, and those that will be as soon as they are durable. */
  get incoming(): number {
    return Math.max(0, Math.min(this.log.next, this.limit) - this.acked.floor - this.acked.above - this.inFlight - this.delayed)
  }

  get ready(): number {
    return Math.max(0, this.outstanding - this.inFlight - this.delayed)
  }

  /** Attempts so far, and how often it was handed out. */
  tries(offset: number): number {
    return this.attempts.get(offset) ?? 0
  }
  timesHandedOut(offset: number): number {
    return this.handedOut.get(offset) ?? this.tries(offset)
  }
  /** Whether it was, or may have been, handed out before. */
  mayBeSeen(offset: number): boolean {
    return offset < this.seenTo || this.attempts.has(offset)
  }

  /** The next ready record, what came back first, or null: nothing is ready, or {@link reading}. It stays until {@link consume}. */
  peek(): Slot | null {
    if (this.reading || this.failure !== null) return null
    this.#dropDone()
    if (this.log.removed !== null) this.#dropRemoved()
    if (this.#returned.size > 0) return this.#peekReturned()
    return this.#front.full ? this.#front : this.#advance()
  }

  /** What came back first was truncated meanwhile. */
  #drop(offset: number): void {
    this.#popReturned()
    this.#back.clear()
    this.onGone(offset)
  }

  /** What came back first is out again. */
  #leave(): void {
    this.#popReturned()
    this.#back.clear()
  }

  /** What is in hand may have been taken away meanwhile. */
  #dropRemoved(): void {
    for (let offset = this.#returned.peek(); offset !== undefined && this.log.isRemoved(offset); offset = this.#returned.peek()) {
      this.acked.add(offset)
      this.#drop(offset)
    }
    if (!this.#front.full || !this.log.isRemoved(this.#front.offset)) return
    this.acked.add(this.#front.offset)
    this.cursor = this.#front.offset + 1
    this.#front.clear()
  }

  #dropDone(): void {
    for (let offset = this.#returned.peek(); offset !== undefined; offset = this.#returned.peek()) {
      if (this.acked.has(offset)) this.#drop(offset)
      else if (this.claimed.has(offset)) this.#leave()
      else return
    }
  }

  /** When, of what came back and is ready, the first came back; Infinity: nothing did, or its order does not count. */
  get returnTurn(): number {
    if (this.#turns === null || this.#returned.size === 0) return Infinity
    this.#dropDone()
    const first = this.#returned.peek()
    return first === undefined ? Infinity : (this.#turns.get(first) ?? 0)
  }

  /** The slot that {@link peek} gave is taken. */
  consume(slot: Slot): void {
    if (slot === this.#back) this.#popReturned()
    else this.cursor = slot.offset + 1
    slot.full = false
  }

  /** What is in hand is to be asked again whether it is wanted. */
  reconsider(): void {
    this.#front.passed = false
    this.#back.passed = false
  }

  /** `turn` is later for what came back later. */
  giveBack(offset: number, turn = 0): void {
    if (this.#back.full) this.#back.clear()
    // What the cursor comes to later, or what is there already, is not there twice.
    if (this.claimed.delete(offset) && (offset >= this.cursor || this.returned.includes(offset))) return
    this.#turns?.set(offset, turn)
    this.#returned.push(offset)
    this.#returnedSorted = null
  }

  #popReturned(): void {
    const offset = this.#returned.pop()
    if (offset !== undefined) this.#turns?.delete(offset)
    this.#returnedSorted = null
  }

  /** Offsets that came back and are ready again, the smallest first; some may be done meanwhile. */
  get returned(): readonly number[] {
    this.#returnedSorted ??= this.#returned.values().sort((a, b) => a - b)
    return this.#returnedSorted
  }

  /** A ready record was taken past {@link peek}, and is done. */
  passed(offset: number): void {
    if (!this.#front.full || this.#front.offset !== offset) return
    this.cursor = offset + 1
    this.#front.clear()
  }

  /** A ready record is out past {@link peek}, until it comes back or is done. */
  claim(offset: number): void {
    this.claimed.add(offset)
    this.passed(offset)
  }

  /** Goes on behind what is out at the front, so that it is not met again and again. Not what is not durable yet: it could not be read when it comes back. */
  passClaimed(): void {
    if (this.claimed.size === 0 || this.#front.full) return
    let next = this.acked.nextMissing(this.cursor)
    while (next < this.end && this.claimed.has(next)) {
      this.cursor = next + 1
      next = this.acked.nextMissing(this.cursor)
    }
  }

  /** Forgets what was delivered before. */
  forgetReturns(): void {
    this.attempts.clear()
    this.handedOut.clear()
    this.seenTo = 0
    this.delayed -= this.held.size
    this.held.clear()
  }

  /** Forgets everything in hand and reads on from `offset`. */
  moveTo(offset: number): void {
    this.cursor = offset
    this.#moves++
    this.#returned.clear()
    this.#returnedSorted = null
    this.#turns?.clear()
    this.#front.clear()
    this.#back.clear()
    this.#records = null
    this.#chunk = nothing
    this.#at = 0
    this.#end = 0
    this.onMoved()
  }

  /** Reads one record by its offset; `found` with null when it is gone. */
  readRecord(offset: number, found: (slot: Slot | null) => void): void {
    this.log.readChunk(offset, 1, (error, buffer, start, end) => {
      if (error !== null) {
        this.failure = error
        return found(null)
      }
      const slot = new Slot()
      found(fillAt(slot, buffer, start, end, offset) ? slot : null)
    })
  }

  #peekReturned(): Slot | null {
    const offset = this.#returned.peek() as number // not empty
    if (this.#back.full) return this.#back
    let atOnce = true
    let missing = false
    this.reading = true
    this.log.readChunk(offset, 1, (error, buffer, start, end) => {
      this.reading = false
      if (error !== null) this.failure = error
      // Meanwhile a smaller offset may have come back, or all may have been dropped.
      else if (this.#returned.peek() === offset && !fillAt(this.#back, buffer, start, end, offset)) {
        this.#popReturned()
        this.acked.add(offset)
        this.onGone(offset)
        missing = true
      }
      if (!atOnce) this.#onReady()
    })
    atOnce = false
    if (this.reading) return null
    if (missing) return this.peek()
    return this.#back.full ? this.#back : null
  }

  #advance(): Slot | null {
    for (;;) {
      if (this.#records !== null) {
        const found = this.#fromBatch(this.#records)
        if (found) return this.#front
        continue
      }
      if (this.#at < this.#end) {
        if (entryBase(this.#chunk, this.#at) >= this.end) return null // undecided or withheld: what is in hand is gone on with later
        if (this.#fromChunk()) return this.#front
        continue
      }
      if (this.cursor >= this.end) {
        this.#chunk = nothing
        return null
      }
      if (!this.#read()) return null
    }
  }

  #fromBatch(records: readonly (Buffer | null)[]): boolean {
    for (;;) {
      const index = this.cursor - this.#recordsBase
      const record = records[index]
      if (record === undefined) {
        this.#records = null
        return false
      }
      const held = this.held.has(this.cursor) || this.claimed.has(this.cursor)
      if (record !== null && !held && !this.acked.has(this.cursor) && !this.log.isRemoved(this.cursor)) {
        this.#front.fill(this.#chunk, this.#recordsAt, this.cursor, record)
        return true
      }
      if (!held) this.acked.add(this.cursor)
      this.cursor++
    }
  }

  #fromChunk(): boolean {
    const buffer = this.#chunk
    const at = this.#at
    const base = entryBase(buffer, at)
    const count = entryCount(buffer, at)
    this.#at = at + entryLength(buffer, at)
    if (base + count <= this.cursor) return false
    // Offsets that hold nothing (compacted away) are done.
    for (; this.cursor < base; this.cursor++) this.acked.add(this.cursor)
    if (this.log.hides(base) && (count === 1 || this.#allHidden(base, count))) {
      for (; this.cursor < base + count; this.cursor++) this.acked.add(this.cursor)
      return false
    }
    const format = formats.get(entryFormat(buffer, at))
    if (format.batched && format.open !== undefined) {
      this.#records = format.open(buffer.subarray(entryPayload(buffer, at), this.#at), entryTimestamp(buffer, at))
      this.#recordsBase = base
      this.#recordsAt = at
      return false
    }
    if (this.acked.has(base) || this.held.has(base) || this.claimed.has(base)) {
      this.cursor = base + 1
      return false
    }
    this.#front.fill(buffer, at, base, null)
    return true
  }

  #allHidden(base: number, count: number): boolean {
    for (let offset = base; offset < base + count; offset++) if (!this.log.hides(offset)) return false
    return true
  }

  /** False when it has to wait. */
  #read(): boolean {
    const from = this.acked.nextMissing(this.cursor)
    if (from > this.cursor) this.cursor = from
    if (from >= this.end) return true
    let atOnce = true
    const move = this.#moves
    this.reading = true
    this.log.readChunk(from, this.log.inBlocks(from) ? Number.POSITIVE_INFINITY : readBytes, (error, buffer, start, end) => {
      this.reading = false
      if (error !== null) this.failure = error
      else if (this.#moves === move) {
        this.#chunk = buffer
        this.#at = start
        this.#end = end
        if (start === end) {
          for (; this.cursor < this.end; this.cursor++) this.acked.add(this.cursor)
        }
      }
      if (!atOnce) this.#onReady()
    })
    atOnce = false
    return !this.reading && this.failure === null
  }
}

function fillAt(slot: Slot, buffer: Buffer, start: number, end: number, offset: number): boolean {
  if (start >= end) return false
  const base = entryBase(buffer, start)
  if (offset < base || offset >= base + entryCount(buffer, start)) return false
  const format = formats.get(entryFormat(buffer, start))
  if (format.batched && format.open !== undefined) {
    const payload = buffer.subarray(entryPayload(buffer, start), start + entryLength(buffer, start))
    const record = format.open(payload, entryTimestamp(buffer, start))[offset - base]
    if (record === null || record === undefined) return false
    slot.fill(buffer, start, offset, record)
  } else slot.fill(buffer, start, offset, null)
  return true
}
