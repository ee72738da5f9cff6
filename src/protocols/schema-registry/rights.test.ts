// Once users exist: who may do what with whose schemas.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startTestBroker } from '../../../test/support/running.ts'
import type { RunningBroker } from '../../server/start.ts'

let running: RunningBroker
before(async () => {
  running = await startTestBroker({
    only: ['schema-registry'],
  })
  const { users } = running.broker
  await users.put('root', { password: 'secret', admin: true })
  const may = { namespace: 'default', publish: '', consume: '', manage: '' }
  await users.put('writer', { password: 'secret', permissions: [{ ...may, publish: 'orders' }] })
  await users.put('reader', { password: 'secret', permissions: [{ ...may, consume: 'orders' }] })
  await users.put('other', { password: 'secret', permissions: [{ ...may, manage: 'bills' }] })
})
after(() => running.stop())

const schema = { schema: '"string"' }

async function status(user: string | null, method: string, path: string, body?: object): Promise<number> {
  const port = running.listeners.find(({ name }) => name === 'schema-registry')?.port
  const headers: Record<string, string> =
    user === null ? {} : { authorization: `Basic ${Buffer.from(`${user}:secret`).toString('base64')}` }
  const content = body === undefined ? {} : { body: JSON.stringify(body) }
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers, ...content })
  const text = await response.text()
  return response.status === 200 ? 200 : Number((JSON.parse(text) as { error_code: number }).error_code)
}

test('nobody gets in without a login, nor with a wrong one', async () => {
  assert.equal(await status(null, 'GET', '/subjects'), 401)
  assert.equal(await status('nobody', 'GET', '/subjects'), 401)
})

test("a subject takes its topic's rights", async () => {
  assert.equal(await status('reader', 'POST', '/subjects/orders-value/versions', schema), 40301)
  assert.equal(await status('other', 'POST', '/subjects/orders-value/versions', schema), 40301)
  assert.equal(await status('writer', 'POST', '/subjects/orders-value/versions', schema), 200)
  assert.equal(await status('writer', 'POST', '/subjects/bills-value/versions', schema), 40301)
  assert.equal(await status('reader', 'GET', '/subjects/orders-value/versions/1'), 200)
  assert.equal(await status('reader', 'POST', '/subjects/orders-value', schema), 200)
  assert.equal(await status('reader', 'GET', '/schemas/ids/1'), 200)
  assert.equal(await status('other', 'GET', '/subjects/orders-value/versions/1'), 40301)
  assert.equal(await status('other', 'GET', '/schemas/ids/1'), 40301)
  assert.equal(await status('other', 'POST', '/subjects/bills-key/versions', schema), 200)
  assert.equal(await status('other', 'GET', '/schemas/ids/1'), 200)
  assert.equal(await status('writer', 'PUT', '/config/orders-value', { compatibility: 'NONE' }), 40301)
  assert.equal(await status('other', 'PUT', '/config/bills-key', { compatibility: 'NONE' }), 200)
  assert.equal(await status('other', 'PUT', '/config', { compatibility: 'NONE' }), 40301)
  assert.equal(await status('root', 'PUT', '/config', { compatibility: 'NONE' }), 200)
  assert.equal(await status('writer', 'DELETE', '/subjects/orders-value'), 40301)
  assert.equal(await status('root', 'DELETE', '/subjects/orders-value'), 200)
})
