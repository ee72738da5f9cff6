// One basic.consume: a consumer of the broker, its prefetch as credit, and its deliveries written straight into the connection's slab.

import type { Buffer } from 'node:buffer'
import {
  accept,
  type Consumer,
  type CoreErrorCode,
  type DeliveryBatch,
  type Outcome,
  type Sink,
  type Transaction,
} from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import type { Channel } from './channel.ts'
import { deliverBytes, deliverPrefix, FrameType, frameEnd, frameOverhead, writeDeliver, writeU32 } from './codec.ts'
import { writeBody } from './content.ts'
import { type AddedHeaders, annotatedEnvelope } from './deaths.ts'
import type { QueueType } from './declaration.ts'
import { decodeEnvelope, EnvelopeView, encodeEnvelope, formatId, messageFormat } from './mapping.ts'
import type { StreamReader } from './stream.ts'
import { long, type Table } from './table.ts'

/** Deliveries asked for ahead when the client set no prefetch: enough to keep the log busy, little enough to stop soon. */
const openWindow = 1024
/** Bodies up to this size are copied into the slab; larger ones are written by reference. */
const copyBytesMax = 8192

/** What an unacknowledged delivery belongs to. */
export interface DeliveryOwner {
  /** How long a delivery may stay unacknowledged, ms; 0: for ever. */
  readonly timeoutMs: number
  /** True when the delivery counts against the channel's prefetch. */
  readonly limited: boolean
  settle(handles: readonly number[], outcome: Outcome, transaction?: Transaction): void
  /** Called once after a turn's settlements. */
  settled(count: number): void
  /** The channel ends: whatever is unacknowledged goes back. */
  close(): void
}

const view = new EnvelopeView()
const nothing: AddedHeaders = []

export interface ConsumeOptions {
  readonly noAck: boolean
  /** 0: no limit. */
  readonly prefetch: number
  readonly type: QueueType
  /** What of {@link DeliveryOwner.timeoutMs} counts now: a policy may change it. */
  readonly timeoutMs: () => number
  /** Set when this reads a stream. */
  readonly stream: StreamReader | null
  readonly exclusive: boolean
  readonly arguments: Table
}

export class ChannelConsumer implements Sink, DeliveryOwner {
  readonly channel: Channel
  readonly tag: string
  readonly queue: string
  readonly noAck: boolean
  readonly type: QueueType
  readonly limited = true
  readonly #timeoutMs: () => number
  readonly #stream: StreamReader | null
  readonly #prefix: Buffer
  /** 0: no limit. */
  readonly prefetch: number
  /** As it was asked for; for listings. */
  readonly exclusive: boolean
  readonly arguments: Table
  #consumer: Consumer | null = null
  /** Deliveries the core may still make. */
  #granted = 0
  #unacked = 0
  #cancelled = false
  /** Acknowledgements of this turn. */
  pendingAccept: number[] = []

  constructor(channel: Channel, tag: string, queue: string, options: ConsumeOptions) {
    this.channel = channel
    this.tag = tag
    this.queue = queue
    this.noAck = options.noAck
    this.type = options.type
    this.#timeoutMs = options.timeoutMs
    this.#stream = options.stream
    this.prefetch = options.noAck ? 0 : options.prefetch
    this.exclusive = options.exclusive
    this.arguments = options.arguments
    this.#prefix = deliverPrefix(channel.number, tag)
  }

  get timeoutMs(): number {
    return this.noAck ? 0 : this.#timeoutMs()
  }

  get active(): boolean {
    return this.#consumer?.active ?? false
  }

  attach(consumer: Consumer): void {
    this.#consumer = consumer
    this.topUp()
  }

