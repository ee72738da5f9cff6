/**
 * A log: one ordered sequence of entries. The newest stand in memory blocks; older ones in segments, written in the background.
 * Four offsets matter: `start` (first kept), `stable` (subscriptions stop here: what follows may be part of an open transaction), `committed`
 * (readers stop here: what follows could still be taken back by a crash), `next`.
 * Next on the way of a publish: shard.ts puts the same bytes into the write-ahead log.
 */
import type { SegmentStore } from '../storage/interfaces.ts'
import { AckSet } from './ackset.ts'
import { Block, skipTo } from './block.ts'
import { Decisions } from './decisions.ts'
import {
  type EntryContent,
  EntryFlag,
  entryBase,
  entryBytes,
  entryCount,
  entryHeaderBytes,
  entryIsWhole,
  entryLength,
  entryTimestamp,
} from './entry.ts'
import type { HoldBack } from './hold-back.ts'
import type { Chunk, ReadAhead } from './read-ahead.ts'
import type { ReadBuffers } from './read-buffers.ts'
import { formats } from './record.ts'
import { Segment } from './segment.ts'

const readBytesMin = 64 * 1024

/**
 * Called with a stretch of whole entries `buffer[start..end)`; an empty one when there is nothing (yet) from that offset on. Whoever calls `giveBack`
 * lets its memory be used again, and keeps no view of it; null where it is shared. Who never calls it leaves it to the garbage collector.
 */
export type ChunkDone = (error: Error | null, buffer: Buffer, start: number, end: number, giveBack: (() => void) | null) => void

const nothing = Buffer.alloc(0)

export class Log {
  readonly id: number
  readonly #store: SegmentStore
  start = 0
  committed = 0
  next = 0
  /** Newest entries, oldest first. What they hold follows what the segments hold, without a gap but with some overlap. */
  readonly blocks: Block[] = []
  readonly segments: Segment[] = []
  /** Live entries below this stand in segments. */
  flushedTo = 0
  flushing = false
  #afterFlush: (() => void)[] = []
  /** Retention by key has been here: below this, what segments hold counts, and blocks may hold more. */
  cleanedTo = 0
  /** What the last checkpoint says of it. */
  savedState = ''
  /** The record whose way to its first consumer is being measured, and since when; -1: none. */
  sampleOffset = -1
  sampledAt = 0
  memoryBytes = 0
  timestampMax = 0
  /** Of producers with transactions; null as long as there was none. */
  decisions: Decisions | null = null
  /** Single records that were taken away; null as long as there was none. */
  removed: AckSet | null = null
  /** Grows whenever records go, singly or from the front. */
  gone = 0
  segmentBytes: number
  readonly inMemory: boolean
  /** Tells the owner of the memory budget of new blocks, and of those let go. */
  readonly #onBlock: (log: Log, block: Block) => void
  readonly #readAhead: ReadAhead | null
  readonly #buffers: ReadBuffers | null

  constructor(
    id: number,
    store: SegmentStore,
    segmentBytes: number,
    inMemory: boolean,
    onBlock: (log: Log, block: Block) => void,
    readAhead: ReadAhead | null = null,
  ) {
    this.#readAhead = readAhead
    this.#buffers = readAhead?.buffers ?? null
    this.id = id
    this.#store = store
    this.segmentBytes = segmentBytes
    this.inMemory = inMemory
    this.#onBlock = onBlock
  }

  /** What is stored and not to be seen yet. null: nothing ever was. */
  held: HoldBack | null = null
  /** Where the entry of the last {@link append} stands; null once it may be gone. */
  lastBlock: Block | null = null
  lastStart = 0

  /** Appends in memory and returns the base offset; readable after {@link commit}. */
  append(content: EntryContent): number {
    const base = this.next
    const block = this.#room(content, base)
    this.lastStart = block.append(content, formats.has(content.format) ? formats.get(content.format) : null)
    this.lastBlock = block
    this.next = block.next
    if (content.timestamp > this.timestampMax) this.timestampMax = content.timestamp
    return base
  }

