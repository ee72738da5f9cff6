/** Who waits for a partition to grow beyond an offset: each is woken once. */
import type { Topic } from '../core/topic.ts'

interface Waiter {
  readonly offset: number
  /** Waits for what is decided, too. */
  readonly decided: boolean
  readonly wake: () => void
}

export class Waiters {
  readonly #byTopic = new Map<Topic, Map<number, Set<Waiter>>>()

  add(topic: Topic, partition: number, offset: number, decided: boolean, wake: () => void): () => void {
    let partitions = this.#byTopic.get(topic)
    if (partitions === undefined) {
      partitions = new Map()
      this.#byTopic.set(topic, partitions)
    }
    let waiting = partitions.get(partition)
    if (waiting === undefined) {
      waiting = new Set()
      partitions.set(partition, waiting)
    }
    const waiter = { offset, decided, wake }
    waiting.add(waiter)
    return () => {
      waiting.delete(waiter)
      if (waiting.size === 0 && partitions.get(partition) === waiting) partitions.delete(partition)
      if (partitions.size === 0 && this.#byTopic.get(topic) === partitions) this.#byTopic.delete(topic)
    }
  }

  readable(topic: Topic, partition: number): void {
    const waiting = this.#byTopic.get(topic)?.get(partition)
    if (waiting === undefined) return
    const { readable, stable } = topic.logs[partition] ?? { readable: Infinity, stable: Infinity }
    for (const waiter of waiting) {
      if (waiter.offset >= (waiter.decided ? stable : readable)) continue
      waiting.delete(waiter)
      waiter.wake()
    }
  }

  topicGone(topic: Topic): void {
    const partitions = this.#byTopic.get(topic)
    this.#byTopic.delete(topic)
    for (const waiting of partitions?.values() ?? []) for (const waiter of waiting) waiter.wake()
  }
}
