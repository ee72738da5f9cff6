/** The disk as `anymq doctor` sees it: reads are real, everything that would change something does nothing. */
import fs from 'node:fs'
import type { Disk, DiskFile } from '../storage/local/disk.ts'

export class ReadOnlyDisk implements Disk {
  async open(path: string): Promise<DiskFile> {
    try {
      return new ReadOnlyFile(await fs.promises.open(path, 'r'))
    } catch (cause) {
      // The log makes a new file where none is; for a reader that file is simply empty.
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return new ReadOnlyFile(null) // fs errors carry a code
      throw cause
    }
  }
  async list(path: string): Promise<string[]> {
    return fs.existsSync(path) ? fs.promises.readdir(path) : []
  }
  async makeDirectory(): Promise<void> {}
  async rename(): Promise<void> {}
  async remove(): Promise<void> {}
  async removeTree(): Promise<void> {}
  async syncDirectory(): Promise<void> {}
  async freeBytes(path: string): Promise<number> {
    const stats = await fs.promises.statfs(path)
    return stats.bavail * stats.bsize
  }
}

class ReadOnlyFile implements DiskFile {
  readonly #handle: fs.promises.FileHandle | null

  constructor(handle: fs.promises.FileHandle | null) {
    this.#handle = handle
  }
  write(_bytes: Buffer, _length: number, _position: number, done: (error: Error | null) => void): void {
    setImmediate(done, null)
  }
  read(into: Buffer, length: number, position: number, done: (error: Error | null, bytesRead: number) => void): void {
    if (this.#handle === null) {
      setImmediate(done, null, 0)
      return
    }
    this.#handle.read(into, 0, length, position).then(
      ({ bytesRead }) => done(null, bytesRead),
      (error: Error) => done(error, 0),
    )
  }
  async sync(): Promise<void> {}
  async truncate(): Promise<void> {}
  async size(): Promise<number> {
    return this.#handle === null ? 0 : (await this.#handle.stat()).size
  }
  async close(): Promise<void> {
    await this.#handle?.close()
  }
}
