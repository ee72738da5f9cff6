/**
 * What a topic with `indexed` does beside its log: it knows where the records of each address stand, and holds limits, ages and times to live to the
 * single record where other topics hold them to the segment. In memory: about twenty-five bytes a record, read in from the log at start.
 */
import type { StartAt, Tally } from '../broker/face.ts'
import { Heap } from '../lib/heap.ts'
import { firstAtOrAfter } from '../lib/sorted.ts'
import type { Clock, Timer } from '../lib/timers.ts'
import { matcherOf } from '../lib/trie.ts'
import { AddressIndex } from './address-index.ts'
import {
  type EntryContent,
  EntryFlag,
  entryBase,
  entryCount,
  entryExpiresAt,
  entryFlags,
  entryLength,
  entrySubject,
  entryTimestamp,
} from './entry.ts'
import type { Log } from './log.ts'
import { RecordSizes } from './record-sizes.ts'
import { RunningTally, startingPlace } from './tally.ts'

export interface KeeperLimits {
  /** -1: no limit, for each. */
  readonly recordsMax: number
  readonly bytesMax: number
  readonly ageMax: number
  readonly subjectRecordsMax: number
}

export interface KeeperHost {
  readonly clock: Clock
  readonly limits: KeeperLimits
  /** The address of records that say none. */
  readonly name: string
  remove(offsets: readonly number[]): void
  truncate(offset: number): void
  /** Whether {@link expire} asks which addresses ended. */
  readonly marksEnds: boolean
  /** Calls `take`, and stores markers for the addresses that `ended` then names, where the topic has such. */
  expire(take: () => void, ended: () => readonly string[]): void
}

/** With it, what an entry says of its end. */
type Ending = Pick<EntryContent, 'expiresAt' | 'flags' | 'count'>

interface Expiring {
  readonly at: number
  readonly offset: number
  readonly subject: string
  readonly flags: number
}

/** Of one step, so that their markers fit into a frame. */
const expiringAtOnce = 1000

/** As many addresses may be remembered though nothing of them is left. */
const addressesKept = 1024

interface Place {
  /** One string for all its records. */
  readonly subject: string
  offsets: number[]
  /** Of the log's {@link Log.gone} when the list was last cleared of what is gone. */
  gone: number
}

export interface SubjectCount {
  readonly subject: string
  readonly count: number
  readonly first: number
  readonly last: number
}

export class Keeper {
  readonly #log: Log
  readonly #host: KeeperHost
  readonly #places = new Map<string, Place>()
  readonly #index = new AddressIndex(this.#places)
  readonly #sizes = new RecordSizes()
  readonly #tallies = new Set<RunningTally>()
  /** Records with a time to live, by when it ends. */
  readonly #expiring = new Heap<Expiring>((a, b) => a.at < b.at)
  #timer: Timer | null = null
  #timerAt = Infinity
  #aging = false
  #closed = false

  constructor(log: Log, host: KeeperHost) {
    this.#log = log
    this.#host = host
  }

