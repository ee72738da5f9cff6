// A channel's publishing side: method, header and body frames become one envelope, a turn's envelopes one batch, and the batch's
// outcome becomes basic.return, basic.ack and basic.nack, in the order of publishing.

import { Buffer } from 'node:buffer'
import { PublishItem, PublishStatus } from '../../broker/face.ts'
import { Slab } from '../../lib/slab.ts'
import { timerMax } from './arguments.ts'
import type { Channel } from './channel.ts'
import { decodeProperties, PropertyScan, readU32, readU64, writeU32 } from './codec.ts'
import { writeContent } from './content.ts'
import { AmqpError, accessRefused, named, notFound, preconditionFailed } from './errors.ts'
import { delayOf, isDelayed } from './exchange-types.ts'
import { decodeEnvelope, encodeEnvelope, envelopeVersion, formatId, spareHeader } from './mapping.ts'
import { deliverReply, replyPrefix, replyQueue } from './reply.ts'
import { flagOf, long, textOf, typeName } from './table.ts'

/** RabbitMQ's own limit on one message. */
const messageBytesMax = 16 * 1024 * 1024

const Await = { Method: 0, Header: 1, Body: 2 } as const
type Await = (typeof Await)[keyof typeof Await]

/** What was handed to the core in one call and is not yet answered. */
class Batch {
  readonly items: PublishItem[]
  readonly mandatory: boolean[]
  readonly confirm: boolean
  readonly bytes: number
  done = false
  constructor(items: PublishItem[], mandatory: boolean[], confirm: boolean, bytes: number) {
    this.items = items
    this.mandatory = mandatory
    this.confirm = confirm
    this.bytes = bytes
  }
}

const scan = new PropertyScan()
/** Of all connections: most of them publish now and then. */
const room = new Slab()
const nothing = Buffer.alloc(0)
/** Headers that mean something when they are published. */
const ours = [spareHeader, 'x-delay', 'x-recent-history-no-store']

export class Publisher {
  readonly #channel: Channel
  #awaits: Await = Await.Method
  #exchange = ''
  #routingKey = ''
  /** The two names as they came last time: publishers repeat themselves, so they are rarely decoded. */
  #names: Buffer = nothing
  #mandatory = false
  #envelope: Buffer = nothing
  #bodyAt = 0
  #propertiesAt = 0
  #bodyStart = 0
  #items: PublishItem[] = []
  #mandatories: boolean[] = []
  #bytes = 0
  #batches: Batch[] = []
  #confirmed = 0
  confirming = false
  /** In transaction mode everything waits here for the commit. */
  transactional = false

  constructor(channel: Channel) {
    this.#channel = channel
  }

  /** Published and not yet answered, where the client asked for answers. */
  get unconfirmed(): number {
    return this.#batches.reduce((sum, batch) => sum + (batch.confirm ? batch.items.length : 0), 0)
  }

  get assembling(): boolean {
    return this.#awaits !== Await.Method
  }

  /** basic.publish, read by hand: ids(4) ticket(2) exchange(shortstr) routing-key(shortstr) bits(1). */
  onMethod(buffer: Buffer, start: number, end: number): void {
    const names = start + 6
    const key = names + 1 + (buffer[names] as number)
    const bitsAt = key + 1 + (buffer[key] ?? 0)
    if (end < bitsAt + 1) throw new AmqpError('SYNTAX_ERROR', 'basic.publish is too short')
    if (!this.#sameNames(buffer, names, bitsAt)) {
      this.#names = Buffer.from(buffer.subarray(names, bitsAt))
      this.#exchange = buffer.toString('utf8', names + 1, key)
      this.#routingKey = buffer.toString('utf8', key + 1, bitsAt)
    }
    const bits = buffer[bitsAt] as number
    if ((bits & 2) !== 0) throw new AmqpError('NOT_IMPLEMENTED', 'immediate=true')
    this.#mandatory = (bits & 1) !== 0
    this.#awaits = Await.Header
  }

