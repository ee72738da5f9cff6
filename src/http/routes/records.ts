/** Records: publish, look at without touching delivery state, and follow as they arrive. */
import { CoreError, type PeekedRecord, PublishItem, PublishStatus, type Space, type StartAt } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import { envelopeFormat } from '../envelope.ts'
import { invalid } from '../errors.ts'
import { object, optionalFlag, optionalList, optionalNumber, optionalText, queryNumber } from '../input.ts'
import { attributesFromJson, attributesToJson, recordKeys } from '../record-json.ts'
import { type Call, type QueryParameter, Raw, type Route } from '../route.ts'
import { offsetOf } from './subscriptions.ts'
import { knownTopic } from './topics.ts'

const peekMax = 1000
const publishMax = 10_000
const followBatch = 200

const browseQuery: readonly QueryParameter[] = [
  { name: 'partition', schema: { type: 'integer' }, description: 'Only this partition.' },
  { name: 'offset', schema: { type: 'integer' }, description: 'From this offset on.' },
  { name: 'time', schema: { type: 'integer' }, description: 'From this time on, ms since the epoch.' },
  { name: 'limit', schema: { type: 'integer', default: 100, maximum: peekMax }, description: 'Records at most.' },
]

export const recordRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/topics/{topic}/records',
    tag: 'records',
    summary: 'Publish records',
    description:
      'A body with `records` publishes them all; a body that is a record publishes it. `value`, `key`: text, or base64 under valueBase64, keyBase64. With `create: true` a topic that does not exist is created.',
    body: {
      type: 'object',
      properties: {
        records: { type: 'array', items: { type: 'object' } },
        value: {},
        key: { type: 'string' },
        create: { type: 'boolean' },
      },
    },
    handle: publishRecords,
  },
  {
    method: 'GET',
    path: '/v1/topics/{topic}/records',
    tag: 'records',
    summary: 'Browse records by partition, offset or time; delivery state is not touched',
    query: browseQuery,
    handle: async ({ space, parameter, query }) => {
      const { name } = knownTopic(space, parameter('topic'))
      const partition = queryNumber(query, 'partition', 0, 1e6)
      const offset = queryNumber(query, 'offset', 0, Number.MAX_SAFE_INTEGER)
      const time = queryNumber(query, 'time', 0, Number.MAX_SAFE_INTEGER)
      const records = await space.peek(name, {
        limit: queryNumber(query, 'limit', 1, peekMax) ?? 100,
        ...(partition === undefined ? {} : { partition }),
        ...(offset === undefined ? {} : { offset }),
        ...(time === undefined ? {} : { time }),
      })
      return { records: records.map(peekedToJson) }
    },
  },
  {
    method: 'GET',
    path: '/v1/topics/{topic}/records/stream',
    tag: 'records',
    summary: 'Follow a topic: one JSON record a line, as they arrive; delivery state is not touched',
    query: [
      { name: 'from', schema: { type: 'string', default: 'newest' }, description: '`oldest` or `newest`.' },
      { name: 'offset', schema: { type: 'integer' }, description: 'From this offset on (in each partition).' },
      { name: 'time', schema: { type: 'integer' }, description: 'From this time on, ms since the epoch.' },
      { name: 'partition', schema: { type: 'integer' }, description: 'Only this partition.' },
    ],
    handle: followTopic,
  },
]

/** How a record looks in answers. */
export function peekedToJson(record: PeekedRecord): object {
  return {
    partition: record.partition,
    offset: record.offset,
    timestamp: record.timestamp,
    ...attributesToJson(formats.get(record.format).toAttributes(record.bytes)),
    format: formats.get(record.format).name,
    ...(record.subject === null ? {} : { address: record.subject }),
    ...(record.annotations === null ? {} : { annotations: record.annotations }),
  }
}

/** One item of the API's own format. */
export function itemFromJson(topic: string, json: unknown): PublishItem {
  const { partition, ...fields } = object(json, 'a record')
  const attributes = attributesFromJson(fields)
  const item = new PublishItem(null, topic, envelopeFormat.id, envelopeFormat.fromAttributes(attributes))
  item.partition = optionalNumber({ partition }, 'partition', 0, 1e6) ?? -1
  item.key = attributes.key
  item.timestamp = attributes.timestamp ?? 0
  item.ttlMs = attributes.expirationMs ?? -1
  item.priority = attributes.priority ?? -1
  item.deliverAt = attributes.deliverAt ?? 0
  item.dedupId = attributes.dedupId ?? null
  item.transient = attributes.persistent === false
  return item
}

/** Resolves when every item's outcome is known. */
export function publishItems(space: Space, items: readonly PublishItem[]): Promise<void> {
  return new Promise((resolve) => space.publish(items, resolve))
}

