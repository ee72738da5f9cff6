// What one member of a share group fetches on this broker (KIP-932's share sessions), and which records it has. A share group is the subscription
// of the topic under the group's name: acquiring is a pull, the acquisition lock the delivery's deadline, acknowledging its settlement.
import { type Consumer, CoreError, type DeliveryBatch, type Outcome, type Space } from '../../broker/face.ts'
import type { Clock } from '../../lib/timers.ts'
import { GroupRefusal } from './consumer-group.ts'
import { codeOf, KafkaError } from './errors.ts'
import type { GroupConfigs } from './group-config.ts'

/** group.share.max.share.sessions. */
const sessionsMax = 2000
const epochMax = 0x7fffffff

export const AcknowledgeType = { Gap: 0, Accept: 1, Release: 2, Reject: 3, Renew: 4 } as const

export interface AcknowledgementBatch {
  readonly firstOffset: number
  readonly lastOffset: number
  /** One for all, or one for each offset. */
  readonly acknowledgeTypes: readonly number[]
}

/** A record that the member has, until its lock ends. */
interface Held {
  readonly delivery: number
  readonly until: number
}

export interface Acquired {
  readonly firstOffset: number
  readonly lastOffset: number
  readonly deliveryCount: number
}

export class SharePart {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  readonly held = new Map<number, Held>()

  constructor(topic: string, topicId: string, partition: number) {
    this.topic = topic
    this.topicId = topicId
    this.partition = partition
  }
}

export class ShareSession {
  readonly group: string
  readonly memberId: string
  /** The epoch of the next request. */
  epoch = 1
  readonly parts = new Map<string, SharePart>()
  readonly #clock: Clock
  readonly #configs: GroupConfigs
  readonly #consumers = new Map<string, Consumer>()
  #isClosed = false

  constructor(group: string, memberId: string, clock: Clock, configs: GroupConfigs) {
    this.group = group
    this.memberId = memberId
    this.#clock = clock
    this.#configs = configs
  }

  get lockMs(): number {
    return this.#configs.number(this.group, 'share.record.lock.duration.ms')
  }

  part(topicId: string, partition: number): SharePart | undefined {
    return this.parts.get(`${topicId}/${partition}`)
  }

  add(topic: string, topicId: string, partition: number): void {
    const key = `${topicId}/${partition}`
    if (!this.parts.has(key)) this.parts.set(key, new SharePart(topic, topicId, partition))
  }

  /** It is fetched from no longer; what the member has of it can still be acknowledged until the locks end. */
  forget(topicId: string, partition: number): void {
    const part = this.part(topicId, partition)
    if (part === undefined) return
    this.parts.delete(`${topicId}/${partition}`)
    this.#release(part)
  }

  /** Acquires records as soon as there are any. Throws CoreError. Returns how to give up. */
  acquire(
    space: Space,
    part: SharePart,
    limits: { readonly messages: number; readonly bytes: number },
    done: (batch: DeliveryBatch, acquired: Acquired[]) => void,
  ): () => void {
    const consumer = this.#consumer(space, part.topic)
    // Read anew each time: what other partitions gave meanwhile counts.
    const inFlightMax = this.#configs.number(this.group, 'share.partition.max.record.locks')
    const own = {
      inFlightMax,
      get messages() {
        return limits.messages
      },
      get bytes() {
        return limits.bytes
      },
    }
    return consumer.pull(part.partition, own, (batch) => done(batch, this.#hold(part, batch)))
  }

  #consumer(space: Space, topic: string): Consumer {
    const present = this.#consumers.get(topic)
    if (present !== undefined) return present
    const startAt = this.#configs.startOf(this.group, this.#clock.now())
    const consumer = space.subscribe(
      {
        topic,
        subscription: this.group,
        startAt,
        autoSettle: false,
        deadlineMs: this.lockMs,
        // Deliveries at most; the core counts returns.
        deliveryLimit: this.#configs.number(this.group, 'share.delivery.count.limit') - 1,
        name: this.memberId,
      },
      {
        onDeliveries: () => undefined, // It never has credit.
        onConsumerClosed: () => this.#consumers.delete(topic),
      },
    )
    this.#consumers.set(topic, consumer)
    return consumer
  }

  #hold(part: SharePart, batch: DeliveryBatch): Acquired[] {
    const until = this.#clock.now() + this.lockMs
    this.#dropEnded(part)
    const runs: { firstOffset: number; lastOffset: number; deliveryCount: number }[] = []
    for (let index = 0; index < batch.length; index++) {
      const offset = batch.offset[index] ?? -1
      const deliveryCount = batch.attempt[index] ?? 1
      part.held.set(offset, { delivery: batch.id[index] ?? -1, until })
      const last = runs.at(-1)
      if (last !== undefined && last.lastOffset === offset - 1 && last.deliveryCount === deliveryCount) last.lastOffset = offset
      else runs.push({ firstOffset: offset, lastOffset: offset, deliveryCount })
    }
    return runs
  }

