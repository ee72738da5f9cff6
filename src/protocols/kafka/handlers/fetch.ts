// Fetch: reads what may have something new in the client's session (fetch-session.ts), and answers at once or waits until enough is
// readable or the time is over.
import type { EntryView, ReadResult } from '../../../broker/face.ts'
import { codeOf, KafkaError, wireCode } from '../errors.ts'
import { type FetchPart, type FetchSession, FetchSessions, type FetchUser, type PartAsk } from '../fetch-session.ts'
import { entriesToBatches } from '../mapping.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'
import { writeFetchResponse } from './fetch-response.ts'

/** What one answer carries at most, whatever the client allows; it asks again at once. */
const answerBytesMax = 32 * 1024 * 1024
const readCommitted = 1
/** Session epochs with a meaning: a client begins with 0, and says -1 when it wants no session (or ends the one it names). */
const Epoch = { First: 0, None: -1 } as const

export function fetch(request: Request): void {
  const { broker } = request.session
  const sessions = broker.shared('kafka.fetch-sessions', () => new FetchSessions(broker.clock))
  const body = request.body()
  const { sessionId, sessionEpoch } = body
  const usesTopicIds = request.version >= 13
  const asks = asksOf(request, body['topics'], usesTopicIds)
  if (sessionEpoch === Epoch.First || sessionEpoch === Epoch.None) {
    if (sessionId !== 0) sessions.close(sessionId)
    const session = sessions.open(asks, usesTopicIds, sessionEpoch === Epoch.First && request.version >= 7)
    return new FetchOperation(request, body, sessions, session, true).begin()
  }
  const session = sessions.continue(sessionId, sessionEpoch, usesTopicIds)
  if (typeof session === 'number') return request.respond({ errorCode: session, responses: [] })
  sessions.change(session, asks, forgottenOf(body, usesTopicIds))
  new FetchOperation(request, body, sessions, session, false).begin()
}

class FetchOperation implements FetchUser {
  readonly #request: Request
  readonly #sessions: FetchSessions
  readonly #session: FetchSession
  /** A full answer names every partition, an incremental one those with news. */
  readonly #isFull: boolean
  readonly #minBytes: number
  readonly #maxBytes: number
  readonly #deadline: number
  /** What is not decided yet, and who was aborted, matters to this client. */
  readonly #committedOnly: boolean
  #cancels: (() => void)[] = []
  #woken = false
  #done = false

  constructor(request: Request, body: Message, sessions: FetchSessions, session: FetchSession, isFull: boolean) {
    this.#request = request
    this.#sessions = sessions
    this.#session = session
    this.#isFull = isFull
    this.#minBytes = body['minBytes']
    this.#maxBytes = Math.min(body['maxBytes'], answerBytesMax)
    this.#committedOnly = body['isolationLevel'] === readCommitted
    this.#deadline = request.session.broker.clock.now() + Math.max(0, body['maxWaitMs'])
  }

  begin(): void {
    // A client that gave up its last request (on another connection, say) goes on with its session in this one.
    this.#session.takeOver(this)
    this.#attempt()
  }

