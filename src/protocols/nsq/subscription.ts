/** What a connection consumes: RDY as credit, messages in flight with their deadlines, and what becomes of them. */
import { accept, type Consumer, type CoreErrorCode, type DeliveryBatch, type Space } from '../../broker/face.ts'
import { type Place, placeOf } from './codec.ts'
import { limits } from './limits.ts'
import { bodyOf } from './mapping.ts'
import type { ChannelClient, Joined, Topics } from './topics.ts'

interface InFlight {
  /** The broker's handle. */
  readonly delivery: number
  readonly deliveredAt: number
  deadline: number
}

export interface SubscriptionHost {
  readonly id: number
  /** More than its peer reads: nothing more for now. */
  readonly congested: boolean
  message(tag: number, place: Place, timestampMs: number, attempts: number, body: Buffer): void
  /** Its channel or topic is gone. */
  subscriptionEnded(reason: CoreErrorCode): void
}

export interface SubscriptionSettings {
  readonly topic: string
  readonly channel: string
  readonly messageTimeoutMs: number
  readonly sampleRate: number
}

export class Subscription implements ChannelClient {
  readonly settings: SubscriptionSettings
  readonly #topics: Topics
  readonly #host: SubscriptionHost
  readonly #joined: Joined
  readonly #inFlight = new Map<Place, InFlight>()
  /** Finished in this turn, settled at its end. */
  readonly #finished: number[] = []
  /** By which the topic's messages' ids differ from those of others. */
  readonly tag: number
  rdy = 0
  messages = 0
  finished = 0
  requeued = 0

  /** Throws what {@link Space.subscribe} does. */
  constructor(topics: Topics, space: Space, host: SubscriptionHost, settings: SubscriptionSettings) {
    this.#topics = topics
    this.#host = host
    this.settings = settings
    this.tag = topics.space.topic(settings.topic)?.id.readUInt16BE(0) ?? 0
    this.#joined = topics.join(space, settings.topic, settings.channel, settings.messageTimeoutMs, this, host.id)
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  /** To be called at the end of each turn in which RDY or what is in flight changed. */
  refresh(): void {
    const { consumer } = this.#joined
    if (this.#finished.length > 0) consumer.settle(this.#finished.splice(0), accept)
    const messages = this.#host.congested ? 0 : Math.max(0, this.rdy - this.#inFlight.size)
    // At most so much comes at once before it is asked again whether the client reads. A larger record, of another protocol, comes alone.
    consumer.setCredit(messages, this.#topics.broker.limits.outboundBytesMax + limits.messageBytesMax)
  }

  // ------------------------------------------------------------------------------------------------------------------- sink

  onDeliveries(consumer: Consumer, batch: DeliveryBatch): void {
    const { messageTimeoutMs, sampleRate } = this.settings
    const now = this.#topics.broker.clock.now()
    const passedOver: number[] = []
    for (let at = 0; at < batch.length; at++) {
      // The columns are as long as the batch.
      const delivery = batch.id[at] as number
      // The reference server takes one more of a hundred than it was asked for.
      if (sampleRate > 0 && Math.floor(Math.random() * 100) > sampleRate) {
        passedOver.push(delivery)
        continue
      }
      const place = placeOf(batch.partition[at] as number, batch.offset[at] as number)
      this.#inFlight.set(place, { delivery, deliveredAt: now, deadline: now + messageTimeoutMs })
      const body = bodyOf(
        batch.format[at] as number,
        batch.buffer[at] as Buffer,
        batch.start[at] as number,
        batch.end[at] as number,
      )
      this.#host.message(this.tag, place, batch.timestamp[at] as number, (batch.handedOut[at] as number) + 1, body)
    }
    this.messages += batch.length - passedOver.length
    if (passedOver.length > 0) consumer.settle(passedOver, accept)
    this.refresh()
  }

  onConsumerClosed(_consumer: Consumer, reason: CoreErrorCode): void {
    this.#inFlight.clear()
    this.#joined.channel.clients.delete(this)
    this.#host.subscriptionEnded(reason)
  }

  onOverdue(consumer: Consumer): void {
    const now = this.#topics.broker.clock.now()
    const byDeadline = [...this.#inFlight].sort(([, a], [, b]) => a.deadline - b.deadline)
    // The broker's clock may have been a little behind ours when it counted: what it holds no longer has timed out.
    const surplus = this.#inFlight.size + this.#finished.length - consumer.unsettled
    for (const [index, [place, { deadline }]] of byDeadline.entries()) {
      if (deadline > now && index >= surplus) break
      this.#inFlight.delete(place)
      this.#joined.channel.timedOut++
    }
    this.refresh()
  }

  onEmptied(): void {
    this.#joined.consumer.settle(
      [...this.#inFlight.values()].map(({ delivery }) => delivery),
      accept,
    )
    this.#inFlight.clear()
    this.refresh()
  }

  // -------------------------------------------------------------------------------------------------------------- messages

  has(place: Place): boolean {
    return this.#inFlight.has(place)
  }

  /** Why a message is not this connection's to settle. */
  whyNot(place: Place): string {
    for (const client of this.#joined.channel.clients) if (client.has(place)) return 'client does not own message'
    return 'ID not in flight'
  }

  /** False: it is not in flight here. Likewise the others. */
  finish(place: Place): boolean {
    const message = this.#inFlight.get(place)
    if (message === undefined) return false
    this.#inFlight.delete(place)
    this.#finished.push(message.delivery)
    this.finished++
    return true
  }

  requeue(place: Place, delayMs: number): boolean {
    const message = this.#inFlight.get(place)
    if (message === undefined) return false
    this.#inFlight.delete(place)
    this.#joined.consumer.settle([message.delivery], { kind: 'release', delayMs, countsAsAttempt: true })
    this.requeued++
    this.#joined.channel.requeued++
    return true
  }

  touch(place: Place): boolean {
    const message = this.#inFlight.get(place)
    if (message === undefined) return false
    const now = this.#topics.broker.clock.now()
    message.deadline = Math.min(now + this.settings.messageTimeoutMs, message.deliveredAt + limits.messageTimeoutMaxMs)
    const deadlineMs = Math.max(0, message.deadline - now)
    this.#joined.consumer.settle([message.delivery], { kind: 'extend', deadlineMs })
    return true
  }

  close(): void {
    if (this.#finished.length > 0) this.#joined.consumer.settle(this.#finished.splice(0), accept)
    this.#inFlight.clear()
    this.#topics.leave(this.#joined, this)
  }
}
