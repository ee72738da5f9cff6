// Fetch sessions (KIP-227): what a client asked for is remembered, so that it names only what changed, and is told only what changed.
//
// A session keeps apart the partitions that may have something to tell (`pending`) from the idle ones. An idle one costs nothing: it waits
// for its log to grow and comes back to `pending` by itself. So a request over a thousand idle partitions looks at none of them.
import type { EntryView, ReadResult, Space } from '../../broker/face.ts'
import type { Clock } from '../../lib/timers.ts'
import { KafkaError } from './errors.ts'

/** One partition of a fetch, in the state that its client knows of it. */
export class FetchPart {
  /** '' while the id is not known. */
  readonly topic: string
  /** 32 hex digits; '' where the request speaks in names. */
  readonly topicId: string
  readonly partition: number
  offset: number
  maxBytes: number
  /** What the request itself has wrong; told at each answer until the client mends it. */
  requestError: number = KafkaError.None
  errorCode: number = KafkaError.None
  highWatermark = -1
  lastStableOffset = -1
  logStartOffset = -1
  /** The client wants what is decided alone (read_committed), and who was aborted within; else null. */
  aborted: ReadResult['aborted'] | null = null
  entries: readonly EntryView[] = []
  /** Of the read that gave the entries. */
  giveBack: (() => void) | undefined
  bytes = 0
  /** Filled when the answer is written. */
  batches: Buffer[] = []
  toldHighWatermark = -1
  toldLastStableOffset = -1
  toldLogStartOffset = -1
  /** Set while it waits for its log to grow. */
  cancelWaiting: (() => void) | null = null

  constructor(topic: string, topicId: string, partition: number, offset: number, maxBytes: number) {
    this.topic = topic
    this.topicId = topicId
    this.partition = partition
    this.offset = offset
    this.maxBytes = maxBytes
  }

  /** Whether an incremental answer has to name it. */
  get isNews(): boolean {
    return (
      this.errorCode !== KafkaError.None ||
      this.entries.length > 0 ||
      this.highWatermark !== this.toldHighWatermark ||
      this.lastStableOffset !== this.toldLastStableOffset ||
      this.logStartOffset !== this.toldLogStartOffset
    )
  }

  /** The first offset that its client may not have yet. */
  get readableTo(): number {
    return this.aborted === null ? this.highWatermark : this.lastStableOffset
  }

  /** Whether the next request finds something here without the log growing first. */
  get hasMore(): boolean {
    return this.errorCode !== KafkaError.None || this.offset < this.readableTo
  }
}

interface PartPlace {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
}

export interface PartAsk extends PartPlace {
  readonly offset: number
  readonly maxBytes: number
  readonly requestError: number
}

/** The request that is using a session. */
export interface FetchUser {
  answer(): void
}

/** What one client fetches. Without an id it lives for one request only. */
export class FetchSession {
  readonly id: number
  readonly usesTopicIds: boolean
  /** The epoch of the next request. */
  epoch = 1
  readonly createdAt: number
  lastUsedAt: number
  readonly parts = new Map<string, FetchPart>()
  /** Those that may have something to tell, in the order in which they have their turn. */
  readonly pending = new Set<FetchPart>()
  /** Runs when a waiting part comes back to `pending`. */
  onPending: (() => void) | null = null
  #user: FetchUser | null = null

  constructor(id: number, usesTopicIds: boolean, now: number) {
    this.id = id
    this.usesTopicIds = usesTopicIds
    this.createdAt = now
    this.lastUsedAt = now
  }

  /** Adds a partition, or takes over where it is to be read from now. */
  put(ask: PartAsk): void {
    const key = partKey(ask)
    let part = this.parts.get(key)
    if (part === undefined) {
      part = new FetchPart(ask.topic, ask.topicId, ask.partition, ask.offset, ask.maxBytes)
      this.parts.set(key, part)
    }
    part.offset = ask.offset
    part.maxBytes = ask.maxBytes
    part.requestError = ask.requestError
    this.pending.add(part)
  }

  /** One request uses a session at a time: another that comes has the one that waits answered. */
  takeOver(user: FetchUser): void {
    this.#user?.answer()
    this.#user = user
  }

