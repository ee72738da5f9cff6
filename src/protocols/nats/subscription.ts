/** One SUB: a live listener of the broker, and the MSG and HMSG that it writes into the connection's slab. */
import { Buffer } from 'node:buffer'
import type { Connection, Listener, LiveBatch, LiveSink } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import {
  deliveryFormatId,
  locate,
  locateDelivery,
  messageFormat,
  messageFormatId,
  payloadFormatId,
  subjectAt,
} from './mapping.ts'

/** Larger payloads are written by reference; smaller ones that wait for a slow client would keep whole chunks of their publisher alive. */
const copyBytesMax = 16 * 1024
/** The two numbers of a line with their blanks, and line ends. */
const numbersBytes = 40
const space = 32

export interface SubscriptionHost {
  readonly connection: Connection
  /** Whether the client understands HMSG. */
  readonly headers: boolean
  /** False once the connection takes no more: nothing is to be written. */
  mayDeliver(): boolean
  delivered(batch: LiveBatch, bytes: number): void
  /** Told of reply subjects that it is sent, where it may answer only those. */
  readonly onReply: ((reply: string) => void) | null
  /** It got all that it asked for. */
  completed(subscription: Subscription): void
}

export class Subscription implements LiveSink {
  readonly sid: string
  readonly subject: string
  readonly queue: string
  /** UNSUB's limit; 0: none. */
  max = 0
  messages = 0
  readonly #host: SubscriptionHost
  #listener: Listener | null = null
  /** ` sid ` of a message's line. */
  readonly #afterSubject: string
  readonly #places = { replyAt: 0, headersAt: 0, payloadAt: 0 }

  constructor(host: SubscriptionHost, sid: string, subject: string, queue: string) {
    this.#host = host
    this.sid = sid
    this.#afterSubject = ` ${sid} `
    this.subject = subject
    this.queue = queue
  }

  attach(listener: Listener): void {
    this.#listener = listener
  }

  /** How many it got, those included that are yet to be written. */
  get handed(): number {
    return this.#listener?.handed ?? 0
  }

  /** Ends once it got so many since SUB. */
  limit(max: number): void {
    this.max = max
    this.#listener?.limit(max)
  }

  close(): void {
    this.#listener?.close()
    this.#listener = null
  }

  onRecords(_: Listener, batch: LiveBatch): void {
    let bytes = 0
    for (let i = 0; i < batch.length; i++) {
      if (!this.#host.mayDeliver()) return
      const payload = batch.bytes[i] as Buffer // i < length, as in all columns
      bytes += payload.length
      this.#write(batch.subject[i] as string, batch.format[i] as number, payload)
    }
    this.messages += batch.length
    this.#host.delivered(batch, bytes)
    if (this.max > 0 && this.messages >= this.max) this.#host.completed(this)
  }

  #write(subject: string, format: number, bytes: Buffer): void {
    if (format === payloadFormatId) return this.#frame(subject, bytes, 0, 0, 0, 0)
    const places = this.#places
    if (format === deliveryFormatId) {
      locateDelivery(bytes, places)
      const { replyAt, headersAt, payloadAt } = places
      const from = this.#host.headers ? headersAt : payloadAt
      return this.#frame(bytes.toString('utf8', subjectAt, replyAt), bytes, replyAt, headersAt, from, payloadAt)
    }
    const envelope = format === messageFormatId ? bytes : messageFormat.fromAttributes(formats.get(format).toAttributes(bytes))
    locate(envelope, places)
    const { replyAt, headersAt, payloadAt } = places
    this.#frame(subject, envelope, replyAt, headersAt, this.#host.headers ? headersAt : payloadAt, payloadAt)
  }

  /** The reply stands at `replyAt` to `replyEnd`, what is sent begins at `from`, of it headers up to `payloadAt`. */
  #frame(subject: string, bytes: Buffer, replyAt: number, replyEnd: number, from: number, payloadAt: number): void {
    const { connection } = this.#host
    const headerBytes = payloadAt - from
    const bodyBytes = bytes.length - from
    const copied = bodyBytes <= copyBytesMax
    const replyBytes = replyEnd - replyAt
    if (replyBytes > 0) this.#host.onReply?.(bytes.toString('utf8', replyAt, replyEnd))
    const start = connection.reserve(
      3 * (subject.length + this.#afterSubject.length) + replyBytes + numbersBytes + (copied ? bodyBytes : 0),
    )
    // Read after reserving, which may exchange it.
    const { slab } = connection
    let at = start
    if (headerBytes > 0) slab[at++] = 72 // H
    slab[at++] = 77 // M
    slab[at++] = 83 // S
    slab[at++] = 71 // G
    slab[at++] = space
    at = writeText(slab, at, subject)
    at = writeText(slab, at, this.#afterSubject)
    if (replyBytes > 0) {
      bytes.copy(slab, at, replyAt, replyEnd)
      at += replyBytes
      slab[at++] = space
    }
    if (headerBytes > 0) {
      at = writeNumber(slab, at, headerBytes)
      slab[at++] = space
    }
    at = writeNumber(slab, at, bodyBytes)
    at = writeLineEnd(slab, at)
    if (!copied) {
      connection.commit(at - start)
      connection.write(bytes.subarray(from))
      connection.write(lineEnd)
      return
    }
    slab.set(from === 0 ? bytes : bytes.subarray(from), at)
    at = writeLineEnd(slab, at + bodyBytes)
    connection.commit(at - start)
  }
}

const lineEnd = Buffer.from('\r\n')

function writeLineEnd(slab: Buffer, at: number): number {
  slab[at] = 13
  slab[at + 1] = 10
  return at + 2
}

/** In UTF-8, up to three bytes for each unit; returns where it ends. What is short and ASCII, as nearly all of it is, costs no call. */
function writeText(slab: Buffer, at: number, text: string): number {
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit > 127) return at + slab.write(text, at)
    slab[at + index] = unit
  }
  return at + text.length
}

/** In decimal digits; returns where they end. */
function writeNumber(slab: Buffer, at: number, value: number): number {
  let end = at + 1
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) end++
  let rest = value
  for (let place = end - 1; place >= at; place--) {
    slab[place] = 48 + (rest % 10)
    rest = Math.floor(rest / 10)
  }
  return end
}
