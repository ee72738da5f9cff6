/**
 * What becomes of jobs. A job is a record in the topic of its tube; what is known of it stands in memory, as the reference server has it: one order by priority
 * over any number of tubes (tubes.ts). A job that is not ready is held in flight, so that nobody else gets it.
 */
import { randomBytes } from 'node:crypto'
import {
  type Broker,
  type CoreErrorCode,
  type Principal,
  PublishItem,
  PublishStatus,
  placesOfPartition,
  type Space,
} from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import { Counters } from './counters.ts'
import type { Job } from './job.ts'
import { decodeHead, encodeJob, headBytes, type JobHead, jobFormatId } from './mapping.ts'
import { jobBytesMaxOf } from './settings.ts'
import { JobStore } from './store.ts'
import { before, type Tube, type Waiter } from './tube.ts'
import { Tubes, type TubesHost } from './tubes.ts'

const namespace = 'default'
/** For what is done for everybody: what a client may do is asked before. */
const operator: Principal = { user: '', may: () => true }

/** Someone who waits for a job, and is told. */
export interface Worker extends Waiter {
  /** It has the job. */
  onReserved(job: Job, body: Buffer): void
  /** It has the job no longer: it has settled it, or the time to run is over. */
  onLost(job: Job): void
}

export interface NewJob {
  readonly id: number
  readonly item: PublishItem
  /** Why it was not stored. */
  error: CoreErrorCode | null
}

export class Server implements TubesHost {
  readonly broker: Broker
  readonly space: Space
  readonly counters = new Counters()
  readonly tubes: Tubes
  readonly id = randomBytes(8).toString('hex')
  readonly startedAt: number
  /** Of the largest job, bytes. */
  readonly jobBytesMax: number
  readonly #store: JobStore
  /** Tubes that somebody waits for. */
  readonly #wanted = new Set<Tube>()

  constructor(broker: Broker) {
    this.broker = broker
    this.space = broker.space(operator, namespace, { protocol: 'beanstalkd' })
    this.#store = new JobStore(broker)
    this.startedAt = broker.clock.now()
    broker.draining.offer('beanstalkd')
    this.jobBytesMax = jobBytesMaxOf(broker)
    this.tubes = new Tubes(broker, this.space, this.#store, this)
  }

  static of(broker: Broker): Server {
    return broker.shared('beanstalkd.server', () => new Server(broker))
  }

  get draining(): boolean {
    return this.broker.draining.is('beanstalkd')
  }

  // ----------------------------------------------------------------------------------------------------------------- putting

  /** Something to {@link put}. */
  newJob(tube: Tube, head: Omit<JobHead, 'id'>, body: Buffer): NewJob {
    const id = this.#store.nextId()
    return { id, item: new PublishItem(null, tube.name, jobFormatId, encodeJob({ id, ...head }, body)), error: null }
  }

  /** `done`, later, when they are durable, or it is said of them why not. */
  put(tube: Tube, jobs: readonly NewJob[], done: () => void): void {
    const topic = this.space.topic(tube.name)
    if (topic !== undefined) {
      this.tubes.open(tube, topic)
      return this.#publish(tube, jobs, done)
    }
    this.#make(tube).then(
      () => this.#publish(tube, jobs, done),
      () => {
        for (const job of jobs) job.error = 'Unavailable'
        done()
      },
    )
  }

