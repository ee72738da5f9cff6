/**
 * One queue: the topic of its name, kept until acknowledged where Disque makes it, and its default subscription. Queued jobs are its ready records; a job that is
 * active is held in flight, so that no consumer of any protocol gets it.
 */
import { Buffer } from 'node:buffer'
import {
  type Broker,
  CoreError,
  type LogRecords,
  PublishItem,
  placesOfPartition,
  type ReadyRecord,
  type ReadyRecords,
  type Space,
  type TopicInfo,
} from '../../broker/face.ts'
import { bytesOfName } from '../../lib/byte-names.ts'
import { bodyOf, headOf, Job, type State } from './job.ts'
import { encodeJobId, topicKey } from './job-id.ts'
import { encodeJob, type JobHead, jobFormatId } from './mapping.ts'

export const declaredBy = 'disque'

/** What its queues need of the server. */
export interface QueueHost {
  readonly broker: Broker
  /** With the rights of the broker: what a client may do is asked before. */
  readonly space: Space
  /** The first 8 digits of the node's id. */
  readonly node: string
  /** The queue has a topic, of this key. */
  found(queue: Queue, key: string): void
  /** It will be queued then, also if the broker starts again meanwhile. */
  delayed(queue: Queue, topicId: Buffer, dueAt: number): void
  /** A job began or ceased to be held in flight. */
  holds(change: 1 | -1): void
  /** It was delivered for the only time: kept to be looked at, as long as there is room. */
  delivered(job: Job): void
  /** It came back: kept for its counts, as long as there is room. */
  returned(job: Job): void
  forgotten(job: Job): void
}

/** A client that waits for a job. */
export interface Waiter {
  onJob(fetched: Fetched): void
}

export interface Fetched {
  readonly job: Job
  readonly body: Buffer
}

export class Queue {
  /** Of the topic. */
  readonly name: string
  /** As clients say it, latin1. */
  readonly label: string
  readonly createdAt: number
  readonly waiting = new Set<Waiter>()
  /** Those that are remembered, by the places of their records. */
  readonly jobs = new Map<number, Job>()
  readonly #host: QueueHost
  #topic: TopicInfo | null = null
  #records: ReadyRecords | null = null
  #logs: LogRecords[] = []
  /** What {@link fetch} needs from the disk. */
  #missing = -1
  #unwatch: (() => void) | null = null
  #woken = false
  #turn = 0
  pausedIn = false
  pausedOut = false
  usedAt: number
  /** Published through this protocol. */
  published = 0
  /** Queued without being published; those that wait for their delay count against it. */
  requeued = 0
  jobsOut = 0

  constructor(name: string, host: QueueHost) {
    this.name = name
    this.label = bytesOfName(name)
    this.#host = host
    this.createdAt = this.usedAt = host.broker.clock.now()
  }

  // ------------------------------------------------------------------------------------------------------------------- topic

