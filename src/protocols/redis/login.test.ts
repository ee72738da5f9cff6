/** Where users exist: AUTH and HELLO in each of their forms, and what permissions and quotas allow. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import { RespClient } from '../../lib/resp/socket-client.testing.ts'
import type { RunningBroker } from '../../server/start.ts'

let running: RunningBroker

before(async () => {
  running = await startTestBroker({
    only: ['redis'],
    beforeListening: async ({ users }) => {
      await users.put('admin', { password: 'secret', admin: true })
      const permissions = [{ namespace: 'default', publish: 'in.*', consume: 'out.*', manage: '^$' }]
      await users.put('alice', { password: 'love', permissions })
    },
  })
})
after(() => running.stop())

const connected = (): Promise<RespClient> => RespClient.connected(portOf(running, 'redis'))

test('nothing is done before a login', async () => {
  const client = await connected()
  for (const line of ['PING', 'GET in', 'LPUSH in x', 'INFO', 'SUBSCRIBE c'])
    assert.equal(await client.refused(line), 'NOAUTH Authentication required.', line)
  assert.match(await client.refused('HELLO 3'), /^NOAUTH HELLO must be called/)
  for (const line of ['AUTH secret', 'AUTH admin wrong', 'AUTH nobody secret', 'HELLO 3 AUTH admin wrong'])
    assert.equal(await client.refused(line), 'WRONGPASS invalid username-password pair or user is disabled.', line)
  assert.ok(Array.isArray(await client.run('HELLO 2 AUTH admin secret')))
  assert.equal(await client.run('ACL WHOAMI'), 'admin')
  assert.equal(await client.run('RESET'), 'RESET')
  assert.equal(await client.refused('GET in'), 'NOAUTH Authentication required.')
  client.close()
})

const denied = /^NOPERM User alice has no permissions to access one of the keys/

test('to take is to consume, to put is to publish, and what does both needs both', async () => {
  const [admin, alice] = [await connected(), await connected()]
  assert.equal(await admin.run('AUTH admin secret'), 'OK')
  assert.equal(await alice.run('AUTH alice love'), 'OK')
  assert.equal(await alice.run('LPUSH in x'), 1)
  assert.equal(await admin.run('RPUSH out y z'), 2)
  assert.equal(await admin.run('SET out:text y'), 'OK')
  for (const line of ['LRANGE in 0 -1', 'RPOP in', 'BRPOP in 0', 'LMOVE in out LEFT LEFT', 'GETDEL in:text', 'INCR in:n'])
    assert.match(await alice.refused(line), denied, line)
  for (const line of [
    'LPUSH out x',
    'SET out x',
    'SET in:t x GET',
    'DEL out',
    'GETDEL out:text',
    'RENAME out in',
    'COPY in:a in:b',
  ])
    assert.match(await alice.refused(line), denied, line)
  assert.equal(await alice.run('RPOP out'), 'z')
  assert.equal(await alice.run('LMOVE out in LEFT LEFT'), 'y')
  assert.equal(await alice.run('SET in:text x'), 'OK')
  assert.equal(await alice.run('COPY out:text in:copy'), 1)
  assert.equal(await alice.run('SUNIONSTORE in:set out:set'), 0)
  assert.match(await alice.refused('SUNIONSTORE out:set in:set'), denied)
  await admin.run('XADD out:s 1-1 f v')
  assert.equal(await alice.run('XGROUP CREATE out:s g 0'), 'OK')
  assert.ok(await alice.run('XREADGROUP GROUP g c STREAMS out:s >'))
  assert.equal(await alice.run('XACK out:s g 1-1'), 1)
  assert.match(await alice.refused('XDEL out:s 1-1'), denied)
  const evil = Buffer.from("return redis.call('get', 'in:text')")
  const answer = await alice.run('EVAL', evil, '0')
  assert.ok(answer instanceof Error)
  assert.match(answer.message, denied)
  admin.close()
  alice.close()
})

test('what concerns the keys of everybody is for administrators', async () => {
  const [admin, alice] = [await connected(), await connected()]
  assert.equal(await admin.run('AUTH admin secret'), 'OK')
  assert.equal(await alice.run('AUTH alice love'), 'OK')
  for (const line of ['FLUSHALL', 'FLUSHDB', 'SWAPDB 0 1', 'FUNCTION FLUSH', 'CONFIG SET maxmemory 1', 'MONITOR', 'CLIENT LIST'])
    assert.match(await alice.refused(line), /^NOPERM User alice has no permissions to run the '/, line)
  await admin.run('RPUSH out:ids 2 1')
  for (const [line, word] of [
    ['SORT out:ids BY weight_*', 'BY'],
    ['SORT_RO out:ids GET # GET in*', 'GET'],
  ])
    assert.equal(await alice.refused(line ?? ''), `ERR ${word} option of SORT denied due to insufficient ACL permissions`)
  assert.match(await alice.refused('SORT out:ids STORE out:sorted'), denied)
  assert.equal(await alice.run('SORT out:ids STORE in:sorted'), 2)
  assert.equal(await admin.run('FLUSHALL'), 'OK')
  admin.close()
  alice.close()
})

test('a user who has all the connections he may have is told so, and gets no more', async () => {
  await running.broker.quotas.put({ of: 'user', name: 'alice', connectionsMax: 1 })
  const [first, second, third, admin] = [await connected(), await connected(), await connected(), await connected()]
  assert.equal(await first.run('AUTH alice love'), 'OK')
  assert.equal(await first.run('AUTH alice love'), 'OK')
  for (const [client, line] of [
    [second, 'AUTH alice love'],
    [third, 'HELLO 2 AUTH alice love'],
  ] as const) {
    assert.equal(await client.refused(line), 'ERR max number of clients reached')
    await assert.rejects(client.next(), /closed/)
  }
  assert.equal(await admin.run('AUTH admin secret'), 'OK')
  first.close()
  admin.close()
})
