// Fetch: reads entries and answers at once, or waits until enough is readable or the time is over. Sessions (KIP-227) are answered with
// session id 0, which means "none": every request names its partitions. The answer is written by hand, payloads by reference;
// fetch.test.ts holds it equal to the table.
import type { EntryView, ReadResult } from '../../../broker/face.ts'
import { codeOf, KafkaError, wireCode } from '../errors.ts'
import { entriesToBatches } from '../mapping.ts'
import type { Message } from '../schema.ts'
import type { Request } from '../session.ts'
import type { Writer } from '../wire.ts'

/** What one answer carries at most, whatever the client allows; it asks again at once. */
const answerBytesMax = 32 * 1024 * 1024

export class FetchPart {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  readonly offset: number
  readonly maxBytes: number
  errorCode = 0
  highWatermark = -1
  logStartOffset = -1
  entries: readonly EntryView[] = []
  bytes = 0
  /** Filled when the answer is written. */
  batches: Buffer[] = []

  constructor(topic: string, topicId: string, partition: number, offset: number, maxBytes: number) {
    this.topic = topic
    this.topicId = topicId
    this.partition = partition
    this.offset = offset
    this.maxBytes = maxBytes
  }
}

export function fetch(request: Request): void {
  const body = request.body()
  if (body['sessionId'] !== 0 && body['sessionEpoch'] > 0) {
    return request.respond({ errorCode: KafkaError.FetchSessionIdNotFound, responses: [] })
  }
  new FetchOperation(request, body).attempt()
}

class FetchOperation {
  readonly #request: Request
  readonly #parts: FetchPart[]
  readonly #minBytes: number
  readonly #maxBytes: number
  readonly #deadline: number
  #cancels: (() => void)[] = []
  #done = false

  constructor(request: Request, body: Message) {
    this.#request = request
    this.#parts = partsOf(request, body)
    this.#minBytes = body['minBytes']
    this.#maxBytes = Math.min(body['maxBytes'], answerBytesMax)
    this.#deadline = request.session.broker.clock.now() + Math.max(0, body['maxWaitMs'])
  }

