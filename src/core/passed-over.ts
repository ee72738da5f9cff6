/**
 * Ready records of a subscription whose consumers select: those that no consumer with room for them wants stand aside here, so that what is behind
 * them can go out. They go back to their places as soon as somebody who wants them has room, or somebody new comes.
 */
import type { MemberConsumer } from './consumer.ts'
import type { Lane } from './lane.ts'

/** Of one subscription. Above it, it waits. */
export const passedOverMax = 10_000

export class PassedOver {
  readonly #wanted = new Map<Lane, Map<number, readonly MemberConsumer[]>>()
  size = 0
  /** When the first of them expires, ms; Infinity: none does. */
  expiresAt = Infinity

  get full(): boolean {
    return this.size >= passedOverMax
  }

  add(lane: Lane, offset: number, expiresAt: number, wantedBy: readonly MemberConsumer[]): void {
    let offsets = this.#wanted.get(lane)
    if (offsets === undefined) {
      offsets = new Map()
      this.#wanted.set(lane, offsets)
    }
    offsets.set(offset, wantedBy)
    this.size++
    if (expiresAt > 0) this.expiresAt = Math.min(this.expiresAt, expiresAt)
  }

  /** Gives those back to their lanes that somebody with room wants. */
  giveBackWanted(): void {
    for (const [lane, offsets] of this.#wanted) {
      for (const [offset, wantedBy] of offsets) {
        if (!wantedBy.some((consumer) => consumer.wants(0))) continue
        offsets.delete(offset)
        this.size--
        lane.giveBack(offset)
      }
    }
  }

  giveBackAll(): void {
    for (const [lane, offsets] of this.#wanted) for (const offset of offsets.keys()) lane.giveBack(offset)
    this.#wanted.clear()
    this.size = 0
    this.expiresAt = Infinity
  }

  /** The lane reads from elsewhere on, and meets them again. */
  forget(lane: Lane): void {
    this.size -= this.#wanted.get(lane)?.size ?? 0
    this.#wanted.delete(lane)
  }
}
