/** Conversations with a client: what it is told, in which order, and what a crash leaves. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine } from '../../../test/support/machine.ts'
import { encode } from '../../lib/resp/client.testing.ts'
import { TestClient } from './redis-client.testing.ts'

async function start(): Promise<{ machine: Machine; client: TestClient }> {
  const machine = new Machine()
  return { machine, client: await TestClient.open(await machine.start()) }
}

test('what was replied to is there after a crash, with its time to live and in its database', async () => {
  const { machine, client } = await start()
  assert.equal(await client.run('SET', 'a', '1'), 'OK')
  assert.equal(await client.run('INCRBY', 'a', '41'), 42)
  assert.equal(await client.run('APPEND', 'b', 'xy'), 2)
  assert.equal(await client.run('APPEND', 'b', 'z'), 3)
  assert.equal(await client.run('SET', 'c', 'soon', 'PX', '5000'), 'OK')
  assert.equal(await client.run('SET', 'gone', '1'), 'OK')
  assert.equal(await client.run('DEL', 'gone'), 1)
  assert.equal(await client.run('SELECT', '3'), 'OK')
  assert.equal(await client.run('SET', 'a', 'three'), 'OK')

  const again = await TestClient.open(await machine.crash())
  assert.deepEqual(await again.run('MGET', 'a', 'b', 'c', 'gone'), ['42', 'xyz', 'soon', null])
  assert.equal(await again.run('PTTL', 'c'), 5000)
  machine.clock.advance(5001)
  assert.equal(await again.run('GET', 'c'), null)
  await again.run('SELECT', '3')
  assert.equal(await again.run('GET', 'a'), 'three')
  await machine.stop()
})

test('replies of a pipeline come in the order of its requests', async () => {
  const { machine, client } = await start()
  const answers = ['SET a 1', 'GET a', 'PING', 'INCR a', 'NONE', 'GET a'].map(() => client.next())
  client.session.onBytes(
    Buffer.concat([['SET', 'a', '1'], ['GET', 'a'], ['PING'], ['INCR', 'a'], ['NONE'], ['GET', 'a']].map(encode)),
  )
  const [set, get, ping, incr, none, last] = await Promise.all(answers)
  assert.deepEqual([set, get, ping, incr, last], ['OK', '1', 'PONG', 2, '2'])
  assert.ok(none instanceof Error)
  await machine.stop()
})

test('where there are no users nobody but the default one can log in, with any password', async () => {
  const { machine, client } = await start()
  assert.equal(await client.run('AUTH', 'default', 'anything'), 'OK')
  for (const request of [['AUTH', 'alice', 'secret'] as const, ['HELLO', '2', 'AUTH', 'alice', 'secret'] as const]) {
    const answer = await client.run(...request)
    assert.ok(answer instanceof Error)
    assert.equal(answer.message, 'WRONGPASS invalid username-password pair or user is disabled.')
  }
  assert.equal(await client.run('ACL', 'WHOAMI'), 'default')
  await machine.stop()
})

test('no reply to a change, and none that shows it, comes before it is durable', async () => {
  const { machine, client } = await start()
  let told = 0
  void client.run('SET', 'a', '1').then(() => told++)
  void client.run('GET', 'a').then(() => told++)
  await Promise.resolve()
  assert.equal(told, 0)
  await client.run('PING')
  assert.equal(told, 2)
  await machine.stop()
})

test('a client whose replies wait for the disk runs no more than so many, and goes on when they have left', async () => {
  const { machine, client } = await start()
  const value = 'v'.repeat(1024 * 1024)
  await client.run('SET', 'big', value)
  const wanted = 12
  const answers = Array.from({ length: wanted }, () => client.next())
  // Each write makes the reads behind it wait, a megabyte each.
  const requests = Array.from({ length: wanted / 2 }, (_, i) => [encode(['SET', 'small', i]), encode(['GET', 'big'])]).flat()
  for (const request of requests) client.session.onBytes(request)
  const told = await Promise.all(answers)
  assert.deepEqual(
    told,
    Array.from({ length: wanted }, (_, i) => (i % 2 === 0 ? 'OK' : value)),
  )
  await machine.stop()
})

test('HELLO changes the version of the protocol', async () => {
  const { machine, client } = await start()
  const answer = await client.run('HELLO', '3', 'SETNAME', 'me')
  assert.ok(answer instanceof Map)
  assert.equal(answer.get('proto'), 3)
  assert.equal(answer.get('server'), 'redis')
  const refused = await client.run('HELLO', '4')
  assert.match(String(refused), /NOPROTO unsupported protocol version/)
  await machine.stop()
})

test('bytes that are no request end the connection with an error', async () => {
  const { machine, client } = await start()
  const answer = await client.raw(Buffer.from('*1\r\n!\r\n'))
  assert.match(String(answer), /Protocol error: expected '\$', got '!'/)
  assert.notEqual(client.ended, null)
  await machine.stop()
})
