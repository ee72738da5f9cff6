/** One stream: its entries, what is remembered beside them, and its groups. What changes state of Redis's own is told to the journal (stream-journal.ts). */
import type { Space } from '../../broker/face.ts'
import type { Request } from '../../lib/resp/request.ts'
import { RedisError } from './errors.ts'
import type { Steps } from './list.ts'
import { storeRecord } from './store-record.ts'
import { type PendingEntry, type StreamChange, type StreamMemory, unknownRead } from './stream-change.ts'
import { encodeEntry, encodeRequested, entryFormatId, type Pairs } from './stream-envelope.ts'
import { Group } from './stream-group.ts'
import { compareIds, idMax, idMin, idText, nextId, parseId, type StreamId, type U64, u64Max } from './stream-id.ts'
import { type Entry, StreamLog } from './stream-log.ts'
import type { Consumer } from './stream-pending.ts'

const ignore = (): void => undefined
/** Approximate trimming lets go of whole stretches of so many. */
const nodeEntries = 100

/** What an entry is to be called: wholly said, its first half, or nothing (`*`). */
export interface WantedId {
  readonly ms: U64 | null
  readonly seq: U64 | null
}

export interface Trimming {
  readonly by: { readonly length: number } | { readonly id: StreamId }
  readonly approximate: boolean
  /** Entries at most; 0: all. */
  readonly limit: number
}

export class Stream {
  readonly name: string
  readonly log: StreamLog
  readonly groups = new Map<string, Group>()
  readonly #space: Space
  readonly #tell: (change: StreamChange) => void
  #memory: StreamMemory

  constructor(space: Space, name: string, memory: StreamMemory | null, tell: (change: StreamChange) => void) {
    this.#space = space
    this.name = name
    this.log = new StreamLog(space.records(name, 0))
    this.#tell = tell
    this.#memory = memory ?? { lastId: idMin, maxDeletedId: idMin, added: 0, at: 0 }
  }

  get length(): number {
    return this.log.length
  }

  /** Of what was read: see {@link StreamLog.catchUp}. */
  get lastId(): StreamId {
    const { lastId } = this.#memory
    return compareIds(this.log.last, lastId) > 0 ? this.log.last : lastId
  }

  get maxDeletedId(): StreamId {
    return this.#memory.maxDeletedId
  }

  get entriesAdded(): number {
    return this.#memory.added + (this.log.records.next - this.#memory.at)
  }

