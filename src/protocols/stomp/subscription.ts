/** One SUBSCRIBE: a consumer of the broker, the prefetch as its credit, MESSAGE frames, and what is not acknowledged yet. */
import { Buffer } from 'node:buffer'
import {
  accept,
  type Connection,
  type Consumer,
  type CoreErrorCode,
  type DeliveryBatch,
  type Outcome,
  type Sink,
  type Transaction,
} from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import type { StreamReader } from '../amqp/stream.ts'
import { encodeFrame, Version } from './codec.ts'
import { exchangeDestination, queueDestination, topicDestination } from './destinations.ts'
import { decodeEnvelope, formatId, messageFormat } from './mapping.ts'
import { jobId } from './schedule.ts'

/** Deliveries without an acknowledgement, when the client sets no prefetch. */
const openWindow = 256

export type AckMode = 'auto' | 'client' | 'client-individual'

export interface SubscriptionOptions {
  readonly id: string
  /** Tells the subscriptions of a connection apart in message ids. */
  readonly number: number
  readonly ack: AckMode
  /** 0: no limit. */
  readonly prefetch: number
  /** Of a stream: what of it is wanted; every answer to a delivery only asks for the next. */
  readonly reader: StreamReader | null
}

export interface SubscriptionHost {
  readonly connection: Connection
  readonly version: Version
  subscriptionEnded(subscription: Subscription, reason: CoreErrorCode): void
}

const empty = Buffer.alloc(0)

export class Subscription implements Sink {
  readonly id: string
  readonly ack: AckMode
  readonly #host: SubscriptionHost
  readonly #number: number
  readonly #prefetch: number
  readonly #reader: StreamReader | null
  /** Handles of the broker, in the order of delivery. */
  readonly #unacknowledged = new Set<number>()
  #consumer: Consumer | null = null
  #granted = 0

  constructor(host: SubscriptionHost, options: SubscriptionOptions) {
    this.#host = host
    this.id = options.id
    this.ack = options.ack
    this.#number = options.number
    this.#prefetch = options.ack === 'auto' ? 0 : options.prefetch
    this.#reader = options.reader
  }

  /** What it reads; empty once it has ended. */
  get topic(): string {
    return this.#consumer?.topic ?? ''
  }

  attach(consumer: Consumer): void {
    this.#consumer = consumer
    this.topUp()
  }

