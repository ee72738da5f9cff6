// Once users exist: whose records the proxy takes and hands out, and whose instances are whose.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startTestBroker } from '../../../test/support/running.ts'
import type { RunningBroker } from '../../server/start.ts'

let running: RunningBroker
before(async () => {
  running = await startTestBroker({
    only: ['kafka-rest'],
  })
  const { broker } = running
  const may = { namespace: 'default', publish: '', consume: '', manage: '' }
  await broker.users.put('root', { password: 'secret', admin: true })
  await broker.users.put('writer', { password: 'secret', permissions: [{ ...may, publish: 'orders' }] })
  await broker.users.put('reader', { password: 'secret', permissions: [{ ...may, consume: 'orders|g' }] })
  await broker.users.put('nosy', { password: 'secret', permissions: [{ ...may, consume: 'g|bills' }] })
  await broker.space(await broker.authenticate({ kind: 'proven', user: 'root' }, ''), 'default').createTopic('orders', {}, 'test')
})
after(() => running.stop())

/** The error code, else the status. */
async function status(user: string | null, method: string, path: string, body?: object): Promise<number> {
  const port = running.listeners.find(({ name }) => name === 'kafka-rest')?.port
  const headers: Record<string, string> = { 'content-type': 'application/vnd.kafka.json.v2+json' }
  if (user !== null) headers['authorization'] = `Basic ${Buffer.from(`${user}:secret`).toString('base64')}`
  const content = body === undefined ? {} : { body: JSON.stringify(body) }
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers, ...content })
  const text = await response.text()
  return response.status < 300 ? response.status : (JSON.parse(text) as { error_code: number }).error_code
}

test('nobody gets in without a login', async () => {
  assert.equal(await status(null, 'GET', '/topics'), 40101)
  assert.equal(await status('stranger', 'GET', '/topics'), 40101)
})

test('publishing and consuming take the rights that Kafka clients need', async () => {
  const records = { records: [{ value: 1 }] }
  assert.equal(await status('writer', 'POST', '/topics/orders', records), 200)
  assert.equal(await status('nosy', 'POST', '/topics/orders', records), 40301)
  const response = await fetchJson('reader', 'POST', '/topics/orders', records)
  assert.match(response.offsets[0].error, /may not publish/)
  assert.equal(await status('writer', 'POST', '/consumers/g', {}), 40301)
  assert.equal(
    await status('reader', 'POST', '/consumers/g', { name: 'mine', format: 'json', 'auto.offset.reset': 'earliest' }),
    200,
  )
  assert.equal(await status('reader', 'POST', '/consumers/g/instances/mine/subscription', { topics: ['orders'] }), 204)
  assert.equal(await status('reader', 'GET', '/consumers/g/instances/mine/records'), 200)
  assert.equal(await status('nosy', 'GET', '/consumers/g/instances/mine/records'), 40403)
  assert.equal(await status('nosy', 'DELETE', '/consumers/g/instances/mine'), 40403)
  assert.equal(await status('nosy', 'POST', '/consumers/g', { name: 'other', format: 'json' }), 200)
  assert.equal(await status('nosy', 'POST', '/consumers/g/instances/other/subscription', { topics: ['orders'] }), 40301)
  const assignments = { partitions: [{ topic: 'orders', partition: 0 }] }
  assert.equal(await status('nosy', 'POST', '/consumers/g/instances/other/assignments', assignments), 40301)
  assert.equal(await status('nosy', 'GET', '/topics/orders'), 40301)
})

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into freely, and a wrong shape fails the test anyway
async function fetchJson(user: string, method: string, path: string, body: object): Promise<any> {
  const port = running.listeners.find(({ name }) => name === 'kafka-rest')?.port
  const authorization = `Basic ${Buffer.from(`${user}:secret`).toString('base64')}`
  const headers = { authorization, 'content-type': 'application/vnd.kafka.json.v2+json' }
  return await (await fetch(`http://127.0.0.1:${port}${path}`, { method, headers, body: JSON.stringify(body) })).json()
}