  /** Reads the whole log in. Damaged segments are passed over, as whoever reads them is told; `damaged` hears what is wrong. */
  async load(damaged: (what: string) => void): Promise<void> {
    for (let offset = this.#log.start; offset < this.#log.committed; ) {
      const read = await this.#read(offset).catch((error: Error) => error)
      if (read instanceof Error) {
        // Not always the one that the offset lies in: that may end with a hole.
        const segment = this.#log.segments.find(({ damage }) => damage === read.message)
        if (segment === undefined) throw read
        damaged(read.message)
        offset = segment.next
        continue
      }
      const { buffer, start, end } = read
      if (start === end) break
      for (let at = start; at < end; at += entryLength(buffer, at)) {
        const base = entryBase(buffer, at)
        const subject = entrySubject(buffer, at) ?? this.#host.name
        const ending = { expiresAt: entryExpiresAt(buffer, at), flags: entryFlags(buffer, at), count: 1 }
        offset = base + entryCount(buffer, at)
        const bytes = entryLength(buffer, at) / entryCount(buffer, at)
        for (let each = base; each < offset; each++)
          if (each >= this.#log.start && !this.#log.hides(each)) this.#note(subject, each, ending, bytes)
      }
    }
    this.#watch()
  }

  #read(offset: number): Promise<{ buffer: Buffer; start: number; end: number }> {
    return new Promise((resolve, reject) => {
      this.#log.readChunk(offset, 1024 * 1024, (error, buffer, start, end) =>
        error === null ? resolve({ buffer, start, end }) : reject(error),
      )
    })
  }

  /** What the records take that are kept. */
  get bytes(): number {
    return this.#sizes.bytes
  }

  /** A record of `bytes` bytes was appended, or several; what is too much goes. */
  added(subject: string | null, offset: number, ending: Ending, bytes: number): void {
    const { count, expiresAt } = ending
    const name = subject ?? this.#host.name
    for (let each = offset; each < offset + count; each++) this.#note(name, each, ending, bytes / count)
    for (const tally of this.#tallies) tally.added(name, count)
    if (expiresAt !== 0) this.#watch()
    if (this.#places.size > addressesKept && this.#places.size > 2 * this.#log.records) this.matching('#')
    this.#enforce(name)
  }

  #note(subject: string, offset: number, { expiresAt, flags }: Ending, bytes: number): void {
    this.#sizes.add(offset, Math.ceil(bytes))
    const place = this.#places.get(subject)
    if (place === undefined) {
      this.#places.set(subject, { subject, offsets: [offset], gone: this.#log.gone })
      this.#index.added(subject)
    } else place.offsets.push(offset)
    if (expiresAt !== 0) this.#expiring.push({ at: expiresAt, offset, subject: place?.subject ?? subject, flags })
  }

  /** Limits may be others than before: what is too much goes. */
  enforceAll(): void {
    for (const subject of [...this.#places.keys()]) this.#enforce(subject)
  }

  #enforce(subject: string): void {
    const { limits } = this.#host
    const log = this.#log
    if (limits.subjectRecordsMax >= 0) {
      const offsets = this.offsets(subject)
      if (offsets.length > limits.subjectRecordsMax)
        this.#host.remove(offsets.slice(0, offsets.length - limits.subjectRecordsMax))
    }
    if (limits.recordsMax >= 0 && log.records > limits.recordsMax) {
      let start = log.nextKept(log.start)
      for (let excess = log.records - limits.recordsMax; excess > 0; excess--) start = log.nextKept(start + 1)
      this.#host.truncate(start)
    }
    if (limits.bytesMax >= 0 && this.bytes > limits.bytesMax) {
      let start = log.nextKept(log.start)
      for (let { bytes } = this; start < log.next - 1 && bytes > limits.bytesMax; start = log.nextKept(start + 1))
        bytes -= this.#sizes.of(start)
      this.#host.truncate(start)
    }
  }

  /** Where the kept records of an address stand, the oldest first. */
  offsets(subject: string): readonly number[] {
    const place = this.#places.get(subject)
    if (place === undefined) return []
    if (place.gone !== this.#log.gone) {
      place.offsets = place.offsets.filter((offset) => offset >= this.#log.start && !this.#log.hides(offset))
      place.gone = this.#log.gone
      if (place.offsets.length === 0) {
        this.#places.delete(subject)
        this.#index.removed(subject)
      }
    }
    return place.offsets
  }

  /** The newest record of an address; -1 when there is none. */
  last(subject: string): number {
    return this.offsets(subject).at(-1) ?? -1
  }

  /** How many addresses have records: a look at each, at its newest record alone where that is kept. */
  get addresses(): number {
    const log = this.#log
    let count = 0
    for (const [subject, { offsets }] of this.#places) {
      const last = offsets.at(-1) ?? -1
      if ((last >= log.start && !log.hides(last)) || this.offsets(subject).length > 0) count++
    }
    return count
  }

  /** All addresses that have records and that a pattern (lib/trie.ts) matches. */
  matching(pattern: string): SubjectCount[] {
    const found: SubjectCount[] = []
    for (const subject of this.#index.matching(pattern)) {
      const offsets = this.offsets(subject)
      const [first] = offsets
      if (first !== undefined) found.push({ subject, count: offsets.length, first, last: offsets.at(-1) as number }) // not empty
    }
    return found
  }

  /** Of what any of the patterns matches. */
  tally(patterns: readonly string[], from: StartAt): Tally {
    const place = startingPlace(this.#log, from)
    const matchers = patterns.map(matcherOf)
    const tally = new RunningTally(
      (subject) => matchers.some((matches) => matches(subject)),
      place.records,
      place.offset,
      (position) => this.#countFrom(patterns, position),
      () => this.#tallies.delete(tally),
    )
    this.#tallies.add(tally)
    return tally
  }

  #countFrom(patterns: readonly string[], position: number): number {
    const found = patterns.map((pattern) => this.#index.matching(pattern))
    let count = 0
    for (const subject of found.length === 1 ? (found[0] as string[]) : new Set(found.flat())) {
      const offsets = this.offsets(subject)
      count += offsets.length - firstAtOrAfter(offsets, position)
    }
    return count
  }

  /** A record was taken away. */
  removed(offset: number): void {
    this.#sizes.remove(offset)
    for (const tally of this.#tallies) tally.removed(offset)
  }

  /** Records were taken away from the front. */
  truncated(): void {
    this.#sizes.raiseTo(this.#log.start)
    for (const tally of this.#tallies) tally.truncated(this.#log.start)
  }

  /** Lets go what is too old. About once a second. */
  age(): void {
    const { ageMax } = this.#host.limits
    const log = this.#log
    if (ageMax < 0 || this.#aging || log.start >= log.committed) return
    this.#aging = true
    const step = (from: number): void => {
      log.readChunk(from, 64 * 1024, (error, buffer, start, end) => {
        let next = from
        let young = error !== null || start === end || this.#closed
        const went = new Map<string, number>()
        for (let at = start; at < end; at += entryLength(buffer, at)) {
          young ||= entryTimestamp(buffer, at) > this.#host.clock.now() - ageMax
          if (young) break
          const base = entryBase(buffer, at)
          next = base + entryCount(buffer, at)
          if (this.#host.marksEnds && base >= log.start && !log.hides(next - 1))
            went.set(entrySubject(buffer, at) ?? this.#host.name, entryFlags(buffer, at))
        }
        if (next > log.start && !this.#closed)
          this.#host.expire(
            () => this.#host.truncate(next),
            () => this.#ended(went),
          )
        if (young) this.#aging = false
        else step(next)
      })
    }
    step(log.start)
  }

  /** Of addresses, with the flags of what went last: those that have nothing any more. */
  #ended(went: ReadonlyMap<string, number>): string[] {
    const ended = [...went].filter(([subject, flags]) => (flags & EntryFlag.Last) === 0 && this.offsets(subject).length === 0)
    return ended.map(([subject]) => subject)
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  // ----------------------------------------------------------------------------------------------------------- times to live

  #watch(): void {
    const first = this.#expiring.peek()
    if (first === undefined || first.at >= this.#timerAt || this.#closed) return
    this.#timer?.cancel()
    this.#timerAt = first.at
    this.#timer = this.#host.clock.after(Math.max(0, first.at - this.#host.clock.now()), () => {
      this.#timerAt = Infinity
      const now = this.#host.clock.now()
      const gone: number[] = []
      const went = new Map<string, number>()
      for (let head = this.#expiring.peek(); head !== undefined && head.at <= now; head = this.#expiring.peek()) {
        if (gone.length >= expiringAtOnce) break
        this.#expiring.pop()
        const { offset, subject, flags } = head
        if (offset < this.#log.start || this.#log.hides(offset)) continue
        gone.push(offset)
        if (this.#host.marksEnds && this.last(subject) === offset) went.set(subject, flags)
      }
      if (gone.length > 0)
        this.#host.expire(
          () => this.#host.remove(gone.sort((a, b) => a - b)),
          () => this.#ended(went),
        )
      this.#watch()
    })
  }
}