  #sameNames(buffer: Buffer, start: number, end: number): boolean {
    const names = this.#names
    const length = end - start
    if (names.length !== length) return false
    for (let i = 0; i < length; i++) if (names[i] !== buffer[start + i]) return false
    return true
  }

  onHeader(buffer: Buffer, start: number, end: number): void {
    if (this.#awaits !== Await.Header)
      throw new AmqpError('UNEXPECTED_FRAME', 'expected content body, got content header frame instead')
    if (end - start < 14) throw new AmqpError('SYNTAX_ERROR', 'content header is too short')
    const bodyBytes = readU64(buffer, start + 4)
    const limit = Math.min(messageBytesMax, this.#channel.session.broker.limits.recordBytesMax)
    if (limit < bodyBytes) throw preconditionFailed(`message size ${bodyBytes} is larger than max size ${limit}`)
    const names = this.#names.length
    const properties = end - start - 12
    const total = 1 + names + 4 + properties + bodyBytes
    const envelope = room.take(total)
    envelope[0] = envelopeVersion
    for (let i = 0; i < names; i++) envelope[i + 1] = this.#names[i] as number
    let at = 1 + names
    writeU32(envelope, at, properties)
    at += 4
    this.#propertiesAt = at
    buffer.copy(envelope, at, start + 12, end)
    at += properties
    this.#envelope = envelope
    this.#bodyStart = at
    this.#bodyAt = at
    if (bodyBytes === 0) this.#complete()
    else this.#awaits = Await.Body
  }

  onBody(buffer: Buffer, start: number, end: number): void {
    if (this.#awaits !== Await.Body)
      throw new AmqpError(
        'UNEXPECTED_FRAME',
        `expected ${this.#awaits === Await.Header ? 'content header' : 'method'} frame, got content body frame instead`,
      )
    if (this.#envelope.length - this.#bodyAt < end - start)
      throw new AmqpError('UNEXPECTED_FRAME', 'content body is larger than its header said')
    buffer.copy(this.#envelope, this.#bodyAt, start, end)
    this.#bodyAt += end - start
    if (this.#bodyAt === this.#envelope.length) this.#complete()
  }

  #complete(): void {
    this.#awaits = Await.Method
    const channel = this.#channel
    const { session } = channel
    const exchange = this.#exchange
    let delayed = false
    if (exchange !== '') {
      const info = session.space.exchange(exchange)
      if (info === undefined) throw notFound('exchange', exchange, session.vhost)
      if (info.internal)
        throw new AmqpError('ACCESS_REFUSED', `cannot publish to internal ${named('exchange', exchange, session.vhost)}`)
      delayed = isDelayed(info)
    }
    if (!scan.scan(this.#envelope, this.#propertiesAt, this.#bodyStart))
      throw new AmqpError('SYNTAX_ERROR', 'malformed content properties')
    const item = new PublishItem(exchange, this.#routingKey, formatId, this.#envelope)
    item.transient = scan.deliveryMode !== 2
    if (0 <= scan.priority) item.priority = scan.priority
    if (0 <= scan.userId) this.#checkUser(scan.userId)
    if (0 <= scan.expiration) item.ttlMs = this.#expiration(scan.expiration)
    if (0 <= scan.headers || 0 <= scan.replyTo) this.#special(item, delayed)
    if (exchange === '' && this.#routingKey.startsWith(replyPrefix)) deliverReply(session.broker, item)
    this.#envelope = nothing
    this.#items.push(item)
    this.#mandatories.push(this.#mandatory)
    this.#bytes += item.payload.length
    if (this.transactional) return
    if (item.transient && !session.publishes.unread)
      session.publishes.unread = exchange !== '' || session.space.topic(this.#routingKey)?.config.storage === 'disk'
    session.markDirty(channel)
  }

  #expiration(at: number): number {
    const envelope = this.#envelope
    const string = envelope.toString('latin1', at + 1, at + 1 + (envelope[at] as number))
    const value = Number.parseInt(string, 10)
    const refuse = (why: string): never => {
      throw preconditionFailed(`invalid expiration '${string}': ${why}`)
    }
    const digits = /^[+-]?\d+/.exec(string)?.[0]
    if (digits === undefined) return refuse('no_integer')
    if (digits.length < string.length) return refuse(`{leftover_string,"${string.slice(digits.length)}"}`)
    if (value < 0) return refuse(`{value_negative,${value}}`)
    if (timerMax < value) return refuse(`{value_too_big,${value}}`)
    return value
  }

  #checkUser(at: number): void {
    const claimed = this.#envelope.toString('utf8', at + 1, at + 1 + (this.#envelope[at] as number))
    const user = this.#channel.session.userName
    if (claimed !== user) throw preconditionFailed(`user_id property set to '${claimed}' but authenticated user was '${user}'`)
  }

  /** Headers that matter to the broker (CC, BCC, a delay, a key for other protocols) and the reply-to that is rewritten. */
  #special(item: PublishItem, delayed: boolean): void {
    const replies =
      0 <= scan.replyTo &&
      this.#envelope.toString('latin1', scan.replyTo + 1, scan.replyTo + 1 + (this.#envelope[scan.replyTo] as number)) ===
        replyQueue
    const headers = scan.headers
    const hasHeaders = 0 <= headers && readU32(this.#envelope, headers) !== 0
    if (!replies && !hasHeaders) return
    if (!replies && !this.#mentions(headers)) return
    const { session } = this.#channel
    let properties: ReturnType<typeof decodeProperties>
    try {
      properties = decodeProperties(this.#envelope, this.#propertiesAt, this.#bodyStart)
    } catch (cause) {
      throw new AmqpError('SYNTAX_ERROR', cause instanceof Error ? cause.message : 'malformed headers')
    }
    let changed = false
    const table = properties.headers
    if (table !== undefined) {
      const delayMs = delayed ? delayOf(table) : 0
      if (0 < delayMs) {
        item.deliverAt = session.broker.clock.now() + delayMs
        // As the plug-in delivers it: negative, so that the next such exchange does not delay it again.
        table.set('x-delay', delayMs <= 0x7fff_ffff ? { type: 'I', value: -delayMs } : long(-delayMs))
        changed = true
      }
      if (flagOf(table.get('x-recent-history-no-store')) === true) item.remembered = false
      const extra: string[] = []
      for (const name of ['CC', 'BCC']) {
        const list = table.get(name)
        if (list === undefined) continue
        if (list.type !== 'A')
          throw preconditionFailed(`invalid message: {unacceptable_type_in_header,"${name}",${typeName(list)}}`)
        const keys = list.value.map((key) => textOf(key) ?? '')
        extra.push(...keys)
        if (name === 'BCC' && 0 < keys.length) item.annotations = { hiddenKeys: keys }
      }
      if (0 < extra.length) item.extraAddresses = extra
      if (table.delete('BCC')) changed = true
      const spare = table.get(spareHeader)
      const key = spare?.type === 'F' ? spare.value.get('key') : undefined
      if (key?.type === 'S' || key?.type === 'x') item.key = key.value
    }
    if (replies) {
      const token = this.#channel.replyToken
      if (token === null) throw preconditionFailed('fast reply consumer does not exist')
      properties.replyTo = replyPrefix + token
      changed = true
    }
    if (changed)
      item.payload = encodeEnvelope(this.#exchange, this.#routingKey, properties, this.#envelope.subarray(this.#bodyStart))
  }

  /** Whether the headers' bytes could hold a name that matters here; saves decoding headers that are only carried. */
  #mentions(at: number): boolean {
    const end = at + 4 + readU32(this.#envelope, at)
    const region = this.#envelope.subarray(at + 4, end)
    return region.includes('CC') || ours.some((name) => region.includes(name))
  }

  /** Hands what this turn collected to the core. */
  flush(): void {
    if (this.#items.length === 0 || this.transactional) return
    const items = this.#items
    const batch = new Batch(items, this.#mandatories, this.confirming, this.#bytes)
    this.#items = []
    this.#mandatories = []
    this.#bytes = 0
    this.#batches.push(batch)
    const { session } = this.#channel
    session.publishes.started(batch.bytes)
    const pending = items.some(settledAlready) ? items.filter((item) => !settledAlready(item)) : items
    session.space.publish(pending, () => {
      batch.done = true
      session.publishes.ended(batch.bytes)
      this.#answer()
    })
  }

  /** Answers the batches that are done, oldest first, so that one ack can stand for all before it. */
  #answer(): void {
    let answered = 0
    while (answered < this.#batches.length && (this.#batches[answered] as Batch).done)
      this.#answerBatch(this.#batches[answered++] as Batch)
    if (0 < answered) this.#batches.splice(0, answered)
  }

  #answerBatch(batch: Batch): void {
    const channel = this.#channel
    if (!channel.open) return
    const { items } = batch
    let acks = 0
    let nacks = 0
    for (let i = 0; i < items.length; i++) {
      const item = items[i] as PublishItem
      if (item.status === PublishStatus.Unrouted && batch.mandatory[i] === true) this.#return(item)
      const failed = item.status === PublishStatus.Failed
      if (failed && this.#refused(item, batch.confirm)) return
      if (!batch.confirm) continue
      if (failed ? 0 < acks : 0 < nacks) {
        channel.confirm(this.#confirmed, 1 < acks + nacks, 0 < acks)
        acks = 0
        nacks = 0
      }
      this.#confirmed++
      if (failed) nacks++
      else acks++
    }
    if (0 < acks + nacks) channel.confirm(this.#confirmed, 1 < acks + nacks, 0 < acks)
  }

  /** True when the failure closes the channel rather than being a nack. */
  #refused(item: PublishItem, confirm: boolean): boolean {
    // A record that its topic's schema refuses is a nack, and an error for who would not hear of that.
    const misfit = item.refusedRecord >= 0 && !confirm
    if (item.errorCode !== 'AccessDenied' && item.errorCode !== 'TooLarge' && !misfit) return false
    const { session } = this.#channel
    const error =
      item.refused === null
        ? new AmqpError(item.errorCode === 'AccessDenied' ? 'ACCESS_REFUSED' : 'PRECONDITION_FAILED', item.errorMessage)
        : accessRefused(item.refused, session.vhost)
    session.fail(this.#channel, error, 60, 40)
    return true
  }

  #return(item: PublishItem): void {
    const { exchange, routingKey } = decodeEnvelope(item.payload)
    writeContent(
      this.#channel.session,
      this.#channel.number,
      'basic.return',
      { replyCode: 312, replyText: 'NO_ROUTE', exchange, routingKey },
      item.payload,
    )
  }

  /** Commit: what was collected; its returns are made once the transaction is durable. */
  takeTransaction(): { items: PublishItem[]; mandatory: boolean[] } {
    const taken = { items: this.#items, mandatory: this.#mandatories }
    this.#items = []
    this.#mandatories = []
    this.#bytes = 0
    return taken
  }

  returnUnrouted(items: readonly PublishItem[], mandatory: readonly boolean[]): void {
    for (let i = 0; i < items.length; i++) {
      const item = items[i] as PublishItem
      if (mandatory[i] === true && item.routedTo === 0 && item.status !== PublishStatus.Stored) this.#return(item)
    }
  }
}

const settledAlready = (item: PublishItem): boolean => item.status !== PublishStatus.Pending
