/** One namespace's topics, exchanges and cursors, as stored and live. */
import type { Topic } from '../core/topic.ts'
import type { Clock } from '../lib/timers.ts'
import { Router } from './router.ts'
import { Subjects } from './subjects.ts'

export interface Cursor {
  readonly offset: number
  readonly metadata: string
  readonly leaderEpoch: number
  /** When, ms. */
  readonly committedAt: number
}

export class Namespace {
  readonly name: string
  readonly topics = new Map<string, Topic>()
  readonly router: Router
  readonly subjects: Subjects
  /** By group, then topic and partition as `topic/partition`. */
  readonly cursors = new Map<string, Map<string, Cursor>>()

  constructor(name: string, random: () => number, clock: Clock) {
    this.name = name
    this.subjects = new Subjects(clock)
    this.router = new Router((topic) => this.topics.has(topic), random)
  }

  setCursor(group: string, topic: string, partition: number, cursor: Cursor | null): void {
    let positions = this.cursors.get(group)
    const key = `${topic}/${partition}`
    if (cursor === null) {
      positions?.delete(key)
      if (positions?.size === 0) this.cursors.delete(group)
      return
    }
    if (positions === undefined) {
      positions = new Map()
      this.cursors.set(group, positions)
    }
    positions.set(key, cursor)
  }

  /** The least committed offset of a partition over all groups that read the topic; Infinity when none does. */
  cursorFloor(topic: string, partition: number): number {
    let floor = Infinity
    for (const positions of this.cursors.values()) {
      const cursor = positions.get(`${topic}/${partition}`)
      if (cursor !== undefined && cursor.offset < floor) floor = cursor.offset
    }
    return floor
  }
}
