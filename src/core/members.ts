/** Who takes part in a subscription: the consumers by priority, whose turn it is among them, and which one is active where only one may be. */

import type { MemberConsumer } from './consumer.ts'
import { CoreError } from './errors.ts'
import type { Lane, Slot } from './lane.ts'
import type { SubscriptionHost } from './subscription-host.ts'

export class Members {
  /** By priority, the highest first; the active one of classic kind before all. */
  readonly consumers: MemberConsumer[] = []
  /** Where only one may be. */
  #active: MemberConsumer | null = null
  /** Members no longer, with deliveries that are not settled yet. */
  readonly #stopped = new Set<MemberConsumer>()
  readonly #host: SubscriptionHost
  readonly #wake: () => void
  #turn = 0
  /** Whose turn it is after the consumer that was found last. */
  #turnAfter = 0

  constructor(host: SubscriptionHost, wake: () => void) {
    this.#host = host
    this.#wake = wake
  }

  /** Throws Mismatch where somebody is, or would be, exclusive. */
  admit(topic: string, exclusive: boolean): void {
    if (this.consumers.some((other) => other.exclusive))
      throw new CoreError('Mismatch', `topic "${topic}" has an exclusive consumer`)
    if (exclusive && this.consumers.length > 0)
      throw new CoreError('Mismatch', `topic "${topic}" has consumers already, so none can be exclusive`)
  }

  add(consumer: MemberConsumer): void {
    let at = this.consumers.length
    const stays = this.#host.singleActiveConsumer && !this.#host.activeConsumerYields
    while (at > (stays ? 1 : 0) && (this.consumers[at - 1]?.priority ?? 0) < consumer.priority) at--
    this.consumers.splice(at, 0, consumer)
    this.#activate()
  }

  /** It takes part no longer; with unsettled deliveries it is remembered until {@link forget}. False: it did not. */
  remove(consumer: MemberConsumer): boolean {
    const at = this.consumers.indexOf(consumer)
    if (at < 0) return false
    if (consumer.unsettled > 0) this.#stopped.add(consumer)
    this.consumers.splice(at, 1)
    if (this.#active === consumer) this.#active = null
    this.#activate()
    return true
  }

  forget(consumer: MemberConsumer): void {
    this.#stopped.delete(consumer)
  }

  /** Who gets the next record, of so many bytes. `slot`: only who wants it. */
  next(bytes: number, slot: Slot | null = null): MemberConsumer | null {
    const { consumers } = this
    const takes = ({ selects }: MemberConsumer): boolean => slot === null || selects === null || selects(slot)
    if (this.#host.singleActiveConsumer) {
      const active = this.#willing()
      return active?.wants(bytes) === true && takes(active) ? active : null
    }
    // Sorted by priority; turns are taken among those of the highest priority that want something.
    for (let from = 0; from < consumers.length; ) {
      const { priority } = consumers[from] as MemberConsumer // from < length
      let to = from
      while (to < consumers.length && consumers[to]?.priority === priority) to++
      for (let step = 0; step < to - from; step++) {
        const consumer = consumers[from + ((this.#turn + step) % (to - from))] as MemberConsumer // within [from, to)
        if (!consumer.wants(bytes) || !takes(consumer)) continue
        this.#turnAfter = (this.#turn + step + 1) % (to - from)
        return consumer
      }
      from = to
    }
    return null
  }

  /** Whom {@link next} found took it. */
  took(): void {
    this.#turn = this.#turnAfter
  }

  /** Whether somebody would take a record of so many bytes now. */
  want(bytes: number): boolean {
    if (this.#host.singleActiveConsumer) return this.#willing()?.wants(bytes) === true
    return this.consumers.some((consumer) => consumer.wants(bytes))
  }

  get someSelect(): boolean {
    return this.consumers.some(({ selects }) => selects !== null)
  }

  isActive(consumer: MemberConsumer): boolean {
    return !this.#host.singleActiveConsumer || this.#active === consumer
  }

  /** Whether the active consumer has to settle what it has before the next one is active. */
  get yielding(): boolean {
    return this.#active !== null && this.#active !== this.consumers[0] && this.#host.activeConsumerYields
  }

  /** The active consumer, unless it is to give way. */
  #willing(): MemberConsumer | null {
    if (!this.yielding) return this.#active
    // It hears that it is active before it gets anything.
    this.#activate()
    return null
  }

  /** The first is the active one, as soon as the one before has nothing unsettled. */
  #activate(): void {
    if (!this.#host.singleActiveConsumer) return
    const before = this.#active
    const now = this.consumers[0] ?? null
    if (now === before || (before !== null && before.unsettled > 0)) return
    this.#active = now
    if (before !== null) queueMicrotask(() => before.sink.onActive?.(before, false))
    if (now !== null) queueMicrotask(() => now.sink.onActive?.(now, true))
    this.#wake()
  }

  /** Returns when the next delivery is overdue. */
  releaseOverdue(now: number): number {
    let next = Infinity
    for (const consumer of [...this.consumers, ...this.#stopped]) next = Math.min(next, consumer.releaseOverdue(now))
    return next
  }

  addHeld(held: Map<Lane, Set<number>>): void {
    for (const consumer of this.consumers) consumer.heldOffsets(held)
    for (const consumer of this.#stopped) consumer.heldOffsets(held)
  }
}
