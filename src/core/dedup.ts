/**
 * Recognises a repetition: by a producer's running sequence (the last five entries of each producer, as idempotent producers need), by the
 * growing numbers of a producer known by its name, or by an id within a window of time.
 */

export interface Remembered {
  readonly sequence: number
  readonly lastSequence: number
  readonly baseOffset: number
  readonly timestamp: number
}

interface ProducerState {
  epoch: number
  entries: Remembered[]
  /** When it last stored something, the end of a transaction included. */
  lastTimestamp?: number
}

const entriesPerProducer = 5
const producersMax = 10_000
const sequenceLimit = 0x80000000
const idsMax = 100_000

export type SequenceCheck = 'ok' | 'outOfOrder' | 'fenced' | Remembered

/** Producers of one log. The one that wrote least recently is forgotten first. */
export class ProducerWindow {
  readonly #producers = new Map<number, ProducerState>()
  changed = false

  /**
   * `fromZero`: a producer that is not known here has to begin with 0. Else it may go on from anywhere: it may have been forgotten, or its
   * records are gone.
   */
  check(producerId: number, epoch: number, sequence: number, count: number, fromZero = false): SequenceCheck {
    const state = this.#producers.get(producerId)
    if (state === undefined) return sequence === 0 || !fromZero ? 'ok' : 'outOfOrder'
    if (epoch < state.epoch) return 'fenced'
    if (epoch > state.epoch) return sequence === 0 ? 'ok' : 'outOfOrder'
    const lastSequence = (sequence + count - 1) % sequenceLimit
    for (const entry of state.entries) {
      if (entry.sequence === sequence && entry.lastSequence === lastSequence) return entry
    }
    const last = state.entries.at(-1)
    const expected = last === undefined ? 0 : (last.lastSequence + 1) % sequenceLimit
    return sequence === expected ? 'ok' : 'outOfOrder'
  }

  /** Notes what a producer stored; with a sequence of -1 only its epoch, which fences older ones. */
  note(producerId: number, epoch: number, sequence: number, count: number, baseOffset: number, timestamp: number): void {
    let state = this.#producers.get(producerId)
    if (state !== undefined && state.epoch > epoch) return // a replay of what the checkpoint holds
    if (state === undefined || state.epoch !== epoch) state = { epoch, entries: [] }
    else if ((state.entries.at(-1)?.baseOffset ?? -1) >= baseOffset) return // a replay of what the checkpoint holds
    this.#producers.delete(producerId)
    this.#producers.set(producerId, state)
    this.changed = true
    state.lastTimestamp = timestamp
    if (sequence >= 0)
      state.entries.push({ sequence, lastSequence: (sequence + count - 1) % sequenceLimit, baseOffset, timestamp })
    if (state.entries.length > entriesPerProducer) state.entries.shift()
    if (this.#producers.size > producersMax) {
      const [oldest] = this.#producers.keys()
      if (oldest !== undefined) this.#producers.delete(oldest)
    }
  }

  /** Who wrote here, with the epoch, and the last sequence and time, -1 when not known. */
  list(): { producerId: number; epoch: number; lastSequence: number; lastTimestamp: number }[] {
    return [...this.#producers].map(([producerId, { epoch, entries, lastTimestamp }]) => {
      return { producerId, epoch, lastSequence: entries.at(-1)?.lastSequence ?? -1, lastTimestamp: lastTimestamp ?? -1 }
    })
  }

  toJSON(): [number, ProducerState][] {
    return [...this.#producers]
  }

  load(stored: [number, ProducerState][]): void {
    for (const [id, state] of stored) this.#producers.set(id, state)
  }
}

/**
 * Producers of one log that are known by a name and number what they send: numbers only grow and may leave gaps, so the last one says all.
 * The name that was used least recently is forgotten first.
 */
export class NamedProducers {
  readonly #last = new Map<string, { readonly sequence: number; readonly offset: number }>()
  changed = false

  /** The entry that holds this producer's last number, or undefined for a name nobody used. */
  last(name: string): { readonly sequence: number; readonly offset: number } | undefined {
    return this.#last.get(name)
  }

  note(name: string, sequence: number, offset: number): void {
    const last = this.#last.get(name)
    if (last !== undefined && sequence <= last.sequence) return // a replay of what the checkpoint holds
    this.#last.delete(name)
    this.#last.set(name, { sequence, offset })
    this.changed = true
    if (this.#last.size <= producersMax) return
    const [oldest] = this.#last.keys()
    if (oldest !== undefined) this.#last.delete(oldest)
  }

  toJSON(): [string, { sequence: number; offset: number }][] {
    return [...this.#last]
  }

  load(stored: [string, { sequence: number; offset: number }][]): void {
    for (const [name, last] of stored) this.#last.set(name, last)
  }
}

/** Ids published to one topic within the window. */
export class IdWindow {
  readonly #ids = new Map<string, { offset: number; until: number }>()
  changed = false
  readonly #windowMs: () => number

  constructor(windowMs: () => number) {
    this.#windowMs = windowMs
  }

  find(id: string, now: number): number | undefined {
    const seen = this.#ids.get(id)
    return seen !== undefined && seen.until > now ? seen.offset : undefined
  }

  note(id: string, offset: number, now: number): void {
    this.#ids.delete(id)
    this.#ids.set(id, { offset, until: now + this.#windowMs() })
    this.changed = true
    for (const [oldest, seen] of this.#ids) {
      if (seen.until > now && this.#ids.size <= idsMax) break
      this.#ids.delete(oldest)
    }
  }

  toJSON(): [string, { offset: number; until: number }][] {
    return [...this.#ids]
  }

  load(stored: [string, { offset: number; until: number }][]): void {
    for (const [id, seen] of stored) this.#ids.set(id, seen)
  }
}
