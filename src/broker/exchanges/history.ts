/**
 * What `history` exchanges keep: each one's newest records, handed to whoever is bound later. Durable with a durable exchange: a row for
 * each record, written in the frame of its publish.
 */
import type { Shard } from '../../core/shard.ts'
import { type ExchangeInfo, PublishItem } from '../face.ts'

/** The most that one exchange keeps, whatever length it was declared with. */
export const historyBytesMax = 16 * 1024 * 1024

interface Kept {
  readonly item: PublishItem
  readonly sequence: number
}

/** One exchange's newest records, the oldest first. */
class History {
  readonly kept: Kept[] = []
  bytes = 0
  next = 0
}

const separator = '\u0000'

export class Histories {
  readonly #shard: Shard
  /** By namespace and exchange. Each is bounded, and there are at most as many as exchanges. */
  readonly #byExchange = new Map<string, History>()

  constructor(shard: Shard) {
    this.#shard = shard
  }

  remember(namespace: string, exchange: ExchangeInfo, item: PublishItem): void {
    const key = namespace + separator + exchange.name
    const history = this.#of(key)
    const sequence = history.next++
    this.#keep(history, copyOf(item), sequence)
    if (exchange.durable) this.#shard.putMetadata('history', rowKey(key, sequence), encode(item))
    while (history.kept.length > (exchange.historyRecords ?? 0) || (history.bytes > historyBytesMax && history.kept.length > 1)) {
      const oldest = history.kept.shift() as Kept // not empty
      history.bytes -= oldest.item.payload.length
      if (exchange.durable) this.#shard.putMetadata('history', rowKey(key, oldest.sequence), null)
    }
  }

  /** New items of what is kept, the oldest first. */
  of(namespace: string, exchange: string): PublishItem[] {
    return (this.#byExchange.get(namespace + separator + exchange)?.kept ?? []).map(({ item }) => copyOf(item))
  }

  forget(namespace: string, exchange: string): void {
    const key = namespace + separator + exchange
    for (const { sequence } of this.#byExchange.get(key)?.kept ?? [])
      this.#shard.putMetadata('history', rowKey(key, sequence), null)
    this.#byExchange.delete(key)
  }

  /** Recovery: a stored row; null is its deletion. Rows may come again. */
  restore(key: string, value: string | Uint8Array | null): void {
    const at = key.lastIndexOf(separator)
    const history = this.#of(key.slice(0, at))
    const sequence = Number(key.slice(at + 1))
    const present = history.kept.findIndex((kept) => kept.sequence === sequence)
    if (present >= 0) {
      history.bytes -= history.kept[present]?.item.payload.length ?? 0
      history.kept.splice(present, 1)
    }
    if (value !== null) this.#keep(history, decode(Buffer.from(value as Uint8Array)), sequence) // encode() made bytes
    history.next = Math.max(history.next, sequence + 1)
  }

  #keep(history: History, item: PublishItem, sequence: number): void {
    history.kept.push({ item, sequence })
    history.bytes += item.payload.length
  }

  #of(key: string): History {
    let history = this.#byExchange.get(key)
    if (history === undefined) {
      history = new History()
      this.#byExchange.set(key, history)
    }
    return history
  }
}

/** Padded, so that rows are loaded in their order. */
const rowKey = (exchange: string, sequence: number): string => exchange + separator + String(sequence).padStart(16, '0')

/** A record as it was published, without what became of it. */
function copyOf(item: PublishItem): PublishItem {
  const copy = new PublishItem(item.exchange, item.address, item.format, Buffer.from(item.payload))
  copy.ttlMs = item.ttlMs
  copy.priority = item.priority
  copy.key = item.key
  copy.transient = item.transient
  copy.annotations = item.annotations
  return copy
}

function encode(item: PublishItem): Buffer {
  const { exchange, address, format, ttlMs, priority, transient, annotations } = item
  const key = item.key?.toString('base64') ?? null
  const head = Buffer.from(JSON.stringify({ exchange, address, format, ttlMs, priority, transient, annotations, key }))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(head.length)
  return Buffer.concat([length, head, item.payload])
}

function decode(stored: Buffer): PublishItem {
  const end = 4 + stored.readUInt32BE(0)
  // As encode() wrote it.
  const head = JSON.parse(stored.toString('utf8', 4, end)) as Pick<
    PublishItem,
    'exchange' | 'address' | 'format' | 'ttlMs' | 'priority' | 'transient' | 'annotations'
  > & { key: string | null }
  const item = new PublishItem(head.exchange, head.address, head.format, stored.subarray(end))
  item.ttlMs = head.ttlMs
  item.priority = head.priority
  item.key = head.key === null ? null : Buffer.from(head.key, 'base64')
  item.transient = head.transient
  item.annotations = head.annotations
  return item
}
