/**
 * The subject space of a namespace: who wants what is published to an address, beside the topic of that name. Live subscribers, for whom nothing
 * is stored, and topics that capture patterns. From publisher.ts to here; records for live subscribers go on to their sinks at the end of the turn.
 */
import { formats } from '../core/record.ts'
import type { Topic } from '../core/topic.ts'
import { PatternTrie } from '../lib/trie.ts'
import type { Listener, ListenSpec, LiveBatch, LiveSink, Principal } from './face.ts'

const cachedSubjectsMax = 10_000

/** What is to be done with a record of one subject. */
interface Interest {
  readonly captures: readonly Topic[]
  /** Each gets every record. */
  readonly listeners: readonly LiveListener[]
  /** One member of each gets it. */
  readonly groups: readonly { readonly members: readonly LiveListener[]; turn: number }[]
}

const nobody: Interest = { captures: [], listeners: [], groups: [] }

export class Subjects {
  readonly #captures = new PatternTrie<Topic>()
  readonly #listeners = new PatternTrie<LiveListener>()
  readonly #patterns = new Map<Topic, readonly string[]>()
  readonly #waiting = new Set<LiveListener>()
  #listening = 0
  #cache = new Map<string, Interest>()

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
    this.#cache.clear()
  }

  listen(spec: ListenSpec, principal: Principal, namespace: string, sink: LiveSink): Listener {
    const listener = new LiveListener(
      spec,
      sink,
      (subject) => principal.may('consume', namespace, subject),
      () => {
        this.#listeners.remove(spec.pattern, listener)
        this.#listening--
        this.#cache.clear()
      },
    )
    this.#listeners.add(spec.pattern, listener)
    this.#listening++
    this.#cache.clear()
    return listener
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

  /** Hands a record to who listens now; returns to how many. */
  tell(subject: string, formatId: number, payload: Buffer, timestamp: number, connection: number): number {
    if (this.#listening === 0) return 0
    const { listeners, groups } = this.#of(subject)
    if (listeners.length + groups.length === 0) return 0
    const format = formats.get(formatId)
    const records = format.batched && format.open !== undefined ? format.open(payload, timestamp) : [payload]
    const single = format.batched ? (format.recordFormat ?? format.id) : format.id
    for (const bytes of records) {
      if (bytes === null) continue
      for (const listener of listeners) this.#hand(listener, subject, timestamp, single, bytes, connection)
      for (const group of groups) {
        group.turn = (group.turn + 1) % group.members.length
        const member = group.members[group.turn] as LiveListener // turn < length
        this.#hand(member, subject, timestamp, single, bytes, connection)
      }
    }
    return listeners.length + groups.length
  }

  #hand(listener: LiveListener, subject: string, timestamp: number, format: number, bytes: Buffer, connection: number): void {
    listener.batch.push(subject, timestamp, format, bytes, connection)
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
    const captures = new Set<Topic>()
    const listeners: LiveListener[] = []
    const groups = new Map<string, LiveListener[]>()
    this.#captures.match(subject, (topic) => captures.add(topic))
    this.#listeners.match(subject, (listener) => {
      if (!listener.mayHear(subject)) return
      const { group } = listener
      if (group === undefined) listeners.push(listener)
      else groups.set(group, [...(groups.get(group) ?? []), listener])
    })
    const interest =
      captures.size + listeners.length + groups.size === 0
        ? nobody
        : { captures: [...captures], listeners, groups: [...groups.values()].map((members) => ({ members, turn: -1 })) }
    if (this.#cache.size >= cachedSubjectsMax) this.#cache.clear()
    this.#cache.set(subject, interest)
    return interest
  }
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
  readonly mayHear: (subject: string) => boolean
  readonly #sink: LiveSink
  readonly #gone: () => void
  #closed = false
  batch = new Batch()

  constructor(spec: ListenSpec, sink: LiveSink, mayHear: (subject: string) => boolean, gone: () => void) {
    this.pattern = spec.pattern
    this.group = spec.group
    this.mayHear = mayHear
    this.#sink = sink
    this.#gone = gone
  }

  flush(): void {
    const { batch } = this
    this.batch = new Batch()
    if (!this.#closed && batch.length > 0) this.#sink.onRecords(this, batch)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#gone()
  }
}