  #room(content: EntryContent, base: number): Block {
    const last = this.blocks.at(-1)
    if (last !== undefined && last.next === base && last.fits(entryBytes(content))) return last
    return this.#push(Block.for(base, content, last))
  }

  #push(block: Block): Block {
    this.blocks.push(block)
    this.memoryBytes += block.buffer.length
    this.#onBlock(this, block)
    return block
  }

  /** Recovery: an entry in its stored form. One that the segments hold already is passed over. */
  restore(entry: Buffer): void {
    const base = entryBase(entry, 0)
    const next = base + entryCount(entry, 0)
    if (base >= this.flushedTo && next > this.start && base >= this.next) {
      let block = this.blocks.at(-1)
      if (block === undefined || !block.fits(entry.length)) {
        block = this.#push(new Block(base, Math.max(entry.length, Math.min((block?.buffer.length ?? 512) * 4, 256 * 1024))))
      }
      block.restore(entry)
    }
    if (next > this.next) this.next = next
    const timestamp = entryTimestamp(entry, 0)
    if (timestamp > this.timestampMax) this.timestampMax = timestamp
    this.committed = this.next
    this.decisions?.settle(this.committed)
  }

  /** All below `offset` is durable, so readers may see it. */
  commit(offset: number): void {
    if (offset <= this.committed) return
    this.committed = offset
    this.decisions?.settle(offset)
  }

  /** Notes what an entry's flags say of transactions; false when they say nothing. */
  noteFlags(flags: number, producerId: number, base: number, next: number): boolean {
    if ((flags & (EntryFlag.Marker | EntryFlag.Undecided)) === 0) return false
    this.decisions ??= new Decisions()
    if ((flags & EntryFlag.Marker) !== 0) this.decisions.marked(producerId, base, (flags & EntryFlag.Commit) !== 0)
    else this.decisions.stored(producerId, base, next)
    return true
  }

  /** Below this all is durable, and old enough to be seen. */
  get readable(): number {
    return this.held === null ? this.committed : Math.max(this.start, Math.min(this.committed, this.held.visible))
  }

  /** Below this all is readable and decided: as far as subscriptions go. */
  get stable(): number {
    const { readable } = this
    if (this.decisions === null) return readable
    return Math.max(this.start, Math.min(readable, this.decisions.firstUndecided))
  }

  /** As {@link stable}, with what is not durable yet: for who takes it ahead, and tells nobody before it is. */
  get ahead(): number {
    if (this.decisions === null) return this.next
    return Math.max(this.start, Math.min(this.next, this.decisions.firstUndecided))
  }

  /** Whether a record below {@link stable} is none for consumers: it was aborted, is a marker, or was removed. */
  hides(offset: number): boolean {
    return (this.decisions?.hides(offset) ?? false) || this.isRemoved(offset)
  }

  /** Takes a single record away; false when it is not there. */
  remove(offset: number): boolean {
    if (offset < this.start || offset >= this.next) return false
    this.removed ??= new AckSet(this.start)
    if (!this.removed.add(offset)) return false
    this.gone++
    return true
  }

  isRemoved(offset: number): boolean {
    return this.removed?.has(offset) ?? false
  }

  /** The first record that is not removed, at or after `offset`. */
  nextKept(offset: number): number {
    return this.removed === null ? offset : Math.min(this.removed.nextMissing(offset), this.next)
  }

  /** Records that are there, as far as offsets tell: what retention by key has left out is counted. */
  get records(): number {
    if (this.removed === null) return this.next - this.start
    return Math.max(0, this.next - Math.max(this.start, this.removed.floor) - this.removed.above)
  }

  get bytes(): number {
    let bytes = 0
    for (const segment of this.segments) bytes += segment.bytes
    for (const block of this.blocks) bytes += block.used - block.flushed
    return bytes
  }

  /** About how much is kept from `offset` on: exact where it stands in memory; in segments as if the records between two places of the index were alike. */
  bytesFrom(offset: number): number {
    let bytes = 0
    for (const segment of this.segments) {
      if (segment.next <= offset) continue
      bytes += segment.base >= offset ? segment.bytes : segment.bytes - segment.placeAbout(offset)
    }
    for (const block of this.blocks) {
      if (block.next <= offset) continue
      bytes += block.used - Math.max(block.flushed, block.base >= offset ? 0 : block.locate(offset))
    }
    return bytes
  }

  /** Whether {@link readChunk} from `offset` answers without the store. */
  inBlocks(offset: number): boolean {
    const first = this.blocks[0]
    if (offset < this.cleanedTo) return offset >= this.committed
    return offset >= this.committed || (first !== undefined && offset >= first.base) || offset >= this.flushedTo
  }

  /** The block in which the entry of `offset` is, or the next one, durable or not; undefined where only the store has it, or nobody. */
  blockOf(offset: number): Block | undefined {
    return offset >= this.committed || this.inBlocks(offset) ? this.#block(offset) : undefined
  }

  #block(offset: number): Block | undefined {
    const last = this.blocks.at(-1)
    if (last !== undefined && offset >= last.base) return offset < last.next ? last : undefined
    const { blocks } = this
    let low = 0
    let high = blocks.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((blocks[middle] as Block).next <= offset)
        low = middle + 1 // middle < length
      else high = middle
    }
    return blocks[low]
  }

  /** Up to about `maxBytes` of whole entries, the first being the one that holds `offset` or the next after it. May answer at once. */
  readChunk(offset: number, maxBytes: number, done: ChunkDone): void {
    if (offset >= this.committed) return done(null, nothing, 0, 0, null)
    const from = Math.max(offset, this.start)
    if (this.inBlocks(from)) return this.#readBlocks(from, maxBytes, done)
    this.#readSegments(from, maxBytes, done)
  }

  #readBlocks(offset: number, maxBytes: number, done: ChunkDone): void {
    const block = this.#block(offset)
    if (block === undefined) return done(null, nothing, 0, 0, null)
    const start = block.locate(offset)
    // Only what is committed: within a block, offsets grow, so the readable part is a prefix.
    const readable = block.next <= this.committed ? block.used : block.locate(this.committed)
    done(null, block.buffer, start, endWithin(block.buffer, start, readable, maxBytes), null)
  }

  #readSegments(offset: number, maxBytes: number, done: ChunkDone): void {
    const segment = this.segments.find((candidate) => candidate.next > offset)
    if (segment === undefined) return this.#readBlocks(Math.max(offset, this.cleanedTo), maxBytes, done)
    if (segment.damage !== null) return done(new Error(segment.damage), nothing, 0, 0, null)
    const answer = (chunk: Chunk): void => {
      this.#readAhead?.went(this, offset, maxBytes, chunk, (read) => this.#readOn(chunk, maxBytes, read))
      done(null, chunk.buffer, chunk.start, chunk.end, () => this.#buffers?.give(chunk.buffer))
    }
    const ahead = this.#readAhead?.take(this, offset, maxBytes, (chunk) => {
      // Deleted or replaced meanwhile, or it could not be read.
      if (chunk === null || chunk.segment.damage !== null || !this.segments.includes(chunk.segment))
        this.readChunk(offset, maxBytes, done)
      else answer(chunk)
    })
    if (ahead === true) return
    this.#readAt(segment, segment.placeOf(offset), Math.max(readBytesMin, maxBytes), offset, maxBytes, done, answer)
  }

  /** What stands behind a chunk, for whoever will ask for it. */
  #readOn({ segment, place, next }: Chunk, maxBytes: number, read: (chunk: Chunk | null) => void): void {
    this.#readAt(segment, place, Math.max(readBytesMin, maxBytes), next, maxBytes, () => read(null), read)
  }

  /** `done` is given errors, and what turns out to stand not in this segment. */
  #readAt(
    segment: Segment,
    place: number,
    bytes: number,
    offset: number,
    maxBytes: number,
    done: ChunkDone,
    found: (chunk: Chunk) => void,
  ): void {
    const wanted = Math.min(bytes, segment.bytes - place)
    const buffer = this.#buffers?.take(wanted) ?? Buffer.allocUnsafeSlow(wanted)
    this.#store.read(this.id, segment.object, place, buffer, (error, read) => {
      // Deleted or replaced meanwhile: read what is there now.
      if (!this.segments.includes(segment)) return this.readChunk(offset, maxBytes, done)
      if (error !== null) return done(error, nothing, 0, 0, null)
      if (read < wanted) return done(this.#damaged(segment, place + read), nothing, 0, 0, null)
      let at = 0
      let whole = 0
      let start = -1
      // An entry that is whole may still be one that belongs elsewhere.
      let next = segment.offsetAt(place)
      if (next >= 0 && entryBase(buffer, 0) !== next) return done(this.#damaged(segment, place), nothing, 0, 0, null)
      while (at + 4 <= buffer.length) {
        const length = entryLength(buffer, at)
        if (length < entryHeaderBytes || length > segment.bytes)
          return done(this.#damaged(segment, place + at), nothing, 0, 0, null)
        if (at + length > buffer.length) break
        const base = entryBase(buffer, at)
        if (base < next || !entryIsWhole(buffer, at, at + length))
          return done(this.#damaged(segment, place + at), nothing, 0, 0, null)
        next = base + entryCount(buffer, at)
        if (start < 0 && next > offset) start = at
        at += length
        whole = at
      }
      if (start < 0) {
        // The entry lies further on, or is longer than what was read.
        const needed = whole === 0 && buffer.length >= 4 ? entryLength(buffer, 0) : bytes
        if (place + whole >= segment.bytes) return this.readChunk(Math.max(segment.next, offset), maxBytes, done)
        if (wanted < bytes && whole === 0) return done(this.#damaged(segment, place), nothing, 0, 0, null)
        return this.#readAt(segment, place + whole, Math.max(needed, bytes), offset, maxBytes, done, found)
      }
      const end = endWithin(buffer, start, whole, maxBytes)
      found({ segment, buffer, start, end, next: end < whole ? entryBase(buffer, end) : next, place: place + end })
    })
  }

  #damaged(segment: Segment, place: number): Error {
    segment.damage = `log ${this.id}: segment ${segment.base} is damaged at byte ${place}; offsets from ${segment.base} to ${segment.next - 1} are affected`
    return new Error(segment.damage)
  }

  /** Everything below `offset` is not needed any more. Returns segments that can be deleted. */
  truncateFront(offset: number): Segment[] {
    if (offset > this.start) {
      this.start = Math.min(offset, this.next)
      this.decisions?.truncate(this.start)
      this.removed?.raiseTo(this.start)
      this.gone++
    }
    let dropped = 0
    for (const block of this.blocks) {
      const last = dropped === this.blocks.length - 1
      if (block.next > this.start || block.next > this.committed || (last && !this.#worthDropping(block))) break
      this.#forget(block)
      dropped++
    }
    if (dropped > 0) this.blocks.splice(0, dropped)
    const dead: Segment[] = []
    while (this.segments.length > 0) {
      const segment = this.segments[0] as Segment // length > 0
      if (segment.next > this.start || this.flushing) break
      dead.push(segment)
      this.segments.shift()
    }
    return dead
  }

  /** Puts one segment, or none, in the place of several neighbours. False when these are not all there any more. */
  replace(old: readonly Segment[], by: Segment | null): boolean {
    const at = this.segments.indexOf(old[0] as Segment) // never empty
    if (at < 0 || old.some((segment, index) => this.segments[at + index] !== segment)) return false
    this.segments.splice(at, old.length, ...(by === null ? [] : [by]))
    return true
  }

  /** Everything below `offset` in segments is clean; blocks that hold what was removed go. */
  cleaned(offset: number): void {
    if (offset > this.cleanedTo) this.cleanedTo = offset
    for (let block = this.blocks[0]; block !== undefined && block.next <= this.cleanedTo; block = this.blocks[0]) {
      if (!this.evict(block)) break
    }
  }

  /** The last block goes on being filled unless it is nearly full. */
  #worthDropping(block: Block): boolean {
    return block.used * 2 > block.buffer.length
  }

  #forget(block: Block): void {
    this.memoryBytes -= block.buffer.length
    block.gone = true
    if (this.lastBlock === block) this.lastBlock = null
    this.#onBlock(this, block)
  }

  /** The log is deleted: what it holds goes, and whatever works on its segments finds them gone. Readers may still hold views of blocks. */
  discard(): void {
    for (const block of this.blocks.splice(0)) this.#forget(block)
    this.segments.length = 0
  }

  /** Lets the oldest blocks go up to this one, as far as all of them stands in segments; returns whether this one went. */
  evict(block: Block): boolean {
    if (this.inMemory) return false
    for (let oldest = this.blocks[0]; oldest !== undefined && !block.gone; oldest = this.blocks[0]) {
      if (oldest.flushed < oldest.used || oldest.next > this.flushedTo) break
      this.blocks.shift()
      this.#forget(oldest)
    }
    return block.gone
  }

  /** Calls `run` soon after the flush under way. */
  afterFlush(run: () => void): void {
    this.#afterFlush.push(run)
  }

  /**
   * Writes committed entries that are not in segments yet, `isDone` ones left out, up to `upTo`. One at a time; `done` with null when written (not synced).
   */
  flush(upTo: number, isDone: ((from: number, to: number) => boolean) | null, done: (error: Error | null) => void): void {
    const limit = Math.min(upTo, this.committed)
    if (limit <= this.flushedTo) return done(null)
    const chunks: Buffer[] = []
    const marks: { block: Block; used: number }[] = []
    let segment = this.segments.at(-1)
    if (segment === undefined || segment.sealed || segment.bytes >= this.segmentBytes) {
      if (segment !== undefined) segment.sealed = true
      segment = undefined
    }
    let place = segment?.bytes ?? 0
    const begin = place
    let target = segment
    let next = this.flushedTo
    for (const block of this.blocks) {
      if (block.flushed === block.used) continue
      const end = block.next <= limit ? block.used : block.locate(limit)
      let runStart = -1
      for (let at = block.flushed; at < end; ) {
        const length = entryLength(block.buffer, at)
        const base = entryBase(block.buffer, at)
        const count = entryCount(block.buffer, at)
        const dead = isDone?.(base, base + count) ?? false
        if (dead && runStart >= 0) {
          chunks.push(block.buffer.subarray(runStart, at))
          runStart = -1
        }
        if (!dead) {
          if (runStart < 0) runStart = at
          if (target === undefined) target = new Segment(base)
          target.note(place, block.buffer, at, count)
          place += length
        }
        next = base + count
        at += length
      }
      if (runStart >= 0) chunks.push(block.buffer.subarray(runStart, end))
      marks.push({ block, used: end })
      if (end < block.used || place - begin >= 4 * 1024 * 1024 || place >= this.segmentBytes) break
    }
    const flushedTo = Math.max(this.flushedTo, next)
    if (target === undefined || chunks.length === 0) {
      for (const { block, used } of marks) block.flushed = used
      this.flushedTo = flushedTo
      return done(null)
    }
    const into = target
    this.flushing = true
    this.#store.append(this.id, into.object, begin, chunks, (error) => {
      this.flushing = false
      for (const run of this.#afterFlush.splice(0)) setImmediate(run)
      if (error !== null) {
        if (into.bytes === 0 && !this.segments.includes(into)) return done(error)
        into.sealed = true
        return done(error)
      }
      for (const { block, used } of marks) block.flushed = used
      if (!this.segments.includes(into)) this.segments.push(into)
      into.bytes = place
      into.next = flushedTo
      into.dirty = true
      this.flushedTo = flushedTo
      done(null)
    })
  }
}

/** The end of as many whole entries from `start` as fit into `maxBytes`, at least one. */
function endWithin(buffer: Buffer, start: number, end: number, maxBytes: number): number {
  if (end - start <= maxBytes) return end
  let at = start
  do {
    const after = at + entryLength(buffer, at)
    if (after - start > maxBytes && at > start) break
    at = after
  } while (at < end)
  return at
}

export { skipTo }