  /** Reads the pending partitions, one after the other so that the byte limit holds over them all; then answers or waits. */
  #attempt(): void {
    this.#woken = false
    const parts = [...this.#session.pending]
    let left = this.#maxBytes
    let total = 0
    let index = 0
    let failed = false
    const next = (): void => {
      for (;;) {
        const part = parts[index++]
        if (part === undefined) return this.#decide(total, failed)
        let answered = false
        let looping = true
        this.#read(part, left, total === 0, () => {
          answered = true
          if (this.#done) return
          left -= part.bytes
          total += part.bytes
          failed ||= part.errorCode !== KafkaError.None
          if (!looping) next()
        })
        looping = false
        if (!answered) return // The read goes on by itself; its callback continues here.
      }
    }
    next()
  }

  /** `isFirst`: nothing was found yet, so that one whole batch is given however big it is; a client with small limits gets on. */
  #read(part: FetchPart, left: number, isFirst: boolean, done: () => void): void {
    part.entries = []
    part.giveBack = undefined
    part.aborted = this.#committedOnly ? [] : null
    part.bytes = 0
    part.errorCode = part.requestError
    const { space } = this.#request.session
    const info = part.topicId === '' ? space.topic(part.topic) : space.topicById(Buffer.from(part.topicId, 'hex'))
    if (info === undefined)
      part.errorCode ||= part.topicId === '' ? KafkaError.UnknownTopicOrPartition : KafkaError.UnknownTopicId
    else if (part.partition < 0 || part.partition >= info.config.partitions) part.errorCode ||= KafkaError.UnknownTopicOrPartition
    if (part.errorCode !== KafkaError.None) return done()
    const limit = Math.min(part.maxBytes, left)
    try {
      // Without room the partition's ends are still told, so that lag stays known: a place that can not be read costs no reading.
      const offset = isFirst || limit > 0 ? part.offset : Number.MAX_SAFE_INTEGER
      space.read(part.topic, part.partition, offset, Math.max(0, limit), (result) => {
        // Its request may have ended meanwhile; the part then belongs to the next one.
        if (!this.#done) accept(part, result, limit, isFirst, this.#committedOnly)
        done()
      })
    } catch (cause) {
      part.errorCode = codeOf(cause)
      done()
    }
  }

  #decide(total: number, failed: boolean): void {
    if (this.#done) return
    const { session } = this.#request
    const { clock } = session.broker
    const waitMs = this.#deadline - clock.now()
    if (failed || total >= this.#minBytes || waitMs <= 0 || this.#session.parts.size === 0)
      return this.#request.timed(() => this.answer())
    if (this.#cancels.length === 0) {
      const timer = clock.after(waitMs, () => this.#request.timed(() => this.answer()))
      const forget = session.whenClosed(() => this.#finish())
      this.#cancels = [() => timer.cancel(), forget]
    }
    for (const part of this.#session.pending) {
      this.#session.await(part, session.space)
      if (part.entries.length === 0 && !part.isNews) this.#session.pending.delete(part)
    }
    this.#session.onPending = () => this.#wake()
  }

  /** Several partitions of one write wake it once. */
  #wake(): void {
    if (this.#woken) return
    this.#woken = true
    queueMicrotask(() => {
      if (!this.#done) this.#attempt()
    })
  }

  answer(): void {
    if (this.#done) return
    const { parts, pending } = this.#session
    const answered = this.#isFull ? [...parts.values()] : [...pending].filter((part) => part.isNews)
    for (const part of answered) part.batches = entriesToBatches(part.entries).buffers
    const isKept = this.#sessions.isKept(this.#session)
    const writer = this.#request.begin(256 + answered.length * 96)
    let bytes = 0
    for (const part of answered) for (const batch of part.batches) bytes += batch.length
    const throttleTimeMs = this.#request.throttle('consumer_byte_rate', bytes)
    writeFetchResponse(writer, isKept ? this.#session.id : 0, answered, this.#request.version, throttleTimeMs)
    const read = answered.flatMap(({ giveBack }) => giveBack ?? [])
    this.#request.whenSent = () => {
      for (const giveBack of read) giveBack()
    }
    this.#session.settle(answered)
    if (isKept) {
      for (const part of [...pending]) {
        if (part.hasMore) continue
        pending.delete(part)
        this.#session.await(part, this.#request.session.space)
      }
    }
    this.#finish()
    this.#request.respondWritten(writer)
  }

  #finish(): void {
    this.#done = true
    for (const cancel of this.#cancels) cancel()
    this.#session.release(this)
    if (!this.#sessions.isKept(this.#session)) this.#session.close()
  }
}

function accept(part: FetchPart, result: ReadResult, limit: number, isFirst: boolean, committedOnly: boolean): void {
  part.highWatermark = result.nextOffset
  part.lastStableOffset = result.stableOffset
  part.logStartOffset = result.startOffset
  if (result.error !== null && result.error !== 'OutOfRange') part.errorCode = wireCode(result.error)
  else if (part.offset < result.startOffset || part.offset > result.nextOffset) part.errorCode = KafkaError.OffsetOutOfRange
  else {
    const entries = committedOnly ? decidedOf(result) : result.entries
    for (const entry of entries) part.bytes += entry.end - entry.start
    // The core gives one entry at least; here only the first partition with records does, as in Kafka.
    if (isFirst || part.bytes <= limit) {
      part.entries = entries
      part.giveBack = result.giveBack
      if (committedOnly) part.aborted = result.aborted
    } else part.bytes = 0
  }
}

function decidedOf({ entries, stableOffset }: ReadResult): readonly EntryView[] {
  const end = entries.findIndex((entry) => entry.baseOffset >= stableOffset)
  return end < 0 ? entries : entries.slice(0, end)
}

function asksOf(request: Request, topics: readonly Message[], byId: boolean): PartAsk[] {
  const { space } = request.session
  return topics.flatMap((topic) => {
    const name: string = byId ? (space.topicById(Buffer.from(topic['topicId'], 'hex'))?.name ?? '') : topic['topic']
    return (topic['partitions'] as Message[]).map((partition) => ({
      topic: name,
      topicId: byId ? (topic['topicId'] as string) : '',
      partition: partition['partition'],
      offset: partition['fetchOffset'],
      maxBytes: partition['partitionMaxBytes'],
      // There is one leader epoch, 0; who has seen a later one has not seen it here.
      requestError: partition['currentLeaderEpoch'] > 0 ? KafkaError.UnknownLeaderEpoch : KafkaError.None,
    }))
  })
}

function forgottenOf(body: Message, byId: boolean): { topic: string; topicId: string; partition: number }[] {
  return (body['forgottenTopicsData'] as Message[]).flatMap((topic) =>
    (topic['partitions'] as number[]).map((partition) => ({
      topic: byId ? '' : topic['topic'],
      topicId: byId ? topic['topicId'] : '',
      partition,
    })),
  )
}