  #remember(change: Partial<StreamMemory>): void {
    this.#memory = {
      lastId: this.lastId,
      maxDeletedId: this.maxDeletedId,
      added: this.entriesAdded,
      at: this.log.records.next,
      ...change,
    }
    this.#tell({ kind: 'memory', memory: this.#memory })
  }

  // ------------------------------------------------------------------------------------------------------------------- adding

  /** The ids of all entries are known. Throws a RedisError, or a CoreError for what cannot be stored. */
  add(wanted: WantedId, pairs: Pairs, now: number): StreamId {
    const id = this.#idFor(wanted, now)
    this.#store(id, encodeEntry(id, pairs))
    return id
  }

  /** The same with fields and values that a request has from its argument `first` on. */
  addRequested(wanted: WantedId, request: Request, first: number, now: number): StreamId {
    const id = this.#idFor(wanted, now)
    this.#store(id, encodeRequested(id, request, first))
    return id
  }

  #store(id: StreamId, envelope: Buffer): void {
    this.log.added(storeRecord(this.#space, this.name, entryFormatId, envelope), id)
  }

  #idFor({ ms, seq }: WantedId, now: number): StreamId {
    const last = this.lastId
    if (ms === 0 && seq === 0) throw new RedisError('ERR The ID specified in XADD must be greater than 0-0')
    const following = nextId(last)
    if (following === null) throw new RedisError('ERR The stream has exhausted the last possible ID, unable to add more items')
    if (ms === null) return last.ms < now ? { ms: now, seq: 0 } : following
    const id = seq !== null ? { ms, seq } : ms !== last.ms ? { ms, seq: 0 } : last.seq === u64Max ? last : following
    if (compareIds(id, last) <= 0)
      throw new RedisError('ERR The ID specified in XADD is equal or smaller than the target stream top item')
    return id
  }

  // ----------------------------------------------------------------------------------------------------------------- removing

  /** Returns how many went. */
  *trim({ by, approximate, limit }: Trimming): Steps<number> {
    yield* this.log.catchUp()
    const { records } = this.log
    let upTo = records.next
    let most = Infinity
    if ('length' in by) most = this.length - by.length
    else upTo = (yield* this.log.atOrAfter(by.id))?.offset ?? records.next
    const gone: number[] = []
    for (let offset = records.nextKept(records.start); offset < upTo && gone.length < most; ) {
      const node = approximate ? this.#node(offset) : [offset]
      const after = records.nextKept((node.at(-1) as number) + 1) // never empty
      if (approximate && (gone.length + node.length > most || (node.at(-1) as number) >= upTo)) break
      if (approximate && limit > 0 && gone.length + node.length > limit) break
      gone.push(...node)
      offset = after
    }
    this.#remove(gone)
    return gone.length
  }

  /** What there still is of the stretch that an offset is in. */
  #node(offset: number): number[] {
    const { records } = this.log
    const end = Math.min(records.next, (Math.floor(offset / nodeEntries) + 1) * nodeEntries)
    const node: number[] = []
    for (let at = offset; at < end; at = records.nextKept(at + 1)) node.push(at)
    return node
  }

  *delete(ids: readonly StreamId[]): Steps<number> {
    yield* this.log.catchUp()
    const gone: Entry[] = []
    for (const id of ids) {
      const entry = yield* this.log.find(id)
      if (entry !== null && !gone.some(({ offset }) => offset === entry.offset)) gone.push(entry)
    }
    this.deleteEntries(gone)
    return gone.length
  }

  deleteEntries(entries: readonly Entry[]): void {
    if (entries.length === 0) return
    let { maxDeletedId } = this
    for (const { id } of entries) if (compareIds(id, maxDeletedId) > 0) maxDeletedId = id
    this.#remove(entries.map(({ offset }) => offset).sort((a, b) => a - b))
    this.#remember({ maxDeletedId })
  }

  #remove(offsets: readonly number[]): void {
    if (offsets.length === 0) return
    const newest = this.log.records.next - 1
    if (offsets.at(-1) === newest) this.#remember({})
    // What is refused is refused at once; that it is durable the reply waits for.
    this.#space.removeRecords(this.name, 0, offsets).catch(ignore)
  }

  /** No entry that is there has a greater id. */
  setId(lastId: StreamId, added: number | null, maxDeletedId: StreamId | null): void {
    this.log.setLast(lastId)
    this.#remember({ lastId, ...(added === null ? {} : { added }), ...(maxDeletedId === null ? {} : { maxDeletedId }) })
  }

  // ------------------------------------------------------------------------------------------------------------------- groups

  createGroup(name: string, lastId: StreamId, entriesRead: number): Group {
    const group = new Group(name, lastId, entriesRead)
    this.groups.set(name, group)
    this.tellGroup(group)
    return group
  }

  tellGroup({ name, lastId, entriesRead }: Group): void {
    this.#tell({ kind: 'group', group: name, lastId: idText(lastId), entriesRead })
  }

  destroyGroup(name: string): boolean {
    if (!this.groups.delete(name)) return false
    this.#tell({ kind: 'ungroup', group: name })
    return true
  }

  consumer(group: Group, name: string, now: number): { consumer: Consumer; isNew: boolean } {
    const present = group.consumers.get(name)
    if (present !== undefined) {
      present.seenAt = now
      return { consumer: present, isNew: false }
    }
    this.#tell({ kind: 'consumer', group: group.name, consumer: name, at: now })
    return { consumer: group.addConsumer(name, now), isNew: true }
  }

  removeConsumer(group: Group, consumer: Consumer): void {
    group.removeConsumer(consumer)
    this.#tell({ kind: 'unconsumer', group: group.name, consumer: consumer.name })
  }

  /** A consumer has an entry in hand that was delivered so many times. */
  give(group: Group, id: StreamId, consumer: Consumer, deliveredAt: number, count: number): void {
    group.pending.set(id, consumer, deliveredAt, count)
    this.#tell({ kind: 'pending', group: group.name, entries: [[id, consumer.name, deliveredAt, count]] })
  }

  /** Returns how many there were. */
  acknowledge(group: Group, ids: readonly StreamId[]): number {
    const done = ids.filter((id) => group.pending.remove(id))
    if (done.length > 0) this.#tell({ kind: 'done', group: group.name, ids: done })
    return done.length
  }

  /** Entries that the group has not had yet are its consumer's. */
  *deliver(group: Group, consumer: Consumer, count: number, noAck: boolean, now: number): Steps<Entry[]> {
    if (!this.log.isKnown) yield* this.log.catchUp()
    const start = nextId(group.lastId)
    const entries = start === null ? [] : yield* this.log.range(start, idMax, count)
    if (entries.length === 0) return entries
    const firstId = this.log.oldestId ?? (yield* this.log.firstId())
    consumer.activeAt = now
    const ids: StreamId[] = []
    for (const { id } of entries) {
      if (this.#countsOn(group, firstId)) group.entriesRead++
      else group.entriesRead = this.#distance(id, firstId)
      group.lastId = id
      if (noAck) continue
      group.pending.set(id, consumer, now, 1)
      ids.push(id)
    }
    const { name, lastId, entriesRead } = group
    this.#tell({ kind: 'delivered', group: name, lastId, entriesRead, consumer: consumer.name, at: now, ids })
    return entries
  }

  /** Entries that the group has still to read; null: it cannot be known. */
  *lag(group: Group): Steps<number | null> {
    yield* this.log.catchUp()
    if (this.entriesAdded === 0) return 0
    const firstId = yield* this.log.firstId()
    if (this.#countsOn(group, firstId)) return this.entriesAdded - group.entriesRead
    const read = this.#distance(group.lastId, firstId)
    return read === unknownRead ? null : this.entriesAdded - read
  }

  /** Whether what a group has read can be counted on from what is known of it: nothing before what it read last is missing. */
  #countsOn({ entriesRead, lastId }: Group, firstId: StreamId): boolean {
    return entriesRead !== unknownRead && compareIds(lastId, firstId) >= 0 && !this.#hasTombstones(lastId, firstId)
  }

  /** Whether single entries behind an id were deleted: then counting says nothing. */
  #hasTombstones(from: StreamId, firstId: StreamId): boolean {
    const { maxDeletedId } = this
    if (this.length === 0 || compareIds(maxDeletedId, idMin) === 0) return false
    return compareIds(firstId, maxDeletedId) <= 0 && compareIds(from, maxDeletedId) <= 0
  }

  /** How many entries there ever were up to an id, where that can be told. */
  #distance(id: StreamId, firstId: StreamId): number {
    const { entriesAdded, maxDeletedId, length, lastId } = this
    if (entriesAdded === 0) return 0
    const toLast = compareIds(id, lastId)
    if (length === 0 && toLast <= 0) return entriesAdded
    if (toLast === 0) return entriesAdded
    if (toLast > 0) return unknownRead
    if (compareIds(maxDeletedId, idMin) === 0 || compareIds(maxDeletedId, firstId) < 0) {
      const toFirst = compareIds(id, firstId)
      if (toFirst < 0) return entriesAdded - length
      if (toFirst === 0) return entriesAdded - length + 1
    }
    return unknownRead
  }

  // ------------------------------------------------------------------------------------------------------------------ journal

  get memory(): StreamMemory {
    return this.#memory
  }

  /** Repeats what the journal says. */
  restore(change: StreamChange): void {
    switch (change.kind) {
      case 'memory':
        this.#memory = change.memory
        return
      case 'group': {
        const group = this.groups.get(change.group)
        const lastId = parseId(change.lastId)
        if (group === undefined) this.groups.set(change.group, new Group(change.group, lastId, change.entriesRead))
        else {
          group.lastId = lastId
          group.entriesRead = change.entriesRead
        }
        return
      }
      case 'ungroup':
        this.groups.delete(change.group)
        return
      case 'gone':
        return
      default:
        restoreInGroup(this.groups.get(change.group), change)
    }
  }

  /** All of it, as changes, each as it is when it is asked for. */
  *changes(): IterableIterator<StreamChange> {
    yield { kind: 'memory', memory: this.#memory }
    for (const group of this.groups.values()) {
      for (const change of changesOf(group)) {
        // Another may have its name by now.
        if (this.groups.get(group.name) !== group) break
        yield change
      }
    }
  }
}

