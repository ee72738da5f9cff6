/** What a consumer has delivered: how far it is, and what of it is not acknowledged yet. */

/** Delivered, and not acknowledged. */
export interface Pending {
  /** The subscription's handle of its newest delivery. */
  readonly id: number
  readonly consumerSequence: number
  readonly deliveries: number
  readonly subject: string
  readonly at: number
}

export interface Progress {
  readonly consumer: number
  readonly stream: number
  /** ms since the epoch; 0: never. */
  readonly at: number
}

export class InFlight {
  /** By sequence of the stream. */
  readonly #pending = new Map<number, Pending>()
  delivered: Progress
  /** When something was acknowledged last, ms; 0: nothing was. */
  acknowledgedAt = 0

  /** `before`: the stream's sequence behind which it begins. */
  constructor(before: number) {
    this.delivered = { consumer: 0, stream: before, at: 0 }
  }

  get size(): number {
    return this.#pending.size
  }

  get redelivered(): number {
    let count = 0
    for (const { deliveries } of this.#pending.values()) if (deliveries > 1) count++
    return count
  }

  get(sequence: number): Pending | undefined {
    return this.#pending.get(sequence)
  }

  /** Those of earlier sequences. */
  before(sequence: number): [number, Pending][] {
    return [...this.#pending].filter(([each]) => each < sequence)
  }

  add(sequence: number, pending: Pending): void {
    this.#pending.set(sequence, pending)
  }

  remove(sequence: number): Pending | undefined {
    const pending = this.#pending.get(sequence)
    this.#pending.delete(sequence)
    return pending
  }

  /** Everything that was delivered up to here is done. */
  get floor(): Progress {
    let { consumer, stream } = this.delivered
    for (const [sequence, { consumerSequence }] of this.#pending) {
      stream = Math.min(stream, sequence - 1)
      consumer = Math.min(consumer, consumerSequence - 1)
    }
    return { consumer, stream, at: this.acknowledgedAt }
  }
}
