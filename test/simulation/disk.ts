/**
 * A disk in memory that loses what was not synced. A crash keeps of each write under way nothing, all, a prefix, a suffix or some of its
 * 512-byte blocks, and of the names changed since the last directory sync only the first few changes. Seeded, so that a run can be repeated.
 */
import path from 'node:path'
import type { Disk, DiskFile } from '../../src/storage/local/disk.ts'

const pageBytes = 4096
const blockBytes = 512
const zeroPage = Buffer.alloc(pageBytes)

/** mulberry32. */
export class Random {
  #state: number
  constructor(seed: number) {
    this.#state = seed >>> 0
  }
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }
  chance(probability: number): boolean {
    return this.next() < probability
  }
}

/** Sparse bytes; pages are replaced, never changed, so that copies may share them. */
class Bytes {
  readonly pages: Map<number, Buffer>
  size: number
  constructor(from?: Bytes) {
    this.pages = new Map(from?.pages)
    this.size = from?.size ?? 0
  }
  put(bytes: Buffer, at: number): void {
    for (let from = 0; from < bytes.length; ) {
      const place = at + from
      const number = Math.floor(place / pageBytes)
      const within = place % pageBytes
      const length = Math.min(pageBytes - within, bytes.length - from)
      const part = bytes.subarray(from, from + length)
      from += length
      const present = this.pages.get(number)
      if (present === undefined && part.equals(zeroPage.subarray(0, length))) continue
      const page = Buffer.from(present ?? zeroPage)
      part.copy(page, within)
      this.pages.set(number, page)
    }
    this.size = Math.max(this.size, at + bytes.length)
  }
  get(into: Buffer, length: number, at: number): number {
    const count = Math.max(0, Math.min(length, this.size - at))
    for (let from = 0; from < count; ) {
      const place = at + from
      const within = place % pageBytes
      const part = Math.min(pageBytes - within, count - from)
      const page = this.pages.get(Math.floor(place / pageBytes)) ?? zeroPage
      page.copy(into, from, within, within + part)
      from += part
    }
    return count
  }
  cut(length: number): void {
    if (length < this.size) {
      for (const number of [...this.pages.keys()]) if (number * pageBytes >= length) this.pages.delete(number)
      const page = this.pages.get(Math.floor(length / pageBytes))
      if (page !== undefined) {
        const kept = Buffer.from(page)
        kept.fill(0, length % pageBytes)
        this.pages.set(Math.floor(length / pageBytes), kept)
      }
    }
    this.size = length
  }
}

type Change = { readonly at: number; readonly bytes: Buffer } | { readonly cut: number }

class Inode {
  live = new Bytes()
  durable = new Bytes()
  pending: Change[] = []
}

type NameChange = { readonly name: string; readonly inode: Inode | null }

export interface Faults {
  /** Probability that a write or sync fails. */
  failing: number
  /** Bytes that may still be written before the disk is full. */
  room: number
}

export class SimulatedDisk implements Disk {
  readonly random: Random
  readonly faults: Faults = { failing: 0, room: Infinity }
  generation = 0
  #live = new Map<string, Inode>()
  #durable = new Map<string, Inode>()
  #renames: { readonly directory: string; readonly changes: NameChange[] }[] = []

  constructor(random: Random) {
    this.random = random
  }

  /** Power is lost: operations under way never end, and of what was not synced only parts remain. */
  crash(): void {
    this.generation++
    this.faults.failing = 0
    this.faults.room = Infinity
    const blocked = new Set<string>()
    for (const { directory, changes } of this.#renames) {
      // What happened to one directory survives in order.
      if (blocked.has(directory) || this.random.chance(0.5)) blocked.add(directory)
      else this.#apply(changes)
    }
    this.#renames = []
    const inodes = new Set([...this.#live.values(), ...this.#durable.values()])
    for (const inode of inodes) {
      for (const change of inode.pending) this.#tear(inode.durable, change)
      inode.pending = []
      inode.live = new Bytes(inode.durable)
    }
    this.#live = new Map(this.#durable)
  }

  #tear(durable: Bytes, change: Change): void {
    const kind = this.random.below(5)
    if (kind === 0) return
    if ('cut' in change) return durable.cut(change.cut)
    const { at, bytes } = change
    if (kind === 1) return durable.put(bytes, at)
    const blocks = Math.ceil(((at % blockBytes) + bytes.length) / blockBytes)
    const middle = this.random.below(blocks + 1)
    for (let block = 0; block < blocks; block++) {
      const kept = kind === 2 ? block < middle : kind === 3 ? block >= middle : this.random.chance(0.5)
      if (!kept) continue
      const from = Math.max(0, block * blockBytes - (at % blockBytes))
      const to = Math.min(bytes.length, (block + 1) * blockBytes - (at % blockBytes))
      durable.put(bytes.subarray(from, to), at + from)
    }
  }

  #apply(changes: readonly NameChange[]): void {
    for (const { name, inode } of changes) {
      if (inode === null) this.#durable.delete(name)
      else this.#durable.set(name, inode)
    }
  }