function* changesOf({ name, lastId, entriesRead, consumers, pending }: Group): IterableIterator<StreamChange> {
  yield { kind: 'group', group: name, lastId: idText(lastId), entriesRead }
  for (const consumer of consumers.values())
    yield { kind: 'consumer', group: name, consumer: consumer.name, at: consumer.seenAt, activeAt: consumer.activeAt }
  let entries: PendingEntry[] = []
  for (const { id, consumer, deliveredAt, count } of pending.from(idMin)) {
    entries.push([id, consumer.name, deliveredAt, count])
    if (entries.length < 1000) continue
    yield { kind: 'pending', group: name, entries }
    entries = []
  }
  if (entries.length > 0) yield { kind: 'pending', group: name, entries }
}

function restoreInGroup(
  group: Group | undefined,
  change: Extract<StreamChange, { readonly kind: 'consumer' | 'unconsumer' | 'pending' | 'delivered' | 'done' }>,
): void {
  if (group === undefined) return
  if (change.kind === 'consumer') {
    const consumer = group.consumers.get(change.consumer) ?? group.addConsumer(change.consumer, change.at)
    consumer.seenAt = change.at
    consumer.activeAt = change.activeAt ?? consumer.activeAt
  } else if (change.kind === 'unconsumer') {
    const consumer = group.consumers.get(change.consumer)
    if (consumer !== undefined) group.removeConsumer(consumer)
  } else if (change.kind === 'done') {
    for (const id of change.ids) group.pending.remove(id)
  } else if (change.kind === 'delivered') {
    group.lastId = change.lastId
    group.entriesRead = change.entriesRead
    const consumer = group.consumers.get(change.consumer) ?? group.addConsumer(change.consumer, change.at)
    consumer.activeAt = Math.max(consumer.activeAt, change.at)
    for (const id of change.ids) restoreDelivery(group, id, change.consumer, change.at, 1)
  } else for (const [id, name, at, count] of change.entries) restoreDelivery(group, id, name, at, count)
}

function restoreDelivery(group: Group, id: StreamId, name: string, at: number, count: number): void {
  const consumer = group.consumers.get(name) ?? group.addConsumer(name, at)
  group.pending.set(id, consumer, at, count)
  consumer.activeAt = Math.max(consumer.activeAt, at)
}
