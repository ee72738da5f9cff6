/**
 * All lists of the broker's Redis clients. A list is the queue of its name: the first push makes it, where nobody has; it is no key while it is empty, and goes
 * some time after it became so, when Redis made it and nobody else uses it. Queues that others declared are lists as well. A topic that others made as a
 * log is a stream, and commands of lists have it, too: they push to its end, and pop through its default subscription, as queue workers of other protocols do.
 */
import type { Broker, Rows, Space, TopicInfo } from '../../broker/face.ts'
import { bytesOfName, nameOfBytes } from '../../lib/byte-names.ts'
import type { Reply } from '../../lib/resp/reply.ts'
import type { Call, KeyProvider } from './command.ts'
import type { Database } from './database.ts'
import { errorText, RedisError, wrongType } from './errors.ts'
import { atOnce, List, type ListMemory } from './list.ts'
import { ListQueue } from './list-queue.ts'
import { type Busy, perform } from './list-run.ts'
import { Spaces } from './spaces.ts'

const declaredBy = 'redis'
/** An empty list's queue stays so long, ms: many become full again. */
const emptyMs = 30_000
/** As Redis: a list of so many bytes, and less, is a listpack. */
const listpackBytesMax = 8192

const isLog = ({ config }: TopicInfo): boolean => config.retention === 'time'
/** Whether commands of lists can have it. */
const isServed = (info: TopicInfo): boolean => !isLog(info) || info.declaredBy !== declaredBy

/** A list that there is a queue for, be it empty. */
export interface HeldList {
  readonly name: string
  /** Of the topic's incarnation. */
  info: TopicInfo
  readonly list: List
  readonly queue: ListQueue
  busy: Busy['busy']
  /** When it was last seen to become so, ms; 0: never. */
  emptySince: number
}

export class Lists implements KeyProvider {
  readonly type = 'list'
  readonly #broker: Broker
  readonly #memories: Rows
  readonly #spaces: Spaces
  readonly #held: Map<string, HeldList>[] = []
  /** Lists that may be to go. */
  readonly #empty = new Map<HeldList, { readonly index: number; readonly key: string }>()
  #sweeping = false
  /** See {@link read}. */
  #inHand: { readonly list: List; readonly elements: readonly Buffer[] } | null = null

  constructor(broker: Broker) {
    this.#broker = broker
    this.#memories = broker.rows('redis.lists')
    this.#spaces = Spaces.of(broker)
    const spaces = this.#spaces.all()
    for (const [id] of [...this.#memories.entries()]) {
      const bytes = Buffer.from(id, 'hex')
      if (!spaces.some((space) => space.topicById(bytes) !== undefined)) this.#memories.delete(id)
    }
  }

  // ------------------------------------------------------------------------------------------------------------------ finding

  /** undefined: there is no queue of this name, nor a log that others made. */
  find(db: Database, key: string): HeldList | undefined {
    const lists = this.#listsOf(db.index)
    const held = lists.get(key)
    const name = held?.name ?? nameOfBytes(key)
    const info = this.#spaces.find(db.index)?.topic(name)
    if (held !== undefined) {
      if (held.info === info) return held
      if (info?.id.equals(held.info.id) === true && isServed(info)) {
        held.info = info
        return held
      }
      lists.delete(key)
      // A queue that somebody deleted takes what was said of it along.
      if (info === undefined || !info.id.equals(held.info.id)) this.#memories.delete(held.info.id.toString('hex'))
    }
    return info === undefined || !isServed(info) ? undefined : this.#hold(db.index, key, name, info)
  }

  /** The one that is the key's value; undefined: there is none. */
  #value(db: Database, key: string): HeldList | undefined {
    const info = this.#spaces.find(db.index)?.topic(nameOfBytes(key))
    return info === undefined || isLog(info) ? undefined : this.find(db, key)
  }

  /** Throws WRONGTYPE where commands of lists cannot have the key. */
  check(db: Database, key: string): void {
    if (db.get(key) !== undefined) throw wrongType()
    const held = this.find(db, key)
    if (held === undefined || !isLog(held.info)) db.mustBe(key, 'list')
  }

