/** Limits of namespaces and users: they hold, survive restarts, and go with whom they are for. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine } from '../../test/support/machine.ts'
import type { QuotaReached } from '../core/errors.ts'
import type { OwnedBroker } from './broker.ts'
import { quotasMax } from './quotas.ts'

const make = (broker: OwnedBroker, namespace: string, topic: string) =>
  broker.space(broker.anonymous, namespace).createTopic(topic, {}, 'test')

test('a namespace takes so many topics and no more, also after a crash', async () => {
  const machine = new Machine()
  const first = await machine.start()
  await first.createNamespace(first.anonymous, 'shop')
  await first.quotas.put({ of: 'namespace', name: 'shop', topicsMax: 2 })
  await make(first, 'shop', 'a')
  await make(first, 'shop', 'b')
  await assert.rejects(make(first, 'shop', 'c'), (error: QuotaReached) => {
    assert.deepEqual([error.code, error.detail, error.quota.what, error.quota.max], ['Full', 'c', 'topics', 2])
    return true
  })
  await assert.rejects(make(first, 'shop', 'a'), { code: 'AlreadyExists' })
  await make(first, 'default', 'c')

  const second = await machine.crash()
  await assert.rejects(make(second, 'shop', 'c'), { code: 'Full' })
  await second.space(second.anonymous, 'shop').deleteTopic('a')
  await make(second, 'shop', 'c')
  await second.quotas.put({ of: 'namespace', name: 'shop' })
  assert.deepEqual(second.quotas.list(), [])
  await make(second, 'shop', 'd')
  await machine.stop()
})

test('a quota goes with its namespace or user', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  await broker.createNamespace(broker.anonymous, 'shop')
  await broker.users.put('ada', { password: 'love', admin: true })
  await broker.quotas.put({ of: 'namespace', name: 'shop', connectionsMax: 0 })
  await broker.quotas.put({ of: 'user', name: 'ada', others: { seats: 3 } })
  assert.deepEqual(broker.quotas.of('user', 'ada')?.others, { seats: 3 })
  await broker.deleteNamespace(await broker.authenticate({ kind: 'proven', user: 'ada' }, ''), 'shop')
  await broker.users.delete('ada')
  assert.deepEqual(broker.quotas.list(), [])
  await machine.stop()
})

test('limits are whole numbers from 0 on, and there are so many at most', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  for (const limit of [-1, 1.5, Number.NaN])
    await assert.rejects(broker.quotas.put({ of: 'user', name: 'ada', connectionsMax: limit }), { code: 'Invalid' })
  const rows = broker.rows('broker quotas')
  for (let i = 0; i < quotasMax; i++) rows.put(`user u${i}`, JSON.stringify({ of: 'user', name: `u${i}`, connectionsMax: 1 }))
  await assert.rejects(broker.quotas.put({ of: 'user', name: 'ada', connectionsMax: 1 }), { code: 'Full' })
  await broker.quotas.put({ of: 'user', name: 'u7', connectionsMax: 2 })
  await machine.stop()
})
