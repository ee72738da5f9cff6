/**
 * The tubes of one broker, and what jobs there are: found in the topics of the tubes, those that other protocols put there included, and forgotten when they are
 * done or their topic is gone. What becomes of them is in server.ts.
 */
import type { Broker, Space, TopicInfo } from '../../broker/face.ts'
import { Job } from './job.ts'
import { decodeHead, foreignHead, jobFormatId } from './mapping.ts'
import type { JobStore } from './store.ts'
import { Tube } from './tube.ts'

export interface TubesHost {
  /** There may be something to hand out. */
  match(): void
  /** The job, which is held, is ready when it is due. */
  delay(job: Job): void
  bury(job: Job): void
  /** The job is no more: nobody has it, and no time runs for it. */
  drop(job: Job): void
}

export class Tubes {
  readonly byName = new Map<string, Tube>()
  readonly #broker: Broker
  readonly #space: Space
  readonly #store: JobStore
  readonly #host: TubesHost
  /** But for those that wait as they were put. */
  readonly #jobs = new Map<number, Job>()
  /** Records that are on their way from the disk. */
  #loading = 0
  #settled: (() => void)[] = []

  constructor(broker: Broker, space: Space, store: JobStore, host: TubesHost) {
    this.#broker = broker
    this.#space = space
    this.#store = store
    this.#host = host
  }

