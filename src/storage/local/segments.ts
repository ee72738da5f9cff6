/** Segments as files: `<directory>/<log>/<base>.seg`, written in the background in big sequential writes. */
import path from 'node:path'
import type { SegmentStore } from '../interfaces.ts'
import type { Disk, DiskFile } from './disk.ts'

const openFilesMax = 256

/** Where an object of a log stands below the directory of segments. */
export const segmentPath = (log: string, object: number): string => path.join(log, `${String(object).padStart(16, '0')}.seg`)

export class LocalSegments implements SegmentStore {
  readonly #disk: Disk
  readonly #directory: string
  /** Open files by path, the least recently used first. */
  readonly #open = new Map<string, Promise<DiskFile>>()
  readonly #known = new Set<number>()
  /** All directories of logs made so far are on the disk with it; null: it is to be done. */
  #directorySynced: Promise<void> | null = null

  constructor(disk: Disk, directory: string) {
    this.#disk = disk
    this.#directory = directory
  }

  append(log: number, base: number, position: number, chunks: readonly Buffer[], done: (error: Error | null) => void): void {
    this.#append(log, base, position, chunks).then(
      () => done(null),
      (error: Error) => done(error),
    )
  }

  async #append(log: number, base: number, position: number, chunks: readonly Buffer[]): Promise<void> {
    const file = await this.#file(log, base)
    if (position === 0) await file.truncate(0)
    let at = position
    for (const chunk of chunks) {
      const from = at
      await new Promise<void>((resolve, reject) =>
        file.write(chunk, chunk.length, from, (error) => (error === null ? resolve() : reject(error))),
      )
      at += chunk.length
    }
  }

  async sync(log: number, base: number): Promise<void> {
    const file = await this.#file(log, base)
    await file.sync()
    await this.#disk.syncDirectory(path.join(this.#directory, String(log)))
    this.#directorySynced ??= this.#disk.syncDirectory(this.#directory)
    await this.#directorySynced
  }

  read(log: number, base: number, position: number, into: Buffer, done: (error: Error | null, bytes: number) => void): void {
    this.#file(log, base).then(
      (file) => file.read(into, into.length, position, done),
      (error: Error) => done(error, 0),
    )
  }

  async delete(log: number, base: number): Promise<void> {
    const name = this.#path(log, base)
    const open = this.#open.get(name)
    this.#open.delete(name)
    if (open !== undefined) await (await open).close()
    await this.#disk.remove(name)
  }

  async deleteOthers(log: number, keep: ReadonlySet<number>): Promise<void> {
    const directory = path.join(this.#directory, String(log))
    const names = await this.#disk.list(directory).catch(() => [])
    for (const name of names) {
      const base = Number.parseInt(name, 10)
      if (!keep.has(base)) await this.delete(log, base)
    }
    if (keep.size === 0) {
      this.#known.delete(log)
      await this.#disk.removeTree(directory)
    }
  }

  async logs(): Promise<number[]> {
    await this.#disk.makeDirectory(this.#directory)
    return (await this.#disk.list(this.#directory)).map(Number).filter(Number.isSafeInteger)
  }

  async close(): Promise<void> {
    for (const open of this.#open.values()) await (await open).close()
    this.#open.clear()
  }

  #path(log: number, base: number): string {
    return path.join(this.#directory, segmentPath(String(log), base))
  }

  async #file(log: number, base: number): Promise<DiskFile> {
    const name = this.#path(log, base)
    const present = this.#open.get(name)
    if (present !== undefined) {
      this.#open.delete(name)
      this.#open.set(name, present)
      return await present
    }
    const opening = this.#openNew(log, name)
    this.#open.set(name, opening)
    opening.catch(() => this.#open.delete(name))
    if (this.#open.size > openFilesMax) {
      const [oldest] = this.#open
      if (oldest !== undefined) {
        this.#open.delete(oldest[0])
        // Reads under way hold their own turn of the file; closing waits a little so that they end first.
        oldest[1].then((file) => setTimeout(() => void file.close().catch(() => undefined), 5000).unref()).catch(() => undefined)
      }
    }
    return await opening
  }

  async #openNew(log: number, name: string): Promise<DiskFile> {
    if (!this.#known.has(log)) {
      await this.#disk.makeDirectory(path.join(this.#directory, String(log)))
      this.#directorySynced = null
      this.#known.add(log)
    }
    return await this.#disk.open(name, false)
  }
}
