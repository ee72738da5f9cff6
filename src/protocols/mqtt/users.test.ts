/** Logins that are refused, and permissions: asked for addresses when publishing, for patterns when subscribing, for addresses again when delivering. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import { SystemClock } from '../../lib/timers.ts'
import type { RunningBroker } from '../../server/start.ts'
import { TestClient } from './client.testing.ts'
import { Version } from './codec.ts'
import { Reason } from './errors.ts'

let broker: RunningBroker
let port: number

before(async () => {
  broker = await startTestBroker({
    clock: new SystemClock(),
    only: ['mqtt'],
    beforeListening: async ({ users }) => {
      await users.put('admin', { password: 'admin', admin: true })
      const permissions = [{ namespace: 'default', publish: 'out\\..*', consume: '#|in\\..*', manage: '' }]
      await users.put('eve', { password: 'eve', permissions })
    },
  })
  port = portOf(broker, 'mqtt')
})
after(() => broker.stop())

const admin = { user: 'admin', password: 'admin' }
const eve = { user: 'eve', password: 'eve' }

test('who is not known is told so, in the words of the version', async () => {
  for (const [version, code] of [
    [Version.V311, 4],
    [Version.V5, Reason.BadUserNameOrPassword],
  ] as const) {
    for (const login of [{}, { user: 'eve', password: 'wrong' }, { user: 'nobody', password: 'x' }]) {
      const client = await TestClient.open(port, version)
      assert.equal((await client.connect({ clientId: 'x', ...login })).code, code)
      assert.equal(await client.next(), null)
    }
  }
  const asks = await TestClient.open(port)
  assert.equal((await asks.connect({ properties: { authMethod: 'NTLM' } })).code, Reason.BadAuthenticationMethod)
})

test('what may not be read is refused, also when the filter alone would let it through', async () => {
  const client = await TestClient.connected(port, eve)
  assert.equal(await client.subscribe('secret/plans', { qos: 1 }), Reason.NotAuthorized)
  assert.equal(await client.subscribe('secret/plans'), Reason.NotAuthorized)
  const old = await TestClient.connected(port, { ...eve, version: Version.V311 })
  assert.equal(await old.subscribe('secret/plans'), 0x80)
  const sender = await TestClient.connected(port, admin)
  await sender.published('secret/plans', 'kept', { retain: true })
  for (const qos of [0, 1] as const) {
    const all = await TestClient.connected(port, eve)
    assert.equal(await all.subscribe('#', { qos }), qos)
    await sender.published('secret/plans', 'x')
    await sender.published('in/a', 'y')
    assert.equal(await all.text(), 'in/a y')
    await all.quiet()
  }
})

test('what may not be published is refused, retained or not', async () => {
  const client = await TestClient.connected(port, eve)
  assert.ok((await client.published('out/a', 'x', { retain: true })) < 0x80)
  assert.equal(await client.published('in/a', 'x', { retain: true }), Reason.NotAuthorized)
  client.publish('in/a', 'x')
  assert.equal(await client.ended(), Reason.NotAuthorized)
  const old = await TestClient.connected(port, { ...eve, version: Version.V311 })
  old.publish('in/a', 'x', { qos: 1 })
  assert.equal(await old.ended(), null)
  const reader = await TestClient.connected(port, admin)
  await reader.subscribe('in/#')
  await reader.quiet()
})
