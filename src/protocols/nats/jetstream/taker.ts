/** Where a consumer's messages go: to requests (pull.ts) or to a subject (push.ts). */
import type { ConsumerConfig } from './consumer-config.ts'
import type { Line } from './headers.ts'
import type { Outgoing } from './outbox.ts'

export interface Taker {
  /** Messages it takes now. */
  readonly wanted: number
  readonly waiting: number
  /** Whether somebody uses it. */
  readonly active: boolean
  /** ms since the epoch, as far as that is known while it is not active. */
  readonly lastActiveAt: number
  /** False when nobody takes it after all. `bytes`: subject, reply, headers and payload. */
  take(message: Outgoing, bytes: number): boolean
  /** What there was has been handed out, as far as there was room. */
  exhausted(): void
  /** `status`: what who waits is told; null for nothing. */
  close(status: string | null): void
}

/** The consumer, as its taker sees it. */
export interface TakerHost {
  readonly config: ConsumerConfig
  readonly stream: string
  readonly name: string
  /** Messages that could be delivered if there was room. */
  readonly available: number
  readonly ackPending: number
  /** How far it is, in headers of heartbeats. */
  readonly progress: readonly Line[]
  /** More or less is wanted than before. */
  refresh(): void
  advisePin(group: string, id: string, pinned: boolean): void
}
