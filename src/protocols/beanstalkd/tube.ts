/** A tube: the topic of its name, with its jobs in the order in which they are wanted. */
import type { ReadyRecords, TopicInfo } from '../../broker/face.ts'
import { Heap } from '../../lib/heap.ts'
import { Job, urgentPriority } from './job.ts'
import { type WaitingJob, WaitingJobs } from './waiting-jobs.ts'

/** A job's place in the order as it was when it came there: its priority may be another one by now, and this entry none any more. */
interface Entry {
  readonly job: Job
  readonly stamp: number
  readonly id: number
  readonly priority: number
}

/** Someone who waits for a job. */
export interface Waiter {
  readonly tubes: ReadonlySet<Tube>
}

export class Tube {
  readonly name: string
  /** null: there is no topic yet. */
  records: ReadyRecords | null = null
  topicId = ''
  /** As it was last seen. */
  topic: TopicInfo | undefined
  /** All up to here was looked at. */
  scannedTo = -1
  /** How the watching of the topic is ended. */
  unwatch: () => void = () => undefined
  /** Ready, and as they were put: no {@link Job} is made of them until somebody asks for one. */
  readonly #plain = new WaitingJobs()
  /** All others. */
  readonly byPlace = new Map<number, Job>()
  /** Places of records that others have. */
  readonly elsewhere = new Set<number>()
  readonly delayed = new Set<Job>()
  /** In the order in which they were buried. */
  readonly buried = new Set<Job>()
  readonly waiting = new Set<Waiter>()
  reserved = 0
  ready = 0
  urgent = 0
  using = 0
  watching = 0
  totalJobs = 0
  deletes = 0
  pauses = 0
  pauseSeconds = 0
  pausedUntil = 0
  /** It is going to be looked at. */
  isWoken = false
  /** Settled when its topic is there. */
  made: Promise<void> | null = null
  readonly #heap = new Heap<Entry>(before)

  constructor(name: string) {
    this.name = name
  }

  get unused(): boolean {
    return (
      this.byPlace.size === 0 && this.#plain.size === 0 && this.elsewhere.size === 0 && this.using === 0 && this.watching === 0
    )
  }

  /** A job that is ready, and as it was put. */
  addPlain(job: WaitingJob): void {
    this.#plain.add(job)
    this.ready++
    if (job.priority < urgentPriority) this.urgent++
  }

  /** Of a job that is ready, and as it was put; undefined: there is no such one. */
  fromPlain(id: number): Job | undefined {
    const plain = this.#plain.take(id)
    if (plain === undefined) return undefined
    const job = new Job(id, this, plain.place, plain.createdAt, { ...plain, delaySeconds: 0 })
    this.byPlace.set(job.place, job)
    this.ready--
    if (job.urgent) this.urgent--
    this.addReady(job)
    return job
  }

  /** The topic is gone: nothing is known of its jobs any more. */
  clearPlain(): void {
    this.#plain.clear()
    this.ready = 0
    this.urgent = 0
  }

  addReady(job: Job): void {
    job.state = 'ready'
    job.stamp++
    this.ready++
    if (job.urgent) this.urgent++
    this.#heap.push({ job, stamp: job.stamp, id: job.id, priority: job.priority })
  }

  /** It is ready no longer; the caller says what it is. */
  removeReady(job: Job): void {
    job.stamp++
    this.ready--
    if (job.urgent) this.urgent--
  }

  /** The job that is wanted first. `made` is told of one that there was no {@link Job} of. */
  firstReady(made: (job: Job) => void): Job | undefined {
    const known = this.#firstKnown()
    const { first } = this.#plain
    if (first === undefined || (known !== undefined && before(known, first))) return known
    const job = this.fromPlain(first.id)
    if (job !== undefined) made(job)
    return job
  }

  #firstKnown(): Job | undefined {
    for (let entry = this.#heap.peek(); entry !== undefined; entry = this.#heap.peek()) {
      if (entry.job.state === 'ready' && entry.job.stamp === entry.stamp) return entry.job
      this.#heap.pop()
    }
    return undefined
  }

  /** After a restart, when they were found in the order of their places. */
  sortBuried(): void {
    const jobs = [...this.buried].sort((a, b) => a.buriedOrder - b.buriedOrder)
    this.buried.clear()
    for (const job of jobs) this.buried.add(job)
  }

  /** Of several that are due at once, the one that was delayed first. */
  firstDelayed(): Job | undefined {
    let first: Job | undefined
    for (const job of this.delayed) if (first === undefined || job.dueAt < first.dueAt) first = job
    return first
  }
}

/** By priority, then in the order in which they were put. */
export function before(a: Pick<Job, 'id' | 'priority'>, b: Pick<Job, 'id' | 'priority'>): boolean {
  return a.priority === b.priority ? a.id < b.id : a.priority < b.priority
}
