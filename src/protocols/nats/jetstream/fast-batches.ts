/**
 * Fast batches (ADR-50): a publisher sends one message after the other and hears now and then how far all is stored, and at the end how much it was. What
 * each message is to its batch stands in its reply subject: `<prefix>.<batch id>.<flow>.<gap mode>.<sequence>.<operation>.$FI`. Every answer goes there.
 */
import { type PublishItem, PublishStatus, type Space } from '../../../broker/face.ts'
import type { Clock } from '../../../lib/timers.ts'
import type { Incoming } from './batches.ts'
import { type ApiError, refusal } from './errors.ts'
import { headerOf } from './headers.ts'
import type { Outbox } from './outbox.ts'
import { prepare, refusalText, whyNot } from './publishing.ts'
import type { Stream } from './stream.ts'

const suffix = '.$FI'
const idBytesMax = 64
const openMax = 1000
const abandonedMs = 10_000
/** Messages for each word about how far it is, at most; of all batches of a stream together. */
const wordEveryMax = 500

const Operation = { Start: 0, Append: 1, Commit: 2, CommitBefore: 3, Ping: 4 } as const
type Operation = (typeof Operation)[keyof typeof Operation]

/** What a message is to its batch. */
export interface Part {
  readonly id: string
  /** How many messages at most until the publisher wants a word. */
  readonly flow: number
  /** Whether messages may be lost on their way, or refused, and the batch goes on. */
  readonly gapOk: boolean
  /** From 1. */
  readonly sequence: number
  readonly operation: Operation
}

export const isPart = (reply: string): boolean => reply.endsWith(suffix)

/** null: it says nothing that can be understood. */
export function parsePart(reply: string): Part | null {
  const words = reply.slice(0, -suffix.length).split('.')
  const [id, flow = '', gap = '', sequence = '', operation = ''] = words.slice(-5)
  if (words.length < 6 || id === undefined || !/^[0-4]$/.test(operation) || !/^\d{1,15}$/.test(sequence)) return null
  if (gap !== 'ok' && gap !== 'fail') return null
  const part = { sequence: Number(sequence), operation: Number(operation) as Operation } // one of 0 to 4
  const isFirst = part.sequence === 1
  if (part.sequence === 0 || (part.operation === Operation.Start && !isFirst)) return null
  if (isFirst && (part.operation === Operation.Append || part.operation === Operation.CommitBefore)) return null
  const asked = /^\d{1,15}$/.test(flow) ? Number(flow) : 0
  return { ...part, id, flow: asked === 0 ? 10 : Math.min(asked, 0xffff), gapOk: gap === 'ok' }
}

interface Batch {
  readonly id: string
  readonly stream: Stream
  readonly gapOk: boolean
  readonly flow: number
  /** The last sequence that came. */
  last: number
  /** Up to here all is durable, or was refused where that may be. */
  stored: number
  /** The stream's sequence of the last that is. */
  streamSequence: number
  /** Up to here its publisher has heard of it, and after how many messages it hears again. */
  told: number
  every: number
  /** Messages on their way to the disk; `written` is the newest of them while the turn lasts. */
  pending: number
  written: { readonly sequence: number; readonly streamSequence: number; readonly reply: string; count: number } | null
  /** Where the last word goes; null: it is not at its end. */
  commit: string | null
  activeAt: number
}

export interface FastBatchesHost {
  readonly outbox: Outbox
  readonly clock: Clock
  /** A message was stored by a stream that decided so. */
  published(stream: Stream, item: PublishItem, messageId: string): void
  /** Calls back once all that was published so far is durable. */
  whenDurable(done: () => void): void
}

export class FastBatches {
  readonly #host: FastBatchesHost
  readonly #open = new Map<Stream, Map<string, Batch>>()

  constructor(host: FastBatchesHost) {
    this.#host = host
  }

  take(incoming: Incoming): void {
    const { stream, reply, bodyBytes } = incoming
    const part = parsePart(reply)
    const refused = this.#refusal(stream, part, bodyBytes)
    if (refused !== null || part === null) return this.#refuse(stream, reply, refused ?? refusal('batchPattern'))
    const batch = this.#open.get(stream)?.get(part.id) ?? this.#begin(stream, part)
    if (part.operation === Operation.Ping) this.#ping(batch, part, reply)
    // Its publisher waits for the last word, and hears how far it came.
    else if (batch.commit === null) this.#add(batch, part, incoming)
  }

