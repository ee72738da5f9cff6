// One channel: its publisher, its consumers, its unacknowledged deliveries, and what tx and qos have set.
//
//   Open → Closing (we sent channel.close; everything but close-ok is discarded) → gone
//   Open → gone (the client closed it)
import { accept, type CoreErrorCode, type Outcome, type Transaction } from '../../broker/face.ts'
import { ackFrameBytes, readU64, writeAck } from './codec.ts'
import type { ChannelConsumer, DeliveryOwner } from './consumer.ts'
import { AmqpError, preconditionFailed } from './errors.ts'
import { Publisher } from './publisher.ts'
import { closeReplies, openReplies } from './reply.ts'
import type { Session } from './session.ts'
import { Unacked } from './unacked.ts'

/** An acknowledgement that waits for tx.commit. */
interface PendingSettlement {
  readonly owner: DeliveryOwner
  readonly handle: number
  readonly tag: number
  readonly outcome: Outcome
}

/** RabbitMQ 4.3: basic.reject and a lost consumer say that the message failed, basic.nack and basic.recover only that it was not taken. */
export const failed: Outcome = { kind: 'release', countsAsAttempt: true }
export const putBack: Outcome = { kind: 'release', countsAsAttempt: false }
export const discard: Outcome = { kind: 'reject', reason: 'rejected' }

export class Channel {
  readonly session: Session
  readonly number: number
  readonly publisher: Publisher
  readonly consumers = new Map<string, ChannelConsumer>()
  readonly unacked = new Unacked<DeliveryOwner>()
  open = true
  /** Prefetch of consumers to come; 0: no limit. */
  prefetch = 0
  /** Shared by the channel's consumers (basic.qos with global); 0: none. */
  sharedPrefetch = 0
  lastQueue = ''
  /** The least time that any of its deliveries may stay unacknowledged, ms; 0: none has one. */
  timeoutMsLeast = 0
  replyToken: string | null = null
  replyTag = ''
  /** True when markDirty has listed it for the turn's end. */
  dirty = false
  #unackedByConsumers = 0
  #acking: ChannelConsumer[] = []
  #settlements: PendingSettlement[] | null = null

  constructor(session: Session, number: number) {
    this.session = session
    this.number = number
    this.publisher = new Publisher(this)
  }

  // ------------------------------------------------------------------------------------------------------------ acknowledging

