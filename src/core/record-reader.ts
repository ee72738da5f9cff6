/** Single records of a log by their offset, durable or not: at once where they stand in memory, after {@link RecordReader.load} where on the disk alone. */
import type { LogRecords, ReadyRecord } from '../broker/face.ts'
import { entryBase, entryCount, entryFormat, entryLength, entryPayload, entryTimestamp } from './entry.ts'
import { Slot } from './lane.ts'
import { type Log, skipTo } from './log.ts'
import { formats } from './record.ts'

const loadBytes = 128 * 1024

export class RecordReader {
  readonly #log: Log
  /** What {@link load} brought in last, from where on, and where in it the last look ended. */
  #loaded: { readonly from: number; readonly buffer: Buffer; readonly start: number; readonly end: number } | null = null
  #loadedAt = 0
  /** The batch that was opened last. */
  #batch: readonly (Buffer | null)[] = []
  #batchBuffer: Buffer | null = null
  #batchAt = -1

  constructor(log: Log) {
    this.#log = log
  }

  load(offset: number, done: (error: Error | null) => void): void {
    this.#log.readChunk(offset, loadBytes, (error, buffer, start, end) => {
      this.#loaded = { from: offset, buffer, start, end }
      this.#loadedAt = start
      done(error)
    })
  }

  /** Puts a record into the slot; false: it is nowhere, undefined: it has to be loaded. */
  find(offset: number, slot: Slot): boolean | undefined {
    const block = this.#log.blockOf(offset)
    if (block !== undefined) return this.#fill(slot, block.buffer, block.locate(offset), block.used, offset)
    const loaded = this.#loaded
    if (loaded === null || offset < loaded.from) return undefined
    const { buffer, start, end } = loaded
    if (start === end || offset < entryBase(buffer, start)) return false
    if (this.#loadedAt >= end || entryBase(buffer, this.#loadedAt) > offset) this.#loadedAt = start
    this.#loadedAt = skipTo(buffer, this.#loadedAt, end, offset)
    if (this.#loadedAt === end) return undefined
    return this.#fill(slot, buffer, this.#loadedAt, end, offset)
  }

  #fill(slot: Slot, buffer: Buffer, at: number, end: number, offset: number): boolean {
    if (at >= end) return false
    const base = entryBase(buffer, at)
    if (offset < base || offset >= base + entryCount(buffer, at)) return false
    const format = formats.get(entryFormat(buffer, at))
    if (!format.batched || format.open === undefined) {
      slot.fill(buffer, at, offset, null)
      return true
    }
    if (this.#batchBuffer !== buffer || this.#batchAt !== at) {
      const payload = buffer.subarray(entryPayload(buffer, at), at + entryLength(buffer, at))
      this.#batch = format.open(payload, entryTimestamp(buffer, at))
      this.#batchBuffer = buffer
      this.#batchAt = at
    }
    const record = this.#batch[offset - base]
    if (record === null || record === undefined) return false
    slot.fill(buffer, at, offset, record)
    return true
  }
}

/** A log's records for who reads ahead of what is durable. */
export class LogView implements LogRecords {
  readonly #log: Log
  readonly #reader: RecordReader
  readonly #slot = new Slot()

  constructor(log: Log) {
    this.#log = log
    this.#reader = new RecordReader(log)
  }

  get start(): number {
    return this.#log.start
  }

  get next(): number {
    return this.#log.ahead
  }

  get count(): number {
    return this.#log.records
  }

  nextKept(offset: number): number {
    return Math.min(this.#log.nextKept(Math.max(offset, this.#log.start)), this.next)
  }

  get(offset: number): ReadyRecord | null | undefined {
    if (offset < this.#log.start || offset >= this.next || this.#log.hides(offset)) return null
    const found = this.#reader.find(offset, this.#slot)
    return found === undefined ? undefined : found ? this.#slot : null
  }

  load(offset: number, done: (error: Error | null) => void): void {
    this.#reader.load(offset, done)
  }
}