  #publish(tube: Tube, jobs: readonly NewJob[], done: () => void): void {
    const items = jobs.map(({ item }) => item)
    this.space.publish(items, () => {
      for (const job of jobs) {
        const { status, errorCode } = job.item
        if (status === PublishStatus.Failed || status === PublishStatus.Unrouted) job.error = errorCode ?? 'Internal'
        else {
          tube.totalJobs++
          this.counters.totalJobs++
        }
      }
      this.tubes.scan(tube)
      this.tubes.whenSettled(() => {
        done()
        this.match()
      })
    })
  }

  #make(tube: Tube): Promise<void> {
    tube.made ??= this.space.createTopic(tube.name, { retention: 'acknowledged' }, 'beanstalkd').then(
      (made) => {
        tube.made = null
        this.tubes.open(tube, made)
      },
      (error: unknown) => {
        tube.made = null
        throw error
      },
    )
    return tube.made
  }

  // --------------------------------------------------------------------------------------------------------------- reserving

  wait(worker: Worker): void {
    for (const tube of worker.tubes) {
      tube.waiting.add(worker)
      this.#wanted.add(tube)
    }
    this.match()
  }

  stopWaiting(worker: Worker): void {
    for (const tube of worker.tubes) if (tube.waiting.delete(worker) && tube.waiting.size === 0) this.#wanted.delete(tube)
  }

  /** Gives the most urgent jobs of all tubes to those who wait, the longest waiting first. */
  match(): void {
    while (this.#wanted.size > 0) {
      let best: Job | undefined
      const now = this.broker.clock.now()
      for (const tube of this.#wanted) {
        if (tube.pausedUntil > now || !this.tubes.isCurrent(tube)) continue
        const first = this.tubes.firstReady(tube)
        if (first !== undefined && (best === undefined || before(first, best))) best = first
      }
      if (best === undefined) return
      const [worker] = best.tube.waiting as Set<Worker>
      if (worker === undefined) return
      const body = this.#hold(best)
      if (body === undefined) return // it is loaded first
      if (body === null) continue
      this.stopWaiting(worker)
      this.#toReserved(best, worker, body)
    }
  }

  /** Whether a tube of these has a job that may be reserved. */
  hasReady(tubes: Iterable<Tube>): boolean {
    const now = this.broker.clock.now()
    for (const tube of tubes)
      if (tube.pausedUntil <= now && this.tubes.isCurrent(tube) && this.tubes.firstReady(tube) !== undefined) return true
    return false
  }

  /** Takes a ready job out of its tube. undefined: it is being loaded; null: others have it, or had it. */
  #hold(job: Job): Buffer | null | undefined {
    const { tube, place } = job
    const { records } = tube
    const record = records?.get(place)
    if (record === undefined && records !== null) {
      this.tubes.load(tube, place, () => undefined)
      return undefined
    }
    if (record === null || record === undefined || records === null) {
      tube.removeReady(job)
      job.state = 'gone'
      if (records === null || records.isDone(place)) this.tubes.forget(job)
      else tube.elsewhere.add(place)
      return null
    }
    const body = bodyOf(record.format, record.buffer.subarray(record.start, record.end))
    tube.removeReady(job)
    job.held = records.hold(place)
    return body
  }

  #toReserved(job: Job, worker: Worker, body: Buffer): void {
    job.state = 'reserved'
    job.worker = worker
    job.reserves++
    job.tube.reserved++
    this.counters.reserved++
    this.#startTimeToRun(job)
    worker.onReserved(job, body)
  }

  #startTimeToRun(job: Job): void {
    const ttrMs = Math.max(1, job.ttrSeconds) * 1000
    job.dueAt = this.broker.clock.now() + ttrMs
    this.#timer(job, () => {
      job.timeouts++
      this.counters.timeouts++
      this.#fromReserved(job)
      this.#free(job)
      this.match()
    })
  }

  /** Calls `due` at `dueAt`. */
  #timer(job: Job, due: () => void): void {
    const { clock } = this.broker
    job.timer?.cancel()
    job.timer = clock.after(job.dueAt - clock.now(), due)
  }

  #fromReserved(job: Job): void {
    const worker = job.worker as Worker // of a reserved job
    job.timer?.cancel()
    job.worker = null
    worker.onLost(job)
    job.tube.reserved--
    this.counters.reserved--
  }

  /** It is ready again, for everybody. */
  #free(job: Job): void {
    job.held?.settle({ kind: 'release', countsAsAttempt: true })
    job.held = null
    job.tube.addReady(job)
  }

  /** `done` with its body, or null when nobody has such a job, or somebody has it reserved. */
  reserveJob(id: number, worker: Worker, done: (isReserved: boolean) => void): void {
    this.#withBody(id, (job, body) => {
      if (job === null || body === null || job.state === 'reserved') return done(false)
      if (job.state === 'ready') {
        const held = this.#hold(job)
        if (held === undefined) return this.tubes.whenSettled(() => this.reserveJob(id, worker, done))
        if (held === null) return done(false)
      }
      this.#unpark(job)
      done(true)
      this.#toReserved(job, worker, body)
    })
  }

  drop(job: Job): void {
    if (job.state === 'reserved') this.#fromReserved(job)
    this.#unpark(job)
  }

  #unpark(job: Job): void {
    job.timer?.cancel()
    job.tube.delayed.delete(job)
    job.tube.buried.delete(job)
  }

  touch(id: number, worker: Worker): boolean {
    const job = this.#mine(id, worker)
    if (job !== undefined) this.#startTimeToRun(job)
    return job !== undefined
  }

  #mine(id: number, worker: Worker): Job | undefined {
    const job = this.tubes.find(id)
    return job?.state === 'reserved' && job.worker === worker ? job : undefined
  }

  // ---------------------------------------------------------------------------------------------------------------- settling

  /** The worker's connection is gone: what it has is ready again. */
  giveBack(jobs: Iterable<Job>): void {
    for (const job of jobs) {
      if (job.state !== 'reserved') continue
      this.#fromReserved(job)
      this.#free(job)
    }
    this.match()
  }

  /** `done` when it is durable; with false when it is not the worker's. */
  release(id: number, worker: Worker, priority: number, delaySeconds: number, done: (isMine: boolean) => void): void {
    const job = this.#mine(id, worker)
    if (job === undefined) return done(false)
    this.#fromReserved(job)
    job.priority = priority
    job.delaySeconds = delaySeconds
    job.releases++
    job.dueAt = this.broker.clock.now() + delaySeconds * 1000
    if (delaySeconds > 0) this.delay(job)
    else this.#free(job)
    this.#stored(job, delaySeconds > 0 ? 'delayed' : 'ready', () => done(true))
    this.match()
  }

  buryReserved(id: number, worker: Worker, priority: number, done: (isMine: boolean) => void): void {
    const job = this.#mine(id, worker)
    if (job === undefined) return done(false)
    this.#fromReserved(job)
    job.priority = priority
    job.buries++
    this.bury(job)
    this.#stored(job, 'buried', () => done(true))
  }

  #stored(job: Job, state: 'ready' | 'delayed' | 'buried', done: () => void): void {
    this.#store.put(job, state)
    this.#store.durable().then(done, done)
  }

  delay(job: Job): void {
    job.state = 'delayed'
    job.tube.delayed.add(job)
    this.#timer(job, () => {
      job.tube.delayed.delete(job)
      this.#free(job)
      this.match()
    })
  }

  bury(job: Job): void {
    job.state = 'buried'
    job.tube.buried.add(job)
  }

  /** `done` when it is durable; with false when there is none, or another worker has it. */
  delete(id: number, worker: Worker, done: (deleted: boolean) => void): void {
    const job = this.tubes.find(id)
    if (job === undefined || (job.state === 'reserved' && job.worker !== worker)) return done(false)
    const { tube, held, place } = job
    const { records } = tube
    if (job.state === 'ready' && records?.has(place) !== true) return done(false)
    tube.deletes++
    this.tubes.forget(job)
    if (held === null) {
      return this.broker.atomically(
        () => {
          records?.drop(place)
          this.#store.delete(job)
        },
        (error) => done(error === null),
      )
    }
    const transaction = this.space.begin()
    held.settle({ kind: 'accept' }, transaction)
    this.#store.delete(job)
    transaction.commit((error) => done(error === null))
  }

  /** Of a tube: buried ones, or if there are none delayed ones. `done` with how many, when it is durable. */
  kick(tube: Tube, most: number, done: (kicked: number) => void): void {
    let kicked = 0
    const fromBuried = tube.buried.size > 0
    while (kicked < most) {
      const [job] = fromBuried ? tube.buried : [tube.firstDelayed()]
      if (job === undefined) break
      this.#kick(job)
      kicked++
    }
    if (kicked === 0) return done(0)
    this.#store.durable().then(
      () => done(kicked),
      () => done(kicked),
    )
    this.match()
  }

  kickJob(id: number, done: (kicked: boolean) => void): void {
    const job = this.tubes.find(id)
    if (job === undefined || (job.state !== 'buried' && job.state !== 'delayed')) return done(false)
    this.#kick(job)
    this.#store.durable().then(
      () => done(true),
      () => done(true),
    )
    this.match()
  }

  #kick(job: Job): void {
    this.#unpark(job)
    job.kicks++
    this.#free(job)
    this.#store.put(job, 'ready')
  }

  pause(tube: Tube, seconds: number): void {
    const ms = Math.max(1, seconds * 1000)
    tube.pauseSeconds = seconds
    tube.pausedUntil = this.broker.clock.now() + ms
    tube.pauses++
    this.broker.clock.after(ms, () => {
      this.match()
      this.tubes.vanish(tube)
    })
  }

  // ----------------------------------------------------------------------------------------------------------------- looking

  peek(job: Job | undefined, done: (job: Job | null, body: Buffer | null) => void): void {
    if (job === undefined) return done(null, null)
    this.#withBody(job.id, done)
  }

  /** Whatever its state is; its bytes are read where they stand. */
  #withBody(id: number, done: (job: Job | null, body: Buffer | null) => void): void {
    const job = this.tubes.find(id)
    if (job === undefined) return done(null, null)
    const { tube, place } = job
    if (job.state === 'ready' && tube.records?.has(place) !== true) {
      this.#hold(job) // it turns out to be others'
      return done(null, null)
    }
    const partition = Math.floor(place / placesOfPartition)
    const offset = place % placesOfPartition
    const log = this.space.records(tube.name, partition)
    const record = log.get(offset)
    if (record === null) return done(null, null)
    if (record !== undefined) return done(job, bodyOf(record.format, record.buffer.subarray(record.start, record.end)))
    log.load(offset, (error) => {
      const loaded = error === null && tube.records !== null ? log.get(offset) : null
      if (loaded === null || loaded === undefined || this.tubes.find(id) === undefined) return done(null, null)
      done(job, bodyOf(loaded.format, loaded.buffer.subarray(loaded.start, loaded.end)))
    })
  }
}

function bodyOf(format: number, envelope: Buffer): Buffer {
  if (format === jobFormatId && decodeHead(envelope) !== null) return envelope.subarray(headBytes)
  return formats.get(format).toAttributes(envelope).value ?? Buffer.alloc(0)
}