  release(user: FetchUser): void {
    if (this.#user !== user) return
    this.#user = null
    this.onPending = null
  }

  forget(place: PartPlace): void {
    const part = this.parts.get(partKey(place))
    if (part === undefined) return
    part.cancelWaiting?.()
    this.parts.delete(partKey(place))
    this.pending.delete(part)
  }

  /** Has the part come back to `pending` when its log grows beyond what was seen of it. */
  await(part: FetchPart, space: Space): void {
    if (part.cancelWaiting !== null) return
    const wake = (): void => {
      part.cancelWaiting = null
      this.pending.add(part)
      this.onPending?.()
    }
    const beyond = Math.max(part.readableTo, part.offset)
    part.cancelWaiting = space.whenReadable(part.topic, part.partition, beyond, wake, part.aborted !== null)
  }

  /** After an answer: what was told is noted; who gave records goes to the end of the row, so that everybody has a turn. */
  settle(answered: readonly FetchPart[]): void {
    for (const part of answered) {
      part.toldHighWatermark = part.errorCode === KafkaError.None ? part.highWatermark : -1
      part.toldLastStableOffset = part.errorCode === KafkaError.None ? part.lastStableOffset : -1
      part.toldLogStartOffset = part.logStartOffset
      if (part.entries.length > 0 && this.pending.delete(part)) this.pending.add(part)
      part.entries = []
      part.giveBack = undefined
      part.batches = []
    }
  }

  close(): void {
    for (const part of this.parts.values()) part.cancelWaiting?.()
    for (const part of this.parts.values()) part.cancelWaiting = null
    this.pending.clear()
  }
}

/** By id where the request speaks in ids: a topic made anew under its old name is another one then. */
function partKey(place: PartPlace): string {
  return `${place.partition}/${place.topicId || place.topic}`
}

/** Sessions and remembered partitions at most; beyond, a client is told id 0 and names everything each time (Kafka's 1 000 slots). */
const sessionsMax = 1000
const partsMax = 200_000
/** A session unused, or one smaller than the newcomer that had, for so long gives way (min.incremental.fetch.session.eviction.ms). */
const evictionMs = 120_000
const idMax = 0x7fffffff

/** All sessions of the broker, the least recently used first. */
export class FetchSessions {
  readonly #clock: Clock
  readonly #sessions = new Map<number, FetchSession>()
  readonly #sessionsMax: number
  #parts = 0
  #nextId = 1 + Math.floor(Math.random() * (idMax - 1))

  constructor(clock: Clock, max = sessionsMax) {
    this.#clock = clock
    this.#sessionsMax = max
  }

  get size(): number {
    return this.#sessions.size
  }

  /** A session for a full request: kept when there is room, else for this request only. Its parts are `asks`. */
  open(asks: readonly PartAsk[], usesTopicIds: boolean, keep: boolean): FetchSession {
    const now = this.#clock.now()
    const id = keep && asks.length > 0 && this.#makeRoom(asks.length, now) ? this.#newId() : 0
    const session = new FetchSession(id, usesTopicIds, now)
    for (const ask of asks) session.put(ask)
    if (id === 0) return session
    this.#sessions.set(id, session)
    this.#parts += session.parts.size
    return session
  }

  /** The session for an incremental request, its epoch moved on; or Kafka's error code. */
  continue(id: number, epoch: number, usesTopicIds: boolean): FetchSession | number {
    const session = this.#sessions.get(id)
    if (session === undefined) return KafkaError.FetchSessionIdNotFound
    if (session.epoch !== epoch) return KafkaError.InvalidFetchSessionEpoch
    if (session.usesTopicIds !== usesTopicIds) return KafkaError.FetchSessionTopicIdError
    session.epoch = epoch === idMax ? 1 : epoch + 1
    session.lastUsedAt = this.#clock.now()
    this.#sessions.delete(id)
    this.#sessions.set(id, session)
    return session
  }

  /** Applies what an incremental request changes. Partitions beyond the limit end the session: the client opens another. */
  change(session: FetchSession, asks: readonly PartAsk[], forgotten: readonly PartPlace[]): void {
    const before = session.parts.size
    for (const ask of asks) session.put(ask)
    for (const place of forgotten) session.forget(place)
    this.#parts += session.parts.size - before
    if (this.#parts > partsMax || session.parts.size === 0) this.#drop(session)
  }

  isKept(session: FetchSession): boolean {
    return session.id !== 0 && this.#sessions.get(session.id) === session
  }

  close(id: number): void {
    const session = this.#sessions.get(id)
    if (session === undefined) return
    this.#drop(session)
    session.close()
  }

  /** Takes it out of the cache; a request that is using it may finish. */
  #drop(session: FetchSession): void {
    if (!this.#sessions.delete(session.id)) return
    this.#parts -= session.parts.size
  }

  #makeRoom(parts: number, now: number): boolean {
    while (this.#sessions.size >= this.#sessionsMax || this.#parts + parts > partsMax) {
      const victim = this.#victim(parts, now)
      if (victim === undefined) return false
      this.close(victim.id)
    }
    return true
  }

  #victim(parts: number, now: number): FetchSession | undefined {
    const [oldest] = this.#sessions.values()
    if (oldest !== undefined && now - oldest.lastUsedAt > evictionMs) return oldest
    let smallest: FetchSession | undefined
    for (const session of this.#sessions.values()) {
      if (now - session.createdAt <= evictionMs || session.parts.size >= parts) continue
      if (smallest === undefined || session.parts.size < smallest.parts.size) smallest = session
    }
    return smallest
  }

  #newId(): number {
    do this.#nextId = this.#nextId === idMax ? 1 : this.#nextId + 1
    while (this.#sessions.has(this.#nextId))
    return this.#nextId
  }
}