  /** Locks end in the order in which they were given. */
  #dropEnded(part: SharePart): void {
    const now = this.#clock.now()
    for (const [offset, { until }] of part.held) {
      if (until > now) return
      part.held.delete(offset)
    }
  }

  /** All of it, or nothing: 0, or Kafka's error code. */
  acknowledge(part: SharePart, batches: readonly AcknowledgementBatch[]): number {
    this.#dropEnded(part)
    const byType = new Map<number, number[]>()
    let next = 0
    for (const { firstOffset, lastOffset, acknowledgeTypes } of batches) {
      const count = lastOffset - firstOffset + 1
      const isForEach = acknowledgeTypes.length === count
      if (count < 1 || firstOffset < next || (acknowledgeTypes.length !== 1 && !isForEach)) return KafkaError.InvalidRequest
      // Who names more than he has names something that is not his; a gap is nobody's.
      if (count > part.held.size && !acknowledgeTypes.includes(AcknowledgeType.Gap)) return KafkaError.InvalidRecordState
      if (count > part.held.size + acknowledgeTypes.length) return KafkaError.InvalidRecordState
      next = lastOffset + 1
      for (let index = 0; index < count; index++) {
        const type = acknowledgeTypes[isForEach ? index : 0] ?? AcknowledgeType.Gap
        if (part.held.has(firstOffset + index)) {
          const offsets = byType.get(type)
          if (offsets === undefined) byType.set(type, [firstOffset + index])
          else offsets.push(firstOffset + index)
        } else if (type !== AcknowledgeType.Gap) return KafkaError.InvalidRecordState
      }
    }
    return this.#settle(part, byType)
  }

  #settle(part: SharePart, byType: ReadonlyMap<number, readonly number[]>): number {
    const consumer = this.#consumers.get(part.topic)
    if (consumer === undefined) return KafkaError.InvalidRecordState
    let missing = 0
    for (const [type, offsets] of byType) {
      const deliveries = offsets.map((offset) => part.held.get(offset)?.delivery ?? -1)
      missing += deliveries.length - consumer.settle(deliveries, this.#outcome(type))
      for (const [index, offset] of offsets.entries()) {
        part.held.delete(offset)
        if (type === AcknowledgeType.Renew)
          part.held.set(offset, { delivery: deliveries[index] ?? -1, until: this.#clock.now() + this.lockMs })
      }
    }
    return missing > 0 ? KafkaError.InvalidRecordState : KafkaError.None
  }

  #outcome(type: number): Outcome {
    switch (type) {
      case AcknowledgeType.Release:
        return { kind: 'release', countsAsAttempt: true }
      case AcknowledgeType.Reject:
        return { kind: 'reject', reason: 'rejected by a share consumer' }
      case AcknowledgeType.Renew:
        return { kind: 'extend', deadlineMs: this.lockMs }
      default:
        return { kind: 'accept' }
    }
  }

  /** What the member has and did not acknowledge goes back, as if it had not been delivered. */
  #release(part: SharePart): void {
    const deliveries = [...part.held.values()].map(({ delivery }) => delivery)
    part.held.clear()
    this.#consumers.get(part.topic)?.settle(deliveries, { kind: 'release', countsAsAttempt: false, delayMs: 0 })
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const part of this.parts.values()) this.#release(part)
    for (const consumer of this.#consumers.values()) consumer.close()
    this.#consumers.clear()
  }
}

/** All share sessions of the broker. */
export class ShareSessions {
  readonly #clock: Clock
  readonly #configs: GroupConfigs
  readonly #sessions = new Map<string, ShareSession>()

  constructor(clock: Clock, configs: GroupConfigs) {
    this.#clock = clock
    this.#configs = configs
  }

  /** A new session; the member's former one ends. Throws {@link GroupRefusal}. */
  open(group: string, memberId: string): ShareSession {
    this.close(this.#sessions.get(keyOf(group, memberId)))
    if (this.#sessions.size >= sessionsMax)
      throw new GroupRefusal(KafkaError.ShareSessionLimitReached, `there are ${sessionsMax} share sessions`)
    const session = new ShareSession(group, memberId, this.#clock, this.#configs)
    this.#sessions.set(keyOf(group, memberId), session)
    return session
  }

  /** The session at this epoch, moved on to the next; -1 leaves it where it is. Throws {@link GroupRefusal}. */
  continue(group: string, memberId: string, epoch: number): ShareSession {
    const session = this.#sessions.get(keyOf(group, memberId))
    if (session === undefined) throw new GroupRefusal(KafkaError.ShareSessionNotFound, `member ${memberId} has no share session`)
    if (epoch === -1) return session
    if (epoch !== session.epoch)
      throw new GroupRefusal(KafkaError.InvalidShareSessionEpoch, `the epoch is ${session.epoch}, not ${epoch}`)
    session.epoch = epoch === epochMax ? 1 : epoch + 1
    return session
  }

  close(session: ShareSession | undefined): void {
    if (session === undefined) return
    const key = keyOf(session.group, session.memberId)
    if (this.#sessions.get(key) === session) this.#sessions.delete(key)
    session.close()
  }
}

const keyOf = (group: string, memberId: string): string => `${memberId.length}/${memberId}/${group}`

/** For a partition that cannot be fetched from. */
export function shareCodeOf(cause: unknown): number {
  if (cause instanceof CoreError && cause.code === 'NotFound') return KafkaError.UnknownTopicId
  return codeOf(cause)
}
