import fs, { constants } from 'node:fs'

/**
 * The few file operations that local storage needs, injected so that a simulation can tear, lose, delay and refuse them.
 * Callback-shaped where it is hot.
 */
export interface Disk {
  /**
   * Opens for reading and writing, creating it; `synced`: each write is durable when it returns. `eager`: small writes that are not synced go into the
   * page cache at once, in the caller's thread; for few of them in a turn.
   */
  open(path: string, synced: boolean, eager?: boolean): Promise<DiskFile>
  list(path: string): Promise<string[]>
  makeDirectory(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  removeTree(path: string): Promise<void>
  /** Makes names created, renamed or removed in a directory durable. */
  syncDirectory(path: string): Promise<void>
  freeBytes(path: string): Promise<number>
}

export interface DiskFile {
  /** Writes all of `length` bytes of `bytes` at `position`. */
  write(bytes: Buffer, length: number, position: number, done: (error: Error | null) => void): void
  /** Reads up to `length` bytes into `into`; fewer at the end of the file. */
  read(into: Buffer, length: number, position: number, done: (error: Error | null, bytesRead: number) => void): void
  sync(): Promise<void>
  truncate(length: number): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}

/** The real disk. */
export class NodeDisk implements Disk {
  async open(path: string, synced: boolean, eager = false): Promise<DiskFile> {
    const flags = constants.O_RDWR | constants.O_CREAT | (synced ? constants.O_DSYNC : 0)
    return new NodeFile(await fs.promises.open(path, flags, 0o640), eager && !synced)
  }
  async list(path: string): Promise<string[]> {
    return await fs.promises.readdir(path)
  }
  async makeDirectory(path: string): Promise<void> {
    await fs.promises.mkdir(path, { recursive: true })
  }
  async rename(from: string, to: string): Promise<void> {
    await fs.promises.rename(from, to)
  }
  async remove(path: string): Promise<void> {
    await fs.promises.rm(path, { force: true })
  }
  async removeTree(path: string): Promise<void> {
    await fs.promises.rm(path, { recursive: true, force: true })
  }
  async syncDirectory(path: string): Promise<void> {
    const handle = await fs.promises.open(path, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  }
  async freeBytes(path: string): Promise<number> {
    const stats = await fs.promises.statfs(path)
    return stats.bavail * stats.bsize
  }
}

/** Larger writes take a thread of their own. */
const copiedBytesMax = 64 * 1024
/** When the page cache has to wait for the disk, copying takes longer than this, and writes take a thread for some time, ms. */
const copyMsMax = 5
const threadMs = 2000

class NodeFile implements DiskFile {
  readonly #handle: fs.promises.FileHandle
  readonly #fd: number
  readonly #eager: boolean
  /** Until then (of performance.now) nothing is copied here, ms. */
  #busyUntil = 0

  constructor(handle: fs.promises.FileHandle, eager: boolean) {
    this.#handle = handle
    this.#eager = eager
    this.#fd = handle.fd
  }

  write(bytes: Buffer, length: number, position: number, done: (error: Error | null) => void): void {
    if (this.#eager && length <= copiedBytesMax) {
      const now = performance.now()
      if (now >= this.#busyUntil) return this.#copy(bytes, length, position, now, done)
    }
    const step = (from: number): void => {
      fs.write(this.#fd, bytes, from, length - from, position + from, (error, written) => {
        if (error !== null) return done(error)
        const at = from + written
        if (at < length) return written === 0 ? done(new Error('the disk took no bytes')) : step(at)
        done(null)
      })
    }
    step(0)
  }

  /** The way through another thread would cost several times the copying. */
  #copy(bytes: Buffer, length: number, position: number, since: number, done: (error: Error | null) => void): void {
    let failed: Error | null = null
    try {
      for (let at = 0; at < length; ) {
        const written = fs.writeSync(this.#fd, bytes, at, length - at, position + at)
        if (written === 0) throw new Error('the disk took no bytes')
        at += written
      }
    } catch (cause) {
      failed = cause instanceof Error ? cause : new Error(String(cause))
    }
    const now = performance.now()
    if (now - since > copyMsMax) this.#busyUntil = now + threadMs
    queueMicrotask(() => done(failed))
  }

  read(into: Buffer, length: number, position: number, done: (error: Error | null, bytesRead: number) => void): void {
    const step = (from: number): void => {
      fs.read(this.#fd, into, from, length - from, position + from, (error, bytesRead) => {
        if (error !== null) return done(error, 0)
        const at = from + bytesRead
        if (bytesRead === 0 || at === length) return done(null, at)
        step(at)
      })
    }
    if (length === 0) return done(null, 0)
    step(0)
  }

  async sync(): Promise<void> {
    await this.#handle.datasync()
  }
  async truncate(length: number): Promise<void> {
    await this.#handle.truncate(length)
  }
  async size(): Promise<number> {
    return (await this.#handle.stat()).size
  }
  async close(): Promise<void> {
    await this.#handle.close()
  }
}
