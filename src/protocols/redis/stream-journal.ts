/**
 * What is remembered of streams beside their entries: groups with what they have read and what is pending, and of the stream itself what its entries do not
 * tell. Changes are written to a journal of the broker as JSON, and read again when it starts. When the journal has grown, everything
 * is written to it as it is, and what led there is let go.
 */
import { Buffer } from 'node:buffer'
import type { Broker, Journal } from '../../broker/face.ts'
import type { StreamId } from './stream-id.ts'

/** The journal is written anew when it has grown to so many times what that took last, and to so many bytes. */
const growthMax = 2
const bytesMin = 16 * 1024 * 1024

/** {@link Group.entriesRead} where it is not known. */
export const unknownRead = -1

export interface StreamMemory {
  /** The greatest id ever, where entries do not tell. */
  readonly lastId: StreamId
  /** Of single entries that were deleted, the greatest. */
  readonly maxDeletedId: StreamId
  /** Entries added in all, when the log's end was at `at`. */
  readonly added: number
  readonly at: number
}

/** Each can be repeated: it says how something is, not how it changed. Ids are text. */
export type StreamChange =
  | { readonly kind: 'memory'; readonly memory: StreamMemory }
  | { readonly kind: 'group'; readonly group: string; readonly lastId: string; readonly entriesRead: number }
  | { readonly kind: 'ungroup'; readonly group: string }
  | {
      readonly kind: 'consumer'
      readonly group: string
      readonly consumer: string
      readonly at: number
      readonly activeAt?: number
    }
  | { readonly kind: 'unconsumer'; readonly group: string; readonly consumer: string }
  | {
      readonly kind: 'pending'
      readonly group: string
      /** Id, consumer, delivered at, how often. */
      readonly entries: (readonly [string, string, number, number])[]
    }
  /** Entries that a group had not had before, each delivered once, and how far the group is with them. */
  | {
      readonly kind: 'delivered'
      readonly group: string
      lastId: string
      entriesRead: number
      readonly consumer: string
      readonly at: number
      readonly ids: string[]
    }
  | { readonly kind: 'done'; readonly group: string; readonly ids: string[] }
  | { readonly kind: 'gone' }

export class StreamJournal {
  readonly #broker: Broker
  readonly #journal: Journal
  readonly #all: () => Iterable<readonly [topic: string, change: StreamChange]>
  #bytesLast = 0
  #rewriting = false
  #noted: { readonly topic: string; readonly change: StreamChange } | null = null

  /** `all`: everything as it is. */
  constructor(broker: Broker, all: () => Iterable<readonly [topic: string, change: StreamChange]>) {
    this.#broker = broker
    this.#journal = broker.journal('redis.streams')
    this.#all = all
  }

  async load(visit: (topic: string, change: StreamChange) => void): Promise<void> {
    await this.#journal.replay((entry) => {
      const [topic, change] = JSON.parse(entry.toString(), fromJson) as [string, StreamChange] // written below
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
    // Ids are text everywhere else, and to look at each value takes long.
    const text = JSON.stringify([topic, change], change.kind === 'memory' ? toJson : undefined)
    this.#journal.append(Buffer.from(text))
    if (!this.#rewriting && this.#journal.bytes > Math.max(bytesMin, growthMax * this.#bytesLast)) this.#rewrite()
  }

  #rewrite(): void {
    this.#rewriting = true
    const from = this.#journal.next
    for (const [topic, change] of this.#all()) this.append(topic, change)
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

const toJson = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? { $u64: value.toString() } : value)
const fromJson = (_key: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && '$u64' in value ? BigInt(String(value.$u64)) : value
