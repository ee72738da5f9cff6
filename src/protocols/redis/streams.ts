/** All streams of the broker's Redis clients. A stream is the topic of its name that is kept by time, of one partition; the first XADD makes it, where nobody has, without an end of its time. */
import type { Broker, Space, TopicInfo } from '../../broker/face.ts'
import { bytesOfName, nameOfBytes } from '../../lib/byte-names.ts'
import type { KeyProvider } from './command.ts'
import type { Database } from './database.ts'
import { errorText, RedisError } from './errors.ts'
import { atOnce } from './list.ts'
import type { Busy } from './list-run.ts'
import type { Lists } from './lists.ts'
import { Spaces } from './spaces.ts'
import { Stream } from './stream.ts'
import type { StreamChange } from './stream-change.ts'
import { idMax, idMin } from './stream-id.ts'
import { StreamJournal } from './stream-journal.ts'

const declaredBy = 'redis'

export interface HeldStream extends Busy {
  readonly name: string
  /** Of the topic's incarnation. */
  info: TopicInfo
  readonly stream: Stream
}

export class Streams implements KeyProvider {
  readonly type = 'stream'
  readonly #broker: Broker
  readonly #lists: Lists
  readonly #spaces: Spaces
  readonly #held: Map<string, HeldStream>[] = []
  readonly #journal: StreamJournal
  /** What the journal tells of streams that nobody has asked for yet, by the topic's id. */
  readonly #stored = new Map<string, StreamChange[]>()

  constructor(broker: Broker, lists: Lists) {
    this.#broker = broker
    this.#lists = lists
    this.#spaces = Spaces.of(broker)
    this.#journal = new StreamJournal(broker, () => this.#all())
  }

