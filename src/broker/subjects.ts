/**
 * The subject space of a namespace: who wants what is published to an address, beside the topic of that name. Live subscribers, for whom nothing
 * is stored, and topics that capture patterns. From publisher.ts to here; records for live subscribers go on to their sinks at the end of the turn.
 */
import { formats } from '../core/record.ts'
import type { Topic } from '../core/topic.ts'
import type { Clock } from '../lib/timers.ts'
import { matchesPattern, PatternTrie } from '../lib/trie.ts'
import type { Listener, ListenSpec, LiveBatch, LiveSink, Principal } from './face.ts'

const cachedSubjectsMax = 10_000

/** What is to be done with a record of one subject. */
interface Interest {
  readonly captures: readonly Topic[]
  /** Each gets every record. */
  readonly listeners: readonly LiveListener[]
  /** One member of each gets it. */
  readonly groups: readonly Group[]
}

interface Group {
  readonly members: readonly LiveListener[]
  turn: number
}

const nobody: Interest = { captures: [], listeners: [], groups: [] }

export class Subjects {
  readonly #captures = new PatternTrie<Topic>()
  readonly #listeners = new PatternTrie<LiveListener>()
  readonly #patterns = new Map<Topic, readonly string[]>()
  readonly #waiting = new Set<LiveListener>()
  /** Who is told of the next listener to an address. */
  readonly #awaiting = new Set<{ readonly subject: string; readonly wake: () => void }>()
  #listening = 0
  #cache = new Map<string, Interest>()
  /** By all words but the last, where that is the same to everybody: many subjects are heard once, as those of answers are. */
  #cacheOfFamilies = new Map<string, Interest>()
  readonly #clock: Clock
  /** When the first record of this turn was told, ms. */
  #toldAt = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** True when there is nobody, whatever the subject. */
  get idle(): boolean {
    return this.#listening === 0 && this.#patterns.size === 0
  }

  /** Notes which patterns a topic captures now. */
  capture(topic: Topic, patterns: readonly string[]): void {
    for (const pattern of this.#patterns.get(topic) ?? []) this.#captures.remove(pattern, topic)
    if (patterns.length === 0) this.#patterns.delete(topic)
    else this.#patterns.set(topic, patterns)
    for (const pattern of patterns) this.#captures.add(pattern, topic)
    this.forget()
  }

  /** Looks anew who wants what, and may have it. */
  forget(): void {
    this.#cache.clear()
    this.#cacheOfFamilies.clear()
  }

  listen(spec: ListenSpec, principal: Principal, namespace: string, sink: LiveSink): Listener {
    const listener = new LiveListener(spec, sink, { principal, namespace }, () => {
      this.#listeners.remove(spec.pattern, listener)
      this.#listening--
      this.forget()
    })
    this.#listeners.add(spec.pattern, listener)
    this.#listening++
    this.forget()
    for (const awaiting of this.#awaiting) {
      if (!matchesPattern(spec.pattern, awaiting.subject)) continue
      this.#awaiting.delete(awaiting)
      queueMicrotask(awaiting.wake)
    }
    return listener
  }

  whenHeard(subject: string, wake: () => void): () => void {
    const awaiting = { subject, wake }
    this.#awaiting.add(awaiting)
    return () => this.#awaiting.delete(awaiting)
  }

  /** Topics that capture the subject. */
  captures(subject: string): readonly Topic[] {
    return this.#patterns.size === 0 ? nobody.captures : this.#of(subject).captures
  }

  /** Whether anybody listens to the subject now. */
  isHeard(subject: string): boolean {
    if (this.#listening === 0) return false
    const { listeners, groups } = this.#of(subject)
    return listeners.length + groups.length > 0
  }

  /** Hands a record to who listens now; returns to how many. `timestamp` 0: now. */
  tell(subject: string, formatId: number, payload: Buffer, timestamp: number, connection: number): number {
    return this.#listening === 0 ? 0 : this.#tell(this.#of(subject), subject, formatId, payload, timestamp, connection)
  }

  /** The same for a subject that no topic captures; -1, and nothing is done, where one does. */
  tellUncaptured(subject: string, formatId: number, payload: Buffer, connection: number): number {
    const interest = this.#of(subject)
    return interest.captures.length > 0 ? -1 : this.#tell(interest, subject, formatId, payload, 0, connection)
  }

  #tell(interest: Interest, subject: string, formatId: number, payload: Buffer, at: number, connection: number): number {
    const { listeners, groups } = interest
    if (listeners.length + groups.length === 0) return 0
    if (this.#waiting.size === 0) this.#toldAt = this.#clock.now()
    const timestamp = at === 0 ? this.#toldAt : at
    const format = formats.get(formatId)
    const records = format.batched && format.open !== undefined ? format.open(payload, timestamp) : [payload]
    const single = format.batched ? (format.recordFormat ?? format.id) : format.id
    let handed = 0
    for (const bytes of records) {
      if (bytes === null) continue
      handed = 0
      for (const listener of listeners) {
        if (!listener.takes(connection)) continue
        this.#hand(listener, subject, timestamp, single, bytes, connection)
        handed++
      }
      for (const group of groups) {
        const member = next(group, connection)
        if (member === null) continue
        this.#hand(member, subject, timestamp, single, bytes, connection)
        handed++
      }
    }
    return handed
  }

  #hand(listener: LiveListener, subject: string, timestamp: number, format: number, bytes: Buffer, connection: number): void {
    listener.hand(subject, timestamp, format, bytes, connection)
    if (this.#waiting.size === 0) queueMicrotask(this.#flush)
    this.#waiting.add(listener)
  }

  readonly #flush = (): void => {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const listener of waiting) listener.flush()
  }

  #of(subject: string): Interest {
    const cached = this.#cache.get(subject)
    if (cached !== undefined) return cached
    // Of many subjects each comes once, and they are nobody's.
    if (!this.#listeners.begins(subject) && !this.#captures.begins(subject)) return nobody
    const family = subject.slice(0, subject.lastIndexOf('.') + 1)
    const ofFamily = this.#cacheOfFamilies.get(family)
    if (ofFamily !== undefined) return ofFamily
    const captures = new Set<Topic>()
    const listeners: LiveListener[] = []
    const groups = new Map<string, LiveListener[]>()
    let hearsAll = true
    this.#captures.match(subject, (topic) => captures.add(topic))
    this.#listeners.match(subject, (listener) => {
      hearsAll &&= listener.mayHearAll
      if (!listener.mayHear(subject)) return
      const { group } = listener
      if (group === undefined) listeners.push(listener)
      else groups.set(group, [...(groups.get(group) ?? []), listener])
    })
    const interest =
      captures.size + listeners.length + groups.size === 0
        ? nobody
        : { captures: [...captures], listeners, groups: [...groups.values()].map((members) => ({ members, turn: -1 })) }
    const isOfFamily = hearsAll && this.#captures.isSameForAnyLast(subject) && this.#listeners.isSameForAnyLast(subject)
    if (isOfFamily) remember(this.#cacheOfFamilies, family, interest)
    else remember(this.#cache, subject, interest)
    return interest
  }
}

function remember(cache: Map<string, Interest>, key: string, interest: Interest): void {
  if (cache.size >= cachedSubjectsMax) cache.clear()
  cache.set(key, interest)
}

/** Whose turn it is; null when nobody takes what this connection publishes. */
function next(group: Group, connection: number): LiveListener | null {
  const { members } = group
  for (let tried = 0; tried < members.length; tried++) {
    group.turn = (group.turn + 1) % members.length
    const member = members[group.turn] as LiveListener // turn < length
    if (member.takes(connection)) return member
  }
  return null
}

class Batch implements LiveBatch {
  length = 0
  subject: string[] = []
  timestamp: number[] = []
  format: number[] = []
  bytes: Buffer[] = []
  connection: number[] = []

