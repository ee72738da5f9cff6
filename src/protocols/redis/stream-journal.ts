/**
 * What is remembered of streams beside their entries: groups with what they have read and what is pending, and of the stream itself what its entries do not
 * tell. Changes (stream-change.ts) are written to a journal of the broker, and read again when it starts. When the journal has grown, everything
 * is written to it as it is, in pieces while changes go on, and what led there is let go.
 */
import type { Broker, Journal } from '../../broker/face.ts'
import { decodeChange, encodeChange, type StreamChange } from './stream-change.ts'

/** The journal is written anew when it has grown to so many times what that took last, and to so many bytes. */
const growthMax = 2
const bytesMinDefault = 16 * 1024 * 1024
/** Changes, or entries of them, that are written in one go when everything is: some ms. */
const pieceSize = 2000

export class StreamJournal {
  readonly #broker: Broker
  readonly #journal: Journal
  readonly #all: () => Iterator<readonly [topic: string, change: StreamChange]>
  readonly #bytesMin: number
  #bytesLast = 0
  #rewriting = false
  #noted: { readonly topic: string; readonly change: StreamChange } | null = null

  /** `all`: everything as it is whenever it is asked for the next; changes come in between. */
  constructor(
    broker: Broker,
    all: () => Iterator<readonly [topic: string, change: StreamChange]>,
    bytesMin: number = bytesMinDefault,
  ) {
    this.#broker = broker
    this.#bytesMin = bytesMin
    this.#journal = broker.journal('redis.streams')
    this.#all = all
  }

  async load(visit: (topic: string, change: StreamChange) => void): Promise<void> {
    await this.#journal.replay((entry) => {
      const [topic, change] = decodeChange(entry)
      visit(topic, change)
    })
    this.#bytesLast = this.#journal.bytes
  }

  /** Notes it; {@link store} writes it, with what happened to the same group before and after it. */
  append(topic: string, change: StreamChange): void {
    if (this.#noted !== null && this.#noted.topic === topic && joins(this.#noted.change, change)) return
    this.store()
    this.#noted = { topic, change }
  }

  /** Writes what was noted. */
  store(): void {
    if (this.#noted === null) return
    const { topic, change } = this.#noted
    this.#noted = null
    this.#journal.append(encodeChange(topic, change))
    if (!this.#rewriting && this.#journal.bytes > Math.max(this.#bytesMin, growthMax * this.#bytesLast)) this.#rewrite()
  }

  #rewrite(): void {
    this.#rewriting = true
    this.#piece(this.#all(), this.#journal.next)
  }

  /** `from`: where in the journal everything begins anew. */
  #piece(all: Iterator<readonly [topic: string, change: StreamChange]>, from: number): void {
    for (let size = 0; size < pieceSize; ) {
      const next = all.next()
      if (next.done === true) return this.#rewritten(from)
      const [topic, change] = next.value
      this.append(topic, change)
      size += change.kind === 'pending' ? change.entries.length : 1
    }
    this.store()
    this.#journal.whenDurable((error) => {
      if (error === null) setImmediate(() => this.#piece(all, from))
      else this.#rewriting = false
    })
  }

  #rewritten(from: number): void {
    this.store()
    this.#journal.whenDurable((error) => {
      this.#rewriting = false
      if (error !== null) return
      this.#journal.truncate(from)
      this.#bytesLast = this.#journal.bytes
      this.#broker.log.debug({ bytes: this.#bytesLast }, 'the journal of streams was written anew')
    })
  }
}

/** Entries that one change tells of. */
const entriesMax = 1000

/** Puts a change into the one before it, where both say the same of other entries. */
function joins(noted: StreamChange, next: StreamChange): boolean {
  if (noted.kind === 'delivered' && next.kind === 'delivered') {
    if (noted.group !== next.group || noted.consumer !== next.consumer || noted.at !== next.at) return false
    if (noted.ids.length + next.ids.length > entriesMax) return false
    noted.lastId = next.lastId
    noted.entriesRead = next.entriesRead
    for (const id of next.ids) noted.ids.push(id)
    return true
  }
  if (noted.kind === 'done' && next.kind === 'done') {
    if (noted.group !== next.group || noted.ids.length + next.ids.length > entriesMax) return false
    for (const id of next.ids) noted.ids.push(id)
    return true
  }
  if (noted.kind !== 'pending' || next.kind !== 'pending' || noted.group !== next.group) return false
  if (noted.entries.length + next.entries.length > entriesMax) return false
  for (const entry of next.entries) noted.entries.push(entry)
  return true
}
