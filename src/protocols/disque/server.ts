/** What all Disque clients of a broker share: queues, what is remembered of jobs, cursors of scans, who is connected. */
import { createHash } from 'node:crypto'
import type { Broker, Principal, Rows, Space } from '../../broker/face.ts'
import { queueName } from './arguments.ts'
import type { Job } from './job.ts'
import { decodeJobId, topicKey } from './job-id.ts'
import { declaredBy, Queue, type QueueHost } from './queue.ts'
import type { Session } from './session.ts'

export const namespace = 'default'
/** What clients may do is asked before. */
const operator: Principal = { user: '', may: () => true }

/** Of jobs that were delivered for the only time: kept to be looked at. */
const deliveredMax = 10_000
const deliveredBytesMax = 16 * 1024 * 1024
/** Of jobs that came back: counts are kept of so many. */
const returnedMax = 100_000
const cursorsMax = 10_000
/** As in Disque: an empty queue that nobody uses is forgotten after so long. */
const idleMs = 300_000
const sweepMs = 60_000
/** When the delays of a topic are over is stored so exactly, so that it is seldom stored. */
const delayRoundMs = 60_000
const delaysRows = 'disque.delays'

/** Where a scan goes on. */
export interface ScanPosition {
  readonly queue: string
  /** Of jobs; -1 for queues. */
  readonly place: number
}

export class Server implements QueueHost {
  readonly broker: Broker
  readonly space: Space
  /** 40 hexadecimal digits, stable for the data directory. */
  readonly nodeId: string
  readonly node: string
  readonly startedAt: number
  readonly queues = new Map<string, Queue>()
  readonly clients = new Map<number, Session>()
  readonly monitors = new Set<Session>()
  readonly statistics = { commands: 0, connections: 0 }
  /** The broker shuts down. */
  leaving = false
  /** CLIENT PAUSE. */
  pausedUntil = 0
  readonly #delays: Rows
  readonly #byTopic = new Map<string, Queue>()
  /** In the order in which they were delivered, came back. */
  readonly #delivered = new Set<Job>()
  readonly #returned = new Set<Job>()
  #deliveredBytes = 0
  #held = 0
  #lastMs = 0
  #sequence = 0
  readonly #cursors = new Map<number, ScanPosition>()
  #lastCursor = 0
  #sweeping = false

  constructor(broker: Broker) {
    this.broker = broker
    this.space = broker.space(operator, namespace, { protocol: 'disque' })
    this.nodeId = createHash('sha1').update(broker.clusterId).digest('hex')
    this.node = this.nodeId.slice(0, 8)
    this.startedAt = broker.clock.now()
    this.#delays = broker.rows(delaysRows)
  }

  static of(broker: Broker): Server {
    return broker.shared('disque.server', () => new Server(broker))
  }

