/** Small durable tables for what a protocol must remember beside topics: coordinators, registries. All in memory, so for thousands, not millions. */
import type { Shard } from '../core/shard.ts'
import type { Rows } from './face.ts'

const separator = '\u0000'

/** All tables; the stored key is `table NUL key`. */
export class RowTables {
  readonly #shard: Shard
  readonly #tables = new Map<string, Table>()

  constructor(shard: Shard) {
    this.#shard = shard
  }

  table(name: string): Table {
    if (name.includes(separator)) throw new RangeError('the name of a table holds no NUL')
    let table = this.#tables.get(name)
    if (table === undefined) {
      table = new Table(name, this.#shard)
      this.#tables.set(name, table)
    }
    return table
  }

  /** Recovery: a stored row; null is its deletion. */
  restore(storedKey: string, value: string | null): void {
    const at = storedKey.indexOf(separator)
    this.table(storedKey.slice(0, at)).restore(storedKey.slice(at + 1), value)
  }
}

class Table implements Rows {
  readonly #name: string
  readonly #shard: Shard
  readonly #rows = new Map<string, string>()

  constructor(name: string, shard: Shard) {
    this.#name = name
    this.#shard = shard
  }

  get size(): number {
    return this.#rows.size
  }

  get(key: string): string | undefined {
    return this.#rows.get(key)
  }

  entries(): IterableIterator<[string, string]> {
    return this.#rows.entries()
  }

  put(key: string, value: string): void {
    this.restore(key, value)
    this.#shard.putMetadata('rows', this.#name + separator + key, value)
  }

  delete(key: string): boolean {
    if (!this.#rows.delete(key)) return false
    this.#shard.putMetadata('rows', this.#name + separator + key, null)
    return true
  }

  durable(): Promise<void> {
    return this.#shard.durable()
  }

  restore(key: string, value: string | null): void {
    if (value === null) this.#rows.delete(key)
    else this.#rows.set(key, value)
  }
}
