/** The HTTP API against a whole broker in memory, one test for each family of operations. */
import assert from 'node:assert/strict'
import http from 'node:http'
import { after, before, beforeEach, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../src/index.ts'

let broker: EmbeddedBroker
let base = ''

before(async () => {
  broker = await startBroker()
  base = broker.url('http')
})
beforeEach(() => broker.reset())
after(() => broker.close())

interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked into freely, and a wrong shape fails the test anyway
  readonly json: any
}

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const content = body === undefined ? {} : { body: JSON.stringify(body) }
  const response = await fetch(base + path, { method, ...content, headers: { 'content-type': 'application/json', ...headers } })
  const text = await response.text()
  return { status: response.status, json: text === '' ? null : JSON.parse(text) }
}

test('health, readiness and the overview', async () => {
  assert.equal((await call('GET', '/healthz')).status, 200)
  assert.deepEqual(await call('GET', '/readyz'), { status: 200, json: { status: 'ready' } })
  const { json } = await call('GET', '/v1/overview')
  assert.deepEqual(json.listeners.map((each: { name: string }) => each.name).sort(), [
    'amqp',
    'beanstalkd',
    'disque',
    'http',
    'kafka',
    'mqtt',
    'mqtt-websocket',
    'nats',
    'nats-monitoring',
    'nats-websocket',
    'nsqd',
    'nsqd-http',
    'nsqlookupd',
    'nsqlookupd-http',
    'rabbitmq-management',
    'rabbitmq-prometheus',
    'rabbitmq-stream',
    'redis',
    'sqs',
    'stomp',
    'stomp-websocket',
  ])
})

test('the OpenAPI document describes every route', async () => {
  const { json } = await call('GET', '/openapi.json')
  assert.equal(json.openapi, '3.1.0')
  for (const path of ['/v1/topics/{topic}/records', '/v1/scheduled/{id}/fire', '/v1/users/{name}', '/metrics'])
    assert(path in json.paths, path)
})

test('topics are created, listed, changed and deleted', async () => {
  assert.equal((await call('POST', '/v1/topics', { name: 'orders', config: { partitions: 2 } })).status, 201)
  assert.equal((await call('POST', '/v1/topics', { name: 'orders' })).status, 409)
  const { json } = await call('GET', '/v1/topics')
  assert.deepEqual(
    json.topics.map((topic: { name: string }) => topic.name),
    ['orders'],
  )
  const changed = await call('PATCH', '/v1/topics/orders', { config: { retentionMs: 1000 } })
  assert.deepEqual([changed.status, changed.json.config.retentionMs, changed.json.config.partitions], [200, 1000, 2])
  assert.equal((await call('DELETE', '/v1/topics/orders')).status, 204)
  assert.equal((await call('GET', '/v1/topics/orders')).status, 404)
})

test('what a topic withholds from subscriptions with a name is told, and let go', async () => {
  await call('POST', '/v1/topics', { name: 'orders', config: { partitions: 2 } })
  await call('POST', '/v1/topics/orders/records', { records: [{ value: 'a', partition: 1 }] })
  const withheld = await call('PUT', '/v1/topics/orders/withheld', { withheld: true })
  assert.deepEqual([withheld.status, withheld.json.withheldFrom], [200, [0, 1]])
  assert.deepEqual((await call('GET', '/v1/topics/orders')).json.withheldFrom, [0, 1])
  assert.equal((await call('PUT', '/v1/topics/orders/withheld', { withheld: false })).json.withheldFrom, null)
  assert.equal((await call('PUT', '/v1/topics/orders/withheld', { withheld: 1 })).status, 400)
  assert.equal((await call('PUT', '/v1/topics/nothere/withheld', { withheld: true })).status, 404)
})

test('a wrong key or value is refused with its name', async () => {
  const keyed = await call('POST', '/v1/topics', { name: 'keyed', config: { compact: true, minCleanableRatio: 0.1 } })
  assert.deepEqual([keyed.status, keyed.json.config.minCleanableRatio], [201, 0.1])
  assert.equal((await call('DELETE', '/v1/topics/keyed')).status, 204)
  const unknown = await call('POST', '/v1/topics', { name: 'a', config: { partitons: 2 } })
  assert.equal(unknown.status, 400)
  assert.match(unknown.json.error.message, /unknown key "partitons"/)
  const wrong = await call('POST', '/v1/topics', { name: 'a', config: { partitions: 'two' } })
  assert.match(wrong.json.error.message, /config.partitions must be a number/)
})

