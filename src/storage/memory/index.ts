/** Storage that lives with the process: for tests of other people's programs, and of our own. */
import type { MetadataChange, MetadataStore, SegmentStore, Storage, WriteAheadLog } from '../interfaces.ts'

/** Nothing survives; everything else behaves as on a disk. */
export function openMemoryStorage(): Storage {
  const segments = new MemorySegments()
  return {
    wal: new MemoryWal(),
    segments,
    metadata: new MemoryMetadata(),
    freeBytes: async () => Number.POSITIVE_INFINITY,
    close: async () => segments.close(),
  }
}

class MemoryWal implements WriteAheadLog {
  position = 0
  readonly bytes = 0
  async recover(): Promise<void> {}
  write(_frame: Buffer, length: number, done: (error: Error | null) => void): void {
    this.position += length
    setImmediate(done, null)
  }
  async trim(): Promise<void> {}
  async close(): Promise<void> {}
}

export class MemorySegments implements SegmentStore {
  readonly #objects = new Map<string, Buffer[]>()

  append(log: number, base: number, position: number, chunks: readonly Buffer[], done: (error: Error | null) => void): void {
    const name = `${log}/${base}`
    const object = position === 0 ? [] : (this.#objects.get(name) ?? [])
    this.#objects.set(name, object)
    for (const chunk of chunks) object.push(Buffer.from(chunk))
    setImmediate(done, null)
  }
  async sync(): Promise<void> {}
  read(log: number, base: number, position: number, into: Buffer, done: (error: Error | null, bytes: number) => void): void {
    let at = 0
    let read = 0
    for (const part of this.#objects.get(`${log}/${base}`) ?? []) {
      const from = Math.max(0, position - at)
      const to = Math.min(part.length, position + into.length - at)
      if (from < to) read += part.copy(into, read, from, to)
      at += part.length
    }
    setImmediate(done, null, read)
  }
  async delete(log: number, base: number): Promise<void> {
    this.#objects.delete(`${log}/${base}`)
  }
  async deleteOthers(log: number, keep: ReadonlySet<number>): Promise<void> {
    for (const name of this.#objects.keys()) {
      const [owner, base] = name.split('/')
      if (Number(owner) === log && !keep.has(Number(base))) this.#objects.delete(name)
    }
  }
  async logs(): Promise<number[]> {
    return [...new Set([...this.#objects.keys()].map((name) => Number(name.split('/')[0])))]
  }
  async close(): Promise<void> {
    this.#objects.clear()
  }
}

export class MemoryMetadata implements MetadataStore {
  readonly #tables = new Map<string, Map<string, string | Uint8Array>>()
  #position = 0

  async position(): Promise<number> {
    return this.#position
  }
  async load(table: string, visit: (key: string, value: string | Uint8Array) => void): Promise<void> {
    for (const [key, value] of this.#tables.get(table) ?? []) visit(key, value)
  }
  async range(
    table: string,
    from: string,
    before: string,
    limit: number,
  ): Promise<{ key: string; value: string | Uint8Array }[]> {
    const rows = [...(this.#tables.get(table) ?? [])].filter(([key]) => key >= from && key < before)
    rows.sort(([a], [b]) => (a < b ? -1 : 1))
    return rows.slice(0, limit).map(([key, value]) => ({ key, value }))
  }
  async count(table: string): Promise<number> {
    return this.#tables.get(table)?.size ?? 0
  }
  async checkpoint(position: number, changes: readonly MetadataChange[]): Promise<void> {
    this.#position = position
    for (const { table, key, value } of changes) {
      let rows = this.#tables.get(table)
      if (rows === undefined) {
        rows = new Map()
        this.#tables.set(table, rows)
      }
      if (value === null) rows.delete(key)
      else rows.set(key, value)
    }
  }
  async close(): Promise<void> {}
}