  /** Gives as much credit as the prefetch and the socket allow. */
  topUp(): void {
    if (this.#consumer === null || this.#host.connection.congested) return
    const window = this.#prefetch === 0 ? openWindow : this.#prefetch - this.#unacknowledged.size
    // Without a prefetch it is renewed by halves, so that one call renews for many deliveries.
    if (this.#prefetch === 0 && this.#granted > openWindow / 2) return
    const more = window - this.#granted
    if (more <= 0) return
    this.#granted = window
    this.#consumer.credit(more)
  }

  onDeliveries(_: Consumer, batch: DeliveryBatch): void {
    this.#granted -= batch.length
    let skipped = 0
    for (let i = 0; i < batch.length; i++) {
      const handle = batch.id[i] as number // i < length, as in all columns
      if (this.#isUnwanted(batch, i)) {
        skipped++
        if (this.ack !== 'auto') this.#consumer?.settle([handle], accept)
        continue
      }
      if (this.ack !== 'auto') this.#unacknowledged.add(handle)
      this.#deliver(batch, i, handle)
    }
    if (this.#prefetch === 0 || skipped > 0) this.topUp()
  }

  #isUnwanted(batch: DeliveryBatch, i: number): boolean {
    if (this.#reader === null) return false
    const { offset, format, buffer, start, end } = batch
    const envelope = (buffer[i] as Buffer).subarray(start[i], end[i]) // i < length, as in all columns
    return !this.#reader.wants(offset[i] as number, format[i] as number, envelope)
  }

  #deliver(batch: DeliveryBatch, i: number, handle: number): void {
    const bytes = (batch.buffer[i] as Buffer).subarray(batch.start[i], batch.end[i])
    const format = batch.format[i] as number
    const envelope = format === formatId ? bytes : messageFormat.fromAttributes(formats.get(format).toAttributes(bytes))
    const { headers, body } = decodeEnvelope(envelope)
    const { version, connection } = this.#host
    const messageId = `${this.#number}-${handle === 0 ? `a${batch.offset[i]}` : handle}`
    const own = headers.get('destination')
    const destination = own ?? this.#destination(format, bytes, batch.subject[i] ?? null)
    const frame: [string, string][] = [
      ['subscription', this.id],
      ['destination', destination],
      ['message-id', messageId],
      ['redelivered', String(batch.redelivered[i])],
    ]
    if (this.ack !== 'auto' && version === Version.V12) frame.push(['ack', messageId])
    for (const header of headers) if (!broker.has(header[0])) frame.push(header)
    if (this.#reader !== null) frame.push(['x-stream-offset', String(batch.offset[i])])
    for (const [name, text] of Object.entries(provenance(batch, i))) frame.push([name, text])
    frame.push(['content-length', String(body.length)])
    connection.write(encodeFrame('MESSAGE', frame, body.length === 0 ? empty : body, version))
  }

  /** Where a record of another protocol was published to. */
  #destination(format: number, bytes: Buffer, subject: string | null): string {
    const { topic } = this
    if (subject !== null) return topicDestination(subject)
    const origin = formats.get(format).origin?.(bytes)
    if (origin === undefined || origin.exchange === '') return queueDestination(topic)
    const [key = ''] = origin.routingKeys
    return origin.exchange === 'amq.topic' ? topicDestination(key) : exchangeDestination(origin.exchange, key)
  }

  /** The handle in a message id (or `ack` header) of ours; undefined when it is not one that waits. */
  handleOf(messageId: string): number | undefined {
    const [number, handle] = messageId.split('-').map(Number)
    return number === this.#number && handle !== undefined && this.#unacknowledged.has(handle) ? handle : undefined
  }

  /** Acknowledges, or refuses, one delivery, and in mode `client` all before it as well. */
  settle(handle: number, outcome: Outcome, transaction: Transaction | undefined): void {
    const handles: number[] = []
    if (this.ack === 'client') {
      for (const earlier of this.#unacknowledged) {
        handles.push(earlier)
        if (earlier === handle) break
      }
    } else handles.push(handle)
    for (const each of handles) this.#unacknowledged.delete(each)
    const done = this.#reader === null ? outcome : accept
    if (transaction === undefined) this.#consumer?.settle(handles, done)
    else this.#consumer?.settle(handles, done, transaction)
    this.topUp()
  }

  /** What is not acknowledged goes back. */
  close(): void {
    this.#consumer?.close()
    this.#consumer = null
    this.#unacknowledged.clear()
  }

  onConsumerClosed(_: Consumer, reason: CoreErrorCode): void {
    this.#consumer = null
    this.#host.subscriptionEnded(this, reason)
  }
}

/** Headers of a MESSAGE that the broker writes itself. */
const broker: ReadonlySet<string> = new Set(['destination', 'subscription', 'message-id', 'redelivered', 'ack', 'content-length'])

/** Where a dead-lettered record comes from, as ActiveMQ's and RabbitMQ's consumers look for it. */
function provenance(batch: DeliveryBatch, i: number): Record<string, string> {
  const { deaths, scheduleId } = batch.annotations[i] ?? {}
  const scheduled: Record<string, string> = scheduleId === undefined ? {} : { [jobId]: String(scheduleId) }
  const death = deaths?.[0]
  if (death === undefined) return scheduled
  return { ...scheduled, 'x-death-queue': death.topic, 'x-death-reason': death.reason, 'x-death-count': String(death.count) }
}

export const released: Outcome = { kind: 'release', countsAsAttempt: true }
export const rejected: Outcome = { kind: 'reject' }
