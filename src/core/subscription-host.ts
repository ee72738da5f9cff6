/** What a subscription needs of its topic. */
import type { TopicConfig, Transaction } from '../broker/face.ts'
import type { Clock } from '../lib/timers.ts'
import type { Backlog } from './backlog.ts'
import type { Lane, Slot } from './lane.ts'
import type { Returned } from './ops.ts'
import type { Death } from './record.ts'
import type { Subscription } from './subscription.ts'

export interface SubscriptionHost {
  readonly clock: Clock
  /** The record is done with: written lazily, then what nobody needs is freed. */
  markDirty(backlog: Backlog): void
  /** Moves the record to the dead-letter target, if there is one, in one frame with its settling. False: it must stay, and be tried again. */
  deadLetter(slot: Slot, reason: Death['reason'], attempts: number, error: string | undefined): boolean
  readonly deliveryLimit: number
  readonly retryDelay: TopicConfig['retryDelay']
  readonly singleActiveConsumer: boolean
  readonly activeConsumerYields: boolean
  readonly hasDeadLetter: boolean
  /** What came back goes out before everything else, in the order in which it came back; else it goes back to its place. */
  readonly returnsInOrder: boolean
  readonly priorityLanes: boolean
  /** With priority lanes: their indexes, the most urgent first. */
  readonly byUrgency: readonly number[]
  readonly recordsMax: number
  readonly bytesMax: number
  readonly dropsOldest: boolean
  readonly paused: boolean
  /** From which offset on the records of a lane are withheld from the subscription of that name; Infinity: none are. */
  limitOf(subscription: string, lane: number): number
  /** What is stored is still being read: nothing happens before its end is known. */
  readonly recovering: boolean
  recordReturn(backlog: Backlog, lane: Lane, offset: number, how: Returned): void
  consumersChanged(subscription: Subscription): void
  damaged(backlog: Backlog, error: Error): void
  delivered(records: number): void
  /** The record of a lane's log whose delivery is measured, or one behind it, was handed over. */
  handedOver(lane: Lane, offset: number): void
  /** Settlements that happen at the transaction's commit. */
  enlist(transaction: Transaction, action: () => void): void
}
