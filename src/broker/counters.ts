import type { Shard } from '../core/shard.ts'

/** Numbers that are never given twice, also across restarts. */
export class Counters {
  readonly #shard: Shard
  readonly #next = new Map<string, number>()

  constructor(shard: Shard) {
    this.#shard = shard
  }

  restore(name: string, value: number): void {
    this.#next.set(name, Math.max(value, this.#next.get(name) ?? 0))
  }

  /** Becomes durable with the next frame, before whatever is named by it. */
  next(name: string): number {
    const value = (this.#next.get(name) ?? 0) + 1
    this.#next.set(name, value)
    this.#shard.putMetadata('counter', name, String(value))
    return value
  }

  async durableNext(name: string): Promise<number> {
    const value = this.next(name)
    await this.#shard.durable()
    return value
  }
}
