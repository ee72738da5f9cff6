/** Where users exist: AUTH in each of its forms, and what permissions allow. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import { RespClient } from '../../lib/resp/socket-client.testing.ts'
import type { RunningBroker } from '../../server/start.ts'

let running: RunningBroker

before(async () => {
  running = await startTestBroker({
    only: ['disque'],
    beforeListening: async ({ users }) => {
      await users.put('admin', { password: 'secret', admin: true })
      const permissions = [{ namespace: 'default', publish: '^in', consume: '^out', manage: '^$' }]
      await users.put('alice', { password: 'l:ve', permissions })
    },
  })
})
after(() => running.stop())

const connected = (): Promise<RespClient> => RespClient.connected(portOf(running, 'disque'))

test('nothing is done before a login, and a wrong one takes an earlier one away', async () => {
  const client = await connected()
  for (const line of ['HELLO', 'ADDJOB in x 0', 'GETJOB FROM in', 'INFO'])
    assert.equal(await client.refused(line), 'NOAUTH Authentication required.', line)
  for (const line of ['AUTH secret', 'AUTH admin:wrong', 'AUTH admin wrong', 'AUTH nobody:secret'])
    assert.equal(await client.refused(line), 'ERR invalid password', line)
  assert.equal(await client.run('AUTH admin:secret'), 'OK')
  assert.match(String(await client.run('ADDJOB anything x 0')), /^D-/)
  assert.equal(await client.refused('AUTH wrong'), 'ERR invalid password')
  assert.equal(await client.refused('QLEN anything'), 'NOAUTH Authentication required.')
  assert.equal(await client.run('AUTH admin secret'), 'OK')
  assert.equal(await client.run('QLEN anything'), 1)
  client.close()
})

test('permissions hold for each queue, and for jobs by their ids', async () => {
  const [admin, alice] = [await connected(), await connected()]
  await admin.run('AUTH admin:secret')
  assert.equal(await alice.run('AUTH alice:l:ve'), 'OK')
  assert.match(String(await alice.run('ADDJOB in x 0')), /^D-/)
  assert.match(await alice.refused('ADDJOB out x 0'), /^NOPERM User alice has no permissions to publish "out"/)
  assert.match(await alice.refused('GETJOB FROM out in'), /^NOPERM User alice has no permissions to consume "in"/)
  const [mine, other] = [await admin.run('ADDJOB out x 0'), await admin.run('ADDJOB secret x 0')]
  assert.match(await alice.refused(`SHOW ${other}`), /^NOPERM/)
  assert.match(await alice.refused(`ACKJOB ${other}`), /^NOPERM/)
  assert.match(await alice.refused('PAUSE out in'), /^NOPERM/)
  assert.match(await alice.refused('QPEEK secret 1'), /^NOPERM/)
  assert.match(await alice.refused('MONITOR'), /^NOPERM/)
  assert.match(await alice.refused('CLIENT LIST'), /^NOPERM/)
  assert.deepEqual(await alice.run('JSCAN'), ['0', [mine]])
  assert.deepEqual(await alice.run('QSCAN'), ['0', ['out']])
  assert.equal(await alice.run(`ACKJOB ${mine}`), 1)
  assert.equal(await admin.run(`ACKJOB ${other}`), 1)
  admin.close()
  alice.close()
})

test('requests that were sent behind a login wait for it', async () => {
  const client = await connected()
  const answers = [client.run('AUTH admin:secret'), client.run('ADDJOB behind x 0'), client.run('QLEN behind')]
  const [ok, id, length] = await Promise.all(answers)
  assert.deepEqual([ok, length], ['OK', 1])
  assert.match(String(id), /^D-/)
  client.close()
})

test('a user who has all the connections he may have is told so, and gets no more', async () => {
  await running.broker.quotas.put({ of: 'user', name: 'alice', connectionsMax: 1 })
  const [first, second, admin] = [await connected(), await connected(), await connected()]
  assert.equal(await first.run('AUTH alice:l:ve'), 'OK')
  assert.equal(await first.run('AUTH alice:l:ve'), 'OK')
  assert.equal(await second.refused('AUTH alice:l:ve'), 'ERR max number of clients reached')
  await assert.rejects(second.next(), /closed/)
  assert.equal(await admin.run('AUTH admin:secret'), 'OK')
  first.close()
  admin.close()
})