  /** basic.ack, read by hand: ids(4) delivery-tag(8) bits(1). */
  onAck(buffer: Buffer, start: number, end: number): void {
    if (end - start < 13) throw new AmqpError('SYNTAX_ERROR', 'basic.ack is too short')
    const tag = readU64(buffer, start + 4)
    const multiple = ((buffer[start + 12] as number) & 1) !== 0
    if (this.#settlements !== null) return this.settle(tag, multiple, accept)
    if (multiple) this.#takeThrough(tag, this.#acceptOne)
    else if (!this.unacked.take(tag, this.#acceptOne)) throw preconditionFailed(`unknown delivery tag ${tag}`)
    this.session.markDirty(this)
  }

  readonly #acceptOne = (owner: DeliveryOwner, handle: number): void => {
    if (!owner.limited) {
      owner.settle([handle], accept)
      return
    }
    const consumer = owner as ChannelConsumer // Only consumers are limited.
    if (consumer.pendingAccept.push(handle) === 1) this.#acking.push(consumer)
  }

  #takeThrough(tag: number, each: (owner: DeliveryOwner, handle: number, tag: number) => void): void {
    if (tag === 0) {
      this.unacked.takeThrough(this.unacked.nextTag - 1, each)
      return
    }
    if (!this.unacked.has(tag)) throw preconditionFailed(`unknown delivery tag ${tag}`)
    this.unacked.takeThrough(tag, each)
  }

  settle(tag: number, multiple: boolean, outcome: Outcome): void {
    this.flushAcks()
    const taken: PendingSettlement[] = []
    const each = (owner: DeliveryOwner, handle: number, at: number): void => {
      taken.push({ owner, handle, tag: at, outcome })
    }
    if (multiple) this.#takeThrough(tag, each)
    else if (!this.unacked.take(tag, each)) throw preconditionFailed(`unknown delivery tag ${tag}`)
    if (this.#settlements !== null) this.#settlements.push(...taken)
    else settleAll(taken)
  }

  /** Everything unacknowledged becomes ready again. */
  recover(): void {
    this.flushAcks()
    const taken: PendingSettlement[] = []
    this.unacked.takeThrough(this.unacked.nextTag - 1, (owner, handle, tag) => {
      taken.push({ owner, handle, tag, outcome: putBack })
    })
    settleAll(taken)
  }

  flushAcks(): void {
    if (this.#acking.length === 0) return
    const consumers = this.#acking
    this.#acking = []
    for (const consumer of consumers) consumer.flush()
  }

  flush(): void {
    this.dirty = false
    this.flushAcks()
    this.publisher.flush()
  }

  // ------------------------------------------------------------------------------------------------------------------- credit

  sharedCreditLeft(): number {
    return this.sharedPrefetch === 0 ? Infinity : Math.max(0, this.sharedPrefetch - this.#unackedByConsumers)
  }

  countUnacked(change: number): void {
    this.#unackedByConsumers += change
    if (this.sharedPrefetch !== 0) this.topUp()
  }

  /** Notes for how long deliveries, those to come as well, may stay unacknowledged. */
  watch(timeoutMs: number): void {
    if (0 < timeoutMs && (this.timeoutMsLeast === 0 || timeoutMs < this.timeoutMsLeast)) this.timeoutMsLeast = timeoutMs
  }

  topUp(): void {
    for (const consumer of this.consumers.values()) consumer.topUp()
  }

  // ------------------------------------------------------------------------------------------------------------- publishing side

  confirm(tag: number, multiple: boolean, positive: boolean): void {
    const { connection } = this.session
    const at = connection.reserve(ackFrameBytes)
    writeAck(connection.slab, at, this.number, positive ? 80 : 120, tag, multiple)
    connection.commit(ackFrameBytes)
  }

  // ------------------------------------------------------------------------------------------------------------- transactions

  get transactional(): boolean {
    return this.#settlements !== null
  }

  selectTransactions(): void {
    if (this.#settlements !== null) return
    this.flush()
    this.#settlements = []
    this.publisher.transactional = true
  }

  /** Resolves when everything since the last commit is durable, at once. */
  commit(): Promise<void> {
    const settlements = this.#settlements ?? []
    this.#settlements = []
    const { items, mandatory } = this.publisher.takeTransaction()
    if (items.length === 0 && settlements.length === 0) return Promise.resolve()
    const transaction = this.session.space.begin()
    const pending = items.filter((item) => item.status === 0)
    if (0 < pending.length) transaction.publish(pending)
    settleAll(settlements, transaction)
    return new Promise((resolve, reject) => {
      transaction.commit((error) => {
        if (error !== null) return reject(preconditionFailed('partial tx completion'))
        this.publisher.returnUnrouted(items, mandatory)
        resolve()
      })
    })
  }

  rollback(): void {
    this.publisher.takeTransaction()
    for (const { tag, owner, handle } of this.#settlements ?? []) this.unacked.restore(tag, owner, handle, this.session.now)
    this.#settlements = []
  }

  // ------------------------------------------------------------------------------------------------------------------ the end

  listenForReplies(tag: string): void {
    this.replyTag = tag
    this.replyToken = openReplies(this.session.broker, this)
  }

  stopReplies(): void {
    if (this.replyToken !== null) closeReplies(this.session.broker, this.replyToken)
    this.replyToken = null
  }

  /** The broker ended a consumer: its queue is gone, or may no longer be read. */
  consumerEnded(consumer: ChannelConsumer, _reason: CoreErrorCode): void {
    this.consumers.delete(consumer.tag)
    const tell = (): void => {
      if (this.open && this.session.capabilities.cancelNotify)
        this.session.send(this.number, 'basic.cancel', { consumerTag: consumer.tag, nowait: true })
    }
    if (this.session.heldCancels === null) tell()
    else this.session.heldCancels.push(tell)
  }

  /** Unacknowledged deliveries go back, consumers end; publishes already handed over run to their end unanswered. */
  release(): void {
    if (!this.open) return
    this.flush()
    this.open = false
    this.stopReplies()
    // A consumer that closes returns its own deliveries, in place; what basic.get took is returned one by one.
    const owners = new Set<DeliveryOwner>(this.consumers.values())
    const returnOne = (owner: DeliveryOwner, handle: number): void => {
      if (owner.limited) owners.add(owner)
      else owner.settle([handle], failed)
    }
    this.unacked.takeThrough(this.unacked.nextTag - 1, returnOne)
    for (const { owner, handle } of this.#settlements ?? []) returnOne(owner, handle)
    for (const owner of owners) owner.close()
    this.consumers.clear()
  }
}

/** Groups by owner and outcome, keeping the order, so that each owner is called once for each run of one outcome. */
function settleAll(settlements: readonly PendingSettlement[], transaction?: Transaction): void {
  const groups = new Map<DeliveryOwner, { outcome: Outcome; handles: number[] }>()
  const settled = new Map<DeliveryOwner, number>()
  const finish = (owner: DeliveryOwner, group: { outcome: Outcome; handles: number[] }): void => {
    owner.settle(group.handles, group.outcome, transaction)
    settled.set(owner, (settled.get(owner) ?? 0) + group.handles.length)
  }
  for (const { owner, handle, outcome } of settlements) {
    const group = groups.get(owner)
    if (group !== undefined && group.outcome === outcome) {
      group.handles.push(handle)
      continue
    }
    if (group !== undefined) finish(owner, group)
    groups.set(owner, { outcome, handles: [handle] })
  }
  for (const [owner, group] of groups) finish(owner, group)
  for (const [owner, count] of settled) owner.settled(count)
}
