/**
 * One consumer instance of v2: what it reads, where it stands, and what of that is committed. Which partitions of the subscribed topics are its own
 * its group says (consumers.ts). It reads decided records alone.
 */
import type { EntryView, Space } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import { illegalState, partitionNotFound, topicNotFound } from './errors.ts'
import type { EmbeddedFormat } from './media.ts'

export interface Place {
  readonly topic: string
  readonly partition: number
}

export interface ConsumerSettings {
  readonly format: EmbeddedFormat
  readonly reset: 'latest' | 'earliest' | 'none'
  readonly autoCommit: boolean
  readonly fetchMinBytes: number
  readonly requestTimeoutMs: number
}

export interface Fetched extends Place {
  readonly offset: number
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
}

export interface FetchLimits {
  readonly timeoutMs: number
  readonly bytesMax: number
  /** Nobody waits for the answer any more. */
  readonly gone: AbortSignal
}

type Reading =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'topics'; readonly topics: readonly string[] }
  | { readonly kind: 'pattern'; readonly pattern: string; readonly matches: (topic: string) => boolean }
  | { readonly kind: 'partitions'; readonly places: readonly Place[] }

const readBytes = 1024 * 1024
export const keyOf = ({ topic, partition }: Place): string => `${topic}/${partition}`

export class RestConsumer {
  readonly group: string
  readonly name: string
  readonly user: string
  readonly settings: ConsumerSettings
  readonly space: Space
  reading: Reading = { kind: 'nothing' }
  usedAt: number
  /** By {@link keyOf}: where the next read begins. */
  readonly #positions = new Map<string, { readonly place: Place; offset: number }>()
  /** Read but not committed. */
  readonly #unsaved = new Map<string, { readonly place: Place; offset: number }>()
  /** Its requests follow each other. */
  #busy: Promise<unknown> = Promise.resolve()
  #turn = 0

  constructor(group: string, name: string, space: Space, settings: ConsumerSettings, now: number) {
    this.group = group
    this.name = name
    this.user = space.principal.user
    this.space = space
    this.settings = settings
    this.usedAt = now
  }

