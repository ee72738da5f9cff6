/**
 * Group commit: operations of everything that arrived meanwhile go into one frame, one frame is on its way to the disk, and what was
 * waiting for it is told. No timer: an idle committer writes at the end of the turn. After a failed write nothing is confirmed any more.
 */
import { endTurn } from '../lib/turn.ts'
import { frameBytesMax, frameHeaderBytes, type WriteAheadLog } from '../storage/interfaces.ts'
import type { Block } from './block.ts'
import { type EntryContent, entryBytes, entryLength } from './entry.ts'
import type { Log } from './log.ts'
import { type AppendMarks, Frame } from './ops.ts'

const frameBytesFirst = 256 * 1024
/** Kept for reuse up to this size, and so many. */
const frameBytesKept = 6 * 1024 * 1024
const framesKept = 2
/** A frame takes no further group above this, so that one write stays short, and small records stay within 2 MiB. */
export const frameBytesGoal = 1.75 * 1024 * 1024

interface Batch {
  frame: Frame
  /** Logs appended to, each once. */
  touched: Set<Log>
  waiters: ((error: Error | null) => void)[]
  /** Offsets that the touched logs reach with this frame, noted when it takes nothing more. */
  reached: number[]
}

export class Committer {
  readonly #wal: WriteAheadLog
  readonly #onCommitted: (logs: ReadonlySet<Log>) => void
  readonly #beforeWrite: (frame: Frame) => void
  readonly #frameBytesGoal: number
  #filling: Batch
  readonly #spares: Frame[] = []
  /** Batches that are full and wait for the one being written. */
  readonly #full: Batch[] = []
  #writing = false
  #writingFrom = 0
  #scheduled = false
  #groups = 0
  /** Why nothing is confirmed any more; null while all is well. */
  failure: Error | null = null
  commits = 0
  waitingBytes = 0

  /** `beforeWrite` may add lazy operations to a frame about to be written; `onCommitted` hears which logs have newly readable entries. */
  constructor(
    wal: WriteAheadLog,
    beforeWrite: (frame: Frame) => void,
    onCommitted: (logs: ReadonlySet<Log>) => void,
    goal = frameBytesGoal,
  ) {
    this.#wal = wal
    this.#frameBytesGoal = goal
    this.#beforeWrite = beforeWrite
    this.#onCommitted = onCommitted
    this.#filling = { frame: new Frame(frameBytesFirst), touched: new Set(), waiters: [], reached: [] }
  }

  /** Where the last frame that is durable ends in the write-ahead log; another may be on its way behind it. */
  get durablePosition(): number {
    return this.#writing ? this.#writingFrom : this.#wal.position
  }

  /** The frame to add operations to. `bytes` is about how much will be added. */
  frame(bytes: number): Frame {
    const { used } = this.#filling.frame
    if (this.#groups === 0 && (used > this.#frameBytesGoal || used + bytes > frameBytesMax - 1024 * 1024)) this.#rotate()
    this.#schedule()
    return this.#filling.frame
  }

  /** What `run` adds goes into one frame: all of it will have happened, or nothing. `bytes` is about how much that is. */
  atomically(bytes: number, run: () => void): void {
    this.frame(bytes)
    this.#groups++
    try {
      run()
    } finally {
      this.#groups--
    }
  }

  /** Appends to a log and to the frame, in which its bytes become durable. Returns the base offset. */
  append(log: Log, content: EntryContent, marks: AppendMarks): number {
    // The frame first: a full one is closed here, and must not count what the log is about to get.
    const frame = this.frame(entryBytes(content))
    const base = log.append(content)
    const { buffer } = log.lastBlock as Block // just appended to
    frame.append(log.id, marks, buffer, log.lastStart, log.lastStart + entryLength(buffer, log.lastStart))
    this.#filling.touched.add(log)
    return base
  }

  /** Calls `done` once everything added so far is durable. */
  whenDurable(done: (error: Error | null) => void): void {
    if (this.failure !== null) {
      const failure = this.failure
      queueMicrotask(() => done(failure))
      return
    }
    this.#filling.waiters.push(done)
    this.#schedule()
  }

  #rotate(): void {
    if (this.#filling.frame.empty) return
    this.#full.push(this.#closeFilling())
  }

  /** Ends the frame being filled, with what rides along. */
  #closeFilling(): Batch {
    const batch = this.#filling
    // As a group: what rides along may add operations of its own, which belong to this frame too.
    this.#groups++
    try {
      this.#beforeWrite(batch.frame)
    } finally {
      this.#groups--
    }
    // More may be appended to the same logs while the frame is being written, so what it reaches is noted now.
    for (const log of batch.touched) batch.reached.push(log.next)
    this.#filling = { frame: this.#takeFrame(), touched: new Set(), waiters: [], reached: [] }
    return batch
  }

  #takeFrame(): Frame {
    return this.#spares.pop() ?? new Frame(frameBytesFirst)
  }

  #schedule(): void {
    if (this.#scheduled || this.#writing) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#write()
    })
  }

  #write(): void {
    if (this.#writing) return
    if (this.failure !== null) return this.#failAll()
    const current = this.#full.shift() ?? this.#closeFilling()
    if (current.frame.empty) return this.#finish(current, null)
    this.#writing = true
    this.#writingFrom = this.#wal.position
    this.#wal.write(current.frame.buffer, current.frame.used, (error) => {
      this.#writing = false
      // The disk goes on while those who waited for this frame are answered.
      if (error === null && (this.#full.length > 0 || !this.#filling.frame.empty)) this.#write()
      this.#finish(current, error)
    })
  }

  #finish(batch: Batch, error: Error | null): void {
    if (error !== null) {
      this.failure = error
      for (const waiter of batch.waiters) waiter(error)
      return this.#failAll()
    }
    if (!batch.frame.empty) this.commits++
    let index = 0
    for (const log of batch.touched) log.commit(batch.reached[index++] as number) // one for each log
    if (batch.frame.buffer.length <= frameBytesKept && this.#spares.length < framesKept) {
      batch.frame.used = frameHeaderBytes
      this.#spares.push(batch.frame)
    }
    endTurn(() => {
      for (const waiter of batch.waiters) waiter(null)
    })
    this.#onCommitted(batch.touched)
    if (this.#full.length > 0 || !this.#filling.frame.empty || this.#filling.waiters.length > 0) this.#schedule()
  }

  #failAll(): void {
    const error = this.failure ?? new Error('the write-ahead log failed')
    for (const batch of [...this.#full.splice(0), this.#filling]) {
      for (const waiter of batch.waiters.splice(0)) waiter(error)
    }
  }
}