test('records are published and browsed by offset and time', async () => {
  const published = await call('POST', '/v1/topics/orders/records', {
    create: true,
    records: [
      { value: 'one', key: 'k', headers: { colour: 'blue' }, contentType: 'text/plain' },
      { valueBase64: '/wA=', correlationId: 'c' },
      { value: { json: true } },
    ],
  })
  assert.deepEqual(
    published.json.results.map((result: { status: string; offset: number }) => [result.status, result.offset]),
    [
      ['stored', 0],
      ['stored', 1],
      ['stored', 2],
    ],
  )
  const { json } = await call('GET', '/v1/topics/orders/records')
  const [one, two, three] = json.records
  assert.deepEqual(
    [one.key, one.value, one.contentType, one.headers[0]],
    ['k', 'one', 'text/plain', { name: 'colour', type: 'string', value: 'blue' }],
  )
  assert.deepEqual([two.valueBase64, two.correlationId], ['/wA=', 'c'])
  assert.equal(three.value, '{"json":true}')
  const from = await call('GET', '/v1/topics/orders/records?partition=0&offset=1&limit=1')
  assert.deepEqual(
    from.json.records.map((record: { offset: number }) => record.offset),
    [1],
  )
  const later = await call('GET', `/v1/topics/orders/records?time=${Date.now() + 3_600_000}`)
  assert.deepEqual(later.json.records, [])
  assert.equal((await call('POST', '/v1/topics/none/records', { value: 'x' })).status, 404)
})

test('a topic is followed from the oldest record on', async () => {
  await broker.publish('orders', 'one')
  const response = await fetch(`${base}/v1/topics/orders/records/stream?from=oldest`)
  const values: string[] = []
  let rest = ''
  assert(response.body !== null)
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    values.push(...lines.map((line) => JSON.parse(line).value))
    if (values.length === 1) await broker.publish('orders', 'two')
    if (values.length === 2) break
  }
  assert.deepEqual(values, ['one', 'two'])
})

test('scheduled records are listed, moved, fired and cancelled', async () => {
  const later = { create: true, deliverAt: broker.clock.now() + 3_600_000 }
  await call('POST', '/v1/topics/orders/records', { ...later, value: 'first' })
  await call('POST', '/v1/topics/orders/records', { ...later, value: 'second' })
  const { json } = await call('GET', '/v1/scheduled')
  assert.deepEqual(
    json.scheduled.map((each: { record: { value: string } }) => each.record.value),
    ['first', 'second'],
  )
  assert.deepEqual(await broker.messages('orders'), [])
  assert.equal((await call('PATCH', `/v1/scheduled/${json.scheduled[1].id}`, { delayMs: 60_000 })).status, 200)
  assert.equal((await call('POST', `/v1/scheduled/${json.scheduled[0].id}/fire`)).status, 200)
  await broker.clock.advance('2m')
  await until(async () => (await broker.messages('orders')).length === 2)
  await call('POST', '/v1/topics/orders/records', { ...later, value: 'third' })
  const third = (await call('GET', '/v1/scheduled')).json.scheduled[0]
  assert.equal((await call('DELETE', `/v1/scheduled/${third.id}`)).status, 204)
  assert.equal((await call('DELETE', `/v1/scheduled/${third.id}`)).status, 404)
})

test('a path that is not there, a method it does not take, a body that is not JSON', async () => {
  assert.equal((await call('GET', '/v1/nothing')).status, 404)
  assert.equal((await call('PUT', '/v1/topics')).status, 405)
  const plain = await fetch(`${base}/v1/topics`, {
    method: 'POST',
    body: '{"name":"a"}',
    headers: { 'content-type': 'text/plain' },
  })
  assert.equal(plain.status, 400)
  const broken = await fetch(`${base}/v1/topics`, { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } })
  assert.equal(broken.status, 400)
})

test('a body beyond the limit is refused', async () => {
  const status = await new Promise<number>((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': String(1e9) }
    const request = http.request(`${base}/v1/topics`, { method: 'POST', headers }, (response) => {
      resolve(response.statusCode ?? 0)
      request.destroy()
    })
    request.on('error', reject)
    request.flushHeaders()
  })
  assert.equal(status, 413)
})

test('a foreign Host header is refused while nobody has to log in', async () => {
  const status = await new Promise<number>((resolve, reject) => {
    http
      .get(`${base}/v1/topics`, { headers: { host: 'evil.example' } }, (response) => resolve(response.resume().statusCode ?? 0))
      .on('error', reject)
  })
  assert.equal(status, 403)
})

