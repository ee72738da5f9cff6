/**
 * What a record is when it leaves its own protocol: neutral attributes, and the registry of formats that turn stored envelope bytes
 * into them and back. A record keeps its producer's bytes; these functions run only where producer and consumer differ.
 */

/** The type of a header value, wide enough for every typed header space in use. */
export type HeaderType =
  | 'null'
  | 'bool'
  | 'i8'
  | 'u8'
  | 'i16'
  | 'u16'
  | 'i32'
  | 'u32'
  | 'i64'
  | 'f32'
  | 'f64'
  | 'decimal'
  | 'timestamp'
  | 'string'
  | 'bytes'
  | 'array'
  | 'table'

/**
 * One typed value. `value` holds: null | boolean | number (i8..u32, f32, f64; timestamp in ms) | bigint (i64) |
 * {scale, unscaled} (decimal) | string | Buffer (bytes) | HeaderValue[] (array) | Header[] (table).
 */
export type HeaderValue =
  | { readonly type: 'null'; readonly value: null }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'i8' | 'u8' | 'i16' | 'u16' | 'i32' | 'u32' | 'f32' | 'f64' | 'timestamp'; readonly value: number }
  | { readonly type: 'i64'; readonly value: bigint }
  | { readonly type: 'decimal'; readonly value: { readonly scale: number; readonly unscaled: number } }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'bytes'; readonly value: Buffer }
  | { readonly type: 'array'; readonly value: readonly HeaderValue[] }
  | { readonly type: 'table'; readonly value: readonly Header[] }

/** A header; names may repeat and their order is kept. */
export interface Header {
  readonly name: string
  readonly value: HeaderValue
}

/** A record's content and well-known attributes, free of any protocol. Absent means the producer did not say. */
export interface Attributes {
  key: Buffer | null
  /** null is a tombstone (a deletion in a topic kept by key). */
  value: Buffer | null
  headers: Header[]
  /** Milliseconds since the epoch, as the producer said. Absent: use the entry's own time. */
  timestamp?: number
  messageId?: string
  correlationId?: string
  replyTo?: string
  contentType?: string
  contentEncoding?: string
  type?: string
  subject?: string
  /** How long the record is of use, in milliseconds from its publishing. */
  expirationMs?: number
  priority?: number
  /** When it becomes visible, ms since the epoch. */
  deliverAt?: number
  groupKey?: string
  dedupId?: string
  userId?: string
  appId?: string
  /** False when the producer said the record need not survive a restart. */
  persistent?: boolean
  /** Well-known attributes of one protocol alone that have no neutral word, kept under its own name: comes back unharmed. */
  extra?: Header[]
}

/** Why a record was moved to a dead-letter target, newest first. Neutral provenance; protocols render it in their own words. */
export interface Death {
  /** The topic it died on. */
  readonly topic: string
  readonly reason: 'rejected' | 'expired' | 'maxLength' | 'attempts'
  /** How often for this (topic, reason). */
  readonly count: number
  /** When it first died so, ms since the epoch. */
  readonly time: number
  /** Where it had been published to. */
  readonly exchange: string
  readonly routingKeys: readonly string[]
  /** The expiration it carried and lost, ms. */
  readonly originalExpirationMs?: number
  /** What the consumer said, where it can say so. */
  readonly error?: string
  readonly attempts: number
}

/** What the broker itself knows of a record, beside its producer's bytes. Stored with the record, only when there is something to say. */
export interface Annotations {
  deaths?: Death[]
  /** The very first and the latest death (topic, reason, exchange). */
  firstDeath?: { topic: string; reason: Death['reason']; exchange: string }
  lastDeath?: { topic: string; reason: Death['reason']; exchange: string }
  /** True once a dead-lettering has removed the record's own expiration. */
  expirationRemoved?: boolean
  /** The exchange and key it was last published to when that differs from its envelope (dead-lettering, scheduling). */
  exchange?: string
  routingKey?: string
  /** Further keys that it was published with and that its readers do not see; dead letters follow them too. */
  hiddenKeys?: readonly string[]
  /** In a topic kept by key: the tombstones of this entry go after this time, ms since the epoch. Set when it is first cleaned. */
  tombstonesUntil?: number
  /** The id under which it was scheduled. */
  scheduleId?: number
}

/** What retention by key must know of a record. */
export interface KeyedRecord {
  readonly key: Buffer | null
  /** It has no value: a deletion of its key. */
  readonly tombstone: boolean
}

/** A payload's records by their index; null marks an offset that carries none. */
export function keyedRecords(format: Format, payload: Buffer): readonly (KeyedRecord | null)[] {
  if (format.keys !== undefined) return format.keys(payload)
  const { key, value } = format.toAttributes(payload)
  return [{ key, tombstone: value === null }]
}

/** How one kind of stored envelope is read and written. All functions are pure and total: they never throw. */
export interface Format {
  /** Stored in each entry's header, for ever: 1-15 core, then 16 numbers a protocol. The payload's own first byte versions it further. */
  readonly id: number
  readonly name: string
  /** True when a payload holds several records; then {@link open} splits it into records of the format {@link recordFormat}. */
  readonly batched: boolean
  readonly recordFormat?: number
  /** Splits a batched payload into single envelopes, in order; `null` marks an offset that carries no record for consumers. `at` is the entry's time in ms. */
  open?(payload: Buffer, at: number): readonly (Buffer | null)[]
  /** Writes the assigned base offset into a payload about to be stored, where the format carries one. Must not change its length. */
  stamp?(buffer: Buffer, start: number, baseOffset: number): void
  /** For retention by key: the payload with only the records whose index `keep` says, or null when none is left. Count of offsets spanned stays the same. */
  retain?(payload: Buffer, keep: (index: number) => boolean): Buffer | null
  /** For retention by key: what {@link keyedRecords} answers, where `batched` or where it is cheaper than `toAttributes`. */
  keys?(payload: Buffer): readonly (KeyedRecord | null)[]
  /** Where the envelope says it was published to. */
  origin?(envelope: Buffer): { exchange: string; routingKeys: string[] }
  /** Provenance that a client put into the envelope itself (it publishes again what was dead-lettered), newest first. */
  deaths?(envelope: Buffer): Death[]
  /** Single envelopes only. */
  toAttributes(envelope: Buffer): Attributes
  fromAttributes(attributes: Attributes): Buffer
}

/** Formats by their id; a process has one registry, filled by core and by each protocol when it loads. */
export class FormatRegistry {
  readonly #byId: (Format | undefined)[] = new Array<Format | undefined>(256).fill(undefined)

  register(format: Format): void {
    const present = this.#byId[format.id]
    if (present !== undefined && present.name !== format.name) {
      throw new Error(`format id ${format.id} is taken by ${present.name}`)
    }
    this.#byId[format.id] = format
  }

  get(id: number): Format {
    const format = this.#byId[id]
    if (format === undefined) throw new Error(`records of format ${id} are stored here, but what reads them is not loaded`)
    return format
  }

  has(id: number): boolean {
    return this.#byId[id] !== undefined
  }
}

/** The registry that everything uses. */
export const formats = new FormatRegistry()