  /** Before anybody takes records: jobs whose delay is not over are held. */
  async start(): Promise<void> {
    const now = this.broker.clock.now()
    for (const [id, dueAt] of [...this.#delays.entries()]) {
      const topic = this.space.topicById(Buffer.from(id, 'hex'))
      if (topic === undefined || Number(dueAt) <= now) this.#delays.delete(id)
      else await this.#open(topic.name).restoreDelayed()
    }
  }

  /** Of a job that is made now: later than all before it. */
  stamp(): { readonly createdMs: number; readonly sequence: number } {
    const now = this.broker.clock.now()
    if (now > this.#lastMs) {
      this.#lastMs = now
      this.#sequence = 0
    } else this.#sequence++
    return { createdMs: this.#lastMs, sequence: this.#sequence }
  }

  /** So many jobs are active that no more can be. */
  get isFull(): boolean {
    return this.#held >= this.broker.limits.inFlightMax
  }

  get rememberedJobs(): number {
    let jobs = 0
    for (const queue of this.queues.values()) jobs += queue.jobs.size
    return jobs
  }

  /** Told when all that was changed so far is durable. */
  whenDurable(done: (error: Error | null) => void): void {
    this.broker.atomically(() => undefined, done)
  }

  // ------------------------------------------------------------------------------------------------------------------ queues

  /** Names of topics whose queues these are, as they are told: kept until acknowledged, or used here. */
  queueNames(): string[] {
    const names = new Set<string>()
    for (const { name, config } of this.space.topics()) if (config.retention === 'acknowledged') names.add(name)
    for (const name of this.queues.keys()) names.add(name)
    return [...names].sort()
  }

  /** By what clients call it; undefined: there is neither a topic of its name nor anybody who has said anything of it. */
  find(label: Buffer): Queue | undefined {
    const name = queueName(label)
    return this.named(name)
  }

  named(name: string): Queue | undefined {
    return this.queues.get(name) ?? (this.space.topic(name) === undefined ? undefined : this.#open(name))
  }

  /** The same, made where there is none: its topic comes with its first job. */
  queue(label: Buffer): Queue {
    const name = queueName(label)
    return this.queues.get(name) ?? this.#open(name)
  }

  #open(name: string): Queue {
    const queue = this.queues.get(name) ?? new Queue(name, this)
    this.queues.set(name, queue)
    this.#sweepLater()
    return queue
  }

  #sweepLater(): void {
    if (this.#sweeping || this.queues.size === 0) return
    this.#sweeping = true
    this.broker.clock.after(sweepMs, () => {
      this.#sweeping = false
      for (const queue of [...this.queues.values()]) if (this.#isIdle(queue)) this.#dissolve(queue)
      this.#sweepLater()
    })
  }

  #isIdle({ usedAt, waiting, pausedIn, pausedOut, jobs, records }: Queue): boolean {
    if (this.broker.clock.now() - usedAt < idleMs || waiting.size > 0 || pausedIn || pausedOut) return false
    return jobs.size === 0 && (records === null || records.unfinished === 0)
  }

  /** Forgets it; its topic goes too when Disque made it and nobody else knows it. */
  #dissolve(queue: Queue): void {
    const { name, topic, published } = queue
    this.queues.delete(name)
    if (topic === null) return
    this.#byTopic.delete(topicKey(topic.id))
    const status = this.space.status(name)
    if (topic.declaredBy !== declaredBy || status === undefined) return
    if (status.isUsed || status.recordsIn !== published || status.subscriptions.length > 1) return
    if (this.space.bindings({ destination: name, destinationKind: 'topic' }).length > 0) return
    this.#delays.delete(topic.id.toString('hex'))
    this.space.deleteTopic(name).catch((cause: unknown) => {
      this.broker.log.warn({ topic: name, error: String(cause) }, 'the topic of an empty queue could not be deleted')
    })
  }

  // -------------------------------------------------------------------------------------------------------------------- jobs

  /** null: there is none of this id; undefined: {@link loadJob} must bring it first. */
  findJob(id: string): Job | null | undefined {
    const found = decodeJobId(this.node, id)
    if (found === null) return null
    const queue = this.#queueOf(found.topic)
    return queue === undefined ? null : queue.find(found.place, id)
  }

  loadJob(id: string, done: (error: Error | null) => void): void {
    const found = decodeJobId(this.node, id)
    const queue = found === null ? undefined : this.#queueOf(found.topic)
    if (found === null || queue === undefined) done(null)
    else queue.loadAt(found.place, done)
  }

  #queueOf(key: string): Queue | undefined {
    const known = this.#byTopic.get(key)
    if (known?.topic !== undefined && known.topic !== null && topicKey(known.topic.id) === key) return known
    this.#byTopic.delete(key)
    const topic = this.space.topics().find(({ id }) => topicKey(id) === key)
    return topic === undefined ? undefined : this.named(topic.name)
  }

  found(queue: Queue, key: string): void {
    this.#byTopic.set(key, queue)
  }

  delayed(_queue: Queue, topicId: Buffer, dueAt: number): void {
    const id = topicId.toString('hex')
    const until = Math.ceil(dueAt / delayRoundMs) * delayRoundMs
    if (Number(this.#delays.get(id) ?? 0) < until) this.#delays.put(id, String(until))
  }

  holds(change: 1 | -1): void {
    this.#held += change
  }

  delivered(job: Job): void {
    this.#delivered.add(job)
    this.#deliveredBytes += job.body?.length ?? 0
    for (const oldest of this.#delivered) {
      if (this.#delivered.size <= deliveredMax && this.#deliveredBytes <= deliveredBytesMax) break
      oldest.queue.forget(oldest)
    }
  }

  returned(job: Job): void {
    this.#returned.delete(job)
    this.#returned.add(job)
    const [oldest] = this.#returned
    if (this.#returned.size > returnedMax && oldest !== undefined) oldest.queue.forget(oldest)
  }

  forgotten(job: Job): void {
    this.#returned.delete(job)
    if (this.#delivered.delete(job)) this.#deliveredBytes -= job.body?.length ?? 0
  }

  // ------------------------------------------------------------------------------------------------------------------ cursors

  /** A number under which a scan can be gone on with, for a while. */
  cursorTo(position: ScanPosition): number {
    this.#cursors.set(++this.#lastCursor, position)
    const [oldest] = this.#cursors.keys()
    if (this.#cursors.size > cursorsMax && oldest !== undefined) this.#cursors.delete(oldest)
    return this.#lastCursor
  }

  cursor(number: number): ScanPosition | undefined {
    return this.#cursors.get(number)
  }
}