  /** Before anybody else takes records: what is delayed or buried is held. */
  async start(): Promise<void> {
    const topics = new Map(this.#space.topics().map((topic) => [topic.id.toString('hex'), topic]))
    this.#store.clean((id, place) => {
      const topic = topics.get(id)
      return topic !== undefined && !this.#space.ready(topic.name).isDone(place)
    })
    const known = this.#store.topicIds()
    for (const [id, topic] of topics)
      if (topic.declaredBy === 'beanstalkd' || known.has(id)) this.open(this.named(topic.name), topic)
    await new Promise<void>((resolve) => this.whenSettled(resolve))
    for (const tube of this.byName.values()) tube.sortBuried()
    for (const tube of this.byName.values()) this.vanish(tube)
    this.named('default')
  }

  /** Made when it is first spoken of. */
  named(name: string): Tube {
    let tube = this.byName.get(name)
    if (tube !== undefined) return tube
    tube = new Tube(name)
    this.byName.set(name, tube)
    const space = this.#space
    const known = tube
    tube.unwatch = space.watch(name, () => this.#wake(known))
    const topic = space.topic(name)
    if (topic !== undefined) this.open(tube, topic)
    return tube
  }

  /** A tube that holds nothing, and that nobody uses, is no more; its topic stays. */
  vanish(tube: Tube): void {
    if (!tube.unused || tube.name === 'default' || tube.pausedUntil > this.#broker.clock.now()) return
    tube.unwatch()
    this.byName.delete(tube.name)
  }

  open(tube: Tube, topic: TopicInfo): void {
    const id = topic.id.toString('hex')
    if (tube.topicId === id) return
    // The topic was deleted and made anew.
    this.#clear(tube)
    tube.topicId = id
    tube.topic = topic
    tube.records = this.#space.ready(tube.name)
    this.scan(tube)
  }

  /** Its topic is gone, and its jobs with it. */
  #clear(tube: Tube): void {
    for (const job of [...tube.byPlace.values()]) this.forget(job)
    tube.clearPlain()
    tube.elsewhere.clear()
    tube.topicId = ''
    tube.scannedTo = -1
    tube.records = null
  }

  /** Whether its jobs are those of a topic that is there; others are forgotten. */
  isCurrent(tube: Tube): boolean {
    if (tube.records === null) return true
    const topic = this.#space.topic(tube.name)
    if (topic !== undefined && topic === tube.topic) return true
    if (topic?.id.toString('hex') === tube.topicId) {
      tube.topic = topic
      return true
    }
    this.#clear(tube)
    if (topic !== undefined) this.open(tube, topic)
    return false
  }

  /** Something may be new: it counts once it is durable. */
  #wake(tube: Tube): void {
    if (tube.isWoken) return
    tube.isWoken = true
    this.#broker.atomically(
      () => undefined,
      (error) => {
        tube.isWoken = false
        if (error !== null) return
        const now = this.#space.topic(tube.name)
        if (now === undefined) {
          this.#clear(tube)
          return this.vanish(tube)
        }
        if (tube.topicId !== now.id.toString('hex')) this.open(tube, now)
        else this.scan(tube)
        this.#host.match()
      },
    )
  }

  /** Finds what is not known yet, and what came back from others. */
  scan(tube: Tube): void {
    const { records } = tube
    if (records === null) return
    for (const place of tube.elsewhere) {
      if (records.isDone(place)) this.#lost(tube, place)
      else if (records.has(place)) {
        tube.elsewhere.delete(place)
        this.#index(tube, place)
      }
    }
    const from = records.lanes > 1 ? 0 : tube.scannedTo + 1
    for (let place = records.notDone(from); place >= 0; place = records.notDone(place + 1)) {
      if (!tube.byPlace.has(place) && !tube.elsewhere.has(place)) this.#index(tube, place)
      tube.scannedTo = place
    }
  }

  #lost(tube: Tube, place: number): void {
    tube.elsewhere.delete(place)
    const job = tube.byPlace.get(place)
    if (job !== undefined) this.forget(job)
  }

  #index(tube: Tube, place: number): void {
    const known = tube.byPlace.get(place)
    if (known !== undefined) return tube.addReady(known)
    const record = tube.records?.get(place)
    if (record === null) return void tube.elsewhere.add(place)
    if (record === undefined) return this.load(tube, place, () => this.#index(tube, place))
    const stored = this.#store.find(tube.topicId, place)
    const envelope = record.buffer.subarray(record.start, record.end)
    const own = record.format === jobFormatId ? decodeHead(envelope) : null
    const head = own ?? foreignHead
    const id = stored?.id ?? (own === null || own.id === 0 ? this.#store.nextId() : own.id)
    // In a topic of several lanes places are met again and again, and have to be known.
    if (stored === undefined && head.delaySeconds === 0 && tube.records?.lanes === 1)
      return tube.addPlain({ id, priority: head.priority, place, ttrSeconds: head.ttrSeconds, createdAt: record.timestamp })
    const job = new Job(id, tube, place, record.timestamp, head)
    tube.byPlace.set(place, job)
    this.#jobs.set(id, job)
    job.dueAt = record.timestamp + head.delaySeconds * 1000
    if (stored !== undefined) restore(job, stored)
    const state = stored?.state ?? (head.delaySeconds > 0 ? 'delayed' : 'ready')
    if (state === 'ready' || (state === 'delayed' && job.dueAt <= this.#broker.clock.now())) return tube.addReady(job)
    job.held = tube.records?.hold(place) ?? null
    if (state === 'delayed') this.#host.delay(job)
    else this.#host.bury(job)
  }

  load(tube: Tube, place: number, then: () => void): void {
    const { records } = tube
    if (records === null) return
    this.#loading++
    records.load(place, (error) => {
      this.#loading--
      if (error !== null) this.#broker.log.error({ tube: tube.name, error: error.message }, 'a job could not be read')
      // Not when its topic went meanwhile.
      else if (tube.records === records) then()
      if (this.#loading > 0) return
      this.#host.match()
      for (const told of this.#settled.splice(0)) told()
    })
  }

  /** Told when nothing is on its way from the disk. */
  whenSettled(told: () => void): void {
    if (this.#loading === 0) told()
    else this.#settled.push(told)
  }

  /** The ready job of a tube that is wanted first. */
  firstReady(tube: Tube): Job | undefined {
    return tube.firstReady((job) => this.#jobs.set(job.id, job))
  }

  find(id: number): Job | undefined {
    const job = this.#jobs.get(id) ?? this.#fromPlain(id)
    return job === undefined || job.state === 'gone' || !this.isCurrent(job.tube) ? undefined : job
  }

  #fromPlain(id: number): Job | undefined {
    for (const tube of this.byName.values()) {
      const job = tube.fromPlain(id)
      if (job === undefined) continue
      this.#jobs.set(id, job)
      return job
    }
    return undefined
  }

  forget(job: Job): void {
    const { tube } = job
    if (job.state === 'ready') tube.removeReady(job)
    this.#host.drop(job)
    job.state = 'gone'
    tube.byPlace.delete(job.place)
    this.#jobs.delete(job.id)
    this.vanish(tube)
  }
}

function restore(job: Job, { priority, delaySeconds, dueAt, order, counts }: NonNullable<ReturnType<JobStore['find']>>): void {
  job.isStored = true
  job.priority = priority
  job.delaySeconds = delaySeconds
  job.dueAt = dueAt
  job.buriedOrder = order
  ;[job.reserves, job.timeouts, job.releases, job.buries, job.kicks] = counts
}
