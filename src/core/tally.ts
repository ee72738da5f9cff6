/**
 * A running count of the records that a reader of an indexed topic (keeper.ts) has before it. Additions and passing by cost one step; only what is
 * taken away ahead of the reader makes it count anew, when it is asked next.
 */
import type { StartAt, Tally } from '../broker/face.ts'
import type { Log } from './log.ts'

export class RunningTally implements Tally {
  readonly #wanted: (subject: string) => boolean
  /** Of what was there at first, these alone count, each until it is passed or taken away. */
  readonly #records: Set<number>
  /** Behind them, everything that is wanted. */
  #position: number
  #ahead = 0
  #stale = true
  readonly #countFrom: (position: number) => number
  readonly #closed: () => void

  constructor(
    wanted: (subject: string) => boolean,
    records: readonly number[],
    position: number,
    countFrom: (position: number) => number,
    closed: () => void,
  ) {
    this.#wanted = wanted
    this.#records = new Set(records)
    this.#position = position
    this.#countFrom = countFrom
    this.#closed = closed
  }

  get count(): number {
    if (this.#stale) {
      this.#ahead = this.#countFrom(this.#position)
      this.#stale = false
    }
    return this.#records.size + this.#ahead
  }

  passed(offset: number): void {
    if (this.#records.delete(offset) || offset < this.#position) return
    this.#position = offset + 1
    this.#ahead--
  }

  close(): void {
    this.#closed()
  }

  added(subject: string, count: number): void {
    if (!this.#stale && this.#wanted(subject)) this.#ahead += count
  }

  removed(offset: number): void {
    if (offset >= this.#position) this.#stale = true
    else this.#records.delete(offset)
  }

  truncated(start: number): void {
    for (const offset of this.#records) if (offset < start) this.#records.delete(offset)
    if (start <= this.#position) return
    this.#position = start
    this.#stale = true
  }
}

/** Where a subscription that starts so goes on once it has had `records`. A time is for whoever can look it up. */
export function startingPlace(log: Log, from: StartAt): { readonly records: readonly number[]; readonly offset: number } {
  if (from === 'newest' || from === 'withheld') return { records: [], offset: log.next }
  if (from === 'oldest' || 'time' in from) return { records: [], offset: log.start }
  if ('records' in from) return { records: from.records, offset: log.next }
  return { records: [], offset: Math.max(log.start, from.offset) }
}
