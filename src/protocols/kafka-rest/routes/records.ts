/** v3: producing records, one or a stream of them: JSON objects one after the other, each answered by its own. */
import { isUtf8 } from 'node:buffer'
import type { Header } from '../../../core/record.ts'
import { type JsonObject, parseJson, printJson } from '../../../lib/schemas/json-text.ts'
import type { SchemaLanguage } from '../../../lib/schemas/schema.ts'
import { base64, encode, type KnownSchema, schemaById, schemaByText } from '../embedded.ts'
import { errorBody, partitionNotFound, schemaLookup, unprocessable } from '../errors.ts'
import { splitJson } from '../json-stream.ts'
import { errorCodeOf, failed, type OutgoingRecord, produce } from '../produce.ts'
import { Answer, type Call, onlyKnown, type Route } from '../route.ts'
import { clusterPath, own } from '../v3.ts'

export const recordRoutes: readonly Route[] = [
  { method: 'POST', path: `${clusterPath}/topics/:topic/records`, handle: produceRecords },
]

const parts = ['type', 'data', 'subject', 'subject_name_strategy', 'schema_id', 'schema_version', 'schema']

async function produceRecords(call: Call): Promise<Answer> {
  own(call)
  const { name, config } = call.topic(call.parameter('topic'))
  const texts = splitJson(await call.text())
  if (texts.length === 0) throw unprocessable('the body holds no record')
  const results: object[] = []
  for (const text of texts) results.push(await produceOne(call, name, config.partitions, text))
  const [only] = results
  // What went wrong with the only record is the request's own status; in a stream each record has its own.
  const code =
    texts.length === 1 && only !== undefined && 'error_code' in only ? Number(String(only['error_code']).slice(0, 3)) : 200
  const body = results.map((each) => printJson(each)).join('\r\n')
  return new Answer({ status: code, headers: { 'content-type': 'application/json' }, body })
}

async function produceOne(call: Call, topic: string, partitions: number, text: string): Promise<object> {
  try {
    const record = onlyKnown(parsed(text), ['partition_id', 'headers', 'key', 'value', 'timestamp'], 'a record')
    const [key, value] = [await dataOf(call, topic, 'key', record['key']), await dataOf(call, topic, 'value', record['value'])]
    const outgoing: OutgoingRecord = {
      key: key.bytes,
      value: value.bytes,
      partition: partitionIn(record, partitions),
      headers: headersOf(record['headers']),
      timestamp: timestampOf(record['timestamp']),
    }
    const [item] = await produce(call.space, topic, partitions, [outgoing], call.broker.clock.now())
    if (item === undefined) throw new Error('one record was produced')
    if (failed(item)) return { error_code: errorCodeOf(item), message: item.errorMessage || 'no topic took it' }
    const shown = ({ type, bytes, known }: Data): object => ({
      type,
      size: bytes?.length ?? 0,
      ...(known === null ? {} : { schema_id: known.id }),
    })
    return {
      error_code: 200,
      cluster_id: call.broker.clusterId,
      topic_name: topic,
      partition_id: item.partition,
      offset: item.baseOffset,
      timestamp: new Date(item.logAppendTime >= 0 ? item.logAppendTime : item.timestamp).toISOString(),
      ...(key.type === null ? {} : { key: shown(key) }),
      ...(value.type === null ? {} : { value: shown(value) }),
    }
  } catch (cause) {
    const body = errorBody(cause)
    if (body === null) throw cause
    return body
  }
}

