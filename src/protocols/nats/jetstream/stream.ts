/** One stream: a topic that captures subjects. Its sequences are the topic's offsets, counted from `first_seq` (1 when none was asked for). */
import { Buffer } from 'node:buffer'
import {
  type AddressStatus,
  type PeekedRecord,
  PublishItem,
  PublishStatus,
  type Space,
  type TopicInfo,
} from '../../../broker/face.ts'
import { renamed } from '../../../lib/renaming.ts'
import { firstAtOrAfter } from '../../../lib/sorted.ts'
import { payloadFormatId } from '../mapping.ts'
import { patternOf } from '../subjects.ts'
import type { Consumer } from './consumer.ts'
import { type ApiError, refusal } from './errors.ts'
import { messageOf, type StoredMessage } from './stored.ts'
import type { StreamConfig } from './stream-config.ts'
import { noTime, timeText } from './times.ts'
import { renamingOf } from './transforms.ts'

const nothing = { first: [], count: 0 } as const
/** Deleted sequences listed in one answer. */
const deletedMax = 100_000
const subjectsMax = 100_000
/** Sequences that a purge may pass over. */
const gapMax = 100_000

export interface StateDetails {
  readonly subjectsFilter?: string
  readonly deleted?: boolean
  readonly offset?: number
}

/** Of a message with so many bytes, headers included, to a subject; null: there is room, and it is counted. */
type Refusal = (kind: StreamConfig['storage'], subject: string, bytes: number, hasHeaders: boolean) => ApiError | null

export class Stream {
  config: StreamConfig
  readonly consumers = new Map<string, Consumer>()
  /** Of the last message that was stored here; '' when it had none. undefined: not looked up yet. */
  lastMessageId: string | undefined = undefined
  /** What refuses a message for what its account may hold. */
  readonly refusalFor: Refusal
  /** The newest message that was published over NATS. */
  newest = 0
  /** The topic's, by which a later one of the same name is told apart. */
  readonly id: Buffer
  readonly createdAt: number
  /** The sequence of offset 0. */
  readonly base: number
  /** Of a mirror: the sequence of the next message, be the last one durable already or not. */
  endSequence: number
  readonly #space: Space

  /** `space`: of whoever may do everything; who asks is checked by whoever answers. */
  constructor(topic: TopicInfo, config: StreamConfig, space: Space, refusalFor: Refusal) {
    this.refusalFor = refusalFor
    this.id = topic.id
    this.createdAt = topic.createdAt
    this.config = config
    this.base = Math.max(1, config.first_seq)
    this.#space = space
    this.endSequence = this.lastSequence + 1
  }

  get name(): string {
    return this.config.name
  }

  /** That its messages take. */
  get bytes(): number {
    return this.#space.status(this.name)?.partitions[0]?.bytes ?? 0
  }

  offsetOf(sequence: number): number {
    return sequence - this.base
  }

  /** The subject under which it stores what is published to one. */
  storedAs(subject: string): string {
    const renaming = this.config.subject_transform === null ? null : renamingOf(this.config.subject_transform)
    return renaming === null ? subject : renamed(renaming, subject)
  }

  /** The last sequence that was given, be it there still or not. */
  get lastSequence(): number {
    return (this.#space.status(this.name)?.partitions[0]?.nextOffset ?? 0) + this.base - 1
  }

  // ------------------------------------------------------------------------------------------------------------------- reading

  async message(sequence: number): Promise<StoredMessage | null> {
    const offset = this.offsetOf(sequence)
    const record = offset < 0 ? undefined : await this.#firstFrom(offset)
    return record?.offset === offset ? this.#messageOf(record) : null
  }

  /** The first that is there, at or after a sequence. */
  async messageFrom(sequence: number): Promise<StoredMessage | null> {
    const record = await this.#firstFrom(Math.max(0, this.offsetOf(sequence)))
    return record === undefined ? null : this.#messageOf(record)
  }

  /** As many as are there from a sequence on, up to a limit. */
  async messagesFrom(sequence: number, limit: number): Promise<StoredMessage[]> {
    const records = await this.#space.peek(this.name, { partition: 0, offset: Math.max(0, this.offsetOf(sequence)), limit })
    return records.map((record) => this.#messageOf(record))
  }

  async #firstFrom(offset: number): Promise<PeekedRecord | undefined> {
    return (await this.#space.peek(this.name, { partition: 0, offset, limit: 1 }))[0]
  }

  #messageOf(record: PeekedRecord): StoredMessage {
    return messageOf(record, this.name, this.base)
  }

  /** Subjects that match, with what there is of each. */
  subjects(filter: string): AddressStatus[] {
    return this.#space.addresses(this.name, patternOf(filter))
  }

  /** Sequences of a subject, ascending. */
  sequencesOf(subject: string): number[] {
    return this.#space.offsetsOf(this.name, subject).map((offset) => offset + this.base)
  }

  /** The newest message of a subject; 0 when there is none. */
  lastOf(filter: string): number {
    let last = -1
    if (/[*>]/.test(filter)) for (const status of this.subjects(filter)) last = Math.max(last, status.last)
    else last = this.#space.offsetsOf(this.name, filter).at(-1) ?? -1
    return last < 0 ? 0 : last + this.base
  }

  /** The newest message of each subject that matches, ascending. */
  lastOfEach(filters: readonly string[], upTo = Infinity): number[] {
    const found = new Set<number>()
    for (const filter of filters) {
      for (const { subject, last } of this.subjects(filter)) {
        const sequence = last + this.base <= upTo ? last + this.base : this.sequencesOf(subject).findLast((each) => each <= upTo)
        if (sequence !== undefined) found.add(sequence)
      }
    }
    return [...found].sort((a, b) => a - b)
  }

  /** Of the messages from a sequence on whose subjects match: the sequences of the first so many, ascending, and how many there are. */
  matching(filter: string, from: number, limit = Infinity): { readonly first: number[]; readonly count: number } {
    const found: number[] = []
    let count = 0
    for (const { subject, last } of this.subjects(filter)) {
      if (last + this.base < from) continue
      const offsets = this.#space.offsetsOf(this.name, subject)
      const begin = firstAtOrAfter(offsets, this.offsetOf(from))
      count += offsets.length - begin
      for (const offset of offsets.slice(begin, begin + limit)) found.push(offset + this.base)
    }
    return { first: found.sort((a, b) => a - b).slice(0, limit), count }
  }

  /** As {@link matching}, of the newest of all messages. */
  #newest(limit: number): { readonly first: number[]; readonly count: number } {
    const first = this.matching('>', 0).first.slice(-limit)
    return { first, count: first.length }
  }