  async load(): Promise<void> {
    await this.#journal.load((topic, change) => {
      const changes = this.#stored.get(topic)
      if (change.kind === 'gone') this.#stored.delete(topic)
      else if (changes === undefined) this.#stored.set(topic, [change])
      else changes.push(change)
    })
    const spaces = this.#spaces.all()
    for (const topic of this.#stored.keys()) {
      const id = Buffer.from(topic, 'hex')
      if (!spaces.some((space) => space.topicById(id) !== undefined)) this.#stored.delete(topic)
    }
  }

  *#all(): IterableIterator<readonly [string, StreamChange]> {
    for (const [topic, changes] of this.#stored) for (const change of changes) yield [topic, change]
    for (const streams of this.#held)
      for (const { info, stream } of streams?.values() ?? [])
        for (const change of stream.changes()) yield [info.id.toString('hex'), change]
  }

  // ------------------------------------------------------------------------------------------------------------------ finding

  find(db: Database, key: string): HeldStream | undefined {
    const streams = (this.#held[db.index] ??= new Map<string, HeldStream>())
    const held = streams.get(key)
    const name = held?.name ?? nameOfBytes(key)
    const space = this.#spaces.find(db.index)
    const info = space?.topic(name)
    if (held !== undefined) {
      if (held.info === info) return held
      if (info?.id.equals(held.info.id) === true && info.config.retention === 'time') {
        held.info = info
        return held
      }
      streams.delete(key)
      this.#journal.append(held.info.id.toString('hex'), { kind: 'gone' })
    }
    if (space === undefined || info === undefined || info.config.retention !== 'time') return undefined
    if (info.config.partitions > 1)
      throw new RedisError(`ERR the topic "${name}" has ${info.config.partitions} partitions: a stream is a topic of one`)
    return this.#hold(streams, space, key, name, info)
  }

  #hold(streams: Map<string, HeldStream>, space: Space, key: string, name: string, info: TopicInfo): HeldStream {
    const id = info.id.toString('hex')
    const stream = new Stream(space, name, null, (change) => this.#journal.append(id, change))
    for (const change of this.#stored.get(id) ?? []) stream.restore(change)
    this.#stored.delete(id)
    const held: HeldStream = { name, info, stream, busy: null }
    streams.set(key, held)
    return held
  }

  /** The same, with a topic made where there is none. */
  open(db: Database, key: string): HeldStream {
    const present = this.find(db, key)
    if (present !== undefined) return present
    const space = this.#spaces.open(db.index)
    const name = nameOfBytes(key)
    this.#lists.giveWay(db, key)
    if (space.topic(name) !== undefined)
      throw new RedisError(`ERR the queue "${name}" is there already, and empty: delete it to have a stream of its name`)
    const config = { retention: 'time', retentionMs: -1, recordBytesMax: this.#broker.limits.recordBytesMax } as const
    // What can be refused is refused at once; that it is durable the reply waits for.
    space.createTopic(name, config, declaredBy).catch((cause: unknown) => {
      this.#broker.log.warn({ topic: name, error: errorText(cause) }, 'the topic of a stream could not be made')
    })
    const made = this.find(db, key)
    if (made === undefined)
      throw new RedisError('OOM the topic of the stream cannot be made: there are too many topics (topicsMax)')
    return made
  }

  // -------------------------------------------------------------------------------------------------------------- KeyProvider

  exists(db: Database, key: string): boolean {
    const info = this.#spaces.find(db.index)?.topic(this.#held[db.index]?.get(key)?.name ?? nameOfBytes(key))
    return info !== undefined && info.config.retention === 'time'
  }

  owns(db: Database, key: string): boolean {
    return this.#spaces.find(db.index)?.topic(nameOfBytes(key))?.declaredBy === declaredBy
  }

  *keys(db: Database): Iterable<string> {
    for (const { name, config } of this.#spaces.find(db.index)?.topics() ?? [])
      if (config.retention === 'time') yield bytesOfName(name)
  }

  count(db: Database): number {
    let count = 0
    for (const _ of this.keys(db)) count++
    return count
  }

  remove(db: Database, key: string): void {
    const held = this.#held[db.index]?.get(key)
    const name = held?.name ?? nameOfBytes(key)
    this.#held[db.index]?.delete(key)
    const space = this.#spaces.find(db.index)
    const info = space?.topic(name)
    if (space === undefined || info === undefined) return
    const id = info.id.toString('hex')
    this.#stored.delete(id)
    this.#journal.append(id, { kind: 'gone' })
    space.deleteTopic(name).catch((cause: unknown) => {
      this.#broker.log.warn({ topic: name, error: errorText(cause) }, 'the topic of a stream could not be deleted')
    })
    // Who waits for it must hear.
    db.ready(key)
  }

  rename(db: Database, key: string, toDb: Database, to: string): void {
    this.copy(db, key, toDb, to, () => undefined)
    this.remove(db, key)
  }

  lift(db: Database, key: string, toDb: Database): () => void {
    const name = nameOfBytes(key)
    const inTheWay = this.#spaces.open(toDb.index).topic(name)
    const isQueue = inTheWay !== undefined && inTheWay.config.retention !== 'time'
    if (isQueue && !this.#lists.mayGiveWay(toDb, key))
      throw new RedisError(`ERR the queue "${name}" is in the way of the stream of its name`)
    return this.#copier(db, key, toDb, key)
  }

  copy(db: Database, key: string, toDb: Database, to: string, done: (copied: boolean) => void): void {
    if (this.find(db, key) === undefined) return done(false)
    this.#copier(db, key, toDb, to)()
    done(true)
  }

  /** Has read all of it; what it returns puts that under the new name. */
  #copier(db: Database, key: string, toDb: Database, to: string): () => void {
    const held = this.find(db, key)
    if (held === undefined) return () => undefined
    const { stream } = held
    const entries = atOnce(stream.log.range(idMin, idMax, 0))
    const changes = [...stream.changes()].map((change) =>
      change.kind === 'memory'
        ? { ...change, memory: { ...change.memory, added: stream.entriesAdded, at: entries.length } }
        : change,
    )
    return () => {
      const { stream: target, info } = this.open(toDb, to)
      this.#broker.atomically(
        () => {
          for (const { id, pairs } of entries) target.add(id, pairs, 0)
          for (const change of changes) {
            target.restore(change)
            this.#journal.append(info.id.toString('hex'), change)
          }
          this.#journal.store()
        },
        () => undefined,
      )
    }
  }

  store(): void {
    this.#journal.store()
  }

  encoding(): string {
    return 'stream'
  }

  bytes(db: Database, key: string): number {
    return this.#spaces.find(db.index)?.status(nameOfBytes(key))?.partitions[0]?.bytes ?? 0
  }

  watch(db: Database, key: string): () => void {
    return this.#spaces.find(db.index)?.watch(nameOfBytes(key), () => db.ready(key)) ?? (() => undefined)
  }
}
