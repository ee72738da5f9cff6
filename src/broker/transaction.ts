/** Publishes and settlements of one client, collected, and then one frame of the write-ahead log. */
import { CoreError } from '../core/errors.ts'
import type { Topic } from '../core/topic.ts'
import type { Engine } from './engine.ts'
import type { Principal, PublishItem, Transaction } from './face.ts'
import type { Namespace } from './namespace.ts'

/** It is one frame of the write-ahead log. */
const transactionBytesMax = 32 * 1024 * 1024

export class BrokerTransaction implements Transaction {
  readonly #engine: Engine
  readonly #namespace: Namespace
  readonly #principal: Principal
  readonly #published: (items: readonly PublishItem[]) => void
  #items: PublishItem[] = []
  #bytes = 0
  #ended = false

  /** `published` hears of all items, with their outcomes, at the commit. */
  constructor(engine: Engine, namespace: Namespace, principal: Principal, published: (items: readonly PublishItem[]) => void) {
    this.#published = published
    this.#engine = engine
    this.#namespace = namespace
    this.#principal = principal
    engine.shard.begin(this)
  }

  publish(items: readonly PublishItem[]): void {
    for (const item of items) {
      this.#items.push(item)
      this.#bytes += item.payload.length + 256
    }
  }

  commit(done: (error: Error | null) => void): void {
    if (this.#ended) return queueMicrotask(() => done(new Error('the transaction has ended')))
    const { shard, publisher } = this.#engine
    const refusal = this.#refusal()
    if (refusal !== null) {
      this.abort()
      return queueMicrotask(() => done(refusal))
    }
    this.#ended = true
    // What was expected is of what was there before, and has been found so.
    for (const item of this.#items) {
      item.expectedNext = -1
      item.expectedLast = null
    }
    shard.enlist(this, () => {
      for (const item of this.#items) publisher.append(this.#namespace, this.#principal, item)
    })
    shard.commitTransaction(this, this.#bytes)
    this.#published(this.#items)
    shard.committer.whenDurable(done)
  }

  /** All is checked before anything is done: a transaction happens whole or not at all. */
  #refusal(): CoreError | null {
    const ahead = new Map<Topic, number>()
    let bytes = 0
    for (const item of this.#items) {
      const found = this.#engine.publisher.refusal(this.#namespace, this.#principal, item, ahead)
      if (found.error !== null) return found.error
      bytes += found.bytes
    }
    if (bytes <= transactionBytesMax) return null
    return new CoreError(
      'TooLarge',
      `the transaction takes ${bytes} bytes; at most ${transactionBytesMax} are possible (transactionBytesMax)`,
    )
  }

  abort(): void {
    this.#ended = true
    this.#items = []
    this.#engine.shard.begin(this)
  }
}
