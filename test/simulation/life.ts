/** What random clients do to one running broker, noted in the model as it is asked for and as it is confirmed. */
import type { OwnedBroker } from '../../src/broker/broker.ts'
import {
  type Transaction as BrokerTransaction,
  type Consumer,
  CoreError,
  type DeliveryBatch,
  type Outcome,
  PublishItem,
  PublishStatus,
  type Sink,
  type Space,
  type Taken,
  type TopicConfig,
} from '../../src/broker/face.ts'
import type { Random } from './disk.ts'
import { ends, quiet, type SimulatedMachine, turns } from './machine.ts'
import { Doubt, Entry, idOf, type Kind, type Model, must, payloadOf, Topic, type Transaction } from './model.ts'

export const format = 1
export const deadName = 'dead'
const dedupWindowMs = 5 * 60 * 1000
export const rowsName = 'simulation'
export const producerId = 1_000_000

/** A delivery that some client has. */
interface Held {
  readonly entry: Entry
  readonly subscription: string
  /** From when on somebody else may have it. */
  until: number
  settle(outcome: Outcome, transaction?: BrokerTransaction): void
}

interface Member {
  readonly consumer: Consumer
  readonly topic: Topic
  readonly subscription: string
  readonly held: Map<number, Held>
}

export class Life {
  readonly broker: OwnedBroker
  readonly space: Space
  readonly #machine: SimulatedMachine
  readonly #model: Model
  readonly #random: Random
  readonly #trace: (line: string) => void
  readonly #ids: { next: number }
  #members: Member[] = []
  /** Taken one by one, without a consumer. */
  #taken: Held[] = []
  /** The machine stopped: whatever this broker still says means nothing. */
  over = false
  /** A violation found inside a callback. */
  failure: unknown = null

  constructor(
    broker: OwnedBroker,
    machine: SimulatedMachine,
    model: Model,
    ids: { next: number },
    trace: (line: string) => void,
  ) {
    this.broker = broker
    this.space = broker.space(broker.anonymous, 'default')
    this.#machine = machine
    this.#model = model
    this.#random = machine.random
    this.#ids = ids
    this.#trace = trace
  }

  /** One random operation. */
  async act(): Promise<void> {
    const total = this.#operations.reduce((sum, [weight]) => sum + weight, 0)
    let at = this.#random.below(total)
    for (const [weight, operation] of this.#operations) {
      at -= weight
      if (at >= 0) continue
      await operation.call(this)
      break
    }
    this.#check()
  }

