/** What outlives a restart beside the records themselves: the ids that were given out, and what became of jobs after they were put. */
import type { Broker, Rows } from '../../broker/face.ts'
import type { Job } from './job.ts'

const idsAtOnce = 1000

/** As stored; of a job that is as it was put there is nothing. */
export interface StoredJob {
  readonly state: 'ready' | 'delayed' | 'buried'
  readonly id: number
  readonly priority: number
  readonly delaySeconds: number
  readonly dueAt: number
  /** The order of those that are buried. */
  readonly order: number
  readonly counts: readonly [reserves: number, timeouts: number, releases: number, buries: number, kicks: number]
}

export class JobStore {
  readonly #rows: Rows
  readonly #ids: Rows
  #next: number
  #until: number
  #order = 0

  constructor(broker: Broker) {
    this.#rows = broker.rows('beanstalkd.job')
    this.#ids = broker.rows('beanstalkd.ids')
    this.#next = this.#until = Number(this.#ids.get('next') ?? '1')
    for (const [, text] of this.#rows.entries()) this.#order = Math.max(this.#order, parse(text).order)
  }

  /** Never given before, and larger than all that were. What is written of it comes after what makes it sure. */
  nextId(): number {
    if (this.#next === this.#until) {
      this.#until += idsAtOnce
      this.#ids.put('next', String(this.#until))
    }
    return this.#next++
  }

  find(topicId: string, place: number): StoredJob | undefined {
    if (this.#rows.size === 0) return undefined
    const text = this.#rows.get(keyOf(topicId, place))
    return text === undefined ? undefined : parse(text)
  }

  put(job: Job, state: StoredJob['state']): void {
    const { id, priority, delaySeconds, dueAt, reserves, timeouts, releases, buries, kicks } = job
    const counts = [reserves, timeouts, releases, buries, kicks] as const
    const order = state === 'buried' ? ++this.#order : 0
    const stored: StoredJob = { state, id, priority, delaySeconds, dueAt, order, counts }
    job.isStored = true
    this.#rows.put(keyOf(job.tube.topicId, job.place), JSON.stringify(stored))
  }

  delete(job: Job): void {
    if (job.isStored) this.#rows.delete(keyOf(job.tube.topicId, job.place))
  }

  durable(): Promise<void> {
    return this.#rows.durable()
  }

  /** Forgets jobs of topics that are gone, and those that others have finished. */
  clean(isThere: (topicId: string, place: number) => boolean): void {
    for (const [key] of [...this.#rows.entries()]) {
      const [topicId = '', place] = key.split('/')
      if (!isThere(topicId, Number(place))) this.#rows.delete(key)
    }
  }

  topicIds(): Set<string> {
    return new Set([...this.#rows.entries()].map(([key]) => key.split('/')[0] ?? ''))
  }
}

const keyOf = (topicId: string, place: number): string => `${topicId}/${place}`
const parse = (text: string): StoredJob => JSON.parse(text) as StoredJob // as put() wrote it
