/** Publishes and settlements of one client, collected, and then one frame of the write-ahead log. */
import type { Engine } from './engine.ts'
import { type Principal, type PublishItem, PublishStatus, type Transaction } from './face.ts'
import type { Namespace } from './namespace.ts'

export class BrokerTransaction implements Transaction {
  readonly #engine: Engine
  readonly #namespace: Namespace
  readonly #principal: Principal
  #items: PublishItem[] = []
  #bytes = 0
  #ended = false

  constructor(engine: Engine, namespace: Namespace, principal: Principal) {
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
    this.#ended = true
    const { shard, publisher } = this.#engine
    shard.enlist(this, () => {
      for (const item of this.#items) publisher.append(this.#namespace, this.#principal, item)
    })
    shard.commitTransaction(this, this.#bytes)
    const refused = this.#items.find((item) => item.status === PublishStatus.Failed)
    shard.committer.whenDurable((error) => done(error ?? (refused === undefined ? null : new Error(refused.errorMessage))))
  }

  abort(): void {
    this.#ended = true
    this.#items = []
    this.#engine.shard.begin(this)
  }
}
