/** Changes of users come one after the other. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine } from '../../test/support/machine.ts'
import { CoreError } from '../core/errors.ts'
import type { Permission, UserAdmin } from './face.ts'

const permissionIn = (namespace: string): Permission => ({ namespace, publish: '.*', consume: '', manage: '' })

function allow(users: UserAdmin, name: string, namespace: string): Promise<void> {
  return users.change(name, async (present) => {
    const before = present?.permissions ?? []
    await new Promise((resolve) => setImmediate(resolve))
    return { permissions: [...before, permissionIn(namespace)] }
  })
}

const namespacesOf = (users: UserAdmin, name: string): string[] | undefined =>
  users
    .list()
    .find((user) => user.name === name)
    ?.permissions.map(({ namespace }) => namespace)

test('changes decided by what was there all count, and what comes between them is seen by the next', async () => {
  const machine = new Machine()
  let { users } = await machine.start()
  await users.put('admin', { admin: true, password: 'secret' })
  await Promise.all([
    allow(users, 'alice', 'a'),
    allow(users, 'alice', 'b'),
    users.put('alice', { admin: true }),
    allow(users, 'alice', 'c'),
  ])
  users = (await machine.crash()).users
  assert.deepEqual(namespacesOf(users, 'alice'), ['a', 'b', 'c'])
  assert.equal(users.list().find(({ name }) => name === 'alice')?.admin, true)
  await machine.stop()
})

test('of two who delete each other the second is asked again; what is refused holds nobody up', async () => {
  const machine = new Machine()
  const { users } = await machine.start()
  for (const name of ['one', 'two']) await users.put(name, { admin: true })
  const check = (): void => {
    if (users.list().length === 1) throw new CoreError('Mismatch', 'the last one')
  }
  const outcomes = await Promise.allSettled([users.delete('one', check), users.delete('two', check), allow(users, 'three', 'a')])
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  await users.change('three', () => null)
  await users.change('four', () => null)
  await assert.rejects(
    users.change('three', () => {
      throw new CoreError('Mismatch', 'no')
    }),
    { code: 'Mismatch' },
  )
  assert.deepEqual(
    users.list().map(({ name }) => name),
    ['two', 'three'],
  )
  assert.deepEqual(namespacesOf(users, 'three'), ['a'])
  await machine.stop()
})

test('who is disabled cannot log in, who needs no password can with any, and what is said of protocols is kept, over a crash', async () => {
  const machine = new Machine()
  let broker = await machine.start()
  const { users } = broker
  users.keepOperations('telex', async (words) => {
    if (words.includes('nonsense')) throw new CoreError('Invalid', 'nonsense')
  })
  await users.put('admin', { admin: true, password: 'secret' })
  await users.put('alice', { verifier: { algorithm: 'any' }, operations: { telex: ['ring'] } })
  await users.put('bob', { password: 'pass', disabled: true })
  for (const operations of [{ telex: ['nonsense'] }, { fax: ['ring'] }]) await assert.rejects(users.put('alice', { operations }))
  broker = await machine.crash()
  const logsIn = (user: string, password: string): Promise<boolean> =>
    broker.authenticate({ kind: 'password', user, password }, '').then(
      () => true,
      () => false,
    )
  assert.deepEqual([await logsIn('alice', 'x'), await logsIn('alice', 'y'), await logsIn('bob', 'pass')], [true, true, false])
  await assert.rejects(broker.authenticate({ kind: 'proven', user: 'bob' }, ''), { code: 'Unauthenticated' })
  assert.deepEqual(broker.users.principal('alice').operations?.('telex'), ['ring'])
  assert.equal(broker.users.principal('bob').operations?.('telex'), null)
  await broker.users.put('alice', { password: 'pass' })
  await broker.users.put('bob', { disabled: false })
  assert.deepEqual([await logsIn('alice', 'x'), await logsIn('alice', 'pass'), await logsIn('bob', 'pass')], [false, true, true])
  await machine.stop()
})
