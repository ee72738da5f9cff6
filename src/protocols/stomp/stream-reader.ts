/** SUBSCRIBE to a stream, as RabbitMQ's clients do: each subscription reads for itself, from where its headers say. */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import type { StartAt, TopicInfo } from '../../broker/face.ts'
import { type StreamStart, streamStart } from '../amqp/arguments.ts'
import { declaredType } from '../amqp/declaration.ts'
import { placeOf, StreamReader } from '../amqp/stream.ts'
import type { FieldValue, Table } from '../amqp/table.ts'
import type { Headers } from './codec.ts'
import { StompError } from './errors.ts'
import type { Session } from './session.ts'

export interface StreamPlace {
  readonly subscription: string
  readonly startAt: StartAt
  readonly reader: StreamReader
}

/** Whether a subscription to this topic reads it as a stream: one that was declared so, or one kept by time where the headers say a place. */
export function readsAsStream(topic: TopicInfo, headers: Headers): boolean {
  if (declaredType(topic) === 'stream') return true
  return headers.has('x-stream-offset') && topic.config.retention === 'time' && topic.config.partitions === 1
}

export async function streamPlace({ space, broker }: Session, topic: TopicInfo, headers: Headers): Promise<StreamPlace> {
  const startAt = await placeOf(space, topic, startOf(headers.get('x-stream-offset')), broker.clock.now())
  const reader = new StreamReader(startAt, filterTable(headers))
  return { subscription: `stomp-stream-${randomBytes(12).toString('base64url')}`, startAt, reader }
}

/** `first`, `last`, `next`, an age such as `1h`, `offset=5000`, or `timestamp=` and seconds since the epoch. */
function startOf(text: string | undefined): StreamStart {
  const match = /^(offset|timestamp)=(\d{1,15})$/.exec(text ?? '')
  const field: FieldValue | undefined =
    text === undefined
      ? undefined
      : match === null
        ? { type: 'S', value: Buffer.from(text) }
        : match[1] === 'offset'
          ? { type: 'l', value: BigInt(match[2] ?? 0) }
          : { type: 'T', value: Number(match[2]) }
  const start = streamStart(field)
  if (start === undefined) throw new StompError('precondition_failed', `x-stream-offset cannot be '${text}'`)
  return start
}

function filterTable(headers: Headers): Table {
  const table: Table = new Map()
  const filter = headers.get('x-stream-filter')
  if (filter !== undefined) {
    const values = filter.split(',').map((each): FieldValue => ({ type: 'S', value: Buffer.from(each.trim()) }))
    table.set('x-stream-filter', { type: 'A', value: values })
  }
  if (headers.get('x-stream-match-unfiltered') === 'true') table.set('x-stream-match-unfiltered', { type: 't', value: true })
  return table
}
