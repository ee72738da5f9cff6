/**
 * The write-ahead log on a local disk: zero-filled preallocated files, recycled, opened O_DSYNC, one write per frame.
 *
 * A position is `file number * walFileBytes + place in the file`. Frames are aligned to 16 bytes:
 *   0 u32 magic   4 u32 length with header   8 u64 position   16 u32 CRC-32C of bytes 20..length   20 u32 reserved
 * A recycled file still holds frames of its earlier life: their position is another one, so they end the log instead of continuing it.
 * A file that was left for the next one ends with a mark, `u32 end magic, u32 0, u64 position`, unless less than a header's room was left.
 */
import path from 'node:path'
import { getU64, putU64 } from '../../lib/bytes.ts'
import { crc32c } from '../../lib/crc32c.ts'
import { frameBytesMax, frameHeaderBytes, type WriteAheadLog } from '../interfaces.ts'
import type { Disk, DiskFile } from './disk.ts'

/** Bytes of one file, unless a test chooses smaller ones. */
export const walFileBytes = 64 * 1024 * 1024
const magic = 0x414d5157 // "AMQW"
const endMagic = 0x414d5145 // "AMQE"
const magicBytes = Buffer.from('AMQW')
const spareFilesMax = 2
const zeroes = Buffer.alloc(64 * 1024)

interface WalFile {
  readonly number: number
  readonly handle: DiskFile
}

export class LocalWal implements WriteAheadLog {
  readonly #disk: Disk
  readonly #directory: string
  readonly #synced: boolean
  readonly #fileBytes: number
  /** Files that hold frames, oldest first; the last is being written. */
  #files: WalFile[] = []
  /** Preallocated files to come, under the names they will not keep. */
  #spares: string[] = []
  #spareNumber = 0
  #preparing: Promise<void> | null = null
  #at = 0
  #closed = false
  /** Nothing is written before it is known where the log ends. */
  #recovered = false
  position = 0

  constructor(disk: Disk, directory: string, synced: boolean, fileBytes = walFileBytes) {
    this.#fileBytes = fileBytes
    this.#disk = disk
    this.#directory = directory
    this.#synced = synced
  }

