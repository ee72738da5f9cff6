/**
 * What changes of a stream beside its entries, as the journal has it (stream-journal.ts). What each XREADGROUP and XACK changes is written as bytes; all else, and
 * all of it in journals of older versions, as JSON, which begins with a bracket.
 *
 *   bytes   = kind:u8 topic group …     string = length:u32 latin1     id = ms:u64 seq:u64
 *   delivered = … last:id entriesRead:f64 consumer:string at:f64 *id     done = … *id     pending = … *(id consumer:string at:f64 count:u32)
 */
import { putU32, putU64 } from '../../lib/bytes.ts'
import { withRoom } from '../../lib/growing.ts'
import { parseId, type StreamId, type U64, u64 } from './stream-id.ts'

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

/** Id, consumer, delivered at, how often. */
export type PendingEntry = readonly [StreamId, string, number, number]

/** Entries that a group had not had before, each delivered once, and how far the group is with them. */
interface Delivered {
  readonly kind: 'delivered'
  readonly group: string
  lastId: StreamId
  entriesRead: number
  readonly consumer: string
  readonly at: number
  readonly ids: StreamId[]
}

interface Done {
  readonly kind: 'done'
  readonly group: string
  readonly ids: StreamId[]
}

interface PendingEntries {
  readonly kind: 'pending'
  readonly group: string
  readonly entries: PendingEntry[]
}

/** Each can be repeated: it says how something is, not how it changed. */
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
  | { readonly kind: 'gone' }
  | Delivered
  | Done
  | PendingEntries

const Kind = { delivered: 1, done: 2, pending: 3 } as const
const bracket = 0x5b

let buffer = Buffer.allocUnsafe(4096)
const bufferBytesKept = 1024 * 1024
const fixedBytes = 64
const idBytes = 16

/** A view that is good until the next call. */
export function encodeChange(topic: string, change: StreamChange): Buffer {
  if (change.kind === 'delivered' || change.kind === 'done' || change.kind === 'pending') return encodeBytes(topic, change)
  // To look at each value takes long, and only here there may be a bigint.
  return Buffer.from(JSON.stringify([topic, change], change.kind === 'memory' ? toJson : undefined))
}

function encodeBytes(topic: string, change: Delivered | Done | PendingEntries): Buffer {
  if (buffer.length > bufferBytesKept) buffer = Buffer.allocUnsafe(4096)
  buffer = withRoom(buffer, 0, bytesOf(topic, change))
  let at = 0
  buffer[at++] = Kind[change.kind]
  at = putText(at, topic)
  at = putText(at, change.group)
  if (change.kind === 'pending') {
    for (const [id, consumer, deliveredAt, count] of change.entries) {
      at = putId(at, id)
      at = putText(at, consumer)
      at = buffer.writeDoubleBE(deliveredAt, at)
      at = buffer.writeUInt32BE(Math.min(count, 0xffff_ffff), at)
    }
    return buffer.subarray(0, at)
  }
  if (change.kind === 'delivered') {
    at = putId(at, change.lastId)
    at = buffer.writeDoubleBE(change.entriesRead, at)
    at = putText(at, change.consumer)
    at = buffer.writeDoubleBE(change.at, at)
  }
  for (const id of change.ids) at = putId(at, id)
  return buffer.subarray(0, at)
}

/** At most. */
function bytesOf(topic: string, change: Delivered | Done | PendingEntries): number {
  const names = fixedBytes + topic.length + change.group.length
  if (change.kind === 'done') return names + change.ids.length * idBytes
  if (change.kind === 'delivered') return names + change.consumer.length + change.ids.length * idBytes
  let bytes = names
  for (const [, consumer] of change.entries) bytes += idBytes + 16 + consumer.length
  return bytes
}

function putText(at: number, text: string): number {
  putU32(buffer, at, text.length)
  return at + 4 + buffer.write(text, at + 4, 'latin1')
}

function putId(at: number, { ms, seq }: StreamId): number {
  putHalf(at, ms)
  putHalf(at + 8, seq)
  return at + idBytes
}

function putHalf(at: number, value: U64): void {
  if (typeof value === 'number') putU64(buffer, at, value)
  else buffer.writeBigUInt64BE(value, at)
}

export function decodeChange(entry: Buffer): [topic: string, change: StreamChange] {
  if (entry[0] === bracket) return fromOlder(JSON.parse(entry.toString(), fromJson) as [string, OlderChange]) // written above, or by older versions
  const reader = new Reader(entry)
  const kind = reader.u8()
  const topic = reader.text()
  const group = reader.text()
  if (kind === Kind.delivered) {
    const [lastId, entriesRead, consumer, at] = [reader.id(), reader.number(), reader.text(), reader.number()]
    return [topic, { kind: 'delivered', group, lastId, entriesRead, consumer, at, ids: reader.rest(() => reader.id()) }]
  }
  if (kind === Kind.done) return [topic, { kind: 'done', group, ids: reader.rest(() => reader.id()) }]
  if (kind !== Kind.pending)
    throw new Error(`the journal of Redis streams has an entry of the kind ${kind}: a newer version has written it`)
  const pending = (): PendingEntry => [reader.id(), reader.text(), reader.number(), reader.u32()]
  return [topic, { kind: 'pending', group, entries: reader.rest(pending) }]
}

class Reader {
  readonly #entry: Buffer
  #at = 0

  constructor(entry: Buffer) {
    this.#entry = entry
  }

  u8(): number {
    return this.#entry.readUInt8(this.#take(1))
  }

  u32(): number {
    return this.#entry.readUInt32BE(this.#take(4))
  }

  number(): number {
    return this.#entry.readDoubleBE(this.#take(8))
  }

  text(): string {
    const length = this.u32()
    const from = this.#take(length)
    return this.#entry.toString('latin1', from, from + length)
  }

  id(): StreamId {
    return { ms: this.#half(), seq: this.#half() }
  }

  /** What `read` reads, to the end. */
  rest<Part>(read: () => Part): Part[] {
    const parts: Part[] = []
    while (this.#at < this.#entry.length) parts.push(read())
    return parts
  }

  #half(): U64 {
    return u64(this.#entry.readBigUInt64BE(this.#take(8)))
  }

  #take(bytes: number): number {
    const from = this.#at
    this.#at += bytes
    return from
  }
}

/** Where ids are text. */
type OlderChange =
  | Exclude<StreamChange, { readonly kind: 'delivered' | 'done' | 'pending' }>
  | (Omit<Delivered, 'lastId' | 'ids'> & { readonly lastId: string; readonly ids: string[] })
  | (Omit<Done, 'ids'> & { readonly ids: string[] })
  | (Omit<PendingEntries, 'entries'> & { readonly entries: [string, string, number, number][] })

function fromOlder([topic, change]: [string, OlderChange]): [string, StreamChange] {
  const idsOf = (texts: readonly string[]): StreamId[] => texts.map((text) => parseId(text))
  switch (change.kind) {
    case 'delivered':
      return [topic, { ...change, lastId: parseId(change.lastId), ids: idsOf(change.ids) }]
    case 'done':
      return [topic, { ...change, ids: idsOf(change.ids) }]
    case 'pending':
      return [topic, { ...change, entries: change.entries.map(([id, ...more]) => [parseId(id), ...more]) }]
    default:
      return [topic, change]
  }
}

const toJson = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? { $u64: value.toString() } : value)
const fromJson = (_key: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && '$u64' in value ? BigInt(String(value.$u64)) : value