  /** Runs one request after those before it. */
  inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#busy.then(run, run)
    this.#busy = result.catch(() => undefined)
    return result
  }

  read(reading: Reading): void {
    const conflicts = this.reading.kind !== 'nothing' && reading.kind !== 'nothing' && this.reading.kind !== reading.kind
    if (conflicts) throw illegalState('Subscription to topics, partitions and pattern are mutually exclusive')
    this.reading = reading
    if (reading.kind === 'nothing') this.#positions.clear()
  }

  /** The topics it wants of those that exist, as a member of its group. */
  wants(): string[] {
    const { reading, space } = this
    if (reading.kind === 'topics') return reading.topics.filter((topic) => space.topic(topic) !== undefined)
    if (reading.kind !== 'pattern') return []
    const mine = (topic: string): boolean => space.principal.may('consume', space.namespace, topic)
    return space
      .topics()
      .map(({ name }) => name)
      .filter((topic) => reading.matches(topic) && mine(topic))
  }

  seek(place: Place, to: number | 'beginning' | 'end'): void {
    const status = this.space.status(place.topic)
    if (status === undefined) throw topicNotFound()
    const partition = status.partitions[place.partition]
    if (partition === undefined) throw partitionNotFound()
    const offset = to === 'beginning' ? partition.startOffset : to === 'end' ? partition.stableOffset : to
    this.#positions.set(keyOf(place), { place, offset })
    this.#unsaved.delete(keyOf(place))
  }

  /**
   * Records of its places as `show` makes them, as many as come within the time or the bytes allow. One that cannot be shown ends what is there
   * before it; when it is the first, it is passed over, and why is thrown.
   */
  async fetch<Shown>(
    own: readonly Place[],
    { timeoutMs, bytesMax, gone }: FetchLimits,
    show: (record: Fetched) => Shown,
  ): Promise<Shown[]> {
    const deadline = performance.now() + timeoutMs
    this.#keepOnly(own)
    const found: Shown[] = []
    let bytes = 0
    for (;;) {
      for (const place of this.#rotated(own)) {
        if (bytes >= bytesMax) break
        bytes += await this.#readOne(place, bytesMax - bytes, found, show)
      }
      const left = deadline - performance.now()
      if (bytes >= bytesMax || (found.length > 0 && bytes >= this.settings.fetchMinBytes) || left <= 0 || gone.aborted)
        return found
      await this.#somethingOr(own, left, gone)
    }
  }

  /** Each time another place is first, so that a busy one does not starve the others. */
  #rotated(places: readonly Place[]): Place[] {
    const first = places.length === 0 ? 0 : this.#turn++ % places.length
    return [...places.slice(first), ...places.slice(0, first)]
  }

  #keepOnly(own: readonly Place[]): void {
    const keys = new Set(own.map(keyOf))
    for (const key of this.#positions.keys()) if (!keys.has(key)) this.#positions.delete(key)
  }

  /** Where a place is read from: where it was, else what the group committed, else by auto.offset.reset. */
  #positionOf(place: Place): { readonly place: Place; offset: number } {
    const known = this.#positions.get(keyOf(place))
    if (known !== undefined) return known
    const committed = this.space
      .cursors(this.group)
      .find(({ topic, partition }) => topic === place.topic && partition === place.partition)
    const made = { place, offset: committed?.offset ?? this.#reset(place) }
    this.#positions.set(keyOf(place), made)
    return made
  }

  #reset(place: Place): number {
    const partition = this.space.status(place.topic)?.partitions[place.partition]
    if (partition === undefined) throw partitionNotFound()
    if (this.settings.reset === 'none')
      throw illegalState(`${keyOf(place)} has no committed offset, and auto.offset.reset is none`)
    return this.settings.reset === 'earliest' ? partition.startOffset : partition.stableOffset
  }

  /** Returns how many bytes of keys and values were added; Infinity when nothing may follow. */
  async #readOne<Shown>(place: Place, bytesMax: number, found: Shown[], show: (record: Fetched) => Shown): Promise<number> {
    if (this.space.topic(place.topic) === undefined) return 0
    const position = this.#positionOf(place)
    const result = await new Promise<Parameters<Parameters<Space['read']>[4]>[0]>((resolve) =>
      this.space.read(place.topic, place.partition, position.offset, Math.min(bytesMax, readBytes), resolve),
    )
    if (result.error === 'OutOfRange') {
      position.offset = this.#reset(place)
      return 0
    }
    if (result.error !== null) return 0
    let bytes = 0
    for (const entry of result.entries) {
      if (entry.baseOffset >= result.stableOffset) break
      for (const record of entry.hidden ? [] : recordsOf(entry, place)) {
        if (record.offset < position.offset) continue
        const size = (record.key?.length ?? 0) + (record.value?.length ?? 0)
        // One record at least, however big.
        if (bytes + size > bytesMax && found.length > 0) return bytes
        let shown: Shown
        try {
          shown = show(record)
        } catch (cause) {
          if (found.length > 0) return Infinity
          this.#passed(position, record.offset + 1)
          throw cause
        }
        found.push(shown)
        bytes += size
        this.#passed(position, record.offset + 1)
      }
      this.#passed(position, entry.baseOffset + entry.count)
    }
    return bytes
  }

  #passed(position: { readonly place: Place; offset: number }, offset: number): void {
    if (offset <= position.offset) return
    position.offset = offset
    this.#unsaved.set(keyOf(position.place), { place: position.place, offset })
  }

  /** Until one of its places has more, the time is over, or the client has gone. */
  #somethingOr(own: readonly Place[], ms: number, gone: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const cancels: (() => void)[] = []
      const done = (): void => {
        clearTimeout(timer)
        gone.removeEventListener('abort', done)
        for (const cancel of cancels.splice(0)) cancel()
        resolve()
      }
      const timer = setTimeout(done, Math.max(1, ms))
      gone.addEventListener('abort', done)
      for (const place of own) {
        const position = this.#positions.get(keyOf(place))
        if (position !== undefined)
          cancels.push(this.space.whenReadable(place.topic, place.partition, position.offset, done, true))
      }
    })
  }

  /** Commits what was read, or these offsets: of the last records that are done, as v2 takes them (and tells the next ones). */
  commit(offsets: readonly (Place & { readonly offset: number; readonly metadata: string })[] | null): Promise<void> {
    const given = offsets?.map(({ offset, ...place }) => ({ ...place, offset: offset + 1 }))
    const read = [...this.#unsaved.values()].map(({ place, offset }) => ({ ...place, offset, metadata: '' }))
    const positions = (given ?? read).map((each) => ({ ...each, leaderEpoch: -1 }))
    this.#unsaved.clear()
    if (positions.length === 0) return Promise.resolve()
    return new Promise((resolve, reject) =>
      this.space.commitCursors(this.group, positions, (error) => (error === null ? resolve() : reject(error))),
    )
  }
}

function recordsOf(entry: EntryView, place: Place): Fetched[] {
  const payload = entry.buffer.subarray(entry.start, entry.end)
  const format = formats.get(entry.format)
  const single = formats.get(format.recordFormat ?? entry.format)
  const envelopes = format.batched ? (format.open?.(payload, entry.timestamp) ?? []) : [payload]
  return envelopes.flatMap((envelope, index) => {
    if (envelope === null) return []
    const { key, value, timestamp } = single.toAttributes(envelope)
    return { ...place, offset: entry.baseOffset + index, timestamp: timestamp ?? entry.timestamp, key, value }
  })
}