  get bytes(): number {
    return (this.#files.length + this.#spares.length) * this.#fileBytes
  }

  async recover(from: number, visit: (frame: Buffer, position: number) => void): Promise<void> {
    await this.#disk.makeDirectory(this.#directory)
    const names = await this.#disk.list(this.#directory)
    for (const name of names) if (name.endsWith('.spare')) await this.#disk.remove(path.join(this.#directory, name))
    const numbers = names.filter((name) => name.endsWith('.wal')).map((name) => Number.parseInt(name, 10))
    numbers.sort((a, b) => a - b)
    for (const number of numbers)
      this.#files.push({ number, handle: await this.#disk.open(this.#path(number), this.#synced, true) })

    let position = from
    let ended = false
    let last: { frame: Buffer; position: number } | null = null
    const see = (frame: Buffer, at: number): void => {
      last = { frame, position: at }
      visit(frame, at)
    }
    for (const file of this.#files) {
      if ((file.number + 1) * this.#fileBytes <= position) continue
      let end = -16
      if (!ended) {
        const scan = await this.#scan(file, Math.max(0, position - file.number * this.#fileBytes), see)
        end = scan.end
        position = file.number * this.#fileBytes + end
        ended = !scan.full
      }
      // The end, maybe a torn one, is behind the last frame ever written. A whole frame after it means that something in the middle was damaged.
      if (await this.#holdsFrames(file, end + 16)) throw damage(this.#path(file.number), Math.max(0, end))
    }
    // A process that was killed may have made or renamed files whose names only the system knows: what is written into them would go with a power cut.
    if (this.#synced) await this.#disk.syncDirectory(this.#directory)
    if (this.#synced && last !== null) await this.#writeAgain(last)
    await this.#startAt(Math.max(position, from))
    this.#recovered = true
  }

  /**
   * A process that was killed, or whose write failed, may have left its last frame with the system but not on the disk, and no sync would tell.
   * From now on it counts as confirmed. Those before it were durable before it was begun.
   */
  async #writeAgain({ frame, position }: { frame: Buffer; position: number }): Promise<void> {
    const number = Math.floor(position / this.#fileBytes)
    const file = this.#files.find((candidate) => candidate.number === number)
    if (file !== undefined) await writeAll(file.handle, frame, frame.length, position - number * this.#fileBytes)
  }

  /** Continues at `position`: the file that holds it becomes the one being written, later ones become free. */
  async #startAt(position: number): Promise<void> {
    const number = Math.floor(position / this.#fileBytes)
    for (const file of this.#files.filter((candidate) => candidate.number > number)) {
      await file.handle.close()
      await this.#disk.remove(this.#path(file.number))
    }
    this.#files = this.#files.filter((candidate) => candidate.number <= number)
    if (this.#files.at(-1)?.number !== number) await this.#addFile(number)
    this.#at = position - number * this.#fileBytes
    this.position = position
    // The next frame's place is cleared, so that what a torn write left there cannot be taken for a frame's beginning.
    const file = this.#files.at(-1) as WalFile // just added when missing
    await writeAll(file.handle, zeroes, Math.min(4096, this.#fileBytes - this.#at), this.#at)
  }

  write(frame: Buffer, length: number, done: (error: Error | null) => void): void {
    const padded = (length + 15) & ~15
    if (length > frameBytesMax) return done(new Error(`a frame of ${length} bytes exceeds ${frameBytesMax}`))
    if (this.#closed) return done(new Error('the write-ahead log is closed'))
    if (!this.#recovered) return done(new Error('the write-ahead log is not recovered yet'))
    if (this.#at + padded > this.#fileBytes) {
      this.#nextFile().then(
        () => this.#put(frame, length, padded, done),
        (error: Error) => done(error),
      )
      return
    }
    this.#put(frame, length, padded, done)
  }

  #put(frame: Buffer, length: number, padded: number, done: (error: Error | null) => void): void {
    const file = this.#files.at(-1) as WalFile // there is always one after recover()
    frame.writeUInt32BE(magic, 0)
    frame.writeUInt32BE(length, 4)
    putU64(frame, 8, this.position)
    frame.writeUInt32BE(0, 20)
    frame.writeUInt32BE(crc32c(frame, 20, length), 16)
    const at = this.#at
    this.#at += padded
    this.position += padded
    file.handle.write(frame, length, at, done)
    // Prepare the file after this one while this one is still being filled.
    if (at > this.#fileBytes / 2 && this.#spares.length === 0 && this.#preparing === null) {
      this.#preparing = this.#prepareSpare()
        .catch(() => undefined) // tried again, and reported, when the file is needed
        .finally(() => {
          this.#preparing = null
        })
    }
  }

  async #nextFile(): Promise<void> {
    const last = this.#files.at(-1) as WalFile // there is always one after recover()
    const number = last.number + 1
    if (this.#at + frameHeaderBytes <= this.#fileBytes) {
      const mark = Buffer.alloc(frameHeaderBytes)
      mark.writeUInt32BE(endMagic, 0)
      putU64(mark, 8, this.position)
      await writeAll(last.handle, mark, mark.length, this.#at)
    }
    await this.#preparing
    await this.#addFile(number)
    this.#at = 0
    this.position = number * this.#fileBytes
  }

  async #addFile(number: number): Promise<void> {
    if (this.#spares.length === 0) await this.#prepareSpare()
    const spare = this.#spares.shift() as string // one was just prepared
    await this.#disk.rename(spare, this.#path(number))
    await this.#disk.syncDirectory(this.#directory)
    this.#files.push({ number, handle: await this.#disk.open(this.#path(number), this.#synced, true) })
  }

  async #prepareSpare(): Promise<void> {
    const name = path.join(this.#directory, `${this.#spareNumber++}.spare`)
    const handle = await this.#disk.open(name, false)
    try {
      for (let at = 0; at < this.#fileBytes; at += zeroes.length)
        await writeAll(handle, zeroes, Math.min(zeroes.length, this.#fileBytes - at), at)
      if (this.#synced) await handle.sync()
    } catch (error) {
      await handle.close()
      await this.#disk.remove(name)
      throw error
    }
    await handle.close()
    this.#spares.push(name)
  }

  async trim(position: number): Promise<void> {
    while (this.#files.length > 1) {
      const oldest = this.#files[0] as WalFile // length > 1
      if ((oldest.number + 1) * this.#fileBytes > position) return
      this.#files.shift()
      await oldest.handle.close()
      if (this.#spares.length < spareFilesMax) {
        const name = path.join(this.#directory, `${this.#spareNumber++}.spare`)
        await this.#disk.rename(this.#path(oldest.number), name)
        this.#spares.push(name)
      } else await this.#disk.remove(this.#path(oldest.number))
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#preparing
    for (const file of this.#files) await file.handle.close()
    this.#files = []
  }

  #path(number: number): string {
    return path.join(this.#directory, `${String(number).padStart(12, '0')}.wal`)
  }

  /** Visits whole frames from `begin`. `full`: the log went on in the next file. */
  async #scan(
    file: WalFile,
    begin: number,
    visit: (frame: Buffer, position: number) => void,
  ): Promise<{ end: number; full: boolean }> {
    const reader = new Reader(file.handle, this.#fileBytes)
    let at = begin
    for (;;) {
      const state = await readFrame(reader, file.number * this.#fileBytes, at)
      if (state === 'misplaced')
        throw new Error(
          `write-ahead log: ${this.#path(file.number)} is damaged at byte ${at}: a later frame stands in the place of another, so nothing was cut off`,
        )
      if (typeof state !== 'object') return { end: at, full: state === 'full' }
      visit(state, file.number * this.#fileBytes + at)
      at += (state.length + 15) & ~15
    }
  }

  /** Whether a whole frame of this life of the file stands at or after `from`. */
  async #holdsFrames(file: WalFile, from: number): Promise<boolean> {
    const reader = new Reader(file.handle, this.#fileBytes)
    const base = file.number * this.#fileBytes
    for (let at = (from + 15) & ~15; at + frameHeaderBytes <= this.#fileBytes; ) {
      const window = await reader.window(at)
      if (window.length < frameHeaderBytes) return false
      const found = window.indexOf(magicBytes)
      if (found < 0) {
        at += Math.max(16, (window.length - 3) & ~15)
        continue
      }
      const place = at + found
      if (place % 16 === 0 && typeof (await readFrame(reader, base, place)) === 'object') return true
      at = (place + 16) & ~15
    }
    return false
  }
}

async function readFrame(reader: Reader, base: number, at: number): Promise<Buffer | 'none' | 'torn' | 'full' | 'misplaced'> {
  if (at + frameHeaderBytes > reader.fileBytes) return 'full'
  const head = await reader.bytes(at, frameHeaderBytes)
  if (head === null) return 'none'
  const position = getU64(head, 8)
  if (head.readUInt32BE(0) === endMagic && position === base + at) return 'full'
  if (head.readUInt32BE(0) !== magic) return head.every((byte) => byte === 0) ? 'none' : 'torn'
  if (position < base + at) return 'none'
  const length = head.readUInt32BE(4)
  if (length < frameHeaderBytes || at + length > reader.fileBytes) return 'torn'
  const frame = await reader.bytes(at, length)
  if (frame === null || crc32c(frame, 20, length) !== frame.readUInt32BE(16)) return 'torn'
  return position === base + at ? frame : 'misplaced'
}

/** Reads ahead in 1 MiB steps, so that a scan does not ask the disk for every frame. */
class Reader {
  readonly #handle: DiskFile
  #window: Buffer = Buffer.alloc(0)
  #windowAt = 0

  readonly fileBytes: number

  constructor(handle: DiskFile, fileBytes: number) {
    this.#handle = handle
    this.fileBytes = fileBytes
  }

  /** What can be had from `at` on: at least a frame's header unless the file ends. */
  async window(at: number): Promise<Buffer> {
    const held = this.#windowAt + this.#window.length - at
    if (at < this.#windowAt || held < 64) await this.bytes(at, Math.min(64, this.fileBytes - at))
    return this.#window.subarray(Math.max(0, at - this.#windowAt))
  }

  async bytes(at: number, length: number): Promise<Buffer | null> {
    if (at < this.#windowAt || at + length > this.#windowAt + this.#window.length) {
      const want = Math.min(Math.max(length, 1024 * 1024), this.fileBytes - at)
      const buffer = Buffer.allocUnsafeSlow(want)
      const bytesRead = await new Promise<number>((resolve, reject) => {
        this.#handle.read(buffer, want, at, (error, count) => (error === null ? resolve(count) : reject(error)))
      })
      this.#window = buffer.subarray(0, bytesRead)
      this.#windowAt = at
      if (length > bytesRead) return null
    }
    return this.#window.subarray(at - this.#windowAt, at - this.#windowAt + length)
  }
}

function writeAll(file: DiskFile, bytes: Buffer, length: number, at: number): Promise<void> {
  return new Promise((resolve, reject) => file.write(bytes, length, at, (error) => (error === null ? resolve() : reject(error))))
}

function damage(file: string, at: number): Error {
  return new Error(
    `write-ahead log: damaged frame in ${file} at byte ${at}, with whole frames after it; this is not a torn end, so nothing was cut off`,
  )
}