test('metrics are in the text format and have the topic', async () => {
  await broker.publish('orders', 'one')
  const text = await (await fetch(`${base}/metrics`)).text()
  assert.match(text, /^anymq_topic_records\{namespace="default",topic="orders"\} 1$/m)
  assert.match(text, /^anymq_wal_failed 0$/m)
  assert.match(text, /^anymq_pressure\{resource="disk"\} 0$/m)
  // Published by the library, which speaks no protocol.
  assert.match(text, /^anymq_traffic_records_total\{namespace="default",protocol="",direction="in"\} [1-9]/m)
  assert.match(text, /^# TYPE anymq_publish_seconds histogram$/m)
  const [, inf, count] =
    /^anymq_publish_seconds_bucket\{le="\+Inf"\} (\d+)\nanymq_publish_seconds_sum [\d.e-]+\nanymq_publish_seconds_count (\d+)$/m.exec(
      text,
    ) ?? []
  assert(inf !== undefined && inf === count && Number(count) > 0, text)
})

test('from the first user on a login is needed, and only an administrator manages users', async () => {
  const own = await startBroker()
  const url = own.url('http')
  const as = (user: string) => ({
    'content-type': 'application/json',
    authorization: `Basic ${Buffer.from(`${user}:secret`).toString('base64')}`,
  })
  const put = (name: string, body: object, headers: Record<string, string>) =>
    fetch(`${url}/v1/users/${name}`, { method: 'PUT', body: JSON.stringify(body), headers })
  try {
    assert.equal((await put('shop', { password: 'secret' }, as('nobody'))).status, 409)
    assert.equal((await put('root', { password: 'secret', admin: true }, as('nobody'))).status, 200)
    assert.equal((await fetch(`${url}/v1/topics`)).status, 401)
    assert.equal((await fetch(`${url}/healthz`)).status, 200)
    assert.equal((await fetch(`${url}/v1/topics`, { headers: as('root') })).status, 200)
    const permissions = [{ namespace: 'default', publish: 'a', consume: 'a', manage: 'a' }]
    assert.equal((await put('shop', { password: 'secret', permissions }, as('root'))).status, 200)
    assert.equal((await put('other', { password: 'secret' }, as('shop'))).status, 403)
    const limited = { operations: { redis: ['+@all', '-@dangerous'] } }
    const shop = (await (await put('shop', limited, as('root'))).json()) as typeof limited
    assert.deepEqual(shop.operations, limited.operations)
    for (const [body, status] of [
      [{ operations: { redis: ['+nonsense'] } }, 400],
      [{ operations: { redis: [1] } }, 400],
      [{ operations: { telex: ['+get'] } }, 400],
      [{ operations: {}, disabled: true }, 200],
    ] as const)
      assert.equal((await put('shop', body, as('root'))).status, status, JSON.stringify(body))
    assert.equal((await fetch(`${url}/v1/topics`, { headers: as('shop') })).status, 401)
    assert.equal((await put('shop', { disabled: false }, as('root'))).status, 200)
    assert.equal((await put('root', { disabled: true }, as('root'))).status, 409)
    const create = (name: string) =>
      fetch(`${url}/v1/topics`, { method: 'POST', body: JSON.stringify({ name }), headers: as('shop') })
    assert.equal((await create('a')).status, 201)
    assert.equal((await create('b')).status, 403)
    const rule = { name: 'b', user: 'shop', from: '127.0.0.0/8', action: 'create', effect: 'allow' }
    const add = (body: object) =>
      fetch(`${url}/v1/rules`, { method: 'POST', body: JSON.stringify(body), headers: as('root') }).then(({ status }) => status)
    assert.equal(await add({ ...rule, from: '10.0.0.1' }), 201)
    assert.equal((await create('b')).status, 403)
    assert.equal(await add(rule), 201)
    assert.equal((await create('b')).status, 201)
    assert.equal(await add({ ...rule, from: 'example.org' }), 400)
    const listed = (await (await fetch(`${url}/v1/rules`, { headers: as('root') })).json()) as { rules: object[] }
    assert.deepEqual(
      listed.rules,
      ['10.0.0.1', '127.0.0.0/8'].map((from) => ({ namespace: 'default', kind: 'topic', match: 'exact', ...rule, from })),
    )
    const query = new URLSearchParams(rule)
    assert.equal((await fetch(`${url}/v1/rules?${query}`, { method: 'DELETE', headers: as('root') })).status, 204)
    assert.equal((await fetch(`${url}/v1/rules`, { headers: as('shop') })).status, 403)
  } finally {
    await own.close()
  }
})

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 5000
  while (!(await holds())) {
    assert(Date.now() < deadline, 'did not become true within 5 s')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