  /** The first sequence whose message is of this time (ms) or later; behind the last when there is none. */
  async sequenceAt(time: number): Promise<number> {
    const found = await this.#space.offsetForTime(this.name, 0, time)
    return found === null ? this.lastSequence + 1 : found.offset + this.base
  }

  // --------------------------------------------------------------------------------------------------------------- taking away

  /** Resolves to whether it was there. */
  async remove(sequences: readonly number[]): Promise<number> {
    return await this.#space.removeRecords(
      this.name,
      0,
      sequences.map((sequence) => this.offsetOf(sequence)),
    )
  }

  /** What is published next is to have this sequence, if no later one was given: something is stored up to there, and taken away at once. */
  async #advanceTo(sequence: number): Promise<void> {
    const gap = sequence - Math.max(this.endSequence, this.lastSequence + 1)
    if (gap <= 0) return
    const item = new PublishItem(null, this.name, payloadFormatId, Buffer.alloc(0))
    item.count = gap
    item.into = this.name
    this.#space.publish([item], () => undefined)
    if (item.status !== PublishStatus.Stored) throw refusal('streamPurge', item.errorMessage)
    this.endSequence = item.baseOffset + gap + this.base
    const offsets = Array.from({ length: gap }, (_, at) => item.baseOffset + at)
    await this.#space.removeRecords(this.name, 0, offsets)
  }

  /** Of a filter or of all, below a sequence or but for the newest; resolves to how many went. */
  async purge(filter: string, below: number, keep: number): Promise<number> {
    if (filter === '' || filter === '>') {
      const records = this.#space.status(this.name)?.partitions[0]?.records ?? 0
      const { first, count } = keep > 0 ? this.#newest(keep) : below > 0 ? this.matching('>', below, 1) : nothing
      const [firstKept] = first
      this.endSequence = Math.max(this.endSequence, this.lastSequence + 1)
      if (below - this.endSequence > gapMax) throw refusal('streamPurge', `sequence is more than ${gapMax} ahead of the last one`)
      await this.#space.deleteRecordsBefore(this.name, 0, this.offsetOf(firstKept ?? this.endSequence))
      // Second: what stands for sequences to come needs room, where new messages are refused.
      await this.#advanceTo(below)
      return records - count
    }
    const going = this.subjects(filter).flatMap(({ subject }) => {
      const sequences = this.sequencesOf(subject).filter((sequence) => below === 0 || sequence < below)
      return keep > 0 ? sequences.slice(0, -keep) : sequences
    })
    return await this.remove(going.sort((a, b) => a - b))
  }

  // --------------------------------------------------------------------------------------------------------------------- state

  async state({ subjectsFilter = '', deleted = false, offset = 0 }: StateDetails = {}): Promise<Record<string, unknown>> {
    const partition = this.#space.status(this.name)?.partitions[0]
    if (partition === undefined) throw refusal('streamNotFound')
    const { nextOffset, startOffset, records, bytes } = partition
    const untouched = nextOffset === 0 && this.base === 1
    const last = nextOffset + this.base - 1
    const first = records === 0 ? undefined : await this.messageFrom(startOffset + this.base)
    const newest = records === 0 || first === null ? null : await this.message(last)
    const firstSequence = untouched ? 0 : (first?.sequence ?? last + 1)
    const subjects = this.#space.addressCount(this.name)
    return {
      messages: records,
      bytes: records === 0 ? 0 : bytes,
      first_seq: firstSequence,
      first_ts: first ? timeText(first.time) : noTime,
      last_seq: last,
      last_ts: newest !== null ? timeText(newest.time) : nextOffset === 0 ? noTime : timeText(this.createdAt),
      ...(subjects === 0 ? {} : { num_subjects: subjects }),
      ...(subjectsFilter === '' ? {} : { subjects: this.#counts(subjectsFilter, offset) }),
      ...(last + 1 - firstSequence - records > 0 && !untouched ? { num_deleted: last + 1 - firstSequence - records } : {}),
      ...(deleted ? { deleted: this.#deleted(firstSequence, last) } : {}),
      consumer_count: this.consumers.size,
    }
  }

  #counts(filter: string, offset: number): Record<string, number> {
    const found = this.subjects(filter).sort((a, b) => (a.subject < b.subject ? -1 : 1))
    return Object.fromEntries(found.slice(offset, offset + subjectsMax).map(({ subject, count }) => [subject, count]))
  }

  #deleted(first: number, last: number): number[] | undefined {
    const there = new Set(this.matching('>', first).first)
    const gone: number[] = []
    for (let sequence = first; sequence <= last && gone.length < deletedMax; sequence++)
      if (!there.has(sequence)) gone.push(sequence)
    return gone.length === 0 ? undefined : gone
  }
}