  /** The same, with a queue made where there is none. */
  open(db: Database, key: string): HeldList {
    const present = this.find(db, key)
    if (present !== undefined) return present
    const space = this.#spaces.open(db.index)
    const name = nameOfBytes(key)
    const config = { retention: 'acknowledged', recordBytesMax: this.#broker.limits.recordBytesMax } as const
    // What can be refused is refused at once; that it is durable the reply waits for.
    space.createTopic(name, config, declaredBy).catch((cause: unknown) => {
      this.#broker.log.warn({ topic: name, error: errorText(cause) }, 'the queue of a list could not be made')
    })
    const info = space.topic(name)
    if (info === undefined)
      throw new RedisError('OOM the queue of the list cannot be made: there are too many topics (topicsMax)')
    return this.#hold(db.index, key, name, info)
  }

  #hold(index: number, key: string, name: string, info: TopicInfo): HeldList {
    const id = info.id.toString('hex')
    const stored = this.#memories.get(id)
    const space = this.#spaces.open(index)
    const queue = new ListQueue(this.#broker, space, name, (memory) => this.#memories.put(id, JSON.stringify(memory)))
    const memory = stored === undefined ? null : (JSON.parse(stored) as ListMemory) // written above
    const held: HeldList = { name, info, list: new List(queue, memory), queue, busy: null, emptySince: 0 }
    this.#listsOf(index).set(key, held)
    return held
  }

  #listsOf(index: number): Map<string, HeldList> {
    return (this.#held[index] ??= new Map<string, HeldList>())
  }

  /** Elements went: an empty list is no key any more. */
  shrunk(db: Database, key: string, held: HeldList): void {
    if (held.list.length > 0 || isLog(held.info)) return
    db.notify('g', 'del', key)
    db.vanished(key)
    this.#emptied(db.index, key, held)
  }

  #emptied(index: number, key: string, held: HeldList): void {
    if (held.info.declaredBy !== declaredBy) return
    held.emptySince = this.#broker.clock.now()
    this.#empty.set(held, { index, key })
    this.#sweepLater()
  }