  #rename(directory: string, changes: NameChange[]): void {
    for (const { name, inode } of changes) {
      if (inode === null) this.#live.delete(name)
      else this.#live.set(name, inode)
    }
    this.#renames.push({ directory, changes })
  }

  /** Ends an operation some turns later, unless the power goes first. */
  later(run: () => void, generation = this.generation): void {
    const turns = this.random.below(3)
    const step = (left: number): void => {
      setImmediate(() => {
        if (generation !== this.generation) return
        if (left > 0) step(left - 1)
        else run()
      })
    }
    step(turns)
  }

  #done<T>(run: () => T): Promise<T> {
    return new Promise((resolve, reject) =>
      this.later(() => {
        try {
          resolve(run())
        } catch (error) {
          reject(error as Error) // only Errors are thrown here
        }
      }),
    )
  }

  fails(bytes: number): Error | null {
    this.faults.room -= bytes
    if (this.faults.room < 0) return Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
    if (this.random.chance(this.faults.failing)) return Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
    return null
  }

  open(file: string, synced: boolean): Promise<DiskFile> {
    return this.#done(() => {
      let inode = this.#live.get(file)
      if (inode === undefined) {
        inode = new Inode()
        this.#rename(path.dirname(file), [{ name: file, inode }])
      }
      return new SimulatedFile(this, inode, synced)
    })
  }
  list(directory: string): Promise<string[]> {
    return this.#done(() => {
      const names = new Set<string>()
      for (const name of this.#live.keys()) {
        if (name.startsWith(`${directory}/`)) names.add(name.slice(directory.length + 1).split('/')[0] as string) // split gives one at least
      }
      return [...names]
    })
  }
  makeDirectory(): Promise<void> {
    return this.#done(() => undefined)
  }
  rename(from: string, to: string): Promise<void> {
    return this.#done(() => {
      const inode = this.#live.get(from)
      if (inode === undefined) throw new Error(`ENOENT: ${from}`)
      this.#rename(path.dirname(from), [
        { name: from, inode: null },
        { name: to, inode },
      ])
    })
  }
  remove(file: string): Promise<void> {
    return this.#done(() => this.#rename(path.dirname(file), [{ name: file, inode: null }]))
  }
  removeTree(directory: string): Promise<void> {
    return this.#done(() => {
      const names = [...this.#live.keys()].filter((name) => name.startsWith(`${directory}/`))
      this.#rename(
        directory,
        names.map((name) => ({ name, inode: null })),
      )
    })
  }
  syncDirectory(directory: string): Promise<void> {
    return this.#done(() => {
      for (const { directory: owner, changes } of this.#renames) if (owner === directory) this.#apply(changes)
      this.#renames = this.#renames.filter((each) => each.directory !== directory)
    })
  }
  async freeBytes(): Promise<number> {
    return Infinity
  }

  // For tests that damage what is stored.
  bytesOf(file: string, at: number, length: number): Buffer {
    const into = Buffer.alloc(length)
    this.#live.get(file)?.live.get(into, length, at)
    return into
  }
  overwrite(file: string, at: number, bytes: Buffer): void {
    const inode = this.#live.get(file)
    if (inode === undefined) throw new Error(`no file ${file}`)
    inode.live.put(bytes, at)
    inode.durable.put(bytes, at)
  }
  names(): string[] {
    return [...this.#live.keys()]
  }
}

class SimulatedFile implements DiskFile {
  readonly #disk: SimulatedDisk
  readonly #inode: Inode
  readonly #synced: boolean
  readonly #generation: number
  constructor(disk: SimulatedDisk, inode: Inode, synced: boolean) {
    this.#disk = disk
    this.#inode = inode
    this.#synced = synced
    this.#generation = disk.generation
  }

  write(bytes: Buffer, length: number, position: number, done: (error: Error | null) => void): void {
    if (this.#generation !== this.#disk.generation) return
    const change = { at: position, bytes: Buffer.from(bytes.subarray(0, length)) }
    const error = this.#disk.fails(length)
    this.#inode.pending.push(change)
    this.#disk.later(() => {
      if (error !== null) return done(error)
      this.#inode.live.put(change.bytes, change.at)
      if (this.#synced) {
        this.#inode.durable.put(change.bytes, change.at)
        this.#inode.pending = this.#inode.pending.filter((each) => each !== change)
      }
      done(null)
    }, this.#generation)
  }

  read(into: Buffer, length: number, position: number, done: (error: Error | null, bytesRead: number) => void): void {
    this.#disk.later(() => done(null, this.#inode.live.get(into, length, position)), this.#generation)
  }

  sync(): Promise<void> {
    const error = this.#disk.fails(0)
    return new Promise((resolve, reject) =>
      this.#disk.later(() => {
        if (error !== null) return reject(error)
        for (const change of this.#inode.pending) {
          if ('cut' in change) this.#inode.durable.cut(change.cut)
          else this.#inode.durable.put(change.bytes, change.at)
        }
        this.#inode.pending = []
        resolve()
      }, this.#generation),
    )
  }

  truncate(length: number): Promise<void> {
    return new Promise((resolve) =>
      this.#disk.later(() => {
        this.#inode.live.cut(length)
        this.#inode.pending.push({ cut: length })
        resolve()
      }, this.#generation),
    )
  }
  async size(): Promise<number> {
    return this.#inode.live.size
  }
  async close(): Promise<void> {}
}