  #check(): void {
    if (this.failure !== null) throw this.failure
  }

  readonly #operations: readonly [number, (this: Life) => void | Promise<void>][] = [
    [30, this.#publish],
    [4, this.#publishMuch],
    [8, this.#publishDelayed],
    [10, this.#transact],
    [10, this.#subscribe],
    [12, this.#credit],
    [30, this.#settle],
    [4, this.#closeConsumer],
    [8, this.#take],
    [5, this.#commitCursor],
    [4, this.#putRow],
    [3, this.#purge],
    [3, this.#truncate],
    [10, this.#removeRecords],
    [5, this.#createTopic],
    [2, this.#deleteTopic],
    [5, this.#cancelOrMove],
    [14, this.#advance],
  ]

  /** Runs what a client does when it is told something; what it finds wrong ends the run. */
  heard(run: () => void): void {
    if (this.over) return
    try {
      run()
    } catch (error) {
      this.failure ??= error
    }
  }

  /** `ok` and `failed` when a promise of the broker ends, unless the machine stops first. */
  #when(what: string, promise: Promise<unknown>, ok: (value: unknown) => void, refused: () => void = () => undefined): void {
    promise.then(
      (value) =>
        this.heard(() => {
          this.#trace(`  ${what}: done`)
          ok(value)
        }),
      (error: Error) =>
        this.heard(() => {
          this.#trace(`  ${what}: ${error.message}`)
          if (error instanceof CoreError) refused()
        }),
    )
  }

  // ------------------------------------------------------------------------------------------------------------------ topics

  #createTopic(): void {
    const random = this.#random
    const kinds: Kind[] = ['queue', 'queue', 'dying', 'dying', 'priority', 'log', 'log', 'memory']
    const kind = kinds[random.below(kinds.length)] as Kind // below length
    this.create(`${kind}${random.below(2)}`, kind)
  }

  /** Asks for a topic if there is none of that name. */
  create(name: string, kind: Kind): void {
    if (this.#model.current(name) !== undefined) return
    const random = this.#random
    const config: { -readonly [key in keyof TopicConfig]?: TopicConfig[key] } =
      kind === 'log' ? { retention: 'time', partitions: 1 + random.below(3) } : { retention: 'acknowledged' }
    if (random.chance(0.7)) config.segmentBytes = 64 << random.below(5)
    if (kind === 'log' && config.partitions === 1) config.indexed = true
    if (kind === 'priority') config.priorityLevels = 3
    if (kind === 'memory') config.storage = 'memory'
    if (kind === 'dying') {
      config.deadLetter = { exchange: '', routingKey: deadName }
      if (random.chance(0.5)) config.deliveryLimit = random.below(3)
      if (random.chance(0.4)) config.recordTtlMs = 1000 + random.below(20_000)
      if (random.chance(0.4)) config.recordsMax = 2 + random.below(12)
      if (random.chance(0.3)) config.overflow = 'refuse'
    }
    const topic = new Topic(name, kind, config.priorityLevels ?? config.partitions ?? 1)
    if (kind !== 'log') topic.subscriptions.add('')
    this.#model.topics.push(topic)
    this.#trace(`create ${name} ${JSON.stringify(config)}`)
    this.#when(`create ${name}`, this.space.createTopic(name, config, 'simulation'), () => {
      topic.exists = Doubt.Confirmed
    })
    topic.uid = this.space.topic(name)?.id.toString('hex') ?? ''
    must(topic.uid !== '', () => `topic ${name} was not created`)
  }

  #deleteTopic(): void {
    const topic = this.#pick(this.#topics().filter(({ kind }) => kind !== 'dead'))
    if (topic === undefined) return
    this.#trace(`delete ${topic.name}`)
    topic.deleted = Doubt.Asked
    this.#members = this.#members.filter((member) => member.topic !== topic)
    this.#taken = this.#taken.filter(({ entry }) => entry.topic !== topic)
    this.#when(`delete ${topic.name}`, this.space.deleteTopic(topic.name), () => {
      topic.deleted = Doubt.Confirmed
    })
  }

  #topics(): Topic[] {
    return this.#model.topics.filter((topic) => topic.deleted === Doubt.No)
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[this.#random.below(from.length)]
  }

  #size(): number {
    const random = this.#random
    return random.chance(0.85) ? 10 + random.below(200) : 500 + random.below(3500)
  }

  // -------------------------------------------------------------------------------------------------------------- publishing

  #newEntry(topic: Topic): { entry: Entry; item: PublishItem } {
    const partition = this.#random.below(topic.partitions)
    const bytes = this.#size()
    const id = `r${this.#ids.next++}`
    const payload = payloadOf(id, bytes)
    const entry = new Entry(id, topic, partition, payload.length, this.#machine.clock.now())
    this.#model.byId.set(id, entry)
    const item = new PublishItem(this.#random.chance(0.5) ? null : '', topic.name, format, payload)
    if (topic.kind === 'priority') item.priority = partition
    else item.partition = partition
    return { entry, item }
  }

  #publish(): void {
    const random = this.#random
    this.#publishTo(this.#topics(), 1 + random.below(random.chance(0.1) ? 12 : 3))
  }

  /** Enough for some segments. */
  #publishMuch(): void {
    const topic = this.#pick(this.#topics())
    if (topic !== undefined) this.#publishTo([topic], 10 + this.#random.below(30))
  }

  #publishTo(topics: readonly Topic[], records: number): void {
    const batch: { entry: Entry; item: PublishItem }[] = []
    const random = this.#random
    for (let count = records; count > 0; count--) {
      const topic = this.#pick(topics)
      if (topic === undefined || topic.kind === 'dead') continue
      const made = this.#newEntry(topic)
      const { entry, item } = made
      if (topic.kind === 'dying') {
        if (random.chance(0.2)) item.ttlMs = 500 + random.below(10_000)
      } else if (random.chance(0.1)) {
        item.transient = true
        entry.transient = true
      } else if (topic.kind === 'queue' && random.chance(0.3)) entry.dedupId = item.dedupId = `d${random.below(6)}`
      else if (topic.kind === 'log' && random.chance(0.5)) {
        item.producerId = producerId
        item.producerEpoch = 0
        item.producerSequence = entry.sequence = topic.nextSequence[entry.partition] as number // partition below partitions
      }
      batch.push(made)
      this.#trace(
        `publish ${entry.id} (${item.payload.length}) to ${topic.name}/${entry.partition}${entry.transient ? ' transient' : ''}${entry.dedupId ?? ''}${entry.sequence < 0 ? '' : ` seq ${entry.sequence}`}`,
      )
      topic.add(entry)
      if (entry.sequence >= 0) topic.nextSequence[entry.partition] = entry.sequence + 1
    }
    if (batch.length > 0) this.#send(batch)
  }

  #send(batch: { entry: Entry; item: PublishItem }[]): void {
    let told = 0
    this.space.publish(
      batch.map(({ item }) => item),
      () =>
        this.heard(() => {
          must(++told === 1, () => 'a publish was answered twice')
          for (const { entry, item } of batch) this.#answered(entry, item)
        }),
    )
    for (const { entry, item } of batch) this.#routed(entry, item)
  }

  /** What is known of a record once it was handed over: where it will stand, or that it was refused. */
  #routed(entry: Entry, item: PublishItem): void {
    if (item.status === PublishStatus.Stored) entry.offset = entry.dueAt > 0 ? -1 : item.baseOffset
    else {
      entry.absent = true
      const known = item.status === PublishStatus.Duplicate || item.errorCode === 'Full' || item.errorCode === 'Unavailable'
      // A repetition of the producer's sequence is never sent on purpose, and one after a gap that a refusal left is out of order.
      must(
        known || item.errorCode === 'Mismatch' || item.status === PublishStatus.Unrouted,
        () => `${entry.id}: ${item.errorMessage}`,
      )
      if (entry.sequence >= 0) this.#sequenceRefused(entry)
      this.#trace(`  ${entry.id}: ${item.errorCode ?? 'repetition'} ${item.errorMessage}`)
    }
    if (item.status === PublishStatus.Duplicate) this.#checkDuplicate(entry, item)
    else if (item.status === PublishStatus.Stored && entry.dedupId !== null) {
      const now = this.#machine.clock.now()
      const same = this.#before(entry).find((other) => other.dedupId === entry.dedupId && other.publishedAt + dedupWindowMs > now)
      must(same === undefined, () => `${entry.id} was stored though ${same?.id} has the same dedup id`)
    }
  }

  /** What was published to the same topic earlier, and is or was there. */
  #before(entry: Entry): Entry[] {
    const { entries } = entry.topic
    return entries.slice(0, entries.lastIndexOf(entry)).filter((other) => !other.absent)
  }

  #sequenceRefused({ topic, partition, sequence }: Entry): void {
    topic.nextSequence[partition] = Math.min(sequence, topic.nextSequence[partition] ?? sequence)
  }

  #checkDuplicate(entry: Entry, item: PublishItem): void {
    const same = this.#before(entry).find((other) => other.offset === item.baseOffset && other.partition === entry.partition)
    must(
      same?.dedupId === entry.dedupId,
      () => `${entry.id} is called a repetition of ${same?.id ?? 'nothing'} at ${item.baseOffset}`,
    )
  }

  #answered(entry: Entry, item: PublishItem): void {
    if (entry.absent) return
    if (item.status === PublishStatus.Stored) {
      if (!entry.transient) this.#confirm(entry)
      this.#trace(`  ${entry.id}: confirmed${entry.offset < 0 ? '' : ` at ${entry.offset}`}`)
    } else this.#trace(`  ${entry.id}: ${item.errorMessage}`)
  }

  #publishDelayed(): void {
    const topic = this.#pick(this.#topics().filter(({ kind }) => kind === 'queue' || kind === 'log'))
    if (topic === undefined) return
    const { entry, item } = this.#newEntry(topic)
    entry.dueAt = item.deliverAt = this.#machine.clock.now() + 1 + this.#random.below(this.#random.chance(0.5) ? 2_000 : 200_000)
    entry.dueAtLatest = entry.dueAt
    this.#trace(`publish ${entry.id} to ${topic.name} delayed to ${entry.dueAt}`)
    this.#model.scheduled.push(entry)
    this.#send([{ entry, item }])
  }

  async #cancelOrMove(): Promise<void> {
    const listed = await ends('listing delayed records', this.space.scheduled(50))
    if (this.over) return
    const one = this.#pick(listed)
    if (one === undefined) return
    const entry = this.#model.scheduled.find(({ id }) => id === idOf(one.payload))
    must(entry !== undefined, () => `a delayed record that nobody published: ${idOf(one.payload)}`)
    must(entry.cancelled !== Doubt.Confirmed, () => `${entry.id} is listed after it was cancelled`)
    must(!entry.topic.byId.has(entry.id), () => `${entry.id} is listed after it was delivered`)
    if (this.#random.chance(0.5)) {
      this.#trace(`cancel ${entry.id}`)
      if (entry.cancelled === Doubt.No) entry.cancelled = Doubt.Asked
      this.#when(`cancel ${entry.id}`, this.space.cancelScheduled(one.id), (done) => {
        if (done !== true) return
        entry.cancelled = Doubt.Confirmed
        must(!entry.topic.byId.has(entry.id), () => `${entry.id} was delivered, and yet cancelled`)
      })
      return
    }
    const dueAt = this.#machine.clock.now() + 1 + this.#random.below(100_000)
    this.#trace(`move ${entry.id} to ${dueAt}`)
    entry.dueAt = Math.min(entry.dueAt, dueAt)
    entry.dueAtLatest = Math.max(entry.dueAtLatest, dueAt)
    this.#when(`move ${entry.id}`, this.space.reschedule(one.id, dueAt), () => undefined)
  }

  #transact(): void {
    const random = this.#random
    const number = this.#model.transactions.length
    const transaction: Transaction = { number, outcome: 'open', records: [], accepted: [] }
    const begun = this.space.begin()
    const topics = this.#topics().filter(({ kind }) => kind !== 'memory' && kind !== 'dead')
    const made: { entry: Entry; item: PublishItem }[] = []
    for (let count = random.below(4); count > 0; count--) {
      const topic = this.#pick(topics)
      if (topic !== undefined) made.push(this.#newEntry(topic))
    }
    begun.publish(made.map(({ item }) => item))
    const held = this.#allHeld().filter((each) => each.entry.topic.kind !== 'memory' && this.#owns(each))
    const settled: Held[] = []
    for (let count = random.below(4); count > 0 && held.length > 0; count--) {
      const [one] = held.splice(random.below(held.length), 1)
      if (one === undefined) continue
      one.settle({ kind: 'accept' }, begun)
      settled.push(one)
    }
    const what = `transaction ${number} [${made.map(({ entry }) => `${entry.id} to ${entry.topic.name}`).join(', ')}] accepting [${settled.map(({ entry }) => entry.id).join(', ')}]`
    if (random.chance(0.2)) {
      this.#trace(`abort ${what}`)
      begun.abort()
      return
    }
    this.#trace(`commit ${what}`)
    this.#model.transactions.push(transaction)
    for (const { entry } of made) {
      entry.transaction = transaction
      transaction.records.push(entry)
      entry.topic.add(entry)
    }
    begun.commit((error) =>
      this.heard(() => {
        this.#trace(`  transaction ${number}: ${error === null ? 'confirmed' : error.message}`)
        if (transaction.outcome === 'refused')
          return must(error !== null, () => `transaction ${number} is confirmed, but its records were refused`)
        if (error !== null) return
        transaction.outcome = 'confirmed'
        for (const entry of transaction.records) this.#confirm(entry)
        for (const { record, subscription } of transaction.accepted) record.setDone(subscription, Doubt.Confirmed)
      }),
    )
    // A refused transaction has done nothing; one that was taken has done all of it in memory by now.
    const taken = made.filter(({ item }) => item.status === PublishStatus.Stored).length
    must(taken === 0 || taken === made.length, () => `transaction ${number}: ${taken} of ${made.length} records were taken`)
    const refused = taken < made.length
    transaction.outcome = refused ? 'refused' : 'asked'
    for (const { entry, item } of made) {
      if (refused) entry.absent = true
      else entry.offset = item.baseOffset
    }
    if (refused) return
    for (const each of settled) {
      transaction.accepted.push({ record: each.entry, subscription: each.subscription })
      this.#forget(each)
      each.entry.setDone(each.subscription, Doubt.Asked)
    }
  }

  // --------------------------------------------------------------------------------------------------------------- consuming

  #subscribe(): void {
    const random = this.#random
    const topic = this.#pick(this.#topics())
    if (topic === undefined || topic.kind === 'dead' || this.#members.length > 6) return
    const named = topic.kind === 'queue' && random.chance(0.3)
    const subscription = named || topic.kind === 'log' ? 'other' : ''
    const deadlineMs = random.chance(0.3) ? 200 + random.below(5_000) : -1
    const autoSettle = random.chance(0.1)
    this.#trace(`subscribe to ${topic.name} '${subscription}'${autoSettle ? ' settling at once' : ''} deadline ${deadlineMs}`)
    if (!topic.subscriptions.has(subscription)) topic.subscribe(subscription)
    const member: Member = {
      topic,
      subscription,
      held: new Map(),
      consumer: this.space.subscribe(
        { topic: topic.name, subscription, autoSettle, deadlineMs, name: `c${this.#machine.step}`, startAt: 'oldest' },
        this.#sink(topic, subscription, autoSettle, deadlineMs, () => member),
      ),
    }
    this.#members.push(member)
    member.consumer.credit(1 + random.below(20))
  }

  #sink(topic: Topic, subscription: string, autoSettle: boolean, deadlineMs: number, memberOf: () => Member): Sink {
    const newest: number[] = []
    return {
      onDeliveries: (_consumer, batch) =>
        this.heard(() => {
          for (let index = 0; index < batch.length; index++) {
            const entry = this.#delivered(topic, subscription, batch, index, newest, autoSettle)
            if (autoSettle) {
              entry.setDone(subscription, Doubt.Asked)
              continue
            }
            const handle = batch.id[index] as number // index < length
            const member = memberOf()
            const held: Held = {
              entry,
              subscription,
              until: deadlineMs < 0 ? Infinity : this.#machine.clock.now() + deadlineMs,
              settle: (outcome, transaction) => {
                member.consumer.settle([handle], outcome, transaction)
              },
            }
            entry.heldBy.set(subscription, held)
            entry.waits.delete(subscription)
            member.held.set(handle, held)
          }
        }),
      onConsumerClosed: () => undefined,
    }
  }

  #delivered(
    topic: Topic,
    subscription: string,
    batch: DeliveryBatch,
    index: number,
    newest: number[],
    autoSettle: boolean,
  ): Entry {
    const partition = batch.partition[index] as number // index < length, here and below
    const offset = batch.offset[index] as number
    const payload = (batch.buffer[index] as Buffer).subarray(batch.start[index], batch.end[index])
    const entry = this.#received(topic, subscription, payload, partition, offset)
    const first = batch.attempt[index] === 1 && batch.redelivered[index] === false
    this.#trace(
      `  ${entry.id} delivered to ${topic.name} '${subscription}', attempt ${batch.attempt[index]}${autoSettle ? ', settled' : ''}`,
    )
    if (first) {
      must(offset > (newest[partition] ?? -1), () => `${entry.id} at ${offset} was delivered after ${newest[partition]}`)
      newest[partition] = offset
    }
    return entry
  }

  /** Somebody got a record through a subscription. */
  #received(topic: Topic, subscription: string, payload: Buffer, partition: number, offset: number): Entry {
    const entry = this.knows(topic, payload, partition, offset)
    must(!this.#isHeld(entry, subscription), () => `${entry.id} was delivered while somebody has it`)
    if (entry.unsure.delete(subscription)) entry.done.delete(subscription)
    must(entry.doneFor(subscription) === Doubt.No, () => `${entry.id} was delivered after it was settled`)
    return entry
  }

  /** The entry of a record that was read; it must survive from here on. */
  knows(topic: Topic, payload: Buffer, partition: number, offset: number): Entry {
    const id = idOf(payload)
    let entry = topic.byId.get(id)
    if (entry === undefined) {
      const scheduled = this.#model.scheduled.find((each) => each.id === id && each.topic.name === topic.name)
      must(scheduled !== undefined, () => `a record that nobody published to ${topic.name}: ${id}`)
      must(scheduled.cancelled !== Doubt.Confirmed, () => `${id} was delivered after it was cancelled`)
      must(scheduled.dueAt <= this.#machine.clock.now(), () => `${id} was delivered before it was due`)
      entry = scheduled
      entry.topic = topic
      entry.partition = partition
      topic.add(entry)
      entry.offset = offset
    }
    const known = entry
    must(!known.absent, () => `${id} was delivered, but it was refused`)
    must(
      known.offset === offset && (known.dueAt > 0 || topic.kind === 'priority' || known.partition === partition),
      () => `${id} was at ${known.partition}/${known.offset}, now at ${partition}/${offset}`,
    )
    if (topic.kind !== 'memory') this.#confirm(known)
    return known
  }

  #confirm(entry: Entry): void {
    if (entry.confirmed) return
    entry.confirmed = true
    entry.confirmedAt = this.#machine.step
  }

  #credit(): void {
    this.#pick(this.#members)?.consumer.credit(1 + this.#random.below(10))
  }

  #allHeld(): Held[] {
    return [...this.#members.flatMap((member) => [...member.held.values()]), ...this.#taken]
  }

  /** Whether somebody has it, as far as its deadline goes. */
  #isHeld(entry: Entry, subscription: string): boolean {
    return (entry.heldBy.get(subscription)?.until ?? 0) > this.#machine.clock.now()
  }

  /** Whether a delivery was not taken away by its deadline, so that settling it means something. */
  #owns(held: Held): boolean {
    return held.entry.heldBy.get(held.subscription) === held && held.until > this.#machine.clock.now()
  }

  /** The client is done with a delivery, whatever it said. */
  #forget(held: Held): void {
    for (const member of this.#members) for (const [handle, each] of member.held) if (each === held) member.held.delete(handle)
    this.#taken = this.#taken.filter((each) => each !== held)
    this.#letGo(held)
  }

  #letGo(held: Held): void {
    if (held.entry.heldBy.get(held.subscription) === held) held.entry.heldBy.delete(held.subscription)
  }

  #settle(): void {
    const random = this.#random
    const held = this.#pick(this.#allHeld())
    if (held === undefined) return
    const { entry, subscription } = held
    const overdue = !this.#owns(held)
    const kind = random.below(10)
    if (kind < 5) {
      this.#trace(`accept ${entry.id}`)
      // A deadline that has passed took it away: nothing happens, or somebody else has it.
      if (!overdue) entry.setDone(subscription, Doubt.Asked)
      this.#forget(held)
      held.settle({ kind: 'accept' })
    } else if (kind < 8) {
      const delayMs = random.chance(0.5) ? random.below(3_000) : 0
      this.#trace(`release ${entry.id} for ${delayMs}`)
      // Of two who think that they have it one is too late, and what he says counts for nothing.
      const until = Math.max(entry.waits.get(subscription) ?? 0, this.#machine.clock.now() + delayMs)
      if (delayMs > 0) entry.waits.set(subscription, until)
      this.#forget(held)
      held.settle({ kind: 'release', delayMs, countsAsAttempt: random.chance(0.7) })
    } else if (kind < 9) {
      this.#trace(`reject ${entry.id}`)
      if (entry.topic.kind !== 'dying' && !overdue) entry.setDone(subscription, Doubt.Asked)
      this.#forget(held)
      held.settle({ kind: 'reject', reason: 'simulated' })
    } else {
      const deadlineMs = 100 + random.below(4_000)
      if (overdue) return
      this.#trace(`extend ${entry.id} to ${deadlineMs}`)
      held.settle({ kind: 'extend', deadlineMs })
      held.until = this.#machine.clock.now() + deadlineMs
    }
  }

  #closeConsumer(): void {
    const member = this.#pick(this.#members)
    if (member === undefined) return
    this.#trace(
      `close a consumer of ${member.topic.name} with ${[...member.held.values()].map(({ entry }) => entry.id).join(', ')}`,
    )
    this.#members = this.#members.filter((each) => each !== member)
    for (const held of member.held.values()) this.#letGo(held)
    member.consumer.close()
  }

  #take(): void {
    const topic = this.#pick(this.#topics().filter(({ kind }) => kind !== 'log' && kind !== 'dead'))
    if (topic === undefined) return
    const autoSettle = this.#random.chance(0.3)
    this.space.take(topic.name, autoSettle, (taken: Taken | null) =>
      this.heard(() => {
        if (taken === null) return
        const entry = this.#received(topic, '', taken.bytes, taken.partition, taken.offset)
        this.#trace(`  ${entry.id} taken from ${topic.name}${autoSettle ? ' for good' : ''}`)
        if (autoSettle) return entry.setDone('', Doubt.Asked)
        const held: Held = {
          entry,
          subscription: '',
          until: Infinity,
          settle: (outcome, transaction) => taken.settle(outcome, transaction),
        }
        entry.heldBy.set('', held)
        entry.waits.delete('')
        this.#taken.push(held)
      }),
    )
  }

  #purge(): void {
    const topic = this.#pick(this.#topics().filter(({ kind }) => kind === 'queue'))
    if (topic === undefined) return
    const readable = this.space.status(topic.name)?.partitions ?? []
    const purged = topic.entries.filter(
      (entry) =>
        !entry.absent &&
        !this.#isHeld(entry, '') &&
        entry.offset >= 0 &&
        entry.offset < (readable[entry.partition]?.nextOffset ?? 0),
    )
    topic.purged = true
    this.#trace(`purge ${topic.name}`)
    for (const entry of purged) entry.setDone('', Doubt.Asked)
    this.#when(`purge ${topic.name}`, this.space.purge(topic.name), () => {
      for (const entry of purged) entry.setDone('', Doubt.Confirmed)
    })
  }

  #truncate(): void {
    const topic = this.#pick(this.#topics().filter(({ kind }) => kind === 'log'))
    if (topic === undefined) return
    const partition = this.#random.below(topic.partitions)
    const status = this.space.status(topic.name)?.partitions[partition]
    if (status === undefined || topic.exists !== Doubt.Confirmed) return
    const offset = status.startOffset + this.#random.below(status.nextOffset - status.startOffset + 1)
    this.#trace(`truncate ${topic.name}/${partition} to ${offset}`)
    topic.truncatedAsked[partition] = Math.max(topic.truncatedAsked[partition] ?? 0, offset)
    this.#when(`truncate ${topic.name}`, this.space.deleteRecordsBefore(topic.name, partition, offset), () => {
      topic.truncatedConfirmed[partition] = Math.max(topic.truncatedConfirmed[partition] ?? 0, offset)
    })
  }

  /** Most of what a log has goes, and now and then all but a few. */
  #removeRecords(): void {
    const random = this.#random
    const topic = this.#pick(this.#topics().filter(({ kind }) => kind === 'log'))
    if (topic === undefined || topic.exists !== Doubt.Confirmed) return
    const partition = random.below(topic.partitions)
    const share = random.next()
    const gone = topic.entries.filter(
      (entry) => entry.partition === partition && entry.confirmed && entry.offset >= 0 && !entry.absent && random.chance(share),
    )
    this.#trace(`take ${gone.map(({ id }) => id).join(', ')} out of ${topic.name}/${partition}`)
    for (const entry of gone) if (entry.removed === Doubt.No) entry.removed = Doubt.Asked
    const offsets = gone.map(({ offset }) => offset)
    this.#when(`taking out of ${topic.name}`, this.space.removeRecords(topic.name, partition, offsets), () => {
      for (const entry of gone) entry.removed = Doubt.Confirmed
    })
  }

  // ------------------------------------------------------------------------------------------------------------------- others

  #commitCursor(): void {
    const topic = this.#pick(this.#topics().filter(({ kind }) => kind === 'log'))
    if (topic === undefined) return
    const register = this.#model.register(`cursor ${topic.uid}`)
    const offset = this.#random.below(100)
    const asked = register.ask(String(offset))
    this.#trace(`cursor of ${topic.name} to ${offset}`)
    this.space.commitCursors('group', [{ topic: topic.name, partition: 0, offset, metadata: '', leaderEpoch: 0 }], (error) =>
      this.heard(() => {
        if (error === null) register.confirm(asked)
      }),
    )
  }

  #putRow(): void {
    const key = `k${this.#random.below(3)}`
    const register = this.#model.register(`row ${key}`)
    const rows = this.broker.rows(rowsName)
    const value = this.#random.chance(0.2) ? undefined : String(this.#ids.next++)
    if (value === undefined) rows.delete(key)
    else rows.put(key, value)
    const asked = register.ask(value)
    this.#trace(`row ${key} is ${value}`)
    this.#when(`row ${key}`, rows.durable(), () => register.confirm(asked))
  }

  async #advance(): Promise<void> {
    const random = this.#random
    const kind = random.below(10)
    const ms = kind < 5 ? 1 + random.below(60) : kind < 8 ? random.below(3_000) : random.below(70_000)
    this.#trace(`the clock moves by ${ms} ms`)
    this.#machine.clock.advance(ms)
    await turns(random.below(4))
  }

  // ----------------------------------------------------------------------------------------------------------------- the end

  /** Lets go of everything and waits until nothing happens any more. */
  async rest(): Promise<void> {
    for (let round = 0; round < 3; round++) {
      await quiet(this.#machine)
      this.#machine.clock.advance(25)
    }
    await quiet(this.#machine)
    this.#check()
  }

  /** A clean stop: what was settled before it is durable. */
  async stop(): Promise<void> {
    const failed = this.broker.stats().walFailed !== null
    await ends('closing', this.broker.close())
    this.over = true
    this.#check()
    if (failed || this.#machine.said.some((line) => line.includes('failed'))) return
    for (const topic of this.#model.topics) {
      // What was asked before a crash, and nobody has seen since, may never have happened.
      for (const entry of topic.entries)
        for (const [name, doubt] of entry.done)
          if (doubt === Doubt.Asked && !entry.unsure.has(name)) entry.setDone(name, Doubt.Confirmed)
    }
  }
}
