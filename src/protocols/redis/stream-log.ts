/**
 * A stream's entries: ids against offsets. An entry that Redis added carries its id. A record of another protocol gets one from its time and its offset, and
 * always one greater than the entry's before it. In memory stands the id of each 256th entry; the first command on a stream since the broker
 * started reads it through for that.
 */
import type { LogRecords, ReadyRecord } from '../../broker/face.ts'
import type { Missing, Steps } from './list.ts'
import { entryId, type Pairs, pairsOf } from './stream-envelope.ts'
import { compareIds, idMin, idText, nextId, type StreamId } from './stream-id.ts'

const entriesPerMark = 256

interface Mark {
  readonly offset: number
  /** Of the entry at the offset, or before it where that is gone. */
  readonly id: StreamId
}

export class Entry {
  readonly id: StreamId
  readonly offset: number
  readonly #format: number
  readonly #buffer: Buffer
  readonly #start: number
  readonly #end: number
  #idText: string | null = null

  constructor(id: StreamId, offset: number, { format, buffer, start, end }: ReadyRecord) {
    this.id = id
    this.offset = offset
    this.#format = format
    this.#buffer = buffer
    this.#start = start
    this.#end = end
  }

  get idText(): string {
    this.#idText ??= idText(this.id)
    return this.#idText
  }

