// Reading a stream: each consumer has a place of its own in the log, acknowledgements only ask for more, and a filter passes over
// what it does not want. The place is a subscription that nobody shares and that goes with its consumer.
import type { Buffer } from 'node:buffer'
import type { Space, StartAt, TopicInfo } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import type { StreamStart } from './arguments.ts'
import { decodeEnvelope, formatId } from './mapping.ts'
import { flagOf, type Table, textOf } from './table.ts'

const filterValueHeader = 'x-stream-filter-value'

/** What one consumer of a stream wants of it. */
export class StreamReader {
  readonly startAt: StartAt
  /** Nothing before this offset is delivered: it may lie beyond the end. */
  readonly #from: number
  /** null: everything. */
  readonly #filter: ReadonlySet<string> | null
  readonly #unfilteredToo: boolean

  constructor(startAt: StartAt, table: Table) {
    this.startAt = startAt
    this.#from = typeof startAt === 'object' && 'offset' in startAt ? startAt.offset : 0
    this.#filter = filterOf(table)
    this.#unfilteredToo = flagOf(table.get('x-stream-match-unfiltered')) ?? false
  }

  wants(offset: number, format: number, envelope: Buffer): boolean {
    if (offset < this.#from) return false
    if (this.#filter === null) return true
    const value = filterValueOf(format, envelope)
    return value === undefined ? this.#unfilteredToo : this.#filter.has(value)
  }
}

/** Records of other protocols carry it under the same name. */
function filterValueOf(format: number, envelope: Buffer): string | undefined {
  if (format === formatId) return textOf(decodeEnvelope(envelope).properties.headers?.get(filterValueHeader))
  const header = formats
    .get(format)
    .toAttributes(envelope)
    .headers.find(({ name }) => name === filterValueHeader)
  return header?.value.type === 'string' ? header.value.value : undefined
}

/** RabbitMQ takes one value or an array; what is not text among them it passes over. */
function filterOf(table: Table): ReadonlySet<string> | null {
  const field = table.get('x-stream-filter')
  if (field?.type === 'A') return new Set(field.value.flatMap((value) => textOf(value) ?? []))
  const one = textOf(field)
  return one === undefined ? null : new Set([one])
}

/** Where in the topic a consumer begins that asked for `start`. */
export async function placeOf(space: Space, topic: TopicInfo, start: StreamStart, now: number): Promise<StartAt> {
  if (start === 'first') return 'oldest'
  if (start === 'next') return 'newest'
  if (start === 'last') {
    const log = space.status(topic.name)?.partitions[0]
    return { offset: Math.max(log?.startOffset ?? 0, (log?.nextOffset ?? 0) - 1) }
  }
  if ('offset' in start) return start
  const time = 'time' in start ? start.time : now - start.agoMs
  const found = await space.offsetForTime(topic.name, 0, time)
  return found === null ? 'newest' : { offset: found.offset }
}
