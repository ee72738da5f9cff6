/**
 * Time, injected. Everything that waits asks one {@link Clock}; a test moves a {@link VirtualClock} and what was due happens at once.
 * Timers sit in one binary heap with a single timer of the runtime behind it: never one runtime timer per message.
 */
import { Heap } from './heap.ts'

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Calls `run` once, at or after `now() + delayMs`. */
  after(delayMs: number, run: () => void): Timer
}

export interface Timer {
  cancel(): void
}

class Waiting implements Timer {
  readonly dueAt: number
  readonly order: number
  run: (() => void) | null
  readonly #heap: TimerHeap
  constructor(dueAt: number, order: number, run: () => void, heap: TimerHeap) {
    this.dueAt = dueAt
    this.order = order
    this.run = run
    this.#heap = heap
  }
  cancel(): void {
    if (this.run === null) return
    this.run = null
    this.#heap.cancelled()
  }
}

/** Fewer cancelled timers are not worth a sweep. */
const sweepMin = 1024

/** What both clocks share: the heap of waiting timers. Cancelled ones go when they come up, or when they are half of all. */
class TimerHeap {
  readonly #heap = new Heap<Waiting>(earlier)
  #order = 0
  #cancelled = 0

  get size(): number {
    return this.#heap.size
  }

  add(dueAt: number, run: () => void): Waiting {
    const waiting = new Waiting(dueAt, this.#order++, run, this)
    this.#heap.push(waiting)
    return waiting
  }

  cancelled(): void {
    if (++this.#cancelled < sweepMin || this.#cancelled * 2 < this.#heap.size) return
    this.#heap.retain(({ run }) => run !== null)
    this.#cancelled = 0
  }

  /** When the earliest is due; Infinity when nothing waits. */
  next(): number {
    for (let top = this.#heap.peek(); top !== undefined; top = this.#heap.peek()) {
      if (top.run !== null) return top.dueAt
      this.#heap.pop()
      this.#cancelled--
    }
    return Infinity
  }

  /** Removes and returns the earliest if it is due by `now`. */
  takeDue(now: number): (() => void) | null {
    if (this.next() > now) return null
    const due = this.#heap.pop()
    if (due === undefined) return null
    const { run } = due
    // It waits no longer: to cancel it now means nothing.
    due.run = null
    return run
  }
}

function earlier(a: Waiting, b: Waiting): boolean {
  return a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.order < b.order)
}

/** The machine's own time. */
export class SystemClock implements Clock {
  readonly #heap = new TimerHeap()
  #armedFor = Infinity
  #handle: NodeJS.Timeout | undefined

  now(): number {
    return Date.now()
  }

  after(delayMs: number, run: () => void): Timer {
    const waiting = this.#heap.add(Date.now() + Math.max(0, delayMs), run)
    this.#arm()
    return waiting
  }

  #arm(): void {
    const next = this.#heap.next()
    if (next >= this.#armedFor) return
    clearTimeout(this.#handle)
    this.#armedFor = next
    // setTimeout's own limit is 2^31-1 ms; a longer wait is armed again on waking.
    this.#handle = setTimeout(() => this.#fire(), Math.min(Math.max(0, next - Date.now()), 0x7fffffff))
    this.#handle.unref()
  }

  #fire(): void {
    this.#armedFor = Infinity
    for (;;) {
      const run = this.#heap.takeDue(Date.now())
      if (run === null) break
      run()
    }
    if (this.#heap.next() < Infinity) this.#arm()
  }
}

/** A clock that stands still until moved (tests), or that runs with the machine and can be moved ahead. */
export class VirtualClock implements Clock {
  readonly #heap = new TimerHeap()
  #now: number

  constructor(startAt = Date.now()) {
    this.#now = startAt
  }

  now(): number {
    return this.#now
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#heap.add(this.#now + Math.max(0, delayMs), run)
  }

  /** Timers that are kept, cancelled ones included. */
  get size(): number {
    return this.#heap.size
  }

  /** When the next timer is due; Infinity when none waits. */
  nextDueAt(): number {
    return this.#heap.next()
  }

  /** Moves time ahead by ms or by text such as `30m`, `1h30m`, `250ms`; due timers run in order, each at its own time. */
  advance(by: number | string): void {
    const target = this.#now + (typeof by === 'number' ? by : parseDuration(by))
    for (;;) {
      const next = this.#heap.next()
      if (next > target) break
      this.#now = Math.max(this.#now, next)
      const run = this.#heap.takeDue(this.#now)
      if (run !== null) run()
    }
    this.#now = target
  }
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds of text such as `90s`, `1h30m`, `2d`. Throws on anything else. */
export function parseDuration(text: string): number {
  let total = 0
  let rest = text.trim()
  if (rest === '') throw new Error('a duration is empty; write for example 30s, 5m, 1h30m')
  while (rest !== '') {
    const part = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)/.exec(rest)
    const unit = part === null ? undefined : unitMs[part[2] ?? '']
    if (part === null || unit === undefined) throw new Error(`"${text}" is not a duration; write for example 30s, 5m, 1h30m`)
    total += Number(part[1]) * unit
    rest = rest.slice(part[0].length)
  }
  return total
}
