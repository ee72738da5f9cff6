// The proxy over a real socket: what it produces Kafka clients read, what they produce it reads, and its refusals.
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { type EmbeddedBroker, startBroker } from '../../index.ts'

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into freely, and a wrong shape fails the test anyway
type Answer = { status: number; json: any; type: string | null }

const avro = '{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},{"name":"note","type":["null","string"]}]}'

suite('the REST proxy', () => {
  let broker: EmbeddedBroker
  let kafka: Kafka
  let cluster: string

  before(async () => {
    broker = await startBroker({ protocols: ['kafka', 'kafka-rest'] })
    kafka = new Kafka({ brokers: [broker.url('kafka')], logLevel: logLevel.NOTHING })
    cluster = (await call('GET', '/v3/clusters')).json.data[0].cluster_id
  })
  after(() => broker.close())

  async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const content = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }
    const response = await fetch(path.startsWith('http') ? path : `${broker.url('kafka-rest')}${path}`, {
      method,
      headers,
      ...content,
    })
    const text = await response.text()
    return {
      status: response.status,
      json: text === '' ? null : JSON.parse(text.split('\r\n')[0] ?? ''),
      type: response.headers.get('content-type'),
    }
  }
  const send = (format: string, path: string, body: object): Promise<Answer> =>
    call('POST', path, body, { 'content-type': `application/vnd.kafka.${format}.v2+json` })
  async function refused(code: number, answer: Promise<Answer>): Promise<string> {
    const { status, json } = await answer
    assert.equal(json?.error_code, code, JSON.stringify(json))
    assert.equal(status, Number(String(code).slice(0, 3)))
    return json.message
  }
  async function createTopic(name: string, partitions = 1): Promise<void> {
    const { status } = await call('POST', `/v3/clusters/${cluster}/topics`, { topic_name: name, partitions_count: partitions })
    assert.equal(status, 201)
  }
  async function instance(group: string, options: object): Promise<string> {
    return (await call('POST', `/consumers/${group}`, options)).json.base_uri
  }
  async function subscribed(group: string, topic: string, options: object): Promise<string> {
    const uri = await instance(group, { 'auto.offset.reset': 'earliest', ...options })
    assert.equal((await call('POST', `${uri}/subscription`, { topics: [topic] })).status, 204)
    return uri
  }

  test('topics and partitions', async () => {
    await createTopic('listed', 2)
    assert.ok((await call('GET', '/topics')).json.includes('listed'))
    const { json, type } = await call('GET', '/topics/listed')
    assert.equal(type, 'application/vnd.kafka.v2+json')
    assert.equal(json.name, 'listed')
    assert.equal(json.configs['cleanup.policy'], 'delete')
    assert.deepEqual(json.partitions[1], { partition: 1, leader: 1, replicas: [{ broker: 1, leader: true, in_sync: true }] })
    assert.equal((await call('GET', '/topics/listed/partitions')).json.length, 2)
    assert.equal((await call('GET', '/topics/listed/partitions/1')).json.partition, 1)
    assert.deepEqual((await call('GET', '/topics/listed/partitions/0/offsets')).json, { beginning_offset: 0, end_offset: 0 })
    assert.deepEqual((await call('GET', '/brokers')).json, { brokers: [1] })
    await refused(40401, call('GET', '/topics/missing'))
    await refused(40402, call('GET', '/topics/listed/partitions/2'))
    await refused(404, call('GET', '/nowhere'))
    await refused(405, call('PUT', '/topics'))
  })

  test('binary and JSON: produced over REST, consumed by Kafka, and the reverse', async () => {
    await createTopic('plain')
    const key = Buffer.from('k').toString('base64')
    const sent = await send('binary', '/topics/plain', {
      records: [{ key, value: Buffer.from([0, 255]).toString('base64') }, { value: null }],
    })
    assert.deepEqual(sent.json, {
      offsets: [
        { partition: 0, offset: 0, error_code: null, error: null },
        { partition: 0, offset: 1, error_code: null, error: null },
      ],
      key_schema_id: null,
      value_schema_id: null,
    })
    await send('json', '/topics/plain/partitions/0', { records: [{ value: { a: [1, 9007199254740993n].map(String) } }] })
    const consumer = kafka.consumer({ groupId: 'plain-kafka' })
    await consumer.connect()
    await consumer.subscribe({ topic: 'plain', fromBeginning: true })
    const got: (string | null)[] = []
    await new Promise<void>((resolve) => {
      void consumer.run({
        eachMessage: async ({ message }) => {
          got.push(message.value === null ? null : message.value.toString('latin1'))
          if (got.length === 3) resolve()
        },
      })
    })
    await consumer.disconnect()
    assert.deepEqual(got, ['\0ÿ', null, '{"a":["1","9007199254740993"]}'])

    await createTopic('back')
    const uri = await subscribed('back', 'back', { format: 'json' })
    const producer = kafka.producer()
    await producer.connect()
    await producer.send({ topic: 'back', messages: [{ key: '"k"', value: '{"b":1}' }] })
    await producer.disconnect()
    const records = await call('GET', `${uri}/records`, undefined, { accept: 'application/vnd.kafka.json.v2+json' })
    assert.equal(records.type, 'application/vnd.kafka.json.v2+json')
    assert.deepEqual(records.json, [{ topic: 'back', key: 'k', value: { b: 1 }, partition: 0, offset: 0 }])
  })

  test('keys go where Kafka would put them; a partition that is not there is an error of the record', async () => {
    await createTopic('keyed', 7)
    const sent = await send('json', '/topics/keyed', {
      records: [
        { value: 1, partition: 3 },
        { value: 1, partition: 9 },
      ],
    })
    assert.deepEqual(sent.json.offsets[0], { partition: 3, offset: 0, error_code: null, error: null })
    assert.equal(sent.json.offsets[1].error_code, 1)
    const binary = await send('binary', '/topics/keyed', {
      records: [{ key: Buffer.from('foobar').toString('base64'), value: '' }],
    })
    assert.equal(binary.json.offsets[0].partition, (-790332482 & 0x7fffffff) % 7)
  })

  test('Avro, JSON Schema and Protobuf by schemas that are registered on the way', async () => {
    const formats = [
      ['avro', avro, { id: 5, note: { string: 'n' } }],
      ['jsonschema', '{"type":"object","properties":{"id":{"type":"integer"}}}', { id: 5 }],
      ['protobuf', 'syntax = "proto3"; message M { int64 id = 1; repeated string tags = 2; }', { id: '5', tags: ['a'] }],
    ] as const
    for (const [format, schema, value] of formats) {
      const topic = `typed-${format}`
      await createTopic(topic)
      await refused(42202, send(format, `/topics/${topic}`, { records: [{ value }] }))
      const first = await send(format, `/topics/${topic}`, { value_schema: schema, records: [{ value }] })
      assert.equal(first.json.offsets[0].offset, 0, JSON.stringify(first.json))
      const id = first.json.value_schema_id
      const again = await send(format, `/topics/${topic}`, { value_schema_id: id, records: [{ value }] })
      assert.equal(again.json.offsets[0].offset, 1)
      await refused(42203, send(format, `/topics/${topic}`, { value_schema_id: id, records: [{ value: { id: 'no number' } }] }))
      await refused(40801, send(format, `/topics/${topic}`, { value_schema_id: 99_999, records: [{ value }] }))
      await refused(42205, send(format, `/topics/${topic}`, { value_schema: 'no schema', records: [{ value }] }))
      const uri = await subscribed(`g-${format}`, topic, { format })
      const { json } = await call('GET', `${uri}/records`, undefined, { accept: `application/vnd.kafka.${format}.v2+json` })
      assert.deepEqual(
        json.map((record: { value: unknown }) => record.value),
        [value, value],
      )
      const [stored] = await broker.messages(topic)
      assert.equal(stored?.value?.readInt32BE(1), id)
    }
  })

  test('a consumer instance: records, offsets, positions, and its end', async () => {
    await createTopic('read', 2)
    for (const partition of [0, 1])
      await send('json', `/topics/read/partitions/${partition}`, {
        records: [0, 1, 2].map((value) => ({ value: `${partition}.${value}` })),
      })
    const created = await call('POST', '/consumers/g', {
      name: 'one',
      format: 'json',
      'auto.offset.reset': 'earliest',
      'auto.commit.enable': 'false',
    })
    assert.deepEqual(Object.keys(created.json), ['instance_id', 'base_uri'])
    assert.equal(created.json.instance_id, 'one')
    const uri = created.json.base_uri
    await refused(40902, call('POST', '/consumers/g', { name: 'one', format: 'json' }))
    assert.equal((await call('POST', `${uri}/subscription`, { topics: ['read'] })).status, 204)
    assert.deepEqual((await call('GET', `${uri}/subscription`)).json, { topics: ['read'] })
    await refused(40903, call('POST', `${uri}/assignments`, { partitions: [{ topic: 'read', partition: 0 }] }))
    assert.equal((await call('GET', `${uri}/assignments`)).json.partitions.length, 2)
    await refused(40601, call('GET', `${uri}/records`, undefined, { accept: 'application/vnd.kafka.binary.v2+json' }))
    await refused(406, call('GET', `${uri}/records`, undefined, { accept: 'text/html' }))
    const { json: all } = await call('GET', `${uri}/records`)
    assert.deepEqual(all.map(({ value }: { value: string }) => value).sort(), ['0.0', '0.1', '0.2', '1.0', '1.1', '1.2'])
    assert.deepEqual((await call('GET', `${uri}/records?timeout=1`)).json, [])

    // What is committed is what comes next; what a client commits is what it did last.
    const places = {
      partitions: [
        { topic: 'read', partition: 0 },
        { topic: 'read', partition: 1 },
      ],
    }
    const offsets = async (): Promise<number[]> => {
      const response = await new Promise<string>((resolve, reject) => {
        // fetch sends no body with GET; the proxy's clients do.
        import('node:http').then(({ request }) => {
          const asked = request(
            `${uri}/offsets`,
            { method: 'GET', headers: { 'content-length': JSON.stringify(places).length } },
            (answer) => {
              let text = ''
              answer.on('data', (chunk) => {
                text += String(chunk)
              })
              answer.on('end', () => resolve(text))
            },
          )
          asked.on('error', reject)
          asked.end(JSON.stringify(places))
        }, reject)
      })
      return JSON.parse(response).offsets.map(({ offset }: { offset: number }) => offset)
    }
    assert.deepEqual(await offsets(), [])
    assert.deepEqual((await call('POST', `${uri}/offsets`, { offsets: [{ topic: 'read', partition: 0, offset: 0 }] })).json, [])
    assert.deepEqual(await offsets(), [1])
    await call('POST', `${uri}/positions/beginning`, places)
    assert.equal((await call('GET', `${uri}/records?max_bytes=1`)).json.length, 1)
    await call('POST', `${uri}/positions/end`, places)
    await call('POST', `${uri}/positions`, { offsets: [{ topic: 'read', partition: 1, offset: 2 }] })
    assert.deepEqual(
      (await call('GET', `${uri}/records?timeout=50`)).json.map(({ value }: { value: string }) => value),
      ['1.2'],
    )
    await call('POST', `${uri}/offsets`)
    assert.deepEqual(await offsets(), [1, 3])
    assert.equal((await call('DELETE', uri)).status, 204)
    await refused(40403, call('GET', `${uri}/records`))
    await refused(40403, call('DELETE', uri))
  })

  test('instances of a group share partitions, and go when nobody uses them', async () => {
    await createTopic('shared', 4)
    const uris = [
      await subscribed('pair', 'shared', { name: 'a', format: 'json' }),
      await subscribed('pair', 'shared', { name: 'b', format: 'json' }),
    ]
    const assigned = await Promise.all(uris.map(async (uri) => (await call('GET', `${uri}/assignments`)).json.partitions))
    assert.deepEqual(
      assigned.map((places) => places.map(({ partition }: { partition: number }) => partition)),
      [
        [0, 2],
        [1, 3],
      ],
    )
    await broker.clock.advance('200s')
    await call('GET', `${uris[0]}/assignments`)
    await broker.clock.advance('110s')
    await broker.clock.advance('11s')
    await refused(40403, call('GET', `${uris[1]}/assignments`))
    assert.equal((await call('GET', `${uris[0]}/assignments`)).json.partitions.length, 4)
  })

  test('a poll waits for records, no longer than it may', async () => {
    await createTopic('awaited')
    const uri = await subscribed('awaiting', 'awaited', { format: 'json' })
    const waiting = call('GET', `${uri}/records?timeout=20000`)
    await send('json', '/topics/awaited', { records: [{ value: 'there' }] })
    assert.equal((await waiting).json[0].value, 'there')
  })

  test('with auto commit, a new instance goes on where the last one ended', async () => {
    await createTopic('auto')
    await send('json', '/topics/auto', { records: [{ value: 1 }, { value: 2 }] })
    const uri = await subscribed('auto', 'auto', { format: 'json' })
    assert.equal((await call('GET', `${uri}/records`)).json.length, 2)
    await call('DELETE', uri)
    await send('json', '/topics/auto', { records: [{ value: 3 }] })
    const next = await subscribed('auto', 'auto', { format: 'json' })
    assert.deepEqual(
      (await call('GET', `${next}/records`)).json.map(({ value }: { value: number }) => value),
      [3],
    )
  })

  test('what cannot be shown ends what is there before it, and is passed over', async () => {
    await createTopic('poison')
    const data = (text: string): string => Buffer.from(text).toString('base64')
    await send('binary', '/topics/poison', { records: [data('1'), data('no json'), data('2')].map((value) => ({ value })) })
    const uri = await subscribed('poison', 'poison', { format: 'json' })
    assert.deepEqual(
      (await call('GET', `${uri}/records`)).json.map(({ value }: { value: number }) => value),
      [1],
    )
    await refused(50002, call('GET', `${uri}/records`))
    assert.deepEqual(
      (await call('GET', `${uri}/records`)).json.map(({ value }: { value: number }) => value),
      [2],
    )
  })

  test('refuses what is no request', async () => {
    await createTopic('strict')
    await refused(40401, send('json', '/topics/missing', { records: [{ value: 1 }] }))
    await refused(422, send('json', '/topics/strict', {}))
    await refused(422, send('json', '/topics/strict', { records: [{ valeu: 1 }] }))
    await refused(422, send('binary', '/topics/strict', { records: [{ value: 'not base64!' }] }))
    await refused(422, call('POST', '/topics/strict', 'no json', { 'content-type': 'application/json' }))
    await refused(415, call('POST', '/topics/strict', '{}', { 'content-type': 'text/xml' }))
    await refused(42204, call('POST', '/consumers/strict', { format: 'xml' }))
    await refused(42204, call('POST', '/consumers/strict', { 'auto.offset.reset': 'middle' }))
    await refused(40403, call('GET', '/consumers/strict/instances/none/records'))
  })

  test('v3: the cluster, topics, and records of each type with headers', async () => {
    const path = `/v3/clusters/${cluster}`
    assert.equal((await call('GET', path)).json.kind, 'KafkaCluster')
    await refused(404, call('GET', '/v3/clusters/other'))
    const config = [{ name: 'retention.ms', value: '60000' }]
    const created = await call('POST', `${path}/topics`, {
      topic_name: 'third',
      partitions_count: 2,
      replication_factor: 1,
      configs: config,
    })
    assert.deepEqual([created.status, created.json.partitions_count], [201, 2])
    await refused(40002, call('POST', `${path}/topics`, { topic_name: 'third' }))
    await refused(40002, call('POST', `${path}/topics`, { topic_name: 'fourth', configs: [{ name: 'no.such', value: '1' }] }))
    assert.equal((await call('GET', `${path}/topics/third/partitions`)).json.data.length, 2)
    const record = {
      partition_id: 1,
      headers: [{ name: 'h', value: Buffer.from('v').toString('base64') }],
      key: { type: 'STRING', data: 'k' },
      value: { type: 'JSON', data: { a: 1 } },
      timestamp: '2026-01-01T00:00:00Z',
    }
    const { json } = await call('POST', `${path}/topics/third/records`, record)
    assert.deepEqual(json, {
      error_code: 200,
      cluster_id: cluster,
      topic_name: 'third',
      partition_id: 1,
      offset: 0,
      timestamp: '2026-01-01T00:00:00.000Z',
      key: { type: 'STRING', size: 1 },
      value: { type: 'JSON', size: 7 },
    })
    const [stored] = await broker.messages('third')
    assert.deepEqual([String(stored?.key), stored?.text, stored?.headers], ['k', '{"a":1}', { h: 'v' }])
    const typed = await call('POST', `${path}/topics/third/records`, {
      value: { type: 'AVRO', schema: avro, data: { id: 1, note: null } },
    })
    assert.equal(typed.json.error_code, 200, JSON.stringify(typed.json))
    const latest = await call('POST', `${path}/topics/third/records`, {
      value: { schema_version: 'latest', data: { id: 1, note: null } },
    })
    assert.equal(latest.json.value.schema_id, typed.json.value.schema_id)
    await refused(40402, call('POST', `${path}/topics/third/records`, { partition_id: 7, value: { type: 'STRING', data: '' } }))
    await refused(422, call('POST', `${path}/topics/third/records`, { value: { type: 'XML', data: '' } }))
    // A stream: each of its records has its own answer.
    const response = await fetch(`${broker.url('kafka-rest')}${path}/topics/third/records`, {
      method: 'POST',
      body: '{"value":{"type":"STRING","data":"}{"}}{"value":{"type":"XML"}}\n{"value":{"type":"BINARY","data":"AA=="}}',
    })
    assert.equal(response.status, 200)
    const answers = (await response.text()).split('\r\n').map((text) => JSON.parse(text).error_code)
    assert.deepEqual(answers, [200, 422, 200])
    assert.equal((await call('DELETE', `${path}/topics/third`)).status, 204)
    await refused(40401, call('GET', `${path}/topics/third`))
  })
})
