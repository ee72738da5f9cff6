/** v2: topics and partitions, and producing to them. */

import { isObject, type JsonObject } from '../../../lib/schemas/json-text.ts'
import { BrokerConfigs } from '../../kafka/broker-configs.ts'
import { setConfigs, shownConfigs } from '../../kafka/config.ts'
import { nodeId } from '../../kafka/session.ts'
import { encode, type KnownSchema, languages, schemaById, schemaByText } from '../embedded.ts'
import { keySchemaMissing, partitionNotFound, unprocessable, valueSchemaMissing } from '../errors.ts'
import { type EmbeddedFormat, formatSent } from '../media.ts'
import { type OutgoingRecord, produce, v2Outcome } from '../produce.ts'
import { type Call, listOf, onlyKnown, type Route } from '../route.ts'

export const topicRoutes: readonly Route[] = [
  { method: 'GET', path: '/', handle: () => ({}) },
  { method: 'GET', path: '/brokers', handle: () => ({ brokers: [nodeId] }) },
  {
    method: 'GET',
    path: '/topics',
    handle: (call) =>
      call.space
        .topics()
        .map(({ name }) => name)
        .filter((name) => call.may('describe', name))
        .sort(),
  },
  {
    method: 'GET',
    path: '/topics/:topic',
    handle: (call) => {
      const info = call.topic(call.parameter('topic'))
      const configs = Object.fromEntries(
        shownConfigs(info.config, setConfigs(info), BrokerConfigs.of(call.broker)).map(({ name, value }) => [name, value]),
      )
      return {
        name: info.name,
        configs,
        partitions: Array.from({ length: info.config.partitions }, (_, index) => partition(index)),
      }
    },
  },
  { method: 'POST', path: '/topics/:topic', handle: (call) => produceTo(call, null) },
  {
    method: 'GET',
    path: '/topics/:topic/partitions',
    handle: (call) =>
      Array.from({ length: call.topic(call.parameter('topic')).config.partitions }, (_, index) => partition(index)),
  },
  { method: 'GET', path: '/topics/:topic/partitions/:partition', handle: (call) => partition(call.partition()) },
  { method: 'POST', path: '/topics/:topic/partitions/:partition', handle: (call) => produceTo(call, call.partition()) },
  {
    method: 'GET',
    path: '/topics/:topic/partitions/:partition/offsets',
    handle: (call) => {
      const status = call.space.status(call.parameter('topic'))?.partitions[call.partition()]
      if (status === undefined) throw partitionNotFound()
      return { beginning_offset: status.startOffset, end_offset: status.nextOffset }
    },
  },
]

const partition = (index: number): object => ({
  partition: index,
  leader: nodeId,
  replicas: [{ broker: nodeId, leader: true, in_sync: true }],
})

async function produceTo(call: Call, partition: number | null): Promise<object> {
  const { name, config } = call.topic(call.parameter('topic'))
  const format = formatSent(call.request.headers['content-type'])
  const body = await call.body(['records', 'key_schema', 'key_schema_id', 'value_schema', 'value_schema_id'])
  const sent = listOf(body, 'records').map((each) => onlyKnown(each, ['key', 'value', 'partition'], 'a record'))
  const [keySchema, valueSchema] = await schemasOf(call, name, body, sent, format)
  const records = sent.map((each): OutgoingRecord => {
    const own = each['partition'] ?? null
    if (own !== null && (!Number.isInteger(own) || Number(own) < 0)) throw unprocessable('partition must be a whole number')
    return {
      key: encode(each['key'], format, keySchema),
      value: encode(each['value'], format, valueSchema),
      partition: partition ?? (own === null ? null : Number(own)),
      headers: [],
      timestamp: null,
    }
  })
  const items = await produce(call.space, name, config.partitions, records, call.broker.clock.now())
  return {
    offsets: items.map(v2Outcome),
    key_schema_id: keySchema?.id ?? null,
    value_schema_id: valueSchema?.id ?? null,
  }
}

/** The schemas of keys and values, where the format has any. */
async function schemasOf(
  call: Call,
  topic: string,
  body: JsonObject,
  records: readonly JsonObject[],
  format: EmbeddedFormat,
): Promise<[KnownSchema | null, KnownSchema | null]> {
  const language = languages[format]
  if (language === undefined) return [null, null]
  const schemaOf = async (part: 'key' | 'value'): Promise<KnownSchema | null> => {
    const [id, text] = [body[`${part}_schema_id`] ?? null, body[`${part}_schema`] ?? null]
    if (id !== null) return schemaById(call.registry, id, language)
    if (text !== null) return await schemaByText(call.registry, `${topic}-${part}`, text, language)
    return null
  }
  const [keySchema, valueSchema] = [await schemaOf('key'), await schemaOf('value')]
  const some = (part: 'key' | 'value'): boolean =>
    records.some((each) => isObject(each) && each[part] !== undefined && each[part] !== null)
  if (keySchema === null && some('key')) throw keySchemaMissing()
  if (valueSchema === null && some('value')) throw valueSchemaMissing()
  return [keySchema, valueSchema]
}