  /** Gives the core as much credit as the prefetch, the channel's limit and the socket allow. */
  topUp(): void {
    const consumer = this.#consumer
    if (consumer === null || this.#cancelled || !this.channel.open || this.channel.session.connection.congested) return
    const window = this.prefetch === 0 ? openWindow : this.prefetch - this.#unacked
    const shared = this.noAck ? Infinity : this.channel.sharedCreditLeft()
    if (shared !== Infinity) {
      this.#granted = Math.max(0, Math.min(window, shared))
      consumer.setCredit(this.#granted)
      return
    }
    // Without a prefetch credit is renewed by halves, so that one call renews for many deliveries.
    if (this.prefetch === 0 && openWindow / 2 < this.#granted) return
    const more = window - this.#granted
    if (more <= 0) return
    this.#granted = window
    consumer.credit(more)
  }

  onDeliveries(consumer: Consumer, batch: DeliveryBatch): void {
    const length = batch.length
    this.#granted -= length
    if (this.#cancelled) {
      if (!this.noAck) consumer.settle(batch.id.slice(0, length), { kind: 'release', countsAsAttempt: false })
      return
    }
    const unacked = this.channel.unacked
    const now = this.channel.session.now
    const passedOver = this.#stream === null ? nobody : this.#passOver(this.#stream, batch)
    for (let i = 0; i < length; i++) {
      if (passedOver.has(i)) continue
      const tag = this.noAck ? unacked.skip() : unacked.add(this, batch.id[i] as number, now)
      this.#deliver(batch, i, tag)
    }
    if (!this.noAck) {
      this.#unacked += length - passedOver.size
      this.channel.countUnacked(length - passedOver.size)
    }
    if (this.prefetch === 0 || 0 < passedOver.size) this.topUp()
  }

  /** Settles what the filter does not let through; returns which. */
  #passOver(stream: StreamReader, batch: DeliveryBatch): ReadonlySet<number> {
    const passed = new Set<number>()
    const handles: number[] = []
    for (let i = 0; i < batch.length; i++) {
      const envelope = (batch.buffer[i] as Buffer).subarray(batch.start[i], batch.end[i])
      if (stream.wants(batch.offset[i] as number, batch.format[i] as number, envelope)) continue
      passed.add(i)
      handles.push(batch.id[i] as number)
    }
    if (0 < handles.length) this.#consumer?.settle(handles, accept)
    return passed
  }

  /** What the broker tells beside what the publisher said. */
  #added(batch: DeliveryBatch, i: number): AddedHeaders {
    if (this.type === 'quorum') return returnHeaders(batch.handedOut[i] as number, batch.attempt[i] as number)
    return this.#stream === null ? nothing : [['x-stream-offset', long(batch.offset[i] as number)]]
  }

  #deliver(batch: DeliveryBatch, i: number, tag: number): void {
    let buffer = batch.buffer[i] as Buffer
    let start = batch.start[i] as number
    let end = batch.end[i] as number
    const format = batch.format[i] as number
    const annotations = batch.annotations[i] ?? null
    const redelivered = batch.redelivered[i] as boolean
    const added = this.#added(batch, i)
    if (format !== formatId || annotations !== null || 0 < added.length) {
      buffer = deliverable(
        buffer.subarray(start, end),
        format,
        this.queue,
        batch.subject[i] as string | null, // i < length
        annotations,
        added,
      )
      start = 0
      end = buffer.length
    }
    if (!view.read(buffer, start, end)) {
      buffer = encodeEnvelope('', this.queue, {}, buffer.subarray(start, end))
      start = 0
      end = buffer.length
      view.read(buffer, start, end)
    }
    const session = this.channel.session
    const connection = session.connection
    const bodyBytes = end - view.body
    const head = deliverBytes(this.#prefix.length, view.namesEnd - view.names, view.propertiesEnd - view.properties)
    const copied = 0 < bodyBytes && bodyBytes <= copyBytesMax && bodyBytes + frameOverhead <= session.frameMax
    const total = copied ? head + bodyBytes + frameOverhead : head
    const at = connection.reserve(total)
    const slab = connection.slab
    let to = writeDeliver(
      slab,
      at,
      this.#prefix,
      tag,
      redelivered,
      buffer,
      view.names,
      view.namesEnd,
      view.properties,
      view.propertiesEnd,
      bodyBytes,
    )
    if (copied) {
      const number = this.channel.number
      slab[to] = FrameType.Body
      slab[to + 1] = number >> 8
      slab[to + 2] = number
      writeU32(slab, to + 3, bodyBytes)
      to += 7
      to += buffer.copy(slab, to, view.body, end)
      slab[to] = frameEnd
    }
    connection.commit(total)
    if (!copied && 0 < bodyBytes) writeBody(session.connection, session.frameMax, this.channel.number, buffer, view.body, end)
  }

  settle(handles: readonly number[], given: Outcome, transaction?: Transaction): void {
    // Whatever becomes of what was read from a stream, it stays there.
    const outcome = this.#stream === null ? given : accept
    if (transaction === undefined) this.#consumer?.settle(handles, outcome)
    else this.#consumer?.settle(handles, outcome, transaction)
  }

  settled(count: number): void {
    this.#unacked -= count
    this.channel.countUnacked(-count)
    if (this.#cancelled && this.#unacked === 0) this.close()
    else this.topUp()
  }

  /** Hands the turn's acknowledgements to the core. */
  flush(): void {
    const handles = this.pendingAccept
    if (handles.length === 0) return
    this.pendingAccept = []
    this.#consumer?.settle(handles, accept)
    this.settled(handles.length)
  }

  /** No more deliveries; what is unacknowledged may still be settled. */
  cancel(): void {
    this.#cancelled = true
    if (this.#unacked === 0) {
      this.close()
      return
    }
    this.#consumer?.stop()
    this.#granted = 0
  }

  close(): void {
    this.#consumer?.close()
    this.#consumer = null
  }

  onConsumerClosed(_consumer: Consumer, reason: CoreErrorCode): void {
    this.#consumer = null
    if (!this.#cancelled) this.channel.consumerEnded(this, reason)
    this.#cancelled = true
  }
}

/** What a quorum queue tells of a message that came back: how often it was taken before, and how often that failed. */
export function returnHeaders(handedOut: number, attempt: number): AddedHeaders {
  if (handedOut === 0) return nothing
  const acquired = ['x-acquired-count', long(handedOut)] as const
  return attempt <= 1 ? [acquired] : [acquired, ['x-delivery-count', long(attempt - 1)]]
}

const nobody: ReadonlySet<number> = new Set()

/** The envelope to deliver of a record that another protocol wrote, or that carries news of the broker. */
export function deliverable(
  bytes: Buffer,
  format: number,
  queue: string,
  subject: string | null,
  annotations: Parameters<typeof annotatedEnvelope>[3],
  added: AddedHeaders,
): Buffer {
  let envelope = bytes
  if (format !== formatId) {
    envelope = messageFormat.fromAttributes(formats.get(format).toAttributes(bytes))
    const decoded = decodeEnvelope(envelope)
    // Published to a topic's name elsewhere is published to a queue's name here; to another address, to the subject space.
    if (decoded.exchange === '' && decoded.routingKey === '')
      envelope = encodeEnvelope(subject === null ? '' : 'amq.topic', subject ?? queue, decoded.properties, decoded.body)
  }
  if (annotations === null && added.length === 0) return envelope
  return annotatedEnvelope(envelope, 0, envelope.length, annotations, added)
}