  /** Its records, or null while there is no topic. */
  get records(): ReadyRecords | null {
    const topic = this.#host.space.topic(this.name)
    if (topic === this.#topic && topic !== undefined) return this.#records
    if (topic !== undefined && this.#topic?.id.equals(topic.id) === true) {
      this.#topic = topic
      return this.#records
    }
    // It was deleted, and its jobs with it.
    for (const job of [...this.jobs.values()]) this.forget(job)
    this.#logs = []
    this.#topic = topic ?? null
    this.#records = topic === undefined ? null : this.#host.space.ready(this.name)
    if (topic !== undefined) this.#host.found(this, topicKey(topic.id))
    return this.#records
  }

  get topic(): TopicInfo | null {
    return this.records === null ? null : this.#topic
  }

  /** The same, made where there is none. Throws. */
  #made(): { readonly topic: TopicInfo; readonly records: ReadyRecords } {
    if (this.records === null) {
      const { space, broker } = this.#host
      const config = { retention: 'acknowledged', recordBytesMax: broker.limits.recordBytesMax } as const
      // What can be refused is refused at once; that it is durable the reply waits for.
      space.createTopic(this.name, config, declaredBy).catch((cause: unknown) => {
        broker.log.warn({ topic: this.name, error: String(cause) }, 'the topic of a queue could not be made')
      })
    }
    const { records } = this
    if (records === null || this.#topic === null)
      throw new CoreError('Full', `the queue "${this.name}" cannot be made: there are too many topics (topicsMax)`)
    return { topic: this.#topic, records }
  }

  get length(): number {
    return this.records?.count ?? 0
  }

  // ------------------------------------------------------------------------------------------------------------------- adding

  /** Stores a job; it is durable when all is that was changed so far. Returns its id; throws a CoreError where it is refused. */
  add(head: JobHead, body: Buffer): string {
    const { topic, records } = this.#made()
    const { space } = this.#host
    const payload = encodeJob(head, body)
    const item = new PublishItem(null, this.name, jobFormatId, payload)
    item.ttlMs = head.ttlSeconds * 1000
    const { partitions, priorityLevels } = topic.config
    if (partitions > 1 && priorityLevels === 1) item.partition = this.#turn++ % partitions
    const dueAt = this.#now + head.delaySeconds * 1000
    // First what says where to look for delayed jobs: a restart may come between.
    if (head.delaySeconds > 0) this.#host.delayed(this, topic.id, dueAt)
    space.publish([item], null)
    if (item.errorCode !== null || item.routedTo === 0)
      throw new CoreError(item.errorCode ?? 'NotFound', item.errorMessage || `no topic "${this.name}"`, this.name)
    this.published++
    this.usedAt = this.#now
    const place = this.#placeOf(item, records, payload)
    const job = this.#job(topic, place, head, 'queued')
    if (head.delaySeconds > 0) this.#delay(job, dueAt)
    return job.id
  }

  /** With priorities, each has a lane that the broker chooses. */
  #placeOf({ partition, baseOffset }: PublishItem, records: ReadyRecords, payload: Buffer): number {
    if (partition >= 0) return partition * placesOfPartition + baseOffset
    for (let lane = 0; lane < records.lanes - 1; lane++) {
      const record = this.#log(lane).get(baseOffset)
      if (record?.buffer.subarray(record.start, record.end).equals(payload) === true) return lane * placesOfPartition + baseOffset
    }
    return (records.lanes - 1) * placesOfPartition + baseOffset
  }

  #delay(job: Job, dueAt: number): void {
    if (!this.hold(job)) return
    job.wasQueued = false
    // It was published, but is not queued yet.
    this.requeued--
    job.requeueAt = dueAt
    this.#setTimer(job)
  }

  /** After a start: jobs whose delay is not over are held again before anybody gets them. */
  async restoreDelayed(): Promise<void> {
    const { records } = this
    if (records === null) return
    for (let place = records.notDone(0); place >= 0; place = records.notDone(place + 1)) {
      let record = records.get(place)
      if (record === undefined) {
        await new Promise<void>((resolve, reject) => {
          records.load(place, (error) => (error === null ? resolve() : reject(error)))
        })
        record = records.get(place)
      }
      if (record === null || record === undefined || record.format !== jobFormatId) continue
      const head = headOf(record)
      const dueAt = head.createdMs + head.delaySeconds * 1000
      if (head.delaySeconds > 0 && dueAt > this.#now && this.#topic !== null)
        this.#delay(this.#job(this.#topic, place, head, 'queued'), dueAt)
    }
  }

  // ----------------------------------------------------------------------------------------------------------------- fetching

  /** The first queued job, now active; null: there is none, undefined: {@link load} must bring it first. */
  fetch(): Fetched | null | undefined {
    const { records } = this
    if (records === null) return null
    for (let place = records.first(); place >= 0; place = records.after(place)) {
      const record = records.get(place)
      if (record === undefined) {
        this.#missing = place
        return undefined
      }
      if (record !== null) return this.#deliver(place, record, records)
    }
    return null
  }

  #deliver(place: number, record: ReadyRecord, records: ReadyRecords): Fetched {
    const job = this.queuedAt(place, record)
    const body = bodyOf(record)
    const { retrySeconds } = job.head
    this.#host.forgotten(job)
    this.jobs.set(place, job)
    job.state = 'active'
    this.jobsOut++
    this.usedAt = this.#now
    if (retrySeconds > 0) {
      job.held = records.hold(place)
      this.#host.holds(1)
      job.requeueAt = this.#now + retrySeconds * 1000
    } else {
      // At most once: nothing can bring it back, not even a restart.
      records.take(place)
      job.requeueAt = 0
      job.body = Buffer.from(body)
      this.#host.delivered(job)
    }
    this.#setTimer(job)
    return { job, body }
  }