  get pairs(): Pairs {
    return pairsOf({ format: this.#format, buffer: this.#buffer, start: this.#start, end: this.#end })
  }
}

export class StreamLog {
  readonly records: LogRecords
  readonly #marks: Mark[] = []
  /** Known up to here, and the id of the last one before. */
  #known: number
  #last: StreamId = idMin
  /** What was given last: readers go on from there. */
  #found: Mark | null = null
  /** The oldest entry, as long as it is the oldest: whoever asks for its id alone must not have it read from the disk each time. */
  #oldest: Mark | null = null

  constructor(records: LogRecords) {
    this.records = records
    this.#known = records.start
  }

  get length(): number {
    return this.records.count
  }

  /** Up to here every entry's id is known. */
  get known(): number {
    return this.#known
  }

  /** Whether every entry's id is known. */
  get isKnown(): boolean {
    return this.#known >= this.records.next
  }

  /** The greatest id that any entry had, as far as entries tell. */
  get last(): StreamId {
    return this.#last
  }

  /** Reads what came in from elsewhere. */
  *catchUp(): Steps<void> {
    while (this.#known < this.records.next) {
      const offset = this.#known
      const record = yield* this.#get(offset)
      this.#note(offset, record === null ? this.#last : this.idOf(record, offset, this.#last))
    }
  }

  /** An entry was added, and this is its id. */
  added(offset: number, id: StreamId): void {
    if (offset === this.#known) this.#note(offset, id)
  }

  /** From here on entries follow this id; greater ones are gone. */
  setLast(id: StreamId): void {
    for (let mark = this.#marks.at(-1); mark !== undefined && compareIds(mark.id, id) > 0; mark = this.#marks.at(-1))
      this.#marks.pop()
    if (this.#found !== null && compareIds(this.#found.id, id) > 0) this.#found = null
    this.#last = id
  }

  #note(offset: number, id: StreamId): void {
    const mark = this.#marks.at(-1)
    if (mark === undefined || offset >= mark.offset + entriesPerMark) {
      this.#marks.push({ offset, id })
      const { start } = this.records
      let gone = 0
      while ((this.#marks[gone + 1]?.offset ?? Infinity) <= start) gone++
      if (gone > entriesPerMark) this.#marks.splice(0, gone)
    }
    this.#known = offset + 1
    this.#last = id
  }

  /** What a record's id is behind one that has `before`. */
  idOf(record: ReadyRecord, offset: number, before: StreamId): StreamId {
    const own = entryId(record)
    if (own !== null) return own
    const timed: StreamId = { ms: Math.max(0, record.timestamp), seq: offset }
    if (compareIds(timed, before) > 0) return timed
    const next = { ms: before.ms, seq: offset }
    return compareIds(next, before) > 0 ? next : (nextId(before) ?? before)
  }

  /** The first entry at or after an id; null: there is none. */
  *atOrAfter(id: StreamId): Steps<Entry | null> {
    if (compareIds(id, this.#last) > 0) return null
    for (const walk = this.#from(this.#placeBefore(id)); ; ) {
      const entry = walk.next()
      if (entry === undefined) yield walk.missing
      else if (entry === null || compareIds(entry.id, id) >= 0) return entry
    }
  }

  /** The entry with this id; null when it is gone or never was. */
  *find(id: StreamId): Steps<Entry | null> {
    const entry = yield* this.atOrAfter(id)
    return entry !== null && compareIds(entry.id, id) === 0 ? entry : null
  }

  /** Entries from `start` to `end`, at most `count` (0: all). */
  *range(start: StreamId, end: StreamId, count: number): Steps<Entry[]> {
    if (!this.isKnown) yield* this.catchUp()
    const entries: Entry[] = []
    if (compareIds(start, this.#last) > 0 || compareIds(start, end) > 0) return entries
    for (const walk = this.#from(this.#placeBefore(start)); ; ) {
      const entry = walk.next()
      if (entry === undefined) {
        yield walk.missing
        continue
      }
      if (entry === null || compareIds(entry.id, end) > 0) return entries
      if (compareIds(entry.id, start) < 0) continue
      entries.push(entry)
      if (count > 0) this.#found = { offset: entry.offset, id: entry.id }
      if (entries.length === count) return entries
    }
  }

  /** The same from the end. */
  *rangeBack(start: StreamId, end: StreamId, count: number): Steps<Entry[]> {
    yield* this.catchUp()
    const entries: Entry[] = []
    if (this.#marks.length === 0 || compareIds(start, end) > 0) return entries
    for (let mark = this.#markBefore(end); mark >= 0; mark--) {
      const until = this.#marks[mark + 1]?.offset ?? this.#known
      const some: Entry[] = []
      for (const walk = this.#from(this.#marks[mark] ?? null); ; ) {
        const entry = walk.next()
        if (entry === undefined) yield walk.missing
        else if (entry === null || entry.offset >= until || compareIds(entry.id, end) > 0) break
        else if (compareIds(entry.id, start) >= 0) some.push(entry)
      }
      for (const entry of some.reverse()) {
        entries.push(entry)
        if (entries.length === count) return entries
      }
      if (compareIds((this.#marks[mark] as Mark).id, start) < 0) break // mark < length
    }
    return entries
  }

  /** Entries from an offset on, in the order of the log, each with its id; `until` it says so. */
  *oldest(until: (entry: Entry) => boolean): Steps<void> {
    yield* this.catchUp()
    for (const walk = this.#from(this.#placeBefore(idMin)); ; ) {
      const entry = walk.next()
      if (entry === undefined) yield walk.missing
      else if (entry === null || until(entry)) return
    }
  }

  *first(): Steps<Entry | null> {
    let first: Entry | null = null
    yield* this.oldest((entry) => {
      first = entry
      return true
    })
    return first
  }

  /** Of the oldest entry; undefined where it is not known without looking, or there is none. */
  get oldestId(): StreamId | undefined {
    const { records } = this
    return this.#oldest !== null && this.isKnown && this.#oldest.offset === records.nextKept(records.start)
      ? this.#oldest.id
      : undefined
  }

  /** Of the oldest entry; the smallest id when there is none. */
  *firstId(): Steps<StreamId> {
    yield* this.catchUp()
    const known = this.oldestId
    if (known !== undefined) return known
    const offset = this.records.nextKept(this.records.start)
    const entry = yield* this.first()
    // A record before it that is not shown yet may come to be the oldest.
    this.#oldest = entry?.offset === offset ? { offset, id: entry.id } : null
    return entry?.id ?? idMin
  }

  *newest(): Steps<Entry | null> {
    const [entry = null] = yield* this.rangeBack(idMin, this.#last, 1)
    return entry
  }

  /** Where to begin looking for the first entry with an id of `id` or more: certainly not behind it. */
  #placeBefore(id: StreamId): Mark | null {
    const mark = this.#marks[this.#markBefore(id)] ?? null
    const found = this.#found
    if (mark === null || found === null || found.offset < mark.offset || compareIds(found.id, id) > 0) return mark
    return found
  }

  #markBefore(id: StreamId): number {
    let low = 0
    let high = this.#marks.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (compareIds((this.#marks[middle] as Mark).id, id) <= 0)
        low = middle + 1 // middle < length
      else high = middle
    }
    return Math.max(0, low - 1)
  }

  #from(begin: Mark | null): Walk {
    return new Walk(this, begin ?? { offset: this.records.start, id: idMin }, begin !== null)
  }

  *#get(offset: number): Steps<ReadyRecord | null> {
    for (;;) {
      const record = this.records.get(offset)
      if (record !== undefined) return record
      yield { records: this.records, place: offset }
    }
  }
}

/** Entry by entry from a place on. */
class Walk {
  readonly #log: StreamLog
  readonly #begin: Mark
  /** The mark says what id its entry has. */
  readonly #isMarked: boolean
  #offset: number
  #before: StreamId

  constructor(log: StreamLog, begin: Mark, isMarked: boolean) {
    this.#log = log
    this.#begin = begin
    this.#isMarked = isMarked
    this.#offset = begin.offset
    this.#before = begin.id
  }

  /** null: there are no more; undefined: {@link missing} has to be loaded first. */
  next(): Entry | null | undefined {
    const { records } = this.#log
    for (;;) {
      // What is gone is jumped over.
      this.#offset = records.nextKept(this.#offset)
      const at = this.#offset
      if (at >= this.#log.known) return null
      const record = records.get(at)
      if (record === undefined) return undefined
      this.#offset = at + 1
      if (record === null) continue
      if (!this.#isMarked || at !== this.#begin.offset) this.#before = this.#log.idOf(record, at, this.#before)
      return new Entry(this.#before, at, record)
    }
  }

  get missing(): Missing {
    return { records: this.#log.records, place: this.#offset }
  }
}
