/** A job as the server knows it: where its record stands, and what has become of it since it was put. */
import type { Held } from '../../broker/face.ts'
import type { Timer } from '../../lib/timers.ts'
import type { Tube } from './tube.ts'

/** ready → reserved | gone; reserved → ready | delayed | buried | gone; delayed, buried → ready | reserved | gone. */
export type State = 'ready' | 'reserved' | 'delayed' | 'buried' | 'gone'

/** Jobs of lower numbers are counted as urgent. */
export const urgentPriority = 1024

export class Job {
  readonly id: number
  readonly tube: Tube
  readonly place: number
  readonly createdAt: number
  readonly ttrSeconds: number
  priority: number
  delaySeconds: number
  state: State = 'ready'
  /** Changes whenever it comes to, or leaves, the ready ones: an entry of the heap with another one means nothing. */
  stamp = 0
  /** While it is not ready: nobody else gets it. */
  held: Held | null = null
  /** Who has it reserved. */
  worker: object | null = null
  /** When it is ready again (delayed), or its time to run is over (reserved). */
  dueAt = 0
  timer: Timer | null = null
  /** Known after a restart. */
  buriedOrder = 0
  /** Something of it is stored beside its record. */
  isStored = false
  reserves = 0
  timeouts = 0
  releases = 0
  buries = 0
  kicks = 0

  constructor(
    id: number,
    tube: Tube,
    place: number,
    createdAt: number,
    head: { readonly priority: number; readonly delaySeconds: number; readonly ttrSeconds: number },
  ) {
    this.id = id
    this.tube = tube
    this.place = place
    this.createdAt = createdAt
    this.ttrSeconds = head.ttrSeconds
    this.priority = head.priority
    this.delaySeconds = head.delaySeconds
  }

  get urgent(): boolean {
    return this.priority < urgentPriority
  }
}