  load(done: (error: Error | null) => void): void {
    const { records } = this
    if (records === null) return done(null)
    records.load(this.#missing, done)
  }

  wait(waiter: Waiter): void {
    this.waiting.add(waiter)
    this.#unwatch ??= this.#host.space.watch(this.name, () => this.wake())
  }

  stopWaiting(waiter: Waiter): void {
    this.waiting.delete(waiter)
    if (this.waiting.size > 0) return
    this.#unwatch?.()
    this.#unwatch = null
  }

  /** There may be something for those who wait. */
  wake(): void {
    if (this.#woken || this.waiting.size === 0) return
    this.#woken = true
    queueMicrotask(() => {
      this.#woken = false
      this.#serve()
    })
  }

  /** Those who wait get a job each, the longest waiting first. */
  #serve(): void {
    if (this.pausedOut) return
    for (const waiter of [...this.waiting]) {
      const fetched = this.fetch()
      if (fetched === null) return
      if (fetched === undefined) {
        return this.load((error) => {
          if (error === null) this.#serve()
          else this.#host.broker.log.error({ queue: this.name, error: error.message }, 'a job could not be read')
        })
      }
      waiter.onJob(fetched)
    }
  }

  // -------------------------------------------------------------------------------------------------------------- single jobs

  /** null: there is no such job; undefined: {@link loadAt} must bring its record first. */
  find(place: number, id: string): Job | null | undefined {
    const job = this.at(place)
    return job === undefined || job?.id === id ? job : null
  }

  /** The same of whatever job is there. */
  at(place: number): Job | null | undefined {
    const { records } = this
    const known = this.jobs.get(place)
    if (known?.state === 'active') return known
    if (records === null || this.#topic === null || place >= records.lanes * placesOfPartition) return null
    const record = records.isDone(place) ? null : this.#recordAt(place, records)
    if (record === undefined) return undefined
    if (record === null) {
      // Others have consumed it, or its time is over.
      if (known !== undefined) this.forget(known)
      return null
    }
    const state = records.has(place) ? 'queued' : 'elsewhere'
    if (known === undefined) return this.#job(this.#topic, place, headOf(record), state)
    known.state = state
    return known
  }

  #recordAt(place: number, records: ReadyRecords): ReadyRecord | null | undefined {
    if (records.has(place)) return records.get(place)
    return this.#log(Math.floor(place / placesOfPartition)).get(place % placesOfPartition)
  }

  loadAt(place: number, done: (error: Error | null) => void): void {
    const { records } = this
    if (records?.has(place) === true) records.load(place, done)
    else this.#log(Math.floor(place / placesOfPartition)).load(place % placesOfPartition, done)
  }

  /** What it says; null: its record is gone, undefined: {@link loadBody} must bring it first. */
  bodyOf(job: Job): Buffer | null | undefined {
    if (job.body !== null) return job.body
    const record = this.#log(Math.floor(job.place / placesOfPartition)).get(job.place % placesOfPartition)
    return record === null || record === undefined ? record : bodyOf(record)
  }

  loadBody({ place }: Job, done: (error: Error | null) => void): void {
    this.#log(Math.floor(place / placesOfPartition)).load(place % placesOfPartition, done)
  }

  /** One that is looked at in the queue: there is a record. */
  queuedAt(place: number, record: ReadyRecord): Job {
    return this.jobs.get(place) ?? this.#job(this.#topic as TopicInfo, place, headOf(record), 'queued')
  }

  #log(partition: number): LogRecords {
    return (this.#logs[partition] ??= this.#host.space.records(this.name, partition))
  }

  #job({ id }: TopicInfo, place: number, head: JobHead, state: State): Job {
    const { node } = this.#host
    const text = encodeJobId(node, id, place, head.ttlSeconds, head.retrySeconds > 0)
    const end = head.createdMs + head.ttlSeconds * 1000
    // One that is still here, as a dead letter is, has no end any more.
    return new Job(text, this, place, head, end > this.#now ? end : Infinity, state)
  }

  /** Takes a queued job out of the queue: it is active, and only a timer or a command brings it back. False: others have it. */
  hold(job: Job): boolean {
    const { records } = this
    const record = records?.get(job.place)
    if (job.state !== 'queued' || records === null || record === null || record === undefined) return false
    job.held = records.hold(job.place)
    this.#host.holds(1)
    this.#host.forgotten(job)
    this.jobs.set(job.place, job)
    job.state = 'active'
    job.requeueAt = job.head.retrySeconds === 0 ? 0 : this.nextRequeue(job)
    this.#setTimer(job)
    return true
  }

  /** Of a queued job: when it would be queued again if somebody took it out. */
  nextRequeue({ requeueAt, head }: Job): number {
    const from = requeueAt === 0 ? head.createdMs + head.delaySeconds * 1000 : requeueAt
    const retryMs = head.retrySeconds * 1000
    return retryMs === 0 ? 0 : from + Math.max(0, Math.floor((this.#now - from) / retryMs) + 1) * retryMs
  }

  /** The next delivery is as far away as after a delivery. */
  postpone(job: Job): void {
    if (job.requeueAt === 0) return
    job.requeueAt = this.#now + job.head.retrySeconds * 1000
    this.#setTimer(job)
  }

  /** Puts an active job back. False: it is none, or is never delivered again. */
  enqueue(job: Job, isNack: boolean): boolean {
    if (job.state !== 'active' || job.held === null || job.requeueAt === 0) return false
    if (isNack) job.nacks++
    else if (job.wasQueued) job.deliveries++
    job.timer?.cancel()
    job.held.settle({ kind: 'release', countsAsAttempt: job.wasQueued })
    job.held = null
    this.#host.holds(-1)
    job.wasQueued = true
    job.state = 'queued'
    job.requeueAt = job.head.retrySeconds === 0 ? 0 : this.#now + job.head.retrySeconds * 1000
    this.requeued++
    this.usedAt = this.#now
    if (job.isCounted) this.#host.returned(job)
    else this.jobs.delete(job.place)
    this.wake()
    return true
  }

  /** It is done, wherever it is. False: a consumer of another protocol has it. */
  acknowledge(job: Job): boolean {
    if (job.state === 'queued') {
      if (this.records?.has(job.place) !== true) {
        this.forget(job)
        return false
      }
      this.records.drop(job.place)
    } else if (job.state === 'active') job.held?.settle({ kind: 'accept' })
    else return false
    this.forget(job)
    return true
  }

  /** It is no more; its record is whoever's it is. */
  forget(job: Job): void {
    job.timer?.cancel()
    if (job.held !== null) this.#host.holds(-1)
    job.held = null
    job.state = 'gone'
    if (this.jobs.get(job.place) === job) this.jobs.delete(job.place)
    this.#host.forgotten(job)
  }

  // ----------------------------------------------------------------------------------------------------------------- its time

  get #now(): number {
    return this.#host.broker.clock.now()
  }

  #setTimer(job: Job): void {
    job.timer?.cancel()
    job.timer = null
    const at = Math.min(job.expiresAt, job.requeueAt === 0 ? Infinity : job.requeueAt)
    if (at === Infinity) return
    job.timer = this.#host.broker.clock.after(at - this.#now, () => this.#due(job))
  }

  #due(job: Job): void {
    if (job.state !== 'active') return
    const now = this.#now
    if (job.expiresAt <= now) return this.#expire(job)
    if (job.requeueAt === 0 || job.requeueAt > now) return this.#setTimer(job)
    // A queue that takes nothing takes nothing back; but one that is delivered once, and was not yet, would be lost.
    if (this.pausedIn && job.head.retrySeconds > 0) this.postpone(job)
    else this.enqueue(job, false)
  }

  /** The broker itself does away with records whose time is over, once they are ready. */
  #expire(job: Job): void {
    const { held, place } = job
    this.forget(job)
    held?.settle({ kind: 'release', countsAsAttempt: false })
    this.records?.get(place)
  }
}
