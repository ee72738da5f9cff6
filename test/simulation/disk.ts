/**
 * A disk in memory that loses what was not synced. When the power goes it keeps of each write that was not synced nothing, all, a prefix, a suffix
 * or some of its 512-byte blocks, and of the names changed since the last directory sync only the first few changes. When the process is killed it
 * keeps what the system had taken, which is not synced by that. Writes and syncs end in any order, fail, fill it up, or land in the wrong place.
 * Seeded, so that a run can be repeated.
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
  /** As a reader sees it. */
  live = new Bytes()
  /** What is left when the power goes. */
  durable = new Bytes()
  /** Done or under way, and not synced. */
  pending: Change[] = []
  /** Writes under way. */
  readonly flying = new Set<Change>()
}

type NameChange = { readonly name: string; readonly inode: Inode | null }

export interface Faults {
  /** Probability that a write or sync fails. */
  failing: number
  /** Only operations on names with this in them fail. */
  failingIn: string
  /** By how many bytes files may still grow before the disk is full. */
  room: number
  /** The next write for which this says so lands elsewhere in its file, and says that all went well. */
  misdirect: ((file: string, bytes: Buffer) => boolean) | null
}

/** Bytes of a file that are not what was written there. */
export interface Damage {
  readonly file: string
  readonly at: number
  readonly length: number
}

export class SimulatedDisk implements Disk {
  readonly random: Random
  readonly faults: Faults = { failing: 0, failingIn: '', room: Infinity, misdirect: null }
  readonly damage: Damage[] = []
  generation = 0
  /** Operations that have not ended. */
  underWay = 0
  #live = new Map<string, Inode>()
  #durable = new Map<string, Inode>()
  #renames: { readonly directory: string; readonly changes: NameChange[] }[] = []

  constructor(random: Random) {
    this.random = random
  }