function parsed(text: string): unknown {
  try {
    return parseJson(text)
  } catch (cause) {
    throw unprocessable(`a record is no JSON: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}

interface Data {
  readonly type: string | null
  readonly bytes: Buffer | null
  readonly known: KnownSchema | null
}

const languages: Readonly<Record<string, SchemaLanguage>> = { AVRO: 'AVRO', JSONSCHEMA: 'JSON', PROTOBUF: 'PROTOBUF' }

/** A key or value: of a type of its own, or by a schema. */
async function dataOf(call: Call, topic: string, part: 'key' | 'value', written: unknown): Promise<Data> {
  if (written === undefined || written === null) return { type: null, bytes: null, known: null }
  const fields = onlyKnown(written, parts, part)
  const { data } = fields
  const said = fields['type'] ?? null
  const known = await schemaOf(call, topic, part, fields)
  if (known !== null) {
    const type = known.schema.language === 'JSON' ? 'JSONSCHEMA' : known.schema.language
    if (said !== null && said !== type) throw unprocessable(`the schema is of the type ${type}, not ${String(said)}`)
    return { type, bytes: data === null || data === undefined ? null : encode(data, 'avro', known), known }
  }
  const type = String(said ?? 'BINARY')
  const make = plainTypes[type]
  if (make === undefined) throw unprocessable(`the type ${type} of the ${part} is not known, or needs a schema`)
  return { type, bytes: data === null || data === undefined ? null : make(data, part), known: null }
}

/** Types that need no schema. */
const plainTypes: Readonly<Record<string, (data: unknown, part: string) => Buffer>> = {
  BINARY: base64,
  STRING: (data, part) => {
    if (typeof data !== 'string') throw unprocessable(`the data of the ${part} must be a string`)
    return Buffer.from(data)
  },
  JSON: (data) => Buffer.from(printJson(data)),
}

async function schemaOf(call: Call, topic: string, part: 'key' | 'value', fields: JsonObject): Promise<KnownSchema | null> {
  const {
    subject = null,
    subject_name_strategy: strategy = null,
    schema_id: id = null,
    schema_version: version = null,
    schema = null,
  } = fields
  if (strategy !== null && strategy !== 'TOPIC_NAME')
    throw unprocessable(`the subject name strategy ${String(strategy)} is not supported`)
  if (subject !== null && typeof subject !== 'string') throw unprocessable('subject must be a string')
  const own = subject ?? `${topic}-${part}`
  const language = languages[String(fields['type'])]
  const { registry } = call
  if (schema !== null) {
    if (language === undefined) throw unprocessable('a schema needs the type AVRO, JSONSCHEMA or PROTOBUF')
    return await schemaByText(registry, own, schema, language)
  }
  if (id !== null) {
    const stored = Number.isInteger(id) ? registry.store.schema(Number(id)) : undefined
    if (stored === undefined) throw schemaLookup(`Schema ${String(id)} not found`)
    return schemaById(registry, id, stored.language)
  }
  if (version === null && language === undefined && subject === null) return null
  const versions = registry.store.versions(own).filter(({ deleted }) => !deleted)
  const found = version === null || version === 'latest' ? versions.at(-1) : versions.find((each) => each.version === version)
  if (found === undefined) throw schemaLookup(`Subject "${own}" has no version ${String(version ?? 'at all')}`)
  return { id: found.id, schema: registry.schema(found.id) }
}

function partitionIn(record: JsonObject, partitions: number): number | null {
  const partition = record['partition_id'] ?? null
  if (partition === null) return null
  if (!Number.isInteger(partition) || Number(partition) < 0 || Number(partition) >= partitions) throw partitionNotFound()
  return Number(partition)
}

function headersOf(written: unknown): Header[] {
  if (written === undefined || written === null) return []
  if (!Array.isArray(written)) throw unprocessable('headers must be a list')
  return written.map((each): Header => {
    const { name, value } = onlyKnown(each, ['name', 'value'], 'a header')
    if (typeof name !== 'string') throw unprocessable('a header has a name')
    if (value === undefined || value === null) return { name, value: { type: 'null', value: null } }
    const bytes = base64(value)
    return { name, value: isUtf8(bytes) ? { type: 'string', value: bytes.toString() } : { type: 'bytes', value: bytes } }
  })
}

function timestampOf(written: unknown): number | null {
  if (written === undefined || written === null) return null
  const time = typeof written === 'string' ? Date.parse(written) : Number(written)
  if (!Number.isFinite(time) || time < 0) throw unprocessable('timestamp must be a time')
  return Math.trunc(time)
}
