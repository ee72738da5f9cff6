/** v2: consumer instances. */

import { type JsonObject, printJson } from '../../../lib/schemas/json-text.ts'
import { safeRegExp } from '../../../lib/schemas/regexp.ts'
import { InvalidSchema } from '../../../lib/schemas/schema.ts'
import type { ConsumerSettings, Place, RestConsumer } from '../consumer.ts'
import { decode } from '../embedded.ts'
import { denied, formatMismatch, invalidConfig, partitionNotFound, topicNotFound, unprocessable } from '../errors.ts'
import { formatAccepted, formats, metadataType, typeOf } from '../media.ts'
import { Answer, type Call, listOf, onlyKnown, type Route } from '../route.ts'

const instancePath = '/consumers/:group/instances/:instance'
const timeoutMsMax = 60_000
const bytesMaxDefault = 64 * 1024 * 1024
const namesMax = 1000

export const consumerRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/consumers/:group',
    handle: async (call) => {
      const body = await call.body([
        'name',
        'format',
        'auto.offset.reset',
        'auto.commit.enable',
        'fetch.min.bytes',
        'consumer.request.timeout.ms',
        'id',
      ])
      const { name = null } = body
      if (name !== null && (typeof name !== 'string' || name === '')) throw invalidConfig('name must be a string')
      const consumer = call.consumers.create(call.parameter('group'), name, call.space, settingsOf(body))
      const { host = `${call.request.connection.localAddress}:${call.request.connection.localPort}` } = call.request.headers
      const scheme = call.request.connection.encrypted ? 'https' : 'http'
      const path = `/consumers/${encodeURIComponent(consumer.group)}/instances/${encodeURIComponent(consumer.name)}`
      return { instance_id: consumer.name, base_uri: `${scheme}://${String(host)}${path}` }
    },
  },
  { method: 'DELETE', path: instancePath, handle: (call) => call.consumers.end(used(call)) },
  {
    method: 'POST',
    path: `${instancePath}/subscription`,
    handle: async (call) => {
      const consumer = used(call)
      const { topics = null, topic_pattern: pattern = null } = await call.body(['topics', 'topic_pattern'])
      if ((topics === null) === (pattern === null)) throw unprocessable('either topics or topic_pattern is needed')
      if (pattern !== null) {
        if (typeof pattern !== 'string') throw unprocessable('topic_pattern must be a string')
        consumer.read({ kind: 'pattern', pattern, matches: wholeMatch(pattern) })
      } else consumer.read({ kind: 'topics', topics: namesOf(topics, call) })
    },
  },
  {
    method: 'GET',
    path: `${instancePath}/subscription`,
    handle: (call) => {
      const { reading } = used(call)
      return { topics: reading.kind === 'topics' ? reading.topics : used(call).wants() }
    },
  },
  { method: 'DELETE', path: `${instancePath}/subscription`, handle: (call) => used(call).read({ kind: 'nothing' }) },
  {
    method: 'POST',
    path: `${instancePath}/assignments`,
    handle: async (call) => {
      const consumer = used(call)
      const body = await call.body(['partitions'])
      const places = listOf(body, 'partitions').map((each) => placeOf(each, call, ['topic', 'partition']))
      consumer.read(places.length === 0 ? { kind: 'nothing' } : { kind: 'partitions', places })
    },
  },
  {
    method: 'GET',
    path: `${instancePath}/assignments`,
    handle: (call) => ({ partitions: call.consumers.placesOf(used(call)) }),
  },
  {
    method: 'POST',
    path: `${instancePath}/positions`,
    handle: async (call) => {
      const consumer = used(call)
      const body = await call.body(['offsets'])
      for (const each of listOf(body, 'offsets')) {
        const fields = onlyKnown(each, ['topic', 'partition', 'offset', 'metadata'], 'an offset')
        consumer.seek(placeOf(each, call, ['topic', 'partition', 'offset', 'metadata']), offsetIn(fields))
      }
    },
  },
  ...(['beginning', 'end'] as const).map(
    (to): Route => ({
      method: 'POST',
      path: `${instancePath}/positions/${to}`,
      handle: async (call) => {
        const consumer = used(call)
        const body = await call.body(['partitions'])
        for (const each of listOf(body, 'partitions')) consumer.seek(placeOf(each, call, ['topic', 'partition']), to)
      },
    }),
  ),
  { method: 'GET', path: `${instancePath}/records`, handle: records },
  {
    method: 'POST',
    path: `${instancePath}/offsets`,
    handle: async (call) => {
      const consumer = used(call)
      const body = await call.body(['offsets'])
      const given =
        body['offsets'] === undefined
          ? null
          : listOf(body, 'offsets').map((each) => {
              const known = ['topic', 'partition', 'offset', 'metadata']
              const { metadata = '', ...fields } = onlyKnown(each, known, 'an offset')
              if (metadata !== null && typeof metadata !== 'string') throw unprocessable('metadata must be a string')
              return { ...placeOf(each, call, known), offset: offsetIn(fields), metadata: metadata ?? '' }
            })
      await consumer.inTurn(() => consumer.commit(given))
      return []
    },
  },
  {
    method: 'GET',
    path: `${instancePath}/offsets`,
    handle: async (call) => {
      const consumer = used(call)
      const body = await call.body(['partitions'])
      const cursors = consumer.space.cursors(consumer.group)
      const offsets = listOf(body, 'partitions').flatMap((each) => {
        const { topic, partition } = placeOf(each, call, ['topic', 'partition'])
        const found = cursors.find((cursor) => cursor.topic === topic && cursor.partition === partition)
        return found === undefined ? [] : { topic, partition, offset: found.offset, metadata: found.metadata }
      })
      return { offsets }
    },
  },
]