  /** Reads all partitions, one after the other so that the byte limit holds over them all; then answers or waits. */
  attempt(): void {
    let left = this.#maxBytes
    let total = 0
    let index = 0
    let failed = false
    const next = (): void => {
      for (;;) {
        const part = this.#parts[index++]
        if (part === undefined) return this.#decide(total, failed)
        let answered = false
        let looping = true
        this.#read(part, left, () => {
          answered = true
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

  #read(part: FetchPart, left: number, done: () => void): void {
    part.entries = []
    part.bytes = 0
    const { space } = this.#request.session
    const info = space.topic(part.topic)
    if (
      part.errorCode !== KafkaError.None ||
      info === undefined ||
      part.partition < 0 ||
      part.partition >= info.config.partitions
    ) {
      part.errorCode ||= KafkaError.UnknownTopicOrPartition
      return done()
    }
    try {
      // With nothing left the partition's offsets are still told, so that lag stays known.
      space.read(part.topic, part.partition, part.offset, Math.max(0, Math.min(part.maxBytes, left)), (result) => {
        accept(part, result, left > 0)
        done()
      })
    } catch (cause) {
      part.errorCode = codeOf(cause)
      done()
    }
  }

  #decide(total: number, failed: boolean): void {
    if (this.#done) return
    const { clock } = this.#request.session.broker
    const waitMs = this.#deadline - clock.now()
    if (failed || total >= this.#minBytes || waitMs <= 0) return this.#answer()
    const { session } = this.#request
    const timer = clock.after(waitMs, () => {
      this.#stopWaiting()
      this.#answer()
    })
    let woken = false
    const wake = (): void => {
      if (woken || this.#done) return
      woken = true
      this.#stopWaiting()
      this.attempt()
    }
    this.#cancels = [
      () => timer.cancel(),
      session.whenClosed(() => {
        this.#done = true
        this.#stopWaiting()
      }),
      ...this.#parts.map((part) =>
        session.space.whenReadable(part.topic, part.partition, Math.max(part.highWatermark, part.offset), wake),
      ),
    ]
  }

  #stopWaiting(): void {
    const cancels = this.#cancels
    this.#cancels = []
    for (const cancel of cancels) cancel()
  }

  #answer(): void {
    if (this.#done) return
    this.#done = true
    for (const part of this.#parts) part.batches = entriesToBatches(part.entries).buffers
    const writer = this.#request.begin(256 + this.#parts.length * 96)
    writeFetchResponse(writer, this.#parts, this.#request.version)
    this.#request.respondWritten(writer)
  }
}

function accept(part: FetchPart, result: ReadResult, withEntries: boolean): void {
  part.highWatermark = result.nextOffset
  part.logStartOffset = result.startOffset
  if (result.error !== null) part.errorCode = wireCode(result.error)
  else if (part.offset < result.startOffset || part.offset > result.nextOffset) part.errorCode = KafkaError.OffsetOutOfRange
  else if (withEntries) part.entries = result.entries
  for (const entry of part.entries) part.bytes += entry.end - entry.start
}

function partsOf(request: Request, body: Message): FetchPart[] {
  const parts: FetchPart[] = []
  for (const topic of body['topics']) {
    const byId = request.version >= 13
    const name: string | undefined = byId ? request.session.space.topicById(Buffer.from(topic.topicId, 'hex'))?.name : topic.topic
    for (const partition of topic.partitions) {
      const part = new FetchPart(
        name ?? '',
        topic.topicId,
        partition.partition,
        partition.fetchOffset,
        partition.partitionMaxBytes,
      )
      if (name === undefined) part.errorCode = KafkaError.UnknownTopicId
      else if (partition.currentLeaderEpoch > 0) part.errorCode = KafkaError.UnknownLeaderEpoch
      parts.push(part)
    }
  }
  return parts
}

/** throttleTimeMs errorCode sessionId [topic [partition errorCode highWatermark lastStableOffset logStartOffset [aborted] preferred records]] */
export function writeFetchResponse(writer: Writer, parts: readonly FetchPart[], version: number): void {
  const flexible = version >= 12
  const count = (elements: number): void => (flexible ? writer.uvarint(elements + 1) : writer.int32(elements))
  writer.int32(0)
  if (version >= 7) {
    writer.int16(0)
    writer.int32(0)
  }
  const topics = byTopic(parts)
  count(topics.length)
  for (const partitions of topics) {
    const first = partitions[0]
    if (first === undefined) continue // byTopic makes no empty group
    if (version >= 13) writer.uuid(first.topicId)
    else {
      const bytes = Buffer.byteLength(first.topic)
      if (flexible) writer.uvarint(bytes + 1)
      else writer.int16(bytes)
      writer.text(first.topic, bytes)
    }
    count(partitions.length)
    for (const part of partitions) writePartition(writer, part, version, flexible)
    if (flexible) writer.int8(0)
  }
  if (flexible) writer.int8(0)
}

function writePartition(writer: Writer, part: FetchPart, version: number, flexible: boolean): void {
  writer.int32(part.partition)
  writer.int16(part.errorCode)
  writer.int64(part.highWatermark)
  writer.int64(part.highWatermark)
  if (version >= 5) writer.int64(part.logStartOffset)
  // No transaction is ever aborted in the log: null list.
  if (flexible) writer.uvarint(0)
  else writer.int32(-1)
  if (version >= 11) writer.int32(-1)
  let bytes = 0
  for (const batch of part.batches) bytes += batch.length
  if (flexible) writer.uvarint(bytes + 1)
  else writer.int32(bytes)
  for (const batch of part.batches) writer.bytes(batch)
  if (flexible) writer.int8(0)
}

function byTopic(parts: readonly FetchPart[]): FetchPart[][] {
  const groups: FetchPart[][] = []
  let last: FetchPart | undefined
  for (const part of parts) {
    if (last !== undefined && last.topic === part.topic && last.topicId === part.topicId) groups.at(-1)?.push(part)
    else groups.push([part])
    last = part
  }
  return groups
}