  #sweepLater(): void {
    if (this.#sweeping || this.#empty.size === 0) return
    this.#sweeping = true
    this.#broker.clock.after(emptyMs, () => {
      this.#sweeping = false
      const now = this.#broker.clock.now()
      for (const [held, { index, key }] of this.#empty) {
        const isHeld = this.#listsOf(index).get(key) === held
        if (isHeld && held.list.length === 0 && now - held.emptySince < emptyMs) continue
        this.#empty.delete(held)
        if (isHeld && held.list.length === 0) this.#dissolve(index, key, held)
      }
      this.#sweepLater()
    })
  }

  /** The first element is about to come. */
  growing(db: Database, key: string, held: HeldList): void {
    if (held.list.length === 0 && !isLog(held.info)) db.vanished(key)
  }

  /** The key is wanted for something else: an empty list goes at once, where it may. */
  giveWay(db: Database, key: string): void {
    const held = this.find(db, key)
    if (held !== undefined && held.info.declaredBy === declaredBy && held.list.length === 0) this.#dissolve(db.index, key, held)
  }

  /** Nobody but Redis knows the queue, and nothing is left of it. */
  #dissolve(index: number, key: string, held: HeldList): void {
    const space = this.#spaces.find(index)
    if (space === undefined || held.queue.records.unfinished > 0 || !this.#isAlone(space, held)) return
    this.#listsOf(index).delete(key)
    this.#memories.delete(held.info.id.toString('hex'))
    space.deleteTopic(held.name).catch((cause: unknown) => {
      this.#broker.log.warn({ topic: held.name, error: errorText(cause) }, 'the queue of an empty list could not be deleted')
    })
  }

  /** Whoever has declared it, consumed from it or published to it may do so again, and must not find it gone. */
  #isAlone(space: Space, { name, queue, busy }: HeldList): boolean {
    const status = space.status(name)
    if (status === undefined || busy !== null) return false
    if (status.isUsed || status.recordsIn !== queue.published || status.subscriptions.length > 1) return false
    return space.bindings({ destination: name, destinationKind: 'topic' }).length === 0
  }

  /** Whether {@link giveWay} makes room once the list is empty, if there is one. */
  mayGiveWay(db: Database, key: string): boolean {
    const held = this.find(db, key)
    const space = this.#spaces.find(db.index)
    return held === undefined || space === undefined || (held.info.declaredBy === declaredBy && this.#isAlone(space, held))
  }

  // -------------------------------------------------------------------------------------------------------------- KeyProvider

  exists(db: Database, key: string): boolean {
    return (this.#value(db, key)?.list.length ?? 0) > 0
  }

  owns(db: Database, key: string): boolean {
    return this.#value(db, key)?.info.declaredBy === declaredBy
  }

  *keys(db: Database): Iterable<string> {
    for (const info of this.#spaces.find(db.index)?.topics() ?? []) {
      if (isLog(info)) continue
      const key = bytesOfName(info.name)
      if (this.exists(db, key)) yield key
    }
  }

  count(db: Database): number {
    let count = 0
    for (const _ of this.keys(db)) count++
    return count
  }

  remove(db: Database, key: string): void {
    const held = this.#value(db, key)
    if (held === undefined) return
    held.list.clear()
    this.#emptied(db.index, key, held)
  }

  read(call: Call, db: Database, key: string, run: (reply: Reply) => void): void {
    const held = this.find(db, key)
    if (held === undefined) return run(call.reply)
    const { list } = held
    perform(
      call,
      held,
      () => list.all(),
      (reply, elements) => {
        this.#inHand = { list, elements }
        try {
          run(reply)
        } finally {
          this.#inHand = null
        }
      },
    )
  }

  #elementsOf({ list }: HeldList): Buffer[] {
    return this.#inHand?.list === list ? [...this.#inHand.elements] : atOnce(list.all())
  }

  rename(db: Database, key: string, toDb: Database, to: string): void {
    const held = this.find(db, key)
    if (held === undefined) return
    const elements = this.#elementsOf(held)
    const target = this.open(toDb, to)
    held.queue.together(() => {
      target.list.push(held.list.inEnd, held.list.inEnd === 'left' ? elements.reverse() : elements)
      this.remove(db, key)
    })
  }

  lift(db: Database, key: string, toDb: Database): () => void {
    const held = this.find(db, key)
    if (held === undefined) return () => undefined
    const elements = atOnce(held.list.all())
    const { inEnd } = held.list
    this.#spaces.open(toDb.index)
    return () => this.open(toDb, key).list.push(inEnd, inEnd === 'left' ? elements.reverse() : elements)
  }

  copy(db: Database, key: string, toDb: Database, to: string, done: (copied: boolean) => void): void {
    const held = this.find(db, key)
    if (held === undefined) return done(false)
    const elements = this.#elementsOf(held)
    this.open(toDb, to).list.push(held.list.inEnd, held.list.inEnd === 'left' ? elements.reverse() : elements)
    done(true)
  }

  elements(db: Database, key: string): string[] {
    const held = this.find(db, key)
    return held === undefined ? [] : this.#elementsOf(held).map((element) => element.toString('latin1'))
  }

  replace(db: Database, key: string, elements: readonly string[]): void {
    if (db.exists(key)) db.remove(key)
    if (elements.length === 0) return
    const bytes = elements.map((element) => Buffer.from(element, 'latin1'))
    this.open(db, key).list.push('right', bytes)
    db.touched(key)
    db.ready(key)
  }

  encoding(db: Database, key: string): string {
    return this.bytes(db, key) > listpackBytesMax ? 'quicklist' : 'listpack'
  }

  bytes(db: Database, key: string): number {
    const status = this.#spaces.find(db.index)?.status(nameOfBytes(key))
    return status?.subscriptions.find(({ name }) => name === '')?.bytes ?? 0
  }

  watch(db: Database, key: string): () => void {
    return this.#spaces.find(db.index)?.watch(nameOfBytes(key), () => db.ready(key)) ?? (() => undefined)
  }
}