const used = (call: Call): RestConsumer =>
  call.consumers.use(call.parameter('group'), call.parameter('instance'), call.principal.user)

async function records(call: Call): Promise<Answer> {
  const consumer = used(call)
  const { format, requestTimeoutMs } = consumer.settings
  const accepted = formatAccepted(call.request.headers['accept'])
  if (accepted !== null && accepted !== format) throw formatMismatch()
  // Both are -1 where a client means the default.
  const asked = { timeoutMs: call.number('timeout') ?? -1, bytes: call.number('max_bytes') ?? -1 }
  const timeoutMs = Math.min(asked.timeoutMs < 0 ? requestTimeoutMs : asked.timeoutMs, timeoutMsMax)
  const bytesMax = asked.bytes <= 0 ? bytesMaxDefault : Math.min(asked.bytes, bytesMaxDefault)
  const shown = await consumer.inTurn(async () => {
    // What was handed out before is done with now.
    if (consumer.settings.autoCommit) await consumer.commit(null)
    const limits = { timeoutMs, bytesMax, gone: call.request.signal }
    const found = await consumer.fetch(call.consumers.placesOf(consumer), limits, ({ topic, partition, offset, key, value }) => ({
      topic,
      key: decode(key, format, call.registry),
      value: decode(value, format, call.registry),
      partition,
      offset,
    }))
    consumer.usedAt = call.broker.clock.now()
    return found
  })
  return new Answer({
    status: 200,
    headers: { 'content-type': accepted === null ? metadataType : typeOf(format) },
    body: printJson(shown),
  })
}

function settingsOf(body: JsonObject): ConsumerSettings {
  const format = formats.find((each) => each === (body['format'] ?? 'binary'))
  if (format === undefined) throw invalidConfig(`format must be one of ${formats.join(', ')}`)
  const reset = (['latest', 'earliest', 'none'] as const).find((each) => each === (body['auto.offset.reset'] ?? 'latest'))
  if (reset === undefined) throw invalidConfig('auto.offset.reset must be latest, earliest or none')
  const autoCommit = String(body['auto.commit.enable'] ?? 'true')
  if (autoCommit !== 'true' && autoCommit !== 'false') throw invalidConfig('auto.commit.enable must be true or false')
  const whole = (name: string, absent: number): number => {
    const value = Number(body[name] ?? absent)
    if (!Number.isSafeInteger(value) || value < -1) throw invalidConfig(`${name} must be a whole number`)
    return value < 0 ? absent : value
  }
  return {
    format,
    reset,
    autoCommit: autoCommit === 'true',
    fetchMinBytes: whole('fetch.min.bytes', 1),
    requestTimeoutMs: whole('consumer.request.timeout.ms', 1000),
  }
}

function namesOf(topics: unknown, call: Call): string[] {
  if (!Array.isArray(topics) || topics.length > namesMax) throw unprocessable(`topics must be a list of at most ${namesMax}`)
  return topics.map((topic) => {
    if (typeof topic !== 'string') throw unprocessable('topics must be a list of strings')
    mayConsume(call, topic)
    return topic
  })
}

function mayConsume(call: Call, topic: string): void {
  if (!call.principal.may('consume', call.space.namespace, topic))
    throw denied(`${call.principal.user} may not consume "${topic}"`)
}

/** A partition that there is, and that the caller may read. */
function placeOf(value: unknown, call: Call, known: readonly string[]): Place {
  const { topic, partition } = onlyKnown(value, known, 'a partition')
  if (typeof topic !== 'string' || !Number.isInteger(partition)) throw unprocessable('a partition has a topic and a number')
  const info = call.space.topic(topic)
  if (info === undefined) throw topicNotFound()
  mayConsume(call, topic)
  if (Number(partition) < 0 || Number(partition) >= info.config.partitions) throw partitionNotFound()
  return { topic, partition: Number(partition) }
}

function offsetIn({ offset }: JsonObject): number {
  if (!Number.isSafeInteger(offset) || Number(offset) < 0) throw unprocessable('offset must be a whole number')
  return Number(offset)
}

function wholeMatch(pattern: string): (topic: string) => boolean {
  try {
    const expression = safeRegExp(`^(?:${pattern})$`)
    return (topic) => expression.test(topic)
  } catch (cause) {
    if (cause instanceof InvalidSchema) throw unprocessable(cause.message)
    throw cause
  }
}
