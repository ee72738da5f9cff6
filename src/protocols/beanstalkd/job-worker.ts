/** A connection as one that works: the tubes it watches, the jobs it has reserved, and its waiting for the next one. */
import type { Timer } from '../../lib/timers.ts'
import type { Job } from './job.ts'
import type { Server, Worker } from './server.ts'
import type { Tube } from './tube.ts'

/** So long before the end of a job's time to run its worker is told in place of waiting for another (protocol.txt, DEADLINE_SOON). */
const safetyMarginMs = 1000

/** What comes of {@link JobWorker.reserve}, at once or later. */
export interface Reserving {
  reserved(job: Job, body: Buffer): void
  gaveUp(reason: 'TIMED_OUT' | 'DEADLINE_SOON'): void
}

export class JobWorker implements Worker {
  readonly tubes = new Set<Tube>()
  readonly #server: Server
  readonly #tell: Reserving
  readonly #reserved = new Set<Job>()
  #waits = false
  #waitsForNewJobs = false
  #timeout: Timer | null = null
  #deadline: Timer | null = null
  /** It has asked for a job once. */
  #counted = false

  /** It watches `tube` to begin with. */
  constructor(server: Server, tube: Tube, tell: Reserving) {
    this.#server = server
    this.#tell = tell
    this.#add(tube)
  }

  /** The connection is gone. */
  close(): void {
    if (this.#waits) this.#stopWaiting()
    if (this.#counted) this.#server.counters.workers--
    for (const tube of this.tubes) tube.watching--
    this.#server.giveBack(this.#reserved)
    this.#reserved.clear()
    for (const tube of this.tubes) this.#server.tubes.vanish(tube)
  }

  watch(name: string): void {
    const tube = this.#server.tubes.named(name)
    if (!this.tubes.has(tube)) this.#add(tube)
  }

  #add(tube: Tube): void {
    tube.watching++
    this.tubes.add(tube)
  }

  /** False when it is the only tube that it watches. */
  ignore(name: string): boolean {
    const tube = this.#server.tubes.byName.get(name)
    if (tube === undefined || !this.tubes.has(tube)) return true
    if (this.tubes.size < 2) return false
    this.tubes.delete(tube)
    tube.watching--
    this.#server.tubes.vanish(tube)
    return true
  }

  /** The next job of its tubes. `seconds`: how long it waits; null is for ever. */
  reserve(seconds: number | null): void {
    this.#count()
    if (this.#marginAt() <= this.#now && !this.#server.hasReady(this.tubes)) return this.#tell.gaveUp('DEADLINE_SOON')
    this.#waits = true
    this.#waitsForNewJobs = seconds !== 0
    this.#server.counters.waiting++
    this.#server.wait(this)
    // It may have got one at once.
    if (!this.#waits) return
    if (seconds === 0) return this.#server.tubes.whenSettled(() => this.#giveUp('TIMED_OUT'))
    const { clock } = this.#server.broker
    if (seconds !== null) this.#timeout = clock.after(seconds * 1000, () => this.#giveUp('TIMED_OUT'))
    const margin = this.#marginAt()
    if (margin !== Infinity) this.#deadline = clock.after(Math.max(0, margin - this.#now), () => this.#giveUp('DEADLINE_SOON'))
  }

  /** One job, whatever its tube. */
  reserveJob(id: number, notFound: () => void): void {
    this.#server.reserveJob(id, this, (isReserved) => {
      if (isReserved) this.#count()
      else notFound()
    })
  }

  onReserved(job: Job, body: Buffer): void {
    this.#reserved.add(job)
    if (this.#waits) this.#stopWaiting()
    this.#tell.reserved(job, body)
  }

  onLost(job: Job): void {
    this.#reserved.delete(job)
  }

  /** It waits also for jobs that nobody has put yet. */
  get isPatient(): boolean {
    return this.#waits && this.#waitsForNewJobs
  }

  get #now(): number {
    return this.#server.broker.clock.now()
  }

  #count(): void {
    if (!this.#counted) this.#server.counters.workers++
    this.#counted = true
  }

  /** When the safety margin of the first of its jobs begins. */
  #marginAt(): number {
    let first = Infinity
    for (const { dueAt } of this.#reserved) first = Math.min(first, dueAt)
    return first - safetyMarginMs
  }

  #giveUp(reason: 'TIMED_OUT' | 'DEADLINE_SOON'): void {
    if (!this.#waits) return
    this.#stopWaiting()
    this.#tell.gaveUp(reason)
  }

  #stopWaiting(): void {
    this.#timeout?.cancel()
    this.#deadline?.cancel()
    this.#server.stopWaiting(this)
    this.#server.counters.waiting--
    this.#waits = false
  }
}
