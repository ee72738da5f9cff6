import assert from 'node:assert/strict'
import type { Corpus } from './corpus.ts'
import { lines } from './lines.ts'

const json = 'application/vnd.kafka.json.v2+json'

async function call(port: number, method: string, path: string, body?: unknown, type = json): Promise<Response> {
  const content = body === undefined ? {} : { body: JSON.stringify(body) }
  return await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: { 'content-type': type, accept: `${json}, application/json` },
    ...content,
  })
}

async function createTopic(port: number, name: string): Promise<void> {
  const found = await call(port, 'GET', '/v3/clusters', undefined, 'application/json')
  const { data } = (await found.json()) as { data: { cluster_id: string }[] } // of the v3 protocol
  const made = await call(port, 'POST', `/v3/clusters/${data[0]?.cluster_id}/topics`, { topic_name: name }, 'application/json')
  assert.equal(made.status, 201)
}

/** Kafka's REST proxy, and beside it the Schema Registry. */
export const kafkaRest: Corpus = {
  listener: 'kafka-rest',
  standardPort: 8082,
  saysWhy: (heardLast) => heardLast.length > 0,
  frames: lines,

  async drive(port) {
    const topic = 'fuzzed.rest'
    await createTopic(port, topic)
    const calls: readonly (readonly [string, string, unknown?, string?])[] = [
      ['GET', '/topics'],
      ['POST', `/topics/${topic}`, { records: [{ key: 'k', value: { a: 1 } }, { value: [1, 'two', null] }] }],
      ['POST', `/topics/${topic}`, { records: [{ value: 'AAEC' }] }, 'application/vnd.kafka.binary.v2+json'],
      ['GET', `/topics/${topic}`],
      ['GET', `/topics/${topic}/partitions`],
      ['POST', '/consumers/fuzzed', { name: 'one', format: 'json', 'auto.offset.reset': 'earliest' }],
      ['POST', '/consumers/fuzzed/instances/one/subscription', { topics: [topic] }],
      ['GET', '/consumers/fuzzed/instances/one/records?timeout=200&max_bytes=1000'],
      ['POST', '/consumers/fuzzed/instances/one/offsets'],
      ['DELETE', '/consumers/fuzzed/instances/one'],
    ]
    for (const [method, path, body, type] of calls) await (await call(port, method, path, body, type)).arrayBuffer()
  },

  async healthy(port) {
    await createTopic(port, 'healthy.rest')
    return {
      async beat() {
        const response = await call(port, 'POST', '/topics/healthy.rest', { records: [{ value: 'x' }] })
        const { offsets } = (await response.json()) as { offsets: { offset?: number }[] } // of the v2 protocol
        assert.equal(typeof offsets[0]?.offset, 'number')
      },
      close: async () => undefined,
    }
  },
}

const registryType = 'application/vnd.schemaregistry.v1+json'
const schema = (name: string): object => ({
  schema: JSON.stringify({ type: 'record', name, fields: [{ name: 'a', type: ['null', 'string'], default: null }] }),
})

export const schemaRegistry: Corpus = {
  listener: 'schema-registry',
  standardPort: 8081,
  saysWhy: (heardLast) => heardLast.length > 0,
  frames: lines,

  async drive(port) {
    const subject = '/subjects/fuzzed-value'
    const proto = { schemaType: 'PROTOBUF', schema: 'syntax = "proto3"; message M { string a = 1; repeated int32 b = 2; }' }
    const object = { schemaType: 'JSON', schema: '{"type":"object","properties":{"a":{"type":"string","minLength":1}}}' }
    const calls: readonly (readonly [string, string, unknown?])[] = [
      ['POST', `${subject}/versions`, schema('One')],
      ['POST', subject, schema('One')],
      ['POST', `/compatibility${subject}/versions/latest`, schema('One')],
      ['POST', '/subjects/fuzzed-proto/versions', proto],
      ['POST', '/subjects/fuzzed-json/versions', object],
      ['PUT', '/config/fuzzed-value', { compatibility: 'FULL' }],
      ['GET', '/config'],
      ['GET', '/subjects'],
      ['GET', `${subject}/versions/1`],
      ['GET', '/schemas/ids/1'],
      ['DELETE', '/subjects/fuzzed-json'],
    ]
    for (const [method, path, body] of calls) await (await call(port, method, path, body, registryType)).arrayBuffer()
  },

  async healthy(port) {
    return {
      async beat() {
        const response = await call(port, 'POST', '/subjects/healthy-value/versions', schema('Healthy'), registryType)
        const { id } = (await response.json()) as { id?: number }
        assert.equal(typeof id, 'number')
      },
      close: async () => undefined,
    }
  },
}