  #refuse(stream: Stream, reply: string, error: ApiError): void {
    if (!stream.config.no_ack) this.#host.outbox.answer(reply, refusalText(stream, error))
  }

  #refusal(stream: Stream, part: Part | null, bodyBytes: number): ApiError | null {
    const { config } = stream
    if (config.sealed) return refusal('streamSealed')
    if (config.max_msg_size >= 0 && bodyBytes > config.max_msg_size) return refusal('streamMessageTooLarge')
    if (!config.allow_batched) return refusal('batchDisabled')
    if (part === null) return refusal('batchPattern')
    if (Buffer.byteLength(part.id) > idBytesMax) return refusal('batchId')
    const open = this.#open.get(stream)
    if (open?.has(part.id) === true) return null
    if (part.sequence !== 1 || part.operation === Operation.Ping) return refusal('batchUnknown')
    return (open?.size ?? 0) >= openMax ? refusal('batchTooMany') : null
  }

  #begin(stream: Stream, { id, gapOk, flow }: Part): Batch {
    const open = this.#open.get(stream) ?? new Map<string, Batch>()
    this.#open.set(stream, open)
    const batch: Batch = {
      id,
      stream,
      gapOk,
      flow,
      last: 0,
      stored: 0,
      streamSequence: 0,
      told: 0,
      // One that is not alone begins carefully.
      every: open.size > 0 ? 1 : Math.min(wordEveryMax, flow),
      pending: 0,
      written: null,
      commit: null,
      activeAt: this.#host.clock.now(),
    }
    open.set(id, batch)
    this.#watch(batch, abandonedMs)
    return batch
  }

  // ------------------------------------------------------------------------------------------------------------------ messages

  #add(batch: Batch, part: Part, incoming: Incoming): void {
    const { stream, reply } = incoming
    const { sequence, operation } = part
    batch.activeAt = this.#host.clock.now()
    if (sequence !== batch.last + 1) {
      this.#say(reply, { type: 'gap', last_seq: batch.last + 1, seq: sequence })
      // What came twice, or too late, ends it in any case.
      if (!batch.gapOk || sequence <= batch.last) return this.#end(batch, reply)
    }
    if (operation === Operation.CommitBefore) {
      batch.last = Math.max(batch.last, sequence - 1)
      return this.#end(batch, reply)
    }
    batch.last = sequence
    if (sequence === 1 && operation !== Operation.Commit && !stream.config.no_ack)
      this.#say(reply, { type: 'ack', seq: 0, msgs: batch.every })
    this.#publish(batch, part, incoming)
  }

  #publish(batch: Batch, part: Part, { stream, space, item, headers, reply, bodyBytes }: Incoming): void {
    const commits = part.operation === Operation.Commit
    const scheduled = headerOf(headers, 'Nats-Schedule') === undefined ? null : refusal('schedulesDisabled')
    const refused = scheduled ?? prepare(stream, item, headers, bodyBytes) ?? this.#tryToStore(stream, space, item)
    if (refused !== null) return this.#notStored(batch, part, reply, refused)
    if (item.status === PublishStatus.Duplicate) return this.#repeated(batch, part, reply, item.baseOffset + stream.base)
    this.#host.published(stream, item, item.dedupId ?? '')
    if (commits) batch.commit = reply
    this.#write(batch, part.sequence, item.baseOffset + stream.base, reply)
  }

  #tryToStore(stream: Stream, space: Space, item: PublishItem): ApiError | null {
    space.publish([item], null)
    const isThere = item.status === PublishStatus.Stored || item.status === PublishStatus.Duplicate
    return isThere ? null : whyNot(stream, item, space)
  }

  #notStored(batch: Batch, { sequence, operation }: Part, reply: string, error: ApiError): void {
    // One that fails at once is answered as a message alone.
    if (!batch.gapOk && batch.last === 1) {
      this.#close(batch)
      return this.#host.outbox.answer(reply, refusalText(batch.stream, error))
    }
    this.#say(reply, { type: 'err', seq: sequence, error })
    const commits = operation === Operation.Commit
    if (batch.gapOk && !commits) return
    batch.last--
    this.#end(batch, reply)
  }

  #repeated(batch: Batch, { sequence, operation }: Part, reply: string, streamSequence: number): void {
    if (batch.pending === 0) {
      batch.stored = sequence
      this.#tellProgress(batch, reply)
    }
    if (operation !== Operation.Commit) return
    if (batch.gapOk || batch.last > 1) return this.#end(batch, reply)
    this.#close(batch)
    const { name } = batch.stream
    this.#host.outbox.answer(reply, { stream: name, seq: streamSequence, duplicate: true, batch: batch.id, count: sequence })
  }

  // ---------------------------------------------------------------------------------------------------------------- durability

  /** All of a turn is waited for together. */
  #write(batch: Batch, sequence: number, streamSequence: number, reply: string): void {
    const { written } = batch
    batch.pending++
    batch.written = { sequence, streamSequence, reply, count: (written?.count ?? 0) + 1 }
    if (written !== null) return
    queueMicrotask(() => {
      const newest = batch.written
      batch.written = null
      if (newest !== null) this.#host.whenDurable(() => this.#durable(batch, newest))
    })
  }

  #durable(batch: Batch, { sequence, streamSequence, reply, count }: NonNullable<Batch['written']>): void {
    batch.pending -= count
    batch.streamSequence = streamSequence
    // Behind it there may be what was refused or repeated, which nothing waits for.
    batch.stored = batch.pending === 0 ? batch.last : sequence
    if (batch.commit !== null && batch.pending === 0) this.#finish(batch, batch.commit)
    else this.#tellProgress(batch, reply)
  }

  /** It takes no more; the last word is said when all of it is durable. */
  #end(batch: Batch, reply: string): void {
    batch.commit = reply
    if (batch.pending === 0) this.#finish(batch, reply)
  }

  #finish(batch: Batch, reply: string): void {
    if (!this.#close(batch)) return
    const { stream, id, streamSequence, last } = batch
    this.#host.outbox.answer(reply, { stream: stream.name, seq: streamSequence, batch: id, count: last })
  }

  /** False when it is closed already. */
  #close({ stream, id }: Batch): boolean {
    const open = this.#open.get(stream)
    const was = open?.delete(id) === true
    if (open?.size === 0) this.#open.delete(stream)
    return was
  }

  /** One of which nothing comes any more is forgotten; what it stored stays. */
  #watch(batch: Batch, ms: number): void {
    this.#host.clock.after(ms, () => {
      if (this.#open.get(batch.stream)?.get(batch.id) !== batch) return
      const leftMs = batch.activeAt + abandonedMs - this.#host.clock.now()
      if (leftMs > 0 || batch.commit !== null) this.#watch(batch, Math.max(leftMs, 1000))
      else this.#close(batch)
    })
  }

  // ---------------------------------------------------------------------------------------------------------------------- flow

  /** Says how far it is, where enough came since it was said last; returns whether it did. */
  #tellProgress(batch: Batch, reply: string): boolean {
    if (batch.stored < batch.told + batch.every) return false
    batch.told += Math.floor((batch.stored - batch.told) / batch.every) * batch.every
    const share = Math.max(1, Math.floor(wordEveryMax / Math.max(1, this.#open.get(batch.stream)?.size ?? 1)))
    const most = Math.min(share, batch.flow)
    batch.every = batch.every < most ? Math.min(batch.every * 2, most) : Math.max(Math.floor(batch.every / 2), most)
    this.#sayProgress(batch, reply)
    return true
  }

  #sayProgress({ told, every }: Batch, reply: string): void {
    this.#say(reply, { type: 'ack', seq: told, msgs: every })
  }

  /** Its publisher heard nothing for a while: what it sent may be lost, or what it was sent. */
  #ping(batch: Batch, { sequence }: Part, reply: string): void {
    batch.activeAt = this.#host.clock.now()
    if (sequence > batch.last) {
      this.#say(reply, { type: 'gap', last_seq: batch.last + 1, seq: sequence + 1 })
      if (!batch.gapOk) {
        this.#end(batch, reply)
        if (batch.pending === 0) return
      } else {
        batch.last = sequence
        if (batch.pending === 0) batch.stored = sequence
        if (this.#tellProgress(batch, reply)) return
      }
    }
    this.#sayProgress(batch, reply)
  }

  #say(reply: string, word: object): void {
    this.#host.outbox.answer(reply, word)
  }
}