  push(subject: string, timestamp: number, format: number, bytes: Buffer, connection: number): void {
    this.length++
    this.subject.push(subject)
    this.timestamp.push(timestamp)
    this.format.push(format)
    this.bytes.push(bytes)
    this.connection.push(connection)
  }
}

class LiveListener implements Listener {
  readonly pattern: string
  readonly group: string | undefined
  readonly #of: { readonly principal: Principal; readonly namespace: string }
  readonly #sink: LiveSink
  readonly #gone: () => void
  readonly #exceptConnection: number
  #closed = false
  #gotAll = false
  #limit = Number.POSITIVE_INFINITY
  handed = 0
  batch = new Batch()

  constructor(
    spec: ListenSpec,
    sink: LiveSink,
    of: { readonly principal: Principal; readonly namespace: string },
    gone: () => void,
  ) {
    this.pattern = spec.pattern
    this.group = spec.group
    this.#exceptConnection = spec.exceptConnection ?? 0
    this.#of = of
    this.#sink = sink
    this.#gone = gone
  }

  mayHear(subject: string): boolean {
    return this.#of.principal.may('consume', this.#of.namespace, subject)
  }

  /** Whether that is so of every subject. */
  get mayHearAll(): boolean {
    return this.#of.principal.mayAll?.('consume', this.#of.namespace) === true
  }

  /** Whether it still takes what the connection (0: not known) publishes. */
  takes(connection: number): boolean {
    return !this.#gotAll && (connection === 0 || connection !== this.#exceptConnection)
  }

  hand(subject: string, timestamp: number, format: number, bytes: Buffer, connection: number): void {
    this.batch.push(subject, timestamp, format, bytes, connection)
    if (++this.handed >= this.#limit) this.#leave()
  }

  limit(records: number): void {
    this.#limit = records
    if (this.handed >= records) this.#leave()
  }

  #leave(): void {
    if (this.#gotAll) return
    this.#gotAll = true
    this.#gone()
  }

  flush(): void {
    const { batch } = this
    this.batch = new Batch()
    if (!this.#closed && batch.length > 0) this.#sink.onRecords(this, batch)
  }

  close(): void {
    this.#closed = true
    this.#leave()
  }
}
