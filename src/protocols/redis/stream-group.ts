/** A consumer group: how far it has read, its consumers, and what each has in hand. */
import { compareIds, type StreamId } from './stream-id.ts'

export interface Consumer {
  readonly name: string
  /** When it last tried anything, and when it last got or claimed something, ms; -1: never. */
  seenAt: number
  activeAt: number
  pending: number
}

/** An entry that was delivered and not acknowledged. */
export interface Pending {
  readonly id: StreamId
  consumer: Consumer
  deliveredAt: number
  count: number
  done: boolean
}

/** Pending entries in the order of their ids; what is done stays in its place until there is much of it. */
export class PendingList {
  #items: Pending[] = []
  #done = 0

  get size(): number {
    return this.#items.length - this.#done
  }

  find(id: StreamId): Pending | undefined {
    const found = this.#items[this.#placeOf(id)]
    return found !== undefined && !found.done && compareIds(found.id, id) === 0 ? found : undefined
  }

  /** There is none of this id. */
  add(id: StreamId, consumer: Consumer, deliveredAt: number, count: number): Pending {
    const made: Pending = { id, consumer, deliveredAt, count, done: false }
    const last = this.#items.at(-1)
    consumer.pending++
    if (last === undefined || compareIds(last.id, id) < 0) this.#items.push(made)
    else {
      const place = this.#placeOf(id)
      const there = this.#items[place]
      if (there !== undefined && compareIds(there.id, id) === 0) {
        this.#items[place] = made
        this.#done--
      } else this.#items.splice(place, 0, made)
    }
    return made
  }

  remove(pending: Pending): void {
    if (pending.done) return
    pending.done = true
    pending.consumer.pending--
    this.#done++
    if (this.#done > 64 && this.#done > this.#items.length / 2) {
      this.#items = this.#items.filter(({ done }) => !done)
      this.#done = 0
    }
  }

  give(pending: Pending, consumer: Consumer): void {
    pending.consumer.pending--
    pending.consumer = consumer
    consumer.pending++
  }

  /** From an id on. What is added meanwhile behind may be met. */
  *from(id: StreamId): IterableIterator<Pending> {
    const items = this.#items
    for (let at = this.#placeOf(id); at < items.length; at++) {
      const pending = items[at] as Pending // at < length
      if (!pending.done) yield pending
    }
  }

  /** The first place with an id that is not smaller. */
  #placeOf(id: StreamId): number {
    let low = 0
    let high = this.#items.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (compareIds((this.#items[middle] as Pending).id, id) < 0)
        low = middle + 1 // middle < length
      else high = middle
    }
    return low
  }
}

export class Group {
  readonly name: string
  /** The last entry that was delivered to anybody. */
  lastId: StreamId
  /** How many entries it has read, as far as that is known; -1: it is not. */
  entriesRead: number
  readonly consumers = new Map<string, Consumer>()
  readonly pending = new PendingList()

  constructor(name: string, lastId: StreamId, entriesRead: number) {
    this.name = name
    this.lastId = lastId
    this.entriesRead = entriesRead
  }

  /** In the order of their names, as Redis lists them. */
  get sortedConsumers(): Consumer[] {
    return [...this.consumers.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  addConsumer(name: string, now: number): Consumer {
    const consumer: Consumer = { name, seenAt: now, activeAt: -1, pending: 0 }
    this.consumers.set(name, consumer)
    return consumer
  }

  removeConsumer(consumer: Consumer): void {
    for (const pending of [...this.pending.from({ ms: 0, seq: 0 })])
      if (pending.consumer === consumer) this.pending.remove(pending)
    this.consumers.delete(consumer.name)
  }
}
