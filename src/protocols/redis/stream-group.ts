/** A consumer group: how far it has read, its consumers, and what each has in hand. */
import { idMin, type StreamId } from './stream-id.ts'
import { type Consumer, PendingList } from './stream-pending.ts'

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
    for (const pending of this.pending.from(idMin)) if (pending.consumer === consumer) this.pending.remove(pending.id)
    this.consumers.delete(consumer.name)
  }
}