  /** Power is lost: operations under way never end, and of what was not synced only parts remain. */
  crash(): void {
    this.#stop()
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
      inode.flying.clear()
      inode.live = new Bytes(inode.durable)
    }
    this.#live = new Map(this.#durable)
  }

  /** The process is killed: what was under way happened in part; what the system has is still there, synced or not. */
  kill(): void {
    this.#stop()
    for (const inode of this.#live.values()) {
      for (const change of inode.flying) {
        const done = this.pieces(change)
        for (const piece of done) apply(inode.live, piece)
        inode.pending = inode.pending.flatMap((each) => (each === change ? done : [each]))
      }
      inode.flying.clear()
    }
  }

  #stop(): void {
    this.generation++
    this.underWay = 0
    this.faults.failing = 0
    this.faults.room = Infinity
    this.faults.misdirect = null
  }

  #tear(durable: Bytes, change: Change): void {
    for (const piece of this.pieces(change)) apply(durable, piece)
  }

  /** What becomes of a change that was not finished. */
  pieces(change: Change): Change[] {
    const kind = this.random.below(5)
    if (kind === 0) return []
    if ('cut' in change || kind === 1) return [change]
    const { at, bytes } = change
    const kept: Change[] = []
    const blocks = Math.ceil(((at % blockBytes) + bytes.length) / blockBytes)
    const middle = this.random.below(blocks + 1)
    for (let block = 0; block < blocks; block++) {
      const keep = kind === 2 ? block < middle : kind === 3 ? block >= middle : this.random.chance(0.5)
      if (!keep) continue
      const from = Math.max(0, block * blockBytes - (at % blockBytes))
      const to = Math.min(bytes.length, (block + 1) * blockBytes - (at % blockBytes))
      kept.push({ at: at + from, bytes: bytes.subarray(from, to) })
    }
    return kept
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
    if (generation !== this.generation) return
    this.underWay++
    const step = (left: number): void => {
      setImmediate(() => {
        if (generation !== this.generation) return
        if (left > 0) return step(left - 1)
        this.underWay--
        run()
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

  fails(file: string, bytes: number): Error | null {
    const { faults } = this
    if (bytes > faults.room) return Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
    faults.room -= bytes
    if (file.includes(faults.failingIn) && this.random.chance(faults.failing))
      return Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
    return null
  }

  /** Where a write to `file` lands. */
  placeFor(file: string, at: number, bytes: Buffer, length: number, size: number): number {
    if (this.faults.misdirect?.(file, bytes) !== true) return at
    const places = Math.floor(Math.max(0, size - length) / 16)
    const landed = this.random.below(places + 1) * 16
    if (landed === at) return at
    this.faults.misdirect = null
    this.damage.push({ file, at, length }, { file, at: landed, length })
    return landed
  }

  open(file: string, synced: boolean): Promise<DiskFile> {
    return this.#done(() => {
      let inode = this.#live.get(file)
      if (inode === undefined) {
        inode = new Inode()
        this.#rename(path.dirname(file), [{ name: file, inode }])
      }
      return new SimulatedFile(this, file, inode, synced)
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
    return this.faults.room
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
    this.damage.push({ file, at, length: bytes.length })
  }
  sizeOf(file: string): number {
    return this.#live.get(file)?.live.size ?? 0
  }
  names(): string[] {
    return [...this.#live.keys()]
  }
}

function apply(bytes: Bytes, change: Change): void {
  if ('cut' in change) bytes.cut(change.cut)
  else bytes.put(change.bytes, change.at)
}

/** What is left of a change where a later one did not replace it. */
function without(earlier: Change, later: { readonly at: number; readonly bytes: Buffer }): Change[] {
  if ('cut' in earlier) return [earlier]
  const { at, bytes } = earlier
  const left = bytes.subarray(0, Math.max(0, later.at - at))
  const rest = Math.max(at, later.at + later.bytes.length)
  const right = bytes.subarray(Math.min(bytes.length, rest - at))
  return [
    { at, bytes: left },
    { at: rest, bytes: right },
  ].filter((each) => each.bytes.length > 0)
}

class SimulatedFile implements DiskFile {
  readonly #disk: SimulatedDisk
  readonly #name: string
  readonly #inode: Inode
  readonly #synced: boolean
  readonly #generation: number
  constructor(disk: SimulatedDisk, name: string, inode: Inode, synced: boolean) {
    this.#disk = disk
    this.#name = name
    this.#inode = inode
    this.#synced = synced
    this.#generation = disk.generation
  }

  write(bytes: Buffer, length: number, position: number, done: (error: Error | null) => void): void {
    const disk = this.#disk
    const inode = this.#inode
    if (this.#generation !== disk.generation) return
    const at = disk.placeFor(this.#name, position, bytes, length, inode.live.size)
    const change = { at, bytes: Buffer.from(bytes.subarray(0, length)) }
    const error = disk.fails(this.#name, Math.max(0, at + length - inode.live.size))
    inode.pending.push(change)
    inode.flying.add(change)
    disk.later(() => {
      inode.flying.delete(change)
      // Of a write that fails a part may be there, be it durable or not.
      const landed = error === null ? [change] : disk.pieces(change)
      for (const each of landed) apply(inode.live, each)
      if (this.#synced) {
        for (const each of error === null ? landed : landed.filter(() => disk.random.chance(0.5))) apply(inode.durable, each)
        // What stood there unsynced before is gone for good.
        inode.pending = inode.pending.filter((each) => each !== change).flatMap((each) => without(each, change))
      } else if (error !== null) inode.pending = inode.pending.flatMap((each) => (each === change ? landed : [each]))
      done(error)
    }, this.#generation)
  }

  read(into: Buffer, length: number, position: number, done: (error: Error | null, bytesRead: number) => void): void {
    this.#disk.later(() => done(null, this.#inode.live.get(into, length, position)), this.#generation)
  }

  sync(): Promise<void> {
    const disk = this.#disk
    const inode = this.#inode
    const error = disk.fails(this.#name, 0)
    return new Promise((resolve, reject) =>
      disk.later(() => {
        const synced = inode.pending.filter((change) => 'cut' in change || !inode.flying.has(change))
        inode.pending = inode.pending.filter((change) => !synced.includes(change))
        // After a sync that failed, the system believes that what it held is written: no later sync writes it.
        for (const change of synced)
          for (const each of error === null ? [change] : disk.pieces(change)) apply(inode.durable, each)
        if (error === null) resolve()
        else reject(error)
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