async function publishRecords({ space, parameter, body }: Call): Promise<object> {
  const topic = parameter('topic')
  const { create: _create, records: _records, ...single } = body
  const list = optionalList(body, 'records')
  if (list !== undefined && Object.keys(single).length > 0) throw invalid('give either records or one record, not both')
  if (list === undefined && !Object.keys(single).some((key) => recordKeys.includes(key)))
    throw invalid('give records, or one record with a value')
  const jsons = list ?? [single]
  if (jsons.length > publishMax) throw new CoreError('TooLarge', `${jsons.length} records in one request; at most ${publishMax}`)
  const items = jsons.map((json) => itemFromJson(topic, json))
  if (space.topic(topic) === undefined) {
    if (optionalFlag(body, 'create') !== true)
      throw new CoreError('NotFound', `there is no topic "${topic}"; create it, or publish with "create": true`)
    await createIfAbsent(space, topic)
  }
  await publishItems(space, items)
  const failed = items.find((item) => item.status === PublishStatus.Failed)
  if (failed !== undefined && items.length === 1) throw new CoreError(failed.errorCode ?? 'Internal', failed.errorMessage)
  return { results: items.map(outcomeToJson) }
}

async function createIfAbsent(space: Space, topic: string): Promise<void> {
  try {
    await space.createTopic(topic, {}, 'api')
  } catch (cause) {
    if (!(cause instanceof CoreError && cause.code === 'AlreadyExists')) throw cause
  }
}

const statusNames: Readonly<Record<PublishStatus, string>> = {
  [PublishStatus.Pending]: 'pending',
  [PublishStatus.Stored]: 'stored',
  [PublishStatus.Unrouted]: 'unrouted',
  [PublishStatus.Failed]: 'failed',
  [PublishStatus.Duplicate]: 'duplicate',
}

function outcomeToJson(item: PublishItem): object {
  return {
    status: statusNames[item.status],
    ...(item.baseOffset >= 0 ? { partition: item.partition, offset: item.baseOffset } : {}),
    ...(item.status === PublishStatus.Failed ? { error: { code: item.errorCode, message: item.errorMessage } } : {}),
  }
}

async function followTopic(call: Call): Promise<Raw> {
  const { space, query, signal } = call
  const { name } = knownTopic(space, call.parameter('topic'))
  const from = followFrom(query)
  const status = space.status(name)?.partitions ?? []
  const only = queryNumber(query, 'partition', 0, status.length - 1)
  const partitions = only === undefined ? status.map((_, index) => index) : [only]
  const places = await Promise.all(
    partitions.map(async (partition) => ({
      partition,
      offset: await offsetOf(space, name, partition, status[partition] ?? { startOffset: 0, nextOffset: 0 }, from),
    })),
  )
  return new Raw('application/x-ndjson; charset=utf-8', follow(space, name, places, signal))
}

function followFrom(query: URLSearchParams): StartAt {
  const offset = queryNumber(query, 'offset', 0, Number.MAX_SAFE_INTEGER)
  if (offset !== undefined) return { offset }
  const time = queryNumber(query, 'time', 0, Number.MAX_SAFE_INTEGER)
  if (time !== undefined) return { time }
  const from = optionalText({ from: query.get('from') ?? 'newest' }, 'from')
  if (from === 'oldest' || from === 'newest') return from
  throw invalid('?from= must be oldest or newest')
}

interface Place {
  readonly partition: number
  offset: number
}

/** Lines of records, as they come, until the client goes. */
async function* follow(space: Space, topic: string, places: readonly Place[], signal: AbortSignal): AsyncGenerator<string> {
  try {
    while (!signal.aborted) {
      let found = false
      for (const place of places) {
        const { partition, offset } = place
        const end = space.status(topic)?.partitions[partition]?.nextOffset ?? offset
        const records = await space.peek(topic, { partition, offset, limit: followBatch })
        for (const record of records) place.offset = Math.max(place.offset, record.offset + 1)
        // Offsets without records (deletions, markers) are passed over too.
        if (records.length < followBatch) place.offset = Math.max(place.offset, end)
        if (records.length === 0) continue
        found = true
        yield records.map((record) => `${JSON.stringify(peekedToJson(record))}\n`).join('')
      }
      if (!found) await anyReadable(space, topic, places, signal)
    }
  } catch (cause) {
    // The topic went, or access to it. The headers are out, so all that is left is to say it in a line and to end.
    const message = cause instanceof Error ? cause.message : String(cause)
    yield `${JSON.stringify({ error: message })}\n`
  }
}

/** Resolves when one of the places has more, or the signal says that nobody waits any longer. */
function anyReadable(space: Space, topic: string, places: readonly Place[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      for (const cancel of cancels) cancel()
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const cancels = places.map(({ partition, offset }) => space.whenReadable(topic, partition, offset, finish))
    signal.addEventListener('abort', finish)
    if (signal.aborted) finish()
  })
}
